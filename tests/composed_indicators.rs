//! Indicators of indicators, of coarser bars, of one's own, of other symbols and from files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use magellan::backtest::Backtest;
use magellan::bar::{Bar, DAY, MINUTE, Nanos, Symbol, Timeframe};
use magellan::calendar::{self, Session};
use magellan::history::{History, Hours};
use magellan::indicator::{
    Band, Columns, Factor, Features, Field, Indicator, Memory, OwnIndicator, Smoothing, Supertrend,
};
use magellan::levels::Levels;
use magellan::order::Size;
use magellan::runner::Runner;
use proptest::prelude::*;

use crate::support::{self, date, symbol, utc};

/// Bars of a width at any hour, from before a holiday and a half day on; most are missing.
fn sparse(base: Timeframe) -> impl Strategy<Value = support::Columns> {
    let price = (0u16..1_000, 0u8..20, 0u8..20, 0u16..500);
    let start = calendar::new_york_midnight(date("2024-11-25"));
    prop::collection::vec((1i64..25, price), 50..600).prop_map(move |steps| {
        let mut columns = support::Columns::default();
        let mut at = start;
        for (gap, (price, up, down, volume)) in steps {
            at += gap * base.width();
            let [open, up, down] = [100.0 + f64::from(price) / 10.0, f64::from(up), f64::from(down)];
            columns.push(at, [open, open + up, open - down, open + up - down.min(up), f64::from(volume)]);
        }
        columns
    })
}

/// Some of a run of days.
fn days() -> impl Strategy<Value = support::Columns> {
    let price = (0u16..1_000, 0u8..20, 0u16..500);
    prop::collection::vec((prop::bool::weighted(0.8), price), 20..80).prop_map(|days| {
        let mut columns = support::Columns::default();
        let sessions = calendar::sessions(date("2024-03-20"), date("2024-12-31"));
        for (session, (_, (price, up, volume))) in sessions.zip(days).filter(|(_, (is_there, _))| *is_there) {
            let [open, up] = [100.0 + f64::from(price) / 10.0, f64::from(up)];
            columns
                .push(session.date.utc_midnight(), [open, open + up, open - 1.0, open + up / 2.0, f64::from(volume)]);
        }
        columns
    })
}

fn bars(history: &History<'_>) -> Vec<(Bar, Session)> {
    let of = |s: &magellan::history::SessionBars| {
        let bars = history.session_bars(s);
        (0..bars.len()).map(|i| (bars.get(i), s.session)).collect::<Vec<_>>()
    };
    history.sessions().iter().flat_map(of).collect()
}

/// When a bar is known.
fn known(bar: &Bar, session: &Session) -> Nanos {
    if bar.end - bar.start < DAY { bar.end } else { session.close }
}

fn streamed(history: &History<'_>, indicator: Indicator) -> Vec<f64> {
    let mut rolling = indicator.start(history.symbol);
    bars(history).iter().map(|(bar, session)| rolling.next(bar, session)).collect()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() }).collect()
}

/// The coarser bars that these make, and when each is complete.
fn coarser(bars: &[(Bar, Session)], width: Timeframe) -> (support::Columns, Vec<Nanos>) {
    let mut rows: Vec<(Nanos, [f64; 5], Nanos)> = Vec::new();
    for (bar, session) in bars {
        let whole = bar.end - bar.start >= DAY;
        if !whole && !session.contains(bar.start, bar.end) {
            continue;
        }
        let (start, complete) = match width {
            Timeframe::Day => (session.date.utc_midnight(), session.close),
            Timeframe::Week => {
                let monday = session.date.0 - (session.date.0 + 3).rem_euclid(7);
                (i64::from(monday) * DAY, calendar::last_session_of_week(session.date).close)
            }
            _ => {
                let start = bar.start.div_euclid(width.width()) * width.width();
                if !session.contains(start, start + width.width()) {
                    continue;
                }
                (start, start + width.width())
            }
        };
        let new = [bar.open, bar.high, bar.low, bar.close, bar.volume];
        match rows.last_mut() {
            Some((known, [_, high, low, close, volume], _)) if *known == start => {
                (*high, *low, *close) = (high.max(bar.high), low.min(bar.low), bar.close);
                *volume += bar.volume;
            }
            _ => rows.push((start, new, complete)),
        }
    }
    let mut columns = support::Columns::default();
    rows.iter().for_each(|(start, ohlcv, _)| columns.push(*start, *ohlcv));
    (columns, rows.iter().map(|row| row.2).collect())
}

