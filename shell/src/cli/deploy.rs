//! `magellan deploy`, `deploy resume` and `rollback`: whatever changes a host

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use magellan::deployed::discover;
use magellan::deployed::{self, Deployed};
use magellan::error::{Error, Result};
use magellan::gate::baseline::Baseline;
use magellan::gate::verify::{self, StoredVerdict};
use magellan::ledger::Ledger;
use magellan::registry::AnyStrategy;

use super::bundle::program;
use super::destination::{Connected, Destination, machine};
use super::gate::{GateInputs, Judging};
use super::options::{Baselines, Counting, Place, is_synthetic};
use super::output::{print, to_json, write};
use crate::deploy::bundle::{self, Bundle, Parts};
use crate::deploy::commit::Commit;
use crate::deploy::facts::Facts;
use crate::deploy::judged::{Asked, Running, Verdicts};
use crate::deploy::lock::{Held, Lock};
use crate::deploy::plan::{self, Change};
use crate::deploy::record::{Action, Index, Indexed, Journal, Judged, Outcome, Override, Record};
use crate::deploy::rollout::{Rollout, STEPS};
use crate::deploy::summary;
use crate::release::{BINARY, Environment, Kind, Manifest, short};
use crate::unit::Unit;
use crate::{codes, git, policy};

/// How a rollout is told.
#[derive(Args, Debug)]
pub(super) struct Rolling {
    /// Seconds that services must be healthy.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(super) stabilize: u64,
    /// Don't ask.
    #[arg(long)]
    pub(super) yes: bool,
    /// Print the plan as a diff against the host, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) telling: Telling,
}

/// Where its summary goes.
#[derive(Args, Debug)]
pub(super) struct Telling {
    /// Append a block of Markdown to this file, e.g. $GITHUB_STEP_SUMMARY.
    #[arg(long, value_name = "FILE")]
    pub(super) markdown: Option<PathBuf>,
    /// Write the record as JSON into this file.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub(super) struct Deploy {
    #[command(subcommand)]
    pub(super) command: Option<DeployCommand>,
    #[command(flatten)]
    pub(super) to: Destination,
    #[command(flatten)]
    pub(super) rolling: Rolling,
    /// A strategy, or all that are deployed. What isn't selected must be what runs.
    #[arg(long, value_name = "NAME", default_value = "all")]
    pub(super) strategy: String,
    /// Verdicts: the folder of `magellan gate --out`, or one with several of them.
    #[arg(long, value_name = "DIR", default_value = "gate")]
    pub(super) verdicts: PathBuf,
    /// The archive that was judged on [default: data/sample beside `deployed`].
    #[arg(long, value_name = "DIR", env = "MAGELLAN_ARCHIVE")]
    pub(super) archive: Option<PathBuf>,
    /// The program that judged and is shipped [default: this one].
    #[arg(long, value_name = "FILE")]
    pub(super) binary: Option<PathBuf>,
    /// Deploy although it is refused: why. It is recorded and shown everywhere.
    #[arg(long = "override", value_name = "WHY", requires = "who", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) overriding: Option<String>,
    /// Who takes responsibility for that.
    #[arg(long, value_name = "WHO", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) who: Option<String>,
    /// Trust verdicts without judging again: why that can't be done. It is recorded and shown everywhere.
    #[arg(long, value_name = "WHY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) not_judged_again: Option<String>,
    /// A commit or branch whose trials must all be in the ledger, e.g. origin/main.
    #[arg(long, value_name = "REF")]
    pub(super) ledger_of: Option<String>,
    #[command(flatten)]
    pub(super) counting: Counting,
    #[command(flatten)]
    pub(super) baselines: Baselines,
}

#[derive(Subcommand, Debug)]
pub(super) enum DeployCommand {
    /// Go on with a rollout whose process died, to its end.
    Resume(Resume),
}

#[derive(Args, Debug)]
pub(super) struct Resume {
    #[command(flatten)]
    pub(super) to: Destination,
    /// The owner is surely gone, though it was heard of a moment ago on another machine.
    #[arg(long)]
    pub(super) take_over: bool,
    #[command(flatten)]
    pub(super) telling: Telling,
}

