//! Shape of a single bar.

use super::fold::Fold;
use crate::bar::Bar;
use crate::calendar::Session;

/// `(min(open, close) - low) / (high - low)`, 0 at no range.
pub(super) struct LowerWick;

impl Fold for LowerWick {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        share_of_range(bar.open.min(bar.close) - bar.low, bar)
    }
}

/// `|close - open| / (high - low)`, 0 at no range.
pub(super) struct Body;

impl Fold for Body {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        share_of_range((bar.close - bar.open).abs(), bar)
    }
}

#[inline(always)]
fn share_of_range(part: f64, bar: &Bar) -> f64 {
    let share = part / (bar.high - bar.low);
    if bar.high == bar.low { 0.0 } else { share }
}
