//! Every path through a replay gives what the definition gives.

use std::marker::PhantomData;

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::strategy::Strategy as Generator;

use super::portfolio::Portfolio;
use super::*;
use crate::account::Conditions;
use crate::bar::{Bars, MINUTE, Symbol, Timeframe};
use crate::calendar;
use crate::costs::Costs;
use crate::history::Hours;
use crate::indicator::{Indicator, Memory, Smoothing};
use crate::metrics::{Marks, Measure, Metrics};
use crate::order::{Bracket, Entry, Level, Order, Reason, Side, Size, Stop, TakeProfit, Ticket};
use crate::risk::{DailyLoss, Halt, Limits};
use crate::strategy::{Now, Test};

/// What a strategy remembers from bar to bar: nothing, or a hash of all that it saw.
trait State: Copy + Default + Send + Sync + 'static {
    fn add(&mut self, hash: u64) -> u64;
}

impl State for () {
    fn add(&mut self, hash: u64) -> u64 {
        hash
    }
}

impl State for u64 {
    fn add(&mut self, hash: u64) -> u64 {
        *self = (self.rotate_left(23) ^ hash).wrapping_mul(0x0100_0000_01b3);
        *self
    }
}

/// Orders at random: every bit of what it is given goes into the hash that decides.
#[derive(Clone, Copy, Debug)]
struct Dice<M> {
    warmup: usize,
    /// Orders on one bar in so many.
    rarely: u64,
    /// Buys only above this share of a bar's range.
    body: f64,
    state: PhantomData<fn() -> M>,
}

impl<M: State> Strategy for Dice<M> {
    const NAME: &'static str = "dice";
    type Inputs = [f64; 4];
    type State = M;

    fn indicators(&self) -> [Indicator; 4] {
        [
            Indicator::Body,
            Indicator::Rsi { period: 3, smoothing: Smoothing::Wilder },
            Indicator::SessionLow,
            Indicator::Atr { period: 2, memory: Memory::Session },
        ]
    }

    fn warmup(&self) -> usize {
        self.warmup
    }

    fn decide(&self, state: &mut M, now: &Now<[f64; 4]>) -> Option<Order> {
        let seen = now.inputs.into_iter().chain([now.bar.close, now.bar.open]);
        let bits = seen.fold(now.bar.start as u64, |hash, value| hash.rotate_left(7) ^ value.to_bits());
        let mut dice = state.add(bits);
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (dice >> 33) % sides
        };
        if roll(self.rarely) > 0 {
            return None;
        }
        if now.position.is_open() {
            return Some(Order::Exit(Reason::Signal("dice")));
        }
        if !self.needs()[0].holds(now.inputs[0]) {
            return None;
        }
        let (close, plain) = (now.bar.close, roll(2) == 0);
        let side = if roll(3) == 0 { Side::Sell } else { Side::Buy };
        let sign = side.sign() as f64;
        let target = TakeProfit {
            level: Level::Toward { level: close * (1.0 + 0.02 * sign), fraction: 0.5 },
            percent: 40.0,
            then_stop: None,
        };
        let bracket = Bracket {
            stop: Some(Stop::At(close * (1.0 - 0.01 * sign))),
            targets: [Some(target), None, None, None],
            time_stop: (roll(2) == 0).then_some(30 * MINUTE),
            flat_before_close: (roll(2) == 0).then_some(5 * MINUTE),
        };
        let bracket = if plain { Bracket::NONE } else { bracket };
        let size = match roll(2) {
            0 => Size::Shares(7),
            _ => Size::Notional(9_000.0),
        };
        Some(Order::Enter(Entry { side, size, bracket }))
    }

    fn needs(&self) -> Vec<Test> {
        vec![Test::above(0, self.body)]
    }
}

/// Everything that can be seen of a replay, bit for bit: an order's and a figure's text tells any two values apart.
#[derive(Clone, Debug, Default, PartialEq)]
struct Orders(Vec<String>);

impl<I> Recorder<I> for Orders {
    const BARS: bool = false;

    fn decided(&mut self, symbol: Symbol, at: Nanos, order: &Order) {
        self.0.push(format!("{symbol} {at} {order:?}"));
    }
}

/// Asks for every bar, so that none is skimmed.
#[derive(Default)]
struct EveryBar {
    orders: Orders,
    marks: Vec<f64>,
}

impl<I> Recorder<I> for EveryBar {
    const BARS: bool = true;

    fn decided(&mut self, symbol: Symbol, at: Nanos, order: &Order) {
        Recorder::<I>::decided(&mut self.orders, symbol, at, order);
    }

