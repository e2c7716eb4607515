//! What volume says: its ratio to the usual, on-balance volume, money flow, and the price weighted with it.

use super::field::typical;
use super::fold::Fold;
use super::window::{Window, is_noise, mean, sum};
use crate::bar::{Bar, Bars};
use crate::calendar::Session;

/// This bar's volume over the mean of the last bars, itself included. NaN without any volume in the window.
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

/// Volume of rising bars minus that of falling ones, since the first bar.
#[derive(Default)]
pub(super) struct OnBalance {
    volume: f64,
    close_before: Option<f64>,
}

impl Fold for OnBalance {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        match self.close_before.replace(bar.close) {
            Some(before) if bar.close < before => self.volume -= bar.volume,
            Some(before) if bar.close == before => {}
            _ => self.volume += bar.volume,
        }
        self.volume
    }
}

/// Money that flowed at rising typical prices, per cent of all that flowed at changed ones.
pub(super) struct MoneyFlow {
    price_before: Option<f64>,
    rising: Window,
    falling: Window,
}

impl MoneyFlow {
    pub(super) fn new(period: u32) -> Self {
        Self { price_before: None, rising: Window::new(period), falling: Window::new(period) }
    }
}

impl Fold for MoneyFlow {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        let price = typical(bar);
        let Some(before) = self.price_before.replace(price) else { return f64::NAN };
        // The same price may be rounded differently as the third of another sum.
        let money = if is_noise(price - before, price + before) { 0.0 } else { price * bar.volume };
        self.rising.push(if price > before { money } else { 0.0 });
        self.falling.push(if price < before { money } else { 0.0 });
        let (Some(rising), Some(falling)) = (self.rising.full(), self.falling.full()) else { return f64::NAN };
        let (rising, falling) = (sum(rising), sum(falling));
        if rising + falling == 0.0 { 0.0 } else { 100.0 * rising / (rising + falling) }
    }
}

/// Mean typical price weighted with volume; NaN while there is none.
#[derive(Clone, Default)]
pub(super) struct WeightedPrice {
    money: f64,
    volume: f64,
}

impl Fold for WeightedPrice {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        self.money += typical(bar) * bar.volume;
        self.volume += bar.volume;
        if self.volume == 0.0 { f64::NAN } else { self.money / self.volume }
    }
}
