//! Where time enters: for the command line, and for what a service says of when it wrote. No decision asks it.

use jiff::Timestamp;
use magellan::bar::{Date, Nanos};

/// The time.
#[expect(clippy::disallowed_methods, reason = "this is where time enters")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Nanoseconds since 1970.
pub(crate) fn nanos() -> Nanos {
    Nanos::try_from(now().as_nanosecond()).unwrap_or(Nanos::MAX)
}

/// Today, UTC.
pub(crate) fn today() -> Date {
    Date::of_utc(nanos())
}
