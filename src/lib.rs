//! Magellan takes a trading strategy from research to a live service so that green means
//! something.

pub mod error;

pub mod bar;
pub mod order;

pub mod calendar;
pub mod history;

pub mod archive;

pub mod indicator;

pub mod strategy;

pub mod costs;
pub mod risk;

pub mod account;

pub mod replay;

pub mod metrics;

pub mod config;

pub mod registry;

pub mod backtest;

pub mod gate;

pub mod report;

#[cfg(feature = "cli")]
pub mod cli;
