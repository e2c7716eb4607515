//! Figures of session equity: returns, their deviation, drawdowns, beta.

use multiversion::multiversion;

use super::benchmark::Benchmark;
use super::measure::{Cause, Measure, ratio};
use super::sums::{mean, sum};
use crate::bar::Date;
use crate::calendar::Calendar;
use crate::replay::Replay;

/// Sessions of XNYS a year, for annualising returns of sessions.
pub const SESSIONS_PER_YEAR: f64 = Calendar::Xnys.sessions_per_year();

/// Deviations of a return below this are rounding.
const ROUNDING: f64 = 1e-12;

/// What session equity says.
pub(super) struct Sessions {
    /// Whether equity stayed above zero: a return on nothing, or on a debt, has no meaning, and
    /// its sign would flatter.
    pub(super) solvent: bool,
    pub(super) mean: f64,
    pub(super) std: f64,
    pub(super) downside: f64,
    pub(super) best: f64,
    pub(super) worst: f64,
    pub(super) max_drawdown: f64,
    pub(super) longest_drawdown_days: u64,
    pub(super) mean_equity: f64,
    pub(super) beta: Measure,
}

impl Sessions {
    pub(super) fn of(capital: f64, dates: &[Date], equity: &[f64], benchmark: &Benchmark) -> Self {
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
                Ok(together) => ratio(together, benchmark.squares, Cause::BenchmarkDidNotMove),
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
) -> (f64, std::result::Result<f64, Cause>) {
    let square = |r: &f64| (r - mean) * (r - mean);
    let market = &benchmark.deviations;
    let alone = || sum(returns.iter().map(square));
    if market.len() < 2 || returns.len() != market.len() + 1 {
        return (alone(), Err(Cause::TooFewCommonSessions));
    }
    // Equal returns differ by rounding: such a variance is none.
    if benchmark.squares <= market.len() as f64 * ROUNDING * ROUNDING {
        return (alone(), Err(Cause::BenchmarkDidNotMove));
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

/// Sharpe ratio a year of session returns, of which a year has so many, as [`Metrics::sharpe`](super::Metrics::sharpe).
pub fn sharpe(returns: &[f64], per_year: f64) -> Measure {
    let centre = mean(returns);
    let squares = sum(returns.iter().map(|r| (r - centre) * (r - centre)));
    annualised(centre, (squares / (returns.len() as f64 - 1.0)).sqrt(), per_year)
}

/// Session returns of a replay, the first against its capital.
pub fn session_returns(replay: &Replay) -> Vec<f64> {
    let equity: Vec<f64> = replay.equity.iter().map(|e| e.1).collect();
    returns(replay.capital, &equity)
}

pub(super) fn annualised(mean: f64, deviation: f64, per_year: f64) -> Measure {
    ratio(mean * per_year.sqrt(), deviation, Cause::NoDeviation)
}
