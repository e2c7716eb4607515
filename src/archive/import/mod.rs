//! Foreign files in, records out: nothing guessed, nothing lost, visible all at once.
//!
//! An import reads every source, merges it with what the archive holds, and writes new record
//! files beside the old ones. Only then does one rename of the manifest make them the archive.

mod claims;
pub(crate) mod csv;
pub mod inspect;
pub(crate) mod parquet;

pub use parquet::hide_caught_panics;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::manifest::{DayBasis, Manifest, Record};
use super::record::{self, Label, Row};
use super::{SYNTHETIC, tables};
use crate::bar::{DAY, Date, HOUR, MINUTE, Nanos, Symbol, Timeframe, iso_utc};
use crate::calendar;
use crate::disk::hash::sha256_hex;
use crate::disk::hash::xxh3_hex;
use crate::disk::map;
use crate::disk::map::Access;
use crate::disk::write::TEMPORARY;
use crate::disk::write::write_atomically;
use crate::error::{Error, Result, codes};

/// Rows of one symbol.
pub(crate) type Rows = Vec<Row>;

/// Accepted names of the timestamp column, the pandas index included.
const TIMESTAMPS: [&str; 6] = ["timestamp", "time", "datetime", "date", "index", "__index_level_0__"];

/// What one file holds.
pub(crate) struct BarFile {
    pub(crate) symbol: Option<Symbol>,
    pub(crate) provenance: Option<String>,
    pub(crate) timeframe: Option<Timeframe>,
    pub(crate) day_basis: Option<String>,
    /// Whether its timestamps have no zone.
    pub(crate) naive: bool,
    pub(crate) series: Vec<(Symbol, Rows)>,
}

/// What to import, and what the user says about it.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// Files, folders with such files anywhere below, and other archives.
    pub sources: Vec<PathBuf>,
    /// Split table.
    pub splits: Option<PathBuf>,
    /// Table of declared moves.
    pub moves: Option<PathBuf>,
    /// Where the bars come from; without it `parquet` or `csv`.
    pub provenance: Option<String>,
    /// Bar width, where neither name nor spacing tells.
    pub timeframe: Option<Timeframe>,
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
    /// Files in a source folder that aren't bars.
    pub skipped: Vec<PathBuf>,
}

/// Rows of one series from all sources.
#[derive(Default)]
struct Gathered {
    rows: Rows,
    provenance: Option<String>,
    day_basis: Option<DayBasis>,
}

/// Imports into `archive`, which is made if there is none.
///
/// # Errors
/// Data error for unreadable files and conflicting rows; refused if a synthetic mark or a
/// known provenance would be overridden.
pub fn import(archive: &Path, import: &Import) -> Result<Imported> {
    if let Some(name) = &import.provenance {
        check_provenance(name)?;
    }
    make_folder(archive)?;
    let _lock = lock(archive)?;
    let mut manifest = match Manifest::path(archive).exists() {
        true => Manifest::read(archive)?,
        false => Manifest::default(),
    };
    let before = manifest.clone();
    remove_leftovers(archive, &before);
    let mut done = Imported::default();
    let sources = collect(import, &mut manifest, &mut done)?;
    let files: Vec<BarFile> = sources.par_iter().map(|path| read_file(path)).collect::<Result<_>>()?;
    done.files = files.len();
    let gathered = gather(files, &sources, import, &mut done)?;
    let merged: Vec<Merged> = gathered
        .into_par_iter()
        .map(|(key, new)| merge(archive, &before, &sources, key, new))
        .collect::<Result<_>>()?;
    for series in merged {
        let (symbol, timeframe) = series.key;
        done.duplicates.push((symbol, timeframe, series.duplicates));
        done.added.push((symbol, timeframe, series.added));
        manifest.records.retain(|r| (r.symbol, r.timeframe) != series.key);
        manifest.records.extend(series.records);
    }
    done.duplicates.retain(|d| d.2 > 0);
    write_atomically(&Manifest::path(archive), &manifest.seal())?;
    Ok(done)
}

