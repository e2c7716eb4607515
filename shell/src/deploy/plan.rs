//! What a deploy would do to the host as it was seen, and all that speaks against it.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use magellan::calendar;
use magellan::error::Error;
use magellan::gate::changes::{Changed, between_texts};

use super::commit::earlier;
use super::facts::{Current, Facts};
use super::judged::Running;
use super::record::Needs;
use crate::codes;
use crate::release::{BINARY, Environment, Manifest, Shipped, When, config_path, drop_in_path, short, unit_path};
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

/// The units of both releases, and what becomes of each.
pub fn changes(facts: &Facts, new: &Manifest, deployed: &Path) -> Vec<(String, Change)> {
    let old = facts.manifest();
    let mut all = Vec::new();
    for (name, shipped) in &new.strategies {
        let unit = facts.unit(&shipped.unit);
        let before = old.and_then(|old| Some((old, old.strategies.get(name)?)));
        let is_current = |was: &Shipped| [&was.unit_digest, &unit.started_with] == [&shipped.unit_digest; 2];
        let change = match before {
            None if unit.installed.unit.is_empty() => Change::Started,
            None => Change::Restarted(vec!["a unit of this name was installed by hand, and is replaced".to_owned()]),
            Some((_, was)) if is_current(was) => match unit.active_state.as_str() {
                "active" => Change::Kept,
                state => Change::Restarted(vec![format!("it is {state}")]),
            },
            Some((old, _)) => Change::Restarted(why(name, &shipped.unit, old, new, deployed)),
        };
        all.push((shipped.unit.clone(), change));
    }
    let gone = old.iter().flat_map(|old| old.strategies.iter().filter(|(name, _)| !new.strategies.contains_key(*name)));
    all.extend(gone.map(|(_, was)| (was.unit.clone(), Change::Removed)));
    all
}

/// What differs of a unit between two releases.
fn why(name: &str, unit: &str, old: &Manifest, new: &Manifest, deployed: &Path) -> Vec<String> {
    let parts = [
        ("binary", BINARY.to_owned()),
        ("config", config_path(name)),
        ("unit file", unit_path(name)),
        ("environment", drop_in_path(unit)),
    ];
    let sha256 = |manifest: &Manifest, path: &str| manifest.files.get(path).map(|f| f.sha256.clone());
    let mut reasons: Vec<String> =
        parts.iter().filter(|(_, path)| sha256(old, path) != sha256(new, path)).map(|p| p.0.to_owned()).collect();
    if reasons.iter().any(|r| r == "config")
        && let Some(before) = earlier(deployed, &old.commit, &format!("{name}/config.json"))
        && let Ok(after) = std::fs::read_to_string(deployed.join(name).join("config.json"))
    {
        reasons.extend(between_texts(&before, &after).iter().map(Changed::to_string));
    }
    if reasons.is_empty() {
        reasons.push("it wasn't started with this".to_owned());
    }
    reasons
}

/// What runs of a strategy, as its rollout recorded it.
pub fn running(facts: &Facts, strategy: &str) -> Running {
    let Some(shipped) = facts.manifest().and_then(|manifest| manifest.strategies.get(strategy)) else {
        return Running::Nothing;
    };
    let judged = facts.rollout.as_ref().and_then(|record| record.strategies.get(strategy));
    let judged = judged.filter(|judged| judged.unit_digest == shipped.unit_digest);
    judged.map_or(Running::Unknown, |judged| Running::Subject(judged.subject.clone()))
}

/// Hours and positions that forbid a change now.
pub fn untimely(environment: &Environment, facts: &Facts, changes: &[(String, Change)], now: Timestamp) -> Vec<Error> {
    if environment.deploy_when == When::Always {
        return Vec::new();
    }
    let mut found = Vec::new();
    let at = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
    let session = calendar::session(calendar::new_york_date(at));
    if session.trades() && session.open <= at && at < session.close {
        let what = format!("the market is open until {}", magellan::bar::iso_utc(session.close));
        found.push(Error::new(codes::DEPLOY_UNTIMELY, what));
    }
    for (unit, _) in changes.iter().filter(|(_, change)| matches!(change, Change::Restarted(_) | Change::Removed)) {
        match facts.unit(unit).heartbeat.readable().and_then(|beat| beat.open_positions) {
            Some(0) => {}
            Some(n) => found.push(Error::new(codes::DEPLOY_UNTIMELY, format!("{unit} holds {n} positions"))),
            None => {
                found.push(Error::new(codes::DEPLOY_UNTIMELY, format!("whether {unit} holds positions isn't known")))
            }
        }
    }
    found
}

/// What the release needs of its host.
pub fn needs(unpacked: u64, units: &[Unit]) -> Needs {
    // The bundle beside the release, and something to spare.
    let disk_kib = unpacked * 2 / 1024 + 64 * 1024;
    Needs { disk_kib, memory_kib: units.iter().filter_map(Unit::memory_max).sum::<u64>() / 1024 }
}

/// The plan as a diff against the host.
pub fn text(facts: &Facts, new: &Manifest, digest: &str, changes: &[(String, Change)]) -> String {
    let (release, commit) = match &facts.current {
        Some(Current { release, manifest }) => (short(release), short(&manifest.commit)),
        None => ("none", "none"),
    };
    let (to, digest) = (short(&new.commit), short(digest));
    let mut plan = format!("  commit   {commit} → {to}\n  release  {release} → {digest}\n");
    for (unit, change) in changes {
        let _ = match change {
            Change::Kept => writeln!(plan, "= {unit}: left running"),
            Change::Started => writeln!(plan, "+ {unit}: installed and started"),
            Change::Removed => writeln!(plan, "- {unit}: stopped and removed"),
            Change::Restarted(why) => writeln!(plan, "~ {unit}: restarted\n    {}", why.join("\n    ")),
        };
    }
    plan
}

/// Strategies beside the selected ones must be what runs.
pub fn check_unselected(changes: &[(String, Change)], selected: &[String]) -> Vec<Error> {
    let others = changes.iter().filter(|(unit, change)| !selected.contains(unit) && *change != Change::Kept);
    others
        .map(|(unit, _)| {
            Error::new(codes::NO_VERDICT, format!("{unit} differs from what runs, and isn't selected"))
                .help("deploy with --strategy all")
        })
        .collect()
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

    /// What is seen of a unit that holds so many positions; nothing, if that isn't known.
    fn observed(positions: Option<u32>) -> Facts {
        let beat = positions.map_or_else(String::new, |n| {
            format!(
                r#"{{"schema_version":1,"strategy":"u","unit_digest":"d","pid":7,"started_at":1.0,"written_at":2.0,"phase":"trading","decisions":0,"errors":0,"starts":1,"open_positions":{n}}}"#
            )
        });
        let answer = Answer::parse(&format!("magellan-host 1 ok facts\nunit.u.heartbeat={beat}\n"));
        Facts::read(&answer.expect("an answer")).expect("facts")
    }

    #[test]
    fn production_isnt_changed_while_the_market_is_open_or_positions_are() {
        let restarted = [("u".to_owned(), Change::Restarted(Vec::new()))];
        let flat = observed(Some(0));
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        for (now, beat, expected) in [
            ("2024-07-02T12:00:00Z", &flat, 0),
            ("2024-07-02T15:00:00Z", &flat, 1),
            ("2024-07-02T20:00:00Z", &flat, 0),
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
}
