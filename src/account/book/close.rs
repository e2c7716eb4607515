//! A bar closes: auctions are held, time limits apply, trails follow, orders expire; and the last bar of all.

use super::{BarAt, Book, Exit, When};
use crate::account::cash::Account;
use crate::account::commission::Commission;
use crate::account::desk::Due;
use crate::account::fill::Met;
use crate::account::record::{By, End};
use crate::account::working::WorkingKind;
use crate::order::Reason;

impl Book {
    /// Whether an order waits for this bar's closing auction.
    #[inline(always)]
    pub fn has_auction_orders(&self) -> bool {
        self.orders.iter().any(|order| order.kind == WorkingKind::MarketOnClose)
    }

    fn auction(&mut self, account: &mut Account, at: &BarAt<'_>, reductions: bool) {
        if !at.last_of_session {
            return;
        }
        let (met, when) = (Met::taking(at.bar.close), When::close(&at.bar));
        for i in 0..self.orders.len() {
            let order = &self.orders[i];
            if order.ended || order.tried || order.kind != WorkingKind::MarketOnClose {
                continue;
            }
            let position = self.desk.position();
            match (reductions, order.wish(position)) {
                (true, _) if !order.only_reduces(position) => {}
                (false, None) => self.end_without_wish(account, i, WorkingKind::MarketOnClose),
                _ => self.execute(account, at, i, met, when),
            }
        }
        if !reductions {
            self.sweep();
        }
    }

    /// The closing auction, first part: orders that only reduce the position.
    pub fn auction_reductions(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.auction(account, at, true);
    }

    /// The closing auction, second part: all other orders.
    pub fn auction_rest(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.auction(account, at, false);
    }

    /// The closing auction of a symbol alone.
    pub fn hold_auction(&mut self, account: &mut Account, at: &BarAt<'_>) {
        if self.has_auction_orders() {
            if account.is_margin() {
                self.set_mark(account, at.bar.close);
            }
            self.auction(account, at, true);
            self.auction(account, at, false);
        }
    }

    /// The end of a bar, after its auction: time limits apply, trails follow, orders expire.
    pub fn end_bar(&mut self, account: &mut Account, at: &BarAt<'_>) {
        if self.desk.time(at.bar.end, at.session.close, at.last_of_session) == Due::Liquidation {
            self.liquidate_overnight(account, at);
        }
        self.bar_is_over(account, at);
    }

    /// Trails follow a completed bar, and orders whose time is up expire.
    pub(super) fn bar_is_over(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.desk.end_bar(&at.bar);
        for i in 0..self.orders.len() {
            self.orders[i].end_bar(&at.bar);
            if self.orders[i].times_out(at.session.date, at.last_of_session) && !self.orders[i].ended {
                self.end_order(account, i, End::TimeInForce);
            }
        }
        self.sweep();
        self.watch(at.session.close);
    }

    fn liquidate_overnight(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.volume_left = i64::MAX;
        let mut lot = 0;
        while lot < self.desk.lots().len() {
            if !self.desk.lots()[lot].is_flat_overnight() {
                lot += 1;
                continue;
            }
            let of = self.desk.lot_mut(lot);
            of.leave(Reason::SessionEnd);
            let left = of.left;
            self.exit_lot(account, at, lot, left, Met::taking(at.bar.close), Reason::SessionEnd, When::close(&at.bar));
        }
    }

    /// The replay's last bar of this symbol: orders expire, and the position is closed at the bar's close.
    pub fn end_of_data(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.end_all(account, End::EndOfData);
        let Some(side) = self.desk.closing_side() else { return };
        let when = When::close(&at.bar);
        let price = Met::taking(at.bar.close).price(side, &at.costs, 0.0);
        let shares = account.unit().shares(self.desk.position().abs());
        let fee = Commission::default().of(shares, price, &at.costs);
        let exit = Exit { price, fee: fee.a_share, reason: Reason::EndOfData, by: By::Account, when };
        while let [lot, ..] = self.desk.lots() {
            let left = lot.left;
            self.close_leg(account, at, 0, left, &exit);
        }
        let (close, reason) = (at.bar.close, Reason::EndOfData);
        self.record(account, By::Account, side, shares, price, fee.total, close, false, reason, when.time);
        self.position_may_have_ended(account, None);
        self.watch(at.session.close);
    }

    pub(super) fn end_all(&mut self, account: &mut Account, end: End) {
        for i in 0..self.orders.len() {
            if !self.orders[i].ended {
                self.end_order(account, i, end);
            }
        }
        self.sweep();
    }
}
