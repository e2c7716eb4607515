//! Relative strength index (Wilder, New Concepts in Technical Trading Systems, 1978).
//!
//! `gain` and `loss` are exponential averages of the rises and falls of the close;
//! `RSI = 100 - 100 / (1 + gain / loss)`. It is 0 without gains, which is tested first, and else 100
//! without losses. With [`Smoothing::Span`] both averages start at 0 on the first bar.

use super::average::Exponential;
use super::field::Smoothing;
use super::fold::Fold;
use crate::bar::{Bar, Bars};
use crate::calendar::Session;

pub(super) struct Rsi {
    smoothing: Smoothing,
    gain: Exponential,
    loss: Exponential,
    before: Option<f64>,
}

impl Rsi {
    pub(super) fn new(period: u32, smoothing: Smoothing) -> Self {
        let average = || Exponential::new(period, smoothing);
        Self { smoothing, gain: average(), loss: average(), before: None }
    }

    /// Averaged gain and loss at this close; (NaN, NaN) while there are too few.
    #[inline(always)]
    fn step(&mut self, close: f64) -> (f64, f64) {
        let change = match self.before.replace(close) {
            Some(before) => close - before,
            None if self.smoothing == Smoothing::Span => 0.0,
            None => return (f64::NAN, f64::NAN),
        };
        let (rise, fall) = split(change);
        (self.gain.next(rise), self.loss.next(fall))
    }
}

/// A change as a rise and a fall, one of them 0.
#[inline(always)]
fn split(change: f64) -> (f64, f64) {
    (if change > 0.0 { change } else { 0.0 }, if change < 0.0 { -change } else { 0.0 })
}

#[inline(always)]
fn index(gain: f64, loss: f64) -> f64 {
    let relative = 100.0 - 100.0 / (1.0 + gain / loss);
    let bounded = if loss == 0.0 { 100.0 } else { relative };
    if gain == 0.0 { 0.0 } else { bounded }
}

impl Fold for Rsi {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        let (gain, loss) = self.step(bar.close);
        index(gain, loss)
    }

    /// The averages are a chain, the divisions aren't: chunk by chunk, the divisions of
    /// neighbouring bars run side by side, with the same bits.
    fn extend(&mut self, bars: &Bars<'_>, _: &Session, column: &mut Vec<f64>) {
        let closes = bars.close();
        let mut closes = closes.as_slice().unwrap_or_default();
        while let [close, rest @ ..] = closes
            && !self.loss.is_started()
        {
            let (gain, loss) = self.step(*close);
            column.push(index(gain, loss));
            closes = rest;
        }
        let (mut gains, mut losses) = ([0.0; 64], [0.0; 64]);
        for chunk in closes.chunks(64) {
            let mut before = self.before.unwrap_or(f64::NAN);
            let (mut gain, mut loss) = (self.gain, self.loss);
            for ((&close, risen), fallen) in chunk.iter().zip(&mut gains).zip(&mut losses) {
                let (rise, fall) = split(close - before);
                before = close;
                (*risen, *fallen) = (gain.go_on(rise), loss.go_on(fall));
            }
            (self.gain, self.loss, self.before) = (gain, loss, Some(before));
            let averages = gains[..chunk.len()].iter().zip(&losses[..chunk.len()]);
            column.extend(averages.map(|(&gain, &loss)| index(gain, loss)));
        }
    }
}
