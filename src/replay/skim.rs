//! Skimming: bars on which nothing can happen but a decision.

use super::record::Recorder;
use super::symbol::SymbolReplay;
use crate::account::Account;
use crate::strategy::{Now, Strategy};

impl<S: Strategy> SymbolReplay<'_, S> {
    /// Runs on while no order is pending and no bracket in force, so that the position stays what it is. The result is
    /// that of bar by bar, from a loop small enough for registers; it ends after the first bar with an order, or with
    /// the session.
    pub(super) fn skim<R: Recorder<S::Inputs>>(&mut self, account: &mut Account, recorder: &mut R) {
        let n = self.cursor.bars().len();
        let (bars, inputs) = (self.cursor.bars().slice(0..n), &self.inputs.rows[..n]);
        let (session, position) = (*self.cursor.session(), self.book.position());
        let from = self.cursor.next();
        let orders = &mut self.orders;
        orders.working_mut().clear();
        let mut i = from.max(self.warm.min(n - 1));
        while i < n {
            let now = Now { bar: bars.get(i), session, inputs: inputs[i], position };
            if i >= self.warm {
                self.strategy.act(&mut self.state, &now, orders);
            }
            if orders.has_any() || i + 1 == n {
                break;
            }
            i += 1;
        }
        self.bars_held += (i - from) as u64 * u64::from(position.is_open());
        self.cursor.move_to(i);
        self.end_bar(account, recorder);
    }
}
