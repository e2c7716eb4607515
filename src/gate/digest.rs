//! Two hashes that tie a verdict to what was judged.
//!
//! `subject` covers what goes in: bundle, config, archive manifest, engine, policy, seed. The
//! digest of a verdict covers the subject and everything that came out, except the config's path.
//! Canonical form: JSON with keys sorted, no white space, numbers in their shortest form that
//! reads back as the same bits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::verdict::StrategyVerdict;
use crate::disk::hash::sha256_hex;

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

/// The digest that a strategy's verdict makes, as JSON.
pub fn digest(verdict: &Value) -> String {
    let mut verdict = verdict.clone();
    remove(&mut verdict, "digest");
    remove(&mut verdict, "config");
    sha256_hex(canonical(&verdict).as_bytes())
}

/// The digest that a strategy's verdict makes.
pub(super) fn of(verdict: &StrategyVerdict) -> String {
    digest(&json!(verdict))
}

/// The digest of several strategies' verdicts, as JSON: of their digests and what stands beside them.
pub fn whole(verdict: &Value) -> String {
    let mut verdict = verdict.clone();
    remove(&mut verdict, "digest");
    for one in verdict["strategies"].as_array_mut().into_iter().flatten() {
        *one = one["digest"].take();
    }
    sha256_hex(canonical(&verdict).as_bytes())
}

fn remove(value: &mut Value, key: &str) {
    if let Some(object) = value.as_object_mut() {
        object.shift_remove(key);
    }
}

fn canonical(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
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

    #[test]
    fn the_order_of_keys_does_not_matter_and_every_leaf_does() {
        let one = json!({"a": 1.5, "b": {"c": "x", "d": [1, 2]}, "digest": "ignored", "config": "where it lies"});
        let same = json!({"b": {"d": [1, 2], "c": "x"}, "a": 1.5});
        assert_eq!(digest(&one), digest(&same));
        for (pointer, value) in [("/a", json!(1.5000000000000002)), ("/b/c", json!("y")), ("/b/d/1", json!(3))] {
            let mut other = one.clone();
            *other.pointer_mut(pointer).expect("there") = value;
            assert_ne!(digest(&one), digest(&other), "{pointer}");
        }
    }
}
