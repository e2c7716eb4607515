//! What runs on a host, since when, judged by which verdict, and what differs from what should.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::facts::{Facts, Layout, UnitFacts};
use super::health::{Expected, Watch};
use super::lock::Held;
use super::plan;
use super::record::{Index, Indexed, Outcome, Record, UnitHealth};
use crate::release::{Environment, short};
use crate::signing::Trusted;
use crate::unit;

/// A host as observed.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    schema_version: u32,
    /// The environment.
    pub environment: String,
    /// The machine.
    pub host: String,
    /// What brought each unit to what it is bound to.
    pub brought: BTreeMap<String, Brought>,
    /// Its units.
    pub units: Vec<UnitHealth>,
    /// A rollout that hasn't ended.
    pub unfinished: Option<Unfinished>,
    /// Who overrode what of what runs, and why.
    pub overridden: Vec<String>,
    /// What differs from what was rolled out.
    pub drift: Vec<String>,
    /// Services that failed for good, as they said.
    pub failures: Vec<String>,
}

/// How a unit came to run what it runs.
#[derive(Clone, Debug, Serialize)]
pub struct Brought {
    /// The release's digest.
    pub release: String,
    /// The release's commit.
    pub commit: String,
    /// The rollout's name; none if no rollout on record brought it.
    pub rollout: Option<String>,
    /// The verdict: status and digest.
    pub verdict: Option<(String, String)>,
}

/// A rollout that hasn't ended.
#[derive(Clone, Debug, Serialize)]
pub struct Unfinished {
    /// Its name.
    pub id: String,
    /// Who runs it, or ran it.
    pub owner: String,
    /// How far it is.
    pub step: String,
    /// Until when its first unit proves itself, UTC.
    pub soaks_until: Option<String>,
    /// Whether its owner is at it: it was heard of while this was asked.
    pub under_way: bool,
    /// Whether its owner left it to be gone on with.
    pub left: bool,
}

impl Unfinished {
    /// That of a lock that is held, and of its record, if it has begun one.
    pub fn of(held: &Held, record: Option<&Record>, under_way: bool) -> Self {
        let step = record.and_then(|record| record.steps.last()).map_or("it hadn't begun", |step| step.step.name());
        Self {
            id: held.deploy.clone(),
            owner: held.owner.clone(),
            step: step.to_owned(),
            soaks_until: record.and_then(|record| record.soak.as_ref()?.deadline.clone()),
            under_way,
            left: held.left,
        }
    }

    /// Whether nobody goes on with it, though it should have gone on.
    pub fn is_dead(&self) -> bool {
        let soaks = self.left && self.soaks_until.is_some();
        !self.under_way && !soaks
    }
}

impl Status {
    /// Judges a host by what was seen of it and by what the store knows.
    pub fn of(watch: &Watch<'_>, index: &Index, environment: &Environment, host: String) -> Self {
        let nothing = Facts::default();
        let facts = watch.last().unwrap_or(&nothing);
        let brought = facts.bound_units().map(|(name, unit)| (name.to_owned(), brought(name, unit, facts, index)));
        Self {
            schema_version: 2,
            environment: environment.name.clone(),
            host,
            brought: brought.collect(),
            units: watch.judge(),
            unfinished: None,
            overridden: overridden(facts, index),
            drift: drift(facts, index, environment),
            failures: facts.failures.clone(),
        }
    }

    /// Whether every unit is well, and there is one.
    pub fn is_healthy(&self) -> bool {
        !self.units.is_empty() && self.units.iter().all(UnitHealth::is_well)
    }
}

/// What every unit that is bound to a release should be, whichever process it is.
pub fn expected(facts: &Facts, index: &Index, environment: &Environment) -> Vec<Expected> {
    let expect = |(unit, seen): (&str, &UnitFacts)| {
        let entry = index.brought(unit, &seen.release, &seen.binding);
        let placed = entry.and_then(|entry| entry.placed(unit));
        let digest = placed.as_ref().map_or_else(|| facts.bound_digest(unit), |placed| placed.unit_digest.clone());
        let found = || facts.release(&seen.release).map(|release| release.contents.clone()).unwrap_or_default();
        let contents = placed.as_ref().map_or_else(found, |placed| placed.contents.clone());
        Expected {
            unit: unit.to_owned(),
            unit_digest: digest,
            binary: Some(facts.binary_of(&seen.release, &contents).unwrap_or_default()),
            process: None,
            archived_data: environment.archived_data,
        }
    };
    facts.bound_units().map(expect).collect()
}

