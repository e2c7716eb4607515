//! A label for results that are in no ledger.

use std::fmt;
use std::ops::Deref;

/// A result of a replay that no ledger has recorded as a trial.
///
/// Every look at a result is a trial: the more parameters were tried, the better the best of them looks by luck alone.
/// The use cases in the research modules record a trial before they show its result. The functions below them, such as
/// [`replay`](crate::replay::replay) and [`Sweep::run`](crate::sweep::Sweep::run), know no ledger and label what they
/// return. A result under this label can be read and printed, but the gate and the reports take counted results only.
///
/// ```compile_fail,E0624
/// use magellan::{replay::Replay, uncounted::Uncounted};
///
/// fn pretend(result: Uncounted<Replay>) -> Replay {
///     result.into_inner() // only the library takes the label off, once the ledger has the trial
/// }
/// ```
#[must_use = "a replay has no effect but its result"]
#[derive(Clone, Copy, PartialEq)]
pub struct Uncounted<T>(T);

impl<T> Uncounted<T> {
    /// Labels a result.
    pub(crate) const fn new(result: T) -> Self {
        Self(result)
    }

    /// The result without its label, for callers that count it.
    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Uncounted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Uncounted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("uncounted ")?;
        self.0.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Uncounted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("uncounted ")?;
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_counted_says_so_however_it_is_printed() {
        let sharpe = Uncounted::new(1.25);
        assert_eq!(format!("{sharpe:.1}"), "uncounted 1.2");
        assert_eq!(format!("{:?}", Uncounted::new(Some(3))), "uncounted Some(3)");
        assert_eq!(*sharpe, sharpe.into_inner());
    }
}
