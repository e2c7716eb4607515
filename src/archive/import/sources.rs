//! What is imported: the files among the sources, and where their bars come from.

use std::path::{Path, PathBuf};

use super::csv;
use crate::archive::manifest::{Manifest, SYNTHETIC};
use crate::archive::parquet;
use crate::archive::record::checked_bytes;
use crate::archive::row::BarFile;
use crate::archive::tables;
use crate::bar::{Symbol, Timeframe};
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

/// The bar files of all sources; tables found among them go into the manifest.
pub(super) fn collect(import: &Import, manifest: &mut Manifest, done: &mut Imported) -> Result<Vec<PathBuf>> {
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
        let listed = if folder { files_below(source)? } else { vec![source.clone()] };
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
        checked_bytes(source, record, Access::Map)?;
    }
    Ok(other.records.iter().map(|r| source.join(&r.path)).collect())
}

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

pub(super) fn read_file(path: &Path) -> Result<BarFile> {
    match extension(path).as_str() {
        "csv" => csv::read(path),
        // Read, not mapped: a foreign file may still be changing.
        _ => parquet::read::bars(path, map::bytes(path, Access::Read)?),
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
        (None, None) => Ok(if extension(path) == "csv" { "csv" } else { "parquet" }.to_owned()),
    }
}
