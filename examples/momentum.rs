//! A portfolio chosen anew each month: `cargo run --release --example momentum`
//!
//! At each month's end it ranks all symbols by their rise in half a year, and holds the three best in equal parts until
//! the next. It buys with cash: where a gap makes a purchase too dear, the account fills it as far as the money goes. The
//! sample's bars are made up, so what rose goes on by chance only.

use magellan::account::{AccountKind, Conditions, OnInsufficient};
use magellan::calendar;
use magellan::portfolio::{Market, Member, PortfolioBacktest, PortfolioStrategy, Weights, best, equal};
use magellan::prelude::*;
use magellan::replay::Terms;

const SYMBOLS: [&str; 8] = ["AAPL", "AMZN", "GLD", "GOOGL", "IWM", "META", "MSFT", "QQQ"];

/// Holds what rose most.
#[derive(Clone, Copy)]
struct Momentum {
    bars: u32,
    held: usize,
}

impl PortfolioStrategy for Momentum {
    const NAME: &'static str = "momentum";
    type Inputs = [f64; 1];
    type State = ();

    fn indicators(&self) -> [Indicator; 1] {
        [Indicator::Lag { field: Field::Close, bars: self.bars }]
    }

    fn decide(&self, (): &mut (), market: &Market<'_, [f64; 1]>, weights: &mut Weights) {
        if market.is_month_end() {
            // Not a number before there are enough bars, and that has no rank.
            let rise = |member: &Member<[f64; 1]>| member.bar.close / member.inputs[0] - 1.0;
            weights.set(equal(&best(market.members(), self.held, rise), 0.98));
        }
    }
}

fn main() -> Result<()> {
    let archive = Archive::open("data/sample".as_ref(), Access::Map)?;
    let load = |name: &&str| archive.load(name.parse()?, Timeframe::Day);
    let series: Vec<Series> = SYMBOLS.iter().map(load).collect::<Result<_>>()?;
    let cash = Conditions { kind: AccountKind::Cash, on_insufficient: OnInsufficient::Shrink, ..Conditions::UNLIMITED };
    let terms = Terms {
        capital: 100_000.0,
        costs: Costs { slippage_bps: 2.0, ..Costs::default() },
        conditions: cash,
        limits: Limits::default(),
        start: calendar::FIRST,
        end: calendar::LAST,
    };
    let bars = series.iter().map(|series| (series.symbol, series.bars()));
    let result = PortfolioBacktest::new(bars, Momentum { bars: 126, held: 3 }, terms).run()?;
    println!(
        "return {:.3}, buying and holding all {:.3}",
        result.metrics.total_return, result.metrics.benchmark_return
    );
    println!("Sharpe ratio {:.2}, deepest fall {:.3}", result.metrics.sharpe, result.metrics.max_drawdown);
    println!("{} trades, turnover {:.1} a year", result.metrics.trades, result.metrics.turnover);
    Ok(())
}

#[test]
fn runs() -> Result<()> {
    main()
}
