//! Alpaca's interface, as its documentation describes it: who asks, and where.
//!
//! Credentials are read from the environment under the names that Alpaca's own tools use. They are never shown.

pub mod history;
mod rest;

use std::ffi::OsString;
use std::fmt;

use magellan::error::{Error, Result};
use ureq::http::Uri;

use crate::{codes, http};

pub use rest::Client;

/// Key of an account.
pub const KEY_VARIABLE: &str = "APCA_API_KEY_ID";
/// Its secret.
pub const SECRET_VARIABLE: &str = "APCA_API_SECRET_KEY";
/// Where market data is, if not at [`DATA`].
pub const DATA_VARIABLE: &str = "APCA_API_DATA_URL";
/// Market data, for paper and live accounts.
const DATA: &str = "https://data.alpaca.markets";

/// Looks an environment variable up: pass `|name| std::env::var_os(name)`.
pub type Variable<'v> = &'v dyn Fn(&str) -> Option<OsString>;

/// Key and secret of an account. They are never shown: not by `{:?}`, and by no error.
#[derive(Clone)]
pub struct Credentials {
    key: String,
    secret: String,
}

impl Credentials {
    /// Reads [`KEY_VARIABLE`] and [`SECRET_VARIABLE`].
    ///
    /// # Errors
    /// Config error if one is missing, or can't be sent in a header.
    pub fn from_environment(variable: Variable<'_>) -> Result<Self> {
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
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// Where market data is asked for.
///
/// # Errors
/// Usage error if [`DATA_VARIABLE`] is no address that keys may be sent to.
pub fn data_address(variable: Variable<'_>) -> Result<Uri> {
    let Some(named) = variable(DATA_VARIABLE) else { return Ok(Uri::from_static(DATA)) };
    let named = named.to_string_lossy();
    let plain = |uri: &Uri| uri.path() == "/" && uri.query().is_none();
    http::safe_uri(&named).filter(plain).ok_or_else(|| {
        let what = format!("{DATA_VARIABLE} is no address for keys: https://HOST, or http:// to a loopback number");
        Error::new(codes::ENVIRONMENT, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
    }

    #[test]
    fn credentials_are_never_shown() {
        let both = of(&[(KEY_VARIABLE, "PKSECRET1"), (SECRET_VARIABLE, "hunter2")]);
        let read = Credentials::from_environment(&both).expect("two keys");
        assert_eq!(format!("{read:?}"), "Credentials(…)");
        let bad = of(&[(KEY_VARIABLE, "PKSECRET1"), (SECRET_VARIABLE, "hunter2\n")]);
        let error = Credentials::from_environment(&bad).expect_err("a line break");
        assert!(!format!("{error:?} {error}").contains("hunter2"));
        let error = Credentials::from_environment(&of(&[])).expect_err("no keys");
        assert!(error.to_string().contains(KEY_VARIABLE));
    }

    #[test]
    fn keys_go_to_tls_or_to_this_machine_only() {
        for good in ["https://data.sandbox.alpaca.markets", "http://127.0.0.1:8080", "http://[::1]:80/"] {
            assert!(data_address(&of(&[(DATA_VARIABLE, good)])).is_ok(), "{good}");
        }
        for bad in ["http://data.alpaca.markets", "http://localhost:80", "https://u@h", "ftp://h", "https://h/v2", ""] {
            assert!(data_address(&of(&[(DATA_VARIABLE, bad)])).is_err(), "{bad}");
        }
        assert_eq!(data_address(&of(&[])).expect("the default").host(), Some("data.alpaca.markets"));
    }
}