/// Writes series that are known to be in order into a new archive.
pub(super) fn write_new(archive: &Path, series: &[(Label, Rows)]) -> Result<()> {
    make_folder(archive)?;
    let _lock = lock(archive)?;
    if Manifest::path(archive).exists() {
        return Err(Error::new(codes::ARCHIVE_EXISTS, "there is an archive already").at(archive.display()));
    }
    let mut manifest = Manifest::default();
    for (label, rows) in series {
        manifest.records.extend(write_years(archive, label, rows)?);
    }
    write_atomically(&Manifest::path(archive), &manifest.seal())
}

fn make_folder(archive: &Path) -> Result<()> {
    fs::create_dir_all(archive).map_err(|e| {
        Error::io(archive, &e).help("--archive names a folder that can be written; it is made if there is none")
    })
}

/// One import at a time; the lock ends with the process.
fn lock(archive: &Path) -> Result<File> {
    let path = archive.join(".lock");
    let file = File::create(&path).map_err(|e| Error::io(&path, &e))?;
    file.lock().map_err(|e| Error::io(&path, &e))?;
    Ok(file)
}

fn check_provenance(name: &str) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if !name.is_empty() && name.len() <= 40 && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::new(codes::BAD_ARGUMENT, format!("`{name}` is not a provenance name"))
        .help("use up to 40 of a-z 0-9 - _, e.g. alpaca-sip"))
}

/// The bar files of all sources; tables found among them go into the manifest.
fn collect(import: &Import, manifest: &mut Manifest, done: &mut Imported) -> Result<Vec<PathBuf>> {
    let mut bars = Vec::new();
    let mut splits: Vec<PathBuf> = import.splits.iter().cloned().collect();
    let mut moves: Vec<PathBuf> = import.moves.iter().cloned().collect();
    for source in &import.sources {
        if !source.exists() {
            return Err(Error::new(codes::SOURCE_MISSING, "there is no such file or folder").at(source.display()));
        }
        let folder = source.is_dir();
        if folder && Manifest::path(source).exists() {
            bars.extend(records_of(source, manifest, done)?);
            continue;
        }
        let listed = if folder { list(source)? } else { vec![source.clone()] };
        for path in listed {
            match extension(&path).as_str() {
                "parquet" => bars.push(path),
                "csv" if tables::is_split_table(&path) => splits.push(path),
                "csv" if tables::is_move_table(&path) => moves.push(path),
                "csv" if !folder || csv::has_bars(&path) => bars.push(path),
                _ if folder => done.skipped.push(path),
                _ => {
                    return Err(
                        Error::new(codes::NOT_A_SOURCE, "neither a .parquet nor a .csv file").at(path.display())
                    );
                }
            }
        }
    }
    for path in splits {
        done.splits_added += tables::merge_splits(&mut manifest.splits, tables::read_splits(&path)?)
            .map_err(|e| e.at(path.display()))?;
    }
    for path in moves {
        done.moves_added += tables::merge_moves(&mut manifest.moves, tables::read_moves(&path)?);
    }
    if bars.is_empty() && done.splits_added + done.moves_added == 0 && import.splits.is_none() && import.moves.is_none()
    {
        return Err(Error::new(codes::SOURCE_MISSING, "no .parquet or .csv file with bars among the sources")
            .help("bars need the columns timestamp, open, high, low, close and volume"));
    }
    Ok(bars)
}

/// The records of another archive, each intact; its splits and moves come along.
fn records_of(source: &Path, manifest: &mut Manifest, done: &mut Imported) -> Result<Vec<PathBuf>> {
    let other = Manifest::read(source)?;
    done.splits_added += tables::merge_splits(&mut manifest.splits, other.splits)?;
    done.moves_added += tables::merge_moves(&mut manifest.moves, other.moves);
    for record in &other.records {
        super::checked_bytes(source, record, Access::Map)?;
    }
    Ok(other.records.iter().map(|r| source.join(&r.path)).collect())
}

