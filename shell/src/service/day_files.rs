//! Decisions and fills, a file each a session, written as they happen.

use std::fs::{File, OpenOptions};
use std::io::{Error, Result, Write as _};
use std::path::{Path, PathBuf};

use magellan::account::Fill;
use magellan::bar::Date;
use magellan::runner::Decision;

use crate::records::{DECISIONS, TRADES, decision_row, trade_row};

/// The files of the session under way. Once a row could not be written they have a gap, and that
/// stays so until a restart, which begins the session again.
pub(super) struct DayFiles {
    folder: PathBuf,
    strategy: String,
    today: Option<Today>,
    gap: bool,
}

struct Today {
    decisions: File,
    fills: File,
    /// What indicators showed at each bar, where somebody asks for it.
    evaluated: Option<File>,
}

impl DayFiles {
    pub(super) fn new(folder: &Path, strategy: &str) -> Self {
        Self { folder: folder.to_owned(), strategy: strategy.to_owned(), today: None, gap: false }
    }

    pub(super) fn have_gap(&self) -> bool {
        self.gap
    }

    /// Begins a session's files anew: whoever restarts goes through the session again.
    pub(super) fn open(&mut self, session: Date) -> Result<()> {
        let day = session.civil().strftime("%Y%m%d").to_string();
        let begin = |kind: &str, header: &str| {
            let path = self.folder.join(format!("{}_{kind}_{day}.csv", self.strategy));
            let mut file = File::create(&path)?;
            file.write_all(header.as_bytes())?;
            Ok::<File, Error>(file)
        };
        let opened = begin("decisions", DECISIONS)
            .and_then(|decisions| Ok(Today { decisions, fills: begin("fills", TRADES)?, evaluated: None }));
        let opened = self.kept(opened)?;
        self.today = Some(opened);
        Ok(())
    }

    /// Goes on with a session's files, or begins them: also one of what indicators of these names showed, if named.
    pub(super) fn resume(&mut self, session: Date, inputs: Option<&[&'static str]>) -> Result<()> {
        let day = session.civil().strftime("%Y%m%d").to_string();
        let resume = |kind: &str, header: &str| {
            let path = self.folder.join(format!("{}_{kind}_{day}.csv", self.strategy));
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            if file.metadata()?.len() == 0 {
                file.write_all(header.as_bytes())?;
            }
            Ok::<File, Error>(file)
        };
        let evaluated = inputs.map(|names| {
            let names: String = names.iter().map(|name| format!(",{name}")).collect();
            resume("evaluated", &format!("bar_start,symbol,close,position,answer{names}\n"))
        });
        let resumed = evaluated.transpose().and_then(|evaluated| {
            let (decisions, fills) = (resume("decisions", DECISIONS)?, resume("fills", TRADES)?);
            Ok(Today { decisions, fills, evaluated })
        });
        let resumed = self.kept(resumed)?;
        self.today = Some(resumed);
        Ok(())
    }

    pub(super) fn decisions(&mut self, decisions: &[Decision]) -> Result<()> {
        let rows: String = decisions.iter().map(decision_row).collect();
        self.append(|today| &mut today.decisions, &rows)
    }

    pub(super) fn fills(&mut self, fills: &[Fill]) -> Result<()> {
        let rows: String = fills.iter().map(trade_row).collect();
        self.append(|today| &mut today.fills, &rows)
    }

    /// Rows of what indicators showed.
    pub(super) fn evaluated(&mut self, rows: &str) -> Result<()> {
        let written = match self.today.as_mut().and_then(|today| today.evaluated.as_mut()) {
            Some(file) => file.write_all(rows.as_bytes()),
            None => Ok(()),
        };
        self.kept(written)
    }

    /// Whole rows at once: a file has no buffer that could be lost.
    fn append(&mut self, file: impl FnOnce(&mut Today) -> &mut File, rows: &str) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let written = match &mut self.today {
            Some(today) => file(today).write_all(rows.as_bytes()),
            None => Err(Error::other("no session's files are open")),
        };
        self.kept(written)
    }

    fn kept<T>(&mut self, done: Result<T>) -> Result<T> {
        if done.is_err() {
            self.gap = true;
            self.today = None;
        }
        done
    }
}
