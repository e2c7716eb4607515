//! A counted sweep over an archive: `cargo run --release --example sweep`
//!
//! The strategy says where a config has its parameters, so that any key of the config can be an axis. The trials are in the
//! ledger before the first point is replayed; a real program names the project's own ledger instead of a temporary one.

use std::path::Path;

use magellan::bar::Symbol;
use magellan::config::document::Document;
use magellan::config::{Checked, Config, Overnight, Parameters};
use magellan::deployable::{Deployable, EquityRows};
use magellan::prelude::*;
use magellan::registry::{AnyStrategy, Entry as Listed};
use magellan::research::plan::Shard;
use magellan::research::results::{Contest, Rank};
use magellan::research::sweep::Keeping;
use magellan::research::sweepable::SweepRequest;
use magellan::sweep::How;
use magellan::sweep::grid::{Choice, Grid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Buys strength and sells weakness.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Strength {
    /// Period of the RSI, bars.
    period: u32,
    /// Buys above this RSI.
    upper: f64,
    /// Sells below this RSI.
    lower: f64,
}

impl Strategy for Strength {
    const NAME: &'static str = "strength";
    type Inputs = [f64; 1];
    type State = ();

    fn indicators(&self) -> [Indicator; 1] {
        [Indicator::rsi(self.period)]
    }

    fn warmup(&self) -> usize {
        100
    }

    fn decide(&self, (): &mut (), now: &Now<[f64; 1]>) -> Option<Order> {
        let [rsi] = now.inputs;
        match now.position.is_open() {
            false if rsi > self.upper => Some(Order::buy(Size::Notional(50_000.0))),
            true if rsi < self.lower => Some(Order::Exit(Reason::Signal("weak"))),
            _ => None,
        }
    }
}

impl Deployable for Strength {
    const TIMEFRAME: Timeframe = Timeframe::Day;
    const ADJUSTED: bool = true;
    const OVERNIGHT: Overnight = Overnight::Held;
    const EQUITY_ROWS: EquityRows = EquityRows::Sessions;
    const PARAMETERS: Parameters = Parameters::Common;

    fn from_config(config: &Config, _: Symbol) -> Result<Self> {
        config.parameters()
    }

    fn describe(&self) -> Vec<(&'static str, Value)> {
        vec![("period", json!(self.period)), ("upper", json!(self.upper)), ("lower", json!(self.lower))]
    }
}

/// A deployed config, with this strategy's parameters.
fn document(strategy: &dyn AnyStrategy) -> Result<Checked> {
    let mut config: Value = serde_json::from_str(include_str!("../deployed/daily_trend/config.json"))
        .map_err(|e| Error::new(magellan::error::codes::CONFIG_SYNTAX, e.to_string()))?;
    config["strategy"]["name"] = json!(Strength::NAME);
    config["symbols"] = json!(["SPY"]);
    if let Some(keys) = config.as_object_mut() {
        keys.remove("symbol_parameters");
    }
    config["strategy_parameters"] = json!({"period": 14, "upper": 60.0, "lower": 40.0});
    strategy.check(Document::parse(Path::new("strength.json"), config.to_string(), &[])?)
}

fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("magellan-sweep-{}", std::process::id()));
    let strategy: &dyn AnyStrategy = &Listed::<Strength>::NEW;
    let (document, archive) = (document(strategy)?, Archive::open("data/sample".as_ref(), Access::Map)?);
    let grid = Grid {
        axes: vec!["period=7..21:7".parse()?, "upper=50..65:5".parse()?, "lower=35..50:5".parse()?],
        conditions: vec!["lower < upper".parse()?],
    };
    let request = SweepRequest {
        document: &document,
        archive: &archive,
        symbols: None,
        timeframe: None,
        hours: None,
        start: "2018-01-02".parse()?,
        end: "2025-12-31".parse()?,
        grid: &grid,
        choice: Choice::All,
        memory: 256 << 20,
        how: How::Fast,
    };
    let keeping = Keeping { folder: &folder.join("sweep"), shard: Shard::WHOLE, together: false };
    let mut ledger = Ledger::open(&folder.join("ledger"), strategy.name())?;
    let swept = strategy.sweep(&request, &keeping, &mut ledger, &())?;
    for best in swept.best(Contest::All, Rank { by: "sharpe", lowest: false }, 3, &["sharpe", "max_drawdown"])? {
        println!("{:?} Sharpe ratio, deepest fall: {:?}", best.parameters, best.figures);
    }
    println!("the best of {} points; the ledger counts {} trials", swept.points, swept.trials);
    std::fs::remove_dir_all(&folder).map_err(|e| Error::io(&folder, &e))
}

#[test]
fn runs() -> Result<()> {
    main()
}
