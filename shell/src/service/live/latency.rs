//! How long it takes from a bar to its order: from when the last bar of a minute came in, or was waited for no longer, to
//! when the request leaves.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many are remembered.
const MOST: usize = 10_000;

/// Latencies of late.
#[derive(Default)]
pub(super) struct Latency {
    /// When the bar came in that is being acted on.
    from: Option<Instant>,
    /// From bar to request, and how much of that was the disk's.
    seen: VecDeque<(Duration, Duration)>,
    synced: Duration,
}

impl Latency {
    /// Decided on bars of which the last came in then.
    pub(super) fn decided(&mut self, arrived: Option<Instant>) {
        (self.from, self.synced) = (arrived, Duration::ZERO);
    }

    /// The disk took so long.
    pub(super) fn synced(&mut self, took: Duration) {
        self.synced += took;
    }

    /// When the bar came in, if an order is sent because of one: asked once each.
    pub(super) fn take(&mut self) -> Option<(Instant, Duration)> {
        self.from.take().map(|from| (from, self.synced))
    }

    /// An order left.
    pub(super) fn sent(&mut self, from: Instant, synced: Duration, sent: Instant) {
        if self.seen.len() == MOST {
            self.seen.pop_front();
        }
        self.seen.push_back((sent.saturating_duration_since(from), synced));
    }

    /// Of these, seconds: `quantile` of bar to request without the disk, and of the disk.
    pub(super) fn quantile(&self, quantile: f64) -> Option<(f64, f64)> {
        let of = |part: fn(&(Duration, Duration)) -> Duration| {
            let mut all: Vec<Duration> = self.seen.iter().map(part).collect();
            all.sort_unstable();
            let at = ((all.len() as f64 * quantile).ceil() as usize).clamp(1, all.len().max(1)) - 1;
            all.get(at).map(Duration::as_secs_f64)
        };
        Some((of(|(all, synced)| all.saturating_sub(*synced))?, of(|(_, synced)| *synced)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_seen() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        let from = Instant::now();
        for ms in 1..=100 {
            latency.sent(from, Duration::from_millis(1), from + Duration::from_millis(ms + 1));
        }
        let (p50, disk) = latency.quantile(0.5).expect("seen");
        let (p99, _) = latency.quantile(0.99).expect("seen");
        assert_eq!((p50, p99, disk), (0.050, 0.099, 0.001));
    }
}
