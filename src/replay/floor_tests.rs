//! What must hold for any orders over any bars.

use proptest::prelude::{Just, ProptestConfig, prop, prop_oneof, proptest};
use proptest::strategy::Strategy as Generator;

use super::floor::{Decider, Floor, Played};
use super::terms::Terms;
use crate::account::{AccountKind, Conditions, Execution, OnInsufficient};
use crate::bar::{Bars, Date, Nanos, Timeframe};
use crate::calendar;
use crate::costs::Costs;
use crate::history::{History, Hours};
use crate::order::{
    Bracket, Level, Name, NewStop, Order, Reason, Side, Size, Stop, TakeProfit, Ticket, TimeInForce, Trail,
};
use crate::risk::Limits;

/// Daily bars of a walk that often touches round prices.
struct Walk {
    start: Vec<Nanos>,
    columns: [Vec<f64>; 5],
}

const FIRST: &str = "2024-03-01";

impl Walk {
    fn new(steps: &[(i8, i8, i8, u8)]) -> Self {
        let first: Date = FIRST.parse().expect("a date");
        let dates = calendar::sessions(first, Date(first.0 + 400));
        let mut walk = Self { start: Vec::new(), columns: Default::default() };
        let mut close = 40.0;
        for (session, &(gap, step, wick, volume)) in dates.zip(steps) {
            let open: f64 = f64::max(close + f64::from(gap) / 4.0, 5.0);
            close = f64::max(open + f64::from(step) / 4.0, 5.0);
            let wick = f64::from(wick.unsigned_abs()) / 8.0;
            walk.start.push(session.date.utc_midnight());
            let bar = [open, open.max(close) + wick, open.min(close) - wick, close, f64::from(volume) * 10.0];
            walk.columns.iter_mut().zip(bar).for_each(|(column, value)| column.push(value));
        }
        walk
    }

    fn history(&self, name: &str) -> History<'_> {
        let columns = self.columns.each_ref().map(|column| &column[..]);
        let bars = Bars::new(Timeframe::Day, &self.start, columns).expect("ordered");
        History::new(name.parse().expect("a symbol"), bars, Hours::Regular).expect("covered")
    }
}

/// Orders by symbol and bar, and what is looked at at each close.
struct Given<'o> {
    orders: &'o [(usize, usize, Order)],
    bar: usize,
    worst: f64,
}

impl Decider for Given<'_> {
    fn decide(&mut self, floor: &mut Floor<'_>, _: Nanos, traded: &[usize]) {
        let worth: f64 = traded
            .iter()
            .map(|&i| {
                let close = floor.bar(i).close;
                let (book, account) = floor.book(i);
                book.worth(account, close)
            })
            .sum();
        let apart = floor.account.cash() + worth - floor.account.marked_equity();
        self.worst = self.worst.max(apart.abs());
        for &i in traded {
            for (_, _, order) in self.orders.iter().filter(|(symbol, bar, _)| (*symbol, *bar) == (i, self.bar)) {
                let heard = floor.heard(i);
                let (book, account) = floor.book(i);
                book.accept(account, order, &heard);
            }
        }
        self.bar += 1;
    }
}

/// How a replay is made that comes out the same.
#[derive(Clone, Copy, PartialEq)]
enum How {
    Plainly,
    /// Symbols come in the other order.
    Reversed,
    /// No bar passes without a look.
    LookingAtAll,
}

