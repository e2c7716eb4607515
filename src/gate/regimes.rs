//! The market regime of each session, by the benchmark's volatility and trend.

use crate::stats::Moments;

/// Sessions that make a trend, and below which a regime is too short to judge.
pub(super) const TREND: usize = 63;
/// Sessions that make a volatility.
const VOLATILITY: usize = 21;

/// Names of the regimes, by their number.
pub(super) const REGIMES: [&str; 4] = ["calm, rising", "calm, falling", "turbulent, rising", "turbulent, falling"];

/// Which regime each session is in, by what was known at the close before: whether the
/// benchmark's volatility over 21 sessions is above the median of all before, and whether it
/// stands above its mean over 63. None while that isn't known.
pub(super) fn market_regimes(worth: &[f64]) -> Vec<Option<usize>> {
    let returns: Vec<f64> = worth.windows(2).map(|w| w[1] / w[0] - 1.0).collect();
    let mut before: Vec<f64> = Vec::new();
    let mut regimes = vec![None; worth.len()];
    for today in VOLATILITY + 2..=worth.len() {
        let yesterday = today - 1;
        let Some(now) = Moments::of(&returns[yesterday - VOLATILITY..yesterday]).map(|m| m.sd) else { continue };
        if before.len() >= TREND && today < worth.len() {
            let mean = worth[today - TREND..today].iter().sum::<f64>() / TREND as f64;
            let turbulent = now > before[before.len() / 2];
            regimes[today] = Some(2 * usize::from(turbulent) + usize::from(worth[yesterday] <= mean));
        }
        let at = before.partition_point(|v| *v < now);
        before.insert(at, now);
    }
    regimes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regime_is_known_the_session_before() {
        let worth: Vec<f64> = (0..400).map(|i| 100.0 + f64::from(i) + f64::from(i % 7) * 3.0).collect();
        let whole = market_regimes(&worth);
        for cut in [120, 200, 333] {
            let mut other = worth[..cut].to_vec();
            // Whatever today brings, today's regime is what it was at yesterday's close.
            other[cut - 1] *= 0.1;
            assert_eq!(market_regimes(&other), whole[..cut]);
        }
        assert!(whole.iter().flatten().count() > 300);
    }
}
