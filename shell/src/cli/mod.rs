//! The command line: arguments (typed) → options (meant) → run.

mod args;
mod backtest;
#[cfg(feature = "deploy")]
mod bundle;
mod ci;
mod code;
mod data;
#[cfg(feature = "deploy")]
mod deploy;
#[cfg(feature = "deploy")]
mod destination;
mod explain;
mod findings;
mod gate;
#[cfg(feature = "deploy")]
mod host;
mod ledger;
mod research;
#[cfg(feature = "live")]
mod run;
mod selftest;
mod sweep;
mod validate;
mod verdict;
mod walk_forward;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use magellan::archive::Archive;
use magellan::archive::import::hide_caught_panics;
use magellan::config::Checked;
use magellan::disk::map::Access;
use magellan::error::{Error, Result};
use magellan::history::Hours;
use magellan::registry::AnyStrategy;

use crate::codes;
use args::{Args, Baselines, Command, Counting, Place, Subject};

/// Runs the binary for the given strategies.
pub fn main(strategies: &[&dyn AnyStrategy]) -> ExitCode {
    let started = Instant::now();
    hide_caught_panics();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(err) if err.use_stderr() => return report(&command_line(&err)),
        Err(help) => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    let done = match args.command {
        Command::Data { command } => data::run(command, strategies),
        Command::Validate(options) => validate::run(&options, strategies),
        Command::Ci { command } => ci::run(&command),
        Command::Schema(options) => validate::schema(&options, strategies),
        Command::Explain(options) => explain::run(&options),
        Command::Backtest(options) => backtest::run(&options, strategies, started),
        Command::Sweep(options) => sweep::run(&options, strategies, started),
        Command::WalkForward(options) => walk_forward::run(&options, strategies),
        Command::Ledger { command } => ledger::run(command),
        #[cfg(feature = "live")]
        Command::Run(options) => run::run(&options, strategies),
        Command::Gate(options) => gate::run(&options, strategies, started),
        Command::Verdict { command } => verdict::run(command, strategies),
        Command::Baseline { command } => verdict::baseline(command),
        #[cfg(feature = "deploy")]
        Command::Deploy(options) => deploy::run(*options, strategies),
        #[cfg(feature = "deploy")]
        Command::Rollback(options) => deploy::rollback(&options),
        #[cfg(feature = "deploy")]
        Command::Status(to) => host::status(&to),
        #[cfg(feature = "deploy")]
        Command::Health(options) => host::health(&options),
        #[cfg(feature = "deploy")]
        Command::Releases(to) => host::releases(&to),
        #[cfg(feature = "deploy")]
        Command::Doctor { command } => host::doctor(&command),
        #[cfg(feature = "deploy")]
        Command::Bundle { command } => bundle::run(&command),
    };
    done.map_or_else(|err| report(&err), ExitCode::from)
}

/// Clap's message as an error of ours; its usage lines are the suggestion.
fn command_line(err: &clap::Error) -> Error {
    let text = err.to_string();
    let text = text.trim().trim_start_matches("error: ");
    let (what, help) = text.split_once("\n\n").unwrap_or((text, ""));
    let code = match err.kind() {
        clap::error::ErrorKind::ValueValidation | clap::error::ErrorKind::InvalidValue => codes::BAD_ARGUMENT,
        _ => codes::COMMAND_LINE,
    };
    let help = help.trim().replace("\n\n", "\n");
    if help.is_empty() { Error::new(code, what) } else { Error::new(code, what).help(help) }
}

/// An error for people: what, and what to try.
fn report(err: &Error) -> ExitCode {
    eprintln!("error[{}]: {err}\n  try: {}", err.code().slug(), err.suggestion());
    ExitCode::from(err.exit_code())
}

/// Prints results. A reader that went away (a closed pipe) is no error of ours; results that
/// could not be written are.
fn print(text: &str) -> Result<()> {
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
fn write(path: &Path, text: &str) -> Result<()> {
    if path.symlink_metadata().is_ok_and(|m| !m.is_file()) {
        return Err(Error::new(codes::CANNOT_WRITE, "there is something else than a regular file").at(path.display()));
    }
    magellan::disk::write::write_whole(path, text.as_bytes(), 0o666)
        .map_err(|e| Error::new(codes::CANNOT_WRITE, format!("can't write results: {e}")).at(path.display()))
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// Seconds since the start beside what they were spent on; on stderr.
fn timing(what: &str, since: Instant) {
    eprintln!("{what:>32} {:>9.3} ms", since.elapsed().as_secs_f64() * 1e3);
}

impl Subject {
    /// The strategy's config with its overrides: as named, or the deployed one.
    fn document(&self, strategy: &dyn AnyStrategy) -> Result<Checked> {
        let path = match &self.config {
            Some(path) => path.clone(),
            None => self.place.deployed()?.join(strategy.name()).join("config.json"),
        };
        strategy.read_document(&path, &self.set)
    }

    fn hours(&self) -> Option<Hours> {
        self.session.map(Into::into)
    }

    fn ledger(&self) -> Result<PathBuf> {
        self.counting.folder(&self.place)
    }
}

impl Counting {
    /// The ledger: as named, or the one beside `deployed`.
    fn folder(&self, place: &Place) -> Result<PathBuf> {
        if let Some(folder) = &self.ledger {
            return Ok(folder.clone());
        }
        let deployed = place.deployed().map_err(|e| e.help("run from the project's folder, or name --ledger DIR"))?;
        Ok(deployed.parent().unwrap_or(Path::new(".")).join("data/ledger"))
    }
}

impl Baselines {
    /// The baselines: as named, or those beside `deployed`.
    fn folder(&self, place: &Place) -> Result<PathBuf> {
        match &self.baselines {
            Some(folder) => Ok(folder.clone()),
            None => Ok(place.deployed()?.parent().unwrap_or(Path::new(".")).join("data/baseline")),
        }
    }
}

impl Place {
    /// The folder `deployed`: as named, or the nearest one above the working directory.
    fn deployed(&self) -> Result<PathBuf> {
        if let Some(folder) = &self.deployed {
            return Ok(folder.clone());
        }
        let here = std::env::current_dir().map_err(|e| Error::new(codes::NO_DEPLOYED_FOLDER, e.to_string()))?;
        // Relative if it is right here, so that reports name files as the project does.
        let right_here = Some(PathBuf::from("deployed")).filter(|dir| dir.is_dir());
        let above = || here.ancestors().map(|dir| dir.join("deployed")).find(|dir| dir.is_dir());
        right_here.or_else(above).ok_or_else(|| {
            Error::new(codes::NO_DEPLOYED_FOLDER, "no folder `deployed` here or above").at(here.display())
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
