//! Has a live strategy stopped earning what was expected of it? A test that may be looked at every day.
//!
//! An e-process: a bet against the expectation whose stake grows while returns fall short of it. Its chance of ever
//! reaching `1 / alpha` while the expectation holds is at most `alpha`, however often it is looked at (Ville 1939). The
//! bet is that of Catoni-type confidence sequences for heavy tails (Wang & Ramdas 2023): it needs the mean and the
//! deviation of returns, and no other property of them.

/// The bets of which the mean is taken, by how many deviations a session they are best at.
const BETS: [f64; 6] = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8];

/// A test under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    mean: f64,
    deviation: f64,
    /// Logarithms of the stakes.
    stakes: [f64; BETS.len()],
    sessions: u64,
    highest: f64,
}

impl Monitor {
    /// A test of returns that shall have at least this mean, and at most this deviation, each per session. None unless
    /// both are numbers and the deviation is positive.
    pub fn new(mean: f64, deviation: f64) -> Option<Self> {
        let sound = mean.is_finite() && deviation.is_finite() && deviation > 0.0;
        sound.then_some(Self { mean, deviation, stakes: [0.0; BETS.len()], sessions: 0, highest: 1.0 })
    }

    /// One more session's return.
    pub fn see(&mut self, value: f64) {
        let short = (self.mean - value) / self.deviation;
        for (stake, bet) in self.stakes.iter_mut().zip(BETS) {
            *stake += influence(bet * short) - bet * bet / 2.0;
        }
        self.sessions += 1;
        self.highest = self.highest.max(self.wealth());
    }

    /// What a stake of 1 has become.
    pub fn wealth(&self) -> f64 {
        self.stakes.iter().map(|stake| stake.exp()).sum::<f64>() / BETS.len() as f64
    }

    /// The most it ever was: the evidence so far.
    pub fn highest(&self) -> f64 {
        self.highest
    }

    /// Sessions seen.
    pub fn sessions(&self) -> u64 {
        self.sessions
    }

    /// Whether the expectation is refuted, with a chance of at most `alpha` of ever saying so wrongly.
    pub fn alarms(&self, alpha: f64) -> bool {
        self.highest >= 1.0 / alpha
    }
}

/// Catoni's influence function: as `x` near 0, as a logarithm far from it.
fn influence(x: f64) -> f64 {
    if x >= 0.0 { (1.0 + x + x * x / 2.0).ln() } else { -(1.0 - x + x * x / 2.0).ln() }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// A Student's t of 3 degrees of freedom: heavy tails, variance 3.
    fn heavy(random: &mut ChaCha8Rng) -> f64 {
        let mut normal = || {
            let (u, v): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
            (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        };
        let chi: f64 = (0..3).map(|_| normal().powi(2)).sum();
        normal() / (chi / 3.0).sqrt() / 3f64.sqrt()
    }

    /// Of so many paths of so many sessions, how many alarm at any look, one a day.
    fn alarms(paths: u64, sessions: u32, mut value: impl FnMut(&mut ChaCha8Rng) -> f64) -> u64 {
        (0..paths)
            .filter(|path| {
                let mut random = ChaCha8Rng::seed_from_u64(*path);
                let mut monitor = Monitor::new(0.0005, 0.01).expect("sound");
                (0..sessions).any(|_| {
                    monitor.see(value(&mut random));
                    monitor.alarms(0.05)
                })
            })
            .count() as u64
    }

    #[test]
    fn it_rarely_alarms_while_the_expectation_holds() {
        let found = alarms(10_000, 504, |random| 0.0005 + 0.01 * heavy(random));
        assert!(found <= 500, "{found} of 10000 paths");
    }

    #[test]
    fn it_alarms_when_a_strategy_loses_what_it_was_to_earn() {
        // Expected a Sharpe ratio of 0.8 a year, and a loss as large as three times that.
        let found = alarms(1_000, 504, |random| -0.0015 + 0.01 * heavy(random));
        assert!(found >= 800, "{found} of 1000 paths");
    }

    #[test]
    fn what_is_no_number_is_no_expectation() {
        assert_eq!(Monitor::new(f64::NAN, 1.0), None);
        assert_eq!(Monitor::new(0.0, 0.0), None);
    }
}
