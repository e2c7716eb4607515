//! What a rollout would do to the host as it was seen, and all that speaks against it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use magellan::bar::{SECOND, iso_utc};
use magellan::calendar;
use magellan::error::Error;
use magellan::gate::changes::{Changed, between_texts};

use super::commit::earlier;
use super::facts::{Facts, Layout};
use super::health;
use super::judged::Running;
use super::record::{Index, Needs, Placed};
use crate::codes;
use crate::release::{BINARY, Bound, Environment, Manifest, When, config_path, short, unit_path};
use crate::unit::Unit;

/// What becomes of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It runs what would be shipped.
    Kept,
    /// It is restarted, for these reasons.
    Restarted(Vec<String>),
    /// It is new.
    Started,
    /// It is stopped and removed.
    Removed,
}

/// What would be there.
pub struct Goal<'a> {
    /// The release.
    pub manifest: &'a Manifest,
    /// Its digest.
    pub release: &'a str,
    /// What binds it to the environment.
    pub bound: &'a Bound,
    /// The strategies that get it.
    pub strategies: Vec<String>,
    /// Whether other units are removed.
    pub complete: bool,
}

/// The units that a rollout is about, and what becomes of each.
pub fn changes(facts: &Facts, goal: &Goal<'_>, deployed: &Path) -> Vec<(String, Change)> {
    let Goal { manifest, bound, strategies, complete, .. } = goal;
    let mut all = Vec::new();
    for name in strategies {
        let Some(shipped) = manifest.strategies.get(name) else { continue };
        let unit = facts.unit(&shipped.unit);
        let digest = manifest.unit_digest(name, &bound.sha256);
        let was = facts.bound_digest(&shipped.unit);
        let change = if unit.release.is_empty() {
            if_new(facts, unit.installed.unit.is_empty())
        } else if [&was, &unit.started_with] == [&digest; 2] {
            match unit.property("ActiveState") {
                "active" => Change::Kept,
                state => Change::Restarted(vec![format!("it is {state}")]),
            }
        } else {
            Change::Restarted(why(facts, name, &shipped.unit, goal, deployed))
        };
        all.push((shipped.unit.clone(), change));
    }
    if *complete {
        let named = |unit: &str| all.iter().any(|(name, _)| name == unit);
        let bound = facts.bound_units().map(|(name, _)| name);
        let gone: Vec<String> = bound.filter(|unit| !named(unit)).map(str::to_owned).collect();
        all.extend(gone.into_iter().map(|unit| (unit, Change::Removed)));
    }
    all
}

fn if_new(facts: &Facts, absent: bool) -> Change {
    let by = if facts.layout == Layout::Old { "a Magellan of another layout" } else { "hand" };
    match absent {
        true => Change::Started,
        false => Change::Restarted(vec![format!(
            "a unit of this name was installed by {by}; it is put aside, and comes back if this one isn't well"
        )]),
    }
}

/// What differs of a unit between what it is bound to and what it would be.
fn why(facts: &Facts, name: &str, unit: &str, goal: &Goal<'_>, deployed: &Path) -> Vec<String> {
    let Some(old) = facts.manifest_of(unit) else { return vec!["what it runs can't be read".to_owned()] };
    let new = goal.manifest;
    let parts = [("binary", BINARY.to_owned()), ("config", config_path(name)), ("unit file", unit_path(name))];
    let mut reasons: Vec<String> =
        parts.iter().filter(|(_, path)| old.sha256(path) != new.sha256(path)).map(|p| p.0.to_owned()).collect();
    if reasons.iter().any(|r| r == "config")
        && let Some(before) = earlier(deployed, &old.commit, &format!("{name}/config.json"))
        && let Ok(after) = std::fs::read_to_string(deployed.join(name).join("config.json"))
    {
        reasons.extend(between_texts(&before, &after).iter().map(Changed::to_string));
    }
    if facts.unit(unit).binding != goal.bound.sha256 {
        reasons.push("environment".to_owned());
    }
    if reasons.is_empty() {
        reasons.push("it wasn't started with this".to_owned());
    }
    reasons
}

