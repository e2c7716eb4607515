//! `data verify`: every byte of an archive against its manifest, every cache against its
//! records.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::Archive;
use super::cache::{self, Cached};
use super::manifest::hash_of;
use super::record::{self, checked_bytes, is_record_path};
use super::row::{Row, check_order};
use crate::bar::{Symbol, Timeframe};
use crate::disk::hash::sha256_hex;
use crate::disk::map::Access;
use crate::disk::walk::files_below;
use crate::error::{Result, codes};
use crate::finding::{Finding, Severity};

/// What was verified, and what was found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Records read and hashed.
    pub records: usize,
    /// Bars in them.
    pub bars: u64,
    /// Caches compared with their records.
    pub caches: usize,
    /// Everything found.
    pub findings: Vec<Finding>,
}

/// Reads everything that an archive's manifest names; changes nothing.
///
/// # Errors
/// Data error if the archive's folder can't be listed.
pub fn verify(archive: &Archive) -> Result<Verified> {
    let entries = &archive.manifest.records;
    let mut series: Vec<(Symbol, Timeframe)> = entries.iter().map(|r| (r.symbol, r.timeframe)).collect();
    series.dedup();
    let judged: Vec<Verified> =
        series.into_par_iter().map(|(symbol, timeframe)| one(archive, symbol, timeframe)).collect();
    let mut done = Verified::default();
    for part in judged {
        done.records += part.records;
        done.bars += part.bars;
        done.caches += part.caches;
        done.findings.extend(part.findings);
    }
    if done.records == 0 && done.findings.is_empty() {
        // Nothing to verify is not nothing found.
        done.findings.push(Finding::new(codes::NO_BARS, "", "the manifest names no record").file(&archive.folder));
    }
    done.findings.extend(unnamed(archive)?);
    Ok(done)
}

fn one(archive: &Archive, symbol: Symbol, timeframe: Timeframe) -> Verified {
    let mut done = Verified::default();
    let about = format!("{symbol} {timeframe}");
    let entries = archive.manifest.series(symbol, timeframe);
    let mut rows: Vec<Row> = Vec::new();
    for entry in &entries {
        let path = archive.folder.join(&entry.path);
        let read = checked_bytes(&archive.folder, entry, Access::Read).and_then(|bytes| {
            if sha256_hex(&bytes) != entry.sha256 {
                return Err(crate::error::Error::new(codes::RECORD_CHANGED, "its SHA-256 is not the manifest's")
                    .at(path.display()));
            }
            record::decode(&path, bytes, entry)
        });
        match read {
            Ok(mut more) => {
                done.records += 1;
                rows.append(&mut more);
            }
            Err(err) => done.findings.push(Finding { subject: about.clone(), ..Finding::from(&err) }),
        }
    }
    done.bars = rows.len() as u64;
    if let Err(err) = check_order(&rows) {
        done.findings.push(Finding::new(err.code(), &about, err.what()));
    }
    let path = archive.cache_path(symbol, timeframe);
    if path.exists() && done.findings.is_empty() {
        match cache::open(&path, &hash_of(&entries), Access::Read) {
            Ok(cached) if cached == Cached::of(&rows) => done.caches += 1,
            Ok(_) => {
                let what = "the cache holds other values than its records";
                done.findings.push(Finding::new(codes::CACHE_WRONG, &about, what).file(&path));
            }
            // Not used by anyone: the next load makes it anew.
            Err(why) => {
                let note = Finding::new(codes::CACHE_WRONG, &about, format!("the cache is not used: {why}"));
                done.findings.push(note.severity(Severity::Note).file(&path).help("nothing to do: it is made anew"));
            }
        }
    }
    done
}

/// Files that nothing names: left by an import that was killed, superseded, or foreign.
fn unnamed(archive: &Archive) -> Result<Vec<Finding>> {
    let named: BTreeSet<PathBuf> = archive.manifest.records.iter().map(|r| archive.folder.join(&r.path)).collect();
    let files = files_below(&archive.folder)?;
    let is_record = |path: &Path| is_record_path(&archive.folder, path);
    let unnamed = files.into_iter().filter(|path| is_record(path) && !named.contains(path));
    Ok(unnamed
        .map(|path| {
            let what = "the manifest doesn't name this file; it is never read";
            let note = Finding::new(codes::RECORD_FOREIGN, "", what).severity(Severity::Note).file(&path);
            note.help("nothing to do: the next import removes it")
        })
        .collect())
}
