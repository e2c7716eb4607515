//! Bear trap: buy the reclaim after a crash from the day's open.

use magellan::bar::{MINUTE, Symbol, Timeframe};
use magellan::config::document::Document;
use magellan::config::{Config, Overnight, Parameters};
use magellan::error::{Code, Error, Result};
use magellan::finding::Finding;
use magellan::indicator::{Indicator, Memory};
use magellan::order::{Bracket, Entry, Level, Order, Size, Target};
use magellan::registry::{Deployable, EquityRows};
use magellan::strategy::{Now, Strategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Parameters, as in `strategy_parameters` of `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BearTrap {
    /// Highest change from the session's open, per cent, negative.
    #[schemars(extend("minimum" = -100, "maximum" = -0.01, "x-unit" = "per cent of the open"))]
    pub day_change_pct: f64,
    /// Smallest lower wick as a share of the bar's range.
    #[schemars(extend("minimum" = 0, "maximum" = 1, "x-unit" = "of the range"))]
    pub min_lower_wick: f64,
    /// Smallest body as a share of the bar's range.
    #[schemars(extend("minimum" = 0, "maximum" = 1, "x-unit" = "of the range"))]
    pub min_body: f64,
    /// Smallest volume as a multiple of the mean.
    #[schemars(extend("minimum" = 0, "maximum" = 1000, "x-unit" = "times the mean"))]
    pub min_volume_ratio: f64,
    /// Bars of the mean volume.
    #[schemars(extend("minimum" = 1, "maximum" = 390, "x-unit" = "bars"))]
    pub volume_period: u32,
    /// Bars of the average true range.
    #[schemars(extend("minimum" = 1, "maximum" = 390, "x-unit" = "bars"))]
    pub atr_period: u32,
    /// Distance of the stop under the session's low, in average true ranges.
    #[schemars(extend("minimum" = 0, "maximum" = 100, "x-unit" = "average true ranges"))]
    pub stop_atr_multiple: f64,
    /// Session bars before the first signal.
    #[schemars(extend("minimum" = 1, "maximum" = 390, "x-unit" = "bars"))]
    pub min_session_bars: u32,
    /// Which low must be reclaimed.
    pub reclaim: Reclaim,
    /// Per cent of the shares sold at the first target.
    #[schemars(extend("minimum" = 0, "maximum" = 100, "x-unit" = "per cent"))]
    pub first_target_percent: u8,
    /// How far the first target lies from the entry to the session's high.
    #[schemars(extend("minimum" = 0, "maximum" = 1, "x-unit" = "of the way"))]
    pub first_target_fraction: f64,
    /// Per cent of the shares sold at the session's high.
    #[schemars(extend("minimum" = 0, "maximum" = 100, "x-unit" = "per cent"))]
    pub second_target_percent: u8,
    /// Longest time in a position, minutes.
    #[schemars(extend("minimum" = 1, "maximum" = 390, "x-unit" = "minutes"))]
    pub max_hold_minutes: u32,
    /// Flat this long before the close, minutes.
    #[schemars(extend("minimum" = 1, "maximum" = 390, "x-unit" = "minutes"))]
    pub flat_before_close_minutes: u32,
    /// Fraction of equity lost if the stop fills; from `risk_management.per_trade_risk_pct`.
    #[serde(skip)]
    pub risk_fraction: f64,
    /// Largest position, dollars; from `risk_management.max_position_dollars`.
    #[serde(skip)]
    pub max_position_dollars: f64,
}

/// What counts as a reclaim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
}

impl Deployable for BearTrap {
    const TIMEFRAME: Timeframe = Timeframe::Minute;
    const ADJUSTED: bool = false;
    const OVERNIGHT: Overnight = Overnight::Flat;
    const EQUITY_ROWS: EquityRows = EquityRows::Sessions;
    const PARAMETERS: Parameters = Parameters::Common;

    fn from_config(config: &Config, _: Symbol) -> Result<Self> {
        let risk = &config.risk_management;
        let need = |value: Option<f64>, key: &str| {
            let what = || format!("risk_management.{key} is missing; bear_trap sizes by it");
            value.ok_or_else(|| Error::new(Code::MissingKey, what()).at(config.path.display()))
        };
        let mut strategy: Self = config.parameters()?;
        strategy.risk_fraction = need(risk.per_trade_risk_pct, "per_trade_risk_pct")?;
        strategy.max_position_dollars = need(risk.max_position_dollars, "max_position_dollars")?;
        Ok(strategy)
    }

    fn contradictions(&self, path: &str, document: &Document) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut unless = |holds: bool, path: String, what: String, allowed: String| {
            if !holds {
                found.push(Finding::new(Code::Contradiction, &path, format!("{path} is {what}")).value(what, allowed));
            }
        };
        let (bars, longest) = (self.min_session_bars, self.volume_period.max(self.atr_period));
        unless(
            bars >= longest,
            format!("{path}.min_session_bars"),
            format!("{bars}, but its means need {longest} bars"),
            format!("{longest} to 390 bars"),
        );
        let (first, second) = (self.first_target_percent, self.second_target_percent);
        let left = 100u8.saturating_sub(first);
        unless(
            second <= left,
            format!("{path}.second_target_percent"),
            format!("{second}, but the first target leaves {left}"),
            format!("0 to {left} per cent"),
        );
        let warmup = document.number("data_requirements.warmup_bars");
        if let Some(warmup) = warmup {
            let what = format!("{warmup}, but {path}.min_session_bars is {bars}");
            unless(warmup == f64::from(bars), "data_requirements.warmup_bars".to_owned(), what, bars.to_string());
        }
        for key in ["per_trade_risk_pct", "max_position_dollars"] {
            if document.get("risk_management").is_some_and(|r| r.get(key).is_none()) {
                let at = format!("risk_management.{key}");
                found.push(Finding::new(Code::MissingKey, &at, format!("{at} is missing; bear_trap sizes by it")));
            }
        }
        found
    }

    fn describe(&self) -> Vec<(&'static str, Value)> {
        vec![("reclaim", json!(self.reclaim))]
    }
}
