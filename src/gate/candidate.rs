//! A strategy over one period: its replay, the questions asked of it, and the verdict on it.

use rayon::join;

use super::baseline::Baseline;
use super::causality::{self, Causality};
use super::check::{Check, Group, Status};
use super::comparison::{Comparison, Pair};
use super::criteria::{self, Answers, Sample};
use super::evidence::{Evidence, Power};
use super::luck::{Kept, Luck};
use super::policy::{self, Facts, Policy};
use super::robustness::Robustness;
use super::skill::{Beside, Skill, Superior};
use super::subject::Subject;
use super::timing::Timing;
use super::variations::Variations;
use super::verdict::{DataFinding, Expectation, PeriodVerdict};
use super::walked::Walked;
use crate::archive::Archive;
use crate::bar::{Date, Symbol, Timeframe};
use crate::calendar;
use crate::config::{Complete, Config, Levels, Period, gate_criteria};
use crate::error::{Error, Result, codes};
use crate::finding::{Finding, Severity};
use crate::holdout::Seen;
use crate::ledger::{Family, Trials};
use crate::metrics::{Cash, Cause, Measure, Metrics, session_returns};
use crate::registry::AnyStrategy;
use crate::research::backtest::{Replayable, Request, Run, kept};
use crate::research::market::Closes;
use crate::stats::bootstrap;
use crate::stats::sharpe::LongRun;

/// Name of the check of the bars.
pub(super) const DATA_ERRORS: &str = "data_errors";
/// Dollars spent on a symbol, as a share of the mean of the others, below which it isn't traded.
const NEGLECTED: f64 = 0.01;
const DAYS_A_MONTH: f64 = 365.2425 / 12.0;

/// What reports draw of a period.
#[derive(Clone, Debug)]
pub struct PeriodCharts {
    /// Its replay.
    pub run: Run,
    /// What the deployed strategy returned, by session; empty, if that isn't known.
    pub deployed: Vec<(Date, f64)>,
    /// Sharpe ratios of resampled sessions, ascending.
    pub sharpes: Vec<f64>,
    /// Closes of each symbol's bars, if pages are wanted.
    pub closes: Closes,
}

/// What candidates are judged by, the same for all periods.
pub(super) struct Yardstick<'y> {
    pub(super) luck: &'y Luck,
    /// Returns of the trials that led to it.
    pub(super) kept: &'y Kept,
    /// Whether the ledger has a sweep of more than one point.
    /// What is deployed, if anything is.
    pub(super) baseline: Option<&'y Baseline>,
    /// The least that is demanded of every strategy.
    pub(super) policy: Option<&'y Policy>,
    pub(super) subject: &'y Subject,
    /// Whether pages are wanted.
    pub(super) pages: bool,
}

/// What the ledger says of one period.
pub(super) struct Known {
    /// How much of it trials have seen.
    pub(super) seen: Seen,
    /// The worst walk-forward on it, or why there is none.
    pub(super) walked: std::result::Result<Walked, Cause>,
}

/// A strategy over one period.
pub(super) struct Candidate<'c> {
    strategy: &'c dyn AnyStrategy,
    document: &'c Complete,
    archive: &'c Archive,
    pub(super) period: &'c Period,
    replays: Box<dyn Replayable + 'c>,
    pub(super) run: Run,
    returns: Vec<f64>,
}

impl<'c> Candidate<'c> {
    /// Replays a strategy over one period.
    ///
    /// # Errors
    /// Data error if the bars don't cover the period.
    pub(super) fn replayed(
        strategy: &'c dyn AnyStrategy,
        document: &'c Complete,
        archive: &'c Archive,
        period: &'c Period,
    ) -> Result<Self> {
        if strategy.timeframe() == Timeframe::Week {
            let what = format!("{} trades {} bars, which no gate judges", strategy.name(), Timeframe::Week);
            return Err(Error::new(codes::WEEKLY_BARS, what));
        }
        let request = Request::portfolio(document, archive, period.start_date, period.end_date);
        let replays = strategy.replayable(&request)?;
        let run = replays.runs()?.pop().ok_or_else(|| Error::new(codes::NO_BARS, "nothing was replayed"))?;
        check_coverage(period, &run).map_err(|e| e.at(archive.folder().display()))?;
        let returns = session_returns(&run.replay);
        Ok(Self { strategy, document, archive, period, replays, run, returns })
    }

