//! What every store does: conditional writes, reads by key.

use std::path::Path;
use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};
use magellan::error::{Error, Result};

use crate::codes;

/// An object's bytes and the version that a replacement must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its version (S3: the ETag).
    pub version: String,
}

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was written; its version.
    Yes(String),
    /// Somebody else's is there, or it was changed meanwhile.
    No,
    /// Somebody else writes at this moment: try again.
    Busy,
}

/// Objects by key.
pub trait Store {
    /// The object; none if it isn't there. Where listing is forbidden, a key that may not be read
    /// looks the same as one that isn't there.
    ///
    /// # Errors
    /// Deploy error if the store can't be asked.
    fn get(&self, key: &str) -> Result<Option<Object>>;

    /// Makes an object that isn't there yet.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn create(&self, key: &str, bytes: &[u8]) -> Result<Written>;

    /// Replaces an object, if its version is still this one.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn replace(&self, key: &str, bytes: &[u8], version: &str) -> Result<Written>;

    /// Makes an object of a file; false if it was there already, with the same bytes.
    ///
    /// # Errors
    /// As [`Store::get`]; refused if other bytes are there.
    fn upload(&self, key: &str, file: &Path, sha256: &str) -> Result<bool>;

    /// Whether an object with this SHA-256 is there.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn holds(&self, key: &str, sha256: &str) -> Result<bool>;

    /// Where the host gets it from: an address that is good for a quarter of an hour, or a path.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn source(&self, key: &str) -> Result<String>;

    /// For people: what a key is called.
    fn name(&self, key: &str) -> String;
}

/// Creates (`version` none) or replaces an object; its new version, or none if somebody else's
/// is there. An answer that was lost on the way is found out by reading what is there: bodies
/// written here name their deploy, so equal bytes are one's own.
///
/// # Errors
/// Deploy error if the store can't be asked, or stays busy.
pub fn write(store: &dyn Store, key: &str, bytes: &[u8], version: Option<&str>) -> Result<Option<String>> {
    let once = || {
        match version {
            None => store.create(key, bytes)?,
            Some(version) => store.replace(key, bytes, version)?,
        }
        .settled(|| format!("{} is being written by somebody else", store.name(key)))
    };
    let backoff =
        ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_times(6).with_jitter();
    match once.retry(backoff).when(|e: &Error| e.code() == codes::STORE_BUSY).call()? {
        Some(version) => Ok(Some(version)),
        None => Ok(store.get(key)?.filter(|there| there.bytes == bytes).map(|there| there.version)),
    }
}

impl Written {
    fn settled(self, busy: impl FnOnce() -> String) -> Result<Option<String>> {
        match self {
            Self::Yes(version) => Ok(Some(version)),
            Self::No => Ok(None),
            Self::Busy => Err(Error::new(codes::STORE_BUSY, busy())),
        }
    }
}