#[derive(Args, Debug)]
pub(super) struct Rollback {
    #[command(flatten)]
    pub(super) to: Destination,
    #[command(flatten)]
    pub(super) rolling: Rolling,
    /// The release, by its digest or the beginning of it [default: the latest good one before this].
    #[arg(long = "to", value_name = "DIGEST")]
    pub(super) release: Option<String>,
}

pub(super) fn run(options: Deploy, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    match &options.command {
        Some(DeployCommand::Resume(options)) => resume(options),
        None => deploy(&options, strategies),
    }
}

#[expect(clippy::disallowed_methods, reason = "the command line is where time enters")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Who deploys: a run of a workflow, or somebody on a machine.
fn owner() -> String {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let run = || {
        Some(format!(
            "{}/{}/actions/runs/{}",
            var("GITHUB_SERVER_URL")?,
            var("GITHUB_REPOSITORY")?,
            var("GITHUB_RUN_ID")?
        ))
    };
    run().unwrap_or_else(|| {
        let user = var("USER").or_else(|| var("LOGNAME")).unwrap_or_else(|| "somebody".to_owned());
        format!("{user}@{} process {}", machine(), std::process::id())
    })
}

/// Whether an owner was a process of this machine that is no more.
fn is_gone(held: &Held) -> bool {
    let here = format!("@{} process ", machine());
    let process = held.owner.split_once(&here).and_then(|(_, process)| process.parse::<u32>().ok());
    process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists())
}

fn tell(step: &str) {
    eprintln!("… {step}");
}

/// What would be rolled out.
struct Candidate {
    bundle: Bundle,
    file: PathBuf,
    commit: Commit,
    deployed: Vec<Deployed>,
    selected: Vec<String>,
    _folder: tempfile::TempDir,
}

fn deploy(options: &Deploy, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let deployed = options.to.named.folder()?;
    let environment = options.to.named.environment()?;
    let all = discover(&deployed)?;
    let selected: Vec<&Deployed> =
        all.iter().filter(|d| options.strategy == "all" || d.name == options.strategy).collect();
    if selected.is_empty() {
        return Err(Error::new(codes::NOT_DEPLOYED, format!("`{}` is not deployed", options.strategy)));
    }
    let commit = Commit::of(&deployed)?;
    let binary = program(options.binary.as_deref())?;
    let place = Place { archive: options.archive.clone(), deployed: Some(deployed.clone()), no_mmap: false };
    let bars = place.archive()?;
    let (archive, ledger) = (bars.manifest().sha256.clone(), options.counting.folder(&place, is_synthetic(&bars))?);
    let policy = policy::read(&deployed)?;
    let verdicts = Verdicts::read(&options.verdicts)?;
    options.to.connect(&environment, |connected| {
        let seen = Facts::observe(connected.transport, &environment)?;
        let selected: Vec<String> = selected.iter().map(|d| deployed::unit_name(&d.name)).collect();
        let candidate = candidate(&environment, &all, selected, &binary, commit.clone(), &seen)?;
        let changes = plan::changes(&seen, &candidate.bundle.manifest, &deployed);
        let manifest = &candidate.bundle.manifest;
        let today = super::gate::today();
        let again = |one: &Deployed, stored: &StoredVerdict, running: &Running| {
            judge_again(options, &place, strategies, manifest, (one, stored, running))
        };
        let asked = Asked {
            strategies,
            environment: &environment,
            manifest,
            archive: &archive,
            verdicts: &verdicts,
            policy: policy.as_ref(),
            again: if options.not_judged_again.is_none() { Some(&again) } else { None },
            today,
        };
        let mut against = plan::untimely(&environment, &seen, &changes, now());
        if seen.is_bad(&candidate.bundle.digest) {
            let what = format!("release {} failed here before, or was rolled back", short(&candidate.bundle.digest));
            against.push(Error::new(codes::RELEASE_BAD, what));
        }
        if options.strategy == "all" {
            environment
                .check_services(&candidate.deployed.iter().map(|d| deployed::unit_name(&d.name)).collect::<Vec<_>>())?;
        } else {
            against.extend(plan::check_unselected(&changes, &candidate.selected));
        }
        let judged = judge(&candidate, &asked, &seen, &mut against)?;
        if let Some(commit) = &options.ledger_of {
            against.extend(forgotten(commit, &ledger, &candidate.deployed)?);
        }
        show_plan(&environment, connected, &seen, &candidate, &changes)?;
        if let Some(why) = &options.not_judged_again {
            eprintln!("  NOT JUDGED AGAIN: {why}");
        }
        let overridden = settle(options, &against)?;
        if options.rolling.dry_run {
            return Ok(0);
        }
        confirm(&options.rolling, &environment)?;
        let units: Vec<Unit> = candidate.deployed.iter().map(|d| Unit::read(&d.unit())).collect::<Result<_>>()?;
        let digest = &candidate.bundle.digest;
        let key = bundle::key(commit.made, &commit.id, digest);
        let record = Record {
            strategies: judged,
            overridden,
            not_judged_again: options.not_judged_again.clone(),
            stabilize: options.rolling.stabilize,
            needs: plan::needs(candidate.bundle.unpacked, &units),
            ..beginning(Action::Deploy, connected, &seen)?.of(now(), digest, &key, &commit.id)
        };
        let record = roll(connected, record, &seen, Some(&candidate.file), &options.rolling, options.to.json)?;
        if record.outcome == Some(Outcome::Running) && environment.kind == Kind::Production {
            record_baselines(options, &verdicts, &record, &place)?;
        }
        Ok(exit_code(&record))
    })
}