    /// How many returns a year has.
    pub(super) fn per_year(&self) -> f64 {
        self.run.replay.returns_per_year
    }

    pub(super) fn trials(&self) -> Trials {
        self.replays.trials()
    }

    /// Its session returns, as the ledger keeps them.
    pub(super) fn kept(&self) -> Result<Vec<u8>> {
        kept(self.run.replay.capital, std::slice::from_ref(&self.run))
    }

    /// Asks everything that the gate asks. `progress` hears what is under way.
    ///
    /// # Errors
    /// Config and data errors of a replay.
    /// Symbols that are traded for less than a hundredth of what the others are on average: to be in the list isn't to
    /// be traded.
    pub(super) fn neglected(&self) -> Vec<Symbol> {
        let spent = |symbol: &Symbol| {
            let own = self.run.replay.fills.iter().filter(|fill| fill.symbol == *symbol);
            own.fold(0.0, |sum, fill| sum + fill.shares * fill.entry_price)
        };
        let all: Vec<(Symbol, f64)> = self.run.symbols.iter().map(|symbol| (*symbol, spent(symbol))).collect();
        let total = all.iter().fold(0.0, |sum, one| sum + one.1);
        let others = (all.len() as f64 - 1.0).max(1.0);
        let little = |(_, own): &&(Symbol, f64)| *own < NEGLECTED * (total - own) / others;
        all.iter().filter(little).map(|one| one.0).collect()
    }

    pub(super) fn judge(
        &self,
        by: &Yardstick<'_>,
        known: &Known,
        progress: &dyn Fn(&str),
    ) -> Result<(PeriodVerdict, PeriodCharts)> {
        let Self { run, replays, .. } = self;
        let seed = by.subject.seed;
        progress("under other circumstances");
        let (robustness, causality) = join(|| self.variations().examine(), || causality::examine(&**replays, seed));
        let (robustness, causality) = (robustness?, causality?);
        progress("resampling");
        let (sample, pair) = (self.sample(seed), self.pair(by.subject));
        let (skill, (paired, sharpes)) =
            join(|| self.skill(by.kept, seed), || join(|| pair.compare(by.baseline), || sample.sharpes()));
        let skill = skill?;
        let evidence = Evidence {
            luck: by.luck,
            walked: &known.walked,
            skill: &skill,
            robustness: &robustness,
            returns: &self.returns,
            sharpe: LongRun::of(&self.returns),
            block: sample.block,
            run,
            seed,
        };
        let power = evidence.power();
        let mut answers = Answers::new(self.document);
        answers.checks.extend(criteria::points(answers.criteria, &run.metrics, &sample));
        evidence.answer(&mut answers);
        if answers.checks.is_empty() {
            // Criteria of which none applies demand nothing.
            let none = Measure::Undefined(Cause::NoCriterionApplied);
            answers.checks.push(Check::new("criteria", Group::Point, none, Levels::NONE));
        }
        answers.checks.extend(paired.check);
        answers.checks.push(by.luck.check());
        let config = &self.document.deployment().performance_criteria;
        if let Some(policy) = by.policy {
            answers.checks.extend(policy.checks(config, &self.facts(&power, &known.seen)));
        }
        answers.checks.extend(by.baseline.map(|deployed| policy::weakened(&deployed.config, config)));
        answers.not_evaluable.extend(beyond_its_cash(run));
        causality.answer(&mut answers);
        answers.checks.push(trusted(&run.data_findings));
        let verdict = self.verdict(answers, power, paired.comparison, skill, robustness, causality);
        let closes = if by.pages { replays.market().closes()? } else { Vec::new() };
        Ok((verdict, PeriodCharts { run: run.clone(), deployed: paired.returns, sharpes, closes }))
    }

    /// What the policy is applied to.
    fn facts(&self, power: &Power, seen: &Seen) -> Facts {
        Facts {
            sessions: self.returns.len(),
            min_track_record: power.min_track_record,
            costs: self.run.costs,
            unseen_sessions: Measure::Defined(seen.unseen as f64),
        }
    }

