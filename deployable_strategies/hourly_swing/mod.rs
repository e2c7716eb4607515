//! Hourly swing: RSI hysteresis on hourly bars of two volatile stocks.

use magellan::bar::{Symbol, Timeframe};
use magellan::config::{Config, Overnight};
use magellan::error::Result;
use magellan::indicator::Indicator;
use magellan::order::Order;
use magellan::registry::{Deployable, EquityRows};
use magellan::strategy::{Now, Strategy};
use serde_json::Value;

use crate::rsi_hysteresis::RsiHysteresis;

/// RSI hysteresis on hourly bars, split-adjusted; see the README beside this file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HourlySwing(pub RsiHysteresis);

impl Strategy for HourlySwing {
    const NAME: &'static str = "hourly_swing";
    type Inputs = [f64; 1];
    type State = ();

    fn indicators(&self) -> [Indicator; 1] {
        self.0.indicators()
    }

    fn warmup(&self) -> usize {
        self.0.warmup_bars
    }

    #[inline(always)]
    fn decide(&self, (): &mut (), now: &Now<[f64; 1]>) -> Option<Order> {
        self.0.decide(now)
    }
}

impl Deployable for HourlySwing {
    const TIMEFRAME: Timeframe = Timeframe::Hour;
    const ADJUSTED: bool = true;
    const OVERNIGHT: Overnight = Overnight::Held;
    const EQUITY_ROWS: EquityRows = EquityRows::Bars;

    fn from_config(config: &Config, symbol: Symbol) -> Result<Self> {
        RsiHysteresis::from_config(config, symbol).map(Self)
    }

    fn allocation(&self) -> Option<f64> {
        Some(self.0.allocation)
    }

    fn describe(&self) -> Vec<(&'static str, Value)> {
        self.0.describe()
    }
}
