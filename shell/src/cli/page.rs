//! `--html` and `--open`: a page as a file, shown in the user's browser.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use magellan::error::Result;

use super::output::write;

/// How long a program that opens pages may take to say that it can't.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Args, Debug)]
pub(super) struct Page {
    /// Write one self-contained page, to be opened in a browser; it loads nothing from a network.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Open the page in the browser.
    #[arg(long, requires = "html")]
    pub(super) open: bool,
}

impl Page {
    /// Writes the page that `make` makes, and opens it, if these are wanted.
    pub(super) fn show(&self, make: impl FnOnce() -> Result<String>) -> Result<()> {
        let Some(path) = &self.html else { return Ok(()) };
        write(path, &make()?)?;
        if self.open {
            open(path);
        }
        Ok(())
    }

    /// Refuses a page that can't be written, before anything is counted.
    pub(super) fn check(&self) -> Result<()> {
        self.html.as_deref().map_or(Ok(()), super::output::check_writable)
    }
}

/// Opens a page in the browser. What can't be opened is no error: the page is there, and its path is said.
pub(super) fn open(path: &Path) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let opened = open::commands(&path).into_iter().any(|mut command| {
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command.spawn().is_ok_and(is_at_work)
    });
    if !opened {
        eprintln!("warning: no browser could be opened; the page is {}", path.display());
    }
}

/// Whether a program ends well, or still runs: a browser that was started directly does.
fn is_at_work(mut child: std::process::Child) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(_) => return false,
        }
    }
    true
}
