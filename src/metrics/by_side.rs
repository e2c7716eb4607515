//! Trades of long and of short lots apart.

use schemars::JsonSchema;
use serde::Serialize;

use super::measure::{Cause, Measure, ratio};
use crate::order::Side;
use crate::replay::Replay;

/// Figures of trades by direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BySide {
    /// Bought, then sold.
    pub long: SideFigures,
    /// Sold short, then covered.
    pub short: SideFigures,
}

/// Figures of the trades of one direction. Money in dollars, without borrow, interest and dividends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SideFigures {
    /// Lots, each with all its exits.
    pub trades: u64,
    /// Sum of their profits.
    pub pnl: f64,
    /// Share of trades with a profit above 0.
    pub win_rate: Measure,
    /// Sum of winning trades.
    pub gross_win: f64,
    /// Sum of the others, positive.
    pub gross_loss: f64,
    /// `gross_win / gross_loss`.
    pub profit_factor: Measure,
}

impl BySide {
    /// Of all trades of a replay.
    pub fn of(replay: &Replay) -> Self {
        Self { long: SideFigures::of(replay, Side::Buy), short: SideFigures::of(replay, Side::Sell) }
    }
}

impl SideFigures {
    fn of(replay: &Replay, side: Side) -> Self {
        let count = replay.fills.iter().map(|fill| fill.trade).max().unwrap_or(0) as usize;
        let mut profits: Vec<Option<f64>> = vec![None; count];
        for fill in replay.fills.iter().filter(|fill| fill.side == side) {
            *profits[fill.trade as usize - 1].get_or_insert(0.0) += fill.profit;
        }
        let (mut trades, mut wins, mut pnl, mut gross_win, mut gross_loss) = (0u64, 0u64, 0.0, 0.0, 0.0);
        for profit in profits.into_iter().flatten() {
            trades += 1;
            pnl += profit;
            if profit > 0.0 {
                wins += 1;
                gross_win += profit;
            } else {
                gross_loss -= profit;
            }
        }
        let no_loss = if trades == 0 { Cause::NoTrades } else { Cause::NoLosingTrade };
        let profit_factor =
            if gross_loss > 0.0 { ratio(gross_win, gross_loss, no_loss) } else { Measure::Undefined(no_loss) };
        let win_rate = ratio(wins as f64, trades as f64, Cause::NoTrades);
        Self { trades, pnl, win_rate, gross_win, gross_loss, profit_factor }
    }
}