fn brought(name: &str, unit: &UnitFacts, facts: &Facts, index: &Index) -> Brought {
    let entry = index.brought(name, &unit.release, &unit.binding);
    let none = || "none".to_owned();
    let judged = entry.and_then(|entry| entry.strategies.values().find(|judged| judged.unit == name));
    Brought {
        release: unit.release.clone(),
        commit: facts.manifest_of(name).map_or_else(none, |manifest| manifest.commit.clone()),
        rollout: entry.map(|entry| entry.id.clone()),
        verdict: judged.map(|j| (j.status.clone().unwrap_or_else(none), j.verdict.clone().unwrap_or_else(none))),
    }
}

/// Responsibility that somebody took for what units run.
fn overridden(facts: &Facts, index: &Index) -> Vec<String> {
    let brought = facts.bound_units().filter_map(|(name, unit)| index.brought(name, &unit.release, &unit.binding));
    let answered = brought.flat_map(|entry| index.with_origins(entry));
    let said: BTreeSet<String> =
        answered.filter_map(|entry| entry.overridden.as_ref().map(ToString::to_string)).collect();
    said.into_iter().collect()
}

/// All that differs: from what the store has on record, and from what every unit must be.
fn drift(facts: &Facts, index: &Index, environment: &Environment) -> Vec<String> {
    let mut found: Vec<String> = plan::foreign(environment, facts).map(|e| e.what().to_owned()).into_iter().collect();
    if facts.layout == Layout::Old {
        found.push("units run from releases below a user's home; a deploy brings them to /opt/magellan".to_owned());
    }
    found.extend(release_drift(facts, index));
    for (name, unit) in facts.bound_units() {
        found.extend(unit_drift(name, unit, facts).into_iter().map(|what| format!("{name}: {what}")));
        if index.brought(name, &unit.release, &unit.binding).is_none() {
            found.push(format!("{name} is bound to {}, which no rollout on record brought", short(&unit.release)));
        }
    }
    found.extend(
        missing(facts, index).into_iter().map(|unit| format!("{unit} was rolled out, and is bound to nothing")),
    );
    let strangers = facts.installed.iter().filter(|name| facts.unit(name).release.is_empty());
    if facts.layout != Layout::Old {
        found.extend(strangers.map(|unit| format!("{unit} is installed, and is bound to nothing")));
    }
    found.extend(facts.untracked.iter().map(|path| format!("{path} belongs to nothing that was rolled out")));
    found.extend(history_drift(facts, index));
    found.extend(unsigned(facts, index, environment));
    found
}

/// Entries of the store that brought what runs, and that nobody has signed whom the host trusts.
fn unsigned(facts: &Facts, index: &Index, environment: &Environment) -> Vec<String> {
    let trusted: String = facts.trusted.iter().map(|line| format!("{line}\n")).collect();
    if trusted.is_empty() {
        return Vec::new();
    }
    let trusted = match Trusted::parse(&trusted) {
        Ok(trusted) => trusted,
        Err(err) => return vec![format!("the host's trusted keys can't be read: {err}")],
    };
    let brought = facts.bound_units().filter_map(|(name, unit)| index.brought(name, &unit.release, &unit.binding));
    // One that is under way is signed when it has ended.
    let brought = brought.filter(|entry| index.rollouts.contains(entry));
    let found: BTreeSet<String> =
        brought.filter_map(|entry| entry.signer(&environment.name, &trusted).err()).map(|e| e.to_string()).collect();
    found.into_iter().collect()
}

/// Releases and trees of commits that aren't what was shipped.
fn release_drift(facts: &Facts, index: &Index) -> Vec<String> {
    let releases: BTreeSet<&str> = facts.bound_units().map(|(_, unit)| unit.release.as_str()).collect();
    let mut found = Vec::new();
    for digest in releases {
        let named = short(digest);
        let Some(release) = facts.release(digest) else {
            found.push(format!("release {named} isn't there, and units are bound to it"));
            continue;
        };
        found.extend(release.altered.iter().map(|what| format!("release {named} was altered: {what}")));
        let shipped = index.rollouts.iter().find(|entry| entry.release == digest);
        if shipped.is_some_and(|entry| entry.contents != release.contents) {
            found.push(format!("release {named} holds other than what the store has on record"));
        }
        let Some(manifest) = &release.manifest else {
            found.push(format!("release {named} has no manifest that can be read"));
            continue;
        };
        match facts.commit(&manifest.commit) {
            None => found.push(format!("the tree of commit {} isn't there", short(&manifest.commit))),
            Some(altered) => found.extend(
                altered
                    .iter()
                    .map(|what| format!("the tree of commit {} was altered: {what}", short(&manifest.commit))),
            ),
        }
    }
    found
}

