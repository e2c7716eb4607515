//! Round trips: fills joined into trades, and what they add up to.

use super::sums::sum;
use crate::account::Fill;
use crate::bar::{HOUR, Nanos};
use crate::replay::Replay;

/// What round trips were worth, added up in order of entry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(super) trades: u64,
    pub(super) wins: u64,
    /// Profit of all, dollars.
    pub(crate) profit: f64,
    pub(super) gross_win: f64,
    /// Sum of what isn't a win: 0 or negative.
    pub(super) losses: f64,
    /// Sum of profits over entry amounts.
    pub(super) returns: f64,
    /// Sum of the times that they were held.
    pub(super) hours: f64,
    losing_run: u64,
    pub(super) longest_losing_run: u64,
    /// Dollars spent on entries.
    pub(crate) bought: f64,
    /// Dollars taken by sales.
    pub(crate) sold: f64,
    /// Fees of all fills, in their order.
    pub(crate) commission: f64,
    /// Slippage of all fills, in their order.
    pub(crate) slippage: f64,
}

impl Tally {
    /// Adds a round trip: its profit and entry amount in dollars, and the time it was held.
    #[inline(always)]
    pub(crate) fn add(&mut self, profit: f64, amount: f64, held: Nanos) {
        let (win, loss) = win_or_loss(profit);
        self.add_split(profit, win, loss, profit / amount, held as f64 / HOUR as f64);
    }

    /// As [`Tally::add`], with what can be worked out for many trades at once.
    #[inline(always)]
    pub(crate) fn add_split(&mut self, profit: f64, win: f64, loss: f64, rate: f64, hours: f64) {
        let won = profit > 0.0;
        self.trades += 1;
        self.wins += u64::from(won);
        self.profit += profit;
        self.gross_win += win;
        self.losses += loss;
        self.returns += rate;
        self.hours += hours;
        self.end(won);
    }

    /// Counts losses in a row, in order of last sale.
    #[inline(always)]
    fn end(&mut self, won: bool) {
        self.losing_run = if won { 0 } else { self.losing_run + 1 };
        self.longest_losing_run = self.longest_losing_run.max(self.losing_run);
    }

    pub(super) fn of(replay: &Replay) -> Self {
        let Replay { bought, totals, .. } = replay;
        let (commission, slippage) = (totals.commission, totals.slippage);
        let mut tally = Self { bought: *bought, commission, slippage, ..Self::default() };
        let mut trades = round_trips(&replay.fills);
        for trade in &trades {
            tally.add(trade.profit, trade.amount, trade.held);
        }
        trades.sort_by_key(|t| t.last_sale);
        (tally.losing_run, tally.longest_losing_run) = (0, 0);
        for trade in &trades {
            tally.end(trade.profit > 0.0);
        }
        tally.sold = sum(replay.fills.iter().map(Fill::traded));
        tally
    }
}

/// A profit above 0 and another one, one of them 0.
#[inline(always)]
pub(crate) fn win_or_loss(profit: f64) -> (f64, f64) {
    let won = profit > 0.0;
    (if won { profit } else { 0.0 }, if won { 0.0 } else { profit })
}

/// One round trip.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trade {
    /// Dollars.
    pub(crate) profit: f64,
    /// Dollars spent on the entry.
    pub(crate) amount: f64,
    pub(crate) held: Nanos,
    /// Start of the bar of the entry.
    pub(crate) entered: Nanos,
    last_sale: usize,
}

/// Fills joined into round trips, in order of entry.
pub(crate) fn round_trips(fills: &[Fill]) -> Vec<Trade> {
    let count = fills.iter().map(|f| f.trade).max().unwrap_or(0) as usize;
    let mut trades = vec![Trade::default(); count];
    for (i, fill) in fills.iter().enumerate() {
        let trade = &mut trades[fill.trade as usize - 1];
        trade.profit += fill.profit;
        trade.amount += fill.entry_price * fill.shares;
        trade.held = trade.held.max(fill.exited - fill.entered);
        trade.entered = fill.entered;
        trade.last_sale = i;
    }
    trades
}
