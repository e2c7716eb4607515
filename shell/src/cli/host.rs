//! `magellan status`, `health`, `watch`, `logs` and `releases`: whatever looks at a host

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use magellan::deployed::unit_name;
use magellan::error::{Error, Result};

use super::announcements::unhealthy;
use super::destination::{Connected, Destination};
use super::output::{print, to_json};
use super::owner::is_gone;
use crate::clock::now;
use crate::codes;
use crate::deploy::facts::Facts;
use crate::deploy::health::{Looks, Watch};
use crate::deploy::host::Call;
use crate::deploy::lock::{self, Held, RENEWED_EVERY};
use crate::deploy::record::{Index, Journal, Record, UnitHealth};
use crate::deploy::status::{self, Brought, Status, Unfinished};
use crate::release::heartbeat::Heartbeat;
use crate::release::short;
use crate::report::table;

#[derive(Args, Debug)]
pub(super) struct Health {
    #[command(flatten)]
    pub(super) to: Destination,
    /// Seconds that services are watched.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=1_800))]
    pub(super) stabilize: u64,
}

#[derive(Args, Debug)]
pub(super) struct WatchOptions {
    #[command(flatten)]
    pub(super) to: Destination,
    /// How long, such as 10m or 1h 30m.
    #[arg(long = "for", value_name = "TIME", value_parser = time_span)]
    pub(super) for_so_long: Duration,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(super) every: u64,
}

#[derive(Args, Debug)]
pub(super) struct Logs {
    #[command(flatten)]
    pub(super) to: Destination,
    /// The strategy.
    #[arg(long, value_name = "NAME")]
    pub(super) strategy: String,
    /// From so long ago on, such as 10m or 2h [default: the last lines].
    #[arg(long, value_name = "TIME", value_parser = time_span)]
    pub(super) since: Option<Duration>,
    /// At most so many lines at first.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) lines: u32,
    /// Go on with what is logged from now on, until Ctrl-C.
    #[arg(long)]
    pub(super) follow: bool,
}

/// A length of time in words.
fn time_span(text: &str) -> std::result::Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().map_err(|e| format!("{e}; expected such as 10m or 1h 30m"))?;
    let span = Duration::try_from(parsed).map_err(|_| "it is below 0".to_owned())?;
    if span.is_zero() { Err("it is 0".to_owned()) } else { Ok(span) }
}

pub(super) fn status(to: &Destination) -> Result<u8> {
    let environment = to.named.environment()?;
    to.connect(&environment, |connected| {
        let (held, index) = on_record(connected)?;
        let seen = Facts::observe(connected.transport, &environment)?;
        let expected = status::expected(&seen, &index, &environment);
        let mut watch = Watch::over(&expected);
        watch.see(seen);
        let mut status = Status::of(&watch, &index, &environment, connected.host.clone());
        status.unfinished = held.map(|held| unfinished(connected, held)).transpose()?;
        print(&if to.json { to_json(&status) } else { status_text(&status) })?;
        if let Some(first) = status.drift.first() {
            return Err(Error::new(codes::DRIFT, first.clone()));
        }
        if let Some(dead) = status.unfinished.as_ref().filter(|unfinished| unfinished.is_dead()) {
            let what = format!("nobody goes on with the rollout {} of {}, at step {}", dead.id, dead.owner, dead.step);
            return Err(Error::new(codes::ABANDONED, what));
        }
        Ok(if status.brought.is_empty() || status.is_healthy() { 0 } else { 7 })
    })
}

/// A rollout that hasn't ended: its lock, the lock's version, and its record, if it has begun one.
struct Begun {
    held: Held,
    version: String,
    record: Option<Record>,
}

/// What the store knows: what has ended, and what hasn't.
fn on_record(connected: &Connected<'_>) -> Result<(Option<Begun>, Index)> {
    let environment = &connected.environment.name;
    let begun = match lock::read(connected.store, connected.lock())? {
        Some((held, version)) if !held.released && held.environment == *environment => {
            let record = Journal::open(connected.store, environment, &held.deploy)?.map(|journal| journal.record);
            Some(Begun { held, version, record })
        }
        _ => None,
    };
    let index = Index::read(connected.store, environment)?;
    let index = index.with_unfinished(begun.as_ref().and_then(|begun| begun.record.as_ref()));
    Ok((begun, index))
}

