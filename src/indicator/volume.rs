//! Volume ratio: this bar's volume over the mean of the last bars, itself included.
//! NaN without any volume in the window.

use super::fold::Fold;
use super::window::{Window, mean};
use crate::bar::{Bar, Bars};
use crate::calendar::Session;

#[derive(Clone)]
pub(super) struct Ratio {
    window: Window,
}

impl Ratio {
    pub(super) fn new(period: u32) -> Self {
        Self { window: Window::new(period) }
    }
}

impl Fold for Ratio {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        self.window.push(bar.volume);
        self.window.full().map_or(f64::NAN, |volumes| bar.volume / mean(volumes))
    }

    fn extend(&mut self, bars: &Bars<'_>, _: &Session, column: &mut Vec<f64>) {
        let first = column.len();
        let volumes = bars.volume();
        self.window.means(volumes.iter().copied(), column);
        for (value, volume) in column[first..].iter_mut().zip(volumes) {
            *value = volume / *value;
        }
    }
}
