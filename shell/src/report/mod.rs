//! What is shown and written: one exporter per file.

use std::fmt::Display;

pub mod errors;
pub mod files;
pub mod findings;
pub mod github;
pub mod html;
pub mod junit;
pub mod markdown;
pub mod table;

/// `1 trial`, `2 trials`.
pub fn count<N: Display + PartialEq + From<u8>>(n: N, noun: &str) -> String {
    let ending = if n == N::from(1) { "" } else { "s" };
    format!("{n} {noun}{ending}")
}
