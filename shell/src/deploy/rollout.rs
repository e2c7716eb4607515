//! A rollout, step by step. Each step is written down before it begins and after it has ended,
//! and can be repeated: whoever goes on after a kill ends in the same place.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use magellan::error::{Error, Result};

use super::facts::Facts;
use super::health::{Expected, Looks, Watch};
use super::host::{Answer, Call};
use super::lock::Keeper;
use super::market_time;
use super::plan::{self, Change};
use super::record::{Action, Index, Indexed, Journal, Outcome, Placed, Process, Record, Step, Stepped, UnitHealth};
use super::store::Store;
use super::transport::Transport;
use crate::codes;
use crate::release::Environment;
use crate::signing::SigningKey;

/// How far the host's clock may be off, seconds.
const CLOCK: f64 = 60.0;
/// No rollout has more steps, repetitions included; the host's numbers are generations times this.
pub const STEPS: u64 = 1_000;
/// How many releases stay on the host beside what runs.
pub const KEEP: u64 = 5;
/// How long histories and logs stay on the host, days.
pub const KEEP_DAYS: u64 = 365;
/// No bundle is larger, bytes: a host stops fetching there.
const LARGEST_BUNDLE: u64 = 1 << 30;
/// A unit that goes first is looked at this often.
const SOAKING: Duration = Duration::from_secs(30);
/// A host that can't be asked for so long leaves a rollout unfinished.
const UNREACHABLE: Duration = Duration::from_secs(600);
/// How often a command whose answer was lost is sent again. Its steps are repeatable.
const TRIES: usize = 3;

/// What a rollout works with.
pub struct Rollout<'a> {
    /// Where bundles and records lie.
    pub store: &'a dyn Store,
    /// The way to the machine.
    pub transport: &'a dyn Transport,
    /// Where to.
    pub environment: &'a Environment,
    /// The journal.
    pub journal: Journal<'a>,
    /// The bundle's file, if it is at hand.
    pub bundle: Option<&'a std::path::Path>,
    /// Signs what the store has on record of it; nobody does without.
    pub key: Option<&'a SigningKey>,
    /// Whether it is left to somebody else while a unit proves itself.
    pub no_wait: bool,
    /// The clock.
    pub now: &'a dyn Fn() -> Timestamp,
    /// Whether somebody asked for it to end.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Hears what is under way.
    pub tell: &'a dyn Fn(&str),
    /// The lock, owned.
    pub lock: Keeper<'a>,
    /// Whether the release itself was seen failing in the step under way; false at first.
    pub unwell: bool,
}

/// What a step saw.
type Seen = Vec<String>;

/// A step of a rollout.
type StepFn<R> = fn(&mut R, &mut Seen) -> Result<()>;

/// Units and what each is to be bound to.
type Units = BTreeMap<String, Placed>;

