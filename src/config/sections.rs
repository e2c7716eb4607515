//! The sections of a config, typed. What a value may be stands beside its field.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::criteria::PerformanceCriteria;
use super::document::Document;
use crate::bar::{Symbol, Timeframe};
use crate::costs::Costs;
use crate::error::{Error, Result, codes};
use crate::history::Hours;
use crate::risk::{DailyLoss, Halt, Limits};

/// A strategy's live configuration.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where editors find the schema: `../config.schema.json`. Read by nobody else.
    #[serde(rename = "$schema")]
    #[schemars(extend("type" = "string"))]
    _schema: Option<String>,
    /// The broker account.
    pub account_info: AccountInfo,
    /// Which strategy it is.
    pub strategy: StrategyInfo,
    /// Symbols traded.
    #[schemars(extend("minItems" = 1, "uniqueItems" = true))]
    pub symbols: Vec<Symbol>,
    /// Parameters by symbol.
    #[serde(default)]
    #[schemars(schema_with = "any_object")]
    symbol_parameters: BTreeMap<String, Value>,
    /// Parameters, by symbol or for all.
    #[serde(default)]
    #[schemars(schema_with = "any_object")]
    strategy_parameters: BTreeMap<String, Value>,
    /// Bars needed.
    pub data_requirements: DataRequirements,
    /// When it trades.
    pub trading_hours: TradingHours,
    /// What risk forbids.
    pub risk_management: RiskManagement,
    /// How orders are sent and what they cost.
    pub execution: Execution,
    /// Logs and alerts of the live service.
    pub monitoring: Monitoring,
    /// Where the live service finds its keys.
    pub ssm_parameters: SsmParameters,
    /// What the gate demands: periods and criteria.
    pub performance_criteria: PerformanceCriteria,
    /// The file it was read from.
    #[serde(skip)]
    pub path: PathBuf,
    /// SHA-256 of the file's bytes, overrides included.
    #[serde(skip)]
    pub sha256: String,
}

impl Config {
    /// The config that a document holds, if its keys, types and ranges are right.
    pub(super) fn of(document: &Document) -> Result<Self> {
        let mut config: Self = serde_path_to_error::deserialize(document.value()).map_err(|e| {
            let what = format!("{}: {}", e.path(), e.inner());
            Error::new(codes::WRONG_TYPE, what).at(document.path.display())
        })?;
        config.path = document.path.clone();
        config.sha256 = document.sha256.clone();
        Ok(config)
    }

    /// Parameters of one symbol: `symbol_parameters.SYM` or `strategy_parameters.SYM`.
    ///
    /// # Errors
    /// Config error if there are none or they are malformed.
    pub fn parameters_of<P: DeserializeOwned>(&self, symbol: Symbol) -> Result<P> {
        let (block, name) = match self.symbol_parameters.is_empty() {
            true => (&self.strategy_parameters, "strategy_parameters"),
            false => (&self.symbol_parameters, "symbol_parameters"),
        };
        let value = block.get(symbol.as_str()).ok_or_else(|| {
            let what = format!("{} has no parameters for {symbol}", self.strategy.name);
            Error::new(codes::MISSING_KEY, what)
                .at(self.path.display())
                .help(format!("add {name}.{symbol}, or leave {symbol} out"))
        })?;
        self.typed(value.clone(), &format!("{name}.{symbol}"))
    }

    /// Parameters common to all symbols: `strategy_parameters`.
    ///
    /// # Errors
    /// Config error if they are malformed.
    pub fn parameters<P: DeserializeOwned>(&self) -> Result<P> {
        let value = Value::Object(self.strategy_parameters.clone().into_iter().collect());
        self.typed(value, "strategy_parameters")
    }

    fn typed<P: DeserializeOwned>(&self, value: Value, at: &str) -> Result<P> {
        serde_path_to_error::deserialize(value).map_err(|e| {
            let inner = e.path().to_string();
            let path = if inner == "." { at.to_owned() } else { format!("{at}.{inner}") };
            Error::new(codes::WRONG_TYPE, format!("{path}: {}", e.inner())).at(self.path.display())
        })
    }

