//! What a verdict is about: bundle, config, archive manifest, engine, policy, seed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::digest::{canonical, remove};
use super::policy::Policy;
use crate::config::Complete;
use crate::deployed::{Deployed, LARGEST_UNIT};
use crate::disk::hash::sha256_hex;
use crate::disk::map;
use crate::error::Result;
use crate::registry::{self, AnyStrategy};

/// Changes whenever the gate's own rules do: constants, resampling, regimes.
const RULES: &str = "gate 2";

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
    /// Criteria, the least policy and the gate's own rules.
    pub policy: String,
    /// Version of Magellan.
    pub engine: String,
    /// Seed of resampling and of random cuts: of the strategy's name and the gate's rules, so that nobody can search one.
    pub seed: u64,
}

impl Subject {
    /// The subject of a config's verdict on an archive.
    pub fn new(
        strategy: &str,
        bundle: String,
        config: &str,
        manifest: &str,
        criteria: &Value,
        policy: Option<&Policy>,
    ) -> Self {
        let mut subject = Self {
            sha256: String::new(),
            bundle,
            config: config.to_owned(),
            manifest: manifest.to_owned(),
            policy: sha256_hex(canonical(&json!([RULES, criteria, policy])).as_bytes()),
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            seed: seed_of(strategy),
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

/// Neither config nor archive has a say in it. 48 bits, which every reader of JSON keeps.
fn seed_of(strategy: &str) -> u64 {
    let hash = sha256_hex(canonical(&json!([RULES, strategy])).as_bytes());
    u64::from_str_radix(&hash[..12], 16).unwrap_or_default()
}

/// What ships of a strategy beside its config. Both are SHA-256.
pub fn bundle(binary: &str, unit: &str) -> String {
    sha256_hex(format!("{binary}\n{unit}").as_bytes())
}

/// What a verdict of a deployed strategy is about. `binary` and `manifest` are SHA-256.
pub(super) fn subject(
    deployed: &Deployed,
    document: &Complete,
    binary: &str,
    manifest: &str,
    policy: Option<&Policy>,
) -> Result<Subject> {
    let unit = deployed.unit();
    let unit = match unit.exists() {
        true => sha256_hex(&map::bytes_up_to(&unit, LARGEST_UNIT)?),
        false => "no unit".to_owned(),
    };
    // What ships of a strategy beside its config: the binary and its unit, if it has one.
    let bundle = bundle(binary, &unit);
    let criteria = document.get("performance_criteria").cloned().unwrap_or_default();
    Ok(Subject::new(&deployed.name, bundle, &document.sha256, manifest, &criteria, policy))
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
    policy: Option<&Policy>,
) -> Result<Subject> {
    let strategy = registry::find(strategies, &deployed.name).map_err(|e| e.at(deployed.config.display()))?;
    let document = strategy.read_complete(&deployed.config)?;
    subject(deployed, &document, binary, manifest, policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::sample;

    #[test]
    fn every_field_changes_the_subject_and_the_strategy_alone_gives_the_seed() {
        let criteria = json!({"criteria": {"sharpe": {"fail_below": 1.0}}});
        let looser = json!({"criteria": {"sharpe": {"fail_below": 0.9}}});
        let policy = sample::policy();
        let make =
            |b: &str, c: &str, m: &str, criteria: &Value, policy| Subject::new("s", b.into(), c, m, criteria, policy);
        let base = make("b", "c", "m", &criteria, None);
        for other in [
            make("B", "c", "m", &criteria, None),
            make("b", "C", "m", &criteria, None),
            make("b", "c", "M", &criteria, None),
            make("b", "c", "m", &looser, None),
            make("b", "c", "m", &criteria, Some(&policy)),
        ] {
            assert_ne!(other.sha256, base.sha256);
            assert_eq!(other.seed, base.seed);
        }
        assert_ne!(Subject::new("t", "b".into(), "c", "m", &criteria, None).seed, base.seed);
    }
}
