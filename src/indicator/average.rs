//! Exponential averages, `a * value + (1 - a) * before`, and what is made of them.

use super::field::{Field, Smoothing};
use super::fold::Fold;
use super::output::Macd;
use super::window::Window;
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
        self.average.next(self.field.value(bar))
    }
}

/// Averages of averages, each over the values of the one before it.
pub(super) struct Chained<const N: usize> {
    field: Field,
    averages: [Exponential; N],
}

impl<const N: usize> Chained<N> {
    pub(super) fn new(field: Field, period: u32) -> Self {
        Self { field, averages: [Exponential::new(period, Smoothing::Span); N] }
    }

    fn step(&mut self, bar: &Bar) -> [f64; N] {
        let mut value = self.field.value(bar);
        self.averages.each_mut().map(|average| {
            value = average.next(value);
            value
        })
    }
}

/// DEMA: `2 e1 - e2`.
impl Fold for Chained<2> {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        let [first, second] = self.step(bar);
        2.0 * first - second
    }
}

/// TEMA: `3 e1 - 3 e2 + e3`.
impl Fold for Chained<3> {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        let [first, second, third] = self.step(bar);
        3.0 * first - 3.0 * second + third
    }
}

/// Fast average minus slow one, its own average, and the difference.
pub(super) struct Convergence {
    field: Field,
    fast: Exponential,
    slow: Exponential,
    signal: Exponential,
    output: Macd,
}

impl Convergence {
    pub(super) fn new(field: Field, [fast, slow, signal]: [u32; 3], output: Macd) -> Self {
        let average = |period| Exponential::new(period, Smoothing::Span);
        Self { field, fast: average(fast), slow: average(slow), signal: average(signal), output }
    }
}

impl Fold for Convergence {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        let value = self.field.value(bar);
        let line = self.fast.next(value) - self.slow.next(value);
        let signal = self.signal.next(line);
        match self.output {
            Macd::Line => line,
            Macd::Signal => signal,
            Macd::Histogram => line - signal,
        }
    }
}

/// Kaufman's average: the straighter the way that prices went, the faster it follows.
pub(super) struct Adaptive {
    field: Field,
    /// One value more than the period: as many changes as the period.
    window: Window,
    fastest: f64,
    slowest: f64,
    value: Option<f64>,
}

impl Adaptive {
    pub(super) fn new(field: Field, period: u32, fast: u32, slow: u32) -> Self {
        let weight = |period: u32| 2.0 / (f64::from(period) + 1.0);
        let window = Window::new(period.max(1).saturating_add(1));
        Self { field, window, fastest: weight(fast), slowest: weight(slow), value: None }
    }
}

impl Fold for Adaptive {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        self.window.push(self.field.value(bar));
        let Some(values) = self.window.full() else { return f64::NAN };
        let [.., before, last] = values else { return f64::NAN };
        let weight = efficiency(values) * (self.fastest - self.slowest) + self.slowest;
        let known = self.value.unwrap_or(*before);
        let value = known + weight * weight * (last - known);
        self.value = Some(value);
        value
    }
}

/// Net change as a share of all changes; 1 if there is none.
fn efficiency(values: &[f64]) -> f64 {
    let way = values.windows(2).fold(0.0, |sum, pair| sum + (pair[1] - pair[0]).abs());
    let net = (values[values.len() - 1] - values[0]).abs();
    // Rounding may leave the way a little shorter than the net change.
    if way <= net { 1.0 } else { net / way }
}
