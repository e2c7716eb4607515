//! Coarser bars from finer ones: those that a vendor who stamps starts would have in a file of that width.
//!
//! Minutes and hours are the clock's, whatever the hour of the day: a bin of 30 minutes or less begins with the session
//! at 09:30 New York, and the hour from 09:00 to 10:00 lies in no regular session. A day is its regular session. A week
//! has the sessions from Monday on, in the shares of its last session. A bin is built from the bars that are
//! there; one without any is absent.

use std::ops::Range;

use super::cache::Cached;
use super::series::Series;
use super::tables::Split;
use crate::bar::{Bar, Bars, Nanos, Timeframe};
use crate::calendar::Calendar;
use crate::disk::hash::sha256_hex;
use crate::error::Result;
use crate::history::Hours;

/// Whether bars of one width can be built from those of another. An hour is too coarse for a day of XNYS: it begins
/// before the session does.
pub(crate) fn can_build(wanted: Timeframe, from: Timeframe, calendar: Calendar) -> bool {
    match wanted {
        Timeframe::Week => from == Timeframe::Day || can_build(Timeframe::Day, from, calendar),
        Timeframe::Day => from < Timeframe::Hour || (from == Timeframe::Hour && !calendar.is_xnys()),
        _ => from < wanted && wanted.width() % from.width() == 0,
    }
}

impl Series {
    /// The bars of a coarser width that these raw bars make.
    ///
    /// # Errors
    /// Data error if bars lie outside the exchange calendar.
    pub(super) fn coarser(&self, wanted: Timeframe, splits: &[Split]) -> Result<Self> {
        if wanted == Timeframe::Week && self.timeframe.is_intraday() {
            return self.coarser(Timeframe::Day, splits)?.coarser(wanted, splits);
        }
        let mut hash = format!("{}{wanted}", self.hash);
        let built = match wanted {
            Timeframe::Week => {
                hash += &serde_json::to_string(splits).unwrap_or_default();
                weeks(self, splits)?
            }
            Timeframe::Day => days(self)?,
            _ => Columns::joined(self.bars(), Bins { starts: self.bars().starts(), at: 0, wanted }),
        };
        Ok(Self {
            symbol: self.symbol,
            timeframe: wanted,
            provenance: self.provenance.clone(),
            hash: sha256_hex(hash.as_bytes()),
            built_from: self.built_from.or(Some(self.timeframe)),
            calendar: self.calendar,
            columns: built.into(),
        })
    }
}

fn days(series: &Series) -> Result<Columns> {
    let history = series.history(Hours::Regular)?;
    let days = history.sessions().iter().map(|s| (s.session.date.utc_midnight(), s.range.clone()));
    Ok(Columns::joined(series.bars(), days))
}

fn weeks(series: &Series, splits: &[Split]) -> Result<Columns> {
    let history = series.history(Hours::Regular)?;
    let mut days = Columns::default();
    let mut is_over = true;
    for session in history.sessions() {
        let date = session.session.date;
        let last = series.calendar.last_session_of_week(date).date;
        let within = splits.iter().filter(|s| date < s.date && s.date <= last);
        let factor = within.fold(1.0, |factor, split| factor * split.ratio);
        let Bar { start, open, high, low, close, volume, .. } = history.session_bars(session).get(0);
        days.push(start, [open / factor, high / factor, low / factor, close / factor, volume * factor]);
        is_over = date == last;
    }
    let [open, high, low, close, volume] = &days.ohlcv;
    let trading_days = Bars::trusted(Timeframe::Day, &days.start, [open, high, low, close, volume]);
    let mut weeks = Columns::joined(trading_days, Bins { starts: &days.start, at: 0, wanted: Timeframe::Week });
    // The archive may end in a week that goes on.
    if !is_over {
        weeks.drop_last();
    }
    Ok(weeks)
}

/// Where the bars that make each coarser one lie, with its start.
struct Bins<'b> {
    starts: &'b [Nanos],
    at: usize,
    wanted: Timeframe,
}

impl Iterator for Bins<'_> {
    type Item = (Nanos, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.starts.get(self.at..)?;
        let start = self.wanted.start_of(*left.first()?);
        let end = start + self.wanted.width();
        let count = left.iter().take_while(|&&t| t < end).count();
        let range = self.at..self.at + count;
        self.at = range.end;
        Some((start, range))
    }
}

/// Bars under construction.
#[derive(Default)]
struct Columns {
    start: Vec<Nanos>,
    ohlcv: [Vec<f64>; 5],
}