/// The judgement of each strategy that would run, and all that speaks against them.
fn judge(
    candidate: &Candidate,
    asked: &Asked<'_>,
    seen: &Facts,
    against: &mut Vec<Error>,
) -> Result<BTreeMap<String, Judged>> {
    let mut before = seen.rollout.clone().map(|record| record.strategies).unwrap_or_default();
    let mut all = BTreeMap::new();
    for one in &candidate.deployed {
        let shipped = &candidate.bundle.manifest.strategies[&one.name];
        // What isn't selected was judged when it was deployed.
        let was = before.remove(&one.name).filter(|was| was.unit_digest == shipped.unit_digest);
        let judged = match was.filter(|_| !candidate.selected.contains(&shipped.unit)) {
            Some(was) => was,
            None => {
                let (judged, refused) = asked.judge(one, &plan::running(seen, &one.name))?;
                against.extend(refused);
                judged
            }
        };
        all.insert(one.name.clone(), judged);
    }
    Ok(all)
}

/// Judges a strategy again from the trials that its verdict was judged with, and compares.
fn judge_again(
    options: &Deploy,
    place: &Place,
    strategies: &[&dyn AnyStrategy],
    manifest: &Manifest,
    (one, stored, running): (&Deployed, &StoredVerdict, &Running),
) -> Result<()> {
    let Deploy { counting, baselines, .. } = options;
    let judging = Judging {
        strategy: None,
        place: place.clone(),
        counting: counting.clone(),
        baselines: baselines.clone(),
        committed_ledger: false,
    };
    let binary = manifest.files.get(BINARY).map_or_else(String::new, |file| file.sha256.clone());
    let inputs = GateInputs::new(&judging, false)?.for_verdict(stored).of_program(binary);
    let again = super::verdict::judge_again(&inputs, strategies, std::slice::from_ref(one), stored);
    let subject = stored.strategy(&one.name).and_then(|one| one.subject.as_ref()).map(|s| &s.sha256);
    // Once it runs, it is what candidates are compared with, and what it was compared with is gone.
    let deployed = Baseline::read(inputs.baselines(), &one.name)?;
    let recorded = deployed.is_some_and(|deployed| Some(&deployed.subject.sha256) == subject);
    let nothing_else_runs = match running {
        Running::Nothing => true,
        Running::Unknown => false,
        Running::Subject(running) => Some(running) == subject,
    };
    let same = match recorded && nothing_else_runs {
        true => verify::compare_apart_from_baseline(stored, &again),
        false => verify::compare(stored, &again),
    };
    same.map(drop).map_err(|e| {
        let help =
            "judge it with `magellan gate --out gate`, or say why it can't be judged here with --not-judged-again";
        e.help(help)
    })
}

