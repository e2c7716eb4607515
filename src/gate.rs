//! The gate: criteria over periods, one verdict a strategy. Red unless everything is there.
//!
//! A metric without a value, no trades, a missing symbol, bars that an audit doubts, no
//! criteria or no strategy at all is never a pass.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::archive::Archive;
use crate::backtest::{Request, Run, Scope};
use crate::bar::Symbol;
use crate::calendar;
use crate::config::{CRITERIA, Config, Levels, Period};
use crate::error::{Code, Error, ErrorKind, Result};
use crate::finding::{Finding, Severity};
use crate::metrics::{Measure, Metrics};
use crate::registry::{self, AnyStrategy};
use crate::unit;

/// Result of one criterion, one period, one strategy or everything; worse is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// All levels hold.
    Pass,
    /// All fail levels hold, a warn level doesn't.
    Warn,
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
            Self::Fail => "FAIL",
            Self::Error => "ERROR",
        }
    }
}

/// A criterion applied to one period.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Name of the metric.
    pub metric: &'static str,
    /// Its value.
    pub value: Measure,
    /// Its levels.
    pub levels: Levels,
    /// Distance to the nearer fail level; negative if it is crossed.
    pub margin: Option<f64>,
    /// Result.
    pub status: Status,
}

/// Something the config says of the strategy, and what the replay shows.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Expectation {
    /// Its path in the config.
    pub path: &'static str,
    /// What the config says.
    pub expected: f64,
    /// What happened.
    pub value: Measure,
}

/// Days of a mean Gregorian month.
const DAYS_A_MONTH: f64 = 365.2425 / 12.0;

fn expectations(config: &Config, metrics: &Metrics) -> Vec<Expectation> {
    let days = f64::from(metrics.last_session.0 - metrics.first_session.0 + 1);
    let per_month = metrics.trades as f64 * DAYS_A_MONTH / days;
    let trades = Expectation {
        path: "strategy.expected_trades_per_month",
        expected: config.strategy.expected_trades_per_month,
        value: Measure::new(per_month, "no sessions"),
    };
    let holding = config.execution.avg_hold_time_hours.map(|expected| Expectation {
        path: "execution.avg_hold_time_hours",
        expected,
        value: metrics.avg_holding_hours,
    });
    std::iter::once(trades).chain(holding).collect()
}

/// One period of one strategy.
#[derive(Clone, Debug, Serialize)]
pub struct PeriodVerdict {
    /// The period.
    #[serde(flatten)]
    pub period: Period,
    /// Worst of its checks.
    pub status: Status,
    /// Every criterion.
    pub checks: Vec<Check>,
    /// All metrics.
    pub metrics: Metrics,
    /// Symbols replayed.
    pub symbols: Vec<Symbol>,
    /// Where the bars come from.
    pub provenance: Vec<String>,
    /// SHA-256 of the bars used.
    pub data_sha256: String,
    /// Slippage charged, basis points per side.
    pub slippage_bps: f64,
    /// Entries refused by account limits.
    pub gate_blocks: Vec<(&'static str, u64)>,
    /// What the config expects beside what happened; a difference is news, not a failure.
    pub expectations: Vec<Expectation>,
    /// What an audit finds in the bars used. An error among them blocks, whatever the criteria.
    pub data_findings: Vec<DataFinding>,
    /// Settings that bars can't answer: never passed, only not evaluable.
    pub not_evaluable: Vec<&'static str>,
}

/// A finding of the audit, as reports show it.
#[derive(Clone, Debug, Serialize)]
pub struct DataFinding {
    /// Its stable code.
    pub code: &'static str,
    /// Whether it blocks.
    pub severity: Severity,
    /// Symbol, bar width and day.
    pub subject: String,
    /// What was found.
    pub what: String,
    /// What to do.
    pub help: String,
}

/// Why a strategy could not be judged.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// The error's stable code.
    pub code: &'static str,
    /// What is wrong and where.
    pub message: String,
    /// What to try.
    pub help: String,
    /// The exit code of this failure.
    pub exit_code: u8,
}

/// One strategy.
#[derive(Clone, Debug, Serialize)]
pub struct StrategyVerdict {
    /// Its name.
    pub strategy: String,
    /// Its config.
    pub config: PathBuf,
    /// SHA-256 of the config.
    pub config_sha256: Option<String>,
    /// Worst of its periods.
    pub status: Status,
    /// Whether any bar is synthetic: such a verdict never authorises production.
    pub synthetic: bool,
    /// Every period.
    pub periods: Vec<PeriodVerdict>,
    /// Why it could not be judged.
    pub error: Option<Refusal>,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Version of this JSON.
    pub schema_version: u32,
    /// Worst of the strategies.
    pub status: Status,
    /// Exit code: 2 before 3 before 1 before 0.
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
        let exit_code = [2, 3, 8, 1].into_iter().find(|code| codes.contains(code)).unwrap_or(none);
        let synthetic = strategies.iter().any(|s| s.synthetic);
        Self { schema_version: 1, status, exit_code, synthetic, strategies }
    }
}

