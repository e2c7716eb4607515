//! Exponential averages: `a * value + (1 - a) * before`.

use super::field::{Field, Smoothing};
use super::fold::Fold;
use crate::bar::Bar;
use crate::calendar::Session;

/// The recurrence itself, shared by EMA, RMA, RSI and Wilder's ATR.
#[derive(Clone, Copy)]
pub(super) struct Exponential {
    weight: f64,
    keep: f64,
    /// Values averaged before the recurrence starts.
    seed: u32,
    seen: u32,
    value: f64,
}

impl Exponential {
    pub(super) fn new(period: u32, smoothing: Smoothing) -> Self {
        let n = f64::from(period.max(1));
        let (weight, seed) = match smoothing {
            Smoothing::Span => (2.0 / (n + 1.0), 1),
            Smoothing::Wilder => (1.0 / n, period.max(1)),
        };
        Self { weight, keep: 1.0 - weight, seed, seen: 0, value: 0.0 }
    }

    /// The average with `value` in it; NaN until there are enough to start.
    #[inline(always)]
    pub(super) fn next(&mut self, value: f64) -> f64 {
        if self.is_started() { self.go_on(value) } else { self.start(value) }
    }

    /// Whether it has the values it starts from.
    pub(super) fn is_started(&self) -> bool {
        self.seen >= self.seed
    }

    /// One step of an average that is started.
    #[inline(always)]
    pub(super) fn go_on(&mut self, value: f64) -> f64 {
        self.value = self.weight * value + self.keep * self.value;
        self.value
    }

    fn start(&mut self, value: f64) -> f64 {
        self.seen += 1;
        self.value += value;
        if self.seen < self.seed {
            return f64::NAN;
        }
        self.value /= f64::from(self.seed);
        self.value
    }
}

/// The recurrence over a field of the bar.
pub(super) struct Average {
    field: Field,
    average: Exponential,
}

impl Average {
    pub(super) fn new(field: Field, period: u32, smoothing: Smoothing) -> Self {
        Self { field, average: Exponential::new(period, smoothing) }
    }
}

impl Fold for Average {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        self.average.next(self.field.of(bar))
    }
}
