//! What is shown and written: one exporter per file.

pub mod errors;
pub mod files;
#[cfg(feature = "cli")]
pub mod findings;
#[cfg(feature = "cli")]
pub mod github;
#[cfg(feature = "cli")]
pub mod html;
#[cfg(feature = "cli")]
pub mod junit;
#[cfg(feature = "cli")]
pub mod markdown;
#[cfg(feature = "cli")]
pub mod table;
