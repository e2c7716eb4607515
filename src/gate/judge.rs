//! The judging: replay, count, ask, answer. One verdict a strategy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::baseline::Baseline;
use super::candidate::{Candidate, DATA_ERRORS, Known, PeriodCharts, Yardstick};
use super::check::{Check, Status, TRIAL_NOT_COMMITTED};
use super::heat_map::HeatMap;
use super::luck::{self, About, Luck};
use super::policy::Policy;
use super::subject::{Subject, subject};
use super::verdict::{Refusal, StrategyVerdict};
use super::walked::worst_walk_forward;
use super::{acknowledge, causality, changes, comparison, policy};
use crate::archive::Archive;
use crate::bar::{Date, Symbol};
use crate::config::{Complete, Period, check_calendar, gate_criteria};
use crate::deployed::Deployed;
use crate::error::{Error, Result, codes};
use crate::holdout::{self, Seen};
use crate::ledger::{Kind, Ledger, Trials};
use crate::metrics::{CRITERIA, PROFILE};
use crate::registry::{self, AnyStrategy};
use crate::research::backtest::Run;

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
    /// The least that is demanded of every strategy; none, if there is no policy.
    pub policy: Option<&'a Policy>,
    /// Whether trials stand in the committed ledger; none, if nobody asks.
    pub committed: Option<&'a Committed<'a>>,
    /// The day for which acknowledgements hold.
    pub today: Date,
    /// Whether pages are wanted, and so what they draw.
    pub pages: bool,
    /// Hears what is under way: the strategy and the step.
    pub progress: &'a (dyn Fn(&str, &str) + Sync),
}

/// How to commit a record of a strategy's ledger, by its hash; none, if it is committed.
pub type Committed<'a> = dyn Fn(&str, &str) -> Result<Option<String>> + Sync + 'a;

/// A verdict and what reports show beside it.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The verdict.
    pub verdict: StrategyVerdict,
    /// What this would be as a baseline; none, if nothing was judged.
    pub baseline: Option<Baseline>,
    /// What reports draw of each period.
    pub periods: Vec<PeriodCharts>,
    /// The largest sweep, if pages are wanted.
    pub heat_map: Option<HeatMap>,
}

/// Names of the checks whose failure somebody may accept.
pub fn check_names() -> impl Iterator<Item = &'static str> {
    let of_config = CRITERIA.iter().map(|c| c.figure.name).chain(PROFILE.iter().map(|c| c.name));
    let of_config = of_config.chain(gate_criteria().map(|c| c.name));
    let pending = [policy::SESSIONS, policy::UNSEEN, policy::WEAKENED, policy::POLICY_WEAKENED];
    of_config.chain([comparison::CHECK, luck::DROPPED]).chain(pending)
}

/// Names of the checks whose failure nobody may accept: the bars aren't to be trusted, decisions know the future, the
/// policy demands more, or a commit settles it.
pub const NEVER_ACCEPTED: [&str; 7] = [
    DATA_ERRORS,
    causality::BY_CUTS,
    causality::BY_SEED,
    policy::CRITERIA_DEMANDED,
    policy::MARGIN,
    policy::COSTS,
    TRIAL_NOT_COMMITTED,
];

