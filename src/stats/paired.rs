//! Whether one strategy is better than another, from returns of the same periods.
//!
//! What both have in common cancels, so that a difference is known far better than either Sharpe
//! ratio. Differences are of Sharpe ratios per period, first less second.

use rayon::prelude::*;

use super::bootstrap::{below, stream};
use super::long_run::{self, Four, add, dot};
use super::{ROUNDING, finite, normal_cdf, spread, sum};

/// Fewer observations than this leave a vector autoregression of four series nothing to estimate.
const FEWEST: usize = 10;

/// The test of two Sharpe ratios that takes returns as independent over time and normal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memmel {
    /// Of the difference, times the observations.
    pub variance: f64,
    /// The difference over its standard error.
    pub z: f64,
    /// Two-sided.
    pub p_value: f64,
}

/// Compares two Sharpe ratios per period over the same `count` periods, whose returns have this
/// `correlation`. None without observations, unless the correlation is within [-1, 1], and for
/// different Sharpe ratios whose difference has no variance.
///
/// `V = 2 - 2 rho + (a^2 + b^2 - 2 a b rho^2) / 2`, `z = (a - b) sqrt(T) / sqrt(V)`; Memmel, Performance
/// Hypothesis Testing with the Sharpe Ratio, Finance Letters 1, 2003.
///
/// ```
/// let test = magellan::stats::paired::memmel(0.10, 0.05, 1000, 0.8).unwrap();
/// assert!((test.variance - 0.40305).abs() < 1e-12);
/// assert!((test.p_value - 0.012_755_527).abs() < 1e-9);
/// ```
pub fn memmel(sharpe_a: f64, sharpe_b: f64, count: usize, correlation: f64) -> Option<Memmel> {
    let (a, b, rho) = (sharpe_a, sharpe_b, correlation);
    if count == 0 || rho.abs() > 1.0 {
        return None;
    }
    let variance = finite(2.0 - 2.0 * rho + 0.5 * (a * a + b * b - 2.0 * a * b * rho * rho))?.max(0.0);
    let same = variance <= ROUNDING && (a - b).abs() <= ROUNDING;
    let z = if same { 0.0 } else { finite((a - b) * (count as f64).sqrt() / variance.sqrt())? };
    Some(Memmel { variance, z, p_value: two_sided(z) })
}

/// [`memmel`] of two series of returns. None for fewer than two, different lengths, a series
/// without deviation, or a return that isn't finite.
pub fn memmel_of(a: &[f64], b: &[f64]) -> Option<Memmel> {
    if a.len() != b.len() {
        return None;
    }
    let ((mean_a, squares_a), (mean_b, squares_b)) = (spread(a)?, spread(b)?);
    let products = sum(a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)));
    let correlation = (products / (squares_a.sqrt() * squares_b.sqrt())).clamp(-1.0, 1.0);
    let freedom = (a.len() - 1) as f64;
    let sharpe = |mean: f64, squares: f64| mean / (squares / freedom).sqrt();
    memmel(sharpe(mean_a, squares_a), sharpe(mean_b, squares_b), a.len(), correlation)
}

/// A difference of Sharpe ratios and how sure it is, whatever the returns' distribution and memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Sharpe ratio of the first less that of the second, per period.
    pub difference: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Two-sided, by the normal distribution.
    pub p_value: f64,
    /// Lags that the kernel looks back on, about; chosen from the data.
    pub kernel_bandwidth: f64,
}

