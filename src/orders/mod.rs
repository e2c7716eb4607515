//! A file of orders, in any language's hand: read, checked whole, and replayed on one account.
//!
//! | to change | see |
//! |---|---|
//! | how CSV and Parquet become cells | `cells.rs` |
//! | what a cell may hold | `values.rs` |
//! | what contradicts what, which bars and identifiers there are | `check.rs` |
//! | the account's settings | `options.rs` |
//! | when rows are heard | `hearing.rs` |

mod cells;
mod check;
mod hearing;
mod options;
mod rows;
mod values;

#[cfg(any(test, fuzzing))]
pub(crate) use check::check;
pub(crate) use check::{Bars, read};
pub(crate) use hearing::replay;
pub(crate) use options::Settings;
pub use options::{Account, Insufficient, Options, Session};
pub use rows::{Placed, Rows};
