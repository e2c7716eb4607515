//! A strategy of one's own, replayed over the sample archive: `cargo run --release --example strategy`
//!
//! It buys a close above the average of twenty days and sells one below it.

use magellan::prelude::*;

/// Follows a moving average.
#[derive(Clone, Copy)]
struct AboveAverage {
    period: u32,
    dollars: f64,
}

impl Strategy for AboveAverage {
    const NAME: &'static str = "above_average";
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
        match now.position.is_open() {
            false if now.bar.close > average => Some(Order::buy(Size::Notional(self.dollars))),
            true if now.bar.close < average => Some(Order::Exit(Reason::Signal("below_average"))),
            _ => None,
        }
    }
}

fn main() -> Result<()> {
    let archive = Archive::open("data/sample".as_ref(), Access::Map)?;
    let spy = archive.load("SPY".parse()?, Timeframe::Day)?;
    let strategy = AboveAverage { period: 20, dollars: 50_000.0 };
    let result = Backtest::new(&spy, strategy).costs(Costs { slippage_bps: 1.0, ..Costs::default() }).run()?;
    println!("{result}");
    for fill in result.replay.fills.iter().take(3) {
        println!("  {} shares, {:.2} to {:.2} dollars", fill.shares, fill.entry_price, fill.exit_price);
    }
    Ok(())
}

#[test]
fn runs() -> Result<()> {
    main()
}