/// What runs of a strategy, as the rollout that brought it recorded.
pub fn running(facts: &Facts, index: &Index, strategy: &str) -> Running {
    let unit = magellan::deployed::unit_name(strategy);
    let seen = facts.unit(&unit);
    if seen.release.is_empty() {
        return Running::Nothing;
    }
    let judged = index.brought(&unit, &seen.release, &seen.binding).and_then(|entry| entry.strategies.get(strategy));
    let judged = judged.filter(|judged| judged.unit_digest == facts.bound_digest(&unit));
    judged.map_or(Running::Unknown, |judged| Running::Subject(judged.subject.clone()))
}

/// What units are bound to now. What their releases must hold is believed of the index, and of the host only where the
/// index doesn't know it.
pub fn placed<'u>(facts: &Facts, index: &Index, units: impl Iterator<Item = &'u String>) -> BTreeMap<String, Placed> {
    let place = |unit: &String| {
        let seen = facts.unit(unit);
        let release = facts.release(&seen.release)?;
        let known = index.brought(unit, &seen.release, &seen.binding).and_then(|entry| entry.placed(unit));
        let found = || Placed {
            release: seen.release.clone(),
            contents: release.contents.clone(),
            commit: release.manifest.as_ref().map(|m| m.commit.clone()).unwrap_or_default(),
            binding: seen.binding.clone(),
            unit_digest: facts.bound_digest(unit),
        };
        Some((unit.clone(), known.unwrap_or_else(found)))
    };
    units.filter_map(place).collect()
}

/// Hours, days and positions that forbid a change now.
pub fn untimely(environment: &Environment, facts: &Facts, changes: &[(String, Change)], now: Timestamp) -> Vec<Error> {
    let refused = |what: String| Error::new(codes::DEPLOY_UNTIMELY, what);
    let at = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
    let today = calendar::new_york_date(at);
    let window = &environment.window;
    let mut found = Vec::new();
    if window.blackout_dates.iter().any(|date| *date == today.civil()) {
        found.push(refused(format!("{today} is one of the blackout dates of {}", environment.name)));
    }
    if environment.deploy_when == When::Always {
        return found;
    }
    let minutes = |minutes: u16| i64::from(minutes) * 60 * SECOND;
    let session = calendar::session(today);
    let from = session.open - minutes(window.minutes_before_open);
    let until = session.close + minutes(window.minutes_after_close);
    if session.trades() && (from..until).contains(&at) {
        let why = if at < session.open {
            format!("the market opens at {}", iso_utc(session.open))
        } else if at < session.close {
            format!("the market is open until {}", iso_utc(session.close))
        } else {
            format!("the market has just closed, at {}", iso_utc(session.close))
        };
        found.push(refused(format!("{why}; {} is changed from {} on", environment.name, iso_utc(until))));
    }
    for (unit, _) in changes.iter().filter(|(_, change)| matches!(change, Change::Restarted(_) | Change::Removed)) {
        // A unit that was somebody's before says nothing of positions that could be believed.
        let said = health::positions(facts, unit);
        match health::open_positions(facts, unit) {
            Some(0) => {}
            Some(_) => found.push(refused(format!("{unit} holds positions: {said}"))),
            None => found.push(refused(format!("whether {unit} holds positions isn't known: {said}"))),
        }
    }
    found
}

/// Another environment owns the host.
pub fn foreign(environment: &Environment, facts: &Facts) -> Option<Error> {
    let owner = &facts.environment;
    (!owner.is_empty() && *owner != environment.name).then(|| {
        Error::new(codes::WRONG_TARGET, format!("the host belongs to the environment `{owner}`"))
            .help("give each environment a machine of its own; /etc/magellan/environment names the one that a host has")
    })
}

/// What the release needs of its host.
pub fn needs(unpacked: u64, units: &[Unit]) -> Needs {
    // The bundle beside the release, and something to spare.
    let disk_kib = unpacked * 2 / 1024 + 64 * 1024;
    Needs { disk_kib, memory_kib: units.iter().filter_map(Unit::memory_max).sum::<u64>() / 1024 }
}

