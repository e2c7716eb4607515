//! The last returns from close to close, on which price impact depends.

use std::collections::VecDeque;

/// The last returns from close to close, on today's share basis.
#[derive(Clone, Debug, Default)]
pub(super) struct Returns {
    pub(super) last: Option<f64>,
    returns: VecDeque<f64>,
}

impl Returns {
    /// How many count.
    const COUNT: usize = 20;

    pub(super) fn see(&mut self, close: f64) {
        if let Some(last) = self.last.replace(close) {
            self.returns.push_back(close / last - 1.0);
            if self.returns.len() > Self::COUNT {
                self.returns.pop_front();
            }
        }
    }

    /// Standard deviation with one degree of freedom less; 0 with fewer than 20.
    pub(super) fn deviation(&self) -> f64 {
        if self.returns.len() < Self::COUNT {
            return 0.0;
        }
        let count = self.returns.len() as f64;
        let mean = self.returns.iter().fold(0.0, |sum, r| sum + r) / count;
        let squares = self.returns.iter().fold(0.0, |sum, r| sum + (r - mean) * (r - mean));
        (squares / (count - 1.0)).sqrt()
    }
}
