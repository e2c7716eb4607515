//! Figures of a whole run that a point of a sweep does not have: they cost more, or need every bar.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::benchmark::simple_returns;
use super::marks::Marks;
use super::measure::{Cause, Measure, ratio};
use super::sessions::{annualised, session_returns};
use super::sums::{mean, sum};
use crate::archive::tables::Rates;
use crate::bar::Date;
use crate::replay::Replay;

/// Share of the sessions that [`Profile::cvar`] looks at.
const TAIL: f64 = 0.05;
/// Of fewer sessions than these, the worst 5 % are less than one.
const SESSIONS_FOR_TAIL: usize = 20;
/// Deviations of a return below this are rounding.
const ROUNDING: f64 = 1e-12;

/// Figures of a whole run, beside its [`Metrics`](super::Metrics). Rates are fractions; returns are those of sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// Deepest `equity / peak - 1` at the close of any bar; 0 or negative. `max_drawdown` has session closes only.
    pub bar_drawdown: Measure,
    /// Intercept of the least-squares line of returns on the benchmark's, times 252; of weekly bars times 52. From the
    /// second session on, since the benchmark is bought at the first one's close (Jensen 1968, without the risk-free
    /// rate).
    pub alpha: Measure,
    /// `mean / std * sqrt(252)` of returns less the benchmark's, ddof 1, over the sessions of `alpha` (Grinold and Kahn
    /// 2000).
    pub information_ratio: Measure,
    /// Expected shortfall: mean of the worst 5 % of returns, rounded up to whole sessions (Acerbi and Tasche 2002).
    /// Undefined below 20 sessions.
    pub cvar: Measure,
    /// `sqrt(mean((equity / peak - 1)^2))` over session closes (Martin and McCann 1989).
    pub ulcer_index: Measure,
    /// Share of sessions that close below a former peak; the starting capital is the first peak.
    pub time_under_water: Measure,
    /// Mean over bars of the worth of open positions over equity.
    pub gross_exposure: Measure,
    /// Sharpe ratio a year of returns less the risk-free rate (Sharpe 1994): `rate / 252` a session, of weekly bars
    /// `rate / 52`.
    pub excess_sharpe: Measure,
    /// Where the risk-free rate comes from.
    pub risk_free: String,
}

impl Profile {
    /// Of a replay with its marks; `benchmark` holds the benchmark's worth at each of its sessions.
    pub fn new(replay: &Replay, marks: &Marks, benchmark: &[f64], rates: &Rates) -> Self {
        let returns = session_returns(replay);
        let per_year = replay.returns_per_year;
        let solvent = replay.capital > 0.0 && replay.equity.iter().all(|e| e.1 > 0.0);
        let of_returns = |figure: Measure| if solvent { figure } else { Measure::Undefined(Cause::Ruined) };
        let (alpha, information_ratio) = beside(&returns, benchmark, per_year);
        let depths = depths(replay);
        let sessions = depths.len() as f64;
        let under = depths.iter().filter(|d| **d < 0.0).count() as f64;
        Self {
            bar_drawdown: marks.drawdown(),
            alpha: of_returns(alpha),
            information_ratio: of_returns(information_ratio),
            cvar: of_returns(shortfall(&returns)),
            ulcer_index: match depths.is_empty() {
                true => Measure::Undefined(Cause::NoSessions),
                false => Measure::new((sum(depths.iter().map(|d| d * d)) / sessions).sqrt(), Cause::NoEquity),
            },
            time_under_water: ratio(under, sessions, Cause::NoSessions),
            gross_exposure: marks.gross_exposure(),
            excess_sharpe: of_returns(excess_sharpe(replay, &returns, rates)),
            risk_free: rates.name(),
        }
    }
}

/// `equity / peak - 1` at each session close.
fn depths(replay: &Replay) -> Vec<f64> {
    let mut peak = replay.capital;
    let depth = |&(_, equity): &(Date, f64)| {
        peak = if equity > peak { equity } else { peak };
        equity / peak - 1.0
    };
    replay.equity.iter().map(depth).collect()
}

