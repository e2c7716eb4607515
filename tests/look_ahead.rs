//! Decisions depend on the past alone: cutting the future off changes none of them (B1).

use deployable_strategies::bear_trap::{BearTrap, Reclaim};
use deployable_strategies::daily_trend::Daily;
use deployable_strategies::hourly_swing::Hourly;
use deployable_strategies::rsi_hysteresis::RsiHysteresis;
use magellan::bar::{MINUTE, Nanos, Symbol, Timeframe};
use magellan::calendar;
use magellan::indicator;
use magellan::order::Order;
use magellan::replay::{Instrument, Recorder, Replay, replay, replay_shared};
use magellan::strategy::Strategy;
use magellan::uncounted::Uncounted;
use proptest::prelude::*;

use crate::support::{Columns, date, terms};

/// Every answer of a strategy.
#[derive(Default)]
struct Decisions(Vec<(Symbol, Nanos, Order)>);

impl<I> Recorder<I> for Decisions {
    const BARS: bool = false;

    fn decided(&mut self, symbol: Symbol, at: Nanos, order: &Order) {
        self.0.push((symbol, at, *order));
    }
}

fn decisions<S: Strategy>(
    columns: &[(&str, Columns)],
    timeframe: Timeframe,
    strategy: S,
) -> Vec<(Symbol, Nanos, Order)> {
    let instruments: Vec<Instrument<'_, S>> = columns
        .iter()
        .filter(|(_, c)| !c.start.is_empty())
        .map(|(name, c)| Instrument { history: c.history(name, timeframe), strategy })
        .collect();
    let mut recorder = Decisions::default();
    let folded = replay(&instruments, &terms(), &mut recorder).expect("replays");
    let mut shared = Decisions::default();
    let of_columns = replay_on_columns(&instruments, &mut shared);
    assert!(shared.0 == recorder.0 && format!("{folded:?}") == format!("{of_columns:?}"), "columns change the replay");
    recorder.0
}