impl Columns {
    /// One bar of each range, none of which is empty.
    fn joined(bars: Bars<'_>, ranges: impl Iterator<Item = (Nanos, Range<usize>)>) -> Self {
        let mut built = Self::default();
        for (start, range) in ranges {
            let part = bars.slice(range);
            let high = part.high().iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let low = part.low().iter().copied().fold(f64::INFINITY, f64::min);
            let volume = part.volume().iter().fold(0.0, |sum, v| sum + v);
            built.push(start, [part.open_at(0), high, low, part.close_at(part.len() - 1), volume]);
        }
        built
    }

    fn push(&mut self, start: Nanos, bar: [f64; 5]) {
        self.start.push(start);
        self.ohlcv.iter_mut().zip(bar).for_each(|(column, value)| column.push(value));
    }

    fn drop_last(&mut self) {
        self.start.pop();
        self.ohlcv.iter_mut().for_each(|column| column.truncate(self.start.len()));
    }
}

impl From<Columns> for Cached {
    fn from(built: Columns) -> Self {
        Self { start: built.start.into(), ohlcv: built.ohlcv.map(Into::into) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bar::{Date, HOUR, MINUTE, iso_utc};
    use crate::calendar;
    use crate::history::History;
    use proptest::prelude::*;

    fn date(text: &str) -> Date {
        text.parse().expect("a date")
    }

    fn series(timeframe: Timeframe, bars: &[(Nanos, [f64; 5])]) -> Series {
        let ohlcv = std::array::from_fn(|i| bars.iter().map(|b| b.1[i]).collect::<Vec<f64>>().into());
        Series {
            symbol: "AMC".parse().expect("a symbol"),
            timeframe,
            provenance: "test".to_owned(),
            hash: "source".to_owned(),
            built_from: None,
            calendar: Calendar::Xnys,
            columns: Cached { start: bars.iter().map(|b| b.0).collect(), ohlcv },
        }
    }

    fn rows(series: &Series) -> Vec<(Nanos, [f64; 5])> {
        let bars = series.bars();
        let row = |b: Bar| (b.start, [b.open, b.high, b.low, b.close, b.volume]);
        (0..bars.len()).map(|i| row(bars.get(i))).collect()
    }

    fn built(source: &Series, wanted: Timeframe) -> Series {
        source.coarser(wanted, &[]).expect("covered")
    }

    fn starts(source: &Series, wanted: Timeframe) -> Vec<String> {
        rows(&built(source, wanted)).iter().map(|row| iso_utc(row.0)).collect()
    }

    /// Every minute of a New York day from one hour to another, prices that rise by a cent.
    fn minutes(day: &str, from: i64, to: i64) -> Vec<(Nanos, [f64; 5])> {
        let midnight = calendar::new_york_midnight(date(day));
        let bar = |i: i64| {
            let price = 100.0 + i as f64 / 100.0;
            (midnight + i * MINUTE, [price, price + 0.5, price - 0.5, price + 0.01, 100.0])
        };
        (from * 60..to * 60).map(bar).collect()
    }

    #[test]
    fn a_bar_opens_first_closes_last_and_adds_up_its_volume() {
        let open = calendar::session(date("2024-07-02")).open;
        // 09:32 and 09:33 are missing, and so is everything from 09:35 to 09:40.
        let source = series(
            Timeframe::Minute,
            &[
                (open, [10.0, 11.0, 9.5, 10.5, 100.0]),
                (open + MINUTE, [10.5, 12.0, 10.0, 10.25, 50.0]),
                (open + 4 * MINUTE, [10.25, 10.5, 8.0, 9.0, 25.0]),
                (open + 11 * MINUTE, [7.0, 7.5, 6.5, 7.25, 10.0]),
            ],
        );
        let five = built(&source, Timeframe::FiveMinutes);
        let expected = [(open, [10.0, 12.0, 8.0, 9.0, 175.0]), (open + 10 * MINUTE, [7.0, 7.5, 6.5, 7.25, 10.0])];
        assert_eq!(rows(&five), expected);
        assert_eq!((five.timeframe, five.built_from), (Timeframe::FiveMinutes, Some(Timeframe::Minute)));
        assert_eq!(starts(&source, Timeframe::TenMinutes), ["2024-07-02T13:30:00Z", "2024-07-02T13:40:00Z"]);
        assert_ne!(five.hash, built(&source, Timeframe::TenMinutes).hash);
        assert_ne!(five.hash, source.hash);
    }

    #[test]
    fn bins_begin_with_the_session_also_after_the_clocks_change_and_on_half_days() {
        for (day, open, last_half_hour) in [
            ("2024-03-08", "2024-03-08T14:30:00Z", "2024-03-08T20:30:00Z"),
            ("2024-03-11", "2024-03-11T13:30:00Z", "2024-03-11T19:30:00Z"),
            ("2024-11-01", "2024-11-01T13:30:00Z", "2024-11-01T19:30:00Z"),
            ("2024-11-04", "2024-11-04T14:30:00Z", "2024-11-04T20:30:00Z"),
            ("2024-11-29", "2024-11-29T14:30:00Z", "2024-11-29T17:30:00Z"),
        ] {
            let source = series(Timeframe::Minute, &minutes(day, 4, 20));
            for width in
                [Timeframe::FiveMinutes, Timeframe::TenMinutes, Timeframe::FifteenMinutes, Timeframe::ThirtyMinutes]
            {
                let bars = built(&source, width);
                let history = History::new(bars.symbol, bars.bars(), Hours::Regular).expect("covered");
                let regular = history.session_bars(&history.sessions()[0]);
                let session = calendar::session(date(day));
                assert_eq!(iso_utc(regular.starts()[0]), open, "{width}");
                assert_eq!(regular.len() as i64, (session.close - session.open) / width.width(), "{day} {width}");
                let last = regular.starts()[regular.len() - 1];
                assert_eq!(last + width.width(), session.close);
                assert!(width != Timeframe::ThirtyMinutes || iso_utc(last) == last_half_hour, "{day}");
            }
        }
    }

    #[test]
    fn hours_are_the_clocks_and_the_first_of_a_regular_session_starts_at_ten() {
        for (day, count) in [("2024-07-02", 6), ("2024-11-29", 3)] {
            let hours = built(&series(Timeframe::Minute, &minutes(day, 4, 20)), Timeframe::Hour);
            assert_eq!(hours.bars().len(), 16);
            let history = History::new(hours.symbol, hours.bars(), Hours::Regular).expect("covered");
            let regular = history.session_bars(&history.sessions()[0]);
            assert_eq!(regular.len(), count, "{day}");
            assert_eq!(regular.starts()[0], calendar::session(date(day)).open + 30 * MINUTE);
            // Ten o'clock's bar has that hour's minutes only.
            assert_eq!((regular.open()[0], regular.volume()[0]), (106.0, 6_000.0));
            assert!((regular.close()[0] - 106.6).abs() < 1e-9, "{}", regular.close()[0]);
        }
    }

    #[test]
    fn a_day_is_its_regular_session() {
        let mut all = minutes("2024-11-29", 4, 20);
        all.extend(minutes("2024-11-30", 9, 12)); // a Saturday
        all.extend(minutes("2024-12-02", 4, 20));
        let half_hours = built(&series(Timeframe::Minute, &all), Timeframe::ThirtyMinutes);
        for source in [&series(Timeframe::Minute, &all), &half_hours] {
            let days = rows(&built(source, Timeframe::Day));
            let half = (date("2024-11-29").utc_midnight(), [105.7, 108.29, 105.2, 107.8, 21_000.0]);
            let whole = (date("2024-12-02").utc_midnight(), [105.7, 110.09, 105.2, 109.6, 39_000.0]);
            assert_eq!(days.iter().map(|d| d.0).collect::<Vec<_>>(), [half.0, whole.0]);
            for (day, expected) in days.iter().zip([half, whole]) {
                day.1.iter().zip(expected.1).for_each(|(a, b)| assert!((a - b).abs() < 1e-9, "{day:?}"));
            }
        }
    }

    /// Days of two weeks and a half; Good Friday 2024-03-29 ends the first one a day early.
    fn days() -> Vec<(Nanos, [f64; 5])> {
        let sessions = calendar::sessions(date("2024-03-25"), date("2024-04-10"));
        let bar = |(i, d): (usize, calendar::Session)| {
            let price = 100.0 + i as f64;
            (d.date.utc_midnight(), [price, price + 2.0, price - 2.0, price + 1.0, 1_000.0])
        };
        sessions.enumerate().map(bar).collect()
    }

    #[test]
    fn a_week_has_the_sessions_from_monday_to_friday_and_counts_once_it_is_over() {
        let weeks = built(&series(Timeframe::Day, &days()), Timeframe::Week);
        let expected = [
            (date("2024-03-25").utc_midnight(), [100.0, 105.0, 98.0, 104.0, 4_000.0]),
            (date("2024-04-01").utc_midnight(), [104.0, 110.0, 102.0, 109.0, 5_000.0]),
        ];
        assert_eq!(rows(&weeks), expected, "the third week goes on until 2024-04-12");
        let history = History::new(weeks.symbol, weeks.bars(), Hours::Regular).expect("covered");
        let known: Vec<String> = history.sessions().iter().map(|s| s.session.date.to_string()).collect();
        assert_eq!(known, ["2024-03-28", "2024-04-05"], "a week is known at its last session's close");
    }

    #[test]
    fn weeks_of_minutes_are_weeks_of_their_days() {
        let all: Vec<_> =
            ["2024-07-01", "2024-07-02", "2024-07-03", "2024-07-05"].iter().flat_map(|d| minutes(d, 8, 18)).collect();
        let source = series(Timeframe::Minute, &all);
        let weeks = built(&source, Timeframe::Week);
        assert_eq!(rows(&weeks), rows(&built(&built(&source, Timeframe::Day), Timeframe::Week)));
        assert_eq!((weeks.bars().len(), weeks.built_from), (1, Some(Timeframe::Minute)));
    }

    #[test]
    fn a_week_with_a_split_is_in_the_shares_of_its_end() {
        let split = |day: &str, ratio| Split { symbol: "AMC".parse().expect("a symbol"), date: date(day), ratio };
        // Two for one on Wednesday, so that raw prices halve; another after these weeks.
        let splits = [split("2024-04-03", 2.0), split("2024-06-03", 5.0)];
        let raw: Vec<_> = days()
            .into_iter()
            .map(|(start, [o, h, l, c, v])| match start < date("2024-04-03").utc_midnight() {
                true => (start, [o, h, l, c, v]),
                false => (start, [o / 2.0, h / 2.0, l / 2.0, c / 2.0, v * 2.0]),
            })
            .collect();
        let source = series(Timeframe::Day, &raw);
        let weeks = source.coarser(Timeframe::Week, &splits).expect("covered");
        let in_new_shares = [104.0, 110.0, 102.0, 109.0].map(|price| price / 2.0);
        assert_eq!(rows(&weeks)[0].1, [100.0, 105.0, 98.0, 104.0, 4_000.0], "before the split");
        assert_eq!(rows(&weeks)[1].1[..4], in_new_shares);
        assert_eq!(rows(&weeks)[1].1[4], 10_000.0);
        // Adjusted weeks are the weeks of adjusted days.
        let adjusted = rows(&weeks.adjusted(&splits));
        let of_adjusted = rows(&source.adjusted(&splits).coarser(Timeframe::Week, &[]).expect("covered"));
        assert_eq!(adjusted, of_adjusted);
        assert_eq!(adjusted[0].1, [10.0, 10.5, 9.8, 10.4, 40_000.0]);
    }

    #[test]
    fn only_widths_that_fit_build_others() {
        let names = |wanted| -> Vec<&str> {
            Timeframe::ALL
                .into_iter()
                .filter(|from| can_build(wanted, *from, Calendar::Xnys))
                .map(Timeframe::name)
                .collect()
        };
        assert!(names(Timeframe::Minute).is_empty());
        assert_eq!(names(Timeframe::TenMinutes), ["1Min", "5Min"]);
        assert_eq!(names(Timeframe::FifteenMinutes), ["1Min", "5Min"]);
        assert_eq!(names(Timeframe::Hour), ["1Min", "5Min", "10Min", "15Min", "30Min"]);
        assert_eq!(names(Timeframe::Day), ["1Min", "5Min", "10Min", "15Min", "30Min"]);
        assert_eq!(names(Timeframe::Week), ["1Min", "5Min", "10Min", "15Min", "30Min", "1Day"]);
    }

    #[test]
    fn round_the_clock_hours_make_days_and_weeks_end_on_sunday() {
        let monday = date("2024-07-01").utc_midnight();
        let hours = series(Timeframe::Hour, &(0..24 * 9).map(|i| (monday + i * HOUR, [1.0; 5])).collect::<Vec<_>>());
        let count = |calendar: Calendar, wanted| {
            let all = Series { calendar, ..hours.clone() }.coarser(wanted, &[]).expect("covered");
            (all.bars().len(), all.bars().volume()[0])
        };
        assert!(can_build(Timeframe::Day, Timeframe::Hour, Calendar::AlwaysOpen));
        assert_eq!(count(Calendar::AlwaysOpen, Timeframe::Day), (9, 24.0));
        assert_eq!(count(Calendar::Weekdays, Timeframe::Day), (7, 24.0));
        assert_eq!(count(Calendar::AlwaysOpen, Timeframe::Week), (1, 168.0));
        assert_eq!(count(Calendar::Weekdays, Timeframe::Week), (1, 120.0));
    }

    /// Minutes at any hour over a weekend, a half day and the end of summer time; four in five are missing.
    fn any_minutes() -> impl Strategy<Value = Vec<(Nanos, [f64; 5])>> {
        let from = calendar::new_york_midnight(date("2024-10-31"));
        let bar = |(price, up, down, volume): (u16, u8, u8, u16)| {
            let [price, up, down] = [100.0 + f64::from(price), f64::from(up), f64::from(down)];
            [price, price + up, price - down, price + up - down.min(up), f64::from(volume)]
        };
        let one = (1i64..9, (0u16..1_000, 0u8..20, 0u8..20, 0u16..5_000).prop_map(bar));
        prop::collection::vec(one, 1..1_500).prop_map(move |steps| {
            let mut at = from;
            let mut next = |(gap, bar): (i64, [f64; 5])| {
                at += gap * MINUTE;
                (at, bar)
            };
            steps.into_iter().map(&mut next).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn bars_are_what_their_minutes_say(minutes in any_minutes()) {
            let source = series(Timeframe::Minute, &minutes);
            for wanted in Timeframe::ALL.into_iter().filter(|t| t.is_intraday() && *t != Timeframe::Minute) {
                let bars = rows(&built(&source, wanted));
                prop_assert_eq!(bars.iter().map(|b| b.1[4]).sum::<f64>(), minutes.iter().map(|m| m.1[4]).sum::<f64>());
                for (start, bar) in &bars {
                    // On New York's wall clock, in minutes since its midnight; both have whole hours.
                    let of_day = (start - calendar::new_york_midnight(calendar::new_york_date(*start))) / MINUTE;
                    prop_assert_eq!(of_day % (wanted.width() / MINUTE), 0);
                    let inside: Vec<_> =
                        minutes.iter().filter(|m| (*start..start + wanted.width()).contains(&m.0)).map(|m| m.1).collect();
                    prop_assert_eq!(bar[0], inside[0][0]);
                    prop_assert_eq!(bar[1], inside.iter().map(|m| m[1]).fold(f64::MIN, f64::max));
                    prop_assert_eq!(bar[2], inside.iter().map(|m| m[2]).fold(f64::MAX, f64::min));
                    prop_assert_eq!(bar[3], inside[inside.len() - 1][3]);
                }
            }
        }

        #[test]
        fn built_from_built_bars_is_built_from_minutes(minutes in any_minutes()) {
            let source = series(Timeframe::Minute, &minutes);
            for wanted in Timeframe::ALL {
                for between in Timeframe::ALL.into_iter().filter(|b| can_build(wanted, *b, Calendar::Xnys) && can_build(*b, Timeframe::Minute, Calendar::Xnys)) {
                    let direct = rows(&built(&source, wanted));
                    prop_assert_eq!(rows(&built(&built(&source, between), wanted)), direct, "{} by {}", wanted, between);
                }
            }
        }

        #[test]
        fn what_comes_after_a_bar_never_changes_it(minutes in any_minutes(), cut in 0usize..1_500, factor in 2u8..9) {
            let cut = cut % minutes.len();
            let changed: Vec<_> = minutes
                .iter()
                .enumerate()
                .map(|(i, m)| (m.0, m.1.map(|v| if i < cut { v } else { v * f64::from(factor) })))
                .collect();
            let now = minutes[cut].0;
            let known = |wanted: Timeframe, minutes: &[(Nanos, [f64; 5])]| {
                let end = |start: Nanos| match wanted.is_intraday() {
                    true => start + wanted.width(),
                    false => calendar::session_of(wanted, start).close,
                };
                let bars = rows(&built(&series(Timeframe::Minute, minutes), wanted));
                bars.into_iter().filter(|b| end(b.0) <= now).collect::<Vec<_>>()
            };
            for wanted in Timeframe::ALL.into_iter().filter(|t| can_build(*t, Timeframe::Minute, Calendar::Xnys)) {
                prop_assert_eq!(known(wanted, &minutes), known(wanted, &changed), "{}", wanted);
                prop_assert!(wanted == Timeframe::Week || known(wanted, &minutes) == known(wanted, &minutes[..cut]), "{}", wanted);
            }
        }
    }

    #[test]
    fn a_million_minutes_are_built_in_no_time() {
        let minute = |i: i64| (i * MINUTE, [1.0; 5]);
        let source = series(Timeframe::Minute, &(0..1_000_000).map(minute).collect::<Vec<_>>());
        let begin = std::time::Instant::now();
        assert_eq!(built(&source, Timeframe::FiveMinutes).bars().len(), 200_000);
        // Unoptimised; optimised it takes some milliseconds.
        assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
    }
}