/// Alpha and information ratio, a year.
fn beside(returns: &[f64], benchmark: &[f64], per_year: f64) -> (Measure, Measure) {
    let market = simple_returns(benchmark);
    if market.len() < 2 || returns.len() != market.len() + 1 {
        let none = Measure::Undefined(Cause::TooFewCommonSessions);
        return (none, none);
    }
    let own = &returns[1..];
    let (own_mean, market_mean) = (mean(own), mean(&market));
    let squares = sum(market.iter().map(|m| (m - market_mean) * (m - market_mean)));
    let together = sum(own.iter().zip(&market).map(|(r, m)| (r - own_mean) * (m - market_mean)));
    let still = squares <= market.len() as f64 * ROUNDING * ROUNDING;
    let alpha = match still {
        true => Measure::Undefined(Cause::BenchmarkDidNotMove),
        false => {
            let intercept = own_mean - together / squares * market_mean;
            Measure::new(intercept * per_year, Cause::NoFiniteReturn)
        }
    };
    let active: Vec<f64> = own.iter().zip(&market).map(|(r, m)| r - m).collect();
    (alpha, ratio_of(&active, per_year))
}

/// `mean / std` a year, ddof 1.
fn ratio_of(returns: &[f64], per_year: f64) -> Measure {
    if returns.len() < 2 {
        return Measure::Undefined(Cause::FewerThanTwoSessions);
    }
    let centre = mean(returns);
    let squares = sum(returns.iter().map(|r| (r - centre) * (r - centre)));
    // Equal returns differ by rounding: such a deviation is none.
    if squares <= returns.len() as f64 * ROUNDING * ROUNDING {
        return Measure::Undefined(Cause::NoDeviation);
    }
    annualised(centre, (squares / (returns.len() as f64 - 1.0)).sqrt(), per_year)
}

/// Mean of the worst 5 % of returns, summed oldest first.
fn shortfall(returns: &[f64]) -> Measure {
    if returns.len() < SESSIONS_FOR_TAIL {
        return Measure::Undefined(Cause::FewerThanTwentySessions);
    }
    let mut worst: Vec<usize> = (0..returns.len()).collect();
    worst.sort_by(|&a, &b| returns[a].total_cmp(&returns[b]));
    worst.truncate((TAIL * returns.len() as f64).ceil() as usize);
    worst.sort_unstable();
    ratio(sum(worst.iter().map(|&i| returns[i])), worst.len() as f64, Cause::NoFiniteReturn)
}

fn excess_sharpe(replay: &Replay, returns: &[f64], rates: &Rates) -> Measure {
    let per_year = replay.returns_per_year;
    let less = |(r, &(date, _)): (&f64, &(Date, f64))| rates.at(date).map(|rate| r - rate / per_year);
    match returns.iter().zip(&replay.equity).map(less).collect::<Option<Vec<f64>>>() {
        Some(excess) => ratio_of(&excess, per_year),
        None => Measure::Undefined(Cause::RatesDoNotCover),
    }
}

/// A figure of [`Profile`] that a criterion may name; the fields are those of [`Criterion`](super::Criterion).
#[derive(Debug)]
pub struct ProfileCriterion {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub of: fn(&Profile) -> Measure,
    /// Least and greatest value that a level can sensibly have.
    pub range: (f64, f64),
    /// What the number means.
    pub unit: &'static str,
}

const fn criterion(
    name: &'static str,
    of: fn(&Profile) -> Measure,
    range: (f64, f64),
    unit: &'static str,
) -> ProfileCriterion {
    ProfileCriterion { name, of, range, unit }
}

const FRACTION: &str = "as a fraction, 0.1 being 10 %";
const NEGATIVE: &str = "as a negative fraction, -0.1 being 10 %";

