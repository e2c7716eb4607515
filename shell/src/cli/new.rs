//! `magellan new`: a strategy more, with its code, config and unit.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use magellan::archive::Archive;
use magellan::bar::{Date, HOUR, Nanos, Symbol, Timeframe};
use magellan::disk::write::write_whole;
use magellan::error::{Error, Result};
use magellan::registry::AnyStrategy;

use super::options::Place;
use super::output::print;
use super::programs::formatted;
use super::project::Project;
use super::registration::{by_hand, register};
use super::template::{self, NewStrategy};
use crate::codes;
use crate::report::table::SYNTHETIC_NOTE;

#[derive(Args, Debug)]
pub(super) struct New {
    /// The strategy's name, e.g. gap_fade.
    pub(super) name: String,
    /// The bars it trades on.
    #[arg(long, default_value_t = Timeframe::Day)]
    pub(super) timeframe: Timeframe,
    /// Symbols, e.g. AMC,GME [default: all that the archive has such bars of, up to 10].
    #[arg(long, value_delimiter = ',')]
    pub(super) symbols: Option<Vec<Symbol>>,
    #[command(flatten)]
    pub(super) place: Place,
}

/// Most symbols that are taken from the archive without being named.
const MOST: usize = 10;

pub(super) fn run(options: &New, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let name = options.name.as_str();
    template::check_name(name)?;
    if strategies.iter().any(|strategy| strategy.name() == name) {
        return Err(Error::new(codes::NOT_EMPTY, format!("there is a strategy `{name}` already")));
    }
    let deployed = options.place.deployed()?;
    let project = Project::around(&deployed)?;
    let Some(library) = project.library.as_deref() else {
        let what = format!("the package `{}` has no library, which would list its strategies", project.package);
        return Err(Error::new(codes::NO_STRATEGIES, what).at(project.root.display()));
    };
    let archive = options.place.archive()?;
    let (symbols, first, last) = subject(&archive, options.timeframe, options.symbols.as_deref())?;
    let new = NewStrategy { name, timeframe: options.timeframe, symbols: &symbols, first, last };
    let plan = Plan::new(&new, library, &deployed)?;
    plan.write()?;
    print(&report(&new, &plan, &project, archive.is_synthetic()))?;
    Ok(0)
}

/// Symbols and the period that all of them cover.
fn subject(archive: &Archive, timeframe: Timeframe, named: Option<&[Symbol]>) -> Result<(Vec<Symbol>, Date, Date)> {
    let here = archive.folder().display();
    let symbols = match named {
        Some(named) => named.to_vec(),
        None => of_width(archive, timeframe),
    };
    if symbols.is_empty() {
        return Err(Error::new(codes::NO_BARS, format!("the archive has no {timeframe} bars"))
            .at(here)
            .help("choose another --timeframe; `magellan data list` shows what there is"));
    }
    if named.is_none() && symbols.len() > MOST {
        let what = format!("the archive has {timeframe} bars of {} symbols: which ones?", symbols.len());
        let help = "name them with --symbols, e.g. --symbols AMC,GME";
        return Err(Error::new(codes::BAD_ARGUMENT, what).at(here).help(help));
    }
    let (mut first, mut last) = (Date(i32::MIN), Date(i32::MAX));
    for &symbol in &symbols {
        let covered = covered(archive, symbol, timeframe)?;
        (first, last) = (first.max(covered.0), last.min(covered.1));
    }
    if first > last {
        let what = "there is no period of which the archive has bars of all symbols";
        return Err(Error::new(codes::NO_BARS, what).at(here).help("name fewer with --symbols"));
    }
    Ok((symbols, first, last))
}

/// The symbols that the archive has bars of this width of; without any, those of which they can be built.
fn of_width(archive: &Archive, timeframe: Timeframe) -> Vec<Symbol> {
    let archived = archive.symbols(timeframe);
    if !archived.is_empty() {
        return archived;
    }
    let mut all: Vec<Symbol> = archive.manifest().records.iter().map(|record| record.symbol).collect();
    all.sort_unstable();
    all.dedup();
    all.retain(|&symbol| archive.source(symbol, timeframe).is_ok());
    all
}

