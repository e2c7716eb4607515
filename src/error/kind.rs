//! Classes of failure, and the exit code of each.

/// What class of failure an [`Error`](super::Error) is; decides the exit code of the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The command line or a call's arguments make no sense (exit 2).
    Usage,
    /// A config file is malformed, out of range or contradicts itself (exit 2).
    Config,
    /// Market data is missing, corrupt or contradictory (exit 3).
    Data,
    /// The verdict is negative (exit 1; inconclusive alone: exit 4).
    Verdict,
    /// A deploy failed, and what runs isn't known to be well (exit 6; if the former release runs: 5).
    Deploy,
    /// A service isn't well (exit 7).
    Health,
    /// The request is understood and refused, e.g. hiding a synthetic mark (exit 8).
    Refused,
}

impl ErrorKind {
    /// The documented exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Usage | Self::Config => 2,
            Self::Data => 3,
            Self::Verdict => 1,
            Self::Deploy => 6,
            Self::Health => 7,
            Self::Refused => 8,
        }
    }
}
