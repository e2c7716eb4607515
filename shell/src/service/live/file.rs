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
}

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
        Ok(Self { path, file, end, unsynced: false })
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