/// Whether an indicator of coarser bars is what the last complete one of them says.
fn check_coarser(history: &History<'_>, width: Timeframe) -> Result<(), TestCaseError> {
    let inner = [
        Indicator::value(Field::Volume),
        Indicator::sma(2),
        Indicator::rsi(2),
        Indicator::Atr { period: 2, memory: Memory::Session },
        Indicator::Vwap,
        Indicator::SessionBars,
        Indicator::MinuteOfSession,
        Indicator::psar(0.02, 0.2),
        Indicator::value(Field::Close).at(width),
    ];
    let fine = bars(history);
    let (columns, complete) = coarser(&fine, width);
    let coarse = columns.history("AMC", width);
    prop_assert_eq!(coarse.len(), complete.len());
    let expected = Columns::compute(&coarse, &inner);
    let ours = Columns::compute(history, &inner.map(|i| i.at(width)));
    for indicator in inner {
        let of = |(bar, session): &(Bar, Session)| {
            let count = complete.partition_point(|at| *at <= known(bar, session));
            count.checked_sub(1).map_or(f64::NAN, |last| expected.get(indicator)[last])
        };
        let expected: Vec<f64> = fine.iter().map(of).collect();
        let at = indicator.at(width);
        prop_assert_eq!(bits(ours.get(at)), bits(&expected), "{:?}", at);
        prop_assert_eq!(bits(ours.get(at)), bits(&streamed(history, at)), "{:?}", at);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_indicator_of_coarser_bars_is_that_of_the_last_complete_one(
        base in prop::sample::select(vec![Timeframe::Minute, Timeframe::FiveMinutes, Timeframe::ThirtyMinutes]),
        minutes in sparse(Timeframe::Minute),
        fives in sparse(Timeframe::FiveMinutes),
        halves in sparse(Timeframe::ThirtyMinutes),
    ) {
        let columns = match base {
            Timeframe::Minute => minutes,
            Timeframe::FiveMinutes => fives,
            _ => halves,
        };
        for hours in [Hours::Regular, Hours::All] {
            let history = History::new(symbol("AMC"), columns.bars(base), hours).expect("covered");
            for width in Timeframe::ALL.into_iter().filter(|w| Indicator::sma(2).at(*w).check(base).is_ok()) {
                check_coarser(&history, width)?;
            }
        }
    }

    #[test]
    fn weeks_of_days_are_known_at_their_last_sessions_close(columns in days()) {
        let history = columns.history("AMC", Timeframe::Day);
        check_coarser(&history, Timeframe::Day)?;
        check_coarser(&history, Timeframe::Week)?;
    }

    /// Values that aren't known: windows that hold one aren't either, and averages begin after it.
    #[test]
    fn an_indicator_of_an_indicator_takes_its_known_values(minutes in sparse(Timeframe::FiveMinutes), period in 1u32..5) {
        let history = minutes.history("AMC", Timeframe::FiveMinutes);
        let ratio = Indicator::VolumeRatio { period: 2, memory: Memory::Session };
        let [mean, lag, ema, wma] = [
            Indicator::sma(period).on(ratio),
            Indicator::Lag { field: Field::of(ratio), bars: period },
            Indicator::ema(period).on(ratio),
            Indicator::wma(2).on(Indicator::sma(period).on(ratio)),
        ];
        let computed = Columns::compute(&history, &[ratio, mean, lag, ema, wma]);
        let inner = computed.get(ratio);
        let n = period as usize;
        let weight = 2.0 / (f64::from(period) + 1.0);
        let mut average = f64::NAN;
        for i in 0..inner.len() {
            let window = (i + 1).checked_sub(n).map(|first| &inner[first..=i]);
            let expected = window.map_or(f64::NAN, |w| w.iter().fold(0.0, |sum, v| sum + v) / n as f64);
            prop_assert_eq!(bits(&computed.get(mean)[i..=i]), bits(&[expected]));
            let expected = i.checked_sub(n).map_or(f64::NAN, |k| inner[k]);
            prop_assert_eq!(bits(&computed.get(lag)[i..=i]), bits(&[expected]));
            average = match (average.is_nan(), inner[i]) {
                (true, value) => value,
                (false, value) => weight * value + (1.0 - weight) * average,
            };
            prop_assert_eq!(bits(&computed.get(ema)[i..=i]), bits(&[average]));
            let means = computed.get(mean);
            let expected = if i == 0 { f64::NAN } else { (means[i - 1] + 2.0 * means[i]) / 3.0 };
            prop_assert_eq!(bits(&computed.get(wma)[i..=i]), bits(&[expected]));
        }
    }

    #[test]
    fn what_begins_with_each_session_is_what_a_session_alone_says(minutes in sparse(Timeframe::FiveMinutes)) {
        let history = minutes.history("AMC", Timeframe::FiveMinutes);
        let inner = [Indicator::sma(3), Indicator::rsi(2), Indicator::ema(4).on(Indicator::rsi(2)), Indicator::Obv];
        let all: Vec<Indicator> = inner.iter().map(|i| i.each_session()).collect();
        let computed = Columns::compute(&history, &all);
        for (inner, whole) in inner.iter().zip(all) {
            let mut expected = Vec::new();
            for session in history.sessions() {
                let mut alone = inner.start(history.symbol);
                let bars = history.session_bars(session);
                expected.extend((0..bars.len()).map(|i| alone.next(&bars.get(i), &session.session)));
            }
            prop_assert_eq!(bits(computed.get(whole)), bits(&expected));
        }
    }
}

#[test]
fn days_hours_and_weeks_of_minutes_are_known_when_they_are_over() {
    // Two whole days and a half one; the week ends with it.
    let mut columns = support::Columns::default();
    for session in calendar::sessions(date("2024-11-26"), date("2024-12-02")) {
        for minute in 0..(session.close - session.open) / MINUTE {
            let close = 100.0 * f64::from(session.date.0 % 100) + minute as f64;
            columns.push(session.open + minute * MINUTE, [close; 5]);
        }
    }
    let history = columns.history("AMC", Timeframe::Minute);
    let close = Indicator::value(Field::Close);
    let [hour, day, week] = [Timeframe::Hour, Timeframe::Day, Timeframe::Week].map(|width| close.at(width));
    let computed = Columns::compute(&history, &[close, hour, day, week]);
    let closes = computed.get(close);
    // The first hour is that from 10:00.
    assert!(computed.get(hour)[..89].iter().all(|v| v.is_nan()));
    assert_eq!(computed.get(hour)[89..=149], [&vec![closes[89]; 60][..], &closes[149..=149]].concat());
    assert!(computed.get(day)[..389].iter().all(|v| v.is_nan()));
    assert_eq!(computed.get(day)[389..779], [closes[389]; 390]);
    assert_eq!(computed.get(day)[779..989], [closes[779]; 210]);
    assert_eq!(computed.get(day)[989], closes[989], "a half day is over at 13:00");
    assert!(computed.get(week)[..989].iter().all(|v| v.is_nan()));
    assert_eq!(computed.get(week)[989..], vec![closes[989]; closes.len() - 989]);
}

#[test]
fn an_indicator_of_closes_or_bars_takes_another_ones_values_for_prices() {
    let closes = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0];
    let mut columns = support::Columns::default();
    for (session, close) in calendar::sessions(date("2024-07-01"), date("2024-08-01")).zip(closes) {
        columns.push(session.date.utc_midnight(), [close, close + 1.0, close - 0.5, close, 100.0]);
    }
    let history = columns.history("AMC", Timeframe::Day);
    let highs = Indicator::rsi(2).on(Field::High);
    // A constant more changes no strength.
    let computed = Columns::compute(&history, &[Indicator::rsi(2), highs]);
    assert_eq!(bits(computed.get(highs)), bits(computed.get(Indicator::rsi(2))));
    // The stochastic oscillator of closes sees no highs and lows beyond them.
    let place = Indicator::WilliamsR { period: 3 }.on(Field::Close);
    let computed = Columns::compute(&history, &[place]);
    assert_eq!(computed.get(place)[2..5], [0.0, -100.0, 0.0]);
}

