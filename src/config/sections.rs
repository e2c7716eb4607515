//! The sections of a config that a replay depends on, typed. What a value may be stands beside its field.
//!
//! A key that the schema requires and whose field is optional is for the gate and the service only: research does
//! without it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::document::Document;
use crate::account::{AccountKind, Conditions};
use crate::bar::{Symbol, Timeframe};
use crate::costs::Costs;
use crate::error::{Error, Result, codes};
use crate::history::Hours;
use crate::orders::Account;
use crate::risk::{DailyLoss, Halt, Limits};
use crate::rules::{Section, read};

/// What a strategy is replayed with. What only a deploy needs is in [`Deployment`](super::Deployment).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
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
    /// What a strategy does that has no code.
    #[serde(default)]
    #[schemars(schema_with = "any_object")]
    rules: Option<Value>,
    /// The same, read.
    #[serde(skip)]
    declared: Option<Arc<Section>>,
    /// Bars needed.
    pub data_requirements: DataRequirements,
    /// What risk forbids.
    pub risk_management: RiskManagement,
    /// How orders are sent and what they cost.
    pub execution: Execution,
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
        let mut value = document.value().clone();
        // No limits, unless some are given; no warm-up, unless it matters to the strategy and is assumed for it.
        for (section, gaps) in [("risk_management", json!({})), ("data_requirements", json!({"warmup_bars": 0}))] {
            fill(&mut value[section], gaps);
        }
        let mut config: Self = document.deserialize(value)?;
        config.path = document.path.clone();
        config.sha256 = document.sha256.clone();
        config.declared = config.rules.as_ref().map(|rules| Arc::new(read(rules).0));
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

    /// The rules that it declares.
    pub(crate) fn declared(&self) -> Option<&Section> {
        self.declared.as_deref()
    }

    /// `symbol_parameters` and `strategy_parameters`.
    pub(crate) const fn parameter_blocks(&self) -> (&BTreeMap<String, Value>, &BTreeMap<String, Value>) {
        (&self.symbol_parameters, &self.strategy_parameters)
    }

    /// Whether a symbol has parameters of its own.
    pub(crate) fn has_symbol_parameters(&self) -> bool {
        !self.symbol_parameters.is_empty() || self.strategy_parameters.values().any(Value::is_object)
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
        Costs { slippage_bps: e.friction_bps, fee_per_share: e.fee_per_share, fee_bps: e.fee_bps, ..Costs::default() }
    }

    /// What its account may do.
    pub fn conditions(&self) -> Conditions {
        let kind = match self.account_info.account.unwrap_or(Account::Unlimited) {
            Account::Unlimited => AccountKind::Unlimited,
            Account::Cash => AccountKind::Cash,
            Account::Margin => AccountKind::Margin { leverage: self.account_info.margin_multiplier.unwrap_or(1.0) },
        };
        Conditions { kind, ..Conditions::UNLIMITED }
    }

    /// What its account forbids.
    pub fn limits(&self) -> Limits {
        let risk = &self.risk_management;
        let caps = [risk.max_position_dollars, risk.max_position_per_asset_dollars];
        let halt = risk.emergency_stop_conditions.as_ref().filter(|stop| stop.enabled);
        let (dollars, fraction) = (risk.max_daily_loss_dollars, risk.max_daily_loss_pct);
        let unlimited = f64::INFINITY;
        let max_daily_loss = dollars
            .or(fraction)
            .map(|_| DailyLoss { dollars: dollars.unwrap_or(unlimited), fraction: fraction.unwrap_or(unlimited) });
        Limits {
            max_daily_loss,
            max_trades_per_day: risk.max_trades_per_day,
            max_open_positions: risk.max_open_positions,
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

/// Adds what a section lacks.
fn fill(section: &mut Value, mut gaps: Value) {
    if let (Some(given), Some(all)) = (section.as_object_mut(), gaps.as_object_mut()) {
        all.append(given);
    }
    *section = gaps;
}

/// `account_info`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountInfo {
    /// Name of the broker account; one strategy, one account.
    #[schemars(required, extend("pattern" = NOT_BLANK, "x-allowed" = "a text that isn't empty"))]
    pub account_id: Option<String>,
    /// The account's name for people.
    #[schemars(required, extend("pattern" = NOT_BLANK, "x-allowed" = "a text that isn't empty"))]
    pub account_name: Option<String>,
    /// The portfolio's starting capital, dollars.
    #[schemars(extend("minimum" = 1, "maximum" = 1e12, "x-unit" = "dollars"))]
    pub initial_capital: f64,
    /// Buying power over capital.
    #[schemars(required, extend("minimum" = 1, "maximum" = 4, "x-unit" = "times capital"))]
    pub margin_multiplier: Option<f64>,
    /// What is checked when a position opens: nothing, that cash pays for it, or that equity times `margin_multiplier`
    /// carries it. Nothing, unless it is said.
    #[serde(default)]
    pub account: Option<Account>,
    /// Capital times margin, dollars.
    #[schemars(required, extend("minimum" = 1, "maximum" = 4e12, "x-unit" = "dollars"))]
    pub buying_power: Option<f64>,
}

/// `strategy`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StrategyInfo {
    /// The folder's and the strategy's name.
    #[schemars(extend("pattern" = NOT_BLANK, "x-allowed" = "the name of a strategy"))]
    pub name: String,
    /// Version of this configuration.
    #[schemars(required, extend("pattern" = NOT_BLANK, "x-allowed" = "a text that isn't empty"))]
    pub version: Option<String>,
    /// What kind of strategy it is.
    #[serde(rename = "type")]
    #[schemars(required, extend("pattern" = NOT_BLANK, "x-allowed" = "a text that isn't empty"))]
    pub kind: Option<String>,
    /// How often it decides.
    #[schemars(required, extend("pattern" = NOT_BLANK, "x-allowed" = "a text that isn't empty"))]
    pub frequency: Option<String>,
    /// Shown beside what happened.
    #[schemars(required, extend("minimum" = 0, "maximum" = 1e6, "x-unit" = "trades a month"))]
    pub expected_trades_per_month: Option<f64>,
}

