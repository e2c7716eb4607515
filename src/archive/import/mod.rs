//! Foreign files in, records out: nothing guessed, nothing lost, visible all at once.
//!
//! An import reads every source, merges it with what the archive holds, and writes new record
//! files beside the old ones. Only then does one rename of the manifest make them the archive.

pub(crate) mod columns;
pub(crate) mod csv;
mod daily;
mod day_basis;
pub mod inspect;
pub(crate) mod json;
pub(crate) mod layout;
mod merge;
pub(crate) mod name;
mod number;
mod recognised;
mod sources;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod told;
pub(crate) mod whose;
mod width;

pub use recognised::Recognised;
pub use sources::{Import, Imported};
pub use told::{Column, Role, TimeFormat, Told, parse_zone};

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Archive;
use super::manifest::Manifest;
use super::record::{self, is_record_path};
use super::row::{Label, Rows};
use crate::bar::{Symbol, Timeframe};
use crate::calendar::Calendar;
use crate::disk::map::Access;
use crate::disk::write::{TEMPORARY, write_atomically};
use crate::error::{Error, Result, codes};
use day_basis::{evidence, join_days, parse_day_basis};
use merge::{Gathered, Merged, merge, same};
use sources::{Read, calendar_of, collect, nothing_found, provenance, read_all, try_all};

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
    let there = Manifest::path(archive).exists().then(|| Manifest::read(archive)).transpose()?;
    let calendar = calendar_of(import, archive, there.as_ref().map(|m| m.calendar))?;
    let mut manifest = there.unwrap_or_else(|| Manifest { calendar, ..Manifest::default() });
    let before = manifest.clone();
    remove_leftovers(archive, &before);
    let mut done = Imported::default();
    let listed = collect(import, &mut manifest, &mut done)?;
    let files = read_all(&listed, import, &mut done)?;
    if files.is_empty()
        && let Some(err) = nothing_found(import, &done)
    {
        return Err(err);
    }
    done.files = files.len();
    let recognised = |read: &Read| Recognised::of(&read.path, &read.file, &read.width, calendar);
    done.recognised = files.iter().map(recognised).collect();
    let sources: Vec<PathBuf> = files.iter().map(|read| read.path.clone()).collect();
    let gathered = gather(files, import, calendar, &mut done)?;
    let mut touched: BTreeSet<Symbol> = gathered.keys().map(|key| key.0).collect();
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
    touched.extend(manifest.splits.iter().filter(|s| !before.splits.contains(s)).map(|s| s.symbol));
    touched.extend(manifest.renames.iter().map(|r| r.new));
    let sealed = manifest.seal();
    check_actions(Archive { folder: archive.to_owned(), manifest, access: Access::Map }, &touched)?;
    write_atomically(&Manifest::path(archive), &sealed)?;
    Ok(done)
}

/// Refuses corporate actions that contradict the bars of some symbols, before a reader can see them.
fn check_actions(archive: Archive, symbols: &BTreeSet<Symbol>) -> Result<()> {
    let mut series: Vec<(Symbol, Timeframe)> =
        archive.manifest.records.iter().map(|r| (r.symbol, r.timeframe)).filter(|s| symbols.contains(&s.0)).collect();
    series.dedup();
    series.par_iter().try_for_each(|&(symbol, timeframe)| archive.check_actions(symbol, timeframe))
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
        manifest.records.extend(record::write_years(archive, label, rows)?);
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

/// What an import would make of its sources, file by file; nothing is written.
#[derive(Debug, Default)]
pub struct Preview {
    /// What each file would be taken for, or why it can't be imported.
    pub files: Vec<(PathBuf, Result<Recognised>)>,
    /// Files that would be left out, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Looks at sources as [`import`] would read them.
///
/// # Errors
/// Data error if there are no bars at all, or a table can't be read.
pub fn preview(import: &Import) -> Result<Preview> {
    let mut done = Imported::default();
    let calendar = calendar_of(import, Path::new(""), None)?;
    let listed = collect(import, &mut Manifest { calendar, ..Manifest::default() }, &mut done)?;
    let files: Vec<_> = try_all(&listed, &import.told, &mut done)?
        .into_iter()
        .map(|(path, read)| (path, read.map(|read| Recognised::of(&read.path, &read.file, &read.width, calendar))))
        .collect();
    match nothing_found(import, &done).filter(|_| files.is_empty()) {
        Some(err) => Err(err),
        None => Ok(Preview { files, skipped: done.skipped }),
    }
}

/// Joins the files' rows by symbol and timeframe.
fn gather(
    files: Vec<Read>,
    import: &Import,
    calendar: Calendar,
    done: &mut Imported,
) -> Result<BTreeMap<(Symbol, Timeframe), Gathered>> {
    let mut all: BTreeMap<(Symbol, Timeframe), Gathered> = BTreeMap::new();
    for (index, Read { path, file, width }) in files.into_iter().enumerate() {
        let place = |e: Error| e.at(path.display());
        let provenance = provenance(&file, &path, import).map_err(place)?;
        let stated = file.day_basis.as_deref().map(parse_day_basis).transpose().map_err(place)?;
        let timeframe = width.timeframe;
        for (symbol, mut rows) in file.series {
            done.rows_read += rows.len() as u64;
            rows.iter_mut().for_each(|row| row.origin.0 = index as u32);
            let found = match evidence(&rows, timeframe, calendar) {
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
