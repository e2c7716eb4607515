//! The same `decide` as the replay, one bar at a time: no input or output, no clock.
//!
//! A [`Feed`] says what happens, in order; a [`Broker`] holds the truth about positions and is
//! told what a strategy wants. The [`Runner`] stands between them and only decides. Over archived
//! bars ([`Archived`]) with a broker that only reckons ([`Simulated`]) it gives the decisions and
//! fills of [`crate::replay::replay`], bit for bit.

mod archived;
mod simulated;

use std::time::Duration;

use crate::account::Fill;
use crate::bar::{Bar, Date, Nanos, Symbol};
use crate::calendar::Session;
use crate::error::{Error, Result, codes};
use crate::history::History;
use crate::indicator::{Memory, Rolling};
use crate::order::Order;
use crate::strategy::{Inputs, Now, Position, Strategy};

pub use archived::Archived;
pub use simulated::Simulated;

/// Where bars come from, as they become known.
pub trait Feed {
    /// What happens next.
    ///
    /// # Errors
    /// Data error if bars that are due don't come, or can't be read.
    fn next(&mut self) -> Result<Event<'_>>;
}

/// What a feed says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// A session begins. A day on which no symbol has a bar has no session.
    Opens(Session),
    /// All bars with one start, complete, alphabetically.
    Bars(&'a [Tick]),
    /// The session that began last is over.
    Closes(Session),
    /// Nothing is due before this has passed; then ask again.
    Wait(Duration),
    /// There is no more.
    Ends,
}

/// A symbol's bar as a feed has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    /// The symbol.
    pub symbol: Symbol,
    /// Its bar, complete.
    pub bar: Bar,
    /// Whether this is the symbol's last bar of the session. A live feed knows that of the bar that
    /// ends with the session; of a symbol that has no bar then, only an archive knows it.
    pub last_of_session: bool,
    /// Whether there will never be another bar of this symbol. Only an archive knows that.
    pub last_of_data: bool,
}

/// Who executes orders: told of every bar, in the order of the methods below. At each bar start
/// first every symbol's bar opens, then every symbol's bar closes, alphabetically.
pub trait Broker {
    /// A session begins.
    ///
    /// # Errors
    /// Whatever keeps a broker from doing so; so with all methods.
    fn session_opens(&mut self, session: &Session) -> Result<()>;

    /// Open and inside of a bar: what waited fills, stops and targets are met.
    ///
    /// # Errors
    /// As [`Broker::session_opens`].
    fn bar_opens(&mut self, tick: &Tick, session: &Session) -> Result<()>;

    /// Close of a bar: does what brackets demand and tells what is held, before the strategy is
    /// asked.
    ///
    /// # Errors
    /// As [`Broker::session_opens`].
    fn bar_closes(&mut self, tick: &Tick, session: &Session) -> Result<Position>;

    /// Hears the strategy's order, through limits and sizing; the bar is over.
    ///
    /// # Errors
    /// As [`Broker::session_opens`].
    fn hears(&mut self, tick: &Tick, order: Option<&Order>) -> Result<Answer>;

    /// The session is over.
    ///
    /// # Errors
    /// As [`Broker::session_opens`].
    fn session_closes(&mut self, date: Date) -> Result<()>;

    /// Sales since it was last asked, in order.
    fn fills(&mut self) -> Vec<Fill>;

    /// Symbols held.
    fn open_positions(&self) -> usize;

    /// Capital, realised profit and open positions at their last close, dollars.
    fn equity(&self) -> f64;
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// So many shares are ordered.
    Ordered(u64),
    /// A limit forbids it: its name.
    Refused(&'static str),
    /// It changes nothing: already held or sold, too late in the session, less than a share.
    Nothing,
}

/// What a strategy answered at the close of a bar, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The symbol.
    pub symbol: Symbol,
    /// Start of the bar.
    pub start: Nanos,
    /// End of the bar, when the decision was made.
    pub end: Nanos,
    /// The order.
    pub order: Order,
    /// What the broker made of it.
    pub answer: Answer,
}

/// A strategy under way: per symbol its parameters, indicators and state.
pub struct Runner<S: Strategy> {
    /// Alphabetically.
    seats: Vec<Seat<S>>,
    session: Session,
}

/// One symbol's strategy.
struct Seat<S: Strategy> {
    symbol: Symbol,
    strategy: S,
    rolling: Vec<Rolling>,
    state: S::State,
    /// Bars so far, those before the first session traded included: the warm-up counts them.
    seen: usize,
}

