//! A broker that only reckons: the replay's account and books.

use super::{Answer, Broker, Tick};
use crate::account::{Account, Book, Fill};
use crate::bar::{Bars, Date, Symbol};
use crate::calendar::Session;
use crate::error::{Error, Result, codes};
use crate::order::Order;
use crate::risk::Block;
use crate::strategy::Position;

/// An account in memory. Orders fill by the replay's rules.
pub struct Simulated {
    account: Account,
    /// Alphabetically.
    desks: Vec<Desk>,
    /// Fills that were told.
    told: usize,
}

struct Desk {
    symbol: Symbol,
    book: Book,
    last_close: f64,
}

impl Simulated {
    /// An account, and an empty book for each symbol.
    pub fn new(account: Account, symbols: &[Symbol]) -> Self {
        let desk = |symbol: &Symbol| Desk { symbol: *symbol, book: Book::new(*symbol), last_close: f64::NAN };
        let mut desks: Vec<Desk> = symbols.iter().map(desk).collect();
        desks.sort_by_key(|desk| desk.symbol);
        Self { account, desks, told: 0 }
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    fn desk(&mut self, symbol: Symbol) -> Result<(&mut Account, &mut Desk)> {
        match self.desks.binary_search_by_key(&symbol, |desk| desk.symbol) {
            Ok(at) => Ok((&mut self.account, &mut self.desks[at])),
            Err(_) => Err(Error::new(codes::BAD_ARGUMENT, format!("there is no book for {symbol}"))),
        }
    }
}

impl Broker for Simulated {
    fn session_opens(&mut self, _: &Session) -> Result<()> {
        self.account.begin_session();
        for desk in &mut self.desks {
            desk.book.begin_session(&mut self.account);
        }
        Ok(())
    }

    fn bar_opens(&mut self, tick: &Tick, session: &Session) -> Result<()> {
        let (account, desk) = self.desk(tick.symbol)?;
        if !desk.book.open_quietly() {
            desk.book.open_bar(account, &Bars::one(&tick.bar), 0, session);
        }
        Ok(())
    }

    fn bar_closes(&mut self, tick: &Tick, session: &Session) -> Result<Position> {
        let (account, desk) = self.desk(tick.symbol)?;
        desk.book.manage(account, &Bars::one(&tick.bar), 0, session, tick.last_of_session);
        Ok(desk.book.position())
    }

    fn hears(&mut self, tick: &Tick, order: Option<&Order>) -> Result<Answer> {
        let (account, desk) = self.desk(tick.symbol)?;
        desk.last_close = tick.bar.close;
        let answer = match order.filter(|_| !tick.last_of_data) {
            Some(order) => accept(account, &mut desk.book, order, tick),
            None => Answer::Nothing,
        };
        if tick.last_of_data {
            desk.book.end_of_data(account, tick.bar.close, tick.bar.end);
        }
        Ok(answer)
    }

    fn session_closes(&mut self, date: Date) -> Result<()> {
        let worth = self.equity();
        self.account.end_session(date, worth);
        Ok(())
    }

    fn fills(&mut self) -> Vec<Fill> {
        let new = self.account.fills()[self.told..].to_vec();
        self.told += new.len();
        new
    }

    fn open_positions(&self) -> usize {
        self.desks.iter().filter(|desk| desk.book.is_open()).count()
    }

    fn equity(&self) -> f64 {
        // Open positions are summed alphabetically first, as the replay does.
        let open = self.desks.iter().filter(|desk| desk.book.is_open());
        self.account.equity() + open.fold(0.0, |sum, desk| sum + desk.book.unrealised(desk.last_close))
    }
}

fn accept(account: &mut Account, book: &mut Book, order: &Order, tick: &Tick) -> Answer {
    let counts = |account: &Account| -> Vec<(Block, u64)> { account.blocks().collect() };
    let (waited, before) = (book.waiting(), counts(account));
    book.accept(account, *order, tick.bar.close, tick.last_of_session);
    if let Some(shares) = book.waiting().filter(|_| waited.is_none()) {
        return Answer::Ordered(shares);
    }
    let refused = counts(account).into_iter().zip(before).find(|(now, before)| now.1 > before.1);
    refused.map_or(Answer::Nothing, |(block, _)| Answer::Refused(block.0.name()))
}
