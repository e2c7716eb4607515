//! Whether bars of two widths agree on when their time begins.
//!
//! A bar is stamped with its start. A source that stamps with the end shifts every bar into the
//! future by its width, and nothing in the series alone shows it: the strategy simply knows each
//! price a bar early. Beside bars of another width it shows: the coarse bar's close is then that
//! of the fine bar after the one it should be.

use super::series::Series;
use crate::bar::{Date, Nanos};
use crate::error::codes;
use crate::finding::Finding;

/// Fewer bars in common tell nothing.
const LEAST: usize = 20;
/// Shifted bars must fit this much better.
const BETTER: f64 = 0.5;

/// Compares two series of a symbol over `from..=to`; a finding, if one of them fits the other
/// much better once it is taken to be stamped with the end.
pub(crate) fn compare(one: &Series, other: &Series, from: Date, to: Date) -> Option<Finding> {
    let (fine, coarse) = if one.timeframe < other.timeframe { (one, other) } else { (other, one) };
    if !fine.timeframe.is_intraday() {
        // A day has no other start to be mistaken for.
        return None;
    }
    let misfit = |fine_by: Nanos, coarse_by: Nanos| misfit(fine, coarse, (fine_by, coarse_by), (from, to));
    let as_stamped = misfit(0, 0)?;
    let width = |series: &Series| series.timeframe.width();
    // A day or a week has no other start.
    let shifts = [(fine, width(fine), 0), (coarse, 0, if coarse.timeframe.is_intraday() { width(coarse) } else { 0 })];
    for (series, fine_by, coarse_by) in shifts {
        let fits = |m: f64| m < BETTER * as_stamped;
        if (fine_by, coarse_by) != (0, 0) && misfit(fine_by, coarse_by).is_some_and(fits) {
            let about = format!("{} {}", series.symbol, series.timeframe);
            let what = format!(
                "its closes fit the {} bars only if each is stamped with its end, not its start",
                if series.timeframe == fine.timeframe { coarse.timeframe } else { fine.timeframe }
            );
            return Some(Finding::new(codes::END_STAMPED, about, what));
        }
    }
    None
}

/// Median distance, of the price, between a coarse bar's close and that of the last fine bar in
/// it, stamps being moved back by `shift`; none, if they have too little in common.
fn misfit(fine: &Series, coarse: &Series, shift: (Nanos, Nanos), (from, to): (Date, Date)) -> Option<f64> {
    let (fines, coarses) = (fine.bars(), coarse.bars());
    let (starts, width) = (fines.starts(), fine.timeframe.width());
    let mut distances = Vec::new();
    for i in 0..coarses.len() {
        let start = coarses.start_at(i) - shift.1;
        let session = coarse.calendar.session_of(coarse.timeframe, start);
        let (date, begin, end) = match coarse.timeframe.is_intraday() {
            true => (session.date, start, start + coarse.timeframe.width()),
            false => (session.date, session.open, session.close),
        };
        if !(from..=to).contains(&date) {
            continue;
        }
        // The last fine bar that ends inside the coarse one.
        let after = starts.partition_point(|&t| t - shift.0 + width <= end);
        let Some(last) = after.checked_sub(1).filter(|&last| starts[last] - shift.0 >= begin) else { continue };
        // One that ended long before says nothing of where the boundary is.
        if end - (starts[last] - shift.0) <= 2 * width {
            distances.push((fines.close_at(last) / coarses.close_at(i) - 1.0).abs());
        }
    }
    if distances.len() < LEAST {
        return None;
    }
    let middle = distances.len() / 2;
    Some(*distances.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::cache::Cached;
    use crate::archive::row::Row;
    use crate::bar::{MINUTE, Timeframe};
    use crate::calendar::{self, Calendar};

    /// Minutes that walk, and the hours that they make, each moved by so many minutes.
    fn series(fine_by: i64, coarse_by: i64) -> (Series, Series) {
        let (mut minutes, mut hours) = (Vec::new(), Vec::new());
        let mut price: f64 = 100.0;
        for session in calendar::sessions(Date(19_723), Date(19_740)) {
            let first = session.open + 30 * MINUTE;
            for i in 0..360 {
                price *= 1.0 + 0.001 * f64::from((i * 7 + session.date.0) % 11 - 5);
                let row =
                    |start| Row { start, ohlcv: [price; 5], trade_count: f64::NAN, vwap: f64::NAN, origin: (0, 0) };
                minutes.push(row(first + i64::from(i) * MINUTE + fine_by * MINUTE));
                if i % 60 == 59 {
                    hours.push(row(first + i64::from(i - 59) * MINUTE + coarse_by * MINUTE));
                }
            }
        }
        let of = |timeframe, rows: &[Row]| Series {
            symbol: "AMC".parse().expect("a symbol"),
            timeframe,
            provenance: String::new(),
            hash: String::new(),
            built_from: None,
            calendar: Calendar::Xnys,
            columns: Cached::of(rows),
        };
        (of(Timeframe::Minute, &minutes), of(Timeframe::Hour, &hours))
    }

    #[test]
    fn bars_stamped_with_their_end_are_found_whichever_they_are() {
        let compared = |fine_by, coarse_by| {
            let (minutes, hours) = series(fine_by, coarse_by);
            [
                compare(&minutes, &hours, calendar::FIRST, calendar::LAST),
                compare(&hours, &minutes, calendar::FIRST, calendar::LAST),
            ]
            .map(|found| found.map(|f| f.subject))
        };
        assert_eq!(compared(0, 0), [None, None]);
        assert_eq!(compared(1, 0), [Some("AMC 1Min".to_owned()), Some("AMC 1Min".to_owned())]);
        assert_eq!(compared(0, 60), [Some("AMC 1Hour".to_owned()), Some("AMC 1Hour".to_owned())]);
    }
}