impl Gate<'_> {
    /// Judges one deployed strategy. An error becomes its verdict, so that one broken strategy
    /// doesn't hide the others.
    pub fn judge(&self, deployed: &Deployed) -> Judgement {
        self.judge_without(deployed, None)
    }

    /// As [`Gate::judge`], one check not being made: how the self-test shows that each check is needed.
    pub(super) fn judge_without(&self, deployed: &Deployed, check: Option<&str>) -> Judgement {
        let mut judgement = nothing_judged(deployed);
        let verdict = match self.judge_periods(deployed, check, &mut judgement) {
            Ok(()) => judgement.verdict,
            Err(err) => StrategyVerdict { error: Some(Refusal::from(&err)), ..judgement.verdict },
        };
        let verdict = verdict.derived();
        let digest = verdict.hash();
        if let Some(baseline) = &mut judgement.baseline {
            baseline.verdict.clone_from(&digest);
        }
        Judgement { verdict: StrategyVerdict { digest, ..verdict }, ..judgement }
    }

    /// Fills in what is found out, so that an error leaves what was known before it.
    fn judge_periods(&self, deployed: &Deployed, without: Option<&str>, judgement: &mut Judgement) -> Result<()> {
        let progress = |step: &str| (self.progress)(&deployed.name, step);
        let verdict = &mut judgement.verdict;

        // What is judged: the config as it is deployed.
        let strategy = registry::find(self.strategies, &deployed.name).map_err(|e| e.at(deployed.config.display()))?;
        let document = strategy.read_complete(&deployed.config)?;
        verdict.acknowledgements = acknowledge::read(&deployed.config, self.today)?;
        let broker = &document.deployment().ssm_parameters.base_url;
        check_calendar(broker, self.archive.calendar()).map_err(|e| e.at(self.archive.folder().display()))?;

        // Its replays.
        progress("replay");
        let candidates = self.replay(strategy, &document)?;
        let synthetic = candidates.iter().any(|c| c.run.is_synthetic());

        // These trials are counted before anything is seen of them.
        progress("trials");
        let subject = self.subject(deployed, &document)?;
        verdict.subject = Some(subject.clone());
        let baseline = Baseline::read(self.baselines, strategy.name())?;
        let deployed_policy = baseline.as_ref().and_then(|b| b.policy.as_ref());
        let (policy, policy_weakened) = policy::to_judge_by(self.policy, deployed_policy);
        verdict.policy.clone_from(&policy);
        // The self-test leaves this out, too, to show that it is needed.
        let remembered = baseline.as_ref().filter(|_| without != Some(codes::LEDGER_GAP.slug()));
        let ledger = self.count(strategy, &candidates, remembered, policy.as_ref())?;
        let periods: Vec<(Date, Date)> = candidates.iter().map(|c| (c.period.start_date, c.period.end_date)).collect();
        let neglected: BTreeSet<Symbol> = candidates.iter().flat_map(Candidate::neglected).collect();
        let own: Vec<Trials> = candidates.iter().map(Candidate::trials).collect();
        let about = About {
            symbols: &document.config().symbols,
            neglected: &neglected,
            own: &own,
            synthetic,
            periods: &periods,
        };
        let (luck, kept) = Luck::of(&ledger, &about)?;
        if let Some(baseline) = &baseline {
            verdict.changed = changes::between_texts(&baseline.config, &document.text);
        }
        if let (true, Some(first)) = (self.pages, candidates.first()) {
            judgement.heat_map =
                HeatMap::of(&ledger, synthetic, &document.settings(&first.run.symbols), first.per_year())?;
        }

        // Every question, period by period.
        let by = Yardstick {
            luck: &luck,
            kept: &kept,
            baseline: baseline.as_ref(),
            policy: policy.as_ref(),
            subject: &subject,
            pages: self.pages,
        };
        for candidate in &candidates {
            let own = candidate.trials();
            let calendar = self.archive.calendar();
            let seen = Seen::of(&ledger, &own, calendar)?;
            let known = Known { seen, walked: worst_walk_forward(&ledger, &own, calendar)? };
            let (mut period, charts) = candidate.judge(&by, &known, &progress)?;
            period.checks.extend(policy_weakened.clone());
            period.checks.extend(self.check_committed(strategy.name(), &ledger, candidate)?);
            period.seen = Some(known.seen);
            period.checks.retain(|c| Some(c.metric.as_str()) != without);
            verdict.periods.push(period);
            judgement.periods.push(charts);
        }
        verdict.ledger = Some(luck);

        // What this would be, once it is deployed.
        let would_be = as_baseline(strategy, &document, (subject, self.policy), &ledger, &candidates);
        verdict.baseline_sha256 = Some(would_be.sha256.clone());
        judgement.baseline = Some(would_be);
        Ok(())
    }

    fn replay<'c>(&'c self, strategy: &'c dyn AnyStrategy, document: &'c Complete) -> Result<Vec<Candidate<'c>>> {
        let periods = document.deployment().performance_criteria.periods.iter();
        periods.map(|period| Candidate::replayed(strategy, document, self.archive, period)).collect()
    }

    fn subject(&self, deployed: &Deployed, document: &Complete) -> Result<Subject> {
        subject(deployed, document, &(self.binary)()?, &self.archive.manifest().sha256, self.policy)
    }

    /// Counts this trial, before anything is seen of it, and all others.
    fn count(
        &self,
        strategy: &dyn AnyStrategy,
        candidates: &[Candidate<'_>],
        baseline: Option<&Baseline>,
        policy: Option<&Policy>,
    ) -> Result<Ledger> {
        let mut ledger = Ledger::open(self.ledger, strategy.name())?;
        let kept: Vec<Vec<u8>> = candidates.iter().map(Candidate::kept).collect::<Result<_>>()?;
        match self.heads {
            Some(heads) => {
                let heads = heads.get(strategy.name()).map_or(&[][..], Vec::as_slice);
                let own = || candidates.iter().zip(&kept);
                let counted = |from: Ledger| own().fold(from, |l, (c, kept)| l.with(Kind::Gate, &c.trials(), kept));
                let marked = counted(holdout::with_marks(ledger.clone())?);
                let plain = counted(ledger.clone());
                ledger = ledger.at(heads).or_else(|_| marked.at(heads)).or_else(|_| plain.at(heads))?;
            }
            None => {
                holdout::repeat_marks(&mut ledger)?;
                let mut own = candidates.iter().zip(&kept);
                own.try_for_each(|(c, kept)| ledger.add(Kind::Gate, &c.trials(), Some(kept)))?;
            }
        }
        let deployed = baseline.iter().flat_map(|b| &b.heads).map(|head| (head, "what is deployed was judged with it"));
        let demanded = policy.and_then(|policy| policy.ledger.heads.get(strategy.name()));
        let demanded = demanded.into_iter().flatten().map(|head| (head, "the policy demands it"));
        match deployed.chain(demanded).find(|(head, _)| !ledger.records().contains_key(*head)) {
            None => Ok(ledger),
            Some((gone, why)) => {
                let what = format!("record {gone} is gone: {why}");
                Err(Error::new(codes::LEDGER_GAP, what).at(self.ledger.join(strategy.name()).display()))
            }
        }
    }

    /// Whether this period's own trial stands in the committed ledger; none, if nobody asks.
    fn check_committed(&self, strategy: &str, ledger: &Ledger, candidate: &Candidate<'_>) -> Result<Option<Check>> {
        let Some(committed) = self.committed else { return Ok(None) };
        let own = candidate.trials();
        let own = ledger.records().iter().filter(|(_, record)| record.kind == Kind::Gate && record.trials == own);
        let missing = own.map(|(hash, _)| committed(strategy, hash)).collect::<Result<Vec<_>>>()?;
        Ok(Some(policy::committed(missing.into_iter().flatten().collect())))
    }
}

