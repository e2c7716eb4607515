//! What is shipped and where to: the manifest of a release, typed environments, and what binds one to the other.
//!
//! A release is a folder named by the SHA-256 of the bundle it was unpacked from. It knows no environment, so the same
//! digest runs in all of them. Its manifest has a hash for every file. A binding is what an environment adds. A unit's
//! digest covers all that its process is made of: a change of code changes every unit's, a change of one config
//! changes one.

mod binding;
mod environment;
pub mod heartbeat;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use magellan::deployed::unit_file;
use magellan::disk::hash::sha256_hex;
use magellan::disk::map::{self, Access};
use magellan::error::{Error, Result, quoted};
use serde::{Deserialize, Serialize};

use crate::codes;

pub use binding::{BINDING_VARIABLE, Binding, Bound};
pub use environment::{Clock, Environment, Host, Kind, Rollout, Target, When, Window};

/// Name of the manifest in a release.
pub const MANIFEST: &str = "manifest.json";
/// Checksums in the form of `sha256sum --check`.
pub const CHECKSUMS: &str = "checksums";
/// Name of the binary in a release.
pub const BINARY: &str = "magellan";
/// 1 had the environment in it.
const SCHEMA_VERSION: u32 = 2;
const LARGEST_MANIFEST: u64 = 1 << 20;

/// A file of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShippedFile {
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its length.
    pub size: u64,
}

/// A strategy of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shipped {
    /// Its unit, without `.service`.
    pub unit: String,
    /// What the release gives its process: [`strategy_digest`].
    pub digest: String,
    /// SHA-256 of its config.
    pub config_sha256: String,
}

/// The table of contents of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    schema_version: u32,
    /// Version of Magellan.
    pub engine: String,
    /// The commit whose configs and units it holds, 40 hex digits.
    pub commit: String,
    /// Every other file, by path.
    pub files: BTreeMap<String, ShippedFile>,
    /// The strategies, by name.
    pub strategies: BTreeMap<String, Shipped>,
}

impl Manifest {
    /// A manifest of these files and strategies.
    pub fn new(commit: &str, files: BTreeMap<String, ShippedFile>, strategies: BTreeMap<String, Shipped>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            commit: commit.to_owned(),
            files,
            strategies,
        }
    }

    /// Reads the manifest's own text.
    ///
    /// # Errors
    /// Refused if it is no manifest.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let manifest: Self = serde_json::from_slice(text)
            .map_err(|e| Error::new(codes::BUNDLE_DAMAGED, format!("{MANIFEST} is none: {e}")))?;
        if manifest.schema_version != SCHEMA_VERSION {
            let what = format!("{MANIFEST} has schema version {}, known is {SCHEMA_VERSION}", manifest.schema_version);
            return Err(Error::new(codes::BUNDLE_DAMAGED, what));
        }
        if let Some(path) = manifest.files.keys().find(|path| !is_plain(path)) {
            return Err(Error::new(codes::BUNDLE_DAMAGED, format!("{MANIFEST} names the path {}", quoted(path))));
        }
        Ok(manifest)
    }

    /// Its text, as it stands in a release.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The text of [`CHECKSUMS`]: a line for every other file of the release, the manifest among them.
    pub fn checksums(&self) -> String {
        let own = (MANIFEST, sha256_hex(self.text().as_bytes()));
        let files = self.files.iter().map(|(path, file)| (path.as_str(), file.sha256.clone()));
        files.chain([own]).map(|(path, sha256)| format!("{sha256}  {path}\n")).collect()
    }

    /// SHA-256 of [`CHECKSUMS`]: what a host must find a release to hold, said by who deploys.
    pub fn contents(&self) -> String {
        sha256_hex(self.checksums().as_bytes())
    }

    /// SHA-256 of a file; empty if the release doesn't have it.
    pub fn sha256(&self, path: &str) -> &str {
        self.files.get(path).map_or("", |file| file.sha256.as_str())
    }

    /// What a strategy's process is made of, under this binding; empty if the release doesn't have the strategy.
    pub fn unit_digest(&self, strategy: &str, binding: &str) -> String {
        let Some(shipped) = self.strategies.get(strategy) else { return String::new() };
        let unit = self.sha256(&unit_path(strategy));
        sha256_hex(format!("{}\n{}\n{unit}\n{binding}\n", self.sha256(BINARY), shipped.config_sha256).as_bytes())
    }

    /// The strategy that a unit runs.
    pub fn strategy_of(&self, unit: &str) -> Option<&str> {
        self.strategies.iter().find(|(_, shipped)| shipped.unit == unit).map(|(name, _)| name.as_str())
    }
}

