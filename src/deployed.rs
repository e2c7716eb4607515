//! What is deployed: one folder a strategy, with its config and its systemd unit.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result, codes};

/// The folder under `deployed/` that holds environments; it is no strategy.
pub const ENVIRONMENTS: &str = "environments";
/// Largest unit read, bytes.
pub const LARGEST_UNIT: u64 = 64 << 10;

/// A folder under `deployed/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Name of the folder.
    pub name: String,
    /// Its `config.json`.
    pub config: PathBuf,
}

impl Deployed {
    /// Its systemd unit.
    pub fn unit(&self) -> PathBuf {
        self.config.with_file_name(unit_file(&self.name))
    }
}

/// A strategy's unit: `magellan-bear-trap`.
pub fn unit_name(strategy: &str) -> String {
    format!("magellan-{}", strategy.replace('_', "-"))
}

/// Its file: `magellan-bear-trap.service`.
pub fn unit_file(strategy: &str) -> String {
    unit_name(strategy) + ".service"
}

/// Whether a name can be that of a file or folder: letters, digits, `_` and `-`.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// The deployed strategies: every folder of `deployed` but that of the environments, whether or
/// not its config is there. The one way to find them.
///
/// # Errors
/// Config error if there is none.
pub fn discover(deployed: &Path) -> Result<Vec<Deployed>> {
    let entries = std::fs::read_dir(deployed).map_err(|e| {
        Error::new(codes::NO_DEPLOYED_FOLDER, format!("can't list the deployed strategies: {e}")).at(deployed.display())
    })?;
    let mut found = Vec::new();
    for entry in entries {
        let folder = entry.map_err(|e| Error::io(deployed, &e))?.path();
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // A link that leads nowhere is a strategy that is missing, not one that was never there.
        if (folder.is_dir() || folder.is_symlink()) && !name.starts_with('.') && name != ENVIRONMENTS {
            found.push(Deployed { name, config: folder.join("config.json") });
        }
    }
    if found.is_empty() {
        let what = "no strategy is deployed: there is no */config.json";
        return Err(Error::new(codes::NOTHING_DEPLOYED, what).at(deployed.display()));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}
