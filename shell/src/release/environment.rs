//! `deployed/environments/<name>.toml`: where releases go, typed. Nothing in it has a default.

use std::path::{Path, PathBuf};

use jiff::civil::Date;
use magellan::deployed::{ENVIRONMENTS, is_name};
use magellan::error::{Error, Result};
use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use crate::{codes, toml_file, unit};

/// Which rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Real accounts: nothing that rests on synthetic bars.
    Production,
    /// For trying.
    Staging,
}

/// When a release may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Outside regular sessions and their margins, and while what is restarted holds no position.
    MarketClosed,
    /// At any time that isn't blacked out.
    Always,
}

/// When a release may not be changed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Nothing is changed for so long before a session opens.
    pub minutes_before_open: u16,
    /// Nor for so long after it has closed.
    pub minutes_after_close: u16,
    /// Nor on these days, in New York.
    pub blackout_dates: Vec<Date>,
}

/// Which time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// That of regular sessions alone.
    Market,
    /// All.
    Wall,
}

/// One unit first, and the others once it has proved itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// The unit that goes first.
    pub first: String,
    /// Seconds that it must be healthy before the others follow.
    pub soak_seconds: u64,
    /// Which time counts.
    pub clock: Clock,
}

/// The machine, as AWS and it itself know it: all is asserted before anything is touched.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its id, `i-…`; or else
    pub instance: Option<String>,
    /// the value of the tag `Name` that it alone has.
    pub tag: Option<String>,
    /// What `hostname` prints on it.
    pub hostname: String,
}

/// What the machine fetches. Users and paths are the same on every machine: `unit` has them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The git remote that commits are fetched from.
    pub remote: String,
    // What the layout below a user's home needed, so that a file of then is told what to do.
    user: Option<String>,
    checkout: Option<String>,
    releases: Option<String>,
    state: Option<String>,
}

/// An environment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The file's name without `.toml`.
    #[serde(skip)]
    pub name: String,
    /// Its text, as it is shipped.
    #[serde(skip)]
    pub text: String,
    /// The file.
    #[serde(skip)]
    pub path: PathBuf,
    /// Which rules hold.
    pub kind: Kind,
    /// AWS account, 12 digits.
    pub account: String,
    /// AWS region.
    pub region: String,
    /// Bucket of bundles, locks and records.
    pub bucket: String,
    /// When a release may be changed.
    pub deploy_when: When,
    /// Whether services may trade archived bars.
    pub archived_data: bool,
    /// The units, without `.service`.
    pub services: Vec<String>,
    /// When a release may not be changed.
    pub window: Window,
    /// One unit first; none: all at once.
    pub rollout: Option<Rollout>,
    /// The machine.
    pub target: Target,
    /// What it fetches.
    pub host: Host,
}

