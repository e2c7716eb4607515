//! What was traded and what that cost, in few enough numbers to keep for each point of a sweep.

use super::by_side::BySide;
use super::trades::Tally;
use crate::account::State;
use crate::replay::Replay;

/// Trades by direction, costs by kind, and what was refused. Money in dollars.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Trading {
    /// Trades of lots that were bought, then sold.
    pub long_trades: u64,
    /// Sum of their profits.
    pub long_pnl: f64,
    /// Trades of lots that were sold short, then covered.
    pub short_trades: u64,
    /// Sum of their profits.
    pub short_pnl: f64,
    /// Fees.
    pub commission: f64,
    /// Slippage, spread and impact.
    pub slippage: f64,
    /// For shares borrowed.
    pub borrow: f64,
    /// For cash borrowed.
    pub margin_interest: f64,
    /// Orders that the account rejected.
    pub rejected_orders: u64,
    /// Entries that limits refused.
    pub blocked_entries: u64,
}

/// A column of a sweep's results.
type Column = (&'static str, fn(&Trading) -> f64);

/// Every number of [`Trading`] by its name, in the order of a sweep's results.
pub const TRADING: [Column; 10] = [
    ("long_trades", |t| t.long_trades as f64),
    ("long_pnl", |t| t.long_pnl),
    ("short_trades", |t| t.short_trades as f64),
    ("short_pnl", |t| t.short_pnl),
    ("commission", |t| t.commission),
    ("slippage", |t| t.slippage),
    ("borrow", |t| t.borrow),
    ("margin_interest", |t| t.margin_interest),
    ("rejected_orders", |t| t.rejected_orders as f64),
    ("blocked_entries", |t| t.blocked_entries as f64),
];

impl Trading {
    /// Of a replay.
    pub fn of(replay: &Replay) -> Self {
        let (BySide { long, short }, totals) = (BySide::of(replay), &replay.totals);
        Self {
            long_trades: long.trades,
            long_pnl: long.pnl,
            short_trades: short.trades,
            short_pnl: short.pnl,
            commission: totals.commission,
            slippage: totals.slippage,
            borrow: totals.borrow,
            margin_interest: totals.margin_interest,
            rejected_orders: totals.orders[State::Rejected as usize],
            blocked_entries: replay.blocks.iter().map(|(_, count)| count).sum(),
        }
    }

    /// Of long trades for which no order was refused and nothing was borrowed.
    pub(crate) fn unrefused(tally: &Tally) -> Self {
        let &Tally { trades: long_trades, profit: long_pnl, commission, slippage, .. } = tally;
        Self { long_trades, long_pnl, commission, slippage, ..Self::default() }
    }

    /// Of two accounts together.
    #[must_use]
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            long_trades: self.long_trades + other.long_trades,
            long_pnl: self.long_pnl + other.long_pnl,
            short_trades: self.short_trades + other.short_trades,
            short_pnl: self.short_pnl + other.short_pnl,
            commission: self.commission + other.commission,
            slippage: self.slippage + other.slippage,
            borrow: self.borrow + other.borrow,
            margin_interest: self.margin_interest + other.margin_interest,
            rejected_orders: self.rejected_orders + other.rejected_orders,
            blocked_entries: self.blocked_entries + other.blocked_entries,
        }
    }
}