/// Most bars of warm-up.
pub const LONGEST_WARMUP: usize = 100_000;

/// `data_requirements`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataRequirements {
    /// Bar width.
    #[schemars(required)]
    pub timeframe: Option<Timeframe>,
    /// Whether bars before the session count.
    pub premarket: bool,
    /// Whether bars after the session count.
    pub after_hours: bool,
    /// Bars before the first signal.
    #[schemars(extend("minimum" = 0, "maximum" = LONGEST_WARMUP, "x-unit" = "bars"))]
    pub warmup_bars: usize,
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
    #[schemars(required, extend("exclusiveMinimum" = 0, "maximum" = 1, "x-unit" = "as a fraction, 0.02 being 2 %"))]
    pub max_daily_loss_pct: Option<f64>,
    /// Realised loss that stops entries.
    #[schemars(required, extend("minimum" = 1, "maximum" = 1e12, "x-unit" = "dollars"))]
    pub max_daily_loss_dollars: Option<f64>,
    /// Entries a session.
    #[schemars(required, extend("minimum" = 1, "maximum" = 1_000_000, "x-unit" = "trades"))]
    pub max_trades_per_day: Option<u32>,
    /// Positions open at once.
    #[schemars(required, extend("minimum" = 1, "maximum" = 10_000, "x-unit" = "positions"))]
    pub max_open_positions: Option<u32>,
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
    #[schemars(required, extend("const" = "market"))]
    pub order_type: Option<String>,
    /// How long an order is valid.
    #[schemars(required, extend("const" = "day"))]
    pub time_in_force: Option<String>,
    /// Market orders fill in the regular session only.
    #[schemars(required, extend("const" = false))]
    pub extended_hours: Option<bool>,
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

/// Filled in by strategy: [`Parameters`].
fn any_object(_: &mut schemars::SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}

/// A character that is no white space, in words that every dialect of patterns reads alike.
pub(super) const NOT_BLANK: &str =
    "[^\t-\r \u{85}\u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}]";
