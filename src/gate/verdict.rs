//! What the gate answers, as data. Everything here goes into `verdict.json`, and reads back from it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::causality::Causality;
use super::changes::Changed;
use super::check::{Acknowledgement, Check, Group, Status, TRIAL_NOT_COMMITTED};
use super::comparison::Comparison;
use super::digest;
use super::evidence::Power;
use super::luck::Luck;
use super::policy::Policy;
use super::robustness::Robustness;
use super::skill::Skill;
use super::subject::Subject;
use crate::archive::SYNTHETIC;
use crate::bar::{Date, Symbol};
use crate::calendar::Calendar;
use crate::config::Period;
use crate::error::{Error, ErrorKind, Result, codes};
use crate::finding::{Finding, Severity};
use crate::holdout::Seen;
use crate::metrics::{Measure, Metrics, Profile};

/// Something the config says of the strategy, and what the replay shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Expectation {
    /// Its path in the config.
    pub path: String,
    /// What the config says.
    pub expected: f64,
    /// What happened.
    pub value: Measure,
}

/// One period of one strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PeriodVerdict {
    /// The period.
    #[serde(flatten)]
    pub period: Period,
    /// Worst of its checks.
    pub status: Status,
    /// Every criterion.
    pub checks: Vec<Check>,
    /// What the history can show.
    pub power: Power,
    /// All metrics.
    pub metrics: Metrics,
    /// Figures of the whole run that a sweep doesn't have.
    pub profile: Profile,
    /// Beside what is deployed.
    pub baseline: Comparison,
    /// What it adds to being in the market.
    pub skill: Skill,
    /// Under other circumstances.
    pub robustness: Robustness,
    /// Decisions without the future.
    pub causality: Causality,
    /// Symbols replayed.
    pub symbols: Vec<Symbol>,
    /// Where the bars come from.
    pub provenance: Vec<String>,
    /// SHA-256 of the bars used.
    pub data_sha256: String,
    /// Slippage charged, basis points per side.
    pub slippage_bps: f64,
    /// Entries refused by account limits.
    pub gate_blocks: Vec<(String, u64)>,
    /// What the config expects beside what happened; a difference is news, not a failure.
    pub expectations: Vec<Expectation>,
    /// What an audit finds in the bars used. An error among them blocks, whatever the criteria.
    pub data_findings: Vec<DataFinding>,
    /// What can't be answered here: never passed, only not evaluable.
    pub not_evaluable: Vec<String>,
    /// How much of the period trials have seen; none, if the ledger wasn't asked.
    pub seen: Option<Seen>,
    /// Figures of luck and robustness for which the config has no criterion.
    pub not_demanded: Vec<String>,
}

impl PeriodVerdict {
    /// Whether its bars are not to be trusted.
    pub fn is_blocked(&self) -> bool {
        self.checks.iter().any(|c| c.group == Group::Data && c.status == Status::Error)
    }

    /// The same with every result that follows from its figures and from what was accepted.
    fn derived(self, accepts: impl Fn(&Acknowledgement) -> bool, all: &[Acknowledgement]) -> Self {
        let Self { period, checks, .. } = self;
        let accepted = |check: &Check| {
            let holds = |a: &&Acknowledgement| a.check == check.metric && a.period == period.name && accepts(a);
            if check.may_be_accepted() { all.iter().find(holds).cloned() } else { None }
        };
        let judged = |check: Check| {
            let check = Check { acknowledged: None, ..check }.derived();
            Check { acknowledged: accepted(&check), ..check }
        };
        let checks: Vec<Check> = checks.into_iter().map(judged).collect();
        let status = checks.iter().map(Check::counts_as).max().unwrap_or(Status::Fail);
        Self { period, checks, status, ..self }
    }
}

/// A finding of the audit, as reports show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DataFinding {
    /// Its stable code.
    pub code: String,
    /// Whether it blocks.
    pub severity: Severity,
    /// Symbol, bar width and day.
    pub subject: String,
    /// What was found.
    pub what: String,
    /// What to do.
    pub help: String,
}

impl From<&Finding> for DataFinding {
    fn from(f: &Finding) -> Self {
        let (subject, what, help) = (f.subject.clone(), f.what.clone(), f.help.clone());
        Self { code: f.code.slug().to_owned(), severity: f.severity, subject, what, help }
    }
}