/// All files below a folder, in order of path.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    list(folder)
}

/// The files below a folder in order of path; hidden ones are somebody else's.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries: std::io::Result<Vec<fs::DirEntry>> = fs::read_dir(folder).and_then(Iterator::collect);
    let mut paths: Vec<PathBuf> = entries.map_err(|e| Error::io(folder, &e))?.iter().map(fs::DirEntry::path).collect();
    paths.retain(|p| p.file_name().is_some_and(|n| !n.to_string_lossy().starts_with('.')));
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        // Links to folders may lead in circles; what they hold is reached under its own name.
        if !path.is_dir() {
            files.push(path);
        } else if !path.is_symlink() {
            files.extend(list(&path)?);
        }
    }
    Ok(files)
}

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

fn read_file(path: &Path) -> Result<BarFile> {
    match extension(path).as_str() {
        "csv" => csv::read(path),
        // Read, not mapped: a foreign file may still be changing.
        _ => parquet::read(path, map::bytes(path, Access::Read)?),
    }
}

/// Joins the files' rows by symbol and timeframe.
fn gather(
    files: Vec<BarFile>,
    sources: &[PathBuf],
    import: &Import,
    done: &mut Imported,
) -> Result<BTreeMap<(Symbol, Timeframe), Gathered>> {
    let mut all: BTreeMap<(Symbol, Timeframe), Gathered> = BTreeMap::new();
    for (index, (file, path)) in files.into_iter().zip(sources).enumerate() {
        let place = |e: Error| e.at(path.display());
        let provenance = provenance(&file, path, import).map_err(place)?;
        let stated = file.day_basis.as_deref().map(parse_day_basis).transpose().map_err(place)?;
        if file.series.is_empty() {
            return Err(place(Error::new(codes::SOURCE_UNREADABLE, "the file has no rows")));
        }
        for (symbol, mut rows) in file.series {
            done.rows_read += rows.len() as u64;
            let timeframe = timeframe(&rows, file.timeframe, path, import).map_err(place)?;
            for row in &mut rows {
                row.origin.0 = index as u32;
                check_row(row, timeframe).map_err(place)?;
            }
            let found = match evidence(&rows, timeframe) {
                Some(shown) => join_days(Some(shown), stated).map_err(place)?,
                None => None,
            };
            let entry = all.entry((symbol, timeframe)).or_default();
            entry.provenance = Some(same(entry.provenance.take(), &provenance, symbol).map_err(place)?);
            entry.day_basis = join_days(entry.day_basis, found).map_err(|e| place(e.at(symbol)))?;
            entry.rows.append(&mut rows);
        }
    }
    Ok(all)
}

/// What is known of a file's origin. A synthetic mark can't be renamed away.
fn provenance(file: &BarFile, path: &Path, import: &Import) -> Result<String> {
    match (&file.provenance, &import.provenance) {
        (Some(marked), Some(named)) if marked != named => Err(Error::new(
            codes::PROVENANCE_RENAMED,
            format!("the file is marked `{marked}` and can't be imported as `{named}`"),
        )
        .help(format!("leave out --provenance; a mark such as `{SYNTHETIC}` stays with the bars"))),
        (Some(marked), _) => Ok(marked.clone()),
        (None, Some(named)) => Ok(named.clone()),
        (None, None) => Ok(if extension(path) == "csv" { "csv" } else { "parquet" }.to_owned()),
    }
}

fn same(known: Option<String>, new: &str, symbol: Symbol) -> Result<String> {
    match known {
        Some(known) if known != new => Err(Error::new(
            codes::PROVENANCE_MIXED,
            format!("{symbol} would mix bars of provenance `{known}` and `{new}`"),
        )),
        _ => Ok(new.to_owned()),
    }
}