    /// Another value for a parameter; `path` leads into one of the two parameter blocks.
    pub(crate) fn set_parameter(&mut self, path: &[String], value: &Value) {
        let [block, key, rest @ ..] = path else { return };
        let block =
            if block == "symbol_parameters" { &mut self.symbol_parameters } else { &mut self.strategy_parameters };
        let slot = block.get_mut(key).and_then(|slot| rest.iter().try_fold(slot, |value, key| value.get_mut(key)));
        if let Some(slot) = slot {
            *slot = value.clone();
        }
    }

    /// Which bars of a day it wants.
    pub fn hours(&self) -> Hours {
        match self.data_requirements.premarket {
            true => Hours::All,
            false => Hours::Regular,
        }
    }

    /// What its fills cost.
    pub fn costs(&self) -> Costs {
        let e = &self.execution;
        Costs { slippage_bps: e.friction_bps, fee_per_share: e.fee_per_share, fee_bps: e.fee_bps }
    }

    /// What its account forbids.
    pub fn limits(&self) -> Limits {
        let risk = &self.risk_management;
        let caps = [risk.max_position_dollars, risk.max_position_per_asset_dollars];
        let halt = risk.emergency_stop_conditions.as_ref().filter(|stop| stop.enabled);
        Limits {
            max_daily_loss: Some(DailyLoss { dollars: risk.max_daily_loss_dollars, fraction: risk.max_daily_loss_pct }),
            max_trades_per_day: Some(risk.max_trades_per_day),
            max_open_positions: Some(risk.max_open_positions),
            max_position_dollars: caps.into_iter().flatten().reduce(f64::min),
            halt: halt.map(|stop| Halt {
                losing_days: stop.consecutive_losing_days,
                win_rate_below: stop.win_rate_below,
                window_days: stop.rolling_window_days,
                drawdown: stop.drawdown_threshold_pct,
            }),
        }
    }

    /// Settings that bars can't answer: they need quotes or a clock inside the bar.
    pub fn not_evaluable(&self) -> Vec<&'static str> {
        let e = &self.execution;
        let needs_quotes = [
            ("execution.min_liquidity_shares", e.min_liquidity_shares),
            ("execution.max_spread_pct", e.max_spread_pct),
            ("execution.slippage_tolerance_pct", e.slippage_tolerance_pct),
            ("execution.execution_delay_seconds", e.execution_delay_seconds),
        ];
        needs_quotes.into_iter().filter(|(_, value)| value.is_some()).map(|(path, _)| path).collect()
    }
}

/// `account_info`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountInfo {
    /// Name of the broker account; one strategy, one account.
    #[schemars(extend("pattern" = NOT_BLANK, "x-allowed" = "a text that isn't empty"))]
    pub account_id: String,
    /// The account's name for people.
    #[schemars(extend("pattern" = NOT_BLANK, "x-allowed" = "a text that isn't empty"))]
    pub account_name: String,
    /// The portfolio's starting capital, dollars.
    #[schemars(extend("minimum" = 1, "maximum" = 1e12, "x-unit" = "dollars"))]
    pub initial_capital: f64,
    /// Buying power over capital.
    #[schemars(extend("minimum" = 1, "maximum" = 4, "x-unit" = "times capital"))]
    pub margin_multiplier: f64,
    /// Capital times margin, dollars.
    #[schemars(extend("minimum" = 1, "maximum" = 4e12, "x-unit" = "dollars"))]
    pub buying_power: f64,
}

/// `strategy`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StrategyInfo {
    /// The folder's and the strategy's name.
    #[schemars(extend("pattern" = NOT_BLANK, "x-allowed" = "the name of a strategy"))]
    pub name: String,
    /// Version of this configuration.
    #[schemars(extend("pattern" = NOT_BLANK, "x-allowed" = "a text that isn't empty"))]
    pub version: String,
    /// What kind of strategy it is.
    #[serde(rename = "type")]
    #[schemars(extend("pattern" = NOT_BLANK, "x-allowed" = "a text that isn't empty"))]
    pub kind: String,
    /// How often it decides.
    #[schemars(extend("pattern" = NOT_BLANK, "x-allowed" = "a text that isn't empty"))]
    pub frequency: String,
    /// Shown beside what happened.
    #[schemars(extend("minimum" = 0, "maximum" = 1e6, "x-unit" = "trades a month"))]
    pub expected_trades_per_month: f64,
}

/// Most bars of warm-up.
pub const LONGEST_WARMUP: usize = 100_000;

