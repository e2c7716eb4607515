//! What is shown and written: one exporter per file.

pub mod errors;
pub mod files;
pub mod findings;
pub mod github;
pub mod html;
pub mod junit;
pub mod markdown;
pub mod orders;
pub mod recognised;
pub mod table;
pub mod traded;
pub mod words;