/// Bar width by what was said, by the file's name and by the spacing; they must agree.
fn timeframe(rows: &[Row], marked: Option<Timeframe>, path: &Path, import: &Import) -> Result<Timeframe> {
    let wrong = |what: String, help: &str| Err(Error::new(codes::BAR_WIDTH, what).help(help));
    let odd = |t: Timeframe| rows.iter().find(|r| r.start.rem_euclid(t.width()) != 0);
    let stated = import.timeframe.or(marked);
    let said = stated.or_else(|| timeframe_from_name(path));
    if said.is_none()
        && let Some(width) = unknown_width(path)
    {
        let help =
            "import bars of 1Min, 1Hour or 1Day; Magellan doesn't join bars. If the rows are such, say --timeframe";
        return wrong(format!("named {width}; Magellan knows 1Min, 1Hour and 1Day"), help);
    }
    let Some(coarsest) = Timeframe::ALL.into_iter().rev().find(|&t| odd(t).is_none()) else {
        let at = odd(Timeframe::Minute).map(|r| iso_utc(r.start)).unwrap_or_default();
        let help = "bars carry their start time; Magellan knows 1Min, 1Hour and 1Day";
        return wrong(format!("{at} is not the start of a minute, hour or day"), help);
    };
    let said = said.unwrap_or(coarsest);
    if let Some(odd) = odd(said) {
        let help = match said {
            Timeframe::Day if rows.iter().all(starts_at_new_york_midnight) => {
                "these start at New York's midnight: write a daily bar's timestamp as its session's date, e.g. 2024-04-01"
            }
            Timeframe::Day => {
                "a daily bar starts at 00:00Z of its session's date: correct the timestamps, or the width"
            }
            _ => "bars start at whole minutes or hours of UTC: correct the timestamps, or the width",
        };
        return wrong(format!("said to hold {said} bars, but one starts at {}", iso_utc(odd.start)), help);
    }
    if let Some(spacing) = coarser_spacing(rows, said) {
        let help = "import bars of 1Min, 1Hour or 1Day; Magellan doesn't join bars";
        return wrong(format!("all rows start {} apart, which are no {said} bars", span(spacing)), help);
    }
    match stated {
        Some(stated) => Ok(stated),
        None if said != coarsest => {
            let what = format!("named {said}, but the rows are spaced like {coarsest} bars");
            wrong(what, "if the name is right, say so with --timeframe")
        }
        None if rows.len() < 2 && timeframe_from_name(path).is_none() => {
            wrong("one row doesn't tell the bar width".to_owned(), "say it with --timeframe")
        }
        None => Ok(coarsest),
    }
}

/// A bar width in a file's name that Magellan doesn't know, e.g. `5Min`. `30d` and `6m` may be how
/// far a file reaches.
fn unknown_width(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let is_width = |part: &&str| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let unit = part[digits..].to_ascii_lowercase();
        let units = ["min", "mins", "minute", "minutes", "h", "hour", "hours"];
        digits > 0 && units.contains(&unit.as_str()) && part.parse::<Timeframe>().is_err()
    };
    stem.split('_').find(is_width).map(str::to_owned)
}

fn starts_at_new_york_midnight(row: &Row) -> bool {
    row.start == calendar::new_york_midnight(calendar::new_york_date(row.start))
}

/// Rows too few to tell spacing from chance.
const FEW: usize = 10;

/// The spacing of bars that are wider than `width`: all of them start whole multiples of it
/// apart. Sparse bars of the right width don't, but for a chance of two to the power of ten.
fn coarser_spacing(rows: &[Row], width: Timeframe) -> Option<Nanos> {
    let first = rows.first().filter(|_| rows.len() > FEW)?.start;
    let gcd = |mut a: i128, mut b: i128| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let spacing = rows.iter().fold(0, |spacing, row| gcd((i128::from(row.start) - i128::from(first)).abs(), spacing));
    let spacing = Nanos::try_from(spacing).ok()?;
    (spacing > width.width()).then_some(spacing)
}

/// A number of nanoseconds for people.
fn span(nanos: Nanos) -> String {
    match nanos {
        n if n % DAY == 0 => format!("{} days", n / DAY),
        n if n % HOUR == 0 => format!("{} hours", n / HOUR),
        n => format!("{} minutes", n / MINUTE),
    }
}