/// `data_requirements`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataRequirements {
    /// Bar width.
    pub timeframe: Timeframe,
    /// Whether bars before the session count.
    pub premarket: bool,
    /// Whether bars after the session count.
    pub after_hours: bool,
    /// Bars before the first signal.
    #[schemars(extend("minimum" = 0, "maximum" = LONGEST_WARMUP, "x-unit" = "bars"))]
    pub warmup_bars: usize,
}

/// `trading_hours`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TradingHours {
    /// Opening time in New York.
    #[schemars(extend("const" = "09:30"))]
    pub market_open: String,
    /// Closing time in New York; early closes are known.
    #[schemars(extend("const" = "16:00"))]
    pub market_close: String,
    /// The exchange's time zone.
    #[schemars(extend("const" = "America/New_York"))]
    pub timezone: String,
    /// Monday to Friday; holidays are known.
    #[schemars(schema_with = "trading_days")]
    pub trading_days: Vec<String>,
    /// When a daily signal is worked out, New York time: after the close.
    #[schemars(extend("pattern" = "^(1[6-9]|2[0-3]):[0-5][0-9]$", "x-allowed" = "16:00 to 23:59, after the close"))]
    pub signal_calculation_time: Option<String>,
    /// When its order is sent.
    #[schemars(extend("const" = "09:30"))]
    pub execution_time: Option<String>,
    /// How often completed bars are looked for; at most a bar's width.
    #[schemars(extend("minimum" = 1, "maximum" = 1440, "x-unit" = "minutes"))]
    pub signal_check_interval_minutes: Option<u32>,
    /// Whether positions are held when the session ends.
    pub allow_overnight_holds: bool,
}

/// `risk_management`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskManagement {
    /// Fraction of equity lost if the stop fills.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1, "x-unit" = "as a fraction, 0.02 being 2 %"))]
    pub per_trade_risk_pct: Option<f64>,
    /// Largest position.
    #[schemars(extend("minimum" = 1, "maximum" = 1e12, "x-unit" = "dollars"))]
    pub max_position_dollars: Option<f64>,
    /// Largest position in one symbol.
    #[schemars(extend("minimum" = 1, "maximum" = 1e12, "x-unit" = "dollars"))]
    pub max_position_per_asset_dollars: Option<f64>,
    /// Realised loss, of the session's starting equity, that stops entries.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1, "x-unit" = "as a fraction, 0.02 being 2 %"))]
    pub max_daily_loss_pct: f64,
    /// Realised loss that stops entries.
    #[schemars(extend("minimum" = 1, "maximum" = 1e12, "x-unit" = "dollars"))]
    pub max_daily_loss_dollars: f64,
    /// Entries a session.
    #[schemars(extend("minimum" = 1, "maximum" = 1_000_000, "x-unit" = "trades"))]
    pub max_trades_per_day: u32,
    /// Positions open at once.
    #[schemars(extend("minimum" = 1, "maximum" = 10_000, "x-unit" = "positions"))]
    pub max_open_positions: u32,
    /// What halts entries until a person restarts the strategy.
    pub emergency_stop_conditions: Option<EmergencyStop>,
}

/// `risk_management.emergency_stop_conditions`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmergencyStop {
    /// Whether these conditions count.
    pub enabled: bool,
    /// Sessions in a row with a realised loss.
    #[schemars(extend("minimum" = 1, "maximum" = 365, "x-unit" = "days"))]
    pub consecutive_losing_days: u32,
    /// Share of winning trades below which entries halt.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1, "x-unit" = "as a fraction, 0.3 being 30 %"))]
    pub win_rate_below: f64,
    /// Sessions over which the win rate is taken.
    #[schemars(extend("minimum" = 1, "maximum" = 365, "x-unit" = "days"))]
    pub rolling_window_days: u32,
    /// Fall of equity from its peak.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1, "x-unit" = "as a fraction, 0.2 being 20 %"))]
    pub drawdown_threshold_pct: f64,
}

