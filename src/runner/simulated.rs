//! A broker in memory: account and books are those of a replay.

use super::broker::{Broker, OrderStatus};
use super::feed::FeedBar;
use crate::account::{Account, Book, Fill, Placement};
use crate::bar::{Bars, Date, Symbol};
use crate::calendar::Session;
use crate::error::{Error, Result, codes};
use crate::order::Order;
use crate::strategy::Position;

/// An account in memory. Orders fill by the replay's rules.
pub struct Simulated {
    account: Account,
    /// Alphabetically.
    symbols: Vec<SymbolBook>,
    /// How many fills were handed out.
    reported: usize,
}

/// A symbol's book, and the price at which it is marked.
struct SymbolBook {
    symbol: Symbol,
    book: Book,
    last_close: f64,
}

impl Simulated {
    /// An account, and an empty book for each symbol.
    pub fn new(account: Account, symbols: &[Symbol]) -> Self {
        let empty = |symbol: &Symbol| SymbolBook { symbol: *symbol, book: Book::new(*symbol), last_close: f64::NAN };
        let mut symbols: Vec<SymbolBook> = symbols.iter().map(empty).collect();
        symbols.sort_by_key(|s| s.symbol);
        Self { account, symbols, reported: 0 }
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    fn symbol(&mut self, symbol: Symbol) -> Result<(&mut Account, &mut SymbolBook)> {
        match self.symbols.binary_search_by_key(&symbol, |s| s.symbol) {
            Ok(at) => Ok((&mut self.account, &mut self.symbols[at])),
            Err(_) => Err(Error::new(codes::BAD_ARGUMENT, format!("there is no book for {symbol}"))),
        }
    }
}

impl Broker for Simulated {
    fn session_opens(&mut self, _: &Session) -> Result<()> {
        self.account.begin_session();
        for symbol in &mut self.symbols {
            symbol.book.begin_session(&mut self.account);
        }
        Ok(())
    }

    fn bar_opens(&mut self, bar: &FeedBar, session: &Session) -> Result<()> {
        let (account, symbol) = self.symbol(bar.symbol)?;
        if !symbol.book.open_quietly() {
            symbol.book.open_bar(account, &Bars::one(&bar.bar), 0, session);
        }
        Ok(())
    }

    fn bar_closes(&mut self, bar: &FeedBar, session: &Session) -> Result<Position> {
        let (account, symbol) = self.symbol(bar.symbol)?;
        symbol.book.manage(account, &Bars::one(&bar.bar), 0, session, bar.last_of_session);
        Ok(symbol.book.position())
    }

    fn submit(&mut self, bar: &FeedBar, order: Option<&Order>) -> Result<OrderStatus> {
        let (account, symbol) = self.symbol(bar.symbol)?;
        symbol.last_close = bar.bar.close;
        if bar.last_of_data {
            symbol.book.end_of_data(account, bar.bar.close, bar.bar.end);
            return Ok(OrderStatus::Nothing);
        }
        let Some(order) = order else { return Ok(OrderStatus::Nothing) };
        Ok(match symbol.book.accept(account, *order, bar.bar.close, bar.last_of_session) {
            Placement::Ordered(shares) => OrderStatus::Ordered(shares),
            Placement::Refused(block) => OrderStatus::Refused(block.name()),
            Placement::Nothing => OrderStatus::Nothing,
        })
    }

    fn session_closes(&mut self, date: Date) -> Result<()> {
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
        self.symbols.iter().filter(|s| s.book.is_open()).count()
    }

    fn equity(&self) -> f64 {
        // Open positions are summed alphabetically first, as in a replay.
        let open = self.symbols.iter().filter(|s| s.book.is_open());
        self.account.equity() + open.fold(0.0, |sum, s| sum + s.book.unrealised(s.last_close))
    }
}
