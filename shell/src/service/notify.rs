//! What systemd is told. Without `NOTIFY_SOCKET` nobody listens, and nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// How long systemd waits for progress; none if nobody watches.
pub(super) fn watchdog_period() -> Option<Duration> {
    let micros = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    Some(Duration::from_micros(micros))
}

/// The service is up.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It made progress.
pub(super) fn watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// It isn't up yet, and needs so much more time.
pub(super) fn needs(time: Duration) {
    tell(&[NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))]);
}

/// What `systemctl status` shows.
pub(super) fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// It ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(state) {
        warn!("systemd can't be told {state:?}: {err}");
    }
}
