//! The loop: fill, mark, decide. One symbol alone, or many merged by time on one account.

use crate::account::{Account, Book, Fill};
use crate::bar::{Bars, Date, Nanos, Symbol};
use crate::calendar::Session;
use crate::costs::Costs;
use crate::error::{Error, Result, codes};
use crate::history::History;
use crate::indicator::{Columns, Memory, Rolling};
use crate::order::Order;
use crate::risk::{Block, Limits};
use crate::strategy::{Inputs, Now, Strategy, Test};
use crate::uncounted::Uncounted;

/// Money, costs, limits and the period of a replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Starting capital, dollars.
    pub capital: f64,
    /// Costs of every fill.
    pub costs: Costs,
    /// Account limits.
    pub limits: Limits,
    /// First session traded; indicators have seen everything before it.
    pub start: Date,
    /// Last session traded.
    pub end: Date,
}

/// A symbol's bars and the strategy, with that symbol's parameters.
#[derive(Clone, Debug)]
pub struct Instrument<'a, S> {
    /// Bars cut into sessions.
    pub history: History<'a>,
    /// The strategy; the value is its parameters.
    pub strategy: S,
}

/// What a replay leaves behind.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Starting capital, dollars.
    pub capital: f64,
    /// Equity after the last bar of each session, open positions at their last close.
    pub equity: Vec<(Date, f64)>,
    /// All sales in order of fill.
    pub fills: Vec<Fill>,
    /// Bars replayed, all symbols.
    pub bars: u64,
    /// Bars after whose close a position was held, all symbols.
    pub bars_held: u64,
    /// Dollars spent on entries.
    pub bought: f64,
    /// How often a limit refused an entry; zero counts left out.
    pub blocks: Vec<(Block, u64)>,
    /// The session after which an emergency stop halted entries.
    pub halted_since: Option<Date>,
    /// Daily bars have no time of day.
    pub daily: bool,
}

impl Replay {
    /// Entry and exit fills of bars outside the regular session (`Hours::All` only). Daily bars'
    /// fills are inside by definition.
    pub fn fills_outside_session(&self) -> u64 {
        if self.daily {
            return 0;
        }
        let outside = |at: Nanos, sold: bool| {
            let session = crate::calendar::session(crate::calendar::new_york_date(at));
            // A liquidation carries its bar's end, which may be the close itself.
            let inside = session.open <= at && (at < session.close || (sold && at == session.close));
            !(session.trades() && inside)
        };
        self.fills.iter().map(|f| u64::from(outside(f.entered, false)) + u64::from(outside(f.exited, true))).sum()
    }
}

/// Watches a replay as it runs; what it doesn't ask for costs nothing.
pub trait Recorder<I> {
    /// Whether [`Recorder::closed`] and [`Recorder::marked`] are wanted.
    const BARS: bool;

    /// A strategy answered with an order.
    fn decided(&mut self, _symbol: Symbol, _at: Nanos, _order: &Order) {}
    /// A symbol's bar is complete; `held` is before any end-of-data sale.
    fn closed(&mut self, _symbol: Symbol, _now: &Now<I>, _held: bool) {}
    /// All bars with this start are complete.
    fn marked(&mut self, _start: Nanos, _end: Nanos, _equity: f64) {}
}

/// Records nothing.
impl<I> Recorder<I> for () {
    const BARS: bool = false;
}