/// Trials that a commit's ledger has and the one at hand lacks.
fn forgotten(commit: &str, root: &Path, deployed: &[Deployed]) -> Result<Vec<Error>> {
    let required = git::records_of(commit, root)?;
    let mut gone = Vec::new();
    for one in deployed {
        let ledger = Ledger::open(root, &one.name)?;
        let missing = required.iter().filter(|(name, hash)| *name == one.name && !ledger.records().contains_key(hash));
        gone.extend(missing.map(|(name, hash)| {
            let what = format!("record {hash} of {name} is in {commit}, and not in the ledger here");
            Error::new(codes::LEDGER_GAP, what).at(root.display())
        }));
    }
    Ok(gone)
}

/// The record of a rollout that begins here and now.
fn beginning(action: Action, connected: &Connected<'_>, seen: &Facts) -> Result<Record> {
    let running = seen.current.as_ref().map(|c| (c.release.clone(), c.manifest.commit.clone()));
    Ok(Record::new(action, &connected.environment.name, &connected.host, owner(), running))
}

fn exit_code(record: &Record) -> u8 {
    record.outcome.as_ref().map_or(6, Outcome::exit_code)
}

/// The bundle of all strategies that run there, and of those that are selected.
fn candidate(
    environment: &Environment,
    all: &[Deployed],
    selected: Vec<String>,
    binary: &Path,
    commit: Commit,
    seen: &Facts,
) -> Result<Candidate> {
    let runs = |name: &str| seen.manifest().is_some_and(|manifest| manifest.strategies.contains_key(name));
    let ships = |d: &&Deployed| selected.contains(&deployed::unit_name(&d.name)) || runs(&d.name);
    let deployed: Vec<Deployed> = all.iter().filter(ships).cloned().collect();
    let bundle = Bundle::build(&Parts { environment, strategies: &deployed, binary, commit: &commit.id })?;
    environment.check_units(bundle.manifest.strategies.values().map(|shipped| &shipped.unit))?;
    let folder = tempfile::tempdir().map_err(|e| Error::new(codes::IO, e.to_string()))?;
    let file = folder.path().join("release.tar.zst");
    bundle::write(&bundle, &file)?;
    Ok(Candidate { bundle, file, commit, deployed, selected, _folder: folder })
}

fn show_plan(
    environment: &Environment,
    connected: &Connected<'_>,
    seen: &Facts,
    candidate: &Candidate,
    changes: &[(String, Change)],
) -> Result<()> {
    let Candidate { bundle, commit, .. } = candidate;
    let text = plan::text(seen, &bundle.manifest, &bundle.digest, changes);
    let head = format!("{}: {}\n", environment.name, connected.host);
    let size = bundle.bytes.len() as f64 / f64::from(1 << 20);
    eprintln!("{head}{text}  bundle   {} ({size:.1} MiB)", bundle::key(commit.made, &commit.id, &bundle.digest));
    Ok(())
}

/// Refuses, unless somebody takes responsibility.
fn settle(options: &Deploy, against: &[Error]) -> Result<Option<Override>> {
    let lines: Vec<String> = against.iter().map(|e| format!("{} ({})", e, e.code().slug())).collect();
    let Some(first) = against.first() else { return Ok(None) };
    match (&options.overriding, &options.who) {
        (Some(why), Some(who)) => {
            eprintln!("OVERRIDDEN by {who}: {why}");
            lines.iter().for_each(|line| eprintln!("  refused: {line}"));
            Ok(Some(Override { who: who.clone(), why: why.clone(), refused: lines }))
        }
        _ => {
            lines.iter().for_each(|line| eprintln!("refused: {line}"));
            let more = if lines.len() > 1 { format!(" (and {} more)", lines.len() - 1) } else { String::new() };
            let place = first.place().map_or_else(String::new, |place| format!("{place}: "));
            let error = Error::new(first.code(), format!("{place}{}{more}", first.what()));
            Err(error.help(first.suggestion()))
        }
    }
}

