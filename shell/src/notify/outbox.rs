//! The outbox: for each channel a folder with a file for each event, whose ending says what became of it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use magellan::disk::map;
use magellan::disk::write::{TEMPORARY, write_whole};
use magellan::error::{Error, Result};
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::event::Event;
use crate::codes;

/// How long an event is tried to be delivered.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// How long delivered and dropped events are kept, so that they aren't told again.
pub const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Endings of the files.
const WAITING: &str = "waiting";
const DELIVERED: &str = "delivered";
const DROPPED: &str = "dropped";

/// The largest file read, bytes.
const LARGEST: u64 = 1 << 20;
/// How many messages may stay unanswered.
pub(super) const MOST_UNANSWERED: u32 = 2;

/// Events to be delivered, in a folder of their own.
#[derive(Clone)]
pub struct Outbox<'a> {
    folder: PathBuf,
    now: &'a (dyn Fn() -> Timestamp + Sync),
}

impl<'a> Outbox<'a> {
    /// The outbox in `folder`, which is made when it is needed. `now` is the clock that events are dated by.
    pub fn new(folder: impl Into<PathBuf>, now: &'a (dyn Fn() -> Timestamp + Sync)) -> Self {
        Self { folder: folder.into(), now }
    }

    /// Puts the event where the channel's delivery finds it. One that is there, delivered or not, is left alone.
    ///
    /// # Errors
    /// Usage error, naming the channel, if it can't be written.
    pub fn put(&self, channel: Channel, event: &Event) -> Result<()> {
        let queue = self.queue(channel);
        let id = event.id();
        if [WAITING, DELIVERED, DROPPED].iter().any(|ending| queue.path(&id, ending).exists()) {
            return Ok(());
        }
        queue.write(&id, &Entry { event: event.bounded(), tries: 0, unanswered: 0, not_before: None })
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.now)()
    }

    pub(super) fn queue(&self, channel: Channel) -> Queue {
        Queue { channel, folder: self.folder.join(channel.name()) }
    }
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) event: Event,
    /// How often it was tried.
    pub(super) tries: u32,
    /// How many messages have left without an answer. The one on its way counts from before its first byte.
    pub(super) unanswered: u32,
    /// When it may be tried again.
    pub(super) not_before: Option<Timestamp>,
}

/// The events of one channel. Whoever delivers holds its lock.
pub(super) struct Queue {
    channel: Channel,
    folder: PathBuf,
}

impl Queue {
    fn path(&self, id: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{id}.{ending}"))
    }

    fn fault(&self, e: &io::Error) -> Error {
        Error::new(codes::CANNOT_WRITE, format!("its outbox can't be used: {e}")).at(self.channel.name())
    }

    /// The lock, waited for until `deadline`; none if another process has it for longer, or if nothing was ever put.
    pub(super) fn lock(&self, deadline: Instant) -> Result<Option<File>> {
        if !self.folder.is_dir() {
            return Ok(None);
        }
        let file = File::create(self.folder.join("lock")).map_err(|e| self.fault(&e))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(e)) => return Err(self.fault(&e)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Writes an entry, whole.
    pub(super) fn write(&self, id: &str, entry: &Entry) -> Result<()> {
        let json = serde_json::to_vec(entry).unwrap_or_default();
        write_whole(&self.path(id, WAITING), &json, 0o600).map_err(|e| self.fault(&e))
    }

    /// The events that wait, the oldest first. What was dealt with already is removed, what can't be read is dropped
    /// with a note.
    pub(super) fn waiting(&self, notes: &mut Vec<String>) -> Result<Vec<(String, Entry)>> {
        let mut found = Vec::new();
        for id in self.ids(WAITING)? {
            // Two processes put the same event, and one of them delivered it before the other had written.
            if [DELIVERED, DROPPED].iter().any(|ending| self.path(&id, ending).exists()) {
                fs::remove_file(self.path(&id, WAITING)).map_err(|e| self.fault(&e))?;
                continue;
            }
            match read(&self.path(&id, WAITING)) {
                Some(entry) => found.push((id, entry)),
                None => {
                    notes.push(format!("{}.{WAITING} is no event and was dropped", short(&id)));
                    self.end(&id, DROPPED)?;
                }
            }
        }
        found.sort_by(|(a, x), (b, y)| (x.event.at, x.event.kind, a).cmp(&(y.event.at, y.event.kind, b)));
        Ok(found)
    }

    /// How many events wait.
    pub(super) fn count(&self) -> usize {
        self.ids(WAITING).map_or(0, |ids| ids.len())
    }

    pub(super) fn delivered(&self, id: &str) -> Result<()> {
        self.end(id, DELIVERED)
    }

    pub(super) fn dropped(&self, id: &str) -> Result<()> {
        self.end(id, DROPPED)
    }

    /// Renames it, for good: a power cut doesn't bring it back.
    fn end(&self, id: &str, ending: &str) -> Result<()> {
        let renamed = fs::rename(self.path(id, WAITING), self.path(id, ending));
        renamed.and_then(|()| File::open(&self.folder)?.sync_all()).map_err(|e| self.fault(&e))
    }

    /// Removes what has been over for [`KEPT`], and what killed processes left half written a day ago.
    pub(super) fn prune(&self, now: Timestamp) -> Result<()> {
        let is_over = |path: &Path| read(path).is_none_or(|entry| now.duration_since(entry.event.at) > KEPT);
        for ending in [DELIVERED, DROPPED] {
            let paths = self.ids(ending)?.into_iter().map(|id| self.path(&id, ending));
            let mut over = paths.filter(|path| is_over(path));
            over.try_for_each(fs::remove_file).map_err(|e| self.fault(&e))?;
        }
        let is_left = |path: &Path| path.metadata().and_then(|m| m.modified()).is_ok_and(|at| is_older(at, now));
        let halves = self.names()?.into_iter().filter(|name| name.starts_with(TEMPORARY));
        let mut halves = halves.map(|name| self.folder.join(name)).filter(|path| is_left(path));
        halves.try_for_each(fs::remove_file).map_err(|e| self.fault(&e))
    }

    fn ids(&self, ending: &str) -> Result<Vec<String>> {
        let id = |name: String| Some(name.strip_suffix(ending)?.strip_suffix('.')?.to_owned());
        Ok(self.names()?.into_iter().filter_map(id).collect())
    }

    fn names(&self) -> Result<Vec<String>> {
        let listed = || fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
        let names = listed().map_err(|e| self.fault(&e))?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }
}

fn read(path: &Path) -> Option<Entry> {
    serde_json::from_slice(&map::bytes_up_to(path, LARGEST).ok()?).ok()
}

fn is_older(at: std::time::SystemTime, now: Timestamp) -> bool {
    Timestamp::try_from(at).is_ok_and(|at| now.duration_since(at) > LIFETIME)
}

/// The beginning of an id, enough to find its file.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
