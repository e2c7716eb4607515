//! `magellan verdict` and `magellan baseline`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use magellan::deployed::Deployed;
use magellan::error::{Error, Result};
use magellan::gate::baseline::Baseline;
use magellan::gate::verify::{self, StoredVerdict};
use magellan::gate::{StrategyVerdict, Verdict};
use magellan::ledger::Ledger;
use magellan::registry::AnyStrategy;

use super::gate::{GateInputs, Judging};
use super::options::{Baselines, Place};
use super::output::print;
use crate::codes;
use crate::report::words::counted;

#[derive(Subcommand, Debug)]
pub(super) enum VerdictCommand {
    /// Check a verdict's digests, judge again from the same trials, and compare to 1e-9.
    Verify(VerdictVerify),
}

#[derive(Args, Debug)]
pub(super) struct VerdictVerify {
    /// verdict.json of `magellan gate --out`.
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) judging: Judging,
    /// Check digests only.
    #[arg(long)]
    pub(super) no_replay: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum BaselineCommand {
    /// Record as deployed what `magellan gate --out DIR` has judged and passed.
    Record(BaselineRecord),
}

#[derive(Args, Debug)]
pub(super) struct BaselineRecord {
    /// The folder that `magellan gate --out` wrote.
    #[arg(value_name = "DIR")]
    pub(super) from: PathBuf,
    /// This strategy only.
    #[arg(long)]
    pub(super) strategy: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) baselines: Baselines,
}

pub(super) fn run(command: VerdictCommand, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    match command {
        VerdictCommand::Verify(options) => check(&options, strategies),
    }
}

fn check(options: &VerdictVerify, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    super::backtest::archived_data_only()?;
    let at = |e: Error| e.at(options.file.display());
    let stored = StoredVerdict::read(&options.file)?;
    let deployed = still_deployed(options, &stored).map_err(at)?;
    if options.no_replay {
        print(&format!("{}: its digests are those of its contents\n", options.file.display()))?;
        return Ok(0);
    }
    let inputs = GateInputs::new(&options.judging, false)?.for_verdict(&stored);
    verify::check_archive(&stored, inputs.archive().folder(), &inputs.archive().manifest().sha256).map_err(at)?;
    for one in &deployed {
        check_baseline(one, &stored, inputs.baselines()).map_err(at)?;
    }
    let again = judge_again(&inputs, strategies, &deployed, &stored);
    let same = verify::compare(&stored, &again).map_err(at)?;
    for one in &stored.strategies {
        let now = Ledger::open(inputs.ledger(), &one.strategy)?.count()?;
        if one.ledger.as_ref().is_some_and(|then| then.n < now) {
            print(&format!("{}: the ledger counts {} by now\n", one.strategy, counted(now, "trial")))?;
        }
    }
    print(&format!(
        "{}: judged again from the same trials: {same} values are the same to 1e-9; {}, digest {}\n",
        options.file.display(),
        again.status.name(),
        stored.digest,
    ))?;
    Ok(0)
}

/// The strategies of a verdict that are to be judged again.
fn still_deployed(options: &VerdictVerify, stored: &StoredVerdict) -> Result<Vec<Deployed>> {
    let mut deployed = options.judging.deployed()?;
    deployed.retain(|d| stored.strategy(&d.name).is_some());
    let gone = stored.strategies.iter().find(|one| deployed.iter().all(|d| d.name != one.strategy));
    match gone.filter(|_| options.judging.strategy.is_none()) {
        None => Ok(deployed),
        Some(gone) => {
            let what = format!("`{}` was judged and is no longer deployed", gone.strategy);
            Err(Error::new(codes::VERDICT_DIFFERS, what))
        }
    }
}

/// Refuses to judge a strategy again beside another baseline than the one that it was judged beside.
fn check_baseline(deployed: &Deployed, stored: &StoredVerdict, baselines: &Path) -> Result<()> {
    let now = Baseline::read(baselines, &deployed.name)?.map(|b| b.subject.sha256);
    let then = stored.strategy(&deployed.name).map(StrategyVerdict::deployed_then).unwrap_or_default();
    if then.iter().all(|then| *then == now.as_deref()) {
        return Ok(());
    }
    let what = format!("what is deployed of {} is another than when this was judged", deployed.name);
    Err(Error::new(codes::VERDICT_DIFFERS, what)
        .help("name the baselines of then with --baselines DIR, or check digests only with --no-replay"))
}

/// Judges from the trials that the ledger had then.
pub(super) fn judge_again(
    inputs: &GateInputs,
    strategies: &[&dyn AnyStrategy],
    deployed: &[Deployed],
    stored: &StoredVerdict,
) -> Verdict {
    let then = stored.strategies.iter();
    let heads = then.map(|one| {
        let heads = one.ledger.as_ref().map(|ledger| ledger.heads.clone());
        (one.strategy.clone(), heads.unwrap_or_default())
    });
    let judgements = inputs.judge(strategies, deployed, Some(&heads.collect()), &|_, _| {});
    Verdict::new(judgements.into_iter().map(|j| j.verdict).collect())
}

pub(super) fn baseline(command: BaselineCommand) -> Result<u8> {
    match command {
        BaselineCommand::Record(options) => record(&options),
    }
}

fn record(options: &BaselineRecord) -> Result<u8> {
    let root = options.baselines.folder(&options.place)?;
    print(&record_from(&options.from, options.strategy.as_deref(), &root)?)?;
    Ok(0)
}

/// What was judged becomes what is deployed, if its verdict allows that.
pub(super) fn record_from(from: &Path, only: Option<&str>, root: &Path) -> Result<String> {
    let file = from.join("verdict.json");
    let stored = StoredVerdict::read(&file)?;
    let mut baselines = Vec::new();
    for one in stored.strategies.iter().filter(|one| only.is_none_or(|only| only == one.strategy)) {
        one.check_deploys(crate::clock::today()).map_err(|e| e.at(file.display()))?;
        let path = from.join(format!("{}.baseline.json", one.strategy));
        let baseline = Baseline::read_file(&path, &one.strategy)?;
        if one.digest != baseline.verdict || one.baseline_sha256.as_ref() != Some(&baseline.sha256) {
            let what = "it isn't what the verdict beside it was made of";
            return Err(Error::new(codes::BAD_BASELINE, what).at(path.display()));
        }
        baselines.push(baseline);
    }
    if baselines.is_empty() {
        return Err(Error::new(codes::NOT_DEPLOYED, "the verdict is of no such strategy").at(file.display()));
    }
    // All or none.
    let mut text = String::new();
    for baseline in &baselines {
        let target = Baseline::path(root, &baseline.strategy);
        baseline.write(&target)?;
        text += &format!("{}: subject {}\n", target.display(), baseline.subject.sha256);
    }
    Ok(text)
}