fn confirm(rolling: &Rolling, environment: &Environment) -> Result<()> {
    if rolling.yes {
        return Ok(());
    }
    let refused = || Error::new(codes::UNCONFIRMED, "nothing was changed");
    if !std::io::stdin().is_terminal() {
        return Err(refused());
    }
    eprint!("Type `{}` to go on: ", environment.name);
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && answer.trim() == environment.name { Ok(()) } else { Err(refused()) }
}

/// Takes the lock and rolls out; whatever happens, what was recorded is told.
fn roll(
    connected: &Connected<'_>,
    record: Record,
    planned: &Facts,
    bundle: Option<&Path>,
    rolling: &Rolling,
    json: bool,
) -> Result<Record> {
    let Connected { environment, store, transport, .. } = connected;
    check_writable(&rolling.telling)?;
    let number = planned.generation;
    let lock = Lock::take(*store, &environment.name, &record.id, &record.owner, now(), number / STEPS)?;
    // The plan is about a host that was seen before the lock was held.
    let now_is = Facts::observe(*transport, environment).and_then(|seen| {
        match (seen.generation, seen.release()) == (number, record.previous.as_deref()) {
            true => Ok(()),
            false => Err(Error::new(codes::PLAN_OUTDATED, "the host was changed after it was planned")),
        }
    });
    if let Err(err) = now_is {
        lock.release(now())?;
        return Err(err);
    }
    let record = Record { generation: lock.generation(), ..record };
    let journal = Journal::begin(*store, record).map_err(unfinished)?;
    let rollout =
        Rollout { store: *store, transport: *transport, environment, lock, journal, bundle, now: &now, tell: &tell };
    let (record, done) = rollout.run();
    tell_all(&record, json, &rolling.telling)?;
    done.map(|()| record).map_err(unfinished)
}

/// What can't be told afterwards isn't done.
fn check_writable(telling: &Telling) -> Result<()> {
    if let Some(path) = &telling.markdown {
        super::gate::append(path, "")?;
    }
    let folder = telling.out.as_ref().and_then(|path| path.parent()).unwrap_or(Path::new(""));
    let made = if folder.as_os_str().is_empty() { Ok(()) } else { std::fs::create_dir_all(folder) };
    made.map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()).at(folder.display()))
}

fn unfinished(err: Error) -> Error {
    if err.code() == codes::LOCK_LOST { err } else { Error::new(codes::UNFINISHED, err.to_string()) }
}

/// What became of a rollout is said first, and isn't hidden by a file that can't be written.
fn tell_all(record: &Record, json: bool, telling: &Telling) -> Result<()> {
    print(&if json { to_json(record) } else { summary::text(record) })?;
    let appended =
        telling.markdown.as_deref().map_or(Ok(()), |path| super::gate::append(path, &summary::markdown(record)));
    let written = telling.out.as_deref().map_or(Ok(()), |path| write(path, &to_json(record)));
    for err in [appended, written].into_iter().filter_map(Result::err) {
        eprintln!("error[{}]: {err}", err.code().slug());
    }
    Ok(())
}

/// What runs in production is what the next candidates are compared with.
fn record_baselines(options: &Deploy, verdicts: &Verdicts, record: &Record, place: &Place) -> Result<()> {
    let root = options.baselines.folder(place)?;
    for (name, judged) in record.strategies.iter().filter(|(_, judged)| judged.verdict.is_some()) {
        match verdicts.folder(name, &judged.subject) {
            Some(folder) => match super::verdict::record_from(folder, Some(name), &root) {
                Ok(text) => eprint!("baseline recorded, commit it: {text}"),
                Err(err) => eprintln!("baseline of {name} NOT recorded: {err}\n  try: {}", err.suggestion()),
            },
            None => eprintln!("baseline of {name} NOT recorded: its verdict isn't here"),
        }
    }
    Ok(())
}

