//! Trading costs: slippage, spread and fees of every fill.

use serde::{Deserialize, Serialize};

use crate::order::Side;

/// Slippage, spread and fees. The first two are part of fill prices; fees are taken from a trade's profit.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// Slippage of market and stop fills, basis points a side. Resting limits and targets have none.
    pub slippage_bps: f64,
    /// Fee, dollars a share and side.
    pub fee_per_share: f64,
    /// Fee, basis points of the traded amount a side.
    pub fee_bps: f64,
    /// Half of the spread between bid and ask, dollars a share: what a fill that takes from the market pays beyond
    /// slippage.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub half_spread: f64,
    /// Smallest fee of an order, dollars.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fee_min: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Costs {
    /// Fill price of a market buy.
    #[inline(always)]
    pub fn buy(&self, price: f64) -> f64 {
        price * (1.0 + self.slippage_bps / 1e4) + self.half_spread
    }

    /// Fill price of a market or stop sale.
    #[inline(always)]
    pub fn sell(&self, price: f64) -> f64 {
        price * (1.0 - self.slippage_bps / 1e4) - self.half_spread
    }

    /// Fill price of who takes from the market and moves it by `impact`, a fraction. A sale never brings less than nothing.
    #[inline(always)]
    pub(crate) fn taking(&self, side: Side, price: f64, impact: f64) -> f64 {
        let moved = self.slippage_bps / 1e4 + impact;
        match side {
            Side::Buy => price * (1.0 + moved) + self.half_spread,
            Side::Sell => (price * (1.0 - moved) - self.half_spread).max(0.0),
        }
    }

    /// Fees for one share filled at `price`, dollars.
    #[inline(always)]
    pub fn fee(&self, price: f64) -> f64 {
        self.fee_per_share + price * (self.fee_bps / 1e4)
    }

    /// Whether fills pay fees.
    pub fn has_fees(&self) -> bool {
        self.fee_per_share != 0.0 || self.fee_bps != 0.0 || self.fee_min != 0.0
    }

    /// Whether any cost is in dollars a share, so that it depends on how many shares a split has made of one.
    pub fn has_share_costs(&self) -> bool {
        self.fee_per_share != 0.0 || self.half_spread != 0.0
    }

    /// The costs of an adjusted share on a day on which one real share is `factor` of them: what is charged a share
    /// is charged for real shares.
    #[must_use]
    pub fn of_adjusted(&self, factor: f64) -> Self {
        Self { fee_per_share: self.fee_per_share / factor, half_spread: self.half_spread / factor, ..*self }
    }
}
