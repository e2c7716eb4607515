//! Where the price stands in its range: CCI, stochastic oscillator, Williams %R.

use super::channel::Extent;
use super::fold::Fold;
use super::output::Stochastic;
use super::window::{Window, is_noise, mean};
use crate::bar::Bar;
use crate::calendar::Session;

/// Lambert's constant: most values lie between -100 and 100.
const LAMBERT: f64 = 0.015;

/// Distance of the typical price from its mean, in mean distances.
pub(super) fn commodity_channel(prices: &[f64]) -> f64 {
    let centre = mean(prices);
    let spread = prices.iter().fold(0.0, |sum, price| sum + (price - centre).abs()) / prices.len() as f64;
    let distance = prices[prices.len() - 1] - centre;
    let stands_still = is_noise(distance, centre) || is_noise(spread, centre);
    if stands_still { 0.0 } else { distance / (LAMBERT * spread) }
}

/// Where the close lies between lowest low and highest high, per cent.
pub(super) struct Place {
    extent: Extent,
    smooth: Window,
    signal: Window,
    output: Stochastic,
}

impl Place {
    pub(super) fn new([period, smooth, signal]: [u32; 3], output: Stochastic) -> Self {
        let [smooth, signal] = [smooth, signal].map(Window::new);
        Self { extent: Extent::new(period), smooth, signal, output }
    }
}

impl Fold for Place {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        let Some((highest, lowest)) = self.extent.extremes(bar) else { return f64::NAN };
        let place = 100.0 * (bar.close - lowest) / (highest - lowest);
        self.smooth.push(if highest == lowest { 0.0 } else { place });
        let Some(k) = self.smooth.full().map(mean) else { return f64::NAN };
        if self.output == Stochastic::K {
            return k;
        }
        self.signal.push(k);
        self.signal.full().map_or(f64::NAN, mean)
    }
}

/// How far the close lies below the highest high, per cent of the range, as a negative number.
pub(super) struct Williams {
    extent: Extent,
}

impl Williams {
    pub(super) fn new(period: u32) -> Self {
        Self { extent: Extent::new(period) }
    }
}

impl Fold for Williams {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        let Some((highest, lowest)) = self.extent.extremes(bar) else { return f64::NAN };
        let below = -100.0 * (highest - bar.close) / (highest - lowest);
        if highest == lowest { 0.0 } else { below }
    }
}
