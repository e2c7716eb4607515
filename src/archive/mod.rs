//! The archive: Parquet records under a manifest, and a mapped cache in front of them.
//!
//! ```text
//! DIR/manifest.json                                   every record with its hashes; splits, moves, rates
//! DIR/<provenance>/raw/<timeframe>/<symbol>/<year>-<hash>.parquet
//! DIR/cache/<timeframe>/<symbol>.arrow                derived, may be deleted at any time
//! ```

mod alignment;
pub mod audit;
pub(crate) mod cache;
mod coarser;
pub mod import;
pub mod manifest;
pub(crate) mod parquet;
pub(crate) mod record;
pub(crate) mod row;
mod series;
pub mod synth;
pub mod tables;
pub mod verify;

pub(crate) use coarser::can_build;
pub use manifest::SYNTHETIC;
pub use parquet::hide_caught_panics;
pub use series::{Series, split_factor};

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::bar::{Date, Symbol, Timeframe};
use crate::disk::map::Access;
use crate::error::{Error, Result, codes};
use crate::finding::{Finding, Severity};
use audit::Audit;
use cache::Cached;
use manifest::{DayBasis, Manifest, Record};
use record::checked_bytes;
use tables::Split;

/// An archive open for reading.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: PathBuf,
    manifest: Manifest,
    access: Access,
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

    /// The risk-free rates; none if no table was imported.
    pub fn risk_free(&self) -> tables::Rates {
        let table = &self.manifest.risk_free;
        tables::Rates { rates: table.iter().map(|r| (r.date, r.rate)).collect(), sha256: tables::hash_of_rates(table) }
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
        let whole = |r: &&Record| r.timeframe == Timeframe::Day && r.day_basis == Some(DayBasis::UtcExtended);
        for timeframe in Timeframe::ALL.into_iter().filter(|t| *t != series.timeframe) {
            let records = self.manifest.series(series.symbol, timeframe);
            let own = self.manifest.series(series.symbol, series.timeframe);
            if records.is_empty() || records.iter().chain(&own).any(whole) {
                continue;
            }
            let other = self.load_archived(series.symbol, timeframe)?;
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

    /// Raw bars: as archived, or built from finer ones if the archive has none of this width.
    ///
    /// # Errors
    /// Data error if the archive has no bars that these could be built from, or a record is missing or changed.
    pub fn load(&self, symbol: Symbol, timeframe: Timeframe) -> Result<Series> {
        self.of_width(self.load_source(symbol, timeframe)?, timeframe)
    }

    /// The archived bars that those of a width are, or are built from.
    pub(crate) fn load_source(&self, symbol: Symbol, timeframe: Timeframe) -> Result<Series> {
        self.load_archived(symbol, self.source(symbol, timeframe)?)
    }

    /// Bars of a width from those that [`Archive::load_source`] gives.
    pub(crate) fn of_width(&self, source: Series, timeframe: Timeframe) -> Result<Series> {
        match source.timeframe == timeframe {
            true => Ok(source),
            false => source.coarser(timeframe, &self.splits(source.symbol)),
        }
    }

    /// The archived width that bars of a width are loaded from: their own if there is any of them; else, of those that
    /// can build them, the one that spans the most days, and of equals the coarsest.
    ///
    /// # Errors
    /// Data error if there is none.
    pub fn source(&self, symbol: Symbol, timeframe: Timeframe) -> Result<Timeframe> {
        let span = |from: Timeframe| {
            let records = self.manifest.series(symbol, from);
            let (first, last) = (records.first()?.first, records.last()?.last);
            Some(Date::of_utc(last).0 - Date::of_utc(first).0)
        };
        if span(timeframe).is_some() {
            return Ok(timeframe);
        }
        let finer = Timeframe::ALL.into_iter().filter(|from| coarser::can_build(timeframe, *from));
        let longest = finer.filter_map(|from| Some((span(from)?, from))).max();
        longest.map(|(_, from)| from).ok_or_else(|| self.no_bars(symbol, timeframe))
    }

    /// From the cache if it is intact, which is made if it isn't.
    fn load_archived(&self, symbol: Symbol, timeframe: Timeframe) -> Result<Series> {
        let records = self.manifest.series(symbol, timeframe);
        let Some(first) = records.first() else {
            return Err(self.no_bars(symbol, timeframe));
        };
        // Each record's bytes are hashed on every use: a changed record is found here.
        let bytes: Vec<Bytes> =
            records.iter().map(|r| checked_bytes(&self.folder, r, self.access)).collect::<Result<_>>()?;
        let hash = manifest::hash_of(&records);
        let path = self.cache_path(symbol, timeframe);
        let columns = match cache::open(&path, &hash, self.access) {
            Ok(columns) => columns,
            Err(_) => self.rebuild(&path, &hash, &records, bytes)?,
        };
        Ok(Series { symbol, timeframe, provenance: first.provenance.clone(), hash, built_from: None, columns })
    }

    fn cache_path(&self, symbol: Symbol, timeframe: Timeframe) -> PathBuf {
        self.folder.join(format!("cache/{timeframe}/{symbol}.arrow"))
    }

    fn no_bars(&self, symbol: Symbol, timeframe: Timeframe) -> Error {
        let no_bars = |what: String| Error::new(codes::NO_BARS, what).at(self.folder.display());
        let there: Vec<&str> =
            Timeframe::ALL.iter().filter(|t| !self.manifest.series(symbol, **t).is_empty()).map(|t| t.name()).collect();
        if !there.is_empty() {
            let there = there.join(", ");
            let finer = Timeframe::ALL.into_iter().filter(|from| coarser::can_build(timeframe, *from));
            let finer: Vec<&str> = finer.map(Timeframe::name).collect();
            let what = format!("the archive has no {timeframe} bars of {symbol}; it has {there}");
            return no_bars(what).help(match finer.is_empty() {
                true => format!("import {timeframe} bars of {symbol}: nothing is finer"),
                false => format!(
                    "import {timeframe} bars of {symbol}, or finer ones to build them from: {}",
                    finer.join(", ")
                ),
            });
        }
        let known = self.symbols(timeframe);
        let known: Vec<&str> = known.iter().map(Symbol::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(" ") };
        no_bars(format!("the archive has no {timeframe} bars of {symbol}"))
            .help(format!("it has {timeframe} bars of: {known}; import {symbol}, or take it out of symbols"))
    }

    /// Columns from the records. Writing the cache may fail (a read-only archive, a full
    /// disk): then the next run reads the records again.
    fn rebuild(&self, path: &Path, key: &str, records: &[&Record], bytes: Vec<Bytes>) -> Result<Cached> {
        let mut rows = Vec::new();
        for (record, bytes) in records.iter().zip(bytes) {
            rows.append(&mut record::decode(&self.folder.join(&record.path), bytes, record)?);
        }
        row::check_order(&rows).map_err(|e| e.at(self.folder.join(&records[0].path).display()))?;
        let columns = Cached::of(&rows);
        let _ = cache::write(path, key, &columns);
        Ok(columns)
    }
}
