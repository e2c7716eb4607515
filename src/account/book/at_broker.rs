//! A book whose orders work at a real broker: what shall work there, and what the broker's executions do.
//!
//! A replay finds out itself when an order fills. Here the broker does, and says so. Everything else is the same: the
//! same orders are heard, the same lots open with the same brackets, the same limits count.

use super::{BarAt, Book, When};
use crate::account::cash::Account;
use crate::account::desk::{Due, Lot};
use crate::account::record::End;
use crate::account::want::{Form, Leg, Want};
use crate::account::working::{Amount, Decided, Heard, Wish, Working, WorkingKind};
use crate::bar::{MINUTE, Nanos};
use crate::calendar::Session;
use crate::order::{Kind, Reason, Side, TimeInForce};

/// From this long before the close orders for the closing auction are sent: Alpaca takes them until ten minutes before.
const BEFORE_AUCTION: Nanos = 15 * MINUTE;
const AUCTION_CLOSES: Nanos = 10 * MINUTE;

impl Book {
    /// From now on its orders work at a broker.
    pub fn work_at_broker(&mut self) {
        self.past = Some(Vec::new());
    }

    /// What shall work at the broker at this time: exits first. Orders at the market are sent from `from` on.
    pub fn wants(&self, now: Nanos, session: &Session, from: Nanos) -> Vec<Want> {
        let trades = session.trades() && now >= from && now < session.close;
        let mut wants = Vec::new();
        let auction = session.close - BEFORE_AUCTION <= now && now < session.close - AUCTION_CLOSES;
        let leaves = |order: &Working| {
            order.amount == Amount::Whole
                && match order.kind {
                    WorkingKind::Market => trades,
                    WorkingKind::MarketOnClose => trades && auction,
                    _ => false,
                }
        };
        // What leaves as a whole can't be protected besides: the broker sells each share once.
        if !self.orders.iter().any(leaves) {
            self.want_exits(trades, &mut wants);
        }
        for order in &self.orders {
            let Some(Wish { side, units }) = order.wish(self.desk.position()) else { continue };
            let form = match order.kind {
                WorkingKind::Market if trades => Form::Market,
                WorkingKind::MarketOnClose if trades && auction => Form::OnClose,
                WorkingKind::Market | WorkingKind::MarketOnClose => continue,
                WorkingKind::Limit => Form::Limit(order.limit),
                WorkingKind::StopLimit => Form::StopLimit { stop: order.stop, limit: order.limit },
                WorkingKind::Stop | WorkingKind::TrailingStop => Form::Stop(order.stop),
            };
            // What it has opened is protected by orders against its own side, which the broker refuses beside it.
            if order.filled > 0 && order.protects() {
                continue;
            }
            wants.push(Want {
                leg: Leg::Order(order.id),
                side,
                units,
                form: Some(form),
                for_the_day: matches!(form, Form::Market | Form::OnClose) || order.tif == TimeInForce::Day,
                protect: order.protection(),
                opens: order.is_entry || !order.only_reduces(self.desk.position()),
            });
        }
        wants
    }

    /// The exits of all lots, by the order that opened them.
    fn want_exits(&self, trades: bool, wants: &mut Vec<Want>) {
        let mut seen: Vec<u32> = Vec::new();
        for lot in self.desk.lots() {
            if seen.contains(&lot.order) {
                continue;
            }
            seen.push(lot.order);
            let lots = || self.desk.lots().iter().filter(move |other| other.order == lot.order);
            let side = lot.side.opposite();
            let held: i64 = lots().map(|lot| lot.left).sum();
            let want =
                |leg, units, form| Want { leg, side, units, form, for_the_day: false, protect: None, opens: false };
            if lots().any(|lot| lot.leaving.is_some()) {
                let form = trades.then_some(Form::Market);
                let leg = if trades { Leg::Leave(lot.order) } else { Leg::Stop(lot.order) };
                wants.push(Want { for_the_day: true, ..want(leg, held, form) });
                continue;
            }
            let Some(exits) = &lot.exits else { continue };
            let mut rest = held;
            for (n, target) in exits.targets.iter().enumerate() {
                let Some(target) = target else { continue };
                let of_target = |lot: &Lot| lot.exits.as_ref().and_then(|e| e.targets[n]).map_or(0, |leg| leg.left);
                let units = lots().map(of_target).sum::<i64>().min(rest);
                if units <= 0 {
                    continue;
                }
                rest -= units;
                let limit = target.level;
                let form = exits.stop.map_or(Form::Limit(limit), |stop| Form::Either { limit, stop });
                wants.push(want(Leg::Target(lot.order, n as u8 + 1), units, Some(form)));
            }
            if let Some(stop) = exits.stop.filter(|_| rest > 0) {
                wants.push(want(Leg::Stop(lot.order), rest, Some(Form::Stop(stop))));
            }
        }
    }

