//! What the gate demands: periods, and levels by figure.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::bar::{Date, Symbol};
use crate::metrics::{CRITERIA, Measure, PROFILE};

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
    /// Symbol that stands for the market, for alpha against it; the archive needs its daily bars.
    pub market: Option<Symbol>,
    /// Has no effect: the seed of resampling and of random cuts follows from the strategy's name.
    #[schemars(extend("minimum" = 0, "maximum" = 4_294_967_295_u32))]
    pub seed: Option<u32>,
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

impl Levels {
    /// No level at all.
    pub const NONE: Self =
        Self { fail_below: None, warn_below: None, fail_above: None, warn_above: None, confidence: None };
    /// Fails above 0.
    pub const NONE_ALLOWED: Self = Self { fail_above: Some(0.0), ..Self::NONE };

    /// The same with what another has beside it.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            fail_below: self.fail_below.or(other.fail_below),
            warn_below: self.warn_below.or(other.warn_below),
            fail_above: self.fail_above.or(other.fail_above),
            warn_above: self.warn_above.or(other.warn_above),
            confidence: self.confidence.or(other.confidence),
        }
    }
}

/// One set of levels a figure, each in the figure's own range.
fn criteria_by_metric(generator: &mut SchemaGenerator) -> Schema {
    let levels = Levels::json_schema(generator).to_value();
    let of_replays = CRITERIA.iter().map(|c| {
        let levels = levels_within(levels.clone(), c.range, c.unit);
        (c.figure.name.to_owned(), if c.resampled.is_some() { levels } else { without_confidence(levels) })
    });
    let of_gate = gate_criteria()
        .map(|c| (c.name.to_owned(), without_confidence(levels_within(levels.clone(), c.range, c.unit))));
    let of_runs =
        PROFILE.iter().map(|c| (c.name.to_owned(), without_confidence(levels_within(levels.clone(), c.range, c.unit))));
    let properties: Map<String, Value> = of_replays.chain(of_runs).chain(of_gate).collect();
    json_schema!({"type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1})
}

/// The schema of levels for a figure of this range. A level at the end that no value can cross demands nothing.
fn levels_within(mut levels: Value, (low, high): (f64, f64), unit: &str) -> Value {
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
}

/// The same for a figure that has no confidence bound.
fn without_confidence(mut levels: Value) -> Value {
    if let Some(properties) = levels["properties"].as_object_mut() {
        properties.remove("confidence");
    }
    levels
}

/// The figures that one replay doesn't make: the gate works them out of trials, resampling and changed replays.
pub trait GateFigures {
    /// Probabilistic Sharpe ratio.
    fn psr(&self) -> Measure;
    /// Deflated Sharpe ratio.
    fn dsr(&self) -> Measure;
    /// Probability of backtest overfitting.
    fn pbo(&self) -> Measure;
    /// Drawdown that one resample of the sessions in twenty exceeds.
    fn shuffled_drawdown(&self) -> Measure;
    /// Share of shifts of its holding spells that do as well.
    fn timing_p(&self) -> Measure;
    /// t of alpha beside buying and holding its own symbols.
    fn alpha_t(&self) -> Measure;
    /// t of alpha beside the market symbol.
    fn market_alpha_t(&self) -> Measure;
    /// Lower bound of its Sharpe ratio less that of buying and holding its own symbols.
    fn sharpe_over_holding(&self) -> Measure;
    /// Hansen's test of superior predictive ability over the kept trials.
    fn spa_p(&self) -> Measure;
    /// Sharpe ratio out of sample of the worst walk-forward.
    fn walk_forward_sharpe(&self) -> Measure;
    /// Return out of sample of the same.
    fn walk_forward_return(&self) -> Measure;
    /// Sharpe ratio at twice the costs.
    fn sharpe_at_double_costs(&self) -> Measure;
    /// Slippage a side, basis points, at which nothing is won.
    fn break_even_bps(&self) -> Measure;
    /// Lowest Sharpe ratio without one of the symbols.
    fn sharpe_without_a_symbol(&self) -> Measure;
    /// Lowest Sharpe ratio without one of the years.
    fn sharpe_without_a_year(&self) -> Measure;
    /// Lowest Sharpe ratio of the regimes that are long enough.
    fn sharpe_in_worst_regime(&self) -> Measure;
    /// Lowest mean Sharpe ratio a step away of one of the parameters.
    fn sharpe_of_neighbours(&self) -> Measure;
}

/// A figure of the gate that a criterion may name.
#[derive(Debug)]
pub struct GateCriterion {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub of: fn(&dyn GateFigures) -> Measure,
    /// Least and greatest value that a level can sensibly have.
    pub range: (f64, f64),
    /// What the number means.
    pub unit: &'static str,
}

/// The figures of luck and resampling.
pub const STATISTICS: &[GateCriterion] = &[
    gate_criterion("psr", |f| f.psr(), (0.0, 1.0), "probability that the true Sharpe ratio is above 0"),
    gate_criterion(
        "dsr",
        |f| f.dsr(),
        (0.0, 1.0),
        "probability that it is above what the best of the trials shows by luck",
    ),
    gate_criterion(
        "pbo",
        |f| f.pbo(),
        (0.0, 1.0),
        "probability that the best point of a sweep is below the median afterwards",
    ),
    gate_criterion(
        "shuffled_drawdown",
        |f| f.shuffled_drawdown(),
        (-1.0, 0.0),
        "as a negative fraction, exceeded in 5 % of the resamples of its sessions",
    ),
    gate_criterion(
        "timing_p",
        |f| f.timing_p(),
        (0.0, 1.0),
        "probability that the same holding spells at other times do as well",
    ),
    gate_criterion("alpha_t", |f| f.alpha_t(), (-100.0, 100.0), "t of alpha beside buying and holding its own symbols"),
    gate_criterion("market_alpha_t", |f| f.market_alpha_t(), (-100.0, 100.0), "t of alpha beside the market symbol"),
    gate_criterion(
        "sharpe_over_holding",
        |f| f.sharpe_over_holding(),
        (-100.0, 100.0),
        "a year, lower 95 % bound of the difference from buying and holding its own symbols",
    ),
    gate_criterion(
        "spa_p",
        |f| f.spa_p(),
        (0.0, 1.0),
        "probability that the best of the kept trials is this good by luck",
    ),
    gate_criterion(
        "walk_forward_sharpe",
        |f| f.walk_forward_sharpe(),
        (-100.0, 100.0),
        "a year, out of sample, of the worst walk-forward in the ledger",
    ),
    gate_criterion(
        "walk_forward_return",
        |f| f.walk_forward_return(),
        (-1.0, 1e3),
        "as a fraction, out of sample, of the worst walk-forward in the ledger",
    ),
];

/// The figures of changed replays.
pub const ROBUSTNESS: &[GateCriterion] = &[
    gate_criterion("sharpe_at_double_costs", |f| f.sharpe_at_double_costs(), (-100.0, 100.0), "a year"),
    gate_criterion(
        "break_even_bps",
        |f| f.break_even_bps(),
        (0.0, 1_000.0),
        "basis points of slippage a side at which nothing is won",
    ),
    gate_criterion(
        "sharpe_without_a_symbol",
        |f| f.sharpe_without_a_symbol(),
        (-100.0, 100.0),
        "a year, without the symbol that it needs most",
    ),
    gate_criterion(
        "sharpe_without_a_year",
        |f| f.sharpe_without_a_year(),
        (-100.0, 100.0),
        "a year, without the year that it needs most",
    ),
    gate_criterion("sharpe_in_worst_regime", |f| f.sharpe_in_worst_regime(), (-100.0, 100.0), "a year"),
    gate_criterion(
        "sharpe_of_neighbours",
        |f| f.sharpe_of_neighbours(),
        (-100.0, 100.0),
        "a year, mean a step away of the parameter that it depends on most",
    ),
];

/// Every figure of the gate that a criterion may name.
pub fn gate_criteria() -> impl Iterator<Item = &'static GateCriterion> {
    STATISTICS.iter().chain(ROBUSTNESS)
}

const fn gate_criterion(
    name: &'static str,
    of: fn(&dyn GateFigures) -> Measure,
    range: (f64, f64),
    unit: &'static str,
) -> GateCriterion {
    GateCriterion { name, of, range, unit }
}
