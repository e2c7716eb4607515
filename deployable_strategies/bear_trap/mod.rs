//! Bear trap: buy the reclaim after a crash from the day's open.

use magellan::bar::{MINUTE, Symbol, Timeframe};
use magellan::config::{Config, Overnight};
use magellan::error::{Error, Result};
use magellan::indicator::{Indicator, Memory};
use magellan::order::{Bracket, Entry, Level, Order, Size, Target};
use magellan::registry::{Deployable, EquityRows};
use magellan::strategy::{Now, Strategy};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Parameters, as in `strategy_parameters` of `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BearTrap {
    /// Highest change from the session's open, per cent, negative.
    pub day_change_pct: f64,
    /// Smallest lower wick as a share of the bar's range.
    pub min_lower_wick: f64,
    /// Smallest body as a share of the bar's range.
    pub min_body: f64,
    /// Smallest volume as a multiple of the mean.
    pub min_volume_ratio: f64,
    /// Bars of the mean volume.
    pub volume_period: u32,
    /// Bars of the average true range.
    pub atr_period: u32,
    /// Distance of the stop under the session's low, in average true ranges.
    pub stop_atr_multiple: f64,
    /// Session bars before the first signal.
    pub min_session_bars: u32,
    /// Which low must be reclaimed.
    pub reclaim: Reclaim,
    /// Per cent of the shares sold at the first target.
    pub first_target_percent: u8,
    /// How far the first target lies from the entry to the session's high.
    pub first_target_fraction: f64,
    /// Per cent of the shares sold at the session's high.
    pub second_target_percent: u8,
    /// Longest time in a position, minutes.
    pub max_hold_minutes: u32,
    /// Flat this long before the close, minutes.
    pub flat_before_close_minutes: u32,
    /// Fraction of equity lost if the stop fills; from `risk_management.per_trade_risk_pct`.
    #[serde(skip)]
    pub risk_fraction: f64,
    /// Largest position, dollars; from `risk_management.max_position_dollars`.
    #[serde(skip)]
    pub max_position_dollars: f64,
}

/// What counts as a reclaim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reclaim {
    /// Close above the session's low, this bar included.
    RunningLow,
    /// Also: low below the session's earlier low, and close above that level.
    PriorLow,
}

impl Strategy for BearTrap {
    const NAME: &'static str = "bear_trap";
    type Inputs = [f64; 9];
    type State = ();

    fn indicators(&self) -> [Indicator; 9] {
        let memory = Memory::Session;
        [
            Indicator::SessionOpen,
            Indicator::SessionBars,
            Indicator::SessionLow,
            Indicator::SessionLowBefore,
            Indicator::SessionHigh,
            Indicator::LowerWick,
            Indicator::Body,
            Indicator::VolumeRatio { period: self.volume_period, memory },
            Indicator::Atr { period: self.atr_period, memory },
        ]
    }

    fn warmup(&self) -> usize {
        0
    }

    #[inline(always)]
    fn decide(&self, (): &mut (), now: &Now<[f64; 9]>) -> Option<Order> {
        let [open, bars, low, low_before, high, wick, body, volume_ratio, atr] = now.inputs;
        let bar = &now.bar;
        let day_change = (bar.close - open) / open * 100.0;
        // The rarest condition first: on most bars it is the only one looked at.
        if day_change > self.day_change_pct
            || now.position.is_open()
            || now.position.exited_this_bar
            || bars < f64::from(self.min_session_bars)
            || bar.end >= now.session.close - i64::from(self.flat_before_close_minutes) * MINUTE
        {
            return None;
        }
        let reclaimed = match self.reclaim {
            Reclaim::RunningLow => bar.close > low,
            Reclaim::PriorLow => bar.close > low && bar.low < low_before && bar.close > low_before,
        };
        let stop = low - self.stop_atr_multiple * atr;
        let signal = reclaimed
            && wick >= self.min_lower_wick
            && body >= self.min_body
            && volume_ratio >= self.min_volume_ratio
            && bar.close - stop > 0.0;
        signal.then(|| Order::Enter(self.entry(stop, low, high)))
    }
}

impl BearTrap {
    /// `low` and `high` are the session's at the signal; targets stay where they are then.
    fn entry(&self, stop: f64, low: f64, high: f64) -> Entry {
        let toward = |fraction| Level::Toward { level: high, fraction };
        let first =
            Target { level: toward(self.first_target_fraction), percent: self.first_target_percent, then_stop: None };
        let second = Target { level: Level::At(high), percent: self.second_target_percent, then_stop: Some(low) };
        Entry {
            size: Size::RiskFraction { fraction: self.risk_fraction, cap: self.max_position_dollars },
            bracket: Bracket {
                stop: Some(stop),
                targets: [Some(first), Some(second), None, None],
                time_stop: Some(i64::from(self.max_hold_minutes) * MINUTE),
                flat_before_close: Some(i64::from(self.flat_before_close_minutes) * MINUTE),
            },
        }
    }

    fn check(&self) -> Result<()> {
        let ranges = [
            ("day_change_pct", self.day_change_pct, -100.0, -0.01),
            ("min_lower_wick", self.min_lower_wick, 0.0, 1.0),
            ("min_body", self.min_body, 0.0, 1.0),
            ("min_volume_ratio", self.min_volume_ratio, 0.0, 1_000.0),
            ("volume_period", f64::from(self.volume_period), 1.0, 390.0),
            ("atr_period", f64::from(self.atr_period), 1.0, 390.0),
            ("stop_atr_multiple", self.stop_atr_multiple, 0.0, 100.0),
            (
                "min_session_bars",
                f64::from(self.min_session_bars),
                f64::from(self.volume_period.max(self.atr_period)),
                390.0,
            ),
            ("first_target_percent", f64::from(self.first_target_percent), 0.0, 100.0),
            ("first_target_fraction", self.first_target_fraction, 0.0, 1.0),
            (
                "second_target_percent",
                f64::from(self.second_target_percent),
                0.0,
                100.0 - f64::from(self.first_target_percent),
            ),
            ("max_hold_minutes", f64::from(self.max_hold_minutes), 1.0, 390.0),
            ("flat_before_close_minutes", f64::from(self.flat_before_close_minutes), 1.0, 390.0),
        ];
        match ranges.into_iter().find(|&(_, value, low, high)| !(low..=high).contains(&value)) {
            None => Ok(()),
            Some((key, value, low, high)) => {
                Err(Error::config(format!("strategy_parameters.{key} is {value}, allowed are {low} to {high}")))
            }
        }
    }
}

impl Deployable for BearTrap {
    const TIMEFRAME: Timeframe = Timeframe::Minute;
    const ADJUSTED: bool = false;
    const OVERNIGHT: Overnight = Overnight::Flat;
    const EQUITY_ROWS: EquityRows = EquityRows::Sessions;

    fn from_config(config: &Config, _: Symbol) -> Result<Self> {
        let risk = &config.risk_management;
        let need = |value: Option<f64>, key: &str| {
            value.ok_or_else(|| Error::config(format!("risk_management.{key} is missing; bear_trap sizes by it")))
        };
        let mut strategy: Self = config.parameters()?;
        strategy.risk_fraction = need(risk.per_trade_risk_pct, "per_trade_risk_pct")?;
        strategy.max_position_dollars = need(risk.max_position_dollars, "max_position_dollars")?;
        strategy.check()?;
        if config.data_requirements.warmup_bars != strategy.min_session_bars as usize {
            return Err(Error::config(format!(
                "data_requirements.warmup_bars is {}, but strategy_parameters.min_session_bars is {}",
                config.data_requirements.warmup_bars, strategy.min_session_bars
            ))
            .help("bear_trap needs as many bars as it waits for in a session: make them equal"));
        }
        Ok(strategy)
    }

    fn describe(&self) -> Vec<(&'static str, Value)> {
        vec![("reclaim", json!(self.reclaim))]
    }
}
