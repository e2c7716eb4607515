//! The list of an archive's records with their hashes: what a reader trusts and an import
//! replaces last, in one rename.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::tables::{self, Delisting, Dividend, Move, Rate, Rename, Split};
use crate::bar::{Nanos, Symbol, Timeframe, iso_utc};
use crate::calendar::Calendar;
use crate::disk::hash::sha256_hex;
use crate::disk::map;
use crate::error::{Error, Result, codes};

/// The provenance that no option can rename and that never authorises production.
pub const SYNTHETIC: &str = "synthetic";

/// What daily bars cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DayBasis {
    /// The regular session.
    Session,
    /// The UTC day, extended hours included.
    UtcExtended,
    /// Nobody said, and no row tells.
    Undeclared,
}

impl DayBasis {
    /// The name in metadata.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::UtcExtended => "utc_extended",
            Self::Undeclared => "undeclared",
        }
    }
}

/// One Parquet file of the archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Path inside the archive, `/` between folders.
    pub path: String,
    /// The symbol.
    pub symbol: Symbol,
    /// Bar width.
    pub timeframe: Timeframe,
    /// Where the bars come from, e.g. `alpaca-sip`, `csv`, `synthetic`.
    pub provenance: String,
    /// What a day covers; daily bars only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day_basis: Option<DayBasis>,
    /// UTC year of the bars.
    pub year: i16,
    /// Number of bars.
    pub rows: u64,
    /// Start of the first bar, ns UTC.
    pub first: Nanos,
    /// Start of the last bar, ns UTC.
    pub last: Nanos,
    /// SHA-256 of the file.
    pub sha256: String,
    /// XXH3-128 of the file: checked whenever it is used.
    pub xxh3: String,
}

/// The archive's table of contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this layout.
    pub schema_version: u32,
    /// When what it holds trades.
    #[serde(default, skip_serializing_if = "Calendar::is_xnys")]
    pub calendar: Calendar,
    /// The records, sorted by timeframe, symbol and year.
    pub records: Vec<Record>,
    /// Splits, sorted by symbol and date.
    pub splits: Vec<Split>,
    /// Declared moves, sorted by symbol and date.
    pub moves: Vec<Move>,
    /// Risk-free rates, sorted by date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risk_free: Vec<Rate>,
    /// Dividends, sorted by symbol and date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dividends: Vec<Dividend>,
    /// Delistings, sorted by symbol.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delistings: Vec<Delisting>,
    /// Renames, sorted by the new symbol and date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renames: Vec<Rename>,
    /// SHA-256 over the manifest with this field empty.
    pub sha256: String,
}

const VERSION: u32 = 1;
/// Largest manifest read: over a hundred thousand records.
const LIMIT: u64 = 64 << 20;

impl Default for Manifest {
    fn default() -> Self {
        let (records, splits, moves, risk_free) = Default::default();
        let (dividends, delistings, renames, sha256) = Default::default();
        let (schema_version, calendar) = (VERSION, Calendar::default());
        Self { schema_version, calendar, records, splits, moves, risk_free, dividends, delistings, renames, sha256 }
    }
}

impl Manifest {
    /// Path of an archive's manifest.
    pub fn path(archive: &Path) -> PathBuf {
        archive.join("manifest.json")
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// Data error if there is none, it is malformed, or its checksum doesn't match.
    pub fn read(archive: &Path) -> Result<Self> {
        let path = Self::path(archive);
        if !path.exists() {
            let what = "there is no archive here: manifest.json is missing";
            return Err(Error::new(codes::NO_ARCHIVE, what).at(archive.display()));
        }
        Self::parse(&path, &map::bytes_up_to(&path, LIMIT).map_err(|e| e.recode(codes::MANIFEST_DAMAGED))?)
    }

    /// As [`Manifest::read`], of bytes at hand.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|e| damaged(path, format!("not an archive manifest: {e}")))?;
        if manifest.schema_version != VERSION {
            let (have, want) = (manifest.schema_version, VERSION);
            let what = format!("manifest version {have}, this Magellan reads {want}");
            return Err(damaged(path, what));
        }
        if manifest.sha256 != manifest.digest() {
            let what = "the manifest's checksum does not match its contents";
            return Err(damaged(path, what));
        }
        if let Some(record) = manifest.records.iter().find(|r| leaves(&r.path)) {
            return Err(damaged(path, format!("the record path {} leaves the archive", record.path)));
        }
        if let Some(record) = manifest.records.iter().find(|r| r.rows == 0 || r.first > r.last) {
            return Err(damaged(path, format!("the record {} can't hold what is said of it", record.path)));
        }
        let origin = |r: &Record| (r.provenance.clone(), r.day_basis);
        let mixed = |w: &&[Record]| {
            (w[0].symbol, w[0].timeframe) == (w[1].symbol, w[1].timeframe) && origin(&w[0]) != origin(&w[1])
        };
        if let Some(pair) = manifest.records.windows(2).find(mixed) {
            let what = format!("{} {} mixes bars of different origin", pair[0].symbol, pair[0].timeframe);
            return Err(Error::new(codes::PROVENANCE_MIXED, what).at(path.display()));
        }
        manifest.fault_in_tables().map_or(Ok(manifest), |what| Err(damaged(path, what)))
    }