/// The same replay on columns computed before, as sweeps share them.
fn replay_on_columns<S: Strategy>(instruments: &[Instrument<'_, S>], recorder: &mut Decisions) -> Uncounted<Replay> {
    let computed: Vec<indicator::Columns> =
        instruments.iter().map(|i| indicator::Columns::compute(&i.history, i.strategy.indicators().as_ref())).collect();
    let of_columns: Vec<_> = instruments.iter().zip(&computed).map(|(i, c)| (&i.history, c, i.strategy)).collect();
    replay_shared(&of_columns, &terms(), recorder).expect("replays")
}

fn cut(columns: &Columns, at: Nanos) -> Columns {
    let n = columns.start.partition_point(|&t| t < at);
    let ohlcv = columns.ohlcv.each_ref().map(|c| c[..n].to_vec());
    Columns { start: columns.start[..n].to_vec(), ohlcv }
}

/// What was decided on the bars before the cut, less each symbol's last bar before it: on its
/// last bar a symbol is liquidated, which the full archive doesn't do.
fn prefix_holds<S: Strategy>(
    columns: &[(&str, Columns)],
    timeframe: Timeframe,
    strategy: S,
    at: Nanos,
) -> Result<usize, TestCaseError> {
    let short: Vec<(&str, Columns)> = columns.iter().map(|(name, c)| (*name, cut(c, at))).collect();
    let last = |symbol: &Symbol| {
        let of = short.iter().find(|(name, _)| *name == symbol.as_str());
        of.and_then(|(_, c)| c.start.last().copied()).unwrap_or(Nanos::MIN)
    };
    if short.iter().all(|(_, c)| c.start.is_empty()) {
        return Ok(0);
    }
    let before = |all: Vec<(Symbol, Nanos, Order)>| -> Vec<(Symbol, Nanos, Order)> {
        all.into_iter().filter(|(symbol, t, _)| *t < last(symbol)).collect()
    };
    let full = before(decisions(columns, timeframe, strategy));
    prop_assert_eq!(&before(decisions(&short, timeframe, strategy)), &full);
    Ok(full.len())
}

/// A walk of cents from a stream of steps.
fn walk(starts: impl Iterator<Item = Nanos>, steps: &[i32], first: i32) -> Columns {
    let mut columns = Columns::default();
    let mut price = first;
    for (start, step) in starts.zip(steps) {
        let open = price;
        price = (price + step).max(50);
        let (high, low) = (open.max(price) + step.abs() / 3, (open.min(price) - step.abs() / 2).max(1));
        let volume = 10_000 + step.abs() * 400;
        columns.push(start, [open, high, low, price, volume].map(|v| f64::from(v) / 100.0));
    }
    columns
}

fn rsi<P>() -> RsiHysteresis<P> {
    RsiHysteresis {
        pace: std::marker::PhantomData,
        rsi_period: 5,
        hysteresis_upper: 55.0,
        hysteresis_lower: 45.0,
        allocation: 10_000.0,
        warmup_bars: 10,
    }
}

fn steps(size: i32, n: usize) -> impl proptest::strategy::Strategy<Value = Vec<i32>> {
    prop::collection::vec(-size..=size, n)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn daily_trend_decides_the_same_without_the_future(a in steps(200, 150), b in steps(200, 150), day in 0i32..220) {
        let days = || calendar::sessions(date("2024-01-02"), date("2024-12-31")).map(|s| s.date.utc_midnight());
        let columns = [("AAPL", walk(days(), &a, 10_000)), ("SPY", walk(days().skip(20), &b, 20_000))];
        let at = date("2024-01-02").utc_midnight() + i64::from(day) * 24 * 60 * MINUTE;
        prefix_holds(&columns, Timeframe::Day, rsi::<Daily>(), at)?;
    }

    #[test]
    fn hourly_swing_decides_the_same_without_the_future(a in steps(150, 300), b in steps(150, 200), hour in 0i64..1_600) {
        let hours = || {
            let sessions = calendar::sessions(date("2024-10-01"), date("2024-12-31"));
            sessions.flat_map(|s| (0..6).map(move |h| s.open + (30 + 60 * h) * MINUTE).filter(move |t| t + 60 * MINUTE <= s.close))
        };
        let columns = [("NVDA", walk(hours(), &a, 10_000)), ("TSLA", walk(hours(), &b, 20_000))];
        prefix_holds(&columns, Timeframe::Hour, rsi::<Hourly>(), calendar::session(date("2024-10-01")).open + hour * 60 * MINUTE)?;
    }

    #[test]
    fn bear_trap_decides_the_same_without_the_future(a in steps(8, 780), b in steps(8, 780), minute in 0i64..390, day in 0i64..2) {
        let strategy = BearTrap {
            day_change_pct: -1.0, min_lower_wick: 0.05, min_body: 0.05, min_volume_ratio: 0.9, volume_period: 20,
            atr_period: 14, stop_atr_multiple: 0.45, min_session_bars: 20, reclaim: Reclaim::RunningLow,
            first_target_percent: 40, first_target_fraction: 0.5, second_target_percent: 30, max_hold_minutes: 30,
            flat_before_close_minutes: 5, risk_fraction: 0.02, max_position_dollars: 50_000.0,
        };
        let minutes = || {
            let sessions = calendar::sessions(date("2024-07-01"), date("2024-07-02"));
            sessions.flat_map(|s| (0..390).map(move |i| s.open + i * MINUTE))
        };
        let columns = [("AMC", walk(minutes(), &a, 500)), ("GME", walk(minutes().step_by(2), &b, 2_000))];
        let open = calendar::session(magellan::bar::Date(date("2024-07-01").0 + day as i32)).open;
        prefix_holds(&columns, Timeframe::Minute, strategy, open + minute * MINUTE)?;
    }
}

#[test]
fn the_walks_above_make_the_strategies_decide() {
    let steps: Vec<i32> = (0..300).map(|i| if i / 25 % 2 == 0 { 60 } else { -60 }).collect();
    let days = calendar::sessions(date("2024-01-02"), date("2025-12-31")).map(|s| s.date.utc_midnight());
    let columns = [("AAPL", walk(days, &steps, 10_000))];
    assert!(decisions(&columns, Timeframe::Day, rsi::<Daily>()).len() > 5);
}

#[test]
fn where_the_period_starts_does_not_change_what_was_known() {
    let steps: Vec<i32> = (0..250).map(|i| if i / 25 % 2 == 0 { 60 } else { -60 }).collect();
    let days = calendar::sessions(date("2024-01-02"), date("2024-12-31")).map(|s| s.date.utc_midnight());
    let columns = walk(days, &steps, 10_000);
    let run = |start: &str| {
        let instrument = Instrument { history: columns.history("AAPL", Timeframe::Day), strategy: rsi::<Daily>() };
        let terms = magellan::replay::Terms { start: date(start), ..terms() };
        let mut recorder = Decisions::default();
        let done = replay(&[instrument], &terms, &mut recorder).expect("replays");
        (done, recorder.0)
    };
    let (whole, all) = run("2024-01-02");
    let (part, some) = run("2024-06-03");
    assert!(part.bars < whole.bars);
    let from = date("2024-06-03").utc_midnight();
    // Flat at the start of the part: once both are flat they decide alike.
    let first_buy = some.iter().position(|d| matches!(d.2, Order::Enter(_))).expect("a signal");
    let tail: Vec<_> = all.into_iter().filter(|d| d.1 >= from && d.1 > some[first_buy].1).collect();
    assert_eq!(some[some.len() - 3..], tail[tail.len() - 3..]);
}
