//! What a replay was worth. Every figure is defined or says why it isn't; none is NaN.
//!
//! Returns are simple returns of session equity, the first one against the starting capital.
//! Annualisation: 252 sessions a year, risk-free rate 0.

use multiversion::multiversion;
use schemars::JsonSchema;
use serde::Serialize;
use serde::ser::Serializer;

use crate::account::Fill;
use crate::bar::{Date, HOUR, Nanos};
use crate::history::History;
use crate::replay::Replay;
use crate::uncounted::Uncounted;

/// Sessions a year, for annualising.
pub const SESSIONS_PER_YEAR: f64 = 252.0;

const RUIN: &str = "equity fell to zero or below";

/// Deviations of a return below this are rounding.
const ROUNDING: f64 = 1e-12;

/// A figure, or the reason why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// A finite number.
    Defined(f64),
    /// Why it can't be computed.
    Undefined(&'static str),
}

impl Measure {
    /// A number that must be finite to count.
    pub fn new(value: f64, otherwise: &'static str) -> Self {
        if value.is_finite() { Self::Defined(value) } else { Self::Undefined(otherwise) }
    }

    /// The number, if there is one.
    pub const fn value(self) -> Option<f64> {
        match self {
            Self::Defined(value) => Some(value),
            Self::Undefined(_) => None,
        }
    }
}

/// `part / whole`, undefined when `whole` is zero.
fn ratio(part: f64, whole: f64, otherwise: &'static str) -> Measure {
    Measure::new(part / whole, otherwise)
}

/// A number, or `{"undefined": reason}`.
impl Serialize for Measure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Undefined {
            undefined: &'static str,
        }
        match *self {
            Self::Defined(value) => serializer.serialize_f64(value),
            Self::Undefined(undefined) => Undefined { undefined }.serialize(serializer),
        }
    }
}

/// `undefined(reason)` where there is no number.
impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Defined(value) => write!(f, "{value:.*}", f.precision().unwrap_or(4)),
            Self::Undefined(reason) => write!(f, "undefined({reason})"),
        }
    }
}

/// All figures of one replay. Money in dollars, rates as fractions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Metrics {
    /// Starting capital.
    pub initial_capital: f64,
    /// Equity after the last session.
    pub final_equity: f64,
    /// `final_equity / initial_capital - 1`.
    pub total_return: Measure,
    /// `(final / initial)^(365.25 / days) - 1`; days from the first to the last session, at least 1.
    pub cagr: Measure,
    /// `mean / std * sqrt(252)`, ddof 1.
    pub sharpe: Measure,
    /// `mean / sqrt(mean(min(r, 0)^2)) * sqrt(252)`.
    pub sortino: Measure,
    /// Deepest `equity / peak - 1`; 0 or negative.
    pub max_drawdown: Measure,
    /// `cagr / |max_drawdown|`.
    pub calmar: Measure,
    /// Round trips: an entry with all its sales.
    pub trades: u64,
    /// Share of trades with a profit above 0.
    pub win_rate: Measure,
    /// `gross_win / gross_loss`.
    pub profit_factor: Measure,
    /// Sum of winning trades.
    pub gross_win: f64,
    /// Sum of losing trades, positive.
    pub gross_loss: f64,
    /// Bars held over all bars.
    pub exposure: Measure,
    /// Mean profit of a trade.
    pub avg_trade_pnl: Measure,
    /// Mean profit of the winners.
    pub avg_win: Measure,
    /// Mean profit of the others, 0 or negative.
    pub avg_loss: Measure,
    /// Mean of profit over entry amount.
    pub expectancy_ret: Measure,
    /// Sessions with a bar.
    pub sessions: u64,
    /// First session.
    pub first_session: Date,
    /// Last session.
    pub last_session: Date,
    /// `std * sqrt(252)`, ddof 1.
    pub volatility: Measure,
    /// Best session return.
    pub best_day: Measure,
    /// Worst session return.
    pub worst_day: Measure,
    /// Longest time under a peak, calendar days from the peak's session to the recovery, or to
    /// the last session if there is none.
    pub longest_drawdown_days: u64,
    /// Bought and sold dollars over mean session equity, a year.
    pub turnover: Measure,
    /// Mean time from entry fill to last sale, hours.
    pub avg_holding_hours: Measure,
    /// Most trades in a row without a profit, in order of their last sale.
    pub max_consecutive_losses: u64,
    /// Equal amounts of every symbol bought at its first close of the period, split-adjusted,
    /// without costs.
    pub benchmark_return: Measure,
    /// Covariance of session returns with the benchmark's over its variance.
    pub beta: Measure,
}

