//! The candidate beside what is deployed: session by session, on the same bars and costs.
//!
//! The same code replays the deployed parameters; other code is compared with the returns that
//! were kept of it, if bars and costs are the same. What can't be paired is inconclusive, never
//! a pass. Not inferior: the lower bound of the difference of Sharpe ratios (Ledoit & Wolf 2008,
//! studentised bootstrap of joint sessions) is at most the margin below zero.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::digest::Subject;
use super::verdict::{Check, Group, Status};
use crate::archive::Archive;
use crate::bar::{Date, Symbol};
use crate::config::document::Document;
use crate::config::{Config, Levels, NonInferiority, Period};
use crate::costs::Costs;
use crate::disk::hash::sha256_hex;
use crate::disk::map;
use crate::disk::write::write_whole;
use crate::error::{Error, Result, codes};
use crate::metrics::{Measure, SESSIONS_PER_YEAR, session_returns};
use crate::registry::AnyStrategy;
use crate::replay::Replay;
use crate::research::backtest::{Change, Request, Run};
use crate::stats::paired::ledoit_wolf_bootstrap;
use crate::stats::{bootstrap, sharpe};

/// Fewer common sessions tell nothing.
const LEAST_SESSIONS: usize = 30;
/// Resamples of the interval.
const RESAMPLES: usize = 999;
/// Probability with which a fall is to be seen.
const POWER: f64 = 0.80;
const LARGEST: u64 = 64 << 20;
const SCHEMA_VERSION: u32 = 1;
/// Name of its check.
pub(super) const CHECK: &str = "sharpe_vs_deployed";

/// What is deployed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    schema_version: u32,
    /// SHA-256 over all fields but this one and the verdict's digest, which covers it.
    pub sha256: String,
    /// The strategy.
    pub strategy: String,
    /// What was judged.
    pub subject: Subject,
    /// The digest of its verdict.
    pub verdict: String,
    /// The ledger's heads that it was judged with: no trial that was known then may be forgotten.
    pub heads: Vec<String>,
    /// The text of its config.
    pub config: String,
    /// What it did in each period.
    pub periods: Vec<Deployed>,
}

/// What the deployed strategy did in one period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployed {
    /// The period.
    pub period: Period,
    /// What its fills cost.
    pub costs: Costs,
    /// Hash of each symbol's bars.
    pub data: BTreeMap<Symbol, String>,
    /// Session returns.
    pub returns: Vec<(Date, f64)>,
}

/// How the candidate compares with what is deployed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
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
        }
    }
}

impl Baseline {
    /// The baseline of a strategy below `root`; none, if nothing is deployed yet.
    ///
    /// # Errors
    /// Refused if it isn't what it should be.
    pub fn read(root: &Path, strategy: &str) -> Result<Option<Self>> {
        let path = Self::path(root, strategy);
        if !path.exists() {
            return Ok(None);
        }
        Self::read_file(&path, strategy).map(Some)
    }

    /// As [`Baseline::read`], of one file.
    ///
    /// # Errors
    /// Refused if it isn't what it should be.
    pub fn read_file(path: &Path, strategy: &str) -> Result<Self> {
        let bytes = map::bytes_up_to(path, LARGEST).map_err(|e| e.recode(codes::BAD_BASELINE))?;
        Self::parse(path, &bytes, strategy)
    }

    /// As [`Baseline::read_file`], of bytes at hand.
    pub(crate) fn parse(path: &Path, bytes: &[u8], strategy: &str) -> Result<Self> {
        let bad = |what: String| Error::new(codes::BAD_BASELINE, what).at(path.display());
        let baseline: Self = serde_json::from_slice(bytes).map_err(|e| bad(format!("no baseline: {e}")))?;
        if baseline.schema_version != SCHEMA_VERSION {
            return Err(bad(format!("form {} of a baseline, known is {SCHEMA_VERSION}", baseline.schema_version)));
        }
        if baseline.strategy != strategy {
            return Err(bad(format!("a baseline of {}, not of {strategy}", baseline.strategy)));
        }
        let config = sha256_hex(baseline.config.as_bytes());
        if baseline.subject.hash() != baseline.subject.sha256 || baseline.subject.config != config {
            return Err(bad("its subject or its config was altered".to_owned()));
        }
        if baseline.hash() != baseline.sha256 {
            return Err(bad("it was altered: its hash isn't that of its contents".to_owned()));
        }
        Ok(baseline)
    }

    /// Where the baseline of a strategy is.
    pub fn path(root: &Path, strategy: &str) -> PathBuf {
        root.join(format!("{strategy}.json"))
    }

