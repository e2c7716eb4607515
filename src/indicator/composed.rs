//! Folds made of folds: an indicator of an indicator, and one that each session begins anew.

use super::fold::{Fold, Rolling};
use super::inner::Inner;
use crate::bar::{Bar, Bars, Date, Symbol};
use crate::calendar::Session;

/// An indicator of another one's values.
///
/// The outer one is fed bars that have the inner value for each of their prices, so it is the same code as over prices. A value
/// that isn't known begins it anew: a window that holds one is unknown, and averages start from the next known value.
pub(super) struct Composed {
    inner: Rolling,
    outer: Rolling,
    again: Again,
    is_fresh: bool,
    values: Vec<f64>,
}

/// What to do with the outer indicator at a value that isn't known.
pub(super) enum Again {
    /// Begin it as in the beginning.
    Start(Box<dyn Fn() -> Rolling + Send>),
    /// Feed the value like any other: it is only carried along.
    Carry,
}

impl Composed {
    pub(super) fn new(inner: Rolling, outer: Rolling, again: Again) -> Self {
        Self { inner, outer, again, is_fresh: true, values: Vec::new() }
    }

    /// Whether the outer one is fed this value.
    fn takes(&self, value: f64) -> bool {
        value.is_finite() || matches!(self.again, Again::Carry)
    }

    fn restart(&mut self) {
        if let Again::Start(start) = &self.again
            && !self.is_fresh
        {
            self.outer = start();
            self.is_fresh = true;
        }
    }
}

impl Fold for Composed {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        let value = self.inner.next(bar, session);
        if !self.takes(value) {
            self.restart();
            return f64::NAN;
        }
        self.is_fresh = false;
        let [open, high, low, close] = [value; 4];
        self.outer.next(&Bar { open, high, low, close, ..*bar }, session)
    }

    fn extend(&mut self, bars: &Bars<'_>, session: &Session, column: &mut Vec<f64>) {
        let mut values = std::mem::take(&mut self.values);
        values.clear();
        self.inner.extend(bars, session, &mut values);
        let mut at = 0;
        while at < values.len() {
            let known = values[at..].iter().take_while(|v| self.takes(**v)).count();
            if known == 0 {
                self.restart();
                column.push(f64::NAN);
                at += 1;
                continue;
            }
            let run = at..at + known;
            self.is_fresh = false;
            self.outer.extend(&bars.slice(run.clone()).with_values(&values[run.clone()]), session, column);
            at = run.end;
        }
        self.values = values;
    }
}

/// An indicator that sees this session's bars only.
pub(super) struct EachSession {
    of: Inner,
    symbol: Symbol,
    live: Rolling,
    date: Option<Date>,
}

impl EachSession {
    pub(super) fn new(of: Inner, symbol: Symbol) -> Self {
        Self { of, symbol, live: of.get().start(symbol), date: None }
    }

    fn restart(&mut self, session: &Session) {
        if self.date.replace(session.date).is_some_and(|before| before != session.date) {
            self.live = self.of.get().start(self.symbol);
        }
    }
}

impl Fold for EachSession {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        self.restart(session);
        self.live.next(bar, session)
    }

    fn extend(&mut self, bars: &Bars<'_>, session: &Session, column: &mut Vec<f64>) {
        self.restart(session);
        self.live.extend(bars, session, column);
    }
}
