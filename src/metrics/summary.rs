//! All figures of one replay.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::benchmark::Benchmark;
use super::measure::{Cause, Measure, ratio};
use super::sessions::{Sessions, annualised};
use super::trades::Tally;
use crate::bar::Date;
use crate::replay::Replay;
use crate::uncounted::Uncounted;

/// All figures of one replay. Money in dollars, rates as fractions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metrics {
    /// Starting capital.
    pub initial_capital: f64,
    /// Equity after the last session.
    pub final_equity: f64,
    /// `final_equity / initial_capital - 1`.
    pub total_return: Measure,
    /// `(final / initial)^(365.25 / days) - 1`; days from the first to the last session, at least 1.
    pub cagr: Measure,
    /// `mean / std * sqrt(252)`, ddof 1; of weekly bars `sqrt(52)`, as in the two below.
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

/// What a replay leaves that figures are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) capital: f64,
    /// Sessions.
    pub(crate) dates: &'a [Date],
    /// Equity after each of them.
    pub(crate) equity: &'a [f64],
    /// How many of them a year has.
    pub(crate) per_year: f64,
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
        let &Replay { capital, bars, bars_held, returns_per_year: per_year, .. } = replay;
        let outcome =
            Outcome { capital, dates: &dates, equity: &equity, per_year, tally: Tally::of(replay), bars, bars_held };
        Self::of(&outcome, benchmark)
    }

    pub(crate) fn of(outcome: &Outcome<'_>, benchmark: &Benchmark) -> Self {
        let &Outcome { capital, dates, equity, per_year, tally, bars, bars_held } = outcome;
        let (first, last) = (dates.first().copied().unwrap_or_default(), dates.last().copied().unwrap_or_default());
        let final_equity = equity.last().copied().unwrap_or(capital);
        let sessions = Sessions::of(capital, dates, equity, benchmark);
        let growth = final_equity / capital;
        let cagr = annual_growth(growth, first, last);
        let count = tally.trades as f64;
        Self {
            // What the account was worth, from first to last.
            initial_capital: capital,
            final_equity,
            total_return: Measure::new(growth - 1.0, Cause::NoCapital),
            cagr,
            sessions: equity.len() as u64,
            first_session: first,
            last_session: last,
            // Session by session.
            sharpe: sessions.of_returns(annualised(sessions.mean, sessions.std, per_year)),
            sortino: sessions.of_returns(annualised(sessions.mean, sessions.downside, per_year)),
            volatility: sessions.of_returns(volatility(sessions.std, per_year)),
            best_day: sessions.of_returns(extreme(sessions.best, equity)),
            worst_day: sessions.of_returns(extreme(sessions.worst, equity)),
            max_drawdown: Measure::new(sessions.max_drawdown, Cause::NoEquity),
            calmar: calmar(cagr, sessions.max_drawdown),
            longest_drawdown_days: sessions.longest_drawdown_days,
            turnover: sessions.of_returns(turnover(&tally, sessions.mean_equity, equity.len() as f64 / per_year)),
            // Trade by trade.
            trades: tally.trades,
            win_rate: ratio(tally.wins as f64, count, Cause::NoTrades),
            profit_factor: profit_factor(&tally),
            gross_win: tally.gross_win,
            gross_loss: (-tally.losses).abs(),
            exposure: ratio(bars_held as f64, bars as f64, Cause::NoBars),
            avg_trade_pnl: ratio(tally.profit, count, Cause::NoTrades),
            avg_win: ratio(tally.gross_win, tally.wins as f64, Cause::NoWinningTrade),
            avg_loss: ratio(tally.losses, (tally.trades - tally.wins) as f64, Cause::NoLosingTrade),
            expectancy_ret: ratio(tally.returns, count, Cause::NoTrades),
            avg_holding_hours: ratio(tally.hours, count, Cause::NoTrades),
            max_consecutive_losses: tally.longest_losing_run,
            // Beside the benchmark.
            benchmark_return: match benchmark.total_return {
                Some(rate) => Measure::new(rate, Cause::BenchmarkStartedAtZero),
                None => Measure::Undefined(Cause::FewerThanTwoSessions),
            },
            beta: sessions.of_returns(sessions.beta),
        }
    }
}

impl Sessions {
    /// A figure of returns: of a ruined account there are none.
    #[inline]
    fn of_returns(&self, figure: Measure) -> Measure {
        if self.solvent { figure } else { Measure::Undefined(Cause::Ruined) }
    }
}

/// Growth a year, over calendar days.
#[inline]
fn annual_growth(growth: f64, first: Date, last: Date) -> Measure {
    let days = f64::from((last.0 - first.0).max(1));
    Measure::new(growth.powf(365.25 / days) - 1.0, Cause::FellBelowZero)
}

#[inline]
fn volatility(std: f64, per_year: f64) -> Measure {
    Measure::new(std * per_year.sqrt(), Cause::FewerThanTwoSessions)
}

/// The best or worst return of the sessions that `equity` has.
#[inline]
fn extreme(rate: f64, equity: &[f64]) -> Measure {
    match equity.is_empty() {
        true => Measure::Undefined(Cause::NoSessions),
        false => Measure::new(rate, Cause::NoFiniteReturn),
    }
}

#[inline]
fn calmar(cagr: Measure, max_drawdown: f64) -> Measure {
    match cagr {
        Measure::Defined(rate) => ratio(rate, max_drawdown.abs(), Cause::NoDrawdown),
        undefined => undefined,
    }
}

/// Dollars bought and sold over mean equity, a year.
#[inline]
fn turnover(tally: &Tally, mean_equity: f64, years: f64) -> Measure {
    ratio((tally.bought + tally.sold) / mean_equity, years, Cause::NoSessions)
}

#[inline]
fn profit_factor(tally: &Tally) -> Measure {
    let gross_loss = -tally.losses;
    if gross_loss > 0.0 {
        return ratio(tally.gross_win, gross_loss, Cause::NoLosingTrade);
    }
    Measure::Undefined(if tally.trades == 0 { Cause::NoTrades } else { Cause::NoLosingTrade })
}
