//! What indicators are computed from, and how.

use std::fmt;

use super::inner::Inner;
use crate::bar::Bar;

/// One value of a bar, or another indicator's value at it.
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
    /// `(high + low) / 2`
    Hl2,
    /// The typical price: `(high + low + close) / 3`.
    Hlc3,
    /// `(open + high + low + close) / 4`
    Ohlc4,
    /// The value of an indicator: made by [`Field::of`].
    Of(Inner),
}

impl Field {
    /// The value of a bar. That of an indicator isn't in one bar: it comes from a fold of its own.
    #[inline(always)]
    pub(super) fn value(self, bar: &Bar) -> f64 {
        match self {
            Self::Open => bar.open,
            Self::High => bar.high,
            Self::Low => bar.low,
            Self::Close => bar.close,
            Self::Volume => bar.volume,
            Self::Hl2 => (bar.high + bar.low) / 2.0,
            Self::Hlc3 => typical(bar),
            Self::Ohlc4 => (bar.open + bar.high + bar.low + bar.close) / 4.0,
            Self::Of(_) => f64::NAN,
        }
    }
}

/// `(high + low + close) / 3`
#[inline(always)]
pub(super) fn typical(bar: &Bar) -> f64 {
    (bar.high + bar.low + bar.close) / 3.0
}

/// How an exponential average weighs and starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Smoothing {
    /// Weight `2 / (period + 1)`, starting from the first value.
    Span,
    /// Weight `1 / period`, starting from the mean of the first `period` values (Wilder 1978).
    Wilder,
}

/// A number as a parameter, such as the 2 of "two deviations". Equal numbers have equal bits, so that an indicator can
/// be a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Factor(u64);

impl Factor {
    /// Of a number.
    pub const fn new(number: f64) -> Self {
        // Adding 0 makes 0 of -0, which is equal to it.
        Self((number + 0.0).to_bits())
    }

    /// The number.
    pub const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<f64> for Factor {
    fn from(number: f64) -> Self {
        Self::new(number)
    }
}

impl fmt::Debug for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