#[test]
fn equal_indicators_are_one_key_however_they_were_made() {
    let made = || {
        [
            Indicator::ema(9).on(Indicator::rsi(14)),
            Indicator::rsi(14).on(Field::Hlc3),
            Indicator::sma(50).at(Timeframe::Day),
            Indicator::sma(50).at(Timeframe::Week),
            Indicator::sma(50).each_session(),
            Indicator::bollinger(20, 2.0, Band::Upper),
            Indicator::bollinger(20, 2.5, Band::Upper),
            Indicator::own(Above { level: Factor::new(0.1) }),
            Indicator::own(Above { level: Factor::new(0.2) }),
            Indicator::correlation(20, Indicator::ema(9)),
        ]
    };
    assert_eq!(made(), made());
    let keys: HashSet<Indicator> = made().into_iter().chain(made()).collect();
    assert_eq!(keys.len(), made().len());
    assert_eq!(Factor::new(0.0), Factor::new(-0.0));
    assert_eq!(format!("{:?}", Factor::new(2.5)), "2.5");
    assert!(format!("{:?}", made()[0]).contains("Rsi"), "an indicator says what is inside it");
}

#[test]
fn values_of_the_calendar_are_those_of_the_calendar() {
    // A half day on the month's last session, with bars before and after it.
    let mut columns = support::Columns::default();
    let starts = ["13:30", "14:30", "17:25", "18:00", "18:05"].map(|t| utc(&format!("2024-11-29T{t}:00Z")));
    starts.iter().for_each(|start| columns.push(*start, [1.0, 1.0, 1.0, 1.0, 1.0]));
    let history = History::new(symbol("AMC"), columns.bars(Timeframe::FiveMinutes), Hours::All).expect("covered");
    let of =
        |history: &History<'_>, indicator: Indicator| Columns::compute(history, &[indicator]).get(indicator).to_vec();
    assert_eq!(of(&history, Indicator::MinuteOfSession), [-55.0, 5.0, 180.0, 215.0, 220.0]);
    assert_eq!(of(&history, Indicator::MinutesToClose), [265.0, 205.0, 30.0, -5.0, -10.0]);
    assert_eq!(of(&history, Indicator::DayOfWeek), [5.0; 5]);
    assert_eq!(of(&history, Indicator::DayOfMonth), [29.0; 5]);
    assert_eq!(of(&history, Indicator::Month), [11.0; 5]);
    assert_eq!(of(&history, Indicator::MonthEnd), [0.0, 0.0, 0.0, 1.0, 0.0]);
    let mut columns = support::Columns::default();
    let sessions = calendar::sessions(date("2024-11-27"), date("2024-12-02"));
    sessions.for_each(|s| columns.push(s.date.utc_midnight(), [1.0; 5]));
    let history = columns.history("AMC", Timeframe::Day);
    assert_eq!(of(&history, Indicator::MonthEnd), [0.0, 1.0, 0.0]);
    assert_eq!(of(&history, Indicator::MinuteOfSession), [390.0; 3]);
    assert_eq!(of(&history, Indicator::MinutesToClose), [0.0; 3]);
    assert_eq!(of(&history, Indicator::DayOfWeek), [3.0, 5.0, 1.0]);
}

