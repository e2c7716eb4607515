//! `magellan init`: a repository of one's own that depends on the engine.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use magellan::archive::synth::{self, Wanted};
use magellan::bar::{Date, Symbol, Timeframe};
use magellan::disk::write::write_whole;
use magellan::error::{Error, Result};

use super::engine::{Engine, Source};
use super::output::{print, to_json};
use super::programs::{cargo, complaint, formatted, git};
use super::template::{NewStrategy, Repository, repository};
use crate::codes;
use crate::report::table::SYNTHETIC_NOTE;
use crate::validate::config_schema;

#[derive(Args, Debug)]
pub(super) struct Init {
    /// The folder to make; it must be new or empty but for `.git`.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(super) folder: PathBuf,
    /// Where to get Magellan from: path:DIR, git:URL@REV or VERSION.
    #[arg(long, value_name = "SOURCE")]
    pub(super) engine: Option<String>,
}

/// The strategy that a new repository begins with, and the bars that are made up for it.
const FIRST: &str = "rsi_trend";
const SYMBOLS: [&str; 4] = ["SPY", "QQQ", "IWM", "GLD"];
const PERIOD: [&str; 2] = ["2018-01-02", "2025-12-31"];
const SEED: u64 = 1;

pub(super) fn run(options: &Init) -> Result<u8> {
    let source = Source::parse(options.engine.as_deref())?;
    let folder = &options.folder;
    refuse_if_full(folder)?;
    let engine = source.find()?;
    // Made aside and moved when it is whole: what fails leaves nothing behind.
    let beside = if folder.is_dir() { folder.clone() } else { made_parent(folder)? };
    let fault = |path: &Path, e: &std::io::Error| Error::new(codes::CANNOT_WRITE, e.to_string()).at(path.display());
    let aside =
        tempfile::Builder::new().prefix(".magellan-init-").tempdir_in(&beside).map_err(|e| fault(&beside, &e))?;
    let symbols: Result<Vec<Symbol>> = SYMBOLS.iter().map(|s| s.parse()).collect();
    let dates: Result<Vec<Date>> = PERIOD.iter().map(|d| d.parse()).collect();
    let (symbols, dates) = (symbols?, dates?);
    let first =
        NewStrategy { name: FIRST, timeframe: Timeframe::Day, symbols: &symbols, first: dates[0], last: dates[1] };
    fill(aside.path(), &title(folder), &engine, matches!(source, Source::Path(_)), &first)?;
    let has_git =
        folder.join(".git").exists() || git(aside.path(), &["init", "--quiet"]).is_ok_and(|o| o.status.success());
    move_into(aside.path(), folder)?;
    print(&report(folder, &engine, has_git, &first))?;
    Ok(0)
}

/// Lists what is in the way. A `.git` may be there: of a repository that was just cloned.
fn refuse_if_full(folder: &Path) -> Result<()> {
    let refused = |what: String| Err(Error::new(codes::NOT_EMPTY, what).at(folder.display()));
    let Ok(metadata) = folder.metadata() else {
        // A link that leads nowhere is in the way, too.
        let is_link = folder.symlink_metadata().is_ok();
        return if is_link { refused("this is a link that leads nowhere".to_owned()) } else { Ok(()) };
    };
    if !metadata.is_dir() {
        return refused("this is no folder".to_owned());
    }
    let entries = fs::read_dir(folder).map_err(|e| Error::io(folder, &e))?;
    let names = entries.map(|e| e.map(|e| e.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<std::io::Result<_>>().map_err(|e| Error::io(folder, &e))?;
    names.retain(|name| name != ".git");
    names.sort();
    if names.is_empty() {
        return Ok(());
    }
    let more = names.len().saturating_sub(10);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    names.truncate(10);
    refused(format!("the folder isn't empty: {}{more}", names.join(", ")))
}

/// The folder in which `folder` is to be made.
fn made_parent(folder: &Path) -> Result<PathBuf> {
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()).at(parent.display()))?;
    Ok(parent.to_owned())
}

/// What README and summary call it: the folder's own name.
fn title(folder: &Path) -> String {
    let here = || std::env::current_dir().ok().map(|here| here.join(folder));
    let whole = folder.canonicalize().ok().or_else(here).unwrap_or_default();
    whole.file_name().map_or_else(|| "strategies".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Writes everything but `.git`, and has cargo settle what exactly it depends on.
fn fill(folder: &Path, title: &str, engine: &Engine, is_path: bool, first: &NewStrategy<'_>) -> Result<()> {
    let about = Repository { title, engine: &engine.dependencies, described: &engine.described, is_path };
    let mut files = repository(&about, first)?;
    files.push(("deployed/config.schema.json".to_owned(), to_json(&config_schema(&[]))));
    for (path, text) in &files {
        // How long a line is depends on names, and the settings of rustfmt are among the first files.
        let code = Some(text).filter(|_| path.ends_with(".rs")).and_then(|text| formatted(folder, text));
        let text = code.as_ref().unwrap_or(text);
        let mode = if path.starts_with("scripts/") { 0o777 } else { 0o666 };
        let path = folder.join(path);
        write_whole(&path, text.as_bytes(), mode)
            .map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()).at(path.display()))?;
    }
    let NewStrategy { timeframe, symbols, first, last, .. } = *first;
    let wanted: Vec<Wanted> = symbols.iter().map(|&symbol| Wanted { symbol, timeframe, first, last }).collect();
    synth::write(&folder.join("data/sample"), SEED, &wanted)?;
    if let Some(lock) = &engine.lock {
        fs::write(folder.join("Cargo.lock"), lock).map_err(|e| Error::io(folder, &e))?;
    }
    settle(folder, engine)
}