/// What round trips were worth, added up in order of entry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    trades: u64,
    wins: u64,
    /// Profit of all, dollars.
    pub(crate) profit: f64,
    gross_win: f64,
    /// Sum of what isn't a win: 0 or negative.
    losses: f64,
    returns: f64,
    hours: f64,
    losing_run: u64,
    longest_losing_run: u64,
    /// Dollars spent on entries.
    pub(crate) bought: f64,
    /// Dollars taken by sales.
    pub(crate) sold: f64,
}

impl Tally {
    /// Adds a round trip: its profit and entry amount in dollars, and the time it was held.
    #[inline(always)]
    pub(crate) fn add(&mut self, profit: f64, amount: f64, held: Nanos) {
        let (win, loss) = win_or_loss(profit);
        self.add_split(profit, win, loss, profit / amount, held as f64 / HOUR as f64);
    }

    /// As [`Tally::add`], with what can be worked out for many trades at once.
    #[inline(always)]
    pub(crate) fn add_split(&mut self, profit: f64, win: f64, loss: f64, rate: f64, hours: f64) {
        let won = profit > 0.0;
        self.trades += 1;
        self.wins += u64::from(won);
        self.profit += profit;
        self.gross_win += win;
        self.losses += loss;
        self.returns += rate;
        self.hours += hours;
        self.end(won);
    }

    /// Counts losses in a row, in order of last sale.
    #[inline(always)]
    fn end(&mut self, won: bool) {
        self.losing_run = if won { 0 } else { self.losing_run + 1 };
        self.longest_losing_run = self.longest_losing_run.max(self.losing_run);
    }

    fn of(replay: &Replay) -> Self {
        let mut tally = Self { bought: replay.bought, ..Self::default() };
        let mut trades = round_trips(&replay.fills);
        for trade in &trades {
            tally.add(trade.profit, trade.amount, trade.held);
        }
        trades.sort_by_key(|t| t.last_sale);
        (tally.losing_run, tally.longest_losing_run) = (0, 0);
        for trade in &trades {
            tally.end(trade.profit > 0.0);
        }
        tally.sold = sum(replay.fills.iter().map(|f| f.shares as f64 * f.exit_price));
        tally
    }
}

/// A profit above 0 and another one, one of them 0.
#[inline(always)]
pub(crate) fn win_or_loss(profit: f64) -> (f64, f64) {
    let won = profit > 0.0;
    (if won { profit } else { 0.0 }, if won { 0.0 } else { profit })
}

/// What a strategy is compared with: its worth at each session, and what beta needs of it.
#[derive(Clone, Debug, Default)]
pub struct Benchmark {
    total_return: Option<f64>,
    /// Each return less their mean.
    deviations: Vec<f64>,
    /// Sum of their squares.
    squares: f64,
}

impl Benchmark {
    /// From the benchmark's worth at each of its sessions.
    pub fn new(worth: &[f64]) -> Self {
        let returns = simple_returns(worth);
        let centre = mean(&returns);
        let deviations: Vec<f64> = returns.iter().map(|m| m - centre).collect();
        let squares = sum(deviations.iter().map(|d| d * d));
        let total_return = match worth {
            [first, .., last] => Some(last / first - 1.0),
            _ => None,
        };
        Self { total_return, deviations, squares }
    }
}

/// What session equity says.
struct Sessions {
    /// Whether equity stayed above zero: a return on nothing, or on a debt, has no meaning, and
    /// its sign would flatter.
    solvent: bool,
    mean: f64,
    std: f64,
    downside: f64,
    best: f64,
    worst: f64,
    max_drawdown: f64,
    longest_drawdown_days: u64,
    mean_equity: f64,
    beta: Measure,
}

