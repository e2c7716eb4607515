//! The workloads that `scripts/bench_peers` also gives to other engines, through the library:
//! one JSON object a line. Takes the archive that `MAGELLAN_BENCH_ARCHIVE` names.
//!
//! W1: one point over 1,000,000 minute bars of SYN. W2: 8,000 points over 100,000 hourly bars of
//! SYN. W3: one point over 100,000 hourly bars of each of 100 symbols. Hours run round the clock,
//! so that a session has few of them; W2 and W3 are measured over minutes as well. W5: 1,000 points
//! of limit entries with stop and target over 100,000 hourly bars of SWING, and what each point made.
//! Each by what is declared and by the loop, on one thread and on two.

use std::hint::black_box;
use std::marker::PhantomData;
use std::path::Path;
use std::time::Instant;

use deployable_strategies::hourly_swing::{Hourly, HourlySwing};
use magellan::archive::{Archive, Series};
use magellan::bar::{Bars, Symbol, Timeframe};
use magellan::calendar;
use magellan::costs::Costs;
use magellan::disk::map::Access;
use magellan::history::{History, Hours};
use magellan::indicator::{Indicator, Smoothing};
use magellan::metrics::{Benchmark, Metrics, buy_and_hold};
use magellan::order::{Bracket, Level, Order, Size, Stop, TakeProfit, Ticket};
use magellan::replay::Terms;
use magellan::risk::Limits;
use magellan::strategy::{Now, Orders, Strategy, Test};
use magellan::sweep::{How, Sweep};
use rayon::prelude::*;

const MEMORY: usize = 256 << 20;
const DOLLARS: f64 = 50_000.0;
const FREE: Costs = Costs { slippage_bps: 0.0, fee_per_share: 0.0, fee_bps: 0.0, half_spread: 0.0, fee_min: 0.0 };
const SLIPPAGE: Costs = Costs { slippage_bps: 1.0, ..FREE };
const FEE: Costs = Costs { fee_bps: 1.0, ..FREE };

fn point(rsi_period: u32, hysteresis_upper: f64, hysteresis_lower: f64) -> HourlySwing {
    let pace = PhantomData::<Hourly>;
    HourlySwing { rsi_period, hysteresis_upper, hysteresis_lower, allocation: DOLLARS, warmup_bars: 84, pace }
}

/// Periods 5 to 44, entries above 50 to 69, exits 2 to 20 below the entry.
fn grid() -> Vec<HourlySwing> {
    let uppers = (50..70).flat_map(|upper| (1..=10).map(move |k| (f64::from(upper), f64::from(upper - 2 * k))));
    let uppers: Vec<(f64, f64)> = uppers.collect();
    (5..45).flat_map(|period| uppers.iter().map(move |&(upper, lower)| point(period, upper, lower))).collect()
}

/// Buys below the close when the RSI is low; stop and target do the rest.
#[derive(Clone, Copy)]
struct Dip {
    rsi_period: u32,
    /// Buys below this RSI.
    level: f64,
    /// How far below the close, as a fraction of it.
    distance: f64,
}

impl Dip {
    const VALID: u32 = 24;
    const EXITS: Bracket = Bracket {
        stop: Some(Stop::Percent(1.5)),
        targets: [Some(TakeProfit { level: Level::Percent(2.0), percent: 100.0, then_stop: None }), None, None, None],
        ..Bracket::NONE
    };

    /// Ten periods, levels and distances.
    fn grid() -> Vec<Self> {
        let distances =
            |(rsi_period, level)| (1..=10).map(move |k| Self { rsi_period, level, distance: f64::from(k) / 1000.0 });
        let levels = |period| (30..50).step_by(2).map(move |level| (period, f64::from(level)));
        (5..45).step_by(4).flat_map(levels).flat_map(distances).collect()
    }
}

impl Strategy for Dip {
    const NAME: &'static str = "dip";
    type Inputs = [f64; 1];
    type State = ();

    fn indicators(&self) -> [Indicator; 1] {
        [Indicator::Rsi { period: self.rsi_period, smoothing: Smoothing::Span }]
    }

    fn warmup(&self) -> usize {
        84
    }

    #[inline(always)]
    fn act(&self, (): &mut (), now: &Now<[f64; 1]>, orders: &mut Orders) {
        let ([rsi], close) = (now.inputs, now.bar.close);
        if rsi < self.level && !now.position.is_open() && orders.working().is_empty() {
            let shares = Size::Shares((DOLLARS / close).floor() as u64);
            let dip = Ticket::buy(shares).limit(close * (1.0 - self.distance)).for_bars(Self::VALID);
            orders.place(Order::Place(dip.bracket(Self::EXITS)));
        }
    }

    fn needs(&self) -> Vec<Test> {
        vec![Test::below(0, self.level)]
    }

    fn asks_while_busy(&self) -> bool {
        false
    }
}

