//! `deployed/<strategy>/config.json`, typed. Every key is consumed here or rejected.
//!
//! What a value may be stands beside its field, and becomes the JSON Schema ([`schema`]) that
//! both editors and [`Document`]s are checked by; what two values may not be together is in
//! `contradictions.rs`. What a replay can't honour is refused where it contradicts the replay
//! (another time zone, a limit order) and listed as not evaluable where it needs quotes
//! ([`Config::not_evaluable`]).

mod contradictions;
pub mod document;
mod overrides;
pub mod schema;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bar::{Date, Symbol, Timeframe};
use crate::costs::Costs;
use crate::error::{Error, Result, codes};
use crate::finding::Finding;
use crate::history::Hours;
use crate::metrics::{Measure, Metrics};
use crate::risk::{DailyLoss, Halt, Limits};
use document::{Document, Part};
pub use overrides::Override;
pub(crate) use overrides::PARAMETER_BLOCKS;

/// Whether positions may be held when the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overnight {
    /// The strategy holds overnight.
    Held,
    /// Its brackets are flat by the close.
    Flat,
}

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

/// `performance_criteria`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerformanceCriteria {
    /// Periods replayed, each judged by all criteria.
    #[schemars(extend("minItems" = 1))]
    pub periods: Vec<Period>,
    /// Levels by metric.
    #[schemars(schema_with = "criteria_by_metric")]
    pub criteria: BTreeMap<String, Levels>,
    /// How much worse than what is deployed is still as good; needed once something is deployed.
    pub baseline: Option<NonInferiority>,
    /// Seed of resampling and of random cuts; 1 if it isn't given.
    #[schemars(extend("minimum" = 0, "maximum" = 4_294_967_295_u32))]
    pub seed: Option<u32>,
}

impl PerformanceCriteria {
    /// The seed of resampling and of random cuts.
    pub fn seed(&self) -> u64 {
        self.seed.map_or(1, u64::from)
    }
}

/// `performance_criteria.baseline`: the candidate's Sharpe ratio less the deployed one's.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct NonInferiority {
    /// As good, if at most this much lower.
    #[schemars(extend("minimum" = 0, "maximum" = 10, "x-unit" = "Sharpe ratio a year"))]
    pub sharpe_margin: f64,
    /// One-sided confidence of either bound of the interval.
    #[schemars(extend("exclusiveMinimum" = 0.5, "maximum" = 0.999, "x-unit" = "as a fraction, 0.95 being 95 %"))]
    pub confidence: f64,
}

/// A named range of sessions, both ends included.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Name in reports.
    #[schemars(extend(
        "pattern" = "^[A-Za-z0-9][A-Za-z0-9 ._,:()+/-]{0,79}$",
        "x-allowed" = "letters, digits, spaces and . _ , : ( ) + / -, at most 80"
    ))]
    pub name: String,
    /// First date, YYYY-MM-DD.
    pub start_date: Date,
    /// Last date, YYYY-MM-DD.
    pub end_date: Date,
}

/// Levels of one metric. Warn levels are stricter than fail levels.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "anyOf" = [{"required": ["fail_below"]}, {"required": ["fail_above"]}],
    "x-allowed" = "fail_below or fail_above"
))]
pub struct Levels {
    /// Fails below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_below: Option<f64>,
    /// Warns below this; at or above fail_below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_below: Option<f64>,
    /// Fails above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_above: Option<f64>,
    /// Warns above this; at or below fail_above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_above: Option<f64>,
    /// The levels are for the bound that holds with this one-sided confidence, not for the
    /// estimate: the lower one against `fail_below`, the upper one against `fail_above`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.5, "maximum" = 0.999, "x-unit" = "as a fraction, 0.95 being 95 %"))]
    pub confidence: Option<f64>,
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

fn criteria_by_metric(generator: &mut schemars::SchemaGenerator) -> Schema {
    let levels = Levels::json_schema(generator).to_value();
    let of = |(low, high): (f64, f64), unit: &str, has_bound: bool| {
        let mut levels = levels.clone();
        if let Some(properties) = levels["properties"].as_object_mut().filter(|_| !has_bound) {
            properties.remove("confidence");
        }
        for (key, low_key, high_key) in [
            ("fail_below", "exclusiveMinimum", "maximum"),
            ("warn_below", "exclusiveMinimum", "maximum"),
            ("fail_above", "minimum", "exclusiveMaximum"),
            ("warn_above", "minimum", "exclusiveMaximum"),
        ] {
            let level = &mut levels["properties"][key];
            (level[low_key], level[high_key], level["x-unit"]) = (json!(low), json!(high), json!(unit));
        }
        levels
    };
    let metrics = CRITERIA.iter().map(|c| (c.name.to_owned(), of(c.range, c.unit, c.resampled.is_some())));
    let evidence = EVIDENCE.iter().map(|e| (e.name.to_owned(), of(e.range, e.unit, false)));
    let properties: serde_json::Map<String, Value> = metrics.chain(evidence).collect();
    json_schema!({"type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1})
}

/// How a strategy's parameters stand in its config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// `symbol_parameters.SYM` or `strategy_parameters.SYM`: each symbol has its own.
    BySymbol,
    /// `strategy_parameters`: one set for all symbols.
    Common,
}

impl Parameters {
    /// The schema of the two parameter blocks, for parameters of schema `one`.
    pub fn schema(self, one: &Schema) -> Value {
        let names = json!({"pattern": SYMBOL_PATTERN, "x-allowed": "a symbol, e.g. AMC"});
        let by_symbol =
            json!({"type": "object", "propertyNames": names, "additionalProperties": one, "minProperties": 1});
        match self {
            Self::Common => json!({
                "properties": {"strategy_parameters": one, "symbol_parameters": false},
                "required": ["strategy_parameters"],
            }),
            Self::BySymbol => json!({
                "properties": {"strategy_parameters": by_symbol, "symbol_parameters": by_symbol},
                "anyOf": [{"required": ["symbol_parameters"]}, {"required": ["strategy_parameters"]}],
                "x-allowed": "symbol_parameters or strategy_parameters, by symbol",
            }),
        }
    }
}

/// A character that is no white space, in words that every dialect of patterns reads alike.
const NOT_BLANK: &str =
    "[^\t-\r \u{85}\u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}]";

/// What a symbol looks like in JSON.
const SYMBOL_PATTERN: &str = "^[A-Z][A-Z0-9.-]{0,11}$";

impl JsonSchema for Symbol {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Symbol".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": SYMBOL_PATTERN, "x-allowed": "a symbol, e.g. AMC"})
    }
}

