//! What chance alone would have shown: how sure a Sharpe ratio is, what the best of many trials is
//! worth, and whether one strategy is better than another.
//!
//! | question | function | source |
//! |---|---|---|
//! | How sure is a Sharpe ratio? | [`sharpe::standard_error`], [`sharpe::annualised_standard_error`] | Lo 2002 |
//! | How likely is the true one above a hurdle? | [`sharpe::probabilistic`] | Bailey & López de Prado 2012 |
//! | The same, if returns remember? | [`sharpe::LongRun`] | Lo 2002, Andrews 1991 |
//! | How long a record would show it? | [`sharpe::min_track_record_length`] | same |
//! | How small a difference can be seen? | [`sharpe::detectable`] | power of a normal test |
//! | How good is the luckiest of N? | [`trials::expected_maximum`], [`trials::luck`] | Bailey et al. 2014 |
//! | How long must N trials be tested for? | [`trials::min_backtest_length`] | same |
//! | Does the best of N beat that luck? | [`trials::deflated`] | Bailey & López de Prado 2014 |
//! | How many independent trials are N? | [`trials::effective_trials`] | same, appendix |
//! | Does choosing the best in sample help? | [`pbo::probability_of_overfitting`] | Bailey et al. 2015 |
//! | How long do returns remember? | [`bootstrap::optimal_block_length`] | Politis & White 2004 |
//! | How does a statistic vary? | [`bootstrap::stationary`] | Politis & Romano 1994 |
//! | Is A better than B? | [`paired::memmel`], [`paired::ledoit_wolf`], [`paired::ledoit_wolf_bootstrap`] | Memmel 2003, Ledoit & Wolf 2008 |
//! | How often would an equal pass? | [`paired::chance_to_pass`] | power of a normal test |
//! | What is left beside a benchmark? | [`regression::Regression`] | Newey & West 1987 |
//! | Is the best of many better than luck? | [`spa::superior`] | Hansen 2005 |
//! | Does a live strategy earn what was expected? | [`monitor::Monitor`] | Ville 1939, Wang & Ramdas 2023 |
//! | What else could have happened? | [`monte_carlo::bootstrapped`] | resampling |
//!
//! Sharpe ratios and returns are per period, **not annualised**, unless a name says so; kurtosis is
//! **not** in excess of the normal's 3. Where a figure is undefined there is `None`, never NaN or
//! infinity. Sums run oldest first and every resample draws from its own random stream, so that
//! results don't depend on the number of threads.
//!
//! ```
//! use magellan::stats::{Moments, sharpe, trials};
//!
//! // The best of 100 trials, annualised Sharpe ratio 2.5 over 1250 days; the trials' annualised
//! // Sharpe ratios have a variance of 1/2.
//! let best = Moments::with(1250, 2.5 / 250f64.sqrt(), -3.0, 10.0);
//! assert!(sharpe::probabilistic(&best, 0.0) > Some(0.999));
//! assert!(trials::deflated(&best, 0.5 / 250.0, 100.0) < Some(0.95));
//! ```

mod long_run;
pub mod sharpe;
pub mod trials;

pub mod pbo;

pub mod bootstrap;
pub mod paired;

pub mod monitor;
pub mod monte_carlo;
pub mod regression;

pub mod spa;

use statrs::function::erf::erfc_inv;

/// The Euler-Mascheroni constant.
pub const EULER_MASCHERONI: f64 = 0.577_215_664_901_532_9;

/// Deviations this small beside the largest value are rounding: equal values differ by as much.
const ROUNDING: f64 = 1e-12;

/// What a series of returns is known by: its length and its first four moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Observations.
    pub count: usize,
    /// Mean, per period.
    pub mean: f64,
    /// Standard deviation, per period; ddof 1.
    pub sd: f64,
    /// `m3 / m2^(3/2)` of the central moments with ddof 0; 0 for a normal distribution.
    pub skewness: f64,
    /// `m4 / m2^2` of the central moments with ddof 0; 3 for a normal distribution.
    pub kurtosis: f64,
}

impl Moments {
    /// Of a series of returns per period. None for fewer than two, for equal ones (but for
    /// rounding), and for one that isn't finite.
    pub fn of(returns: &[f64]) -> Option<Self> {
        let (mean, squares) = spread(returns)?;
        let count = returns.len() as f64;
        let (mut cubes, mut fourths) = (0.0, 0.0);
        for r in returns {
            let d = r - mean;
            cubes += d * d * d;
            fourths += (d * d) * (d * d);
        }
        let variance = squares / count;
        Some(Self {
            count: returns.len(),
            mean,
            sd: finite((squares / (count - 1.0)).sqrt())?,
            skewness: finite(cubes / count / (variance * variance.sqrt()))?,
            kurtosis: finite(fourths / count / (variance * variance))?,
        })
    }

    /// Of normal returns with this Sharpe ratio per period; deviation 1.
    pub const fn normal(count: usize, sharpe: f64) -> Self {
        Self::with(count, sharpe, 0.0, 3.0)
    }

    /// Of published figures: Sharpe ratio per period, skewness, kurtosis (not in excess of 3);
    /// deviation 1.
    pub const fn with(count: usize, sharpe: f64, skewness: f64, kurtosis: f64) -> Self {
        Self { count, mean: sharpe, sd: 1.0, skewness, kurtosis }
    }

