//! Passing over whole sessions in which a flat symbol can't buy.

use super::inputs::Source;
use super::symbol::SymbolReplay;
use crate::strategy::Strategy;

impl<S: Strategy> SymbolReplay<'_, S> {
    /// Lets sessions be passed over where the strategy's needs allow it. A strategy with memory must see each bar.
    pub(super) fn allow_passing_over(&mut self) {
        if size_of::<S::State>() == 0 {
            self.needs = self.strategy.needs();
        }
    }

    /// Passes over the session that follows, if nothing is held or ordered and no bar of it meets what an entry needs;
    /// whether it did.
    pub(super) fn pass_over(&mut self) -> bool {
        let [rarest, rest @ ..] = &self.needs[..] else { return false };
        let Source::Shared(columns) = &self.inputs.source else { return false };
        if !self.book.is_idle() {
            return false;
        }
        let Some(session) = self.cursor.session_ahead() else { return false };
        let bars = session.ordinal..session.ordinal + session.range.len();
        let may_enter = |bar: usize| rest.iter().all(|test| test.holds(columns[test.input][bar]));
        let mut rare = columns[rarest.input][bars.clone()].iter().zip(bars);
        if rare.any(|(value, bar)| rarest.holds(*value) && may_enter(bar)) {
            return false;
        }
        self.cursor.skip_session();
        self.bars_seen += session.range.len() as u64;
        self.last_close = self.cursor.history().session_bars(session).close_at(session.range.len() - 1);
        true
    }
}
