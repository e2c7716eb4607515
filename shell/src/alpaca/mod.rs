//! Alpaca's interface, as its documentation describes it: who asks, and where.
//!
//! Credentials are read from the environment under the names that Alpaca's own tools use. They are never shown.

mod credentials;
pub mod history;
pub mod messages;
pub mod orders;
mod rest;
mod socket;
pub mod stream;
pub mod trading;
pub mod updates;

use std::ffi::OsString;

use magellan::error::{Error, Result};

use crate::{codes, http};

pub use credentials::{Credentials, KEY_VARIABLE, SECRET_VARIABLE};
pub use rest::Client;
pub use ureq::http::Uri;

/// Where market data is, if not at Alpaca's own host.
pub const DATA_VARIABLE: &str = "APCA_API_DATA_URL";
/// Market data, for paper and live accounts.
const DATA: &str = "https://data.alpaca.markets";

/// Where market data is asked for.
///
/// # Errors
/// Usage error if [`DATA_VARIABLE`] is no address that keys may be sent to.
pub fn data_address(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Uri> {
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