/// `AMC_1min_20240401_20240630` says `1Min`.
fn timeframe_from_name(path: &Path) -> Option<Timeframe> {
    let stem = path.file_stem()?.to_str()?;
    stem.split('_').find_map(|part| match part.to_ascii_lowercase().as_str() {
        "1minute" => Some(Timeframe::Minute),
        "1h" | "60min" | "hourly" => Some(Timeframe::Hour),
        "1d" | "daily" => Some(Timeframe::Day),
        name => name.parse().ok(),
    })
}

/// `AMC_1min_…` is AMC's.
pub(crate) fn symbol_from_name(path: &Path) -> Option<Symbol> {
    let stem = path.file_stem()?.to_str()?;
    stem.split('_').next()?.parse().ok()
}

pub(super) fn check_row(row: &Row, timeframe: Timeframe) -> Result<()> {
    let [open, high, low, close, volume] = row.ohlcv;
    let priced = [open, high, low, close].iter().all(|p| p.is_finite() && *p > 0.0);
    if !priced || !volume.is_finite() || volume < 0.0 {
        let at = iso_utc(row.start);
        return Err(Error::new(
            codes::BAD_PRICE,
            format!("row {} ({at}): open {open}, high {high}, low {low}, close {close}, volume {volume}", row.origin.1),
        )
        .help("prices must be above 0 and volumes not negative; correct or remove the row"));
    }
    calendar::check_covered(Date::of_utc(row.start))?;
    let date = match timeframe {
        Timeframe::Day => Date::of_utc(row.start),
        _ => calendar::new_york_date(row.start),
    };
    calendar::check_covered(date)
}

/// What the rows themselves show about days: a row on a day without trading is no session's.
fn evidence(rows: &[Row], timeframe: Timeframe) -> Option<DayBasis> {
    (timeframe == Timeframe::Day).then(|| {
        let trades = |r: &Row| calendar::is_trading_day(Date::of_utc(r.start));
        if rows.iter().all(trades) { DayBasis::Undeclared } else { DayBasis::UtcExtended }
    })
}

fn parse_day_basis(text: &str) -> Result<DayBasis> {
    [DayBasis::Session, DayBasis::UtcExtended, DayBasis::Undeclared]
        .into_iter()
        .find(|b| b.name() == text)
        .ok_or_else(|| Error::new(codes::SOURCE_UNREADABLE, format!("`{text}` is not a day basis")))
}

fn join_days(a: Option<DayBasis>, b: Option<DayBasis>) -> Result<Option<DayBasis>> {
    use DayBasis::Undeclared;
    match (a, b) {
        (None | Some(Undeclared), other) | (other, None | Some(Undeclared)) => Ok(other.or(a)),
        (Some(a), Some(b)) if a == b => Ok(Some(a)),
        (Some(a), Some(b)) => Err(Error::new(
            codes::DAYS_MIXED,
            format!("days of basis `{}` and `{}` can't be mixed", a.name(), b.name()),
        )),
    }
}

/// A series after merging.
struct Merged {
    key: (Symbol, Timeframe),
    records: Vec<Record>,
    duplicates: u64,
    added: u64,
}

