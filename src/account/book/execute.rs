//! What an execution does: lots open and close, fees are paid, orders end.

use super::{BarAt, Book, Exit, When};
use crate::account::cash::Account;
use crate::account::commission::Commission;
use crate::account::desk::{Began, Exits, Lot};
use crate::account::fill::Met;
use crate::account::record::{By, End, Execution, Fill, Part, Place};
use crate::account::unit::Unit;
use crate::account::working::Wish;
use crate::bar::Nanos;
use crate::order::{Reason, Side};

impl Book {
    /// An order meets a price: it closes what is against it, opens the rest, and pays.
    pub(super) fn execute(&mut self, account: &mut Account, at: &BarAt<'_>, i: usize, met: Met, when: When) {
        let position = self.desk.position();
        let order = &mut self.orders[i];
        order.tried = true;
        order.triggered |= order.waits_for_stop();
        let Some(Wish { side, units }) = order.wish(position) else { return };
        let units = units.min(self.volume_left);
        if units == 0 {
            return;
        }
        let price = met.price(side, &at.costs, self.impact(account, at, units));
        let closing = match side.sign() * position < 0 {
            true => units.min(position.abs()),
            false => 0,
        };
        if closing > 0 {
            self.close_oldest(account, at, i, closing, price, met.reference, when);
        }
        let (mut opened, mut refused) = (units - closing, None);
        if opened > 0 {
            if account.is_margin() {
                self.tell_standing(account);
            }
            let room = Unit::MOST - self.desk.position().abs();
            if opened > room {
                (opened, refused) = (0, Some(End::TooLarge));
            } else if let Err((end, most)) = account.affords(side, opened, price, self.orders[i].paid, &at.costs) {
                opened = most;
                refused = Some(if most > 0 { End::Shrunk } else { end });
            }
        }
        if opened > 0 {
            self.open_lot(account, at, i, side, opened, price, met.reference, when);
        }
        if account.is_margin() {
            self.tell_standing(account);
        }
        self.volume_left -= closing + opened;
        if let Some(end) = refused {
            self.end_order(account, i, end);
        } else if self.orders[i].is_complete(self.desk.position()) {
            self.end_order(account, i, End::Filled);
        }
        if closing + opened > 0 {
            self.cancel_others(account, i);
        }
    }

    /// Closes units of the oldest lots for an order.
    #[expect(clippy::too_many_arguments, reason = "what is closed, at what price, for whom and when")]
    pub(super) fn close_oldest(
        &mut self,
        account: &mut Account,
        at: &BarAt<'_>,
        i: usize,
        units: i64,
        price: f64,
        reference: f64,
        when: When,
    ) {
        let shares = account.unit().shares(units);
        let order = &mut self.orders[i];
        let fee = order.paid.pay(shares, price, &at.costs);
        let (by, reason) = (By::Order(order.id), order.reason);
        let side = order.fill(self.desk.position(), units, shares * price);
        let exit = Exit { price, fee: fee.a_share, reason, by, when };
        let mut rest = units;
        while rest > 0 {
            let of_lot = rest.min(self.desk.lots()[0].left);
            self.close_leg(account, at, 0, of_lot, &exit);
            rest -= of_lot;
        }
        self.record(account, by, side, shares, price, fee.total, reference, false, reason, when.time);
        self.position_may_have_ended(account, Some(i));
    }

    #[expect(clippy::too_many_arguments, reason = "what is opened, at what price, for whom and when")]
    pub(super) fn open_lot(
        &mut self,
        account: &mut Account,
        at: &BarAt<'_>,
        i: usize,
        side: Side,
        units: i64,
        price: f64,
        reference: f64,
        when: When,
    ) {
        let unit = account.unit();
        let shares = unit.shares(units);
        if !self.is_open() {
            account.position_began();
        }
        let order = &mut self.orders[i];
        let fee = order.paid.pay(shares, price, &at.costs);
        let exits = order.bracket.as_deref().and_then(|bracket| Exits::of(bracket, side, units, price, unit));
        if order.is_entry {
            order.is_entry = false;
            account.entry_taken();
            account.entry_filled();
        }
        order.fill(self.desk.position(), units, shares * price);
        let (id, name, reason) = (order.id, order.name, order.reason);
        self.desk.open(Lot {
            trade: account.opened_lot(shares * price),
            order: id,
            name,
            side,
            units,
            left: units,
            price,
            fee: fee.a_share,
            entered: when.time,
            profit: 0.0,
            began: Began { bar: at.bar.start, moment: when.moment },
            leaving: None,
            leaving_paid: Commission::default(),
            exits,
        });
        self.record(account, By::Order(id), side, shares, price, fee.total, reference, true, reason, when.time);
    }

