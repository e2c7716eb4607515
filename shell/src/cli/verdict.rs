//! `magellan verdict` and `magellan baseline`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use magellan::error::{Error, Result};
use magellan::gate::baseline::Baseline;
use magellan::gate::verify::{self, Stored};
use magellan::gate::{Judged, Verdict};
use magellan::ledger::Ledger;
use magellan::registry::AnyStrategy;

use super::gate::{Judging, Means};
use super::options::{Baselines, Place};
use super::output::print;
use crate::codes;

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
    let stored = Stored::read(&options.file)?;
    let mut deployed = options.judging.deployed()?;
    deployed.retain(|d| stored.strategies().any(|name| name == d.name));
    let names: Vec<String> = deployed.iter().map(|d| d.name.clone()).collect();
    if let Some(gone) =
        stored.strategies().find(|name| options.judging.strategy.is_none() && !names.contains(&(*name).to_owned()))
    {
        return Err(at(Error::new(codes::VERDICT_DIFFERS, format!("`{gone}` was judged and is no longer deployed"))));
    }
    if options.no_replay {
        print(&format!("{}: its digests are those of its contents\n", options.file.display()))?;
        return Ok(0);
    }
    let means = Means::new(&options.judging, false)?.on(stored.a_day());
    for one in &deployed {
        let now = Baseline::read(means.baselines(), &one.name)?.map(|b| b.subject.sha256);
        if stored.deployed_then(&one.name).iter().any(|then| *then != now) {
            let what = format!("what is deployed of {} is another than when this was judged", one.name);
            return Err(at(Error::new(codes::VERDICT_DIFFERS, what))
                .help("name the baselines of then with --baselines DIR, or check digests only with --no-replay"));
        }
    }
    let heads = deployed.iter().map(|d| (d.name.clone(), stored.heads(&d.name))).collect();
    let judged: Vec<Judged> = means.judge(strategies, &deployed, Some(&heads), &|_, _| {});
    let again = Verdict::new(judged.into_iter().map(|j| j.verdict).collect());
    let same = verify::compare(&stored, &again).map_err(at)?;
    for name in stored.strategies() {
        let counted = Ledger::open(means.ledger(), name)?.count()?;
        if stored.trials(name).is_some_and(|n| n < counted) {
            print(&format!("{name}: the ledger counts {counted} trials by now\n"))?;
        }
    }
    print(&format!(
        "{}: judged again from the same trials: {same} values are the same to 1e-9; {}, digest {}\n",
        options.file.display(),
        again.status.name(),
        stored.digest(),
    ))?;
    Ok(0)
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
    let stored = Stored::read(&file)?;
    let wanted = |name: &&str| only.is_none_or(|only| only == *name);
    let mut baselines = Vec::new();
    for name in stored.strategies().filter(wanted) {
        stored.check_deploys(name, super::gate::today()).map_err(|e| e.at(file.display()))?;
        let path = from.join(format!("{name}.baseline.json"));
        let baseline = Baseline::read_file(&path, name)?;
        let fits =
            stored.digest_of(name) == Some(&baseline.verdict) && stored.baseline_of(name) == Some(&baseline.sha256);
        if !fits {
            let what = "it isn't what the verdict beside it was made of";
            return Err(Error::new(codes::BAD_BASELINE, what).at(path.display()));
        }
        baselines.push(baseline);
    }
    // All or none.
    let mut text = String::new();
    for baseline in &baselines {
        let target = Baseline::path(root, &baseline.strategy);
        baseline.write(&target)?;
        text += &format!("{}: subject {}\n", target.display(), baseline.subject.sha256);
    }
    match text.is_empty() {
        true => Err(Error::new(codes::NOT_DEPLOYED, "the verdict is of no such strategy").at(file.display())),
        false => Ok(text),
    }
}