/// Has cargo write Cargo.lock: without a network if what the engine's lock file names is known here, with one if not.
fn settle(folder: &Path, engine: &Engine) -> Result<()> {
    let resolve = ["update", "--workspace", "--quiet"];
    let mut output = cargo(folder, &[&resolve[..], &["--offline"]].concat())?;
    if !output.status.success() {
        output = cargo(folder, &resolve)?;
    }
    if !output.status.success() {
        let what = format!("cargo can't resolve {}: {}", engine.described, complaint(&output));
        return Err(Error::new(codes::BAD_ENGINE, what)
            .help("check the engine, and that this machine reaches the registry of crates"));
    }
    let (manifest, lock) = (folder.join("Cargo.toml"), folder.join("Cargo.lock"));
    let text = |path: &Path| fs::read_to_string(path).map_err(|e| Error::io(path, &e));
    let pruned = without_profiles_of_others(&text(&manifest)?, &text(&lock)?);
    write_whole(&manifest, pruned.as_bytes(), 0o666).map_err(|e| Error::io(&manifest, &e))
}

/// The manifest without profiles of packages that are only in the engine's own workspace: cargo would warn of each.
fn without_profiles_of_others(manifest: &str, lock: &str) -> String {
    let package =
        |header: &str| Some(header.strip_prefix("[profile.")?.split_once(".package.")?.1.split(']').next()?.to_owned());
    let mut kept = true;
    let stays = |line: &&str| {
        if line.starts_with('[') {
            kept = package(line).is_none_or(|name| name == "\"*\"" || lock.contains(&format!("\nname = \"{name}\"\n")));
        }
        kept || line.starts_with('#')
    };
    manifest.split_inclusive('\n').filter(stays).collect()
}

/// Moves the made entries to their place, all or none.
fn move_into(made: &Path, folder: &Path) -> Result<()> {
    let fault = |e: std::io::Error| Error::new(codes::CANNOT_WRITE, e.to_string()).at(folder.display());
    let exists = folder.is_dir();
    if !exists {
        fs::create_dir(folder).map_err(fault)?;
    }
    let mut moved: Vec<(PathBuf, PathBuf)> = Vec::new();
    let all = fs::read_dir(made).and_then(|entries| {
        for entry in entries {
            let from = entry?.path();
            let to = folder.join(from.file_name().unwrap_or_default());
            // Renaming replaces a file: somebody may have written one meanwhile.
            if to.symlink_metadata().is_ok() {
                return Err(std::io::Error::other(format!("{} has come there meanwhile", to.display())));
            }
            fs::rename(&from, &to)?;
            moved.push((from, to));
        }
        Ok(())
    });
    all.map_err(|e| {
        for (from, to) in moved {
            let _ = fs::rename(to, from);
        }
        if !exists {
            let _ = fs::remove_dir(folder);
        }
        fault(e)
    })
}

fn report(folder: &Path, engine: &Engine, has_git: bool, first: &NewStrategy<'_>) -> String {
    let NewStrategy { name, first, last, .. } = first;
    let go = if folder == Path::new(".") { String::new() } else { format!("  cd {}\n", folder.display()) };
    let git = match has_git {
        true => "Nothing is committed yet: look at it, then `git add --all && git commit`.\n",
        false => "There is no git here, so it isn't a git repository yet: run `git init` in it.\n",
    };
    format!(
        "made {} with the strategy {name}; it depends on {}\n{git}{SYNTHETIC_NOTE}\nnext:\n{go}  \
         cargo run --profile research -- backtest --strategy {name} --start-date {first} --end-date {last}\nThe first \
         build takes some minutes. README.md goes on from there.\n",
        folder.display(),
        engine.described,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_profiles_of_packages_that_are_there_stay() {
        let manifest = "[profile.release]\nstrip = true\n[profile.release.package.here]\nopt-level = \"s\"\n\
                        [profile.release.package.gone]\nopt-level = \"s\"\n# Tests.\n[profile.dev.package.\"*\"]\nopt-level = 2\n";
        let lock = "[[package]]\nname = \"here\"\nversion = \"1.0.0\"\n";
        let left = manifest.replace("[profile.release.package.gone]\nopt-level = \"s\"\n", "");
        assert_eq!(without_profiles_of_others(manifest, lock), left);
    }
}
