//! Between a runner and a broker: what was decided becomes orders that work there, and what they do there becomes a
//! position again.
//!
//! The desk knows what *shall* work at the broker ([`Book::wants`]) and what does ([`Placed`]). [`Desk::commands`] says
//! how to get from one to the other, and changes nothing. Everything that changes the desk is a [`Record`]: whoever
//! applies a journal's records to an empty desk has the desk that wrote them.

use std::collections::BTreeMap;

use super::lifecycle::{Effect, Message, Standing, State};
use super::record::{BarRecord, Control, DecidedRecord, PartName, Record, Request};
use super::tick;
use crate::account::{Account, BarAt, Book, End, Fill, Form, Heard, Leg, Placement, Want};
use crate::bar::{Bar, Date, MINUTE, Nanos, SECOND, Symbol, Timeframe};
use crate::calendar::{self, Session};
use crate::error::{Error, Result, codes};
use crate::order::{Entry, Order, Reason, Side, Size, Target, Ticket, Wanted};
use crate::runner::{Broker, FeedBar, OrderStatus};
use crate::strategy::{Position, WorkingOrder};

/// From this long before the open a market order may be sent, nanoseconds.
const BEFORE_OPEN: Nanos = 2 * MINUTE;
/// A stop this near to the price isn't attached to an entry, dollars.
const NEAREST: f64 = 0.015;
/// First and longest wait before a refused exit is asked for again.
const AGAIN: (Nanos, Nanos) = (SECOND, 60 * SECOND);

/// An account at a broker.
#[derive(Clone, Debug)]
pub struct Desk {
    account: Account,
    timeframe: Timeframe,
    /// Alphabetically.
    symbols: Vec<AtBroker>,
    /// Orders at the broker that may still do something, by their names.
    orders: BTreeMap<String, Placed>,
    /// How often each purpose was asked for.
    attempts: BTreeMap<(Symbol, Leg), u32>,
    /// Of refused exits: when to ask again, and how long was waited.
    again: BTreeMap<(Symbol, Leg), (Nanos, Nanos)>,
    /// End of the bar at which each of the strategies' orders was decided.
    decided_at: BTreeMap<(Symbol, u32), Nanos>,
    /// Why no order is taken at all, if none is.
    muted: Option<&'static str>,
    /// Why no position is opened, if none is.
    exits_only: Option<&'static str>,
    session: Session,
    reported: usize,
    /// What the last control was, with who and why.
    control: Option<(Control, String, String)>,
    /// Orders taken since the last record of bars.
    taken: Vec<(Symbol, Order)>,
}

/// One symbol.
#[derive(Clone, Debug)]
struct AtBroker {
    symbol: Symbol,
    book: Book,
    last_close: f64,
}

impl AtBroker {
    fn new(symbol: Symbol, index: usize) -> Self {
        let mut book = Book::new(symbol, index);
        book.work_at_broker();
        Self { symbol, book, last_close: f64::NAN }
    }
}

/// A position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// The symbol.
    pub symbol: Symbol,
    /// Shares; negative is short.
    pub shares: i64,
    /// Mean price of its entry, dollars.
    pub entry_price: f64,
    /// Profit at the last close, dollars.
    pub unrealised: Option<f64>,
}

/// An order at the broker.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Our name of it.
    pub id: String,
    /// The symbol.
    pub symbol: Symbol,
    /// As it was asked for; its stop may have been moved since.
    pub request: Request,
    /// The order itself.
    pub main: Part,
    /// Its stop, if it has one of its own.
    pub stop: Option<Part>,
    /// When it was last sent, nanoseconds UTC.
    pub sent: Nanos,
}

/// A part of an order at the broker.
#[derive(Clone, Debug)]
pub struct Part {
    /// The broker's names of it: moving a stop gives a new one.
    pub names: Vec<String>,
    /// Where it stands.
    pub standing: Standing,
    /// A stop to which it is being moved, dollars.
    pub moving: Option<f64>,
}

impl Part {
    fn new(shares: u64) -> Self {
        Self { names: Vec::new(), standing: Standing::planned(shares), moving: None }
    }

    /// The broker's name of it now.
    pub fn name(&self) -> Option<&str> {
        self.names.last().map(String::as_str)
    }

    /// Shares not yet executed.
    pub fn left(&self) -> u64 {
        self.standing.shares - self.standing.filled()
    }

    fn is_open(&self) -> bool {
        !self.standing.state.has_ended()
    }
}

