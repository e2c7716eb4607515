//! Magellan takes a trading strategy from research to a live service so that green means
//! something.
//!
//! From an archive to a figure and a plot:
//!
//! ```
//! use magellan::prelude::*;
//!
//! # let folder = std::env::temp_dir().join(format!("magellan-lib-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, &e))?;
//! # let plot = folder.join("equity.svg");
//! let archive = Archive::open("data/sample".as_ref(), Access::Map)?;
//! let spy = archive.load("SPY".parse()?, Timeframe::Day)?;
//! let size = Size::Notional(50_000.0);
//! let strategy = Levels { indicator: Indicator::rsi(14), enter_above: 60.0, exit_below: 40.0, size };
//! let result = Backtest::new(&spy, strategy).costs(Costs { slippage_bps: 1.0, ..Costs::default() }).run()?;
//! println!("Sharpe ratio {}", result.metrics.sharpe);
//! result.plot(&plot)?;
//! # assert!(result.metrics.sharpe.value().is_some_and(f64::is_finite) && plot.exists());
//! # std::fs::remove_dir_all(&folder).map_err(|e| Error::io(&folder, &e))?;
//! # Ok::<(), Error>(())
//! ```
//!
//! # Where to read on
//!
//! | to | read |
//! |---|---|
//! | write a strategy | [`strategy`], [`indicator`], [`order`]; `examples/strategy.rs` |
//! | trade many symbols together | [`portfolio`]; `examples/momentum.rs`, `examples/pair.rs` |
//! | replay a file of orders | [`orders`], [`research::orders`] |
//! | sweep parameters, walk forward | [`registry`], [`research`], [`deployable`], [`config`]; `examples/sweep.rs` |
//! | look at bars without trading | [`archive`], [`history`], [`indicator::Columns`]; `examples/event_study.rs` |
//! | know what a result is worth | [`metrics`], [`stats`], [`gate`] |
//! | run a strategy bar by bar | [`runner`] |
//!
//! Figures that are to be judged must be counted: the use cases in [`research`] take a [`ledger`] and record every trial
//! before they hand out a result. What comes from elsewhere is [`uncounted`], and neither the gate nor the reports take
//! it.
//!
//! Instants are nanoseconds of UTC, dates are those of the exchange in New York, money is dollars, rates are fractions,
//! and ratios are annualised over 252 sessions. Archives of other calendars have UTC's dates and more sessions a year.

pub mod error;
pub mod finding;

pub mod bar;
mod words;

pub mod order;

#[cfg(feature = "arrow2")]
pub mod arrow2_bars;

pub mod calendar;
pub mod history;

pub mod disk;

pub mod archive;

pub mod indicator;

pub mod strategy;

pub mod costs;
pub mod risk;

pub mod account;

pub mod uncounted;

pub mod replay;
pub mod rules;
pub mod runner;

pub mod metrics;
pub mod stats;

pub mod orders;

pub mod portfolio;

mod plot;

pub mod backtest;
pub mod levels;

pub mod sweep;

pub mod ledger;

pub mod holdout;

pub mod config;

pub mod deployed;

pub mod deployable;

pub mod research;

pub mod registry;

pub mod declared;

pub mod live;

pub mod gate;

pub mod prelude;

#[cfg(any(test, fuzzing))]
pub mod fuzz;
