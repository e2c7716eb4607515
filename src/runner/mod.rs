//! The same `decide` as in a replay, one bar at a time: no input or output, no clock.
//!
//! A [`Feed`] says what happens, in order. A [`Broker`] knows what is held and takes the orders. The [`Runner`] stands
//! between them and only decides. Over archived bars ([`Archived`]) with a broker in memory ([`Simulated`]) it gives the
//! decisions and fills of [`crate::replay::replay`], bit for bit.

mod archived;
mod broker;
mod deaf;
mod feed;
mod simulated;

use crate::bar::{Bar, Date, Nanos, Symbol};
use crate::calendar::Session;
use crate::error::{Error, Result, codes};
use crate::history::History;
use crate::indicator::{Memory, Rolling};
use crate::order::Order;
use crate::strategy::{Inputs, Now, Orders, Position, Strategy};

pub use archived::Archived;
pub use broker::{Broker, OrderStatus};
pub use deaf::Deaf;
pub use feed::{Event, Feed, FeedBar};
pub use simulated::Simulated;

/// A strategy under way: for each symbol its parameters, indicators and state.
pub struct Runner<S: Strategy> {
    /// Alphabetically.
    symbols: Vec<SymbolStrategy<S>>,
    session: Session,
}

/// What a strategy ordered at the close of a bar, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The symbol.
    pub symbol: Symbol,
    /// Start of the bar, nanoseconds UTC.
    pub start: Nanos,
    /// End of the bar, when the decision was made, nanoseconds UTC.
    pub end: Nanos,
    /// The order.
    pub order: Order,
    /// What the broker made of it.
    pub status: OrderStatus,
}

impl<S: Strategy> Runner<S> {
    /// A runner that has seen no bar yet.
    ///
    /// # Errors
    /// Usage error for a symbol given twice, and for an indicator that needs more than the symbol's bars: nothing here
    /// supplies a file's or another symbol's values as they become known.
    pub fn new(strategies: impl IntoIterator<Item = (Symbol, S)>) -> Result<Self> {
        let each = strategies.into_iter().map(|(symbol, strategy)| SymbolStrategy::new(symbol, strategy));
        let mut symbols: Vec<SymbolStrategy<S>> = each.collect();
        symbols.sort_by_key(|s| s.symbol);
        if let Some(twice) = symbols.windows(2).find(|w| w[0].symbol == w[1].symbol) {
            return Err(Error::new(codes::BAD_ARGUMENT, format!("{} is given twice", twice[0].symbol)));
        }
        symbols.iter().try_for_each(SymbolStrategy::check)?;
        Ok(Self { symbols, session: Session::default() })
    }

    /// Shows indicators and strategy the bars before the first session traded. The strategy's answers are dropped.
    ///
    /// # Errors
    /// Usage error for a symbol that isn't traded.
    pub fn warm_up(&mut self, history: &History<'_>, first: Date) -> Result<()> {
        let symbol = self.symbol(history.symbol)?;
        let past = history.sessions().iter().take_while(|s| s.session.date < first);
        if symbol.forgets() {
            symbol.seen = past.last().map_or(0, |s| s.ordinal + s.range.len());
            return Ok(());
        }
        for session in past {
            let bars = history.session_bars(session);
            for i in 0..bars.len() {
                symbol.decide(&bars.get(i), &session.session, Position::default());
                symbol.orders.clear();
            }
        }
        Ok(())
    }

    /// Handles what happened in the feed: passes it to the broker, asks the strategy, submits its orders, and appends
    /// them to `decisions`.
    ///
    /// # Errors
    /// The broker's; usage error for bars of a symbol that isn't traded.
    pub fn handle(
        &mut self,
        event: &Event<'_>,
        broker: &mut (impl Broker + ?Sized),
        decisions: &mut Vec<Decision>,
    ) -> Result<()> {
        match event {
            Event::Opens(session) => {
                self.session = *session;
                broker.session_opens(session)
            }
            Event::Bars(bars) => self.handle_bars(bars, broker, decisions),
            Event::Closes(session) => broker.session_closes(session.date),
            Event::Wait(_) | Event::Ends => Ok(()),
        }
    }

