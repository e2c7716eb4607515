//! `deployed/<strategy>/config.json`, typed. Every key is consumed here or rejected.
//!
//! What a replay can't honour is refused where it contradicts the replay (another time zone,
//! a limit order) and listed as not evaluable where it needs quotes ([`Config::not_evaluable`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bar::{Date, SECOND, Symbol, Timeframe};
use crate::costs::Costs;
use crate::error::{Error, Result};
use crate::history::Hours;
use crate::metrics::{Measure, Metrics};
use crate::risk::{DailyLoss, Halt, Limits};

/// Whether positions may be held when the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overnight {
    /// The strategy holds overnight.
    Held,
    /// Its brackets are flat by the close.
    Flat,
}

/// A strategy's live configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The broker account.
    pub account_info: AccountInfo,
    /// Who it is.
    pub strategy: StrategyInfo,
    /// Symbols traded.
    pub symbols: Vec<Symbol>,
    /// Parameters by symbol.
    #[serde(default)]
    symbol_parameters: BTreeMap<String, Value>,
    /// Parameters, by symbol or for all.
    #[serde(default)]
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
    /// What the gate demands.
    pub performance_criteria: Option<PerformanceCriteria>,
    /// The file it was read from.
    #[serde(skip)]
    pub path: PathBuf,
    /// SHA-256 of the file's bytes, overrides included.
    #[serde(skip)]
    pub sha256: String,
}

/// `account_info`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the keys are described in the README of `deployed`")]
pub struct AccountInfo {
    pub account_id: String,
    pub account_name: String,
    pub initial_capital: f64,
    pub margin_multiplier: f64,
    pub buying_power: f64,
}

/// `strategy`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct StrategyInfo {
    pub name: String,
    pub version: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub frequency: String,
    pub expected_trades_per_month: f64,
}

/// `data_requirements`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct DataRequirements {
    pub timeframe: Timeframe,
    pub premarket: bool,
    pub after_hours: bool,
    pub warmup_bars: usize,
}

/// `trading_hours`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct TradingHours {
    pub market_open: String,
    pub market_close: String,
    pub timezone: String,
    pub trading_days: Vec<String>,
    pub signal_calculation_time: Option<String>,
    pub execution_time: Option<String>,
    pub signal_check_interval_minutes: Option<u32>,
    pub allow_overnight_holds: bool,
}

/// `risk_management`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct RiskManagement {
    pub per_trade_risk_pct: Option<f64>,
    pub max_position_dollars: Option<f64>,
    pub max_position_per_asset_dollars: Option<f64>,
    pub max_daily_loss_pct: f64,
    pub max_daily_loss_dollars: f64,
    pub max_trades_per_day: u32,
    pub max_open_positions: u32,
    pub emergency_stop_conditions: Option<EmergencyStop>,
}

/// `risk_management.emergency_stop_conditions`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct EmergencyStop {
    pub enabled: bool,
    pub consecutive_losing_days: u32,
    pub win_rate_below: f64,
    pub rolling_window_days: u32,
    pub drawdown_threshold_pct: f64,
}

/// `execution`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct Execution {
    pub order_type: String,
    pub time_in_force: String,
    pub extended_hours: bool,
    pub friction_bps: f64,
    #[serde(default)]
    pub fee_per_share: f64,
    #[serde(default)]
    pub fee_bps: f64,
    pub min_liquidity_shares: Option<f64>,
    pub max_spread_pct: Option<f64>,
    pub slippage_tolerance_pct: Option<f64>,
    pub execution_delay_seconds: Option<f64>,
    pub avg_hold_time_hours: Option<f64>,
}

/// `monitoring`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct Monitoring {
    pub log_level: String,
    pub log_directory: String,
    pub cloudwatch_log_group: Option<String>,
    pub health_check_interval_seconds: u32,
    pub report_interval_seconds: u32,
    pub alert_on_loss_dollars: f64,
}

/// `ssm_parameters`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as above")]
pub struct SsmParameters {
    pub api_key_path: String,
    pub api_secret_path: String,
    pub base_url: String,
}

/// `performance_criteria`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerformanceCriteria {
    /// Periods replayed, each judged by all criteria.
    pub periods: Vec<Period>,
    /// Levels by metric.
    pub criteria: BTreeMap<String, Levels>,
}

