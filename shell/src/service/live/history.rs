//! The bars that indicators saw before a service's first session: kept, so that the day can be replayed later.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use magellan::bar::{Bar, Bars, Date, Nanos, Symbol, Timeframe};
use magellan::disk::hash::sha256_hex;
use magellan::disk::map::{self, Access};
use magellan::disk::write::write_whole;
use magellan::error::{Error, Result};
use magellan::history::{History, Hours};
use magellan::registry::AnyRunner;

use crate::codes;
use crate::service::logs::cannot_write;

const FOLDER: &str = "history";

/// Keeps bars in a folder of state; the name by which they are found.
///
/// # Errors
/// Usage error if they can't be written.
pub(super) fn keep(state: &Path, bars: &BTreeMap<Symbol, Vec<Bar>>) -> Result<String> {
    let mut text = String::new();
    for (symbol, bars) in bars {
        for Bar { start, open, high, low, close, volume, .. } in bars {
            let _ = writeln!(text, "{symbol},{start},{open},{high},{low},{close},{volume}");
        }
    }
    let name = format!("{}.csv", &sha256_hex(text.as_bytes())[..16]);
    let folder = state.join(FOLDER);
    let path = folder.join(&name);
    if !path.exists() {
        std::fs::create_dir_all(&folder).map_err(|e| cannot_write(&folder, &e))?;
        write_whole(&path, text.as_bytes(), 0o644).map_err(|e| cannot_write(&path, &e))?;
    }
    Ok(name)
}

/// The bars of that name.
///
/// # Errors
/// Data error if they aren't there, or aren't what was kept.
pub(super) fn read(state: &Path, name: &str, timeframe: Timeframe) -> Result<BTreeMap<Symbol, Vec<Bar>>> {
    let path = state.join(FOLDER).join(name);
    let bytes = map::bytes(&path, Access::Map)?;
    let damaged = || Error::new(codes::JOURNAL_DAMAGED, "the history isn't what was kept").at(path.display());
    if format!("{}.csv", &sha256_hex(&bytes)[..16]) != name {
        return Err(damaged());
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
    let mut found: BTreeMap<Symbol, Vec<Bar>> = BTreeMap::new();
    for line in text.lines() {
        let mut cells = line.split(',');
        let symbol: Symbol = cells.next().unwrap_or_default().parse()?;
        let start: Nanos = cells.next().and_then(|cell| cell.parse().ok()).ok_or_else(damaged)?;
        let mut number = || cells.next().and_then(|cell| cell.parse::<f64>().ok()).ok_or_else(damaged);
        let (open, high, low, close, volume) = (number()?, number()?, number()?, number()?, number()?);
        let end = start + timeframe.width();
        found.entry(symbol).or_default().push(Bar { start, end, open, high, low, close, volume });
    }
    Ok(found)
}

/// Shows a runner the bars of a symbol before its first session; how many there were in regular sessions.
pub(super) fn warm_up(
    runner: &mut dyn AnyRunner,
    symbol: Symbol,
    bars: &[Bar],
    timeframe: Timeframe,
    first: Date,
) -> Result<usize> {
    let starts: Vec<Nanos> = bars.iter().map(|bar| bar.start).collect();
    let column = |of: fn(&Bar) -> f64| bars.iter().map(of).collect::<Vec<f64>>();
    let (open, high, low, close, volume) =
        (column(|b| b.open), column(|b| b.high), column(|b| b.low), column(|b| b.close), column(|b| b.volume));
    let bars = Bars::new(timeframe, &starts, [&open, &high, &low, &close, &volume])?;
    let history = History::new(symbol, bars, Hours::Regular)?;
    runner.warm_up(&history, first)?;
    Ok(history.sessions().iter().map(|session| session.range.len()).sum())
}