    /// Books what the broker executed; of a target, `by_stop` says that it was its stop.
    ///
    /// # Errors
    /// What the execution contradicts: nothing is booked then.
    pub fn executed_at_broker(
        &mut self,
        account: &mut Account,
        at: &BarAt<'_>,
        leg: Leg,
        by_stop: bool,
        units: i64,
        price: f64,
    ) -> Result<(), &'static str> {
        let when = When::open(&at.bar);
        match leg {
            Leg::Order(id) => self.order_executed(account, at, id, units, price, when)?,
            Leg::Stop(order) => self.lots_executed(account, at, order, None, units, price, Reason::Stop)?,
            Leg::Target(order, n) => {
                let reason = if by_stop { Reason::Stop } else { Reason::Target(n) };
                self.lots_executed(account, at, order, Some(n), units, price, reason)?;
            }
            Leg::Leave(order) => {
                let lots = || self.desk.lots().iter().filter(|lot| lot.order == order);
                let reason = lots().find_map(|lot| lot.leaving).unwrap_or(Reason::Stop);
                self.lots_executed(account, at, order, None, units, price, reason)?;
            }
        }
        self.sweep();
        self.watch(at.session.close);
        Ok(())
    }

    fn order_executed(
        &mut self,
        account: &mut Account,
        at: &BarAt<'_>,
        id: u32,
        units: i64,
        price: f64,
        when: When,
    ) -> Result<(), &'static str> {
        let found = self.orders.iter().position(|order| order.id == id);
        let (i, is_past) = match found {
            Some(i) => (i, false),
            None => {
                // It ended here, and its cancellation came too late there.
                let past = self.past.iter_mut().flatten().position(|order| order.id == id);
                let past = past.ok_or("an order was executed that the book never had")?;
                let mut order = self.past.as_mut().ok_or("no past")?.remove(past);
                order.ended = false;
                self.orders.push(order);
                (self.orders.len() - 1, true)
            }
        };
        let position = self.desk.position();
        let order = &mut self.orders[i];
        order.triggered |= order.waits_for_stop();
        let side = match order.amount {
            Amount::Units { .. } => Some(order.side),
            // A target that was reached meanwhile has no side of its own any more.
            Amount::Target(_) | Amount::Whole => order.wish(position).map(|wish| wish.side),
        };
        let Some(side) = side else {
            self.orders[i].ended = true;
            return Err("more was executed than the position asked for");
        };
        let closing = if side.sign() * position < 0 { units.min(position.abs()) } else { 0 };
        if closing > 0 {
            self.close_oldest(account, at, i, closing, price, price, when);
        }
        if units > closing {
            self.open_lot(account, at, i, side, units - closing, price, price, when);
        }
        if is_past {
            self.orders[i].ended = true;
        } else if self.orders[i].is_complete(self.desk.position()) {
            self.end_order(account, i, End::Filled);
        }
        self.cancel_others(account, i);
        Ok(())
    }

    /// Units of the lots that an order opened are closed, the oldest first: of one of their targets, or any.
    #[expect(clippy::too_many_arguments, reason = "what is closed, at what price and why")]
    fn lots_executed(
        &mut self,
        account: &mut Account,
        at: &BarAt<'_>,
        order: u32,
        target: Option<u8>,
        units: i64,
        price: f64,
        reason: Reason,
    ) -> Result<(), &'static str> {
        let held: i64 = self.desk.lots().iter().filter(|lot| lot.order == order).map(|lot| lot.left).sum();
        if units > held {
            return Err("more was sold than the order that opened it holds");
        }
        let mut rest = units;
        while rest > 0 {
            let leg_left = |lot: &Lot| match target {
                Some(n) => lot.exits.as_ref().and_then(|e| e.targets[usize::from(n) - 1]).map_or(0, |leg| leg.left),
                None => lot.left,
            };
            let lots = self.desk.lots();
            let of_order = |lot: &Lot| lot.order == order;
            let lot = lots.iter().position(|lot| of_order(lot) && leg_left(lot) > 0);
            // A target that was filled further than it was wanted: it closes what there is.
            let (lot, most) = match lot {
                Some(lot) => (lot, leg_left(&lots[lot]).min(lots[lot].left)),
                None => {
                    let lot = lots.iter().position(of_order).ok_or("no lot is left of that order")?;
                    (lot, lots[lot].left)
                }
            };
            let part = rest.min(most);
            if let Some(n) = target {
                if reason != Reason::Stop {
                    self.desk.lot_mut(lot).touch(usize::from(n) - 1, at.bar.start);
                }
                self.desk.lot_mut(lot).leg_closed(n, part);
            }
            self.exit_lot_at(account, at, lot, part, price, price, reason, When::open(&at.bar));
            rest -= part;
        }
        Ok(())
    }

    /// A bar begins: orders count it.
    pub fn begin_bar_at_broker(&mut self, account: &mut Account, at: &BarAt<'_>) {
        for i in 0..self.orders.len() {
            if self.orders[i].begin_bar(at.bar.start, at.session.date, at.session.close) {
                self.end_order(account, i, End::FlatBeforeClose);
            }
        }
        self.sweep();
    }

    /// A bar ends: time limits apply, trails follow, orders expire. Nothing is liquidated: only the broker can.
    pub fn end_bar_at_broker(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.pass_time(account, at.bar.end, at.session, at.last_of_session);
        self.bar_is_over(account, at);
    }

    /// The strategy has decided: exits from now on belong to the next bar.
    pub fn bar_is_decided(&mut self) {
        self.exited_this_bar = false;
    }

    /// Time limits apply, whether or not there was a bar; whether anything changed.
    pub fn pass_time(&mut self, account: &mut Account, now: Nanos, session: &Session, last_of_session: bool) -> bool {
        let leaving = |book: &Self| book.desk.lots().iter().filter(|lot| lot.leaving.is_some()).count();
        let before = (leaving(self), self.orders.len());
        if self.desk.time(now, session.close, last_of_session) == Due::Liquidation {
            for lot in 0..self.desk.lots().len() {
                let lot = self.desk.lot_mut(lot);
                if lot.is_flat_overnight() && lot.leaving.is_none() {
                    lot.leave(Reason::SessionEnd);
                }
            }
        }
        for i in 0..self.orders.len() {
            let order = &self.orders[i];
            let flat = order.bracket.as_ref().and_then(|bracket| bracket.flat_before_close);
            if !order.ended && flat.is_some_and(|before| now >= session.close - before) {
                self.end_order(account, i, End::FlatBeforeClose);
            }
        }
        self.sweep();
        before != (leaving(self), self.orders.len())
    }

    /// A session is over: a market order that was decided before it had its chance.
    pub fn end_session_at_broker(&mut self, account: &mut Account, session: &Session) {
        for i in 0..self.orders.len() {
            let order = &self.orders[i];
            let at_market = matches!(order.kind, WorkingKind::Market | WorkingKind::MarketOnClose);
            if !order.ended && at_market && order.was_decided_before(session.date) {
                self.end_order(account, i, End::TimeInForce);
            }
        }
        self.sweep();
    }

    /// The broker, or a check before it, ended an order.
    pub fn ended_at_broker(&mut self, account: &mut Account, id: u32, end: End) {
        if let Some(i) = self.orders.iter().position(|order| order.id == id) {
            self.cancel_as(account, i, end);
        }
    }

    /// Nothing can be heard of an order any more.
    pub fn forget(&mut self, id: u32) {
        self.past.iter_mut().for_each(|past| past.retain(|order| order.id != id));
    }

    /// All that an order opened leaves at the market.
    pub fn leave(&mut self, order: u32, reason: Reason) {
        for lot in 0..self.desk.lots().len() {
            let lot = self.desk.lot_mut(lot);
            if lot.order == order && lot.leaving.is_none() {
                lot.leave(reason);
            }
        }
    }

    /// Everything leaves at the market, and no order works any more.
    pub fn flatten(&mut self, account: &mut Account, reason: Reason) {
        self.end_all(account, End::Cancelled);
        for lot in 0..self.desk.lots().len() {
            let lot = self.desk.lot_mut(lot);
            if lot.leaving.is_none() {
                lot.leave(reason);
            }
        }
    }

    /// Holds so many units from now on, as a person has accepted: what is missing is closed at this price, what is new has
    /// no bracket.
    pub fn adopt(&mut self, account: &mut Account, at: &BarAt<'_>, units: i64, price: f64) {
        const ACCEPTED: Reason = Reason::Signal("accepted");
        let when = When::open(&at.bar);
        while self.desk.position() != 0 && (self.desk.position() - units) * self.desk.position().signum() > 0 {
            let surplus = match self.desk.position().signum() == units.signum() {
                true => (self.desk.position() - units).abs(),
                false => self.desk.position().abs(),
            };
            let part = surplus.min(self.desk.lots()[0].left);
            self.exit_lot_at(account, at, 0, part, price, price, ACCEPTED, when);
        }
        let missing = units - self.desk.position();
        if missing != 0 {
            let id = account.number_order();
            let heard = Heard { close: price, session: at.session.date, last_of_session: false, last_of_data: false };
            let side = if missing > 0 { Side::Buy } else { Side::Sell };
            let amount = Amount::Units { total: missing.abs(), left: missing.abs() };
            let decided = Decided { id, side, kind: Kind::Market, amount, reason: ACCEPTED, heard };
            self.orders.push(Working::new(decided));
            let i = self.orders.len() - 1;
            self.open_lot(account, at, i, side, missing.abs(), price, price, when);
            self.end_order(account, i, End::Filled);
            self.sweep();
        }
        self.exited_this_bar = false;
        self.watch(at.session.close);
    }

    /// Ends all orders that could open a position.
    pub fn end_entries(&mut self, account: &mut Account) {
        for i in 0..self.orders.len() {
            if !self.orders[i].ended && self.orders[i].is_entry {
                self.end_order(account, i, End::Cancelled);
            }
        }
        self.sweep();
    }

    /// A target isn't taken by the broker: what it would have closed is protected by the stop alone.
    pub fn drop_target(&mut self, order: u32, n: u8) {
        for lot in 0..self.desk.lots().len() {
            let lot = self.desk.lot_mut(lot);
            if lot.order == order
                && let Some(exits) = &mut lot.exits
            {
                exits.targets[usize::from(n) - 1] = None;
            }
        }
    }
}

impl Working {
    /// Whether what it opens has a stop.
    fn protects(&self) -> bool {
        self.bracket.as_ref().is_some_and(|bracket| bracket.stop.is_some())
    }

    /// The stop of what it will open, as far as that can be told before it fills.
    fn protection(&self) -> Option<f64> {
        let stop = self.bracket.as_ref()?.stop?;
        let from = match self.kind {
            WorkingKind::Limit | WorkingKind::StopLimit => self.limit,
            WorkingKind::Stop => self.stop,
            WorkingKind::Market | WorkingKind::MarketOnClose | WorkingKind::TrailingStop => self.decision_close(),
        };
        Some(stop.price(from, self.side.sign() as f64))
    }
}
