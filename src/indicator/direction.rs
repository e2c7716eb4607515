//! Directional movement (Wilder 1978) and Aroon (Chande 1995).

use super::average::Exponential;
use super::channel::Extent;
use super::field::Smoothing;
use super::fold::Fold;
use super::output::{Aroon, Directional};
use super::range::TrueRange;
use crate::bar::Bar;
use crate::calendar::Session;

/// +DI, -DI, DX and ADX. The first bar has nothing before it and doesn't count.
pub(super) struct Movement {
    output: Directional,
    before: Option<(f64, f64)>,
    true_range: TrueRange,
    range: Exponential,
    plus: Exponential,
    minus: Exponential,
    index: Exponential,
}

impl Movement {
    pub(super) fn new(period: u32, output: Directional) -> Self {
        let average = || Exponential::new(period, Smoothing::Wilder);
        let [range, plus, minus, index] = [average(), average(), average(), average()];
        Self { output, before: None, true_range: TrueRange::new(), range, plus, minus, index }
    }
}

/// How far a bar reaches beyond the one before: on one side only, the farther one.
fn movement(rise: f64, fall: f64) -> (f64, f64) {
    (if rise > fall && rise > 0.0 { rise } else { 0.0 }, if fall > rise && fall > 0.0 { fall } else { 0.0 })
}

/// Per cent, 0 of nothing.
fn per_cent(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { 100.0 * part / whole }
}

impl Fold for Movement {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        let range = self.true_range.next(bar, session);
        let Some((high, low)) = self.before.replace((bar.high, bar.low)) else { return f64::NAN };
        let (rise, fall) = movement(bar.high - high, low - bar.low);
        let (range, plus, minus) = (self.range.next(range), self.plus.next(rise), self.minus.next(fall));
        if range.is_nan() {
            return f64::NAN;
        }
        let (plus, minus) = (per_cent(plus, range), per_cent(minus, range));
        let index = per_cent((plus - minus).abs(), plus + minus);
        match self.output {
            Directional::Plus => plus,
            Directional::Minus => minus,
            Directional::Index => index,
            Directional::Average => self.index.next(index),
        }
    }
}

/// How long ago the highest high and the lowest low were; of equal ones the latest.
pub(super) struct Recency {
    output: Aroon,
    period: f64,
    extent: Extent,
}

impl Recency {
    pub(super) fn new(period: u32, output: Aroon) -> Self {
        let period = period.max(1);
        Self { output, period: f64::from(period), extent: Extent::new(period.saturating_add(1)) }
    }
}

/// How many bars ago the value was that no later one is ahead of.
fn age(values: &[f64], is_ahead: fn(&f64, &f64) -> bool) -> f64 {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if !is_ahead(&values[best], value) {
            best = i;
        }
    }
    (values.len() - 1 - best) as f64
}

impl Fold for Recency {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        let period = self.period;
        let Some((highs, lows)) = self.extent.step(bar) else { return f64::NAN };
        let of = |age: f64| 100.0 * (period - age) / period;
        let (up, down) = (of(age(highs, f64::gt)), of(age(lows, f64::lt)));
        match self.output {
            Aroon::Up => up,
            Aroon::Down => down,
            Aroon::Oscillator => up - down,
        }
    }
}
