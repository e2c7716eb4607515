//! What is written down of a rollout, while it goes on (the journal) and once it has ended (the
//! audit record). The same value, so that the summary can say nothing that wasn't recorded.

use std::collections::BTreeMap;

use magellan::disk::hash::sha256_hex;
use magellan::error::{Code, Error, Result};
use serde::{Deserialize, Serialize};

use super::store::{Store, write};
use crate::codes;
use crate::release::{Bound, Environment, Rollout};
use crate::signing::{Envelope, IndexStatement, SigningKey, Trusted};

/// 1 knew one release a host.
const SCHEMA_VERSION: u32 = 2;

/// What is rolled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A new release.
    Deploy,
    /// An earlier one again.
    Rollback,
}

/// What a rollout does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The bundle into the store.
    Upload,
    /// What must hold on the host before it is touched.
    Preflight,
    /// Commit, bundle and release on the host; nothing runs differently yet.
    Stage,
    /// The switch, and restarts; of the first unit alone, if one goes first.
    Activate,
    /// Observed over the stabilisation window.
    Health,
    /// The first unit, observed until its deadline.
    Soak,
    /// The switch of the others.
    ActivateRest,
    /// All of them, observed.
    HealthRest,
    /// Back, if one of these failed.
    RollBack,
    /// What ran before, observed.
    HealthAfterRollback,
    /// History, marks, index.
    Record,
}

impl Step {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Preflight => "preflight",
            Self::Stage => "stage",
            Self::Activate => "activate",
            Self::Health => "health",
            Self::Soak => "soak",
            Self::ActivateRest => "activate the rest",
            Self::HealthRest => "health of all",
            Self::RollBack => "roll back",
            Self::HealthAfterRollback => "health after rollback",
            Self::Record => "record",
        }
    }
}

/// A step as it went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stepped {
    /// Which.
    pub step: Step,
    /// When it began, UTC.
    pub began: String,
    /// When it ended, UTC; none while it is under way.
    pub ended: Option<String>,
    /// Whether it did what it should.
    pub ok: bool,
    /// Whether that is known: the host answered.
    pub answered: bool,
    /// Whether the release itself was seen failing.
    pub unwell: bool,
    /// What was observed.
    pub seen: Vec<String>,
}

impl Stepped {
    /// One that begins.
    pub fn begun(step: Step, now: &str) -> Self {
        Self { step, began: now.to_owned(), ended: None, ok: false, answered: false, unwell: false, seen: Vec::new() }
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// The release runs, observed healthy.
    Running,
    /// It failed before anything was switched: the former release runs on.
    Untouched,
    /// It failed, and the former release runs again, observed healthy.
    RolledBack {
        /// The release that runs; several, if units ran from several.
        to: String,
    },
    /// It failed, nothing of Magellan's ran before, and its units were stopped.
    Stopped {
        /// Units that had been there before Magellan's, and run again.
        restored: Vec<String>,
    },
    /// It failed, and what runs isn't known to be healthy.
    Unresolved {
        /// What is known.
        why: String,
    },
}

impl Outcome {
    /// For tables.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Untouched => "untouched",
            Self::RolledBack { .. } => "rolled back",
            Self::Stopped { .. } => "stopped",
            Self::Unresolved { .. } => "unresolved",
        }
    }

    /// The documented exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Running => 0,
            Self::Untouched | Self::RolledBack { .. } => 5,
            Self::Stopped { restored } if !restored.is_empty() => 5,
            Self::Stopped { .. } | Self::Unresolved { .. } => 6,
        }
    }
}

/// What was deployed of a strategy, and what allows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// Its unit.
    pub unit: String,
    /// What its process is made of.
    pub unit_digest: String,
    /// What must have been judged.
    pub subject: String,
    /// The digest of its verdict; none, if none fits.
    pub verdict: Option<String>,
    /// The verdict's status.
    pub status: Option<String>,
    /// Whether it rests on synthetic bars.
    pub synthetic: bool,
}

/// Somebody took responsibility for what was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Who.
    pub who: String,
    /// Each code that was overridden, once.
    pub reasons: Vec<Reason>,
}

/// Why one refusal was overridden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The refusal's code.
    pub code: String,
    /// Why.
    pub why: String,
    /// What was refused, with this code.
    pub refused: Vec<String>,
}