fn resume(options: &Resume) -> Result<u8> {
    let environment = options.to.named.environment()?;
    options.to.connect(&environment, |connected| {
        let Connected { store, transport, .. } = connected;
        let nothing =
            || Error::new(codes::NOTHING_TO_RESUME, format!("no rollout of {} is unfinished", environment.name));
        let surely = |held: &Held| options.take_over || is_gone(held);
        let lock = Lock::take_over(*store, &environment.name, &owner(), now(), surely)?.ok_or_else(nothing)?;
        let Some(mut journal) = Journal::open(*store, &environment.name, lock.deploy())? else {
            // It died before it wrote anything down, and so before it did anything.
            let deploy = lock.deploy().to_owned();
            lock.release(now())?;
            print(&format!("{deploy} had not begun; the environment is free again\n"))?;
            return Ok(0);
        };
        if journal.record.host != connected.host {
            let Record { host, .. } = &journal.record;
            let what = format!("the rollout was on {host}, and {} is {}", environment.name, connected.host);
            return Err(Error::new(codes::WRONG_TARGET, what));
        }
        journal.record.generation = lock.generation();
        let rollout = Rollout {
            store: *store,
            transport: *transport,
            environment: &environment,
            lock,
            journal,
            bundle: None,
            now: &now,
            tell: &tell,
        };
        let (record, done) = rollout.run();
        tell_all(&record, options.to.json, &options.telling)?;
        done.map_err(unfinished)?;
        if record.outcome == Some(Outcome::Running) && environment.kind == Kind::Production {
            eprintln!("baselines are NOT recorded: run `magellan baseline record DIR` with the folder of the verdict");
        }
        Ok(exit_code(&record))
    })
}

pub(super) fn rollback(options: &Rollback) -> Result<u8> {
    let environment = options.to.named.environment()?;
    options.to.connect(&environment, |connected| {
        let seen = Facts::observe(connected.transport, &environment)?;
        let current = seen.release();
        let index = Index::read(connected.store, &environment.name)?;
        let target = earlier_release(&index, &seen, options.release.as_deref())?;
        eprintln!(
            "{}: {}\n  release  {} → {} (commit {})",
            environment.name,
            connected.host,
            current.map_or("none", short),
            short(&target.release),
            short(&target.commit)
        );
        if options.rolling.dry_run {
            return Ok(0);
        }
        confirm(&options.rolling, &environment)?;
        let record = Record {
            strategies: target.strategies.clone(),
            stabilize: options.rolling.stabilize,
            ..beginning(Action::Rollback, connected, &seen)?.of(now(), &target.release, &target.bundle, &target.commit)
        };
        let record = roll(connected, record, &seen, None, &options.rolling, options.to.json)?;
        Ok(exit_code(&record))
    })
}

/// The release to go back to: as named, or the latest that ran well, isn't this one and hasn't
/// failed here.
fn earlier_release<'i>(index: &'i Index, seen: &Facts, named: Option<&str>) -> Result<&'i Indexed> {
    let ran_well = index.rollouts.iter().rev().filter(|r| r.outcome == Outcome::Running);
    let mut others = ran_well.filter(|r| seen.release() != Some(&r.release));
    let none = |what: String| Error::new(codes::NO_RELEASE, what);
    match named {
        None => others
            .find(|r| !seen.is_bad(&r.release))
            .ok_or_else(|| none("no other release has run well here".to_owned())),
        Some(named) => {
            let found = others.find(|r| named.len() >= 8 && r.release.starts_with(named));
            let found = found.ok_or_else(|| none(format!("no other release `{named}` has run well here")))?;
            match seen.is_bad(&found.release) {
                true => Err(Error::new(
                    codes::RELEASE_BAD,
                    format!("release {} failed here, or was rolled back", short(&found.release)),
                )),
                false => Ok(found),
            }
        }
    }
}