fn play(
    walks: &[Walk],
    orders: &[(usize, usize, Order)],
    conditions: Conditions,
    costs: Costs,
    how: How,
) -> (Played, f64) {
    let mut histories: Vec<History<'_>> =
        walks.iter().zip(["AA", "BB", "CC"]).map(|(walk, name)| walk.history(name)).collect();
    if let Some(second) = histories.get_mut(1) {
        let ex_date = Date(walks[1].start[0].div_euclid(crate::bar::DAY) as i32 + 20);
        *second = second.clone().paying([(ex_date, 0.5)]);
    }
    if how == How::Reversed {
        histories.reverse();
    }
    let terms = Terms {
        capital: 50_000.0,
        costs,
        conditions,
        limits: Limits::default(),
        start: calendar::FIRST,
        end: calendar::LAST,
    };
    let mut floor = Floor::new(&histories, &terms).expect("bars");
    floor.account.keep_executions();
    if how == How::LookingAtAll {
        floor.look_at_all();
    }
    let mut given = Given { orders, bar: 0, worst: 0.0 };
    let played = floor.play(&mut given);
    (played, given.worst)
}

fn price() -> impl Generator<Value = f64> {
    (80i32..260).prop_map(|quarters| f64::from(quarters) / 4.0)
}

fn size() -> impl Generator<Value = Size> {
    prop_oneof![
        (1u64..400).prop_map(Size::Shares),
        (500u32..20_000).prop_map(|dollars| Size::Notional(f64::from(dollars))),
        (1u32..60).prop_map(|percent| Size::EquityFraction(f64::from(percent) / 100.0)),
    ]
}

fn bracket() -> impl Generator<Value = Bracket> {
    let stop = prop_oneof![
        Just(None),
        price().prop_map(|price| Some(Stop::At(price))),
        (1u8..12).prop_map(|offset| Some(Stop::Offset(f64::from(offset) / 4.0))),
        (1u8..9).prop_map(|percent| Some(Stop::TrailPercent(f64::from(percent)))),
    ];
    let level = prop_oneof![
        price().prop_map(Level::At),
        (1u8..16).prop_map(|offset| Level::Offset(f64::from(offset) / 4.0)),
        price().prop_map(|level| Level::Toward { level, fraction: 0.5 }),
    ];
    let targets = prop::collection::vec((level, 10u8..40, prop::bool::ANY), 0..3);
    (stop, targets, prop::option::of(1i64..6)).prop_map(|(stop, targets, days)| {
        let trails = matches!(stop, Some(Stop::TrailPercent(_)));
        let mut bracket = Bracket { stop, time_stop: days.map(|days| days * crate::bar::DAY), ..Bracket::NONE };
        for (slot, (level, percent, moves)) in bracket.targets.iter_mut().zip(targets) {
            let then_stop = (moves && !trails).then_some(NewStop::Offset(0.0));
            *slot = Some(TakeProfit { level, percent: f64::from(percent), then_stop });
        }
        bracket
    })
}

fn ticket() -> impl Generator<Value = Order> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let tif = prop_oneof![Just(TimeInForce::Gtc), Just(TimeInForce::Day), (1u32..5).prop_map(TimeInForce::Bars)];
    (side, size(), 0u8..6, (price(), price()), tif, bracket(), prop::option::of(0u32..3), prop::bool::weighted(0.2))
        .prop_map(|(side, size, kind, (a, b), tif, bracket, oco, reduce_only)| {
            let mut ticket = if side == Side::Buy { Ticket::buy(size) } else { Ticket::sell(size) };
            ticket = match kind {
                0 => ticket,
                1 => ticket.limit(a),
                2 => ticket.stop(a),
                3 => ticket.stop_limit(a, b),
                4 => ticket.trailing(Trail::Price(1.25)),
                _ => return Order::Place(ticket.on_close()),
            };
            ticket.tif = tif;
            ticket.oco = oco.map(|group| Name("group", group));
            ticket.reduce_only = reduce_only;
            ticket.bracket = if reduce_only { Bracket::NONE } else { bracket };
            Order::Place(ticket)
        })
}

fn order() -> impl Generator<Value = Order> {
    prop_oneof![
        8 => ticket(),
        1 => (-300i64..300).prop_map(Order::target_shares),
        1 => (-80i32..80).prop_map(|percent| Order::target_weight(f64::from(percent) / 100.0)),
        1 => Just(Order::Exit(Reason::Signal("out"))),
        1 => Just(Order::CancelAll),
    ]
}

