//! Archive open, every indicator, and portfolio replays: of the sample, and of the real bars
//! where `MAGELLAN_MARKET_DATA` names them.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use deployable_strategies::ALL;
use magellan::account::{AccountKind, Conditions, OnInsufficient};
use magellan::archive::Archive;
use magellan::archive::import::{Import, import};
use magellan::bar::{Bars, DAY, Date, Nanos, Symbol, Timeframe};
use magellan::calendar;
use magellan::config::Checked;
use magellan::costs::Costs;
use magellan::disk::map::Access;
use magellan::history::{History, Hours};
use magellan::indicator::{Columns, Field, Indicator, Memory, Smoothing};
use magellan::ledger::Ledger;
use magellan::portfolio::{Market, PortfolioBacktest, PortfolioStrategy, Weights, best, inverse_volatility};
use magellan::registry;
use magellan::replay::Terms;
use magellan::research::backtest::Request;
use magellan::research::market::Scope;
use magellan::risk::Limits;
use rayon::prelude::*;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the project")
}

fn sample() -> Archive {
    Archive::open(&root().join("data/sample"), Access::Map).expect("the sample archive")
}

fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

/// Opening: manifest, hashes of records and cache columns, mapping.
fn open(c: &mut Criterion) {
    c.bench_function("archive/open_and_load_24_series", |b| {
        b.iter(|| {
            let archive = sample();
            for timeframe in Timeframe::ALL {
                for symbol in archive.symbols(timeframe) {
                    black_box(archive.load(symbol, timeframe).expect("loads"));
                }
            }
        });
    });
}

fn indicators(c: &mut Criterion) {
    let series = sample().load("AMC".parse().expect("a symbol"), Timeframe::Minute).expect("loads");
    let history = History::new(series.symbol, series.bars(), Hours::Regular).expect("covered");
    let (field, period, memory) = (Field::Close, 14, Memory::Continuous);
    let smoothing = Smoothing::Span;
    let all = [
        Indicator::Lag { field, bars: 5 },
        Indicator::Mean { field, period },
        Indicator::Min { field, period },
        Indicator::Max { field, period },
        Indicator::Std { field, period },
        Indicator::Average { field, period, smoothing },
        Indicator::rma(period),
        Indicator::Rsi { period, smoothing },
        Indicator::TrueRange { memory },
        Indicator::Atr { period, memory },
        Indicator::AtrWilder { period },
        Indicator::SessionBars,
        Indicator::SessionOpen,
        Indicator::SessionChange,
        Indicator::SessionLow,
        Indicator::SessionLowBefore,
        Indicator::SessionHigh,
        Indicator::LowerWick,
        Indicator::Body,
        Indicator::VolumeRatio { period: 20, memory },
    ];
    let mut group = c.benchmark_group("indicator");
    group.throughput(Throughput::Elements(history.len() as u64));
    for indicator in all {
        group.bench_function(indicator.name(), |b| b.iter(|| Columns::compute(black_box(&history), &[indicator])));
    }
    group.finish();
}

/// One counted replay of a deployed strategy; the number of bars.
fn run(
    archive: &Archive,
    document: &Checked,
    ledger: &Path,
    symbols: Option<&[Symbol]>,
    (start, end): (Date, Date),
) -> u64 {
    let strategy = registry::find(ALL, document.text_at("strategy.name").expect("named")).expect("known");
    let scope = Scope::Portfolio;
    let request = Request {
        document,
        archive,
        symbols,
        scope,
        timeframe: None,
        hours: None,
        start,
        end,
        slippage_bps: None,
        record: false,
        closes: false,
    };
    let mut ledger = Ledger::open(ledger, strategy.name()).expect("a ledger");
    strategy.backtest(&request, &mut ledger).expect("replays").iter().map(|run| run.replay.bars).sum()
}

fn config(name: &str) -> Checked {
    let path = root().join("deployed").join(name).join("config.json");
    registry::find(ALL, name).expect("known").read_document(&path, &[]).expect("a config")
}

fn portfolio(c: &mut Criterion) {
    let (archive, ledger) = (sample(), tempfile::tempdir().expect("a folder"));
    let mut group = c.benchmark_group("portfolio");
    for (name, start, end) in [
        ("bear_trap", "2024-04-01", "2024-06-28"),
        ("daily_trend", "2018-01-02", "2025-12-31"),
        ("hourly_swing", "2022-01-03", "2025-12-31"),
    ] {
        let (config, period) = (config(name), (date(start), date(end)));
        group.throughput(Throughput::Elements(run(&archive, &config, ledger.path(), None, period)));
        group.bench_function(name, |b| b.iter(|| run(black_box(&archive), &config, ledger.path(), None, period)));
    }
    group.finish();
}

/// The fifty symbols that rose most in half a year, chosen each month, in inverse proportion to their volatility.
#[derive(Clone, Copy)]
struct Momentum;

impl PortfolioStrategy for Momentum {
    const NAME: &'static str = "momentum";
    type Inputs = [f64; 2];
    type State = ();

    fn indicators(&self) -> [Indicator; 2] {
        let field = Field::Close;
        [Indicator::Lag { field, bars: 126 }, Indicator::Std { field, period: 63 }]
    }

