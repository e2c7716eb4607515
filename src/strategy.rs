//! The contract between a strategy and whatever runs it: a replay, a sweep or a live service.
//!
//! ```
//! use magellan::indicator::{Indicator, Smoothing};
//! use magellan::order::{Order, Reason, Size};
//! use magellan::strategy::{Now, Strategy};
//!
//! #[derive(Clone, Copy)]
//! struct Dip;
//!
//! impl Strategy for Dip {
//!     const NAME: &'static str = "dip";
//!     type Inputs = [f64; 1];
//!     type State = ();
//!     fn indicators(&self) -> [Indicator; 1] {
//!         [Indicator::Rsi { period: 2, smoothing: Smoothing::Wilder }]
//!     }
//!     fn warmup(&self) -> usize {
//!         10
//!     }
//!     fn decide(&self, _: &mut (), now: &Now<[f64; 1]>) -> Option<Order> {
//!         let [rsi] = now.inputs;
//!         match now.position.is_open() {
//!             false if rsi < 10.0 => Some(Order::buy(Size::Notional(10_000.0))),
//!             true if rsi > 50.0 => Some(Order::Exit(Reason::Signal("bounce"))),
//!             _ => None,
//!         }
//!     }
//! }
//! ```
//!
//! A strategy gets values, never a column, index, length, clock or file, so it cannot look
//! ahead. None of these programs compiles:
//!
//! ```compile_fail,E0608
//! # use magellan::{order::Order, strategy::Now};
//! fn decide(now: &Now<[f64; 1]>) -> f64 {
//!     now.bar[1].close // the next bar: a bar is one value, not a column
//! }
//! ```
//! ```compile_fail,E0609
//! # use magellan::{order::Order, strategy::Now};
//! fn decide(now: &Now<[f64; 1]>) -> f64 {
//!     now.session.high // the whole session's high: known only at its end
//! }
//! ```
//! ```compile_fail,E0609
//! # use magellan::{order::Order, strategy::Now};
//! fn decide(now: &Now<[f64; 1]>) -> usize {
//!     now.columns.len() // how much data there is
//! }
//! ```
//! ```compile_fail,E0609
//! # use magellan::order::{Entry, Order};
//! fn fill_at_my_price(entry: &mut Entry) {
//!     entry.price = 1.0; // a market order has no price
//! }
//! ```
//! ```compile_fail,E0277
//! # use magellan::{indicator::Indicator, order::Order, strategy::{Now, Strategy}};
//! #[derive(Clone, Copy)]
//! struct Peek;
//! impl Strategy for Peek {
//!     const NAME: &'static str = "peek";
//!     type Inputs = &'static [f64]; // inputs are sealed: only arrays of values
//!     type State = ();
//!     fn indicators(&self) -> [Indicator; 1] { [Indicator::Body] }
//!     fn warmup(&self) -> usize { 0 }
//!     fn decide(&self, _: &mut (), _: &Now<&'static [f64]>) -> Option<Order> { None }
//! }
//! ```

use crate::bar::{Bar, Nanos};
use crate::calendar::Session;
use crate::indicator::Indicator;
use crate::order::{Kind, Name, Order, Reason, Side, Size};

