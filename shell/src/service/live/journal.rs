//! The journal's file: appended to, and synced before anything is sent.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use magellan::disk::map::{self, Access};
use magellan::error::Result;
use magellan::live::journal::{End, fold};
use magellan::live::record::Record;

use crate::service::logs::cannot_write;

/// Its name in the folder of state.
pub(crate) const JOURNAL: &str = "journal.jsonl";
/// A file of this name stops entries.
pub(crate) const KILL: &str = "kill";
/// Where results of parity are kept.
pub(crate) const PARITY: &str = "parity";

/// A journal under way.
pub(super) struct JournalFile {
    path: PathBuf,
    file: File,
    end: End,
    /// Records that are written and may not be on the disk yet.
    unsynced: bool,
    /// Up to here the disk has room for sure, bytes.
    reserved: u64,
    /// No more room could be had.
    short: bool,
}

/// Room that is kept free for the journal: exits must be written down also when the disk is full, bytes.
const RESERVE: u64 = 128 << 10;

impl JournalFile {
    /// Opens the journal in a folder of state, or begins one, and passes on what it holds. What a crash cut off is
    /// removed.
    ///
    /// # Errors
    /// Data error if it is damaged; usage error if it can't be written; whatever `take` answers.
    pub(super) fn open(state: &Path, take: impl FnMut(Record) -> Result<()>) -> Result<Self> {
        let path = state.join(JOURNAL);
        let end = match path.exists() {
            true => fold(&map::bytes(&path, Access::Map)?, take).map_err(|e| e.at(path.display()))?,
            false => End::default(),
        };
        let open = || {
            let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(&path)?;
            file.set_len(end.bytes)?;
            file.seek(SeekFrom::End(0))?;
            file.sync_all()?;
            Ok(file)
        };
        let file = open().map_err(|e| cannot_write(&path, &e))?;
        let mut journal = Self { path, file, end, unsynced: false, reserved: 0, short: false };
        journal.reserve();
        Ok(journal)
    }

    /// Sees to it that there is room for what comes next.
    fn reserve(&mut self) {
        if self.end.bytes + RESERVE / 2 <= self.reserved && !self.short {
            return;
        }
        self.short = match room(&self.file, self.end.bytes) {
            Ok(()) => {
                self.reserved = self.end.bytes + RESERVE;
                false
            }
            Err(_) => true,
        };
    }

    /// Whether the disk has no room for more: time to open nothing new.
    pub(super) fn is_short(&mut self) -> bool {
        self.reserve();
        self.short
    }

    /// Appends a record.
    ///
    /// # Errors
    /// Usage error if it can't be written: nothing may be acted on then.
    pub(super) fn append(&mut self, record: &Record) -> Result<()> {
        let (line, end) = self.end.line(record)?;
        self.file.write_all(line.as_bytes()).map_err(|e| cannot_write(&self.path, &e))?;
        self.end = end;
        self.unsynced = true;
        Ok(())
    }

    /// Makes sure that all of it is on the disk.
    ///
    /// # Errors
    /// As [`JournalFile::append`].
    pub(super) fn sync(&mut self) -> Result<()> {
        if std::mem::take(&mut self.unsynced) {
            self.file.sync_data().map_err(|e| cannot_write(&self.path, &e))?;
        }
        Ok(())
    }

    /// How many records there are.
    pub(super) fn records(&self) -> u64 {
        self.end.records
    }
}

/// Takes room behind the end of a file, without making the file longer. Where a file system can't, there is as much room
/// as there is.
#[cfg(target_os = "linux")]
fn room(file: &File, from: u64) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::KEEP_SIZE, from, RESERVE) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
        taken => Ok(taken?),
    }
}

#[cfg(not(target_os = "linux"))]
fn room(_: &File, _: u64) -> std::io::Result<()> {
    Ok(())
}
