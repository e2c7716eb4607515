//! What a host is, in types: the host script's `facts`, read once.
//!
//! Times are seconds since 1970, UTC. A text that the host didn't give is empty, a number that it didn't give is none.

use std::collections::BTreeMap;

use magellan::error::Result;

use super::host::{Answer, Call};
use super::record::Process;
use super::transport::Transport;
use crate::release::heartbeat::Heartbeat;
use crate::release::{BINARY, Environment, Manifest};

/// A release that a unit is bound to, as it lies on the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReleaseFacts {
    /// SHA-256 of its checksums, as found.
    pub contents: String,
    /// What it says it holds; none if that can't be read.
    pub manifest: Option<Manifest>,
    /// What differs from its checksums: bytes, files, owners, modes.
    pub altered: Vec<String>,
}

/// A rollout as the host remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its name.
    pub id: String,
    /// How it ended, in a word.
    pub outcome: String,
    /// SHA-256 of the line.
    pub sha256: String,
}

/// How releases lie on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// There are none.
    #[default]
    None,
    /// Below a user's home, as before Magellan had a folder of root's.
    Old,
    /// Below `/opt/magellan`.
    New,
}

/// A host as observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The host's clock.
    pub now: Option<f64>,
    /// The number of the latest command that changed the host.
    pub generation: u64,
    /// The environment that owns the host; empty if none does yet.
    pub environment: String,
    /// SHA-256 of the least policy that the host allows; empty if it has none.
    pub policy: String,
    /// The keys that the host trusts, a line each.
    pub trusted: Vec<String>,
    /// How releases lie there.
    pub layout: Layout,
    /// Digests of the releases that are there.
    pub releases: Vec<String>,
    /// Digests of releases that were seen failing.
    pub bad: Vec<String>,
    /// Units that a deploy installed.
    pub installed: Vec<String>,
    /// Files and folders that belong to nothing.
    pub untracked: Vec<String>,
    /// Services that failed for good, a line each.
    pub failures: Vec<String>,
    /// The latest rollouts, oldest first.
    pub history: Vec<Remembered>,
    bound: BTreeMap<String, ReleaseFacts>,
    commits: BTreeMap<String, Vec<String>>,
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
    /// The release that it is bound to; empty if it is to none.
    pub release: String,
    /// SHA-256 of its binding, as found.
    pub binding: String,
    /// What is wrong with the folder that it is bound to.
    pub bound_altered: Vec<String>,
    /// systemd's properties, as it prints them.
    pub properties: BTreeMap<String, String>,
    /// systemd's ExecMainStartTimestamp.
    pub started_at: Option<f64>,
    /// The unit digest that it was last started with.
    pub started_with: String,
    /// The process that this start made.
    pub started_process: Process,
    /// SHA-256 of the program that its main process runs; empty if that can't be read.
    pub exe: String,
    /// Its files, as installed.
    pub installed: UnitFiles,
    /// Its files, as its release and its binding have them.
    pub released: UnitFiles,
    /// Whether what is started when it fails, and each night, is its release's.
    pub templates: bool,
    /// What its process says of itself.
    pub heartbeat: HeartbeatFile,
    /// Lines of level ERROR or worse in its log since its start; none if they couldn't be counted.
    pub errors: Option<u64>,
    /// Lines in its log since its start; none if they couldn't be counted.
    pub log_lines: Option<u64>,
    /// Lines in its journal since its start, 10,001 if there are more; none if they couldn't be counted.
    pub stderr: Option<u64>,
    /// Those of them that speak of an error; none if they couldn't be counted.
    pub stderr_errors: Option<u64>,
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
    /// Deploy error if the host doesn't answer or its answer isn't whole.
    pub fn observe(transport: &dyn Transport, environment: &Environment) -> Result<Self> {
        Self::ask(transport, facts_call(environment), &|| {})
    }

    /// Observes the host; meanwhile `waiting` is called.
    ///
    /// # Errors
    /// As [`Facts::observe`].
    pub fn observe_while(transport: &dyn Transport, environment: &Environment, waiting: &dyn Fn()) -> Result<Self> {
        Self::ask(transport, facts_call(environment), waiting)
    }

    /// Observes the host, with the journals of all units.
    ///
    /// # Errors
    /// As [`Facts::observe`].
    pub fn observe_with_journals(
        transport: &dyn Transport,
        environment: &Environment,
        waiting: &dyn Fn(),
    ) -> Result<Self> {
        Self::ask(transport, facts_call(environment).with("journal", "yes"), waiting)
    }

    fn ask(transport: &dyn Transport, call: Call, waiting: &dyn Fn()) -> Result<Self> {
        Ok(Self::read(&transport.call_while(&call, waiting)?.done("facts")?))
    }

    /// Reads an answer to `facts`.
    pub fn read(answer: &Answer) -> Self {
        let text = |key: &str| answer.get(key).unwrap_or_default().to_owned();
        Self {
            now: answer.number("now"),
            generation: answer.number("generation").unwrap_or(0),
            environment: text("environment"),
            policy: text("policy"),
            trusted: answer.list("trusted"),
            layout: match answer.get("layout") {
                Some("old") => Layout::Old,
                Some("new") => Layout::New,
                _ => Layout::None,
            },
            releases: answer.list("release"),
            bad: answer.list("bad"),
            installed: answer.list("installed"),
            untracked: answer.list("untracked"),
            failures: answer.get("failures").unwrap_or_default().lines().map(str::to_owned).collect(),
            history: answer.all("history").filter_map(remembered).collect(),
            bound: bound(answer),
            commits: commits(answer),
            units: units(answer),
        }
    }

    /// Whether a release was seen failing here.
    pub fn is_bad(&self, release: &str) -> bool {
        self.bad.iter().any(|bad| bad == release)
    }

    /// A unit as observed; all is empty of one that the host said nothing of.
    pub fn unit(&self, unit: &str) -> UnitFacts {
        self.units.get(unit).cloned().unwrap_or_default()
    }

    /// The units that are bound to a release.
    pub fn bound_units(&self) -> impl Iterator<Item = (&str, &UnitFacts)> {
        self.units.iter().filter(|(_, unit)| !unit.release.is_empty()).map(|(name, unit)| (name.as_str(), unit))
    }

    /// A release as it lies on the host, if a unit is bound to it.
    pub fn release(&self, release: &str) -> Option<&ReleaseFacts> {
        self.bound.get(release)
    }

    /// SHA-256 of the binary of a release, if that lies here as it was shipped.
    pub fn binary_of(&self, release: &str, contents: &str) -> Option<String> {
        let release = self.bound.get(release).filter(|release| release.contents == contents)?;
        Some(release.manifest.as_ref()?.sha256(BINARY).to_owned())
    }

    /// The manifest of the release that a unit is bound to.
    pub fn manifest_of(&self, unit: &str) -> Option<&Manifest> {
        self.bound.get(&self.units.get(unit)?.release)?.manifest.as_ref()
    }

    /// What differs in the tree of a commit; none if the host said nothing of it.
    pub fn commit(&self, commit: &str) -> Option<&[String]> {
        self.commits.get(commit).map(Vec::as_slice)
    }

    /// What a unit's process should be made of, by what the unit is bound to; empty if it is bound to nothing.
    pub fn bound_digest(&self, unit: &str) -> String {
        let Some(manifest) = self.manifest_of(unit) else { return String::new() };
        manifest.strategy_of(unit).map_or_else(String::new, |name| manifest.unit_digest(name, &self.unit(unit).binding))
    }
}

