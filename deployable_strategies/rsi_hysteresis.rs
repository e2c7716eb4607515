//! RSI hysteresis: buy strength above one line, sell weakness below another.
//!
//! Flat and RSI above `hysteresis_upper`: buy. Long and RSI below `hysteresis_lower`: sell.
//! Both strict; in between nothing happens, which is what keeps it out of chop.

use magellan::bar::Symbol;
use magellan::config::Config;
use magellan::error::{Error, Result};
use magellan::indicator::{Indicator, Smoothing};
use magellan::order::{Order, Reason, Size};
use magellan::strategy::Now;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Parameters of one symbol, as in `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RsiHysteresis {
    /// RSI period in bars, 2 to 500.
    pub rsi_period: u32,
    /// Buys above this RSI, 0 to 100.
    pub hysteresis_upper: f64,
    /// Sells below this RSI, 0 to 100, at most `hysteresis_upper`.
    pub hysteresis_lower: f64,
    /// Dollars of each position; constant, profits aren't reinvested.
    pub allocation: f64,
    /// Bars before the first signal; from `data_requirements.warmup_bars`.
    #[serde(skip)]
    pub warmup_bars: usize,
}

impl RsiHysteresis {
    /// A symbol's parameters, with the config's warm-up.
    ///
    /// # Errors
    /// Config error if they are missing or out of range.
    pub fn from_config(config: &Config, symbol: Symbol) -> Result<Self> {
        let mut rule: Self = config.parameters_of(symbol)?;
        rule.warmup_bars = config.data_requirements.warmup_bars;
        rule.check().map_err(|e| e.at(format!("{}: parameters of {symbol}", config.path.display())))?;
        Ok(rule)
    }

    /// What `metrics.json` says of it.
    pub fn describe(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("rsi_period", json!(self.rsi_period)),
            ("upper", json!(self.hysteresis_upper)),
            ("lower", json!(self.hysteresis_lower)),
            ("budget", json!(self.allocation)),
            ("warmup", json!(self.warmup_bars)),
        ]
    }

    /// Refuses parameters that can't mean anything.
    fn check(&self) -> Result<()> {
        let (upper, lower) = (self.hysteresis_upper, self.hysteresis_lower);
        let fault = if !(2..=500).contains(&self.rsi_period) {
            format!("rsi_period is {}, allowed are 2 to 500 bars", self.rsi_period)
        } else if !(0.0..=100.0).contains(&upper) {
            format!("hysteresis_upper is {upper}, allowed are 0 to 100")
        } else if !(0.0..=upper).contains(&lower) {
            format!("hysteresis_lower is {lower}, allowed are 0 to hysteresis_upper ({upper})")
        } else if !(self.allocation > 0.0 && self.allocation <= 1e9) {
            format!("allocation is {}, allowed are more than 0 to 1e9 dollars", self.allocation)
        } else {
            return Ok(());
        };
        Err(Error::config(fault))
    }

    /// The one indicator.
    pub fn indicators(&self) -> [Indicator; 1] {
        [Indicator::Rsi { period: self.rsi_period, smoothing: Smoothing::Span }]
    }

    /// The rule.
    #[inline(always)]
    pub fn decide(&self, now: &Now<[f64; 1]>) -> Option<Order> {
        let [rsi] = now.inputs;
        if now.position.is_open() {
            (rsi < self.hysteresis_lower).then_some(Order::Exit(Reason::Signal("rsi_exit")))
        } else {
            (rsi > self.hysteresis_upper).then_some(Order::buy(Size::Notional(self.allocation)))
        }
    }
}
