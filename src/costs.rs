//! Trading costs: slippage and fees of every fill.

use serde::{Deserialize, Serialize};

/// Slippage and fees. Slippage is part of fill prices; fees are taken from a trade's profit.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// Slippage of market and stop fills, basis points a side. Resting targets have none.
    pub slippage_bps: f64,
    /// Fee, dollars a share and side.
    pub fee_per_share: f64,
    /// Fee, basis points of the traded amount a side.
    pub fee_bps: f64,
}

impl Costs {
    /// Fill price of a market buy.
    #[inline(always)]
    pub fn buy(&self, price: f64) -> f64 {
        price * (1.0 + self.slippage_bps / 1e4)
    }

    /// Fill price of a market or stop sale.
    #[inline(always)]
    pub fn sell(&self, price: f64) -> f64 {
        price * (1.0 - self.slippage_bps / 1e4)
    }

    /// Fees for one share filled at `price`, dollars.
    #[inline(always)]
    pub fn fee(&self, price: f64) -> f64 {
        self.fee_per_share + price * (self.fee_bps / 1e4)
    }
}
