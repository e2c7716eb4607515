//! A short position with a protective stop: `cargo run --release --example short`
//!
//! It sells short a close below the average of fifty days, and covers one above it. The account covers by itself where
//! the price rises two per cent above the entry.

use magellan::metrics::BySide;
use magellan::prelude::*;

/// Falls with the market.
#[derive(Clone, Copy)]
struct BelowAverage {
    period: u32,
    dollars: f64,
    stop_percent: f64,
}

impl Strategy for BelowAverage {
    const NAME: &'static str = "below_average";
    type Inputs = [f64; 1];
    type State = ();

    fn indicators(&self) -> [Indicator; 1] {
        [Indicator::sma(self.period)]
    }

    fn warmup(&self) -> usize {
        self.period as usize
    }

    fn decide(&self, (): &mut (), now: &Now<[f64; 1]>) -> Option<Order> {
        let [average] = now.inputs;
        let bracket = Bracket { stop: Some(Stop::Percent(self.stop_percent)), ..Bracket::NONE };
        match now.position.is_open() {
            false if now.bar.close < average => {
                Some(Order::Enter(Entry { side: Side::Sell, size: Size::Notional(self.dollars), bracket }))
            }
            true if now.bar.close > average => Some(Order::Exit(Reason::Signal("above_average"))),
            _ => None,
        }
    }
}

fn main() -> Result<()> {
    let archive = Archive::open("data/sample".as_ref(), Access::Map)?;
    let spy = archive.load("SPY".parse()?, Timeframe::Day)?;
    let strategy = BelowAverage { period: 50, dollars: 50_000.0, stop_percent: 2.0 };
    let result = Backtest::new(&spy, strategy).costs(Costs { slippage_bps: 1.0, ..Costs::default() }).run()?;
    println!("{result}");
    let short = BySide::of(&result.replay).short;
    println!("{} short trades, {:.2} dollars of profit", short.trades, short.pnl);
    let stopped = result.replay.fills.iter().filter(|fill| fill.reason == Reason::Stop).count();
    println!("{stopped} of them were stopped");
    Ok(())
}

#[test]
fn runs() -> Result<()> {
    main()
}
