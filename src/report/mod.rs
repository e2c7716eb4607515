//! What is shown and written: one exporter per file.

pub mod errors;
pub mod files;
#[cfg(feature = "cli")]
pub mod findings;
#[cfg(feature = "cli")]
pub mod table;