impl std::fmt::Display for Override {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reasons: Vec<String> = self.reasons.iter().map(|r| format!("{}: {}", r.code, r.why)).collect();
        write!(f, "{}: {}", self.who, reasons.join("; "))
    }
}

/// What a unit is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// The release's digest.
    pub release: String,
    /// SHA-256 of the release's checksums.
    pub contents: String,
    /// The release's commit.
    pub commit: String,
    /// SHA-256 of the binding.
    pub binding: String,
    /// What its process is made of.
    pub unit_digest: String,
}

/// A process, told from any later one with its number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its number, as systemd prints it.
    pub pid: String,
    /// systemd's ExecMainStartTimestampMonotonic.
    pub started_monotonic: String,
}

/// The time in which the first unit must prove itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Soak {
    /// What the environment asks for.
    pub asked: Rollout,
    /// When it ends, UTC; none before it has begun.
    pub deadline: Option<String>,
}

/// What a release needs of its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// Disk for the release, KiB.
    pub disk_kib: u64,
    /// Memory that its units may take together, KiB.
    pub memory_kib: u64,
}

/// A unit, judged by what was observed of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitHealth {
    /// The unit, without `.service`.
    pub unit: String,
    /// What its process should be made of.
    pub unit_digest: String,
    /// `active (running)` or whatever it was, at the last look.
    pub state: String,
    /// Its main process.
    pub pid: u64,
    /// Since when it runs, seconds since 1970.
    pub since: f64,
    /// Its open positions, from where that is known, and how old that is.
    pub positions: String,
    /// All that is wrong; healthy if nothing is.
    pub faults: Vec<String>,
    /// The end of its journal, if something is wrong.
    pub journal: Option<String>,
}

impl UnitHealth {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.faults.is_empty()
    }
}

/// A rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Of this form.
    pub schema_version: u32,
    /// Its name: UTC time, commit, release.
    pub id: String,
    /// What.
    pub action: Action,
    /// Where.
    pub environment: String,
    /// The machine, as asserted.
    pub host: String,
    /// Who began it.
    pub owner: String,
    /// Its number: each rollout on a host has a higher one.
    pub generation: u64,
    /// The release's digest.
    pub release: String,
    /// SHA-256 of the release's checksums: what the host must find it to hold.
    pub contents: String,
    /// Where the bundle lies in the store.
    pub bundle: String,
    /// The commit.
    pub commit: String,
    /// What binds the release to the environment.
    pub bound: Bound,
    /// Whether the host has no other units than these once it is done.
    pub complete: bool,
    /// Units that are removed.
    pub retired: Vec<String>,
    /// What the units that change were bound to before; those that are missing were new.
    pub previous: BTreeMap<String, Placed>,
    /// For a rollback: the rollout that it goes back to.
    pub back_to: Option<String>,
    /// The strategies that change.
    pub strategies: BTreeMap<String, Judged>,
    /// What somebody overrode.
    pub overridden: Option<Override>,
    /// Why its verdicts weren't judged again, if they weren't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_judged_again: Option<String>,
    /// Envelopes that the host checks, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub envelopes: Vec<String>,
    /// Seconds that a service must be healthy.
    pub stabilize: u64,
    /// How long one unit goes first; none: all at once.
    pub soak: Option<Soak>,
    /// What the host must have free and in all.
    pub needs: Needs,
    /// The processes that the switch began.
    pub activated: BTreeMap<String, Process>,
    /// What was done.
    pub steps: Vec<Stepped>,
    /// Units as last observed.
    pub health: Vec<UnitHealth>,
    /// How it ended; none while it goes on.
    pub outcome: Option<Outcome>,
}

