//! The bars of one symbol and timeframe, raw or adjusted for splits.

use super::cache::Cached;
use super::tables::Split;
use crate::bar::{Bars, Date, Nanos, Symbol, Timeframe, WEEK};
use crate::calendar::Calendar;
use crate::disk::hash::sha256_hex;
use crate::error::Result;
use crate::history::{History, Hours};

/// The bars of one symbol and timeframe.
#[derive(Clone, Debug)]
pub struct Series {
    /// The symbol.
    pub symbol: Symbol,
    /// Bar width.
    pub timeframe: Timeframe,
    /// Where the bars come from.
    pub provenance: String,
    /// SHA-256 over the records' hashes, over the width if the bars were built from finer ones, and over the splits
    /// applied if they are adjusted.
    pub hash: String,
    /// The finer width whose bars these were built from; none, if the archive has them as they are.
    pub built_from: Option<Timeframe>,
    /// When it trades.
    pub calendar: Calendar,
    pub(super) columns: Cached,
}

impl Series {
    /// The bars, borrowed.
    pub fn bars(&self) -> Bars<'_> {
        let [open, high, low, close, volume] = &self.columns.ohlcv;
        Bars::trusted(self.timeframe, &self.columns.start, [open, high, low, close, volume])
    }

    /// The bars cut into sessions of their calendar.
    ///
    /// # Errors
    /// As [`History::new`].
    pub fn history(&self, hours: Hours) -> Result<History<'_>> {
        History::with_calendar(self.symbol, self.bars(), hours, self.calendar)
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
        let first_new = |s: &Split| first_after(self.calendar, s.date, self.timeframe);
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

/// Where bars after a change of shares or symbol begin. A week has those of its last session.
pub(super) fn first_after(calendar: Calendar, change: Date, timeframe: Timeframe) -> Nanos {
    match timeframe {
        Timeframe::Week => {
            let week = Timeframe::Week.start_of(change.utc_midnight());
            if calendar.last_session_of_week(change).date < change { week + WEEK } else { week }
        }
        Timeframe::Day => change.utc_midnight(),
        _ => calendar.midnight(change),
    }
}

/// Product of the ratios of the splits after `date`.
pub fn split_factor(splits: &[Split], date: Date) -> f64 {
    splits.iter().filter(|s| s.date > date).fold(1.0, |f, s| f * s.ratio)
}
