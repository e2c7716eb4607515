//! What a host is, in types: the host script's `facts`, read once.
//!
//! Times are seconds since 1970, UTC. A text that the host didn't give is empty, a number that it didn't give is none.

use std::collections::BTreeMap;

use magellan::error::{Error, Result};

use super::host::{Answer, Call};
use super::record::Record;
use super::transport::Transport;
use crate::codes;
use crate::release::heartbeat::Heartbeat;
use crate::release::{Environment, Manifest};

/// The release that a host runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// Its digest.
    pub release: String,
    /// What it holds.
    pub manifest: Manifest,
}

/// A host as observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The host's clock.
    pub now: Option<f64>,
    /// The number of the latest command that changed the host.
    pub generation: u64,
    /// The release that it runs; none if it runs none.
    pub current: Option<Current>,
    /// The rollout that brought that release, as the host remembers it.
    pub rollout: Option<Record>,
    /// What `current` leads to, if that is no release.
    pub current_broken: Option<String>,
    /// Digests of the releases that are there.
    pub releases: Vec<String>,
    /// Digests of releases that failed or were rolled back.
    pub bad: Vec<String>,
    /// Units that a deploy installed.
    pub installed: Vec<String>,
    /// What differs from the current release's checksums.
    pub altered: Vec<String>,
    /// The commit of the checkout.
    pub checkout_commit: String,
    /// Files that are edited in the checkout.
    pub checkout_dirty: Vec<String>,
    /// Services that failed for good, a line each.
    pub failures: Vec<String>,
    units: BTreeMap<String, UnitFacts>,
}

/// Digests of the two files that make a unit; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitFiles {
    /// SHA-256 of the unit file.
    pub unit: String,
    /// SHA-256 of its drop-in.
    pub drop_in: String,
}

/// A heartbeat's file.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum HeartbeatFile {
    /// There is none.
    #[default]
    Missing,
    /// There is one that is no heartbeat.
    Unreadable,
    /// It was read.
    Read(Box<Heartbeat>),
}

/// A unit as observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnitFacts {
    /// systemd's LoadState.
    pub load_state: String,
    /// systemd's ActiveState.
    pub active_state: String,
    /// systemd's SubState.
    pub sub_state: String,
    /// systemd's Result.
    pub result: String,
    /// systemd's UnitFileState.
    pub unit_file_state: String,
    /// systemd's NRestarts, as text: it is only compared.
    pub restarts: String,
    /// systemd's ExecMainPID, as text.
    pub main_pid: String,
    /// systemd's ExecMainStartTimestampMonotonic, as text: it is only compared.
    pub started_monotonic: String,
    /// systemd's ExecMainStartTimestamp.
    pub started_at: Option<f64>,
    /// Paths of the drop-ins that change it.
    pub drop_in_paths: Vec<String>,
    /// The unit digest that it was last started with.
    pub started_with: String,
    /// Its files, as installed.
    pub installed: UnitFiles,
    /// Its files in the current release.
    pub released: UnitFiles,
    /// What its process says of itself.
    pub heartbeat: HeartbeatFile,
    /// Lines of level ERROR in its log since its start.
    pub errors: u64,
    /// When a log was last written since its start.
    pub log_written: Option<f64>,
    /// The length of that log, bytes.
    pub log_size: u64,
    /// The newest log of all.
    pub newest_log: String,
    /// The end of its journal, if it was asked for or the unit isn't active.
    pub journal: Option<String>,
}

impl Facts {
    /// Observes the host.
    ///
    /// # Errors
    /// Deploy error if the host doesn't answer or its answer isn't whole; refused if it runs a release whose manifest
    /// can't be read.
    pub fn observe(transport: &dyn Transport, environment: &Environment) -> Result<Self> {
        Self::ask(transport, facts_call(environment))
    }

    /// Observes the host, with the journals of all units.
    ///
    /// # Errors
    /// As [`Facts::observe`].
    pub fn observe_with_journals(transport: &dyn Transport, environment: &Environment) -> Result<Self> {
        Self::ask(transport, facts_call(environment).with("journal", "yes"))
    }

    fn ask(transport: &dyn Transport, call: Call) -> Result<Self> {
        let answer = transport.call(&call)?.done("facts")?;
        if let Some(omitted) = answer.text("omitted") {
            let what = format!("the host has more to say than fits: {omitted} is missing");
            return Err(Error::new(codes::HOST_SILENT, what));
        }
        Self::read(&answer)
    }

    /// Reads an answer to `facts`.
    ///
    /// # Errors
    /// Refused if the host runs a release whose manifest can't be read: not knowing isn't running nothing.
    pub fn read(answer: &Answer) -> Result<Self> {
        Ok(Self {
            now: answer.number("now"),
            generation: answer.number("generation").unwrap_or(0),
            current: current(answer)?,
            rollout: answer.get("history").and_then(|line| serde_json::from_str(line).ok()),
            current_broken: answer.text("current_broken").map(str::to_owned),
            releases: answer.list("release"),
            bad: answer.list("bad"),
            installed: answer.list("installed"),
            altered: answer.list("altered"),
            checkout_commit: answer.get("checkout_commit").unwrap_or_default().to_owned(),
            checkout_dirty: answer.list("checkout_dirty"),
            failures: answer.get("failures").unwrap_or_default().lines().map(str::to_owned).collect(),
            units: units(answer),
        })
    }

