//! What is shipped and where to: the manifest of a release, and typed environments.
//!
//! A release is a folder named by the SHA-256 of the bundle it was unpacked from. Its manifest
//! has a hash for every file. A unit's digest covers all that its process is made of: a change of
//! code changes every unit's, a change of one config changes one.

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

pub use environment::{Environment, Host, Kind, Target, When};

/// Name of the manifest in a release.
pub const MANIFEST: &str = "manifest.json";
/// Name of the environment file in a release.
pub const ENVIRONMENT: &str = "environment.toml";
/// Name of the binary in a release.
pub const BINARY: &str = "magellan";
const SCHEMA_VERSION: u32 = 1;
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
    /// What its process is made of: [`unit_digest`].
    pub unit_digest: String,
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
    /// Name of the environment it was made for.
    pub environment: String,
    /// The commit whose configs and units it holds, 40 hex digits.
    pub commit: String,
    /// Every other file, by path.
    pub files: BTreeMap<String, ShippedFile>,
    /// The strategies, by name.
    pub strategies: BTreeMap<String, Shipped>,
}

impl Manifest {
    /// A manifest of these files and strategies.
    pub fn new(
        environment: &str,
        commit: &str,
        files: BTreeMap<String, ShippedFile>,
        strategies: BTreeMap<String, Shipped>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            environment: environment.to_owned(),
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
}

/// A relative path that stays where it is put.
fn is_plain(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.split('/').all(part) && path.chars().all(|c| c.is_ascii_alphanumeric() || "._-@/".contains(c))
}

/// Where a strategy's config lies in a release.
pub fn config_path(strategy: &str) -> String {
    format!("deployed/{strategy}/config.json")
}

/// Where its unit file lies.
pub fn unit_path(strategy: &str) -> String {
    format!("deployed/{strategy}/{}", unit_file(strategy))
}

/// Where a unit's drop-in lies.
pub fn drop_in_path(unit: &str) -> String {
    format!("drop-ins/{unit}.conf")
}

/// The beginning of a digest, enough to tell releases apart.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// What a strategy's process is made of.
pub fn unit_digest(binary: &str, config: &str, unit: &str, drop_in: &str) -> String {
    sha256_hex(format!("{binary}\n{config}\n{unit}\n{drop_in}\n").as_bytes())
}

/// A release that was unpacked.
#[derive(Clone, Debug)]
pub struct Release {
    /// Its folder.
    pub folder: PathBuf,
    /// What it holds.
    pub manifest: Manifest,
    /// Where it is meant to run.
    pub environment: Environment,
}

impl Release {
    /// The release that a program belongs to; none if it has no manifest beside it.
    ///
    /// # Errors
    /// Refused if the manifest isn't one, or is of another environment file.
    pub fn of_program(program: &Path) -> Result<Option<Self>> {
        let Some(folder) = program.parent().filter(|folder| folder.join(MANIFEST).exists()) else { return Ok(None) };
        let path = folder.join(MANIFEST);
        let manifest =
            Manifest::parse(&map::bytes_up_to(&path, LARGEST_MANIFEST)?).map_err(|e| e.at(path.display()))?;
        let file = folder.join(ENVIRONMENT);
        let environment = Environment::read_as(&file, &manifest.environment)?;
        let release = Self { folder: folder.to_owned(), manifest, environment };
        release.check(ENVIRONMENT)?;
        Ok(Some(release))
    }

    /// The digest of its bundle, which is its name.
    pub fn digest(&self) -> &str {
        self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default()
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
            let text = Manifest::new("staging", "c", [(path.to_owned(), file)].into(), BTreeMap::new()).text();
            assert_eq!(Manifest::parse(text.as_bytes()).map_err(|e| e.code()), Err(codes::BUNDLE_DAMAGED), "{path:?}");
        }
    }

    #[test]
    fn every_part_changes_a_units_digest() {
        let base = unit_digest("b", "c", "u", "d");
        let others = [
            unit_digest("B", "c", "u", "d"),
            unit_digest("b", "C", "u", "d"),
            unit_digest("b", "c", "U", "d"),
            unit_digest("b", "c", "u", "D"),
        ];
        assert!(others.iter().all(|other| *other != base));
    }
}
