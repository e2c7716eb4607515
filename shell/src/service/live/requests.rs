//! What is asked of the broker, and what it answers.

use std::time::{Duration, Instant};

use magellan::account::{Form, Leg};
use magellan::bar::{Nanos, SECOND, Symbol};
use magellan::calendar;
use magellan::error::Result;
use magellan::live::desk::Command;
use magellan::live::lifecycle::Message;
use magellan::live::record::{PartName, Record, Request};
use tracing::{info, warn};

use super::guard::Passage;
use super::reconcile::SOON;
use super::trader::Trader;
use super::workers::{Answer, Job};
use crate::alpaca::orders::OrderView;
use crate::alpaca::trading::{Failed, Outcome};

/// Before what was not done is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// An order that opens a position leaves within this time of its decision, or not at all: nanoseconds.
const EXPIRES: Nanos = 60 * SECOND;

impl Trader<'_> {
    /// Does what is to be done at the broker: into the journal first, synced, and then out.
    pub(super) fn act(&mut self, now: Nanos) -> Result<()> {
        if self.halted.is_some() || !self.reconciled {
            return Ok(());
        }
        let session = calendar::session_ahead(now);
        let commands = self.desk.commands(now, &session, &self.name);
        let mut jobs = Vec::new();
        for command in commands {
            self.prepare(command, now, &mut jobs)?;
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        self.journal.sync()?;
        self.latency.synced(begun.elapsed());
        jobs.into_iter().for_each(|job| self.workers.ask(job));
        Ok(())
    }

    fn prepare(&mut self, command: Command, now: Nanos, jobs: &mut Vec<Job>) -> Result<()> {
        match command {
            Command::Submit { id, symbol, request } => self.prepare_submit(id, symbol, request, now, jobs),
            Command::Cancel { id, part } => {
                let Some(broker) = self.broker_name(&id, part).filter(|_| !self.is_held_back(&id)) else {
                    return Ok(());
                };
                let record = Record::Heard { at: now, id: id.clone(), part, message: Message::Cancel };
                if self.record(&record)? {
                    jobs.push(Job::Cancel { id, part, broker });
                }
                Ok(())
            }
            Command::Move { id, part, stop } => {
                let Some(broker) = self.broker_name(&id, part).filter(|_| !self.is_held_back(&id)) else {
                    return Ok(());
                };
                let record = Record::Moving { at: now, id: id.clone(), part, stop };
                if self.record(&record)? {
                    jobs.push(Job::Move { id, part, broker, stop });
                }
                Ok(())
            }
            Command::LookUp { id } => {
                if !self.is_held_back(&id) && self.looking.insert(id.clone()) {
                    jobs.push(self.look_up(id));
                }
                Ok(())
            }
        }
    }

    fn prepare_submit(
        &mut self,
        id: String,
        symbol: Symbol,
        request: Request,
        now: Nanos,
        jobs: &mut Vec<Job>,
    ) -> Result<()> {
        let known = self.desk.order(&id).is_some();
        let opens = self.desk.opens(symbol, &request);
        if self.is_held_back(&id) {
            return Ok(());
        }
        if opens && let Some(refused) = self.opening(symbol, &request, now) {
            let Some(why) = refused else { return Ok(()) };
            return self.refuse(id, symbol, &request, &why, known, now);
        }
        if !known {
            let record = Record::Planned { at: now, id: id.clone(), symbol, request };
            if !self.record(&record)? {
                return Ok(());
            }
        }
        let sending = Record::Heard { at: now, id: id.clone(), part: PartName::Main, message: Message::Sending };
        if self.record(&sending)? {
            info!(%symbol, id, "{} {} shares, {}", request.side.name(), request.shares, request.form);
            self.day_orders += 1;
            self.metrics.orders.inc();
            jobs.push(Job::Submit { id, symbol, request });
        }
        Ok(())
    }

    /// Whether an order that opens a position must wait (`Some(None)`), or is refused.
    #[expect(clippy::option_option, reason = "it passes, it waits, or it is refused for a reason")]
    fn opening(&mut self, symbol: Symbol, request: &Request, now: Nanos) -> Option<Option<String>> {
        if let Some(why) = self.no_entries(now) {
            return Some(Some(why.to_owned()));
        }
        let Leg::Order(order) = request.leg else { return None };
        let decided = self.desk.decided_at(symbol, order).unwrap_or(now);
        if self.timeframe.is_intraday() {
            if now < decided + self.delay {
                return Some(None);
            }
            // A decision at the last close waits for the next open.
            let waits_from = decided.max(self.desk.first_orders(&calendar::session_ahead(decided)));
            if now > waits_from + self.delay + EXPIRES && matches!(request.form, Form::Market) {
                return Some(Some("expired".to_owned()));
            }
        }
        let passage = self.guard.passage(symbol, request, self.desk.last_close(symbol), now);
        if passage != Passage::NeedsQuote {
            // The next order needs one of its own.
            self.guard.forget_quote(symbol);
        }
        match passage {
            Passage::Free => None,
            Passage::Refused(why) => Some(Some(why)),
            Passage::NeedsQuote => {
                if self.quoting.insert(symbol) {
                    self.workers.ask(Job::Quote(symbol));
                }
                Some(None)
            }
        }
    }

    fn refuse(
        &mut self,
        id: String,
        symbol: Symbol,
        request: &Request,
        why: &str,
        known: bool,
        now: Nanos,
    ) -> Result<()> {
        warn!(%symbol, id, "refused: {why}");
        if known {
            // It was on its way once and never arrived: it ends as one that the broker refused.
            for message in [Message::Sending, Message::Rejected] {
                let record = Record::Heard { at: now, id: id.clone(), part: PartName::Main, message };
                self.record(&record)?;
            }
        }
        let Leg::Order(order) = request.leg else { return Ok(()) };
        let record = Record::Refused { at: now, symbol, order, why: why.to_owned() };
        self.record(&record)?;
        Ok(())
    }

    fn broker_name(&self, id: &str, part: PartName) -> Option<String> {
        Some(self.desk.order(id)?.part(part)?.name()?.to_owned())
    }

    pub(super) fn look_up(&self, id: String) -> Job {
        let placed = self.desk.order(&id);
        let parts = placed.iter().flat_map(|placed| placed.parts());
        // By our name the broker finds an order as it was before its stop was moved.
        let parts = parts.filter(|(name, part)| *name == PartName::Stop || part.names.len() > 1);
        let parts = parts.filter_map(|(name, part)| Some((name, part.name()?.to_owned()))).collect();
        Job::LookUp { id, parts }
    }

    pub(super) fn is_held_back(&self, id: &str) -> bool {
        self.held_back.get(id).is_some_and(|until| Instant::now() < *until)
    }

    pub(super) fn hold_back(&mut self, id: &str) {
        let now = Instant::now();
        self.held_back.retain(|_, until| now < *until);
        self.held_back.insert(id.to_owned(), now + AGAIN);
    }

    /// The broker answers, or doesn't.
    pub(super) fn broker_answers(&mut self, fault: Option<&str>) {
        match fault {
            None => self.broker_down = None,
            Some(why) => {
                warn!("the broker: {why}");
                self.broker_down.get_or_insert((Instant::now(), why.to_owned()));
            }
        }
    }

    pub(super) fn take_answer(&mut self, answer: Answer) -> Result<()> {
        let now = crate::clock::nanos();
        match answer {
            Answer::Submitted { id, sent, outcome } => self.take_submitted(&id, sent, outcome, now),
            Answer::Cancelled { id, part, outcome } => self.take_cancelled(&id, part, outcome, now),
            Answer::Moved { id, part, stop, outcome } => self.take_moved(&id, part, stop, outcome, now),
            Answer::LookedUp { id, main, parts } => {
                self.looking.remove(&id);
                self.hold_back(&id);
                self.take_found(&id, PartName::Main, main, now)?;
                parts.into_iter().try_for_each(|(part, found)| self.take_found(&id, part, found, now))
            }
            Answer::Quoted(symbol, outcome) => {
                self.quoting.remove(&symbol);
                self.guard.set_quote(symbol, outcome.map_err(|failed| failed.why().to_owned()));
                Ok(())
            }
            Answer::Snapshot(outcome) => self.take_snapshot(outcome, now),
            Answer::Bars { timeframe, to, bars } => self.take_bars(timeframe, to, bars),
        }
    }

    fn take_submitted(&mut self, id: &str, sent: Instant, outcome: Outcome<OrderView>, now: Nanos) -> Result<()> {
        let opens = self.desk.order(id).map(|placed| (placed.symbol, placed.request));
        if opens.is_some_and(|(_, request)| matches!(request.leg, Leg::Order(_)))
            && let Some((from, synced)) = self.latency.take()
        {
            self.latency.sent(from, synced, sent);
        }
        match outcome {
            Ok(view) => {
                self.broker_answers(None);
                let Some((symbol, request)) = opens else { return Ok(()) };
                let differs = view.differs(symbol, &request);
                self.observe(id, PartName::Main, &view, None, now)?;
                match differs {
                    Some(what) => self.halt(&format!("{id}: the broker took another order than was asked for: {what}")),
                    None => Ok(()),
                }
            }
            Err(Failed::Refused(_, why)) => {
                warn!(id, "the broker refuses: {why}");
                self.hear(id, PartName::Main, Message::Rejected, now)
            }
            Err(Failed::Unknown(why)) => {
                self.broker_answers(Some(&why));
                self.hold_back(id);
                self.hear(id, PartName::Main, Message::NoAnswer, now)
            }
        }
    }

    fn take_cancelled(&mut self, id: &str, part: PartName, outcome: Outcome<()>, now: Nanos) -> Result<()> {
        match outcome {
            Ok(()) => {
                self.broker_answers(None);
                // If the update gets lost, a look tells.
                self.reconcile_soon(SOON);
                Ok(())
            }
            Err(Failed::Refused(_, why)) => {
                info!(id, "not cancelled: {why}");
                self.hold_back(id);
                self.hear(id, part, Message::CancelRefused, now)?;
                self.look_now(id);
                Ok(())
            }
            Err(Failed::Unknown(why)) => {
                self.broker_answers(Some(&why));
                // If a look shows that it works on, it is asked again.
                self.unanswered.insert((id.to_owned(), part));
                self.look_now(id);
                Ok(())
            }
        }
    }

    /// Whether a cancellation got no answer; told once.
    pub(super) fn is_unanswered(&mut self, id: &str, part: PartName) -> bool {
        let lost = self.unanswered.remove(&(id.to_owned(), part));
        if lost {
            self.hold_back(id);
        }
        lost
    }

    fn take_moved(
        &mut self,
        id: &str,
        part: PartName,
        stop: f64,
        outcome: Outcome<OrderView>,
        now: Nanos,
    ) -> Result<()> {
        match outcome {
            Ok(view) => {
                self.broker_answers(None);
                let at = view.stop().unwrap_or(stop);
                let record = Record::Named { id: id.to_owned(), part, broker: view.id.clone(), stop: Some(at) };
                self.record(&record)?;
                self.observe(id, part, &view, None, now)
            }
            Err(Failed::Refused(_, why)) => {
                warn!(id, "the stop isn't moved: {why}");
                self.hold_back(id);
                self.unmoved(id, part)?;
                self.look_now(id);
                Ok(())
            }
            Err(Failed::Unknown(why)) => {
                self.broker_answers(Some(&why));
                self.hold_back(id);
                self.look_now(id);
                Ok(())
            }
        }
    }

    /// A stop stays where it is.
    pub(super) fn unmoved(&mut self, id: &str, part: PartName) -> Result<()> {
        let Some(placed) = self.desk.order(id) else { return Ok(()) };
        let stop = match (placed.request.form, part) {
            (Form::Stop(at) | Form::Either { stop: at, .. }, _) => Some(at),
            _ => placed.request.protect,
        };
        if let (Some(broker), Some(stop)) = (self.broker_name(id, part), stop) {
            let record = Record::Named { id: id.to_owned(), part, broker, stop: Some(stop) };
            self.record(&record)?;
        }
        Ok(())
    }

    pub(super) fn look_now(&mut self, id: &str) {
        if self.desk.order(id).is_some() && self.looking.insert(id.to_owned()) {
            let job = self.look_up(id.to_owned());
            self.workers.ask(job);
        }
    }

    fn take_found(&mut self, id: &str, part: PartName, found: Outcome<Option<OrderView>>, now: Nanos) -> Result<()> {
        match found {
            Ok(Some(view)) => {
                self.broker_answers(None);
                self.observe(id, part, &view, None, now)?;
                if part == PartName::Main && view.stop_leg().is_none() { self.has_no_leg(id, now) } else { Ok(()) }
            }
            Ok(None) => {
                self.broker_answers(None);
                let uncertain = self.desk.order(id).is_some_and(|placed| placed.is_uncertain());
                if part == PartName::Main && uncertain { self.hear(id, part, Message::Absent, now) } else { Ok(()) }
            }
            Err(failed) => {
                self.broker_answers(Some(failed.why()));
                Ok(())
            }
        }
    }

    /// Something was heard of an order: into the journal, and what it means.
    pub(super) fn hear(&mut self, id: &str, part: PartName, message: Message, now: Nanos) -> Result<()> {
        self.heard += 1;
        let names: Vec<String> = self
            .desk
            .order(id)
            .map(|placed| placed.parts().flat_map(|(_, part)| part.names.clone()).collect())
            .unwrap_or_default();
        if matches!(message, Message::Execution { .. }) {
            self.day_fills += 1;
            self.metrics.executions.inc();
        }
        let record = Record::Heard { at: now, id: id.to_owned(), part, message };
        self.record(&record)?;
        if self.desk.order(id).is_none() {
            self.ended.extend(names);
            while self.ended.len() > 1_000 {
                self.ended.pop_front();
            }
        }
        self.write_fills();
        Ok(())
    }
}
