//! The service's clock: for heartbeats and names of log files, never for decisions.

use magellan::bar::Nanos;

/// Nanoseconds since 1970, now.
#[expect(clippy::disallowed_methods, reason = "a service says when it wrote; its decisions never ask")]
pub(super) fn now() -> Nanos {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX))
}
