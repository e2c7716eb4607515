//! `magellan deploy`, `rollback`, `status`, `health`, `releases`, `doctor` and `bundle`

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::args::{
    BundleBuild, BundleCommand, Deploy, DeployCommand, Destination, Doctor, Health, Place, Resume, Rollback, Rolling,
    Telling, TransportArg,
};
use super::{print, to_json, write};
use crate::archive::map;
use crate::deploy::aws::Aws;
use crate::deploy::bundle::{self, Bundle, Parts};
use crate::deploy::commit::Commit;
use crate::deploy::host::{Answer, Call};
use crate::deploy::iam;
use crate::deploy::judged::{Asked, Verdicts};
use crate::deploy::lock::{Held, Lock};
use crate::deploy::plan::{self, Change};
use crate::deploy::record::{Action, Index, Indexed, Journal, Judged, Outcome, Override, Record};
use crate::deploy::rollout::{Rollout, STEPS, facts};
use crate::deploy::status::{Status, environment_differs};
use crate::deploy::store::{Folder, S3, Store};
use crate::deploy::summary::{self, short};
use crate::deploy::transport::{Local, Ssm, Transport};
use crate::error::{Code, Error, Result};
use crate::gate::{Deployed, discover};
use crate::registry::AnyStrategy;
use crate::release::{Environment, Kind};
use crate::report::table;
use crate::unit::{self, Unit};

/// The largest bundle read.
const LARGEST: u64 = 1 << 30;

pub(super) fn run(options: Deploy, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    match &options.command {
        Some(DeployCommand::Resume(options)) => resume(options),
        None => deploy(&options, strategies),
    }
}

/// Where things are and the way to the machine, asserted.
struct Connected<'a> {
    environment: &'a Environment,
    store: &'a dyn Store,
    transport: &'a dyn Transport,
    /// The machine, for people.
    host: String,
}

impl Destination {
    fn folder(&self) -> Result<PathBuf> {
        Place { archive: None, deployed: self.deployed.clone(), no_mmap: false }.deployed()
    }

    fn environment(&self) -> Result<Environment> {
        Environment::read(&self.folder()?, self.environment.as_deref().unwrap_or_default())
    }