/// The figures of [`Profile`] that a criterion may name.
pub const PROFILE: &[ProfileCriterion] = &[
    criterion("bar_drawdown", |p| p.bar_drawdown, (-1.0, 0.0), NEGATIVE),
    criterion("alpha", |p| p.alpha, (-100.0, 100.0), "a year, as a fraction"),
    criterion("information_ratio", |p| p.information_ratio, (-100.0, 100.0), "a year"),
    criterion("cvar", |p| p.cvar, (-1.0, 10.0), NEGATIVE),
    criterion("ulcer_index", |p| p.ulcer_index, (0.0, 1.0), FRACTION),
    criterion("time_under_water", |p| p.time_under_water, (0.0, 1.0), FRACTION),
    criterion("gross_exposure", |p| p.gross_exposure, (0.0, 100.0), "times equity"),
    criterion("excess_sharpe", |p| p.excess_sharpe, (-100.0, 100.0), "a year"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Calendar;

    fn replay(equity: &[f64]) -> Replay {
        Replay {
            totals: crate::account::Totals::default(),
            lowest_cash: 0.0,
            capital: 100.0,
            equity: equity.iter().enumerate().map(|(i, e)| (Date(i as i32), *e)).collect(),
            fills: Vec::new(),
            bars: 0,
            bars_held: 0,
            bought: 0.0,
            blocks: Vec::new(),
            halted_since: None,
            returns_per_year: 252.0,
            calendar: Calendar::Xnys,
            daily: true,
        }
    }

    fn profile(equity: &[f64], benchmark: &[f64], rates: &Rates) -> Profile {
        Profile::new(&replay(equity), &Marks::new(100.0), benchmark, rates)
    }

    fn near(measure: Measure, want: f64) {
        assert!(measure.value().is_some_and(|v| (v - want).abs() < 1e-9), "{measure} is not {want}");
    }

    #[test]
    fn figures_by_hand() {
        // Returns 0, 0.1, -0.1, 0.2; the benchmark's from the second on 0.1, 0, 0.2.
        let p = profile(&[100.0, 110.0, 99.0, 118.8], &[1.0, 1.1, 1.1, 1.32], &Rates::default());
        // Means 1/15 and 0.1; squares 0.02; products 0.03; beta 1.5; intercept 1/15 - 0.15.
        near(p.alpha, 252.0 * (1.0 / 15.0 - 0.15));
        // Active 0, -0.1, 0: mean -1/30, deviation sqrt(1/300).
        near(p.information_ratio, -(252.0_f64 / 3.0).sqrt());
        // Depths 0, 0, -0.1, 0.
        near(p.ulcer_index, 0.05);
        near(p.time_under_water, 0.25);
        // Mean 0.05, squares 0.05, deviation sqrt(0.05 / 3).
        near(p.excess_sharpe, 0.05 / (0.05_f64 / 3.0).sqrt() * 252.0_f64.sqrt());
        assert_eq!(p.cvar, Measure::Undefined(Cause::FewerThanTwentySessions));
        assert_eq!(p.risk_free, "0 (no table in the archive)");
    }

    #[test]
    fn the_worst_twentieth_is_rounded_up() {
        let mut returns = vec![0.01; 21];
        (returns[3], returns[20]) = (-0.02, -0.04);
        near(shortfall(&returns), -0.03);
        near(shortfall(&returns[..20]), -0.02);
    }

    #[test]
    fn a_rate_counts_from_its_date_on_and_outside_of_the_table_there_is_none() {
        let rates = |rates: &[(i32, f64)]| Rates {
            rates: rates.iter().map(|&(day, rate)| (Date(day), rate)).collect(),
            sha256: "0123456789abcdef".to_owned(),
        };
        let equity = [100.0, 110.0, 99.0, 118.8];
        let p = profile(&equity, &[], &rates(&[(0, 2.52), (2, 5.04), (3, 5.04)]));
        // 0.01 a session, then 0.02: -0.01, 0.09, -0.12, 0.18 have the mean 0.035 and squares 0.0501.
        near(p.excess_sharpe, 0.035 / (0.0501_f64 / 3.0).sqrt() * 252.0_f64.sqrt());
        assert_eq!(p.risk_free, "table 0123456789ab of the archive");
        for partly in [&[(1, 0.05), (3, 0.05)], &[(0, 0.05), (2, 0.05)]] {
            let p = profile(&equity, &[], &rates(partly));
            assert_eq!(p.excess_sharpe, Measure::Undefined(Cause::RatesDoNotCover));
        }
    }

    #[test]
    fn of_a_ruined_account_returns_say_nothing() {
        let p = profile(&[100.0, -1.0, 5.0], &[1.0, 1.1, 1.2], &Rates::default());
        for figure in [p.alpha, p.information_ratio, p.cvar, p.excess_sharpe] {
            assert_eq!(figure, Measure::Undefined(Cause::Ruined));
        }
        let none = profile(&[], &[], &Rates::default());
        assert_eq!(none.time_under_water, Measure::Undefined(Cause::NoSessions));
        assert_eq!(none.ulcer_index, Measure::Undefined(Cause::NoSessions));
    }
}
