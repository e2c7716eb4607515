//! All integration tests, one binary. What each needs from outside is in `support`.

#![expect(clippy::disallowed_methods, reason = "tests read files; strategies don't")]

mod account_rules;
mod archive;
#[cfg(feature = "arrow2")]
mod arrow2_bars;
mod bad_inputs;
mod bars;
mod calendar;
mod cli;
mod composed_indicators;
mod configs;
mod corporate_actions;
mod counting;
mod data_check;
mod documentation;
mod durability;
mod enemy_files;
mod false_greens;
#[cfg(feature = "live")]
mod fetch;
mod gate;
mod holdout;
mod import;
mod indicators;
mod init;
mod least_policy;
mod look_ahead;
mod metrics;
#[cfg(feature = "deploy")]
mod notify;
mod orders;
mod pages;
mod reference;
mod research;
mod rules;
#[cfg(feature = "live")]
mod run;
mod runner;
mod sample;
#[cfg(feature = "deploy")]
mod signing;
#[cfg(feature = "live")]
mod stream;
mod support;
mod sweep;
mod tidy;
mod units;
mod validate;
mod what_people_bring;
mod workflow;
mod workflow_scripts;
