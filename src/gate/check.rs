//! What every check answers with: a figure, its levels and a result.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bar::Date;
use crate::config::Levels;
use crate::metrics::{Cause, Measure};

/// Figures without a value because nothing was tried or deployed that they could be taken from: the history can't tell.
const UNSURE: [Cause; 5] =
    [Cause::NoSweep, Cause::NoSharedReturns, Cause::NoWalkForward, Cause::WalkForwardUnfinished, Cause::NotPaired];
/// Name of the check that a trial stands in the committed ledger. Nobody may accept that it doesn't: a commit settles it.
pub const TRIAL_NOT_COMMITTED: &str = "trial-not-committed";

/// Result of one criterion, one period, one strategy or everything; worse is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// All levels hold.
    Pass,
    /// All fail levels hold, a warn level doesn't; or a failure was acknowledged.
    Warn,
    /// The history can't tell.
    Inconclusive,
    /// A fail level doesn't hold, or there is nothing to judge.
    Fail,
    /// It could not be judged: see the error.
    Error,
}

impl Status {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Fail => "FAIL",
            Self::Error => "ERROR",
        }
    }

    /// Whether what was judged may be deployed.
    pub fn deploys(self) -> bool {
        self <= Self::Warn
    }
}

/// What kind of question a check answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// One replay's figures.
    Point,
    /// Luck and uncertainty.
    Statistics,
    /// Against what is deployed.
    Baseline,
    /// Under other circumstances.
    Robustness,
    /// Whether decisions depend on the past alone.
    Causality,
    /// What was chosen from.
    Selection,
    /// Whether the bars are to be trusted.
    Data,
    /// The least that the policy demands of every strategy.
    Policy,
    /// What more history, a commit or somebody's word has to settle: inconclusive, not failed.
    Pending,
}

/// A criterion applied to one period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Name of the metric.
    pub metric: String,
    /// What kind of question it answers.
    pub group: Group,
    /// The value compared with the levels.
    pub value: Measure,
    /// The point estimate, where `value` is a confidence bound.
    pub estimate: Option<Measure>,
    /// Which bound `value` is, e.g. `lower 95 %`.
    pub bound: Option<String>,
    /// Monte Carlo error of the bound: the standard error that as many other resamples would give it.
    pub monte_carlo_error: Option<f64>,
    /// Its levels.
    pub levels: Levels,
    /// The other end of the interval of a comparison: unless it crosses the fail level too, the history can't tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opposite: Option<f64>,
    /// What `value` counts, each in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<String>,
    /// Distance to the nearer fail level; negative if it is crossed.
    pub margin: Option<f64>,
    /// Result, before any acknowledgement.
    pub status: Status,
    /// Who accepted a failure, why and until when.
    pub acknowledged: Option<Acknowledgement>,
}

impl Check {
    /// Applies one criterion. Levels are strict: a value at its level holds. What is undefined fails.
    pub(super) fn new(metric: &str, group: Group, value: Measure, levels: Levels) -> Self {
        let check = Self {
            metric: metric.to_owned(),
            group,
            value,
            estimate: None,
            bound: None,
            monte_carlo_error: None,
            levels,
            opposite: None,
            counted: Vec::new(),
            margin: None,
            status: Status::Error,
            acknowledged: None,
        };
        check.derived()
    }

    /// Nothing of this kind may be.
    pub(super) fn none_of(metric: &str, group: Group, counted: Vec<String>) -> Self {
        let value = Measure::Defined(counted.len() as f64);
        Self { counted, ..Self::new(metric, group, value, Levels::NONE_ALLOWED) }
    }

    /// The same with the result and the margin that its value and levels give: neither is ever believed.
    pub(super) fn derived(self) -> Self {
        let value = match self.counted.len() {
            0 => self.value,
            count => Measure::Defined(count as f64),
        };
        let margin = value.value().and_then(|number| margin(number, self.levels));
        let status = self.result(value);
        Self { value, margin, status, ..self }
    }

