//! `data check` of files that aren't imported yet: everything that import would refuse, drop
//! or leave to a gate to find, all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::day_basis::{evidence, join_days, parse_day_basis};
use super::merge::{describe, is_same_bar};
use super::sources::{
    Import, Imported, calendar_of, check_room, collect, is_other, nothing_found, provenance, read_file,
};
use super::told::Told;
use super::width;
use crate::archive::audit::Audit;
use crate::archive::manifest::Manifest;
use crate::archive::names;
use crate::archive::row::{BarFile, Row, Rows, check_row};
use crate::archive::series::first_after;
use crate::archive::tables::Rename;
use crate::bar::{Bars, Date, Nanos, Symbol, Timeframe, iso_utc};
use crate::calendar::{self, Calendar};
use crate::error::{Error, Result, codes};
use crate::finding::{Finding, Severity};

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default)]
pub struct Inspected {
    /// Files with bars.
    pub files: usize,
    /// Series: a symbol at one bar width.
    pub series: usize,
    /// Distinct bars.
    pub bars: u64,
    /// Where they come from, as files are marked or as import would mark them.
    pub provenance: BTreeSet<String>,
    /// When they trade.
    pub calendar: Calendar,
    /// Everything found: by file, then by series.
    pub findings: Vec<Finding>,
}

type Key = (Symbol, Timeframe);

/// Inspects sources as [`super::import`] would read them, and writes nothing.
///
/// # Errors
/// Data error if the sources hold no bars at all, or a table can't be read.
pub fn inspect(import: &Import) -> Result<Inspected> {
    let calendar = calendar_of(import, Path::new(""), None)?;
    let mut tables = Manifest { calendar, ..Manifest::default() };
    let mut listing = Imported::default();
    let listed = collect(import, &mut tables, &mut listing)?;
    check_room(&listed)?;
    let read: Vec<Result<BarFile>> = listed.par_iter().map(|one| read_file(&one.path, &import.told)).collect();
    let mut read: Vec<(PathBuf, Result<BarFile>)> = listed
        .into_iter()
        .zip(read)
        .filter(|(one, read)| !read.as_ref().is_err_and(|e| is_other(one, e)))
        .map(|(one, read)| (one.path, read))
        .collect();
    if read.is_empty()
        && let Some(err) = nothing_found(import, &listing)
    {
        return Err(err);
    }
    let paths: Vec<PathBuf> = read.iter().map(|(path, _)| path.clone()).collect();
    let mut done = Inspected { files: paths.len(), calendar, ..Inspected::default() };
    let mut all: BTreeMap<Key, Rows> = BTreeMap::new();
    let mut origins: BTreeMap<Key, (String, PathBuf)> = BTreeMap::new();
    let mut naive = 0;
    for (index, (path, file)) in read.drain(..).enumerate() {
        let path = &path;
        match file {
            Ok(file) => {
                naive += usize::from(file.clock.naive);
                let origin = provenance(&file, path, import)?;
                let (found, keys) = of_file(index as u32, file, path, (&import.told, calendar), &mut all);
                done.findings.extend(found);
                for (symbol, timeframe) in keys {
                    let known = origins.entry((symbol, timeframe)).or_insert_with(|| (origin.clone(), path.clone()));
                    if known.0 != origin {
                        let what = format!("marked `{origin}`, but {} is marked `{}`", file_name(&known.1), known.0);
                        let about = format!("{symbol} {timeframe}");
                        done.findings.push(Finding::new(codes::PROVENANCE_MIXED, about, what).file(path));
                    }
                }
                done.provenance.insert(origin);
            }
            Err(err) => done.findings.push(Finding::from(&err)),
        }
    }
    if naive > 0 {
        let what = format!("{naive} of {} files have timestamps without a zone; they are read as UTC", paths.len());
        done.findings.push(Finding::new(codes::NAIVE_TIMES, "", what).severity(Severity::Note));
    }
    done.series = all.len();
    done.findings.extend(tables.renames.iter().flat_map(|rename| of_rename(rename, &all, &tables)));
    let judged: Vec<(u64, Vec<Finding>)> =
        all.into_par_iter().map(|(key, rows)| of_series(key, rows, &paths, &tables)).collect();
    for (bars, findings) in judged {
        done.bars += bars;
        done.findings.extend(findings);
    }
    Ok(done)
}

