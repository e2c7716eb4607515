//! `magellan gate`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use magellan::archive::Archive;
use magellan::bar::Date;
use magellan::deployed::Deployed;
use magellan::deployed::discover;
use magellan::disk::hash::sha256_hex;
use magellan::disk::map::{self, Access};
use magellan::error::{Error, Result};
use magellan::gate::acknowledge;
use magellan::gate::verify::StoredVerdict;
use magellan::gate::{Acknowledgement, Gate, Judgement, Policy, Status, StrategyVerdict, Verdict};
use magellan::registry::AnyStrategy;
use rayon::prelude::*;

use super::options::{Baselines, Counting, Place, is_synthetic};
use super::output::{print, timing, to_json, write};
use super::selftest::Selftest;
use crate::clock::today;
use crate::report::{github, html, junit, markdown, table};
use crate::{codes, git, policy};

/// What is judged, on what.
#[derive(Args, Debug)]
pub(super) struct Judging {
    /// Judge this strategy only.
    #[arg(long)]
    pub(super) strategy: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) counting: Counting,
    #[command(flatten)]
    pub(super) baselines: Baselines,
    /// The gate's own trial must be in the ledger as git has committed it, or nothing is settled.
    #[arg(long)]
    pub(super) committed_ledger: bool,
}

/// The page that leads to those of the strategies.
const INDEX: &str = "index.html";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Options {
    #[command(subcommand)]
    pub(super) command: Option<GateCommand>,
    #[command(flatten)]
    pub(super) judging: Judging,
    /// Print the names of the deployed strategies as JSON, and judge nothing.
    #[arg(long, conflicts_with_all = ["json", "github", "out"])]
    pub(super) list: bool,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Print annotations of a GitHub workflow before the table.
    #[arg(long, conflicts_with = "json")]
    pub(super) github: bool,
    /// Append a block of Markdown to this file, e.g. $GITHUB_STEP_SUMMARY.
    #[arg(long, value_name = "FILE")]
    pub(super) markdown: Option<PathBuf>,
    /// Write JUnit XML: a suite a strategy, a case a criterion.
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Write one self-contained page; needs a single strategy.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Write verdict.json, index.html and, a strategy each, page and would-be baseline into this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Open the page in the browser: that of --html, else the index of --out.
    #[arg(long)]
    pub(super) open: bool,
    /// Print on stderr where the time went.
    #[arg(long)]
    pub(super) timings: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum GateCommand {
    /// Judge planted cases that must fail, and one that must pass.
    Selftest(Selftest),
    /// Record that a failure is accepted: who, why, until when.
    Acknowledge(Acknowledge),
}

#[derive(Args, Debug)]
pub(super) struct Acknowledge {
    /// The strategy.
    #[arg(long)]
    pub(super) strategy: String,
    /// The check, e.g. sharpe.
    #[arg(long)]
    pub(super) check: String,
    /// The period's name [default: the only one].
    #[arg(long)]
    pub(super) period: Option<String>,
    /// Who accepts it.
    #[arg(long)]
    pub(super) who: String,
    /// Why.
    #[arg(long)]
    pub(super) why: String,
    /// Last day it holds, YYYY-MM-DD; at most 90 days from today.
    #[arg(long)]
    pub(super) expires: Date,
    #[command(flatten)]
    pub(super) place: Place,
}

pub(super) fn run(options: &Options, strategies: &[&dyn AnyStrategy], started: Instant) -> Result<u8> {
    match &options.command {
        Some(GateCommand::Selftest(options)) => return super::selftest::run(options),
        Some(GateCommand::Acknowledge(options)) => return accept(options, strategies),
        None => {}
    }
    super::backtest::archived_data_only()?;
    let deployed = options.judging.deployed()?;
    if options.list {
        let names: Vec<&str> = deployed.iter().map(|d| d.name.as_str()).collect();
        print(&(serde_json::to_string(&names).unwrap_or_default() + "\n"))?;
        return Ok(0);
    }
    if options.open && options.html.is_none() && options.out.is_none() {
        return Err(Error::new(codes::COMMAND_LINE, "--open has no page to open")
            .help("name one with --html FILE, or write all with --out DIR"));
    }
    if options.html.is_some() && deployed.len() > 1 {
        return Err(Error::new(codes::COMMAND_LINE, "--html is one strategy's page, and several are deployed")
            .help("add --strategy NAME, or write all with --out DIR"));
    }
    let inputs = GateInputs::new(&options.judging, options.html.is_some() || options.out.is_some())?;
    if options.timings {
        timing("start, discover, open archive", started);
    }
    inputs.check_pins(strategies)?;
    let progress = progress();
    let show_progress = |strategy: &str, step: &str| {
        progress.set_message(format!("{strategy}: {step}"));
        if options.timings {
            timing(&format!("{strategy}: {step}"), started);
        }
    };
    let judgements = inputs.judge(strategies, &deployed, None, &show_progress);
    progress.finish_and_clear();
    let verdict = Verdict::new(judgements.iter().map(|j| j.verdict.clone()).collect());
    write_files(options, &verdict, &judgements)?;
    let text = match options.json {
        true => to_json(&verdict),
        false if options.github => github::gate(&verdict) + &table::gate(&verdict, &judgements),
        false => table::gate(&verdict, &judgements),
    };
    print(&text)?;
    if options.open {
        let index = options.out.as_ref().map(|folder| folder.join(INDEX));
        options.html.iter().chain(&index).take(1).for_each(|page| super::page::open(page));
    }
    if options.timings {
        timing("total", started);
    }
    Ok(verdict.exit_code)
}

/// What judging needs besides the strategies.
pub(super) struct GateInputs {
    archive: Archive,
    ledger: PathBuf,
    baselines: PathBuf,
    policy: Option<Policy>,
    committed: bool,
    /// SHA-256 of another program than this one, that is judged for.
    binary: Option<String>,
    today: Date,
    pages: bool,
}

impl GateInputs {
    pub(super) fn new(judging: &Judging, pages: bool) -> Result<Self> {
        let Judging { place, counting, baselines, .. } = judging;
        // Beside the replay, which doesn't need it.
        std::thread::spawn(|| LazyLock::force(&BINARY));
        let archive = place.archive()?;
        Ok(Self {
            ledger: counting.folder(place, is_synthetic(&archive))?,
            archive,
            baselines: baselines.folder(place)?,
            policy: policy::read(&place.deployed()?)?,
            committed: judging.committed_ledger,
            binary: None,
            today: today(),
            pages,
        })
    }

    /// To judge again as a verdict was judged: on a day on which the same was accepted, and asked for committed trials if
    /// it was.
    pub(super) fn for_verdict(self, stored: &StoredVerdict) -> Self {
        let committed = self.committed || stored.strategies.iter().any(StrategyVerdict::asks_for_commit);
        Self { committed, today: stored.same_day().unwrap_or(self.today), ..self }
    }

    /// The same for another program than this one, by its SHA-256.
    #[cfg(feature = "deploy")]
    pub(super) fn of_program(self, binary: String) -> Self {
        Self { binary: Some(binary), ..self }
    }

    /// Refuses a policy that pins records of a strategy that nobody knows: it would pin nothing.
    fn check_pins(&self, strategies: &[&dyn AnyStrategy]) -> Result<()> {
        let pinned = self.policy.iter().flat_map(|policy| policy.ledger.heads.keys());
        let known: Vec<&str> = strategies.iter().map(|s| s.name()).collect();
        match pinned.into_iter().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                Err(Error::new(codes::BAD_POLICY, format!("ledger.heads.{name}: there is no strategy `{name}`"))
                    .at(magellan::gate::policy::FILE)
                    .help(format!("known are {}", known.join(", "))))
            }
        }
    }

    pub(super) fn archive(&self) -> &Archive {
        &self.archive
    }

    pub(super) fn baselines(&self) -> &Path {
        &self.baselines
    }

    pub(super) fn ledger(&self) -> &Path {
        &self.ledger
    }

    /// Judges several strategies side by side.
    pub(super) fn judge(
        &self,
        strategies: &[&dyn AnyStrategy],
        deployed: &[Deployed],
        heads: Option<&BTreeMap<String, Vec<String>>>,
        progress: &(dyn Fn(&str, &str) + Sync),
    ) -> Vec<Judgement> {
        let folder = deployed.first().and_then(|one| one.config.parent()).unwrap_or(Path::new("."));
        let committed = |strategy: &str, record: &str| git::how_to_commit(folder, &self.ledger, strategy, record);
        let own = || BINARY.clone().map_err(|what| Error::new(codes::IO, what));
        let gate = Gate {
            strategies,
            archive: &self.archive,
            ledger: &self.ledger,
            heads,
            baselines: &self.baselines,
            binary: &|| self.binary.clone().map_or_else(own, Ok),
            policy: self.policy.as_ref(),
            committed: if self.committed { Some(&committed) } else { None },
            today: self.today,
            pages: self.pages,
            progress,
        };
        deployed.par_iter().map(|one| gate.judge(one)).collect()
    }
}

