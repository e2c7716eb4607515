//! The very release that another environment runs, taken over

use std::path::Path;

use magellan::error::{Error, Result};

use crate::cli::destination::{Connected, Destination};
use crate::codes;
use crate::deploy::bundle::{self, Verified};
use crate::deploy::facts::Facts;
use crate::deploy::health::Watch;
use crate::deploy::record::{Index, Indexed};
use crate::deploy::status;
use crate::release::{Environment, short};

/// A release that has proved itself elsewhere.
pub(super) struct Promoted {
    pub(super) verified: Verified,
    pub(super) size: u64,
    /// Where its bundle lies, in either store.
    pub(super) key: String,
}

/// Fetches the bundle of what an environment runs into `file`, if it has run there in health for so many hours.
pub(super) fn fetch(to: &Destination, from: &str, hours: f64, file: &Path) -> Result<Promoted> {
    if !(hours.is_finite() && hours > 0.0) {
        return Err(Error::new(codes::BAD_ARGUMENT, format!("--healthy-for is {hours}, expected hours above 0")));
    }
    let source = Environment::read(&to.named.folder()?, from)?;
    to.connect(&source, |connected| {
        let index = Index::read(connected.store, &source.name)?;
        let seen = Facts::observe(connected.transport, &source)?;
        let entry = proved(connected, seen, &index, hours)?;
        let missing = || {
            Error::new(codes::BUNDLE_DAMAGED, "the bundle isn't in the store").at(connected.store.name(&entry.bundle))
        };
        let bytes = connected.store.get(&entry.bundle)?.ok_or_else(missing)?.bytes;
        std::fs::write(file, &bytes).map_err(|e| Error::io(file, &e))?;
        let verified = bundle::verify(file)?;
        if (&verified.digest, verified.manifest.contents()) != (&entry.release, entry.contents.clone()) {
            let what = format!("the store's bundle isn't the release {} that runs", short(&entry.release));
            return Err(Error::new(codes::BUNDLE_DAMAGED, what));
        }
        eprintln!("{from} has run {} in health for {hours} h", short(&entry.release));
        Ok(Promoted { verified, size: bytes.len() as u64, key: entry.bundle.clone() })
    })
}

/// The rollout that brought what runs, if all units run one release, are well, and have not been restarted for so long.
fn proved<'i>(connected: &Connected<'_>, seen: Facts, index: &'i Index, hours: f64) -> Result<&'i Indexed> {
    let refused = |what: String| Error::new(codes::NOT_PROVED, what);
    let environment = connected.environment;
    let expected = status::expected(&seen, index, environment);
    let mut watch = Watch::over(&expected);
    watch.see(seen.clone());
    if let Some(fault) = watch.first_fault() {
        return Err(refused(format!("{} isn't well: {fault}", environment.name)));
    }
    let mut entries = Vec::new();
    for (name, unit) in seen.bound_units() {
        let age = seen.now.zip(unit.started_at).map_or(f64::NAN, |(now, began)| (now - began) / 3_600.0);
        if age.is_nan() || age < hours {
            return Err(refused(format!(
                "{name} has run for {age:.1} h on {}, {hours} are asked for",
                environment.name
            )));
        }
        if unit.process() != unit.started_process || unit.property("NRestarts") != "0" {
            return Err(refused(format!("{name} was restarted on {} since it was rolled out", environment.name)));
        }
        let entry = index.brought(name, &unit.release, &unit.binding);
        entries.push(entry.ok_or_else(|| refused(format!("no rollout on record brought what {name} runs")))?);
    }
    let first = entries.first().ok_or_else(|| refused(format!("nothing runs on {}", environment.name)))?;
    match entries.iter().all(|entry| entry.release == first.release) {
        true => Ok(first),
        false => Err(refused(format!("the units of {} run several releases", environment.name))),
    }
}
