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
use crate::order::{
    Bracket, Entry, Kind, Level, Order, Reason, Side, Size, Stop, TakeProfit, Ticket, TimeInForce, Trail,
};
use crate::risk::{DailyLoss, Halt, Limits};
use crate::strategy::{self, Now, Test};

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
    /// Enters only above this share of a bar's range.
    body: f64,
    /// Gives no order while something is held or works.
    patient: bool,
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
        let size = match roll(3) {
            0 => Size::Shares(7),
            1 => Size::EquityFraction(0.3),
            _ => Size::Notional(9_000.0),
        };
        let (near, far) = (close * (1.0 - 0.002 * sign), close * (1.0 + 0.003 * sign));
        let kind = match roll(6) {
            0 => Kind::Limit(near),
            1 => Kind::Stop(far),
            2 => Kind::StopLimit { stop: far, limit: close },
            3 => Kind::TrailingStop(Trail::Price(0.1)),
            _ => return Some(Order::Enter(Entry { side, size, bracket })),
        };
        let tif = match roll(3) {
            0 => TimeInForce::Gtc,
            1 => TimeInForce::Day,
            _ => TimeInForce::Bars(5),
        };
        Some(Order::Place(Ticket { side, kind, tif, ..Ticket::buy(size).bracket(bracket) }))
    }

    fn act(&self, state: &mut M, now: &Now<[f64; 4]>, orders: &mut strategy::Orders) {
        // Asked in any case: what it remembers depends on bars alone.
        let order = self.decide(state, now);
        let busy = now.position.is_open() || !orders.working().is_empty();
        if !(busy && self.patient) {
            order.into_iter().for_each(|order| orders.place(order));
        }
    }

    fn asks_while_busy(&self) -> bool {
        !self.patient
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
        (daily, halts, patient) in any::<(bool, bool, bool)>(),
    ) {
        let limits = limits(daily, halts);
        compare(&walks, Dice::<()> { warmup, rarely, body, patient, state: PhantomData }, skipped, limits);
        compare(&walks, Dice::<u64> { warmup, rarely, body, patient, state: PhantomData }, skipped, limits);
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

/// Buys at the first close and keeps it.
#[derive(Clone, Copy)]
struct Keep(Size);

impl Strategy for Keep {
    const NAME: &'static str = "keep";
    type Inputs = [f64; 0];
    type State = ();

    fn indicators(&self) -> [Indicator; 0] {
        []
    }

    fn warmup(&self) -> usize {
        0
    }

    fn decide(&self, (): &mut (), now: &Now<[f64; 0]>) -> Option<Order> {
        (!now.position.is_open()).then(|| Order::buy(self.0))
    }
}

/// AMC's bars end with a gain of 500 dollars, which counts once when GME is bought a day later.
#[test]
fn what_has_been_sold_at_the_end_of_its_data_is_worth_nothing_more() {
    let open = |date: &str| calendar::session(date.parse().expect("a date")).open;
    let bars = |starts: Vec<Nanos>, closes: [f64; 2]| {
        let opens = vec![closes[0]; 2];
        let [high, low] = [f64::max, f64::min].map(|pick| vec![closes[0], pick(closes[0], closes[1])]);
        Walk { start: starts, columns: [opens, high, low, closes.to_vec(), vec![1e6; 2]] }
    };
    let (first, second) = (open("2024-11-26"), open("2024-11-27"));
    // 500 shares at 10 dollars, half of 10,000; the last close is 11.
    let amc = bars(vec![first, first + MINUTE], [10.0, 11.0]);
    let gme = bars(vec![second, second + MINUTE], [10.0, 10.0]);
    let terms =
        Terms { costs: Costs::default(), limits: Limits::default(), ..terms(calendar::FIRST, limits(false, false)) };
    let terms = Terms { capital: 10_000.0, ..terms };
    let (amc, gme) = (amc.history("AMC"), gme.history("GME"));
    let instruments = [amc, gme].map(|history| Instrument { history, strategy: Keep(Size::EquityFraction(0.5)) });
    let replay = replay(&instruments, &terms, &mut ()).expect("bars");
    let shares: Vec<f64> = replay.fills.iter().map(|fill| fill.shares).collect();
    assert_eq!(shares, [500.0, 525.0]);
}

/// Five days; shares split 2 for 1 before the fourth and pay a dollar on the third, forty cents on the fourth.
#[test]
fn raw_and_adjusted_prices_of_one_company_give_the_same_dollars() {
    let date = |day: &str| day.parse::<Date>().expect("a date");
    let days = ["2024-07-01", "2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08"].map(date);
    let start = days.map(|day| i64::from(day.0) * crate::bar::DAY);
    let (raw, adjusted) = ([10.0, 12.0, 14.0, 7.0, 8.0], [5.0, 6.0, 7.0, 7.0, 8.0]);
    let (split, dividends) = ((days[3], 2.0), [(days[2], 1.0), (days[3], 0.4)]);
    fn bars<'a>(start: &'a [Nanos; 5], prices: &'a [f64; 5]) -> History<'a> {
        let bars = Bars::new(Timeframe::Day, start, [&prices[..]; 5]).expect("bars");
        History::new("AMC".parse().expect("a symbol"), bars, Hours::Regular).expect("covered")
    }
    let terms = Terms { capital: 10_000.0, costs: Costs::default(), ..terms(calendar::FIRST, Limits::default()) };
    let equity = |history: History<'_>, shares: u64| -> Vec<f64> {
        let replay =
            replay(&[Instrument { history, strategy: Keep(Size::Shares(shares)) }], &terms, &mut ()).expect("bars");
        replay.equity.iter().map(|(_, equity)| *equity).collect()
    };
    let raw = bars(&start, &raw).splitting([split]).paying(dividends);
    let adjusted = bars(&start, &adjusted).adjusted_by([split]).paying(dividends);
    // 100 shares at 12 dollars: 200 more and 100 of dividend, 80 more of dividend, 200 more.
    let dollars = [10_000.0, 10_000.0, 10_300.0, 10_380.0, 10_580.0];
    assert_eq!(equity(raw.clone(), 100), dollars);
    assert_eq!(equity(adjusted, 200), dollars);
    // Who held it to the end of its trading gets a quarter of the last price less.
    assert_eq!(equity(raw.delisted(days[4], 0.25), 100)[4], 10_580.0 - 200.0 * 8.0 * 0.25);
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
    let dice = Dice::<()> { warmup: 3, rarely: 1, body: 0.2, patient: false, state: PhantomData };
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
