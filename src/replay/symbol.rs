//! One symbol under replay: fills at a bar's open, decides at its close.

use super::cursor::SessionCursor;
use super::inputs::{InputRows, Source};
use super::record::Recorder;
use super::terms::Terms;
use crate::account::{Account, Book};
use crate::bar::{Nanos, Symbol};
use crate::history::{History, SessionBars};
use crate::indicator::Memory;
use crate::order::Order;
use crate::strategy::{Now, Strategy, Test};

/// One symbol under replay: where it stands in its bars, its book, and its strategy's state.
pub(super) struct SymbolReplay<'a, S: Strategy> {
    pub(super) cursor: SessionCursor<'a>,
    pub(super) strategy: S,
    pub(super) inputs: InputRows<'a, S::Inputs>,
    /// First bar of the session under way at which the strategy is asked.
    pub(super) warm: usize,
    pub(super) state: S::State,
    pub(super) book: Book,
    /// Close of the last bar of the sessions that are over, dollars.
    pub(super) last_close: f64,
    pub(super) bars_seen: u64,
    pub(super) bars_held: u64,
    /// What every entry needs; empty if each bar is to be looked at.
    pub(super) needs: Vec<Test>,
}

impl<'a, S: Strategy> SymbolReplay<'a, S> {
    pub(super) fn new(history: &'a History<'a>, strategy: S, source: Source<'a>, terms: &Terms) -> Self {
        let forgets = strategy.indicators().as_ref().iter().all(|i| i.memory() == Memory::Session);
        let folds = matches!(source, Source::Rolling(_)) && !forgets;
        let mut symbol = Self {
            cursor: SessionCursor::new(history, terms.start, terms.end),
            strategy,
            inputs: InputRows::new(source),
            warm: 0,
            state: S::State::default(),
            book: Book::new(history.symbol),
            last_close: f64::NAN,
            bars_seen: 0,
            bars_held: 0,
            needs: Vec::new(),
        };
        if folds || size_of::<S::State>() > 0 {
            symbol.warm_up();
        }
        symbol
    }

    /// The symbol's name.
    pub(super) fn name(&self) -> Symbol {
        self.cursor.history().symbol
    }

    /// Shows indicators and strategy the bars before the period, so that neither depends on where the period starts.
    /// The strategy's answers are dropped.
    fn warm_up(&mut self) {
        for session in self.cursor.sessions_before() {
            self.cursor.show(session);
            self.load(session);
            if size_of::<S::State>() > 0 {
                for i in self.warm..self.cursor.bars().len() {
                    let now = self.now(i);
                    self.strategy.decide(&mut self.state, &now);
                }
            }
        }
        self.cursor.end_session();
    }

    /// Loads indicator values and the warm-up of the session that the cursor shows.
    #[inline(always)]
    fn load(&mut self, session: &SessionBars) {
        self.warm = self.strategy.warmup().saturating_sub(session.ordinal).min(self.cursor.bars().len());
        self.inputs.load(session, self.cursor.bars());
    }

    pub(super) fn begin_session(&mut self, account: &mut Account) {
        if let Some(session) = self.cursor.begin_session() {
            self.load(session);
            self.bars_seen += self.cursor.bars().len() as u64;
            self.book.begin_session(account);
        }
    }

    pub(super) fn end_session(&mut self) {
        self.last_close = self.last_close();
        self.cursor.end_session();
    }

    /// Close of the latest bar that is complete, dollars.
    pub(super) fn last_close(&self) -> f64 {
        match self.cursor.next() {
            0 => self.last_close,
            n => self.cursor.bars().close()[n - 1],
        }
    }

    /// What the strategy knows at the close of bar `i`.
    #[inline(always)]
    fn now(&self, i: usize) -> Now<S::Inputs> {
        Now {
            bar: self.cursor.bars().get(i),
            session: *self.cursor.session(),
            inputs: self.inputs.rows[i],
            position: self.book.position(),
        }
    }

    /// Open and inside of the next bar: what was ordered fills, stops and targets are met.
    #[inline(always)]
    pub(super) fn fill(&mut self, account: &mut Account) {
        if !self.book.open_quietly() {
            self.book.open_bar(account, self.cursor.bars(), self.cursor.next(), self.cursor.session());
        }
    }

    /// Close of the next bar: the bracket's time limits, then the strategy. Start and end of that bar.
    #[inline(always)]
    pub(super) fn decide<R: Recorder<S::Inputs>>(&mut self, account: &mut Account, recorder: &mut R) -> (Nanos, Nanos) {
        let i = self.cursor.next();
        let last_of_session = i + 1 == self.cursor.bars().len();
        self.book.manage(account, self.cursor.bars(), i, self.cursor.session(), last_of_session);
        let now = self.now(i);
        let order = if i >= self.warm { self.strategy.decide(&mut self.state, &now) } else { None };
        let held = self.end_bar(account, recorder, order);
        if R::BARS {
            recorder.closed(self.name(), &now, held);
        }
        (self.cursor.bars().start_at(i), self.cursor.bars().end_at(i))
    }

    /// Hands the strategy's order to the book, and sells at the end of the data. Whether a position was open before
    /// that sale.
    #[inline(always)]
    pub(super) fn end_bar<R: Recorder<S::Inputs>>(
        &mut self,
        account: &mut Account,
        recorder: &mut R,
        order: Option<Order>,
    ) -> bool {
        let i = self.cursor.next();
        self.cursor.move_to(i + 1);
        let bars = self.cursor.bars();
        let last = self.cursor.at_data_end();
        if let Some(order) = order {
            recorder.decided(self.name(), bars.start_at(i), &order);
            if !last {
                self.book.accept(account, order, bars.close_at(i), self.cursor.at_session_end());
            }
        }
        let held = self.book.is_open();
        self.bars_held += u64::from(held);
        if last {
            self.book.end_of_data(account, bars.close_at(i), bars.end_at(i));
        }
        held
    }
}
