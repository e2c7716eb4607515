//! Whether the best of many is better than luck: superior predictive ability.

use rayon::prelude::*;

use super::bootstrap::{stationary_indices, stream};
use super::{all_finite, spread, sum};

/// p-values that the best of several columns does no better than the benchmark. They differ in how columns that do
/// worse count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Superiority {
    /// Largest mean over its deviation, times the root of the observations; 0 if no mean is positive.
    pub statistic: f64,
    /// As if bad columns had no say: too small.
    pub lower: f64,
    /// Columns that are bad for sure have no say.
    pub consistent: f64,
    /// As if all columns were as good as the benchmark (White's reality check, studentised): too large.
    pub upper: f64,
}

/// Tests columns of returns, less a benchmark's, over the same sessions, from `resamples` stationary bootstraps of
/// blocks `mean_block` sessions long on average. None unless there are columns that vary, of one length of at least
/// thirty, all finite, and resamples.
///
/// `max(0, max_k sqrt(n) d_k / w_k)`, w by the stationary bootstrap's own kernel; resamples are centred on `d_k` where
/// `d_k >= -w_k sqrt(2 ln ln n / n)` (consistent), on `max(d_k, 0)` (lower) or on `d_k` everywhere (upper); Hansen, A Test
/// for Superior Predictive Ability, Journal of Business & Economic Statistics 23, 2005.
pub fn superior(columns: &[&[f64]], mean_block: f64, resamples: usize, seed: u64) -> Option<Superiority> {
    let length = columns.first()?.len();
    let sound = length >= 30 && columns.iter().all(|c| c.len() == length && all_finite(c));
    if !sound || resamples == 0 {
        return None;
    }
    let n = length as f64;
    let all: Vec<Contender> = columns.par_iter().filter_map(|c| Contender::of(c, mean_block)).collect();
    let statistic = all.iter().map(|c| n.sqrt() * c.mean / c.deviation).fold(0.0, f64::max);
    if all.is_empty() {
        return None;
    }
    let threshold = (2.0 * n.ln().ln() / n).sqrt();
    let resample = |rows: &mut Vec<usize>, index: usize| {
        stationary_indices(&mut stream(seed, "superior predictive ability", index as u64), length, mean_block, rows);
        // Blocks of the circle: sums of a block are differences of running sums.
        let blocks = runs(rows, length);
        let mut largest = [0.0f64; 3];
        for c in &all {
            let mean = sum(blocks.iter().map(|&(from, to)| c.running[to] - c.running[from])) / n;
            let centres = [c.mean.max(0.0), if c.mean >= -c.deviation * threshold { c.mean } else { 0.0 }, c.mean];
            for (largest, centre) in largest.iter_mut().zip(centres) {
                *largest = largest.max(n.sqrt() * (mean - centre) / c.deviation);
            }
        }
        largest.map(|l| l >= statistic)
    };
    let beyond: Vec<[bool; 3]> = (0..resamples).into_par_iter().map_init(Vec::new, resample).collect();
    let p = |i: usize| (1 + beyond.iter().filter(|b| b[i]).count()) as f64 / (1 + resamples) as f64;
    Some(Superiority { statistic, lower: p(0), consistent: p(1), upper: p(2) })
}

/// A column with what its resamples need.
struct Contender {
    mean: f64,
    /// Long-run deviation.
    deviation: f64,
    /// Sums of the values before each position of the circle, gone around twice.
    running: Vec<f64>,
}

impl Contender {
    /// None for a column that doesn't vary.
    fn of(values: &[f64], mean_block: f64) -> Option<Self> {
        let n = values.len();
        let (mean, _) = spread(values)?;
        let centred: Vec<f64> = values.iter().map(|v| v - mean).collect();
        let covariance = |lag: usize| sum(centred[lag..].iter().zip(&centred).map(|(a, b)| a * b)) / n as f64;
        let stays = 1.0 - 1.0 / mean_block.max(1.0);
        let kernel = |lag: usize| {
            let (share, i) = (lag as f64 / n as f64, lag as f64);
            (1.0 - share) * stays.powf(i) + share * stays.powf(n as f64 - i)
        };
        let at_zero = covariance(0);
        // In between, lags weigh nothing that could be seen; the farthest weigh again, on the circle.
        let seen = |lag: &usize| stays.powf(*lag as f64) > 1e-6 || stays.powf((n - *lag) as f64) > 1e-6;
        let variance = at_zero + 2.0 * sum((1..n).filter(seen).map(|lag| kernel(lag) * covariance(lag)));
        let deviation = variance.max(0.0).sqrt();
        let mut total = 0.0;
        let added = values.iter().chain(values).map(|v| {
            total += v;
            total
        });
        let running = std::iter::once(0.0).chain(added).collect();
        (deviation > 0.0 && deviation.is_finite()).then_some(Self { mean, deviation, running })
    }
}

/// Stretches `from..to` of consecutive positions on the circle, which may go on past the end once.
fn runs(rows: &[usize], length: usize) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &row in rows {
        match runs.last_mut() {
            Some((from, to)) if (*to % length) == row && *to - *from < length => *to += 1,
            _ => runs.push((row, row + 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(seed: u64, count: usize, edge: f64) -> Vec<Vec<f64>> {
        let mut noise = crate::stats::noise(seed);
        (0..count).map(|i| (0..250).map(|_| noise() + if i == 0 { edge } else { 0.0 }).collect()).collect()
    }

    fn p(columns: &[Vec<f64>], seed: u64) -> Superiority {
        let views: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        superior(&views, 2.0, 200, seed).expect("columns that vary")
    }

    #[test]
    fn the_best_of_noise_is_seldom_superior() {
        let passes = (0..200u64).filter(|&seed| p(&columns(seed, 20, 0.0), seed).consistent <= 0.05).count();
        assert!(passes <= 18, "{passes}");
    }

    #[test]
    fn an_edge_is_found_among_noise_and_bad_columns_do_not_hide_it() {
        let mut all = columns(3, 20, 0.3);
        let with_noise = p(&all, 1);
        assert!(with_noise.consistent < 0.05, "{with_noise:?}");
        all.extend(columns(4, 200, 0.0).into_iter().map(|c| c.into_iter().map(|r| r - 1.0).collect()));
        let with_bad = p(&all, 1);
        assert!(with_bad.lower <= with_bad.consistent && with_bad.consistent <= with_bad.upper);
        assert_eq!(with_bad.consistent, with_noise.consistent, "columns that are bad for sure have no say");
    }

    #[test]
    fn runs_cover_every_row_once() {
        assert_eq!(runs(&[3, 4, 0, 1, 1, 2, 0], 5), vec![(3, 7), (1, 3), (0, 1)]);
        let sums = |rows: &[usize]| runs(rows, 5).iter().map(|(a, b)| b - a).sum::<usize>();
        assert_eq!(sums(&[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0]), 11);
    }

    #[test]
    fn what_cannot_be_tested() {
        assert_eq!(superior(&[], 2.0, 100, 1), None);
        assert_eq!(superior(&[&[0.0; 40]], 2.0, 100, 1), None);
        assert_eq!(superior(&[&[0.0004; 250]], 2.0, 100, 1), None, "rounding is no deviation");
        assert_eq!(superior(&[&[0.1; 10]], 2.0, 100, 1), None);
    }
}
