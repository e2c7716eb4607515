//! True range and average true range (Wilder 1978).

use super::average::Exponential;
use super::field::Smoothing;
use super::fold::Fold;
use super::window::{Window, mean};
use crate::bar::{Bar, Bars};
use crate::calendar::Session;

/// `max(high - low, |high - close before|, |low - close before|)`; the first bar's is `high - low`.
#[derive(Clone)]
pub(super) struct TrueRange {
    close_before: Option<f64>,
}

impl TrueRange {
    pub(super) const fn new() -> Self {
        Self { close_before: None }
    }

    #[inline(always)]
    fn step(&mut self, bar: &Bar) -> f64 {
        let range = bar.high - bar.low;
        match self.close_before.replace(bar.close) {
            None => range,
            Some(before) => range.max((bar.high - before).abs()).max((bar.low - before).abs()),
        }
    }
}

impl Fold for TrueRange {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        self.step(bar)
    }
}

/// Simple mean of the last true ranges.
#[derive(Clone)]
pub(super) struct Atr {
    range: TrueRange,
    window: Window,
}

impl Atr {
    pub(super) fn new(period: u32) -> Self {
        Self { range: TrueRange::new(), window: Window::new(period) }
    }
}

impl Fold for Atr {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        self.window.push(self.range.step(bar));
        self.window.full().map_or(f64::NAN, mean)
    }

    fn extend(&mut self, bars: &Bars<'_>, _: &Session, column: &mut Vec<f64>) {
        let ranges = (0..bars.len()).map(|i| self.range.step(&bars.get(i)));
        self.window.means(ranges, column);
    }
}

/// Wilder's average; the first bar has no previous close and doesn't count.
pub(super) struct AtrWilder {
    range: TrueRange,
    average: Exponential,
}

impl AtrWilder {
    pub(super) fn new(period: u32) -> Self {
        Self { range: TrueRange::new(), average: Exponential::new(period, Smoothing::Wilder) }
    }
}

impl Fold for AtrWilder {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        let first = self.range.close_before.is_none();
        let range = self.range.step(bar);
        if first { f64::NAN } else { self.average.next(range) }
    }
}
