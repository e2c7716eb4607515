//! Several symbols on one account, whose orders come from outside: at each bar start every symbol with a bar takes each
//! step together, alphabetically, and then whoever decides is asked once.

use super::actions::ActionsAhead;
use super::cursor::SessionCursor;
use super::record::Replay;
use super::terms::Terms;
use crate::account::{Account, BarAt, Book, Heard, Kept};
use crate::bar::{Bar, Date, Nanos};
use crate::calendar::{Calendar, Session};
use crate::costs::Costs;
use crate::error::{Error, Result, codes};
use crate::history::History;

/// Who decides at the closes.
pub(crate) trait Decider {
    /// All bars with this start are complete. `traded` are the symbols that had one, alphabetically.
    fn decide(&mut self, floor: &mut Floor<'_>, start: Nanos, traded: &[usize]);
}

/// All symbols under replay, with the account that they share.
pub(crate) struct Floor<'a> {
    seats: Vec<Seat<'a>>,
    pub(crate) account: Account,
    /// Date of the last bar start.
    date: Option<Date>,
    max_leverage: f64,
    /// Equity at the end of bars, where it changes.
    marks: Vec<(Nanos, f64)>,
}

/// One symbol under replay.
struct Seat<'a> {
    cursor: SessionCursor<'a>,
    pub(crate) book: Book,
    actions: ActionsAhead<'a>,
    haircut: Option<f64>,
    /// Close of the last complete bar, dollars.
    last_close: f64,
    costs: Costs,
    passes: bool,
    /// No bar passes without a look.
    #[cfg(test)]
    looks_at_all: bool,
    /// Nothing follows the bar under way.
    last_of_data: bool,
    bars: u64,
    bars_held: u64,
}

/// What a replay on a floor leaves behind.
pub(crate) struct Played {
    pub(crate) replay: Replay,
    pub(crate) kept: Kept,
    /// End of a bar and equity, where it changes.
    pub(crate) marks: Vec<(Nanos, f64)>,
    /// Largest worth of positions over equity at a bar's close.
    pub(crate) max_leverage: f64,
}

