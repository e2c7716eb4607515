//! What the best of many trials is worth, when the best of many coins lands heads too.
//!
//! Numbers of trials need not be whole: correlated trials count as fewer ([`effective_trials`]).

use super::{EULER_MASCHERONI, Moments, all_finite, finite, normal_quantile, sharpe, spread, sum};

/// Expected largest of `trials` independent standard normal numbers, in units of their deviation:
/// 0 for one trial, and never below. None for fewer than one.
///
/// `(1-e) Phi^-1(1 - 1/N) + e Phi^-1(1 - 1/(N exp 1))` with Euler's constant e; Bailey, Borwein, López
/// de Prado & Zhu, Pseudo-Mathematics and Financial Charlatanism, Notices of the AMS 61(5), 2014.
/// An approximation for many trials: between one and about 1.3 it would be negative.
///
/// ```
/// let best = magellan::stats::trials::expected_maximum(1000.0);
/// assert!((best.unwrap() - 3.255_121_513_652_723).abs() < 1e-9);
/// ```
pub fn expected_maximum(trials: f64) -> Option<f64> {
    if trials == 1.0 {
        return Some(0.0);
    }
    if trials < 1.0 {
        return None;
    }
    // -Phi^-1(p) is Phi^-1(1 - p) without the digits that 1 - p loses.
    let (typical, rare) = (normal_quantile(1.0 / trials)?, normal_quantile(1.0 / (trials * std::f64::consts::E))?);
    finite((EULER_MASCHERONI - 1.0) * typical - EULER_MASCHERONI * rare).map(|m| m.max(0.0))
}

/// Years of backtest below which the best of `trials` worthless strategies is expected to show an
/// annualised Sharpe ratio of `sharpe_annual` in sample. None for fewer than one trial, or a
/// Sharpe ratio that isn't positive.
///
/// `(E[max_N] / SR)^2`; Bailey et al. 2014.
///
/// ```
/// let years = magellan::stats::trials::min_backtest_length(45.0, 1.0);
/// assert!((years.unwrap() - 4.998_087_004).abs() < 1e-9);
/// ```
pub fn min_backtest_length(trials: f64, sharpe_annual: f64) -> Option<f64> {
    if sharpe_annual <= 0.0 {
        return None;
    }
    let root = expected_maximum(trials)? / sharpe_annual;
    finite(root * root)
}

/// The Sharpe ratio that the best of `trials` worthless strategies is expected to show (SR0), per
/// period if `variance_of_sharpes` is of Sharpe ratios per period. None for fewer than one trial
/// or a negative variance.
///
/// `sqrt(V[SR_n]) * E[max_N]`; Bailey & López de Prado, The Deflated Sharpe Ratio, JPM 40(5), 2014.
pub fn luck(variance_of_sharpes: f64, trials: f64) -> Option<f64> {
    finite(variance_of_sharpes.sqrt() * expected_maximum(trials)?)
}

/// Deflated Sharpe ratio: confidence, in 0 to 1, that the true Sharpe ratio of the best of `trials` is
/// above zero, given that it was chosen. `variance_of_sharpes` is of the trials' Sharpe ratios **per
/// period**. None as [`luck`] and [`sharpe::probabilistic`].
///
/// `PSR(SR0)`; Bailey & López de Prado 2014.
///
/// ```
/// use magellan::stats::{Moments, trials::deflated};
/// let best = Moments::with(1250, 2.5 / 250f64.sqrt(), -3.0, 10.0);
/// assert!((deflated(&best, 0.5 / 250.0, 100.0).unwrap() - 0.900_396_834).abs() < 1e-9);
/// ```
pub fn deflated(best: &Moments, variance_of_sharpes: f64, trials: f64) -> Option<f64> {
    sharpe::probabilistic(best, luck(variance_of_sharpes, trials)?)
}

/// Mean of the correlations of all pairs of `series`, each of the same length; series that don't
/// move have none and are skipped. None if fewer than two move, or lengths differ, or a value isn't
/// finite.
///
/// From the squared length of the sum of the unit vectors, `N + 2 sum of correlations`, in
/// O(N T) instead of O(N^2 T).
///
/// ```
/// use magellan::stats::trials::average_correlation;
/// let mean = average_correlation(&[&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0], &[3.0, 2.0, 1.0]]);
/// assert!((mean.unwrap() + 1.0 / 3.0).abs() < 1e-12);
/// ```
pub fn average_correlation(series: &[&[f64]]) -> Option<f64> {
    let length = series.first()?.len();
    if series.iter().any(|s| s.len() != length || !all_finite(s)) {
        return None;
    }
    let mut together = vec![0.0; length];
    let mut count = 0.0;
    for values in series {
        let Some((mean, squares)) = spread(values) else { continue };
        let norm = squares.sqrt();
        together.iter_mut().zip(*values).for_each(|(total, v)| *total += (v - mean) / norm);
        count += 1.0;
    }
    if count < 2.0 {
        return None;
    }
    let squares = sum(together.iter().map(|t| t * t));
    finite((squares - count) / (count * (count - 1.0))).map(|mean| mean.min(1.0))
}

/// Independent trials that `trials` correlated ones are worth: from 1, if they are all the same, to
/// as many as they are. Correlations below 0 count as 0, fewer than one trial as one.
///
/// `rho + (1 - rho) N`; Bailey & López de Prado 2014, appendix.
///
/// ```
/// use magellan::stats::trials::effective_trials;
/// assert_eq!(effective_trials(100.0, 0.5), 50.5);
/// assert_eq!(effective_trials(100.0, 1.0), 1.0);
/// assert_eq!(effective_trials(100.0, -0.1), 100.0);
/// ```
pub fn effective_trials(trials: f64, average_correlation: f64) -> f64 {
    // Not a number counts as 0, the careful end.
    let rho = if average_correlation > 0.0 { average_correlation.min(1.0) } else { 0.0 };
    let trials = if trials > 1.0 { trials.min(f64::MAX) } else { 1.0 };
    rho + (1.0 - rho) * trials
}

