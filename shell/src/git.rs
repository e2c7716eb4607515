//! What git has committed, asked without a network: a shallow clone is enough.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Command;

use magellan::disk::hash::sha256_hex;
use magellan::error::{Error, Result};

use crate::codes;

/// What git prints.
///
/// # Errors
/// Refused, with what git says.
pub fn git(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    answer(Command::new("git").arg("-C").arg(folder).args(arguments))
}

/// What git prints when it reads `input`.
///
/// # Errors
/// As [`git`].
pub fn git_reading(folder: &Path, arguments: &[&str], input: &str) -> Result<Vec<u8>> {
    // A file, not a pipe: git answers while it reads, and nobody would listen.
    let written = || {
        let mut file = tempfile::tempfile()?;
        file.write_all(input.as_bytes())?;
        file.rewind()?;
        Ok::<File, std::io::Error>(file)
    };
    let file = written().map_err(|e| fault(format!("can't write what git is to read: {e}")))?;
    answer(Command::new("git").arg("-C").arg(folder).args(arguments).stdin(file))
}

fn answer(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().map_err(|e| fault(format!("can't run git: {e}")))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(fault(format!("git: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

fn fault(what: String) -> Error {
    Error::new(codes::NOT_COMMITTED, what)
        .help("run it in a git checkout in which `deployed` and the ledger are committed")
}

/// The command that commits a record of a strategy's ledger; none, if `HEAD` has the record, whole.
///
/// # Errors
/// Refused if the ledger isn't in the git checkout of the deployed configs.
pub fn how_to_commit(deployed: &Path, ledger: &Path, strategy: &str, record: &str) -> Result<Option<String>> {
    let folder = ledger.join(strategy);
    // Another checkout's trials are others than this one's.
    let checkout = |folder: &Path| git(folder, &["rev-parse", "--show-toplevel"]);
    if checkout(&folder)? != checkout(deployed)? {
        return Err(
            fault("the ledger lies in another git checkout than the deployed configs".to_owned()).at(ledger.display())
        );
    }
    let prefix = git(&folder, &["rev-parse", "--show-prefix"])?;
    let held = git(&folder, &["cat-file", "blob", &format!("HEAD:./{record}.json")]);
    // By its contents: another text under its name is no record.
    if held.is_ok_and(|bytes| sha256_hex(&bytes) == record) {
        return Ok(None);
    }
    let folder = String::from_utf8_lossy(&prefix).trim().trim_end_matches('/').to_owned();
    let what = format!("record {record} is in no commit");
    Ok(Some(format!("{what}: git add {folder} && git commit --message 'Trials of {strategy}' {folder}")))
}

/// The records of all strategies in a ledger as a commit has it: strategy and hash.
///
/// # Errors
/// Refused if git doesn't know the commit, or the ledger's folder isn't in a checkout.
pub fn records_of(commit: &str, ledger: &Path) -> Result<Vec<(String, String)>> {
    // A ledger that isn't here may be in the commit.
    let above = ledger.ancestors().find(|folder| folder.as_os_str().is_empty() || folder.is_dir());
    let above = above.unwrap_or(Path::new(""));
    let root = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    let below = ledger.strip_prefix(above).unwrap_or(ledger).to_string_lossy().into_owned();
    let below = if below.is_empty() { ".".to_owned() } else { below };
    git(root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{commit}^{{commit}}")])
        .map_err(|_| fault(format!("git doesn't know the commit `{commit}`")).at(root.display()))?;
    let listed = git(root, &["ls-tree", "-r", "-z", "--name-only", commit, "--", &below])?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let record = |path: &str| {
        let (folder, file) = path.rsplit_once('/')?;
        let strategy = folder.rsplit('/').next()?;
        let hash = file.strip_suffix(".json").filter(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()))?;
        Some((strategy.to_owned(), hash.to_owned()))
    };
    Ok(listed.split('\0').filter_map(record).collect())
}