impl<'a> Floor<'a> {
    /// The symbols, alphabetically, before the first session of the period.
    ///
    /// # Errors
    /// Usage error for a symbol given twice; data error if no symbol has a bar in the period.
    pub(crate) fn new(histories: &'a [History<'a>], terms: &Terms) -> Result<Self> {
        let mut histories: Vec<&'a History<'a>> = histories.iter().collect();
        histories.sort_by_key(|history| history.symbol);
        if let Some(twice) = histories.windows(2).find(|w| w[0].symbol == w[1].symbol) {
            return Err(Error::new(codes::BAD_ARGUMENT, format!("{} is given twice", twice[0].symbol)));
        }
        let seat = |(i, history): (usize, &'a History<'a>)| Seat::new(i, history, terms);
        let seats: Vec<Seat<'a>> = histories.into_iter().enumerate().map(seat).collect();
        if seats.iter().all(|seat| seat.cursor.date_ahead().is_none()) {
            let (start, end) = (terms.start, terms.end);
            return Err(Error::new(codes::NO_BARS, format!("no bars in a session between {start} and {end}"))
                .help("`magellan data list` shows what the archive holds"));
        }
        let account = Account::new(terms.capital, terms.costs, terms.limits).under(terms.conditions);
        Ok(Self { seats, account, date: None, max_leverage: 0.0, marks: Vec::new() })
    }

    /// Looks at every bar, also at those that can't change anything.
    #[cfg(test)]
    pub(super) fn look_at_all(&mut self) {
        self.seats.iter_mut().for_each(|seat| seat.looks_at_all = true);
    }

    /// Replays to the end.
    pub(crate) fn play(mut self, decider: &mut impl Decider) -> Played {
        let mut equity: Vec<(Date, f64)> = Vec::new();
        let (mut traded, mut together) = (Vec::new(), Vec::new());
        while let Some(date) = self.seats.iter().filter_map(|seat| seat.cursor.date_ahead()).min() {
            self.account.begin_session();
            traded.clear();
            for (i, seat) in self.seats.iter_mut().enumerate() {
                if seat.cursor.date_ahead() == Some(date) {
                    seat.begin_session(&self.account);
                    traded.push(i);
                }
            }
            while let Some(start) = traded.iter().filter_map(|&i| self.seats[i].cursor.next_start()).min() {
                together.clear();
                together.extend(traded.iter().copied().filter(|&i| self.seats[i].cursor.next_start() == Some(start)));
                self.bar_start(date, &together);
                decider.decide(&mut self, start, &together);
                together.iter().for_each(|&i| self.seats[i].end_bar());
            }
            let worth = self.account.marked_equity();
            self.account.end_session(date, worth);
            equity.push((date, worth));
        }
        self.into_played(equity)
    }

    /// All steps of one bar start but the decisions.
    fn bar_start(&mut self, date: Date, together: &[usize]) {
        self.pass_nights(date);
        let (seats, account) = (&mut self.seats, &mut self.account);
        for &i in together {
            seats[i].act(account, date);
            seats[i].passes = seats[i].passes_bar();
        }
        if account.is_margin() {
            together.iter().for_each(|&i| seats[i].set_mark(account, |bar| bar.open));
        }
        for part in [Book::begin_bar, Book::open_reductions, Book::open_rest, Book::inside] {
            together.iter().for_each(|&i| seats[i].part(account, part));
        }
        together.iter().for_each(|&i| seats[i].set_mark(account, |bar| bar.close));
        for part in [Book::auction_reductions, Book::auction_rest, Book::end_bar] {
            together.iter().for_each(|&i| seats[i].part(account, part));
        }
        for &i in together {
            seats[i].set_mark(account, |bar| bar.close);
            seats[i].bars_held += u64::from(seats[i].book.is_open());
        }
        let (equity, gross) = (account.marked_equity(), account.gross());
        if equity > 0.0 {
            self.max_leverage = self.max_leverage.max(gross / equity);
        }
        for &i in together {
            seats[i].end_of_data(account);
        }
        let equity = account.marked_equity();
        if self.marks.last().is_none_or(|(_, last)| *last != equity)
            && let Some(&first) = together.first()
        {
            self.marks.push((seats[first].bar().end, equity));
        }
    }

    /// What borrowing costs since the last bar start's date.
    fn pass_nights(&mut self, date: Date) {
        let Some(before) = self.date.replace(date).filter(|before| *before != date) else { return };
        let account = &mut self.account;
        let short = |sum: f64, seat: &Seat<'_>| sum + (-seat.book.worth(account, seat.last_close)).max(0.0);
        let short = self.seats.iter().filter(|seat| seat.book.units() < 0).fold(0.0, short);
        account.pass_nights(date.0 - before.0, short);
    }

    fn into_played(mut self, equity: Vec<(Date, f64)>) -> Played {
        let kept = self.account.take_kept();
        let histories = || self.seats.iter().map(|seat| seat.cursor.history());
        let replay = Replay {
            capital: self.account.capital,
            equity,
            bars: self.seats.iter().map(|seat| seat.bars).sum(),
            bars_held: self.seats.iter().map(|seat| seat.bars_held).sum(),
            bought: self.account.bought(),
            totals: *self.account.totals(),
            lowest_cash: self.account.lowest_cash(),
            blocks: self.account.blocks().filter(|(_, count)| *count > 0).collect(),
            halted_since: self.account.halted_since(),
            returns_per_year: histories().map(History::returns_per_year).fold(0.0, f64::max),
            calendar: histories().next().map(History::calendar).unwrap_or_default(),
            daily: histories().all(History::has_whole_sessions),
            fills: self.account.into_fills(),
        };
        Played { replay, kept, marks: self.marks, max_leverage: self.max_leverage }
    }

    /// The close of the bar under way of a symbol that has one.
    pub(crate) fn heard(&self, symbol: usize) -> Heard {
        let seat = &self.seats[symbol];
        Heard {
            close: seat.bar().close,
            session: seat.cursor.session().date,
            last_of_session: seat.last_of_session(),
            last_of_data: seat.last_of_data,
        }
    }

    /// The session under way of a symbol that has a bar.
    pub(crate) fn session(&self, symbol: usize) -> &Session {
        self.seats[symbol].cursor.session()
    }

    /// The calendar of a symbol's sessions.
    pub(crate) fn calendar(&self, symbol: usize) -> Calendar {
        self.seats[symbol].cursor.history().calendar()
    }

    /// The bar under way of a symbol that has one.
    pub(crate) fn bar(&self, symbol: usize) -> Bar {
        self.seats[symbol].bar()
    }

    /// A symbol's book, and the account.
    pub(crate) fn book(&mut self, symbol: usize) -> (&mut Book, &mut Account) {
        (&mut self.seats[symbol].book, &mut self.account)
    }
}

