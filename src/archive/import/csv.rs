//! Bars from CSV: a header with `timestamp open high low close volume`, any order.

use std::collections::BTreeMap;
use std::path::Path;

use crate::archive::row::{BarFile, PRICES, Row, Rows, TIMESTAMPS, missing_column, no_symbol, symbol_from_name};
use crate::archive::tables::LONGEST_HEADER;
use crate::bar::{Nanos, Symbol};
use crate::disk::map;
use crate::error::{Error, Result, codes, quoted};

/// Largest CSV file.
const LARGEST: u64 = 4 << 30;

/// Whether the header has bar columns at all.
pub(super) fn has_bars(path: &Path) -> bool {
    let Ok(file) = map::open_up_to(path, u64::MAX) else { return false };
    let header = csv::Reader::from_reader(std::io::Read::take(file, LONGEST_HEADER)).headers().cloned();
    let has = |h: &csv::StringRecord, name: &str| h.iter().any(|c| c.trim().eq_ignore_ascii_case(name));
    header.is_ok_and(|h| PRICES.iter().all(|p| has(&h, p)))
}

/// Reads a file; its rows keep their order.
pub(super) fn read(path: &Path) -> Result<BarFile> {
    let source = map::open_up_to(path, LARGEST)?;
    read_from(path, source)
}

/// As [`read`], of text from anywhere; the path serves names and messages.
pub(crate) fn read_from(path: &Path, source: impl std::io::Read) -> Result<BarFile> {
    let fault = |e: csv::Error| Error::new(codes::SOURCE_UNREADABLE, e.to_string()).at(path.display());
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
    let header = reader.headers().map_err(fault)?.clone();
    let columns = Columns::find(&header).map_err(|e| e.at(path.display()))?;
    let named = symbol_from_name(path);
    let mut series: BTreeMap<Symbol, Rows> = BTreeMap::new();
    let mut naive = false;
    for record in reader.records() {
        let record = record.map_err(fault)?;
        let line = record.position().map_or(0, csv::Position::line);
        let (symbol, row) = columns.row(&record, named, line).map_err(|e| e.at_line(path, line as usize, None))?;
        naive |= has_no_zone(record.get(columns.timestamp).unwrap_or_default());
        series.entry(symbol).or_default().push(row);
    }
    let series = series.into_iter().collect();
    Ok(BarFile { symbol: None, provenance: None, timeframe: None, day_basis: None, naive, series })
}

/// Where each value stands.
struct Columns {
    timestamp: usize,
    prices: [usize; 5],
    symbol: Option<usize>,
    trade_count: Option<usize>,
    vwap: Option<usize>,
}

impl Columns {
    fn find(header: &csv::StringRecord) -> Result<Self> {
        let at = |name: &str| header.iter().position(|c| c.eq_ignore_ascii_case(name));
        let names: Vec<String> = header.iter().map(str::to_owned).collect();
        let need = |name: &str| at(name).ok_or_else(|| missing_column(name, &names));
        let mut prices = [0; 5];
        for (slot, name) in prices.iter_mut().zip(PRICES) {
            *slot = need(name)?;
        }
        let timestamp = TIMESTAMPS.iter().find_map(|name| at(name));
        Ok(Self {
            timestamp: timestamp.ok_or_else(|| missing_column("timestamp", &names))?,
            prices,
            symbol: at("symbol"),
            trade_count: at("trade_count"),
            vwap: at("vwap"),
        })
    }

    fn row(&self, record: &csv::StringRecord, named: Option<Symbol>, line: u64) -> Result<(Symbol, Row)> {
        let field = |i: usize| record.get(i).unwrap_or_default();
        let symbol = match self.symbol {
            Some(i) => field(i).parse().map_err(|e: Error| e.recode(codes::BAD_VALUE))?,
            None => named.ok_or_else(no_symbol)?,
        };
        let extra = |i: Option<usize>| match i.map(field) {
            None | Some("") => Ok(f64::NAN),
            Some(text) => number(text),
        };
        let mut ohlcv = [0.0; 5];
        for (value, &i) in ohlcv.iter_mut().zip(&self.prices) {
            *value = number(field(i))?;
        }
        let row = Row {
            start: timestamp(field(self.timestamp))?,
            ohlcv,
            trade_count: extra(self.trade_count)?,
            vwap: extra(self.vwap)?,
            origin: (0, line as u32),
        };
        Ok((symbol, row))
    }
}

/// A time of day without a zone; a date alone is a session's name.
fn has_no_zone(timestamp: &str) -> bool {
    timestamp.len() > 10 && timestamp.parse::<jiff::Timestamp>().is_err()
}

fn number(text: &str) -> Result<f64> {
    text.parse().map_err(|_| Error::new(codes::BAD_VALUE, format!("{} is not a number", quoted(text))))
}

/// `2024-04-01T13:30:00Z`, `2024-04-01 09:30:00-04:00`, naive as UTC, or a date.
fn timestamp(text: &str) -> Result<Nanos> {
    use jiff::civil::DateTime;
    let zoned = text.parse::<jiff::Timestamp>().ok();
    let naive = || {
        // A zone's name without an offset: we have no table of all zones, and don't guess.
        let text = Some(text).filter(|t| !t.contains('['))?;
        let local = text.parse::<DateTime>().ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(local).ok()
    };
    let found = zoned.or_else(naive).and_then(|t| i64::try_from(t.as_nanosecond()).ok());
    found.ok_or_else(|| {
        Error::new(codes::BAD_VALUE, format!("{} is not a timestamp", quoted(text)))
            .help("write the start of the bar in UTC or with its offset, e.g. 2024-04-01T13:30:00Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bar::iso_utc;

    #[test]
    fn naive_timestamps_are_utc_and_zoned_ones_are_instants() {
        for text in
            ["2024-04-01T13:30:00Z", "2024-04-01 13:30:00", "2024-04-01T09:30:00-04:00", "2024-04-01 13:30:00+00:00"]
        {
            assert_eq!(timestamp(text).map(iso_utc).ok().as_deref(), Some("2024-04-01T13:30:00Z"), "{text}");
        }
        assert_eq!(timestamp("2024-04-01").map(iso_utc).ok().as_deref(), Some("2024-04-01T00:00:00Z"));
        for bad in ["", "1711978200", "01/04/2024", "2024-04-01T25:00:00", "2024-04-01T10:00:00[America/New_York]"] {
            assert!(timestamp(bad).is_err(), "{bad}");
        }
    }
}
