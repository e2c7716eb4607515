//! Bytes of a file, mapped or read. The only `unsafe` in Magellan.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;

use crate::error::{Error, Result};

/// How archive files reach memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Access {
    /// Mapped: no copy. Another program that changes a mapped file in place can crash this
    /// one; Magellan itself only ever replaces files whole.
    #[default]
    Map,
    /// Read into memory.
    Read,
}

/// The whole file.
///
/// # Errors
/// Data error if it can't be opened or read.
pub fn bytes(path: &Path, access: Access) -> Result<Bytes> {
    let read = || -> std::io::Result<Bytes> {
        match access {
            Access::Read => Ok(Bytes::from(std::fs::read(path)?)),
            Access::Map => map(&File::open(path)?),
        }
    };
    read().map_err(|e| Error::io(path, &e))
}

#[expect(unsafe_code, reason = "mapping a file is unsafe by nature")]
fn map(file: &File) -> std::io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the archive never changes a file in place: it writes a new one, renames it over
    // and marks it read-only, so the mapped bytes stay what they were. What other programs do
    // to the file is outside our reach; `Access::Read` is the answer to that.
    let map = unsafe { memmap2::Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}
