//! Every indicator equals its definition, its stream, and TA-Lib where that defines the same.

use magellan::bar::{Bar, Timeframe};
use magellan::history::History;
use magellan::indicator::{
    Aroon, Band, Columns, Directional, Field, Indicator, Macd, Memory, Regression, Smoothing, Stochastic, Supertrend,
};
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

const BANDS: [Band; 3] = [Band::Upper, Band::Middle, Band::Lower];
const MACD: [Macd; 3] = [Macd::Line, Macd::Signal, Macd::Histogram];
const DIRECTIONAL: [Directional; 4] = [Directional::Plus, Directional::Minus, Directional::Index, Directional::Average];
const AROON: [Aroon; 3] = [Aroon::Up, Aroon::Down, Aroon::Oscillator];

/// Those of the last values alone.
fn windowed(period: u32) -> Vec<Indicator> {
    let (field, with) = (FIELD, Field::Open);
    let mut all = vec![
        Indicator::value(Field::Hl2),
        Indicator::value(Field::Hlc3),
        Indicator::value(Field::Ohlc4),
        Indicator::Sum { field: Field::Volume, period },
        Indicator::Median { field, period },
        Indicator::wma(period),
        Indicator::Cci { period },
        Indicator::WilliamsR { period },
        Indicator::roc(period),
        Indicator::Obv,
        Indicator::Mfi { period },
        Indicator::Vwap,
        Indicator::z_score(period),
        Indicator::percent_rank(period),
        Indicator::Correlation { field, with, period },
        Indicator::Beta { field, with, period },
    ];
    all.extend(BANDS.map(|band| Indicator::bollinger(period, 2.0, band)));
    all.extend(BANDS.map(|band| Indicator::Donchian { period, band }));
    all.extend(AROON.map(|output| Indicator::Aroon { period, output }));
    all.extend([Regression::Value, Regression::Slope].map(|output| Indicator::regression(period, output)));
    let stochastic = |output| Indicator::Stochastic { period, smooth: 2, signal: 3, output };
    all.extend([Stochastic::K, Stochastic::D].map(stochastic));
    all
}

/// Those that remember more, and those of the calendar.
fn recursive(period: u32) -> Vec<Indicator> {
    let mut all = vec![
        Indicator::dema(period),
        Indicator::tema(period),
        Indicator::kama(period),
        Indicator::psar(0.02, 0.2),
        Indicator::supertrend(period, 3.0, Supertrend::Line),
        Indicator::supertrend(period, 3.0, Supertrend::Direction),
        Indicator::MinuteOfSession,
        Indicator::MinutesToClose,
        Indicator::DayOfWeek,
        Indicator::DayOfMonth,
        Indicator::Month,
        Indicator::MonthEnd,
    ];
    all.extend(MACD.map(|output| Indicator::macd(period, 2 * period, period, output)));
    all.extend(BANDS.map(|band| Indicator::keltner(period, period + 1, 2.0, band)));
    all.extend(DIRECTIONAL.map(|output| Indicator::Directional { period, output }));
    all
}

/// Each in another one, in a session and of coarser bars.
fn composed(period: u32) -> Vec<Indicator> {
    let plain: Vec<Indicator> = [all(period), windowed(period), recursive(period)].concat();
    let own = |i: Indicator| [i.each_session(), i.at(Timeframe::Day), i.at(Timeframe::Week), i.on(Field::Open)];
    let of_ratio = |i: Indicator| i.on(Indicator::VolumeRatio { period: 2, memory: Memory::Session });
    let mut all: Vec<Indicator> = plain.iter().flat_map(|i| own(*i)).collect();
    all.extend(plain.iter().map(|i| i.on(Indicator::rsi(period))));
    all.extend(plain.iter().map(|i| of_ratio(*i)));
    all.extend(plain.iter().map(|i| Indicator::ema(3).on(*i)));
    all.extend(plain.iter().map(|i| Indicator::wma(2).on(Indicator::Max { field: FIELD, period: 3 }.on(*i))));
    all.extend(plain.iter().map(|i| Indicator::correlation(period, *i)));
    all
}

