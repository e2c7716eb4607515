//! What a researcher does with a strategy and an archive: backtests, sweeps and walk-forwards, each counted.
//!
//! A use case takes the strategy's [`Ledger`](crate::ledger::Ledger) and hands out no figure before its trials are
//! recorded in it. They are called on a strategy of any type: see [`crate::registry`].

pub mod backtest;
pub mod coverage;
pub mod elsewhere;
mod equity;
pub mod landscape;
pub mod market;
pub mod orders;
pub mod plan;
pub mod progress;
pub mod results;
pub mod sweep;
pub mod sweepable;
mod together;
pub mod walk_forward;
