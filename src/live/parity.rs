//! A recorded day, replayed: the bars as they were decided on, the broker's executions, and the strategy asked again.
//!
//! The decisions must be the same, one by one. What the broker made of the orders is no difference but drift, in
//! figures of its own.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::desk::{Desk, feed_bar};
use super::lifecycle::Message;
use super::record::{BarRecord, DecidedRecord, PartName, Record, Request, status_text};
use crate::account::{Fill, Form, Leg};
use crate::bar::{Date, Nanos, SECOND, Symbol, Timeframe, iso_utc};
use crate::calendar::{self, Session};
use crate::error::Result;
use crate::order::{Order, Side};
use crate::registry::AnyRunner;
use crate::runner::{Broker, Deaf, Decision, Event, FeedBar, OrderStatus};
use crate::strategy::{Position, WorkingOrder};

/// The first thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Start of the bar, UTC.
    pub bar: String,
    /// The symbol.
    pub symbol: Symbol,
    /// What differs: `order`, `answer`, or `decision` if only one of the two has one.
    pub field: &'static str,
    /// As it was recorded.
    pub recorded: String,
    /// As the replay has it.
    pub replayed: String,
}

/// What the broker made of the orders, beside what a replay assumes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Drift {
    /// Executions of market and stop orders.
    pub executions: u64,
    /// Mean of how much worse they were than a replay's price before its own slippage, basis points.
    pub slippage_bps: Option<f64>,
    /// Of the worst of them.
    pub worst_bps: Option<f64>,
    /// Orders of the strategy that were placed.
    pub orders: u64,
    /// Those that ended with fewer shares than ordered.
    pub missed: u64,
    /// Those that were refused before they were sent.
    pub refused: u64,
    /// Mean time from the end of a bar to its order in the journal, seconds.
    pub latency_s: Option<f64>,
}

/// A day beside its replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parity {
    /// The session.
    pub date: Date,
    /// Bars that were decided on.
    pub bars: u64,
    /// Orders that were decided.
    pub decisions: u64,
    /// The first difference, if there is one.
    pub difference: Option<Difference>,
    /// What the broker made of it.
    pub drift: Drift,
}

/// Replays a day record by record: those before it give the position that it began with.
pub struct Replaying<'r> {
    date: Date,
    timeframe: Timeframe,
    runner: &'r mut dyn AnyRunner,
    desk: Desk,
    session: Session,
    parity: Parity,
    measured: Measured,
    decided: Vec<Decision>,
    words: fn(&Order) -> String,
}

/// What drift is worked out from.
#[derive(Default)]
struct Measured {
    /// Of the orders of the day.
    planned: HashMap<String, (Symbol, Request, Nanos, u64)>,
    /// Executions whose reference is the open of the bar under way, which isn't known yet: of a stop the worse of the two.
    waiting: Vec<(Symbol, Side, Nanos, f64, Option<f64>)>,
    /// Start, end and open of the day's bars.
    opens: HashMap<Symbol, Vec<(Nanos, Nanos, f64)>>,
    slips: Vec<f64>,
    latencies: Vec<f64>,
}

impl<'r> Replaying<'r> {
    /// A day that nothing is known of; the runner has seen history, and the desk is empty. Orders are compared in words.
    pub fn new(
        date: Date,
        timeframe: Timeframe,
        runner: &'r mut dyn AnyRunner,
        mut desk: Desk,
        words: fn(&Order) -> String,
    ) -> Self {
        desk.trust(true);
        let parity = Parity { date, bars: 0, decisions: 0, difference: None, drift: Drift::default() };
        let (session, measured) = (Session::default(), Measured::default());
        Self { date, timeframe, runner, desk, session, parity, measured, decided: Vec::new(), words }
    }

    /// A record before those that the runner is to see: of them it has seen history.
    ///
    /// # Errors
    /// Data error if the record contradicts those before.
    pub fn pass(&mut self, record: &Record) -> Result<()> {
        self.desk.apply(record)
    }

    /// The next record.
    ///
    /// # Errors
    /// As [`Replaying::pass`].
    pub fn take(&mut self, record: &Record) -> Result<()> {
        match record {
            Record::Opens { date } => {
                self.session = calendar::session(*date);
                let Self { runner, session, decided, .. } = self;
                runner.handle(&Event::Opens(*session), &mut Deaf, decided)?;
                self.desk.apply(record)
            }
            Record::Bars { start, end, bars, decided, caught_up, .. } => {
                self.bars(*start, *end, bars, decided, *caught_up)
            }
            Record::Closes { date } => {
                let session = calendar::session(*date);
                self.runner.handle(&Event::Closes(session), &mut Deaf, &mut self.decided)?;
                self.desk.apply(record)
            }
            _ => {
                if self.session.date == self.date {
                    self.measure(record);
                }
                self.desk.apply(record)
            }
        }
    }