/// The dates of a symbol's first and last session. Times are UTC: what trades until 20:00 in New York ends on the next
/// date, and nothing trades there between midnight and 04:00.
fn covered(archive: &Archive, symbol: Symbol, timeframe: Timeframe) -> Result<(Date, Date)> {
    let source = archive.source(symbol, timeframe)?;
    let records = archive.manifest().series(symbol, source);
    let behind = if source < Timeframe::Day { 5 * HOUR } else { 0 };
    let (first, last) = (records.iter().map(|r| r.first).min(), records.iter().map(|r| r.last).max());
    let date = |at: Option<Nanos>| Date::of_utc(at.unwrap_or_default() - behind);
    Ok((date(first), date(last)))
}

/// What will be written where.
struct Plan {
    /// New files, with their texts.
    files: Vec<(PathBuf, String)>,
    /// The list of strategies, and what it will say.
    library: (PathBuf, String),
}

impl Plan {
    fn new(new: &NewStrategy<'_>, library: &Path, deployed: &Path) -> Result<Self> {
        let sources = library.parent().unwrap_or(Path::new("."));
        let code = template::code(new)?;
        let code = formatted(sources, &code).unwrap_or(code);
        let mut files = vec![(sources.join(format!("{}.rs", new.name)), code)];
        files.extend(template::deployed(new)?.into_iter().map(|(path, text)| (deployed.join(path), text)));
        let is_there = |path: &PathBuf| path.symlink_metadata().is_ok();
        // A module may be a folder, and a folder below `deployed` a strategy without a config.
        let others = [sources.join(new.name), deployed.join(new.name)];
        if let Some(path) = files.iter().map(|(path, _)| path).chain(&others).find(|path| is_there(path)) {
            return Err(Error::new(codes::NOT_EMPTY, "this is there already").at(path.display()));
        }
        let text = fs::read_to_string(library).map_err(|e| Error::io(library, &e))?;
        let type_name = template::type_name(new.name);
        let registered = register(&text, new.name, &type_name).map_err(|why| {
            Error::new(codes::NOT_REGISTERED, why).at(library.display()).help(by_hand(new.name, &type_name))
        })?;
        // Modules are sorted and lists are broken as rustfmt does it, unless the file is written otherwise.
        let as_formatted = formatted(sources, &text).filter(|same| *same == text);
        let registered = as_formatted.and_then(|_| formatted(sources, &registered)).unwrap_or(registered);
        Ok(Self { files, library: (library.to_owned(), registered) })
    }

    /// Writes all or nothing; the list comes last, since it makes the rest a part of the program.
    fn write(&self) -> Result<()> {
        let all = self.files.iter().chain([&self.library]).try_for_each(|(path, text)| {
            write_whole(path, text.as_bytes(), 0o666)
                .map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()).at(path.display()))
        });
        if all.is_err() {
            for (path, _) in &self.files {
                let _ = fs::remove_file(path);
                // The strategy's own folder; one with anything in it stays.
                let _ = path.parent().map(fs::remove_dir);
            }
        }
        all
    }
}

fn report(new: &NewStrategy<'_>, plan: &Plan, project: &Project, synthetic: bool) -> String {
    let NewStrategy { name, timeframe, symbols, first, last } = new;
    let written: String = plan.files.iter().map(|(path, _)| format!("  {}\n", short(path, &project.root))).collect();
    let symbols = symbols.iter().map(Symbol::as_str).collect::<Vec<_>>().join(" ");
    let note = if synthetic { format!("{SYNTHETIC_NOTE}\n") } else { String::new() };
    let run = "  cargo run --profile research --";
    format!(
        "added the strategy {name}, {timeframe} bars of {symbols}, judged on {first} to {last} as the archive has them:\n\
         {written}  {} lists it\n{note}next:\n{run} schema --out deployed/config.schema.json\n{run} validate\n\
         {run} backtest --strategy {name} --start-date {first} --end-date {last}\nTo deploy it, add its unit to `services` \
         of an environment in deployed/environments.\n",
        short(&plan.library.0, &project.root),
    )
}

/// A path as somebody in the project's folder would write it.
fn short(path: &Path, root: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole.strip_prefix(root).unwrap_or(path).display().to_string()
}
