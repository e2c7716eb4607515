//! Channels around the price: Bollinger, Donchian, Keltner.

use super::average::Exponential;
use super::field::Smoothing;
use super::fold::Fold;
use super::output::Band;
use super::range::AtrWilder;
use super::window::{Window, max, mean, min, std};
use crate::bar::Bar;
use crate::calendar::Session;

/// A line of the Bollinger bands, of a window.
pub(super) fn bollinger(width: f64, band: Band) -> impl Fn(&[f64]) -> f64 + Send {
    move |values| match band {
        Band::Upper => mean(values) + width * std(values),
        Band::Middle => mean(values),
        Band::Lower => mean(values) - width * std(values),
    }
}

/// The bars' highs and lows of the last period.
#[derive(Clone)]
pub(super) struct Extent {
    highs: Window,
    lows: Window,
}

impl Extent {
    pub(super) fn new(length: u32) -> Self {
        Self { highs: Window::new(length), lows: Window::new(length) }
    }

    /// Highs and lows with this bar's, oldest first, once there are enough.
    #[inline(always)]
    pub(super) fn step(&mut self, bar: &Bar) -> Option<(&[f64], &[f64])> {
        self.highs.push(bar.high);
        self.lows.push(bar.low);
        self.highs.full().zip(self.lows.full())
    }

    /// Highest high and lowest low, this bar included.
    #[inline(always)]
    pub(super) fn extremes(&mut self, bar: &Bar) -> Option<(f64, f64)> {
        self.step(bar).map(|(highs, lows)| (max(highs), min(lows)))
    }
}

/// Highest high, lowest low, and the middle between them.
pub(super) struct Donchian {
    extent: Extent,
    band: Band,
}

impl Donchian {
    pub(super) fn new(period: u32, band: Band) -> Self {
        Self { extent: Extent::new(period), band }
    }
}

impl Fold for Donchian {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        let Some((highest, lowest)) = self.extent.extremes(bar) else { return f64::NAN };
        match self.band {
            Band::Upper => highest,
            Band::Middle => (highest + lowest) / 2.0,
            Band::Lower => lowest,
        }
    }
}

/// An average of closes, and as many average true ranges around it.
pub(super) struct Keltner {
    middle: Exponential,
    range: AtrWilder,
    width: f64,
}

impl Keltner {
    pub(super) fn new(period: u32, atr_period: u32, width: f64, band: Band) -> Self {
        let width = match band {
            Band::Upper => width,
            Band::Middle => 0.0,
            Band::Lower => -width,
        };
        Self { middle: Exponential::new(period, Smoothing::Span), range: AtrWilder::new(atr_period), width }
    }
}

impl Fold for Keltner {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        let range = self.range.next(bar, session);
        self.middle.next(bar.close) + self.width * range
    }
}
