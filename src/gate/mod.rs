//! The gate: criteria over periods, one verdict a strategy. Red unless everything is there.
//!
//! A metric without a value, no trades, a missing symbol, bars that an audit doubts, no
//! criteria or no strategy at all is never a pass. Luck is counted from the ledger, the candidate
//! is paired with what is deployed, decisions are asked for again without the future, and the
//! digest of the answer fits one subject only.

pub mod acknowledge;
pub mod baseline;
mod causality;
mod criteria;
pub mod digest;
mod evidence;
mod heat;
mod luck;
mod robustness;
pub mod selftest;
mod verdict;
pub mod verify;

use std::collections::BTreeMap;
use std::path::Path;

use crate::archive::Archive;
use crate::bar::Date;
use crate::calendar;
use crate::config::{CRITERIA, Checked, Config, EVIDENCE, Period};
use crate::deployed::{Deployed, LARGEST_UNIT};
use crate::disk::hash::sha256_hex;
use crate::disk::map;
use crate::error::{Error, Result, codes};
use crate::finding::{Finding, Severity};
use crate::ledger::{Kind, Ledger, Trials};
use crate::metrics::{Measure, Metrics, session_returns};
use crate::registry::{self, AnyStrategy};
use crate::research::backtest::{Replayable, Request, Run};
use crate::research::market::Closes;
use crate::stats::bootstrap;
use baseline::{Baseline, Comparison, Pair};
use causality::Causality;
use criteria::{Criteria, NO_LEVELS, NONE_ALLOWED, Sample, check};
use digest::Subject;
use evidence::Evidence;
pub use heat::Heat;
pub use luck::Luck;
use robustness::Case;
pub use robustness::Robustness;
pub use verdict::{
    Check, DataFinding, Expectation, Group, PeriodVerdict, Power, Refusal, Status, StrategyVerdict, Verdict,
};

/// What verdicts are made with.
#[derive(Clone, Copy)]
pub struct Gate<'a> {
    /// Every strategy the binary knows.
    pub strategies: &'a [&'a dyn AnyStrategy],
    /// The bars.
    pub archive: &'a Archive,
    /// The folder of the ledgers.
    pub ledger: &'a Path,
    /// The heads at which each ledger is to be read, by strategy; none: as it is, and this trial is
    /// added.
    pub heads: Option<&'a BTreeMap<String, Vec<String>>>,
    /// The folder of the baselines.
    pub baselines: &'a Path,
    /// SHA-256 of the binary: asked for once the replay is done.
    pub binary: &'a (dyn Fn() -> Result<String> + Sync),
    /// The day for which acknowledgements hold.
    pub today: Date,
    /// Whether pages are wanted, and so what they draw.
    pub pages: bool,
    /// Hears what is under way.
    pub progress: &'a (dyn Fn(&str, &str) + Sync),
}

/// A verdict and what reports show beside it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The verdict.
    pub verdict: StrategyVerdict,
    /// What this would be as a baseline; none, if nothing was judged.
    pub baseline: Option<Baseline>,
    /// The replay of each period.
    pub periods: Vec<Shown>,
    /// The largest sweep, if pages are wanted.
    pub heat: Option<Heat>,
}

/// Names of the checks whose failure somebody may accept.
pub fn check_names() -> impl Iterator<Item = &'static str> {
    let own = [baseline::CHECK, "symbols_dropped"];
    CRITERIA.iter().map(|c| c.name).chain(EVIDENCE.iter().map(|e| e.name)).chain(own)
}

/// What reports draw of a period.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its replay.
    pub run: Run,
    /// What the deployed strategy returned, by session; empty, if that isn't known.
    pub deployed: Vec<(Date, f64)>,
    /// Sharpe ratios of resampled sessions, ascending.
    pub sharpes: Vec<f64>,
    /// Closes of each symbol's bars, if pages are wanted.
    pub closes: Closes,
}

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

