//! What may be deployed: only what a verdict that deploys is about, to the byte.

use std::path::{Path, PathBuf};

use magellan::bar::Date;
use magellan::deployed::Deployed;
use magellan::error::{Error, Result};
use magellan::gate::subject::{self, Subject, subject_of};
use magellan::gate::verify::{self, StoredVerdict};
use magellan::gate::{Acknowledgement, Policy, StrategyVerdict, policy};
use magellan::registry::{self, AnyStrategy};

use super::record::Judged;
use crate::codes;
use crate::release::{self, BINARY, Environment, Manifest, unit_path};

/// Verdicts as `magellan gate --out` leaves them, in one folder or in its folders.
pub struct Verdicts(Vec<(PathBuf, StoredVerdict)>);

impl Verdicts {
    /// Reads `verdict.json` of the folder and of each folder in it.
    ///
    /// # Errors
    /// Refused if one was altered.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut folders: Vec<PathBuf> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        folders.sort();
        folders.insert(0, folder.to_owned());
        let files = folders.iter().map(|folder| folder.join("verdict.json")).filter(|file| file.exists());
        files.map(|file| Ok((file.clone(), StoredVerdict::read(&file)?))).collect::<Result<_>>().map(Self)
    }

    /// The file and the verdict of a strategy about this subject; or the first that is there.
    fn about(&self, strategy: &str, subject: &str) -> Option<(&Path, &StoredVerdict, &StrategyVerdict)> {
        let of_strategy =
            || self.0.iter().filter_map(|(file, stored)| Some((file.as_path(), stored, stored.strategy(strategy)?)));
        of_strategy().find(|(_, _, one)| is_about(one, subject)).or_else(|| of_strategy().next())
    }

    /// Failures of a strategy that somebody accepted, and that verdicts here rest on.
    pub fn accepted(&self, strategy: &str) -> Vec<Acknowledgement> {
        let verdicts = self.0.iter().filter_map(|(_, stored)| stored.strategy(strategy));
        verdicts.flat_map(|one| one.acknowledgements.iter().filter(|a| !a.expired)).cloned().collect()
    }

    /// The folder of the verdict of a strategy about exactly this subject.
    pub fn folder(&self, strategy: &str, subject: &str) -> Option<&Path> {
        let (file, _, one) = self.about(strategy, subject)?;
        is_about(one, subject).then(|| file.parent())?
    }
}

fn is_about(one: &StrategyVerdict, subject: &str) -> bool {
    one.subject.as_ref().is_some_and(|s| s.sha256 == subject)
}

/// What is asked for all strategies.
pub struct Asked<'a> {
    /// Every strategy the binary knows.
    pub strategies: &'a [&'a dyn AnyStrategy],
    /// Where to.
    pub environment: &'a Environment,
    /// What is shipped.
    pub manifest: &'a Manifest,
    /// SHA-256 of what binds it to the environment.
    pub binding: &'a str,
    /// SHA-256 of the archive's manifest.
    pub archive: &'a str,
    /// The verdicts.
    pub verdicts: &'a Verdicts,
    /// The least that every strategy must show.
    pub policy: Option<&'a Policy>,
    /// Judges a strategy again as this verdict was judged, and compares; none, if somebody said why that can't be done.
    pub again: Option<&'a Again<'a>>,
    /// The day.
    pub today: Date,
}

/// Refuses a verdict that isn't what judging again gives. The last argument tells what runs of the strategy.
pub type Again<'a> = dyn Fn(&Deployed, &StoredVerdict, &Running) -> Result<()> + 'a;

