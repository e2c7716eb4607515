//! What is imported: the files among the sources, how each is read, and where its bars come from.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::name::{self, Named};
use super::recognised::Recognised;
use super::told::Told;
use super::width::{self, Width};
use super::{csv, json, text};
use crate::archive::audit;
use crate::archive::manifest::{Manifest, SYNTHETIC};
use crate::archive::parquet;
use crate::archive::record::checked_bytes;
use crate::archive::row::{BarFile, check_row};
use crate::archive::tables::{self, Table};
use crate::bar::{Symbol, Timeframe};
use crate::calendar::Calendar;
use crate::disk::map::{self, Access};
use crate::disk::walk::files_below;
use crate::error::{Error, Result, codes};

/// What to import, and what the user says about it.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// Files, folders with such files anywhere below, and other archives.
    pub sources: Vec<PathBuf>,
    /// Split table.
    pub splits: Option<PathBuf>,
    /// Table of declared moves.
    pub moves: Option<PathBuf>,
    /// Table of risk-free rates.
    pub risk_free: Option<PathBuf>,
    /// Table of dividends.
    pub dividends: Option<PathBuf>,
    /// Table of delistings.
    pub delistings: Option<PathBuf>,
    /// Table of renames.
    pub renames: Option<PathBuf>,
    /// When they trade; without it as the archive's, and a new one's as the sources that are archives, else XNYS.
    pub calendar: Option<Calendar>,
    /// Where the bars come from; without it `parquet`, `csv` or `json`.
    pub provenance: Option<String>,
    /// What files don't tell themselves.
    pub told: Told,
    /// Whether files that can't be read are left out, and listed.
    pub skip_unreadable: bool,
}

impl Import {
    /// The tables named beside the sources.
    fn tables(&self) -> impl Iterator<Item = (Table, PathBuf)> {
        let named = [
            (Table::Splits, &self.splits),
            (Table::Moves, &self.moves),
            (Table::Rates, &self.risk_free),
            (Table::Dividends, &self.dividends),
            (Table::Delistings, &self.delistings),
            (Table::Renames, &self.renames),
        ];
        named.into_iter().filter_map(|(table, path)| Some((table, path.clone()?)))
    }
}

/// What an import did.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// Files read.
    pub files: usize,
    /// Rows read from them.
    pub rows_read: u64,
    /// Identical duplicates dropped, per series: within the sources or against the archive.
    pub duplicates: Vec<(Symbol, Timeframe, u64)>,
    /// Rows the archive didn't have, per series.
    pub added: Vec<(Symbol, Timeframe, u64)>,
    /// Splits and moves the archive didn't have.
    pub splits_added: usize,
    /// As `splits_added`.
    pub moves_added: usize,
    /// Risk-free rates the archive didn't have.
    pub rates_added: usize,
    /// Dividends the archive didn't have.
    pub dividends_added: usize,
    /// Delistings the archive didn't have.
    pub delistings_added: usize,
    /// Renames the archive didn't have.
    pub renames_added: usize,
    /// What each file was taken for.
    pub recognised: Vec<Recognised>,
    /// Files in a source folder that were left out, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

/// A file among the sources.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) path: PathBuf,
    /// Whether it was found in a folder, not named.
    found: bool,
}

/// The bar files of all sources; tables found among them go into the manifest.
pub(super) fn collect(import: &Import, manifest: &mut Manifest, done: &mut Imported) -> Result<Vec<Listed>> {
    let mut bars = Vec::new();
    let mut tables: Vec<(Table, PathBuf)> = import.tables().collect();
    for source in &import.sources {
        if !source.exists() {
            return Err(Error::new(codes::SOURCE_MISSING, "there is no such file or folder").at(source.display()));
        }
        let found = source.is_dir();
        if found && Manifest::path(source).exists() {
            let records = records_of(source, manifest, done)?;
            bars.extend(records.into_iter().map(|path| Listed { path, found }));
            continue;
        }
        let listed = if found { files_below(source)? } else { vec![source.clone()] };
        for path in listed {
            let format = Format::of(&path);
            if let (Format::Text, Some(table)) = (&format, Table::of(&path)) {
                tables.push((table, path));
                continue;
            }
            match format {
                Format::Parquet | Format::Text | Format::Json => bars.push(Listed { path, found }),
                Format::Unread(help) if found => done.skipped.push((path, format!("not read: {help}"))),
                Format::Other if found => {}
                Format::Unread(help) => {
                    let what = "a file of a kind that isn't read";
                    return Err(Error::new(codes::NOT_A_SOURCE, what).at(path.display()).help(help));
                }
                Format::Other => {
                    let what = "neither a .parquet nor a .csv, .txt or .json file";
                    return Err(Error::new(codes::NOT_A_SOURCE, what).at(path.display()));
                }
            }
        }
    }
    tables.sort_by_key(|(table, _)| *table);
    for (table, path) in tables {
        add_table(table, &path, manifest, done)?;
    }
    Ok(bars)
}

