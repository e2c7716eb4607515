//! Numbers with what they count, as sentences have them.

use std::fmt::Display;

/// `1 trial`, `2 trials`.
pub fn counted(number: impl Display, what: &str) -> String {
    plural(number, what, &format!("{what}s"))
}

/// `1 entry`, `2 entries`.
pub fn plural(number: impl Display, one: &str, many: &str) -> String {
    let number = number.to_string();
    let what = if number == "1" { one } else { many };
    format!("{number} {what}")
}
