//! What a file was taken for: what a dry run shows, and an import in short.

use std::path::{Path, PathBuf};

use super::width::Width;
use crate::archive::audit;
use crate::archive::row::{BarFile, Clock};
use crate::bar::{Nanos, Symbol, Timeframe, iso_utc};
use crate::calendar::Calendar;
use crate::error::codes;

/// What a file was taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// The file.
    pub path: PathBuf,
    /// Its layout, in words.
    pub layout: String,
    /// Whose bars it holds.
    pub symbols: Vec<Symbol>,
    /// Where the symbols come from, in words.
    pub symbol_from: String,
    /// How wide its bars are.
    pub timeframe: Timeframe,
    /// Where the width comes from, in words.
    pub width_from: String,
    /// The zone of its times, in words.
    pub zone: String,
    /// Rows.
    pub rows: u64,
    /// First and last start, as outputs write them.
    pub period: (String, String),
    /// What was taken for granted, in words.
    pub assumed: Vec<String>,
    /// What an import takes and a gate would stop at, in words.
    pub doubtful: Vec<String>,
}

impl Recognised {
    pub(super) fn of(path: &Path, file: &BarFile, width: &Width, calendar: Calendar) -> Self {
        let starts = || file.series.iter().flat_map(|s| &s.1).map(|row| row.start);
        let (first, last) = (starts().min().unwrap_or_default(), starts().max().unwrap_or_default());
        let timeframe = width.timeframe;
        let shown = |start: Nanos| match timeframe.is_intraday() {
            true => iso_utc(start),
            false => crate::bar::Date::of_utc(start).to_string(),
        };
        Self {
            path: path.to_owned(),
            layout: file.layout.clone(),
            symbols: file.series.iter().map(|s| s.0).collect(),
            symbol_from: file.symbol_from.clone(),
            timeframe,
            width_from: width.from.clone(),
            zone: zone(&file.clock, timeframe),
            rows: file.series.iter().map(|s| s.1.len() as u64).sum(),
            period: (shown(first), shown(last)),
            assumed: file.assumed.clone(),
            doubtful: doubts(file, timeframe, calendar),
        }
    }
}

fn zone(clock: &Clock, timeframe: Timeframe) -> String {
    match &clock.zone {
        Some(zone) if clock.offsets.is_empty() || !timeframe.is_intraday() => {
            zone.iana_name().unwrap_or("as written").to_owned()
        }
        _ if !timeframe.is_intraday() && !clock.naive => "dates".to_owned(),
        _ if clock.naive => "none written, read as UTC".to_owned(),
        _ if clock.offsets.iter().any(|o| *o != 0) => "offsets from UTC, as written".to_owned(),
        _ => "UTC".to_owned(),
    }
}

/// What `data check` would call an error whatever else is archived.
fn doubts(file: &BarFile, timeframe: Timeframe, calendar: Calendar) -> Vec<String> {
    let mut found = Vec::new();
    for (symbol, rows) in &file.series {
        let mut starts: Vec<Nanos> = rows.iter().map(|row| row.start).collect();
        starts.sort_unstable();
        if audit::is_end_stamped(&starts, timeframe, calendar) {
            found.push(format!("{symbol}: {}", codes::END_STAMPED.cause()));
        }
        if audit::counts_smaller_units(rows.iter().map(|row| row.ohlcv)) {
            found.push(format!("{symbol}: every price is a whole number of 1,000 or more: cents, perhaps"));
        }
    }
    found
}