/// Reads one table into the manifest.
fn add_table(table: Table, path: &Path, manifest: &mut Manifest, done: &mut Imported) -> Result<()> {
    let added = match table {
        Table::Splits => &mut done.splits_added,
        Table::Moves => &mut done.moves_added,
        Table::Rates => &mut done.rates_added,
        Table::Dividends => &mut done.dividends_added,
        Table::Delistings => &mut done.delistings_added,
        Table::Renames => &mut done.renames_added,
    };
    let place = |e: Error| e.at(path.display());
    *added += match table {
        Table::Splits => tables::merge_splits(&mut manifest.splits, tables::read_splits(path)?).map_err(place)?,
        Table::Moves => tables::merge_moves(&mut manifest.moves, tables::read_moves(path)?),
        Table::Rates => tables::merge_rates(&mut manifest.risk_free, tables::read_rates(path)?).map_err(place)?,
        Table::Dividends => {
            tables::merge_dividends(&mut manifest.dividends, tables::read_dividends(path)?).map_err(place)?
        }
        Table::Delistings => {
            tables::merge_delistings(&mut manifest.delistings, tables::read_delistings(path)?).map_err(place)?
        }
        Table::Renames => tables::merge_renames(&mut manifest.renames, tables::read_renames(path)?).map_err(place)?,
    };
    Ok(())
}

/// That nothing among the sources is of use.
pub(super) fn nothing_found(import: &Import, done: &Imported) -> Option<Error> {
    let actions = done.splits_added + done.dividends_added + done.delistings_added + done.renames_added;
    let tables = actions + done.moves_added + done.rates_added > 0 || import.tables().next().is_some();
    let what = "no .parquet or .csv file with bars among the sources";
    let skipped: Vec<String> =
        done.skipped.iter().map(|(path, why)| format!("\n  {}: {why}", path.display())).collect();
    (!tables).then(|| {
        Error::new(codes::SOURCE_MISSING, format!("{what}{}", skipped.concat()))
            .help("bars need the columns timestamp, open, high, low, close and volume")
    })
}

/// The calendar of an import into an archive, which keeps its own: sessions that are there would become others.
pub(super) fn calendar_of(import: &Import, archive: &Path, there: Option<Calendar>) -> Result<Calendar> {
    if let (Some(named), Some(there)) = (import.calendar, there) {
        check_calendar(archive, there, named)?;
    }
    let of_sources = || import.sources.iter().filter_map(|s| Manifest::read(s).ok()).map(|m| m.calendar).next();
    Ok(there.or(import.calendar).or_else(of_sources).unwrap_or_default())
}

/// Refuses an archive whose calendar isn't the wanted one.
fn check_calendar(archive: &Path, its: Calendar, wanted: Calendar) -> Result<()> {
    if its == wanted {
        return Ok(());
    }
    let what = format!("the archive's calendar is {its}, and the import's {wanted}");
    Err(Error::new(codes::OTHER_CALENDAR, what).at(archive.display()))
}

/// The records of another archive, each intact; its tables come along.
fn records_of(source: &Path, manifest: &mut Manifest, done: &mut Imported) -> Result<Vec<PathBuf>> {
    let other = Manifest::read(source)?;
    check_calendar(source, other.calendar, manifest.calendar)?;
    done.splits_added += tables::merge_splits(&mut manifest.splits, other.splits)?;
    done.moves_added += tables::merge_moves(&mut manifest.moves, other.moves);
    done.rates_added += tables::merge_rates(&mut manifest.risk_free, other.risk_free)?;
    done.dividends_added += tables::merge_dividends(&mut manifest.dividends, other.dividends)?;
    done.delistings_added += tables::merge_delistings(&mut manifest.delistings, other.delistings)?;
    done.renames_added += tables::merge_renames(&mut manifest.renames, other.renames)?;
    for record in &other.records {
        checked_bytes(source, record, Access::Map)?;
    }
    Ok(other.records.iter().map(|r| source.join(&r.path)).collect())
}