impl Placed {
    fn new(id: String, symbol: Symbol, request: Request, sent: Nanos) -> Self {
        let has_stop = request.protect.is_some() || matches!(request.form, Form::Either { .. });
        let stop = has_stop.then(|| Part::new(request.shares));
        Self { id, symbol, request, main: Part::new(request.shares), stop, sent }
    }

    /// A part of it.
    pub fn part(&self, name: PartName) -> Option<&Part> {
        match name {
            PartName::Main => Some(&self.main),
            PartName::Stop => self.stop.as_ref(),
        }
    }

    fn part_mut(&mut self, name: PartName) -> Option<&mut Part> {
        match name {
            PartName::Main => Some(&mut self.main),
            PartName::Stop => self.stop.as_mut(),
        }
    }

    /// Its parts.
    pub fn parts(&self) -> impl Iterator<Item = (PartName, &Part)> {
        [(PartName::Main, Some(&self.main)), (PartName::Stop, self.stop.as_ref())]
            .into_iter()
            .filter_map(|(name, part)| Some((name, part?)))
    }

    /// Whether it may still do something.
    pub fn is_open(&self) -> bool {
        self.parts().any(|(_, part)| part.is_open())
    }

    /// What an execution of a part is booked as.
    fn leg(&self, part: PartName) -> Leg {
        match (part, self.request.leg) {
            (PartName::Stop, Leg::Order(order)) => Leg::Stop(order),
            (_, leg) => leg,
        }
    }

    /// Shares that it may still trade.
    fn left(&self) -> u64 {
        let by_stop = match (self.request.form, &self.stop) {
            (Form::Either { .. }, Some(stop)) => stop.standing.filled(),
            _ => 0,
        };
        self.main.left().saturating_sub(by_stop)
    }

    /// Whether nobody knows if it arrived.
    pub fn is_uncertain(&self) -> bool {
        matches!(self.main.standing.state, State::Planned | State::Sent | State::Unknown)
    }

    /// Whether a cancellation or a move is under way.
    fn is_changing(&self) -> bool {
        self.parts().any(|(_, part)| part.standing.state == State::Cancelling || part.moving.is_some())
    }
}

/// What is to be done at the broker.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Sends an order, for the first time or again under the same name.
    Submit {
        /// Our name of it.
        id: String,
        /// The symbol.
        symbol: Symbol,
        /// What to ask for.
        request: Request,
    },
    /// Cancels a part of an order.
    Cancel {
        /// Our name of the order.
        id: String,
        /// Which part.
        part: PartName,
    },
    /// Moves the stop of a part.
    Move {
        /// Our name of the order.
        id: String,
        /// Which part.
        part: PartName,
        /// Where to, dollars.
        stop: f64,
    },
    /// Looks up what became of an order.
    LookUp {
        /// Our name of the order.
        id: String,
    },
}

impl Desk {
    /// An account with an empty book for each symbol.
    pub fn new(account: Account, symbols: &[Symbol], timeframe: Timeframe) -> Self {
        let mut symbols = symbols.to_vec();
        symbols.sort();
        Self {
            account,
            timeframe,
            symbols: symbols.iter().enumerate().map(|(index, symbol)| AtBroker::new(*symbol, index)).collect(),
            orders: BTreeMap::new(),
            attempts: BTreeMap::new(),
            again: BTreeMap::new(),
            decided_at: BTreeMap::new(),
            muted: None,
            exits_only: None,
            session: Session::default(),
            reported: 0,
            control: None,
            taken: Vec::new(),
        }
    }

    /// Makes a book for a symbol that has none: a journal may tell of symbols that a config no longer has.
    fn know(&mut self, symbol: Symbol) {
        if let Err(at) = self.symbols.binary_search_by_key(&symbol, |of| of.symbol) {
            self.symbols.insert(at, AtBroker::new(symbol, self.symbols.len()));
        }
    }

    /// Takes no order, for this reason, or takes orders again.
    pub fn mute(&mut self, why: Option<&'static str>) {
        self.muted = why;
    }

    /// Takes only orders that can't open a position, for this reason, or takes all again.
    pub fn exits_only(&mut self, why: Option<&'static str>) {
        self.exits_only = why;
    }

    /// Takes what a journal says was taken, whatever the limits are now.
    pub fn trust(&mut self, journal: bool) {
        self.account.trust(journal);
    }

