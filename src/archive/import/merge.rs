//! New rows of a series joined with the archived ones: equal bars once, different ones never.

use std::path::{Path, PathBuf};

use super::day_basis::join_days;
use crate::archive::manifest::{DayBasis, Manifest, Record};
use crate::archive::record::{self, checked_bytes};
use crate::archive::row::{Label, Row, Rows};
use crate::bar::{Symbol, Timeframe, iso_utc};
use crate::disk::map::Access;
use crate::error::{Error, Result, codes};

/// Rows of one series from all sources.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) rows: Rows,
    pub(super) provenance: Option<String>,
    pub(super) day_basis: Option<DayBasis>,
}

pub(super) fn same(known: Option<String>, new: &str, symbol: Symbol) -> Result<String> {
    match known {
        Some(known) if known != new => Err(Error::new(
            codes::PROVENANCE_MIXED,
            format!("{symbol} would mix bars of provenance `{known}` and `{new}`"),
        )),
        _ => Ok(new.to_owned()),
    }
}

/// A series after merging.
pub(super) struct Merged {
    pub(super) key: (Symbol, Timeframe),
    pub(super) records: Vec<Record>,
    pub(super) duplicates: u64,
    pub(super) added: u64,
}

/// Joins new rows with the archived ones and writes the years that changed.
pub(super) fn merge(
    archive: &Path,
    manifest: &Manifest,
    sources: &[PathBuf],
    key: (Symbol, Timeframe),
    new: Gathered,
) -> Result<Merged> {
    let old = manifest.series(key.0, key.1);
    let mut rows = Vec::new();
    let mut provenance = new.provenance;
    let mut day_basis = new.day_basis;
    for (i, record) in old.iter().enumerate() {
        provenance = Some(same(provenance, &record.provenance, key.0)?);
        day_basis = join_days(day_basis, record.day_basis).map_err(|e| e.at(key.0))?;
        let bytes = checked_bytes(archive, record, Access::Map)?;
        let mut archived = record::decode(&archive.join(&record.path), bytes, record)?;
        archived.iter_mut().for_each(|r| r.origin.0 = (sources.len() + i) as u32);
        rows.append(&mut archived);
    }
    let archived = rows.len() as u64;
    rows.extend(new.rows);
    rows.sort_by_key(|r| r.start);
    let name = |row: &Row| {
        let (file, line) = row.origin;
        let path = sources.get(file as usize).map(|p| p.display().to_string());
        let path = path.unwrap_or_else(|| old[file as usize - sources.len()].path.clone());
        format!("{path} row {line}: {}", describe(row))
    };
    let duplicates = drop_duplicates(&mut rows).map_err(|conflict| {
        let (a, b) = *conflict;
        let at = iso_utc(a.start);
        Error::new(codes::CONFLICTING_BARS, format!("two different bars start at {at}\n  {}\n  {}", name(&a), name(&b)))
            .at(format!("{} {}", key.0, key.1))
    })?;
    let label = Label { symbol: key.0, timeframe: key.1, provenance: provenance.unwrap_or_default(), day_basis };
    let records = record::write_years(archive, &label, &rows)?;
    Ok(Merged { key, records, duplicates, added: rows.len() as u64 - archived })
}

pub(super) fn describe(row: &Row) -> String {
    let [open, high, low, close, volume] = row.ohlcv;
    let mut text = format!("open {open} high {high} low {low} close {close} volume {volume}");
    for (name, extra) in [("trade_count", row.trade_count), ("vwap", row.vwap)] {
        if !extra.is_nan() {
            text += &format!(" {name} {extra}");
        }
    }
    text
}

/// Whether two rows are the same bar: equal but for extras that one of them lacks.
pub(super) fn is_same_bar(a: &Row, b: &Row) -> bool {
    let agree = |a: f64, b: f64| a == b || a.is_nan() || b.is_nan();
    a.ohlcv == b.ohlcv && agree(a.trade_count, b.trade_count) && agree(a.vwap, b.vwap)
}

/// Drops rows equal to the one before; the first stays and keeps what extras either has.
fn drop_duplicates(rows: &mut Rows) -> std::result::Result<u64, Box<(Row, Row)>> {
    let before = rows.len();
    let mut conflict = None;
    rows.dedup_by(|later, first| {
        if later.start != first.start {
            return false;
        }
        if !is_same_bar(later, first) {
            conflict.get_or_insert_with(|| Box::new((*first, *later)));
        }
        for (kept, other) in [(&mut first.trade_count, later.trade_count), (&mut first.vwap, later.vwap)] {
            if kept.is_nan() {
                *kept = other;
            }
        }
        true
    });
    conflict.map_or(Ok((before - rows.len()) as u64), Err)
}
