//! A broker in memory: account and books are those of a replay.

use super::broker::{Broker, OrderStatus};
use super::feed::FeedBar;
use crate::account::{Account, BarAt, Book, Fill, Heard, Placement};
use crate::bar::{Bars, Date, Symbol};
use crate::calendar::Session;
use crate::error::{Error, Result, codes};
use crate::order::Order;
use crate::strategy::{Position, WorkingOrder};

/// An account in memory. Orders fill by the replay's rules.
pub struct Simulated {
    account: Account,
    /// Alphabetically.
    symbols: Vec<SymbolBook>,
    /// How many fills were handed out.
    reported: usize,
    /// The last session begun.
    date: Option<Date>,
}

/// A symbol's book, and the price at which it is marked.
struct SymbolBook {
    symbol: Symbol,
    book: Book,
    last_close: f64,
    /// Nothing can happen in the bar under way but a decision.
    passes: bool,
}

impl Simulated {
    /// An account, and an empty book for each symbol.
    pub fn new(account: Account, symbols: &[Symbol]) -> Self {
        let mut symbols = symbols.to_vec();
        symbols.sort();
        let empty = |(index, symbol): (usize, &Symbol)| SymbolBook {
            symbol: *symbol,
            book: Book::new(*symbol, index),
            last_close: f64::NAN,
            passes: true,
        };
        let symbols = symbols.iter().enumerate().map(empty).collect();
        Self { account, symbols, reported: 0, date: None }
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

impl Simulated {
    /// What borrowing costs since the session before.
    fn pass_nights(&mut self, date: Date) {
        let Some(before) = self.date.replace(date).filter(|_| self.account.charges_for_nights()) else { return };
        let sold_short = |s: &SymbolBook| (-s.book.worth(&self.account, s.last_close)).max(0.0);
        let short = self.symbols.iter().filter(|s| s.book.units() < 0).fold(0.0, |sum, s| sum + sold_short(s));
        self.account.pass_nights(date.0 - before.0, short);
    }

    /// One part of bars with one start.
    fn part(
        &mut self,
        bars: &[FeedBar],
        session: &Session,
        part: fn(&mut Book, &mut Account, &BarAt<'_>),
    ) -> Result<()> {
        for bar in bars {
            let (account, symbol) = self.symbol(bar.symbol)?;
            if !symbol.passes {
                part(&mut symbol.book, account, &bar_at(account, bar, session));
            }
        }
        Ok(())
    }

    fn set_marks(&mut self, bars: &[FeedBar], price: fn(&FeedBar) -> f64) -> Result<()> {
        for bar in bars {
            let (account, symbol) = self.symbol(bar.symbol)?;
            symbol.book.set_mark(account, price(bar));
        }
        Ok(())
    }
}

/// A feed's bar, for a book.
fn bar_at<'a>(account: &Account, bar: &FeedBar, session: &'a Session) -> BarAt<'a> {
    let costs = account.costs().of_adjusted(bar.shares_of_one);
    BarAt { bar: bar.bar, session, last_of_session: bar.last_of_session, costs }
}

impl Broker for Simulated {
    fn session_opens(&mut self, session: &Session) -> Result<()> {
        self.pass_nights(session.date);
        self.account.begin_session();
        Ok(())
    }

    fn bars_trade(&mut self, bars: &[FeedBar], session: &Session) -> Result<()> {
        for bar in bars {
            let (_, symbol) = self.symbol(bar.symbol)?;
            symbol.passes = symbol.book.try_pass(&Bars::one(&bar.bar), 0, bar.last_of_session);
        }
        if self.account.is_margin() {
            self.set_marks(bars, |bar| bar.bar.open)?;
        }
        for part in [Book::begin_bar, Book::open_reductions, Book::open_rest, Book::inside] {
            self.part(bars, session, part)?;
        }
        self.set_marks(bars, |bar| bar.bar.close)?;
        for part in [Book::auction_reductions, Book::auction_rest] {
            self.part(bars, session, part)?;
        }
        Ok(())
    }

    fn bar_closes(&mut self, bar: &FeedBar, session: &Session, working: &mut Vec<WorkingOrder>) -> Result<Position> {
        let (account, symbol) = self.symbol(bar.symbol)?;
        if !symbol.passes {
            symbol.book.end_bar(account, &bar_at(account, bar, session));
        }
        symbol.book.see_close(account, bar.bar.close);
        symbol.book.tell_working(working);
        Ok(symbol.book.position())
    }

    fn submit(&mut self, bar: &FeedBar, session: &Session, orders: &[Order]) -> Result<Vec<OrderStatus>> {
        let (account, symbol) = self.symbol(bar.symbol)?;
        symbol.last_close = bar.bar.close;
        if bar.last_of_data {
            symbol.book.end_of_data(account, &bar_at(account, bar, session));
            return Ok(vec![OrderStatus::Nothing; orders.len()]);
        }
        let heard = Heard {
            close: bar.bar.close,
            session: session.date,
            last_of_session: bar.last_of_session,
            last_of_data: false,
        };
        let statuses = orders.iter().map(|order| match symbol.book.accept(account, order, &heard) {
            Placement::Ordered(units) => OrderStatus::Ordered(units),
            Placement::Refused(why) => OrderStatus::Refused(why),
            Placement::Nothing => OrderStatus::Nothing,
        });
        Ok(statuses.collect())
    }

    fn session_closes(&mut self, date: Date) -> Result<()> {
        let equity = self.equity();
        self.account.end_session(date, equity);
        Ok(())
    }

    fn fills(&mut self) -> Vec<Fill> {
        let mut new = self.account.fills()[self.reported..].to_vec();
        self.reported += new.len();
        new.sort_by_key(|fill| (fill.place, fill.symbol));
        new
    }

    fn open_positions(&self) -> usize {
        self.symbols.iter().filter(|s| s.book.is_open()).count()
    }

    fn equity(&self) -> f64 {
        // Open positions are summed alphabetically first, as in a replay.
        let open = self.symbols.iter().filter(|s| s.book.is_open());
        self.account.equity() + open.fold(0.0, |sum, s| sum + s.book.unrealised(&self.account, s.last_close))
    }
}
