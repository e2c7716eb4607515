//! One bar at a time is the same as all at once: the runner's decisions and fills are the
//! replay's (B1, L3).

use magellan::account::{Account, Conditions, Fill};
use magellan::archive::Archive;
use magellan::bar::{Date, HOUR, MINUTE, Nanos, SECOND, Symbol, Timeframe};
use magellan::calendar::{self, Session};
use magellan::costs::Costs;
use magellan::disk::map::Access;
use magellan::history::History;
use magellan::indicator::{Field, Indicator, Memory, Smoothing};
use magellan::ledger::Ledger;
use magellan::order::{Bracket, Entry, Level, NewStop, Order, Reason, Side, Size, Stop, TakeProfit};
use magellan::registry::AnyRunner;
use magellan::replay::{Instrument, Recorder, Terms, replay};
use magellan::research::backtest::{Decision as Replayed, Request};
use magellan::risk::{DailyLoss, Halt, Limits};
use magellan::runner::{Archived, Broker as _, Decision, Event, Feed as _, OrderStatus, Runner, Simulated};
use magellan::strategy::{Now, Strategy};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

use crate::support::{Columns, date, root};

/// Answers at random, but by bars alone: every bit of what it is told goes into a hash.
#[derive(Clone, Copy, Debug)]
struct Dice {
    warmup: usize,
    /// One decision in so many bars.
    rarely: u64,
}

impl Strategy for Dice {
    const NAME: &'static str = "dice";
    type Inputs = [f64; 4];
    type State = u64;

    fn indicators(&self) -> [Indicator; 4] {
        [
            Indicator::Rsi { period: 3, smoothing: Smoothing::Wilder },
            Indicator::SessionLow,
            Indicator::Atr { period: 4, memory: Memory::Session },
            Indicator::Lag { field: Field::Close, bars: 5 },
        ]
    }

    fn warmup(&self) -> usize {
        self.warmup
    }

    fn decide(&self, hash: &mut u64, now: &Now<[f64; 4]>) -> Option<Order> {
        for value in now.inputs.into_iter().chain([now.bar.close, now.bar.volume]) {
            *hash = (*hash ^ value.to_bits()).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        *hash ^= now.session.date.0 as u64;
        let mut dice = *hash;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (dice >> 33) % sides
        };
        if roll(self.rarely) > 0 {
            return None;
        }
        if now.position.exited_this_bar || (now.position.is_open() && roll(3) == 0) {
            return Some(Order::Exit(Reason::Signal("dice")));
        }
        let close = now.bar.close;
        let mut some = |value: f64| (roll(2) == 0).then_some(value);
        let target = |level, percent, then_stop| TakeProfit { level, percent, then_stop };
        let bracket = Bracket {
            stop: some(close * 0.99).map(Stop::At),
            targets: [
                some(close * 1.02).map(|level| target(Level::Toward { level, fraction: 0.5 }, 40.0, None)),
                some(close * 1.01).map(|price| target(Level::At(price), 30.0, Some(NewStop::At(close * 0.995)))),
                None,
                None,
            ],
            time_stop: some(30.0).map(|minutes| minutes as Nanos * MINUTE),
            flat_before_close: some(300.0).map(|seconds| seconds as Nanos * SECOND),
        };
        let side = if roll(3) == 0 { Side::Sell } else { Side::Buy };
        let size = match roll(3) {
            0 => Size::Shares(7),
            1 => Size::Notional(9_000.0),
            _ => Size::RiskFraction { fraction: 0.02, cap: 20_000.0 },
        };
        Some(Order::Enter(Entry { side, size, bracket }))
    }
}

/// What a run leaves behind.
#[derive(Debug, Default, PartialEq)]
struct Trace {
    decisions: Vec<Replayed>,
    fills: Vec<Fill>,
    equity: Vec<(Date, f64)>,
}

impl<I> Recorder<I> for Trace {
    const BARS: bool = false;

    fn decided(&mut self, symbol: Symbol, at: Nanos, order: &Order) {
        self.decisions.push((symbol, at, *order));
    }
}

