//! A service's journal, read again: a day beside its replay, and the returns of its sessions.

use std::collections::BTreeMap;
use std::path::Path;

use magellan::account::Account;
use magellan::bar::{Date, Symbol};
use magellan::config::Complete;
use magellan::disk::map::{self, Access};
use magellan::error::{Error, Result};
use magellan::live::desk::Desk;
use magellan::live::journal::fold;
use magellan::live::parity::{Parity, Replaying, SessionReturns};
use magellan::live::record::Record;
use magellan::registry::AnyStrategy;

use super::file::JOURNAL;
use super::history_file;
use super::start::warm_up;
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
pub(crate) fn replay_day(
    strategy: &dyn AnyStrategy,
    config: &Complete,
    state: &Path,
    date: Date,
) -> Result<Replayed> {
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
        let bars = history_file::read(state, &name, strategy.timeframe())?;
        for (symbol, bars) in &bars {
            // All of it is history: the first session traded comes after its last bar.
            warm_up(&mut *runner, *symbol, bars, strategy.timeframe(), Date(i32::MAX))?;
        }
    }
    let desk = empty(config, &bytes, strategy)?;
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

/// Returns of the sessions that a journal tells of.
///
/// # Errors
/// Data error if it is damaged.
pub(crate) fn session_returns(strategy: &dyn AnyStrategy, config: &Complete, state: &Path) -> Result<BTreeMap<Date, f64>> {
    let path = state.join(JOURNAL);
    let bytes = map::bytes(&path, Access::Map)?;
    let mut returns = SessionReturns::new(empty(config, &bytes, strategy)?);
    fold(&bytes, |record: Record| returns.take(&record)).map_err(|e| e.at(path.display()))?;
    Ok(returns.finish())
}

/// A desk that nothing has happened to, with a book for each symbol that the journal names.
fn empty(config: &Complete, journal: &[u8], strategy: &dyn AnyStrategy) -> Result<Desk> {
    let config = config.config();
    let mut symbols: Vec<Symbol> = config.symbols.clone();
    fold(journal, |record| {
        match record {
            Record::Planned { symbol, .. } => symbols.push(symbol),
            Record::Bars { bars, .. } => symbols.extend(bars.iter().map(|bar| bar.0)),
            _ => {}
        }
        symbols.sort();
        symbols.dedup();
        Ok(())
    })?;
    let account = Account::new(config.account_info.initial_capital, config.costs(), config.limits());
    Ok(Desk::new(account.under(config.conditions()), &symbols, strategy.timeframe()))
}