    /// `mean / sd` per period, not annualised. None without deviation.
    pub fn sharpe(&self) -> Option<f64> {
        if self.sd > 0.0 { finite(self.mean / self.sd) } else { None }
    }
}

/// Normal distribution function: the probability of a value up to `z`.
///
/// Correct to 1e-13 of the nearer tail. Series and continued fraction of Abramowitz & Stegun,
/// Handbook of Mathematical Functions, 1964, 26.2.11 and 26.2.14.
///
/// ```
/// assert!((magellan::stats::normal_cdf(1.96) - 0.975_002_104_851_779_5).abs() < 1e-15);
/// ```
pub fn normal_cdf(z: f64) -> f64 {
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let distance = z.abs();
    if distance < 3.0 {
        return 0.5 + density * central_series(z);
    }
    // x + 1/(x + 2/(x + 3/...)), from the inside out; 40 levels are exact from 3 on.
    let fraction = (1..=40).rev().fold(distance, |inner, k| distance + f64::from(k) / inner);
    let tail = density / fraction;
    if z < 0.0 { tail } else { 1.0 - tail }
}

/// `z + z^3/3 + z^5/(3*5) + ...`.
fn central_series(z: f64) -> f64 {
    let (mut term, mut total, mut odd) = (z, z, 1.0);
    while term.abs() > 1e-18 * total.abs() {
        odd += 2.0;
        term *= z * z / odd;
        total += term;
    }
    total
}

/// The value that a normal variable stays below with `probability`. None outside (0, 1).
///
/// ```
/// assert_eq!(magellan::stats::normal_quantile(0.5), Some(0.0));
/// assert_eq!(magellan::stats::normal_quantile(1.0), None);
/// ```
pub fn normal_quantile(probability: f64) -> Option<f64> {
    if probability > 0.0 && probability < 1.0 {
        // Adding zero turns the median's -0 into 0.
        finite(-std::f64::consts::SQRT_2 * erfc_inv(2.0 * probability) + 0.0)
    } else {
        None
    }
}

/// A number, if it is one.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Oldest first, from +0 (the standard library's sum starts at -0).
fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |total, v| total + v)
}

/// Mean and sum of squared deviations from it. None for fewer than two values, for equal ones
/// (but for rounding), and for one that isn't finite.
fn spread(values: &[f64]) -> Option<(f64, f64)> {
    let count = values.len() as f64;
    let mean = sum(values.iter().copied()) / count;
    let squares = sum(values.iter().map(|v| (v - mean) * (v - mean)));
    let largest = values.iter().fold(0.0, |largest: f64, v| largest.max(v.abs()));
    let rounding = ROUNDING * largest;
    (values.len() >= 2 && squares.is_finite() && squares > count * rounding * rounding).then_some((mean, squares))
}

/// Whether every value is a number.
fn all_finite(values: &[f64]) -> bool {
    values.iter().all(|v| v.is_finite())
}

/// Nearly normal numbers, mean 0, deviation 1: sums of twelve uniform ones, less 6.
#[cfg(test)]
fn noise(seed: u64) -> impl FnMut() -> f64 {
    use rand::Rng;
    let mut random = bootstrap::stream(seed, "noise", 0);
    move || (0..12).fold(-6.0, |sum, _| sum + (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_a_known_series() {
        let m = Moments::of(&[0.01, -0.02, 0.03, 0.005, -0.015, 0.0]).unwrap();
        // scipy.stats.skew and kurtosis(fisher=False), numpy.std(ddof=1).
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(m.mean, 0.001_666_666_666_666_666_7);
        close(m.sd, 0.018_073_922_282_301_28);
        close(m.skewness, 0.317_476_514_002_123_2);
        close(m.kurtosis, 2.129_737_609_329_446);
        assert_eq!(m.sharpe(), Some(m.mean / m.sd));
    }

    #[test]
    fn equal_or_few_or_infinite_returns_have_no_moments() {
        assert_eq!(Moments::of(&[]), None);
        assert_eq!(Moments::of(&[0.1]), None);
        assert_eq!(Moments::of(&[0.1; 7]), None);
        assert_eq!(Moments::of(&[0.0; 7]), None);
        assert_eq!(Moments::of(&[0.1, f64::NAN, 0.2]), None);
        assert_eq!(Moments::of(&[0.1, f64::INFINITY, 0.2]), None);
    }

    #[test]
    fn the_distribution_function_inverts_the_quantile() {
        for step in 1..16_000 {
            let z = f64::from(step) / 2000.0;
            let tail = normal_cdf(-z);
            assert!((normal_quantile(tail).unwrap() + z).abs() < 1e-13 * z.max(1.0), "{z}");
            assert!((normal_cdf(z) + tail - 1.0).abs() < 4e-16, "{z}");
        }
    }

    #[test]
    fn published_values_of_the_normal_distribution() {
        // To 50 digits by mpmath, rounded.
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-13, "{a} {b}");
        close(normal_cdf(-1.0), 0.158_655_253_931_457_05);
        close(normal_cdf(-3.0), 0.001_349_898_031_630_094_6);
        close(normal_cdf(-8.0), 6.220_960_574_271_785e-16);
        assert_eq!((normal_cdf(0.0), normal_cdf(40.0), normal_cdf(-40.0)), (0.5, 1.0, 0.0));
        close(normal_quantile(0.95).unwrap(), 1.644_853_626_951_472_7);
        assert_eq!(normal_quantile(0.0), None);
        assert_eq!(normal_quantile(f64::NAN), None);
    }
}