    fn marked(&mut self, _: Nanos, _: Nanos, equity: f64) {
        self.marks.push(equity);
    }
}

/// A walk with some bars outside the session.
struct Walk {
    start: Vec<Nanos>,
    columns: [Vec<f64>; 5],
}

impl Walk {
    fn new(gaps: &[u8], steps: &[i8]) -> Self {
        let mut at = calendar::session("2024-11-27".parse().expect("a date")).open - 30 * MINUTE;
        let mut price = 20.0;
        let mut walk = Self { start: Vec::new(), columns: Default::default() };
        for (gap, step) in gaps.iter().zip(steps.iter().cycle()) {
            at += i64::from(*gap) * MINUTE;
            let open = price + f64::from(step % 5) / 128.0;
            price = (price + f64::from(*step) / 64.0).max(1.0);
            walk.start.push(at);
            let bar = [open, open.max(price) + 0.02, open.min(price) - 0.03, price, 100.0];
            walk.columns.iter_mut().zip(bar).for_each(|(column, value)| column.push(value));
        }
        walk
    }

    fn history(&self, name: &str) -> History<'_> {
        let columns = self.columns.each_ref().map(|c| &c[..]);
        let bars = Bars::new(Timeframe::Minute, &self.start, columns).expect("ordered");
        History::new(name.parse().expect("a symbol"), bars, Hours::Regular).expect("covered")
    }
}

fn limits(daily: bool, halts: bool) -> Limits {
    Limits {
        max_daily_loss: daily.then_some(DailyLoss { dollars: 60.0, fraction: 0.5 }),
        max_trades_per_day: daily.then_some(4),
        max_open_positions: Some(2),
        max_position_dollars: Some(8_000.0),
        halt: halts.then_some(Halt { losing_days: 2, win_rate_below: 0.2, window_days: 3, drawdown: 0.05 }),
    }
}

fn terms(first: Date, limits: Limits) -> Terms {
    let costs = Costs { slippage_bps: 5.0, fee_per_share: 0.01, fee_bps: 1.0, ..Costs::default() };
    Terms { capital: 20_000.0, costs, conditions: Conditions::UNLIMITED, limits, start: first, end: calendar::LAST }
}

/// Replays on all paths; panics if any differs from the definition. The number of fills.
fn compare<M: State>(walks: &[Walk], dice: Dice<M>, skipped: i32, limits: Limits) -> usize {
    let names = ["GME", "AMC", "MARA"];
    let histories: Vec<History<'_>> = walks.iter().zip(names).map(|(walk, name)| walk.history(name)).collect();
    let first: Date = "2024-11-27".parse().expect("a date");
    let terms = terms(Date(first.0 + skipped), limits);
    let instruments: Vec<_> =
        histories.iter().map(|history| Instrument { history: history.clone(), strategy: dice }).collect();
    let mut every_bar = EveryBar::default();
    let Ok(definition) = replay(&instruments, &terms, &mut every_bar) else { return 0 };
    assert_eq!(every_bar.marks.last(), definition.equity.last().map(|(_, equity)| equity), "the last mark");

    let mut skimmed = Orders::default();
    let skim = replay(&instruments, &terms, &mut skimmed).expect("skims");
    assert_eq!(format!("{skim:?}"), format!("{definition:?}"), "skimming");
    assert_eq!(skimmed, every_bar.orders, "skimming");

    // Marks that pass over what is flat are those of every bar.
    let mut naive = (EveryBar::default(), Marks::new(terms.capital));
    let _ = replay(&instruments, &terms, &mut naive).expect("marks every bar");
    let mut marks = Marks::new(terms.capital);
    let marked = replay(&instruments, &terms, &mut marks).expect("marks");
    assert_eq!(format!("{marked:?}"), format!("{definition:?}"), "marking");
    assert_eq!(marks, naive.1, "marking");
    let mut peak = terms.capital;
    let fall = |&equity: &f64| {
        peak = f64::max(peak, equity);
        equity / peak - 1.0
    };
    let deepest = naive.0.marks.iter().map(fall).fold(0.0, f64::min);
    assert_eq!(marks.drawdown(), Measure::Defined(deepest), "deepest fall of every bar");
    let sessions = Metrics::new(&definition, &[]).into_inner().max_drawdown.value();
    assert!(sessions.is_some_and(|closes| deepest <= closes), "session closes are marks too");

    let indicators = dice.indicators();
    let columns: Vec<Columns> = histories.iter().map(|history| Columns::compute(history, &indicators)).collect();
    let shared: Vec<_> = histories.iter().zip(&columns).map(|(history, columns)| (history, columns, dice)).collect();
    let mut ordered = Orders::default();
    let of_columns = replay_shared(&shared, &terms, &mut ordered).expect("shares");
    assert_eq!(format!("{of_columns:?}"), format!("{definition:?}"), "shared columns");
    assert_eq!(ordered, every_bar.orders, "shared columns");

    let passed_over = replay_passing_over(&shared, None, &terms).expect("passes over");
    assert_eq!(format!("{passed_over:?}"), format!("{:?}", *definition), "passing over");
    definition.fills.len()
}

