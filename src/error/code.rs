//! Stable error codes: each with its cause and the next thing to do.
//!
//! A crate lists the codes of what it checks with [`error_codes!`](crate::error_codes); the binary joins the lists
//! into the error reference (`docs/errors.md`, `magellan explain`).

use std::fmt;

use super::kind::ErrorKind;

/// What went wrong, by a name that scripts may rely on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(&'static Entry);

/// What the error reference says of a code.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The name in messages and reports, e.g. `record-changed`.
    pub slug: &'static str,
    /// What class of failure it is.
    pub kind: ErrorKind,
    /// Why it happens.
    pub cause: &'static str,
    /// What to do about it, where the error itself knows nothing better.
    pub next: &'static str,
}

impl Code {
    /// The code of an entry; [`error_codes!`](crate::error_codes) makes them.
    pub const fn new(entry: &'static Entry) -> Self {
        Self(entry)
    }

    /// The name in messages and reports, e.g. `record-changed`.
    pub const fn slug(self) -> &'static str {
        self.0.slug
    }

    /// What class of failure it is.
    pub const fn kind(self) -> ErrorKind {
        self.0.kind
    }

    /// Why it happens.
    pub const fn cause(self) -> &'static str {
        self.0.cause
    }

    /// What to do about it, where the error itself knows nothing better.
    pub const fn next(self) -> &'static str {
        self.0.next
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.slug)
    }
}

/// Declares a crate's codes, by class of failure, and `ALL`, which lists them.
#[macro_export]
macro_rules! error_codes {
    ($($kind:ident { $($name:ident $slug:literal: $cause:literal; $next:literal)* })*) => {
        $($(
            #[doc = $cause]
            pub const $name: $crate::error::code::Code = $crate::error::code::Code::new(&$crate::error::code::Entry {
                slug: $slug,
                kind: $crate::error::kind::ErrorKind::$kind,
                cause: $cause,
                next: $next,
            });
        )*)*

        /// All codes of this crate, in the order of the reference.
        pub const ALL: &[$crate::error::code::Code] = &[$($($name,)*)*];
    };
}
