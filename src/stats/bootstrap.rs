//! How a statistic varies, shown by resampling blocks of the series it was taken of.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{all_finite, finite, spread, sum};

/// Random numbers that depend on `seed`, `purpose` and `index` only: one stream for each resample,
/// so that neither the number of threads nor another use of the seed changes any.
pub fn stream(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&fnv(purpose).to_le_bytes());
    let mut random = ChaCha8Rng::from_seed(key);
    random.set_stream(index);
    random
}

/// Fowler-Noll-Vo hash 1a of 64 bits.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// A number below `limit`: the upper half of a product, even to within one in 2^32 for limits of up
/// to 2^32.
pub(super) fn below(limit: usize, random: &mut impl Rng) -> usize {
    ((u128::from(random.next_u64()) * limit as u128) >> 64) as usize
}

/// Mean lengths of blocks, in observations, that estimate the variance of a mean best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockLength {
    /// For [`stationary_indices`]; may be below 1, which then means 1.
    pub stationary: f64,
    /// For blocks of one length, on a circle.
    pub circular: f64,
}

/// Block lengths for the bootstrap of `series`, in observations. None for fewer than eight
/// observations, equal ones, or one that isn't finite.
///
/// `b = (2 g^2 / d * n)^(1/3)`, where g and d come from autocovariances under a flat-top window and d is
/// twice the squared long-run variance (stationary), or 4/3 of it (circular); Politis & White,
/// Automatic Block-Length Selection, Econometric Reviews 23, 2004, as corrected by Patton, Politis &
/// White, 28, 2009. Constants as in Python's package arch: the window ends at twice the last lag before
/// `K = max(5, floor(log10 n))` autocorrelations within `2 sqrt(log10 n / n)`, searched up to
/// `ceil(sqrt n) + K` lags; b is at most `ceil(min(3 sqrt n, n/3))`.
///
/// ```
/// let alternating: Vec<f64> = (0..64).map(|i| f64::from(i % 2)).collect();
/// assert!(magellan::stats::bootstrap::optimal_block_length(&alternating).is_some());
/// assert!(magellan::stats::bootstrap::optimal_block_length(&[1.0; 64]).is_none());
/// ```
pub fn optimal_block_length(series: &[f64]) -> Option<BlockLength> {
    if series.len() < 8 {
        return None;
    }
    let (mean, _) = spread(series)?;
    let n = series.len() as f64;
    let deviations: Vec<f64> = series.iter().map(|v| v - mean).collect();
    let run = (n.log10() as usize).max(5);
    let most = n.sqrt().ceil() as usize + run;
    let covariances: Vec<f64> = (0..=most).map(|lag| products(&deviations, lag)).collect();
    let window = window(&deviations, &covariances, run);
    let (mut g, mut long_run) = (0.0, covariances[0] / n);
    for (lag, covariance) in covariances.iter().enumerate().take(window + 1).skip(1) {
        let share = lag as f64 / window as f64;
        let weight = if share <= 0.5 { 1.0 } else { 2.0 * (1.0 - share) };
        g += 2.0 * weight * lag as f64 * (covariance / n);
        long_run += 2.0 * weight * (covariance / n);
    }
    let longest = (3.0 * n.sqrt()).min(n / 3.0).ceil();
    let length = |d: f64| finite((2.0 * g * g / d).cbrt() * n.cbrt()).map(|b| b.min(longest));
    let square = long_run * long_run;
    Some(BlockLength { stationary: length(2.0 * square)?, circular: length(4.0 / 3.0 * square)? })
}

/// Sum of products of values `lag` apart; 0 if there are none.
fn products(values: &[f64], lag: usize) -> f64 {
    sum(values.iter().skip(lag).zip(values).map(|(later, earlier)| later * earlier))
}

/// Lags under the window: twice the last one before `run` autocorrelations that could be chance, 2
/// at least; all there are if there is no such run.
fn window(deviations: &[f64], covariances: &[f64], run: usize) -> usize {
    let n = deviations.len();
    let (count, most) = (n as f64, covariances.len() - 1);
    let chance = 2.0 * (count.log10() / count).sqrt();
    let squares = |values: &[f64]| sum(values.iter().map(|v| v * v));
    // One observation more is left out at either end than pairs need, as in arch.
    let scale = |lag: usize| match (deviations.get(lag + 1..), n.checked_sub(lag + 1)) {
        (Some(later), Some(end)) => (squares(later) * squares(&deviations[..end])).sqrt(),
        _ => 0.0,
    };
    let quiet: Vec<bool> =
        (0..most).map(|lag| scale(lag) > 0.0 && covariances[lag].abs() / scale(lag) < chance).collect();
    let first = quiet.windows(run).position(|run| run.iter().all(|&q| q));
    first.map_or(most, |lag| (2 * lag.max(1)).min(most))
}