impl Sessions {
    fn of(capital: f64, dates: &[Date], equity: &[f64], benchmark: &Benchmark) -> Self {
        let count = equity.len() as f64;
        let returns = returns(capital, equity);
        let sums = Sums::of(capital, dates, equity, &returns);
        let mean = sums.returns / count;
        let (squares, together) = deviations(&returns, mean, sums.later_returns / (count - 1.0), benchmark);
        Self {
            solvent: sums.solvent,
            mean,
            std: (squares / (count - 1.0)).sqrt(),
            downside: (sums.falls / count).sqrt(),
            best: sums.best,
            worst: sums.worst,
            max_drawdown: sums.deepest,
            longest_drawdown_days: u64::from(sums.longest_drawdown.unsigned_abs()),
            mean_equity: sums.equity / count,
            beta: match together {
                Ok(together) => ratio(together, benchmark.squares, "the benchmark did not move"),
                Err(why) => Measure::Undefined(why),
            },
        }
    }
}

/// Squared deviations from the mean, and products with the benchmark's from the second session
/// on, since the benchmark is bought at the first one's close; `later_mean` is the mean from there
/// on. Added up side by side, each oldest first.
fn deviations(
    returns: &[f64],
    mean: f64,
    later_mean: f64,
    benchmark: &Benchmark,
) -> (f64, std::result::Result<f64, &'static str>) {
    let square = |r: &f64| (r - mean) * (r - mean);
    let market = &benchmark.deviations;
    let alone = || sum(returns.iter().map(square));
    if market.len() < 2 || returns.len() != market.len() + 1 {
        return (alone(), Err("fewer than three common sessions"));
    }
    // Equal returns differ by rounding: such a variance is none.
    if benchmark.squares <= market.len() as f64 * ROUNDING * ROUNDING {
        return (alone(), Err("the benchmark did not move"));
    }
    let (mut squares, mut together) = (0.0 + square(&returns[0]), 0.0);
    for (r, m) in returns[1..].iter().zip(market) {
        squares += square(r);
        together += (r - later_mean) * m;
    }
    (squares, Ok(together))
}

/// Simple returns, the first against the starting capital.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn returns(capital: f64, equity: &[f64]) -> Vec<f64> {
    let mut returns = vec![0.0; equity.len()];
    if let (Some(first), Some(worth)) = (returns.first_mut(), equity.first()) {
        *first = worth / capital - 1.0;
        let steps = equity.iter().zip(&equity[1..]);
        returns[1..].iter_mut().zip(steps).for_each(|(r, (before, worth))| *r = worth / before - 1.0);
    }
    returns
}

/// What one pass over the sessions adds up.
struct Sums {
    solvent: bool,
    returns: f64,
    /// Without the first.
    later_returns: f64,
    /// Squares of negative returns.
    falls: f64,
    equity: f64,
    best: f64,
    worst: f64,
    deepest: f64,
    /// Calendar days.
    longest_drawdown: i32,
}

impl Sums {
    fn of(capital: f64, dates: &[Date], equity: &[f64], returns: &[f64]) -> Self {
        let first = returns.first().copied().unwrap_or(f64::NAN);
        let mut sums = Self {
            solvent: capital > 0.0,
            returns: 0.0,
            later_returns: 0.0,
            falls: 0.0,
            equity: 0.0,
            best: first,
            worst: first,
            deepest: 0.0,
            longest_drawdown: 0,
        };
        let (mut peak, mut since, mut under) = (capital, dates.first().copied().unwrap_or_default(), false);
        let mut later = false;
        for ((&date, &worth), &r) in dates.iter().zip(equity).zip(returns) {
            sums.solvent &= worth > 0.0;
            sums.returns += r;
            sums.later_returns += if later { r } else { 0.0 };
            later = true;
            let fall = r.min(0.0);
            sums.falls += fall * fall;
            sums.equity += worth;
            sums.best = if r > sums.best { r } else { sums.best };
            sums.worst = if r < sums.worst { r } else { sums.worst };
            under |= worth < peak;
            // A drawdown is longest on the day it ends.
            if worth >= peak {
                if under {
                    sums.longest_drawdown = sums.longest_drawdown.max(date.0 - since.0);
                }
                (peak, since, under) = (worth, date, false);
            }
            let depth = worth / peak - 1.0;
            sums.deepest = if depth < sums.deepest { depth } else { sums.deepest };
        }
        if let (true, Some(last)) = (under, dates.last()) {
            sums.longest_drawdown = sums.longest_drawdown.max(last.0 - since.0);
        }
        sums
    }
}