    /// Whether it has a book for a symbol.
    pub fn has(&self, symbol: Symbol) -> bool {
        self.symbols.iter().any(|of| of.symbol == symbol)
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The last control that a person gave, who, and why.
    pub fn control(&self) -> Option<&(Control, String, String)> {
        self.control.as_ref()
    }

    /// Orders that may still do something.
    pub fn orders(&self) -> impl Iterator<Item = &Placed> {
        self.orders.values()
    }

    /// An order by our name of it.
    pub fn order(&self, id: &str) -> Option<&Placed> {
        self.orders.get(id)
    }

    /// The order and the part that the broker calls so.
    pub fn named(&self, broker: &str) -> Option<(&str, PartName)> {
        let is = |part: &Part| part.names.iter().any(|name| name == broker);
        self.orders
            .values()
            .find_map(|placed| placed.parts().find(|(_, part)| is(part)).map(|(name, _)| (placed.id.as_str(), name)))
    }

    /// End of the bar at which a symbol's order with this number was decided.
    pub fn decided_at(&self, symbol: Symbol, order: u32) -> Option<Nanos> {
        self.decided_at.get(&(symbol, order)).copied()
    }

    /// Shares held by symbol, those of symbols that hold none left out.
    pub fn positions(&self) -> BTreeMap<Symbol, i64> {
        let held = self.symbols.iter().filter(|s| s.book.is_open());
        held.map(|s| (s.symbol, s.book.units())).collect()
    }

    /// What is held, alphabetically.
    pub fn held(&self) -> Vec<Held> {
        let open = self.symbols.iter().filter(|of| of.book.is_open());
        let held = open.map(|of| Held {
            symbol: of.symbol,
            shares: of.book.units(),
            entry_price: of.book.position().entry_price,
            unrealised: of.last_close.is_finite().then(|| of.book.unrealised(&self.account, of.last_close)),
        });
        held.collect()
    }

    /// The last close of a symbol, dollars.
    pub fn last_close(&self, symbol: Symbol) -> Option<f64> {
        let found = self.symbols.iter().find(|s| s.symbol == symbol)?;
        found.last_close.is_finite().then_some(found.last_close)
    }

    /// The bar that a time lies in, for an execution at a price.
    fn moment(&self, at: Nanos, price: f64) -> Bar {
        let start = match self.timeframe.is_intraday() {
            true => self.timeframe.start_of(at),
            false => calendar::new_york_date(at).utc_midnight(),
        };
        Bar {
            start,
            end: start + self.timeframe.width(),
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0.0,
        }
    }

    fn at(&mut self, symbol: Symbol) -> Result<(&mut Account, &mut AtBroker)> {
        match self.symbols.binary_search_by_key(&symbol, |s| s.symbol) {
            Ok(at) => Ok((&mut self.account, &mut self.symbols[at])),
            Err(_) => Err(Error::new(codes::BAD_ARGUMENT, format!("there is no book for {symbol}"))),
        }
    }

    // ---- what happened ----

    /// Makes of the desk what a record says. Bars that the desk has just seen with its runner are not applied again.
    ///
    /// # Errors
    /// Data error if the record contradicts what is known.
    pub fn apply(&mut self, record: &Record) -> Result<()> {
        match record {
            Record::Planned { symbol, .. } => self.know(*symbol),
            Record::Bars { bars, .. } => bars.iter().for_each(|bar| self.know(bar.0)),
            _ => {}
        }
        match record {
            Record::Started { .. } | Record::Unused { .. } | Record::Status { .. } | Record::Phase { .. } => Ok(()),
            Record::Opens { date } => self.session_opens(&calendar::session(*date)),
            Record::Closes { date } => self.session_closes(*date),
            Record::Bars { start, end, bars, decided, .. } => self.apply_bars(*start, *end, bars, decided),
            Record::Time { at } => {
                self.pass_time(*at);
                Ok(())
            }
            Record::Planned { at, id, symbol, request } => {
                // Sent again under the same name, it is known.
                if !self.orders.contains_key(id) {
                    self.orders.insert(id.clone(), Placed::new(id.clone(), *symbol, *request, *at));
                    *self.attempts.entry((*symbol, request.leg)).or_default() += 1;
                }
                Ok(())
            }
            Record::Moving { id, part, stop, .. } => {
                if let Some(part) = self.orders.get_mut(id).and_then(|placed| placed.part_mut(*part)) {
                    part.moving = Some(*stop);
                }
                Ok(())
            }
            Record::Named { id, part, broker, stop } => {
                self.name(id, *part, broker, *stop);
                Ok(())
            }
            Record::Heard { at, id, part, message } => self.hear(*at, id, *part, message),
            Record::Refused { symbol, order, .. } => {
                let (account, of) = self.at(*symbol)?;
                of.book.ended_at_broker(account, *order, End::Cancelled);
                Ok(())
            }
            Record::Control { control, who, why, .. } => {
                self.obey(*control);
                self.control = Some((*control, who.clone(), why.clone()));
                Ok(())
            }
            Record::Accepted { at, positions, .. } => self.accept(*at, positions),
        }
    }

    fn apply_bars(&mut self, start: Nanos, end: Nanos, bars: &[BarRecord], decided: &[DecidedRecord]) -> Result<()> {
        let session = self.session;
        let feed = bars.iter().map(|bar| feed_bar(bar.0, bar.bar(start, end), self.timeframe, &session));
        let feed: Vec<FeedBar> = feed.collect();
        self.bars_trade(&feed, &session)?;
        let mut working = Vec::new();
        for bar in &feed {
            self.bar_closes(bar, &session, &mut working)?;
            let of_symbol = decided.iter().filter(|decided| decided.symbol == bar.symbol);
            let orders: Vec<Order> = of_symbol.filter_map(|decided| decided.taken).collect();
            self.hear_orders(bar, &session, &orders)?;
        }
        self.taken.clear();
        Ok(())
    }

    fn pass_time(&mut self, at: Nanos) {
        let session = self.session;
        for of in &mut self.symbols {
            of.book.pass_time(&mut self.account, at, &session, false);
        }
    }

    /// Whether a time limit has passed that no bar has told of.
    pub fn is_time_up(&self, now: Nanos) -> bool {
        let session = self.session;
        let mut account = None;
        self.symbols.iter().filter(|of| !of.book.is_idle()).any(|of| {
            // On a copy: what changes the desk is a record.
            let account = account.get_or_insert_with(|| self.account.clone());
            of.book.clone().pass_time(account, now, &session, false)
        })
    }

    fn name(&mut self, id: &str, part: PartName, broker: &str, stop: Option<f64>) {
        let Some(placed) = self.orders.get_mut(id) else { return };
        let Some(of) = placed.part_mut(part) else { return };
        if of.names.iter().all(|name| name != broker) {
            of.names.push(broker.to_owned());
        }
        let Some(stop) = stop else { return };
        of.moving = None;
        match (&mut placed.request.form, part) {
            (Form::Stop(at) | Form::Either { stop: at, .. }, _) => *at = stop,
            (_, PartName::Stop) => placed.request.protect = Some(stop),
            _ => {}
        }
    }

    fn hear(&mut self, at: Nanos, id: &str, part: PartName, message: &Message) -> Result<()> {
        let Some(placed) = self.orders.get_mut(id) else {
            // It ended long ago. An execution would be news.
            return match message {
                Message::Execution { .. } => Err(contradiction(id, "an order was executed that has ended")),
                _ => Ok(()),
            };
        };
        let (leg, symbol) = (placed.leg(part), placed.symbol);
        let Some(of) = placed.part_mut(part) else { return Ok(()) };
        match of.standing.hear(message) {
            Effect::Contradiction(what) => return Err(contradiction(id, what)),
            Effect::Nothing => {}
            Effect::Moved => {
                if matches!(message, Message::Sending) {
                    placed.sent = at;
                }
                if let Message::Execution { shares, price, .. } = message {
                    self.execute(at, id, symbol, (leg, part == PartName::Stop), *shares, *price)?;
                }
                self.infer(id)?;
            }
        }
        self.settle(at, id, symbol)
    }

    fn execute(
        &mut self,
        at: Nanos,
        id: &str,
        symbol: Symbol,
        (leg, by_stop): (Leg, bool),
        shares: u64,
        price: f64,
    ) -> Result<()> {
        let bar = self.moment(at, price);
        let session = calendar::session_at(at);
        let units = i64::try_from(shares).map_err(|_| contradiction(id, "more shares than can be counted"))?;
        let (account, of) = self.at(symbol)?;
        let costs = *account.costs();
        let at = BarAt { bar, session: &session, last_of_session: false, costs };
        of.book.executed_at_broker(account, &at, leg, by_stop, units, price).map_err(|what| contradiction(id, what))
    }

    /// An order that was refused never had a stop. Of any other the stop is told of by itself: it may have been executed.
    fn infer(&mut self, id: &str) -> Result<()> {
        let Some(placed) = self.orders.get_mut(id) else { return Ok(()) };
        let refused = placed.main.standing.state == State::Rejected;
        let Some(stop) = placed.stop.as_mut().filter(|stop| refused && stop.is_open()) else { return Ok(()) };
        if stop.standing.state == State::Planned {
            stop.standing.hear(&Message::Sending);
        }
        match stop.standing.hear(&Message::Cancelled) {
            Effect::Contradiction(what) => Err(contradiction(id, what)),
            Effect::Moved | Effect::Nothing => Ok(()),
        }
    }

    /// What an order's end means for the book, and whether anything is to be heard of it any more.
    fn settle(&mut self, at: Nanos, id: &str, symbol: Symbol) -> Result<()> {
        let Some(placed) = self.orders.get(id) else { return Ok(()) };
        let (leg, state) = (placed.request.leg, placed.main.standing.state);
        let (is_open, filled) = (placed.is_open(), placed.main.standing.filled());
        if !state.has_ended() {
            return Ok(());
        }
        let (account, of) = self.at(symbol)?;
        match (leg, state) {
            (Leg::Order(order), State::Cancelled) => of.book.ended_at_broker(account, order, End::Cancelled),
            (Leg::Order(order), State::Expired) => of.book.ended_at_broker(account, order, End::TimeInForce),
            (Leg::Order(order), State::Rejected) => of.book.ended_at_broker(account, order, End::Cancelled),
            // What can't be protected is sold.
            (Leg::Stop(order), State::Rejected) => of.book.leave(order, Reason::Stop),
            (Leg::Target(order, n), State::Rejected) => of.book.drop_target(order, n),
            _ => {}
        }
        if matches!(leg, Leg::Leave(_)) && state != State::Filled && filled == 0 {
            let waited = self.again.get(&(symbol, leg)).map_or(AGAIN.0, |(_, waited)| (waited * 2).min(AGAIN.1));
            self.again.insert((symbol, leg), (at + waited, waited));
        }
        if !is_open {
            self.orders.remove(id);
            if let Leg::Order(order) = leg {
                let (_, of) = self.at(symbol)?;
                of.book.forget(order);
            }
        }
        Ok(())
    }

    fn obey(&mut self, control: Control) {
        for of in &mut self.symbols {
            match control {
                Control::Kill => of.book.end_entries(&mut self.account),
                Control::Flatten => of.book.flatten(&mut self.account, Reason::Signal("flatten")),
                Control::Resume => {}
            }
        }
    }

    /// What a person accepts: nothing works any more, and these symbols hold so much.
    fn accept(&mut self, at: Nanos, positions: &BTreeMap<Symbol, (i64, f64)>) -> Result<()> {
        self.orders.clear();
        for of in &mut self.symbols {
            of.book.end_entries(&mut self.account);
        }
        for (symbol, (shares, price)) in positions {
            let bar = self.moment(at, *price);
            let session = calendar::session_at(at);
            let (account, of) = self.at(*symbol)?;
            let costs = *account.costs();
            let at = BarAt { bar, session: &session, last_of_session: false, costs };
            of.book.adopt(account, &at, *shares, *price);
        }
        Ok(())
    }

    // ---- what shall happen ----

    /// When a session's first market orders are sent: two minutes before the open, or with the first bar where that begins
    /// later, as a replay fills them.
    pub fn first_orders(&self, session: &Session) -> Nanos {
        let first = match self.timeframe.is_intraday() && !self.timeframe.starts_at(session.open) {
            true => self.timeframe.start_of(session.open) + self.timeframe.width(),
            false => session.open,
        };
        if first == session.open { first - BEFORE_OPEN } else { first }
    }

    /// What is to be done at the broker now, so that what shall work there does.
    pub fn commands(&self, now: Nanos, session: &Session, name: &str) -> Vec<Command> {
        self.symbols.iter().flat_map(|of| self.commands_of(of, now, session, name)).collect()
    }

    fn commands_of(&self, of: &AtBroker, now: Nanos, session: &Session, name: &str) -> Vec<Command> {
        let mut wants = of.book.wants(now, session, self.first_orders(session));
        let placed = self.orders.values().filter(|placed| placed.symbol == of.symbol && placed.is_open());
        let mut commands = Vec::new();
        let mut waits = false;
        for placed in placed {
            if placed.is_uncertain() {
                // Until it is known what became of it, nothing else is asked for.
                waits = true;
                wants.retain(|want| want.leg != placed.request.leg);
                if placed.main.standing.state == State::Unknown {
                    commands.push(Command::LookUp { id: placed.id.clone() });
                } else if placed.main.standing.state == State::Planned {
                    let (id, symbol, request) = (placed.id.clone(), placed.symbol, placed.request);
                    commands.push(Command::Submit { id, symbol, request });
                }
                continue;
            }
            match wants.iter().position(|want| serves(placed, want)) {
                Some(i) => {
                    let want = wants.remove(i);
                    commands.extend(moves(placed, &want));
                }
                None => {
                    waits = true;
                    let cancels = placed.parts().filter(|(_, part)| part.standing.state == State::Working);
                    // Cancelling one of two cancels both.
                    let cancels = cancels.take(if placed.main.is_open() { 1 } else { 2 });
                    let cancels = cancels.filter(|_| !placed.is_changing());
                    commands.extend(cancels.map(|(part, _)| Command::Cancel { id: placed.id.clone(), part }));
                }
            }
        }
        // Shares that another order still holds can't be sold: first that one must go.
        if waits {
            return commands;
        }
        for want in wants {
            let Some(form) = want.form else { continue };
            let refused = self.again.get(&(of.symbol, want.leg)).is_some_and(|(at, _)| now < *at);
            if refused || want.units <= 0 {
                continue;
            }
            // Alpaca refuses an attached stop within a cent of the price; then one of its own follows the execution.
            let protect = want.protect.map(|stop| tick::stop(stop, want.side.opposite()));
            let protect = protect.filter(|stop| (stop - of.last_close).abs() > NEAREST);
            let request = Request {
                leg: want.leg,
                side: want.side,
                shares: want.units.unsigned_abs(),
                form: tick::form(form, want.side),
                for_the_day: want.for_the_day,
                protect,
            };
            commands.push(Command::Submit { id: self.id(name, of.symbol, want.leg), symbol: of.symbol, request });
        }
        commands
    }

    /// Our name of the next order for this purpose: the strategy, the symbol, the end of the bar of the decision, the
    /// purpose, and how often it was asked for.
    fn id(&self, name: &str, symbol: Symbol, leg: Leg) -> String {
        let (Leg::Order(order) | Leg::Stop(order) | Leg::Target(order, _) | Leg::Leave(order)) = leg;
        let attempt = self.attempts.get(&(symbol, leg)).map_or(1, |n| n + 1);
        let end = self.decided_at.get(&(symbol, order)).copied().unwrap_or_default();
        let end = jiff::Timestamp::from_nanosecond(i128::from(end)).unwrap_or_default();
        let end = end.strftime("%y%m%dT%H%M");
        let leg = match leg {
            Leg::Order(order) => format!("o{order}"),
            Leg::Stop(order) => format!("s{order}"),
            Leg::Target(order, n) => format!("t{order}.{n}"),
            Leg::Leave(order) => format!("x{order}"),
        };
        format!("{name}-{symbol}-{end}-{leg}-{attempt}")
    }

    fn hear_orders(&mut self, bar: &FeedBar, session: &Session, orders: &[Order]) -> Result<Vec<Placement>> {
        let before = self.account.orders_heard();
        let (account, of) = self.at(bar.symbol)?;
        of.last_close = bar.bar.close;
        let heard = Heard {
            close: bar.bar.close,
            session: session.date,
            last_of_session: bar.last_of_session,
            last_of_data: false,
        };
        let placed: Vec<Placement> = orders.iter().map(|order| of.book.accept(account, order, &heard)).collect();
        of.book.bar_is_decided();
        for order in before..self.account.orders_heard() {
            self.decided_at.insert((bar.symbol, order), bar.bar.end);
        }
        Ok(placed)
    }

    /// What orders would become at the close of a bar, by today's limits.
    ///
    /// # Errors
    /// Usage error for a symbol that has no book.
    pub fn would_become(&self, bar: &FeedBar, session: &Session, orders: &[Order]) -> Result<Vec<OrderStatus>> {
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        let mut copy = self.clone();
        copy.trust(false);
        copy.submit(bar, session, orders)
    }

    /// Takes orders that a journal says were taken at the close of a bar.
    ///
    /// # Errors
    /// As [`Desk::would_become`].
    pub fn take_again(&mut self, bar: &FeedBar, session: &Session, orders: &[Order]) -> Result<()> {
        self.hear_orders(bar, session, orders).map(drop)
    }

    /// The orders that were taken since the last call, in order.
    pub fn take_taken(&mut self) -> Vec<(Symbol, Order)> {
        std::mem::take(&mut self.taken)
    }

    /// Shares of a symbol that are held; negative is short.
    pub fn units(&self, symbol: Symbol) -> i64 {
        self.symbols.iter().find(|of| of.symbol == symbol).map_or(0, |of| of.book.units())
    }

    /// Whether this order may open a position, by the side of what is held.
    pub fn opens(&self, symbol: Symbol, request: &Request) -> bool {
        let held = self.units(symbol);
        matches!(request.leg, Leg::Order(_))
            && match request.side {
                Side::Buy => held >= 0 || request.shares > held.unsigned_abs(),
                Side::Sell => held <= 0 || request.shares > held.unsigned_abs(),
            }
    }

    /// Shares of a symbol for which a stop works at the broker.
    pub fn stopped(&self, symbol: Symbol) -> u64 {
        let of = self.orders.values().filter(|placed| placed.symbol == symbol && !placed.is_uncertain());
        of.map(|placed| match (placed.request.form, &placed.stop) {
            (Form::Stop(_) | Form::Either { .. }, _) if placed.main.is_open() => placed.left(),
            (Form::Market | Form::Limit(_) | Form::StopLimit { .. }, Some(stop))
                if !placed.main.is_open() && stop.is_open() =>
            {
                stop.left()
            }
            _ => 0,
        })
        .sum()
    }

    /// Whether what is held of each symbol is protected as its brackets say: the symbols where it isn't.
    pub fn unprotected(&self, now: Nanos, session: &Session) -> Vec<Symbol> {
        let without = |of: &&AtBroker| {
            let mut wants = of.book.wants(now, session, self.first_orders(session));
            wants.retain(|want| matches!(want.leg, Leg::Stop(_) | Leg::Target(..)) && want.form.is_some());
            let works = |want: &Want| {
                let mut placed = self.orders.values().filter(|placed| placed.symbol == of.symbol);
                placed.any(|placed| !placed.is_uncertain() && serves(placed, want))
            };
            !wants.iter().all(works)
        };
        self.symbols.iter().filter(without).map(|of| of.symbol).collect()
    }
}

fn contradiction(id: &str, what: &str) -> Error {
    Error::new(codes::BROKER_CONTRADICTION, format!("{id}: {what}"))
}

/// Whether an order does what is wanted, or will once its stop is moved.
fn serves(placed: &Placed, want: &Want) -> bool {
    if want.form.is_none() {
        // Whatever protects what that order opened stays.
        let (Leg::Order(a) | Leg::Stop(a) | Leg::Target(a, _) | Leg::Leave(a)) = placed.request.leg;
        let (Leg::Order(b) | Leg::Stop(b) | Leg::Target(b, _) | Leg::Leave(b)) = want.leg;
        return a == b;
    }
    let units = want.units.unsigned_abs();
    // The stop of an entry that was filled protects what it opened.
    if let (Leg::Order(order), Leg::Stop(of), Some(stop)) = (placed.request.leg, want.leg, &placed.stop)
        && order == of
        && !placed.main.is_open()
    {
        return stop.is_open() && stop.left() == units && matches!(want.form, Some(Form::Stop(_)));
    }
    let same = match (placed.request.form, want.form) {
        (Form::Market, Some(Form::Market)) | (Form::OnClose, Some(Form::OnClose)) => true,
        (Form::Limit(a), Some(Form::Limit(b))) => a == tick::limit(b, want.side),
        (Form::Stop(_), Some(Form::Stop(_))) => true,
        (Form::Either { limit: a, .. }, Some(Form::Either { limit: b, .. })) => a == tick::limit(b, want.side),
        (a @ Form::StopLimit { .. }, Some(b @ Form::StopLimit { .. })) => a == tick::form(b, want.side),
        _ => false,
    };
    same && placed.request.leg == want.leg && placed.main.is_open() && placed.left() == units
}

/// The move of a stop that is elsewhere than it is wanted.
fn moves(placed: &Placed, want: &Want) -> Option<Command> {
    if placed.is_changing() {
        return None;
    }
    let (Some(Form::Stop(wanted)) | Some(Form::Either { stop: wanted, .. })) = want.form else { return None };
    let wanted = tick::stop(wanted, want.side);
    let (part, now) = match (placed.request.form, placed.request.protect) {
        (Form::Stop(at), _) => (PartName::Main, at),
        (Form::Either { stop, .. }, _) => (PartName::Stop, stop),
        (_, Some(at)) => (PartName::Stop, at),
        _ => return None,
    };
    let works = placed.part(part).is_some_and(|part| part.standing.state == State::Working);
    (works && now != wanted).then(|| Command::Move { id: placed.id.clone(), part, stop: wanted })
}

/// A bar as a feed of live bars gives it.
pub fn feed_bar(symbol: Symbol, bar: Bar, timeframe: Timeframe, session: &Session) -> FeedBar {
    let last_of_session = !timeframe.is_intraday() || bar.end >= session.close;
    FeedBar { symbol, bar, last_of_session, shares_of_one: 1.0, last_of_data: false }
}

/// The order with its size as it was worked out: the journal holds facts, not rules.
fn resolved(order: &Order, units: u64) -> Order {
    let size = Size::Shares(units);
    match *order {
        Order::Enter(entry) => Order::Enter(Entry { size, ..entry }),
        Order::Place(ticket) => Order::Place(Ticket { size, ..ticket }),
        Order::Target(Target { position: Wanted::Weight(weight), at }) => {
            let signed = i64::try_from(units).unwrap_or(i64::MAX) * if weight < 0.0 { -1 } else { 1 };
            Order::Target(Target { position: Wanted::Shares(signed), at })
        }
        other => other,
    }
}

/// Whether an order can open a position.
fn may_open(order: &Order) -> bool {
    match order {
        Order::Enter(_) | Order::Target(_) => true,
        Order::Place(ticket) => !ticket.reduce_only,
        Order::Exit(_) | Order::ExitAtClose(_) | Order::Replace(..) | Order::Cancel(_) | Order::CancelAll => false,
    }
}

impl Broker for Desk {
    fn session_opens(&mut self, session: &Session) -> Result<()> {
        self.session = *session;
        self.account.begin_session();
        Ok(())
    }