/// What a verdict of a deployed strategy is about. `binary` and `manifest` are SHA-256.
fn subject(deployed: &Deployed, document: &Checked, binary: &str, manifest: &str) -> Result<Subject> {
    let unit = deployed.unit();
    let unit = match unit.exists() {
        true => sha256_hex(&map::bytes_up_to(&unit, LARGEST_UNIT)?),
        false => "no unit".to_owned(),
    };
    // What ships of a strategy beside its config: the binary and its unit, if it has one.
    let bundle = digest::bundle(binary, &unit);
    let criteria = document.get("performance_criteria").cloned().unwrap_or_default();
    let seed = document.config().performance_criteria.seed();
    Ok(Subject::new(bundle, &document.sha256, manifest, &criteria, seed))
}

/// The subject that a verdict must have, so that a binary may be shipped with a deployed config
/// and unit: what would be judged now, with the archive of this manifest.
///
/// # Errors
/// Usage error if the strategy isn't known; config errors.
pub fn subject_of(
    strategies: &[&dyn AnyStrategy],
    deployed: &Deployed,
    binary: &str,
    manifest: &str,
) -> Result<Subject> {
    let strategy = registry::find(strategies, &deployed.name).map_err(|e| e.at(deployed.config.display()))?;
    let document = strategy.read_document(&deployed.config, &[])?;
    subject(deployed, &document, binary, manifest)
}