/// What a file is by the end of its name.
enum Format {
    Parquet,
    Text,
    Json,
    /// Bars perhaps, in a form that isn't read; what to do.
    Unread(&'static str),
    Other,
}

impl Format {
    fn of(path: &Path) -> Self {
        let name = path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let end = name.rsplit_once('.').map_or("", |(_, end)| end);
        match end {
            "parquet" | "pq" => Self::Parquet,
            "csv" | "txt" | "tsv" => Self::Text,
            "json" | "jsonl" | "ndjson" => Self::Json,
            "xlsx" | "xls" | "ods" => Self::Unread("save the sheet as CSV"),
            "feather" | "arrow" | "pkl" | "pickle" | "h5" | "hdf5" | "hdf" | "npy" | "npz" | "orc" | "avro" => {
                Self::Unread("write the table as Parquet or CSV")
            }
            "zip" | "tar" | "tgz" | "7z" | "rar" | "bz2" | "xz" | "zst" => Self::Unread("unpack it first"),
            "dbn" => Self::Unread("write it as CSV or Parquet with Databento's tools"),
            "db" | "sqlite" | "duckdb" => Self::Unread("export the table as Parquet or CSV"),
            _ if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) => Self::Text,
            _ => Self::Other,
        }
    }
}

/// What files need in memory for each of their bytes, at the most of what was measured: packed columns
/// become rows, texts are held beside them.
const PARQUET_NEEDS: u64 = 4;
const TEXT_NEEDS: u64 = 5;
const PACKED_TEXT_NEEDS: u64 = 40;
/// What threads and their allocators reserve.
const THREADS_NEED: u64 = 96 << 20;

/// Refuses sources that won't fit into memory, before anything is read: running out of it later would
/// end the program without a word about why.
pub(super) fn check_room(listed: &[Listed]) -> Result<()> {
    let need = |one: &Listed| {
        let size = std::fs::metadata(&one.path).map_or(0, |about| about.len());
        let packed = one.path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz"));
        size.saturating_mul(match Format::of(&one.path) {
            Format::Parquet => PARQUET_NEEDS,
            _ if packed => PACKED_TEXT_NEEDS,
            _ => TEXT_NEEDS,
        })
    };
    // A file that is too large is refused by name where it is read.
    let fits = listed.iter().map(need).filter(|need| *need <= TEXT_NEEDS * (4 << 30));
    let need = fits.fold(THREADS_NEED, u64::saturating_add);
    let refused = |why: String| Err(Error::new(codes::NO_MEMORY, why));
    let megabytes = need >> 20;
    if Vec::<u8>::new().try_reserve_exact(usize::try_from(need).unwrap_or(usize::MAX)).is_err() {
        return refused(format!(
            "{} files need about {megabytes} MB of memory, and the system refuses them",
            listed.len()
        ));
    }
    // Threads that are there already are no fault; others that can't be made are.
    match rayon::ThreadPoolBuilder::new().build_global() {
        Err(e) if std::error::Error::source(&e).is_some() => refused(format!("no threads can be started: {e}")),
        _ => Ok(()),
    }
}

/// Reads one file, whatever its format; its width isn't settled yet.
pub(super) fn read_file(path: &Path, told: &Told) -> Result<BarFile> {
    let place = |e: Error| e.at(path.display());
    // Read, not mapped: a foreign file may still be changing.
    let bytes = map::bytes(path, Access::Read)?;
    if matches!(Format::of(path), Format::Parquet) {
        return parquet::read::bars(path, bytes, told);
    }
    let bytes = text::unpacked(bytes).map_err(place)?;
    if bytes.starts_with(b"PAR1") {
        return parquet::read::bars(path, bytes, told);
    }
    let is_json = |b: &u8| b"{[".contains(b);
    let begin = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).iter().find(|b| !b.is_ascii_whitespace());
    let read = match begin.is_some_and(is_json) {
        true => json::bars(path, &bytes, told),
        false => csv::bars(path, &bytes, told),
    };
    read.map_err(place)
}