    /// Closes units of one lot as an order of its own, as far as the volume goes.
    #[expect(clippy::too_many_arguments, reason = "what is closed, at what price, why and when")]
    pub(super) fn exit_lot(
        &mut self,
        account: &mut Account,
        at: &BarAt<'_>,
        lot: usize,
        units: i64,
        met: Met,
        reason: Reason,
        when: When,
    ) {
        let units = units.min(self.volume_left);
        if units == 0 {
            return;
        }
        let side = self.desk.lots()[lot].side.opposite();
        let impact = if when.part == Part::Close { 0.0 } else { self.impact(account, at, units) };
        let price = met.price(side, &at.costs, impact);
        self.exit_lot_at(account, at, lot, units, price, met.reference, reason, when);
    }

    /// Closes units of one lot at a price.
    #[expect(clippy::too_many_arguments, reason = "what is closed, at what price, why and when")]
    pub(super) fn exit_lot_at(
        &mut self,
        account: &mut Account,
        at: &BarAt<'_>,
        lot: usize,
        units: i64,
        price: f64,
        reference: f64,
        reason: Reason,
        when: When,
    ) {
        let of = &self.desk.lots()[lot];
        let (side, order) = (of.side.opposite(), of.order);
        let shares = account.unit().shares(units);
        let paid = match reason {
            Reason::Target(n) => self.desk.lot_mut(lot).leg_paid(n),
            _ => Some(&mut self.desk.lot_mut(lot).leaving_paid),
        };
        let fee = paid
            .map_or_else(|| Commission::default().of(shares, price, &at.costs), |p| p.pay(shares, price, &at.costs));
        let by = By::Bracket(order);
        if when.part != Part::Close {
            self.volume_left -= units;
        }
        if let Reason::Target(n) = reason {
            self.desk.lot_mut(lot).leg_closed(n, units);
        }
        self.close_leg(account, at, lot, units, &Exit { price, fee: fee.a_share, reason, by, when });
        self.record(account, by, side, shares, price, fee.total, reference, false, reason, when.time);
        self.position_may_have_ended(account, None);
        if account.is_margin() {
            self.tell_standing(account);
        }
    }

    /// Books the close of units of a lot.
    pub(super) fn close_leg(&mut self, account: &mut Account, at: &BarAt<'_>, lot: usize, units: i64, exit: &Exit) {
        self.book_leg(account, at, lot, account.unit().shares(units), exit);
        if let Some(ended) = self.desk.close(lot, units) {
            account.closed_trade(ended.profit);
        }
        self.exited_this_bar = true;
    }

    /// Books what leaving shares of a lot brought.
    pub(super) fn book_leg(&mut self, account: &mut Account, at: &BarAt<'_>, lot: usize, shares: f64, exit: &Exit) {
        let Exit { price, fee, reason, by, when } = *exit;
        let of = self.desk.lot_mut(lot);
        let fees = shares * (of.fee + fee);
        let profit = shares * (price - of.price) * of.side.sign() as f64 - fees;
        of.profit += profit;
        account.closed_leg(Fill {
            trade: of.trade,
            symbol: self.symbol,
            side: of.side,
            entered: of.entered,
            entry_price: of.price,
            shares,
            exited: when.time,
            exit_price: price,
            reason,
            profit,
            fees,
            by,
            entry_order: of.order,
            place: Place { bar: at.bar.start, part: when.part },
            entry_place: of.place(),
        });
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of an execution")]
    #[inline(always)]
    pub(super) fn record(
        &self,
        account: &mut Account,
        by: By,
        side: Side,
        shares: f64,
        price: f64,
        fee: f64,
        reference: f64,
        opens: bool,
        reason: Reason,
        time: Nanos,
    ) {
        let slippage = shares * (price - reference).abs();
        let position = account.unit().shares(self.desk.position());
        let symbol = self.symbol;
        account.executed(&Execution { time, symbol, by, side, shares, price, fee, slippage, opens, reason, position });
    }

    /// When a position has ended, nothing is left to reduce. The order that ended it, if all of it is filled, is not
    /// cancelled.
    pub(super) fn position_may_have_ended(&mut self, account: &mut Account, by: Option<usize>) {
        if self.desk.position() != 0 {
            return;
        }
        account.position_ended();
        for i in 0..self.orders.len() {
            let order = &self.orders[i];
            let is_done = by == Some(i) && order.is_complete(0);
            if order.reduce_only && !order.ended && !is_done {
                self.end_order(account, i, End::Flat);
            }
        }
    }

    /// The first fill of an order ends the others of its group.
    pub(super) fn cancel_others(&mut self, account: &mut Account, i: usize) {
        let Some(group) = self.orders[i].oco else { return };
        for other in 0..self.orders.len() {
            if other != i && !self.orders[other].ended && self.orders[other].oco == Some(group) {
                self.end_order(account, other, End::Oco);
            }
        }
    }

    /// How far who takes these units moves the price: `impact * deviation * sqrt(q / volume)`.
    fn impact(&self, account: &Account, at: &BarAt<'_>, units: i64) -> f64 {
        let coefficient = account.conditions().impact;
        if coefficient == 0.0 || at.bar.volume <= 0.0 {
            return 0.0;
        }
        let deviation = self.returns.as_ref().map_or(0.0, |returns| returns.deviation());
        coefficient * deviation * (account.unit().shares(units) / at.bar.volume).sqrt()
    }
}