/// How far it is, and whether its owner is heard of while it is waited for one.
fn unfinished(connected: &Connected<'_>, begun: Begun) -> Result<Unfinished> {
    let Begun { held, version, record } = begun;
    let under_way = !held.left
        && !is_gone(&held)
        && lock::is_heard(connected.store, connected.lock(), &version, RENEWED_EVERY * 5 / 2)?;
    Ok(Unfinished::of(&held, record.as_ref(), under_way))
}

fn status_text(status: &Status) -> String {
    let mut text = format!("{}: {}\n", status.environment, status.host);
    if status.brought.is_empty() {
        text += "nothing is deployed\n";
    }
    for (unit, Brought { release, commit, rollout, verdict }) in &status.brought {
        let rollout = rollout.as_deref().unwrap_or("no rollout on record");
        text += &format!("{unit}: release {} of commit {}, by {rollout}\n", short(release), short(commit));
        if let Some((verdict, digest)) = verdict {
            text += &format!("  {verdict}, verdict {}\n", short(digest));
        }
    }
    text += &units_text(&status.units);
    if let Some(unfinished) = &status.unfinished {
        let Unfinished { id, owner, step, soaks_until, under_way, .. } = unfinished;
        let how = match (under_way, soaks_until) {
            (true, _) => "under way".to_owned(),
            (false, Some(until)) => {
                format!("its first unit proves itself until {until}, then `magellan deploy resume`")
            }
            (false, None) => "nobody goes on with it: `magellan deploy resume`".to_owned(),
        };
        text += &format!("UNFINISHED: {id} of {owner}, step {step}; {how}\n");
    }
    for overridden in &status.overridden {
        text += &format!("OVERRIDDEN by {overridden}\n");
    }
    status.failures.iter().for_each(|line| text += &format!("failed: {line}\n"));
    status.drift.iter().for_each(|line| text += &format!("DRIFT: {line}\n"));
    text
}

fn units_text(units: &[UnitHealth]) -> String {
    if units.is_empty() {
        return String::new();
    }
    let header = ["unit", "state", "since", "process", "positions", "digest", "health"].map(str::to_owned);
    let since =
        |seconds: f64| Timestamp::from_second(seconds as i64).map_or_else(|_| "never".to_owned(), |t| t.to_string());
    let rows = units.iter().map(|u| {
        let health = if u.is_well() { "well".to_owned() } else { u.faults.join("; ") };
        vec![
            u.unit.clone(),
            u.state.clone(),
            since(u.since),
            u.pid.to_string(),
            u.positions.clone(),
            short(&u.unit_digest).to_owned(),
            health,
        ]
    });
    table::plain(header.into_iter(), rows.collect())
}

pub(super) fn health(options: &Health) -> Result<u8> {
    let environment = options.to.named.environment()?;
    options.to.connect(&environment, |connected| {
        let (_, index) = on_record(connected)?;
        let first = Facts::observe(connected.transport, &environment)?;
        let expected = status::expected(&first, &index, &environment);
        let mut watch = Watch::over(&expected);
        watch.see(first);
        if options.stabilize > 0 {
            std::thread::sleep(Duration::from_secs(options.stabilize));
            watch.see(Facts::observe(connected.transport, &environment)?);
        }
        let units = watch.judge();
        print(&if options.to.json { to_json(&units) } else { units_text(&units) })?;
        if units.is_empty() {
            return Err(Error::new(codes::UNHEALTHY, "nothing is deployed"));
        }
        Ok(if units.iter().all(UnitHealth::is_well) { 0 } else { 7 })
    })
}

/// Looks again and again, tells each look, and ends with the first thing that is wrong.
pub(super) fn watch(options: &WatchOptions) -> Result<u8> {
    let environment = options.to.named.environment()?;
    options.to.connect(&environment, |connected| {
        let (_, index) = on_record(connected)?;
        let observe = || Facts::observe(connected.transport, &environment);
        let first = observe()?;
        let expected = status::expected(&first, &index, &environment);
        if expected.is_empty() {
            return Err(Error::new(codes::UNHEALTHY, "nothing is deployed"));
        }
        let mut watch = Watch::over(&expected);
        watch.see(first);
        let mut lost = 0;
        for look in Looks::every(Duration::from_secs(options.every), &observe, &now) {
            match look.facts {
                Ok(facts) => {
                    lost = 0;
                    watch.see(facts);
                }
                // One look that is lost isn't a service that failed.
                Err(err) if lost >= 3 => return Err(err),
                Err(err) => {
                    lost += 1;
                    eprintln!("note: {err}");
                    continue;
                }
            }
            print(&if options.to.json { one_line(&watch) } else { look_text(&watch) })?;
            if let Some(fault) = watch.first_fault() {
                let pids: Vec<String> = watch.judge().iter().map(|u| format!("{} {}", u.unit, u.pid)).collect();
                unhealthy(&environment.name, &connected.host, &pids.join(", "), &fault);
                return Err(Error::new(codes::UNHEALTHY, fault));
            }
            if look.watched >= options.for_so_long {
                break;
            }
        }
        Ok(0)
    })
}