#[test]
fn a_width_that_the_bars_dont_make_is_refused_and_unknown() {
    let daily = Indicator::sma(2).at(Timeframe::Day);
    for (indicator, width) in [
        (daily, Timeframe::Hour),
        (Indicator::ema(2).on(daily), Timeframe::Week),
        (Indicator::correlation(2, daily), Timeframe::Hour),
        (daily.each_session(), Timeframe::Hour),
        (Indicator::sma(2).at(Timeframe::Hour).at(Timeframe::Day), Timeframe::Day),
    ] {
        let error = indicator.check(width).expect_err("refused").to_string();
        assert!(error.contains(&format!("{width} bars don't make them")), "{error}");
    }
    assert!(daily.check(Timeframe::Day).is_ok() && daily.check(Timeframe::Minute).is_ok());
    let mut columns = support::Columns::default();
    (14..20).for_each(|hour| columns.push(utc(&format!("2024-07-02T{hour}:00:00Z")), [1.0; 5]));
    let history = columns.history("AMC", Timeframe::Hour);
    assert!(streamed(&history, daily).iter().all(|v| v.is_nan()));
    let strategy = Levels { indicator: daily, enter_above: 1.0, exit_below: 1.0, size: Size::Shares(1) };
    let refused = Backtest::new((symbol("AMC"), columns.bars(Timeframe::Hour)), strategy).run().expect_err("refused");
    assert!(refused.to_string().contains("1Hour bars don't make them"), "{refused}");
}

