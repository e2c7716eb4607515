//! All symbols under replay, with the account that they share.

use super::inputs::Source;
use super::record::Replay;
use super::symbol::SymbolReplay;
use super::terms::{Instrument, Terms};
use crate::account::{Account, Book};
use crate::bar::Date;
use crate::error::{Error, Result, codes};
use crate::history::History;
use crate::indicator::Columns;
use crate::strategy::Strategy;

/// The symbols, alphabetically, and their account.
pub(super) struct Portfolio<'a, S: Strategy> {
    pub(super) symbols: Vec<SymbolReplay<'a, S>>,
    pub(super) account: Account,
    /// The last session begun.
    date: Option<Date>,
}

impl<'a, S: Strategy> Portfolio<'a, S> {
    /// Indicators are computed as the replay goes.
    pub(super) fn rolling(instruments: &'a [Instrument<'a, S>], terms: &Terms) -> Result<Self> {
        let symbol = |Instrument { history, strategy }: &'a Instrument<'a, S>| {
            SymbolReplay::new(history, *strategy, Source::rolling(strategy, history.symbol), terms)
        };
        Self::new(instruments.iter().map(symbol).collect(), terms)
    }

    /// Indicators were computed before.
    pub(super) fn with_columns(instruments: &[(&'a History<'a>, &'a Columns, S)], terms: &Terms) -> Result<Self> {
        let symbol = |(history, columns, strategy): &(&'a History<'a>, &'a Columns, S)| {
            SymbolReplay::new(history, *strategy, Source::shared(strategy, columns), terms)
        };
        Self::new(instruments.iter().map(symbol).collect(), terms)
    }

    fn new(mut symbols: Vec<SymbolReplay<'a, S>>, terms: &Terms) -> Result<Self> {
        symbols.sort_by_key(SymbolReplay::name);
        if let Some(twice) = symbols.windows(2).find(|w| w[0].name() == w[1].name()) {
            return Err(Error::new(codes::BAD_ARGUMENT, format!("{} is given twice", twice[0].name())));
        }
        if symbols.iter().all(|s| s.cursor.date_ahead().is_none()) {
            let (start, end) = (terms.start, terms.end);
            return Err(Error::new(codes::NO_BARS, format!("no bars in a session between {start} and {end}"))
                .help("`magellan data list` shows what the archive holds"));
        }
        for (index, symbol) in symbols.iter_mut().enumerate() {
            symbol.book = Book::new(symbol.name(), index);
        }
        let account = Account::new(terms.capital, terms.costs, terms.limits).under(terms.conditions);
        Ok(Self { symbols, account, date: None })
    }

    /// Date of the session that follows: the union of the symbols' dates.
    pub(super) fn date_ahead(&self) -> Option<Date> {
        self.symbols.iter().filter_map(|s| s.cursor.date_ahead()).min()
    }

    /// Begins a session. The symbols that trade in it, as indices.
    pub(super) fn begin_session(&mut self, date: Date) -> Vec<usize> {
        self.pass_nights(date);
        self.account.begin_session();
        let mut trading: Vec<usize> = Vec::with_capacity(self.symbols.len());
        for (i, symbol) in self.symbols.iter_mut().enumerate() {
            if symbol.cursor.date_ahead() == Some(date) && !symbol.pass_over_session() {
                symbol.begin_session(&mut self.account);
                trading.push(i);
            }
        }
        trading
    }

    /// What borrowing costs since the session before.
    fn pass_nights(&mut self, date: Date) {
        let Some(before) = self.date.replace(date).filter(|_| self.account.charges_for_nights()) else { return };
        let sold_short = |s: &SymbolReplay<'_, S>| (-s.book.worth(&self.account, s.last_close())).max(0.0);
        let short = self.symbols.iter().filter(|s| s.book.units() < 0).fold(0.0, |sum, s| sum + sold_short(s));
        self.account.pass_nights(date.0 - before.0, short);
    }

    /// Ends a session; its equity, dollars.
    pub(super) fn end_session(&mut self, date: Date, trading: &[usize]) -> f64 {
        trading.iter().for_each(|&i| self.symbols[i].end_session());
        let equity = self.equity();
        self.account.end_session(date, equity);
        equity
    }

    /// Equity with open positions at their last close, dollars. These are summed alphabetically first, then added:
    /// `(capital + realised) + sum`.
    pub(super) fn equity(&self) -> f64 {
        let open = self.symbols.iter().filter(|s| s.book.is_open());
        self.account.equity() + open.fold(0.0, |sum, s| sum + s.book.unrealised(&self.account, s.last_close()))
    }

    /// Values all positions at their latest close, as of the end of that symbol's next bar.
    pub(super) fn mark_all(&mut self, symbol: usize) {
        let cursor = &self.symbols[symbol].cursor;
        let start = cursor.bars().start_at(cursor.next());
        for symbol in &mut self.symbols {
            let close = if symbol.book.is_open() { symbol.close_by(start) } else { 0.0 };
            symbol.book.set_mark(&mut self.account, close);
        }
    }

    /// Whether anything is held.
    pub(super) fn holds(&self) -> bool {
        self.symbols.iter().any(|s| s.book.is_open())
    }

    /// What open positions are worth at their last close, signs dropped, dollars, summed alphabetically.
    pub(super) fn held(&self) -> f64 {
        self.symbols
            .iter()
            .filter(|s| s.book.is_open())
            .fold(0.0, |sum, s| sum + s.book.worth(&self.account, s.last_close()).abs())
    }

    /// What the replay leaves behind.
    pub(super) fn into_replay(self, equity: Vec<(Date, f64)>) -> Replay {
        let Self { symbols, account, .. } = self;
        Replay {
            capital: account.capital,
            equity,
            bars: symbols.iter().map(|s| s.bars_seen).sum(),
            bars_held: symbols.iter().map(|s| s.bars_held).sum(),
            bought: account.bought(),
            totals: *account.totals(),
            lowest_cash: account.lowest_cash(),
            blocks: account.blocks().filter(|(_, count)| *count > 0).collect(),
            halted_since: account.halted_since(),
            returns_per_year: symbols.iter().map(|s| s.cursor.history().returns_per_year()).fold(0.0, f64::max),
            calendar: symbols.first().map(|s| s.cursor.history().calendar()).unwrap_or_default(),
            daily: symbols.iter().all(|s| s.cursor.history().has_whole_sessions()),
            fills: account.into_fills(),
        }
    }
}
