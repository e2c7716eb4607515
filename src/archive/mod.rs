//! The archive: Parquet records under a manifest, and a mapped cache in front of them.
//!
//! ```text
//! DIR/manifest.json                                   every record with its hashes; splits, moves
//! DIR/<provenance>/raw/<timeframe>/<symbol>/<year>-<hash>.parquet
//! DIR/cache/<timeframe>/<symbol>.arrow                derived, may be deleted at any time
//! ```

mod alignment;
pub mod audit;
pub(crate) mod cache;
pub mod import;
pub mod manifest;
pub(crate) mod record;
pub mod synth;
pub mod tables;
pub mod verify;

use std::path::{Path, PathBuf};

use arrow_buffer::ScalarBuffer;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::bar::{Bars, Date, Nanos, Symbol, Timeframe};
use crate::calendar;
use crate::disk::hash::{sha256_hex, xxh3_hex};
use crate::disk::map::{self, Access};
use crate::error::{Error, Result, codes};
use crate::finding::{Finding, Severity};
use audit::Audit;
use cache::Cached;
use manifest::{Manifest, Record};
use record::Row;
use tables::Split;

/// The provenance that no option can rename and that never authorises production.
pub const SYNTHETIC: &str = "synthetic";

/// An archive open for reading.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: PathBuf,
    manifest: Manifest,
    access: Access,
}

/// The bars of one symbol and timeframe.
#[derive(Clone, Debug)]
pub struct Series {
    /// The symbol.
    pub symbol: Symbol,
    /// Bar width.
    pub timeframe: Timeframe,
    /// Where the bars come from.
    pub provenance: String,
    /// SHA-256 over the records' hashes and, if adjusted, the splits applied.
    pub hash: String,
    columns: Cached,
}

impl Archive {
    /// Opens the archive in `folder`.
    ///
    /// # Errors
    /// Data error if there is none or its manifest is damaged.
    pub fn open(folder: &Path, access: Access) -> Result<Self> {
        let manifest = Manifest::read(folder)?;
        Ok(Self { folder: folder.to_owned(), manifest, access })
    }