fn walks() -> impl Generator<Value = Vec<Walk>> {
    let step = (-3i8..4, -5i8..6, -4i8..5, 0u8..200);
    prop::collection::vec(prop::collection::vec(step, 60), 1..=3)
        .prop_map(|all| all.iter().map(|steps| Walk::new(steps)).collect())
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.columns)
    }
}

fn conditions() -> impl Generator<Value = Conditions> {
    let kind =
        prop_oneof![Just(AccountKind::Unlimited), Just(AccountKind::Cash), Just(AccountKind::Margin { leverage: 2.0 })];
    (kind, prop::bool::ANY, prop::bool::ANY, prop::bool::ANY, prop::option::of(Just(0.1))).prop_map(
        |(kind, shrinks, strict_limits, fractional, participation)| Conditions {
            kind,
            on_insufficient: if shrinks { OnInsufficient::Shrink } else { OnInsufficient::Reject },
            participation,
            fractional,
            strict_limits,
            ..Conditions::UNLIMITED
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Cash and positions are equity at every close; without costs every fill lies in its bar's range and none in a
    /// bar before the first order could work; a cash account never goes below zero or short.
    #[test]
    fn what_holds_for_any_orders(
        walks in walks(),
        orders in prop::collection::vec((0usize..3, 0usize..58, order()), 0..40),
        conditions in conditions(),
    ) {
        let (played, worst) = play(&walks, &orders, conditions, Costs::default(), How::Plainly);
        assert!(worst < 1e-5, "cash and positions are {worst} dollars off equity");
        let first_order = orders.iter().map(|(_, bar, _)| *bar).min().unwrap_or(0);
        for execution in &played.kept.executions {
            let Execution { symbol, time, price, position, .. } = *execution;
            let at = ["AA", "BB", "CC"].iter().position(|name| symbol.as_str() == *name).expect("known");
            let walk = &walks[at];
            // An execution at the close is timed at its end, which is the start of no bar or of the next one.
            let bar = match walk.start.binary_search(&time) {
                Ok(bar) if price_in(walk, bar, price) => bar,
                Ok(bar) | Err(bar) => bar - 1,
            };
            assert!(price_in(walk, bar, price), "{execution:?} outside its bar");
            assert!(bar > first_order, "{execution:?} in the bar of its decision or before");
            assert!(conditions.kind != AccountKind::Cash || position >= 0.0, "{execution:?}: short on a cash account");
        }
        if conditions.kind == AccountKind::Cash {
            assert!(played.replay.lowest_cash > -1e-5, "cash fell to {}", played.replay.lowest_cash);
        }
    }

    /// Neither the order in which symbols are given means anything, nor that bars pass that touch nothing.
    #[test]
    fn the_order_of_symbols_and_bars_that_pass_mean_nothing(
        walks in walks(),
        orders in prop::collection::vec((0usize..3, 0usize..58, order()), 0..40),
        conditions in conditions(),
    ) {
        let costs = Costs { slippage_bps: 5.0, fee_per_share: 0.01, fee_bps: 1.0, half_spread: 0.01, fee_min: 1.0 };
        let (one, worst) = play(&walks, &orders, conditions, costs, How::Plainly);
        assert!(worst < 1e-5, "cash and positions are {worst} dollars off equity");
        for how in [How::Reversed, How::LookingAtAll] {
            let (other, _) = play(&walks, &orders, conditions, costs, how);
            assert_eq!(format!("{:?}", one.replay), format!("{:?}", other.replay));
            assert_eq!(format!("{:?}", one.kept), format!("{:?}", other.kept));
        }
    }
}

fn price_in(walk: &Walk, bar: usize, price: f64) -> bool {
    walk.columns[2][bar] - 1e-9 <= price && price <= walk.columns[1][bar] + 1e-9
}
