//! The command line: arguments (typed) → options (meant) → run.

mod args;
mod backtest;
mod data;
mod gate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::archive::Archive;
use crate::archive::map::Access;
use crate::error::{Error, Result};
use crate::registry::AnyStrategy;
use args::{Args, Command, Place};

/// Runs the binary for the given strategies.
pub fn main(strategies: &[&dyn AnyStrategy]) -> ExitCode {
    let started = Instant::now();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(err) => {
            let _ = err.print();
            return ExitCode::from(if err.use_stderr() { 2 } else { 0 });
        }
    };
    let done = match args.command {
        Command::Data { command } => data::run(command, strategies),
        Command::Backtest(options) => backtest::run(&options, strategies, started),
        Command::Gate(options) => gate::run(&options, strategies, started),
    };
    done.map_or_else(|err| report(&err), ExitCode::from)
}

/// An error for people: what, and what to try.
fn report(err: &Error) -> ExitCode {
    eprintln!("error: {err}");
    if let Some(help) = err.suggestion() {
        eprintln!("  try: {help}");
    }
    ExitCode::from(err.exit_code())
}

/// Prints results. A reader that went away (a closed pipe) is no error of ours; results that
/// could not be written are.
fn print(text: &str) -> Result<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::usage(format!("can't write results: {e}")).at("stdout"))
        }
        _ => Ok(()),
    }
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// Seconds since the start beside what they were spent on; on stderr.
fn timing(what: &str, since: Instant) {
    eprintln!("{what:>32} {:>9.3} ms", since.elapsed().as_secs_f64() * 1e3);
}

impl Place {
    /// The folder `deployed`: as named, or the nearest one above the working directory.
    fn deployed(&self) -> Result<PathBuf> {
        if let Some(folder) = &self.deployed {
            return Ok(folder.clone());
        }
        let here = std::env::current_dir().map_err(|e| Error::usage(e.to_string()))?;
        let found = here.ancestors().map(|dir| dir.join("deployed")).find(|dir| dir.is_dir());
        found.ok_or_else(|| {
            Error::config("no folder `deployed` here or above")
                .at(here.display())
                .help("run from the project's folder, or name it with --deployed")
        })
    }

    /// The archive: as named, or the sample beside `deployed`.
    fn archive(&self) -> Result<Archive> {
        let folder = match &self.archive {
            Some(folder) => folder.clone(),
            None => self.deployed()?.parent().unwrap_or(Path::new(".")).join("data/sample"),
        };
        let access = if self.no_mmap { Access::Read } else { Access::Map };
        Archive::open(&folder, access)
    }
}
