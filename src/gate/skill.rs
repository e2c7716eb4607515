//! What a strategy adds to being in the market: the null is the market, not cash.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::timing::Timing;
use crate::archive::Archive;
use crate::bar::{Date, Symbol, Timeframe};
use crate::error::Result;
use crate::history::Hours;
use crate::metrics::{Cause, Measure};
use crate::stats::bootstrap::{optimal_block_length, quantile};
use crate::stats::normal_quantile;
use crate::stats::paired::ledoit_wolf;
use crate::stats::regression::Regression;
use crate::stats::spa::superior;

/// Fewer trials make no best of many.
const LEAST_TRIALS: usize = 10;
/// Resamples of the test of superior predictive ability.
const RESAMPLES: usize = 500;
/// Confidence of the bound of the difference from holding.
const CONFIDENCE: f64 = 0.95;

/// What a strategy adds to being in the market.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Skill {
    /// The same holding spells at other times.
    pub timing: Timing,
    /// Beside equal amounts of its own symbols, bought and held.
    pub own: Beside,
    /// Beside the market symbol, if the config names one.
    pub market: Option<Beside>,
    /// Whether the best of the trials that led to it is better than luck.
    pub spa: Superior,
}

/// Hansen's test of superior predictive ability over the kept trials of the same symbols and sessions, against cash.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Superior {
    /// Probability that the best of them is this good by luck (the consistent p-value).
    pub p: Measure,
    /// Trials tested: those that trade, each behaviour once.
    pub columns: usize,
}

/// Mean block for columns that are resampled together: the median of their own, so that no outlier sets it for all, and
/// at least the cube root of the sessions, without which short memory is lost (Hall, Horowitz & Jing, Biometrika 82, 1995).
fn block_of(columns: &[Vec<f64>]) -> f64 {
    let mut own: Vec<f64> = columns.iter().filter_map(|c| optimal_block_length(c)).map(|b| b.stationary).collect();
    own.sort_by(f64::total_cmp);
    let sessions = columns.first().map_or(1, Vec::len) as f64;
    quantile(&own, 0.5).unwrap_or(1.0).max(sessions.cbrt())
}

impl Superior {
    /// Of the returns of trials over the same sessions.
    pub(super) fn of(columns: &[Vec<f64>], seed: u64) -> Self {
        let views: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let found =
            if columns.len() < LEAST_TRIALS { None } else { superior(&views, block_of(columns), RESAMPLES, seed) };
        let p = found.map_or(Measure::Undefined(Cause::NoSharedReturns), |s| Measure::Defined(s.consistent));
        Self { p, columns: columns.len() }
    }
}

/// Returns beside those of something that was bought and held, session by session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Beside {
    /// What was held.
    pub held: String,
    /// Return a year that its beta doesn't explain: 252 times the constant of a regression on the other's returns.
    pub alpha: Measure,
    /// Alpha over its standard error, which allows for autocorrelation and changing variance.
    pub alpha_t: Measure,
    /// Slope of the regression.
    pub beta: Measure,
    /// Sharpe ratio a year less that of holding.
    pub sharpe_difference: Measure,
    /// Lower 95 % bound of the difference (Ledoit & Wolf 2008).
    pub sharpe_difference_lower: Measure,
}

impl Beside {
    /// Of session returns, the first of which has no counterpart, beside what the other was worth after each session.
    pub(super) fn holding(held: String, returns: &[f64], worth: &[f64], per_year: f64) -> Self {
        let of_other: Vec<f64> = worth.windows(2).map(|w| w[1] / w[0] - 1.0).collect();
        let own = returns.get(1..).unwrap_or_default();
        if own.len() != of_other.len() {
            return Self::none(held, Cause::MarketUncovered);
        }
        let measure = |value: Option<f64>| value.map_or(Measure::Undefined(Cause::ReturnsDoNotVary), Measure::Defined);
        let line = Regression::of(own, &of_other);
        let difference = ledoit_wolf(own, &of_other);
        let (year, z) = (per_year.sqrt(), normal_quantile(CONFIDENCE).unwrap_or(f64::INFINITY));
        Self {
            held,
            alpha: measure(line.map(|l| l.alpha * per_year)),
            alpha_t: measure(line.map(|l| l.t)),
            beta: measure(line.map(|l| l.beta)),
            sharpe_difference: measure(difference.map(|d| d.difference * year)),
            sharpe_difference_lower: measure(difference.map(|d| (d.difference - z * d.standard_error) * year)),
        }
    }

    fn none(held: String, cause: Cause) -> Self {
        let none = Measure::Undefined(cause);
        Self { held, alpha: none, alpha_t: none, beta: none, sharpe_difference: none, sharpe_difference_lower: none }
    }

    /// Beside the market symbol's daily closes on these dates.
    pub(super) fn market(symbol: Symbol, archive: &Archive, returns: &[f64], dates: &[Date]) -> Self {
        match closes(symbol, archive, dates) {
            Ok(Some(worth)) => {
                Self::holding(symbol.to_string(), returns, &worth, archive.calendar().sessions_per_year())
            }
            Ok(None) | Err(_) => Self::none(symbol.to_string(), Cause::MarketUncovered),
        }
    }
}

/// Split-adjusted closes of a symbol on each date; none, if one is missing.
fn closes(symbol: Symbol, archive: &Archive, dates: &[Date]) -> Result<Option<Vec<f64>>> {
    let series = archive.load(symbol, Timeframe::Day)?.adjusted(&archive.splits(symbol));
    let history = series.history(Hours::Regular)?;
    let close = |date: &Date| {
        let at = history.sessions().binary_search_by_key(date, |s| s.session.date).ok()?;
        let bars = history.session_bars(&history.sessions()[at]);
        bars.len().checked_sub(1).map(|last| bars.close_at(last))
    };
    Ok(dates.iter().map(close).collect())
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::stats::bootstrap::stream;

    /// Two hundred columns of noise, some of which seem to remember: one of them must not set the block for all.
    #[test]
    fn the_best_of_many_on_noise_is_seldom_superior() {
        let passes = (0..60u64).filter(|&seed| {
            let mut random = stream(seed, "noise of columns", 0);
            let mut normal = || normal_quantile(random.random_range(1e-9..1.0 - 1e-9)).unwrap_or(0.0);
            let columns: Vec<Vec<f64>> = (0..200).map(|_| (0..252).map(|_| normal()).collect()).collect();
            Superior::of(&columns, seed).p.value().is_some_and(|p| p <= 0.05)
        });
        let passes = passes.count();
        assert!(passes <= 8, "{passes} of 60");
    }
}