/// A relative path that stays where it is put: no part of it is empty, hidden, or looks like an option. The host script
/// has the same rule.
pub(crate) fn is_plain(path: &str) -> bool {
    let begins = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    path.split('/').all(begins) && path.chars().all(|c| c.is_ascii_alphanumeric() || "._-@/".contains(c))
}

/// Where a strategy's config lies in a release.
pub fn config_path(strategy: &str) -> String {
    format!("deployed/{strategy}/config.json")
}

/// Where its unit file lies.
pub fn unit_path(strategy: &str) -> String {
    format!("deployed/{strategy}/{}", unit_file(strategy))
}

/// The beginning of a digest, enough to tell releases apart.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// What a release gives a strategy's process, whatever the environment.
pub fn strategy_digest(binary: &str, config: &str, unit: &str) -> String {
    sha256_hex(format!("{binary}\n{config}\n{unit}\n").as_bytes())
}

/// A release that was unpacked.
#[derive(Clone, Debug)]
pub struct Release {
    /// Its folder.
    pub folder: PathBuf,
    /// What it holds.
    pub manifest: Manifest,
}

impl Release {
    /// The release that a program belongs to; none if it has no manifest beside it.
    ///
    /// # Errors
    /// Refused if the manifest isn't one.
    pub fn of_program(program: &Path) -> Result<Option<Self>> {
        let Some(folder) = program.parent().filter(|folder| folder.join(MANIFEST).exists()) else { return Ok(None) };
        let path = folder.join(MANIFEST);
        let manifest =
            Manifest::parse(&map::bytes_up_to(&path, LARGEST_MANIFEST)?).map_err(|e| e.at(path.display()))?;
        Ok(Some(Self { folder: folder.to_owned(), manifest }))
    }

    /// The digest of its bundle, which is its name.
    pub fn digest(&self) -> &str {
        self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// The tree of its commit, beside the releases: what a service reads that no release holds.
    pub fn commit_folder(&self) -> PathBuf {
        let above = self.folder.parent().and_then(Path::parent).unwrap_or(Path::new(""));
        above.join("commits").join(&self.manifest.commit)
    }

    /// The file at `path`, if its bytes are those that were shipped.
    ///
    /// # Errors
    /// Refused if they aren't, or if none was shipped.
    pub fn check(&self, path: &str) -> Result<PathBuf> {
        let file = self.folder.join(path);
        let damaged = |what: &str| Error::new(codes::BUNDLE_DAMAGED, what).at(file.display());
        let shipped = self.manifest.files.get(path).ok_or_else(|| damaged("the release's manifest doesn't name it"))?;
        match sha256_hex(&map::bytes(&file, Access::Map)?) == shipped.sha256 {
            true => Ok(file),
            false => Err(damaged("its bytes aren't those that were shipped")),
        }
    }

    /// A strategy of the release.
    ///
    /// # Errors
    /// Config error if it ships none of that name.
    pub fn strategy(&self, name: &str) -> Result<&Shipped> {
        self.manifest.strategies.get(name).ok_or_else(|| {
            Error::new(codes::NOT_DEPLOYED, format!("`{name}` is not in this release")).at(self.folder.display())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_leads_out_of_its_folder_is_refused() {
        for path in ["../x", "/etc/passwd", "a//b", "a/./b", "", "a b", "a\nb"] {
            let file = ShippedFile { sha256: String::new(), size: 0 };
            let text = Manifest::new("c", [(path.to_owned(), file)].into(), BTreeMap::new()).text();
            assert_eq!(Manifest::parse(text.as_bytes()).map_err(|e| e.code()), Err(codes::BUNDLE_DAMAGED), "{path:?}");
        }
    }

    #[test]
    fn every_part_changes_a_units_digest() {
        let digest = |binary: &str, config: &str, unit: &str, binding: &str| {
            let file = |sha256: &str| ShippedFile { sha256: sha256.to_owned(), size: 1 };
            let files = [(BINARY.to_owned(), file(binary)), (unit_path("a"), file(unit))];
            let shipped =
                Shipped { unit: "magellan-a".to_owned(), digest: String::new(), config_sha256: config.to_owned() };
            Manifest::new("c", files.into(), [("a".to_owned(), shipped)].into()).unit_digest("a", binding)
        };
        let base = digest("b", "c", "u", "d");
        let others = [
            digest("B", "c", "u", "d"),
            digest("b", "C", "u", "d"),
            digest("b", "c", "U", "d"),
            digest("b", "c", "u", "D"),
        ];
        assert!(others.iter().all(|other| *other != base));
    }
}