fn remembered(line: &str) -> Option<Remembered> {
    let mut words = line.split(' ').map(str::to_owned);
    Some(Remembered { id: words.next()?, outcome: words.next()?, sha256: words.next()? })
}

fn facts_call(environment: &Environment) -> Call {
    Call::new("facts", environment).with_units(&environment.services)
}

/// The facts `GROUP.NAME.FIELD`, by name.
fn grouped<'a>(answer: &'a Answer, group: &str) -> BTreeMap<&'a str, Vec<(&'a str, &'a str)>> {
    let mut all: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (key, value) in answer.facts() {
        let rest = key.strip_prefix(group).and_then(|rest| rest.strip_prefix('.'));
        if let Some((name, field)) = rest.and_then(|rest| rest.split_once('.')) {
            all.entry(name).or_default().push((field, value));
        }
    }
    all
}

/// All values of one field.
fn listed(fields: &[(&str, &str)], field: &str) -> Vec<String> {
    fields.iter().filter(|f| f.0 == field).map(|f| f.1.to_owned()).collect()
}

fn bound(answer: &Answer) -> BTreeMap<String, ReleaseFacts> {
    let read = |fields: Vec<(&str, &str)>| ReleaseFacts {
        contents: listed(&fields, "contents").pop().unwrap_or_default(),
        manifest: listed(&fields, "manifest").pop().and_then(|text| Manifest::parse(text.as_bytes()).ok()),
        altered: listed(&fields, "altered"),
    };
    grouped(answer, "release").into_iter().map(|(name, fields)| (name.to_owned(), read(fields))).collect()
}

fn commits(answer: &Answer) -> BTreeMap<String, Vec<String>> {
    let commits = grouped(answer, "commit");
    commits.into_iter().map(|(name, fields)| (name.to_owned(), listed(&fields, "altered"))).collect()
}

