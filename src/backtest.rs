//! One strategy over bars at hand: the shortest way from an archive to a figure.
//!
//! The result is [`Uncounted`]: nothing records it as a trial, so neither the gate nor the reports take it. What is to
//! be judged goes through [`crate::research`].

use std::fmt;
use std::path::Path;

use crate::account::Conditions;
use crate::archive::Series;
use crate::bar::{Bars, Date, Symbol, Timeframe};
use crate::calendar::{self, Calendar};
use crate::costs::Costs;
use crate::error::{Error, Result, codes};
use crate::history::{History, Hours};
use crate::metrics::{Metrics, buy_and_hold};
use crate::plot::{self, Line};
use crate::replay::{Instrument, Replay, Terms, replay};
use crate::risk::Limits;
use crate::strategy::Strategy;
use crate::uncounted::Uncounted;

/// Bars of a known symbol.
#[derive(Clone, Copy, Debug)]
pub struct SymbolBars<'a> {
    symbol: Symbol,
    bars: Bars<'a>,
    calendar: Calendar,
}

impl<'a> From<&'a Series> for SymbolBars<'a> {
    fn from(series: &'a Series) -> Self {
        Self { symbol: series.symbol, bars: series.bars(), calendar: series.calendar }
    }
}

impl<'a> From<(Symbol, Bars<'a>)> for SymbolBars<'a> {
    fn from((symbol, bars): (Symbol, Bars<'a>)) -> Self {
        Self { symbol, bars, calendar: Calendar::Xnys }
    }
}

/// What a backtest is given.
#[derive(Clone, Debug)]
enum Given<'a> {
    Bars(SymbolBars<'a>),
    History(Box<History<'a>>),
}

/// A replay of one strategy over one symbol's bars.
///
/// Unless told otherwise it begins with 100,000 dollars, pays no costs, has no limits, counts regular hours and trades
/// every session that the bars cover. Prices are taken as they are: a split in raw bars looks like a crash, so pass
/// [`Series::adjusted`] bars, or a history that knows its splits to [`Backtest::over`].
#[derive(Clone, Debug)]
pub struct Backtest<'a, S> {
    given: Given<'a>,
    strategy: S,
    hours: Hours,
    terms: Terms,
}

impl<'a, S: Strategy> Backtest<'a, S> {
    /// A backtest over an archive's series, or over bars with their symbol.
    pub fn new(bars: impl Into<SymbolBars<'a>>, strategy: S) -> Self {
        Self::of(Given::Bars(bars.into()), strategy)
    }

    /// A backtest over a history, which may know what happened to its shares: how they split, what they paid, and how
    /// they were delisted.
    pub fn over(history: History<'a>, strategy: S) -> Self {
        Self::of(Given::History(Box::new(history)), strategy)
    }

    fn of(given: Given<'a>, strategy: S) -> Self {
        let terms = Terms {
            capital: 100_000.0,
            costs: Costs::default(),
            conditions: Conditions::UNLIMITED,
            limits: Limits::default(),
            start: calendar::FIRST,
            end: calendar::LAST,
        };
        Self { given, strategy, hours: Hours::Regular, terms }
    }

    /// Begins with so many dollars.
    #[must_use]
    pub fn capital(mut self, dollars: f64) -> Self {
        self.terms.capital = dollars;
        self
    }

    /// Pays these costs.
    #[must_use]
    pub fn costs(mut self, costs: Costs) -> Self {
        self.terms.costs = costs;
        self
    }

    /// Obeys these limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.terms.limits = limits;
        self
    }

    /// Trades on an account of these conditions.
    #[must_use]
    pub fn conditions(mut self, conditions: Conditions) -> Self {
        self.terms.conditions = conditions;
        self
    }

    /// Counts the bars of these hours; a history that is given has its own.
    #[must_use]
    pub fn hours(mut self, hours: Hours) -> Self {
        self.hours = hours;
        self
    }

    /// Trades from one session to another, both included; indicators see all bars before.
    #[must_use]
    pub fn between(mut self, start: Date, end: Date) -> Self {
        (self.terms.start, self.terms.end) = (start, end);
        self
    }

    /// Replays it.
    ///
    /// # Errors
    /// Usage error if the capital is no positive number, or an indicator asks for a width that the bars don't make; data
    /// error if no bar lies in the period, or bars lie outside
    /// the exchange calendar.
    pub fn run(self) -> Result<Uncounted<Backtested>> {
        let capital = self.terms.capital;
        if !(capital.is_finite() && capital > 0.0) {
            return Err(Error::new(
                codes::BAD_ARGUMENT,
                format!("the capital is {capital} dollars, not a positive number"),
            ));
        }
        let history = match self.given {
            Given::Bars(SymbolBars { symbol, bars, calendar }) => {
                History::with_calendar(symbol, bars, self.hours, calendar)?
            }
            Given::History(history) => *history,
        };
        if let Some(width) = Timeframe::of_width(history.session_bars_at(0..0).width()) {
            self.strategy.indicators().as_ref().iter().try_for_each(|indicator| indicator.check(width))?;
        }
        let symbol = history.symbol;
        let benchmark = buy_and_hold(&[&history], self.terms.start, self.terms.end);
        let replay = replay(&[Instrument { history, strategy: self.strategy }], &self.terms, &mut ())?.into_inner();
        let metrics = Metrics::new(&replay, &benchmark).into_inner();
        Ok(Uncounted::new(Backtested { strategy: S::NAME, symbol, replay, metrics, benchmark }))
    }
}

/// What a backtest left, and what it was worth.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Backtested {
    /// Name of the strategy.
    pub strategy: &'static str,
    /// The symbol.
    pub symbol: Symbol,
    /// What happened: equity after each session, fills.
    pub replay: Replay,
    /// What it was worth. Rates are fractions, ratios annualised over 252 sessions.
    pub metrics: Metrics,
    /// Worth of one dollar in the symbol, bought at its first close and held, after each session.
    pub benchmark: Vec<f64>,
}

impl Uncounted<Backtested> {
    /// Draws equity beside buying and holding, in dollars by session, into an SVG file. The title says that nobody
    /// counted it.
    ///
    /// # Errors
    /// Usage error if the file can't be written.
    pub fn plot(&self, path: &Path) -> Result<()> {
        let capital = self.replay.capital;
        let (dates, equity): (Vec<Date>, Vec<f64>) = self.replay.equity.iter().copied().unzip();
        let held: Vec<f64> = self.benchmark.iter().map(|worth| worth * capital).collect();
        let title = format!("{self}");
        let lines = [Line { name: "buy and hold", values: &held }, Line { name: self.strategy, values: &equity }];
        plot::write(path, &title, &dates, &lines)
    }
}

/// The figures in one line.
impl fmt::Display for Backtested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Metrics { sharpe, total_return, max_drawdown, trades, .. } = &self.metrics;
        write!(
            f,
            "{} on {}: Sharpe ratio {sharpe:.2}, return {total_return:.3}, deepest fall {max_drawdown:.3}, {trades} trades",
            self.strategy, self.symbol
        )
    }
}