impl Gate<'_> {
    /// Judges one deployed strategy. An error becomes its verdict, so that one broken strategy
    /// doesn't hide the others.
    pub fn judge(&self, deployed: &Deployed) -> Judged {
        self.judge_without(deployed, None)
    }

    /// As [`Gate::judge`], one check not being made: how the self-test shows that each check is needed.
    pub(crate) fn judge_without(&self, deployed: &Deployed, check: Option<&str>) -> Judged {
        let mut judged = Judged {
            verdict: StrategyVerdict {
                strategy: deployed.name.clone(),
                config: deployed.config.clone(),
                digest: String::new(),
                baseline_sha256: None,
                subject: None,
                status: Status::Error,
                synthetic: false,
                ledger: None,
                periods: Vec::new(),
                acknowledgements: Vec::new(),
                error: None,
            },
            baseline: None,
            periods: Vec::new(),
            heat: None,
        };
        let verdict = match self.judge_periods(deployed, check, &mut judged) {
            Ok(()) => {
                let worst = judged.verdict.periods.iter().map(|p| p.status).max();
                StrategyVerdict { status: worst.unwrap_or(Status::Error), ..judged.verdict }
            }
            Err(err) => StrategyVerdict { error: Some(Refusal::from(&err)), ..judged.verdict },
        };
        let digest = digest::of(&verdict);
        if let Some(baseline) = &mut judged.baseline {
            baseline.verdict.clone_from(&digest);
        }
        Judged { verdict: StrategyVerdict { digest, ..verdict }, ..judged }
    }

    fn judge_periods(&self, deployed: &Deployed, without: Option<&str>, judged: &mut Judged) -> Result<()> {
        let strategy = registry::find(self.strategies, &deployed.name).map_err(|e| e.at(deployed.config.display()))?;
        let document = strategy.read_document(&deployed.config, &[])?;
        let config = document.config();
        let verdict = &mut judged.verdict;
        verdict.acknowledgements = acknowledge::read(&deployed.config, self.today)?;
        let periods = &config.performance_criteria.periods;
        let tell = |what: &str| (self.progress)(&deployed.name, what);
        tell("replay");
        let candidates: Vec<Candidate<'_>> =
            periods.iter().map(|period| self.candidate(strategy, &document, period)).collect::<Result<_>>()?;
        verdict.synthetic = candidates.iter().any(|c| c.run.is_synthetic());
        tell("trials");
        let subject = self.subject(deployed, &document)?;
        verdict.subject = Some(subject.clone());
        let baseline = Baseline::read(self.baselines, strategy.name())?;
        let ledger = self.count(strategy, &candidates, baseline.as_ref())?;
        let luck = Luck::of(&ledger, &config.symbols, verdict.synthetic)?;
        if let (true, Some(first)) = (self.pages, candidates.first()) {
            judged.heat = Heat::of(&ledger, verdict.synthetic, &document.settings(&first.run.symbols))?;
        }
        for candidate in &candidates {
            let (mut period, shown) = self.judge_period(candidate, &luck, baseline.as_ref(), &subject, &tell)?;
            period.checks.retain(|c| Some(c.metric) != without);
            period.status = period.worst();
            verdict.periods.push(period);
            judged.periods.push(shown);
        }
        verdict.ledger = Some(luck);
        for period in &mut verdict.periods {
            acknowledge::apply(&verdict.acknowledgements, &config.sha256, period);
        }
        // Its own trials can be counted again; all before them may not be forgotten.
        let own: Vec<Trials> = candidates.iter().map(Candidate::trials).collect();
        let heads = ledger.heads_before(|r| r.kind == Kind::Gate && own.contains(&r.trials));
        let runs: Vec<(Period, &Run)> = candidates.iter().map(|c| (c.period.clone(), &c.run)).collect();
        let would_be = Baseline::new(strategy.name(), subject, heads, &document, &runs);
        verdict.baseline_sha256 = Some(would_be.sha256.clone());
        judged.baseline = Some(would_be);
        Ok(())
    }

    fn subject(&self, deployed: &Deployed, document: &Checked) -> Result<Subject> {
        subject(deployed, document, &(self.binary)()?, &self.archive.manifest().sha256)
    }

    fn candidate<'c>(
        &'c self,
        strategy: &'c dyn AnyStrategy,
        document: &'c Checked,
        period: &'c Period,
    ) -> Result<Candidate<'c>> {
        let request = Request::portfolio(document, self.archive, period.start_date, period.end_date);
        let replays = strategy.replayable(&request)?;
        let run = replays.runs()?.pop().ok_or_else(|| Error::new(codes::NO_BARS, "nothing was replayed"))?;
        check_coverage(period, &run).map_err(|e| e.at(self.archive.folder().display()))?;
        let returns = session_returns(&run.replay);
        Ok(Candidate { strategy, document, config: document.config(), period, replays, run, returns })
    }

    /// Counts this trial, before anything is seen of it, and all others.
    fn count(
        &self,
        strategy: &dyn AnyStrategy,
        candidates: &[Candidate<'_>],
        baseline: Option<&Baseline>,
    ) -> Result<Ledger> {
        let mut ledger = Ledger::open(self.ledger, strategy.name())?;
        match self.heads {
            Some(heads) => {
                let heads = heads.get(strategy.name()).map_or(&[][..], Vec::as_slice);
                let counted = candidates.iter().fold(ledger.clone(), |l, c| l.with(Kind::Gate, &c.trials()));
                ledger = ledger.at(heads).or_else(|_| counted.at(heads))?;
            }
            None => candidates.iter().try_for_each(|c| ledger.add(Kind::Gate, &c.trials(), None))?,
        }
        let known = baseline.map_or(&[][..], |b| &b.heads);
        match known.iter().find(|head| !ledger.records().contains_key(*head)) {
            None => Ok(ledger),
            Some(gone) => {
                let what = format!("record {gone} is gone: what is deployed was judged with it");
                Err(Error::new(codes::LEDGER_GAP, what).at(self.ledger.join(strategy.name()).display()))
            }
        }
    }

    fn judge_period(
        &self,
        candidate: &Candidate<'_>,
        luck: &Luck,
        baseline: Option<&Baseline>,
        subject: &Subject,
        tell: &dyn Fn(&str),
    ) -> Result<(PeriodVerdict, Shown)> {
        let Candidate { config, replays, run, .. } = candidate;
        tell("under other circumstances");
        let seed = subject.seed;
        let (robustness, causality) =
            rayon::join(|| candidate.case().examine(), || causality::examine(&**replays, seed));
        let (robustness, causality) = (robustness?, causality?);
        tell("resampling");
        let sample = candidate.sample(seed);
        let pair = candidate.pair(self.archive, subject);
        let (paired, sharpes) = rayon::join(|| pair.compare(baseline), || sample.sharpes());
        let evidence = Evidence { luck, robustness: &robustness, returns: &candidate.returns, run, seed };
        let power = evidence.power();
        let mut answers = Answers::new(config);
        answers.checks.extend(criteria::points(answers.criteria, &run.metrics, &sample));
        evidence.answer(&mut answers);
        if answers.checks.is_empty() {
            // Criteria of which none applies demand nothing.
            let none = Measure::Undefined("no criterion could be applied");
            answers.checks.push(check("criteria", Group::Point, none, NO_LEVELS));
        }
        answers.checks.extend(paired.check);
        answers.checks.push(luck.check());
        causality.answer(&mut answers);
        answers.checks.push(trusted(&run.data_findings));
        let verdict = candidate.verdict(answers, power, paired.comparison, robustness, causality);
        let closes = if self.pages { replays.market().closes()? } else { Vec::new() };
        Ok((verdict, Shown { run: run.clone(), deployed: paired.returns, sharpes, closes }))
    }
}

