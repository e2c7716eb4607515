//! What indicators are computed from, and how.

use crate::bar::Bar;

/// One value of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// First price.
    Open,
    /// Highest price.
    High,
    /// Lowest price.
    Low,
    /// Last price.
    Close,
    /// Shares traded.
    Volume,
}

impl Field {
    /// The value of a bar.
    #[inline(always)]
    pub(super) fn of(self, bar: &Bar) -> f64 {
        match self {
            Self::Open => bar.open,
            Self::High => bar.high,
            Self::Low => bar.low,
            Self::Close => bar.close,
            Self::Volume => bar.volume,
        }
    }
}

/// How an exponential average weighs and starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Smoothing {
    /// Weight `2 / (period + 1)`, starting from the first value.
    Span,
    /// Weight `1 / period`, starting from the mean of the first `period` values (Wilder 1978).
    Wilder,
}

/// How far back an indicator remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// To the archive's first bar.
    Continuous,
    /// To the session's first bar.
    Session,
}
