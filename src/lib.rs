//! Magellan takes a trading strategy from research to a live service so that green means
//! something.
//!
//! Bars are borrowed columns, a history cuts them into exchange sessions, indicators fold over
//! it; [`strategy`] shows a strategy and `benches/researcher.rs` a whole research program.
//!
//! ```
//! use magellan::bar::{Bars, Date, Nanos, Timeframe};
//! use magellan::history::{History, Hours};
//! use magellan::indicator::{Columns, Indicator};
//!
//! let days = ["2024-07-02", "2024-07-03", "2024-07-04", "2024-07-05"].map(|d| d.parse::<Date>());
//! let start: Vec<Nanos> = days.into_iter().map(|d| Ok(d?.utc_midnight())).collect::<magellan::error::Result<_>>()?;
//! let close = [549.0, 551.5, 551.5, 554.5];
//! let bars = Bars::new(Timeframe::Day, &start, [&close; 5].map(|c| &c[..]))?;
//! let history = History::new("SPY".parse()?, bars, Hours::Regular)?;
//! let columns = Columns::compute(&history, &[Indicator::sma(3)]);
//! // July 4 is no session: three bars, and the mean of all of them at the last.
//! assert_eq!(columns.get(Indicator::sma(3))[2], (549.0 + 551.5 + 554.5) / 3.0);
//! # Ok::<(), magellan::error::Error>(())
//! ```

pub mod error;
pub mod finding;

#[cfg(feature = "arrow2")]
pub mod arrow2_bars;
pub mod bar;
pub mod order;

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
pub mod runner;

pub mod metrics;
pub mod stats;

pub mod sweep;

pub mod ledger;

pub mod config;

pub mod deployed;

pub mod deployable;

pub mod research;

pub mod registry;

pub mod gate;

#[cfg(any(test, fuzzing))]
pub mod fuzz;
