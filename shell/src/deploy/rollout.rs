//! A rollout, step by step. Each step is written down before it begins and after it has ended,
//! and can be repeated: whoever goes on after a kill ends in the same place.

use std::time::Duration;

use jiff::Timestamp;
use magellan::error::{Error, Result};

use super::facts::Facts;
use super::health;
use super::host::Call;
use super::lock::Lock;
use super::record::{Action, Index, Indexed, Journal, Outcome, Record, Step, Stepped, UnitHealth};
use super::store::Store;
use super::transport::Transport;
use crate::codes;
use crate::release::Environment;

/// How far the host's clock may be off, seconds.
const CLOCK: f64 = 60.0;

/// No rollout has more steps, repetitions included; the host's numbers are generations times this.
pub const STEPS: u64 = 1_000;
/// How many releases stay on the host beside what runs.
const KEEP: u64 = 5;

/// What a rollout works with.
pub struct Rollout<'a> {
    /// Where bundles and records lie.
    pub store: &'a dyn Store,
    /// The way to the machine.
    pub transport: &'a dyn Transport,
    /// Where to.
    pub environment: &'a Environment,
    /// The lock, owned.
    pub lock: Lock<'a>,
    /// The journal.
    pub journal: Journal<'a>,
    /// The bundle's file, if it is at hand.
    pub bundle: Option<&'a std::path::Path>,
    /// The clock.
    pub now: &'a dyn Fn() -> Timestamp,
    /// Hears what is under way.
    pub tell: &'a dyn Fn(&str),
}

/// What a step saw.
type Seen = Vec<String>;