impl Asked<'_> {
    /// What allows a strategy to be deployed, and all that speaks against it.
    ///
    /// # Errors
    /// Config errors of the strategy; refused if its files changed since they were bundled.
    pub fn judge(&self, one: &Deployed, running: &Running) -> Result<(Judged, Vec<Error>)> {
        let shipped = &self.manifest.strategies[&one.name];
        let sha256 = |path: &str| self.manifest.files.get(path).map_or("", |file| file.sha256.as_str());
        let subject = subject_of(self.strategies, one, sha256(BINARY), self.archive, self.policy)?;
        // The files are read again here; what counts is what is in the bundle.
        let bundled = subject::bundle(sha256(BINARY), sha256(&unit_path(&one.name)));
        if (&subject.config, &subject.bundle) != (&shipped.config_sha256, &bundled) {
            let what = format!("config or unit of {} changed while it was bundled", one.name);
            return Err(Error::new(codes::NOT_COMMITTED, what));
        }
        let mut judged = Judged {
            unit: shipped.unit.clone(),
            unit_digest: self.manifest.unit_digest(&one.name, self.binding),
            subject: subject.sha256.clone(),
            verdict: None,
            status: None,
            synthetic: false,
        };
        let name = &one.name;
        let Some((file, stored, verdict)) = self.verdicts.about(name, &subject.sha256) else {
            let what = format!("there is no verdict of {name}");
            return Ok((judged, vec![Error::new(codes::NO_VERDICT, what)]));
        };
        let was = verdict.subject.as_ref();
        if was != Some(&subject) {
            let what = format!("what would be shipped of {name} isn't what was judged: {}", differing(was, &subject));
            return Ok((judged, vec![Error::new(codes::NO_VERDICT, what).at(file.display())]));
        }
        judged.verdict = Some(verdict.digest.clone());
        judged.status = Some(verdict.status.name().to_owned());
        judged.synthetic = verdict.synthetic;
        let mut against = Vec::new();
        against.extend(verdict.check_deploys(self.today).err());
        let document = registry::find(self.strategies, name)?.read_complete(&one.config)?;
        against.extend(verify::check_complete(verdict, &document, self.policy).err());
        against.extend(self.again.and_then(|again| again(one, stored, running).err()));
        if self.environment.kind == release::Kind::Production {
            if judged.synthetic {
                let what = format!(
                    "the verdict of {name} rests on synthetic bars, and {} is production",
                    self.environment.name
                );
                against.push(Error::new(codes::SYNTHETIC_VERDICT, what));
            }
            if self.policy.is_none() {
                let what = format!("there is no {}, and {} is production", policy::FILE, self.environment.name);
                against.push(Error::new(codes::NO_POLICY, what));
            }
            if !verdict.asks_for_commit() {
                let what = format!("the verdict of {name} wasn't made with --committed-ledger");
                against.push(Error::new(codes::TRIAL_NOT_COMMITTED, what));
            }
            against.extend(unpaired(verdict, &subject, running));
        }
        Ok((judged, against.into_iter().map(|e| e.at(file.display())).collect()))
    }
}

/// What runs of a strategy on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Running {
    /// Nothing.
    Nothing,
    /// Something that no rollout on record tells of.
    Unknown,
    /// What was judged under this subject.
    Subject(String),
}

/// In production a candidate must have been compared with what runs there, unless it is the same.
fn unpaired(verdict: &StrategyVerdict, subject: &Subject, running: &Running) -> Option<Error> {
    let (name, then) = (&verdict.strategy, verdict.deployed_then());
    let what = match running {
        Running::Nothing => return None,
        Running::Unknown => format!("what runs of {name} isn't known: the host's history doesn't tell"),
        Running::Subject(running) => {
            let compared = !then.is_empty() && then.iter().all(|was| *was == Some(running.as_str()));
            if *running == subject.sha256 || compared {
                return None;
            }
            format!("the verdict of {name} compares it with another release than the one that runs")
        }
    };
    Some(Error::new(codes::NOT_PAIRED, what))
}

/// Which parts of two subjects differ.
fn differing(was: Option<&Subject>, is: &Subject) -> String {
    let Some(was) = was else { return "nothing was judged".to_owned() };
    let parts: Vec<&str> = [
        ("binary or unit", was.bundle != is.bundle),
        ("config", was.config != is.config),
        ("archive", was.manifest != is.manifest),
        ("criteria, policy or the gate's rules", was.policy != is.policy),
        ("version", was.engine != is.engine),
        ("seed", was.seed != is.seed),
    ]
    .into_iter()
    .filter_map(|(part, differs)| differs.then_some(part))
    .collect();
    format!("other {}", parts.join(", "))
}
