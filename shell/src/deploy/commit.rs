//! The commit that a tree is of: the host checks it out, so that it says what runs.

use std::path::Path;

use jiff::Timestamp;
use magellan::error::{Error, Result};

use crate::codes;

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// 40 hex digits.
    pub id: String,
    /// When it was made.
    pub made: Timestamp,
}

impl Commit {
    /// The commit whose `deployed` this is, byte for byte.
    ///
    /// # Errors
    /// Refused if there is no commit, or if files of `deployed` differ from it.
    pub fn of(deployed: &Path) -> Result<Self> {
        let edited = git(deployed, &["status", "--porcelain", "--untracked-files=all", "--", "."])?;
        if let Some(first) = edited.lines().next() {
            let what = format!("{} isn't as it was committed", first.get(3..).unwrap_or(first));
            return Err(Error::new(codes::NOT_COMMITTED, what).at(deployed.display()));
        }
        let said = git(deployed, &["show", "--no-patch", "--format=%H %ct", "HEAD"])?;
        let parsed = said.trim().split_once(' ').and_then(|(id, at)| {
            Some(Self { id: id.to_owned(), made: Timestamp::from_second(at.parse().ok()?).ok()? })
        });
        parsed.ok_or_else(|| Error::new(codes::NOT_COMMITTED, format!("git says `{}` of HEAD", said.trim())))
    }
}

/// A file of an earlier commit below `deployed`, if git has it.
pub fn earlier(deployed: &Path, commit: &str, path: &str) -> Option<String> {
    git(deployed, &["show", &format!("{commit}:./{path}")]).ok()
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    crate::git::git(folder, arguments).map(|said| String::from_utf8_lossy(&said).into_owned())
}