    /// The digest of the release that the host runs.
    pub fn release(&self) -> Option<&str> {
        self.current.as_ref().map(|current| current.release.as_str())
    }

    /// The manifest of that release.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.current.as_ref().map(|current| &current.manifest)
    }

    /// Whether a release failed here or was rolled back.
    pub fn is_bad(&self, release: &str) -> bool {
        self.bad.iter().any(|bad| bad == release)
    }

    /// A unit as observed; all is empty of one that the host said nothing of.
    pub fn unit(&self, unit: &str) -> UnitFacts {
        self.units.get(unit).cloned().unwrap_or_default()
    }

    /// Unit and digest of each strategy of the current release.
    pub fn expected_units(&self) -> Vec<(String, String)> {
        let strategies = self.manifest().into_iter().flat_map(|manifest| manifest.strategies.values());
        strategies.map(|s| (s.unit.clone(), s.unit_digest.clone())).collect()
    }
}

fn facts_call(environment: &Environment) -> Call {
    let call = Call::new("facts", environment);
    environment.services.iter().fold(call, |call, unit| call.with("unit", unit))
}

fn current(answer: &Answer) -> Result<Option<Current>> {
    let Some(release) = answer.text("current") else { return Ok(None) };
    let manifest = Manifest::parse(answer.get("manifest").unwrap_or_default().as_bytes());
    let manifest = manifest.map_err(|e| e.at(format!("release {release} on the host")))?;
    Ok(Some(Current { release: release.to_owned(), manifest }))
}

/// The facts `unit.NAME.FIELD`, by unit and then by field; of facts with one name the last counts.
fn units(answer: &Answer) -> BTreeMap<String, UnitFacts> {
    let mut fields: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (key, value) in answer.facts() {
        if let Some((unit, field)) = key.strip_prefix("unit.").and_then(|rest| rest.split_once('.')) {
            fields.entry(unit).or_default().insert(field, value);
        }
    }
    fields.into_iter().map(|(unit, fields)| (unit.to_owned(), UnitFacts::read(&fields))).collect()
}

impl UnitFacts {
    fn read(fields: &BTreeMap<&str, &str>) -> Self {
        let given = |field: &str| fields.get(field).copied().unwrap_or_default();
        let text = |field: &str| given(field).to_owned();
        let count = |field: &str| given(field).parse().unwrap_or(0);
        let time = |field: &str| given(field).parse().ok();
        Self {
            load_state: text("LoadState"),
            active_state: text("ActiveState"),
            sub_state: text("SubState"),
            result: text("Result"),
            unit_file_state: text("UnitFileState"),
            restarts: text("NRestarts"),
            main_pid: text("ExecMainPID"),
            started_monotonic: text("ExecMainStartTimestampMonotonic"),
            started_at: time("ExecMainStartTimestamp"),
            drop_in_paths: given("DropInPaths").split_whitespace().map(str::to_owned).collect(),
            started_with: text("started"),
            installed: UnitFiles { unit: text("installed.unit"), drop_in: text("installed.drop_in") },
            released: UnitFiles { unit: text("current.unit"), drop_in: text("current.drop_in") },
            heartbeat: HeartbeatFile::read(given("heartbeat")),
            errors: count("errors"),
            log_written: time("log_mtime"),
            log_size: count("log_size"),
            newest_log: text("newest_log"),
            journal: fields.get("journal").filter(|journal| !journal.is_empty()).map(|journal| (*journal).to_owned()),
        }
    }

    /// The main process; 0 if there is none.
    pub fn pid(&self) -> u64 {
        self.main_pid.parse().unwrap_or(0)
    }
}

impl HeartbeatFile {
    fn read(text: &str) -> Self {
        match (text, serde_json::from_str(text)) {
            ("", _) => Self::Missing,
            (_, Ok(heartbeat)) => Self::Read(Box::new(heartbeat)),
            (_, Err(_)) => Self::Unreadable,
        }
    }

    /// The heartbeat, if there is one that can be read.
    pub fn readable(&self) -> Option<&Heartbeat> {
        match self {
            Self::Read(heartbeat) => Some(heartbeat),
            Self::Missing | Self::Unreadable => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_of_units_are_told_apart() {
        let text = "magellan-host 1 ok facts\nnow=5\ngeneration=7\nbad=a\nbad=b\n\
                    unit.x.ActiveState=active\nunit.y-z.log_mtime=9.5\nunit.x.installed.unit=d\nunit.x.heartbeat={\n";
        let facts = Facts::read(&Answer::parse(text).expect("an answer")).expect("facts");
        assert_eq!((facts.now, facts.generation, facts.bad.len(), facts.current.is_none()), (Some(5.0), 7, 2, true));
        let (x, y) = (facts.unit("x"), facts.unit("y-z"));
        assert_eq!((x.active_state.as_str(), x.installed.unit.as_str(), x.log_written), ("active", "d", None));
        assert_eq!(
            (x.heartbeat, y.heartbeat, y.log_written),
            (HeartbeatFile::Unreadable, HeartbeatFile::Missing, Some(9.5))
        );
        assert_eq!(facts.unit("unknown"), UnitFacts::default());
    }

    #[test]
    fn a_release_without_a_readable_manifest_is_refused() {
        let answer = Answer::parse("magellan-host 1 ok facts\ncurrent=abc\n").expect("an answer");
        assert_eq!(Facts::read(&answer).map_err(|e| e.code()), Err(codes::BUNDLE_DAMAGED));
    }
}
