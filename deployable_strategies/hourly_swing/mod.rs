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

#[cfg(test)]
mod tests {
    use super::Hourly;
    use crate::rsi_hysteresis::tests as rule;

    #[test]
    fn buys_strength_and_sells_weakness() {
        rule::buys_strength_and_sells_weakness::<Hourly>();
    }

    #[test]
    fn holds_in_between_and_at_the_lines() {
        rule::holds_in_between::<Hourly>();
    }
}