impl<S: Strategy> Runner<S> {
    /// A runner that has seen no bar yet.
    ///
    /// # Errors
    /// Usage error for a symbol given twice.
    pub fn new(strategies: impl IntoIterator<Item = (Symbol, S)>) -> Result<Self> {
        let mut seats: Vec<Seat<S>> = strategies.into_iter().map(|(symbol, s)| Seat::new(symbol, s)).collect();
        seats.sort_by_key(|seat| seat.symbol);
        if let Some(twice) = seats.windows(2).find(|w| w[0].symbol == w[1].symbol) {
            return Err(Error::new(codes::BAD_ARGUMENT, format!("{} is given twice", twice[0].symbol)));
        }
        Ok(Self { seats, session: Session::default() })
    }

    /// Shows indicators and strategy the bars before the first session traded; what the strategy
    /// answers is dropped.
    ///
    /// # Errors
    /// Usage error for a symbol that isn't traded.
    pub fn look_back(&mut self, history: &History<'_>, first: Date) -> Result<()> {
        let seat = self.seat(history.symbol)?;
        let past = history.sessions().iter().take_while(|s| s.session.date < first);
        if seat.forgets() {
            seat.seen = past.last().map_or(0, |s| s.ordinal + s.range.len());
            return Ok(());
        }
        for session in past {
            let bars = history.session_bars(session);
            for i in 0..bars.len() {
                seat.closes(&bars.get(i), &session.session, Position::default());
            }
        }
        Ok(())
    }

    /// Hears the feed, tells the broker, and appends what was decided.
    ///
    /// # Errors
    /// The broker's; usage error for bars of a symbol that isn't traded.
    pub fn hear(
        &mut self,
        event: &Event<'_>,
        broker: &mut (impl Broker + ?Sized),
        decided: &mut Vec<Decision>,
    ) -> Result<()> {
        match event {
            Event::Opens(session) => {
                self.session = *session;
                broker.session_opens(session)
            }
            Event::Bars(ticks) => self.bars(ticks, broker, decided),
            Event::Closes(session) => broker.session_closes(session.date),
            Event::Wait(_) | Event::Ends => Ok(()),
        }
    }

    fn bars(&mut self, ticks: &[Tick], broker: &mut (impl Broker + ?Sized), decided: &mut Vec<Decision>) -> Result<()> {
        let session = self.session;
        for tick in ticks {
            broker.bar_opens(tick, &session)?;
        }
        for tick in ticks {
            let position = broker.bar_closes(tick, &session)?;
            let order = self.seat(tick.symbol)?.closes(&tick.bar, &session, position);
            let answer = broker.hears(tick, order.as_ref())?;
            decided.extend(order.map(|order| Decision {
                symbol: tick.symbol,
                start: tick.bar.start,
                end: tick.bar.end,
                order,
                answer,
            }));
        }
        Ok(())
    }

    fn seat(&mut self, symbol: Symbol) -> Result<&mut Seat<S>> {
        match self.seats.binary_search_by_key(&symbol, |seat| seat.symbol) {
            Ok(at) => Ok(&mut self.seats[at]),
            Err(_) => Err(Error::new(codes::BAD_ARGUMENT, format!("there are bars of {symbol}, which isn't traded"))),
        }
    }
}

impl<S: Strategy> Seat<S> {
    fn new(symbol: Symbol, strategy: S) -> Self {
        let rolling = strategy.indicators().as_ref().iter().map(|i| i.start()).collect();
        Self { symbol, strategy, rolling, state: S::State::default(), seen: 0 }
    }

    /// Whether earlier sessions leave no trace but their number of bars.
    fn forgets(&self) -> bool {
        let all = self.strategy.indicators().as_ref().iter().all(|i| i.memory() == Memory::Session);
        all && size_of::<S::State>() == 0
    }

    /// Close of a bar: what the strategy answers.
    fn closes(&mut self, bar: &Bar, session: &Session, position: Position) -> Option<Order> {
        let mut inputs = S::Inputs::NOTHING;
        for (k, rolling) in self.rolling.iter_mut().enumerate() {
            inputs.set(k, rolling.next(bar, session));
        }
        self.seen += 1;
        if self.seen <= self.strategy.warmup() {
            return None;
        }
        self.strategy.decide(&mut self.state, &Now { bar: *bar, session: *session, inputs, position })
    }
}
