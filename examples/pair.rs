//! A pair of symbols on a margin account: `cargo run --release --example pair`
//!
//! The strategy looks at the ratio of two closes. Where it lies two deviations from its mean of sixty days, it sells short
//! the dear one and buys the cheap one, in equal parts; it closes both once the ratio is near its mean. The sample's bars
//! are made up, so nothing draws the ratio back, and the strategy loses.

use std::collections::VecDeque;

use magellan::account::{AccountKind, Conditions};
use magellan::calendar;
use magellan::portfolio::{Market, PortfolioBacktest, PortfolioStrategy, Weights};
use magellan::prelude::*;
use magellan::replay::Terms;

/// Trades the ratio of two symbols.
#[derive(Clone, Copy)]
struct Pair {
    first: Symbol,
    second: Symbol,
    /// Bars of the mean.
    period: usize,
    open_beyond: f64,
    close_within: f64,
}

impl PortfolioStrategy for Pair {
    const NAME: &'static str = "pair";
    type Inputs = [f64; 0];
    type State = VecDeque<f64>;

    fn indicators(&self) -> [Indicator; 0] {
        []
    }

    fn decide(&self, ratios: &mut VecDeque<f64>, market: &Market<'_, [f64; 0]>, weights: &mut Weights) {
        let (Some(first), Some(second)) = (market.member(self.first), market.member(self.second)) else { return };
        ratios.push_back(first.bar.close / second.bar.close);
        if ratios.len() <= self.period {
            return;
        }
        ratios.pop_front();
        let score = z_score(ratios);
        if first.position.is_open() && score.abs() < self.close_within {
            weights.liquidate();
        } else if !first.position.is_open() && score.abs() > self.open_beyond {
            let part = -0.5 * score.signum();
            weights.set(vec![(self.first, part), (self.second, -part)]);
        }
    }
}

/// How many deviations the last value lies above the mean of all.
fn z_score(values: &VecDeque<f64>) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (count - 1.0);
    (values[values.len() - 1] - mean) / variance.sqrt()
}

fn main() -> Result<()> {
    let archive = Archive::open("data/sample".as_ref(), Access::Map)?;
    let (first, second) = ("SPY".parse()?, "QQQ".parse()?);
    let series = [archive.load(first, Timeframe::Day)?, archive.load(second, Timeframe::Day)?];
    let strategy = Pair { first, second, period: 60, open_beyond: 2.0, close_within: 0.5 };
    let margin = AccountKind::Margin { leverage: 2.0 };
    let terms = Terms {
        capital: 100_000.0,
        costs: Costs { slippage_bps: 1.0, ..Costs::default() },
        conditions: Conditions { kind: margin, borrow_bps: 50.0, ..Conditions::UNLIMITED },
        limits: Limits::default(),
        start: calendar::FIRST,
        end: calendar::LAST,
    };
    let bars = series.iter().map(|series| (series.symbol, series.bars()));
    let result = PortfolioBacktest::new(bars, strategy, terms).run()?;
    let (long, short) = (result.by_side.long, result.by_side.short);
    println!("return {:.3}, Sharpe ratio {:.2}", result.metrics.total_return, result.metrics.sharpe);
    println!("long: {} trades, {:.2} dollars of profit", long.trades, long.pnl);
    println!("short: {} trades, {:.2} dollars of profit", short.trades, short.pnl);
    println!("{:.2} dollars for borrowed shares", result.replay.totals.borrow);
    Ok(())
}

#[test]
fn runs() -> Result<()> {
    main()
}