impl PeriodVerdict {
    /// Whether its bars are not to be trusted.
    pub fn is_blocked(&self) -> bool {
        self.data_findings.iter().any(|f| f.severity == Severity::Error)
    }
}

impl StrategyVerdict {
    fn exit_code(&self) -> u8 {
        match (&self.error, self.status) {
            (Some(refusal), _) => refusal.exit_code,
            (None, _) if self.periods.iter().any(PeriodVerdict::is_blocked) => ErrorKind::Data.exit_code(),
            (None, Status::Pass | Status::Warn) => 0,
            (None, _) => 1,
        }
    }
}

/// A folder under `deployed/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Name of the folder.
    pub name: String,
    /// Its `config.json`.
    pub config: PathBuf,
}

impl Deployed {
    /// Its systemd unit.
    pub fn unit(&self) -> PathBuf {
        self.config.with_file_name(unit::file_name(&self.name))
    }
}

/// The deployed strategies: every folder of `deployed`, whether or not its config is there.
/// The one way to find them.
///
/// # Errors
/// Config error if there is none.
pub fn discover(deployed: &Path) -> Result<Vec<Deployed>> {
    let entries = std::fs::read_dir(deployed).map_err(|e| {
        Error::new(Code::NoDeployedFolder, format!("can't list the deployed strategies: {e}")).at(deployed.display())
    })?;
    let mut found = Vec::new();
    for entry in entries {
        let folder = entry.map_err(|e| Error::io(deployed, &e))?.path();
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // A link that leads nowhere is a strategy that is missing, not one that was never there.
        if (folder.is_dir() || folder.is_symlink()) && !name.starts_with('.') {
            found.push(Deployed { name, config: folder.join("config.json") });
        }
    }
    if found.is_empty() {
        let what = "no strategy is deployed: there is no */config.json";
        return Err(Error::new(Code::NothingDeployed, what).at(deployed.display()));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Judges one deployed strategy. An error becomes its verdict, so that one broken strategy
/// doesn't hide the others.
pub fn judge(strategies: &[&dyn AnyStrategy], deployed: &Deployed, archive: &Archive) -> StrategyVerdict {
    let mut verdict = StrategyVerdict {
        strategy: deployed.name.clone(),
        config: deployed.config.clone(),
        config_sha256: None,
        status: Status::Error,
        synthetic: false,
        periods: Vec::new(),
        error: None,
    };
    match judge_periods(strategies, deployed, archive, &mut verdict) {
        Ok(()) => verdict.status = verdict.periods.iter().map(|p| p.status).max().unwrap_or(Status::Error),
        Err(err) => verdict.error = Some(refusal(&err)),
    }
    verdict
}

fn refusal(err: &Error) -> Refusal {
    Refusal {
        code: err.code().slug(),
        message: err.to_string(),
        help: err.suggestion().to_owned(),
        exit_code: err.exit_code(),
    }
}

fn judge_periods(
    strategies: &[&dyn AnyStrategy],
    deployed: &Deployed,
    archive: &Archive,
    verdict: &mut StrategyVerdict,
) -> Result<()> {
    let strategy = registry::find(strategies, &deployed.name).map_err(|e| e.at(deployed.config.display()))?;
    let config = strategy.read_config(&deployed.config, &[])?;
    verdict.config_sha256 = Some(config.sha256.clone());
    let criteria = &config.performance_criteria;
    for period in &criteria.periods {
        let request = Request {
            config: &config,
            archive,
            symbols: None,
            scope: Scope::Portfolio,
            hours: None,
            start: period.start_date,
            end: period.end_date,
            slippage_bps: None,
            record: false,
        };
        for run in strategy.backtest(&request)? {
            check_coverage(period, &run).map_err(|e| e.at(archive.folder().display()))?;
            verdict.synthetic |= run.is_synthetic();
            verdict.periods.push(judge_run(period, &criteria.criteria, &config, run));
        }
    }
    Ok(())
}

/// A symbol that covers a part of the period only would be judged on that part alone.
fn check_coverage(period: &Period, run: &Run) -> Result<()> {
    for date in [period.start_date, period.end_date] {
        calendar::check_covered(date)?;
    }
    let mut days = calendar::sessions(period.start_date, period.end_date).map(|s| s.date);
    let Some(first) = days.next() else { return Ok(()) };
    let last = days.last().unwrap_or(first);
    match run.coverage.iter().find(|(_, from, to)| *from > first || *to < last) {
        None => Ok(()),
        Some((symbol, from, to)) => {
            let what = format!("{symbol} covers {from} to {to} of the period {}, {first} to {last}", period.name);
            Err(Error::new(Code::PeriodUncovered, what))
        }
    }
}

fn judge_run(
    period: &Period,
    criteria: &std::collections::BTreeMap<String, Levels>,
    config: &Config,
    run: Run,
) -> PeriodVerdict {
    let named = |metric: &str| criteria.get(metric).copied();
    let mut checks: Vec<Check> =
        CRITERIA.iter().filter_map(|c| Some(check(c.name, (c.of)(&run.metrics), named(c.name)?))).collect();
    if run.metrics.trades == 0 {
        // Whatever else holds: a strategy that never trades has proved nothing.
        checks.retain(|c| c.metric != "trades");
        let levels = Levels { fail_below: Some(1.0), warn_below: None, fail_above: None, warn_above: None };
        checks.push(check("trades", Measure::Undefined("no trades: nothing was proved"), levels));
    }
    let blocked = run.data_findings.iter().any(|f| f.severity == Severity::Error);
    PeriodVerdict {
        period: period.clone(),
        status: if blocked { Status::Error } else { checks.iter().map(|c| c.status).max().unwrap_or(Status::Fail) },
        checks,
        data_findings: run.data_findings.iter().map(DataFinding::from).collect(),
        expectations: expectations(config, &run.metrics),
        metrics: run.metrics,
        symbols: run.symbols,
        provenance: run.provenance,
        data_sha256: run.data_hash,
        slippage_bps: run.costs.slippage_bps,
        gate_blocks: run.replay.blocks.iter().map(|(block, n)| (block.name(), *n)).collect(),
        not_evaluable: config.not_evaluable(),
    }
}

impl From<&Finding> for DataFinding {
    fn from(f: &Finding) -> Self {
        let (subject, what, help) = (f.subject.clone(), f.what.clone(), f.help.clone());
        Self { code: f.code.slug(), severity: f.severity, subject, what, help }
    }
}

/// Applies one criterion. Levels are strict: a value at its level holds.
fn check(metric: &'static str, value: Measure, levels: Levels) -> Check {
    let Some(number) = value.value() else {
        return Check { metric, value, levels, margin: None, status: Status::Fail };
    };
    let below = |level: Option<f64>| level.is_some_and(|l| number < l);
    let above = |level: Option<f64>| level.is_some_and(|l| number > l);
    let status = if below(levels.fail_below) || above(levels.fail_above) {
        Status::Fail
    } else if below(levels.warn_below) || above(levels.warn_above) {
        Status::Warn
    } else {
        Status::Pass
    };
    let margins = [levels.fail_below.map(|l| number - l), levels.fail_above.map(|l| l - number)];
    let margin = margins.into_iter().flatten().reduce(f64::min);
    Check { metric, value, levels, margin, status }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_LEAST: Levels =
        Levels { fail_below: Some(1.0), warn_below: Some(2.0), fail_above: None, warn_above: None };

    #[test]
    fn a_value_at_its_level_holds_and_one_below_does_not() {
        let status = |v| check("sharpe", Measure::Defined(v), AT_LEAST).status;
        assert_eq!(
            [status(0.99), status(1.0), status(1.99), status(2.0)],
            [Status::Fail, Status::Warn, Status::Warn, Status::Pass]
        );
    }

    #[test]
    fn an_undefined_metric_fails_whatever_its_levels() {
        let no_level = Levels { fail_below: None, warn_below: None, fail_above: None, warn_above: None };
        for levels in [AT_LEAST, no_level] {
            assert_eq!(check("sharpe", Measure::Undefined("x"), levels).status, Status::Fail);
        }
    }

    #[test]
    fn a_nan_never_becomes_a_number() {
        assert_eq!(Measure::new(f64::NAN, "no"), Measure::Undefined("no"));
        assert_eq!(Measure::new(f64::INFINITY, "no"), Measure::Undefined("no"));
    }

    fn verdict(status: Status, exit: Option<u8>) -> StrategyVerdict {
        let error =
            exit.map(|exit_code| Refusal { code: "io", message: String::new(), help: String::new(), exit_code });
        StrategyVerdict {
            strategy: "s".into(),
            config: PathBuf::new(),
            config_sha256: None,
            status,
            synthetic: false,
            periods: Vec::new(),
            error,
        }
    }

    #[test]
    fn the_exit_code_is_two_before_three_before_one() {
        let code =
            |all: &[(Status, Option<u8>)]| Verdict::new(all.iter().map(|&(s, e)| verdict(s, e)).collect()).exit_code;
        let (pass, warn, fail) = ((Status::Pass, None), (Status::Warn, None), (Status::Fail, None));
        let (config, data) = ((Status::Error, Some(2)), (Status::Error, Some(3)));
        assert_eq!(code(&[pass, warn]), 0);
        assert_eq!(code(&[pass, fail]), 1);
        assert_eq!(code(&[fail, data]), 3);
        assert_eq!(code(&[data, config, fail]), 2);
        assert_eq!(code(&[]), 2, "no strategy is no pass");
    }
}