#[test]
fn a_warm_up_counts_what_is_inside() {
    let sma = Indicator::sma(10);
    assert_eq!(sma.period(Timeframe::Minute), 10);
    assert_eq!(sma.on(Indicator::rsi(14)).period(Timeframe::Minute), 23);
    assert_eq!(sma.at(Timeframe::Day).period(Timeframe::Minute), 11 * 390);
    assert_eq!(sma.at(Timeframe::Week).period(Timeframe::Day), 55);
    assert_eq!(Indicator::correlation(20, sma).period(Timeframe::Day), 29);
    assert_eq!(Indicator::rsi(14).on(sma).period(Timeframe::Day), 23);
}

/// Whether the close lies above a level: 1, else 0; nothing at a session's first bar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Above {
    level: Factor,
}

impl OwnIndicator for Above {
    const NAME: &'static str = "above";
    type State = Option<Session>;

    fn start(&self, _: Symbol) -> Option<Session> {
        None
    }

    fn next(&self, before: &mut Option<Session>, bar: &Bar, session: &Session) -> f64 {
        let is_first = before.replace(*session) != Some(*session);
        if is_first { f64::NAN } else { f64::from(u8::from(bar.close > self.level.get())) }
    }

    fn memory(&self) -> Memory {
        Memory::Session
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_indicator_of_ones_own_is_a_column_like_ours(minutes in sparse(Timeframe::FiveMinutes)) {
        let history = minutes.history("AMC", Timeframe::FiveMinutes);
        let own = Indicator::own(Above { level: Factor::new(140.0) });
        let all = [own, Indicator::sma(2).on(own), own.on(Indicator::ema(3)), own.at(Timeframe::Day), own.each_session()];
        let computed = Columns::compute(&history, &all);
        for indicator in all {
            prop_assert_eq!(bits(computed.get(indicator)), bits(&streamed(&history, indicator)));
        }
        let mut before = None;
        for ((bar, session), value) in bars(&history).iter().zip(computed.get(own)) {
            let expected = if before == Some(session.date) { f64::from(u8::from(bar.close > 140.0)) } else { f64::NAN };
            prop_assert_eq!(bits(&[*value]), bits(&[expected]));
            before = Some(session.date);
        }
        prop_assert_eq!(own.name(), "above");
        prop_assert_eq!(own.memory(), Memory::Session);
    }

    #[test]
    fn another_symbols_value_is_that_of_its_last_bar_by_then(
        columns in sparse(Timeframe::FiveMinutes),
        other in sparse(Timeframe::Minute),
        daily in days(),
    ) {
        let history = columns.history("AMC", Timeframe::FiveMinutes);
        let inner = Indicator::rsi(3);
        for other in [other.history("SPY", Timeframe::Minute), daily.history("SPY", Timeframe::Day)] {
            let theirs = Columns::compute(&other, &[inner]);
            let when: Vec<Nanos> = bars(&other).iter().map(|(bar, session)| known(bar, session)).collect();
            let as_of = inner.of_symbol(&other);
            prop_assert_eq!(as_of, inner.of_symbol(&other));
            let ours = Columns::compute(&history, &[as_of]);
            for ((bar, _), value) in bars(&history).iter().zip(ours.get(as_of)) {
                let count = when.partition_point(|at| *at <= bar.end);
                let expected = count.checked_sub(1).map_or(f64::NAN, |last| theirs.get(inner)[last]);
                prop_assert_eq!(bits(&[*value]), bits(&[expected]));
            }
            prop_assert_eq!(bits(ours.get(as_of)), bits(&streamed(&history, as_of)));
        }
    }

    #[test]
    fn correlation_and_beta_with_another_symbol_equal_ta_lib(
        ours in prop::collection::vec((50u8..150).prop_map(f64::from), 60),
        theirs in prop::collection::vec((50u8..150).prop_map(f64::from), 60),
        period in 2u32..12,
    ) {
        let of = |closes: &[f64]| {
            let mut columns = support::Columns::default();
            for (session, close) in calendar::sessions(date("2024-01-02"), date("2024-12-31")).zip(closes) {
                columns.push(session.date.utc_midnight(), [*close, *close, *close, *close, 1.0]);
            }
            columns
        };
        let (own, other) = (of(&ours), of(&theirs));
        let history = own.history("AMC", Timeframe::Day);
        let other = Indicator::value(Field::Close).of_symbol(&other.history("SPY", Timeframe::Day));
        let both = [Indicator::correlation(period, other), Indicator::beta(period, other)];
        let computed = Columns::compute(&history, &both);
        let ta = ta_lib::Core::new();
        let mut out = vec![0.0; 60];
        // Prices that stand still have neither; TA-Lib says 0.
        let agrees = |ours: f64, value: f64| {
            let size = value.abs().max(1.0);
            (ours.is_nan() && value == 0.0) || (ours - value).abs() <= 1e-9 * size * size
        };
        let range = ta.correl(0, 59, &ours, &theirs, period as i32, &mut out).expect("computed");
        for (k, value) in out[..range.count].iter().enumerate() {
            let ours = computed.get(both[0])[range.beg_idx + k];
            prop_assert!(agrees(ours, *value), "{} is not {}", ours, value);
        }
        let range = ta.beta(0, 59, &theirs, &ours, period as i32, &mut out).expect("computed");
        for (k, value) in out[..range.count].iter().enumerate() {
            let ours = computed.get(both[1])[range.beg_idx + k];
            prop_assert!(agrees(ours, *value), "{} is not {}", ours, value);
        }
        prop_assert!(computed.get(both[1])[..range.beg_idx].iter().all(|v| v.is_nan()));
    }
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let file = std::fs::File::create(path).expect("created");
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

fn times(texts: &[&str]) -> ArrayRef {
    let times: Vec<Nanos> = texts.iter().map(|text| utc(text)).collect();
    Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC"))
}

fn features() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("features.parquet");
    let time = times(&[
        "2024-07-02T14:00:00Z",
        "2024-07-02T13:35:00Z",
        "2024-07-02T13:36:00Z",
        "2024-07-02T13:36:00Z",
        "2024-07-03T00:00:00Z",
    ]);
    let symbols: ArrayRef = Arc::new(StringArray::from(vec!["AMC", "AMC", "AMC", "SPY", "SPY"]));
    let mood: ArrayRef = Arc::new(Float64Array::from(vec![Some(3.0), Some(1.0), None, Some(9.0), Some(8.0)]));
    let count: ArrayRef = Arc::new(Int64Array::from(vec![30, 10, 20, 90, 80]));
    write(&path, vec![("mood", mood), ("time", time), ("symbol", symbols), ("count", count)]);
    (folder, path)
}

#[test]
fn a_files_values_are_seen_once_they_are_known() {
    let (folder, path) = features();
    let features = Features::read(&path).expect("read");
    assert_eq!(features.names().collect::<Vec<_>>(), ["mood", "count"]);
    assert_eq!(features.symbols().collect::<Vec<_>>(), [symbol("AMC"), symbol("SPY")]);
    let [mood, count] = ["mood", "count"].map(|name| Indicator::from(features.column(name).expect("there")));
    let spys = Indicator::from(features.column_of(symbol("SPY"), "count").expect("there"));
    let open = utc("2024-07-02T13:30:00Z");
    let mut columns = support::Columns::default();
    [0, 4, 5, 6, 29, 30].iter().for_each(|i| columns.push(open + i * MINUTE, [1.0; 5]));
    let history = columns.history("AMC", Timeframe::Minute);
    let nothing = f64::NAN;
    // The bar from 13:34 ends when the first value is known; that from 13:59 when the last one is.
    let expected = [
        (mood, [nothing, 1.0, nothing, nothing, 3.0, 3.0]),
        (count, [nothing, 10.0, 20.0, 20.0, 30.0, 30.0]),
        (spys, [nothing, nothing, 90.0, 90.0, 90.0, 90.0]),
    ];
    for (indicator, expected) in expected {
        assert_eq!(bits(&streamed(&history, indicator)), bits(&expected));
        assert_eq!(bits(Columns::compute(&history, &[indicator]).get(indicator)), bits(&expected));
    }
    // A day is known at its session's close, before midnight.
    let mut columns = support::Columns::default();
    ["2024-07-01", "2024-07-02", "2024-07-03"].iter().for_each(|d| columns.push(date(d).utc_midnight(), [1.0; 5]));
    assert_eq!(bits(&streamed(&columns.history("SPY", Timeframe::Day), count)), bits(&[nothing, 90.0, 80.0]));
    assert!(streamed(&columns.history("BB", Timeframe::Day), count).iter().all(|v| v.is_nan()));
    // The same content is the same column, wherever it lies.
    let copy = folder.path().join("copy.parquet");
    std::fs::copy(&path, &copy).expect("copied");
    assert_eq!(Indicator::from(Features::read(&copy).expect("read").column("mood").expect("there")), mood);
    let error = features.column("moods").expect_err("no such column").to_string();
    assert!(error.contains("there are mood, count"), "{error}");
    assert!(Indicator::sma(2).on(mood).reads_other_data() && !Indicator::sma(2).reads_other_data());
}

#[test]
fn values_without_symbols_are_those_of_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fear.parquet");
    let fear: ArrayRef = Arc::new(Float64Array::from(vec![20.0, 30.0]));
    write(&path, vec![("timestamp", times(&["2024-07-01T12:00:00Z", "2024-07-02T12:00:00Z"])), ("fear", fear)]);
    let fear = Indicator::from(Features::read(&path).expect("read").column("fear").expect("there"));
    let mut columns = support::Columns::default();
    ["2024-07-01", "2024-07-02", "2024-07-03"].iter().for_each(|d| columns.push(date(d).utc_midnight(), [1.0; 5]));
    for name in ["AMC", "SPY"] {
        assert_eq!(streamed(&columns.history(name, Timeframe::Day), fear), [20.0, 30.0, 30.0]);
    }
}