/// Compares the Sharpe ratios of two series of returns per period over the same periods. Series that
/// are one, but for leverage and rounding, differ by exactly 0 with a standard error of 0. None for
/// fewer than ten periods, different lengths, a series without deviation, a return that isn't finite,
/// or a difference without variance.
///
/// `se = sqrt(grad' Psi grad / T)`: delta method on both means and second moments, Psi their long-run
/// covariance; Ledoit & Wolf, Robust Performance Hypothesis Testing with the Sharpe Ratio, Journal of
/// Empirical Finance 15, 2008, 3.1. Psi by the quadratic spectral kernel with Andrews' automatic
/// bandwidth (Econometrica 59, 1991; AR(1) with a constant, equal weights) after prewhitening by a
/// vector autoregression (Andrews & Monahan 1992), times `T/(T-4)`. Returns are divided by their
/// deviations first, which changes no Sharpe ratio and makes the result the same for any leverage.
///
/// ```
/// use magellan::stats::paired::ledoit_wolf;
///
/// let a: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 101) / 101.0 - 0.45).collect();
/// let b: Vec<f64> = a.iter().enumerate().map(|(i, r)| r + 0.02 * f64::from(i as u32 % 3) - 0.03).collect();
/// let test = ledoit_wolf(&a, &b).unwrap();
/// assert!(test.difference > 0.0 && test.p_value < 0.01);
/// assert_eq!(ledoit_wolf(&a, &a).map(|t| (t.difference, t.p_value)), Some((0.0, 1.0)));
/// ```
pub fn ledoit_wolf(a: &[f64], b: &[f64]) -> Option<Difference> {
    Pair::of(a, b)?.judge()
}

/// A difference of Sharpe ratios with the interval it is in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Sharpe ratio of the first less that of the second, per period.
    pub difference: f64,
    /// Its standard error, as [`ledoit_wolf`].
    pub standard_error: f64,
    /// Lower end, per period.
    pub lower: f64,
    /// Upper end, as far from the difference as the lower one.
    pub upper: f64,
    /// Two-sided, that there is no difference.
    pub p_value: f64,
}

/// As [`ledoit_wolf`], with a symmetric interval that holds the true difference with `confidence`
/// (two-sided: each end is crossed half as often as confidence leaves), from `resamples` of joint rows
/// in circular blocks of `block` periods. Every resample's difference is divided by its own standard
/// error, and the interval excludes 0 exactly if the p-value is no more than `1 - confidence`.
///
/// None as [`ledoit_wolf`], for fewer than two blocks, unless confidence is within (0, 1), for too few
/// resamples to have that confidence (19 for 95 %), and if blocks are so few that resamples have no
/// standard error.
///
/// `difference -+ z |.| se`, z the quantile of `|D* - D| / se*`, `p = (1 + #{z* >= z}) / (1 + resamples)`;
/// Ledoit & Wolf 2008, 3.2. `se*` is of block sums (Götze & Künsch, Annals of Statistics 24, 1996).
///
/// ```
/// use magellan::stats::paired::ledoit_wolf_bootstrap;
///
/// let a: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 101) / 101.0 - 0.45).collect();
/// let b: Vec<f64> = a.iter().enumerate().map(|(i, r)| r + 0.02 * f64::from(i as u32 % 3) - 0.03).collect();
/// let interval = ledoit_wolf_bootstrap(&a, &b, 3, 499, 1, 0.95).unwrap();
/// assert!(interval.lower > 0.0 && interval.p_value < 0.05);
/// ```
pub fn ledoit_wolf_bootstrap(
    a: &[f64],
    b: &[f64],
    block: usize,
    resamples: usize,
    seed: u64,
    confidence: f64,
) -> Option<Interval> {
    let pair = Pair::of(a, b)?;
    let Difference { difference, standard_error, .. } = pair.judge()?;
    let count = a.len().checked_div(block).filter(|&count| count >= 2)?;
    let at = order(confidence, resamples)?;
    if standard_error == 0.0 {
        return Some(Interval { difference, standard_error, lower: 0.0, upper: 0.0, p_value: 1.0 });
    }
    let sums = pair.block_sums(block);
    let resample = |starts: &mut Vec<usize>, index: usize| {
        let mut random = stream(seed, "studentised difference of Sharpe ratios", index as u64);
        starts.clear();
        starts.extend((0..count).map(|_| below(sums.len(), &mut random)));
        pair.studentised(&sums, starts, block)
    };
    let mut distances: Vec<f64> = (0..resamples).into_par_iter().map_init(Vec::new, resample).collect();
    let distance = difference.abs() / standard_error;
    let beyond = distances.iter().filter(|&&d| d >= distance).count();
    distances.sort_by(f64::total_cmp);
    let width = finite(distances[at] * standard_error)?;
    Some(Interval {
        difference,
        standard_error,
        lower: difference - width,
        upper: difference + width,
        p_value: (1 + beyond) as f64 / (1 + resamples) as f64,
    })
}