    /// Asserts account, region and machine, then hands over the way there.
    fn connect<T>(&self, environment: &Environment, then: impl FnOnce(&Connected<'_>) -> Result<T>) -> Result<T> {
        if self.transport == TransportArg::Local {
            let store = Folder::open(Path::new(&format!("{}-deploy/store", environment.host.state)))?;
            let name = machine();
            if name != environment.target.hostname {
                let what = format!(
                    "this machine is called `{name}`, the environment file says `{}`",
                    environment.target.hostname
                );
                return Err(Error::new(Code::WrongTarget, what));
            }
            let host = format!("{name} (local)");
            return then(&Connected { environment, store: &store, transport: &Local, host });
        }
        let aws = Aws::connect(&environment.region)?;
        let account = aws.account()?;
        if account != environment.account {
            let what =
                format!("the credentials are of account {account}, {} is in {}", environment.name, environment.account);
            return Err(Error::new(Code::WrongTarget, what));
        }
        let store = S3::new(&aws, &environment.bucket, &environment.account);
        let transport = Ssm::find(&aws, &environment.target)?;
        let Environment { target, region, .. } = environment;
        let host = format!("{} ({}), account {account}, region {region}", transport.instance(), target.hostname);
        then(&Connected { environment, store: &store, transport: &transport, host })
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

fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "this machine".to_owned(), |h| h.trim().to_owned())
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

// ---- deploy ----

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
    let deployed = options.to.folder()?;
    let environment = options.to.environment()?;
    let all = discover(&deployed)?;
    let selected: Vec<&Deployed> =
        all.iter().filter(|d| options.strategy == "all" || d.name == options.strategy).collect();
    if selected.is_empty() {
        return Err(Error::new(Code::NotDeployed, format!("`{}` is not deployed", options.strategy)));
    }
    let commit = Commit::of(&deployed)?;
    let binary = program(options.binary.as_deref())?;
    let place = Place { archive: options.archive.clone(), deployed: Some(deployed.clone()), no_mmap: false };
    let archive = place.archive()?.manifest().sha256.clone();
    let verdicts = Verdicts::read(&options.verdicts)?;
    options.to.connect(&environment, |connected| {
        let seen = facts(connected.transport, &environment, false)?;
        let selected: Vec<String> = selected.iter().map(|d| unit::name(&d.name)).collect();
        let candidate = candidate(&environment, &all, selected, &binary, commit.clone(), &seen)?;
        let changes = plan::changes(&seen, &candidate.bundle.manifest, &deployed)?;
        let manifest = &candidate.bundle.manifest;
        let today = plan::day(now());
        let asked =
            Asked { strategies, environment: &environment, manifest, archive: &archive, verdicts: &verdicts, today };
        let mut against = plan::untimely(&environment, &seen, &changes, now());
        if seen.all("bad").any(|bad| bad == candidate.bundle.digest) {
            let what = format!("release {} failed here before, or was rolled back", short(&candidate.bundle.digest));
            against.push(Error::new(Code::ReleaseBad, what));
        }
        if options.strategy == "all" {
            environment.check_services(&candidate.deployed.iter().map(|d| unit::name(&d.name)).collect::<Vec<_>>())?;
        } else {
            against.extend(plan::check_unselected(&changes, &candidate.selected));
        }
        let judged = judge(&candidate, &asked, &seen, &mut against)?;
        println_plan(&environment, connected, &seen, &candidate, &changes)?;
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
    seen: &Answer,
    against: &mut Vec<Error>,
) -> Result<BTreeMap<String, Judged>> {
    let mut before = seen.rollout().map(|record| record.strategies).unwrap_or_default();
    let mut all = BTreeMap::new();
    for one in &candidate.deployed {
        let shipped = &candidate.bundle.manifest.strategies[&one.name];
        // What isn't selected was judged when it was deployed.
        let was = before.remove(&one.name).filter(|was| was.unit_digest == shipped.unit_digest);
        let judged = match was.filter(|_| !candidate.selected.contains(&shipped.unit)) {
            Some(was) => was,
            None => {
                let (judged, refused) = asked.judge(one, &plan::running(seen, &one.name)?)?;
                against.extend(refused);
                judged
            }
        };
        all.insert(one.name.clone(), judged);
    }
    Ok(all)
}

/// The record of a rollout that begins here and now.
fn beginning(action: Action, connected: &Connected<'_>, seen: &Answer) -> Result<Record> {
    let running = seen.running()?.map(|(release, manifest)| (release, manifest.commit));
    Ok(Record::new(action, &connected.environment.name, &connected.host, owner(), running))
}

fn exit_code(record: &Record) -> u8 {
    record.outcome.as_ref().map_or(6, Outcome::exit_code)
}

/// The program that is shipped.
fn program(named: Option<&Path>) -> Result<PathBuf> {
    match named {
        Some(path) => Ok(path.to_owned()),
        None => std::env::current_exe()
            .map_err(|e| Error::new(Code::Io, format!("can't find this program's own file: {e}"))),
    }
}

/// The bundle of all strategies that run there, and of those that are selected.
fn candidate(
    environment: &Environment,
    all: &[Deployed],
    selected: Vec<String>,
    binary: &Path,
    commit: Commit,
    seen: &Answer,
) -> Result<Candidate> {
    let running = seen.running()?.map(|(_, manifest)| manifest.strategies).unwrap_or_default();
    let ships = |d: &&Deployed| selected.contains(&unit::name(&d.name)) || running.contains_key(&d.name);
    let deployed: Vec<Deployed> = all.iter().filter(ships).cloned().collect();
    let bundle = Bundle::build(&Parts { environment, strategies: &deployed, binary, commit: &commit.id })?;
    plan::check_services(environment, &bundle.manifest)?;
    let folder = tempfile::tempdir().map_err(|e| Error::new(Code::Io, e.to_string()))?;
    let file = bundle::write(&bundle, &folder.path().join("release.tar.zst"))?;
    Ok(Candidate { bundle, file, commit, deployed, selected, _folder: folder })
}

fn println_plan(
    environment: &Environment,
    connected: &Connected<'_>,
    seen: &Answer,
    candidate: &Candidate,
    changes: &[(String, Change)],
) -> Result<()> {
    let Candidate { bundle, commit, .. } = candidate;
    let text = plan::text(seen, &bundle.manifest, &bundle.digest, changes)?;
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
    let refused = || Error::new(Code::Unconfirmed, "nothing was changed");
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
    planned: &Answer,
    bundle: Option<&Path>,
    rolling: &Rolling,
    json: bool,
) -> Result<Record> {
    let Connected { environment, store, transport, .. } = connected;
    check_writable(&rolling.telling)?;
    let number = host_number(planned);
    let lock = Lock::take(*store, &environment.name, &record.id, &record.owner, now(), number / STEPS)?;
    // The plan is about a host that was seen before the lock was held.
    let now_is = facts(*transport, environment, false).and_then(|seen| {
        let running = seen.running()?.map(|(release, _)| release);
        match (host_number(&seen), &running) == (number, &record.previous) {
            true => Ok(()),
            false => Err(Error::new(Code::PlanOutdated, "the host was changed after it was planned")),
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
    made.map_err(|e| Error::new(Code::CannotWrite, e.to_string()).at(folder.display()))
}

/// The number of the latest command that changed the host.
fn host_number(seen: &Answer) -> u64 {
    seen.get("generation").and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn unfinished(err: Error) -> Error {
    if err.code() == Code::LockLost { err } else { Error::new(Code::Unfinished, err.to_string()) }
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

// ---- resume, rollback ----

fn resume(options: &Resume) -> Result<u8> {
    let environment = options.to.environment()?;
    options.to.connect(&environment, |connected| {
        let Connected { store, transport, .. } = connected;
        let nothing = || Error::new(Code::NothingToResume, format!("no rollout of {} is unfinished", environment.name));
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
            return Err(Error::new(Code::WrongTarget, what));
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
    let environment = options.to.environment()?;
    options.to.connect(&environment, |connected| {
        let seen = facts(connected.transport, &environment, false)?;
        let current = seen.running()?.map(|(release, _)| release);
        let index = Index::read(connected.store, &environment.name)?;
        let target = earlier_release(&index, &seen, current.as_deref(), options.release.as_deref())?;
        eprintln!(
            "{}: {}\n  release  {} → {} (commit {})",
            environment.name,
            connected.host,
            current.as_deref().map_or("none", short),
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
fn earlier_release<'i>(
    index: &'i Index,
    seen: &Answer,
    current: Option<&str>,
    named: Option<&str>,
) -> Result<&'i Indexed> {
    let is_bad = |release: &str| seen.all("bad").any(|bad| bad == release);
    let ran_well = index.rollouts.iter().rev().filter(|r| r.outcome == Outcome::Running);
    let mut others = ran_well.filter(|r| current != Some(&r.release));
    let none = |what: String| Error::new(Code::NoRelease, what);
    match named {
        None => {
            others.find(|r| !is_bad(&r.release)).ok_or_else(|| none("no other release has run well here".to_owned()))
        }
        Some(named) => {
            let found = others.find(|r| named.len() >= 8 && r.release.starts_with(named));
            let found = found.ok_or_else(|| none(format!("no other release `{named}` has run well here")))?;
            match is_bad(&found.release) {
                true => Err(Error::new(
                    Code::ReleaseBad,
                    format!("release {} failed here, or was rolled back", short(&found.release)),
                )),
                false => Ok(found),
            }
        }
    }
}

// ---- what is there ----

pub(super) fn status(to: &Destination) -> Result<u8> {
    let environment = to.environment()?;
    to.connect(&environment, |connected| {
        let seen = facts(connected.transport, &environment, false)?;
        let status = Status::of(std::slice::from_ref(&seen), &environment, connected.host.clone())?;
        if seen.running()?.is_some_and(|(_, manifest)| environment_differs(&manifest, &environment)) {
            eprintln!("note: deployed/environments/{}.toml is another than the release's", environment.name);
        }
        print(&if to.json { to_json(&status) } else { status_text(&status) })?;
        match (status.drift.first(), &status.release) {
            (Some(first), _) => Err(Error::new(Code::Drift, first.clone())),
            (None, Some(_)) if !status.is_healthy() => Ok(7),
            _ => Ok(0),
        }
    })
}

fn status_text(status: &Status) -> String {
    let mut text = format!("{}: {}\n", status.environment, status.host);
    match (&status.release, &status.commit) {
        (Some(release), Some(commit)) => text += &format!("release {} of commit {}\n", short(release), short(commit)),
        _ => text += "nothing is deployed\n",
    }
    if let Some(rollout) = &status.rollout {
        text += &format!("rolled out by {} as {}\n", rollout.owner, rollout.id);
        for (strategy, (verdict, digest)) in &rollout.verdicts {
            text += &format!("  {strategy}: {verdict}, verdict {}\n", short(digest));
        }
        if let Some(overridden) = &rollout.overridden {
            text += &format!("OVERRIDDEN by {overridden}\n");
        }
    }
    text += &units_text(&status.units);
    status.failures.iter().for_each(|line| text += &format!("failed: {line}\n"));
    status.drift.iter().for_each(|line| text += &format!("DRIFT: {line}\n"));
    text
}

fn units_text(units: &[crate::deploy::health::UnitHealth]) -> String {
    if units.is_empty() {
        return String::new();
    }
    let header = ["unit", "state", "since", "process", "digest", "health"].map(str::to_owned);
    let since =
        |seconds: f64| Timestamp::from_second(seconds as i64).map_or_else(|_| "never".to_owned(), |t| t.to_string());
    let rows = units.iter().map(|u| {
        let health = if u.is_well() { "well".to_owned() } else { u.faults.join("; ") };
        vec![
            u.unit.clone(),
            u.state.clone(),
            since(u.since),
            u.pid.to_string(),
            short(&u.unit_digest).to_owned(),
            health,
        ]
    });
    table::plain(header.into_iter(), rows.collect())
}

pub(super) fn health(options: &Health) -> Result<u8> {
    let environment = options.to.environment()?;
    options.to.connect(&environment, |connected| {
        let mut looks = vec![facts(connected.transport, &environment, false)?];
        if options.stabilize > 0 {
            std::thread::sleep(Duration::from_secs(options.stabilize));
            looks.push(facts(connected.transport, &environment, false)?);
        }
        let status = Status::of(&looks, &environment, connected.host.clone())?;
        print(&if options.to.json { to_json(&status.units) } else { units_text(&status.units) })?;
        match status.is_healthy() {
            true => Ok(0),
            false if status.units.is_empty() => Err(Error::new(Code::Unhealthy, "nothing is deployed")),
            false => Ok(7),
        }
    })
}

pub(super) fn releases(to: &Destination) -> Result<u8> {
    let environment = to.environment()?;
    to.connect(&environment, |connected| {
        let seen = facts(connected.transport, &environment, false)?;
        let index = Index::read(connected.store, &environment.name)?;
        if to.json {
            print(&to_json(&index))?;
            return Ok(0);
        }
        let header = ["ended", "release", "commit", "outcome", "verdicts", "here"].map(str::to_owned);
        let has = |key: &str, release: &str| seen.all(key).any(|r| r == release);
        let rows = index.rollouts.iter().map(|r| {
            let verdicts: Vec<String> =
                r.strategies.iter().map(|(n, j)| format!("{n} {}", j.status.as_deref().unwrap_or("none"))).collect();
            let here = match (has("current", &r.release), has("bad", &r.release), has("release", &r.release)) {
                (true, ..) => "current",
                (_, true, _) => "bad",
                (.., true) => "there",
                _ => "pruned",
            };
            vec![
                r.ended.clone(),
                short(&r.release).to_owned(),
                short(&r.commit).to_owned(),
                r.outcome.name().to_owned(),
                verdicts.join(", "),
                here.to_owned(),
            ]
        });
        print(&table::plain(header.into_iter(), rows.collect()))?;
        Ok(0)
    })
}

pub(super) fn doctor(command: &Doctor) -> Result<u8> {
    match command {
        Doctor::Iam(options) => {
            let to = Destination {
                environment: Some(options.environment.clone()),
                transport: TransportArg::Ssm,
                deployed: options.deployed.clone(),
                json: true,
            };
            print(&to_json(&iam::deployer(&to.environment()?)))?;
            Ok(0)
        }
        Doctor::Host(to) => {
            let environment = to.environment()?;
            to.connect(&environment, |connected| {
                let mut call = Call::new("preflight", &environment)
                    .with("remote", &environment.host.remote)
                    .with("hostname", &environment.target.hostname);
                for unit in &environment.services {
                    call = call.with("unit", unit);
                }
                let answer = connected.transport.call(&call)?;
                let problems: Vec<&str> = answer.all("problem").collect();
                let sick = answer.failed.is_some();
                let text = problems.iter().map(|p| format!("✗ {p}\n")).collect::<String>();
                let text = if sick { text } else { format!("{}: nothing speaks against a deploy\n", connected.host) };
                print(&if to.json {
                    to_json(&serde_json::json!({"schema_version": 1, "problems": problems}))
                } else {
                    text
                })?;
                if sick && problems.is_empty() {
                    answer.done("preflight")?;
                }
                Ok(if sick { 7 } else { 0 })
            })
        }
    }
}

// ---- bundles ----

pub(super) fn bundle(command: &BundleCommand) -> Result<u8> {
    match command {
        BundleCommand::Build(options) => build(options),
        BundleCommand::Verify(options) => {
            let bytes = map::bytes_up_to(&options.file, LARGEST)?.to_vec();
            let bundle = Bundle::verify(bytes).map_err(|e| e.at(options.file.display()))?;
            let manifest = &bundle.manifest;
            let units: Vec<String> =
                manifest.strategies.values().map(|s| format!("  {} {}\n", s.unit_digest, s.unit)).collect();
            print(&format!(
                "{}  {}\nfor {}, of commit {}, {} files as in its manifest\n{}",
                bundle.digest,
                options.file.display(),
                manifest.environment,
                manifest.commit,
                manifest.files.len(),
                units.concat(),
            ))?;
            Ok(0)
        }
    }
}

fn build(options: &BundleBuild) -> Result<u8> {
    let place = Place { archive: None, deployed: options.deployed.clone(), no_mmap: false };
    let deployed = place.deployed()?;
    let environment = Environment::read(&deployed, &options.environment)?;
    let commit = Commit::of(&deployed)?;
    let strategies = discover(&deployed)?;
    let binary = program(options.binary.as_deref())?;
    let parts = Parts { environment: &environment, strategies: &strategies, binary: &binary, commit: &commit.id };
    let bundle = Bundle::build(&parts)?;
    bundle::write(&bundle, &options.out)?;
    print(&format!("{}  {}\n", bundle.digest, options.out.display()))?;
    Ok(0)
}