/// One round trip.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trade {
    /// Dollars.
    pub(crate) profit: f64,
    /// Dollars spent on the entry.
    pub(crate) amount: f64,
    pub(crate) held: Nanos,
    last_sale: usize,
}

/// What a replay leaves that figures are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) capital: f64,
    /// Sessions.
    pub(crate) dates: &'a [Date],
    /// Equity after each of them.
    pub(crate) equity: &'a [f64],
    pub(crate) tally: Tally,
    pub(crate) bars: u64,
    pub(crate) bars_held: u64,
}

impl Metrics {
    /// Judges a replay; `benchmark` holds the benchmark's worth at each of its sessions.
    pub fn new(replay: &Replay, benchmark: &[f64]) -> Uncounted<Self> {
        Uncounted::new(Self::against(replay, &Benchmark::new(benchmark)))
    }

    /// As [`Metrics::new`], for many replays with one benchmark.
    pub(crate) fn against(replay: &Replay, benchmark: &Benchmark) -> Self {
        let (dates, equity): (Vec<Date>, Vec<f64>) = replay.equity.iter().copied().unzip();
        let &Replay { capital, bars, bars_held, .. } = replay;
        let outcome = Outcome { capital, dates: &dates, equity: &equity, tally: Tally::of(replay), bars, bars_held };
        Self::of(&outcome, benchmark)
    }

    pub(crate) fn of(outcome: &Outcome<'_>, benchmark: &Benchmark) -> Self {
        let &Outcome { capital, dates, equity, tally, bars, bars_held } = outcome;
        let (first, last) = (dates.first().copied().unwrap_or_default(), dates.last().copied().unwrap_or_default());
        let final_equity = equity.last().copied().unwrap_or(capital);
        let sessions = Sessions::of(capital, dates, equity, benchmark);
        let of_returns = |measure: Measure| if sessions.solvent { measure } else { Measure::Undefined(RUIN) };
        let extreme = |r: f64| match equity.is_empty() {
            true => Measure::Undefined("no sessions"),
            false => Measure::new(r, "no finite return"),
        };
        let days = f64::from((last.0 - first.0).max(1));
        let growth = final_equity / capital;
        let cagr = Measure::new(growth.powf(365.25 / days) - 1.0, "equity fell below zero");
        let count = tally.trades as f64;
        let lost = tally.trades - tally.wins;
        let gross_loss = -tally.losses;
        let years = equity.len() as f64 / SESSIONS_PER_YEAR;
        let turnover = ratio((tally.bought + tally.sold) / sessions.mean_equity, years, "no sessions");
        Self {
            initial_capital: capital,
            final_equity,
            total_return: Measure::new(growth - 1.0, "no capital"),
            cagr,
            sharpe: of_returns(annualised(sessions.mean, sessions.std)),
            sortino: of_returns(annualised(sessions.mean, sessions.downside)),
            max_drawdown: Measure::new(sessions.max_drawdown, "no equity"),
            calmar: match cagr {
                Measure::Defined(rate) => ratio(rate, sessions.max_drawdown.abs(), "no drawdown"),
                undefined => undefined,
            },
            trades: tally.trades,
            win_rate: ratio(tally.wins as f64, count, "no trades"),
            profit_factor: if gross_loss > 0.0 {
                ratio(tally.gross_win, gross_loss, "no losing trade")
            } else {
                Measure::Undefined(if tally.trades == 0 { "no trades" } else { "no losing trade" })
            },
            gross_win: tally.gross_win,
            gross_loss: gross_loss.abs(),
            exposure: ratio(bars_held as f64, bars as f64, "no bars"),
            avg_trade_pnl: ratio(tally.profit, count, "no trades"),
            avg_win: ratio(tally.gross_win, tally.wins as f64, "no winning trade"),
            avg_loss: ratio(tally.losses, lost as f64, "no losing trade"),
            expectancy_ret: ratio(tally.returns, count, "no trades"),
            sessions: equity.len() as u64,
            first_session: first,
            last_session: last,
            volatility: of_returns(Measure::new(sessions.std * SESSIONS_PER_YEAR.sqrt(), "fewer than two sessions")),
            best_day: of_returns(extreme(sessions.best)),
            worst_day: of_returns(extreme(sessions.worst)),
            longest_drawdown_days: sessions.longest_drawdown_days,
            turnover: of_returns(turnover),
            avg_holding_hours: ratio(tally.hours, count, "no trades"),
            max_consecutive_losses: tally.longest_losing_run,
            benchmark_return: match benchmark.total_return {
                Some(rate) => Measure::new(rate, "the benchmark started at zero"),
                None => Measure::Undefined("fewer than two sessions"),
            },
            beta: of_returns(sessions.beta),
        }
    }
}

