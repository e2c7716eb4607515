//! What is shown and written: one exporter per file.

pub mod files;
#[cfg(feature = "cli")]
pub mod table;
