//! What else could have happened: the same returns drawn again.

use rayon::prelude::*;

use super::bootstrap::{quantile, stationary_indices, stream};
use super::{Moments, all_finite};

/// What many runs came to. Each list is sorted on its own, the lowest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Paths {
    /// Deepest `equity / peak - 1` of each run; 0 or negative, -1 and below if equity fell to zero or
    /// below. The first is the worst.
    pub max_drawdown: Vec<f64>,
    /// `final equity / capital - 1` of each run.
    pub total_return: Vec<f64>,
    /// Sharpe ratio per period of each run that has a deviation.
    pub sharpe: Vec<f64>,
}

impl Paths {
    fn of(runs: Vec<Path>) -> Self {
        let sorted = |values: &mut dyn Iterator<Item = f64>| {
            let mut values: Vec<f64> = values.collect();
            values.sort_by(f64::total_cmp);
            values
        };
        Self {
            max_drawdown: sorted(&mut runs.iter().map(|r| r.max_drawdown)),
            total_return: sorted(&mut runs.iter().map(|r| r.total_return)),
            sharpe: sorted(&mut runs.iter().filter_map(|r| r.sharpe)),
        }
    }

    /// Drawdown that a share `confidence` of the runs didn't go below; 0 or negative. None unless
    /// confidence is within [0, 1].
    pub fn drawdown(&self, confidence: f64) -> Option<f64> {
        quantile(&self.max_drawdown, 1.0 - confidence)
    }

    /// Share of runs with a drawdown of `depth` or deeper; 0.3 is 30 % below a peak, 1 is ruin.
    pub fn probability_of_drawdown(&self, depth: f64) -> f64 {
        share(&self.max_drawdown, |drawdown| drawdown <= -depth)
    }

    /// Share of runs that fell to zero or below.
    pub fn probability_of_ruin(&self) -> f64 {
        self.probability_of_drawdown(1.0)
    }

    /// Share of runs that ended with less than they started.
    pub fn probability_of_loss(&self) -> f64 {
        share(&self.total_return, |total| total < 0.0)
    }
}

fn share(values: &[f64], is: impl Fn(f64) -> bool) -> f64 {
    // There are never none: no runs make no paths.
    values.iter().filter(|&&v| is(v)).count() as f64 / values.len().max(1) as f64
}

#[derive(Clone, Copy, Debug)]
struct Path {
    max_drawdown: f64,
    total_return: f64,
    sharpe: Option<f64>,
}

impl Path {
    /// Of equity at each step, after `start`.
    fn of(start: f64, equity: impl Iterator<Item = f64>) -> Self {
        let (mut peak, mut last, mut deepest) = (start, start, 0.0f64);
        for worth in equity {
            peak = peak.max(worth);
            deepest = deepest.min(worth / peak - 1.0);
            last = worth;
        }
        Self { max_drawdown: deepest, total_return: last / start - 1.0, sharpe: None }
    }

    fn is_finite(&self) -> bool {
        self.max_drawdown.is_finite() && self.total_return.is_finite()
    }
}

/// Returns per period drawn again in `runs` stationary bootstraps of blocks `mean_block` long on
/// average ([`stationary_indices`]), compounded from 1: how final return, drawdown and Sharpe ratio
/// vary. After a return of -1 or below equity stays at zero. None without returns or runs, or with a
/// number that isn't finite.
///
/// Politis & Romano 1994.
///
/// ```
/// use magellan::stats::monte_carlo::bootstrapped;
///
/// let paths = bootstrapped(&[0.01, -0.02, 0.015, 0.005, -0.01, 0.02], 2.0, 500, 1).unwrap();
/// assert!(paths.probability_of_loss() > 0.0);
/// assert!(paths.drawdown(0.95) < paths.drawdown(0.5));
/// ```
pub fn bootstrapped(returns: &[f64], mean_block: f64, runs: usize, seed: u64) -> Option<Paths> {
    if returns.is_empty() || !all_finite(returns) || !mean_block.is_finite() {
        return None;
    }
    let run = |index: u64| {
        let mut rows = Vec::with_capacity(returns.len());
        stationary_indices(&mut stream(seed, "returns", index), returns.len(), mean_block, &mut rows);
        let drawn: Vec<f64> = rows.iter().map(|&row| returns[row]).collect();
        let mut equity = 1.0;
        let path = Path::of(
            1.0,
            drawn.iter().map(|r| {
                equity *= (1.0 + r).max(0.0);
                equity
            }),
        );
        Path { sharpe: Moments::of(&drawn).and_then(|m| m.sharpe()), ..path }
    };
    paths(runs, run)
}

/// All runs in parallel; none if there are none, or one overflows.
fn paths(runs: usize, run: impl Fn(u64) -> Path + Sync) -> Option<Paths> {
    let all: Vec<Path> = (0..runs).into_par_iter().map(|index| run(index as u64)).collect();
    (!all.is_empty() && all.iter().all(Path::is_finite)).then(|| Paths::of(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETURNS: [f64; 8] = [0.02, -0.01, 0.015, -0.03, 0.01, 0.005, -0.02, 0.025];

    #[test]
    fn equity_below_zero_is_ruin() {
        let paths = bootstrapped(&[0.1, -1.5, 0.1, 0.1], 1.0, 200, 1).unwrap();
        assert!((paths.total_return[0], paths.max_drawdown[0]) == (-1.0, -1.0));
        assert!((0.6..0.8).contains(&paths.probability_of_ruin()));
    }

    #[test]
    fn one_block_of_the_whole_circle_keeps_return_and_sharpe_ratio() {
        let paths = bootstrapped(&RETURNS, 1e15, 50, 2).unwrap();
        let total = RETURNS.iter().fold(1.0, |w, r| w * (1.0 + r)) - 1.0;
        let sharpe = Moments::of(&RETURNS).and_then(|m| m.sharpe()).unwrap();
        assert!(paths.total_return.iter().all(|r| (r - total).abs() < 1e-12));
        assert!(paths.sharpe.iter().all(|s| (s - sharpe).abs() < 1e-12));
        assert!(paths.max_drawdown[0] < paths.max_drawdown[49]);
    }

    #[test]
    fn threads_do_not_matter() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bootstrapped(&RETURNS, 3.0, 99, 7))
        };
        assert_eq!(run(1), run(2));
    }

    #[test]
    fn undefined_cases() {
        assert_eq!(bootstrapped(&[], 1.0, 10, 1), None);
        assert_eq!(bootstrapped(&RETURNS, f64::NAN, 10, 1), None);
        assert_eq!(bootstrapped(&[f64::MAX; 9], 1.0, 10, 1), None);
        assert!(bootstrapped(&[0.01; 9], 1.0, 10, 1).is_some_and(|p| p.sharpe.is_empty()));
    }
}
