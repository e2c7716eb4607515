//! One rollout a host at a time, without deleting anything: one object, replaced only if it is as it was read. Its
//! generation goes up with every owner; host and journal refuse lower ones, so that a rollout that was taken over can do
//! nothing more.
//!
//! An owner says every few seconds that it is still at it. Whether one has fallen silent is seen by looking twice, never by
//! comparing clocks, which may be wrong by more than anybody is silent.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use jiff::Timestamp;
use magellan::error::{Error, Result};
use serde::{Deserialize, Serialize};

use super::store::{Store, write};
use crate::codes;

/// How often an owner says that it is still at it.
pub const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// No host ever sees more owners; its numbers are a thousand times that, and have fifteen digits.
const MOST_GENERATIONS: u64 = 100_000_000_000;
/// An owner that says nothing for so long is gone. A slow upload says nothing while it lasts.
pub const SILENCE: Duration = Duration::from_secs(120);

/// Who owns a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Number of the owner, from 1.
    pub generation: u64,
    /// The environment that it is about.
    pub environment: String,
    /// The rollout.
    pub deploy: String,
    /// Who runs it.
    pub owner: String,
    /// Since when, UTC.
    pub since: Timestamp,
    /// When it was last heard of, UTC.
    pub renewed: Timestamp,
    /// Whether it is done.
    pub released: bool,
    /// Whether its owner ended before it was done, and leaves it to anybody to go on.
    #[serde(default)]
    pub left: bool,
}

/// Who asks for a host, and what for.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The host's name.
    pub host: &'a str,
    /// The environment.
    pub environment: &'a str,
    /// The rollout.
    pub deploy: &'a str,
    /// Who runs it.
    pub owner: &'a str,
}

/// The lock of a host, owned.
pub struct Lock<'a> {
    store: &'a dyn Store,
    key: String,
    version: String,
    held: Held,
}

fn key(host: &str) -> String {
    format!("lock/host/{host}.json")
}

/// The lock as it is.
///
/// # Errors
/// Deploy error if it can't be read.
pub fn read(store: &dyn Store, host: &str) -> Result<Option<(Held, String)>> {
    let key = key(host);
    let Some(object) = store.get(&key)? else { return Ok(None) };
    let damaged = |what: String| {
        let help = "somebody else has written it: find out who, and bring an earlier version of the object back";
        Error::new(codes::STORE_FAILED, format!("it is no lock: {what}")).at(store.name(&key)).help(help)
    };
    let held: Held = serde_json::from_slice(&object.bytes).map_err(|e| damaged(e.to_string()))?;
    match held.generation <= MOST_GENERATIONS {
        true => Ok(Some((held, object.version))),
        false => Err(damaged(format!("generation {} is more than a host ever sees", held.generation))),
    }
}

impl<'a> Lock<'a> {
    /// Takes the lock, if nobody owns it. Its number is above `at_least`, which the host has seen.
    ///
    /// # Errors
    /// Refused, naming the owner.
    pub fn take(store: &'a dyn Store, claim: Claim<'_>, now: Timestamp, at_least: u64) -> Result<Self> {
        let there = read(store, claim.host)?;
        if let Some((held, _)) = there.as_ref().filter(|(held, _)| !held.released) {
            return Err(busy(held));
        }
        let before = there.as_ref().map_or(0, |(held, _)| held.generation).max(at_least);
        Self::write(store, claim, now, before, there.map(|t| t.1))
    }

    /// Takes the lock from its owner, to go on with its rollout (the claim's counts for nothing). Its number is above
    /// `at_least`, which the host has seen.
    ///
    /// # Errors
    /// Refused if it is about another environment, or if the owner was heard of while it was waited for, unless that doesn't matter (`surely`).
    pub fn take_over(
        store: &'a dyn Store,
        claim: Claim<'_>,
        now: Timestamp,
        at_least: u64,
        surely: impl FnOnce(&Held) -> bool,
        silence: Duration,
    ) -> Result<Option<Self>> {
        let host = claim.host;
        let Some((held, version)) = read(store, host)?.filter(|(held, _)| !held.released) else {
            return Ok(None);
        };
        if held.environment != claim.environment {
            return Err(busy(&held).help(format!("go on with it as --environment {}", held.environment)));
        }
        if !held.left && !surely(&held) && is_heard(store, host, &version, silence)? {
            return Err(
                busy(&held).help(format!("wait until it has ended; if {} is surely gone, add --take-over", held.owner))
            );
        }
        let before = held.generation.max(at_least);
        Self::write(store, Claim { deploy: &held.deploy, ..claim }, now, before, Some(version)).map(Some)
    }

