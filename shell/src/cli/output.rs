//! Where results go: stdout, files, and timings on stderr.

use std::path::Path;
use std::time::Instant;

use magellan::error::{Error, Result};

use crate::codes;

/// Prints results. A reader that went away (a closed pipe) is no error of ours; results that
/// could not be written are.
pub(super) fn print(text: &str) -> Result<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(codes::CANNOT_WRITE, format!("can't write results: {e}")).at("stdout"))
        }
        _ => Ok(()),
    }
}

/// Writes a result into a file; a link or a device is never replaced by one.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    check_writable(path)?;
    magellan::disk::write::write_whole(path, text.as_bytes(), 0o666)
        .map_err(|e| Error::new(codes::CANNOT_WRITE, format!("can't write results: {e}")).at(path.display()))
}

/// Refuses a file that [`write`] would refuse.
pub(super) fn check_writable(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Error::new(codes::CANNOT_WRITE, "there is no such folder").at(folder.display()));
    }
    if path.symlink_metadata().is_ok_and(|m| !m.is_file()) {
        return Err(Error::new(codes::CANNOT_WRITE, "there is something else than a regular file").at(path.display()));
    }
    Ok(())
}

pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// Seconds since the start beside what they were spent on; on stderr.
pub(super) fn timing(what: &str, since: Instant) {
    eprintln!("{what:>32} {:>9.3} ms", since.elapsed().as_secs_f64() * 1e3);
}
