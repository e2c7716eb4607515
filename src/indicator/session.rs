//! What a session has shown so far: its bars, open, low and high. `PerSession` restarts each of
//! them with the session.

use super::fold::Fold;
use crate::bar::{Bar, Bars};
use crate::calendar::Session;

#[derive(Clone, Default)]
pub(super) struct Count(f64);

impl Fold for Count {
    fn next(&mut self, _: &Bar, _: &Session) -> f64 {
        self.0 += 1.0;
        self.0
    }
}

#[derive(Clone, Default)]
pub(super) struct FirstOpen(Option<f64>);

impl Fold for FirstOpen {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        *self.0.get_or_insert(bar.open)
    }
}

#[derive(Clone, Default)]
pub(super) struct Change(FirstOpen);

impl Fold for Change {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        let open = self.0.next(bar, session);
        (bar.close - open) / open * 100.0
    }
}

/// Looks ahead, for the self-test: its column differs from its stream.
pub(super) struct LastClose;

impl Fold for LastClose {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        bar.close
    }

    fn extend(&mut self, bars: &Bars<'_>, _: &Session, column: &mut Vec<f64>) {
        let last = bars.close()[bars.len() - 1];
        column.extend(std::iter::repeat_n(last, bars.len()));
    }
}

#[derive(Clone)]
pub(super) struct Lowest(f64);

impl Default for Lowest {
    fn default() -> Self {
        Self(f64::INFINITY)
    }
}

impl Fold for Lowest {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        self.0 = self.0.min(bar.low);
        self.0
    }
}

/// NaN at the session's first bar.
#[derive(Clone)]
pub(super) struct LowestBefore(f64);

impl Default for LowestBefore {
    fn default() -> Self {
        Self(f64::NAN)
    }
}

impl Fold for LowestBefore {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        let before = self.0;
        self.0 = self.0.min(bar.low);
        before
    }
}

#[derive(Clone)]
pub(super) struct Highest(f64);

impl Default for Highest {
    fn default() -> Self {
        Self(f64::NEG_INFINITY)
    }
}

impl Fold for Highest {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        self.0 = self.0.max(bar.high);
        self.0
    }
}
