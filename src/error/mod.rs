//! One opaque error: what went wrong, where, and what to try.

pub mod code;
pub mod codes;
pub mod kind;

use std::fmt;
use std::path::{Path, PathBuf};

pub use code::{Code, Entry};
pub use kind::ErrorKind;

/// Result of every fallible call in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with its code, its place (file, symbol, date) and a suggestion.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    what: String,
    place: Option<String>,
    /// The place in a text file, if it is one: file, line and column from 1.
    line: Option<(PathBuf, usize, usize)>,
    help: Option<String>,
}

impl Error {
    /// An error that says `what` is wrong.
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self(Box::new(Inner { code, what: what.into(), place: None, line: None, help: None }))
    }

    /// The operating system's refusal to read or write `path`.
    pub fn io(path: &Path, err: &std::io::Error) -> Self {
        Self::new(codes::IO, err.to_string()).at(path.display())
    }

    /// Names the place: a file, a symbol, a date. The innermost place wins.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.place.get_or_insert_with(|| place.to_string());
        self
    }

    /// Names a place in a text file: line and, if it is known, column, both from 1.
    #[must_use]
    pub fn at_line(mut self, file: &Path, line: usize, column: Option<usize>) -> Self {
        let place = format!("{}:{line}", file.display());
        self.0.line.get_or_insert_with(|| (file.to_owned(), line, column.unwrap_or(1)));
        self.at(column.map_or(place.clone(), |column| format!("{place}:{column}")))
    }

    /// Says what to try next, where that is more than the code's own [`Code::next`].
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help.get_or_insert_with(|| help.into());
        self
    }

    /// The same fault seen from further out: a bad date is one thing in a flag and another
    /// in a file. What to try stays.
    #[must_use]
    pub fn recode(mut self, code: Code) -> Self {
        self.0.code = code;
        self
    }

    /// Names the column of a table that it is about.
    #[must_use]
    pub fn within(mut self, column: &str) -> Self {
        self.0.what = format!("column {column}: {}", self.0.what);
        self
    }

    /// Its stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The class of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.code.kind()
    }

    /// The documented exit code.
    pub fn exit_code(&self) -> u8 {
        self.kind().exit_code()
    }

    /// What is wrong, without the place.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// The place, if one is known.
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// File, line and column, if the place is one in a text file.
    pub fn line(&self) -> Option<(&Path, usize, usize)> {
        self.0.line.as_ref().map(|(file, line, column)| (file.as_path(), *line, *column))
    }

    /// What to try.
    pub fn suggestion(&self) -> &str {
        self.0.help.as_deref().unwrap_or(self.0.code.next())
    }
}

/// A foreign text as messages quote it, cut if it is long.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("`{}…`", &text[..at]),
        None => format!("`{text}`"),
    }
}

/// Place and fault on one line; the suggestion is [`Error::suggestion`].
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.what)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_place_and_suggestion_win() {
        let err = Error::new(codes::BAD_VALUE, "bad row").at("AMC.csv:7").at("import").help("a").help("b");
        assert_eq!(err.to_string(), "AMC.csv:7: bad row");
        assert_eq!(err.suggestion(), "a");
        assert_eq!(err.exit_code(), 3);
    }

    #[test]
    fn every_error_has_a_next_step() {
        assert_eq!(Error::new(codes::IO, "x").suggestion(), codes::IO.next());
    }

    #[test]
    fn slugs_are_unique_and_plain() {
        let mut slugs: Vec<&str> = codes::ALL.iter().map(|c| c.slug()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), codes::ALL.len());
        assert!(slugs.iter().all(|s| s.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }
}
