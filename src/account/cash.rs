//! The cash account: profit, limits, and how many shares an order buys.

use super::fill::Fill;
use crate::bar::Date;
use crate::costs::Costs;
use crate::order::Size;
use crate::risk::{Block, DailyLoss, HaltWatch, Limits};

/// Cash, limits and fills that all symbols of a replay share.
#[derive(Clone, Debug)]
pub struct Account {
    /// Starting capital, dollars.
    pub capital: f64,
    costs: Costs,
    limits: Limits,
    realised: f64,
    day: Day,
    open_positions: u32,
    pending_entries: u32,
    entries: u32,
    blocks: [u64; Block::ALL.len()],
    halt: HaltWatch,
    fills: Vec<Fill>,
    bought: f64,
}

/// Counters of one session.
#[derive(Clone, Copy, Debug, Default)]
struct Day {
    start_equity: f64,
    realised: f64,
    entries: u32,
    won: u32,
    closed: u32,
}

impl Account {
    /// An account with `capital` dollars and no position.
    pub fn new(capital: f64, costs: Costs, limits: Limits) -> Self {
        Self {
            capital,
            costs,
            limits,
            realised: 0.0,
            day: Day::default(),
            open_positions: 0,
            pending_entries: 0,
            entries: 0,
            blocks: [0; Block::ALL.len()],
            halt: HaltWatch::default(),
            fills: Vec::new(),
            bought: 0.0,
        }
    }

    /// Capital plus realised profit, dollars.
    #[inline(always)]
    pub fn equity(&self) -> f64 {
        self.capital + self.realised
    }

    /// All sales so far, in order of fill.
    pub fn fills(&self) -> &[Fill] {
        &self.fills
    }

    /// All sales, in order of fill, when there will be no more.
    pub fn into_fills(self) -> Vec<Fill> {
        self.fills
    }

    /// How often each limit refused an otherwise valid entry.
    pub fn blocks(&self) -> impl Iterator<Item = (Block, u64)> {
        Block::ALL.into_iter().zip(self.blocks)
    }

    /// Dollars spent on entries.
    pub fn bought(&self) -> f64 {
        self.bought
    }

    /// The session after which an emergency stop halted entries.
    pub fn halted_since(&self) -> Option<Date> {
        self.halt.since()
    }

    /// Resets what is counted per session.
    pub fn begin_session(&mut self) {
        self.day = Day { start_equity: self.equity(), ..Day::default() };
    }

    /// Decides whether the emergency stop halts entries from now on; `equity` includes open positions.
    pub fn end_session(&mut self, date: Date, equity: f64) {
        if let Some(halt) = &self.limits.halt {
            let trades = (self.day.won, self.day.closed);
            self.halt.end_session(halt, date, self.day.realised, equity, trades);
        }
    }

    /// What trading costs.
    pub(super) fn costs(&self) -> &Costs {
        &self.costs
    }

    /// Tests the limits for an entry. A refusal is counted.
    pub(super) fn refuses_entry(&mut self) -> Option<Block> {
        let block = self.blocked()?;
        self.blocks[block as usize] += 1;
        Some(block)
    }

    /// The first limit that forbids an entry now.
    fn blocked(&self) -> Option<Block> {
        let day = &self.day;
        let lost = |loss: DailyLoss| loss.reached(day.realised, day.start_equity);
        if self.halt.since().is_some() {
            return Some(Block::EmergencyStop);
        }
        if self.limits.max_daily_loss.is_some_and(lost) {
            return Some(Block::MaxDailyLoss);
        }
        let pending = self.pending_entries;
        if self.limits.max_trades_per_day.is_some_and(|max| day.entries + pending >= max) {
            return Some(Block::MaxTradesPerDay);
        }
        let open = self.open_positions + pending;
        self.limits.max_open_positions.is_some_and(|max| open >= max).then_some(Block::MaxOpenPositions)
    }

    /// Shares to buy at a signal's close; 0 means no order.
    pub(super) fn shares(&self, size: Size, close: f64, stop: Option<f64>) -> u64 {
        let wanted = match size {
            Size::RiskFraction { fraction, cap } => {
                let risk = close - stop.unwrap_or(f64::NAN);
                whole(self.equity() * fraction / risk).min(whole(cap / close))
            }
            Size::Shares(_) | Size::Notional(_) => fixed_shares(size, close).unwrap_or(0),
        };
        wanted.min(most_shares(&self.limits, close))
    }

    /// An entry waits for the next open.
    pub(super) fn entry_ordered(&mut self) {
        self.pending_entries += 1;
    }

    /// An entry no longer waits: it fills now, or it was cancelled.
    pub(super) fn entry_taken(&mut self) {
        self.pending_entries -= 1;
    }

    /// Records an entry fill; the number of its trade, from 1.
    pub(super) fn bought_shares(&mut self, shares: u64, price: f64) -> u32 {
        self.entries += 1;
        self.day.entries += 1;
        self.open_positions += 1;
        self.bought += shares as f64 * price;
        self.entries
    }

    /// Records a sale.
    pub(super) fn sold_shares(&mut self, fill: Fill) {
        self.realised += fill.profit;
        self.day.realised += fill.profit;
        self.fills.push(fill);
    }

    /// Records that all shares of an entry are sold, with the profit of all its sales.
    pub(super) fn closed_trade(&mut self, profit: f64) {
        self.day.closed += 1;
        self.day.won += u32::from(profit > 0.0);
        self.open_positions -= 1;
    }
}

/// Shares of a size that depends on nothing but the signal's close.
fn fixed_shares(size: Size, close: f64) -> Option<u64> {
    match size {
        Size::Shares(shares) => Some(shares),
        Size::Notional(dollars) => Some(whole(dollars / close)),
        Size::RiskFraction { .. } => None,
    }
}

/// Shares of the largest position allowed.
fn most_shares(limits: &Limits, close: f64) -> u64 {
    limits.max_position_dollars.map_or(u64::MAX, |cap| whole(cap / close))
}

/// Floor of a quotient as a share count; 0 for anything that isn't a positive number.
fn whole(quotient: f64) -> u64 {
    // A float-to-integer cast truncates, saturates, and maps NaN to 0.
    quotient as u64
}
