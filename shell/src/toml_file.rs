//! TOML files that people write: typed, small, and every key known.

use std::path::Path;

use magellan::disk::map;
use magellan::error::{Code, Error, Result};
use magellan::finding::{Span, nearest};
use serde::de::DeserializeOwned;

/// Largest file read, bytes.
pub(crate) const LARGEST: u64 = 64 << 10;

/// Reads a file; what it says, and its text.
///
/// # Errors
/// With this code, at line and column.
pub fn read<T: DeserializeOwned>(path: &Path, code: Code) -> Result<(T, String)> {
    let bytes = map::bytes_up_to(path, LARGEST).map_err(|e| e.recode(code))?;
    let text = String::from_utf8(bytes.to_vec())
        .map_err(|e| Error::new(code, format!("not UTF-8 text: {e}")).at(path.display()))?;
    let parsed: std::result::Result<T, toml::de::Error> = toml::from_str(&text);
    let parsed = parsed.map_err(|e| {
        let mut error = Error::new(code, e.message().trim());
        if let Some(meant) = meant(e.message()) {
            error = error.help(format!("did you mean `{meant}`?"));
        }
        match e.span().map(|s| Span::of(&text, s.start, s.end)) {
            Some(span) => error.at_line(path, span.line, Some(span.column)),
            None => error.at(path.display()),
        }
    })?;
    Ok((parsed, text))
}

/// The key that an unknown one is a slip of, from what the parser says: names stand in backticks, the wrong one first.
fn meant(message: &str) -> Option<&str> {
    let names = message.strip_prefix("unknown field ")?;
    let mut names = names.split('`').skip(1).step_by(2);
    let wrong = names.next()?;
    nearest(wrong, names)
}

/// Refuses the first key whose value can't be right, at its line.
///
/// # Errors
/// With this code.
pub fn refuse<K: AsRef<str>>(faults: Vec<(K, String)>, path: &Path, text: &str, code: Code) -> Result<()> {
    let Some((key, what)) = faults.into_iter().next() else { return Ok(()) };
    let names = |line: &str| {
        let line = line.trim_start();
        line.starts_with(key.as_ref()) || (line.starts_with('[') && line.contains(key.as_ref()))
    };
    let line = text.lines().position(names).map_or(1, |i| i + 1);
    Err(Error::new(code, what).at_line(path, line, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_in_a_key_is_answered_with_the_key() {
        let said = "unknown field `longest_day`, expected `who` or `longest_days`";
        assert_eq!(meant(said), Some("longest_days"));
        assert_eq!(meant("unknown field `else`, expected `who` or `longest_days`"), None);
        assert_eq!(meant("missing field `who`"), None);
    }
}
