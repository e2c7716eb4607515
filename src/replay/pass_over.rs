//! Passing over bars on which an idle symbol gives no order: only those that meet what its strategy needs are looked at.

use std::collections::HashSet;

use super::crossings::{Crossings, IndicatorTest, first_set};
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
        let all_of = |crossings: &Crossings| crossings.all_of(&needs, indicators.as_ref()).into_owned();
        let candidates = crossings.map(all_of).unwrap_or_else(|| {
            let tests: HashSet<_> = needs.iter().map(|test| IndicatorTest::new(test, indicators.as_ref())).collect();
            all_of(&Crossings::new(columns, &(0..self.cursor.history().len()), &tests))
        });
        self.candidates = Some(candidates);
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
        if first_set(candidates, bars.start, bars.end).is_some() {
            return false;
        }
        self.cursor.skip_session();
        self.bars_seen += session.range.len() as u64;
        self.last_close = self.cursor.history().session_bars(session).close_at(session.range.len() - 1);
        true
    }

    /// While nothing is held or ordered, goes on to the next candidate of the session, or to its end.
    #[inline(always)]
    pub(super) fn go_on(&mut self) {
        let Some(candidates) = &self.candidates else { return };
        if self.book.is_idle() {
            let (first, next, len) = (self.inputs.ordinal, self.cursor.next(), self.cursor.bars().len());
            let bar = first_set(candidates, first + next, first + len).map_or(len, |bar| bar - first);
            self.cursor.move_to(bar);
        }
    }
}