/// A file whose bars are known for what they are.
pub(super) struct Read {
    pub(super) path: PathBuf,
    pub(super) file: BarFile,
    pub(super) width: Width,
}

/// Reads one file and settles what its bars are.
fn read_whole(path: &Path, told: &Told) -> Result<Read> {
    let place = |e: Error| e.at(path.display());
    let mut file = read_file(path, told)?;
    if file.series.is_empty() {
        return Err(place(Error::new(codes::SOURCE_UNREADABLE, "the file has no rows")));
    }
    let width = width::settle(&mut file, told.timeframe, path).map_err(place)?;
    for row in file.series.iter().flat_map(|s| &s.1) {
        check_row(row, width.timeframe).and_then(|()| audit::check_price(row)).map_err(place)?;
    }
    Ok(Read { path: path.to_owned(), file, width })
}

/// Reads all files, each with its error if it can't be. A table of something else that lies in a
/// folder is only noted.
///
/// # Errors
/// Data error if they can't fit into memory.
pub(super) fn try_all(listed: &[Listed], told: &Told, done: &mut Imported) -> Result<Vec<(PathBuf, Result<Read>)>> {
    check_room(listed)?;
    if told.symbol.is_some() {
        check_one_symbol(listed)?;
    }
    let read: Vec<Result<Read>> = listed.par_iter().map(|one| read_whole(&one.path, told)).collect();
    let mut kept = Vec::new();
    for (one, read) in listed.iter().zip(read) {
        match read {
            Err(e) if is_other(one, &e) => done.skipped.push((one.path.clone(), e.what().to_owned())),
            read => kept.push((one.path.clone(), read)),
        }
    }
    Ok(kept)
}

/// Refuses files that are named for several symbols where the user says one for all.
fn check_one_symbol(listed: &[Listed]) -> Result<()> {
    let mut named: Vec<Symbol> = Vec::new();
    for one in listed {
        match (name::partition_symbol(&one.path)?, name::symbol(&one.path)) {
            (Some((symbol, _)), _) | (None, Named::Symbol(symbol)) => named.push(symbol),
            _ => {}
        }
    }
    named.sort();
    named.dedup();
    match &named[..] {
        [first, second, ..] => {
            let what = format!("the files are named for {first} and {second}, and --symbol is for files of one symbol");
            Err(Error::new(codes::SYMBOL_UNCLEAR, what).help("leave out --symbol, or import the files one by one"))
        }
        _ => Ok(()),
    }
}

/// Whether a file that lies in a folder is none of bars.
pub(super) fn is_other(listed: &Listed, err: &Error) -> bool {
    listed.found && err.code() == codes::NOT_A_SOURCE
}

/// Reads all files, or names all that can't be read.
pub(super) fn read_all(listed: &[Listed], import: &Import, done: &mut Imported) -> Result<Vec<Read>> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (path, read) in try_all(listed, &import.told, done)? {
        match read {
            Ok(read) => good.push(read),
            Err(e) if import.skip_unreadable => done.skipped.push((path, e.what().to_owned())),
            Err(e) => bad.push(e),
        }
    }
    match bad.len() {
        0 => Ok(good),
        1 => Err(bad.remove(0)),
        count => {
            let shown: Vec<String> = bad.iter().map(|e| format!("\n  {e}\n    try: {}", e.suggestion())).collect();
            let what = format!("{count} files can't be imported{}", shown.concat());
            Err(Error::new(bad[0].code(), what)
                .help("correct or remove them, or leave them out with --skip-unreadable"))
        }
    }
}

/// What is known of a file's origin. A synthetic mark can't be renamed away.
pub(super) fn provenance(file: &BarFile, path: &Path, import: &Import) -> Result<String> {
    match (&file.provenance, &import.provenance) {
        (Some(marked), Some(named)) if marked != named => Err(Error::new(
            codes::PROVENANCE_RENAMED,
            format!("the file is marked `{marked}` and can't be imported as `{named}`"),
        )
        .help(format!("leave out --provenance; a mark such as `{SYNTHETIC}` stays with the bars"))),
        (Some(marked), _) => Ok(marked.clone()),
        (None, Some(named)) => Ok(named.clone()),
        (None, None) => Ok(match Format::of(path) {
            Format::Parquet => "parquet",
            Format::Json => "json",
            _ => "csv",
        }
        .to_owned()),
    }
}