    fn variations(&self) -> Variations<'_> {
        let Self { strategy, document, replays, run, returns, .. } = self;
        Variations { strategy: *strategy, document, replays: &**replays, run, returns }
    }

    /// What it adds to being in the market.
    fn skill(&self, kept: &Kept, seed: u64) -> Result<Skill> {
        let Self { run, returns, archive, .. } = self;
        let dates: Vec<Date> = run.replay.equity.iter().map(|e| e.0).collect();
        let own = match &run.symbols[..] {
            [only] => only.to_string(),
            several => format!("equal amounts of {} symbols", several.len()),
        };
        let market = self.document.deployment().performance_criteria.market;
        let Period { start_date: start, end_date: end, .. } = *self.period;
        let family = Family { symbols: run.symbols.clone(), start, end };
        Ok(Skill {
            spa: Superior::of(kept.get(&family).map_or(&[][..], Vec::as_slice), seed),
            timing: Timing::of(self.replays.market(), &run.replay.fills, run.replay.capital)?,
            own: Beside::holding(own, returns, &run.benchmark, self.per_year()),
            market: market.map(|symbol| Beside::market(symbol, archive, returns, &dates)),
        })
    }

    fn sample(&self, seed: u64) -> Sample<'_> {
        let block = bootstrap::optimal_block_length(&self.returns).map_or(1.0, |b| b.stationary.max(1.0));
        Sample { replay: &self.run.replay, returns: &self.returns, block, seed }
    }

    fn pair<'p>(&'p self, subject: &'p Subject) -> Pair<'p> {
        let Self { strategy, archive, period, run, .. } = self;
        Pair { strategy: *strategy, archive, document: self.document, subject, period, run }
    }

    fn verdict(
        &self,
        answers: Answers<'_>,
        power: Power,
        baseline: Comparison,
        skill: Skill,
        robustness: Robustness,
        causality: Causality,
    ) -> PeriodVerdict {
        let Self { period, run, .. } = self;
        let left_out = |name: &&str| !answers.criteria.contains_key(*name);
        PeriodVerdict {
            period: (*period).clone(),
            status: Status::Error,
            not_demanded: gate_criteria().map(|c| c.name).filter(left_out).map(str::to_owned).collect(),
            checks: answers.checks,
            power,
            metrics: run.metrics,
            profile: run.profile.clone(),
            baseline,
            skill,
            robustness,
            causality,
            symbols: run.symbols.clone(),
            provenance: run.provenance.clone(),
            data_sha256: run.data_hash.clone(),
            slippage_bps: run.costs.slippage_bps,
            gate_blocks: run.replay.blocks.iter().map(|(block, n)| (block.name().to_owned(), *n)).collect(),
            expectations: expectations(self.document.config(), &run.metrics),
            data_findings: run.data_findings.iter().map(DataFinding::from).collect(),
            not_evaluable: answers.not_evaluable,
            seen: None,
        }
    }
}

/// What the config expects, beside what happened.
fn expectations(config: &Config, metrics: &Metrics) -> Vec<Expectation> {
    let days = f64::from(metrics.last_session.0 - metrics.first_session.0 + 1);
    let per_month = metrics.trades as f64 * DAYS_A_MONTH / days;
    let trades = config.strategy.expected_trades_per_month.map(|expected| Expectation {
        path: "strategy.expected_trades_per_month".to_owned(),
        expected,
        value: Measure::new(per_month, Cause::NoSessions),
    });
    let holding = config.execution.avg_hold_time_hours.map(|expected| Expectation {
        path: "execution.avg_hold_time_hours".to_owned(),
        expected,
        value: metrics.avg_holding_hours,
    });
    trades.into_iter().chain(holding).collect()
}

/// Entries that no cash paid for, as a note: a replay checks no cash.
fn beyond_its_cash(run: &Run) -> Option<String> {
    let Cash { entries, below_zero, lowest, .. } = run.cash;
    (below_zero > 0).then(|| {
        format!(
            "account_info.buying_power: {below_zero} of {entries} entries left cash below 0, {lowest:.2} at the lowest"
        )
    })
}

/// Errors among what an audit finds in the bars: nothing can be judged on such bars.
fn trusted(findings: &[Finding]) -> Check {
    let errors = findings.iter().filter(|f| f.severity == Severity::Error).count();
    Check::new(DATA_ERRORS, Group::Data, Measure::Defined(errors as f64), Levels::NONE_ALLOWED)
}

/// A symbol that covers a part of the period only would be judged on that part alone.
fn check_coverage(period: &Period, run: &Run) -> Result<()> {
    for date in [period.start_date, period.end_date] {
        calendar::check_covered(date)?;
    }
    let mut days = run.replay.calendar.sessions(period.start_date, period.end_date).map(|s| s.date);
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