/// The judgement of a strategy before anything is known of it.
fn nothing_judged(deployed: &Deployed) -> Judgement {
    let verdict = StrategyVerdict {
        strategy: deployed.name.clone(),
        config: deployed.config.clone(),
        digest: String::new(),
        baseline_sha256: None,
        subject: None,
        status: Status::Error,
        synthetic: false,
        ledger: None,
        periods: Vec::new(),
        policy: None,
        changed: Vec::new(),
        acknowledgements: Vec::new(),
        error: None,
    };
    Judgement { verdict, baseline: None, periods: Vec::new(), heat_map: None }
}

/// What candidates would be as a baseline. Its own trials can be counted again; all before them may not be forgotten.
fn as_baseline(
    strategy: &dyn AnyStrategy,
    document: &Complete,
    (subject, policy): (Subject, Option<&Policy>),
    ledger: &Ledger,
    candidates: &[Candidate<'_>],
) -> Baseline {
    let own: Vec<Trials> = candidates.iter().map(Candidate::trials).collect();
    let heads = ledger.heads_before(|r| r.kind == Kind::Gate && own.contains(&r.trials));
    let runs: Vec<(Period, &Run)> = candidates.iter().map(|c| (c.period.clone(), &c.run)).collect();
    Baseline::new(strategy.name(), subject, heads, document, policy.cloned(), &runs)
}