/// A strategy over one period.
struct Candidate<'c> {
    strategy: &'c dyn AnyStrategy,
    document: &'c Checked,
    config: &'c Config,
    period: &'c Period,
    replays: Box<dyn Replayable + 'c>,
    run: Run,
    returns: Vec<f64>,
}

impl Candidate<'_> {
    fn trials(&self) -> Trials {
        self.replays.trials()
    }

    fn case(&self) -> Case<'_> {
        let Candidate { strategy, document, replays, run, returns, .. } = self;
        Case { strategy: *strategy, document, replays: &**replays, run, returns }
    }

    fn sample(&self, seed: u64) -> Sample<'_> {
        let block = bootstrap::optimal_block_length(&self.returns).map_or(1.0, |b| b.stationary.max(1.0));
        Sample { replay: &self.run.replay, returns: &self.returns, block, seed }
    }

    fn pair<'p>(&'p self, archive: &'p Archive, subject: &'p Subject) -> Pair<'p> {
        let Candidate { strategy, config, period, run, .. } = self;
        Pair { strategy: *strategy, archive, config, subject, period, run }
    }

    fn verdict(
        &self,
        answers: Answers<'_>,
        power: Power,
        baseline: Comparison,
        robustness: Robustness,
        causality: Causality,
    ) -> PeriodVerdict {
        let Candidate { config, period, run, .. } = self;
        let demanded = |name: &&str| !answers.criteria.contains_key(*name);
        let mut verdict = PeriodVerdict {
            period: (*period).clone(),
            status: Status::Error,
            not_demanded: EVIDENCE.iter().map(|e| e.name).filter(demanded).collect(),
            checks: answers.checks,
            power,
            metrics: run.metrics,
            baseline,
            robustness,
            causality,
            symbols: run.symbols.clone(),
            provenance: run.provenance.clone(),
            data_sha256: run.data_hash.clone(),
            slippage_bps: run.costs.slippage_bps,
            gate_blocks: run.replay.blocks.iter().map(|(block, n)| (block.name(), *n)).collect(),
            expectations: expectations(config, &run.metrics),
            data_findings: run.data_findings.iter().map(DataFinding::from).collect(),
            not_evaluable: answers.not_evaluable,
        };
        verdict.status = verdict.worst();
        verdict
    }
}

/// Checks as they come in, and what could not be answered.
struct Answers<'c> {
    criteria: &'c Criteria,
    checks: Vec<Check>,
    not_evaluable: Vec<String>,
}

impl<'c> Answers<'c> {
    fn new(config: &'c Config) -> Self {
        let not_evaluable = config.not_evaluable().into_iter().map(str::to_owned).collect();
        Self { criteria: &config.performance_criteria.criteria, checks: Vec::new(), not_evaluable }
    }
}

/// Errors among what an audit finds in the bars: nothing can be judged on such bars.
fn trusted(findings: &[Finding]) -> Check {
    let errors = findings.iter().filter(|f| f.severity == Severity::Error).count();
    let check = check(DATA_ERRORS, Group::Data, Measure::Defined(errors as f64), NONE_ALLOWED);
    if errors > 0 { Check { status: Status::Error, ..check } } else { check }
}

/// Name of the check of the bars.
const DATA_ERRORS: &str = "data_errors";

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
            Err(Error::new(codes::PERIOD_UNCOVERED, what))
        }
    }
}