/// Why a strategy could not be judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// The error's stable code.
    pub code: String,
    /// What is wrong and where.
    pub message: String,
    /// What to try.
    pub help: String,
    /// The exit code of this failure.
    pub exit_code: u8,
}

impl From<&Error> for Refusal {
    fn from(err: &Error) -> Self {
        Self {
            code: err.code().slug().to_owned(),
            message: err.to_string(),
            help: err.suggestion().to_owned(),
            exit_code: err.exit_code(),
        }
    }
}

/// One strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StrategyVerdict {
    /// Its name.
    pub strategy: String,
    /// Its config.
    pub config: PathBuf,
    /// SHA-256 over the subject's and all other fields but this one and the config's path.
    pub digest: String,
    /// SHA-256 of what this would be as a baseline; none, if nothing was judged.
    pub baseline_sha256: Option<String>,
    /// What was judged; none, if its config can't be read.
    pub subject: Option<Subject>,
    /// Worst of its periods.
    pub status: Status,
    /// Whether any bar is synthetic: such a verdict never authorises production.
    pub synthetic: bool,
    /// What was tried, from the ledger.
    pub ledger: Option<Luck>,
    /// Every period.
    pub periods: Vec<PeriodVerdict>,
    /// The policy that it was judged by: the stricter, key by key, of the one at hand and the deployed one.
    pub policy: Option<Policy>,
    /// What differs in the config from the deployed one.
    pub changed: Vec<Changed>,
    /// Failures that somebody accepted; those that expired no longer count.
    pub acknowledgements: Vec<Acknowledgement>,
    /// Why it could not be judged.
    pub error: Option<Refusal>,
}

impl StrategyVerdict {
    /// The digest that its contents make.
    pub(super) fn hash(&self) -> String {
        digest::digest(&json!(self))
    }

    /// Mean and deviation of session returns, by the last period that was judged.
    pub fn expected_returns(&self) -> Option<(f64, f64)> {
        let metrics = &self.periods.last()?.metrics;
        let (sharpe, volatility) = (metrics.sharpe.value()?, metrics.volatility.value()?);
        let year = Calendar::Xnys.sessions_per_year();
        Some((sharpe * volatility / year, volatility / year.sqrt()))
    }

    /// The same with all that follows from the rest: results of checks, periods and strategy, and whether bars are
    /// synthetic. Words that somebody wrote there count for nothing.
    #[must_use]
    pub(super) fn derived(self) -> Self {
        let Self { policy, subject, acknowledgements, .. } = self;
        let accepts = |one: &Acknowledgement| {
            !one.expired
                && subject.as_ref().is_some_and(|s| s.config == one.config_sha256)
                && policy.as_ref().is_none_or(|policy| policy.lets_accept(one))
        };
        let periods: Vec<PeriodVerdict> =
            self.periods.into_iter().map(|period| period.derived(accepts, &acknowledgements)).collect();
        let worst = periods.iter().map(|period| period.status).max().unwrap_or(Status::Error);
        let status = if self.error.is_some() { Status::Error } else { worst };
        let synthetic = periods.iter().flat_map(|period| &period.provenance).any(|p| p == SYNTHETIC);
        Self { policy, subject, acknowledgements, periods, status, synthetic, ..self }
    }

    /// Whether it was asked whether its own trials stand in the committed ledger.
    pub fn asks_for_commit(&self) -> bool {
        let asked = |period: &PeriodVerdict| period.checks.iter().any(|c| c.metric == TRIAL_NOT_COMMITTED);
        !self.periods.is_empty() && self.periods.iter().all(asked)
    }

    /// Subjects of what was deployed when this was judged, by period.
    pub fn deployed_then(&self) -> Vec<Option<&str>> {
        self.periods.iter().map(|period| period.baseline.subject.as_deref()).collect()
    }

    /// Refuses a strategy whose verdict doesn't allow it to be deployed today.
    ///
    /// # Errors
    /// Refused, with its status.
    pub fn check_deploys(&self, today: Date) -> Result<()> {
        if let Some(day) = accepted_until([self]).filter(|day| *day < today) {
            return Err(Error::new(codes::VERDICT_FORBIDS, format!("it rests on what was accepted until {day}")));
        }
        if self.status.deploys() {
            return Ok(());
        }
        let what = format!("the verdict of {} is {}", self.strategy, self.status.name());
        Err(Error::new(codes::VERDICT_FORBIDS, what))
    }

