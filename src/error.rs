//! One opaque error: what went wrong, where, and what to try.

use std::fmt;
use std::path::Path;

/// Result of every fallible call in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What class of failure an [`Error`] is; decides the exit code of the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line or a call's arguments make no sense (exit 2).
    Usage,
    /// A config file is malformed, out of range or contradicts itself (exit 2).
    Config,
    /// Market data is missing, corrupt or contradictory (exit 3).
    Data,
    /// The request is understood and refused, e.g. hiding a synthetic mark (exit 8).
    Refused,
}

/// An error with its kind, its place (file, symbol, date) and a suggestion.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    what: String,
    place: Option<String>,
    help: Option<String>,
}

impl Error {
    /// An error of `kind` that says `what` is wrong.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, what: what.into(), place: None, help: None }))
    }

    /// A usage error.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, what)
    }

    /// A config error.
    pub fn config(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, what)
    }

    /// A data error.
    pub fn data(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, what)
    }

    /// A refusal.
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, what)
    }

    /// A data error from reading or writing `path`.
    pub fn io(path: &Path, err: &std::io::Error) -> Self {
        Self::data(err.to_string()).at(path.display())
    }

    /// Names the place: a file, a symbol, a date. The innermost place wins.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.place.get_or_insert_with(|| place.to_string());
        self
    }

    /// Says what to try next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help.get_or_insert_with(|| help.into());
        self
    }

    /// The class of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The documented exit code for this kind.
    pub fn exit_code(&self) -> u8 {
        match self.0.kind {
            ErrorKind::Usage | ErrorKind::Config => 2,
            ErrorKind::Data => 3,
            ErrorKind::Refused => 8,
        }
    }

    /// What to try, if the error knows.
    pub fn suggestion(&self) -> Option<&str> {
        self.0.help.as_deref()
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
        let err = Error::data("bad row").at("AMC.csv:7").at("import").help("a").help("b");
        assert_eq!(err.to_string(), "AMC.csv:7: bad row");
        assert_eq!(err.suggestion(), Some("a"));
        assert_eq!(err.exit_code(), 3);
    }
}