/// Replays `instruments` on one account.
///
/// # Errors
/// Usage error for a symbol given twice; data error if no symbol has a bar in the period.
pub fn replay<S: Strategy, R: Recorder<S::Inputs>>(
    instruments: &[Instrument<'_, S>],
    terms: &Terms,
    recorder: &mut R,
) -> Result<Uncounted<Replay>> {
    let desks = instruments.iter().map(|i| Desk::new(&i.history, i.strategy, Source::rolling(&i.strategy), terms));
    replay_desks(desks.collect(), terms, recorder).map(Uncounted::new)
}

/// As [`replay`], without computing an indicator: each symbol comes with columns that hold its
/// strategy's indicators, so that many points share one computation. The same bits.
///
/// # Errors
/// As [`replay`].
///
/// # Panics
/// If a strategy's indicator is not among its columns.
pub fn replay_shared<S: Strategy, R: Recorder<S::Inputs>>(
    instruments: &[(&History<'_>, &Columns, S)],
    terms: &Terms,
    recorder: &mut R,
) -> Result<Uncounted<Replay>> {
    replay_desks(shared_desks(instruments, terms), terms, recorder).map(Uncounted::new)
}

/// As [`replay_shared`], passing over the sessions in which a flat symbol has no bar with what
/// its strategy needs to buy ([`Strategy::needs`]).
pub(crate) fn replay_passing_over<S: Strategy>(
    instruments: &[(&History<'_>, &Columns, S)],
    terms: &Terms,
) -> Result<Replay> {
    let mut desks = shared_desks(instruments, terms);
    if size_of::<S::State>() == 0 {
        desks.iter_mut().for_each(|desk| desk.needs = desk.strategy.needs());
    }
    replay_desks(desks, terms, &mut ())
}

fn shared_desks<'a, S: Strategy>(instruments: &[(&'a History<'a>, &'a Columns, S)], terms: &Terms) -> Vec<Desk<'a, S>> {
    let desk = |&(history, columns, strategy): &(_, _, S)| {
        Desk::new(history, strategy, Source::shared(&strategy, columns), terms)
    };
    instruments.iter().map(desk).collect()
}

fn replay_desks<S: Strategy, R: Recorder<S::Inputs>>(
    mut desks: Vec<Desk<'_, S>>,
    terms: &Terms,
    recorder: &mut R,
) -> Result<Replay> {
    desks.sort_by_key(|d| d.history.symbol);
    if let Some(twice) = desks.windows(2).find(|w| w[0].history.symbol == w[1].history.symbol) {
        return Err(Error::new(codes::BAD_ARGUMENT, format!("{} is given twice", twice[0].history.symbol)));
    }
    if desks.iter().all(|d| d.ahead.is_empty()) {
        let (start, end) = (terms.start, terms.end);
        return Err(Error::new(codes::NO_BARS, format!("no bars in a session between {start} and {end}"))
            .help("`magellan data list` shows what the archive holds"));
    }
    let mut account = Account::new(terms.capital, terms.costs, terms.limits);
    let equity = run(&mut desks, &mut account, recorder);
    let mut blocks: Vec<(Block, u64)> = account.blocks().collect();
    blocks.retain(|b| b.1 > 0);
    Ok(Replay {
        capital: terms.capital,
        equity,
        bars: desks.iter().map(|d| d.bars_seen).sum(),
        bars_held: desks.iter().map(|d| d.bars_held).sum(),
        bought: account.bought(),
        blocks,
        halted_since: account.halted_since(),
        daily: desks.iter().all(|d| d.history.is_daily()),
        fills: account.into_fills(),
    })
}

/// Session by session over the union of the symbols' dates.
fn run<S: Strategy, R: Recorder<S::Inputs>>(
    desks: &mut [Desk<'_, S>],
    account: &mut Account,
    recorder: &mut R,
) -> Vec<(Date, f64)> {
    let mut equity = Vec::new();
    while let Some(date) = desks.iter().filter_map(Desk::next_date).min() {
        account.begin_session();
        let mut active: Vec<usize> = Vec::with_capacity(desks.len());
        for (i, desk) in desks.iter_mut().enumerate() {
            if desk.next_date() == Some(date) && !desk.pass_over() {
                desk.begin_session(account);
                active.push(i);
            }
        }
        match active[..] {
            [] => {}
            [only] => run_alone(desks, only, account, recorder),
            _ => run_merged(desks, &active, account, recorder),
        }
        for i in active {
            desks[i].end_session();
        }
        let worth = mark(desks, account);
        account.end_session(date, worth);
        equity.push((date, worth));
    }
    equity
}

/// One symbol trades today: no merging, and quiet bars are skimmed.
fn run_alone<S: Strategy, R: Recorder<S::Inputs>>(
    desks: &mut [Desk<'_, S>],
    only: usize,
    account: &mut Account,
    recorder: &mut R,
) {
    while desks[only].next_start().is_some() {
        let desk = &mut desks[only];
        if !R::BARS && desk.book.open_quietly() {
            desk.skim(account, recorder);
            continue;
        }
        desk.open_bar(account);
        let (start, end) = desk.close_bar(account, recorder);
        if R::BARS {
            recorder.marked(start, end, mark(desks, account));
        }
    }
}

/// Several symbols trade today: for each bar start, first every symbol's open, then every
/// symbol's close, alphabetically.
fn run_merged<S: Strategy, R: Recorder<S::Inputs>>(
    desks: &mut [Desk<'_, S>],
    active: &[usize],
    account: &mut Account,
    recorder: &mut R,
) {
    const DONE: Nanos = Nanos::MAX;
    let next = |desk: &Desk<'_, S>| desk.next_start().unwrap_or(DONE);
    let mut starts: Vec<Nanos> = active.iter().map(|&i| next(&desks[i])).collect();
    while let Some(&start) = starts.iter().min().filter(|&&start| start != DONE) {
        for (&i, _) in active.iter().zip(&starts).filter(|(_, at)| **at == start) {
            desks[i].open_bar(account);
        }
        let mut end = start;
        for (&i, at) in active.iter().zip(&mut starts).filter(|(_, at)| **at == start) {
            end = desks[i].close_bar(account, recorder).1;
            *at = next(&desks[i]);
        }
        if R::BARS {
            recorder.marked(start, end, mark(desks, account));
        }
    }
}

/// Equity with open positions at their last close. These are summed alphabetically first,
/// then added: `(capital + realised) + sum`.
fn mark<S: Strategy>(desks: &[Desk<'_, S>], account: &Account) -> f64 {
    let open = desks.iter().filter(|d| d.book.is_open());
    account.equity() + open.fold(0.0, |sum, d| sum + d.book.unrealised(d.last_close()))
}

/// Where a desk's indicator values come from.
enum Source<'a> {
    /// Folded session by session as the replay goes.
    Rolling(Vec<Rolling>),
    /// Columns over the whole history, computed before.
    Shared(Vec<&'a [f64]>),
}

impl<'a> Source<'a> {
    fn rolling<S: Strategy>(strategy: &S) -> Self {
        Self::Rolling(strategy.indicators().as_ref().iter().map(|i| i.start()).collect())
    }

    fn shared<S: Strategy>(strategy: &S, columns: &'a Columns) -> Self {
        Self::Shared(strategy.indicators().as_ref().iter().map(|&i| columns.get(i)).collect())
    }
}

/// Puts a column into its place in each bar's inputs.
fn fill<I: Inputs>(inputs: &mut [I], indicator: usize, column: &[f64]) {
    for (inputs, value) in inputs.iter_mut().zip(column) {
        inputs.set(indicator, *value);
    }
}

/// One symbol under replay: where it stands in its bars, its book and its strategy's state.
struct Desk<'a, S: Strategy> {
    history: &'a History<'a>,
    strategy: S,
    source: Source<'a>,
    /// Sessions still to come, as indices into the history.
    ahead: std::ops::Range<usize>,
    session: Session,
    today: Bars<'a>,
    /// Indicator values at each bar of today: a session at a time stays in the nearest cache.
    inputs: Vec<S::Inputs>,
    column: Vec<f64>,
    /// Next bar of today.
    next: usize,
    /// First bar of today at which the strategy is asked.
    warm: usize,
    state: S::State,
    book: Book,
    last_close: f64,
    bars_seen: u64,
    bars_held: u64,
    /// What every entry needs; empty, if each bar is to be looked at.
    needs: Vec<Test>,
}

impl<'a, S: Strategy> Desk<'a, S> {
    fn new(history: &'a History<'a>, strategy: S, source: Source<'a>, terms: &Terms) -> Self {
        let mut desk = Self {
            history,
            strategy,
            source,
            ahead: history.sessions_between(terms.start, terms.end),
            session: Session::default(),
            today: history.session_bars_at(0..0),
            inputs: Vec::new(),
            column: Vec::new(),
            next: 0,
            warm: 0,
            state: S::State::default(),
            book: Book::new(history.symbol),
            last_close: f64::NAN,
            bars_seen: 0,
            bars_held: 0,
            needs: Vec::new(),
        };
        let forgets = strategy.indicators().as_ref().iter().all(|i| i.memory() == Memory::Session);
        let folds = matches!(desk.source, Source::Rolling(_)) && !forgets;
        if folds || size_of::<S::State>() > 0 {
            desk.look_back();
        }
        desk
    }

    /// Shows indicators and strategy the bars before the period, so that neither depends on
    /// where the period starts; what the strategy answers is dropped.
    fn look_back(&mut self) {
        for index in 0..self.ahead.start {
            self.load(index);
            if size_of::<S::State>() > 0 {
                for i in self.warm..self.today.len() {
                    let now = self.now(i);
                    self.strategy.decide(&mut self.state, &now);
                }
            }
        }
        self.end_session();
        self.last_close = f64::NAN;
    }

    /// Makes session `index` of the history today.
    fn load(&mut self, index: usize) {
        let session = &self.history.sessions()[index];
        let n = session.range.len();
        self.session = session.session;
        self.today = self.history.session_bars(session);
        self.next = 0;
        self.warm = self.strategy.warmup().saturating_sub(session.ordinal).min(n);
        self.inputs.resize(n, S::Inputs::NOTHING);
        match &mut self.source {
            Source::Rolling(rolling) => {
                for (k, rolling) in rolling.iter_mut().enumerate() {
                    self.column.clear();
                    rolling.extend(&self.today, &self.session, &mut self.column);
                    fill(&mut self.inputs, k, &self.column);
                }
            }
            Source::Shared(columns) => {
                for (k, column) in columns.iter().enumerate() {
                    fill(&mut self.inputs, k, &column[session.ordinal..session.ordinal + n]);
                }
            }
        }
    }

    fn next_date(&self) -> Option<Date> {
        let index = self.ahead.clone().next()?;
        Some(self.history.sessions()[index].session.date)
    }

    /// Passes over the next session, if nothing is held or ordered and no bar of it has what an
    /// entry needs; whether it did.
    fn pass_over(&mut self) -> bool {
        let Source::Shared(columns) = &self.source else { return false };
        if self.needs.is_empty() || !self.book.is_idle() {
            return false;
        }
        let session = &self.history.sessions()[self.ahead.start];
        let bars = session.ordinal..session.ordinal + session.range.len();
        let rarest = &self.needs[0];
        let may_enter = |bar: usize| self.needs[1..].iter().all(|test| test.holds(columns[test.input][bar]));
        let mut rare = columns[rarest.input][bars.clone()].iter().zip(bars);
        if rare.any(|(value, bar)| rarest.holds(*value) && may_enter(bar)) {
            return false;
        }
        self.ahead.next();
        self.bars_seen += session.range.len() as u64;
        self.last_close = self.history.session_bars(session).close_at(session.range.len() - 1);
        true
    }

    fn begin_session(&mut self, account: &mut Account) {
        if let Some(index) = self.ahead.next() {
            self.load(index);
            self.bars_seen += self.today.len() as u64;
            self.book.begin_session(account);
        }
    }

    fn end_session(&mut self) {
        self.last_close = self.last_close();
        self.next = 0;
        self.today = self.today.slice(0..0);
    }

    #[inline(always)]
    fn next_start(&self) -> Option<Nanos> {
        self.today.starts().get(self.next).copied()
    }

    /// Close of the latest bar that is complete.
    fn last_close(&self) -> f64 {
        match self.next {
            0 => self.last_close,
            n => self.today.close()[n - 1],
        }
    }

    #[inline(always)]
    fn now(&self, i: usize) -> Now<S::Inputs> {
        Now { bar: self.today.get(i), session: self.session, inputs: self.inputs[i], position: self.book.position() }
    }

    #[inline(always)]
    fn open_bar(&mut self, account: &mut Account) {
        if self.book.open_quietly() {
            return;
        }
        self.book.open_bar(account, &self.today, self.next, &self.session);
    }

    #[inline(always)]
    fn close_bar<R: Recorder<S::Inputs>>(&mut self, account: &mut Account, recorder: &mut R) -> (Nanos, Nanos) {
        let i = self.next;
        self.book.manage(account, &self.today, i, &self.session, i + 1 == self.today.len());
        let now = self.now(i);
        let order = if i >= self.warm { self.strategy.decide(&mut self.state, &now) } else { None };
        let held = self.end_bar(account, recorder, order);
        if R::BARS {
            recorder.closed(self.history.symbol, &now, held);
        }
        (self.today.start_at(i), self.today.end_at(i))
    }

    /// What follows the decision at the next bar; whether it ends with an open position.
    #[inline(always)]
    fn end_bar<R: Recorder<S::Inputs>>(
        &mut self,
        account: &mut Account,
        recorder: &mut R,
        order: Option<Order>,
    ) -> bool {
        let i = self.next;
        self.next = i + 1;
        let last_of_session = self.next == self.today.len();
        let last = last_of_session && self.ahead.is_empty();
        if let Some(order) = order {
            recorder.decided(self.history.symbol, self.today.start_at(i), &order);
            if !last {
                self.book.accept(account, order, self.today.close_at(i), last_of_session);
            }
        }
        let held = self.book.is_open();
        self.bars_held += u64::from(held);
        if last {
            self.book.end_of_data(account, self.today.close_at(i), self.today.end_at(i));
        }
        held
    }

    /// Runs on while nothing can happen but a decision: no order waits, no bracket watches,
    /// so the position stays what it is. The same as bar by bar, in a loop small enough for
    /// registers; it ends after the first bar with an order, or with the session.
    fn skim<R: Recorder<S::Inputs>>(&mut self, account: &mut Account, recorder: &mut R) {
        let n = self.today.len();
        let (bars, inputs) = (self.today.slice(0..n), &self.inputs[..n]);
        let (session, position) = (self.session, self.book.position());
        let from = self.next;
        let mut order = None;
        let mut i = from.max(self.warm.min(n - 1));
        while i < n {
            let now = Now { bar: bars.get(i), session, inputs: inputs[i], position };
            if i >= self.warm {
                order = self.strategy.decide(&mut self.state, &now);
            }
            if order.is_some() || i + 1 == n {
                break;
            }
            i += 1;
        }
        self.bars_held += (i - from) as u64 * u64::from(position.is_open());
        self.next = i;
        self.end_bar(account, recorder, order);
    }
}
