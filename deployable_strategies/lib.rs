//! The strategies that Magellan deploys. To add one, copy a folder and add a line to [`ALL`].

pub mod rsi_hysteresis;

pub mod bear_trap;
pub mod daily_trend;
pub mod hourly_swing;

use magellan::registry::{AnyStrategy, Entry};

/// Every strategy the binary knows, by name.
pub const ALL: &[&dyn AnyStrategy] = &[
    &Entry::<bear_trap::BearTrap>::NEW,
    &Entry::<daily_trend::DailyTrend>::NEW,
    &Entry::<hourly_swing::HourlySwing>::NEW,
];
