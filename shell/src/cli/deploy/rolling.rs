//! A rollout under way: the lock taken, steps told, and whoever goes on after a kill

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use magellan::error::{Error, Result};

use super::overriding::Overriding;
use super::signing::Signing;
use crate::cli::announcements::Announcements;
use crate::cli::destination::{Connected, Destination};
use crate::cli::output::{print, to_json, write};
use crate::cli::owner::{is_gone, owner, workflow_run};
use crate::clock::now;
use crate::codes;
use crate::deploy::facts::Facts;
use crate::deploy::lock::{self, Held, Keeper, Lock, SILENCE};
use crate::deploy::record::{Action, Journal, Outcome, Record, Step};
use crate::deploy::rollout::{Rollout, STEPS};
use crate::deploy::summary;
use crate::release::{Environment, Kind};
use crate::signing::SigningKey;

/// In production services are watched for at least so long, seconds.
const LEAST_IN_PRODUCTION: u64 = 30;

/// How a rollout is told.
#[derive(Args, Debug)]
pub(crate) struct Rolling {
    /// Seconds that services must be healthy; in production at least 30.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(super) stabilize: u64,
    /// Don't ask.
    #[arg(long)]
    pub(super) yes: bool,
    /// Print the plan as a diff against the host, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) overriding: Overriding,
    #[command(flatten)]
    pub(super) signing: Signing,
    #[command(flatten)]
    pub(super) waiting: Waiting,
    #[command(flatten)]
    pub(super) telling: Telling,
}

impl Rolling {
    /// Refuses a window in which a service can't show that it stays up.
    pub(super) fn check(&self, environment: &Environment) -> Result<()> {
        if environment.kind == Kind::Production && self.stabilize < LEAST_IN_PRODUCTION {
            let what = format!(
                "--stabilize {} in production; services are watched for at least {LEAST_IN_PRODUCTION} seconds",
                self.stabilize
            );
            return Err(Error::new(codes::BAD_ARGUMENT, what).help("leave out --stabilize"));
        }
        Ok(())
    }
}

/// Whether it is waited for a unit that goes first.
#[derive(Args, Debug, Clone, Copy)]
pub(crate) struct Waiting {
    /// While the first unit of a gradual rollout proves itself, end with 0 and leave the rest to `deploy resume`.
    #[arg(long)]
    pub(super) no_wait: bool,
}

/// Where its summary goes.
#[derive(Args, Debug)]
pub(crate) struct Telling {
    /// Append a block of Markdown to this file, e.g. $GITHUB_STEP_SUMMARY.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the record as JSON into this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Resume {
    #[command(flatten)]
    to: Destination,
    /// The owner is surely gone, though it was heard of a moment ago on another machine.
    #[arg(long)]
    take_over: bool,
    /// End with 0 if no rollout is unfinished.
    #[arg(long)]
    if_unfinished: bool,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    telling: Telling,
}

fn tell(step: &str) {
    eprintln!("… {step}");
}

/// Whether SIGTERM or Ctrl-C came: a rollout then ends at its step's boundary.
fn interruptions() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, flag.clone())
            .map_err(|e| Error::new(codes::IO, format!("can't listen for signals: {e}")))?;
    }
    Ok(flag)
}

/// The record of a rollout that begins here and now.
pub(super) fn beginning(action: Action, connected: &Connected<'_>) -> Record {
    Record::new(action, &connected.environment.name, &connected.host, owner())
}

pub(super) fn exit_code(record: &Record) -> u8 {
    match &record.outcome {
        Some(outcome) => outcome.exit_code(),
        None if is_left_soaking(record) => 0,
        None => 6,
    }
}

/// Whether its first unit proves itself, and nothing else is to be done until its deadline.
fn is_left_soaking(record: &Record) -> bool {
    record.outcome.is_none() && record.step(Step::Soak).is_some_and(|soak| soak.ended.is_none())
}