impl Record {
    /// The beginning of a rollout: what, where and by whom.
    pub fn new(action: Action, environment: &str, host: &str, owner: String) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            id: String::new(),
            action,
            environment: environment.to_owned(),
            host: host.to_owned(),
            owner,
            generation: 0,
            release: String::new(),
            contents: String::new(),
            bundle: String::new(),
            commit: String::new(),
            bound: Bound { sha256: String::new(), binding: String::new(), drop_in: String::new() },
            complete: false,
            retired: Vec::new(),
            previous: BTreeMap::new(),
            back_to: None,
            strategies: BTreeMap::new(),
            overridden: None,
            not_judged_again: None,
            envelopes: Vec::new(),
            stabilize: 0,
            soak: None,
            needs: Needs::default(),
            activated: BTreeMap::new(),
            steps: Vec::new(),
            health: Vec::new(),
            outcome: None,
        }
    }

    /// The same of a release and its strategies, under a name of its own: UTC time, commit, release.
    #[must_use]
    pub fn of(self, now: jiff::Timestamp, release: &str, contents: &str, bundle: &str, commit: &str) -> Self {
        let part = |text: &str| text.get(..8).unwrap_or(text).to_owned();
        let id = format!("{}-{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), part(commit), part(release));
        let [release, contents, bundle, commit] = [release, contents, bundle, commit].map(str::to_owned);
        Self { id, release, contents, bundle, commit, ..self }
    }

    /// What each of its units is bound to once it is done.
    pub fn placed(&self) -> BTreeMap<String, Placed> {
        let place = |judged: &Judged| Placed {
            release: self.release.clone(),
            contents: self.contents.clone(),
            commit: self.commit.clone(),
            binding: self.bound.sha256.clone(),
            unit_digest: judged.unit_digest.clone(),
        };
        self.strategies.values().map(|judged| (judged.unit.clone(), place(judged))).collect()
    }

    /// The line that the host's history has of it: everything but the journals of services.
    pub fn line(&self) -> String {
        let mut line = self.clone();
        line.health.iter_mut().for_each(|unit| unit.journal = None);
        // What is written after it can't be in it, and whoever goes on with a rollout has another number.
        line.steps.retain(|step| step.step != Step::Record);
        line.generation = 0;
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// Whether somebody took responsibility for what is refused with this code.
    pub fn overrides(&self, code: Code) -> bool {
        let reasons = self.overridden.iter().flat_map(|overridden| &overridden.reasons);
        reasons.into_iter().any(|reason| reason.code == code.slug())
    }

    /// The step as it went, if it was begun.
    pub fn step(&self, step: Step) -> Option<&Stepped> {
        self.steps.iter().rev().find(|s| s.step == step)
    }

    /// Whether a step ended, well or not.
    pub fn ended(&self, step: Step) -> bool {
        self.step(step).is_some_and(|s| s.ended.is_some())
    }

    /// Whether a step ended well.
    pub fn did(&self, step: Step) -> bool {
        self.step(step).is_some_and(|s| s.ok)
    }
}

/// A record under way, kept in the store.
pub struct Journal<'a> {
    store: &'a dyn Store,
    key: String,
    version: String,
    /// The record.
    pub record: Record,
}

fn key(environment: &str, id: &str) -> String {
    format!("deploys/{environment}/{id}.json")
}

impl<'a> Journal<'a> {
    /// Begins one.
    ///
    /// # Errors
    /// Deploy error if it can't be kept.
    pub fn begin(store: &'a dyn Store, record: Record) -> Result<Self> {
        let key = key(&record.environment, &record.id);
        match write(store, &key, text(&record).as_bytes(), None)? {
            Some(version) => Ok(Self { store, key, version, record }),
            None => Err(Error::new(codes::LOCK_LOST, "another rollout has this name").at(store.name(&key))),
        }
    }

    /// The one of this name, to go on with.
    ///
    /// # Errors
    /// Deploy error if it can't be read.
    pub fn open(store: &'a dyn Store, environment: &str, id: &str) -> Result<Option<Self>> {
        let key = key(environment, id);
        let Some(object) = store.get(&key)? else { return Ok(None) };
        let record = serde_json::from_slice(&object.bytes)
            .map_err(|e| Error::new(codes::STORE_FAILED, format!("no record: {e}")).at(store.name(&key)))?;
        Ok(Some(Self { store, key, version: object.version, record }))
    }

    /// Keeps the record as it is now.
    ///
    /// # Errors
    /// Refused if somebody else has gone on with it.
    pub fn save(&mut self) -> Result<()> {
        match write(self.store, &self.key, text(&self.record).as_bytes(), Some(&self.version))? {
            Some(version) => {
                self.version = version;
                Ok(())
            }
            None => Err(Error::new(codes::LOCK_LOST, "somebody else has gone on with this rollout")
                .at(self.store.name(&self.key))),
        }
    }

