//! A strategy that trades: live bars in, orders at the broker out, and a journal that survives everything.
//!
//! One thread decides. Everything that happens to it comes through one queue (`Input`): bars and trade updates from
//! two sockets, answers from threads that ask over HTTP. What it makes of them is a record in the journal, synced
//! before an order leaves. After a crash the journal gives back the desk, the broker is asked what happened meanwhile,
//! and bars since the open are shown to the strategy again before it trades.

mod asked;
mod day;
pub(crate) mod file;
mod guard;
mod heard;
mod history_file;
mod hours;
mod latency;
mod metrics;
pub(crate) mod replayed;
mod start;
mod trader;
mod workers;

pub(crate) use file::KILL;
pub(crate) use start::keep_memory_private;
pub use start::{Settings, reconcile, start};
pub use trader::{OnStop, Trader};