/// Takes the lock and rolls out; whatever happens, what was recorded is told.
pub(super) fn roll(
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
    let lock = Lock::take(*store, connected.claim(&record.id, &record.owner), now(), number / STEPS)
        .map_err(|err| if_gone(connected, err))?;
    // The plan is about a host that was seen before the lock was held.
    let now_is = Facts::observe(*transport, environment).and_then(|seen| {
        match (seen.generation, binds(&seen)) == (number, binds(planned)) {
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
    let means =
        Means { bundle, waiting: rolling.waiting, key: rolling.signing.key()?, telling: &rolling.telling, json };
    go_on(connected, lock, journal, &means)
}

/// A lock whose owner is gone isn't waited for.
fn if_gone(connected: &Connected<'_>, err: Error) -> Error {
    let held = lock::read(connected.store, connected.lock()).ok().flatten().map(|(held, _)| held);
    match held.filter(|held| err.code() == codes::DEPLOY_LOCKED && !held.released && (held.left || is_gone(held))) {
        None => err,
        Some(held) => err.help(format!(
            "nobody goes on with it: run `magellan deploy resume --environment {}` first",
            held.environment
        )),
    }
}

/// What each unit is bound to.
fn binds(facts: &Facts) -> Vec<(String, String, String)> {
    facts.bound_units().map(|(name, unit)| (name.to_owned(), unit.release.clone(), unit.binding.clone())).collect()
}

/// What a rollout is given beside its record.
struct Means<'a> {
    bundle: Option<&'a Path>,
    waiting: Waiting,
    /// Signs the entry of the index.
    key: Option<SigningKey>,
    telling: &'a Telling,
    json: bool,
}

/// Rolls out from wherever the journal stands.
fn go_on(connected: &Connected<'_>, lock: Lock<'_>, journal: Journal<'_>, means: &Means<'_>) -> Result<Record> {
    let interrupted = interruptions()?;
    let Connected { environment, store, transport, .. } = connected;
    let rollout = Rollout {
        store: *store,
        transport: *transport,
        environment,
        journal,
        bundle: means.bundle,
        key: means.key.as_ref(),
        no_wait: means.waiting.no_wait,
        now: &now,
        interrupted: &|| interrupted.load(Ordering::Relaxed),
        tell: &tell,
        lock: Keeper::of(lock, &now),
        unwell: false,
    };
    let announcements = Announcements::of(&rollout.journal.record);
    announcements.begin();
    let (record, done) = rollout.run();
    announcements.end(&record);
    tell_all(&record, means.json, means.telling)?;
    match done {
        Err(err) if err.code() == codes::INTERRUPTED && means.waiting.no_wait && is_left_soaking(&record) => Ok(record),
        done => done.map(|()| record).map_err(unfinished),
    }
}

/// What can't be told afterwards isn't done.
fn check_writable(telling: &Telling) -> Result<()> {
    if let Some(path) = &telling.markdown {
        crate::cli::gate::append(path, "")?;
    }
    let folder = telling.out.as_ref().and_then(|path| path.parent()).unwrap_or(Path::new(""));
    let made = if folder.as_os_str().is_empty() { Ok(()) } else { std::fs::create_dir_all(folder) };
    made.map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()).at(folder.display()))
}

fn unfinished(err: Error) -> Error {
    match err.code() {
        codes::LOCK_LOST | codes::INTERRUPTED => err,
        _ => Error::new(codes::UNFINISHED, err.to_string()),
    }
}

/// What became of a rollout is said first, and isn't hidden by a file that can't be written.
fn tell_all(record: &Record, json: bool, telling: &Telling) -> Result<()> {
    print(&if json { to_json(record) } else { summary::text(record) })?;
    let appended =
        telling.markdown.as_deref().map_or(Ok(()), |path| crate::cli::gate::append(path, &summary::markdown(record)));
    let written = telling.out.as_deref().map_or(Ok(()), |path| write(path, &to_json(record)));
    for err in [appended, written].into_iter().filter_map(Result::err) {
        eprintln!("error[{}]: {err}", err.code().slug());
    }
    Ok(())
}

pub(super) fn resume(options: &Resume) -> Result<u8> {
    let environment = options.to.named.environment()?;
    options.to.connect(&environment, |connected| {
        let Connected { store, transport, .. } = connected;
        if options.if_unfinished
            && let Some(other) = somebody_elses(connected)?
        {
            return print(&format!("the unfinished rollout is of {other}, who goes on with it\n")).map(|()| 0);
        }
        let surely = |held: &Held| options.take_over || is_gone(held);
        // Whatever was here since, going on isn't stale on the host.
        let seen = Facts::observe(*transport, &environment).map_or(0, |facts| facts.generation / STEPS);
        let lock = Lock::take_over(*store, connected.claim("", &owner()), now(), seen, surely, SILENCE)?;
        let Some(lock) = lock else {
            let nothing = format!("no rollout of {} is unfinished", environment.name);
            return match options.if_unfinished {
                true => print(&format!("{nothing}\n")).map(|()| 0),
                false => Err(Error::new(codes::NOTHING_TO_RESUME, nothing)),
            };
        };
        let Some(mut journal) = Journal::open(*store, &environment.name, lock.deploy())? else {
            return free(lock, &environment);
        };
        if journal.record.host != connected.host {
            let Record { host, .. } = &journal.record;
            let what = format!("the rollout was on {host}, and {} is {}", environment.name, connected.host);
            return Err(Error::new(codes::WRONG_TARGET, what));
        }
        journal.record.bound.check(&environment)?;
        journal.record.generation = lock.generation();
        let means = Means {
            bundle: None,
            waiting: options.waiting,
            key: options.signing.key()?,
            telling: &options.telling,
            json: options.to.json,
        };
        let record = go_on(connected, lock, journal, &means)?;
        if record.outcome == Some(Outcome::Running) && environment.kind == Kind::Production {
            eprintln!("baselines are NOT recorded: run `magellan baseline record DIR` with the folder of the verdict");
        }
        Ok(exit_code(&record))
    })
}

/// In a workflow, who owns an unfinished rollout that another run began: what failed there isn't brought to its end here.
fn somebody_elses(connected: &Connected<'_>) -> Result<Option<String>> {
    let Some(run) = workflow_run() else { return Ok(None) };
    let held = lock::read(connected.store, connected.lock())?.map(|(held, _)| held);
    Ok(held.filter(|held| !held.released && held.owner != run).map(|held| held.owner))
}

/// Gives back a lock whose owner died before it wrote anything down, and so before it did anything.
fn free(lock: Lock<'_>, environment: &Environment) -> Result<u8> {
    let deploy = lock.deploy().to_owned();
    lock.release(now())?;
    print(&format!("{deploy} had not begun; {} is free again\n", environment.name))?;
    Ok(0)
}