/// Everything that one file alone shows. What fuzzers call.
#[cfg(any(test, fuzzing))]
pub(crate) fn inspect_file(path: &Path, file: BarFile) -> Vec<Finding> {
    let (mut all, tables, paths) = (BTreeMap::new(), Manifest::default(), [path.to_owned()]);
    let mut found = of_file(0, file, path, (&Told::default(), Calendar::Xnys), &mut all).0;
    found.extend(all.into_iter().flat_map(|(key, rows)| of_series(key, rows, &paths, &tables).1));
    found
}

/// One file by itself; its rows go to their series, if their width is known.
fn of_file(
    index: u32,
    mut file: BarFile,
    path: &Path,
    (told, calendar): (&Told, Calendar),
    all: &mut BTreeMap<Key, Rows>,
) -> (Vec<Finding>, Vec<Key>) {
    let (mut found, mut keys) = (Vec::new(), Vec::new());
    let basis = file.day_basis.as_deref().map(parse_day_basis).transpose().unwrap_or_else(|err| {
        found.push(Finding::from(&err));
        None
    });
    if file.series.is_empty() {
        found.push(Finding::new(codes::SOURCE_UNREADABLE, "", "the file has no rows"));
        return (found.into_iter().map(|finding| finding.file(path)).collect(), keys);
    }
    let width = match width::settle(&mut file, told.timeframe, path) {
        Ok(width) => width.timeframe,
        Err(err) => {
            let about = file.series.iter().map(|s| s.0.as_str()).take(3).collect::<Vec<_>>().join(" ");
            found.push(Finding::new(err.code(), about, err.what()).help(err.suggestion()));
            return (found.into_iter().map(|finding| finding.file(path)).collect(), keys);
        }
    };
    for (symbol, mut rows) in file.series {
        let about = format!("{symbol} {width}");
        if let Some(pair) = rows.windows(2).find(|w| w[0].start > w[1].start) {
            let what = format!("row {} is earlier than the row before it; import sorts", pair[1].origin.1);
            let warning = Finding::new(codes::BARS_DISORDERED, &about, what).severity(Severity::Warning);
            found.push(warning.help("nothing to do: import sorts"));
        }
        let wrong: Vec<Error> = rows.iter().filter_map(|row| check_row(row, width).err()).collect();
        if let Some(first) = wrong.first() {
            let what = format!("{} rows are no bars, the first: {}", wrong.len(), first.what());
            found.push(Finding::new(first.code(), &about, what).help(first.suggestion()));
            rows.retain(|row| check_row(row, width).is_ok());
        }
        if let Some(shown) = evidence(&rows, width, calendar)
            && let Err(err) = join_days(Some(shown), basis)
        {
            found.push(Finding::new(err.code(), &about, err.what()).help(err.suggestion()));
        }
        rows.iter_mut().for_each(|row| row.origin.0 = index);
        all.entry((symbol, width)).or_default().append(&mut rows);
        keys.push((symbol, width));
    }
    (found.into_iter().map(|finding| finding.file(path)).collect(), keys)
}

fn of_series((symbol, timeframe): Key, mut rows: Rows, paths: &[PathBuf], tables: &Manifest) -> (u64, Vec<Finding>) {
    rows.sort_by_key(|row| row.start);
    let about = format!("{symbol} {timeframe}");
    let mut found = repeated(&mut rows, &about, paths);
    let column = |k: usize| rows.iter().map(|row| row.ohlcv[k]).collect::<Vec<f64>>();
    let start: Vec<i64> = rows.iter().map(|row| row.start).collect();
    let columns: [Vec<f64>; 5] = std::array::from_fn(column);
    let [open, high, low, close, volume] = &columns;
    let splits: Vec<_> = tables.splits.iter().filter(|s| s.symbol == symbol).copied().collect();
    let dividends: Vec<_> = tables.dividends.iter().filter(|d| d.symbol == symbol).copied().collect();
    let delisting = tables.delistings.iter().find(|d| d.symbol == symbol).copied();
    let audited = Bars::new(timeframe, &start, [open, high, low, close, volume]).and_then(|bars| {
        let (from, to) = (calendar::FIRST, calendar::LAST);
        let (splits, dividends, moves) = (&splits[..], &dividends[..], &tables.moves[..]);
        let calendar = tables.calendar;
        Audit { symbol, timeframe, calendar, bars, splits, dividends, delisting, moves, from, to, whole: false }.run()
    });
    match audited {
        Ok(mut audited) => {
            for finding in audited.iter_mut().filter(|f| f.code == codes::PHANTOM_DAYS) {
                finding.what += &by_file(&rows, paths, tables.calendar);
            }
            found.extend(audited);
        }
        Err(err) => found.push(Finding::new(err.code(), about, err.what()).help(err.suggestion())),
    }
    (rows.len() as u64, found)
}

