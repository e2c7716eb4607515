//! An indicator of one's own, beside ours: `cargo run --release --example own_indicator`
//!
//! Connors' RSI without its rank: the mean of a short RSI of closes and a short RSI of streaks, above the weekly trend.

use magellan::bar::Bar;
use magellan::calendar::Session;
use magellan::indicator::OwnIndicator;
use magellan::prelude::*;

/// How many closes in a row lie above the one before; negative below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Streak {
    /// Longer ones count as so long.
    longest: u32,
}

/// What it remembers.
#[derive(Clone, Copy)]
struct Counted {
    close: f64,
    streak: f64,
}

impl OwnIndicator for Streak {
    const NAME: &'static str = "streak";
    type State = Counted;

    fn start(&self, _: Symbol) -> Counted {
        Counted { close: f64::NAN, streak: 0.0 }
    }

    fn next(&self, before: &mut Counted, bar: &Bar, _: &Session) -> f64 {
        let streak = match bar.close - before.close {
            rise if rise > 0.0 => before.streak.max(0.0) + 1.0,
            fall if fall < 0.0 => before.streak.min(0.0) - 1.0,
            _ => 0.0,
        };
        let longest = f64::from(self.longest);
        *before = Counted { close: bar.close, streak: streak.clamp(-longest, longest) };
        before.streak
    }

    fn period(&self) -> usize {
        self.longest as usize + 1
    }
}

/// Buys weakness in a rising market.
#[derive(Clone, Copy)]
struct WeakDays {
    longest: u32,
    buy_below: f64,
    sell_above: f64,
}

impl Strategy for WeakDays {
    const NAME: &'static str = "weak_days";
    type Inputs = [f64; 3];
    type State = ();

    fn indicators(&self) -> [Indicator; 3] {
        let streak = Indicator::own(Streak { longest: self.longest });
        let weekly_trend = Indicator::ema(10).at(Timeframe::Week);
        [Indicator::rsi(3), Indicator::rsi(2).on(streak), weekly_trend]
    }

    fn warmup(&self) -> usize {
        60
    }

    fn decide(&self, (): &mut (), now: &Now<[f64; 3]>) -> Option<Order> {
        let [rsi, rsi_of_streaks, weekly_trend] = now.inputs;
        let strength = (rsi + rsi_of_streaks) / 2.0;
        match now.position.is_open() {
            false if strength < self.buy_below && now.bar.close > weekly_trend => {
                Some(Order::buy(Size::Notional(50_000.0)))
            }
            true if strength > self.sell_above => Some(Order::Exit(Reason::Signal("strong"))),
            _ => None,
        }
    }
}

fn main() -> Result<()> {
    let archive = Archive::open("data/sample".as_ref(), Access::Map)?;
    let spy = archive.load("SPY".parse()?, Timeframe::Day)?;
    let strategy = WeakDays { longest: 10, buy_below: 20.0, sell_above: 70.0 };
    let result = Backtest::new(&spy, strategy).costs(Costs { slippage_bps: 1.0, ..Costs::default() }).run()?;
    println!("{result}");
    Ok(())
}

#[test]
fn runs() -> Result<()> {
    main()
}
