//! The keys of an account.

use std::ffi::OsString;
use std::fmt;

use magellan::error::{Error, Result};

use crate::codes;

/// Key of an account.
pub const KEY_VARIABLE: &str = "APCA_API_KEY_ID";
/// Its secret.
pub const SECRET_VARIABLE: &str = "APCA_API_SECRET_KEY";

/// Key and secret of an account. They are never shown: not by `{:?}`, and by no error.
#[derive(Clone)]
pub struct Credentials {
    pub(super) key: String,
    pub(super) secret: String,
}

impl Credentials {
    /// Reads [`KEY_VARIABLE`] and [`SECRET_VARIABLE`]. `variable` looks one up: pass `|name| std::env::var_os(name)`.
    ///
    /// # Errors
    /// Config error if one is missing, or can't be sent in a header.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let read = |name: &str| {
            let value = variable(name).and_then(|value| value.into_string().ok());
            let sendable = |value: &String| !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
            let what = match &value {
                None => format!("{name} isn't set"),
                Some(_) => format!("{name} isn't a key: keys are ASCII letters and digits"),
            };
            value.filter(sendable).ok_or_else(|| Error::new(codes::ALPACA_KEYS, what))
        };
        Ok(Self { key: read(KEY_VARIABLE)?, secret: read(SECRET_VARIABLE)? })
    }

    /// Key and secret from elsewhere.
    ///
    /// # Errors
    /// Config error if one can't be sent in a header.
    pub fn new(key: String, secret: String) -> Result<Self> {
        let sendable = |value: &String| !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic());
        match sendable(&key) && sendable(&secret) {
            true => Ok(Self { key, secret }),
            false => Err(Error::new(codes::ALPACA_KEYS, "a parameter isn't a key: keys are ASCII letters and digits")),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}
