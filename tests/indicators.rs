//! Every indicator equals its definition, its stream, and TA-Lib where that defines the same.

use magellan::bar::{Bar, Timeframe};
use magellan::history::History;
use magellan::indicator::{Columns, Field, Indicator, Memory, Smoothing};
use proptest::prelude::*;

use crate::support;

const FIELD: Field = Field::Close;

fn all(period: u32) -> Vec<Indicator> {
    let memories = [Memory::Continuous, Memory::Session];
    let smoothings = [Smoothing::Span, Smoothing::Wilder];
    let mut all = vec![
        Indicator::Lag { field: FIELD, bars: period },
        Indicator::Mean { field: FIELD, period },
        Indicator::Min { field: Field::Low, period },
        Indicator::Max { field: Field::High, period },
        Indicator::Std { field: FIELD, period },
        Indicator::AtrWilder { period },
        Indicator::SessionBars,
        Indicator::SessionOpen,
        Indicator::SessionChange,
        Indicator::SessionLow,
        Indicator::SessionLowBefore,
        Indicator::SessionHigh,
        Indicator::LowerWick,
        Indicator::Body,
    ];
    all.extend(smoothings.map(|smoothing| Indicator::Average { field: FIELD, period, smoothing }));
    all.extend(smoothings.map(|smoothing| Indicator::Rsi { period, smoothing }));
    all.extend(memories.map(|memory| Indicator::TrueRange { memory }));
    all.extend(memories.map(|memory| Indicator::Atr { period, memory }));
    all.extend(memories.map(|memory| Indicator::VolumeRatio { period, memory }));
    all
}

/// Random walks over three hourly sessions a side of a half day, with flat and zero-range bars.
fn walk() -> impl Strategy<Value = support::Columns> {
    let step = prop_oneof![4 => -300i32..300, 1 => Just(0)];
    let bar = (step.clone(), step, 0u32..200, 0u32..200, 0u32..50);
    prop::collection::vec(bar, 30..160).prop_map(|steps| {
        let mut columns = support::Columns::default();
        let mut price = 10_000i32;
        let sessions = magellan::calendar::sessions(support::date("2024-11-20"), support::date("2025-01-20"));
        let starts =
            sessions.flat_map(|s| (0..3).map(move |h| s.open + (h + 1) * 1_800_000_000_000 * 2 - 1_800_000_000_000));
        for ((gap, step, up, down, volume), start) in steps.into_iter().zip(starts) {
            let open = (price + gap).max(1_000);
            let close = (open + step).max(1_000);
            price = close;
            let (high, low) = (open.max(close) + up as i32, (open.min(close) - down as i32).max(1));
            columns.push(start, [open, high, low, close, volume as i32 * 100].map(|v| f64::from(v) / 100.0));
        }
        columns
    })
}

fn bars(history: &History<'_>) -> Vec<(Bar, usize)> {
    let sessions = history.sessions().iter().enumerate();
    sessions
        .flat_map(|(day, s)| {
            let bars = history.session_bars(s);
            (0..bars.len()).map(move |i| (bars.get(i), day))
        })
        .collect()
}