impl Rollout<'_> {
    /// Goes on from wherever the journal stands to the end. The record is told whatever happens; an
    /// error says that lock or journal couldn't be kept, or that somebody ended it: the rollout is unfinished.
    pub fn run(mut self) -> (Record, Result<()>) {
        let done = self.finish();
        let Self { journal, lock, now, .. } = self;
        let lock = lock.into_lock();
        let done = match done {
            Ok(()) => lock.release(now()),
            // Unfinished, it stays owned, so that nobody begins another; but anybody may go on with it.
            Err(err) if [codes::INTERRUPTED, codes::UNFINISHED].contains(&err.code()) => {
                lock.leave(now()).and(Err(err))
            }
            Err(err) => Err(err),
        };
        (journal.record, done)
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
        let before: [(Step, StepFn<Self>); 3] =
            [(Step::Upload, Self::upload), (Step::Preflight, Self::preflight), (Step::Stage, Self::stage)];
        for (step, does) in before {
            if !self.step(step, does)? {
                return Ok(Outcome::Untouched);
            }
        }
        if self.switch_and_watch()? {
            return Ok(Outcome::Running);
        }
        let record = &self.journal.record;
        let placed = record.placed();
        if !placed.is_empty() && placed.iter().all(|(unit, is)| record.previous.get(unit) == Some(is)) {
            return Ok(Outcome::Unresolved { why: "it ran before, too, and isn't healthy".to_owned() });
        }
        // A script that said it failed, and a host that is as it was.
        let activate = record.step(Step::Activate);
        let refused = activate.is_some_and(|s| s.answered && !s.ok) && !record.ended(Step::Health);
        if refused && record.step(Step::RollBack).is_none() && self.is_as_before() {
            return Ok(Outcome::Untouched);
        }
        // Once, and not for a rollback, which nobody rolls back.
        if self.journal.record.action == Action::Rollback {
            return Ok(Outcome::Unresolved { why: "what it went back to isn't healthy".to_owned() });
        }
        self.back()
    }

    /// The switch, watched; of the first unit alone and then of the others, if one goes first.
    fn switch_and_watch(&mut self) -> Result<bool> {
        let mut steps: Vec<(Step, StepFn<Self>)> =
            vec![(Step::Activate, Self::activate), (Step::Health, Self::observe)];
        if self.journal.record.soak.is_some() {
            let rest: [(Step, StepFn<Self>); 3] = [
                (Step::Soak, Self::soak),
                (Step::ActivateRest, Self::activate_rest),
                (Step::HealthRest, Self::observe_all),
            ];
            steps.extend(rest);
        }
        for (step, does) in steps {
            if !self.step(step, does)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn back(&mut self) -> Result<Outcome> {
        let back = self.step(Step::RollBack, Self::roll_back)?;
        let former: Units = self.former();
        if former.is_empty() {
            return Ok(match back {
                true => Outcome::Stopped { restored: self.restored()? },
                false => Outcome::Unresolved { why: "its units could not be stopped".to_owned() },
            });
        }
        if back && self.step(Step::HealthAfterRollback, Self::observe_former)? {
            let mut releases: Vec<&str> = former.values().map(|placed| placed.release.as_str()).collect();
            releases.sort_unstable();
            releases.dedup();
            return Ok(Outcome::RolledBack { to: releases.join(", ") });
        }
        Ok(Outcome::Unresolved { why: "what ran before could not be seen running healthy".to_owned() })
    }

    /// Does a step, unless it has ended already; whether it went well. What is wrong with lock or
    /// journal is no answer but an error.
    fn step(&mut self, step: Step, does: StepFn<Self>) -> Result<bool> {
        // What isn't recorded yet is tried again.
        if self.journal.record.ended(step) && (step != Step::Record || self.journal.record.did(step)) {
            return Ok(self.journal.record.did(step));
        }
        self.check_interrupted()?;
        (self.tell)(step.name());
        self.lock.renew()?;
        self.journal.record.steps.push(Stepped::begun(step, &(self.now)().to_string()));
        self.journal.save()?;
        self.unwell = false;
        let mut seen = Seen::new();
        let done = does(self, &mut seen).and_then(|()| self.lock.check());
        if let Err(err) = &done {
            let is_ours =
                [codes::LOCK_LOST, codes::STORE_FAILED, codes::STORE_BUSY, codes::INTERRUPTED, codes::UNFINISHED]
                    .contains(&err.code());
            if is_ours && step != Step::Upload {
                return done.map(|()| false);
            }
            seen.push(err.to_string());
        }
        let ended = (self.now)().to_string();
        let unwell = self.unwell;
        if let Some(last) = self.journal.record.steps.last_mut() {
            last.answered = done
                .as_ref()
                .map_or_else(|e| [codes::HOST_FAILED, codes::DEPLOY_UNTIMELY].contains(&e.code()), |()| true);
            last.unwell = unwell;
            (last.ended, last.ok, last.seen) = (Some(ended), done.is_ok(), seen);
        }
        self.journal.save()?;
        Ok(done.is_ok())
    }

    fn check_interrupted(&self) -> Result<()> {
        match (self.interrupted)() {
            false => Ok(()),
            true => {
                Err(Error::new(codes::INTERRUPTED, "somebody asked for it to end; `magellan deploy resume` goes on"))
            }
        }
    }

    // ---- The host, asked ----

    fn call(&self, operation: &'static str) -> Call {
        // Above that of every step before: a command of theirs that comes late is refused.
        let number = self.lock.generation() * STEPS + self.journal.record.steps.len() as u64;
        Call::new(operation, self.environment).with("generation", number)
    }

    fn ask(&self, call: &Call) -> Result<Answer> {
        let answer = self.transport.call_while(call, &|| self.lock.keep());
        self.lock.check()?;
        answer
    }

    /// Asks again if the answer is lost: nothing is done twice that way.
    fn ask_again(&self, call: &Call) -> Result<Answer> {
        self.until_answered(&|| self.ask(call))
    }

    /// The host's facts, asked again if they are lost.
    fn facts(&self) -> Result<Facts> {
        self.until_answered(&|| self.look())
    }

    /// One look at the host.
    fn look(&self) -> Result<Facts> {
        let facts = Facts::observe_while(self.transport, self.environment, &|| self.lock.keep());
        self.lock.check()?;
        facts
    }

    fn until_answered<T>(&self, ask: &dyn Fn() -> Result<T>) -> Result<T> {
        let is_lost = |err: &Error| [codes::HOST_SILENT, codes::AWS_FAILED].contains(&err.code());
        for _ in 1..TRIES {
            match ask() {
                Err(err) if is_lost(&err) => self.check_interrupted()?,
                answer => return answer,
            }
        }
        ask()
    }

    // ---- Which units ----

    /// The units that are switched first: all, unless one goes first.
    fn first_units(&self) -> Units {
        let record = &self.journal.record;
        let first = record.soak.as_ref().map(|soak| &soak.asked.first);
        record.placed().into_iter().filter(|(unit, _)| first.is_none_or(|first| unit == first)).collect()
    }

    /// What units were bound to before, of those that this rollout has begun to change.
    fn former(&self) -> Units {
        let record = &self.journal.record;
        let all = record.soak.is_none() || record.step(Step::ActivateRest).is_some();
        let (first, former) = (self.first_units(), record.previous.clone());
        former.into_iter().filter(|(unit, _)| all || first.contains_key(unit)).collect()
    }

    /// Units of this rollout that were bound to nothing before.
    fn new_units(&self) -> Vec<String> {
        let record = &self.journal.record;
        record.placed().into_keys().filter(|unit| !record.previous.contains_key(unit)).collect()
    }

    fn expected(&self, units: &Units, facts: &Facts) -> Vec<Expected> {
        let record = &self.journal.record;
        let expect = |(unit, placed): (&String, &Placed)| Expected {
            unit: unit.clone(),
            unit_digest: placed.unit_digest.clone(),
            // One that can't be read is expected nowhere.
            binary: Some(facts.binary_of(&placed.release, &placed.contents).unwrap_or_default()),
            process: record.activated.get(unit).cloned(),
            archived_data: self.environment.archived_data,
        };
        units.iter().map(expect).collect()
    }

    // ---- Steps ----

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
        let answer = self.ask(&call)?.done("preflight")?;
        let off = answer.number::<f64>("now").unwrap_or(f64::NAN) - (self.now)().as_millisecond() as f64 / 1e3;
        if off.is_nan() || off.abs() > CLOCK {
            return Err(Error::new(codes::HOST_FAILED, format!("preflight: the host's clock is {off:.0} s off")));
        }
        seen.push(format!("{}: nothing speaks against it, clock {off:+.1} s", self.transport.name()));
        Ok(())
    }

    fn stage(&mut self, seen: &mut Seen) -> Result<()> {
        let Record { bundle, release, contents, commit, bound, strategies, envelopes, .. } = &self.journal.record;
        let mut call = self
            .call("stage")
            .with("digest", release)
            .with("contents", contents)
            .with("commit", commit)
            .with("remote", &self.environment.host.remote)
            .with_text("binding", &bound.binding)
            .with_text("drop_in", &bound.drop_in);
        for judged in strategies.values() {
            call = call.with("bind", &judged.unit);
        }
        for envelope in envelopes {
            call = call.with_text("envelope", envelope);
        }
        if self.store.holds(bundle, release)? {
            call = call.with("source", self.store.source(bundle)?).with("max_bytes", LARGEST_BUNDLE);
        }
        let answer = self.ask_again(&call)?.done("stage")?;
        let version = answer.get("version").unwrap_or("its binary was tried when it was staged").to_owned();
        seen.push(format!("tree of commit {commit} checked"));
        seen.push(format!("release {} ({version})", answer.get("staged").unwrap_or("there")));
        Ok(())
    }

    fn activate(&mut self, seen: &mut Seen) -> Result<()> {
        let (units, retired) = match self.journal.record.soak {
            None => (self.first_units(), self.journal.record.retired.clone()),
            Some(_) => (self.first_units(), Vec::new()),
        };
        self.switch_timely(&units, &retired, seen)
    }

    fn activate_rest(&mut self, seen: &mut Seen) -> Result<()> {
        let (units, retired) = (self.journal.record.placed(), self.journal.record.retired.clone());
        self.switch_timely(&units, &retired, seen)
    }

    /// Hours and positions are asked once more, at the last moment.
    fn switch_timely(&mut self, units: &Units, retired: &[String], seen: &mut Seen) -> Result<()> {
        let facts = self.facts()?;
        if let Some(untimely) = self.untimely(&facts, units, retired).into_iter().next() {
            return Err(untimely);
        }
        self.switch_to(units, retired, seen)
    }

    /// What speaks against these changes now, unless somebody took responsibility for that.
    fn untimely(&self, facts: &Facts, units: &Units, retired: &[String]) -> Vec<Error> {
        if self.journal.record.overrides(codes::DEPLOY_UNTIMELY) {
            return Vec::new();
        }
        let restarts = |(unit, placed): (&String, &Placed)| {
            let seen = facts.unit(unit);
            let changes = !seen.release.is_empty() && seen.started_with != placed.unit_digest;
            changes.then(|| (unit.clone(), Change::Restarted(Vec::new())))
        };
        let mut changes: Vec<(String, Change)> = units.iter().filter_map(restarts).collect();
        changes.extend(retired.iter().map(|unit| (unit.clone(), Change::Removed)));
        plan::untimely(self.environment, facts, &changes, (self.now)())
    }

    fn switch_to(&mut self, units: &Units, retired: &[String], seen: &mut Seen) -> Result<()> {
        let mut call = self.call("activate");
        let mut releases = BTreeMap::new();
        for (unit, placed) in units {
            let Placed { release, binding, unit_digest, contents, .. } = placed;
            call = call.with("unit", format!("{unit}:{release}:{binding}:{unit_digest}"));
            releases.insert(release, contents);
        }
        for (release, contents) in releases {
            call = call.with("contents", format!("{release}:{contents}"));
        }
        call = retired.iter().fold(call, |call, unit| call.with("retire", unit));
        if self.may_be_bad(units) {
            call = call.with("force", "yes");
        }
        let answer = self.ask_again(&call)?;
        // What a failed switch did is evidence, too.
        for (key, what) in [("restarted", "restarted"), ("kept", "left running"), ("removed", "stopped and removed")] {
            let units: Vec<&str> = answer.all(key).collect();
            if !units.is_empty() {
                seen.push(format!("{what}: {}", units.join(", ")));
            }
        }
        // A unit that didn't start is the release's own failure; anything else may be the host's.
        self.unwell = answer.failed.as_ref().is_some_and(|(code, _)| code == "restart");
        let answer = answer.done("activate")?;
        self.remember_processes(units, &answer);
        Ok(())
    }

    /// The processes that this rollout began. A unit that was left running may have any.
    fn remember_processes(&mut self, units: &Units, answer: &Answer) {
        let fact = |unit: &str, field: &str| answer.get(&format!("unit.{unit}.{field}")).unwrap_or_default().to_owned();
        for (unit, placed) in units {
            let was = self.journal.record.previous.get(unit).map(|was| was.unit_digest.as_str());
            let began = was != Some(placed.unit_digest.as_str()) || self.journal.record.activated.contains_key(unit);
            if began {
                let process = Process { pid: fact(unit, "pid"), started_monotonic: fact(unit, "started_monotonic") };
                self.journal.record.activated.insert(unit.clone(), process);
            }
        }
    }

    /// A way back that somebody took responsibility for, or that ran, isn't barred.
    fn may_be_bad(&self, units: &Units) -> bool {
        let record = &self.journal.record;
        record.overrides(codes::RELEASE_BAD)
            || units.iter().all(|(unit, placed)| record.previous.get(unit) == Some(placed))
    }

    fn observe(&mut self, seen: &mut Seen) -> Result<()> {
        self.healthy(&self.first_units(), seen)
    }

    fn observe_all(&mut self, seen: &mut Seen) -> Result<()> {
        self.healthy(&self.journal.record.placed(), seen)
    }

    fn observe_former(&mut self, seen: &mut Seen) -> Result<()> {
        let former = self.former();
        // What made the rollback necessary stays on record beside what is seen now.
        let failed = std::mem::take(&mut self.journal.record.health);
        let done = self.healthy(&former, seen);
        self.journal.record.health = failed;
        // What ran before isn't what is on trial.
        self.unwell = false;
        done
    }

    /// Watches until the stabilisation window has passed, or a unit has surely failed.
    fn healthy(&mut self, units: &Units, seen: &mut Seen) -> Result<()> {
        if units.is_empty() {
            return Err(Error::new(codes::UNHEALTHY, "no unit was to be observed: nothing is never healthy"));
        }
        let window = Duration::from_secs(self.journal.record.stabilize);
        let pause = (window / 6).clamp(Duration::from_millis(200), Duration::from_secs(5));
        let expected = self.expected(units, &self.bound(units)?);
        let observe = || self.look();
        let mut watch = Watch::over(&expected);
        let mut looks = Looks::every(pause, &observe, self.now);
        let watched = loop {
            self.check_interrupted()?;
            let Some(look) = looks.next() else { break Duration::ZERO };
            match look.facts {
                Ok(facts) => watch.see(facts),
                // One look that is lost isn't a service that failed; the last one must be had.
                Err(err) if look.watched >= window + pause || err.code() == codes::LOCK_LOST => return Err(err),
                Err(_) => continue,
            }
            if look.watched >= window || watch.has_failed() {
                break look.watched;
            }
        };
        let health = watch.judge();
        self.judged(health, watched, seen)
    }

    /// What was seen, on record; an error if a unit isn't well.
    fn judged(&mut self, health: Vec<UnitHealth>, watched: Duration, seen: &mut Seen) -> Result<()> {
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
        self.journal.record.health = if unwell.is_empty() { health } else { self.with_journals(health) };
        match unwell.is_empty() {
            true => Ok(()),
            false => {
                self.unwell = true;
                Err(Error::new(codes::UNHEALTHY, format!("not healthy: {unwell}")))
            }
        }
    }

    /// Looks once more for the journals: evidence, not another chance.
    fn with_journals(&self, health: Vec<UnitHealth>) -> Vec<UnitHealth> {
        let looked = Facts::observe_with_journals(self.transport, self.environment, &|| self.lock.keep()).ok();
        let journal = |unit: &UnitHealth| looked.as_ref()?.unit(&unit.unit).journal;
        let attach = |unit: UnitHealth| match unit.is_well() {
            true => unit,
            false => UnitHealth { journal: journal(&unit).or(unit.journal.clone()), ..unit },
        };
        health.into_iter().map(attach).collect()
    }

    /// The host's facts, if these units are bound to what they should be, and that is whole.
    fn bound(&self, units: &Units) -> Result<Facts> {
        let facts = self.facts()?;
        let wrong = |what: String| Error::new(codes::UNHEALTHY, what);
        for (unit, placed) in units {
            let seen = facts.unit(unit);
            if (&seen.release, &seen.binding) != (&placed.release, &placed.binding) {
                return Err(wrong(format!("{unit} is bound to `{}`, expected {}", seen.release, placed.release)));
            }
            let release = facts.release(&placed.release);
            let altered = release.and_then(|r| r.altered.first().cloned());
            if let Some(altered) = altered {
                return Err(wrong(format!("release {} was altered: {altered}", placed.release)));
            }
            if release.is_none_or(|r| r.contents != placed.contents) {
                return Err(wrong(format!("release {} holds other than what was shipped", placed.release)));
            }
        }
        Ok(facts)
    }

    /// The first unit proves itself until the deadline, which is on record, and until the others may be changed.
    fn soak(&mut self, seen: &mut Seen) -> Result<()> {
        let units = self.first_units();
        let deadline = self.deadline()?;
        let expected = self.expected(&units, &self.bound(&units)?);
        let observe = || self.look();
        let pause =
            SOAKING.min(deadline.duration_since((self.now)()).unsigned_abs() / 4).max(Duration::from_millis(200));
        let mut watch = Watch::over(&expected);
        let mut looks = Looks::every(pause, &observe, self.now);
        let mut heard = Duration::ZERO;
        let watched = loop {
            self.check_interrupted()?;
            let Some(look) = looks.next() else { break Duration::ZERO };
            match look.facts {
                Ok(facts) => watch.see(facts),
                Err(err) if err.code() == codes::LOCK_LOST => return Err(err),
                Err(err) if look.watched > heard + UNREACHABLE => {
                    return Err(Error::new(codes::UNFINISHED, format!("the host can't be asked: {err}")));
                }
                Err(_) => continue,
            }
            heard = look.watched;
            if watch.first_fault().is_some() || self.has_soaked(deadline, &watch) {
                break look.watched;
            }
            if self.no_wait {
                return Err(Error::new(
                    codes::INTERRUPTED,
                    format!("the first unit is well so far; it soaks until {deadline}"),
                ));
            }
        };
        let health = watch.judge();
        self.judged(health, watched, seen)?;
        seen.push(format!("healthy until {deadline}"));
        Ok(())
    }

    fn has_soaked(&self, deadline: Timestamp, watch: &Watch<'_>) -> bool {
        let record = &self.journal.record;
        let rest: Units = record.placed();
        (self.now)() >= deadline
            && watch.last().is_some_and(|facts| self.untimely(facts, &rest, &record.retired).is_empty())
    }

    /// When the soak ends: written down when it begins, so that whoever goes on has the same.
    fn deadline(&mut self) -> Result<Timestamp> {
        let now = (self.now)();
        let Some(soak) = &mut self.journal.record.soak else { return Ok(now) };
        let deadline = soak.deadline.as_ref().and_then(|text| text.parse().ok());
        if let Some(deadline) = deadline {
            return Ok(deadline);
        }
        let deadline = market_time::after(now, soak.asked.soak_seconds, soak.asked.clock);
        soak.deadline = Some(deadline.to_string());
        self.journal.save()?;
        Ok(deadline)
    }

    /// Whether the host surely is on what it was on before.
    fn is_as_before(&self) -> bool {
        let Ok(facts) = self.facts() else { return false };
        let is_former = |(unit, placed): (&String, &Placed)| {
            let seen = facts.unit(unit);
            (&seen.release, &seen.binding, &seen.started_with)
                == (&placed.release, &placed.binding, &placed.unit_digest)
        };
        self.former().iter().all(is_former) && self.new_units().iter().all(|unit| facts.unit(unit).release.is_empty())
    }

    fn roll_back(&mut self, seen: &mut Seen) -> Result<()> {
        let former = self.former();
        let new = self.new_units();
        if !new.is_empty() {
            let answer = self.ask_again(&self.call("deactivate").with_units(&new))?.done("deactivate")?;
            seen.push(format!("stopped and removed, since nothing of Magellan's ran before: {}", new.join(", ")));
            let restored: Vec<&str> = answer.all("restored").collect();
            if !restored.is_empty() {
                seen.push(format!("put back as they were before: {}", restored.join(", ")));
            }
        }
        if former.is_empty() {
            return Ok(());
        }
        let releases: Vec<&str> = former.values().map(|placed| placed.release.as_str()).collect();
        seen.push(format!("to {}", releases.join(", ")));
        self.switch_to(&former, &[], seen)
    }

    /// Units that were somebody's before, and run again.
    fn restored(&self) -> Result<Vec<String>> {
        let facts = self.facts()?;
        let runs = |unit: &String| facts.unit(unit).property("ActiveState") == "active";
        Ok(self.new_units().into_iter().filter(runs).collect())
    }

    /// Marks on the host, its history, then the index: whatever is in the index is true.
    fn record(&mut self, seen: &mut Seen) -> Result<()> {
        let record = &self.journal.record;
        let ended = (self.now)().to_string();
        let outcome = record.outcome.clone().unwrap_or(Outcome::Unresolved { why: "no outcome".to_owned() });
        let line = record.line();
        let mut call = self.call("record").with("line", &line);
        if outcome == Outcome::Running {
            call = call.with("good", &record.release);
        } else if record.steps.iter().any(|step| step.unwell) && !self.ran_before() && !self.former_failed() {
            call = call.with("bad", &record.release);
        }
        let on_host = self.ask_again(&call).and_then(|answer| answer.done("record"));
        match &on_host {
            Ok(_) => seen.push("on the host".to_owned()),
            Err(err) => seen.push(format!("not on the host: {err}")),
        }
        let mut indexed = Indexed::of(record, &line, ended, outcome);
        if let Some(key) = self.key {
            indexed.sign(&self.environment.name, key)?;
        }
        Index::add(self.store, &self.environment.name, &indexed)?;
        seen.push("in the store".to_owned());
        // A host that was not changed has nothing to remember; its disk may be full.
        if self.journal.record.outcome != Some(Outcome::Untouched) {
            on_host?;
        }
        // What isn't needed any more; that it stays is no fault of the rollout.
        let prune = self.call("prune").with("keep", KEEP).with("keep_days", KEEP_DAYS);
        match self.ask(&prune).and_then(|answer| answer.done("prune")) {
            Ok(answer) => seen.extend(answer.all("pruned").map(|release| format!("pruned {release}"))),
            Err(err) => seen.push(format!("not pruned: {err}")),
        }
        Ok(())
    }

    /// Where what ran before doesn't run any more either, it may be the host that fails.
    fn former_failed(&self) -> bool {
        let failed = |step: Step| self.journal.record.ended(step) && !self.journal.record.did(step);
        failed(Step::RollBack) || failed(Step::HealthAfterRollback)
    }

    /// What ran before isn't bad for having been tried again.
    fn ran_before(&self) -> bool {
        self.journal.record.previous.values().any(|placed| placed.release == self.journal.record.release)
    }
}