/// Random walks over three hourly sessions a side of a half day, with flat and zero-range bars.
fn walk() -> impl Strategy<Value = support::Columns> {
    walk_of(30..160, 0)
}

/// As long as it takes for averages to forget where they began. Prices are whole cents and up to `dust` millionths of one.
fn walk_of(bars: std::ops::Range<usize>, dust: u32) -> impl Strategy<Value = support::Columns> {
    let step = prop_oneof![4 => -300i32..300, 1 => Just(0)];
    let bar = (step.clone(), step, 0u32..200, 0u32..200, 0u32..50, 0..=dust);
    prop::collection::vec(bar, bars).prop_map(|steps| {
        let mut columns = support::Columns::default();
        let mut price = 10_000i32;
        let sessions = magellan::calendar::sessions(support::date("2024-11-20"), support::date("2026-01-20"));
        let starts =
            sessions.flat_map(|s| (0..3).map(move |h| s.open + (h + 1) * 1_800_000_000_000 * 2 - 1_800_000_000_000));
        for ((gap, step, up, down, volume, dust), start) in steps.into_iter().zip(starts) {
            let open = (price + gap).max(1_000);
            let close = (open + step).max(1_000);
            price = close;
            let (high, low) = (open.max(close) + up as i32, (open.min(close) - down as i32).max(1));
            let [open, close, volume] = [open, close, volume as i32 * 100].map(|v| f64::from(v) / 100.0);
            let dust = f64::from(dust) / 1e8;
            columns.push(start, [open, f64::from(high) / 100.0 + dust, f64::from(low) / 100.0 - dust, close, volume]);
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
            Field::Hl2 => (b.high + b.low) / 2.0,
            Field::Hlc3 => (b.high + b.low + b.close) / 3.0,
            Field::Ohlc4 => (b.open + b.high + b.low + b.close) / 4.0,
            Field::Of(inner) => unreachable!("{inner:?} isn't in a bar"),
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
        _ => of_last_values(indicator, bars, i, session_start),
    }
}

/// As [`brute_force`], of those that came later.
fn of_last_values(indicator: Indicator, bars: &[(Bar, usize)], i: usize, session_start: usize) -> f64 {
    let typical = |b: &Bar| (b.high + b.low + b.close) / 3.0;
    let column = |of: &dyn Fn(&Bar) -> f64, first: usize| bars[first..=i].iter().map(|b| of(&b.0)).collect::<Vec<_>>();
    let last = |of: &dyn Fn(&Bar) -> f64, n: u32| (i + 1 >= n as usize).then(|| column(of, i + 1 - n as usize));
    let close = |b: &Bar| b.close;
    let mean = |w: &[f64]| w.iter().sum::<f64>() / w.len() as f64;
    let deviation = |w: &[f64]| mean(&w.iter().map(|v| (v - mean(w)).powi(2)).collect::<Vec<_>>()).sqrt();
    let highest = |w: &[f64]| w.iter().copied().fold(f64::MIN, f64::max);
    let lowest = |w: &[f64]| w.iter().copied().fold(f64::MAX, f64::min);
    let is_flat = |w: &[f64]| highest(w) - lowest(w) < 1e-12;
    let low = |n| last(&|b| b.low, n).map_or(f64::NAN, |w| lowest(&w));
    let high = |n| last(&|b| b.high, n).map_or(f64::NAN, |w| highest(&w));
    let place = |k: usize, n: u32| {
        let Some(first) = (k + 1).checked_sub(n as usize) else { return f64::NAN };
        let range = &bars[first..=k];
        let low = range.iter().map(|b| b.0.low).fold(f64::MAX, f64::min);
        let high = range.iter().map(|b| b.0.high).fold(f64::MIN, f64::max);
        if high == low { 0.0 } else { (bars[k].0.close - low) / (high - low) * 100.0 }
    };
    let smooth =
        |k: usize, n: u32, smooth: u32| mean(&(0..smooth as usize).map(|s| place(k - s, n)).collect::<Vec<_>>());
    let returns = |w: &[f64]| w.windows(2).map(|p| p[1] / p[0] - 1.0).collect::<Vec<_>>();
    let covariance =
        |a: &[f64], b: &[f64]| mean(&a.iter().zip(b).map(|(x, y)| (x - mean(a)) * (y - mean(b))).collect::<Vec<_>>());
    let open = |b: &Bar| b.open;
    let n = f64::from(indicator.period(Timeframe::Hour) as u32);
    match indicator {
        Indicator::Sum { period, .. } => last(&|b| b.volume, period).map_or(f64::NAN, |w| w.iter().sum()),
        Indicator::Median { period, .. } => last(&close, period).map_or(f64::NAN, |mut w| {
            w.sort_by(f64::total_cmp);
            (w[(w.len() - 1) / 2] + w[w.len() / 2]) / 2.0
        }),
        Indicator::Weighted { period, .. } => last(&close, period).map_or(f64::NAN, |w| {
            let weights = (1..=w.len()).map(|k| k as f64);
            weights.clone().zip(&w).map(|(weight, v)| weight * v).sum::<f64>() / weights.sum::<f64>()
        }),
        Indicator::Cci { period } => last(&typical, period).map_or(f64::NAN, |w| {
            let spread = mean(&w.iter().map(|v| (v - mean(&w)).abs()).collect::<Vec<_>>());
            if is_flat(&w) { 0.0 } else { (w[w.len() - 1] - mean(&w)) / (0.015 * spread) }
        }),
        Indicator::WilliamsR { period } if high(period) == low(period) => 0.0,
        Indicator::WilliamsR { period } => (high(period) - bars[i].0.close) / (high(period) - low(period)) * -100.0,
        Indicator::Roc { period, .. } => {
            last(&close, period + 1).map_or(f64::NAN, |w| 100.0 * (w[w.len() - 1] - w[0]) / w[0])
        }
        Indicator::Obv => (0..=i).fold(0.0, |sum, k| match k {
            0 => bars[0].0.volume,
            _ if bars[k].0.close == bars[k - 1].0.close => sum,
            _ => sum + bars[k].0.volume * (bars[k].0.close - bars[k - 1].0.close).signum(),
        }),
        Indicator::Mfi { period } if i < period as usize => f64::NAN,
        Indicator::Mfi { period } => {
            let flow = |k: usize, sign: f64| {
                let change = typical(&bars[k].0) - typical(&bars[k - 1].0);
                if change * sign > 1e-9 { typical(&bars[k].0) * bars[k].0.volume } else { 0.0 }
            };
            let sum = |sign| (i + 1 - period as usize..=i).map(|k| flow(k, sign)).sum::<f64>();
            if sum(1.0) + sum(-1.0) == 0.0 { 0.0 } else { 100.0 - 100.0 / (1.0 + sum(1.0) / sum(-1.0)) }
        }
        Indicator::Vwap => {
            let money = column(&|b| typical(b) * b.volume, session_start).iter().sum::<f64>();
            money / column(&|b| b.volume, session_start).iter().sum::<f64>()
        }
        Indicator::ZScore { period, .. } => last(&close, period)
            .filter(|w| !is_flat(w))
            .map_or(f64::NAN, |w| (w[w.len() - 1] - mean(&w)) / deviation(&w)),
        Indicator::PercentRank { period, .. } => last(&close, period + 1).map_or(f64::NAN, |w| {
            let before = &w[..w.len() - 1];
            before.iter().filter(|v| **v <= w[w.len() - 1]).count() as f64 / f64::from(period) * 100.0
        }),
        Indicator::Correlation { period, .. } => match (last(&close, period), last(&open, period)) {
            (Some(a), Some(b)) if !is_flat(&a) && !is_flat(&b) => covariance(&a, &b) / (deviation(&a) * deviation(&b)),
            _ => f64::NAN,
        },
        Indicator::Beta { period, .. } => match (last(&close, period + 1), last(&open, period + 1)) {
            (Some(a), Some(b)) if !is_flat(&returns(&b)) => {
                let (a, b) = (returns(&a), returns(&b));
                covariance(&a, &b) / covariance(&b, &b)
            }
            _ => f64::NAN,
        },
        Indicator::Bollinger { period, band, .. } => last(&close, period).map_or(f64::NAN, |w| match band {
            Band::Upper => mean(&w) + 2.0 * deviation(&w),
            Band::Middle => mean(&w),
            Band::Lower => mean(&w) - 2.0 * deviation(&w),
        }),
        Indicator::Donchian { period, band: Band::Upper } => high(period),
        Indicator::Donchian { period, band: Band::Middle } => (high(period) + low(period)) / 2.0,
        Indicator::Donchian { period, band: Band::Lower } => low(period),
        Indicator::Aroon { period, output } => {
            let age = |of: &dyn Fn(&Bar) -> f64| {
                let w = last(of, period + 1)?;
                (0..w.len()).rev().find(|k| w[*k] == highest(&w)).map(|k| w.len() - 1 - k)
            };
            let of = |age: Option<usize>| age.map_or(f64::NAN, |age| 100.0 - 100.0 * age as f64 / (n - 1.0));
            let (up, down) = (of(age(&|b| b.high)), of(age(&|b| -b.low)));
            match output {
                Aroon::Up => up,
                Aroon::Down => down,
                Aroon::Oscillator => up - down,
            }
        }
        Indicator::Regression { period: 1, .. } => f64::NAN,
        Indicator::Regression { period, output, .. } => last(&close, period).map_or(f64::NAN, |w| {
            let bars: Vec<f64> = (0..w.len()).map(|k| k as f64).collect();
            let slope = covariance(&bars, &w) / covariance(&bars, &bars);
            if output == Regression::Slope { slope } else { mean(&w) + slope * (n - 1.0) / 2.0 }
        }),
        Indicator::Stochastic { period, smooth: s, signal, output } => {
            let signal = if output == Stochastic::K { 1 } else { signal };
            if i + 3 < (period + s + signal) as usize {
                return f64::NAN;
            }
            mean(&(0..signal as usize).map(|k| smooth(i - k, period, s)).collect::<Vec<_>>())
        }
        other => unreachable!("{other:?} is held to TA-Lib or to a fixture"),
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
        let indicators = [all(period), windowed(period)].concat();
        let computed = Columns::compute(&history, &indicators);
        for indicator in indicators {
            for (i, value) in computed.get(indicator).iter().enumerate() {
                let expected = brute_force(indicator, &bars, i);
                let is_near = close_enough(*value, expected) || (value - expected).abs() <= rounding(indicator, expected);
                prop_assert!(is_near, "{indicator:?} bar {i}: {value} is not {expected}");
            }
        }
    }

    #[test]
    fn column_and_stream_are_the_same_bits(columns in walk(), period in 1u32..12) {
        let history = columns.history("AMC", Timeframe::Hour);
        let indicators = [all(period), windowed(period), recursive(period), composed(period)].concat();
        let computed = Columns::compute(&history, &indicators);
        for indicator in indicators {
            let mut rolling = indicator.start(history.symbol);
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

/// What rounding may leave between two ways to the same value.
fn rounding(indicator: Indicator, value: f64) -> f64 {
    match indicator {
        // The definition's returns are small differences of large numbers.
        Indicator::Beta { .. } => 1e-6 * squared(value),
        // Differences over a spread that may be a cent.
        Indicator::Cci { .. }
        | Indicator::ZScore { .. }
        | Indicator::Correlation { .. }
        | Indicator::Regression { .. } => 1e-9,
        _ => 0.0,
    }
}

/// At least 1.
fn squared(value: f64) -> f64 {
    (value * value).max(1.0)
}

/// What TA-Lib calls 0 for want of a spread is unknown here.
fn is_undefined(indicator: Indicator) -> bool {
    matches!(indicator, Indicator::Correlation { .. } | Indicator::Beta { .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_usual_set_equals_ta_lib(columns in walk_of(420..500, 0), dusty in walk_of(420..500, 1_000_000), period in 2u32..9) {
        let history = columns.history("AMC", Timeframe::Hour);
        let ta = ta_lib::Core::new();
        let [open, high, low, close, volume] = &columns.ohlcv;
        let (end, n) = (close.len() - 1, period as i32);
        let spare = || vec![0.0; close.len()];
        let wide = |output| Indicator::macd(period, 2 * period, period, output);
        let bands = |band| Indicator::bollinger(period, 2.5, band);
        let stochastic = |output| Indicator::Stochastic { period, smooth: 3, signal: 2, output };
        let line = |output| Indicator::regression(period, output);
        let sma = ta_lib::MAType::SMA;
        let pair = (FIELD, Field::Open);
        // With the first bar from which they must agree: averages forget where they began.
        let cases: [(Indicator, usize, &Oracle<'_>); 27] = [
            (Indicator::wma(period), 0, &|out| ta.wma(0, end, close, n, out)),
            (Indicator::ema(period), 300, &|out| ta.ema(0, end, close, n, out)),
            (Indicator::dema(period), 300, &|out| ta.dema(0, end, close, n, out)),
            (Indicator::tema(period), 300, &|out| ta.tema(0, end, close, n, out)),
            (Indicator::kama(period), 0, &|out| ta.kama(0, end, close, n, out)),
            (wide(Macd::Line), 300, &|out| ta.macd(0, end, close, n, 2 * n, n, out, &mut spare(), &mut spare())),
            (wide(Macd::Signal), 300, &|out| ta.macd(0, end, close, n, 2 * n, n, &mut spare(), out, &mut spare())),
            (wide(Macd::Histogram), 300, &|out| ta.macd(0, end, close, n, 2 * n, n, &mut spare(), &mut spare(), out)),
            (bands(Band::Upper), 0, &|out| ta.bbands(0, end, close, n, 2.5, 2.5, sma, out, &mut spare(), &mut spare())),
            (bands(Band::Middle), 0, &|out| ta.bbands(0, end, close, n, 2.5, 2.5, sma, &mut spare(), out, &mut spare())),
            (bands(Band::Lower), 0, &|out| ta.bbands(0, end, close, n, 2.5, 2.5, sma, &mut spare(), &mut spare(), out)),
            (Indicator::Directional { period, output: Directional::Plus }, 300, &|out| ta.plus_di(0, end, high, low, close, n, out)),
            (Indicator::Directional { period, output: Directional::Minus }, 300, &|out| ta.minus_di(0, end, high, low, close, n, out)),
            (Indicator::Directional { period, output: Directional::Index }, 300, &|out| ta.dx(0, end, high, low, close, n, out)),
            (Indicator::adx(period), 350, &|out| ta.adx(0, end, high, low, close, n, out)),
            (Indicator::Aroon { period, output: Aroon::Up }, 0, &|out| ta.aroon(0, end, high, low, n, &mut spare(), out)),
            (Indicator::Aroon { period, output: Aroon::Down }, 0, &|out| ta.aroon(0, end, high, low, n, out, &mut spare())),
            (Indicator::Aroon { period, output: Aroon::Oscillator }, 0, &|out| ta.aroonosc(0, end, high, low, n, out)),
            (Indicator::Cci { period }, 0, &|out| ta.cci(0, end, high, low, close, n, out)),
            (stochastic(Stochastic::K), 0, &|out| ta.stoch(0, end, high, low, close, n, 3, sma, 2, sma, out, &mut spare())),
            (stochastic(Stochastic::D), 0, &|out| ta.stoch(0, end, high, low, close, n, 3, sma, 2, sma, &mut spare(), out)),
            (Indicator::WilliamsR { period }, 0, &|out| ta.willr(0, end, high, low, close, n, out)),
            (Indicator::roc(period), 0, &|out| ta.roc(0, end, close, n, out)),
            (Indicator::Obv, 0, &|out| ta.obv(0, end, close, volume, out)),
            (Indicator::Mfi { period }, 0, &|out| ta.mfi(0, end, high, low, close, volume, n, out)),
            (line(Regression::Value), 0, &|out| ta.linearreg(0, end, close, n, out)),
            (line(Regression::Slope), 0, &|out| ta.linearreg_slope(0, end, close, n, out)),
        ];
        let beside: [(Indicator, usize, &Oracle<'_>); 2] = [
            (Indicator::Correlation { field: pair.0, with: pair.1, period }, 0, &|out| ta.correl(0, end, close, open, n, out)),
            (Indicator::Beta { field: pair.0, with: pair.1, period }, 0, &|out| ta.beta(0, end, open, close, n, out)),
        ];
        for (indicator, from, oracle) in cases.into_iter().chain(beside) {
            agree(&history, indicator, from, oracle)?;
        }
        // TA-Lib's parabolic fuses its arithmetic: on whole cents it may turn where ours is a rounding away from it.
        let [_, high, low, close, _] = &dusty.ohlcv;
        let history = dusty.history("AMC", Timeframe::Hour);
        let end = close.len() - 1;
        agree(&history, Indicator::psar(0.02, 0.2), 0, &|out| ta.sar(0, end, high, low, 0.02, 0.2, out))?;
        agree(&history, Indicator::psar(0.3, 0.1), 0, &|out| ta.sar(0, end, high, low, 0.3, 0.1, out))?;
    }
}

/// Whether an indicator has TA-Lib's values from bar `from` on.
fn agree(history: &History<'_>, indicator: Indicator, from: usize, oracle: &Oracle<'_>) -> Result<(), TestCaseError> {
    let computed = Columns::compute(history, &[indicator]);
    let ours = computed.get(indicator);
    let mut theirs = vec![0.0; ours.len()];
    let range = oracle(&mut theirs).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
    prop_assert!(range.count > 0);
    for (k, value) in theirs[..range.count].iter().enumerate().skip(from.saturating_sub(range.beg_idx)) {
        let ours = ours[range.beg_idx + k];
        if ours.is_nan() && *value == 0.0 && is_undefined(indicator) {
            continue;
        }
        let bar = range.beg_idx + k;
        // The larger a beta, the less its divisor varies, and the more of that is rounding.
        let size = if matches!(indicator, Indicator::Beta { .. }) { squared(*value) } else { value.abs().max(1.0) };
        prop_assert!((ours - value).abs() <= 1e-9 * size, "{indicator:?} bar {bar}: {ours} is not {value}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// By its definition on TradingView, step by step, from our average true range.
    #[test]
    fn the_supertrend_is_what_its_inventor_says(columns in walk(), period in 1u32..12) {
        let history = columns.history("AMC", Timeframe::Hour);
        let [line, direction] = [Supertrend::Line, Supertrend::Direction].map(|o| Indicator::supertrend(period, 1.5, o));
        let range = Indicator::AtrWilder { period };
        let computed = Columns::compute(&history, &[line, direction, range]);
        let [_, high, low, close, _] = &columns.ohlcv;
        let (mut lower, mut upper, mut is_up) = (f64::NAN, f64::NAN, false);
        for (i, range) in computed.get(range).iter().enumerate() {
            if range.is_nan() {
                prop_assert!(computed.get(line)[i].is_nan() && computed.get(direction)[i].is_nan());
                continue;
            }
            let (lower_before, upper_before) = (lower, upper);
            lower = (high[i] + low[i]) / 2.0 - 1.5 * range;
            upper = (high[i] + low[i]) / 2.0 + 1.5 * range;
            if !lower_before.is_nan() {
                if !(lower > lower_before || close[i - 1] < lower_before) {
                    lower = lower_before;
                }
                if !(upper < upper_before || close[i - 1] > upper_before) {
                    upper = upper_before;
                }
                is_up = if is_up { close[i] >= lower } else { close[i] > upper };
            }
            prop_assert_eq!(computed.get(direction)[i], if is_up { 1.0 } else { -1.0 });
            prop_assert_eq!(computed.get(line)[i], if is_up { lower } else { upper });
        }
    }

    #[test]
    fn a_keltner_channel_is_an_average_and_true_ranges_around_it(columns in walk(), period in 1u32..12) {
        let history = columns.history("AMC", Timeframe::Hour);
        let bands = BANDS.map(|band| Indicator::keltner(period, 5, 2.0, band));
        let [middle, range] = [Indicator::ema(period), Indicator::AtrWilder { period: 5 }];
        let computed = Columns::compute(&history, &[&bands[..], &[middle, range]].concat());
        for (band, widths) in bands.into_iter().zip([2.0, 0.0, -2.0]) {
            for (i, value) in computed.get(band).iter().enumerate() {
                let expected = computed.get(middle)[i] + widths * computed.get(range)[i];
                prop_assert!(close_enough(*value, expected), "{band:?} bar {i}");
            }
        }
    }
}