/// A trading strategy: a value that is its own parameters.
pub trait Strategy: Copy + Send + Sync + 'static {
    /// Name of its folder, config and unit, e.g. `bear_trap`.
    const NAME: &'static str;
    /// Values of its indicators at one bar, e.g. `[f64; 2]`.
    type Inputs: Inputs;
    /// What it remembers from bar to bar. It must depend on bars alone, never on its own position: before the
    /// period of a replay it is rebuilt from the bars, without any position.
    type State: Copy + Default + Send;

    /// The indicators whose values arrive as [`Now::inputs`], in order.
    fn indicators(&self) -> <Self::Inputs as Inputs>::Indicators;

    /// How many bars must have passed, from the first one in the archive, before `decide` is called.
    fn warmup(&self) -> usize;

    /// Called once at the close of every bar after the warm-up, unless declared [`Strategy::rules`] or
    /// [`Strategy::needs`] make the call unnecessary in a sweep or in the gate's varied replays. An
    /// order works from the next bar on. A strategy that gives several orders at a close, or looks at those that work,
    /// has [`Strategy::act`] instead; one that has neither never trades.
    fn decide(&self, _state: &mut Self::State, _now: &Now<Self::Inputs>) -> Option<Order> {
        None
    }

    /// As [`Strategy::decide`], for any number of orders.
    #[inline(always)]
    fn act(&self, state: &mut Self::State, now: &Now<Self::Inputs>, orders: &mut Orders) {
        if let Some(order) = self.decide(state, now) {
            orders.place(order);
        }
    }

    /// What `decide` does, as data, if data can express it: a sweep is then much faster, since it
    /// needs no call for each bar. [`Rules::decide`] must equal [`Strategy::decide`] for all inputs.
    /// A property test of the strategy should show it; besides, a sweep replays some points of every
    /// group of 16 or more (those that share costs, limits and capital) by `decide` and compares.
    fn rules(&self) -> Option<Rules> {
        None
    }

    /// Tests that all hold at every bar at which `decide` gives an order while nothing is held and nothing works; the
    /// rarest first is fastest. A sweep passes over the other bars of an idle symbol. Without tests it passes over
    /// none.
    fn needs(&self) -> Vec<Test> {
        Vec::new()
    }

    /// Whether it may give an order while something is held or works. One that leaves all exits to its brackets, and
    /// its orders alone, answers `false`; if it says what it [`needs`](Strategy::needs), a sweep then passes over the
    /// bars that touch neither brackets nor orders.
    fn asks_while_busy(&self) -> bool {
        true
    }
}

/// The orders that a strategy gives at a close, and those that work already.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    placed: Vec<Order>,
    working: Vec<WorkingOrder>,
}

impl Orders {
    /// Gives an order. Several are taken in this order.
    #[inline]
    pub fn place(&mut self, order: Order) {
        self.placed.push(order);
    }

    /// The symbol's working orders, oldest first.
    pub fn working(&self) -> &[WorkingOrder] {
        &self.working
    }

    /// The newest working order of that name.
    pub fn find(&self, name: impl Into<Name>) -> Option<&WorkingOrder> {
        let name = name.into();
        self.working.iter().rfind(|order| order.name == Some(name))
    }

    /// What was given at this close.
    pub fn placed(&self) -> &[Order] {
        &self.placed
    }

    /// Whether one of them depends on what the account is worth.
    #[inline(always)]
    pub(crate) fn size_by_equity(&self) -> bool {
        self.placed.iter().any(Order::sizes_by_equity)
    }

    #[inline(always)]
    pub(crate) fn has_any(&self) -> bool {
        !self.placed.is_empty()
    }

    pub(crate) fn working_mut(&mut self) -> &mut Vec<WorkingOrder> {
        &mut self.working
    }

    /// Forgets what was given, and what worked.
    pub(crate) fn clear(&mut self) {
        self.placed.clear();
        self.working.clear();
    }
}

/// A working order as its strategy sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkingOrder {
    /// The name that the strategy gave it.
    pub name: Option<Name>,
    /// Buy or sell; of a target or a close that of the moment of its decision.
    pub side: Side,
    /// Its type and prices.
    pub kind: Kind,
    /// Where its stop is now, dollars: that of a trailing stop moves. Not a number without one.
    pub stop: f64,
    /// Units that it still has to trade; a target or a close has no number.
    pub left: Option<u64>,
    /// Units filled.
    pub filled: u64,
    /// Whether it only closes.
    pub reduce_only: bool,
}

/// A strategy as data: comparisons of inputs with levels enter and exit a position of a fixed size.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// While flat, buys where all of these hold.
    pub enter: Vec<Test>,
    /// While long, sells everything where all of these hold.
    pub exit: Vec<Test>,
    /// How much it buys.
    pub size: Size,
    /// Why it sells.
    pub reason: Reason,
}

