//! Verdicts of the gate as statements, and the envelopes beside them.

use std::path::{Path, PathBuf};

use magellan::error::{Error, Result};
use magellan::gate::verify::StoredVerdict;
use magellan::gate::{StrategyVerdict, subject};

use super::envelope::Envelopes;
use super::statement::{Statement, VerdictStatement};
use crate::codes;

/// The file with the envelopes, beside `verdict.json` or above it.
pub const FILE: &str = "verdict.dsse.jsonl";

/// What a strategy was made of when it was judged, by SHA-256: a verdict's subject has only a hash of them together.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The program.
    pub binary: &'a str,
    /// The systemd unit.
    pub unit: &'a str,
    /// `deployed/policy.toml`; empty, if there is none.
    pub policy: &'a str,
}

impl VerdictStatement {
    /// States a verdict.
    ///
    /// # Errors
    /// Refused if nothing was judged, or not this program and this unit.
    pub fn of(verdict: &StrategyVerdict, judged: &Judged<'_>) -> Result<Self> {
        let name = &verdict.strategy;
        let subject = verdict.subject.as_ref().ok_or_else(|| {
            Error::new(codes::VERDICT_FORBIDS, format!("nothing was judged of {name}, so there is nothing to sign"))
        })?;
        let statement = Self {
            binary: judged.binary.to_owned(),
            config: subject.config.clone(),
            policy: judged.policy.to_owned(),
            status: verdict.status,
            strategy: name.clone(),
            subject: subject.sha256.clone(),
            unit: judged.unit.to_owned(),
            verdict: verdict.digest.clone(),
        };
        if !statement.is_about(verdict) {
            let what = format!("{name} was judged with another program or unit than those that would be signed for");
            return Err(Error::new(codes::VERDICT_DIFFERS, what)
                .help("sign with the program and in the folder that were judged: --binary FILE, --deployed DIR"));
        }
        statement.check()?;
        Ok(statement)
    }

    /// Whether it states this verdict, of what the verdict's subject is made of.
    pub fn is_about(&self, verdict: &StrategyVerdict) -> bool {
        let Some(subject) = &verdict.subject else { return false };
        self.strategy == verdict.strategy
            && self.verdict == verdict.digest
            && self.status == verdict.status
            && self.subject == subject.sha256
            && self.config == subject.config
            && subject::bundle(&self.binary, &self.unit) == subject.bundle
    }
}

/// The folder, and the folders in it: the gate's jobs leave one each.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = inside.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.insert(0, folder.to_owned());
    folders
}

/// Each `verdict.json` of a folder and of the folders in it.
///
/// # Errors
/// Refused if one was altered, or there is none.
pub fn verdicts_of(folder: &Path) -> Result<Vec<(PathBuf, StoredVerdict)>> {
    let files = folders(folder).into_iter().map(|folder| folder.join("verdict.json")).filter(|file| file.exists());
    let found: Vec<(PathBuf, StoredVerdict)> =
        files.map(|file| Ok((file.clone(), StoredVerdict::read(&file)?))).collect::<Result<_>>()?;
    match found.is_empty() {
        true => Err(Error::new(codes::NO_VERDICT, "there is no verdict.json here").at(folder.display())),
        false => Ok(found),
    }
}

/// The envelopes of a folder of verdicts and of the folders in it.
///
/// # Errors
/// Refused if a line is no envelope.
pub fn envelopes_of(folder: &Path) -> Result<Envelopes> {
    let mut all = Envelopes::default();
    for folder in folders(folder) {
        all.extend(Envelopes::read(&folder.join(FILE))?);
    }
    Ok(all)
}