/// Of facts with one name the last counts.
fn units(answer: &Answer) -> BTreeMap<String, UnitFacts> {
    let units = grouped(answer, "unit");
    let read = |fields: Vec<(&str, &str)>| UnitFacts {
        bound_altered: listed(&fields, "bound_altered"),
        ..UnitFacts::read(&fields.into_iter().collect())
    };
    units.into_iter().map(|(name, fields)| (name.to_owned(), read(fields))).collect()
}

impl UnitFacts {
    fn read(fields: &BTreeMap<&str, &str>) -> Self {
        let given = |field: &str| fields.get(field).copied().unwrap_or_default();
        let text = |field: &str| given(field).to_owned();
        let count = |field: &str| given(field).parse().ok();
        let time = |field: &str| given(field).parse().ok();
        // systemd's names begin with a capital letter, ours don't.
        let of_systemd = fields.iter().filter(|(field, _)| field.starts_with(|c: char| c.is_ascii_uppercase()));
        Self {
            release: text("release"),
            binding: text("binding"),
            bound_altered: Vec::new(),
            properties: of_systemd.map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect(),
            started_at: time("ExecMainStartTimestamp"),
            started_with: text("started"),
            started_process: Process { pid: text("started_pid"), started_monotonic: text("started_monotonic") },
            exe: text("exe"),
            installed: UnitFiles { unit: text("installed.unit"), drop_in: text("installed.drop_in") },
            released: UnitFiles { unit: text("released.unit"), drop_in: text("released.drop_in") },
            templates: given("templates") == "yes",
            heartbeat: HeartbeatFile::read(given("heartbeat")),
            errors: count("errors"),
            log_lines: count("log_lines"),
            stderr: count("stderr"),
            stderr_errors: count("stderr_errors"),
            log_written: time("log_mtime"),
            log_size: count("log_size").unwrap_or(0),
            newest_log: text("newest_log"),
            journal: fields.get("journal").filter(|journal| !journal.is_empty()).map(|journal| (*journal).to_owned()),
        }
    }

    /// One of systemd's properties; empty if the host didn't give it.
    pub fn property(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }

    /// The main process; 0 if there is none.
    pub fn pid(&self) -> u64 {
        self.property("ExecMainPID").parse().unwrap_or(0)
    }

    /// The main process and when it began.
    pub fn process(&self) -> Process {
        Process {
            pid: self.property("ExecMainPID").to_owned(),
            started_monotonic: self.property("ExecMainStartTimestampMonotonic").to_owned(),
        }
    }

    /// Paths of the drop-ins that change it.
    pub fn drop_in_paths(&self) -> impl Iterator<Item = &str> {
        self.property("DropInPaths").split_whitespace()
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
    fn the_facts_of_units_and_releases_are_told_apart() {
        let text = "now=5\ngeneration=7\nbad=a\nbad=b\nlayout=new\nhistory=x running abc\nrelease=d\n\
                    release.d.contents=c\nrelease.d.altered=one\nrelease.d.altered=two\ncommit.k.altered_count=0\n\
                    unit.x.ActiveState=active\nunit.x.release=d\nunit.y-z.log_mtime=9.5\nunit.x.installed.unit=d\n\
                    unit.x.heartbeat={\nunit.x.errors=\n";
        let facts = Facts::read(&Answer::with_facts(text));
        assert_eq!((facts.now, facts.generation, facts.bad.len(), facts.layout), (Some(5.0), 7, 2, Layout::New));
        assert_eq!(facts.history[0].outcome, "running");
        let release = facts.release("d").expect("there");
        assert_eq!((release.contents.as_str(), release.altered.len(), &release.manifest), ("c", 2, &None));
        assert_eq!((facts.commit("k").map(<[String]>::len), facts.commit("other")), (Some(0), None));
        let (x, y) = (facts.unit("x"), facts.unit("y-z"));
        assert_eq!((x.property("ActiveState"), x.installed.unit.as_str(), x.log_written), ("active", "d", None));
        assert_eq!(
            (x.heartbeat, y.heartbeat, y.log_written),
            (HeartbeatFile::Unreadable, HeartbeatFile::Missing, Some(9.5))
        );
        assert_eq!(facts.unit("unknown"), UnitFacts::default());
        assert_eq!(facts.bound_units().map(|(name, _)| name).collect::<Vec<_>>(), ["x"]);
    }

    #[test]
    fn what_was_not_counted_isnt_zero() {
        let unit = |text: &str| Facts::read(&Answer::with_facts(text)).unit("x");
        assert_eq!(unit("unit.x.errors=\n").errors, None);
        assert_eq!(unit("unit.x.errors=0\nunit.x.stderr=7\n").errors, Some(0));
        assert_eq!(unit("unit.x.ActiveState=active\n").stderr, None);
    }
}