fn walk() -> impl Generator<Value = Walk> {
    let gaps = prop::collection::vec(proptest::prop_oneof![4 => 1u8..4, 1 => 40u8..255], 1..250);
    (gaps, prop::collection::vec(-20i8..20, 1..200)).prop_map(|(gaps, steps)| Walk::new(&gaps, &steps))
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bars", self.start.len())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Rolling, skimmed, shared and passed over, with one symbol or several, with memory or without.
    #[test]
    fn every_path_gives_the_bits_of_the_definition(
        walks in prop::collection::vec(walk(), 1..=3),
        (warmup, rarely, body) in (0usize..30, 1u64..6, 0.0f64..1.0),
        skipped in 0i32..4,
        (daily, halts) in any::<(bool, bool)>(),
    ) {
        compare(&walks, Dice::<()> { warmup, rarely, body, state: PhantomData }, skipped, limits(daily, halts));
        compare(&walks, Dice::<u64> { warmup, rarely, body, state: PhantomData }, skipped, limits(daily, halts));
    }
}

/// Keeps one limit order working that never fills.
#[derive(Clone, Copy)]
struct Waits;

impl Strategy for Waits {
    const NAME: &'static str = "waits";
    type Inputs = [f64; 1];
    type State = ();

    fn indicators(&self) -> [Indicator; 1] {
        [Indicator::Body]
    }

    fn warmup(&self) -> usize {
        0
    }

    fn act(&self, (): &mut (), _: &Now<[f64; 1]>, orders: &mut crate::strategy::Orders) {
        if orders.working().is_empty() {
            orders.place(Order::Place(Ticket::buy(Size::Shares(1)).limit(0.01).for_bars(2)));
        }
    }
}

#[test]
fn an_order_that_has_ended_works_no_more() {
    let walk = Walk::new(&[1; 250], &[7, -9, 4]);
    let history = walk.history("AMC");
    let terms = terms(history.sessions()[0].session.date, Limits::default());
    let (mut orders, bars) = (Orders::default(), history.len());
    let instruments = [Instrument { history, strategy: Waits }];
    let _ = replay(&instruments, &terms, &mut orders).expect("replays");
    assert_eq!(orders.0.len(), bars.div_ceil(2));
}

/// Sparse bars: many sessions have none with a large body.
fn sparse() -> Walk {
    let gaps: Vec<u8> = (0..1_500).map(|i| 30 + (i * 37 % 200) as u8).collect();
    let steps: Vec<i8> = (0..1_500).map(|i| ((i * 7_919) % 41 - 20) as i8).collect();
    Walk::new(&gaps, &steps)
}

#[test]
fn the_walks_above_trade_and_some_sessions_are_passed_over() {
    let dense = Walk::new(&[1; 250], &[7, -9, 4, -3, 8, -6, 2, 9, -12, 17]);
    let dice = Dice::<()> { warmup: 3, rarely: 2, body: 0.2, state: PhantomData };
    assert!(compare(&[dense], dice, 0, limits(false, false)) > 20);
    let walks = [sparse()];
    let dice = Dice { rarely: 1, body: 0.8, ..dice };
    assert!(compare(&walks, dice, 0, limits(false, false)) > 3);
    let history = walks[0].history("AMC");
    let columns = Columns::compute(&history, &dice.indicators());
    let first = history.sessions()[0].session.date;
    let mut portfolio =
        Portfolio::with_columns(&[(&history, &columns, dice)], &terms(first, limits(false, false))).expect("bars");
    portfolio.symbols.iter_mut().for_each(|symbol| symbol.pass_over(&dice, &columns, None));
    let (mut sessions, mut passed_over) = (0, 0);
    while let Some(date) = portfolio.date_ahead() {
        let trading = portfolio.begin_session(date);
        passed_over += usize::from(trading.is_empty());
        sessions += 1;
        portfolio.end_session(date, &trading);
    }
    assert!(passed_over > 2 && passed_over < sessions, "{passed_over} of {sessions}");
}