    /// Keeps the record for good: a key of its own that is never written again.
    ///
    /// # Errors
    /// Deploy error if it can't be kept.
    pub fn audit(&self) -> Result<()> {
        let key = format!("audit/{}/{}.json", self.record.environment, self.record.id);
        if write(self.store, &key, text(&self.record).as_bytes(), None)?.is_some() {
            return Ok(());
        }
        // Whoever went on after this was written finds the same rollout with the same end.
        let there = self.store.get(&key)?.and_then(|object| serde_json::from_slice::<Record>(&object.bytes).ok());
        match there.is_some_and(|there| (&there.id, &there.outcome) == (&self.record.id, &self.record.outcome)) {
            true => Ok(()),
            false => Err(Error::new(codes::STORE_FAILED, "another record is there").at(self.store.name(&key))),
        }
    }
}

/// Its text.
pub fn text(record: &Record) -> String {
    serde_json::to_string_pretty(record).unwrap_or_default() + "\n"
}

/// A release in an environment's index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Indexed {
    /// The rollout.
    pub id: String,
    /// The release.
    pub release: String,
    /// SHA-256 of the release's checksums.
    pub contents: String,
    /// Its bundle.
    pub bundle: String,
    /// Its commit.
    pub commit: String,
    /// What bound it to the environment.
    pub bound: Bound,
    /// Whether the host had no other units.
    pub complete: bool,
    /// For a rollback: the rollout that it went back to.
    pub back_to: Option<String>,
    /// Its strategies.
    pub strategies: BTreeMap<String, Judged>,
    /// What somebody overrode.
    pub overridden: Option<Override>,
    /// Envelopes that the host checks whenever it stages the release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub envelopes: Vec<String>,
    /// The envelope of this entry, if somebody has signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<String>,
    /// SHA-256 of the line in the host's history.
    pub line: String,
    /// When the rollout ended, UTC.
    pub ended: String,
    /// How.
    pub outcome: Outcome,
}

impl Indexed {
    /// That of a rollout that has ended, and of the line that the host's history has of it.
    pub fn of(record: &Record, line: &str, ended: String, outcome: Outcome) -> Self {
        Self {
            id: record.id.clone(),
            release: record.release.clone(),
            contents: record.contents.clone(),
            bundle: record.bundle.clone(),
            commit: record.commit.clone(),
            bound: record.bound.clone(),
            complete: record.complete,
            back_to: record.back_to.clone(),
            strategies: record.strategies.clone(),
            overridden: record.overridden.clone(),
            envelopes: record.envelopes.clone(),
            signed: None,
            line: sha256_hex(line.as_bytes()),
            ended,
            outcome,
        }
    }

    /// Holds what a store has of it to what can be right: parts of it reach the host.
    ///
    /// # Errors
    /// Refused, naming what can't be.
    pub fn check(&self, environment: &Environment) -> Result<()> {
        let hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let commit = hex(&self.commit, 40) || hex(&self.commit, 64);
        if !(commit && hex(&self.release, 64) && hex(&self.contents, 64)) {
            let what = format!("the store's entry of {} has a commit or digest that is none", self.id);
            return Err(Error::new(codes::STORE_FAILED, what));
        }
        self.bound.check(environment)
    }

    /// What is signed of it.
    fn statement(&self, environment: &str) -> IndexStatement {
        let unsigned = serde_json::to_string(&Self { signed: None, ..self.clone() }).unwrap_or_default();
        IndexStatement { entry: sha256_hex(unsigned.as_bytes()), environment: environment.to_owned() }
    }

    /// Signs it.
    ///
    /// # Errors
    /// If it can't be signed.
    pub fn sign(&mut self, environment: &str, key: &SigningKey) -> Result<()> {
        self.signed = Some(Envelope::sign(&self.statement(environment), key)?.to_string());
        Ok(())
    }

    /// Who has signed it.
    ///
    /// # Errors
    /// Refused if nobody has whose key is trusted.
    pub fn signer(&self, environment: &str, trusted: &Trusted) -> Result<String> {
        let unsigned = || Error::new(codes::UNSIGNED, format!("nobody has signed the store's entry of {}", self.id));
        let envelope = Envelope::parse(self.signed.as_ref().ok_or_else(unsigned)?)?;
        let (statement, by) = envelope.verify::<IndexStatement>(trusted)?;
        if statement == self.statement(environment) { Ok(by) } else { Err(unsigned()) }
    }