impl Judging {
    /// The deployed strategies that are to be judged.
    pub(super) fn deployed(&self) -> Result<Vec<Deployed>> {
        let mut deployed = discover(&self.place.deployed()?)?;
        if let Some(only) = &self.strategy {
            deployed.retain(|d| d.name == *only);
            if deployed.is_empty() {
                return Err(Error::new(codes::NOT_DEPLOYED, format!("`{only}` is not deployed")));
            }
        }
        Ok(deployed)
    }
}

/// SHA-256 of this program's file.
static BINARY: LazyLock<Result<String, String>> = LazyLock::new(|| {
    let path = std::env::current_exe().map_err(|e| format!("can't find this program's own file: {e}"))?;
    Ok(sha256_hex(&map::bytes(&path, Access::Map).map_err(|e| e.to_string())?))
});

/// On a terminal: what is under way.
fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn write_files(options: &Options, verdict: &Verdict, judgements: &[Judgement]) -> Result<()> {
    if let Some(folder) = &options.out {
        write_folder(folder, verdict, judgements)?;
    }
    if let (Some(path), [only]) = (&options.html, judgements) {
        write(path, &html::gate(only, &[])?)?;
    }
    if let Some(path) = &options.junit {
        write(path, &junit::gate(verdict)?)?;
    }
    if let Some(path) = &options.markdown {
        append(path, &markdown::gate(verdict))?;
    }
    Ok(())
}

