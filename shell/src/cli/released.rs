//! Whose config and unit a program runs: those of the release that it is part of, or of the checkout.

use std::path::Path;

use magellan::config::Complete;
use magellan::deployed;
use magellan::disk::hash::sha256_hex;
use magellan::disk::map::{self, Access};
use magellan::error::{Error, Result};
use magellan::registry::AnyStrategy;

use super::options::Place;
use crate::codes;
use crate::release::heartbeat::Identity;
use crate::release::{self, BINARY, BINDING_VARIABLE, Binding, Release};

/// A release, and the environment that it is bound to.
pub(super) struct Bound {
    pub(super) release: Release,
    pub(super) binding: Binding,
    /// SHA-256 of the binding.
    sha256: String,
}

/// The release that a program belongs to, if it does; it runs only where it was bound to.
pub(super) fn bound(program: &Path) -> Result<Option<Bound>> {
    let Some(release) = Release::of_program(program)? else { return Ok(None) };
    let Some(path) = std::env::var_os(BINDING_VARIABLE) else {
        let what = format!("{BINDING_VARIABLE} isn't set, and this program is part of a release");
        return Err(Error::new(codes::NOT_BOUND, what).at(release.folder.display()));
    };
    let (binding, sha256) = Binding::read(Path::new(&path))?;
    Ok(Some(Bound { release, binding, sha256 }))
}

/// In a release: what was shipped, and nothing else.
pub(super) fn of_release(place: &Place, strategy: &dyn AnyStrategy, bound: &Bound) -> Result<(Complete, Identity)> {
    if let Some(folder) = &place.deployed {
        let what = format!("--deployed {}: a release runs the configs that it ships", folder.display());
        return Err(Error::new(codes::BAD_ARGUMENT, what).help("leave out --deployed"));
    }
    let Bound { release, binding, sha256 } = bound;
    release.strategy(strategy.name())?;
    release.check(BINARY)?;
    let config = release.check(&release::config_path(strategy.name()))?;
    let identity = Identity {
        strategy: strategy.name().to_owned(),
        environment: Some(binding.environment.clone()),
        release: Some(release.digest().to_owned()),
        unit_digest: release.manifest.unit_digest(strategy.name(), sha256),
    };
    Ok((strategy.read_complete(&config)?, identity))
}

/// In a checkout: the deployed folder, and a unit that nobody installed.
pub(super) fn of_checkout(place: &Place, strategy: &dyn AnyStrategy, program: &Path) -> Result<(Complete, Identity)> {
    let folder = place.deployed()?.join(strategy.name());
    let document = strategy.read_complete(&folder.join("config.json"))?;
    let sha256 = |path: &Path| Ok::<String, Error>(sha256_hex(&map::bytes(path, Access::Map)?));
    let unit = sha256(&folder.join(deployed::unit_file(strategy.name()))).map_err(|e| e.recode(codes::UNIT_MISSING))?;
    let identity = Identity {
        strategy: strategy.name().to_owned(),
        environment: std::env::var("MAGELLAN_ENVIRONMENT").ok(),
        release: None,
        unit_digest: release::strategy_digest(&sha256(program)?, &document.sha256, &unit),
    };
    Ok((document, identity))
}