/// A named range of sessions, both ends included.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Name in reports.
    pub name: String,
    /// First date.
    pub start_date: Date,
    /// Last date.
    pub end_date: Date,
}

/// Levels of one metric. Warn levels are stricter than fail levels.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    /// Fails below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_below: Option<f64>,
    /// Warns below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_below: Option<f64>,
    /// Fails above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_above: Option<f64>,
    /// Warns above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_above: Option<f64>,
}

/// A metric by name.
pub type Criterion = (&'static str, fn(&Metrics) -> Measure);

/// The metrics that a criterion may name.
pub const CRITERIA: &[Criterion] = &[
    ("sharpe", |m| m.sharpe),
    ("sortino", |m| m.sortino),
    ("total_return", |m| m.total_return),
    ("cagr", |m| m.cagr),
    ("calmar", |m| m.calmar),
    ("max_drawdown", |m| m.max_drawdown),
    ("longest_drawdown_days", |m| Measure::Defined(m.longest_drawdown_days as f64)),
    ("volatility", |m| m.volatility),
    ("trades", |m| Measure::Defined(m.trades as f64)),
    ("win_rate", |m| m.win_rate),
    ("profit_factor", |m| m.profit_factor),
    ("expectancy_ret", |m| m.expectancy_ret),
    ("avg_trade_pnl", |m| m.avg_trade_pnl),
    ("exposure", |m| m.exposure),
    ("turnover", |m| m.turnover),
    ("worst_day", |m| m.worst_day),
    ("best_day", |m| m.best_day),
    ("max_consecutive_losses", |m| Measure::Defined(m.max_consecutive_losses as f64)),
    ("beta", |m| m.beta),
];

impl Config {
    /// Reads a config and applies overrides (`key=value`, `SYM.key=value`).
    ///
    /// # Errors
    /// Config error naming file, line, column and path.
    pub fn read(path: &Path, overrides: &[Override]) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::config(format!("can't read the config: {e}")).at(path.display()))?;
        let mut config = parse(path, &text)?;
        let mut content = text;
        if !overrides.is_empty() {
            let mut value: Value = serde_json::from_str(&content).map_err(|e| fault(path, "", &e))?;
            for change in overrides {
                change.apply(&mut value, &config.symbols).map_err(|e| e.at(path.display()))?;
            }
            content = serde_json::to_string_pretty(&value).unwrap_or_default();
            config =
                serde_path_to_error::deserialize(value).map_err(|e| fault(path, &e.path().to_string(), e.inner()))?;
        }
        config.sha256 = crate::archive::manifest::sha256_hex(content.as_bytes());
        config.path = path.to_owned();
        config.check().map_err(|e| e.at(path.display()))?;
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
            Error::config(format!("{} has no parameters for {symbol}", self.strategy.name))
                .at(self.path.display())
                .help(format!("add {name}.{symbol}, or leave {symbol} out"))
        })?;
        typed(value.clone(), &format!("{name}.{symbol}")).map_err(|e| e.at(self.path.display()))
    }

    /// Parameters common to all symbols: `strategy_parameters`.
    ///
    /// # Errors
    /// Config error if they are malformed.
    pub fn parameters<P: DeserializeOwned>(&self) -> Result<P> {
        if !self.symbol_parameters.is_empty() {
            let what = format!("{} takes no parameters by symbol", self.strategy.name);
            return Err(Error::config(what).at(self.path.display()).help("use strategy_parameters"));
        }
        let value = Value::Object(self.strategy_parameters.clone().into_iter().collect());
        typed(value, "strategy_parameters").map_err(|e| e.at(self.path.display()))
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

    /// Ranges and contradictions; the first one found.
    fn check(&self) -> Result<()> {
        self.check_account()?;
        self.check_hours()?;
        self.check_risk()?;
        self.check_execution()?;
        self.check_service()?;
        if let Some(criteria) = &self.performance_criteria {
            criteria.check()?;
        }
        Ok(())
    }

    fn check_account(&self) -> Result<()> {
        let a = &self.account_info;
        within("account_info.initial_capital", a.initial_capital, 1.0, 1e12, "dollars")?;
        within("account_info.margin_multiplier", a.margin_multiplier, 1.0, 4.0, "times capital")?;
        let power = a.initial_capital * a.margin_multiplier;
        within(
            "account_info.buying_power",
            a.buying_power,
            power * 0.999_999,
            power * 1.000_001,
            "dollars, capital times margin",
        )?;
        named("account_info.account_id", &a.account_id)?;
        named("account_info.account_name", &a.account_name)?;
        let s = &self.strategy;
        for (path, text) in [
            ("strategy.name", &s.name),
            ("strategy.version", &s.version),
            ("strategy.type", &s.kind),
            ("strategy.frequency", &s.frequency),
        ] {
            named(path, text)?;
        }
        within("strategy.expected_trades_per_month", s.expected_trades_per_month, 0.0, 1e6, "trades")?;
        let mut symbols = self.symbols.clone();
        symbols.sort_unstable();
        if symbols.is_empty() {
            return Err(Error::config("symbols: the list is empty").help("name at least one symbol"));
        }
        match symbols.windows(2).find(|w| w[0] == w[1]) {
            Some(twice) => Err(Error::config(format!("symbols: {} is listed twice", twice[0]))),
            None => self.check_parameter_symbols(),
        }
    }

    /// Parameters of a symbol that isn't traded would be read by nobody.
    fn check_parameter_symbols(&self) -> Result<()> {
        let unused = |key: &&String| key.parse::<Symbol>().is_ok_and(|s| !self.symbols.contains(&s));
        let blocks =
            [("symbol_parameters", &self.symbol_parameters), ("strategy_parameters", &self.strategy_parameters)];
        for (name, block) in blocks {
            if let Some(key) = block.keys().find(unused) {
                return Err(Error::config(format!("{name}.{key}: {key} is not in symbols"))
                    .help(format!("add {key} to symbols or remove its parameters")));
            }
        }
        Ok(())
    }

    fn check_hours(&self) -> Result<()> {
        let t = &self.trading_hours;
        exactly("trading_hours.market_open", &t.market_open, "09:30")?;
        exactly("trading_hours.market_close", &t.market_close, "16:00")?;
        exactly("trading_hours.timezone", &t.timezone, "America/New_York")?;
        let days: Vec<String> =
            t.trading_days.iter().map(|d| d.to_ascii_uppercase().chars().take(3).collect()).collect();
        exactly("trading_hours.trading_days", &days.join(","), "MON,TUE,WED,THU,FRI")?;
        if let Some(time) = &t.signal_calculation_time
            && !(time.len() == 5 && ("16:00".."24:00").contains(&time.as_str()))
        {
            let what = format!("trading_hours.signal_calculation_time is {time}, allowed are 16:00 to 23:59");
            return Err(Error::config(what).help("a daily bar is known only after the close"));
        }
        if let Some(time) = &t.execution_time {
            exactly("trading_hours.execution_time", time, "09:30")?;
        }
        if let Some(minutes) = t.signal_check_interval_minutes {
            let width = (self.data_requirements.timeframe.width() / (60 * SECOND)) as f64;
            within(
                "trading_hours.signal_check_interval_minutes",
                f64::from(minutes),
                1.0,
                width,
                "minutes, at most a bar",
            )?;
        }
        let d = &self.data_requirements;
        within("data_requirements.warmup_bars", d.warmup_bars as f64, 0.0, 100_000.0, "bars")?;
        if d.premarket != d.after_hours {
            return Err(Error::config("data_requirements: premarket and after_hours differ")
                .help("a replay has regular hours (both false) or all hours (both true)"));
        }
        Ok(())
    }

    fn check_risk(&self) -> Result<()> {
        let r = &self.risk_management;
        let share = |path: &str, value| within(path, value, f64::MIN_POSITIVE, 1.0, "as a fraction, 0.02 being 2 %");
        share("risk_management.max_daily_loss_pct", r.max_daily_loss_pct)?;
        within("risk_management.max_daily_loss_dollars", r.max_daily_loss_dollars, 1.0, 1e12, "dollars")?;
        within("risk_management.max_trades_per_day", f64::from(r.max_trades_per_day), 1.0, 1e6, "trades")?;
        within("risk_management.max_open_positions", f64::from(r.max_open_positions), 1.0, 1e4, "positions")?;
        if let Some(risk) = r.per_trade_risk_pct {
            share("risk_management.per_trade_risk_pct", risk)?;
        }
        for (path, cap) in [
            ("risk_management.max_position_dollars", r.max_position_dollars),
            ("risk_management.max_position_per_asset_dollars", r.max_position_per_asset_dollars),
        ] {
            within(path, cap.unwrap_or(1.0), 1.0, 1e12, "dollars")?;
        }
        if let Some(stop) = &r.emergency_stop_conditions {
            let at = |key: &str| format!("risk_management.emergency_stop_conditions.{key}");
            within(&at("consecutive_losing_days"), f64::from(stop.consecutive_losing_days), 1.0, 365.0, "days")?;
            within(&at("rolling_window_days"), f64::from(stop.rolling_window_days), 1.0, 365.0, "days")?;
            share(&at("win_rate_below"), stop.win_rate_below)?;
            share(&at("drawdown_threshold_pct"), stop.drawdown_threshold_pct)?;
        }
        Ok(())
    }

    fn check_execution(&self) -> Result<()> {
        let e = &self.execution;
        exactly("execution.order_type", &e.order_type, "market")?;
        exactly("execution.time_in_force", &e.time_in_force, "day")?;
        if e.extended_hours {
            return Err(Error::config("execution.extended_hours is true, allowed is false")
                .help("market orders fill in the regular session only"));
        }
        within("execution.friction_bps", e.friction_bps, 0.0, 1_000.0, "basis points per side")?;
        within("execution.fee_bps", e.fee_bps, 0.0, 1_000.0, "basis points per side")?;
        within("execution.fee_per_share", e.fee_per_share, 0.0, 10.0, "dollars per share and side")?;
        for (path, value) in [
            ("execution.min_liquidity_shares", e.min_liquidity_shares),
            ("execution.max_spread_pct", e.max_spread_pct),
            ("execution.slippage_tolerance_pct", e.slippage_tolerance_pct),
            ("execution.execution_delay_seconds", e.execution_delay_seconds),
            ("execution.avg_hold_time_hours", e.avg_hold_time_hours),
        ] {
            within(path, value.unwrap_or(0.0), 0.0, 1e9, "and not negative")?;
        }
        Ok(())
    }

    fn check_service(&self) -> Result<()> {
        let m = &self.monitoring;
        let levels = ["error", "warn", "info", "debug", "trace"];
        if !levels.contains(&m.log_level.to_ascii_lowercase().as_str()) {
            let what = format!("monitoring.log_level is `{}`, allowed are {}", m.log_level, levels.join(", "));
            return Err(Error::config(what));
        }
        named("monitoring.log_directory", &m.log_directory)?;
        within(
            "monitoring.health_check_interval_seconds",
            f64::from(m.health_check_interval_seconds),
            1.0,
            86_400.0,
            "seconds",
        )?;
        within("monitoring.report_interval_seconds", f64::from(m.report_interval_seconds), 1.0, 86_400.0, "seconds")?;
        within("monitoring.alert_on_loss_dollars", m.alert_on_loss_dollars, 0.0, 1e12, "dollars")?;
        if let Some(group) = &m.cloudwatch_log_group {
            named("monitoring.cloudwatch_log_group", group)?;
        }
        let s = &self.ssm_parameters;
        for (path, value, prefix) in [
            ("ssm_parameters.api_key_path", &s.api_key_path, "/"),
            ("ssm_parameters.api_secret_path", &s.api_secret_path, "/"),
            ("ssm_parameters.base_url", &s.base_url, "https://"),
        ] {
            if !value.starts_with(prefix) {
                return Err(Error::config(format!("{path} is `{value}`, it must start with `{prefix}`")));
            }
        }
        Ok(())
    }
}