/// Which of the sorted resamples is the quantile that makes interval and p-value agree.
fn order(confidence: f64, resamples: usize) -> Option<usize> {
    // Less rounding: 0.95 * 20 is 19, not above.
    let rank = (confidence * (resamples + 1) as f64 - 1e-9).ceil();
    let sound = confidence > 0.0 && confidence < 1.0 && rank <= resamples as f64;
    sound.then(|| (rank as usize).saturating_sub(1))
}

/// Probability that a candidate just as good passes a test of non-inferiority with this `margin` and one-sided
/// `confidence`, all in the unit of `standard_error`. None unless confidence is within (0, 1) and the error positive.
///
/// `Phi(margin / se - z)`.
///
/// ```
/// // 62 sessions, returns correlated by 0.9, a margin of 1 a year.
/// let error = (2.0f64 - 2.0 * 0.9).sqrt() / 62f64.sqrt() * 252f64.sqrt();
/// let chance = magellan::stats::paired::chance_to_pass(error, 1.0, 0.95).unwrap();
/// assert_eq!((100.0 * chance).round(), 30.0);
/// ```
pub fn chance_to_pass(standard_error: f64, margin: f64, confidence: f64) -> Option<f64> {
    let z = margin / standard_error - super::normal_quantile(confidence)?;
    finite(z).filter(|_| standard_error > 0.0).map(normal_cdf)
}

fn two_sided(z: f64) -> f64 {
    2.0 * normal_cdf(-z.abs())
}

/// Two series of returns, each over its deviation, by what the delta method needs.
struct Pair {
    /// Means of both, which with ddof 0 are their Sharpe ratios.
    means: [f64; 2],
    /// Each period's returns and squares, less their means.
    scores: Vec<Four>,
    /// Sharpe ratios' difference, ddof 1.
    difference: f64,
}

impl Pair {
    fn of(a: &[f64], b: &[f64]) -> Option<Self> {
        if a.len() != b.len() || a.len() < FEWEST {
            return None;
        }
        let count = a.len() as f64;
        let ((mean_a, squares_a), (mean_b, squares_b)) = (spread(a)?, spread(b)?);
        let (deviation_a, deviation_b) = ((squares_a / count).sqrt(), (squares_b / count).sqrt());
        let means = [mean_a / deviation_a, mean_b / deviation_b];
        let seconds = means.map(|m| m * m + 1.0);
        let score = |(a, b): (&f64, &f64)| {
            let (a, b) = (a / deviation_a, b / deviation_b);
            [a - means[0], b - means[1], a * a - seconds[0], b * b - seconds[1]]
        };
        let scores: Vec<Four> = a.iter().zip(b).map(score).collect();
        let difference = (means[0] - means[1]) * ((count - 1.0) / count).sqrt();
        scores.iter().flatten().all(|s| s.is_finite()).then_some(Self { means, scores, difference })
    }

    fn judge(&self) -> Option<Difference> {
        let gradient = gradient(self.means, self.means.map(|m| m * m + 1.0));
        let (variance, kernel_bandwidth) = long_run::variance(&self.scores, &gradient);
        let standard_error = finite((variance / self.scores.len() as f64).sqrt())?;
        if standard_error > ROUNDING {
            let p_value = two_sided(self.difference / standard_error);
            return Some(Difference { difference: self.difference, standard_error, p_value, kernel_bandwidth });
        }
        // The rest is rounding.
        let same = Difference { difference: 0.0, standard_error: 0.0, p_value: 1.0, kernel_bandwidth };
        (self.difference.abs() <= ROUNDING).then_some(same)
    }

    /// Sums of the scores of each block on the circle, by where it starts.
    fn block_sums(&self, block: usize) -> Vec<Four> {
        let count = self.scores.len();
        let sum = |start: usize| {
            let rows = self.scores[start..].iter().chain(&self.scores).take(block);
            rows.fold([0.0; 4], add)
        };
        (0..count).map(sum).collect()
    }

