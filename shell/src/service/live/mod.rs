//! A strategy that trades: live bars in, orders at the broker out, and a journal that survives everything.
//!
//! One thread decides. Everything that happens to it comes through one queue (`Input`): bars and trade updates from
//! two sockets, answers from threads that ask over HTTP. What it makes of them is a record in the journal, synced
//! before an order leaves. After a crash the journal gives back the desk, the broker is asked what happened meanwhile,
//! and bars since the open are shown to the strategy again before it trades.
//!
//! | to change | see |
//! |---|---|
//! | what a config and a command line say of it | `settings.rs` |
//! | what is done before it trades | `start.rs`, with `recovered.rs` (the journal) and `history.rs` (bars before) |
//! | what happens when something comes in, and its phases | `trader.rs` |
//! | sessions, bars and time limits | `day.rs`, `coarser.rs` |
//! | what is asked of the broker, and what it answers | `requests.rs`; the threads that ask: `workers.rs` |
//! | what an order that opens a position must not be | `guard.rs` |
//! | what updates and looks tell of orders | `updates.rs` |
//! | how broker and journal are compared | `reconcile.rs` |
//! | the journal's file | `journal.rs`; reading it again, for parity and the dashboard: `replay.rs` |
//! | figures | `metrics.rs`, `latency.rs` |

mod coarser;
mod day;
mod guard;
mod history;
pub(crate) mod journal;
mod latency;
mod metrics;
mod reconcile;
mod recovered;
pub(crate) mod replay;
mod requests;
mod settings;
mod start;
mod trader;
mod updates;
mod workers;

pub(crate) use journal::KILL;
pub use reconcile::reconcile;
pub use settings::Settings;
pub(crate) use settings::keep_memory_private;
pub use start::start;
pub use trader::{OnStop, Trader};
