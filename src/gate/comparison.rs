//! The candidate beside what is deployed: session by session, on the same bars and costs.
//!
//! The same code replays the deployed parameters; other code is compared with the returns that
//! were kept of it, if bars and costs are the same. What can't be paired is inconclusive, never
//! a pass. Not inferior: the lower bound of the difference of Sharpe ratios (Ledoit & Wolf 2008,
//! studentised bootstrap of joint sessions) is at most the margin below zero.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::baseline::{Baseline, dated};
use super::check::{Check, Group, bound_name};
use super::subject::Subject;
use crate::archive::Archive;
use crate::bar::{Date, Symbol};
use crate::config::document::Document;
use crate::config::{Complete, Levels, NonInferiority, Period};
use crate::error::Result;
use crate::metrics::{Cause, Measure};
use crate::registry::AnyStrategy;
use crate::replay::Replay;
use crate::research::backtest::{Change, Request, Run};
use crate::stats::paired::{chance_to_pass, ledoit_wolf_bootstrap};
use crate::stats::{bootstrap, sharpe, trials};

/// Fewer common sessions tell nothing.
const LEAST_SESSIONS: usize = 30;
/// Resamples of the interval.
const RESAMPLES: usize = 999;
/// Probability with which a fall is to be seen.
const POWER: f64 = 0.80;
/// Name of its check.
pub(super) const CHECK: &str = "sharpe_vs_deployed";

/// How the candidate compares with what is deployed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// How it was compared, or why not.
    pub how: String,
    /// Subject of what is deployed.
    pub subject: Option<String>,
    /// Whether criteria, margin or seed differ from those that what is deployed was judged by.
    pub policy_differs: bool,
    /// Common sessions.
    pub sessions: usize,
    /// Correlation of session returns.
    pub correlation: Option<f64>,
    /// Candidate's Sharpe ratio less the deployed one's, a year.
    pub difference: Option<f64>,
    /// Lower bound of it.
    pub lower: Option<f64>,
    /// Upper bound of it.
    pub upper: Option<f64>,
    /// Fall of the Sharpe ratio, a year, that fails with a probability of 80 %.
    pub detectable_fall: Option<f64>,
    /// Probability that a candidate just as good as the deployed one passes.
    pub equal_passes: Option<f64>,
}

impl Comparison {
    /// No comparison, for a reason.
    pub(super) fn none(how: impl Into<String>, subject: Option<String>) -> Self {
        Self {
            how: how.into(),
            subject,
            policy_differs: false,
            sessions: 0,
            correlation: None,
            difference: None,
            lower: None,
            upper: None,
            detectable_fall: None,
            equal_passes: None,
        }
    }
}

/// Who is compared, on what.
pub(super) struct Pair<'a> {
    pub(super) strategy: &'a dyn AnyStrategy,
    pub(super) archive: &'a Archive,
    pub(super) document: &'a Complete,
    pub(super) subject: &'a Subject,
    pub(super) period: &'a Period,
    pub(super) run: &'a Run,
}

/// What a comparison leaves.
pub(super) struct Paired {
    pub(super) comparison: Comparison,
    /// None for a first release.
    pub(super) check: Option<Check>,
    /// What the deployed strategy returned, by session.
    pub(super) returns: Vec<(Date, f64)>,
}

