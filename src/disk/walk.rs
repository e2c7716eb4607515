//! The files of a folder, listed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// All files below a folder, in order of path; hidden ones are somebody else's.
///
/// # Errors
/// Data error if a folder can't be listed.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
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
            files.extend(files_below(&path)?);
        }
    }
    Ok(files)
}
