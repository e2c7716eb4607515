//! What a portfolio strategy is asked, and what it answers.

use crate::bar::{Bar, Nanos, Symbol};
use crate::calendar::{Calendar, Session};
use crate::order::{Name, Order};
use crate::strategy::{Inputs, Position};

/// A strategy over many symbols: a value that is its own parameters.
pub trait PortfolioStrategy: Copy + Send + Sync + 'static {
    /// Its name, e.g. `momentum`.
    const NAME: &'static str;
    /// Values of its indicators at one bar of one symbol, e.g. `[f64; 2]`.
    type Inputs: Inputs;
    /// What it remembers from bar time to bar time.
    type State: Clone + Default + Send;

    /// The indicators of each symbol whose values arrive as [`Member::inputs`], in order.
    fn indicators(&self) -> <Self::Inputs as Inputs>::Indicators;

    /// Asked once when all bars with one start are complete. A value that an indicator doesn't have yet is not a
    /// number.
    fn decide(&self, state: &mut Self::State, market: &Market<'_, Self::Inputs>, weights: &mut Weights);
}

/// What is known of all symbols at one bar time.
#[derive(Clone, Copy, Debug)]
pub struct Market<'a, I> {
    pub(super) session: Session,
    pub(super) calendar: Calendar,
    pub(super) end: Nanos,
    pub(super) last_of_session: bool,
    pub(super) equity: f64,
    pub(super) members: &'a [Member<I>],
}

/// One symbol that had a bar at this time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member<I> {
    /// The symbol.
    pub symbol: Symbol,
    /// The bar that has just completed.
    pub bar: Bar,
    /// Indicator values at its close; not a number while an indicator has too little history.
    pub inputs: I,
    /// What the account holds of it.
    pub position: Position,
    /// Which of the replay's symbols it is.
    pub(super) index: usize,
}

impl<'a, I> Market<'a, I> {
    /// The exchange session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The end of the bars, nanoseconds UTC.
    pub fn end(&self) -> Nanos {
        self.end
    }

    /// Whether some symbol has its last bar of the session now.
    pub fn is_session_end(&self) -> bool {
        self.last_of_session
    }

    /// Whether the session is the month's last by the calendar, and at its end.
    pub fn is_month_end(&self) -> bool {
        self.last_of_session && self.calendar.is_last_of_month(self.session.date)
    }

    /// Capital, realised profit and positions at these closes, dollars.
    pub fn equity(&self) -> f64 {
        self.equity
    }

    /// The symbols that had a bar at this time, alphabetically. The others keep what they have.
    pub fn members(&self) -> &'a [Member<I>] {
        self.members
    }

    /// One of them.
    pub fn member(&self, symbol: Symbol) -> Option<&'a Member<I>> {
        self.members.binary_search_by_key(&symbol, |member| member.symbol).ok().map(|i| &self.members[i])
    }
}

/// What a portfolio strategy answers: wanted weights, or orders symbol by symbol.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    pub(super) targets: Option<Vec<(Symbol, f64)>>,
    pub(super) orders: Vec<(Symbol, Order)>,
}

impl Weights {
    /// From the next open on these are the parts of equity held, negative ones short. Of every other symbol that had a
    /// bar nothing is held. An earlier answer at this time is replaced.
    pub fn set(&mut self, weights: Vec<(Symbol, f64)>) {
        self.targets = Some(weights);
    }

    /// Holds nothing from the next open on.
    pub fn liquidate(&mut self) {
        self.set(Vec::new());
    }

    /// Gives an order of one symbol, that had a bar at this time. Orders are taken in this sequence.
    pub fn order(&mut self, symbol: Symbol, order: Order) {
        self.orders.push((symbol, order));
    }

    /// Cancels an order of one symbol by its name.
    pub fn cancel(&mut self, symbol: Symbol, name: impl Into<Name>) {
        self.order(symbol, Order::Cancel(name.into()));
    }
}
