//! What an order has paid in fees so far.

use crate::costs::Costs;

/// Fees of one order: after each fill it has paid the larger of the smallest fee and what its fills add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Commission {
    raw: f64,
    paid: f64,
}

/// The fee of one fill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fee {
    /// Dollars a share.
    pub(super) a_share: f64,
    /// Dollars.
    pub(super) total: f64,
}

impl Commission {
    /// The fee of a further fill of so many shares.
    #[inline(always)]
    pub(super) fn of(self, shares: f64, price: f64, costs: &Costs) -> Fee {
        let a_share = costs.fee(price);
        let total = shares * a_share;
        if costs.fee_min == 0.0 {
            return Fee { a_share, total };
        }
        let total = (self.raw + total).max(costs.fee_min) - self.paid;
        Fee { a_share: total / shares, total }
    }

    /// As [`Commission::of`], and it is paid.
    #[inline(always)]
    pub(super) fn pay(&mut self, shares: f64, price: f64, costs: &Costs) -> Fee {
        let fee = self.of(shares, price, costs);
        self.raw += shares * costs.fee(price);
        self.paid += fee.total;
        fee
    }
}