    fn result(&self, value: Measure) -> Status {
        let number = match value {
            Measure::Defined(number) => number,
            Measure::Undefined(cause) if UNSURE.contains(&cause) => return Status::Inconclusive,
            Measure::Undefined(_) => return Status::Fail,
        };
        let crosses = |number: f64| status_of(number, self.levels) == Status::Fail;
        match (status_of(number, self.levels), self.group) {
            (Status::Fail, Group::Data) => Status::Error,
            (Status::Fail, Group::Pending) => Status::Inconclusive,
            (Status::Fail, Group::Baseline) if self.opposite.is_some_and(|end| !crosses(end)) => Status::Inconclusive,
            (status, _) => status,
        }
    }

    /// Whether somebody may accept its failure: a figure beyond its level, or one that the history doesn't allow.
    /// Nothing proved, a look ahead, bad data and less than the policy demands can't be accepted.
    pub fn may_be_accepted(&self) -> bool {
        if matches!(self.group, Group::Causality | Group::Data | Group::Policy) || self.metric == TRIAL_NOT_COMMITTED {
            return false;
        }
        match self.status {
            Status::Fail => self.value.value().is_some(),
            status => status == Status::Inconclusive,
        }
    }

    /// Its result, an accepted failure being a warning.
    pub fn counts_as(&self) -> Status {
        match self.acknowledged {
            Some(_) => self.status.min(Status::Warn),
            None => self.status,
        }
    }
}

fn status_of(number: f64, levels: Levels) -> Status {
    let below = |level: Option<f64>| level.is_some_and(|l| number < l);
    let above = |level: Option<f64>| level.is_some_and(|l| number > l);
    if below(levels.fail_below) || above(levels.fail_above) {
        Status::Fail
    } else if below(levels.warn_below) || above(levels.warn_above) {
        Status::Warn
    } else {
        Status::Pass
    }
}

/// Distance to the nearer fail level.
fn margin(number: f64, levels: Levels) -> Option<f64> {
    let margins = [levels.fail_below.map(|l| number - l), levels.fail_above.map(|l| l - number)];
    margins.into_iter().flatten().reduce(f64::min)
}

/// The name of a confidence bound, e.g. `lower 95 %`.
pub(super) fn bound_name(side: &str, confidence: f64) -> String {
    format!("{side} {} %", (confidence * 1e6).round() / 1e4)
}

/// Longest time that a failure may be accepted for, days.
pub const LONGEST_DAYS: i32 = 90;

/// One accepted failure or inconclusive result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    /// The check: its metric's name.
    pub check: String,
    /// The period's name.
    pub period: String,
    /// SHA-256 of the config that it was accepted for: another config is another question.
    pub config_sha256: String,
    /// Who accepted it.
    pub who: String,
    /// Why.
    pub why: String,
    /// The day it was accepted.
    pub accepted: Date,
    /// The last day it holds.
    pub expires: Date,
    /// Whether it no longer holds, on the day of the verdict.
    pub expired: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Cause;

    const AT_LEAST: Levels = Levels { fail_below: Some(1.0), warn_below: Some(2.0), ..Levels::NONE };

    #[test]
    fn a_value_at_its_level_holds_and_one_below_does_not() {
        let status = |v| Check::new("sharpe", Group::Point, Measure::Defined(v), AT_LEAST).status;
        assert_eq!(
            [status(0.99), status(1.0), status(1.99), status(2.0)],
            [Status::Fail, Status::Warn, Status::Warn, Status::Pass]
        );
    }

    #[test]
    fn an_undefined_metric_fails_whatever_its_levels() {
        for levels in [AT_LEAST, Levels::NONE] {
            let check = Check::new("sharpe", Group::Point, Measure::Undefined(Cause::NoTrades), levels);
            assert_eq!(check.status, Status::Fail);
        }
    }
}
