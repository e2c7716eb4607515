//! Hourly swing: RSI hysteresis on hourly bars of two volatile stocks.

use magellan::bar::Timeframe;

use crate::rsi_hysteresis::{Pace, RsiHysteresis};

/// See the README beside this file.
pub type HourlySwing = RsiHysteresis<Hourly>;

/// A decision at the close of every hour of the session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hourly;

impl Pace for Hourly {
    const NAME: &'static str = "hourly_swing";
    const TIMEFRAME: Timeframe = Timeframe::Hour;
}