    /// Its table of contents.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether any of its bars is made up.
    pub fn is_synthetic(&self) -> bool {
        self.manifest.records.iter().any(|r| r.provenance == SYNTHETIC)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The splits of one symbol, oldest first.
    pub fn splits(&self, symbol: Symbol) -> Vec<Split> {
        self.manifest.splits.iter().filter(|s| s.symbol == symbol).copied().collect()
    }

    /// The symbols that have bars of `timeframe`, alphabetically.
    pub fn symbols(&self, timeframe: Timeframe) -> Vec<Symbol> {
        let records = self.manifest.records.iter().filter(|r| r.timeframe == timeframe);
        let mut symbols: Vec<Symbol> = records.map(|r| r.symbol).collect();
        symbols.dedup();
        symbols
    }

    /// The quality of a raw series' bars from one date to another.
    ///
    /// # Errors
    /// Data error if bars lie outside the exchange calendar.
    pub fn audit(&self, series: &Series, from: Date, to: Date, whole: bool) -> Result<Vec<Finding>> {
        let (symbol, timeframe, bars) = (series.symbol, series.timeframe, series.bars());
        let splits = self.splits(symbol);
        Audit { symbol, timeframe, bars, splits: &splits, moves: &self.manifest.moves, from, to, whole }.run()
    }

    /// What the symbol's bars of other widths say of when these begin.
    ///
    /// # Errors
    /// Data error if those bars can't be read.
    pub fn aligned(&self, series: &Series, from: Date, to: Date) -> Result<Vec<Finding>> {
        let mut found = Vec::new();
        // A day that includes extended hours ends with them.
        let whole = |r: &&Record| r.timeframe == Timeframe::Day && r.day_basis == Some(manifest::DayBasis::UtcExtended);
        for timeframe in Timeframe::ALL.into_iter().filter(|t| *t != series.timeframe) {
            let records = self.manifest.series(series.symbol, timeframe);
            let own = self.manifest.series(series.symbol, series.timeframe);
            if records.is_empty() || records.iter().chain(&own).any(whole) {
                continue;
            }
            let other = self.load(series.symbol, timeframe)?;
            let finding = alignment::compare(series, &other, from, to);
            // Bars that nobody trades on block nothing.
            let about_these = format!("{} {}", series.symbol, series.timeframe);
            let severity = |f: &Finding| if f.subject == about_these { Severity::Error } else { Severity::Note };
            found.extend(finding.map(|f| {
                let s = severity(&f);
                f.severity(s)
            }));
        }
        Ok(found)
    }

    /// Raw bars, from the cache if it is intact, which is made if it isn't.
    ///
    /// # Errors
    /// Data error if the archive has no such bars or a record is missing or changed.
    pub fn load(&self, symbol: Symbol, timeframe: Timeframe) -> Result<Series> {
        let records = self.manifest.series(symbol, timeframe);
        let Some(first) = records.first() else {
            return Err(self.no_bars(symbol, timeframe));
        };
        // Each record's bytes are hashed on every use: a changed record is found here.
        let bytes: Vec<Bytes> =
            records.iter().map(|r| checked_bytes(&self.folder, r, self.access)).collect::<Result<_>>()?;
        let hash = hash_of(&records);
        let path = self.cache_path(symbol, timeframe);
        let columns = match cache::open(&path, &hash, self.access) {
            Ok(columns) => columns,
            Err(_) => self.rebuild(&path, &hash, &records, bytes)?,
        };
        Ok(Series { symbol, timeframe, provenance: first.provenance.clone(), hash, columns })
    }

    fn cache_path(&self, symbol: Symbol, timeframe: Timeframe) -> PathBuf {
        self.folder.join(format!("cache/{timeframe}/{symbol}.arrow"))
    }

    fn no_bars(&self, symbol: Symbol, timeframe: Timeframe) -> Error {
        let known = self.symbols(timeframe);
        let known: Vec<&str> = known.iter().map(Symbol::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(" ") };
        Error::new(codes::NO_BARS, format!("the archive has no {timeframe} bars of {symbol}"))
            .at(self.folder.display())
            .help(format!("it has {timeframe} bars of: {known}; import {symbol}, or take it out of symbols"))
    }

    /// Columns from the records. Writing the cache may fail (a read-only archive, a full
    /// disk): then the next run reads the records again.
    fn rebuild(&self, path: &Path, key: &str, records: &[&Record], bytes: Vec<Bytes>) -> Result<Cached> {
        let mut rows = Vec::new();
        for (record, bytes) in records.iter().zip(bytes) {
            rows.append(&mut record::decode(&self.folder.join(&record.path), bytes, record)?);
        }
        check_order(&rows).map_err(|e| e.at(self.folder.join(&records[0].path).display()))?;
        let columns = columns(&rows);
        let _ = cache::write(path, key, &columns);
        Ok(columns)
    }
}

pub(crate) fn columns(rows: &[Row]) -> Cached {
    let column = |i: usize| ScalarBuffer::from_iter(rows.iter().map(|r| r.ohlcv[i]));
    Cached { start: rows.iter().map(|r| r.start).collect(), ohlcv: std::array::from_fn(column) }
}

/// Ascending starts without duplicates: what every reader of a series relies on.
fn check_order(rows: &[Row]) -> Result<()> {
    match rows.windows(2).find(|w| w[0].start >= w[1].start) {
        None => Ok(()),
        Some(w) => {
            Err(Error::new(codes::BARS_DISORDERED, format!("bars out of order at {}", crate::bar::iso_utc(w[1].start))))
        }
    }
}

/// A record's bytes, if they are those the manifest names.
fn checked_bytes(folder: &Path, record: &Record, access: Access) -> Result<Bytes> {
    let path = folder.join(&record.path);
    let restore =
        "run again if an import was under way; else restore the file, or import its source into a new archive";
    let bytes = map::bytes(&path, access).map_err(|e| e.recode(codes::RECORD_MISSING).help(restore))?;
    if xxh3_hex(&bytes) != record.xxh3 {
        let what = "the record was changed or damaged: its hash is not the manifest's";
        return Err(Error::new(codes::RECORD_CHANGED, what).at(path.display()).help(restore));
    }
    Ok(bytes)
}

fn hash_of(records: &[&Record]) -> String {
    let mut hash = Sha256::new();
    for record in records {
        hash.update(record.sha256.as_bytes());
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

impl Series {
    /// The bars, borrowed.
    pub fn bars(&self) -> Bars<'_> {
        let [open, high, low, close, volume] = &self.columns.ohlcv;
        Bars::trusted(self.timeframe, &self.columns.start, [open, high, low, close, volume])
    }

    /// The same bars with other prices from the first one that starts after `after`.
    #[must_use]
    pub(crate) fn repriced_after(&self, after: Nanos) -> Self {
        /// Far enough to be seen by any rule.
        const FACTOR: f64 = 1.5;
        let mut series = self.clone();
        let first = self.columns.start.partition_point(|&t| t <= after);
        for column in &mut series.columns.ohlcv[..4] {
            *column = column.iter().enumerate().map(|(i, v)| if i < first { *v } else { v * FACTOR }).collect();
        }
        series
    }

    /// Back-adjusted: prices before a split are divided by its ratio, volumes multiplied.
    /// A bar's factor is the product over all splits that take effect after its date.
    #[must_use]
    pub fn adjusted(&self, splits: &[Split]) -> Self {
        let mut series = self.clone();
        let first_new = |s: &Split| match self.timeframe {
            Timeframe::Day => s.date.utc_midnight(),
            _ => calendar::new_york_midnight(s.date),
        };
        let ends: Vec<usize> =
            splits.iter().map(|s| self.columns.start.partition_point(|&t| t < first_new(s))).collect();
        if ends.iter().all(|&end| end == 0) {
            return series;
        }
        let factor =
            |i: usize| splits.iter().zip(&ends).filter(|(_, end)| i < **end).fold(1.0, |f, (s, _)| f * s.ratio);
        let factors: Vec<f64> = (0..self.columns.start.len()).map(factor).collect();
        for (i, column) in series.columns.ohlcv.iter_mut().enumerate() {
            let adjust = |(value, factor): (&f64, &f64)| if i == 4 { value * factor } else { value / factor };
            *column = column.iter().zip(&factors).map(adjust).collect();
        }
        let applied = serde_json::to_string(splits).unwrap_or_default();
        series.hash = sha256_hex(format!("{}{applied}", self.hash).as_bytes());
        series
    }
}

/// Product of the ratios of the splits after `date`.
pub fn split_factor(splits: &[Split], date: Date) -> f64 {
    splits.iter().filter(|s| s.date > date).fold(1.0, |f, s| f * s.ratio)
}
