//! What happens to shares between sessions, and when their trading ends.

use super::{BarAt, Book, Exit, When};
use crate::account::cash::Account;
use crate::account::desk::Moment;
use crate::account::record::{By, End, Part};
use crate::bar::Nanos;
use crate::order::{Reason, Side};

impl Book {
    /// A split of `ratio` new shares for one old, before the bar; what exceeds whole units is paid at `last_close`, a
    /// price of the old share.
    pub fn split(&mut self, account: &mut Account, at: &BarAt<'_>, ratio: f64, last_close: f64) {
        let unit = account.unit();
        let price = last_close / ratio;
        let was_open = self.is_open();
        let mut lot = 0;
        while lot < self.desk.lots().len() {
            let fraction = self.desk.split(lot, unit, ratio);
            self.pay_fraction(account, at, lot, fraction, price);
            if self.desk.lots()[lot].left == 0 {
                let ended = self.desk.remove(lot);
                account.closed_trade(ended.profit);
            } else {
                lot += 1;
            }
        }
        if was_open {
            self.position_may_have_ended(account, None);
        }
        for i in 0..self.orders.len() {
            if !self.orders[i].ended && self.orders[i].split(unit, ratio) {
                self.end_order(account, i, End::Split);
            }
        }
        self.sweep();
        self.mark /= ratio;
        if let Some(last) = self.returns.as_mut().and_then(|returns| returns.last.as_mut()) {
            *last /= ratio;
        }
        self.watch(Nanos::MIN);
    }

    /// Pays what a split left beyond whole units of a lot.
    fn pay_fraction(&mut self, account: &mut Account, at: &BarAt<'_>, lot: usize, shares: f64, price: f64) {
        if shares.abs() < 1e-9 {
            return;
        }
        let when = When { moment: Moment::Open, part: Part::Before, time: at.bar.start };
        let exit = Exit { price, fee: 0.0, reason: Reason::SplitCash, by: By::Account, when };
        self.book_leg(account, at, lot, shares, &exit);
        let side = self.desk.lots()[lot].side;
        let dollars = account.paid_out(side, shares, price);
        account.cash_in_lieu(dollars);
    }

    /// A dividend, dollars a share: longs receive it, shorts pay it.
    pub fn dividend(&mut self, account: &mut Account, amount: f64) {
        if self.is_open() {
            account.pay_dividend(account.unit().shares(self.desk.position()) * amount);
        }
    }

    /// The last bar before a delisting: longs get the close less a haircut (a fraction), shorts cover at the close.
    pub fn delist(&mut self, account: &mut Account, at: &BarAt<'_>, haircut: f64) {
        self.end_all(account, End::EndOfData);
        let Some(side) = self.desk.closing_side() else { return };
        let price = if side == Side::Sell { at.bar.close * (1.0 - haircut) } else { at.bar.close };
        let when = When::close(&at.bar);
        let shares = account.unit().shares(self.desk.position().abs());
        account.paid_out(side.opposite(), shares, price);
        let exit = Exit { price, fee: 0.0, reason: Reason::Delisted, by: By::Account, when };
        while let [lot, ..] = self.desk.lots() {
            let left = lot.left;
            self.close_leg(account, at, 0, left, &exit);
        }
        self.position_may_have_ended(account, None);
        self.watch(at.session.close);
    }
}