/// Positions, below `length`, of one resample of as many observations: blocks that start anywhere,
/// go on around the end, and are `mean_block` long on average, at least 1; written into `out`.
///
/// After each observation a new block starts with probability `1 / mean_block`; Politis & Romano, The
/// Stationary Bootstrap, JASA 89, 1994.
pub fn stationary_indices(random: &mut impl Rng, length: usize, mean_block: f64, out: &mut Vec<usize>) {
    out.clear();
    // Compared as whole numbers, so that every machine starts the same blocks.
    let start = (18_446_744_073_709_551_616.0 / mean_block.max(1.0)) as u64;
    let mut at = 0;
    for i in 0..length {
        at = match i == 0 || random.next_u64() <= start {
            true => below(length, random),
            false if at + 1 == length => 0,
            false => at + 1,
        };
        out.push(at);
    }
}

/// `statistic` of each of `resamples` stationary bootstraps of `length` observations, given as
/// positions; in order of resamples, without those where it is undefined or not finite. `purpose`
/// names the use, so that another with the same seed draws other numbers.
///
/// ```
/// use magellan::stats::bootstrap::{interval, stationary};
///
/// let returns = [0.01, -0.02, 0.015, 0.005, -0.01, 0.02];
/// let mean = |rows: &[usize]| Some(rows.iter().map(|&i| returns[i]).sum::<f64>() / rows.len() as f64);
/// let means = stationary(returns.len(), 2.0, 500, 7, "example", mean);
/// let (lower, upper) = interval(&means, 0.9).unwrap();
/// assert!(lower < 0.0033 && 0.0033 < upper);
/// ```
pub fn stationary(
    length: usize,
    mean_block: f64,
    resamples: usize,
    seed: u64,
    purpose: &str,
    statistic: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> Vec<f64> {
    let resample = |rows: &mut Vec<usize>, index: usize| {
        stationary_indices(&mut stream(seed, purpose, index as u64), length, mean_block, rows);
        statistic(rows).and_then(finite)
    };
    let all: Vec<Option<f64>> = (0..resamples).into_par_iter().map_init(Vec::new, resample).collect();
    all.into_iter().flatten().collect()
}

/// Value below which a share `q` of `sorted` numbers lies, between neighbours in proportion. None
/// without numbers, or unless q is within [0, 1].
///
/// Type 7 of Hyndman & Fan, Sample Quantiles in Statistical Packages, The American Statistician 50,
/// 1996, the default of NumPy and R.
///
/// ```
/// assert_eq!(magellan::stats::bootstrap::quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
/// ```
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1).filter(|_| (0.0..=1.0).contains(&q))?;
    let place = q * last as f64;
    let (below, above) = (sorted[place as usize], sorted[(place as usize + 1).min(last)]);
    finite(below + (above - below) * place.fract())
}

/// Monte Carlo error of [`quantile`]: its standard error over sets of resamples as many as these. None where the quantile
/// is, at either end, and for fewer than twenty.
///
/// Half the distance between the order statistics one binomial deviation, `sqrt(n q (1-q))`, to either side; David &
/// Nagaraja, Order Statistics, 2003, 7.1.
pub fn quantile_error(sorted: &[f64], q: f64) -> Option<f64> {
    let n = sorted.len() as f64;
    if sorted.len() < 20 || q <= 0.0 || q >= 1.0 {
        return None;
    }
    let deviation = (q * (1.0 - q) / n).sqrt();
    let at = |q: f64| quantile(sorted, q.clamp(0.0, 1.0));
    finite(0.5 * (at(q + deviation)? - at(q - deviation)?))
}