impl JsonSchema for Timeframe {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timeframe".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": Self::ALL.map(Self::name)})
    }
}

impl JsonSchema for Date {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "format": "date", "pattern": "^(19[0-9]{2}|20[0-9]{2}|2100)-[0-9]{2}-[0-9]{2}$",
            "x-allowed": "a date of 1900 to 2100, YYYY-MM-DD",
        })
    }
}

/// A metric that a criterion may name.
pub struct Criterion {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub of: fn(&Metrics) -> Measure,
    /// Least and greatest value that a level can sensibly have. A level that no value can cross,
    /// such as a drawdown above 0, demands nothing.
    pub range: (f64, f64),
    /// What the number means.
    pub unit: &'static str,
    /// What is drawn again for its confidence bound; none, if it has no bound.
    pub resampled: Option<Resampled>,
}

/// What a confidence bound is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampled {
    /// Session returns, in blocks.
    Sessions,
    /// Trades, one by one.
    Trades,
}

const fn criterion(
    name: &'static str,
    of: fn(&Metrics) -> Measure,
    range: (f64, f64),
    unit: &'static str,
    resampled: Option<Resampled>,
) -> Criterion {
    Criterion { name, of, range, unit, resampled }
}

/// A figure that a criterion may name and that more than one replay makes: see `gate`.
#[derive(Debug)]
pub struct Evidence {
    /// Its name.
    pub name: &'static str,
    /// Least and greatest value that a level can sensibly have.
    pub range: (f64, f64),
    /// What the number means.
    pub unit: &'static str,
}

const fn evidence(name: &'static str, range: (f64, f64), unit: &'static str) -> Evidence {
    Evidence { name, range, unit }
}

/// The figures that the gate makes of trials, resampling and changed replays.
pub const EVIDENCE: &[Evidence] = &[
    evidence("psr", (0.0, 1.0), "probability that the true Sharpe ratio is above 0"),
    evidence("dsr", (0.0, 1.0), "probability that it is above what the best of the trials shows by luck"),
    evidence("pbo", (0.0, 1.0), "probability that the best point of a sweep is below the median afterwards"),
    evidence("shuffled_drawdown", (-1.0, 0.0), "as a negative fraction, exceeded by 5 % of the trades' orders"),
    evidence("sharpe_at_double_costs", (-100.0, 100.0), "a year"),
    evidence("break_even_bps", (0.0, 1_000.0), "basis points of slippage a side at which nothing is won"),
    evidence("sharpe_without_a_symbol", (-100.0, 100.0), "a year, without the symbol that it needs most"),
    evidence("sharpe_without_a_year", (-100.0, 100.0), "a year, without the year that it needs most"),
    evidence("sharpe_in_worst_regime", (-100.0, 100.0), "a year"),
    evidence(
        "sharpe_of_neighbours",
        (-100.0, 100.0),
        "a year, mean a step away of the parameter that it depends on most",
    ),
];

const FRACTION: &str = "as a fraction, 0.1 being 10 %";

const SESSIONS: Option<Resampled> = Some(Resampled::Sessions);
const TRADES: Option<Resampled> = Some(Resampled::Trades);

