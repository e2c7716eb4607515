//! What would be rolled out: built here, or taken over from another environment

use std::path::{Path, PathBuf};

use magellan::deployed::{Deployed, discover};
use magellan::error::{Error, Result};

use super::promotion;
use crate::cli::bundle::program;
use crate::cli::destination::Destination;
use crate::codes;
use crate::deploy::bundle::{self, Bundle, Parts};
use crate::deploy::commit::Commit;
use crate::release::Manifest;

/// What the command line says of it.
pub(super) struct Asked<'a> {
    pub(super) to: &'a Destination,
    /// The program that is shipped; none: this one.
    pub(super) binary: Option<&'a Path>,
    /// The environment whose release it is, and for how many hours that has run there.
    pub(super) promoted: Option<(&'a str, f64)>,
}

/// What would be rolled out.
pub(super) struct Candidate {
    pub(super) manifest: Manifest,
    pub(super) digest: String,
    /// Bytes of the bundle, and of what it unpacks to.
    pub(super) size: (u64, u64),
    pub(super) key: String,
    pub(super) file: PathBuf,
    pub(super) deployed: Vec<Deployed>,
    _folder: tempfile::TempDir,
}

/// The release: built of what is committed here, or the one that another environment runs.
pub(super) fn candidate(asked: &Asked<'_>, deployed: &Path, selected: Vec<Deployed>) -> Result<Candidate> {
    let folder = tempfile::tempdir().map_err(|e| Error::new(codes::IO, e.to_string()))?;
    let file = folder.path().join("release.tar.zst");
    if let Some((from, hours)) = asked.promoted {
        let promoted = promotion::fetch(asked.to, from, hours, &file)?;
        // What is judged are the configs that were shipped, whatever is checked out here.
        promoted.verified.write_deployed(folder.path())?;
        let names: Vec<String> = selected.into_iter().map(|one| one.name).collect();
        let shipped = discover(&folder.path().join("deployed"))?;
        let selected: Vec<Deployed> = shipped.into_iter().filter(|one| names.contains(&one.name)).collect();
        if selected.len() != names.len() {
            let what = format!("the release of {from} doesn't have all of {}", names.join(", "));
            return Err(Error::new(codes::NOT_DEPLOYED, what));
        }
        return Ok(Candidate {
            manifest: promoted.verified.manifest,
            digest: promoted.verified.digest,
            size: (promoted.size, promoted.verified.unpacked),
            key: promoted.key,
            file,
            deployed: selected,
            _folder: folder,
        });
    }
    let commit = Commit::of(deployed)?;
    let binary = program(asked.binary)?;
    let all = discover(deployed)?;
    let bundle = Bundle::build(&Parts { strategies: &all, binary: &binary, commit: &commit.id })?;
    bundle::write(&bundle, &file)?;
    Ok(Candidate {
        key: bundle::key(commit.made, &commit.id, &bundle.digest),
        digest: bundle.digest,
        size: (bundle.bytes.len() as u64, bundle.unpacked),
        manifest: bundle.manifest,
        file,
        deployed: selected,
        _folder: folder,
    })
}
