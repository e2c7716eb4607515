//! What the gate demands: periods, and levels by figure.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bar::Date;
use crate::metrics::{Measure, Metrics};

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