/// The definition, from the whole past of bar `i`, as plainly as it can be written.
fn brute_force(indicator: Indicator, bars: &[(Bar, usize)], i: usize) -> f64 {
    let of = |field: Field, k: usize| {
        let b = &bars[k].0;
        match field {
            Field::Open => b.open,
            Field::High => b.high,
            Field::Low => b.low,
            Field::Close => b.close,
            Field::Volume => b.volume,
        }
    };
    let window = |field, period: u32, first: usize| -> Option<Vec<f64>> {
        let n = period as usize;
        (i + 1 >= first + n).then(|| (i + 1 - n..=i).map(|k| of(field, k)).collect())
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let session_start = bars[..=i].iter().position(|b| b.1 == bars[i].1).unwrap_or(0);
    let since = |memory| if memory == Memory::Session { session_start } else { 0 };
    let range = |k: usize, first: usize| {
        let b = &bars[k].0;
        if k == first {
            return b.high - b.low;
        }
        let before = bars[k - 1].0.close;
        (b.high - b.low).max((b.high - before).abs()).max((b.low - before).abs())
    };
    let exponential = |values: &[f64], period: u32, smoothing| -> f64 {
        let n = period as usize;
        let (weight, seed) = match smoothing {
            Smoothing::Span => (2.0 / (n as f64 + 1.0), 1),
            Smoothing::Wilder => (1.0 / n as f64, n),
        };
        if values.len() < seed {
            return f64::NAN;
        }
        values[seed..].iter().fold(mean(&values[..seed]), |avg, v| weight * v + (1.0 - weight) * avg)
    };
    let b = &bars[i].0;
    let session = &bars[session_start..=i];
    match indicator {
        Indicator::SessionLastClose(_) => unreachable!("it looks ahead, and only the gate's self-test names it"),
        Indicator::Lag { field, bars: lag } => i.checked_sub(lag as usize).map_or(f64::NAN, |k| of(field, k)),
        Indicator::Mean { field, period } => window(field, period, 0).map_or(f64::NAN, |w| mean(&w)),
        Indicator::Min { field, period } => {
            window(field, period, 0).map_or(f64::NAN, |w| w.into_iter().fold(f64::INFINITY, f64::min))
        }
        Indicator::Max { field, period } => {
            window(field, period, 0).map_or(f64::NAN, |w| w.into_iter().fold(f64::NEG_INFINITY, f64::max))
        }
        Indicator::Std { field, period } => window(field, period, 0).map_or(f64::NAN, |w| {
            let centre = mean(&w);
            mean(&w.iter().map(|v| (v - centre).powi(2)).collect::<Vec<_>>()).sqrt()
        }),
        Indicator::Average { field, period, smoothing } => {
            exponential(&(0..=i).map(|k| of(field, k)).collect::<Vec<_>>(), period, smoothing)
        }
        Indicator::Rsi { period, smoothing } => {
            let mut changes: Vec<f64> = (1..=i).map(|k| bars[k].0.close - bars[k - 1].0.close).collect();
            if smoothing == Smoothing::Span {
                changes.insert(0, 0.0);
            }
            let gain = exponential(&changes.iter().map(|c| c.max(0.0)).collect::<Vec<_>>(), period, smoothing);
            let loss = exponential(&changes.iter().map(|c| (-c).max(0.0)).collect::<Vec<_>>(), period, smoothing);
            if gain == 0.0 {
                0.0
            } else if loss == 0.0 {
                100.0
            } else {
                100.0 - 100.0 / (1.0 + gain / loss)
            }
        }
        Indicator::TrueRange { memory } => range(i, since(memory)),
        Indicator::Atr { period, memory } => {
            let first = since(memory);
            let n = period as usize;
            if i + 1 < first + n {
                return f64::NAN;
            }
            mean(&(i + 1 - n..=i).map(|k| range(k, first)).collect::<Vec<_>>())
        }
        Indicator::AtrWilder { period } => {
            exponential(&(1..=i).map(|k| range(k, 0)).collect::<Vec<_>>(), period, Smoothing::Wilder)
        }
        Indicator::SessionBars => session.len() as f64,
        Indicator::SessionOpen => session[0].0.open,
        Indicator::SessionChange => {
            (session[session.len() - 1].0.close - session[0].0.open) / session[0].0.open * 100.0
        }
        Indicator::SessionLow => session.iter().map(|b| b.0.low).fold(f64::INFINITY, f64::min),
        Indicator::SessionLowBefore => {
            let before = &session[..session.len() - 1];
            before.iter().map(|b| b.0.low).reduce(f64::min).unwrap_or(f64::NAN)
        }
        Indicator::SessionHigh => session.iter().map(|b| b.0.high).fold(f64::NEG_INFINITY, f64::max),
        Indicator::LowerWick if b.high == b.low => 0.0,
        Indicator::LowerWick => (b.open.min(b.close) - b.low) / (b.high - b.low),
        Indicator::Body if b.high == b.low => 0.0,
        Indicator::Body => (b.close - b.open).abs() / (b.high - b.low),
        Indicator::VolumeRatio { period, memory } => {
            window(Field::Volume, period, since(memory)).map_or(f64::NAN, |w| b.volume / mean(&w))
        }
    }
}

/// A TA-Lib function that fills a column.
type Oracle<'a> = dyn Fn(&mut [f64]) -> Result<ta_lib::OutRange, ta_lib::RetCode> + 'a;

fn close_enough(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_indicator_equals_its_definition(columns in walk(), period in 1u32..12) {
        let history = columns.history("AMC", Timeframe::Hour);
        let bars = bars(&history);
        let indicators = all(period);
        let computed = Columns::compute(&history, &indicators);
        for indicator in indicators {
            for (i, value) in computed.get(indicator).iter().enumerate() {
                let expected = brute_force(indicator, &bars, i);
                prop_assert!(close_enough(*value, expected), "{indicator:?} bar {i}: {value} is not {expected}");
            }
        }
    }

    #[test]
    fn column_and_stream_are_the_same_bits(columns in walk(), period in 1u32..12) {
        let history = columns.history("AMC", Timeframe::Hour);
        let indicators = all(period);
        let computed = Columns::compute(&history, &indicators);
        for indicator in indicators {
            let mut rolling = indicator.start();
            let mut stream = Vec::new();
            for session in history.sessions() {
                let bars = history.session_bars(session);
                stream.extend((0..bars.len()).map(|i| rolling.next(&bars.get(i), &session.session).to_bits()));
            }
            let column: Vec<u64> = computed.get(indicator).iter().map(|v| v.to_bits()).collect();
            prop_assert_eq!(column, stream, "{:?}", indicator);
        }
    }

    #[test]
    fn an_indicator_equals_ta_lib_where_that_defines_the_same(columns in walk(), period in 2u32..12) {
        let history = columns.history("AMC", Timeframe::Hour);
        let ta = ta_lib::Core::new();
        let [_, high, low, close, _] = &columns.ohlcv;
        let (end, n) = (close.len() - 1, period as i32);
        let cases: [(Indicator, &Oracle<'_>); 7] = [
            (Indicator::sma(period), &|out| ta.sma(0, end, close, n, out)),
            (Indicator::Min { field: FIELD, period }, &|out| ta.min(0, end, close, n, out)),
            (Indicator::Max { field: FIELD, period }, &|out| ta.max(0, end, close, n, out)),
            (Indicator::Std { field: FIELD, period }, &|out| ta.stddev(0, end, close, n, 1.0, out)),
            (Indicator::Rsi { period, smoothing: Smoothing::Wilder }, &|out| ta.rsi(0, end, close, n, out)),
            (Indicator::AtrWilder { period }, &|out| ta.atr(0, end, high, low, close, n, out)),
            (Indicator::TrueRange { memory: Memory::Continuous }, &|out| ta.trange(0, end, high, low, close, out)),
        ];
        for (indicator, oracle) in cases {
            let computed = Columns::compute(&history, &[indicator]);
            let ours = computed.get(indicator);
            let mut theirs = vec![0.0; close.len()];
            let range = oracle(&mut theirs).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
            prop_assert!(range.count > 0);
            for (k, value) in theirs[..range.count].iter().enumerate() {
                // Before the first move there is neither gain nor loss: TA-Lib calls that 50, Magellan 0.
                let unmoved = close[..=range.beg_idx + k].windows(2).all(|w| w[0] == w[1]);
                if unmoved && matches!(indicator, Indicator::Rsi { .. }) {
                    continue;
                }
                let ours = ours[range.beg_idx + k];
                // TA-Lib's deviation is a difference of squares: it is rounder near zero.
                let slack = if matches!(indicator, Indicator::Std { .. }) { 1e-4 } else { 1e-9 };
                prop_assert!((ours - value).abs() <= slack * value.abs().max(1.0), "{indicator:?}: {ours} is not {value}");
            }
        }
    }
}