/// What differs of one unit from what its release and every unit of Magellan's has.
fn unit_drift(name: &str, facts: &UnitFacts, host: &Facts) -> Vec<String> {
    let (installed, released) = (&facts.installed, &facts.released);
    let files = [("unit file", &installed.unit, &released.unit), ("drop-in", &installed.drop_in, &released.drop_in)];
    let mut found: Vec<String> = facts
        .bound_altered
        .iter()
        .map(|what| format!("what binds it to its environment was altered: {what}"))
        .collect();
    for (what, installed, released) in files {
        if installed.is_empty() {
            found.push(format!("its {what} isn't installed"));
        } else if installed != released {
            found.push(format!("its {what} isn't the release's"));
        }
    }
    if !facts.templates {
        found.push("what is started when it fails, or each night, isn't the release's".to_owned());
    }
    if facts.started_with != host.bound_digest(name) {
        found.push("it was started with another release".to_owned());
    }
    let own = format!("/etc/systemd/system/{name}.service.d/magellan.conf");
    found.extend(facts.drop_in_paths().filter(|path| *path != own).map(|path| format!("{path} changes it")));
    found.extend(property_drift(name, facts, host));
    found
}

/// What systemd holds of a unit, whichever file it is from.
fn property_drift(name: &str, facts: &UnitFacts, host: &Facts) -> Vec<String> {
    let strategy = host.manifest_of(name).and_then(|manifest| manifest.strategy_of(name)).unwrap_or_default();
    let fragment = format!("/etc/systemd/system/{name}.service");
    let expected = [
        ("FragmentPath", fragment.as_str()),
        ("NeedDaemonReload", "no"),
        ("User", unit::USER),
        ("Type", "notify"),
        ("Restart", "always"),
        ("WorkingDirectory", unit::ROOT),
        ("NoNewPrivileges", "yes"),
        ("PrivateTmp", "yes"),
        ("ProtectSystem", "strict"),
    ];
    let differs = expected.into_iter().filter(|(field, expected)| facts.property(field) != *expected);
    let mut found: Vec<String> = differs
        .map(|(field, expected)| format!("{field} is `{}`, expected `{expected}`", facts.property(field)))
        .collect();
    let (program, words) = unit::command(strategy);
    let command = facts.property("ExecStart");
    if !command.contains(&format!("path={program} ;")) || !command.contains(&format!("argv[]={words} ;")) {
        found.push(format!("ExecStart is `{command}`"));
    }
    let binding = format!("MAGELLAN_BINDING={}/units/{name}/current/binding.json", unit::ROOT);
    let environment = facts.property("Environment");
    if !environment.split_whitespace().any(|word| word == binding) {
        found.push(format!("Environment is `{environment}`, expected {binding} in it"));
    }
    found
}

/// Units that the latest rollouts brought, and that are bound to nothing.
fn missing(facts: &Facts, index: &Index) -> Vec<String> {
    let well = || index.rollouts.iter().filter(|entry| entry.outcome == Outcome::Running);
    let mut there = BTreeSet::new();
    for entry in well() {
        if entry.complete {
            there.clear();
        }
        there.extend(entry.strategies.values().map(|judged| judged.unit.clone()));
    }
    there.into_iter().filter(|unit| facts.unit(unit).release.is_empty()).collect()
}