/// Both ends of the middle `confidence` of `samples` (percentile interval). None without samples,
/// with one that isn't finite, or unless confidence is within [0, 1].
pub fn interval(samples: &[f64], confidence: f64) -> Option<(f64, f64)> {
    if !all_finite(samples) {
        return None;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let outside = 0.5 * (1.0 - confidence);
    Some((quantile(&sorted, outside)?, quantile(&sorted, 1.0 - outside)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Mersenne Twister, as Matsumoto & Nishimura 1998, and the polar method of Marsaglia & Bray 1964:
    /// the numbers of NumPy's RandomState.
    struct Numpy {
        state: [u32; 624],
        at: usize,
        spare: Option<f64>,
    }

    impl Numpy {
        fn new(seed: u32) -> Self {
            let mut state = [seed; 624];
            for i in 1..624 {
                let before = state[i - 1] ^ (state[i - 1] >> 30);
                state[i] = before.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
            }
            Self { state, at: 624, spare: None }
        }

        fn next(&mut self) -> u32 {
            if self.at == 624 {
                for i in 0..624 {
                    let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % 624] & 0x7fff_ffff);
                    let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                    self.state[i] = self.state[(i + 397) % 624] ^ (y >> 1) ^ odd;
                }
                self.at = 0;
            }
            let mut y = self.state[self.at];
            self.at += 1;
            y ^= y >> 11;
            y ^= (y << 7) & 0x9d2c_5680;
            y ^= (y << 15) & 0xefc6_0000;
            y ^ (y >> 18)
        }

        /// Between -1 and 1.
        fn even(&mut self) -> f64 {
            let (high, low) = (f64::from(self.next() >> 5), f64::from(self.next() >> 6));
            2.0 * ((high * 67_108_864.0 + low) / 9_007_199_254_740_992.0) - 1.0
        }

        fn normal(&mut self) -> f64 {
            if let Some(spare) = self.spare.take() {
                return spare;
            }
            loop {
                let (x, y) = (self.even(), self.even());
                let square = x * x + y * y;
                if square < 1.0 && square != 0.0 {
                    let scale = (-2.0 * square.ln() / square).sqrt();
                    self.spare = Some(scale * x);
                    return scale * y;
                }
            }
        }
    }

    #[test]
    fn v13_block_length() {
        let mut numpy = Numpy::new(0);
        let mut y = 0.0;
        let series: Vec<f64> = (0..10_100)
            .map(|_| {
                y = 0.3 * y + numpy.normal();
                y
            })
            .collect();
        assert!((series[0] - 1.764_052_345_967_664).abs() < 1e-15);
        let length = optimal_block_length(&series[100..]).unwrap();
        assert!((length.stationary - 13.635_665).abs() < 5e-7, "{length:?}");
        assert!((length.circular - 15.608_94).abs() < 5e-6, "{length:?}");
    }

    #[test]
    fn few_or_equal_observations_have_no_block_length() {
        assert_eq!(optimal_block_length(&[1.0, 2.0, 1.0, 3.0, 1.0, 2.0, 1.0]), None);
        assert_eq!(optimal_block_length(&[0.1; 50]), None);
        assert_eq!(optimal_block_length(&[0.1, f64::NAN, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), None);
    }

    #[test]
    fn blocks_go_on_around_the_end_and_have_their_mean_length() {
        let mut rows = Vec::new();
        stationary_indices(&mut stream(1, "test", 0), 100_000, 20.0, &mut rows);
        let breaks = rows.windows(2).filter(|w| w[1] != (w[0] + 1) % 100_000).count();
        assert!((4_700..5_300).contains(&breaks), "{breaks}");
        stationary_indices(&mut stream(1, "test", 0), 5, 1e12, &mut rows);
        let first = rows[0];
        assert_eq!(rows, (0..5).map(|i| (first + i) % 5).collect::<Vec<_>>());
        stationary_indices(&mut stream(1, "test", 0), 0, 3.0, &mut rows);
        assert!(rows.is_empty());
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_index() {
        let first = |seed, purpose, index| stream(seed, purpose, index).next_u64();
        let all = [first(1, "a", 0), first(2, "a", 0), first(1, "b", 0), first(1, "a", 1)];
        assert!((1..4).all(|i| !all[..i].contains(&all[i])));
        assert_eq!(first(1, "a", 0), all[0]);
    }

    #[test]
    fn the_error_of_a_quantile_is_that_of_an_even_sample() {
        let even: Vec<f64> = (0..=1000).map(f64::from).collect();
        let error = quantile_error(&even, 0.05).unwrap();
        assert!((error - (0.05f64 * 0.95 / 1001.0).sqrt() * 1000.0).abs() < 1e-9, "{error}");
        assert_eq!(quantile_error(&even[..10], 0.05), None);
    }

    #[test]
    fn quantiles_as_numpy() {
        let sorted = [-1.0, 0.5, 2.0, 10.0];
        assert_eq!(quantile(&sorted, 0.0), Some(-1.0));
        assert_eq!(quantile(&sorted, 1.0), Some(10.0));
        assert!((quantile(&sorted, 0.9).unwrap() - 7.6).abs() < 1e-12);
        assert_eq!(quantile(&sorted, 1.1), None);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(interval(&[3.0, 1.0, 2.0], 1.0), Some((1.0, 3.0)));
        assert_eq!(interval(&[3.0, f64::NAN], 0.9), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn threads_do_not_matter(seed in any::<u64>(), block in 1.0..50.0) {
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mean = |rows: &[usize]| Some(rows.iter().map(|&i| i as f64).sum::<f64>() / 200.0);
                pool.install(|| stationary(200, block, 64, seed, "test", mean))
            };
            prop_assert_eq!(run(1), run(2));
        }
    }
}