fn one_line(watch: &Watch<'_>) -> String {
    serde_json::to_string(&watch.judge()).unwrap_or_default() + "\n"
}

/// A line a unit: how far it is, by its own word.
fn look_text(watch: &Watch<'_>) -> String {
    let facts = watch.last().cloned().unwrap_or_default();
    let at = now().strftime("%H:%M:%SZ");
    let line = |unit: &UnitHealth| {
        let seen = facts.unit(&unit.unit);
        let restarts = seen.property("NRestarts").to_owned();
        let said = seen.heartbeat.readable().map_or("no heartbeat".to_owned(), progress);
        let health = if unit.is_well() { "well".to_owned() } else { unit.faults.join("; ") };
        format!("{at} {}: {}, {said}, restarts {restarts}: {health}\n", unit.unit, unit.state)
    };
    watch.judge().iter().map(line).collect()
}

fn progress(beat: &Heartbeat) -> String {
    let none = || "none".to_owned();
    format!(
        "{}, decisions {} (last at {}), last bar {}, errors {}",
        beat.phase.name(),
        beat.decisions,
        beat.last_decision.clone().unwrap_or_else(none),
        beat.last_bar.clone().unwrap_or_else(none),
        beat.errors
    )
}

pub(super) fn logs(options: &Logs) -> Result<u8> {
    let environment = options.to.named.environment()?;
    let unit = unit_name(&options.strategy);
    environment.check_units([unit.clone()].iter())?;
    options.to.connect(&environment, |connected| {
        let mut call = Call::new("logs", &environment).with("unit", &unit).with("lines", options.lines);
        if let Some(since) = options.since {
            call = call.with("since", now().as_second() - i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        }
        loop {
            let answer = connected.transport.call(&call)?.done("logs")?;
            print(&harmless(answer.get("log").unwrap_or_default()))?;
            if !options.follow {
                return Ok(0);
            }
            let cursor = answer.get("cursor").unwrap_or_default();
            call = Call::new("logs", &environment).with("unit", &unit).with("after", cursor);
            std::thread::sleep(Duration::from_secs(2));
        }
    })
}

/// A service may have logged what a terminal would obey.
fn harmless(text: &str) -> String {
    let shown =
        |c: char| if c.is_control() && c != '\n' && c != '\t' { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

pub(super) fn releases(to: &Destination) -> Result<u8> {
    let environment = to.named.environment()?;
    to.connect(&environment, |connected| {
        let seen = Facts::observe(connected.transport, &environment)?;
        let index = Index::read(connected.store, &environment.name)?;
        if to.json {
            print(&to_json(&index))?;
            return Ok(0);
        }
        let mut bound: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, unit) in seen.bound_units() {
            bound.entry(unit.release.as_str()).or_default().push(name);
        }
        let header = ["ended", "release", "commit", "outcome", "verdicts", "here"].map(str::to_owned);
        let rows = index.rollouts.iter().map(|r| {
            let verdicts: Vec<String> =
                r.strategies.iter().map(|(n, j)| format!("{n} {}", j.status.as_deref().unwrap_or("none"))).collect();
            let here = match bound.get(r.release.as_str()) {
                Some(units) => format!("current: {}", units.join(", ")),
                None if seen.is_bad(&r.release) => "bad".to_owned(),
                None if seen.releases.contains(&r.release) => "there".to_owned(),
                None => "pruned".to_owned(),
            };
            vec![
                r.ended.clone(),
                short(&r.release).to_owned(),
                short(&r.commit).to_owned(),
                r.outcome.name().to_owned(),
                verdicts.join(", "),
                here,
            ]
        });
        print(&table::plain(header.into_iter(), rows.collect()))?;
        Ok(0)
    })
}