    /// What a unit was bound to by this rollout; none, if it isn't one of its units.
    pub fn placed(&self, unit: &str) -> Option<Placed> {
        let judged = self.strategies.values().find(|judged| judged.unit == unit)?;
        Some(Placed {
            release: self.release.clone(),
            contents: self.contents.clone(),
            commit: self.commit.clone(),
            binding: self.bound.sha256.clone(),
            unit_digest: judged.unit_digest.clone(),
        })
    }
}

/// All rollouts of an environment that ended, oldest first: with listing forbidden, the only way
/// to find them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The rollouts.
    pub rollouts: Vec<Indexed>,
    /// One that hasn't ended, and has brought units to what they are bound to.
    #[serde(skip)]
    pub under_way: Option<Box<Indexed>>,
}

impl Index {
    /// Rollouts of the layout before `/opt/magellan` stand under another key.
    fn key(environment: &str) -> String {
        format!("index/{environment}/{SCHEMA_VERSION}.json")
    }

    /// Reads it; empty if there is none.
    ///
    /// # Errors
    /// Deploy error if it can't be read.
    pub fn read(store: &dyn Store, environment: &str) -> Result<Self> {
        Ok(Self::versioned(store, environment)?.0)
    }

    fn versioned(store: &dyn Store, environment: &str) -> Result<(Self, Option<String>)> {
        let key = Self::key(environment);
        let Some(object) = store.get(&key)? else { return Ok((Self::default(), None)) };
        let index = serde_json::from_slice(&object.bytes)
            .map_err(|e| Error::new(codes::STORE_FAILED, format!("no index: {e}")).at(store.name(&key)))?;
        Ok((index, Some(object.version)))
    }

    /// The latest rollout that brought a unit to what it is bound to, and ran well or brought it back.
    pub fn brought(&self, unit: &str, release: &str, binding: &str) -> Option<&Indexed> {
        let well = self.rollouts.iter().rev().filter(|entry| entry.outcome == Outcome::Running);
        self.under_way.as_deref().into_iter().chain(well).find(|entry| {
            entry
                .placed(unit)
                .is_some_and(|placed| (placed.release.as_str(), placed.binding.as_str()) == (release, binding))
        })
    }

    /// An entry, and those it went back to: a rollback runs again what somebody answered for then.
    pub fn with_origins<'i>(&'i self, entry: &'i Indexed) -> impl Iterator<Item = &'i Indexed> {
        std::iter::successors(Some(entry), |entry| {
            let back_to = entry.back_to.as_ref()?;
            // What an entry goes back to stands before it: a store that says otherwise leads in no circle.
            let mut before = self.rollouts.iter().take_while(|earlier| earlier.id != entry.id);
            before.find(|earlier| earlier.id == *back_to)
        })
    }

    /// With a rollout that is under way: it has brought what it has switched.
    #[must_use]
    pub fn with_unfinished(self, record: Option<&Record>) -> Self {
        let switched = record.filter(|record| record.outcome.is_none() && record.step(Step::Activate).is_some());
        let entry = switched.map(|record| Box::new(Indexed::of(record, "", String::new(), Outcome::Running)));
        Self { under_way: entry, ..self }
    }

    /// Adds a rollout that has ended, unless it is there.
    ///
    /// # Errors
    /// Deploy error if it can't be written.
    pub fn add(store: &dyn Store, environment: &str, rollout: &Indexed) -> Result<()> {
        for _ in 0..5 {
            let (mut index, version) = Self::versioned(store, environment)?;
            if index.rollouts.iter().any(|r| r.id == rollout.id) {
                return Ok(());
            }
            index.rollouts.push(rollout.clone());
            let text = serde_json::to_string_pretty(&index).unwrap_or_default() + "\n";
            if write(store, &Self::key(environment), text.as_bytes(), version.as_deref())?.is_some() {
                return Ok(());
            }
        }
        let key = store.name(&Self::key(environment));
        Err(Error::new(codes::STORE_FAILED, "it changes, or may not be read: five tries").at(key))
    }
}
