//! What runs on a host, since when, judged by which verdict, and what differs from what should.

use std::collections::BTreeMap;

use serde::Serialize;

use super::facts::{Facts, UnitFacts};
use super::health;
use super::record::{Record, UnitHealth};
use crate::release::{ENVIRONMENT, Environment, Manifest, Shipped};

/// A host as observed.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    schema_version: u32,
    /// The environment.
    pub environment: String,
    /// The machine.
    pub host: String,
    /// Its release; none if there is none.
    pub release: Option<String>,
    /// The commit of that release.
    pub commit: Option<String>,
    /// The rollout that brought it, as the host remembers it.
    pub rollout: Option<Rolled>,
    /// Its units.
    pub units: Vec<UnitHealth>,
    /// What differs from the release: files, units, the checkout.
    pub drift: Vec<String>,
    /// Services that failed for good, as they said.
    pub failures: Vec<String>,
}

/// How a release came to be there.
#[derive(Clone, Debug, Serialize)]
pub struct Rolled {
    /// The rollout's name.
    pub id: String,
    /// Who began it.
    pub owner: String,
    /// The verdict of each strategy: status and digest.
    pub verdicts: BTreeMap<String, (String, String)>,
    /// Who overrode what was refused, and why.
    pub overridden: Option<String>,
}

impl Status {
    /// Judges a host by several observations, oldest first.
    pub fn of(looks: &[Facts], environment: &Environment, host: String) -> Self {
        let nothing = Facts::default();
        let facts = looks.last().unwrap_or(&nothing);
        let manifest = facts.manifest();
        let strategies = manifest.iter().flat_map(|m| m.strategies.values());
        Self {
            schema_version: 1,
            environment: environment.name.clone(),
            host,
            release: facts.release().map(str::to_owned),
            commit: manifest.map(|m| m.commit.clone()),
            rollout: facts.rollout.clone().map(rolled),
            units: strategies.map(|s| health::judge(looks, &s.unit, &s.unit_digest)).collect(),
            drift: drift(facts, environment),
            failures: facts.failures.clone(),
        }
    }

    /// Whether every unit is well, and there is one.
    pub fn is_healthy(&self) -> bool {
        !self.units.is_empty() && self.units.iter().all(UnitHealth::is_well)
    }
}

fn rolled(record: Record) -> Rolled {
    let none = || "none".to_owned();
    let verdict = |j: super::record::Judged| (j.status.unwrap_or_else(none), j.verdict.unwrap_or_else(none));
    Rolled {
        id: record.id,
        owner: record.owner,
        verdicts: record.strategies.into_iter().map(|(name, judged)| (name, verdict(judged))).collect(),
        overridden: record.overridden.map(|o| format!("{}: {}", o.who, o.why)),
    }
}

/// Installed against rendered, files against manifest, checkout against commit, process against unit.
fn drift(facts: &Facts, environment: &Environment) -> Vec<String> {
    let mut found: Vec<String> = facts.altered.iter().map(|what| format!("the release was altered: {what}")).collect();
    found.extend(facts.checkout_dirty.iter().map(|what| format!("edited in the checkout: {what}")));
    if let Some(broken) = &facts.current_broken {
        found.push(format!("current leads to {broken}, which is no release"));
    }
    let Some(manifest) = facts.manifest() else {
        found.extend(facts.installed.iter().map(|unit| format!("{unit} is installed, and there is no release")));
        return found;
    };
    if facts.checkout_commit != manifest.commit {
        found.push(format!("the checkout is at `{}`, the release is of {}", facts.checkout_commit, manifest.commit));
    }
    if manifest.environment != environment.name {
        found.push(format!("the release was made for {}", manifest.environment));
    }
    for shipped in manifest.strategies.values() {
        found.extend(unit_drift(&facts.unit(&shipped.unit), shipped));
    }
    let known = |unit: &str| manifest.strategies.values().any(|s| s.unit == unit);
    let strangers = facts.installed.iter().filter(|unit| !known(unit));
    found.extend(strangers.map(|unit| format!("{unit} is installed, and not of the release")));
    found
}

/// What differs of one unit from what was shipped.
fn unit_drift(facts: &UnitFacts, shipped: &Shipped) -> Vec<String> {
    let unit = &shipped.unit;
    let (installed, released) = (&facts.installed, &facts.released);
    let files = [("unit file", &installed.unit, &released.unit), ("drop-in", &installed.drop_in, &released.drop_in)];
    let mut found = Vec::new();
    for (what, installed, released) in files {
        if installed.is_empty() {
            found.push(format!("{unit}: its {what} isn't installed"));
        } else if installed != released {
            found.push(format!("{unit}: its {what} isn't the release's"));
        }
    }
    if facts.started_with != shipped.unit_digest {
        found.push(format!("{unit} was started with another release"));
    }
    let own = format!("/{unit}.service.d/magellan.conf");
    let others = facts.drop_in_paths.iter().filter(|path| !path.ends_with(&own));
    found.extend(others.map(|path| format!("{unit}: {path} changes it")));
    found
}

/// The environment file that a release was made with differs from the one here.
pub fn environment_differs(manifest: &Manifest, environment: &Environment) -> bool {
    let sha256 = magellan::disk::hash::sha256_hex(environment.text.as_bytes());
    manifest.files.get(ENVIRONMENT).is_some_and(|file| file.sha256 != sha256)
}
