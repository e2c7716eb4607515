//! The indicator values that a strategy sees, one row a bar.

use crate::bar::{Bars, Symbol};
use crate::history::SessionBars;
use crate::indicator::{Columns, Rolling};
use crate::strategy::{Inputs, Strategy};

/// Where indicator values come from.
pub(super) enum Source<'a> {
    /// Computed session by session as the replay goes.
    Rolling(Vec<Rolling>),
    /// Columns, computed before, and the first bar of the history that has values.
    Shared(Vec<&'a [f64]>, usize),
}

impl<'a> Source<'a> {
    /// Computes the strategy's indicators as the replay goes.
    pub(super) fn rolling<S: Strategy>(strategy: &S, symbol: Symbol) -> Self {
        Self::Rolling(strategy.indicators().as_ref().iter().map(|i| i.start(symbol)).collect())
    }

    /// Looks the strategy's indicators up.
    pub(super) fn shared<S: Strategy>(strategy: &S, columns: &'a Columns) -> Self {
        Self::Shared(strategy.indicators().as_ref().iter().map(|&i| columns.get(i)).collect(), columns.bars().start)
    }
}

/// Indicator values at each bar of the session under way: a session at a time stays in the nearest cache.
pub(super) struct InputRows<'a, I> {
    pub(super) source: Source<'a>,
    pub(super) rows: Vec<I>,
    /// Bars of the history before the session under way.
    pub(super) ordinal: usize,
    /// Values of one indicator, before they are put into the rows.
    column: Vec<f64>,
}

impl<'a, I: Inputs> InputRows<'a, I> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Self { source, rows: Vec::new(), ordinal: 0, column: Vec::new() }
    }

    /// The values at one bar of the session under way, from columns.
    #[inline]
    pub(super) fn at(&self, bar: usize) -> I {
        let mut inputs = I::NOTHING;
        if let Source::Shared(columns, first) = &self.source {
            for (k, column) in columns.iter().enumerate() {
                inputs.set(k, column[self.ordinal - first + bar]);
            }
        }
        inputs
    }

    /// Fills the rows for a session's bars.
    #[inline(always)]
    pub(super) fn load(&mut self, session: &SessionBars, bars: &Bars<'_>) {
        self.rows.resize(bars.len(), I::NOTHING);
        match &mut self.source {
            Source::Rolling(rolling) => {
                for (k, rolling) in rolling.iter_mut().enumerate() {
                    self.column.clear();
                    rolling.extend(bars, &session.session, &mut self.column);
                    set_column(&mut self.rows, k, &self.column);
                }
            }
            Source::Shared(columns, first) => {
                let from = session.ordinal - *first;
                let range = from..from + bars.len();
                for (k, column) in columns.iter().enumerate() {
                    set_column(&mut self.rows, k, &column[range.clone()]);
                }
            }
        }
    }
}

/// Puts a column into its place in each row.
fn set_column<I: Inputs>(rows: &mut [I], indicator: usize, column: &[f64]) {
    for (row, value) in rows.iter_mut().zip(column) {
        row.set(indicator, *value);
    }
}
