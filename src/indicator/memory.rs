//! How far back indicators depend on bars.

/// How far back an indicator remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// To the archive's first bar.
    Continuous,
    /// To the session's first bar.
    Session,
}
