//! Where `dyn` begins and ends: strategies by name, chosen at run time.

use std::marker::PhantomData;

use serde_json::Value;

use crate::backtest::{self, Request, Run};
use crate::bar::{Symbol, Timeframe};
use crate::config::{Config, Overnight};
use crate::error::{Error, Result};
use crate::strategy::Strategy;

/// What a strategy adds to the contract to be configured and deployed.
pub trait Deployable: Strategy {
    /// Bars it trades on.
    const TIMEFRAME: Timeframe;
    /// Whether prices are split-adjusted.
    const ADJUSTED: bool;
    /// Whether it holds overnight.
    const OVERNIGHT: Overnight;
    /// What `equity.csv` lists in single scope.
    const EQUITY_ROWS: EquityRows;

    /// The parameters of one symbol.
    ///
    /// # Errors
    /// Config error if they are missing or out of range.
    fn from_config(config: &Config, symbol: Symbol) -> Result<Self>;

    /// Dollars set aside for this symbol, if the config does that.
    fn allocation(&self) -> Option<f64> {
        None
    }

    /// Parameters for `metrics.json`.
    fn describe(&self) -> Vec<(&'static str, Value)>;
}

/// What `equity.csv` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EquityRows {
    /// Every bar, with the indicators.
    Bars,
    /// Every session; bars go into `equity_bars.csv`.
    Sessions,
}

/// A strategy of any type.
pub trait AnyStrategy: Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Bars it trades on.
    fn timeframe(&self) -> Timeframe;
    /// What `equity.csv` lists.
    fn equity_rows(&self) -> EquityRows;
    /// Names of its indicators, in order.
    ///
    /// # Errors
    /// Config error if a symbol's parameters are missing or out of range.
    fn input_names(&self, config: &Config) -> Result<Vec<&'static str>>;
    /// Refuses a config that isn't this strategy's.
    ///
    /// # Errors
    /// Config error.
    fn check(&self, config: &Config) -> Result<()>;
    /// Replays it.
    ///
    /// # Errors
    /// Config, usage and data errors of the request.
    fn backtest(&self, request: &Request<'_>) -> Result<Vec<Run>>;
}

/// Makes a strategy type a value: `&Entry::<BearTrap>::NEW`.
pub struct Entry<S>(PhantomData<fn() -> S>);

impl<S> Entry<S> {
    /// The entry.
    pub const NEW: Self = Self(PhantomData);
}

impl<S: Deployable> AnyStrategy for Entry<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn timeframe(&self) -> Timeframe {
        S::TIMEFRAME
    }

    fn equity_rows(&self) -> EquityRows {
        S::EQUITY_ROWS
    }

    fn input_names(&self, config: &Config) -> Result<Vec<&'static str>> {
        let Some(&symbol) = config.symbols.first() else { return Ok(Vec::new()) };
        let indicators = S::from_config(config, symbol)?.indicators();
        Ok(indicators.as_ref().iter().map(|i| i.name()).collect())
    }

    fn check(&self, config: &Config) -> Result<()> {
        backtest::check_config::<S>(config)
    }

    fn backtest(&self, request: &Request<'_>) -> Result<Vec<Run>> {
        backtest::run::<S>(request)
    }
}

/// The strategy called `name`.
///
/// # Errors
/// Usage error that lists the known ones.
pub fn find<'a>(strategies: &[&'a dyn AnyStrategy], name: &str) -> Result<&'a dyn AnyStrategy> {
    strategies.iter().copied().find(|s| s.name() == name).ok_or_else(|| {
        let known: Vec<&str> = strategies.iter().map(|s| s.name()).collect();
        Error::usage(format!("there is no strategy `{name}`")).help(format!("known are {}", known.join(", ")))
    })
}
