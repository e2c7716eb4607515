//! Named limit orders with brackets, moved and cancelled: `cargo run --release --example limit_bracket`
//!
//! While the market rises, a limit order waits for a dip and a stop order for a new high; whichever fills first cancels
//! the other. Each close moves the limit, and both are cancelled when the rise ends. The position has a stop and two
//! targets; the first target moves the stop to the entry price.

use magellan::account::State;
use magellan::order::{Change, Level, NewStop, TakeProfit};
use magellan::prelude::*;

/// Buys dips and new highs of a rising market.
#[derive(Clone, Copy)]
struct Patient {
    /// Per cent of the average at which the limit waits.
    below: f64,
    dollars: f64,
}

/// Half is sold three per cent above the entry, the rest six; the stop lies four below.
const EXITS: Bracket = Bracket {
    stop: Some(Stop::Percent(4.0)),
    targets: [
        Some(TakeProfit { level: Level::Percent(3.0), percent: 50.0, then_stop: Some(NewStop::Offset(0.0)) }),
        Some(TakeProfit { level: Level::Percent(6.0), percent: 50.0, then_stop: None }),
        None,
        None,
    ],
    ..Bracket::NONE
};

impl Strategy for Patient {
    const NAME: &'static str = "patient";
    type Inputs = [f64; 3];
    type State = ();

    fn indicators(&self) -> [Indicator; 3] {
        [Indicator::sma(20), Indicator::sma(100), Indicator::Max { field: Field::High, period: 20 }]
    }

    fn warmup(&self) -> usize {
        100
    }

    fn act(&self, (): &mut (), now: &Now<[f64; 3]>, orders: &mut Orders) {
        let [average, trend, highest] = now.inputs;
        let (rises, limit) = (now.bar.close > trend, average * self.below / 100.0);
        let waits = orders.find("dip").is_some();
        if now.position.is_open() {
            // The bracket does the rest.
        } else if rises && !waits {
            let entry = Ticket::buy(Size::Notional(self.dollars)).bracket(EXITS).one_cancels_other("entry");
            orders.place(Order::Place(entry.limit(limit).named("dip")));
            orders.place(Order::Place(entry.stop(highest + 0.01).named("high").for_bars(20)));
        } else if rises {
            orders.place(Order::Replace("dip".into(), Change { limit: Some(limit), ..Change::default() }));
        } else if waits {
            orders.place(Order::Cancel("dip".into()));
            orders.place(Order::Cancel("high".into()));
        }
    }
}

fn main() -> Result<()> {
    let archive = Archive::open("data/sample".as_ref(), Access::Map)?;
    let spy = archive.load("SPY".parse()?, Timeframe::Day)?;
    let strategy = Patient { below: 98.0, dollars: 50_000.0 };
    let result = Backtest::new(&spy, strategy).costs(Costs { slippage_bps: 1.0, ..Costs::default() }).run()?;
    println!("{result}");
    for (state, count) in State::ALL.into_iter().zip(result.replay.totals.orders) {
        println!("{count} orders {}", state.name());
    }
    for reason in [Reason::Stop, Reason::Target(1), Reason::Target(2)] {
        let exits = result.replay.fills.iter().filter(|fill| fill.reason == reason).count();
        println!("{exits} exits: {reason}");
    }
    Ok(())
}

#[test]
fn runs() -> Result<()> {
    main()
}
