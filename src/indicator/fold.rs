//! Indicators under way: folds over bars.

use crate::bar::{Bar, Bars, Date};
use crate::calendar::Session;

/// An indicator under way: bars in, values out.
pub struct Rolling(Box<dyn Fold>);

impl Rolling {
    pub(super) fn new(fold: impl Fold + 'static) -> Self {
        Self(Box::new(fold))
    }

    /// The value at the close of `bar`.
    pub fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        self.0.next(bar, session)
    }

    /// Appends the values at each of `bars`, which belong to `session`; the same bits as
    /// [`Rolling::next`] bar by bar.
    pub fn extend(&mut self, bars: &Bars<'_>, session: &Session, column: &mut Vec<f64>) {
        self.0.extend(bars, session, column);
    }
}

/// One step for each bar. `extend` is the same loop, compiled once per indicator.
pub(super) trait Fold: Send {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64;

    fn extend(&mut self, bars: &Bars<'_>, session: &Session, column: &mut Vec<f64>) {
        let bars = bars.slice(0..bars.len());
        column.extend((0..bars.len()).map(|i| self.next(&bars.get(i), session)));
    }
}

/// Restarts an indicator at each session's first bar.
#[derive(Clone)]
pub(super) struct PerSession<F> {
    fresh: F,
    live: F,
    date: Option<Date>,
}

impl<F: Fold + Clone> PerSession<F> {
    pub(super) fn new(fresh: F) -> Self {
        Self { live: fresh.clone(), fresh, date: None }
    }

    fn restart(&mut self, session: &Session) {
        if self.date != Some(session.date) {
            self.live = self.fresh.clone();
            self.date = Some(session.date);
        }
    }
}

impl<F: Fold + Clone> Fold for PerSession<F> {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        self.restart(session);
        self.live.next(bar, session)
    }

    fn extend(&mut self, bars: &Bars<'_>, session: &Session, column: &mut Vec<f64>) {
        self.restart(session);
        self.live.extend(bars, session, column);
    }
}
