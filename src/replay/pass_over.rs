//! Passing over bars on which nothing happens: of an idle symbol those that don't meet what its strategy needs, of a busy
//! one those that touch none of its orders and brackets, if its strategy leaves the rest to these.

use std::collections::HashSet;

use super::crossings::{Crossings, IndicatorTest};
use super::symbol::SymbolReplay;
use crate::indicator::Columns;
use crate::strategy::Strategy;

impl<S: Strategy> SymbolReplay<'_, S> {
    /// Lets bars be passed over where the strategy's needs allow it. A strategy with memory must see each bar.
    pub(super) fn pass_over(&mut self, strategy: &S, columns: &Columns, crossings: Option<&Crossings>) {
        let needs = strategy.needs();
        if size_of::<S::State>() > 0 || needs.is_empty() {
            return;
        }
        let indicators = strategy.indicators();
        let candidates = |crossings: &Crossings| crossings.candidates(&needs, indicators.as_ref());
        self.candidates = Some(crossings.map(candidates).unwrap_or_else(|| {
            let tests: HashSet<_> = needs.iter().map(|test| IndicatorTest::new(test, indicators.as_ref())).collect();
            candidates(&Crossings::new(columns, &columns.bars(), &tests))
        }));
        self.asks_while_busy = strategy.asks_while_busy();
    }

    /// Whether bars are passed over.
    pub(super) fn passes_over(&self) -> bool {
        self.candidates.is_some()
    }

    /// Passes over the session that follows, if nothing is held or ordered and no bar of it is a candidate; whether it
    /// did.
    pub(super) fn pass_over_session(&mut self) -> bool {
        let Some(candidates) = &self.candidates else { return false };
        if !self.book.is_idle() {
            return false;
        }
        let Some(session) = self.cursor.session_ahead() else { return false };
        let bars = session.ordinal..session.ordinal + session.range.len();
        if candidates.next(bars.start, bars.end).is_some() {
            return false;
        }
        self.cursor.skip_session();
        self.actions.pass(session.session.date);
        // Nobody asks for the last close of what isn't held.
        self.bars_seen += session.range.len() as u64;
        true
    }

    /// Goes on to the next bar of the session at which something can happen, or to its end: while nothing is held or
    /// ordered that is a candidate, else one that touches a bracket or an order, if only these count.
    #[inline(always)]
    pub(super) fn go_on(&mut self) {
        let Some(candidates) = &self.candidates else { return };
        let (next, len) = (self.cursor.next(), self.cursor.bars().len());
        if self.book.is_idle() {
            let first = self.inputs.ordinal;
            let bar = candidates.next(first + next, first + len).map_or(len, |bar| bar - first);
            self.cursor.move_to(bar);
        } else if !self.asks_while_busy && next < len {
            // What is held is closed at the last bar of all.
            let last = if self.cursor.is_last_session() { len - 1 } else { len };
            let bar = self.book.pass_over(self.cursor.bars(), next, last);
            self.bars_held += (bar - next) as u64 * u64::from(self.book.is_open());
            self.cursor.move_to(bar);
        }
    }
}
