//! What runs on a host, since when, judged by which verdict, and what differs from what should.

use std::collections::BTreeMap;

use magellan::error::Result;
use serde::Serialize;

use super::health::{self, UnitHealth};
use super::host::Answer;
use super::record::Record;
use crate::release::{ENVIRONMENT, Environment, Manifest};

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
    /// Reads a host's facts.
    ///
    /// # Errors
    /// Refused if the release's manifest can't be read.
    pub fn of(looks: &[Answer], environment: &Environment, host: String) -> Result<Self> {
        let nothing = Answer::default();
        let facts = looks.last().unwrap_or(&nothing);
        let (release, manifest) = facts.running()?.unzip();
        let strategies = manifest.iter().flat_map(|m| m.strategies.values());
        Ok(Self {
            schema_version: 1,
            environment: environment.name.clone(),
            host,
            commit: manifest.as_ref().map(|m| m.commit.clone()),
            rollout: facts.rollout().map(rolled),
            units: strategies.map(|s| health::judge(looks, &s.unit, &s.unit_digest)).collect(),
            drift: drift(facts, manifest.as_ref(), environment),
            failures: facts.get("failures").unwrap_or_default().lines().map(str::to_owned).collect(),
            release,
        })
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
fn drift(facts: &Answer, manifest: Option<&Manifest>, environment: &Environment) -> Vec<String> {
    let mut found: Vec<String> = facts.all("altered").map(|what| format!("the release was altered: {what}")).collect();
    found.extend(facts.all("checkout_dirty").map(|what| format!("edited in the checkout: {what}")));
    if let Some(broken) = facts.get("current_broken").filter(|b| !b.is_empty()) {
        found.push(format!("current leads to {broken}, which is no release"));
    }
    let Some(manifest) = manifest else {
        found.extend(facts.all("installed").map(|unit| format!("{unit} is installed, and there is no release")));
        return found;
    };
    let commit = facts.get("checkout_commit").unwrap_or_default();
    if commit != manifest.commit {
        found.push(format!("the checkout is at `{commit}`, the release is of {}", manifest.commit));
    }
    if manifest.environment != environment.name {
        found.push(format!("the release was made for {}", manifest.environment));
    }
    for shipped in manifest.strategies.values() {
        let (unit, facts) = (&shipped.unit, facts.unit(&shipped.unit));
        let get = |key: &str| facts.get(key).map_or("", String::as_str);
        for (what, file) in [("unit file", "unit"), ("drop-in", "drop_in")] {
            let (installed, current) = (get(&format!("installed.{file}")), get(&format!("current.{file}")));
            if installed.is_empty() {
                found.push(format!("{unit}: its {what} isn't installed"));
            } else if installed != current {
                found.push(format!("{unit}: its {what} isn't the release's"));
            }
        }
        if get("started") != shipped.unit_digest {
            found.push(format!("{unit} was started with another release"));
        }
        let others = get("DropInPaths")
            .split_whitespace()
            .filter(|path| !path.ends_with(&format!("/{unit}.service.d/magellan.conf")));
        found.extend(others.map(|path| format!("{unit}: {path} changes it")));
    }
    let known = |unit: &str| manifest.strategies.values().any(|s| s.unit == unit);
    found.extend(
        facts.all("installed").filter(|u| !known(u)).map(|u| format!("{u} is installed, and not of the release")),
    );
    found
}

/// The environment file that a release was made with differs from the one here.
pub fn environment_differs(manifest: &Manifest, environment: &Environment) -> bool {
    let sha256 = magellan::disk::hash::sha256_hex(environment.text.as_bytes());
    manifest.files.get(ENVIRONMENT).is_some_and(|file| file.sha256 != sha256)
}
