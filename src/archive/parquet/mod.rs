//! Parquet, read and written: the one place that configures the library.

mod cast;
pub(crate) mod cells;
mod claims;
pub(crate) mod features;
pub(crate) mod guard;
pub(crate) mod read;
mod schema;
pub(crate) mod write;

pub use guard::hide_caught_panics;
