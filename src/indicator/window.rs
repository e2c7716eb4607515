//! Rolling mean, minimum, maximum and standard deviation over the last `period` values.
//!
//! Every value is computed from the whole window, oldest first, so it depends on the window
//! alone: no running sum that drifts.

use super::field::Field;
use super::fold::Fold;
use crate::bar::{Bar, Bars};
use crate::calendar::Session;

/// The last `period` values as one contiguous slice.
#[derive(Clone)]
pub(super) struct Window {
    period: usize,
    values: Vec<f64>,
}

impl Window {
    pub(super) fn new(period: u32) -> Self {
        let period = period.max(1) as usize;
        Self { period, values: Vec::with_capacity(period + Self::slack(period)) }
    }

    /// Room behind the window, so that shifting it back is rare.
    const fn slack(period: usize) -> usize {
        if period < 64 { 64 } else { period }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, value: f64) {
        if self.values.len() >= self.period + Self::slack(self.period) {
            let keep = self.values.len() - (self.period - 1);
            self.values.drain(..keep);
        }
        self.values.push(value);
    }

    /// The window, oldest first, once it has `period` values.
    #[inline(always)]
    pub(super) fn full(&self) -> Option<&[f64]> {
        let start = self.values.len().checked_sub(self.period)?;
        Some(&self.values[start..])
    }
}

impl Window {
    /// Appends the mean of the window at each of `values`, NaN while it isn't full.
    ///
    /// Neighbouring windows are summed side by side, each still oldest first: the same bits
    /// as [`mean`] of every window, several at a time.
    pub(super) fn means(&mut self, values: impl Iterator<Item = f64>, column: &mut Vec<f64>) {
        let known = self.values.len().min(self.period - 1);
        self.values.drain(..self.values.len() - known);
        self.values.extend(values);
        let added = self.values.len() - known;
        let empty = added.min(self.period - 1 - known);
        column.extend(std::iter::repeat_n(f64::NAN, empty));
        // Too few values were known for a full window, so the first full one starts at 0.
        let windows = &self.values;
        let count = added - empty;
        let mut at = 0;
        while at + SIDE_BY_SIDE <= count {
            let mut sums = [0.0; SIDE_BY_SIDE];
            for values in windows[at..].windows(SIDE_BY_SIDE).take(self.period) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += value;
                }
            }
            column.extend(sums.map(|sum| sum / self.period as f64));
            at += SIDE_BY_SIDE;
        }
        column.extend((at..count).map(|i| mean(&windows[i..i + self.period])));
    }
}

/// Windows summed at once: their sums stay in registers.
const SIDE_BY_SIDE: usize = 8;

/// Sum oldest first, divided by the count.
#[inline(always)]
pub(super) fn mean(values: &[f64]) -> f64 {
    sum(values) / values.len() as f64
}

/// Sum oldest first.
#[inline(always)]
pub(super) fn sum(values: &[f64]) -> f64 {
    let mut sum = 0.0;
    for value in values {
        sum += value;
    }
    sum
}

/// Whether a distance is no more than what rounding leaves of values as large as `size`: nothing that was measured.
#[inline(always)]
pub(super) fn is_noise(distance: f64, size: f64) -> bool {
    distance.abs() <= 1e-14 * size.abs()
}

/// Population standard deviation.
pub(super) fn std(values: &[f64]) -> f64 {
    let centre = mean(values);
    let mut sum = 0.0;
    for value in values {
        let distance = value - centre;
        sum += distance * distance;
    }
    (sum / values.len() as f64).sqrt()
}

pub(super) fn min(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

pub(super) fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The mean, several windows at a time where there are columns.
pub(super) struct Mean {
    field: Field,
    window: Window,
}

impl Mean {
    pub(super) fn new(field: Field, period: u32) -> Self {
        Self { field, window: Window::new(period) }
    }
}

impl Fold for Mean {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        self.window.push(self.field.value(bar));
        self.window.full().map_or(f64::NAN, mean)
    }

    fn extend(&mut self, bars: &Bars<'_>, _: &Session, column: &mut Vec<f64>) {
        self.window.means((0..bars.len()).map(|i| self.field.value(&bars.get(i))), column);
    }
}

/// A function of the last values of a field.
pub(super) struct Windowed<F> {
    field: Field,
    window: Window,
    of: F,
}

impl<F: Fn(&[f64]) -> f64> Windowed<F> {
    pub(super) fn new(field: Field, length: u32, of: F) -> Self {
        Self { field, window: Window::new(length), of }
    }
}

impl<F: Fn(&[f64]) -> f64 + Send> Fold for Windowed<F> {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        self.window.push(self.field.value(bar));
        self.window.full().map_or(f64::NAN, &self.of)
    }
}