    fn bars_trade(&mut self, bars: &[FeedBar], session: &Session) -> Result<()> {
        for bar in bars {
            let (account, of) = self.at(bar.symbol)?;
            let at = BarAt { bar: bar.bar, session, last_of_session: bar.last_of_session, costs: *account.costs() };
            of.book.begin_bar_at_broker(account, &at);
        }
        Ok(())
    }

    fn bar_closes(&mut self, bar: &FeedBar, session: &Session, working: &mut Vec<WorkingOrder>) -> Result<Position> {
        let (account, of) = self.at(bar.symbol)?;
        let at = BarAt { bar: bar.bar, session, last_of_session: bar.last_of_session, costs: *account.costs() };
        of.book.end_bar_at_broker(account, &at);
        of.book.set_mark(account, bar.bar.close);
        of.book.tell_working(working);
        Ok(of.book.position())
    }

    fn submit(&mut self, bar: &FeedBar, session: &Session, orders: &[Order]) -> Result<Vec<OrderStatus>> {
        let refusal = |order: &Order| self.muted.or(self.exits_only.filter(|_| may_open(order)));
        let refused: Vec<Option<&'static str>> = orders.iter().map(refusal).collect();
        let taken: Vec<Order> =
            orders.iter().zip(&refused).filter(|(_, why)| why.is_none()).map(|(order, _)| *order).collect();
        let mut placed = self.hear_orders(bar, session, &taken)?.into_iter();
        let statuses: Vec<OrderStatus> = refused
            .into_iter()
            .map(|why| match why {
                Some(why) => OrderStatus::Refused(why),
                None => placed.next().map_or(OrderStatus::Nothing, |placed| match placed {
                    Placement::Ordered(units) => OrderStatus::Ordered(units),
                    Placement::Refused(why) => OrderStatus::Refused(why),
                    Placement::Nothing => OrderStatus::Nothing,
                }),
            })
            .collect();
        for (order, status) in orders.iter().zip(&statuses) {
            if let OrderStatus::Ordered(units) = status {
                self.taken.push((bar.symbol, resolved(order, *units)));
            }
        }
        Ok(statuses)
    }

    fn session_closes(&mut self, date: Date) -> Result<()> {
        let session = calendar::session(date);
        for of in &mut self.symbols {
            of.book.end_session_at_broker(&mut self.account, &session);
        }
        let equity = self.equity();
        self.account.end_session(date, equity);
        Ok(())
    }

    fn fills(&mut self) -> Vec<Fill> {
        let new = self.account.fills()[self.reported..].to_vec();
        self.reported += new.len();
        new
    }

    fn open_positions(&self) -> usize {
        self.symbols.iter().filter(|of| of.book.is_open()).count()
    }

    fn equity(&self) -> f64 {
        let open = self.symbols.iter().filter(|of| of.book.is_open());
        self.account.equity() + open.fold(0.0, |sum, of| sum + of.book.unrealised(&self.account, of.last_close))
    }
}