    fn write(
        store: &'a dyn Store,
        claim: Claim<'_>,
        now: Timestamp,
        before: u64,
        version: Option<String>,
    ) -> Result<Self> {
        let Claim { host, environment, deploy, owner } = claim;
        let [environment, deploy, owner] = [environment, deploy, owner].map(str::to_owned);
        let generation = before + 1;
        let held =
            Held { generation, environment, deploy, owner, since: now, renewed: now, released: false, left: false };
        let key = key(host);
        match write(store, &key, text(&held).as_bytes(), version.as_deref())? {
            Some(version) => Ok(Self { store, key, version, held }),
            None => match read(store, host)? {
                Some((other, _)) if other.released => {
                    Err(Error::new(codes::STORE_BUSY, "somebody else took the lock at this moment, and gave it back"))
                }
                Some((other, _)) => Err(busy(&other)),
                None => {
                    let what = "the lock can be neither read nor made: GetObject may be missing";
                    Err(Error::new(codes::STORE_FAILED, what).at(store.name(&key)))
                }
            },
        }
    }

    /// Its number.
    pub fn generation(&self) -> u64 {
        self.held.generation
    }

    /// The rollout that it is for.
    pub fn deploy(&self) -> &str {
        &self.held.deploy
    }

    /// Says that the owner is still at it, and finds out whether it still owns the lock.
    ///
    /// # Errors
    /// Refused if somebody else does by now.
    pub fn renew(&mut self, now: Timestamp) -> Result<()> {
        self.held.renewed = now;
        self.put()
    }

    /// Leaves the rollout to anybody to go on with.
    ///
    /// # Errors
    /// Refused if somebody else owns it by now.
    pub fn leave(mut self, now: Timestamp) -> Result<()> {
        self.held.left = true;
        self.renew(now)
    }

    /// Gives it back.
    ///
    /// # Errors
    /// Refused if somebody else owns it by now.
    pub fn release(mut self, now: Timestamp) -> Result<()> {
        self.held.released = true;
        self.renew(now)
    }

    fn put(&mut self) -> Result<()> {
        match write(self.store, &self.key, text(&self.held).as_bytes(), Some(&self.version))? {
            Some(version) => {
                self.version = version;
                Ok(())
            }
            None => Err(Error::new(codes::LOCK_LOST, "somebody else owns the host by now")),
        }
    }
}

/// A lock that is renewed while something lasts.
pub struct Keeper<'a> {
    lock: RefCell<Lock<'a>>,
    renewed: Cell<Timestamp>,
    lost: RefCell<Option<Error>>,
    now: &'a dyn Fn() -> Timestamp,
}

impl<'a> Keeper<'a> {
    /// Keeps a lock by this clock.
    pub fn of(lock: Lock<'a>, now: &'a dyn Fn() -> Timestamp) -> Self {
        Self { lock: RefCell::new(lock), renewed: Cell::new(now()), lost: RefCell::new(None), now }
    }

    /// The lock's number.
    pub fn generation(&self) -> u64 {
        self.lock.borrow().generation()
    }

    /// Says that the owner is still at it, unless it has just said so. What is wrong is found by [`Keeper::check`].
    pub fn keep(&self) {
        if (self.now)().duration_since(self.renewed.get()).unsigned_abs() < RENEWED_EVERY {
            return;
        }
        // A store that fails for a moment takes nothing from an owner: it is asked again in a moment.
        if let Err(err) = self.renew()
            && err.code() == codes::LOCK_LOST
        {
            self.lost.borrow_mut().get_or_insert(err);
        }
    }

    /// Says so now.
    ///
    /// # Errors
    /// Refused if somebody else owns the lock by now.
    pub fn renew(&self) -> Result<()> {
        let now = (self.now)();
        self.renewed.set(now);
        self.lock.borrow_mut().renew(now)
    }

    /// What was wrong when it was kept.
    ///
    /// # Errors
    /// Refused if somebody else owns the lock by now.
    pub fn check(&self) -> Result<()> {
        self.lost.borrow_mut().take().map_or(Ok(()), Err)
    }

    /// The lock, to be given back.
    pub fn into_lock(self) -> Lock<'a> {
        self.lock.into_inner()
    }
}