/// The plan as a diff against the host.
pub fn text(facts: &Facts, goal: &Goal<'_>, changes: &[(String, Change)]) -> String {
    let (commit, release) = (short(&goal.manifest.commit), short(goal.release));
    let mut plan = format!("  release  {release} of commit {commit}\n");
    for (unit, change) in changes {
        let seen = facts.unit(unit);
        let was = if seen.release.is_empty() { "none" } else { short(&seen.release) };
        let positions = health::positions(facts, unit);
        let _ = match change {
            Change::Kept => writeln!(plan, "= {unit}: left running"),
            Change::Started => writeln!(plan, "+ {unit}: installed and started"),
            Change::Removed => writeln!(plan, "- {unit}: stopped and removed; release {was}, positions {positions}"),
            Change::Restarted(why) => writeln!(
                plan,
                "~ {unit}: restarted; release {was} → {release}, positions {positions}\n    {}",
                why.join("\n    ")
            ),
        };
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::host::Answer;

    const ENVIRONMENT_FILE: &str = include_str!("../../../deployed/environments/production.toml");

    fn production() -> Environment {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("production.toml");
        std::fs::write(&path, ENVIRONMENT_FILE).expect("written");
        Environment::read_as(&path, "production").expect("read")
    }

    const NOW: f64 = 1_720_000_000.0;

    /// What is seen of a unit that holds so many positions; nothing, if that isn't known.
    fn observed(positions: Option<u32>) -> Facts {
        let beat = positions.map_or_else(String::new, |n| {
            format!(
                r#"{{"schema_version":1,"strategy":"u","unit_digest":"d","pid":7,"started_at":1.0,"written_at":{NOW:?},"phase":"trading","decisions":0,"errors":0,"starts":1,"open_positions":{n}}}"#
            )
        });
        Facts::read(&Answer::with_facts(&format!("now={NOW}\nunit.u.heartbeat={beat}\n")))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn production_isnt_changed_while_the_market_is_open_or_positions_are() {
        let restarted = [("u".to_owned(), Change::Restarted(Vec::new()))];
        let flat = observed(Some(0));
        for (now, beat, expected) in [
            ("2024-07-02T12:00:00Z", &flat, 0),
            ("2024-07-02T15:00:00Z", &flat, 1),
            // Half an hour before the open, and a quarter of an hour after the close.
            ("2024-07-02T12:59:00Z", &flat, 0),
            ("2024-07-02T13:00:00Z", &flat, 1),
            ("2024-07-02T20:14:00Z", &flat, 1),
            ("2024-07-02T20:15:00Z", &flat, 0),
            // Half a day, and a holiday.
            ("2024-07-03T18:00:00Z", &flat, 0),
            ("2024-07-04T15:00:00Z", &flat, 0),
            ("2024-07-02T12:00:00Z", &observed(Some(2)), 1),
            ("2024-07-02T12:00:00Z", &observed(None), 1),
        ] {
            let found = untimely(&production(), beat, &restarted, at(now));
            assert_eq!(found.len(), expected, "{now} {found:?}");
        }
        let kept = [("u".to_owned(), Change::Kept)];
        assert!(untimely(&production(), &observed(None), &kept, at("2024-07-02T12:00:00Z")).is_empty());
    }

    #[test]
    fn nothing_is_changed_on_a_blackout_date_of_new_york() {
        let mut environment = production();
        environment.window.blackout_dates = vec![jiff::civil::date(2024, 12, 24)];
        for when in [When::Always, When::MarketClosed] {
            environment.deploy_when = when;
            // Late in the evening there, the next day in UTC.
            assert_eq!(untimely(&environment, &Facts::default(), &[], at("2024-12-25T02:00:00Z")).len(), 1);
            assert_eq!(untimely(&environment, &Facts::default(), &[], at("2024-12-25T08:00:00Z")).len(), 0);
        }
    }

    #[test]
    fn a_host_of_another_environment_is_refused() {
        let host = |owner: &str| Facts::read(&Answer::with_facts(&format!("environment={owner}\n")));
        assert!(foreign(&production(), &host("staging")).is_some());
        assert!(foreign(&production(), &host("production")).is_none() && foreign(&production(), &host("")).is_none());
    }
}