/// The host's history against the store's. Both are written by each rollout; the host keeps the latest.
fn history_drift(facts: &Facts, index: &Index) -> Vec<String> {
    let stored: BTreeMap<&str, &Indexed> = index.rollouts.iter().map(|entry| (entry.id.as_str(), entry)).collect();
    let mut found = Vec::new();
    for remembered in &facts.history {
        match stored.get(remembered.id.as_str()) {
            None => found.push(format!("the host remembers the rollout {}, the store doesn't", remembered.id)),
            Some(entry) if entry.line != remembered.sha256 => {
                found.push(format!("the host's history of {} isn't what the store has on record", remembered.id));
            }
            Some(_) => {}
        }
    }
    // The host keeps the latest; of those before its first it has forgotten nothing.
    let oldest = facts.history.first().map(|line| line.id.as_str());
    let kept = index.rollouts.iter().skip_while(|entry| oldest.is_some_and(|oldest| entry.id != oldest));
    let forgotten = kept.filter(|entry| entry.outcome != Outcome::Untouched);
    let forgotten = forgotten.filter(|entry| !facts.history.iter().any(|line| line.id == entry.id));
    found.extend(forgotten.map(|entry| format!("the host's history lacks the rollout {}", entry.id)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::host::Answer;
    use crate::deploy::record::{Action, Judged, Override, Reason, Step, Stepped};
    use crate::signing::{Role, SigningKey, TrustedKey};

    const RELEASE: &str = "d";
    const BINDING: &str = "b";

    /// A rollout of one unit that has been switched, and its host, which trusts a key.
    fn switched(trusted: &TrustedKey) -> (Record, Facts, Environment) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("staging.toml");
        std::fs::write(&path, include_str!("../../../deployed/environments/staging.toml")).expect("written");
        let environment = Environment::read_as(&path, "staging").expect("read");
        let judged = Judged {
            unit: "magellan-u".to_owned(),
            unit_digest: String::new(),
            subject: String::new(),
            verdict: None,
            status: None,
            synthetic: false,
        };
        let mut record = Record::new(Action::Deploy, "staging", "box", "ada".to_owned());
        record.release = RELEASE.to_owned();
        record.bound.sha256 = BINDING.to_owned();
        record.strategies.insert("u".to_owned(), judged);
        record.steps.push(Stepped::begun(Step::Activate, ""));
        let facts =
            format!("trusted={trusted}\nunit.magellan-u.release={RELEASE}\nunit.magellan-u.binding={BINDING}\n");
        (record, Facts::read(&Answer::with_facts(&facts)), environment)
    }

    #[test]
    fn what_somebody_overrode_is_told_after_a_rollback_to_it() {
        let (key, _) = SigningKey::generate().expect("made");
        let trusted = TrustedKey::new(&[Role::Release], key.public(), "ci").expect("a key");
        let (mut record, facts, _) = switched(&trusted);
        let entry = |record: &Record| Indexed::of(record, "", String::new(), Outcome::Running);
        record.id = "first".to_owned();
        let reason = Reason { code: "no-verdict".to_owned(), why: "a stand-in".to_owned(), refused: Vec::new() };
        record.overridden = Some(Override { who: "ada".to_owned(), reasons: vec![reason] });
        let first = entry(&record);
        (record.id, record.overridden, record.back_to) = ("back".to_owned(), None, Some("first".to_owned()));
        let back = entry(&record);
        let mut index = Index { rollouts: vec![first, back], under_way: None };
        assert_eq!(overridden(&facts, &index).len(), 1);
        // A deploy of the same that nobody had to answer for is a new judgement.
        (record.id, record.back_to) = ("again".to_owned(), None);
        index.rollouts.push(entry(&record));
        assert_eq!(overridden(&facts, &index), Vec::<String>::new());
        // One that says it went back to itself, or to a later one, ends the search.
        for to in ["again", "later"] {
            index.rollouts.last_mut().expect("there").back_to = Some(to.to_owned());
            assert_eq!(overridden(&facts, &index), Vec::<String>::new());
        }
    }

    #[test]
    fn a_rollout_must_be_signed_once_it_has_ended() {
        let (key, _) = SigningKey::generate().expect("made");
        let trusted = TrustedKey::new(&[Role::Release], key.public(), "ci").expect("a key");
        let (record, facts, environment) = switched(&trusted);
        let soaking = Index::default().with_unfinished(Some(&record));
        assert!(soaking.brought("magellan-u", RELEASE, BINDING).is_some());
        assert_eq!(unsigned(&facts, &soaking, &environment), Vec::<String>::new());
        let mut entry = Indexed::of(&record, "", String::new(), Outcome::Running);
        let ended = |entry: &Indexed| Index { rollouts: vec![entry.clone()], under_way: None };
        assert_eq!(unsigned(&facts, &ended(&entry), &environment).len(), 1);
        entry.sign("staging", &key).expect("signed");
        assert_eq!(unsigned(&facts, &ended(&entry), &environment), Vec::<String>::new());
        entry.contents = "another".to_owned();
        assert_eq!(unsigned(&facts, &ended(&entry), &environment).len(), 1);
    }
}