/// Worth of equal amounts of each history bought at its first close in `from..=to`, at each
/// session of any of them; closes are divided by `adjust(symbol index, date)`.
pub fn buy_and_hold(histories: &[&History<'_>], from: Date, to: Date, adjust: impl Fn(usize, Date) -> f64) -> Vec<f64> {
    let closes: Vec<Vec<(Date, f64)>> = histories
        .iter()
        .enumerate()
        .map(|(i, history)| {
            let sessions = &history.sessions()[history.sessions_between(from, to)];
            let close = |s: &crate::history::SessionBars| {
                let bars = history.session_bars(s);
                let close = bars.close()[bars.len() - 1];
                (s.session.date, close / adjust(i, s.session.date))
            };
            sessions.iter().map(close).collect()
        })
        .collect();
    let mut dates: Vec<Date> = closes.iter().flatten().map(|c| c.0).collect();
    dates.sort_unstable();
    dates.dedup();
    let mut at = vec![0; closes.len()];
    let worth = |date: Date, at: &mut [usize]| {
        let mut total = 0.0;
        for (closes, at) in closes.iter().zip(at) {
            while *at + 1 < closes.len() && closes[*at + 1].0 <= date {
                *at += 1;
            }
            let bought = closes.first().is_some_and(|c| c.0 <= date);
            total += if bought { closes[*at].1 / closes[0].1 } else { 1.0 };
        }
        total
    };
    dates.into_iter().map(|date| worth(date, &mut at)).collect()
}

fn simple_returns(worth: &[f64]) -> Vec<f64> {
    worth.windows(2).map(|w| w[1] / w[0] - 1.0).collect()
}

fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |total, v| total + v)
}

fn mean(values: &[f64]) -> f64 {
    sum(values.iter().copied()) / values.len() as f64
}

/// Sharpe ratio a year of session returns, as [`Metrics::sharpe`].
pub fn sharpe(returns: &[f64]) -> Measure {
    let centre = mean(returns);
    let squares = sum(returns.iter().map(|r| (r - centre) * (r - centre)));
    annualised(centre, (squares / (returns.len() as f64 - 1.0)).sqrt())
}

/// Session returns of a replay, the first against its capital.
pub fn session_returns(replay: &Replay) -> Vec<f64> {
    let equity: Vec<f64> = replay.equity.iter().map(|e| e.1).collect();
    returns(replay.capital, &equity)
}

fn annualised(mean: f64, deviation: f64) -> Measure {
    ratio(mean * SESSIONS_PER_YEAR.sqrt(), deviation, "no deviation of returns")
}

/// Fills joined into round trips, in order of entry.
pub(crate) fn round_trips(fills: &[Fill]) -> Vec<Trade> {
    let count = fills.iter().map(|f| f.trade).max().unwrap_or(0) as usize;
    let mut trades = vec![Trade::default(); count];
    for (i, fill) in fills.iter().enumerate() {
        let trade = &mut trades[fill.trade as usize - 1];
        trade.profit += fill.profit;
        trade.amount += fill.entry_price * fill.shares as f64;
        trade.held = trade.held.max(fill.exited - fill.entered);
        trade.last_sale = i;
    }
    trades
}
