//! One rollout an environment at a time, without deleting anything: one object, replaced only if
//! it is as it was read. Its generation goes up with every owner; host and journal refuse lower
//! ones, so that a rollout that was taken over can do nothing more.

use jiff::Timestamp;
use magellan::error::{Error, Result};
use serde::{Deserialize, Serialize};

use super::store::{Store, write};
use crate::codes;

/// An owner that hasn't been heard of for so long may be taken over by anybody, seconds.
pub const LEASE: i64 = 900;

/// Who owns an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Number of the owner, from 1.
    pub generation: u64,
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
}

/// The lock of an environment, owned.
pub struct Lock<'a> {
    store: &'a dyn Store,
    key: String,
    version: String,
    held: Held,
}

fn key(environment: &str) -> String {
    format!("lock/{environment}.json")
}

/// The lock as it is.
///
/// # Errors
/// Deploy error if it can't be read.
pub fn read(store: &dyn Store, environment: &str) -> Result<Option<(Held, String)>> {
    let key = key(environment);
    let Some(object) = store.get(&key)? else { return Ok(None) };
    let held = serde_json::from_slice(&object.bytes)
        .map_err(|e| Error::new(codes::STORE_FAILED, format!("no lock: {e}")).at(store.name(&key)))?;
    Ok(Some((held, object.version)))
}

impl<'a> Lock<'a> {
    /// Takes the lock, if nobody owns it. Its number is above `at_least`, which the host has seen.
    ///
    /// # Errors
    /// Refused, naming the owner.
    pub fn take(
        store: &'a dyn Store,
        environment: &str,
        deploy: &str,
        owner: &str,
        now: Timestamp,
        at_least: u64,
    ) -> Result<Self> {
        let there = read(store, environment)?;
        if let Some((held, _)) = there.as_ref().filter(|(held, _)| !held.released) {
            return Err(busy(held));
        }
        let before = there.as_ref().map_or(0, |(held, _)| held.generation).max(at_least);
        Self::write(store, environment, deploy, owner, now, before, there.map(|t| t.1))
    }

    /// Takes the lock from its owner, to go on with its rollout.
    ///
    /// # Errors
    /// Refused if the owner may still be at it, unless that doesn't matter (`surely`).
    pub fn take_over(
        store: &'a dyn Store,
        environment: &str,
        owner: &str,
        now: Timestamp,
        surely: impl FnOnce(&Held) -> bool,
    ) -> Result<Option<Self>> {
        let Some((held, version)) = read(store, environment)?.filter(|(held, _)| !held.released) else {
            return Ok(None);
        };
        let silent = now.as_second() - held.renewed.as_second() > LEASE;
        if !silent && !surely(&held) {
            return Err(
                busy(&held).help(format!("wait until it has ended; if {} is surely gone, add --take-over", held.owner))
            );
        }
        Self::write(store, environment, &held.deploy, owner, now, held.generation, Some(version)).map(Some)
    }

    fn write(
        store: &'a dyn Store,
        environment: &str,
        deploy: &str,
        owner: &str,
        now: Timestamp,
        before: u64,
        version: Option<String>,
    ) -> Result<Self> {
        let (deploy, owner) = (deploy.to_owned(), owner.to_owned());
        let held = Held { generation: before + 1, deploy, owner, since: now, renewed: now, released: false };
        let key = key(environment);
        match write(store, &key, text(&held).as_bytes(), version.as_deref())? {
            Some(version) => Ok(Self { store, key, version, held }),
            None => match read(store, environment)? {
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
            None => Err(Error::new(codes::LOCK_LOST, "somebody else owns the environment by now")),
        }
    }
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

    #[test]
    fn one_owner_at_a_time_with_rising_generations() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path()).expect("opened");
        let first = Lock::take(&store, "staging", "d1", "ada", NOW, 0).expect("free");
        let refused = Lock::take(&store, "staging", "d2", "bob", NOW, 0).err().expect("refused");
        assert!(refused.code() == codes::DEPLOY_LOCKED && refused.to_string().contains("ada"), "{refused}");
        assert!(Lock::take(&store, "production", "d2", "bob", NOW, 0).is_ok(), "another environment");
        first.release(NOW).expect("released");
        assert_eq!(Lock::take(&store, "staging", "d2", "bob", NOW, 0).expect("free").generation(), 2);
    }

    #[test]
    fn who_was_taken_over_can_do_nothing_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path()).expect("opened");
        let mut first = Lock::take(&store, "staging", "d1", "ada", NOW, 0).expect("free");
        assert!(Lock::take_over(&store, "staging", "bob", NOW, |_| false).is_err(), "still heard of");
        let second = Lock::take_over(&store, "staging", "bob", NOW, |held| held.owner == "ada").expect("taken");
        assert_eq!(second.map(|l| (l.generation(), l.deploy().to_owned())), Some((2, "d1".to_owned())));
        assert_eq!(first.renew(NOW).map_err(|e| e.code()), Err(codes::LOCK_LOST));
    }

    #[test]
    fn of_many_at_once_one_gets_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path()).expect("opened");
        let owners: Vec<String> = (0..8).map(|i| format!("owner {i}")).collect();
        let store = &store;
        let got = std::thread::scope(|scope| {
            let try_one = |owner| scope.spawn(move || Lock::take(store, "staging", owner, owner, NOW, 0).is_ok());
            let all: Vec<_> = owners.iter().map(|owner| try_one(owner)).collect();
            all.into_iter().filter_map(|t| t.join().ok()).filter(|got| *got).count()
        });
        assert_eq!(got, 1);
    }
}