impl<'a> Seat<'a> {
    fn new(index: usize, history: &'a History<'a>, terms: &Terms) -> Self {
        let cursor = SessionCursor::new(history, terms.start, terms.end);
        let first = cursor.date_ahead().unwrap_or(terms.end);
        Self {
            cursor,
            book: Book::new(history.symbol, index),
            actions: ActionsAhead::after(history, first),
            haircut: history.haircut_by(terms.end),
            last_close: f64::NAN,
            costs: terms.costs,
            passes: true,
            #[cfg(test)]
            looks_at_all: false,
            last_of_data: false,
            bars: 0,
            bars_held: 0,
        }
    }

    fn begin_session(&mut self, account: &Account) {
        if let Some(session) = self.cursor.begin_session() {
            self.bars += session.range.len() as u64;
            self.costs = *account.costs();
            let factor = self.cursor.history().shares_of_one(session.session.date);
            if factor != 1.0 {
                self.costs = self.costs.of_adjusted(factor);
            }
        }
    }

    fn bar(&self) -> Bar {
        self.cursor.bars().get(self.cursor.next())
    }

    fn last_of_session(&self) -> bool {
        self.cursor.next() + 1 == self.cursor.bars().len()
    }

    fn at<'s>(&self, session: &'s Session) -> BarAt<'s> {
        BarAt { bar: self.bar(), session, last_of_session: self.last_of_session(), costs: self.costs }
    }

    fn passes_bar(&mut self) -> bool {
        self.last_of_data = self.last_of_session() && self.cursor.is_last_session();
        let last = self.last_of_session();
        #[cfg(test)]
        if self.looks_at_all {
            return false;
        }
        self.book.try_pass(self.cursor.bars(), self.cursor.next(), last)
    }

    /// Splits and dividends since the symbol's last session.
    fn act(&mut self, account: &mut Account, date: Date) {
        if self.actions.has_due(date) {
            let session = *self.cursor.session();
            let at = self.at(&session);
            self.actions.act(&mut self.book, account, &at, &mut self.last_close);
        }
    }

    fn part(&mut self, account: &mut Account, part: fn(&mut Book, &mut Account, &BarAt<'_>)) {
        if !self.passes {
            let session = *self.cursor.session();
            let at = self.at(&session);
            part(&mut self.book, account, &at);
        }
    }

    fn set_mark(&mut self, account: &mut Account, price: fn(&Bar) -> f64) {
        let price = price(&self.bar());
        self.book.set_mark(account, price);
    }

    /// The symbol's last bar: what is held is closed, or delisted.
    fn end_of_data(&mut self, account: &mut Account) {
        let close = self.bar().close;
        self.book.see_close(account, close);
        self.last_close = close;
        if !self.last_of_data {
            return;
        }
        let session = *self.cursor.session();
        let at = self.at(&session);
        match self.haircut {
            Some(haircut) => self.book.delist(account, &at, haircut),
            None => self.book.end_of_data(account, &at),
        }
        self.set_mark(account, |bar| bar.close);
    }

    fn end_bar(&mut self) {
        let next = self.cursor.next() + 1;
        self.cursor.move_to(next);
        if self.cursor.at_session_end() {
            self.cursor.end_session();
        }
    }
}