/// What the bars at hand say of a rename, width by width.
fn of_rename(rename: &Rename, all: &BTreeMap<Key, Rows>, tables: &Manifest) -> Vec<Finding> {
    let earlier = tables.renames.iter().filter(|r| r.new == rename.old && r.date < rename.date);
    let from = earlier.map(|r| r.date).max();
    let mut found = Vec::new();
    for timeframe in Timeframe::ALL {
        let first = |date| first_after(tables.calendar, date, timeframe);
        let starts = |symbol| all.get(&(symbol, timeframe)).into_iter().flatten().map(|row| row.start);
        // In the stretch in which the old symbol's bars are the company's.
        let stretch = |start: &Nanos| from.is_none_or(|from| *start >= first(from)) && *start < first(rename.date);
        let counts = [rename.old, rename.new].map(|symbol| starts(symbol).filter(stretch).count());
        let after = starts(rename.new).any(|start| start >= first(rename.date));
        if counts.iter().all(|count| *count > 0) {
            found.push(Finding::from(&names::overlap(rename, counts, timeframe)));
        } else if counts[0] > 0 || after {
            found.extend(names::one_sided(rename, timeframe, (counts[0] > 0, after)));
        }
    }
    found
}

/// Bars that stand more than once: within one file, in two files, or as two different bars.
/// Keeps the first.
fn repeated(rows: &mut Rows, about: &str, paths: &[PathBuf]) -> Vec<Finding> {
    let mut within: BTreeMap<u32, u64> = BTreeMap::new();
    let mut across: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    let mut conflicts: Vec<(Row, Row)> = Vec::new();
    for same in rows.chunk_by(|a, b| a.start == b.start) {
        let first = &same[0];
        let mut files = BTreeSet::from([first.origin.0]);
        for later in &same[1..] {
            let file = later.origin.0;
            if !is_same_bar(later, first) {
                conflicts.push((*first, *later));
            } else if files.insert(file) {
                *across.entry((first.origin.0, file)).or_default() += 1;
            } else {
                *within.entry(file).or_default() += 1;
            }
        }
    }
    rows.dedup_by(|later, first| later.start == first.start);
    let path = |index: u32| paths[index as usize].as_path();
    let name = |index: u32| file_name(&paths[index as usize]);
    let mut found = Vec::new();
    if let Some((a, b)) = conflicts.first() {
        let row = |row: &Row| format!("{} row {}: {}", name(row.origin.0), row.origin.1, describe(row));
        let at = iso_utc(a.start);
        let what = format!("{} bars differ, the first at {at}: {}; {}", conflicts.len(), row(a), row(b));
        found.push(Finding::new(codes::CONFLICTING_BARS, about, what).file(path(b.origin.0)));
    }
    for (index, count) in within {
        let what = format!("{count} bars stand twice, identically");
        found.push(Finding::new(codes::DUPLICATE_BARS, about, what).severity(Severity::Note).file(path(index)));
    }
    for ((first, later), count) in across {
        let what = format!("{count} bars are also in {}, identically", name(first));
        found.push(Finding::new(codes::OVERLAPPING_SOURCES, about, what).severity(Severity::Note).file(path(later)));
    }
    found
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Days without a session, file by file: Saturdays and other days.
fn by_file(rows: &Rows, paths: &[PathBuf], calendar: Calendar) -> String {
    let mut counts: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    for row in rows {
        let date = Date::of_utc(row.start);
        if !calendar.is_trading_day(date) {
            let (saturdays, others) = counts.entry(row.origin.0).or_default();
            let is_saturday = (date.0 + 4).rem_euclid(7) == 6;
            *(if is_saturday { saturdays } else { others }) += 1;
        }
    }
    let name = |index: u32| file_name(&paths[index as usize]);
    let parts: Vec<String> =
        counts.into_iter().map(|(file, (saturdays, others))| format!("{} {saturdays}+{others}", name(file))).collect();
    format!(" (Saturdays+others: {})", parts.join(", "))
}