fn write_folder(folder: &Path, verdict: &Verdict, judgements: &[Judgement]) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()).at(folder.display()))?;
    let siblings: Vec<(String, Status)> =
        verdict.strategies.iter().map(|one| (one.strategy.clone(), one.status)).collect();
    for one in judgements {
        let name = &one.verdict.strategy;
        write(&folder.join(format!("{name}.html")), &html::gate(one, &siblings)?)?;
        if let Some(baseline) = one.baseline.as_ref().filter(|_| one.verdict.status.deploys()) {
            baseline.write(&folder.join(format!("{name}.baseline.json")))?;
        }
    }
    // A strategy that is called as the index keeps its page.
    if verdict.strategies.iter().all(|one| format!("{}.html", one.strategy) != INDEX) {
        write(&folder.join(INDEX), &html::index(verdict)?)?;
    }
    write(&folder.join("verdict.json"), &to_json(verdict))
}

/// Summaries of several steps follow each other in one file.
pub(super) fn append(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let fault =
        |e: std::io::Error| Error::new(codes::CANNOT_WRITE, format!("can't write results: {e}")).at(path.display());
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(fault)?;
    file.write_all(text.as_bytes()).map_err(fault)
}

/// Records an accepted failure beside the config that it is accepted for.
fn accept(options: &Acknowledge, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let deployed = discover(&options.place.deployed()?)?;
    let Some(one) = deployed.iter().find(|d| d.name == options.strategy) else {
        return Err(Error::new(codes::NOT_DEPLOYED, format!("`{}` is not deployed", options.strategy)));
    };
    let strategy = magellan::registry::find(strategies, &one.name)?;
    let config = strategy.read_complete(&one.config)?;
    let periods = &config.deployment().performance_criteria.periods;
    let period = match (&options.period, &periods[..]) {
        (Some(name), _) => periods.iter().find(|p| p.name == *name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let Some(period) = period else {
        let names: Vec<&str> = periods.iter().map(|p| p.name.as_str()).collect();
        return Err(Error::new(codes::BAD_ARGUMENT, "which period is it for?")
            .help(format!("name it with --period: {}", names.join(", "))));
    };
    if !magellan::gate::check_names().any(|name| name == options.check) {
        if magellan::gate::NEVER_ACCEPTED.contains(&options.check.as_str()) {
            let what = format!("a failure of `{}` can't be accepted: it says that nothing was proved", options.check);
            return Err(Error::new(codes::BAD_ARGUMENT, what)
                .help("correct what it names; figures beyond their levels can be accepted"));
        }
        let known: Vec<&str> = magellan::gate::check_names().collect();
        return Err(Error::new(codes::BAD_ARGUMENT, format!("there is no check `{}`", options.check))
            .help(format!("known are {}", known.join(", "))));
    }
    let acknowledgement = Acknowledgement {
        check: options.check.clone(),
        period: period.name.clone(),
        config_sha256: config.sha256.clone(),
        who: options.who.clone(),
        why: options.why.clone(),
        accepted: today(),
        expires: options.expires,
        expired: false,
    };
    acknowledge::add(&one.config, acknowledgement, policy::read(&options.place.deployed()?)?.as_ref())?;
    print(&format!("{} says so now; commit it\n", acknowledge::path(&one.config).display()))?;
    Ok(0)
}
