//! One symbol under replay: fills at a bar's open, decides at its close.

use super::actions::ActionsAhead;
use super::crossings::Candidates;
use super::cursor::SessionCursor;
use super::inputs::{InputRows, Source};
use super::record::Recorder;
use super::terms::Terms;
use crate::account::{Account, BarAt, Book, Heard};
use crate::bar::{Bar, Nanos, Symbol};
use crate::calendar::Session;
use crate::costs::Costs;
use crate::history::{History, SessionBars};
use crate::indicator::Memory;
use crate::strategy::{Now, Orders, Strategy};

/// One symbol under replay: where it stands in its bars, its book, and its strategy's state.
pub(super) struct SymbolReplay<'a, S: Strategy> {
    pub(super) cursor: SessionCursor<'a>,
    /// Splits and dividends to come.
    pub(super) actions: ActionsAhead<'a>,
    /// The fraction of its last price that longs lose, if it is delisted within the period.
    haircut: Option<f64>,
    pub(super) strategy: S,
    pub(super) inputs: InputRows<'a, S::Inputs>,
    /// First bar of the session under way at which the strategy is asked.
    pub(super) warm: usize,
    pub(super) state: S::State,
    pub(super) book: Book,
    /// What the strategy says at a close.
    pub(super) orders: Orders,
    /// What trading costs in the session under way.
    costs: Costs,
    /// Nothing can happen in the bar under way but a decision.
    passes: bool,
    /// The strategy was asked at the close of the next bar, ahead of the other symbols.
    pub(super) decided: bool,
    /// Close of the last bar of the sessions that are over, dollars.
    pub(super) last_close: f64,
    pub(super) bars_seen: u64,
    pub(super) bars_held: u64,
    /// Where every order of an idle symbol is given; none if each bar is to be looked at.
    pub(super) candidates: Option<Candidates>,
    /// Whether each bar is to be looked at while something is held or ordered.
    pub(super) asks_while_busy: bool,
}

