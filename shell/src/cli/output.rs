//! Where results go: stdout, files, and timings on stderr.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use magellan::error::{Error, Result};

use crate::codes;

/// Prints results. A reader that went away, such as `head`, has what it wanted, which is no error; results that could
/// not be written are.
pub(super) fn print(text: &str) -> Result<()> {
    use std::io::Write;
    if super::stdout::is_closed() {
        return Err(Error::new(codes::CANNOT_WRITE, "stdout is closed, and the results are lost")
            .at("stdout")
            .help("leave stdout open, or send it to a file or to /dev/null"));
    }
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
        let what = format!("there is no folder {}", folder.display());
        return Err(Error::new(codes::CANNOT_WRITE, what).at(path.display()));
    }
    if path.symlink_metadata().is_ok_and(|m| !m.is_file()) {
        return Err(Error::new(codes::CANNOT_WRITE, "there is something else than a regular file").at(path.display()));
    }
    Ok(())
}

/// How a process works with a folder of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nobody else may.
    Alone,
    /// Others may do their shares of the same work.
    Shared,
    /// Nobody else may, but they are done soon.
    Soon,
}

/// How long a folder is waited for that is used for a moment only.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a folder for results, which is this process's until the file that is returned is dropped.
///
/// # Errors
/// Refused if another process has it; usage error if it can't be made.
pub(super) fn claim(folder: &Path, claim: Claim) -> Result<File> {
    let fault = |e: std::io::Error| Error::new(codes::CANNOT_WRITE, e.to_string()).at(folder.display());
    std::fs::create_dir_all(folder).map_err(fault)?;
    // The folder itself, so that no file is left in it.
    let file = File::open(folder).map_err(fault)?;
    let since = Instant::now();
    loop {
        let locked = if claim == Claim::Shared { file.try_lock_shared() } else { file.try_lock() };
        match locked {
            Err(TryLockError::WouldBlock) if claim == Claim::Soon && since.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                let what = "another process writes its results into this folder";
                let help =
                    "wait until it is done, after which the same command goes on; or name another folder with --out";
                return Err(Error::new(codes::STATE_IN_USE, what).at(folder.display()).help(help));
            }
            // A file system without locks: as careful as it can be.
            Err(TryLockError::Error(_)) | Ok(()) => return Ok(file),
        }
    }
}

pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// Seconds since the start beside what they were spent on; on stderr.
pub(super) fn timing(what: &str, since: Instant) {
    eprintln!("{what:>32} {:>9.3} ms", since.elapsed().as_secs_f64() * 1e3);
}