    fn exit_code(&self) -> u8 {
        match (&self.error, self.status) {
            (Some(refusal), _) => refusal.exit_code,
            (None, _) if self.periods.iter().any(PeriodVerdict::is_blocked) => ErrorKind::Data.exit_code(),
            (None, Status::Pass | Status::Warn) => 0,
            (None, Status::Inconclusive) => INCONCLUSIVE,
            (None, _) => 1,
        }
    }
}

/// Exit code of a verdict that the history doesn't allow.
const INCONCLUSIVE: u8 = 4;

/// Version of the verdict's JSON.
const SCHEMA_VERSION: u32 = 3;

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Version of this JSON.
    pub schema_version: u32,
    /// SHA-256 over the strategies' digests and all other fields here.
    pub digest: String,
    /// Worst of the strategies.
    pub status: Status,
    /// Exit code: 2 before 3 before 8 before 1 before 4 before 0.
    pub exit_code: u8,
    /// Whether any bar is synthetic.
    pub synthetic: bool,
    /// Every strategy, by name.
    pub strategies: Vec<StrategyVerdict>,
}

impl Verdict {
    /// Joins the strategies' verdicts.
    pub fn new(mut strategies: Vec<StrategyVerdict>) -> Self {
        strategies.sort_by(|a, b| a.strategy.cmp(&b.strategy));
        let status = strategies.iter().map(|s| s.status).max().unwrap_or(Status::Error);
        let codes: Vec<u8> = strategies.iter().map(StrategyVerdict::exit_code).collect();
        // Without a strategy nothing was judged: a usage error.
        let none = if strategies.is_empty() { 2 } else { 0 };
        let exit_code = [2, 3, 8, 1, INCONCLUSIVE].into_iter().find(|code| codes.contains(code)).unwrap_or(none);
        let synthetic = strategies.iter().any(|s| s.synthetic);
        let mut verdict =
            Self { schema_version: SCHEMA_VERSION, digest: String::new(), status, exit_code, synthetic, strategies };
        verdict.digest = verdict.hash();
        verdict
    }

    /// The digest that its contents make.
    pub(super) fn hash(&self) -> String {
        digest::whole(&json!(self))
    }

    /// The verdict of one strategy.
    pub fn strategy(&self, name: &str) -> Option<&StrategyVerdict> {
        self.strategies.iter().find(|one| one.strategy == name)
    }

    /// A day on which the same acknowledgements held as when this was judged; none, if any day is.
    pub fn same_day(&self) -> Option<Date> {
        accepted_until(&self.strategies)
    }
}

/// The last day on which everything holds that was accepted for verdicts.
fn accepted_until<'v>(verdicts: impl IntoIterator<Item = &'v StrategyVerdict>) -> Option<Date> {
    let accepted = verdicts.into_iter().flat_map(|one| &one.acknowledgements);
    accepted.filter(|a| !a.expired).map(|a| a.expires).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: Status, exit: Option<u8>) -> StrategyVerdict {
        let error = exit.map(|exit_code| Refusal {
            code: "io".to_owned(),
            message: String::new(),
            help: String::new(),
            exit_code,
        });
        StrategyVerdict {
            strategy: String::new(),
            config: PathBuf::new(),
            digest: String::new(),
            baseline_sha256: None,
            subject: None,
            status,
            synthetic: false,
            ledger: None,
            periods: Vec::new(),
            policy: None,
            changed: Vec::new(),
            acknowledgements: Vec::new(),
            error,
        }
    }

    #[test]
    fn the_exit_code_is_the_gravest_cause() {
        let pass = || verdict(Status::Pass, None);
        let fail = || verdict(Status::Fail, None);
        let unsure = || verdict(Status::Inconclusive, None);
        let error = |code| verdict(Status::Error, Some(code));
        for (all, code) in [
            (vec![pass(), verdict(Status::Warn, None)], 0),
            (vec![pass(), unsure()], 4),
            (vec![unsure(), fail()], 1),
            (vec![fail(), error(3)], 3),
            (vec![error(3), error(2), fail()], 2),
            (vec![fail(), error(8)], 8),
            (vec![], 2),
        ] {
            assert_eq!(Verdict::new(all).exit_code, code);
        }
    }
}
