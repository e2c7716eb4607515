//! What touches clock, host and network: the command line of Magellan, its reports, the service that a unit starts, and
//! deploys.

pub mod codes;

mod clock;

pub mod toml_file;

pub mod git;

pub mod unit;

pub mod release;

pub mod policy;

pub mod stray;

#[cfg(feature = "deploy")]
pub mod signing;

pub mod validate;

pub mod records;

pub mod report;

#[cfg(any(feature = "live", feature = "deploy"))]
mod http;

#[cfg(feature = "live")]
pub mod alpaca;

#[cfg(feature = "live")]
mod server;

#[cfg(feature = "live")]
pub mod service;

#[cfg(feature = "live")]
pub mod dashboard;

#[cfg(feature = "deploy")]
pub mod notify;

#[cfg(feature = "deploy")]
pub mod deploy;

#[cfg(feature = "aws")]
pub mod aws;

pub mod cli;

#[cfg(any(test, fuzzing))]
pub mod fuzz;