    /// A row that no table could have brought.
    fn fault_in_tables(&self) -> Option<String> {
        if let Some(split) = self.splits.iter().find(|s| !tables::is_ratio(s.ratio)) {
            return Some(format!("the split of {} on {} has the ratio {}", split.symbol, split.date, split.ratio));
        }
        let unsorted = self.risk_free.windows(2).any(|w| w[0].date >= w[1].date);
        if unsorted || !self.risk_free.iter().all(|r| tables::is_rate(r.rate)) {
            return Some("the risk-free rates are out of order, or one is not from -0.1 to 1".to_owned());
        }
        let unsorted = self.dividends.windows(2).any(|w| (w[0].symbol, w[0].ex_date) >= (w[1].symbol, w[1].ex_date));
        if unsorted || !self.dividends.iter().all(|d| tables::is_amount(d.amount)) {
            return Some("the dividends are out of order, or one is not above 0 and up to 1,000,000".to_owned());
        }
        let unsorted = self.delistings.windows(2).any(|w| w[0].symbol >= w[1].symbol);
        if unsorted || !self.delistings.iter().all(|d| tables::is_haircut(d.haircut)) {
            return Some("the delistings are out of order, or a haircut is not from 0 to 1".to_owned());
        }
        let unsorted = self.renames.windows(2).any(|w| (w[0].new, w[0].date) >= (w[1].new, w[1].date));
        if unsorted || self.renames.iter().any(|r| r.old == r.new) {
            return Some("the renames are out of order, or a symbol is renamed to itself".to_owned());
        }
        None
    }

    /// Sorts, computes the checksum, and gives the file's bytes.
    pub(crate) fn seal(&mut self) -> Vec<u8> {
        self.records.sort_by_key(|r| (r.timeframe, r.symbol, r.year));
        self.sha256 = self.digest();
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    fn digest(&self) -> String {
        let empty = Self { sha256: String::new(), ..self.clone() };
        sha256_hex(&serde_json::to_vec(&empty).unwrap_or_default())
    }

    /// The records of one series, oldest first.
    pub fn series(&self, symbol: Symbol, timeframe: Timeframe) -> Vec<&Record> {
        self.records.iter().filter(|r| (r.symbol, r.timeframe) == (symbol, timeframe)).collect()
    }
}

impl Record {
    /// `2024-04-01T08:00:00Z to 2024-06-28T23:59:00Z`.
    pub fn range(&self) -> String {
        format!("{} to {}", iso_utc(self.first), iso_utc(self.last))
    }
}

/// SHA-256 over the hashes of some records: what a series was made from.
pub(super) fn hash_of(records: &[&Record]) -> String {
    let hashes: Vec<&str> = records.iter().map(|record| record.sha256.as_str()).collect();
    sha256_hex(hashes.concat().as_bytes())
}

fn damaged(path: &Path, what: impl Into<String>) -> Error {
    Error::new(codes::MANIFEST_DAMAGED, what).at(path.display())
}

/// Whether a relative path could point outside the archive.
fn leaves(path: &str) -> bool {
    path.split('/').any(|part| part.is_empty() || part == "." || part == ".." || part.contains(['\\', ':']))
}
