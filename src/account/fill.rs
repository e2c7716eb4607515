//! Fills, and at what price each kind of order fills.
//!
//! Every price rule of the replay is a function here; sweeps of declared rules repeat that of the market order
//! (`sweep/carry.rs`), and a test holds them to it. Market and stop orders pay slippage, since they take what the
//! market offers; a target rests in the market and pays none. A bar that opens beyond a stop or a target fills at its
//! open.

use crate::bar::{Bar, Nanos, Symbol};
use crate::costs::Costs;
use crate::order::Reason;

/// One sale: a whole position or a part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fill {
    /// Number of the entry fill that this sale closes, from 1. All sales of one entry make one trade.
    pub trade: u32,
    /// The symbol.
    pub symbol: Symbol,
    /// Start of the bar of the entry fill, nanoseconds UTC.
    pub entered: Nanos,
    /// Entry price with slippage, dollars.
    pub entry_price: f64,
    /// Shares sold.
    pub shares: u64,
    /// Start of the bar of the sale, nanoseconds UTC; for liquidations its end.
    pub exited: Nanos,
    /// Sale price with slippage, dollars.
    pub exit_price: f64,
    /// Why the shares were sold.
    pub reason: Reason,
    /// `shares * (exit_price - entry_price)` less the fees of both sides, dollars.
    pub profit: f64,
}

/// A market buy fills at the next bar's open, plus slippage.
pub(super) fn market_buy(open: f64, costs: &Costs) -> f64 {
    costs.buy(open)
}

/// A market sale fills at the next bar's open, less slippage.
pub(super) fn market_sale(open: f64, costs: &Costs) -> f64 {
    costs.sell(open)
}

/// A stop is reached when the bar's low touches it. It fills at the stop, or at the open if the bar opens below it,
/// less slippage.
pub(super) fn stop(stop: f64, bar: &Bar, costs: &Costs) -> Option<f64> {
    (bar.low <= stop).then(|| costs.sell(stop.min(bar.open)))
}

/// A target is reached when the bar's high touches it. It fills at the target, or at the open if the bar opens above
/// it, without slippage.
pub(super) fn target(target: f64, bar: &Bar) -> Option<f64> {
    if bar.high < target { None } else { Some(target.max(bar.open)) }
}

/// The account liquidates at the bar's close, less slippage: at the end of a session or of the data.
pub(super) fn liquidation(close: f64, costs: &Costs) -> f64 {
    costs.sell(close)
}
