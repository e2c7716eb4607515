//! A bar opens: first what only reduces a position trades, then the rest.

use super::{BarAt, Book, When};
use crate::account::cash::Account;
use crate::account::fill::{Met, Triggered};
use crate::account::record::End;
use crate::account::working::{Amount, WorkingKind};

impl Book {
    /// A bar begins: orders count it, those that come too late for today expire, and the position is worth its open.
    pub fn begin_bar(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.exited_this_bar = false;
        self.volume_left = match account.conditions().participation {
            None => i64::MAX,
            Some(fraction) => account.unit().floor(fraction * at.bar.volume),
        };
        if account.is_margin() {
            self.set_mark(account, at.bar.open);
        }
        for i in 0..self.orders.len() {
            if self.orders[i].begin_bar(at.bar.start, at.session.date, at.session.close) {
                self.end_order(account, i, End::FlatBeforeClose);
            }
        }
    }

    /// The open, first part: lots that leave, then orders that only reduce the position.
    pub fn open_reductions(&mut self, account: &mut Account, at: &BarAt<'_>) {
        if !self.is_open() {
            return;
        }
        if self.desk.is_leaving() {
            self.close_leaving_lots(account, at);
        }
        for i in 0..self.orders.len() {
            let order = &self.orders[i];
            if !order.ended && order.only_reduces(self.desk.position()) {
                self.try_at_open(account, at, i);
            }
        }
    }

    /// The open, second part: all other orders.
    pub fn open_rest(&mut self, account: &mut Account, at: &BarAt<'_>) {
        for i in 0..self.orders.len() {
            let order = &self.orders[i];
            if order.ended || order.tried {
                continue;
            }
            let Some(_) = order.wish(self.desk.position()) else {
                self.end_without_wish(account, i, WorkingKind::Market);
                continue;
            };
            self.try_at_open(account, at, i);
        }
        self.sweep();
    }

    /// An order without a price has nothing to trade: its target is reached, or there is nothing to reduce.
    pub(super) fn end_without_wish(&mut self, account: &mut Account, i: usize, kind: WorkingKind) {
        let order = &self.orders[i];
        if order.kind == kind {
            let reached = matches!(order.amount, Amount::Target(_));
            self.end_order(account, i, if reached { End::AtTarget } else { End::NoPosition });
        }
    }

    fn try_at_open(&mut self, account: &mut Account, at: &BarAt<'_>, i: usize) {
        let strict = account.conditions().strict_limits;
        match self.orders[i].at_open(at.bar.open, strict) {
            Some(Triggered::Fills(met)) => self.execute(account, at, i, met, When::open(&at.bar)),
            Some(Triggered::Rests) => self.orders[i].triggered = true,
            None => {}
        }
    }

    fn close_leaving_lots(&mut self, account: &mut Account, at: &BarAt<'_>) {
        let mut lot = 0;
        while lot < self.desk.lots().len() {
            let held = self.desk.lots().len();
            if let Some(reason) = self.desk.lots()[lot].leaving {
                let left = self.desk.lots()[lot].left;
                self.exit_lot(account, at, lot, left, Met::taking(at.bar.open), reason, When::open(&at.bar));
            }
            lot += usize::from(self.desk.lots().len() == held);
        }
    }
}