/// `execution`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    /// Kind of order.
    #[schemars(extend("const" = "market"))]
    pub order_type: String,
    /// How long an order is valid.
    #[schemars(extend("const" = "day"))]
    pub time_in_force: String,
    /// Market orders fill in the regular session only.
    #[schemars(extend("const" = false))]
    pub extended_hours: bool,
    /// Slippage of market and stop fills.
    #[schemars(extend("minimum" = 0, "maximum" = 1000, "x-unit" = "basis points per side"))]
    pub friction_bps: f64,
    /// Fee by shares.
    #[serde(default)]
    #[schemars(extend("minimum" = 0, "maximum" = 10, "x-unit" = "dollars per share and side"))]
    pub fee_per_share: f64,
    /// Fee by amount.
    #[serde(default)]
    #[schemars(extend("minimum" = 0, "maximum" = 1000, "x-unit" = "basis points per side"))]
    pub fee_bps: f64,
    /// Shares quoted that an entry needs; bars can't tell.
    #[schemars(extend("minimum" = 0, "maximum" = 1e9, "x-unit" = "shares"))]
    pub min_liquidity_shares: Option<f64>,
    /// Widest spread for an entry; bars can't tell.
    #[schemars(extend("minimum" = 0, "maximum" = 100, "x-unit" = "per cent"))]
    pub max_spread_pct: Option<f64>,
    /// Largest slippage accepted; bars can't tell.
    #[schemars(extend("minimum" = 0, "maximum" = 100, "x-unit" = "per cent"))]
    pub slippage_tolerance_pct: Option<f64>,
    /// Wait before an order is sent; bars can't tell.
    #[schemars(extend("minimum" = 0, "maximum" = 3600, "x-unit" = "seconds"))]
    pub execution_delay_seconds: Option<f64>,
    /// Shown beside what happened.
    #[schemars(extend("minimum" = 0, "maximum" = 100_000, "x-unit" = "hours"))]
    pub avg_hold_time_hours: Option<f64>,
}

/// `monitoring`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Monitoring {
    /// How much the service logs.
    #[schemars(extend("enum" = ["error", "warn", "info", "debug", "trace", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"]))]
    pub log_level: String,
    /// Where it logs to, in its folder of state: where deploys look for it.
    #[schemars(extend("enum" = ["logs"]))]
    pub log_directory: String,
    /// CloudWatch group, if logs are sent there.
    #[schemars(extend("pattern" = NOT_BLANK, "x-allowed" = "a text that isn't empty"))]
    pub cloudwatch_log_group: Option<String>,
    /// Between two health checks.
    #[schemars(extend("minimum" = 1, "maximum" = 86_400, "x-unit" = "seconds"))]
    pub health_check_interval_seconds: u32,
    /// Between two reports: what a service logs at least, so that it can be seen to live.
    #[schemars(extend("minimum" = 1, "maximum" = 3_600, "x-unit" = "seconds"))]
    pub report_interval_seconds: u32,
    /// Loss of a day that alerts.
    #[schemars(extend("minimum" = 0, "maximum" = 1e12, "x-unit" = "dollars"))]
    pub alert_on_loss_dollars: f64,
}

/// `ssm_parameters`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SsmParameters {
    /// Path of the API key in SSM; never the key itself.
    #[schemars(extend("pattern" = "^(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+$", "x-allowed" = "a path such as /magellan/alpaca/NAME/API_KEY"))]
    pub api_key_path: String,
    /// Path of the API secret in SSM; never the secret itself.
    #[schemars(extend("pattern" = "^(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+$", "x-allowed" = "a path such as /magellan/alpaca/NAME/API_KEY"))]
    pub api_secret_path: String,
    /// The broker's address.
    #[schemars(extend("pattern" = "^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9_./-]*)?$", "x-allowed" = "an address https://HOST without a name or password"))]
    pub base_url: String,
}

/// Filled in by strategy: [`Parameters`].
fn any_object(_: &mut schemars::SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}

fn trading_days(_: &mut schemars::SchemaGenerator) -> Schema {
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"];
    let forms =
        days.iter().flat_map(|day| [&day[..3], day].map(|d| [d.to_uppercase(), d.to_lowercase(), d.to_owned()]));
    let day = format!("^({})$", forms.flatten().collect::<Vec<String>>().join("|"));
    let each = json!({"type": "string", "pattern": day, "x-allowed": "MON, TUE, WED, THU or FRI"});
    json_schema!({"type": "array", "items": each, "minItems": 5, "maxItems": 5})
}

/// A character that is no white space, in words that every dialect of patterns reads alike.
const NOT_BLANK: &str =
    "[^\t-\r \u{85}\u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}]";