impl PerformanceCriteria {
    fn check(&self) -> Result<()> {
        for period in &self.periods {
            if period.start_date > period.end_date {
                let Period { name, start_date, end_date } = period;
                let what =
                    format!("performance_criteria.periods: {name} starts {start_date}, after its end {end_date}");
                return Err(Error::config(what));
            }
        }
        for (name, levels) in &self.criteria {
            let path = format!("performance_criteria.criteria.{name}");
            if CRITERIA.iter().all(|(known, _)| known != name) {
                let known: Vec<&str> = CRITERIA.iter().map(|c| c.0).collect();
                let what = format!("{path}: there is no such metric");
                return Err(Error::config(what).help(format!("metrics are {}", known.join(", "))));
            }
            levels.check(&path)?;
        }
        Ok(())
    }
}

impl Levels {
    fn check(&self, path: &str) -> Result<()> {
        if self.fail_below.is_none() && self.fail_above.is_none() {
            return Err(Error::config(format!("{path} has no fail level")).help("give fail_below or fail_above"));
        }
        let stricter_below = self.warn_below.is_none_or(|w| self.fail_below.is_some_and(|f| w >= f));
        let stricter_above = self.warn_above.is_none_or(|w| self.fail_above.is_some_and(|f| w <= f));
        if stricter_below && stricter_above {
            return Ok(());
        }
        Err(Error::config(format!("{path}: a warn level must be stricter than its fail level"))
            .help("warn_below at or above fail_below; warn_above at or below fail_above"))
    }
}