    fn decide(&self, (): &mut (), market: &Market<'_, [f64; 2]>, weights: &mut Weights) {
        if market.is_month_end() {
            let strongest = best(market.members(), 50, |member| member.bar.close / member.inputs[0] - 1.0);
            let volatility = |symbol: &Symbol| {
                let member = market.member(*symbol)?;
                Some((*symbol, member.inputs[1] / member.bar.close))
            };
            let volatilities: Vec<(Symbol, f64)> = strongest.iter().filter_map(volatility).collect();
            weights.set(inverse_volatility(&volatilities, 0.98));
        }
    }
}

/// 500 symbols, ten years of days: one point of a portfolio strategy.
fn many_symbols(c: &mut Criterion) {
    let sessions = calendar::sessions(date("2015-01-02"), date("2024-12-31"));
    let start: Vec<Nanos> = sessions.map(|session| i64::from(session.date.0) * DAY).collect();
    let mut random = 1u64;
    let mut step = || {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        ((random >> 33) as f64 / f64::from(1u32 << 31) - 0.495) * 0.04
    };
    let mut walk = || {
        let mut price = 100.0;
        let next = |_: &Nanos| {
            price *= 1.0 + step();
            price
        };
        start.iter().map(next).collect()
    };
    let prices: Vec<Vec<f64>> = (0..500).map(|_| walk()).collect();
    let volume = vec![1e6; start.len()];
    let bars: Vec<(Symbol, Bars<'_>)> = prices
        .iter()
        .enumerate()
        .map(|(i, price)| {
            let columns = [&price[..], price, price, price, &volume];
            let bars = Bars::new(Timeframe::Day, &start, columns).expect("bars");
            (format!("S{i:03}").parse().expect("a symbol"), bars)
        })
        .collect();
    let terms = Terms {
        capital: 1e7,
        costs: Costs { slippage_bps: 2.0, ..Costs::default() },
        conditions: Conditions {
            on_insufficient: OnInsufficient::Shrink,
            kind: AccountKind::Cash,
            ..Conditions::UNLIMITED
        },
        limits: Limits::default(),
        start: calendar::FIRST,
        end: calendar::LAST,
    };
    let mut group = c.benchmark_group("portfolio");
    group.throughput(Throughput::Elements((bars.len() * start.len()) as u64));
    group.sample_size(10);
    group.bench_function("500 symbols, 10 years of days", |b| {
        b.iter(|| PortfolioBacktest::new(black_box(bars.clone()), Momentum, terms).run().expect("replays"));
    });
    group.finish();
}

/// All archived real bars: bear_trap over its three windows, both RSI strategies over all years.
fn real(c: &mut Criterion) {
    let Some(source) = std::env::var_os("MAGELLAN_MARKET_DATA").map(PathBuf::from) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Import { splits: Some(source.join("splits.csv")), sources: vec![source], ..Import::default() };
    import(folder.path(), &plan).expect("imports");
    let archive = Archive::open(folder.path(), Access::Map).expect("opens");
    let rows: u64 = archive.manifest().records.iter().map(|r| r.rows).sum();
    let configs = ["bear_trap", "daily_trend", "hourly_swing"].map(config);
    let windows = [("2024-04-01", "2024-06-30"), ("2024-11-01", "2025-01-31"), ("2025-04-01", "2025-06-30")];
    let mut jobs: Vec<(&Checked, Vec<Symbol>, (Date, Date))> = Vec::new();
    for (start, end) in windows {
        let period = (date(start), date(end));
        let overlaps = |s: &Symbol| {
            let records = archive.manifest().series(*s, Timeframe::Minute);
            records.iter().any(|r| Date::of_utc(r.first) <= period.1 && Date::of_utc(r.last) >= period.0)
        };
        let mut symbols = archive.symbols(Timeframe::Minute);
        symbols.retain(|s| overlaps(s) && in_window(&archive, *s, period));
        jobs.push((&configs[0], symbols, period));
    }
    let symbols = configs[1].symbols();
    let daily = archive.symbols(Timeframe::Day).into_iter().filter(|s| symbols.contains(s)).collect();
    jobs.push((&configs[1], daily, (date("2018-01-02"), date("2025-12-31"))));
    jobs.push((&configs[2], archive.symbols(Timeframe::Hour), (date("2022-01-03"), date("2025-12-31"))));
    let ledger = tempfile::tempdir().expect("a folder");
    let job = |(config, symbols, period): &(&Checked, Vec<Symbol>, (Date, Date))| {
        run(&archive, config, ledger.path(), Some(symbols), *period)
    };
    let all = || -> u64 { jobs.par_iter().map(job).sum() };
    println!("archived rows {rows}, bars in sessions {}", all());
    let mut group = c.benchmark_group("real");
    group.throughput(Throughput::Elements(rows));
    group.sample_size(20).bench_function("three_strategies_all_bars", |b| b.iter(|| black_box(all())));
    group.finish();
}

/// Whether a symbol has bars in a session of the window.
fn in_window(archive: &Archive, symbol: Symbol, (start, end): (Date, Date)) -> bool {
    let series = archive.load(symbol, Timeframe::Minute).expect("loads");
    let history = History::new(symbol, series.bars(), Hours::Regular).expect("covered");
    !history.sessions_between(start, end).is_empty()
}

criterion_group!(benches, open, indicators, portfolio, many_symbols, real);
criterion_main!(benches);