/// From bars to figures: sessions, benchmark, indicators, replays.
fn sweep<S: Strategy>(
    symbol: Symbol,
    bars: Bars<'_>,
    timeframe: Timeframe,
    costs: Costs,
    points: &[S],
    how: How,
) -> Vec<Metrics> {
    let hours = if timeframe == Timeframe::Minute { Hours::Regular } else { Hours::All };
    let history = History::new(symbol, bars, hours).expect("covered by the calendar");
    let terms = Terms {
        capital: DOLLARS,
        costs,
        conditions: magellan::account::Conditions::UNLIMITED,
        limits: Limits::default(),
        start: calendar::FIRST,
        end: calendar::LAST,
    };
    let benchmark = Benchmark::new(&buy_and_hold(&[&history], terms.start, terms.end));
    let sweep = Sweep { histories: &[history], terms, benchmark: &benchmark, memory: MEMORY, how };
    sweep.run(points, |_, judged| judged.metrics).expect("there are bars").to_vec()
}

/// The highest resident memory of this process so far, MB.
#[expect(clippy::disallowed_methods, reason = "the system says it in a file")]
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kb = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kb.unwrap_or(f64::NAN) / 1024.0
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch is the point")]
fn measure(workload: &str, bars: usize, runs: usize, work: impl Fn(How) -> Vec<Metrics> + Sync) -> Vec<Metrics> {
    let mut figures = Vec::new();
    if std::env::var("MAGELLAN_BENCH_ONLY").is_ok_and(|only| !workload.starts_with(&only)) {
        return figures;
    }
    for (how, name) in [(How::Fast, "fast"), (How::Plain, "plain")] {
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let mut seconds = Vec::new();
            for _ in 0..runs {
                let begun = Instant::now();
                figures = pool.install(|| black_box(work(how)));
                seconds.push(begun.elapsed().as_secs_f64());
            }
            seconds.sort_by(f64::total_cmp);
            let median = seconds[seconds.len() / 2];
            let trades: u64 = figures.iter().map(|m| m.trades).sum();
            let total_return: f64 = figures.iter().filter_map(|m| m.total_return.value()).sum();
            println!(
                r#"{{"workload": "{workload}", "engine": "library", "how": "{name}", "threads": {threads}, "seconds": {median}, "bar_evals": {}, "rate": {:.4e}, "trades": {trades}, "total_return": {total_return}, "peak_mb": {:.1}}}"#,
                bars * figures.len(),
                (bars * figures.len()) as f64 / median,
                peak_mb(),
            );
        }
    }
    figures
}

fn main() {
    let Some(folder) = std::env::var_os("MAGELLAN_BENCH_ARCHIVE") else {
        eprintln!("SKIPPED: MAGELLAN_BENCH_ARCHIVE names no archive; scripts/bench_peers makes one");
        return;
    };
    let archive = Archive::open(Path::new(&folder), Access::Map).expect("an archive");
    let load = |symbol: Symbol, timeframe| archive.load(symbol, timeframe).expect("its bars");
    let syn: Symbol = "SYN".parse().expect("a symbol");
    let swing: Symbol = "SWING".parse().expect("a symbol");
    let one = [point(14, 60.0, 40.0)];

    let minutes = load(syn, Timeframe::Minute);
    let bars = minutes.bars();
    measure("W1", bars.len(), 15, |how| sweep(syn, bars, Timeframe::Minute, SLIPPAGE, &one, how));

    let points = grid();
    let bars = bars.slice(0..100_000);
    measure("W2 minutes", bars.len(), 3, |how| sweep(syn, bars, Timeframe::Minute, SLIPPAGE, &points, how));

    // Ten stretches of the million, each ten times, for a hundred symbols.
    let stretch = |i: usize| minutes.bars().slice(i % 10 * 100_000..(i % 10 + 1) * 100_000);
    measure("W3 minutes", 100_000, 5, |how| {
        (0..100)
            .into_par_iter()
            .flat_map_iter(|i| sweep(syn, stretch(i), Timeframe::Minute, SLIPPAGE, &one, how))
            .collect()
    });

    let hours = load(syn, Timeframe::Hour);
    let bars = hours.bars();
    measure("W2", bars.len(), 3, |how| sweep(syn, bars, Timeframe::Hour, SLIPPAGE, &points, how));

    let symbols: Vec<Symbol> =
        archive.symbols(Timeframe::Hour).into_iter().filter(|s| ![syn, swing].contains(s)).collect();
    let hundred: Vec<Series> = symbols.into_iter().map(|s| load(s, Timeframe::Hour)).collect();
    let bars = hundred.first().map_or(0, |s| s.bars().len());
    measure("W3", bars, 5, |how| {
        hundred.par_iter().flat_map_iter(|s| sweep(s.symbol, s.bars(), Timeframe::Hour, SLIPPAGE, &one, how)).collect()
    });

    let hours = load(swing, Timeframe::Hour);
    let (bars, dips) = (hours.bars(), Dip::grid());
    let figures = measure("W5", bars.len(), 3, |how| sweep(swing, bars, Timeframe::Hour, FEE, &dips, how));
    let made = dips.iter().zip(&figures).map(|(dip, m)| {
        let total_return = m.total_return.value().unwrap_or(f64::NAN);
        format!("[{}, {}, {}, [{}, {total_return}]]", dip.rsi_period, dip.level, dip.distance, m.trades)
    });
    println!(r#"{{"workload": "W5 points", "points": [{}]}}"#, made.collect::<Vec<_>>().join(", "));
}