    /// What a symbol's indicators showed at its last bar; none if it isn't traded.
    pub fn inputs(&self, symbol: Symbol) -> Option<&[f64]> {
        let at = self.symbols.binary_search_by_key(&symbol, |s| s.symbol).ok()?;
        Some(self.symbols[at].inputs.as_slice())
    }

    fn handle_bars(
        &mut self,
        bars: &[FeedBar],
        broker: &mut (impl Broker + ?Sized),
        decisions: &mut Vec<Decision>,
    ) -> Result<()> {
        let session = self.session;
        broker.bars_trade(bars, &session)?;
        for bar in bars {
            let strategy = self.symbol(bar.symbol)?;
            let position = broker.bar_closes(bar, &session, strategy.orders.working_mut())?;
            strategy.decide(&bar.bar, &session, position);
            let statuses = broker.submit(bar, &session, strategy.orders.placed())?;
            let FeedBar { symbol, bar: Bar { start, end, .. }, .. } = *bar;
            let decided = strategy.orders.placed().iter().zip(statuses);
            decisions.extend(decided.map(|(&order, status)| Decision { symbol, start, end, order, status }));
            strategy.orders.clear();
        }
        Ok(())
    }

    fn symbol(&mut self, symbol: Symbol) -> Result<&mut SymbolStrategy<S>> {
        match self.symbols.binary_search_by_key(&symbol, |s| s.symbol) {
            Ok(at) => Ok(&mut self.symbols[at]),
            Err(_) => Err(Error::new(codes::BAD_ARGUMENT, format!("there are bars of {symbol}, which isn't traded"))),
        }
    }
}

/// One symbol's strategy under way.
struct SymbolStrategy<S: Strategy> {
    symbol: Symbol,
    strategy: S,
    rolling: Vec<Rolling>,
    state: S::State,
    orders: Orders,
    /// Of the last bar.
    inputs: S::Inputs,
    /// Bars so far, those before the first session traded included: the warm-up counts them.
    seen: usize,
}

impl<S: Strategy> SymbolStrategy<S> {
    fn new(symbol: Symbol, strategy: S) -> Self {
        let rolling = strategy.indicators().as_ref().iter().map(|i| i.start(symbol)).collect();
        let (state, orders, inputs) = (S::State::default(), Orders::default(), S::Inputs::NOTHING);
        Self { symbol, strategy, rolling, state, orders, inputs, seen: 0 }
    }

    /// Whether bars are all that its indicators need.
    fn check(&self) -> Result<()> {
        let indicators = self.strategy.indicators();
        let Some(other) = indicators.as_ref().iter().find(|i| i.reads_other_data()) else { return Ok(()) };
        let what = format!("{}: `{}` comes from a file or from another symbol's bars", self.symbol, other.name());
        Err(Error::new(codes::BAD_ARGUMENT, what)
            .help("bar by bar there are only the symbol's own bars: such a strategy can be replayed, not run"))
    }

    /// Whether earlier sessions leave no trace but their number of bars.
    fn forgets(&self) -> bool {
        let all = self.strategy.indicators().as_ref().iter().all(|i| i.memory() == Memory::Session);
        all && size_of::<S::State>() == 0
    }

    /// Asks the strategy for its orders at the close of a bar.
    fn decide(&mut self, bar: &Bar, session: &Session, position: Position) {
        let mut inputs = S::Inputs::NOTHING;
        for (k, rolling) in self.rolling.iter_mut().enumerate() {
            inputs.set(k, rolling.next(bar, session));
        }
        self.inputs = inputs;
        self.seen += 1;
        if self.seen <= self.strategy.warmup() {
            return;
        }
        let now = Now { bar: *bar, session: *session, inputs, position };
        self.strategy.act(&mut self.state, &now, &mut self.orders);
    }
}