    /// What the candidate would be as a baseline.
    pub(super) fn new(
        strategy: &str,
        subject: Subject,
        heads: Vec<String>,
        document: &Document,
        runs: &[(Period, &Run)],
    ) -> Self {
        let deployed = |(period, run): &(Period, &Run)| Deployed {
            period: period.clone(),
            costs: run.costs,
            data: run.data.clone(),
            returns: dated(&run.replay),
        };
        let baseline = Self {
            schema_version: SCHEMA_VERSION,
            sha256: String::new(),
            strategy: strategy.to_owned(),
            subject,
            verdict: String::new(),
            heads,
            config: document.text.clone(),
            periods: runs.iter().map(deployed).collect(),
        };
        baseline.sealed()
    }

    /// The same with the hash of its contents.
    pub(crate) fn sealed(self) -> Self {
        Self { sha256: self.hash(), ..self }
    }

    fn hash(&self) -> String {
        let rest = Self { sha256: String::new(), verdict: String::new(), ..self.clone() };
        sha256_hex(serde_json::to_string(&rest).unwrap_or_default().as_bytes())
    }

    /// Writes it.
    ///
    /// # Errors
    /// Usage error if that isn't possible.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(self).unwrap_or_default() + "\n";
        write_whole(path, text.as_bytes(), 0o644)
            .map_err(|e| Error::new(codes::CANNOT_WRITE, format!("can't write: {e}")).at(path.display()))
    }
}

fn dated(replay: &Replay) -> Vec<(Date, f64)> {
    replay.equity.iter().map(|e| e.0).zip(session_returns(replay)).collect()
}

/// Who is compared, on what.
pub(super) struct Pair<'a> {
    pub(super) strategy: &'a dyn AnyStrategy,
    pub(super) archive: &'a Archive,
    pub(super) config: &'a Config,
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
            let check = check(Measure::Undefined(NOT_PAIRED), None, Status::Inconclusive);
            let comparison = Comparison { policy_differs, ..Comparison::none(why, subject.clone()) };
            Paired { comparison, check: Some(check), returns: Vec::new() }
        };
        let Some(rule) = self.config.performance_criteria.baseline else {
            return unpaired("performance_criteria.baseline gives no margin".to_owned());
        };
        let (how, returns) = match self.deployed_returns(baseline) {
            Ok(found) => found,
            Err(why) => return unpaired(why),
        };
        match compare(&dated(&self.run.replay), &returns, rule, self.config.performance_criteria.seed()) {
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
        let document = Document::parse(&self.config.path, baseline.config.clone(), &[])?;
        let document = self.strategy.check(document)?;
        let mut config = document.config().clone();
        // Common costs: what trading costs is no merit of either.
        config.execution = self.config.execution.clone();
        let request = Request::portfolio(&document, self.archive, self.period.start_date, self.period.end_date);
        self.strategy.replayable(&request)?.vary(&Change { config: Some(&config), ..Change::default() })
    }
}

const NOT_PAIRED: &str = "not paired: see the comparison";

/// Compares dated session returns on their common sessions.
///
/// # Errors
/// Says why they can't be compared.
pub fn compare(
    candidate: &[(Date, f64)],
    deployed: &[(Date, f64)],
    rule: NonInferiority,
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
    let year = SESSIONS_PER_YEAR.sqrt();
    let (lower, upper) = (interval.lower * year, interval.upper * year);
    let status = match () {
        () if lower >= -rule.sharpe_margin => Status::Pass,
        () if upper < -rule.sharpe_margin => Status::Fail,
        () => Status::Inconclusive,
    };
    let seen = sharpe::detectable(interval.standard_error, rule.confidence, POWER).map(|d| d * year);
    let comparison = Comparison {
        sessions: a.len(),
        correlation: correlation(&a, &b),
        difference: Some(interval.difference * year),
        lower: Some(lower),
        upper: Some(upper),
        detectable_fall: seen.map(|seen| rule.sharpe_margin + seen),
        ..Comparison::none("", None)
    };
    let check = check(Measure::new(lower, "no bound"), Some(rule), status);
    let check = Check { estimate: Some(Measure::new(interval.difference * year, "no difference")), ..check };
    Ok((comparison, check))
}

fn check(value: Measure, rule: Option<NonInferiority>, status: Status) -> Check {
    let levels = Levels { fail_below: rule.map(|r| -r.sharpe_margin), ..super::criteria::NO_LEVELS };
    let margin = levels.fail_below.zip(value.value()).map(|(level, value)| value - level);
    let bound = rule.map(|r| super::criteria::bound_name("lower", r.confidence));
    Check { bound, margin, status, ..super::criteria::check(CHECK, Group::Baseline, value, levels) }
}

fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    crate::stats::trials::average_correlation(&[a, b])
}