    fn bars(
        &mut self,
        start: Nanos,
        end: Nanos,
        bars: &[BarRecord],
        recorded: &[DecidedRecord],
        caught_up: bool,
    ) -> Result<()> {
        let session = self.session;
        let feed: Vec<FeedBar> =
            bars.iter().map(|bar| feed_bar(bar.0, bar.bar(start, end), self.timeframe, &session)).collect();
        self.decided.clear();
        let mut broker = Recorded { desk: &mut self.desk, recorded };
        self.runner.handle(&Event::Bars(&feed), &mut broker, &mut self.decided)?;
        if session.date != self.date {
            return Ok(());
        }
        self.parity.bars += bars.len() as u64;
        self.parity.decisions += recorded.len() as u64;
        for bar in bars {
            self.measured.open(bar.0, start, end, bar.1[0]);
        }
        if self.parity.difference.is_none() {
            self.parity.difference = self.first_difference(start, recorded, caught_up);
        }
        Ok(())
    }

    fn first_difference(&self, start: Nanos, recorded: &[DecidedRecord], caught_up: bool) -> Option<Difference> {
        let words = self.words;
        let bar = iso_utc(start);
        let pairs = recorded.iter().map(Some).chain(std::iter::repeat(None));
        let others = self.decided.iter().map(Some).chain(std::iter::repeat(None));
        for (was, is) in pairs.zip(others) {
            let (symbol, field, recorded, replayed) = match (was, is) {
                (None, None) => return None,
                (Some(was), None) => (was.symbol, "decision", was.order.clone(), "none".to_owned()),
                (None, Some(is)) => (is.symbol, "decision", "none".to_owned(), words(&is.order)),
                (Some(was), Some(is)) if was.symbol != is.symbol => {
                    (was.symbol.min(is.symbol), "decision", was.order.clone(), words(&is.order))
                }
                (Some(was), Some(is)) if was.order != words(&is.order) => {
                    (was.symbol, "order", was.order.clone(), words(&is.order))
                }
                (Some(was), Some(is)) => {
                    let status = status_text(is.status);
                    // What only a live account says isn't the strategy's.
                    if caught_up || was.status == status || !is_of_account(&was.status) {
                        continue;
                    }
                    (was.symbol, "answer", was.status.clone(), status)
                }
            };
            return Some(Difference { bar, symbol, field, recorded, replayed });
        }
        None
    }

    fn measure(&mut self, record: &Record) {
        match record {
            Record::Planned { at, id, symbol, request } => {
                if let Leg::Order(order) = request.leg
                    && let Some(end) = self.desk.decided_at(*symbol, order)
                {
                    self.parity.drift.orders += 1;
                    self.measured.latencies.push((at - end) as f64 / SECOND as f64);
                }
                self.measured.planned.insert(id.clone(), (*symbol, *request, *at, 0));
            }
            Record::Refused { .. } => self.parity.drift.refused += 1,
            Record::Heard { at, id, part, message: Message::Execution { shares, price, .. } } => {
                if let Some((symbol, request, _, filled)) = self.measured.planned.get_mut(id) {
                    if *part == PartName::Main {
                        *filled += shares;
                    }
                    // Its stop may have been moved since it was planned.
                    let request = self.desk.order(id).map_or(*request, |placed| placed.request);
                    let symbol = *symbol;
                    self.measured.executed(symbol, &request, *part, *at, *price);
                }
            }
            _ => {}
        }
    }

    /// The day beside its replay.
    pub fn finish(mut self) -> Parity {
        let Measured { planned, slips, latencies, .. } = self.measured;
        let missed = |(_, request, _, filled): &(Symbol, Request, Nanos, u64)| {
            matches!(request.leg, Leg::Order(_)) && *filled < request.shares
        };
        let mean = |of: &[f64]| (!of.is_empty()).then(|| of.iter().sum::<f64>() / of.len() as f64);
        let drift = &mut self.parity.drift;
        drift.missed = planned.values().filter(|planned| missed(planned)).count() as u64;
        drift.executions = slips.len() as u64;
        drift.slippage_bps = mean(&slips);
        drift.worst_bps = slips.iter().copied().reduce(f64::max);
        drift.latency_s = mean(&latencies);
        self.parity
    }
}

/// Whether an answer is the account's: sizes and limits, which a replay has as well.
fn is_of_account(status: &str) -> bool {
    !matches!(status, "stale" | "halted" | "killed" | "degraded" | "catching_up")
}