/// Whether an owner changes the lock within this time.
///
/// # Errors
/// Deploy error if the lock can't be read.
pub fn is_heard(store: &dyn Store, host: &str, version: &str, within: Duration) -> Result<bool> {
    let pause = Duration::from_secs(2).min(within / 4);
    let looks = if pause.is_zero() { 0 } else { (within.as_millis() / pause.as_millis()) as usize };
    for _ in 0..looks {
        std::thread::sleep(pause);
        if read(store, host)?.is_none_or(|(_, now)| now != version) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn busy(held: &Held) -> Error {
    let Held { owner, deploy, since, generation, .. } = held;
    Error::new(codes::DEPLOY_LOCKED, format!("{owner} deploys {deploy} here since {since} (generation {generation})"))
}

fn text(held: &Held) -> String {
    serde_json::to_string_pretty(held).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::store::Folder;
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn claim<'c>(host: &'c str, deploy: &'c str, owner: &'c str) -> Claim<'c> {
        Claim { host, environment: "staging", deploy, owner }
    }

    const INSTANT: Duration = Duration::from_millis(40);

    #[test]
    fn one_owner_at_a_time_with_rising_generations() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path()).expect("opened");
        let first = Lock::take(&store, claim("box", "d1", "ada"), NOW, 0).expect("free");
        let refused = Lock::take(&store, claim("box", "d2", "bob"), NOW, 0).err().expect("refused");
        assert!(refused.code() == codes::DEPLOY_LOCKED && refused.to_string().contains("ada"), "{refused}");
        assert!(Lock::take(&store, claim("other", "d2", "bob"), NOW, 0).is_ok(), "another host");
        first.release(NOW).expect("released");
        assert_eq!(Lock::take(&store, claim("box", "d2", "bob"), NOW, 0).expect("free").generation(), 2);
    }

    #[test]
    fn who_was_taken_over_can_do_nothing_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path()).expect("opened");
        let mut first = Lock::take(&store, claim("box", "d1", "ada"), NOW, 0).expect("free");
        let second = Lock::take_over(&store, claim("box", "", "bob"), NOW, 7, |held| held.owner == "ada", SILENCE)
            .expect("taken over");
        // Above what the host has seen, so that going on is never stale there.
        assert_eq!(second.map(|l| (l.generation(), l.deploy().to_owned())), Some((8, "d1".to_owned())));
        assert_eq!(first.renew(NOW).map_err(|e| e.code()), Err(codes::LOCK_LOST));
    }

    #[test]
    fn silence_is_seen_and_not_reckoned_by_a_clock() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path()).expect("opened");
        let mut first = Lock::take(&store, claim("box", "d1", "ada"), NOW, 0).expect("free");
        // A clock that is a day ahead takes nothing from an owner who is heard of.
        let tomorrow = Timestamp::from_second(86_400).expect("a time");
        let refused = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                Lock::take_over(&store, claim("box", "", "bob"), tomorrow, 0, |_| false, Duration::from_secs(2))
                    .map(drop)
            });
            std::thread::sleep(Duration::from_millis(300));
            first.renew(Timestamp::from_second(1).expect("a time")).expect("still owned");
            other.join().expect("joined")
        });
        assert_eq!(refused.map_err(|e| e.code()), Err(codes::DEPLOY_LOCKED));
        // An owner whose clock is ahead, and who says nothing, is gone all the same.
        first.renew(tomorrow).expect("still owned");
        assert!(Lock::take_over(&store, claim("box", "", "bob"), NOW, 0, |_| false, INSTANT).expect("asked").is_some());
    }

    #[test]
    fn a_rollout_of_another_environment_isnt_gone_on_with() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path()).expect("opened");
        Lock::take(&store, claim("box", "d1", "ada"), NOW, 0).expect("free").leave(NOW).expect("left");
        let other = Claim { environment: "production", ..claim("box", "", "bob") };
        let refused = Lock::take_over(&store, other, NOW, 0, |_| true, INSTANT).map(drop);
        assert_eq!(refused.map_err(|e| e.code()), Err(codes::DEPLOY_LOCKED));
    }

    #[test]
    fn a_lock_that_somebody_else_wrote_is_refused_and_overflows_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path()).expect("opened");
        Lock::take(&store, claim("box", "d1", "ada"), NOW, 0).expect("free").release(NOW).expect("released");
        let object = folder.path().join("lock/host/box.json");
        let text = std::fs::read_to_string(&object).expect("read");
        for forged in [text.replace("\"generation\": 1", "\"generation\": 18446744073709551614"), "{".to_owned()] {
            std::fs::write(&object, forged).expect("written");
            let refused = Lock::take(&store, claim("box", "d2", "bob"), NOW, 0).map(drop);
            assert_eq!(refused.map_err(|e| e.code()), Err(codes::STORE_FAILED));
        }
    }

    #[test]
    fn what_its_owner_left_is_anybodys() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path()).expect("opened");
        Lock::take(&store, claim("box", "d1", "ada"), NOW, 0).expect("free").leave(NOW).expect("left");
        assert!(Lock::take(&store, claim("box", "d2", "bob"), NOW, 0).is_err(), "it isn't done");
        assert!(Lock::take_over(&store, claim("box", "", "bob"), NOW, 0, |_| false, SILENCE).expect("asked").is_some());
    }

    #[test]
    fn of_many_at_once_one_gets_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path()).expect("opened");
        let owners: Vec<String> = (0..8).map(|i| format!("owner {i}")).collect();
        let store = &store;
        let got = std::thread::scope(|scope| {
            let try_one = |owner| scope.spawn(move || Lock::take(store, claim("box", owner, owner), NOW, 0).is_ok());
            let all: Vec<_> = owners.iter().map(|owner| try_one(owner)).collect();
            all.into_iter().filter_map(|t| t.join().ok()).filter(|got| *got).count()
        });
        assert_eq!(got, 1);
    }
}