/// Joins new rows with the archived ones and writes the years that changed.
fn merge(
    archive: &Path,
    manifest: &Manifest,
    sources: &[PathBuf],
    key: (Symbol, Timeframe),
    new: Gathered,
) -> Result<Merged> {
    let old = manifest.series(key.0, key.1);
    let mut rows = Vec::new();
    let mut provenance = new.provenance;
    let mut day_basis = new.day_basis;
    for (i, record) in old.iter().enumerate() {
        provenance = Some(same(provenance, &record.provenance, key.0)?);
        day_basis = join_days(day_basis, record.day_basis).map_err(|e| e.at(key.0))?;
        let bytes = super::checked_bytes(archive, record, Access::Map)?;
        let mut archived = record::decode(&archive.join(&record.path), bytes, record)?;
        archived.iter_mut().for_each(|r| r.origin.0 = (sources.len() + i) as u32);
        rows.append(&mut archived);
    }
    let archived = rows.len() as u64;
    rows.extend(new.rows);
    rows.sort_by_key(|r| r.start);
    let name = |row: &Row| {
        let (file, line) = row.origin;
        let path = sources.get(file as usize).map(|p| p.display().to_string());
        let path = path.unwrap_or_else(|| old[file as usize - sources.len()].path.clone());
        format!("{path} row {line}: {}", describe(row))
    };
    let duplicates = drop_duplicates(&mut rows).map_err(|conflict| {
        let (a, b) = *conflict;
        let at = iso_utc(a.start);
        Error::new(codes::CONFLICTING_BARS, format!("two different bars start at {at}\n  {}\n  {}", name(&a), name(&b)))
            .at(format!("{} {}", key.0, key.1))
    })?;
    let label = Label { symbol: key.0, timeframe: key.1, provenance: provenance.unwrap_or_default(), day_basis };
    let records = write_years(archive, &label, &rows)?;
    Ok(Merged { key, records, duplicates, added: rows.len() as u64 - archived })
}

fn describe(row: &Row) -> String {
    let [open, high, low, close, volume] = row.ohlcv;
    let mut text = format!("open {open} high {high} low {low} close {close} volume {volume}");
    for (name, extra) in [("trade_count", row.trade_count), ("vwap", row.vwap)] {
        if !extra.is_nan() {
            text += &format!(" {name} {extra}");
        }
    }
    text
}

/// Whether two rows are the same bar: equal but for extras that one of them lacks.
fn is_same_bar(a: &Row, b: &Row) -> bool {
    let agree = |a: f64, b: f64| a == b || a.is_nan() || b.is_nan();
    a.ohlcv == b.ohlcv && agree(a.trade_count, b.trade_count) && agree(a.vwap, b.vwap)
}

/// Drops rows equal to the one before; the first stays and keeps what extras either has.
fn drop_duplicates(rows: &mut Rows) -> std::result::Result<u64, Box<(Row, Row)>> {
    let before = rows.len();
    let mut conflict = None;
    rows.dedup_by(|later, first| {
        if later.start != first.start {
            return false;
        }
        if !is_same_bar(later, first) {
            conflict.get_or_insert_with(|| Box::new((*first, *later)));
        }
        for (kept, other) in [(&mut first.trade_count, later.trade_count), (&mut first.vwap, later.vwap)] {
            if kept.is_nan() {
                *kept = other;
            }
        }
        true
    });
    conflict.map_or(Ok((before - rows.len()) as u64), Err)
}

/// One record a UTC year; its file is named after its contents, so a changed year is a new file.
fn write_years(archive: &Path, label: &Label, rows: &[Row]) -> Result<Vec<Record>> {
    let year = |row: &Row| Date(row.start.div_euclid(DAY) as i32).civil().year();
    let mut records = Vec::new();
    for rows in rows.chunk_by(|a, b| year(a) == year(b)) {
        let (first, last) = (&rows[0], &rows[rows.len() - 1]);
        let bytes = record::encode(label, rows)?;
        let xxh3 = xxh3_hex(&bytes);
        let (timeframe, symbol, year) = (label.timeframe, label.symbol, year(first));
        let path = format!("{}/raw/{timeframe}/{symbol}/{year}-{}.parquet", label.provenance, &xxh3[..8]);
        let full = archive.join(&path);
        let unchanged = fs::read(&full).is_ok_and(|old| old == bytes);
        if !unchanged {
            write_atomically(&full, &bytes)?;
        }
        records.push(Record {
            path,
            symbol,
            timeframe,
            provenance: label.provenance.clone(),
            day_basis: label.day_basis,
            year,
            rows: rows.len() as u64,
            first: first.start,
            last: last.start,
            sha256: sha256_hex(&bytes),
            xxh3,
        });
    }
    Ok(records)
}