/// The metrics that a criterion may name.
pub const CRITERIA: &[Criterion] = &[
    criterion("sharpe", |m| m.sharpe, (-100.0, 100.0), "a year", SESSIONS),
    criterion("sortino", |m| m.sortino, (-1e3, 1e3), "a year", SESSIONS),
    criterion("total_return", |m| m.total_return, (-1.0, 1e3), FRACTION, SESSIONS),
    criterion("cagr", |m| m.cagr, (-1.0, 100.0), FRACTION, SESSIONS),
    criterion("calmar", |m| m.calmar, (-1e3, 1e3), "a year", SESSIONS),
    criterion("max_drawdown", |m| m.max_drawdown, (-1.0, 0.0), "as a negative fraction, -0.1 being 10 %", SESSIONS),
    criterion("longest_drawdown_days", |m| Measure::Defined(m.longest_drawdown_days as f64), (0.0, 1e5), "days", None),
    criterion("volatility", |m| m.volatility, (0.0, 100.0), FRACTION, SESSIONS),
    criterion("trades", |m| Measure::Defined(m.trades as f64), (0.0, 1e9), "trades", None),
    criterion("win_rate", |m| m.win_rate, (0.0, 1.0), FRACTION, TRADES),
    criterion("profit_factor", |m| m.profit_factor, (0.0, 1e6), "dollars won a dollar lost", TRADES),
    criterion("expectancy_ret", |m| m.expectancy_ret, (-1.0, 100.0), FRACTION, TRADES),
    criterion("avg_trade_pnl", |m| m.avg_trade_pnl, (-1e9, 1e9), "dollars", TRADES),
    criterion("exposure", |m| m.exposure, (0.0, 1.0), FRACTION, None),
    criterion("turnover", |m| m.turnover, (0.0, 1e6), "times equity a year", None),
    criterion("worst_day", |m| m.worst_day, (-1.0, 10.0), FRACTION, None),
    criterion("best_day", |m| m.best_day, (-1.0, 10.0), FRACTION, None),
    criterion(
        "max_consecutive_losses",
        |m| Measure::Defined(m.max_consecutive_losses as f64),
        (0.0, 1e6),
        "trades",
        None,
    ),
    criterion("beta", |m| m.beta, (-100.0, 100.0), "times the benchmark", None),
];

impl Config {
    /// Reads a config and applies overrides (`key=value`, `SYM.key=value`).
    ///
    /// # Errors
    /// Config error naming file, line, column and path: the first of the findings that
    /// `magellan validate` lists.
    pub fn read(path: &Path, overrides: &[Override]) -> Result<Self> {
        Self::from_document(&Document::read(path, overrides)?)
    }

    /// The config that a document holds.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn from_document(document: &Document) -> Result<Self> {
        if let Some(first) = examine(document).into_iter().next() {
            return Err(first.into());
        }
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

/// The schema of a config, whatever its strategy.
pub fn common_schema() -> &'static Value {
    static SCHEMA: std::sync::OnceLock<Value> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(|| schema::of::<Config>().to_value())
}

/// Everything that is wrong with a document, whatever its strategy: keys, types, ranges, and
/// values that contradict each other. In the order of the text.
pub fn examine(document: &Document) -> Vec<Finding> {
    let mut found = document.duplicates();
    let of_schema = schema::examine(common_schema(), document.value(), "");
    found.extend(first(of_schema).map(|finding| placed(document, finding)));
    let contradictions = contradictions::find(document);
    found.extend(first(contradictions).map(|finding| document.place(finding, Part::Value)));
    in_order_of_text(found)
}

/// A file that is no config at all may have a finding a byte; nobody reads more than these.
fn first(mut found: Vec<Finding>) -> impl Iterator<Item = Finding> {
    const MOST: usize = 200;
    if found.len() > MOST {
        let left_out = found.len() - MOST;
        found.truncate(MOST);
        let code = found[MOST - 1].code;
        found.push(
            Finding::new(code, "", format!("{left_out} more findings are not listed"))
                .help("correct those listed first"),
        );
    }
    found.into_iter()
}

/// Everything that is wrong with the parameters of a document, for a strategy whose
/// parameters have schema `parameters` ([`Parameters::schema`]).
pub fn examine_parameters(document: &Document, parameters: &Value) -> Vec<Finding> {
    let found = schema::examine(parameters, document.value(), "");
    in_order_of_text(first(found).map(|finding| placed(document, finding)).collect())
}

fn in_order_of_text(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by_key(|f| f.span);
    found
}

/// Unknown and missing keys are shown at keys, the rest at values.
fn placed(document: &Document, mut finding: Finding) -> Finding {
    let demands_nothing = ["performance_criteria", "performance_criteria.periods", "performance_criteria.criteria"];
    if demands_nothing.contains(&finding.subject.as_str())
        && matches!(finding.code, codes::MISSING_KEY | codes::WRONG_TYPE)
    {
        finding.code = codes::NO_CRITERIA;
        finding.help = codes::NO_CRITERIA.next().to_owned();
    }
    let part = match finding.code {
        codes::UNKNOWN_KEY | codes::MISSING_KEY => Part::Key,
        _ => Part::Value,
    };
    document.place(finding, part)
}
