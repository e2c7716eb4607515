//! What a benchmark doesn't explain of a series of returns.

use super::{ROUNDING, finite, long_run, spread, sum};

/// Fewer observations have no regression.
const FEWEST: usize = 30;

/// Returns as a constant and a multiple of a benchmark's returns of the same periods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regression {
    /// Observations.
    pub count: usize,
    /// The constant: the return per period that the benchmark doesn't explain.
    pub alpha: f64,
    /// The multiple.
    pub beta: f64,
    /// Standard error of alpha, whatever the returns remember and however their variance changes.
    pub standard_error: f64,
    /// Alpha over its standard error.
    pub t: f64,
    /// Deviation of what neither explains; ddof 2.
    pub residual_deviation: f64,
}

impl Regression {
    /// Least squares of `returns` on `benchmark`. None for fewer than thirty periods, different lengths, returns or a
    /// benchmark without deviation, one that isn't finite, and returns that the benchmark explains but for rounding.
    ///
    /// The standard error of alpha is that of the mean of `u_t (1 - m (b_t - m) / v)`, u being residuals, m and v mean
    /// and variance (ddof 0) of the benchmark: its long-run variance, as in the paired test (Newey & West, Econometrica
    /// 55, 1987; quadratic spectral kernel, Andrews 1991).
    ///
    /// ```
    /// use magellan::stats::regression::Regression;
    /// let market: Vec<f64> = (0..60).map(|i| f64::from(i * 37 % 61) / 61.0 - 0.45).collect();
    /// let returns: Vec<f64> = market.iter().enumerate().map(|(i, m)| 0.1 + 0.5 * m + 0.01 * (i % 3) as f64).collect();
    /// let line = Regression::of(&returns, &market).unwrap();
    /// assert!((line.beta - 0.5).abs() < 0.01 && (line.alpha - 0.11).abs() < 0.01 && line.t > 10.0);
    /// ```
    pub fn of(returns: &[f64], benchmark: &[f64]) -> Option<Self> {
        if returns.len() != benchmark.len() || returns.len() < FEWEST {
            return None;
        }
        let count = returns.len() as f64;
        let ((mean, _), (of_benchmark, squares)) = (spread(returns)?, spread(benchmark)?);
        let products = sum(returns.iter().zip(benchmark).map(|(r, b)| (r - mean) * (b - of_benchmark)));
        let beta = products / squares;
        let alpha = mean - beta * of_benchmark;
        let residuals: Vec<f64> = returns.iter().zip(benchmark).map(|(r, b)| r - alpha - beta * b).collect();
        let unexplained = sum(residuals.iter().map(|u| u * u));
        let rounding = ROUNDING * returns.iter().fold(0.0, |largest: f64, r| largest.max(r.abs()));
        if unexplained <= count * rounding * rounding {
            return None;
        }
        let variance = squares / count;
        let influence = |(u, b): (&f64, &f64)| u * (1.0 - of_benchmark * (b - of_benchmark) / variance);
        let scores: Vec<f64> = residuals.iter().zip(benchmark).map(influence).collect();
        let long_run = long_run::variance_of(&scores);
        let standard_error = finite((long_run / count).sqrt()).filter(|error| *error > 0.0)?;
        let residual_deviation = finite((unexplained / (count - 2.0)).sqrt())?;
        let t = finite(alpha / standard_error)?;
        Some(Self { count: returns.len(), alpha, beta, standard_error, t, residual_deviation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_by_hand() {
        // b is -1, 0, 1 in turn; r = 2 + 3 b + e, e being 1 and -1 in turn of three.
        let b: Vec<f64> = (0..30).map(|i| f64::from(i % 3 - 1)).collect();
        let r: Vec<f64> =
            b.iter().enumerate().map(|(i, b)| 2.0 + 3.0 * b + if i / 3 % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let line = Regression::of(&r, &b).expect("a line");
        assert!((line.alpha - 2.0).abs() < 1e-12 && (line.beta - 3.0).abs() < 1e-12, "{line:?}");
        assert!((line.residual_deviation - (30.0f64 / 28.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_has_no_line() {
        let moving: Vec<f64> = (0..40).map(|i| f64::from(i * i % 7)).collect();
        assert_eq!(Regression::of(&moving[..20], &moving[..20]), None);
        assert_eq!(Regression::of(&moving, &moving[..39]), None);
        assert_eq!(Regression::of(&moving, &[1.0; 40]), None);
        for multiple in [0.3, 0.5, 1.0, 1.7] {
            let returns: Vec<f64> = moving.iter().map(|m| multiple * m).collect();
            assert_eq!(Regression::of(&returns, &moving), None, "{multiple}: nothing is left over");
        }
    }

    #[test]
    fn no_alpha_is_seldom_significant_even_if_returns_remember() {
        let beyond = (0..400u64).filter(|&seed| {
            let (mut noise, mut last) = (crate::stats::noise(seed), 0.0);
            let market: Vec<f64> = (0..300).map(|_| noise()).collect();
            let mut own = |m: &f64| {
                last = 0.2 * last + noise();
                0.5 * m + last
            };
            let returns: Vec<f64> = market.iter().map(&mut own).collect();
            Regression::of(&returns, &market).is_some_and(|line| line.t.abs() > 1.96)
        });
        let share = beyond.count() as f64 / 400.0;
        assert!(share <= 0.08, "{share}");
    }
}