impl Environment {
    /// Reads the environment of this name below `deployed`.
    ///
    /// # Errors
    /// Config error, with line and column.
    pub fn read(deployed: &Path, name: &str) -> Result<Self> {
        let path = deployed.join(ENVIRONMENTS).join(format!("{name}.toml"));
        if !is_name(name) || !path.exists() {
            let known = Self::all(deployed).iter().map(|p| stem(p)).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "there is none".to_owned() } else { format!("known are {known}") };
            return Err(Error::new(codes::NO_ENVIRONMENT, format!("there is no environment `{name}`"))
                .help(format!("{known}; add deployed/{ENVIRONMENTS}/<name>.toml")));
        }
        Self::read_as(&path, name)
    }

    /// The environment files below `deployed`.
    pub fn all(deployed: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(deployed.join(ENVIRONMENTS)).into_iter().flatten();
        let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
        files.sort();
        files
    }

    /// Reads a file as the environment `name`.
    ///
    /// # Errors
    /// As [`Environment::read`].
    pub fn read_as(path: &Path, name: &str) -> Result<Self> {
        let (mut environment, text) = toml_file::read::<Self>(path, codes::BAD_ENVIRONMENT)?;
        toml_file::refuse(environment.faults(), path, &text, codes::BAD_ENVIRONMENT)?;
        environment.name = name.to_owned();
        environment.text = text;
        environment.path = path.to_owned();
        Ok(environment)
    }

    /// Keys whose values can't be right, and why.
    fn faults(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut expect = |key: &'static str, value: &str, pattern: &str, expected: &str| {
            if !Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(value)) {
                found.push((key, format!("{key} is `{value}`, expected {expected}")));
            }
        };
        expect("account", &self.account, "[0-9]{12}", "12 digits");
        expect("region", &self.region, "[a-z]{2}(-[a-z]+)+-[0-9]", "a region such as us-east-2");
        expect("bucket", &self.bucket, "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name");
        expect("hostname", &self.target.hostname, "[A-Za-z0-9][A-Za-z0-9.-]*", "what `hostname` prints");
        if let Some(instance) = &self.target.instance {
            expect("instance", instance, "m?i-[0-9a-f]{8,17}", "an id such as i-0123456789abcdef0");
        }
        if let Some(tag) = &self.target.tag {
            expect("tag", tag, "[^\\n*?]{1,256}", "the value of the tag Name");
        }
        expect("remote", &self.host.remote, "[^-\\s'\"][^\\s'\"]*", "an address that git can fetch from");
        for service in &self.services {
            expect("services", service, "magellan-[a-z0-9-]+", "units such as magellan-bear-trap");
        }
        if self.target.instance.is_some() == self.target.tag.is_some() {
            found.push(("[target]", "exactly one of instance and tag names the machine".to_owned()));
        }
        if self.services.is_empty() {
            found.push(("services", "services is empty: nothing to run is never a success".to_owned()));
        }
        let Host { user, checkout, releases, state, .. } = &self.host;
        for (key, value) in [("user", user), ("checkout", checkout), ("releases", releases), ("state", state)] {
            if value.is_some() {
                let root = unit::ROOT;
                found
                    .push((key, format!("{key} is no longer set: releases lie in {root}, services run as `magellan`")));
            }
        }
        if let Some(rollout) = &self.rollout {
            if !self.services.contains(&rollout.first) {
                found.push(("first", format!("first is `{}`, which services doesn't have", rollout.first)));
            }
            if !(1..=30 * 86_400).contains(&rollout.soak_seconds) {
                found.push(("soak_seconds", "soak_seconds isn't from 1 to 2592000 (30 days)".to_owned()));
            }
        }
        for (key, minutes) in [
            ("minutes_before_open", self.window.minutes_before_open),
            ("minutes_after_close", self.window.minutes_after_close),
        ] {
            if minutes > 600 {
                found.push((key, format!("{key} is {minutes}, at most 600 leave time for a deploy")));
            }
        }
        found
    }

    /// Holds the units of a release to its services.
    ///
    /// # Errors
    /// Config error at the first that isn't one.
    pub fn check_units<'u>(&self, mut units: impl Iterator<Item = &'u String>) -> Result<()> {
        match units.find(|unit| !self.services.contains(unit)) {
            None => Ok(()),
            Some(unit) => Err(Error::new(codes::BAD_ENVIRONMENT, format!("services lacks {unit}"))
                .at(self.path.display())
                .help("add it to services, or don't deploy it there")),
        }
    }

    /// The line that names a unit.
    pub fn line_of(&self, unit: &str) -> usize {
        self.text.lines().position(|line| line.contains(unit)).map_or(1, |i| i + 1)
    }

    /// Holds its services to the units that there are.
    ///
    /// # Errors
    /// Config error at the first that is of no deployed strategy.
    pub fn check_services(&self, units: &[String]) -> Result<()> {
        let Some(unknown) = self.services.iter().find(|service| !units.contains(service)) else { return Ok(()) };
        let line = self.line_of(unknown);
        Err(Error::new(codes::BAD_ENVIRONMENT, format!("services names {unknown}, and no such strategy is deployed"))
            .at_line(&self.path, line, None)
            .help(format!("units are {}", units.join(", "))))
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../../deployed/environments/staging.toml");

    fn read(text: &str) -> Result<Environment> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("staging.toml");
        std::fs::write(&path, text).expect("written");
        Environment::read_as(&path, "staging")
    }

    #[test]
    fn what_is_wrong_is_found_at_its_line() {
        assert_eq!(read(GOOD).map(|e| e.kind).map_err(|e| e.to_string()), Ok(Kind::Staging));
        for (from, to, line_of) in [
            ("kind = \"staging\"", "kind = \"stagin\"", "kind"),
            ("kind = \"staging\"", "kinds = \"staging\"", "kinds"),
            ("region = \"us-east-2\"", "region = \"Ohio\"", "region"),
            ("[host]", "[host]\nuser = \"ssm-user\"", "user"),
            ("minutes_before_open = 0", "minutes_before_open = 601", "minutes_before_open"),
            ("blackout_dates = []", "blackout_dates = [\"2026-02-30\"]", "blackout_dates"),
            ("archived_data = true", "archived_data = \"true\"", "archived_data"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            let err = read(&text).expect_err("refused");
            let line = text.lines().position(|l| l.starts_with(line_of)).expect("there") + 1;
            assert_eq!(err.line().map(|l| l.1), Some(line), "{err}");
        }
    }

    #[test]
    fn every_key_is_needed() {
        for line in GOOD.lines().filter(|l| l.contains(" = ") && !l.starts_with('#')) {
            assert!(read(&GOOD.replace(&format!("{line}\n"), "")).is_err(), "{line}");
        }
    }

    #[test]
    fn a_machine_is_named_in_one_way() {
        let both = GOOD.replace("[target]\n", "[target]\ninstance = \"i-0123456789abcdef0\"\n");
        assert!(read(&both).is_err());
    }
}
