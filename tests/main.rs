//! All integration tests, one binary. What each needs from outside is in `support`.

mod account_rules;
mod archive;
mod calendar;
mod cli;
mod false_greens;
mod indicators;
mod look_ahead;
mod metrics;
mod reference;
mod sample;
mod support;
mod tidy;
