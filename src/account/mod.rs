//! Orders and bars in, trades out: one account, and for each symbol one book.
//!
//! | to change | see |
//! |---|---|
//! | at what price an order, a stop, a target or a liquidation fills | `fill.rs` |
//! | what a lot's bracket wants, and when | `desk.rs` |
//! | what works, and what it trades at a position | `working.rs` |
//! | what a bar does to both, and in which order | `book/` |
//! | how an order is taken: limits, sizes, contradictions | `hear.rs` |
//! | cash, margin, limits, and how many units an order trades | `cash.rs` |
//! | fees with a minimum | `commission.rs` |
//! | what an account may do | `conditions.rs` |
//! | what shall work at a real broker | `want.rs`, `book/at_broker.rs` |
//! | what is left of executions and orders | `record.rs` |

mod book;
mod cash;
mod commission;
mod conditions;
mod desk;
mod fill;
mod hear;
mod record;
mod unit;
mod want;
mod working;

pub use book::{BarAt, Book, Handle, Placement};
pub use cash::{Account, Kept};
pub use conditions::{AccountKind, Conditions, OnInsufficient};
pub use record::{By, End, Execution, Fill, Outcome, Part, Place, State, Totals};
pub use unit::Unit;
pub use want::{Form, Leg, Want};
pub use working::Heard;