/// Bar by bar; fills are asked for after each, as a service does.
fn bar_by_bar(runner: &mut dyn AnyRunner, histories: &[History<'_>], terms: &Terms) -> (Trace, Vec<Decision>) {
    for history in histories {
        runner.warm_up(history, terms.start).expect("warms up");
    }
    let symbols: Vec<Symbol> = histories.iter().map(|h| h.symbol).collect();
    let mut broker = Simulated::new(Account::new(terms.capital, terms.costs, terms.limits), &symbols);
    let mut feed = Archived::new(histories, terms.start, terms.end);
    let (mut trace, mut decided) = (Trace::default(), Vec::new());
    loop {
        let event = feed.next().expect("reads");
        if event == Event::Ends {
            break;
        }
        runner.handle(&event, &mut broker, &mut decided).expect("handles");
        trace.fills.extend(broker.fills());
        if let Event::Closes(session) = event {
            trace.equity.push((session.date, broker.equity()));
        }
    }
    assert_eq!(broker.account().clone().into_fills(), trace.fills);
    assert_eq!(broker.open_positions(), 0, "the end of data liquidates");
    trace.decisions = decided.iter().map(|d| (d.symbol, d.start, d.order)).collect();
    (trace, decided)
}

/// Starts of all bars of a timeframe in a session.
fn slots(timeframe: Timeframe, session: Session) -> Vec<Nanos> {
    let every = |first: Nanos, width: Nanos| (0..).map(move |i| first + i * width);
    match timeframe {
        Timeframe::Day => vec![session.date.utc_midnight()],
        Timeframe::Hour => every(session.open + 30 * MINUTE, HOUR).take_while(|t| t + HOUR <= session.close).collect(),
        // Twenty minutes in the middle and twenty at the end make a session with a gap.
        Timeframe::Week => {
            let last = calendar::last_session_of_week(session.date).date == session.date;
            last.then(|| Timeframe::Week.start_of(session.date.utc_midnight())).into_iter().collect()
        }
        Timeframe::Minute => {
            every(session.open, MINUTE).take(20).chain(every(session.close - 20 * MINUTE, MINUTE).take(20)).collect()
        }
        several => every(session.open, several.width()).take_while(|t| t + several.width() <= session.close).collect(),
    }
}

/// A walk of cents over these slots, those that are left out by 0.
fn walk(slots: &[Nanos], steps: &[i32], first: i32) -> Columns {
    let (mut columns, mut price) = (Columns::default(), first);
    for (start, step) in slots.iter().zip(steps).filter(|(_, step)| **step != 0) {
        let open = price + step % 5;
        price = (price + step).max(50);
        let (high, low) = (open.max(price) + step.abs() / 2, (open.min(price) - step.abs() / 2).max(1));
        columns.push(*start, [open.max(1), high, low, price, 10_000 + step.abs() * 400].map(|v| f64::from(v) / 100.0));
    }
    columns
}

fn compare(timeframe: Timeframe, days: i32, steps: &[Vec<i32>], dice: Dice, skip: i32, limits: Limits) -> usize {
    // July 3 closes early, and July 4 is no session.
    let first = date("2024-06-27");
    let sessions = calendar::sessions(first, Date(first.0 + days));
    let slots: Vec<Nanos> = sessions.flat_map(|session| slots(timeframe, session)).collect();
    let names = ["MARA", "AMC", "GME"];
    let columns: Vec<Columns> = steps.iter().map(|steps| walk(&slots, steps, 1_000)).collect();
    let histories: Vec<History<'_>> =
        names.iter().zip(&columns).map(|(name, columns)| columns.history(name, timeframe)).collect();
    let costs = Costs { slippage_bps: 5.0, fee_per_share: 0.01, fee_bps: 1.0, ..Costs::default() };
    let terms = Terms {
        capital: 50_000.0,
        costs,
        conditions: Conditions::UNLIMITED,
        limits,
        start: Date(first.0 + skip),
        end: Date(first.0 + days - skip / 2),
    };
    let instruments: Vec<Instrument<'_, Dice>> =
        histories.iter().map(|history| Instrument { history: history.clone(), strategy: dice }).collect();
    let mut expected = Trace::default();
    let Ok(replayed) = replay(&instruments, &terms, &mut expected) else { return 0 };
    expected.fills = replayed.fills.clone();
    expected.equity = replayed.equity.clone();
    let mut runner = Runner::new(histories.iter().map(|h| (h.symbol, dice))).expect("a runner");
    let (trace, decided) = bar_by_bar(&mut runner, &histories, &terms);
    assert_eq!(trace, expected);
    let refused =
        |name: &str| decided.iter().filter(|d| d.status == OrderStatus::Refused(name_of(name))).count() as u64;
    for &(block, times) in &replayed.blocks {
        assert_eq!(refused(block.name()), times, "{}", block.name());
    }
    trace.fills.len()
}

fn name_of(name: &str) -> &'static str {
    magellan::risk::Block::ALL.into_iter().map(magellan::risk::Block::name).find(|known| *known == name).expect("known")
}

fn limits() -> impl proptest::strategy::Strategy<Value = Limits> {
    let halt = Halt { losing_days: 2, win_rate_below: 0.3, window_days: 3, drawdown: 0.02 };
    (1u32..6, 1u32..4, any::<bool>()).prop_map(move |(trades, open, halts)| Limits {
        max_daily_loss: Some(DailyLoss { dollars: 150.0, fraction: 0.01 }),
        max_trades_per_day: Some(trades),
        max_open_positions: Some(open),
        max_position_dollars: Some(15_000.0),
        halt: halts.then_some(halt),
    })
}

/// One symbol's steps; a bar in three is missing.
fn steps(n: usize) -> impl proptest::strategy::Strategy<Value = Vec<i32>> {
    prop::collection::vec(prop_oneof![2 => -30..=30i32, 1 => Just(0)], n)
}

