//! A folder as a store: for one box without AWS.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use magellan::disk::hash::sha256_hex;
use magellan::disk::write::write_whole;
use magellan::error::{Error, Result};

use super::contract::{Object, Store, Written};
use crate::codes;

/// Objects as files below a folder; a file lock makes conditions hold.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The store in this folder, which is made if need be.
    ///
    /// # Errors
    /// Deploy error if it can't be made.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| fault(folder, &e))?;
        Ok(Self(folder.to_owned()))
    }

    fn path(&self, key: &str) -> PathBuf {
        self.0.join(key)
    }

    fn locked<T>(&self, then: impl FnOnce() -> Result<T>) -> Result<T> {
        let path = self.0.join(".lock");
        let file = File::create(&path).and_then(|f| f.lock().map(|()| f)).map_err(|e| fault(&path, &e))?;
        let done = then();
        drop(file);
        done
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<Written> {
        let path = self.path(key);
        write_whole(&path, bytes, 0o644).map_err(|e| fault(&path, &e))?;
        Ok(Written::Yes(sha256_hex(bytes)))
    }
}

fn fault(path: &Path, err: &std::io::Error) -> Error {
    Error::new(codes::STORE_FAILED, err.to_string()).at(path.display())
}

impl Store for Folder {
    fn get(&self, key: &str) -> Result<Option<Object>> {
        let path = self.path(key);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(Object { version: sha256_hex(&bytes), bytes })),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(fault(&path, &e)),
        }
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<Written> {
        self.locked(|| match self.get(key)? {
            None => self.put(key, bytes),
            Some(_) => Ok(Written::No),
        })
    }

    fn replace(&self, key: &str, bytes: &[u8], version: &str) -> Result<Written> {
        self.locked(|| match self.get(key)? {
            Some(there) if there.version == version => self.put(key, bytes),
            _ => Ok(Written::No),
        })
    }

    fn upload(&self, key: &str, file: &Path, sha256: &str) -> Result<bool> {
        let bytes = fs::read(file).map_err(|e| fault(file, &e))?;
        match self.create(key, &bytes)? {
            Written::Yes(_) => Ok(true),
            _ if self.holds(key, sha256)? => Ok(false),
            _ => Err(Error::new(codes::BUNDLE_DAMAGED, "other bytes are there under this name").at(self.name(key))),
        }
    }

    fn holds(&self, key: &str, sha256: &str) -> Result<bool> {
        Ok(self.get(key)?.is_some_and(|there| there.version == sha256))
    }

    fn source(&self, key: &str) -> Result<String> {
        let path = self.path(key);
        let whole = path.canonicalize().map_err(|e| fault(&path, &e))?;
        Ok(whole.display().to_string())
    }

    fn name(&self, key: &str) -> String {
        self.path(key).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::write;
    use super::*;

    #[test]
    fn nothing_is_overwritten_but_the_version_that_was_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path()).expect("opened");
        let first = write(&store, "a/b", b"1", None).expect("written").expect("new");
        assert_eq!(write(&store, "a/b", b"2", None).expect("asked"), None);
        let second = write(&store, "a/b", b"2", Some(&first)).expect("written").expect("replaced");
        assert_eq!(write(&store, "a/b", b"3", Some(&first)).expect("asked"), None);
        // The same again is one's own, whose answer was lost.
        assert_eq!(write(&store, "a/b", b"2", Some(&first)).expect("asked"), Some(second));
    }

    #[test]
    fn of_many_who_make_one_object_one_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path()).expect("opened");
        let made = std::thread::scope(|scope| {
            let store = &store;
            let make = |i: usize| scope.spawn(move || write(store, "lock", format!("{i}").as_bytes(), None));
            let all: Vec<_> = (0..8).map(make).collect();
            all.into_iter().map(|t| t.join().expect("joined")).filter(|w| matches!(w, Ok(Some(_)))).count()
        });
        assert_eq!(made, 1);
    }
}
