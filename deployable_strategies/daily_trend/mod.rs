//! Daily trend: RSI hysteresis on daily bars of liquid stocks and index funds.

use magellan::bar::Timeframe;

use crate::rsi_hysteresis::{Pace, RsiHysteresis};

/// See the README beside this file.
pub type DailyTrend = RsiHysteresis<Daily>;

/// One decision a session, after the close.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Daily;

impl Pace for Daily {
    const NAME: &'static str = "daily_trend";
    const TIMEFRAME: Timeframe = Timeframe::Day;
}

#[cfg(test)]
mod tests {
    use super::Daily;
    use crate::rsi_hysteresis::tests as rule;

    #[test]
    fn buys_strength_and_sells_weakness() {
        rule::buys_strength_and_sells_weakness::<Daily>();
    }

    #[test]
    fn holds_in_between_and_at_the_lines() {
        rule::holds_in_between::<Daily>();
    }
}