/// Removes what no reader can want: records that the manifest doesn't name, and temporary files
/// of imports that were killed. What this import supersedes stays until the next one, so that
/// a reader that has opened the archive finds all its records.
fn remove_leftovers(archive: &Path, manifest: &Manifest) {
    let named: BTreeSet<PathBuf> = manifest.records.iter().map(|r| archive.join(&r.path)).collect();
    let mut folders = vec![archive.to_owned()];
    while let Some(folder) = folders.pop() {
        // What can't be listed or removed is only unused space.
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if name.starts_with(TEMPORARY) || (is_record_path(archive, &path) && !named.contains(&path)) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Whether a file stands where only an import writes: whoever imports into a folder of his own
/// files loses none of them.
pub(super) fn is_record_path(archive: &Path, path: &Path) -> bool {
    let inside = path.strip_prefix(archive).ok().and_then(Path::to_str).unwrap_or_default();
    let [_, "raw", timeframe, symbol, name] = inside.split('/').collect::<Vec<&str>>()[..] else { return false };
    let stem = name.strip_suffix(".parquet").and_then(|stem| stem.split_once('-'));
    let hex = |text: &str| text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    timeframe.parse::<Timeframe>().is_ok()
        && symbol.parse::<Symbol>().is_ok()
        && stem.is_some_and(|(year, hash)| year.parse::<i16>().is_ok() && hex(hash))
}

fn missing_column(name: &str, found: &[String]) -> Error {
    Error::new(codes::MISSING_COLUMN, format!("there is no column `{name}`; the file has {}", found.join(", ")))
}

fn no_symbol() -> Error {
    Error::new(codes::MISSING_VALUE, "neither a symbol column nor a file name that starts with a symbol")
        .help("add a column `symbol`, or name the file like AMC_1min_20240401_20240630.parquet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_a_bar_width_or_none_but_not_a_wrong_one() {
        let named = |name: &str| {
            let path = Path::new(name);
            (timeframe_from_name(path), unknown_width(path))
        };
        assert_eq!(named("AMC_1min_20240401_20240630.parquet"), (Some(Timeframe::Minute), None));
        assert_eq!(named("SPY_1day_30d_backfill.csv"), (Some(Timeframe::Day), None));
        assert_eq!(named("SPY_6m.csv"), (None, None));
        assert_eq!(named("TSLA_1h.csv").0, Some(Timeframe::Hour));
        assert_eq!(named("TSLA_60min_2024.csv").0, Some(Timeframe::Hour));
        assert_eq!(named("SPY_daily.csv").0, Some(Timeframe::Day));
        assert_eq!(named("AMC_5Min.csv"), (None, Some("5Min".to_owned())));
        assert_eq!(named("AMC_4hour_2024.csv").1, Some("4hour".to_owned()));
    }

    fn starts(minutes: &[i64]) -> Vec<Row> {
        let row =
            |m: &i64| Row { start: m * MINUTE, ohlcv: [1.0; 5], trade_count: f64::NAN, vwap: f64::NAN, origin: (0, 0) };
        minutes.iter().map(row).collect()
    }

    #[test]
    fn spacing_is_told_from_chance() {
        let minute = Timeframe::Minute;
        let every = |step: i64| (0..30).map(|i| i * step).collect::<Vec<i64>>();
        assert_eq!(coarser_spacing(&starts(&every(5)), minute), Some(5 * MINUTE));
        assert_eq!(coarser_spacing(&starts(&every(1)), minute), None);
        assert_eq!(coarser_spacing(&starts(&every(60)), Timeframe::Hour), None);
        // Sparse, and one odd gap is enough.
        let mut sparse = every(10);
        sparse.push(601);
        assert_eq!(coarser_spacing(&starts(&sparse), minute), None);
        assert_eq!(coarser_spacing(&starts(&[0, 5, 10]), minute), None, "too few to tell");
    }
}
