//! What a replay was worth. Every figure is defined or says why it isn't; none is NaN.
//!
//! Returns are simple returns of session equity, the first one against the starting capital.
//! Annualisation: 252 sessions a year, risk-free rate 0.

use serde::Serialize;
use serde::ser::Serializer;

use crate::account::Fill;
use crate::bar::{Date, HOUR, Nanos};
use crate::history::History;
use crate::replay::Replay;

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
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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

/// One round trip.
#[derive(Clone, Copy, Debug, Default)]
struct Trade {
    profit: f64,
    amount: f64,
    held: Nanos,
    last_sale: usize,
}

impl Metrics {
    /// Judges a replay; `benchmark` holds the benchmark's worth at each of its sessions.
    pub fn new(replay: &Replay, benchmark: &[f64]) -> Self {
        let capital = replay.capital;
        let (first, last) = ends(&replay.equity);
        let final_equity = replay.equity.last().map_or(capital, |e| e.1);
        let worth: Vec<f64> = std::iter::once(capital).chain(replay.equity.iter().map(|e| e.1)).collect();
        let returns = simple_returns(&worth);
        // A return on nothing, or on a debt, has no meaning, and its sign would flatter.
        let solvent = worth.iter().all(|w| *w > 0.0);
        let of_returns = |measure: Measure| if solvent { measure } else { Measure::Undefined(RUIN) };
        let trades = trades(&replay.fills);
        let days = f64::from((last.0 - first.0).max(1));
        let growth = final_equity / capital;
        let cagr = Measure::new(growth.powf(365.25 / days) - 1.0, "equity fell below zero");
        let max_drawdown = max_drawdown(&worth);
        let profits = || trades.iter().map(|t| t.profit);
        let (wins, losses): (Vec<f64>, Vec<f64>) = profits().partition(|&p| p > 0.0);
        let gross_win = sum(wins.iter().copied());
        let gross_loss = -sum(losses.iter().copied());
        let mean_of = |values: &[f64], none| ratio(sum(values.iter().copied()), values.len() as f64, none);
        let count = trades.len() as f64;
        Self {
            initial_capital: capital,
            final_equity,
            total_return: Measure::new(growth - 1.0, "no capital"),
            cagr,
            sharpe: of_returns(annualised(mean(&returns), std(&returns))),
            sortino: of_returns(annualised(mean(&returns), downside(&returns))),
            max_drawdown: Measure::new(max_drawdown, "no equity"),
            calmar: match cagr {
                Measure::Defined(rate) => ratio(rate, max_drawdown.abs(), "no drawdown"),
                undefined => undefined,
            },
            trades: trades.len() as u64,
            win_rate: ratio(wins.len() as f64, count, "no trades"),
            profit_factor: if gross_loss > 0.0 {
                ratio(gross_win, gross_loss, "no losing trade")
            } else {
                Measure::Undefined(if trades.is_empty() { "no trades" } else { "no losing trade" })
            },
            gross_win,
            gross_loss: gross_loss.abs(),
            exposure: ratio(replay.bars_held as f64, replay.bars as f64, "no bars"),
            avg_trade_pnl: ratio(sum(profits()), count, "no trades"),
            avg_win: mean_of(&wins, "no winning trade"),
            avg_loss: mean_of(&losses, "no losing trade"),
            expectancy_ret: ratio(sum(trades.iter().map(|t| t.profit / t.amount)), count, "no trades"),
            sessions: replay.equity.len() as u64,
            first_session: first,
            last_session: last,
            volatility: of_returns(Measure::new(std(&returns) * SESSIONS_PER_YEAR.sqrt(), "fewer than two sessions")),
            best_day: of_returns(extreme(&returns, f64::max)),
            worst_day: of_returns(extreme(&returns, f64::min)),
            longest_drawdown_days: longest_drawdown(capital, &replay.equity),
            turnover: of_returns(turnover(replay)),
            avg_holding_hours: ratio(sum(trades.iter().map(|t| t.held as f64 / HOUR as f64)), count, "no trades"),
            max_consecutive_losses: max_consecutive_losses(&trades),
            benchmark_return: benchmark_return(benchmark),
            beta: of_returns(beta(&returns, benchmark)),
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

/// First and last session.
fn ends(equity: &[(Date, f64)]) -> (Date, Date) {
    let date = |e: Option<&(Date, f64)>| e.map_or(Date::default(), |e| e.0);
    (date(equity.first()), date(equity.last()))
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

/// Sample standard deviation, ddof 1; NaN below two values.
fn std(values: &[f64]) -> f64 {
    let centre = mean(values);
    let squares = sum(values.iter().map(|v| (v - centre) * (v - centre)));
    (squares / (values.len() as f64 - 1.0)).sqrt()
}

fn downside(returns: &[f64]) -> f64 {
    let squares = sum(returns.iter().map(|r| r.min(0.0) * r.min(0.0)));
    (squares / returns.len() as f64).sqrt()
}

fn annualised(mean: f64, deviation: f64) -> Measure {
    ratio(mean * SESSIONS_PER_YEAR.sqrt(), deviation, "no deviation of returns")
}

fn max_drawdown(worth: &[f64]) -> f64 {
    let mut peak = f64::NEG_INFINITY;
    worth.iter().fold(0.0, |deepest: f64, &w| {
        peak = peak.max(w);
        deepest.min(w / peak - 1.0)
    })
}

fn extreme(returns: &[f64], pick: fn(f64, f64) -> f64) -> Measure {
    let found = returns.iter().copied().reduce(pick);
    found.map_or(Measure::Undefined("no sessions"), |r| Measure::new(r, "no finite return"))
}

fn longest_drawdown(capital: f64, equity: &[(Date, f64)]) -> u64 {
    let (mut peak, mut since) = (capital, ends(equity).0);
    let (mut longest, mut under) = (0, false);
    for &(date, worth) in equity {
        under |= worth < peak;
        if under {
            longest = longest.max(date.0 - since.0);
        }
        if worth >= peak {
            (peak, since, under) = (worth, date, false);
        }
    }
    u64::from(longest.unsigned_abs())
}

fn turnover(replay: &Replay) -> Measure {
    let sold = sum(replay.fills.iter().map(|f| f.shares as f64 * f.exit_price));
    let equity: Vec<f64> = replay.equity.iter().map(|e| e.1).collect();
    let years = equity.len() as f64 / SESSIONS_PER_YEAR;
    ratio((replay.bought + sold) / mean(&equity), years, "no sessions")
}

/// Fills joined into round trips, in order of entry.
fn trades(fills: &[Fill]) -> Vec<Trade> {
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

fn max_consecutive_losses(trades: &[Trade]) -> u64 {
    let mut by_end: Vec<&Trade> = trades.iter().collect();
    by_end.sort_by_key(|t| t.last_sale);
    let (mut longest, mut run) = (0, 0);
    for trade in by_end {
        run = if trade.profit > 0.0 { 0 } else { run + 1 };
        longest = longest.max(run);
    }
    longest
}

fn benchmark_return(benchmark: &[f64]) -> Measure {
    match benchmark {
        [first, .., last] => Measure::new(last / first - 1.0, "the benchmark started at zero"),
        _ => Measure::Undefined("fewer than two sessions"),
    }
}

/// From the second session on: the benchmark is bought at the first one's close.
fn beta(returns: &[f64], benchmark: &[f64]) -> Measure {
    let market = simple_returns(benchmark);
    if market.len() < 2 || returns.len() != market.len() + 1 {
        return Measure::Undefined("fewer than three common sessions");
    }
    let ours = &returns[1..];
    let (centre, market_centre) = (mean(ours), mean(&market));
    let together = sum(ours.iter().zip(&market).map(|(r, m)| (r - centre) * (m - market_centre)));
    let alone = sum(market.iter().map(|m| (m - market_centre) * (m - market_centre)));
    // Equal returns differ by rounding: such a variance is none.
    let moved = alone > market.len() as f64 * ROUNDING * ROUNDING;
    if moved {
        ratio(together, alone, "the benchmark did not move")
    } else {
        Measure::Undefined("the benchmark did not move")
    }
}
