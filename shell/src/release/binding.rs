//! What an environment adds to a release: two small texts, the same for all of its units. The release's digest stays
//! the same wherever it runs.

use std::path::Path;

use magellan::disk::hash::sha256_hex;
use magellan::disk::map;
use magellan::error::{Error, Result};
use serde::{Deserialize, Serialize};

use super::environment::{Environment, Kind};
use crate::{codes, unit};

/// The variable that names a service's binding.
pub const BINDING_VARIABLE: &str = "MAGELLAN_BINDING";
const SCHEMA_VERSION: u32 = 1;
const LARGEST: u64 = 64 << 10;

/// What an environment allows its services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    schema_version: u32,
    /// The environment's name.
    pub environment: String,
    /// Which rules hold.
    pub kind: Kind,
    /// Whether services may trade archived bars.
    pub archived_data: bool,
    /// The AWS region of its parameters.
    pub region: String,
    /// SHA-256 of the drop-in that goes with it.
    pub drop_in_sha256: String,
}

impl Binding {
    /// That of an environment.
    pub fn of(environment: &Environment) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            environment: environment.name.clone(),
            kind: environment.kind,
            archived_data: environment.archived_data,
            region: environment.region.clone(),
            drop_in_sha256: sha256_hex(drop_in(&environment.name, environment.archived_data).as_bytes()),
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// Refused if it is none.
    pub fn read(path: &Path) -> Result<(Self, String)> {
        let damaged = |what: String| Error::new(codes::BUNDLE_DAMAGED, what).at(path.display());
        let bytes = map::bytes_up_to(path, LARGEST)?;
        let binding: Self =
            serde_json::from_slice(&bytes).map_err(|e| damaged(format!("it binds no environment: {e}")))?;
        match binding.schema_version {
            SCHEMA_VERSION => Ok((binding, sha256_hex(&bytes))),
            other => Err(damaged(format!("it has schema version {other}, known is {SCHEMA_VERSION}"))),
        }
    }

    /// Its text.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// What units get beside their own file. systemd puts the unit's name for `%p`, so one text is enough for all of them.
fn drop_in(name: &str, archived_data: bool) -> String {
    let archived = if archived_data { "Environment=USE_ARCHIVED_DATA=true\n" } else { "" };
    format!(
        "# Rendered by magellan for {name}.\n[Unit]\nOnFailure=magellan-failed@%n.service\nWants=magellan-parity@%p.timer\n\n\
         [Service]\nEnvironment=MAGELLAN_ENVIRONMENT={name}\n\
         Environment={BINDING_VARIABLE}={root}/units/%p/current/binding.json\n{archived}",
        root = unit::ROOT,
    )
}

/// A binding as it travels to a host, and is kept on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// SHA-256 of `binding`.
    pub sha256: String,
    /// The text of `binding.json`.
    pub binding: String,
    /// The text of the drop-in.
    pub drop_in: String,
}

impl Bound {
    /// What binds a release to an environment.
    pub fn to(environment: &Environment) -> Self {
        let binding = Binding::of(environment).text();
        let drop_in = drop_in(&environment.name, environment.archived_data);
        Self { sha256: sha256_hex(binding.as_bytes()), binding, drop_in }
    }

    /// Holds one that comes from a store to what this program would have rendered: root installs it.
    ///
    /// # Errors
    /// Refused if it is another environment's, or holds anything more.
    pub fn check(&self, environment: &Environment) -> Result<()> {
        let damaged = |what: &str| {
            Error::new(codes::BUNDLE_DAMAGED, format!("what binds the release to its environment {what}")).help(
                "deploy the release again, which binds it anew; if nobody has changed how, find out who wrote this",
            )
        };
        let binding: Binding = serde_json::from_str(&self.binding).map_err(|e| damaged(&format!("is none: {e}")))?;
        if (binding.environment.as_str(), binding.kind) != (&environment.name, environment.kind) {
            return Err(damaged("is another environment's"));
        }
        let rendered = drop_in(&binding.environment, binding.archived_data);
        let hashes = [&self.sha256, &binding.drop_in_sha256];
        let expected = [&sha256_hex(self.binding.as_bytes()), &sha256_hex(rendered.as_bytes())];
        match self.drop_in == rendered && hashes == expected && binding.text() == self.binding {
            true => Ok(()),
            false => Err(damaged("isn't as this program renders it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_that_somebody_else_wrote_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("staging.toml");
        std::fs::write(&path, include_str!("../../../deployed/environments/staging.toml")).expect("written");
        let environment = Environment::read_as(&path, "staging").expect("read");
        let good = Bound::to(&environment);
        good.check(&environment).expect("ours");
        // Consistent with itself, and with a line that would make somebody root.
        let drop_in = good.drop_in.clone() + "User=root\n";
        let was = sha256_hex(good.drop_in.as_bytes());
        let binding = good.binding.replace(&was, &sha256_hex(drop_in.as_bytes()));
        let forged = Bound { sha256: sha256_hex(binding.as_bytes()), binding, drop_in };
        assert_eq!(forged.check(&environment).map_err(|e| e.code()), Err(codes::BUNDLE_DAMAGED));
        let other = Environment { name: "production".to_owned(), ..environment };
        assert_eq!(good.check(&other).map_err(|e| e.code()), Err(codes::BUNDLE_DAMAGED));
    }

    #[test]
    fn a_binding_is_read_as_it_was_written_and_names_its_drop_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("staging.toml");
        std::fs::write(&path, include_str!("../../../deployed/environments/staging.toml")).expect("written");
        let bound = Bound::to(&Environment::read_as(&path, "staging").expect("read"));
        let file = folder.path().join("binding.json");
        std::fs::write(&file, &bound.binding).expect("written");
        let (binding, sha256) = Binding::read(&file).expect("read");
        assert_eq!((sha256, binding.environment.as_str()), (bound.sha256, "staging"));
        assert_eq!(binding.drop_in_sha256, sha256_hex(bound.drop_in.as_bytes()));
        std::fs::write(&file, bound.binding.replace("\"schema_version\": 1", "\"schema_version\": 2"))
            .expect("written");
        assert_eq!(Binding::read(&file).map_err(|e| e.code()).err(), Some(codes::BUNDLE_DAMAGED));
    }
}
