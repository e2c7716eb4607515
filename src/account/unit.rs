//! Whole units: shares, or millionths of a share in a fractional account.

/// What quantities count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    per_share: f64,
}

impl Unit {
    /// Whole shares.
    pub const SHARE: Self = Self { per_share: 1.0 };
    /// Millionths of a share.
    pub const MILLIONTH: Self = Self { per_share: 1e6 };
    /// The most units of an order and of a position: sums and differences of two fit into an integer.
    pub const MOST: i64 = i64::MAX / 4;

    /// Shares of so many units.
    #[inline(always)]
    pub fn shares(self, units: i64) -> f64 {
        units as f64 / self.per_share
    }

    /// Whole units of a number of shares, rounded down, at most [`Unit::MOST`]; 0 for anything that isn't a positive
    /// number. In millionths a thousandth of a unit is forgiven, so that rounding of equity can't cost one.
    #[inline(always)]
    pub fn floor(self, shares: f64) -> i64 {
        // A float-to-integer cast truncates, saturates, and maps NaN to 0.
        let units = match self.per_share == 1.0 {
            true => shares.max(0.0) as i64,
            false => (shares * self.per_share + 0.001).max(0.0).floor() as i64,
        };
        units.min(Self::MOST)
    }

    /// As [`Unit::floor`] of the size of a signed number, with its sign.
    pub fn toward_zero(self, shares: f64) -> i64 {
        let units = self.floor(shares.abs());
        if shares < 0.0 { -units } else { units }
    }

    /// Units after a split, toward zero, and what exceeds a whole one, as shares. A product within a relative 1e-9 of a
    /// whole number of shares is that number.
    pub(super) fn split(self, units: i64, ratio: f64) -> (i64, f64) {
        let mut shares = self.shares(units.abs()) * ratio;
        let nearest = shares.round();
        if (shares - nearest).abs() <= 1e-9 * shares.max(1.0) {
            shares = nearest;
        }
        let whole = self.floor(shares);
        (whole * units.signum(), shares - self.shares(whole))
    }
}
