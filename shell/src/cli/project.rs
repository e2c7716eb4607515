//! The Cargo project that holds `deployed`, and the package in it that holds the strategies.

use std::path::{Path, PathBuf};

use magellan::error::{Error, Result};
use serde_json::Value;

use super::programs::{cargo, complaint};
use crate::codes;

/// The binary that knows the strategies. Workflows, units and documents call it by this name.
pub(super) const BINARY: &str = "magellan";

/// The project's package of strategies: the one that builds the binary `magellan`.
#[derive(Debug)]
pub(super) struct Project {
    /// The project's folder, where its `Cargo.toml` lies.
    pub(super) root: PathBuf,
    /// The package's name.
    pub(super) package: String,
    /// The file that lists the strategies.
    pub(super) library: Option<PathBuf>,
}

impl Project {
    /// The project above `deployed`.
    pub(super) fn around(deployed: &Path) -> Result<Self> {
        let missing = |what: String| Error::new(codes::NO_TOOLCHAIN, what).at(deployed.display());
        let absolute = deployed.canonicalize().map_err(|e| Error::io(deployed, &e))?;
        let root = absolute.ancestors().skip(1).find(|dir| dir.join("Cargo.toml").is_file());
        let root = root.ok_or_else(|| missing("no Cargo.toml above this folder".to_owned()))?;
        // Nothing but the project's own manifests is read: no lock file, no network.
        let output = cargo(root, &["metadata", "--no-deps", "--offline", "--format-version", "1"])?;
        if !output.status.success() {
            return Err(missing(format!("cargo can't read the project: {}", complaint(&output))));
        }
        Self::of(root, &output.stdout).ok_or_else(|| {
            Error::new(codes::NO_STRATEGIES, format!("no package of this project builds the binary `{BINARY}`"))
                .at(root.join("Cargo.toml").display())
        })
    }

    fn of(root: &Path, metadata: &[u8]) -> Option<Self> {
        let metadata: Value = serde_json::from_slice(metadata).ok()?;
        let target = |package: &Value, kind: &str, name: Option<&str>| -> Option<PathBuf> {
            let of_kind = |target: &&Value| target["kind"].as_array().is_some_and(|all| all.iter().any(|k| k == kind));
            let named = |target: &&Value| name.is_none_or(|name| target["name"] == name);
            let mut targets = package["targets"].as_array()?.iter();
            Some(targets.find(|target| of_kind(target) && named(target))?["src_path"].as_str()?.into())
        };
        let mut packages = metadata["packages"].as_array()?.iter();
        let package = packages.find(|package| target(package, "bin", Some(BINARY)).is_some())?;
        Some(Self {
            root: root.to_owned(),
            package: package["name"].as_str()?.to_owned(),
            library: target(package, "lib", None),
        })
    }
}
