//! Notifications to Slack and Discord: what happened to a rollout or a unit, told where people look.
//!
//! A notifier is never a reason for a deploy to fail: [`notify`] returns nothing and takes at most [`FOREGROUND`].
//! What it can't deliver waits in the outbox for the next call or for `magellan notify deliver`.
//!
//! # At least once, and when twice
//! Neither service knows an idempotency key, so nobody can promise exactly once. This is what is promised:
//! - An event that is put twice is one: its [`id`](Event::id) names its file.
//! - Two processes never send the same event at once: each channel has a lock.
//! - Before the first byte of a message leaves, the file says that it is on its way. A process that dies earlier has
//!   sent nothing, and nothing is lost.
//! - An answer of 2xx makes the event delivered; any other answer means that it wasn't taken, and it is sent again.
//! - Without an answer (the connection broke, time was up, the process was killed, the machine stopped between the
//!   first byte and the renaming of the file) nobody knows whether it was shown. Then it is sent once more, and that
//!   message says that it may be a repeat. If that one isn't answered either, the event is given up with a note.
//!
//! So a double appears only after an unanswered message, once, and is labelled. An event is lost only if two messages
//! are unanswered, if the service says that it can't be shown (400, 413, 422), or if a day passes without success.

mod channel;
mod delivery;
mod event;
mod outbox;
mod payload;
mod post;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use channel::{Channel, Channels, DISCORD_VARIABLE, SLACK_VARIABLE};
pub use delivery::{Report, deliver};
pub use event::{Event, EventKind};
pub use outbox::{KEPT, LIFETIME, Outbox};

/// How long [`notify`] may take.
pub const FOREGROUND: Duration = Duration::from_secs(5);

/// Puts the event into the outbox and delivers what is there, for at most [`FOREGROUND`]. What didn't work is told in
/// one line; nothing is returned, since whoever calls goes on anyway.
pub fn notify(outbox: &Outbox<'_>, channels: &Channels, event: &Event, tell: &dyn Fn(&str)) {
    let put = channels.names().filter_map(|channel| outbox.put(channel, event).err());
    let mut notes: Vec<String> = put.map(|err| err.to_string()).collect();
    notes.extend(deliver(outbox, channels, FOREGROUND).iter().filter_map(Report::note));
    if !notes.is_empty() {
        tell(&format!("notifications: {}", notes.join("; ")));
    }
}
