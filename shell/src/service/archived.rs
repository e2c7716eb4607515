//! Archived bars as if they came now: a feed at a pace.

use std::time::{Duration, Instant};

use magellan::error::Result;
use magellan::runner::{Event, Feed};

/// Another feed, its bars so far apart.
pub struct Paced<F> {
    feed: F,
    apart: Duration,
    /// When the next bars may come.
    due: Option<Instant>,
}

impl<F> Paced<F> {
    /// So many bars a second, all symbols together; 0 means as fast as they are taken.
    pub fn new(feed: F, bars_a_second: f64) -> Self {
        let apart = if bars_a_second > 0.0 { Duration::from_secs_f64(1.0 / bars_a_second) } else { Duration::ZERO };
        Self { feed, apart, due: None }
    }
}

impl<F: Feed> Feed for Paced<F> {
    fn next(&mut self) -> Result<Event<'_>> {
        if self.apart.is_zero() {
            return self.feed.next();
        }
        let now = Instant::now();
        if let Some(left) = self.due.map(|due| due.saturating_duration_since(now)).filter(|left| !left.is_zero()) {
            return Ok(Event::Wait(left));
        }
        let event = self.feed.next()?;
        if let Event::Bars(bars) = event {
            self.due = Some(self.due.unwrap_or(now) + self.apart.mul_f64(bars.len() as f64));
        }
        Ok(event)
    }
}