/// One `--set`: a parameter of one symbol, a parameter of all, or any path of the config.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    key: String,
    value: Value,
}

impl std::str::FromStr for Override {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            Error::usage(format!("`{text}` is not key=value")).help("e.g. rsi_period=14 or TSLA.rsi_period=14")
        })?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Self { key: key.to_owned(), value })
    }
}

impl Override {
    fn apply(&self, config: &mut Value, symbols: &[Symbol]) -> Result<()> {
        let mut replaced = 0;
        for path in self.candidates(symbols) {
            if let Some(slot) = config.pointer_mut(&path) {
                *slot = self.value.clone();
                replaced += 1;
            }
        }
        if replaced > 0 {
            return Ok(());
        }
        Err(Error::usage(format!("--set {}: the config has no such value", self.key))
            .help("name a parameter (rsi_period), a symbol's (TSLA.rsi_period), or a path (execution.friction_bps)"))
    }

    /// Places the key can mean: each symbol's parameter, the common one, a path.
    fn candidates(&self, symbols: &[Symbol]) -> Vec<String> {
        let of_symbol = |symbol: &str, key: &str| {
            ["symbol_parameters", "strategy_parameters"].map(|block| format!("/{block}/{symbol}/{key}"))
        };
        match self.key.split_once('.') {
            Some((first, key)) if symbols.iter().any(|s| s.as_str() == first) => of_symbol(first, key).to_vec(),
            Some(_) => vec![format!("/{}", self.key.replace('.', "/"))],
            None => {
                let each = symbols.iter().flat_map(|s| of_symbol(s.as_str(), &self.key));
                let common = ["strategy_parameters", "data_requirements", "risk_management", "execution"];
                let inside = common.map(|block| format!("/{block}/{}", self.key));
                each.chain(inside).chain([format!("/{}", self.key)]).collect()
            }
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<Config> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let config =
        serde_path_to_error::deserialize(&mut reader).map_err(|e| fault(path, &e.path().to_string(), e.inner()))?;
    reader.end().map_err(|e| fault(path, "", &e))?;
    Ok(config)
}

fn typed<P: DeserializeOwned>(value: Value, at: &str) -> Result<P> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let inner = e.path().to_string();
        let path = if inner == "." { at.to_owned() } else { format!("{at}.{inner}") };
        Error::config(format!("{path}: {}", e.inner()))
    })
}

/// serde's message without its own position, which stands in front: `file:line:column`.
fn fault(path: &Path, inside: &str, err: &serde_json::Error) -> Error {
    let text = err.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let what = if matches!(inside, "" | ".") { what } else { format!("{inside}: {what}") };
    let place = match err.line() {
        0 => path.display().to_string(),
        line => format!("{}:{line}:{}", path.display(), err.column()),
    };
    Error::config(what).at(place).help("compare with the configs under deployed/")
}

/// Refuses a number outside `low..=high`.
fn within(path: &str, value: f64, low: f64, high: f64, unit: &str) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let low = if low == f64::MIN_POSITIVE { "more than 0".to_owned() } else { low.to_string() };
    Err(Error::config(format!("{path} is {value}, allowed are {low} to {high} {unit}")))
}

fn exactly(path: &str, value: &str, only: &str) -> Result<()> {
    if value == only {
        return Ok(());
    }
    Err(Error::config(format!("{path} is `{value}`, allowed is `{only}`"))
        .help("a replay and its service know nothing else; other values would be ignored"))
}

fn named(path: &str, text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::config(format!("{path} is empty")));
    }
    Ok(())
}