impl Measured {
    fn executed(&mut self, symbol: Symbol, request: &Request, part: PartName, at: Nanos, price: f64) {
        let closing = request.side.opposite();
        let (side, stop) = match (request.form, part) {
            (Form::Market, PartName::Main) => (request.side, None),
            (Form::Stop(stop), PartName::Main) | (Form::Either { stop, .. }, PartName::Stop) => {
                (request.side, Some(stop))
            }
            (_, PartName::Stop) => (closing, request.protect),
            _ => return,
        };
        let bars = self.opens.get(&symbol).map(Vec::as_slice).unwrap_or_default();
        match bars.iter().rev().find(|(start, end, _)| (*start..*end).contains(&at)) {
            Some((.., open)) => self.compare(side, stop, *open, price),
            None => self.waiting.push((symbol, side, at, price, stop)),
        }
    }

    /// A bar is known now: what was executed in it has its reference.
    fn open(&mut self, symbol: Symbol, start: Nanos, end: Nanos, open: f64) {
        self.opens.entry(symbol).or_default().push((start, end, open));
        let here = |waiting: &(Symbol, Side, Nanos, f64, Option<f64>)| waiting.0 == symbol && waiting.2 < end;
        let (known, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting).into_iter().partition(here);
        self.waiting = waiting;
        for (_, side, at, price, stop) in known {
            // One from between two bars has no open to compare with.
            match stop {
                Some(stop) if at < start => self.slip(side, stop, price),
                None if at < start => {}
                stop => self.compare(side, stop, open, price),
            }
        }
    }

    /// A replay has the open, and at a stop that is worse the stop.
    fn compare(&mut self, side: Side, stop: Option<f64>, open: f64, price: f64) {
        let reference = match (stop, side) {
            (None, _) => open,
            (Some(stop), Side::Buy) => stop.max(open),
            (Some(stop), Side::Sell) => stop.min(open),
        };
        self.slip(side, reference, price);
    }

    fn slip(&mut self, side: Side, reference: f64, price: f64) {
        self.slips.push((price / reference - 1.0) * 1e4 * side.sign() as f64);
    }
}

/// Passes bars on to a desk, and takes the orders that were taken then.
struct Recorded<'d> {
    desk: &'d mut Desk,
    recorded: &'d [DecidedRecord],
}

impl Broker for Recorded<'_> {
    fn session_opens(&mut self, session: &Session) -> Result<()> {
        self.desk.session_opens(session)
    }

    fn bars_trade(&mut self, bars: &[FeedBar], session: &Session) -> Result<()> {
        self.desk.bars_trade(bars, session)
    }

    fn bar_closes(&mut self, bar: &FeedBar, session: &Session, working: &mut Vec<WorkingOrder>) -> Result<Position> {
        self.desk.bar_closes(bar, session, working)
    }

    fn submit(&mut self, bar: &FeedBar, session: &Session, orders: &[Order]) -> Result<Vec<OrderStatus>> {
        // What these orders would have become, on a copy; then what was taken.
        let statuses = self.desk.would_become(bar, session, orders)?;
        let taken = self.recorded.iter().filter(|recorded| recorded.symbol == bar.symbol);
        let taken: Vec<Order> = taken.filter_map(|recorded| recorded.taken).collect();
        self.desk.take_again(bar, session, &taken)?;
        Ok(statuses)
    }

    fn session_closes(&mut self, date: Date) -> Result<()> {
        self.desk.session_closes(date)
    }

    fn fills(&mut self) -> Vec<Fill> {
        Vec::new()
    }

    fn open_positions(&self) -> usize {
        self.desk.open_positions()
    }

    fn equity(&self) -> f64 {
        self.desk.equity()
    }
}

/// Returns of the sessions that a journal tells of, by their closes: profit since the close before, over equity then.
#[derive(Debug)]
pub struct SessionReturns {
    desk: Desk,
    before: f64,
    returns: BTreeMap<Date, f64>,
}

impl SessionReturns {
    /// Of an empty journal.
    pub fn new(mut desk: Desk) -> Self {
        desk.trust(true);
        let before = desk.equity();
        Self { desk, before, returns: BTreeMap::new() }
    }

    /// The next record.
    ///
    /// # Errors
    /// Data error if the record contradicts those before.
    pub fn take(&mut self, record: &Record) -> Result<()> {
        self.desk.apply(record)?;
        if let Record::Closes { date } = record {
            let equity = self.desk.equity();
            self.returns.insert(*date, equity / self.before - 1.0);
            self.before = equity;
        }
        Ok(())
    }

    /// By date.
    pub fn finish(self) -> BTreeMap<Date, f64> {
        self.returns
    }
}