    /// How far the difference of a resample is from the true one, in standard errors of its own;
    /// infinite if it has none.
    fn studentised(&self, sums: &[Four], starts: &[usize], block: usize) -> f64 {
        let rows = (starts.len() * block) as f64;
        let mean = starts.iter().fold([0.0; 4], |total, &s| add(total, &sums[s])).map(|t| t / rows);
        let means = [self.means[0] + mean[0], self.means[1] + mean[1]];
        let seconds = [0, 1].map(|i| self.means[i] * self.means[i] + 1.0 + mean[i + 2]);
        let sharpes = [0, 1].map(|i| means[i] / (seconds[i] - means[i] * means[i]).sqrt());
        let difference = (sharpes[0] - sharpes[1]) * ((rows - 1.0) / rows).sqrt();
        let gradient = gradient(means, seconds);
        let centre = dot(&gradient, &mean) * block as f64;
        let squares = starts.iter().fold(0.0, |total, &s| {
            let zeta = dot(&gradient, &sums[s]) - centre;
            total + zeta * zeta
        });
        let distance = (difference - self.difference).abs() / (squares.sqrt() / rows);
        if distance.is_finite() { distance } else { f64::INFINITY }
    }
}

/// Derivatives of the difference of Sharpe ratios by both means and both second moments.
fn gradient(means: [f64; 2], seconds: [f64; 2]) -> Four {
    let cubed = [0, 1].map(|i| {
        let variance = seconds[i] - means[i] * means[i];
        variance * variance.sqrt()
    });
    [seconds[0] / cubed[0], -seconds[1] / cubed[1], -0.5 * means[0] / cubed[0], 0.5 * means[1] / cubed[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two series of nearly normal returns with this correlation, each remembering 0.2 of the one
    /// before, and Sharpe ratios of about 0.05.
    fn series(count: usize, correlation: f64, seed: u64) -> (Vec<f64>, Vec<f64>) {
        let mut normal = crate::stats::noise(seed);
        let own = (1.0 - correlation * correlation).sqrt();
        let (mut a, mut b) = (0.0, 0.0);
        let mut next = |_| {
            let (x, y) = (normal(), normal());
            a = 0.2 * a + x;
            b = 0.2 * b + correlation * x + own * y;
            (0.01 * (a + 0.05), 0.01 * (b + 0.05))
        };
        (0..count).map(&mut next).unzip()
    }

    #[test]
    fn v17_memmel() {
        let test = memmel(0.10, 0.05, 1000, 0.8).unwrap();
        assert!((test.variance - 0.40305).abs() < 1e-12);
        assert!((test.z - 2.490_522_912_785_444_5).abs() < 1e-9);
        assert!((test.p_value - 0.012_755_527).abs() < 1e-9);
    }

    #[test]
    fn a_series_against_itself() {
        let (a, _) = series(200, 0.5, 1);
        let twice: Vec<f64> = a.iter().map(|r| 3.0 * r).collect();
        for b in [&a, &twice] {
            let test = ledoit_wolf(&a, b).unwrap();
            assert_eq!((test.difference, test.standard_error, test.p_value), (0.0, 0.0, 1.0));
            let interval = ledoit_wolf_bootstrap(&a, b, 4, 99, 1, 0.95).unwrap();
            assert_eq!((interval.lower, interval.upper, interval.p_value), (0.0, 0.0, 1.0));
        }
        let test = memmel_of(&a, &a).unwrap();
        assert_eq!((test.z, test.p_value), (0.0, 1.0));
    }

    #[test]
    fn the_same_series_with_more_every_period_is_better() {
        let (a, _) = series(500, 0.5, 2);
        let more: Vec<f64> = a.iter().map(|r| r + 0.001).collect();
        let test = ledoit_wolf(&more, &a).unwrap();
        assert!(test.difference > 0.05 && test.p_value < 1e-6, "{test:?}");
        let interval = ledoit_wolf_bootstrap(&more, &a, 5, 199, 1, 0.95).unwrap();
        assert!(interval.lower > 0.0, "{interval:?}");
    }

    #[test]
    fn exchanging_the_series_changes_the_sign() {
        let (a, b) = series(300, 0.8, 3);
        let (ab, ba) = (ledoit_wolf(&a, &b).unwrap(), ledoit_wolf(&b, &a).unwrap());
        assert!((ab.difference + ba.difference).abs() < 1e-14);
        assert!((ab.standard_error - ba.standard_error).abs() < 1e-12);
        let levered: Vec<f64> = a.iter().map(|r| 7.0 * r).collect();
        assert!((ledoit_wolf(&levered, &b).unwrap().standard_error - ab.standard_error).abs() < 1e-12);
    }

    #[test]
    fn the_interval_excludes_zero_exactly_if_the_p_value_is_small() {
        for seed in 0..60 {
            let (mut a, b) = series(60, 0.8, seed);
            a.iter_mut().for_each(|r| *r += 0.0015);
            let i = ledoit_wolf_bootstrap(&a, &b, 3, 199, seed, 0.9).unwrap();
            assert_eq!(i.lower > 0.0 || i.upper < 0.0, i.p_value <= 0.1 + 1e-12, "{i:?}");
        }
    }

    #[test]
    fn block_sums_go_around_the_end() {
        let (a, b) = series(12, 0.5, 4);
        let pair = Pair::of(&a, &b).unwrap();
        let sums = pair.block_sums(3);
        let expected = pair.scores[11][0] + pair.scores[0][0] + pair.scores[1][0];
        assert!((sums[11][0] - expected).abs() < 1e-15);
    }

    #[test]
    fn threads_do_not_matter() {
        let (a, b) = series(250, 0.8, 5);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (ledoit_wolf(&a, &b), ledoit_wolf_bootstrap(&a, &b, 5, 199, 9, 0.95)))
        };
        assert_eq!(run(1), run(2));
    }

    #[test]
    fn undefined_cases() {
        let (a, b) = series(40, 0.5, 6);
        assert_eq!(memmel(0.1, 0.2, 0, 0.5), None);
        assert_eq!(memmel(0.1, 0.2, 10, 1.5), None);
        assert_eq!(memmel(0.1, f64::NAN, 10, 0.5), None);
        assert_eq!(memmel_of(&a, &b[1..]), None);
        assert_eq!(memmel_of(&a, &[0.1; 40]), None);
        assert_eq!(ledoit_wolf(&a, &b[1..]), None);
        assert_eq!(ledoit_wolf(&a, &[0.1; 40]), None);
        assert_eq!(ledoit_wolf(&a[..9], &b[..9]), None);
        for (block, resamples, confidence) in [(0, 99, 0.9), (21, 99, 0.9), (4, 18, 0.95), (4, 99, 0.0), (4, 99, 1.0)] {
            assert_eq!(ledoit_wolf_bootstrap(&a, &b, block, resamples, 1, confidence), None);
        }
        assert!(ledoit_wolf_bootstrap(&a, &b, 4, 19, 1, 0.95).is_some());
    }

    /// Prints how often intervals miss a difference that is truly 0: by their lower end, by their
    /// upper end, and how often the tests reject it.
    #[test]
    #[ignore = "a simulation, run with --release --ignored --nocapture"]
    fn coverage() {
        const SEEDS: u64 = 4000;
        println!("count rho  block | 90 %: lower upper | 95 %: lower upper | HAC 5 % | Memmel 5 %");
        for (count, correlation) in [(100, 0.8), (250, 0.8), (500, 0.8), (500, 0.95), (1000, 0.8)] {
            for block in [1, 5, 10] {
                let mut misses = [0u32; 6];
                for seed in 0..SEEDS {
                    let (a, b) = series(count, correlation, seed);
                    let interval = |confidence| ledoit_wolf_bootstrap(&a, &b, block, 499, seed, confidence).unwrap();
                    let (wide, narrow) = (interval(0.95), interval(0.9));
                    let tests = [ledoit_wolf(&a, &b).unwrap().p_value, memmel_of(&a, &b).unwrap().p_value];
                    let missed = [narrow.lower > 0.0, narrow.upper < 0.0, wide.lower > 0.0, wide.upper < 0.0];
                    let all = missed.into_iter().chain(tests.map(|p| p <= 0.05));
                    misses.iter_mut().zip(all).for_each(|(count, miss)| *count += u32::from(miss));
                }
                let [l90, u90, l95, u95, hac, memmel] = misses.map(|m| f64::from(m) / SEEDS as f64);
                println!(
                    "{count:5} {correlation:4} {block:5} |  {l90:.4} {u90:.4} | {l95:.4} {u95:.4} | {hac:.4} | {memmel:.4}"
                );
            }
        }
    }
}
