//! One bar as the archive holds it, what a file says about its bars, and what every reader checks.

use super::manifest::DayBasis;
use crate::bar::{Date, Nanos, Symbol, Timeframe, iso_utc};
use crate::calendar;
use crate::error::{Error, Result, codes};

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

/// How a file's times are to be read as days: the clocks that they were written by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// Whether its timestamps have no zone, and are read as UTC.
    pub(crate) naive: bool,
    /// The offsets that are written, each once, a few at most.
    pub(crate) offsets: Vec<Nanos>,
    /// The zone that the file or the user names.
    pub(crate) zone: Option<jiff::tz::TimeZone>,
}

impl Clock {
    /// Notes an offset from UTC.
    pub(crate) fn note_offset(&mut self, offset: Nanos) {
        if self.offsets.len() < 8 && !self.offsets.contains(&offset) {
            self.offsets.push(offset);
        }
    }
}

/// What one file holds.
#[derive(Default)]
pub(crate) struct BarFile {
    pub(crate) symbol: Option<Symbol>,
    pub(crate) provenance: Option<String>,
    /// The width that the file itself states.
    pub(crate) timeframe: Option<Timeframe>,
    pub(crate) day_basis: Option<String>,
    pub(crate) clock: Clock,
    /// The layout that was recognised, in words.
    pub(crate) layout: String,
    /// Where the symbol comes from, in words.
    pub(crate) symbol_from: String,
    /// What was taken for granted, in words.
    pub(crate) assumed: Vec<String>,
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
