//! A service's journal, read again: a day beside its replay, and the returns of its sessions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use magellan::account::Account;
use magellan::bar::{Bar, Date, Symbol};
use magellan::config::Complete;
use magellan::costs::Costs;
use magellan::disk::map::{self, Access};
use magellan::error::{Error, Result};
use magellan::live::desk::Desk;
use magellan::live::journal::{End, fold, fold_on};
use magellan::live::parity::{Parity, Replaying, SessionReturns};
use magellan::live::record::Record;
use magellan::registry::AnyStrategy;
use magellan::risk::Limits;

use super::history::{self, warm_up};
use super::journal::JOURNAL;
use crate::codes;
use crate::records::order_text;

/// A day beside its replay, and by what it was traded.
pub(crate) struct Replayed {
    /// What came of it.
    pub(crate) parity: Parity,
    /// SHA-256 of the config that it was traded by.
    pub(crate) config: String,
    /// What the process was made of.
    pub(crate) unit_digest: String,
}

/// Replays a day that a journal tells of, with this strategy and config.
///
/// # Errors
/// Data error if the journal is damaged, or doesn't tell of that day.
pub(crate) fn replay_day(strategy: &dyn AnyStrategy, config: &Complete, state: &Path, date: Date) -> Result<Replayed> {
    let path = state.join(JOURNAL);
    let bytes = map::bytes(&path, Access::Map)?;
    // The process that was there when the day began, and what it had seen.
    let (mut started, mut found, mut at) = (None, None, 0u64);
    fold(&bytes, |record| {
        match record {
            Record::Started { config, unit_digest, history, .. } => started = Some((at, config, unit_digest, history)),
            Record::Opens { date: opened } if opened == date && found.is_none() => found = started.clone(),
            _ => {}
        }
        at += 1;
        Ok(())
    })
    .map_err(|e| e.at(path.display()))?;
    let (from, traded_by, unit_digest, history) = found.ok_or_else(|| {
        Error::new(codes::NOT_RECORDED, format!("the journal tells of no session on {date}")).at(path.display())
    })?;
    let mut runner = strategy.runner(config.config())?;
    if let Some(name) = history {
        let bars = history::read(state, &name, strategy.timeframe())?;
        for (symbol, bars) in &bars {
            // All of it is history: the first session traded comes after its last bar.
            warm_up(&mut *runner, *symbol, bars, strategy.timeframe(), Date(i32::MAX))?;
        }
    }
    let desk = empty(config, strategy);
    let mut replaying = Replaying::new(date, strategy.timeframe(), &mut *runner, desk, order_text);
    let (mut at, mut over) = (0u64, false);
    fold(&bytes, |record: Record| {
        at += 1;
        if over {
            return Ok(());
        }
        over = matches!(record, Record::Closes { date: closed } if closed == date);
        if at <= from { replaying.pass(&record) } else { replaying.take(&record) }
    })?;
    Ok(Replayed { parity: replaying.finish(), config: traded_by, unit_digest })
}

/// The last session that ended, by a journal.
///
/// # Errors
/// Data error if the journal is damaged, or tells of none.
pub(crate) fn last_session(state: &Path) -> Result<Date> {
    let path = state.join(JOURNAL);
    let mut last = None;
    fold(&map::bytes(&path, Access::Map)?, |record| {
        if let Record::Closes { date } = record {
            last = Some(date);
        }
        Ok(())
    })
    .map_err(|e| e.at(path.display()))?;
    last.ok_or_else(|| Error::new(codes::NOT_RECORDED, "no session has ended yet").at(path.display()))
}

/// Bars of a session, as they were decided on, by symbol.
///
/// # Errors
/// Data error if the journal is damaged.
pub(crate) fn recorded_bars(state: &Path, date: Date) -> Result<BTreeMap<Symbol, Vec<Bar>>> {
    let path = state.join(JOURNAL);
    let (mut found, mut session) = (BTreeMap::<Symbol, Vec<Bar>>::new(), None);
    fold(&map::bytes(&path, Access::Map)?, |record| {
        match record {
            Record::Opens { date } => session = Some(date),
            Record::Bars { start, end, bars, .. } if session == Some(date) => {
                bars.iter().for_each(|bar| found.entry(bar.0).or_default().push(bar.bar(start, end)));
            }
            _ => {}
        }
        Ok(())
    })
    .map_err(|e| e.at(path.display()))?;
    Ok(found)
}

/// Returns of the sessions that a journal tells of.
///
/// # Errors
/// Data error if it is damaged.
pub(crate) fn session_returns(
    strategy: &dyn AnyStrategy,
    config: &Complete,
    state: &Path,
) -> Result<BTreeMap<Date, f64>> {
    let path = state.join(JOURNAL);
    let bytes = map::bytes(&path, Access::Map)?;
    let mut returns = SessionReturns::new(empty(config, strategy));
    fold(&bytes, |record: Record| returns.take(&record)).map_err(|e| e.at(path.display()))?;
    Ok(returns.finish())
}

/// A desk that nothing has happened to.
fn empty(config: &Complete, strategy: &dyn AnyStrategy) -> Desk {
    let config = config.config();
    let account = Account::new(config.account_info.initial_capital, config.costs(), config.limits());
    Desk::new(account.under(config.conditions()), &config.symbols, strategy.timeframe())
}

/// A service's journal, followed while the service writes it. Limits and costs don't matter: what was decided stands in
/// it.
pub(crate) struct Followed {
    path: PathBuf,
    end: End,
    desk: Option<Desk>,
}

impl Followed {
    /// The journal in a folder of state; nothing is read yet.
    pub(crate) fn new(state: &Path) -> Self {
        Self { path: state.join(JOURNAL), end: End::default(), desk: None }
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// Data error if there is no journal, or it is damaged.
    pub(crate) fn read(&mut self, mut each: impl FnMut(&Record, &Desk)) -> Result<()> {
        let mut file = File::open(&self.path).map_err(|e| Error::io(&self.path, &e))?;
        let length = file.metadata().map_err(|e| Error::io(&self.path, &e))?.len();
        if length < self.end.bytes {
            // Another journal: from the beginning.
            (self.end, self.desk) = (End::default(), None);
        }
        let mut new = Vec::new();
        file.seek(SeekFrom::Start(self.end.bytes)).map_err(|e| Error::io(&self.path, &e))?;
        file.take(length - self.end.bytes).read_to_end(&mut new).map_err(|e| Error::io(&self.path, &e))?;
        let desk = &mut self.desk;
        self.end = fold_on(self.end, &new, |record: Record| {
            if let (None, Record::Started { capital, timeframe, .. }) = (&desk, &record) {
                let account = Account::new(*capital, Costs::default(), Limits::default());
                let mut empty = Desk::new(account, &[], *timeframe);
                empty.trust(true);
                *desk = Some(empty);
            }
            if let Some(desk) = desk.as_mut() {
                desk.apply(&record)?;
                each(&record, desk);
            }
            Ok(())
        })
        .map_err(|e| e.at(self.path.display()))?;
        Ok(())
    }

    /// The desk, once a process has started.
    pub(crate) fn desk(&self) -> Option<&Desk> {
        self.desk.as_ref()
    }
}
