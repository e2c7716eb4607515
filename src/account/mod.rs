//! Orders and bars in, trades out: one cash account, and for each symbol one book.
//!
//! | to change | see |
//! |---|---|
//! | at what price an order, a stop, a target or a liquidation fills | `fill.rs` |
//! | what waits, what is held, and what a bar does to it | `book.rs` |
//! | cash, limits, and how many shares an order buys | `cash.rs` |

mod book;
mod cash;
mod fill;

pub use book::{Book, Placement};
pub use cash::Account;
pub use fill::Fill;
