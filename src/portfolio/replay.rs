//! A portfolio strategy over many symbols' bars.

use super::contract::{Market, Member, PortfolioStrategy, Weights};
use crate::bar::{Bars, Date, Nanos, Symbol};
use crate::error::Result;
use crate::history::{History, Hours};
use crate::indicator::Rolling;
use crate::metrics::{BySide, Metrics, buy_and_hold};
use crate::order::Order;
use crate::replay::floor::{Decider, Floor, Played};
use crate::replay::{Replay, Terms};
use crate::strategy::Inputs;
use crate::uncounted::Uncounted;

/// Replays a strategy over these symbols, given in any order.
///
/// # Errors
/// Usage error for a symbol given twice; data error if no symbol has a bar in the period.
pub fn replay_portfolio<S: PortfolioStrategy>(
    histories: &[History<'_>],
    strategy: S,
    terms: &Terms,
) -> Result<Uncounted<Replay>> {
    Ok(Uncounted::new(play(histories, strategy, terms)?.replay))
}

fn play<S: PortfolioStrategy>(histories: &[History<'_>], strategy: S, terms: &Terms) -> Result<Played> {
    let floor = Floor::new(histories, terms)?;
    let mut values: Vec<Values<S::Inputs>> = histories.iter().map(|h| Values::new(h, &strategy, terms.start)).collect();
    values.sort_by_key(|values| values.symbol);
    let mut asking = Asking { strategy, state: S::State::default(), values, members: Vec::new() };
    Ok(floor.play(&mut asking))
}

/// Indicators of one symbol under way.
struct Values<I> {
    symbol: Symbol,
    rolling: Vec<Rolling>,
    inputs: I,
}

impl<I: Inputs> Values<I> {
    /// They have seen every bar before the period.
    fn new<S: PortfolioStrategy<Inputs = I>>(history: &History<'_>, strategy: &S, start: Date) -> Self {
        let rolling = strategy.indicators().as_ref().iter().map(|indicator| indicator.start(history.symbol)).collect();
        let mut values = Self { symbol: history.symbol, rolling, inputs: I::NOTHING };
        let mut column = Vec::new();
        for session in history.sessions().iter().take_while(|session| session.session.date < start) {
            let bars: Bars<'_> = history.session_bars(session);
            for rolling in &mut values.rolling {
                column.clear();
                rolling.extend(&bars, &session.session, &mut column);
            }
        }
        values
    }
}

/// A strategy that is asked at each bar time.
struct Asking<S: PortfolioStrategy> {
    strategy: S,
    state: S::State,
    /// Alphabetically.
    values: Vec<Values<S::Inputs>>,
    members: Vec<Member<S::Inputs>>,
}

impl<S: PortfolioStrategy> Decider for Asking<S> {
    fn decide(&mut self, floor: &mut Floor<'_>, _: Nanos, traded: &[usize]) {
        self.members.clear();
        let Some(&first) = traded.first() else { return };
        let session = *floor.session(first);
        let mut last_of_session = false;
        for &index in traded {
            let values = &mut self.values[index];
            let bar = floor.bar(index);
            for (k, rolling) in values.rolling.iter_mut().enumerate() {
                values.inputs.set(k, rolling.next(&bar, &session));
            }
            last_of_session |= floor.heard(index).last_of_session;
            let position = floor.book(index).0.position();
            self.members.push(Member { symbol: values.symbol, bar, inputs: values.inputs, position, index });
        }
        let (end, equity) = (self.members[0].bar.end, floor.account.marked_equity());
        let market =
            Market { session, calendar: floor.calendar(first), end, last_of_session, equity, members: &self.members };
        let mut answer = Weights::default();
        self.strategy.decide(&mut self.state, &market, &mut answer);
        carry_out(floor, &market, answer);
    }
}

fn carry_out<I>(floor: &mut Floor<'_>, market: &Market<'_, I>, answer: Weights) {
    if let Some(mut targets) = answer.targets {
        targets.sort_by_key(|(symbol, _)| *symbol);
        for member in market.members {
            let wanted = targets.binary_search_by_key(&member.symbol, |(symbol, _)| *symbol);
            let weight = wanted.map_or(0.0, |at| targets[at].1);
            // What is neither held nor wanted needs no order.
            if weight != 0.0 || member.position.is_open() {
                give(floor, member.index, &Order::target_weight(weight));
            }
        }
    }
    for (symbol, order) in answer.orders {
        if let Some(member) = market.member(symbol) {
            give(floor, member.index, &order);
        }
    }
}

fn give(floor: &mut Floor<'_>, symbol: usize, order: &Order) {
    let heard = floor.heard(symbol);
    let (book, account) = floor.book(symbol);
    book.accept(account, order, &heard);
}

/// A replay of a portfolio strategy over bars at hand, as [`crate::backtest::Backtest`] is of a strategy of one symbol.
#[derive(Clone, Debug)]
pub struct PortfolioBacktest<'a, S> {
    bars: Vec<(Symbol, Bars<'a>)>,
    histories: Vec<History<'a>>,
    strategy: S,
    hours: Hours,
    terms: Terms,
}

/// What it left, and what it was worth.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PortfolioBacktested {
    /// What happened: equity after each session, trades.
    pub replay: Replay,
    /// What it was worth. Rates are fractions, ratios annualised over 252 sessions.
    pub metrics: Metrics,
    /// Trades of long and of short lots apart.
    pub by_side: BySide,
    /// Worth of equal amounts of every symbol, bought at its first close and held, after each session.
    pub benchmark: Vec<f64>,
}

impl<'a, S: PortfolioStrategy> PortfolioBacktest<'a, S> {
    /// Over these symbols' bars; prices are taken as they are.
    pub fn new(bars: impl IntoIterator<Item = (Symbol, Bars<'a>)>, strategy: S, terms: Terms) -> Self {
        Self { bars: bars.into_iter().collect(), histories: Vec::new(), strategy, hours: Hours::Regular, terms }
    }

    /// Over these histories, which may know what happened to their shares: how they split, what they paid, and how they
    /// were delisted.
    pub fn over(histories: impl IntoIterator<Item = History<'a>>, strategy: S, terms: Terms) -> Self {
        Self { histories: histories.into_iter().collect(), ..Self::new([], strategy, terms) }
    }

    /// Counts the bars of these hours; histories that are given have their own.
    #[must_use]
    pub fn hours(mut self, hours: Hours) -> Self {
        self.hours = hours;
        self
    }

    /// Replays it.
    ///
    /// # Errors
    /// Usage error for a symbol given twice; data error if no bar lies in the period, or bars lie outside the exchange
    /// calendar.
    pub fn run(self) -> Result<Uncounted<PortfolioBacktested>> {
        let cut = |(symbol, bars): &(Symbol, Bars<'a>)| History::new(*symbol, *bars, self.hours);
        let mut histories = self.histories;
        histories.extend(self.bars.iter().map(cut).collect::<Result<Vec<_>>>()?);
        histories.sort_by_key(|history| history.symbol);
        let replay = play(&histories, self.strategy, &self.terms)?.replay;
        let by_name: Vec<&History<'_>> = histories.iter().collect();
        let benchmark = buy_and_hold(&by_name, self.terms.start, self.terms.end);
        let metrics = Metrics::new(&replay, &benchmark).into_inner();
        let by_side = BySide::of(&replay);
        Ok(Uncounted::new(PortfolioBacktested { replay, metrics, by_side, benchmark }))
    }
}
