//! Rows are heard at the closes of their bars, and what they ask for works from the next bar on.

use super::rows::{Action, Ask, Row, Rows};
use crate::account::Book;
use crate::bar::Nanos;
use crate::order::{Bracket, Kind, Market, Name, Reason, Ticket};
use crate::replay::floor::{Decider, Floor, Played};

/// Replays checked rows.
pub(crate) fn replay(mut floor: Floor<'_>, rows: &Rows) -> Played {
    floor.account.keep_executions();
    for _ in &rows.placed {
        floor.account.number_order();
    }
    floor.play(&mut Hearing { rows: &rows.rows, next: 0 })
}

/// Rows, of which the first ones are heard.
struct Hearing<'a> {
    rows: &'a [Row],
    next: usize,
}

impl Decider for Hearing<'_> {
    fn decide(&mut self, floor: &mut Floor<'_>, start: Nanos, _: &[usize]) {
        while let Some(row) = self.rows.get(self.next).filter(|row| row.time == start) {
            hear(floor, row);
            self.next += 1;
        }
    }
}

fn hear(floor: &mut Floor<'_>, row: &Row) {
    let symbol = row.symbol as usize;
    let heard = floor.heard(symbol);
    let (book, account) = floor.book(symbol);
    match &row.action {
        Action::Place(id, ask) => {
            book.place_numbered(account, *id, &ask.ticket(), &heard);
        }
        Action::Target(id, target, tif) => {
            book.target_numbered(account, *id, target, &heard, Some(*tif));
        }
        Action::Close(id, at) => {
            let kind = match at {
                Market::Open => Kind::Market,
                Market::Close => Kind::MarketOnClose,
            };
            book.close_whole(account, *id, Reason::Signal(CLOSE), kind, &heard);
        }
        Action::Replace(order, change) => {
            Book::replace(book, account, *order, change, heard.close);
        }
        Action::Cancel(order) => {
            book.cancel(account, *order);
        }
        Action::CancelAll => {
            book.cancel_all(account);
        }
    }
}

const CLOSE: &str = "close";

impl Ask {
    fn ticket(&self) -> Ticket {
        Ticket {
            name: None,
            side: self.side,
            kind: self.kind,
            size: self.size,
            tif: self.tif,
            reduce_only: self.reduce_only,
            oco: (self.oco > 0).then_some(Name("", self.oco)),
            bracket: self.bracket.as_deref().copied().unwrap_or(Bracket::NONE),
            reason: None,
        }
    }
}