#[test]
fn a_file_that_holds_no_features_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let numbers = || -> ArrayRef { Arc::new(Float64Array::from(vec![1.0, 2.0])) };
    let texts = || -> ArrayRef { Arc::new(StringArray::from(vec!["AMC", "AMC"])) };
    let time = || times(&["2024-07-01T12:00:00Z", "2024-07-02T12:00:00Z"]);
    let twice = || times(&["2024-07-01T12:00:00Z", "2024-07-01T12:00:00Z"]);
    let cases: [(&str, Vec<(&str, ArrayRef)>); 5] = [
        ("no column `time`", vec![("symbol", texts()), ("x", numbers())]),
        ("not a timestamp", vec![("time", numbers()), ("x", numbers())]),
        ("not a number", vec![("time", time()), ("x", texts())]),
        (
            "is not a symbol",
            vec![("time", time()), ("symbol", Arc::new(StringArray::from(vec!["?!", "AMC"]))), ("x", numbers())],
        ),
        ("two rows of 2024-07-01T12:00:00Z", vec![("time", twice()), ("symbol", texts()), ("x", numbers())]),
    ];
    for (i, (what, columns)) in cases.into_iter().enumerate() {
        let path = folder.path().join(format!("{i}.parquet"));
        write(&path, columns);
        let error = Features::read(&path).expect_err("refused").to_string();
        assert!(error.contains(what) && error.contains(".parquet"), "{error}");
    }
    let path = folder.path().join("text.parquet");
    std::fs::write(&path, "not Parquet at all").expect("written");
    assert!(Features::read(&path).is_err() && Features::read(&folder.path().join("absent.parquet")).is_err());
}

