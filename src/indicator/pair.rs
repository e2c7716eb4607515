//! Two series beside each other: correlation and beta.

use super::field::Field;
use super::fold::{Fold, Rolling};
use super::window::{Window, is_noise, mean};
use crate::bar::Bar;
use crate::calendar::Session;

/// Where one of the values comes from.
pub(super) enum Input {
    /// The bar.
    Bar(Field),
    /// An indicator.
    Fold(Rolling),
}

impl Input {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        match self {
            Self::Bar(field) => field.value(bar),
            Self::Fold(rolling) => rolling.next(bar, session),
        }
    }
}

/// A function of the last values of two series. A value that isn't known empties both windows.
pub(super) struct Pair<F> {
    inputs: [Input; 2],
    length: u32,
    windows: [Window; 2],
    of: F,
}

impl<F: Fn(&[f64], &[f64]) -> f64> Pair<F> {
    pub(super) fn new(inputs: [Input; 2], length: u32, of: F) -> Self {
        Self { inputs, length, windows: [Window::new(length), Window::new(length)], of }
    }
}

impl<F: Fn(&[f64], &[f64]) -> f64 + Send> Fold for Pair<F> {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        let values = self.inputs.each_mut().map(|input| input.next(bar, session));
        if !values.iter().all(|value| value.is_finite()) {
            self.windows = [Window::new(self.length), Window::new(self.length)];
            return f64::NAN;
        }
        self.windows.iter_mut().zip(values).for_each(|(window, value)| window.push(value));
        match self.windows.each_ref().map(Window::full) {
            [Some(a), Some(b)] => (self.of)(a, b),
            _ => f64::NAN,
        }
    }
}

/// The values' distances from their mean, squared, multiplied with each other, and added up.
struct Spread {
    of_a: f64,
    of_b: f64,
    of_both: f64,
    /// Whether either series stands still.
    is_flat: [bool; 2],
}

/// `size` is what a value's rounding is measured by.
fn spread(a: &[f64], b: &[f64], size: impl Fn(f64) -> f64) -> Spread {
    let (centre_a, centre_b) = (mean(a), mean(b));
    let (mut of_a, mut of_b, mut of_both) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - centre_a, b - centre_b);
        of_a += a * a;
        of_b += b * b;
        of_both += a * b;
    }
    let count = a.len() as f64;
    let is_flat = [(of_a, centre_a), (of_b, centre_b)].map(|(of, centre)| is_noise((of / count).sqrt(), size(centre)));
    Spread { of_a, of_b, of_both, is_flat }
}

/// Pearson's coefficient, -1 to 1; NaN if either doesn't vary.
pub(super) fn correlation(a: &[f64], b: &[f64]) -> f64 {
    match spread(a, b, |centre| centre) {
        Spread { is_flat: [false, false], of_a, of_b, of_both } => {
            (of_both / (of_a.sqrt() * of_b.sqrt())).clamp(-1.0, 1.0)
        }
        _ => f64::NAN,
    }
}

/// How the returns of `a` answer those of `b`: their covariance over the variance of `b`'s. NaN if that doesn't vary.
pub(super) fn beta(a: &[f64], b: &[f64]) -> f64 {
    let returns = |values: &[f64]| -> Vec<f64> { values.windows(2).map(|w| (w[1] - w[0]) / w[0]).collect() };
    // Returns are rounded as prices are: in parts of 1.
    match spread(&returns(a), &returns(b), |_| 1.0) {
        Spread { is_flat: [_, false], of_b, of_both, .. } if (of_both / of_b).is_finite() => of_both / of_b,
        _ => f64::NAN,
    }
}
