//! One bar as the archive holds it, what a file says about its bars, and what every reader checks.

use std::path::Path;

use super::manifest::DayBasis;
use crate::bar::{Date, Nanos, Symbol, Timeframe, iso_utc};
use crate::calendar;
use crate::error::{Error, Result, codes};

/// Accepted names of the timestamp column, the pandas index included.
pub(crate) const TIMESTAMPS: [&str; 6] = ["timestamp", "time", "datetime", "date", "index", "__index_level_0__"];
/// Columns that every file of bars has.
pub(crate) const PRICES: [&str; 5] = ["open", "high", "low", "close", "volume"];
/// Columns that a file may have.
pub(crate) const EXTRAS: [&str; 2] = ["trade_count", "vwap"];

/// Keys of a record's metadata.
pub(crate) const KEY_PROVENANCE: &str = "magellan.provenance";
pub(crate) const KEY_SYMBOL: &str = "magellan.symbol";
pub(crate) const KEY_TIMEFRAME: &str = "magellan.timeframe";
pub(crate) const KEY_DAY_BASIS: &str = "magellan.day_basis";

/// One bar as archived. Absent extras are NaN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Start of the bar, nanoseconds UTC.
    pub(crate) start: Nanos,
    /// open, high, low, close, volume
    pub(crate) ohlcv: [f64; 5],
    pub(crate) trade_count: f64,
    pub(crate) vwap: f64,
    /// Which source and which of its rows, for messages.
    pub(crate) origin: (u32, u32),
}

/// Rows of one symbol.
pub(crate) type Rows = Vec<Row>;

/// What the metadata of a record says about its bars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) symbol: Symbol,
    pub(crate) timeframe: Timeframe,
    pub(crate) provenance: String,
    pub(crate) day_basis: Option<DayBasis>,
}

/// What one file holds.
pub(crate) struct BarFile {
    pub(crate) symbol: Option<Symbol>,
    pub(crate) provenance: Option<String>,
    pub(crate) timeframe: Option<Timeframe>,
    pub(crate) day_basis: Option<String>,
    /// Whether its timestamps have no zone.
    pub(crate) naive: bool,
    pub(crate) series: Vec<(Symbol, Rows)>,
}

/// Refuses a row whose prices can't be prices, or whose date the exchange calendar doesn't cover.
pub(crate) fn check_row(row: &Row, timeframe: Timeframe) -> Result<()> {
    let [open, high, low, close, volume] = row.ohlcv;
    let priced = [open, high, low, close].iter().all(|p| p.is_finite() && *p > 0.0);
    if !priced || !volume.is_finite() || volume < 0.0 {
        let at = iso_utc(row.start);
        return Err(Error::new(
            codes::BAD_PRICE,
            format!("row {} ({at}): open {open}, high {high}, low {low}, close {close}, volume {volume}", row.origin.1),
        )
        .help("prices must be above 0 and volumes not negative; correct or remove the row"));
    }
    calendar::check_covered(Date::of_utc(row.start))?;
    calendar::check_covered(calendar::session_of(timeframe, row.start).date)
}

/// Ascending starts without duplicates: what every reader of a series relies on.
pub(super) fn check_order(rows: &[Row]) -> Result<()> {
    match rows.windows(2).find(|w| w[0].start >= w[1].start) {
        None => Ok(()),
        Some(w) => Err(Error::new(codes::BARS_DISORDERED, format!("bars out of order at {}", iso_utc(w[1].start)))),
    }
}

/// `AMC_1min_…` is AMC's.
pub(crate) fn symbol_from_name(path: &Path) -> Option<Symbol> {
    let stem = path.file_stem()?.to_str()?;
    stem.split('_').next()?.parse().ok()
}

pub(crate) fn missing_column(name: &str, found: &[String]) -> Error {
    Error::new(codes::MISSING_COLUMN, format!("there is no column `{name}`; the file has {}", found.join(", ")))
}

pub(crate) fn no_symbol() -> Error {
    Error::new(codes::MISSING_VALUE, "neither a symbol column nor a file name that starts with a symbol")
        .help("add a column `symbol`, or name the file like AMC_1min_20240401_20240630.parquet")
}