impl Pair<'_> {
    pub(super) fn compare(&self, deployed: Option<&Baseline>) -> Paired {
        let Some(baseline) = deployed else {
            let comparison = Comparison::none("first release: nothing is deployed to compare with", None);
            return Paired { comparison, check: None, returns: Vec::new() };
        };
        let subject = Some(baseline.subject.sha256.clone());
        let policy_differs = baseline.subject.policy != self.subject.policy;
        let unpaired = |why: String| {
            let check = check(Measure::Undefined(Cause::NotPaired), None);
            let comparison = Comparison { policy_differs, ..Comparison::none(why, subject.clone()) };
            Paired { comparison, check: Some(check), returns: Vec::new() }
        };
        let Some(rule) = self.document.deployment().performance_criteria.baseline else {
            return unpaired("performance_criteria.baseline gives no margin".to_owned());
        };
        let (how, returns) = match self.deployed_returns(baseline) {
            Ok(found) => found,
            Err(why) => return unpaired(why),
        };
        let per_year = self.run.replay.returns_per_year;
        match compare(&dated(&self.run.replay), &returns, (rule, per_year), self.subject.seed) {
            Ok((comparison, check)) => {
                let comparison = Comparison { how, subject, policy_differs, ..comparison };
                Paired { comparison, check: Some(check), returns }
            }
            Err(why) => unpaired(why),
        }
    }

    /// What the deployed strategy returned in this period, and how that is known.
    fn deployed_returns(&self, baseline: &Baseline) -> std::result::Result<(String, Vec<(Date, f64)>), String> {
        if baseline.subject.bundle == self.subject.bundle {
            let replay = self
                .replay(baseline)
                .map_err(|e| format!("the deployed parameters can't be replayed: {}", e.what()))?;
            let how = match baseline.periods.iter().all(|d| d.costs == self.run.costs) {
                true => "same code: the deployed parameters were replayed",
                false => "same code: the deployed parameters were replayed, at the candidate's costs, which are others",
            };
            return Ok((how.to_owned(), dated(&replay)));
        }
        let of_period = baseline.periods.iter().find(|d| d.period.name == self.period.name);
        let Some(stored) = of_period.or(baseline.periods.first()) else {
            return Err("other code, and no returns of the deployed one were kept".to_owned());
        };
        if stored.costs != self.run.costs {
            return Err("other code, and the deployed returns were kept at other costs".to_owned());
        }
        let differ = |(symbol, hash): &(&Symbol, &String)| self.run.data.get(symbol).is_some_and(|h| h != *hash);
        if let Some((symbol, _)) = stored.data.iter().find(differ) {
            return Err(format!("other code, and the bars of {symbol} are others than the deployed one saw"));
        }
        Ok(("other code: paired with the returns kept of the deployed one".to_owned(), stored.returns.clone()))
    }

    /// The deployed parameters and symbols, on this period at the candidate's costs.
    fn replay(&self, baseline: &Baseline) -> Result<Replay> {
        let document = Document::parse(&self.document.path, baseline.config.clone(), &[])?;
        let document = self.strategy.check(document)?;
        let mut config = document.config().clone();
        // Common costs: what trading costs is no merit of either.
        config.execution = self.document.config().execution.clone();
        let request = Request::portfolio(&document, self.archive, self.period.start_date, self.period.end_date);
        self.strategy.replayable(&request)?.vary(&Change { config: Some(&config), ..Change::default() })
    }
}

/// Compares dated session returns on their common sessions.
///
/// # Errors
/// Says why they can't be compared.
pub fn compare(
    candidate: &[(Date, f64)],
    deployed: &[(Date, f64)],
    (rule, per_year): (NonInferiority, f64),
    seed: u64,
) -> std::result::Result<(Comparison, Check), String> {
    let by_date: BTreeMap<Date, f64> = deployed.iter().copied().collect();
    let common = candidate.iter().filter_map(|(date, r)| Some((*r, *by_date.get(date)?)));
    let (a, b): (Vec<f64>, Vec<f64>) = common.unzip();
    if a.len() < LEAST_SESSIONS {
        return Err(format!("{} common sessions are fewer than {LEAST_SESSIONS}", a.len()));
    }
    let block =
        [&a, &b].iter().filter_map(|s| bootstrap::optimal_block_length(s)).map(|b| b.circular).fold(1.0, f64::max);
    let block = (block.round() as usize).clamp(1, a.len() / 4);
    let two_sided = 2.0 * rule.confidence - 1.0;
    let interval = ledoit_wolf_bootstrap(&a, &b, block, RESAMPLES, seed, two_sided)
        .ok_or_else(|| "a Sharpe ratio is undefined: the returns don't vary".to_owned())?;
    let year = per_year.sqrt();
    let (lower, upper) = (interval.lower * year, interval.upper * year);
    let seen = sharpe::detectable(interval.standard_error, rule.confidence, POWER).map(|d| d * year);
    let comparison = Comparison {
        sessions: a.len(),
        correlation: correlation(&a, &b),
        difference: Some(interval.difference * year),
        lower: Some(lower),
        upper: Some(upper),
        detectable_fall: seen.map(|seen| rule.sharpe_margin + seen),
        equal_passes: chance_to_pass(interval.standard_error * year, rule.sharpe_margin, rule.confidence),
        ..Comparison::none("", None)
    };
    let check = check(Measure::new(lower, Cause::NoBound), Some(rule));
    let estimate = Some(Measure::new(interval.difference * year, Cause::NoDifference));
    Ok((comparison, Check { estimate, opposite: Some(upper), ..check }.derived()))
}

fn check(value: Measure, rule: Option<NonInferiority>) -> Check {
    let levels = Levels { fail_below: rule.map(|r| -r.sharpe_margin), ..Levels::NONE };
    let bound = rule.map(|r| bound_name("lower", r.confidence));
    Check { bound, ..Check::new(CHECK, Group::Baseline, value, levels) }
}

fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    trials::average_correlation(&[a, b])
}
