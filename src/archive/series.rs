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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::row::Row;
    use crate::calendar;

    fn date(text: &str) -> Date {
        text.parse().expect("a date")
    }

    fn close(at: usize, ratio: f64) -> f64 {
        (50.0 + (at * 7 % 11) as f64) / ratio
    }

    /// Raw daily bars of 2024 that these splits, by the number of their session, make jump.
    fn raw(splits: &[(usize, f64)]) -> (Series, Vec<Split>) {
        let symbol = "AMC".parse().expect("a symbol");
        let days: Vec<Date> = calendar::sessions(date("2024-01-02"), date("2024-03-28")).map(|s| s.date).collect();
        let ratio = |at: usize| splits.iter().filter(|s| s.0 <= at).fold(1.0, |all, s| all * s.1);
        let row = |(at, day): (usize, &Date)| {
            let price = close(at, ratio(at));
            let ohlcv = [price, price, price, price, 1_000.0 * ratio(at)];
            Row { start: day.utc_midnight(), ohlcv, trade_count: f64::NAN, vwap: f64::NAN, origin: (0, 0) }
        };
        let rows: Vec<Row> = days.iter().enumerate().map(row).collect();
        let (provenance, hash, columns) = ("test".to_owned(), "raw".to_owned(), Cached::of(&rows));
        let (timeframe, calendar) = (Timeframe::Day, Calendar::Xnys);
        let series = Series { symbol, timeframe, provenance, hash, built_from: None, calendar, columns };
        let table = splits.iter().map(|(at, ratio)| Split { symbol, date: days[*at], ratio: *ratio }).collect();
        (series, table)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whoever holds through a split wins the same on raw bars, the split applied, and on adjusted ones; turnover in
        /// dollars is the same on both.
        #[test]
        fn adjusted_bars_return_what_raw_ones_and_their_splits_do(
            said in prop::collection::btree_map(1usize..60, prop::sample::select(vec![2.0, 4.0, 1.5, 0.1, 1.0 / 30.0]), 0..5),
        ) {
            let said: Vec<(usize, f64)> = said.into_iter().collect();
            let (series, splits) = raw(&said);
            let adjusted = series.adjusted(&splits);
            let (raw, adjusted) = (series.bars(), adjusted.bars());
            for i in 1..raw.len() {
                let shares = said.iter().filter(|s| s.0 == i).fold(1.0, |all, s| all * s.1);
                let (held, smooth) =
                    (raw.close_at(i) * shares / raw.close_at(i - 1), adjusted.close_at(i) / adjusted.close_at(i - 1));
                prop_assert!((held / smooth - 1.0).abs() < 1e-12, "{} {}", held, smooth);
                let dollars = |bars: &Bars<'_>| bars.close_at(i) * bars.volume()[i];
                prop_assert!((dollars(&raw) / dollars(&adjusted) - 1.0).abs() < 1e-12);
            }
            let last = raw.len() - 1;
            prop_assert_eq!(raw.close_at(last).to_bits(), adjusted.close_at(last).to_bits(), "no later split");
        }
    }
}