#[test]
fn what_runs_bar_by_bar_refuses_what_it_cant_supply() {
    let (_folder, path) = features();
    let mood = Indicator::from(Features::read(&path).expect("read").column("mood").expect("there"));
    let mut columns = support::Columns::default();
    ["2024-07-01", "2024-07-02"].iter().for_each(|d| columns.push(date(d).utc_midnight(), [1.0; 5]));
    let spy = Indicator::sma(1).of_symbol(&columns.history("SPY", Timeframe::Day));
    for indicator in [mood, spy, Indicator::rsi(2).on(mood), Indicator::correlation(5, spy), spy.at(Timeframe::Week)] {
        let levels = Levels { indicator, enter_above: 1.0, exit_below: 0.0, size: Size::Shares(1) };
        let refused = Runner::new([(symbol("AMC"), levels)]).err().expect("refused").to_string();
        assert!(refused.contains("from a file or from another symbol's bars"), "{refused}");
        // A replay has them.
        let replayed = Backtest::new((symbol("AMC"), columns.bars(Timeframe::Day)), levels).run();
        assert!(replayed.is_ok());
    }
    let plain = Indicator::supertrend(3, 2.0, Supertrend::Line).on(Field::Hl2);
    let plain = Indicator::Average { field: Field::of(plain), period: 2, smoothing: Smoothing::Wilder };
    let levels = Levels { indicator: plain, enter_above: 1.0, exit_below: 0.0, size: Size::Shares(1) };
    assert!(Runner::new([(symbol("AMC"), levels)]).is_ok());
}