impl<'a, S: Strategy> SymbolReplay<'a, S> {
    pub(super) fn new(history: &'a History<'a>, strategy: S, source: Source<'a>, terms: &Terms) -> Self {
        let forgets = strategy.indicators().as_ref().iter().all(|i| i.memory() == Memory::Session);
        let folds = matches!(source, Source::Rolling(_)) && !forgets;
        let cursor = SessionCursor::new(history, terms.start, terms.end);
        let first = cursor.date_ahead().unwrap_or(terms.end);
        let mut symbol = Self {
            cursor,
            actions: ActionsAhead::after(history, first),
            haircut: history.haircut_by(terms.end),
            strategy,
            inputs: InputRows::new(source),
            warm: 0,
            state: S::State::default(),
            book: Book::new(history.symbol, 0),
            orders: Orders::default(),
            costs: terms.costs,
            passes: true,
            decided: false,
            last_close: f64::NAN,
            bars_seen: 0,
            bars_held: 0,
            candidates: None,
            asks_while_busy: true,
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
                    let now = self.now(i, self.inputs.rows[i]);
                    self.strategy.act(&mut self.state, &now, &mut self.orders);
                    self.orders.clear();
                }
            }
        }
        self.cursor.end_session();
    }

    /// Loads indicator values and the warm-up of the session that the cursor shows.
    #[inline(always)]
    fn load(&mut self, session: &SessionBars) {
        self.warm = self.strategy.warmup().saturating_sub(session.ordinal).min(self.cursor.bars().len());
        self.inputs.ordinal = session.ordinal;
        if self.candidates.is_none() {
            self.inputs.load(session, self.cursor.bars());
        }
    }

    pub(super) fn begin_session(&mut self, account: &mut Account) {
        if let Some(session) = self.cursor.begin_session() {
            self.load(session);
            self.bars_seen += self.cursor.bars().len() as u64;
            self.costs = *account.costs();
            let factor = self.cursor.history().shares_of_one(session.session.date);
            if factor != 1.0 && self.costs.has_share_costs() {
                self.costs = self.costs.of_adjusted(factor);
            }
            if self.actions.has_due(session.session.date) {
                let at = self.at(&session.session);
                self.actions.act(&mut self.book, account, &at, &mut self.last_close);
            }
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

    /// Close of the latest bar that started no later than `start`, dollars.
    pub(super) fn close_by(&self, start: Nanos) -> f64 {
        match self.cursor.bars().starts().partition_point(|of| *of <= start) {
            0 => self.last_close,
            n => self.cursor.bars().close_at(n - 1),
        }
    }

    /// What the strategy knows at the close of bar `i`.
    #[inline(always)]
    fn now(&self, i: usize, inputs: S::Inputs) -> Now<S::Inputs> {
        Now { bar: self.cursor.bars().get(i), session: *self.cursor.session(), inputs, position: self.book.position() }
    }

    /// The next bar, for the book.
    #[inline(always)]
    fn at<'s>(&self, session: &'s Session) -> BarAt<'s> {
        let i = self.cursor.next();
        BarAt {
            bar: self.cursor.bars().get(i),
            session,
            last_of_session: i + 1 == self.cursor.bars().len(),
            costs: self.costs,
        }
    }

    /// Begins the next bar. Whether nothing can happen in it but a decision.
    #[inline(always)]
    pub(super) fn try_pass(&mut self) -> bool {
        let (bars, i) = (self.cursor.bars(), self.cursor.next());
        self.passes = self.book.try_pass(bars, i, i + 1 == bars.len());
        self.passes
    }

    /// Open and inside of the next bar of a symbol alone: what was ordered fills, stops and targets are met.
    #[inline(always)]
    pub(super) fn fill(&mut self, account: &mut Account) {
        if !self.try_pass() {
            let session = *self.cursor.session();
            let at = self.at(&session);
            self.book.open_bar(account, &at);
        }
    }

    /// One part of the next bar among several symbols, unless the bar passes.
    pub(super) fn part(&mut self, account: &mut Account, part: fn(&mut Book, &mut Account, &BarAt<'_>)) {
        if !self.passes {
            let session = *self.cursor.session();
            let at = self.at(&session);
            part(&mut self.book, account, &at);
        }
    }

    /// Values the position at the next bar's open or close.
    pub(super) fn set_mark(&mut self, account: &mut Account, price: impl Fn(&Bar) -> f64) {
        let price = price(&self.cursor.bars().get(self.cursor.next()));
        self.book.set_mark(account, price);
    }

    /// Close of the next bar, after its auction: the bracket's time limits, then the strategy.
    #[inline(always)]
    pub(super) fn decide(&mut self, account: &mut Account) {
        if std::mem::take(&mut self.decided) {
            return;
        }
        if !self.passes || account.conditions().impact != 0.0 {
            self.close_bar(account);
        }
        self.ask();
    }

    /// Asks the strategy at the close of the next bar.
    #[inline(always)]
    pub(super) fn ask(&mut self) {
        let i = self.cursor.next();
        if i >= self.warm {
            if self.book.has_orders() || !self.orders.working().is_empty() {
                self.book.tell_working(self.orders.working_mut());
            }
            match self.candidates {
                None => {
                    let now = self.now(i, self.inputs.rows[i]);
                    self.strategy.act(&mut self.state, &now, &mut self.orders);
                }
                Some(_) => self.act_on_candidate(i),
            }
        }
    }

    /// Apart from the loop that looks at every bar, so that this loads no more than the strategy looks at.
    #[inline(never)]
    fn act_on_candidate(&mut self, i: usize) {
        let now = self.now(i, self.inputs.at(i));
        self.strategy.act(&mut self.state, &now, &mut self.orders);
    }

    #[inline(never)]
    fn close_bar(&mut self, account: &mut Account) {
        let session = *self.cursor.session();
        let at = self.at(&session);
        if !self.passes {
            self.book.end_bar(account, &at);
        }
        self.book.see_close(account, at.bar.close);
    }

    /// Ends the next bar: hands the strategy's orders to the book, and closes what is held at the end of the data.
    #[inline(always)]
    pub(super) fn end_bar<R: Recorder<S::Inputs>>(&mut self, account: &mut Account, recorder: &mut R) {
        let i = self.cursor.next();
        let last = i + 1 == self.cursor.bars().len() && self.cursor.is_last_session();
        let held = self.book.is_open();
        self.bars_held += u64::from(held);
        let now = R::BARS.then(|| self.now(i, self.inputs.rows[i]));
        if last {
            self.end_of_data(account);
        }
        if self.orders.has_any() {
            self.hear(account, recorder, last);
        }
        if let Some(now) = now {
            recorder.closed(self.name(), &now, held);
        }
        self.cursor.move_to(i + 1);
    }

    /// What is held is closed at the last bar of all.
    #[inline(never)]
    fn end_of_data(&mut self, account: &mut Account) {
        let session = *self.cursor.session();
        let at = self.at(&session);
        match self.haircut {
            Some(haircut) => self.book.delist(account, &at, haircut),
            None => self.book.end_of_data(account, &at),
        }
        if account.is_margin() {
            self.set_mark(account, |bar| bar.close);
        }
    }

    #[inline(never)]
    fn hear<R: Recorder<S::Inputs>>(&mut self, account: &mut Account, recorder: &mut R, last_of_data: bool) {
        let i = self.cursor.next();
        let bars = self.cursor.bars();
        let heard = Heard {
            close: bars.close_at(i),
            session: self.cursor.session().date,
            last_of_session: i + 1 == bars.len(),
            last_of_data,
        };
        let (start, name) = (bars.start_at(i), self.name());
        for order in self.orders.placed() {
            recorder.decided(name, start, order);
            if !last_of_data {
                self.book.accept(account, order, &heard);
            }
        }
        self.orders.clear();
    }
}
