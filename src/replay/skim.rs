//! Skimming: bars on which nothing can happen but a decision.

use super::symbol::SymbolReplay;
use crate::strategy::{Now, Strategy};

impl<S: Strategy> SymbolReplay<'_, S> {
    /// Runs ahead of the other symbols through bars that none of them sees: up to the end of the next one with an order,
    /// or of the session's last. Where something works it goes to the next bar that may touch it.
    pub(super) fn run_ahead(&mut self) {
        self.go_on();
        while self.book.is_quiet() && !self.cursor.at_session_end() {
            self.try_pass();
            let i = self.cursor.next();
            match self.passes_over() {
                true => self.ask(),
                false => self.skim(),
            }
            if !self.passes_over() || self.orders.has_any() || i + 1 == self.cursor.bars().len() {
                self.decided = true;
                return;
            }
            self.bars_held += u64::from(self.book.is_open());
            self.cursor.move_to(i + 1);
            self.go_on();
        }
    }

    /// Runs on while no order is pending and no bracket in force, so that the position stays what it is. The result is
    /// that of bar by bar, from a loop small enough for registers; it stops before the end of the first bar with an
    /// order, or of the session's last.
    pub(super) fn skim(&mut self) {
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
    }
}