fn dice() -> impl proptest::strategy::Strategy<Value = Dice> {
    (0usize..40, 1u64..12).prop_map(|(warmup, rarely)| Dice { warmup, rarely })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn minutes_run_as_they_replay(s in prop::collection::vec(steps(320), 1..=3), d in dice(), skip in 0i32..6, l in limits()) {
        compare(Timeframe::Minute, 12, &s, d, skip, l);
    }

    #[test]
    fn bars_of_five_minutes_run_as_they_replay(s in prop::collection::vec(steps(320), 1..=3), d in dice(), skip in 0i32..6, l in limits()) {
        compare(Timeframe::FiveMinutes, 8, &s, d, skip, l);
    }

    #[test]
    fn bars_of_half_an_hour_run_as_they_replay(s in prop::collection::vec(steps(320), 1..=3), d in dice(), skip in 0i32..20, l in limits()) {
        compare(Timeframe::ThirtyMinutes, 35, &s, d, skip, l);
    }

    #[test]
    fn weeks_run_as_they_replay(s in prop::collection::vec(steps(110), 1..=3), d in dice(), skip in 0i32..60, l in limits()) {
        compare(Timeframe::Week, 760, &s, d, skip, l);
    }

    #[test]
    fn hours_run_as_they_replay(s in prop::collection::vec(steps(240), 1..=3), d in dice(), skip in 0i32..30, l in limits()) {
        compare(Timeframe::Hour, 60, &s, d, skip, l);
    }

    #[test]
    fn days_run_as_they_replay(s in prop::collection::vec(steps(120), 1..=3), d in dice(), skip in 0i32..60, l in limits()) {
        compare(Timeframe::Day, 180, &s, d, skip, l);
    }
}

#[test]
fn the_walks_above_trade() {
    let steps: Vec<Vec<i32>> =
        (0..3).map(|s| (0..320).map(|i| (i * 7_919 + s * 104_729) % 61 - 30).collect()).collect();
    let days = |timeframe| match timeframe {
        Timeframe::Minute | Timeframe::FiveMinutes => 12,
        Timeframe::Week => 1_500,
        Timeframe::Day => 180,
        _ => 60,
    };
    for (timeframe, days) in Timeframe::ALL.map(|t| (t, days(t))) {
        let fills = compare(timeframe, days, &steps, Dice { warmup: 5, rarely: 3 }, 3, Limits::default());
        assert!(fills > 20, "{timeframe}: only {fills} fills");
    }
}

#[test]
fn deployed_strategies_run_as_they_replay() {
    let archive = Archive::open(&root().join("data/sample"), Access::Map).expect("an archive");
    for strategy in deployable_strategies::ALL {
        let path = root().join("deployed").join(strategy.name()).join("config.json");
        let document = strategy.read_complete(&path).expect("a config");
        let config = document.config();
        let ledger = tempfile::tempdir().expect("a folder");
        let mut ledger = Ledger::open(ledger.path(), strategy.name()).expect("a ledger");
        let period = &document.deployment().performance_criteria.periods[0];
        // The second one begins in the midst of what indicators remember.
        for start in [period.start_date, Date(period.start_date.0 + 40)] {
            let request = Request::portfolio(&document, &archive, start, period.end_date);
            let run = strategy.backtest(&request, &mut ledger).expect("replays").remove(0);
            let expected = Trace {
                decisions: strategy.decisions(&request).expect("replays"),
                fills: run.replay.fills,
                equity: run.replay.equity,
            };
            let terms = Terms {
                capital: config.account_info.initial_capital,
                costs: config.costs(),
                conditions: config.conditions(),
                limits: config.limits(),
                start,
                end: period.end_date,
            };
            let mut runner = strategy.runner(config).expect("a runner");
            let market = strategy.market(&request).expect("loads");
            let histories = market.histories().expect("bars");
            assert_eq!(bar_by_bar(&mut *runner, &histories, &terms).0, expected, "{}", strategy.name());
            assert!(expected.fills.len() > 5, "{}: {} fills", strategy.name(), expected.fills.len());
        }
    }
}

#[test]
fn bars_of_a_symbol_that_is_not_traded_are_an_error() {
    let columns = walk(&slots(Timeframe::Hour, calendar::session(date("2024-06-27"))), &[1, 2, 3], 1_000);
    let histories = [columns.history("AMC", Timeframe::Hour)];
    let mut runner =
        Runner::new([("GME".parse().expect("a symbol"), Dice { warmup: 0, rarely: 1 })]).expect("a runner");
    assert!(runner.warm_up(&histories[0], date("2024-06-28")).is_err());
    let mut broker = Simulated::new(Account::new(1.0, Costs::default(), Limits::default()), &[histories[0].symbol]);
    let mut feed = Archived::new(&histories, date("2024-06-27"), date("2024-06-28"));
    assert!(matches!(feed.next(), Ok(Event::Opens(_))));
    let event = feed.next().expect("bars");
    let err = runner.handle(&event, &mut broker, &mut Vec::new()).expect_err("refused");
    assert!(err.to_string().contains("AMC"), "{err}");
}
