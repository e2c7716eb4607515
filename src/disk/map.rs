//! Bytes of a file, mapped or read. The only `unsafe` in Magellan.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;

use crate::error::{Error, Result, codes};

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

/// Largest file of bars.
const LARGEST: u64 = 4 << 30;

/// The whole file.
///
/// # Errors
/// Data error if it isn't a regular file of at most 4 GiB that can be opened and read.
pub fn bytes(path: &Path, access: Access) -> Result<Bytes> {
    let file = open_up_to(path, LARGEST)?;
    let read = match access {
        Access::Read => read_all(file, LARGEST),
        Access::Map => map(&file),
    };
    read.map_err(|e| Error::io(path, &e))
}

/// The whole of a small file, read.
///
/// # Errors
/// Data error if it isn't a regular file of at most `limit` bytes that can be opened and read.
pub fn bytes_up_to(path: &Path, limit: u64) -> Result<Bytes> {
    let file = open_up_to(path, limit)?;
    read_all(file, limit).map_err(|e| Error::io(path, &e))
}

/// Opens a regular file of at most `limit` bytes: a pipe would wait, a device never end.
///
/// # Errors
/// Data error if it isn't one or can't be opened.
pub(crate) fn open_up_to(path: &Path, limit: u64) -> Result<File> {
    let about = std::fs::metadata(path).map_err(|e| Error::io(path, &e))?;
    if !about.is_file() {
        return Err(Error::new(codes::IO, "not a regular file").at(path.display()));
    }
    if about.len() > limit {
        let what = format!("the file has {} bytes, the largest read here has {limit}", about.len());
        return Err(Error::new(codes::SOURCE_TOO_LARGE, what).at(path.display()));
    }
    File::open(path).map_err(|e| Error::io(path, &e))
}

fn read_all(file: File, limit: u64) -> std::io::Result<Bytes> {
    use std::io::Read;
    let mut bytes = Vec::with_capacity(file.metadata()?.len() as usize);
    // A file that grows meanwhile is cut, and found out by whoever reads its contents.
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes.into())
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
