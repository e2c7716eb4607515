//! The archive: Parquet records under a manifest, and a mapped cache in front of them.
//!
//! ```text
//! DIR/manifest.json                                   every record with its hashes; corporate actions, moves, rates
//! DIR/<provenance>/raw/<timeframe>/<symbol>/<year>-<hash>.parquet
//! DIR/cache/<timeframe>/<symbol>.arrow                derived, may be deleted at any time
//! ```

mod alignment;
pub mod audit;
pub(crate) mod cache;
mod coarser;
pub mod import;
pub mod manifest;
mod names;
pub(crate) mod parquet;
pub(crate) mod record;
pub(crate) mod row;
mod series;
pub mod synth;
pub mod tables;
pub mod verify;

pub(crate) use coarser::can_build;
pub use manifest::SYNTHETIC;
pub use names::Named;
pub use parquet::hide_caught_panics;
pub use series::{Series, split_factor};

pub(crate) use parquet::cells::Cells;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::bar::{Date, Symbol, Timeframe};
use crate::calendar::{self, Calendar};
use crate::disk::map::Access;
use crate::error::{Error, Result, codes};
use crate::finding::{Finding, Severity};
use audit::Audit;
use cache::Cached;
use manifest::{DayBasis, Manifest, Record};
use record::checked_bytes;
use tables::{Delisting, Dividend, Move, Rename, Split};

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

    /// When what it holds trades.
    pub fn calendar(&self) -> Calendar {
        self.manifest.calendar
    }

    /// Whether any of its bars is made up.
    pub fn is_synthetic(&self) -> bool {
        self.manifest.records.iter().any(|r| r.provenance == SYNTHETIC)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The splits of one symbol, oldest first, those under its earlier names among them.
    pub fn splits(&self, symbol: Symbol) -> Vec<Split> {
        self.of_names(symbol, &self.manifest.splits, |s| (s.symbol, s.date))
    }

    /// The dividends of one symbol, oldest first, those under its earlier names among them.
    pub fn dividends(&self, symbol: Symbol) -> Vec<Dividend> {
        self.of_names(symbol, &self.manifest.dividends, |d| (d.symbol, d.ex_date))
    }

    /// The end of a symbol's trading, if a table says so.
    pub fn delisting(&self, symbol: Symbol) -> Option<Delisting> {
        let names = self.names(symbol);
        // The end of an earlier name is no end, nor is that of whoever had the symbol before.
        let its = |d: &&Delisting| d.symbol == symbol && names.last().is_none_or(|name| name.has(d.last_date));
        self.manifest.delistings.iter().find(its).copied()
    }

    /// The symbols under which a symbol's bars are archived, oldest first; the last is the symbol itself.
    pub fn names(&self, symbol: Symbol) -> Vec<Named> {
        self.manifest.names(symbol, &|symbol, date| self.has_any_before(symbol, date))
    }

    fn has_any_before(&self, symbol: Symbol, date: Date) -> bool {
        Timeframe::ALL.into_iter().any(|timeframe| self.manifest.has_before(symbol, timeframe, date))
    }

    /// What a table says of a symbol under each of its names, by date; of two rows of a day the later name's.
    fn of_names<T: Clone>(&self, symbol: Symbol, table: &[T], about: impl Fn(&T) -> (Symbol, Date)) -> Vec<T> {
        let mut rows: BTreeMap<Date, T> = BTreeMap::new();
        for name in self.names(symbol) {
            // Bars that the new symbol has from before its rename are its own.
            let own = name.from.is_some_and(|from| self.has_any_before(name.symbol, from));
            let is_its = |date| name.has(date) || (own && name.to.is_none());
            let its = table.iter().map(|row| (about(row), row)).filter(|((s, d), _)| *s == name.symbol && is_its(*d));
            rows.extend(its.map(|((_, date), row)| (date, row.clone())));
        }
        rows.into_values().collect()
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
        let (splits, dividends, delisting) = (self.splits(symbol), self.dividends(symbol), self.delisting(symbol));
        let moves = self.of_names(symbol, &self.manifest.moves, |m| (m.symbol, m.date));
        let moves: Vec<Move> = moves.into_iter().map(|m| Move { symbol, ..m }).collect();
        let (splits, dividends, moves) = (&splits[..], &dividends[..], &moves[..]);
        let calendar = series.calendar;
        let audit = Audit { symbol, timeframe, calendar, bars, splits, dividends, delisting, moves, from, to, whole };
        let mut found = audit.run()?;
        found.extend(self.one_sided(symbol, timeframe));
        Ok(found)
    }

    /// Renames of a symbol that have bars of a width on one of their sides only.
    fn one_sided(&self, symbol: Symbol, timeframe: Timeframe) -> Vec<Finding> {
        // Said with the new symbol's bars, if it has any.
        let no_bars = |r: &&Rename| self.manifest.series(r.new, timeframe).is_empty();
        let of_symbol = |r: &&Rename| r.new == symbol || (r.old == symbol && no_bars(r));
        self.manifest.renames.iter().filter(of_symbol).filter_map(|r| self.one_side(r, timeframe)).collect()
    }

    fn one_side(&self, rename: &Rename, timeframe: Timeframe) -> Option<Finding> {
        let Rename { old, new, date } = *rename;
        let last = self.manifest.series(new, timeframe).last().map(|r| r.last);
        let after = last.is_some_and(|last| last >= series::first_after(self.calendar(), date, timeframe));
        names::one_sided(rename, timeframe, (self.manifest.has_before(old, timeframe, date), after))
    }

    /// Renames of which no side has a bar of any width.
    pub fn empty_renames(&self) -> Vec<Finding> {
        let has_bars = |symbol| self.manifest.records.iter().any(|r| r.symbol == symbol);
        let empty = |r: &&Rename| !has_bars(r.old) && !has_bars(r.new);
        let finding = |r: &Rename| {
            let what = format!("{} became {} on {}, and neither has a bar", r.old, r.new, r.date);
            let about = format!("{} {}", r.new, r.date);
            Finding::new(codes::RENAME_ONE_SIDED, about, what).severity(Severity::Warning)
        };
        self.manifest.renames.iter().filter(empty).map(finding).collect()
    }

    /// Refuses what corporate actions and bars of some series say of each other: a split the wrong way round, and a
    /// rename of which both sides have bars before its day.
    pub(crate) fn check_actions(&self, symbol: Symbol, timeframe: Timeframe) -> Result<()> {
        let splits = self.splits(symbol);
        if splits.is_empty() && self.manifest.names_of(symbol, timeframe).len() < 2 {
            return Ok(());
        }
        let series = self.load_archived(symbol, timeframe)?;
        // Bars outside the calendar are for a check to tell.
        let found = self.audit(&series, calendar::FIRST, calendar::LAST, false).unwrap_or_default();
        let wrong = found.into_iter().find(|f| f.code == codes::SPLIT_INVERTED && f.severity == Severity::Error);
        wrong.map_or(Ok(()), |f| Err(Error::new(f.code, f.what).at(f.subject).help(f.help)))
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
            let records = self.manifest.whole_series(series.symbol, timeframe);
            let own = self.manifest.whole_series(series.symbol, series.timeframe);
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
            let records = self.manifest.whole_series(symbol, from);
            let (first, last) = (records.first()?.first, records.last()?.last);
            Some(Date::of_utc(last).0 - Date::of_utc(first).0)
        };
        if span(timeframe).is_some() {
            return Ok(timeframe);
        }
        let finer = Timeframe::ALL.into_iter().filter(|from| coarser::can_build(timeframe, *from, self.calendar()));
        let longest = finer.filter_map(|from| Some((span(from)?, from))).max();
        longest.map(|(_, from)| from).ok_or_else(|| self.no_bars(symbol, timeframe))
    }

    /// The archived bars of a width, those under earlier names of the symbol among them.
    fn load_archived(&self, symbol: Symbol, timeframe: Timeframe) -> Result<Series> {
        let names = self.manifest.names_of(symbol, timeframe);
        if names.len() < 2 {
            return self.load_own(symbol, timeframe);
        }
        let has_bars = |name: &Named| !self.manifest.series(name.symbol, timeframe).is_empty();
        let load = |name: &Named| has_bars(name).then(|| self.load_own(name.symbol, timeframe)).transpose();
        let all = names.iter().map(load).collect::<Result<_>>()?;
        names::join(&self.manifest, &names, all, timeframe).map_err(|e| e.at(self.folder.display()))
    }

    /// From the cache if it is intact, which is made if it isn't.
    fn load_own(&self, symbol: Symbol, timeframe: Timeframe) -> Result<Series> {
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
        let (provenance, calendar) = (first.provenance.clone(), self.calendar());
        Ok(Series { symbol, timeframe, provenance, hash, built_from: None, calendar, columns })
    }

    fn cache_path(&self, symbol: Symbol, timeframe: Timeframe) -> PathBuf {
        self.folder.join(format!("cache/{timeframe}/{symbol}.arrow"))
    }

    fn no_bars(&self, symbol: Symbol, timeframe: Timeframe) -> Error {
        let no_bars = |what: String| Error::new(codes::NO_BARS, what).at(self.folder.display());
        let there: Vec<&str> = Timeframe::ALL
            .iter()
            .filter(|t| !self.manifest.whole_series(symbol, **t).is_empty())
            .map(|t| t.name())
            .collect();
        if !there.is_empty() {
            let there = there.join(", ");
            let finer = Timeframe::ALL.into_iter().filter(|from| coarser::can_build(timeframe, *from, self.calendar()));
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