impl Rules {
    /// The same answer as [`Strategy::decide`].
    pub fn decide(&self, inputs: &[f64], is_open: bool) -> Option<Order> {
        let hold = |tests: &[Test]| tests.iter().all(|test| test.holds(inputs[test.input]));
        match is_open {
            false if hold(&self.enter) => Some(Order::buy(self.size)),
            true if hold(&self.exit) => Some(Order::Exit(self.reason)),
            _ => None,
        }
    }
}

/// A comparison of an input with a level. NaN meets none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// Which of [`Now::inputs`].
    pub input: usize,
    /// How it must lie to the level.
    pub relation: Relation,
    /// The level.
    pub level: f64,
}

/// Above or below a level; the level itself is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// Greater than it.
    Above,
    /// Less than it.
    Below,
}

impl Test {
    /// `inputs[input] > level`
    pub const fn above(input: usize, level: f64) -> Self {
        Self { input, relation: Relation::Above, level }
    }

    /// `inputs[input] < level`
    pub const fn below(input: usize, level: f64) -> Self {
        Self { input, relation: Relation::Below, level }
    }

    /// `inputs[input] >= level`, as a comparison with the next smaller number.
    pub const fn at_least(input: usize, level: f64) -> Self {
        Self::above(input, level.next_down())
    }

    /// `inputs[input] <= level`, as a comparison with the next larger number.
    pub const fn at_most(input: usize, level: f64) -> Self {
        Self::below(input, level.next_up())
    }

    /// Whether `value` lies so.
    #[inline(always)]
    pub fn holds(&self, value: f64) -> bool {
        match self.relation {
            Relation::Above => value > self.level,
            Relation::Below => value < self.level,
        }
    }
}

/// Everything a strategy knows at the close of a bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now<I> {
    /// The bar that has just completed.
    pub bar: Bar,
    /// Its exchange session.
    pub session: Session,
    /// Indicator values at its close; NaN while an indicator has too little history.
    pub inputs: I,
    /// What the account holds of the symbol.
    pub position: Position,
}

/// What is held of one symbol, as the account or the broker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Position {
    /// Units held: shares, or millionths of a share in a fractional account; negative is short.
    pub shares: i64,
    /// Price of the entry fill with slippage, dollars; of several lots the mean, by their shares. 0 when flat.
    pub entry_price: f64,
    /// Start of the bar of the oldest lot's entry fill, nanoseconds UTC; 0 when flat.
    pub entered: Nanos,
    /// Whether an exit filled in this bar.
    pub exited_this_bar: bool,
}

impl Position {
    /// Whether anything is held, long or short.
    #[inline(always)]
    pub const fn is_open(&self) -> bool {
        self.shares != 0
    }
}

/// The values of a strategy's indicators at one bar: `[f64; N]`. Sealed.
pub trait Inputs: sealed::Sealed + Copy + Send + Sync + std::fmt::Debug + 'static {
    /// The indicators that make these values.
    type Indicators: AsRef<[Indicator]>;
    /// No value yet.
    #[doc(hidden)]
    const NOTHING: Self;
    #[doc(hidden)]
    fn set(&mut self, indicator: usize, value: f64);
    /// The values in the indicators' order.
    fn as_slice(&self) -> &[f64];
}

impl<const N: usize> Inputs for [f64; N] {
    type Indicators = [Indicator; N];
    const NOTHING: Self = [f64::NAN; N];

    #[inline(always)]
    fn set(&mut self, indicator: usize, value: f64) {
        self[indicator] = value;
    }

    fn as_slice(&self) -> &[f64] {
        self
    }
}

pub(crate) mod sealed {
    #[expect(unnameable_types, reason = "sealing needs a public trait nobody can name")]
    pub trait Sealed {}
    impl<const N: usize> Sealed for [f64; N] {}
}