impl Rollout<'_> {
    /// Goes on from wherever the journal stands to the end. The record is told whatever happens; an
    /// error says that lock or journal couldn't be kept, and the rollout is unfinished.
    pub fn run(mut self) -> (Record, Result<()>) {
        let done = self.finish();
        let record = self.journal.record;
        // Unfinished, it stays owned, so that nobody begins another.
        let done = done.and_then(|()| self.lock.release((self.now)()));
        (record, done)
    }

    fn finish(&mut self) -> Result<()> {
        if self.journal.record.outcome.is_none() {
            let outcome = self.drive()?;
            self.journal.record.outcome = Some(outcome);
            self.journal.save()?;
        }
        if !self.step(Step::Record, Self::record)? {
            let said = self.journal.record.step(Step::Record).and_then(|s| s.seen.last().cloned());
            return Err(Error::new(codes::UNFINISHED, format!("not recorded: {}", said.unwrap_or_default())));
        }
        self.journal.audit()
    }

    fn drive(&mut self) -> Result<Outcome> {
        let steps: [(Step, StepFn<Self>); 3] =
            [(Step::Upload, Self::upload), (Step::Preflight, Self::preflight), (Step::Stage, Self::stage)];
        for (step, does) in steps {
            if !self.step(step, does)? {
                return Ok(Outcome::Untouched);
            }
        }
        if self.step(Step::Activate, Self::activate)? && self.step(Step::Health, Self::observe)? {
            return Ok(Outcome::Running);
        }
        let previous = self.journal.record.previous.clone();
        let Record { release, .. } = &self.journal.record;
        if previous.as_ref() == Some(release) {
            return Ok(Outcome::Unresolved { why: "it ran before, too, and isn't healthy".to_owned() });
        }
        // A script that said it failed, and a host that is as it was. An answer that was lost says
        // nothing: the switch may still come.
        let activate = self.journal.record.step(Step::Activate);
        let refused = activate.is_some_and(|s| s.answered && !s.ok) && !self.journal.record.ended(Step::Health);
        let begun = self.journal.record.step(Step::RollBack).is_some();
        if refused && !begun && self.runs_on(previous.as_deref()) {
            self.check_out_again();
            return Ok(Outcome::Untouched);
        }
        // Once, and not for a rollback, which nobody rolls back.
        if self.journal.record.action == Action::Rollback {
            return Ok(Outcome::Unresolved { why: "the rollback's release isn't healthy".to_owned() });
        }
        let back = self.step(Step::RollBack, Self::roll_back)?;
        let Some(previous) = previous else {
            return Ok(match back {
                true => Outcome::Stopped,
                false => Outcome::Unresolved { why: "its units could not be stopped".to_owned() },
            });
        };
        if back && self.step(Step::HealthAfterRollback, Self::observe_previous)? {
            return Ok(Outcome::RolledBack { to: previous });
        }
        Ok(Outcome::Unresolved { why: "the former release could not be seen running healthy".to_owned() })
    }

    /// Does a step, unless it has ended already; whether it went well. What is wrong with lock or
    /// journal is no answer but an error.
    fn step(&mut self, step: Step, does: StepFn<Self>) -> Result<bool> {
        // What isn't recorded yet is tried again.
        if self.journal.record.ended(step) && (step != Step::Record || self.journal.record.did(step)) {
            return Ok(self.journal.record.did(step));
        }
        (self.tell)(step.name());
        self.lock.renew((self.now)())?;
        let began = (self.now)().to_string();
        self.journal.record.steps.push(Stepped {
            step,
            began,
            ended: None,
            ok: false,
            answered: false,
            seen: Vec::new(),
        });
        self.journal.save()?;
        let mut seen = Seen::new();
        let done = does(self, &mut seen);
        if let Err(err) = &done {
            if matches!(err.code(), codes::LOCK_LOST | codes::STORE_FAILED | codes::STORE_BUSY) && step != Step::Upload
            {
                return done.map(|()| false);
            }
            seen.push(err.to_string());
        }
        let ended = (self.now)().to_string();
        if let Some(last) = self.journal.record.steps.last_mut() {
            last.answered = done.as_ref().map_or_else(|e| e.code() == codes::HOST_FAILED, |()| true);
            (last.ended, last.ok, last.seen) = (Some(ended), done.is_ok(), seen);
        }
        self.journal.save()?;
        Ok(done.is_ok())
    }

    fn call(&self, operation: &'static str) -> Call {
        // Above that of every step before: a command of theirs that comes late is refused.
        let number = self.lock.generation() * STEPS + self.journal.record.steps.len() as u64;
        Call::new(operation, self.environment).with("generation", number)
    }

    fn facts(&self) -> Result<Facts> {
        Facts::observe(self.transport, self.environment)
    }

    fn upload(&mut self, seen: &mut Seen) -> Result<()> {
        let Record { bundle, release, action, .. } = &self.journal.record;
        let name = self.store.name(bundle);
        match self.bundle {
            Some(file) if self.store.upload(bundle, file, release)? => seen.push(format!("{name} written")),
            _ if self.store.holds(bundle, release)? => {
                seen.push(format!("{name} is there, with the release's SHA-256"))
            }
            // A release that is on the host needs no bundle.
            _ if *action == Action::Rollback => seen.push(format!("{name} isn't there")),
            _ => return Err(Error::new(codes::BUNDLE_DAMAGED, "the bundle isn't in the store").at(name)),
        }
        Ok(())
    }

    fn preflight(&mut self, seen: &mut Seen) -> Result<()> {
        let Record { needs, strategies, .. } = &self.journal.record;
        let call = Call::preflight(self.environment, strategies.values().map(|judged| &judged.unit))
            .with("need_kib", needs.disk_kib)
            .with("need_mem_kib", needs.memory_kib);
        let answer = self.transport.call(&call)?.done("preflight")?;
        let off = answer.number::<f64>("now").unwrap_or(f64::NAN) - (self.now)().as_millisecond() as f64 / 1e3;
        if off.is_nan() || off.abs() > CLOCK {
            return Err(Error::new(codes::HOST_FAILED, format!("preflight: the host's clock is {off:.0} s off")));
        }
        seen.push(format!("{}: nothing speaks against it, clock {off:+.1} s", self.transport.name()));
        Ok(())
    }

    fn stage(&mut self, seen: &mut Seen) -> Result<()> {
        let Record { bundle, release, commit, .. } = &self.journal.record;
        let mut call = self.call("stage").with("digest", release).with("commit", commit);
        if self.store.holds(bundle, release)? {
            call = call.with("source", self.store.source(bundle)?);
        }
        let answer = self.transport.call(&call)?.done("stage")?;
        let version = answer.get("version").unwrap_or("its binary was tried when it was staged").to_owned();
        seen.push(format!("commit {commit} checked out"));
        seen.push(format!("release {} ({version})", answer.get("staged").unwrap_or("there")));
        Ok(())
    }

    fn activate(&mut self, seen: &mut Seen) -> Result<()> {
        let release = self.journal.record.release.clone();
        self.switch_to(&release, seen)
    }

    fn switch_to(&mut self, release: &str, seen: &mut Seen) -> Result<()> {
        let call = self.call("activate").with("digest", release);
        let Record { overridden, previous, .. } = &self.journal.record;
        // A way back that somebody took responsibility for, or that ran, isn't barred.
        let force = overridden.is_some() || previous.as_deref() == Some(release);
        let call = if force { call.with("force", "yes") } else { call };
        let answer = self.transport.call(&call)?;
        // What a failed switch did is evidence, too.
        for (key, what) in [("restarted", "restarted"), ("kept", "left running"), ("removed", "stopped and removed")] {
            let units: Vec<&str> = answer.all(key).collect();
            if !units.is_empty() {
                seen.push(format!("{what}: {}", units.join(", ")));
            }
        }
        answer.done("activate").map(drop)
    }

    /// Looks until the stabilisation window has passed, or a unit has surely failed.
    fn watch(&self, expected: &[(String, String)]) -> Result<(Vec<UnitHealth>, Duration)> {
        let window = Duration::from_secs(self.journal.record.stabilize);
        let pause = (window / 6).clamp(Duration::from_millis(200), Duration::from_secs(5));
        let began = (self.now)();
        let mut looks = Vec::new();
        let watched = loop {
            let look = self.facts();
            let watched = (self.now)().duration_since(began).unsigned_abs();
            match look {
                Ok(look) => looks.push(look),
                // One look that is lost isn't a service that failed; the last one must be had.
                Err(err) if watched >= window + pause => return Err(err),
                Err(_) => {
                    std::thread::sleep(pause);
                    continue;
                }
            }
            if watched >= window || expected.iter().any(|(unit, _)| health::has_failed(&looks, unit)) {
                break watched;
            }
            std::thread::sleep(pause.min(window - watched));
        };
        let judged: Vec<UnitHealth> =
            expected.iter().map(|(unit, digest)| health::judge(&looks, unit, digest)).collect();
        if judged.iter().all(UnitHealth::is_well) {
            return Ok((judged, watched));
        }
        // Once more for the journals: evidence, not another chance.
        let journals = Facts::observe_with_journals(self.transport, self.environment).ok();
        let journal = |unit: &str| journals.as_ref()?.unit(unit).journal;
        let judged = judged
            .into_iter()
            .map(|unit| match unit.is_well() {
                true => unit,
                false => UnitHealth { journal: journal(&unit.unit).or(unit.journal.clone()), ..unit },
            })
            .collect();
        Ok((judged, watched))
    }

    fn healthy(&mut self, expected: &[(String, String)], seen: &mut Seen) -> Result<()> {
        if expected.is_empty() {
            return Err(Error::new(codes::UNHEALTHY, "no unit was to be observed: nothing is never healthy"));
        }
        let (health, watched) = self.watch(expected)?;
        for unit in &health {
            match unit.is_well() {
                true => seen.push(format!(
                    "{}: {}, process {} for {:.0} s",
                    unit.unit,
                    unit.state,
                    unit.pid,
                    watched.as_secs_f64()
                )),
                false => seen.push(format!("{}: {}", unit.unit, unit.faults.join("; "))),
            }
        }
        let unwell: Vec<&str> = health.iter().filter(|u| !u.is_well()).map(|u| u.unit.as_str()).collect();
        let unwell = unwell.join(", ");
        self.journal.record.health = health;
        match unwell.is_empty() {
            true => Ok(()),
            false => Err(Error::new(codes::UNHEALTHY, format!("not healthy: {unwell}"))),
        }
    }

    fn observe(&mut self, seen: &mut Seen) -> Result<()> {
        let expected: Vec<(String, String)> =
            self.journal.record.strategies.values().map(|s| (s.unit.clone(), s.unit_digest.clone())).collect();
        self.runs(&self.journal.record.release)?;
        self.healthy(&expected, seen)
    }

    fn observe_previous(&mut self, seen: &mut Seen) -> Result<()> {
        let previous = self.journal.record.previous.clone().unwrap_or_default();
        let expected = self.runs(&previous)?.expected_units();
        // What made the rollback necessary stays on record beside what is seen now.
        let failed = std::mem::take(&mut self.journal.record.health);
        let done = self.healthy(&expected, seen);
        self.journal.record.health = failed;
        done
    }

    /// The host's facts, if this release is its current one.
    fn runs(&self, release: &str) -> Result<Facts> {
        let facts = self.facts()?;
        let current = facts.release().unwrap_or_default();
        match current == release {
            true => Ok(facts),
            false => {
                Err(Error::new(codes::UNHEALTHY, format!("the host's release is `{current}`, expected {release}")))
            }
        }
    }

    /// Whether the host surely is on what it was on before: an answer that was lost proves nothing.
    fn runs_on(&self, previous: Option<&str>) -> bool {
        let Ok(facts) = self.facts() else { return false };
        if previous.is_none() {
            return facts.current.is_none() && facts.installed.is_empty();
        }
        let started = |(unit, digest): &(String, String)| facts.unit(unit).started_with == *digest;
        facts.release() == previous && facts.expected_units().iter().all(started)
    }

    fn roll_back(&mut self, seen: &mut Seen) -> Result<()> {
        match self.journal.record.previous.clone() {
            Some(previous) => {
                seen.push(format!("to {previous}"));
                // The checkout, too, says what runs; that it can't is no reason to stay.
                if let Some(err) = self.check_out_again() {
                    seen.push(format!("the checkout stays where it was: {err}"));
                }
                self.switch_to(&previous, seen)
            }
            None => {
                self.transport.call(&self.call("deactivate"))?.done("deactivate")?;
                seen.push("there was no former release: its units were stopped and removed".to_owned());
                Ok(())
            }
        }
    }

    /// The checkout back to the commit of what ran before; why it isn't, if it isn't.
    fn check_out_again(&self) -> Option<Error> {
        let Record { previous: Some(previous), previous_commit: Some(commit), .. } = &self.journal.record else {
            return None;
        };
        let call = self.call("stage").with("digest", previous).with("commit", commit);
        self.transport.call(&call).and_then(|answer| answer.done("stage")).err()
    }

    /// Marks on the host, its history, then the index: whatever is in the index is true.
    fn record(&mut self, seen: &mut Seen) -> Result<()> {
        let record = &self.journal.record;
        let ended = (self.now)().to_string();
        let outcome = record.outcome.clone().unwrap_or(Outcome::Unresolved { why: "no outcome".to_owned() });
        let mut line = record.clone();
        line.health.iter_mut().for_each(|unit| unit.journal = None);
        let mut call = self.call("record").with("line", serde_json::to_string(&line).unwrap_or_default());
        call = match (&outcome, record.action) {
            (Outcome::Running, Action::Rollback) => {
                // What was left behind isn't chosen again.
                let left = record.previous.as_deref().filter(|p| *p != record.release);
                left.map_or(call.clone(), |left| call.with("bad", left)).with("good", &record.release)
            }
            (Outcome::Running, Action::Deploy) => call.with("good", &record.release),
            (Outcome::Untouched, _) => call,
            // What ran before isn't bad for having been tried again.
            _ if record.previous.as_ref() == Some(&record.release) => call,
            _ => call.with("bad", &record.release),
        };
        let on_host = self.transport.call(&call).and_then(|answer| answer.done("record"));
        match &on_host {
            Ok(_) => seen.push("on the host".to_owned()),
            Err(err) => seen.push(format!("not on the host: {err}")),
        }
        let indexed = Indexed {
            id: record.id.clone(),
            release: record.release.clone(),
            bundle: record.bundle.clone(),
            commit: record.commit.clone(),
            strategies: record.strategies.clone(),
            ended,
            outcome,
        };
        Index::add(self.store, &self.environment.name, &indexed)?;
        seen.push("in the store".to_owned());
        // A host that was not changed has nothing to remember; its disk may be full.
        if self.journal.record.outcome != Some(Outcome::Untouched) {
            on_host?;
        }
        // What isn't needed any more; that it stays is no fault of the rollout.
        match self.transport.call(&self.call("prune").with("keep", KEEP)).and_then(|answer| answer.done("prune")) {
            Ok(answer) => seen.extend(answer.all("pruned").map(|release| format!("pruned {release}"))),
            Err(err) => seen.push(format!("not pruned: {err}")),
        }
        Ok(())
    }
}

/// A step of a rollout.
type StepFn<R> = fn(&mut R, &mut Seen) -> Result<()>;
