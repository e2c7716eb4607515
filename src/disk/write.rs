//! Files that are there whole or not at all.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// How names of files begin that aren't whole yet.
pub const TEMPORARY: &str = ".writing-";

/// Writes a read-only file so that it is there whole or not at all: temporary file, fsync,
/// rename, read-only.
///
/// # Errors
/// Data error if the file can't be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole(path, bytes, 0o444).map_err(|e| Error::io(path, &e))
}

/// Writes a file so that it is there whole or not at all, with these permissions less the umask.
///
/// # Errors
/// As the operating system says.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    let mut file = builder.prefix(TEMPORARY).permissions(fs::Permissions::from_mode(mode)).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    fs::File::open(folder)?.sync_all()
}
