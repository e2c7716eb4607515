//! How a researcher calls the library: copy this file and change the strategy.
//!
//! One RSI strategy over 1,000,000 one-minute bars of a made-up walk, indicator and metrics
//! included. `peers.rs` is the same for sweeps.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use magellan::bar::{Bars, Date, MINUTE, Nanos, Symbol, Timeframe};
use magellan::calendar;
use magellan::costs::Costs;
use magellan::history::{History, Hours};
use magellan::indicator::{Indicator, Smoothing};
use magellan::metrics::{Metrics, buy_and_hold};
use magellan::order::{Order, Reason, Size};
use magellan::replay::{Instrument, Terms, replay};
use magellan::risk::Limits;
use magellan::strategy::{Now, Strategy};
use magellan::uncounted::Uncounted;

/// Buys strength, sells weakness.
#[derive(Clone, Copy)]
struct Rsi {
    period: u32,
    upper: f64,
    lower: f64,
}

impl Strategy for Rsi {
    const NAME: &'static str = "rsi";
    type Inputs = [f64; 1];
    type State = ();

    fn indicators(&self) -> [Indicator; 1] {
        [Indicator::Rsi { period: self.period, smoothing: Smoothing::Wilder }]
    }

    fn warmup(&self) -> usize {
        84
    }

    #[inline(always)]
    fn decide(&self, (): &mut (), now: &Now<[f64; 1]>) -> Option<Order> {
        let [rsi] = now.inputs;
        match now.position.is_open() {
            false if rsi > self.upper => Some(Order::buy(Size::Notional(50_000.0))),
            true if rsi < self.lower => Some(Order::Exit(Reason::Signal("rsi_exit"))),
            _ => None,
        }
    }
}

/// Bars in, figures out.
fn backtest(bars: Bars<'_>, strategy: Rsi) -> Uncounted<Metrics> {
    let symbol: Symbol = "SYN".parse().expect("a symbol");
    let history = History::new(symbol, bars, Hours::Regular).expect("covered by the calendar");
    let terms = Terms {
        capital: 100_000.0,
        costs: Costs { slippage_bps: 1.0, ..Costs::default() },
        conditions: magellan::account::Conditions::UNLIMITED,
        limits: Limits::default(),
        start: calendar::FIRST,
        end: calendar::LAST,
    };
    let benchmark = buy_and_hold(&[&history], terms.start, terms.end);
    let done = replay(&[Instrument { history, strategy }], &terms, &mut ()).expect("there are bars");
    Metrics::new(&done, &benchmark)
}

const STRATEGY: Rsi = Rsi { period: 14, upper: 60.0, lower: 40.0 };

/// A million minutes of regular sessions from 2010 on, a deterministic walk.
fn walk() -> (Vec<Nanos>, [Vec<f64>; 5]) {
    let (from, to) = (Date::from_ymd(2010, 1, 4), Date::from_ymd(2030, 12, 31));
    let sessions = calendar::sessions(from.expect("a date"), to.expect("a date"));
    let minutes = sessions.flat_map(|s| (0..(s.close - s.open) / MINUTE).map(move |i| s.open + i * MINUTE));
    let start: Vec<Nanos> = minutes.take(1_000_000).collect();
    let mut columns: [Vec<f64>; 5] = Default::default();
    let (mut random, mut price) = (0x2545_f491_4f6c_dd1d_u64, 100.0_f64);
    for _ in &start {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let close = price * (1.0 + ((random >> 40) as f64 / (1u64 << 24) as f64 - 0.5) * 0.002);
        let bar = [price, price.max(close) * 1.0002, price.min(close) * 0.9998, close, 1_000.0];
        columns.iter_mut().zip(bar).for_each(|(column, value)| column.push(value));
        price = close;
    }
    (start, columns)
}

fn main() {
    let (start, columns) = walk();
    let [o, h, l, c, v] = &columns;
    let bars = Bars::new(Timeframe::Minute, &start, [o, h, l, c, v]).expect("ordered bars");
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let mut group = criterion.benchmark_group("researcher");
    group.throughput(Throughput::Elements(bars.len() as u64));
    group.bench_function("rsi_1m_bars", |b| b.iter(|| backtest(black_box(bars), black_box(STRATEGY))));
    group.finish();
    criterion.final_summary();
}