/// Variance of the trials' Sharpe ratios; ddof 1. None for fewer than two, or one that isn't finite.
pub fn variance(sharpes: &[f64]) -> Option<f64> {
    let count = sharpes.len() as f64;
    if sharpes.len() < 2 {
        return None;
    }
    let mean = sum(sharpes.iter().copied()) / count;
    finite(sum(sharpes.iter().map(|s| (s - mean) * (s - mean))) / (count - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: Option<f64>, b: f64) {
        let a = a.unwrap();
        assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn v1_v2_v3_deflated_sharpe_ratio() {
        let sharpe = 2.5 / 250f64.sqrt();
        let (fat, normal) = (Moments::with(1250, sharpe, -3.0, 10.0), Moments::normal(1250, sharpe));
        close(luck(0.5 / 250.0, 100.0), 0.113_172_001_865_132_14);
        close(deflated(&fat, 0.5 / 250.0, 100.0), 0.900_396_834_449_390_4);
        close(deflated(&fat, 0.5 / 250.0, 46.0), 0.950_501_706_875_578_6);
        close(deflated(&normal, 0.5 / 250.0, 88.0), 0.950_490_816_676_013_8);
    }

    #[test]
    fn v9_expected_maximum() {
        close(expected_maximum(10.0), 1.574_598_301_345_75);
        close(expected_maximum(100.0), 2.530_602_893_201_684_6);
        close(expected_maximum(1000.0), 3.255_121_513_652_723);
        assert_eq!(expected_maximum(1.0), Some(0.0));
        assert_eq!(expected_maximum(1.01), Some(0.0));
        assert_eq!(expected_maximum(0.9), None);
        assert_eq!(expected_maximum(f64::NAN), None);
        assert_eq!(expected_maximum(f64::INFINITY), None);
    }

    #[test]
    fn v10_minimum_backtest_length() {
        close(min_backtest_length(45.0, 1.0), 4.998_087_004_443_404);
        assert_eq!(min_backtest_length(45.0, 0.0), None);
        assert_eq!(min_backtest_length(1.0, 1.0), Some(0.0));
    }

    #[test]
    fn one_trial_has_no_luck() {
        let best = Moments::normal(500, 0.08);
        assert_eq!(deflated(&best, 0.01, 1.0), sharpe::probabilistic(&best, 0.0));
        assert_eq!(deflated(&best, 0.0, 1e6), sharpe::probabilistic(&best, 0.0));
        assert_eq!(luck(-0.1, 10.0), None);
    }

    #[test]
    fn correlation_of_series_that_do_not_move() {
        let (up, flat) = ([1.0, 2.0, 4.0], [0.1; 3]);
        assert_eq!(average_correlation(&[&up, &flat]), None);
        close(average_correlation(&[&up, &flat, &up]), 1.0);
        assert_eq!(average_correlation(&[]), None);
        assert_eq!(average_correlation(&[&up, &up[..2]]), None);
        assert_eq!(average_correlation(&[&up, &[1.0, f64::NAN, 2.0]]), None);
    }

    #[test]
    fn variance_of_few() {
        close(variance(&[1.0, 2.0, 4.0]), 7.0 / 3.0);
        assert_eq!(variance(&[0.1, 0.1, 0.1]).map(|v| v < 1e-30), Some(true));
        assert_eq!(variance(&[1.0]), None);
    }

    #[test]
    fn the_best_of_noise_is_seldom_deflated_to_95_percent() {
        let passes = (0..200).filter(|&seed| {
            let mut next = crate::stats::noise(seed);
            let trial = |_| Moments::of(&(0..64).map(|_| next()).collect::<Vec<_>>()).unwrap();
            let trials: Vec<Moments> = (0..20).map(trial).collect();
            let sharpes: Vec<f64> = trials.iter().filter_map(Moments::sharpe).collect();
            let best = trials.iter().max_by(|a, b| a.sharpe().unwrap().total_cmp(&b.sharpe().unwrap())).unwrap();
            deflated(best, variance(&sharpes).unwrap(), 20.0).unwrap() >= 0.95
        });
        let share = passes.count() as f64 / 200.0;
        assert!(share <= 0.05, "{share}");
    }

    fn pearson(a: &[f64], b: &[f64]) -> f64 {
        let ((ma, sa), (mb, sb)) = (spread(a).unwrap(), spread(b).unwrap());
        sum(a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb))) / (sa * sb).sqrt()
    }

    proptest! {
        #[test]
        fn effective_trials_lie_between_one_and_all(n in 1.0..1e6, rho in -2.0..2.0) {
            let effective = effective_trials(n, rho);
            prop_assert!((1.0..=n).contains(&effective));
        }

        #[test]
        fn the_short_way_is_the_mean_of_all_pairs(
            columns in prop::collection::vec(prop::collection::vec(-1.0..1.0f64, 12), 2..8),
        ) {
            let series: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
            let n = series.len();
            let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
            let total = sum(pairs.map(|(i, j)| pearson(series[i], series[j])));
            let mean = total / (n * (n - 1)) as f64 * 2.0;
            prop_assert!((average_correlation(&series).unwrap() - mean).abs() < 1e-12);
        }

        #[test]
        fn more_trials_are_luckier(n in 1.0..1e9, more in 0.0..1e9) {
            prop_assert!(expected_maximum(n + more) >= expected_maximum(n));
        }
    }
}
