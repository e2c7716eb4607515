//! What is heard of orders, from updates and from looking: each is told as a change once, in whatever order they come.

use std::time::{Duration, Instant};

use magellan::bar::Nanos;
use magellan::error::Result;
use magellan::live::lifecycle::{Message, State};
use magellan::live::record::{PartName, Record};
use tracing::{info, warn};

use super::reconcile::SOON;
use super::trader::Trader;
use crate::alpaca::orders::{OrderView, Update, price, whole};
use crate::alpaca::updates::News;

/// The price and shares of an execution, as an update tells them.
pub(super) type Told = Option<(u64, f64)>;

impl Trader<'_> {
    pub(super) fn take_news(&mut self, news: News) -> Result<()> {
        match news {
            News::Up => {
                if self.news_down.take().is_some() {
                    info!("the stream of trade updates is up");
                }
                self.reconcile_soon(Duration::ZERO);
                Ok(())
            }
            News::Down(why) => {
                warn!("the stream of trade updates is down: {why}");
                self.news_down.get_or_insert((Instant::now(), why));
                Ok(())
            }
            News::Over(err) => {
                warn!(code = err.code().slug(), "the stream of trade updates is refused: {err}");
                self.news_down.get_or_insert((Instant::now(), err.to_string()));
                Ok(())
            }
            News::Update(update, _) => self.take_update(&update),
        }
    }

    fn take_update(&mut self, update: &Update) -> Result<()> {
        self.heard += 1;
        let now = crate::clock::nanos();
        let told = update.qty.as_deref().and_then(whole).zip(update.price.as_deref().and_then(price));
        match update.event.as_str() {
            // A cancellation or a replacement that came too late: it works on.
            "order_cancel_rejected" | "order_replace_rejected" => {
                if let Some((id, part)) = self.of(&update.order) {
                    self.hear(&id, part, Message::CancelRefused, now)?;
                    self.look_now(&id);
                }
                return Ok(());
            }
            _ => {}
        }
        match self.of(&update.order) {
            Some((id, part)) => self.observe(&id, part, &update.order, told, now),
            None => {
                // Perhaps the leg of an order whose answer is under way; or somebody else's.
                if !self.ended.contains(&update.order.id) {
                    self.reconcile_soon(SOON);
                }
                Ok(())
            }
        }
    }

    /// Which of our orders this is.
    pub(super) fn of(&self, view: &OrderView) -> Option<(String, PartName)> {
        let own = self.desk.order(&view.client_order_id).map(|placed| (placed.id.clone(), PartName::Main));
        let named = || self.desk.named(&view.id).map(|(id, part)| (id.to_owned(), part));
        let replacing = || self.desk.named(view.replaces.as_deref()?).map(|(id, part)| (id.to_owned(), part));
        named().or(own).or_else(replacing)
    }

    /// Compares what the broker tells of an order with what is known of it, and hears the differences: who it is, what
    /// was executed, and last what ended. Otherwise an order would be over before all of it is told.
    pub(super) fn observe(&mut self, id: &str, part: PartName, view: &OrderView, told: Told, now: Nanos) -> Result<()> {
        let leg = view.stop_leg().filter(|_| part == PartName::Main);
        self.name(id, part, view)?;
        if let Some(leg) = leg {
            self.name(id, PartName::Stop, leg)?;
        }
        if self.is_early(id, part, view) {
            self.look_now(id);
            return Ok(());
        }
        if self.state(id, part) == Some(State::Planned) {
            // A leg came into being with its order.
            self.hear(id, part, Message::Sending, now)?;
        }
        self.observe_executions(id, part, view, told, now)?;
        if let Some(leg) = leg {
            self.observe(id, PartName::Stop, leg, None, now)?;
        }
        self.observe_status(id, part, view, now)?;
        self.look_for_leg(id, part);
        Ok(())
    }

    /// A name that isn't known yet: of an answer, a leg, or an order that stands in the place of another.
    fn name(&mut self, id: &str, part: PartName, view: &OrderView) -> Result<()> {
        let Some(of) = self.desk.order(id).and_then(|placed| placed.part(part)) else { return Ok(()) };
        if of.names.contains(&view.id) {
            return Ok(());
        }
        let stop = view.stop().filter(|_| view.replaces.is_some());
        let record = Record::Named { id: id.to_owned(), part, broker: view.id.clone(), stop };
        self.record(&record).map(drop)
    }

    /// A stop that was executed before its entry is known to be filled: what became of the entry is news that got lost.
    fn is_early(&self, id: &str, part: PartName, view: &OrderView) -> bool {
        let Some(placed) = self.desk.order(id) else { return false };
        let attached = part == PartName::Stop && placed.request.protect.is_some();
        attached && placed.main.standing.state != State::Filled && view.filled().is_some_and(|filled| filled > 0)
    }

    fn observe_status(&mut self, id: &str, part: PartName, view: &OrderView, now: Nanos) -> Result<()> {
        let Some(of) = self.desk.order(id).and_then(|placed| placed.part(part)) else { return Ok(()) };
        let (is_current, state) = (of.name() == Some(&view.id), of.standing.state);
        if state.has_ended() || !is_current {
            return Ok(());
        }
        let message = match view.status.as_str() {
            "canceled" => Message::Cancelled,
            "expired" => Message::Expired,
            "rejected" => Message::Rejected,
            // What stands in its place tells what is.
            "replaced" => {
                self.look_now(id);
                return Ok(());
            }
            "filled" | "pending_cancel" => return Ok(()),
            // It was asked to be cancelled, and the request is lost: it works on, and is asked again.
            _ if state == State::Cancelling && self.is_unanswered(id, part) => Message::CancelRefused,
            _ if matches!(state, State::Sent | State::Unknown) => Message::Accepted,
            _ => return Ok(()),
        };
        self.hear(id, part, message, now)
    }

    /// Updates don't tell of legs, and an answer that was lost told of them.
    fn look_for_leg(&mut self, id: &str, part: PartName) {
        let waits = part == PartName::Main && self.is_legless(id) && !self.is_held_back(id);
        if waits && self.desk.order(id).is_some_and(|placed| !placed.is_uncertain()) {
            self.look_now(id);
        }
    }

    /// Whether an order is to have a stop of its own that nobody has told of yet.
    fn is_legless(&self, id: &str) -> bool {
        let stop = self.desk.order(id).and_then(|placed| placed.stop.as_ref());
        stop.is_some_and(|stop| stop.names.is_empty() && !stop.standing.state.has_ended())
    }

    /// It was looked at with its legs, and there is none: once it has ended, the desk places a stop itself.
    pub(super) fn has_no_leg(&mut self, id: &str, now: Nanos) -> Result<()> {
        let ended = self.state(id, PartName::Main).is_some_and(State::has_ended);
        if !ended || !self.is_legless(id) {
            return Ok(());
        }
        warn!(id, "the broker has no stop for it");
        for message in [Message::Sending, Message::Cancelled] {
            self.hear(id, PartName::Stop, message, now)?;
        }
        Ok(())
    }

    pub(super) fn state(&self, id: &str, part: PartName) -> Option<State> {
        Some(self.desk.order(id)?.part(part)?.standing.state)
    }

    /// Shares that were executed and are not known yet. The broker tells sums: what comes twice, late or never changes
    /// nothing.
    fn observe_executions(&mut self, id: &str, part: PartName, view: &OrderView, told: Told, now: Nanos) -> Result<()> {
        let Some(standing) = self.desk.order(id).and_then(|p| p.part(part)).map(|part| &part.standing) else {
            return Ok(());
        };
        let prefix = format!("{}:", view.id);
        let (known, dollars) = standing.executed_under(&prefix);
        let Some(filled) = view.filled() else {
            return self.halt(&format!("{id}: {:?} shares filled is no whole number", view.filled_qty));
        };
        if filled <= known {
            return Ok(());
        }
        let shares = filled - known;
        let average = view.average();
        let by_average = average.map(|average| (average * filled as f64 - dollars) / shares as f64);
        let price = told.filter(|(told, _)| *told == shares).map(|(_, price)| price).or(by_average);
        let Some(price) = price.filter(|price| price.is_finite() && *price > 0.0) else {
            return self.halt(&format!("{id}: an execution has no price"));
        };
        info!(id, "executed {shares} at {price}");
        // News may come late; time limits count from the execution itself.
        let sent = self.desk.order(id).map_or(now, |placed| placed.sent);
        let at = view.executed_at().unwrap_or(now).clamp(sent.min(now), now);
        self.hear(id, part, Message::Execution { id: format!("{prefix}{filled}"), shares, price }, at)
    }
}
