//! What a verdict is about: bundle, config, archive manifest, engine, policy, seed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::digest::{canonical, remove};
use crate::config::Complete;
use crate::deployed::{Deployed, LARGEST_UNIT};
use crate::disk::hash::sha256_hex;
use crate::disk::map;
use crate::error::Result;
use crate::registry::{self, AnyStrategy};

/// Changes whenever the gate's own rules do: constants, resampling, regimes.
const RULES: &str = "gate 1";

/// What was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// SHA-256 over the other fields.
    pub sha256: String,
    /// What ships beside config and data: the binary and the strategy's unit.
    pub bundle: String,
    /// The config's bytes.
    pub config: String,
    /// The archive's manifest, which names every record's hash, splits and declared days.
    pub manifest: String,
    /// Criteria and the gate's own rules.
    pub policy: String,
    /// Version of Magellan.
    pub engine: String,
    /// Seed of resampling and of random cuts.
    pub seed: u64,
}

impl Subject {
    /// The subject of a config's verdict on an archive.
    pub fn new(bundle: String, config: &str, manifest: &str, criteria: &Value, seed: u64) -> Self {
        let mut subject = Self {
            sha256: String::new(),
            bundle,
            config: config.to_owned(),
            manifest: manifest.to_owned(),
            policy: sha256_hex(canonical(&json!([RULES, criteria])).as_bytes()),
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
        };
        subject.sha256 = subject.hash();
        subject
    }

    /// The hash that its fields make.
    pub fn hash(&self) -> String {
        let mut fields = json!(self);
        remove(&mut fields, "sha256");
        sha256_hex(canonical(&fields).as_bytes())
    }
}

/// What ships of a strategy beside its config. Both are SHA-256.
pub fn bundle(binary: &str, unit: &str) -> String {
    sha256_hex(format!("{binary}\n{unit}").as_bytes())
}

/// What a verdict of a deployed strategy is about. `binary` and `manifest` are SHA-256.
pub(super) fn subject(deployed: &Deployed, document: &Complete, binary: &str, manifest: &str) -> Result<Subject> {
    let unit = deployed.unit();
    let unit = match unit.exists() {
        true => sha256_hex(&map::bytes_up_to(&unit, LARGEST_UNIT)?),
        false => "no unit".to_owned(),
    };
    // What ships of a strategy beside its config: the binary and its unit, if it has one.
    let bundle = bundle(binary, &unit);
    let criteria = document.get("performance_criteria").cloned().unwrap_or_default();
    let seed = document.deployment().performance_criteria.seed();
    Ok(Subject::new(bundle, &document.sha256, manifest, &criteria, seed))
}

/// The subject that a verdict must have, so that a binary may be shipped with a deployed config
/// and unit: what would be judged now, with the archive of this manifest.
///
/// # Errors
/// Usage error if the strategy isn't known; config errors.
pub fn subject_of(
    strategies: &[&dyn AnyStrategy],
    deployed: &Deployed,
    binary: &str,
    manifest: &str,
) -> Result<Subject> {
    let strategy = registry::find(strategies, &deployed.name).map_err(|e| e.at(deployed.config.display()))?;
    let document = strategy.read_complete(&deployed.config)?;
    subject(deployed, &document, binary, manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject::new("b".into(), "c", "m", &json!({"criteria": {"sharpe": {"fail_below": 1.0}}}), 1)
    }

    #[test]
    fn every_field_changes_the_subject() {
        let criteria = json!({"criteria": {"sharpe": {"fail_below": 1.0}}});
        let looser = json!({"criteria": {"sharpe": {"fail_below": 0.9}}});
        let base = subject().sha256;
        let make = |b: &str, c: &str, m: &str, p: &Value, s| Subject::new(b.into(), c, m, p, s).sha256;
        assert_eq!(make("b", "c", "m", &criteria, 1), base);
        for other in [
            make("B", "c", "m", &criteria, 1),
            make("b", "C", "m", &criteria, 1),
            make("b", "c", "M", &criteria, 1),
            make("b", "c", "m", &looser, 1),
            make("b", "c", "m", &criteria, 2),
        ] {
            assert_ne!(other, base);
        }
    }
}
