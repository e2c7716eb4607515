//! `magellan keys`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use magellan::deployed::{Deployed, LARGEST_UNIT, discover};
use magellan::disk::hash::sha256_hex;
use magellan::disk::map::{self, Access};
use magellan::error::{Error, Result};
use magellan::gate::subject::subject_of;
use magellan::gate::{Policy, StrategyVerdict, acknowledge, verify};
use magellan::registry::{self, AnyStrategy};

use super::bundle::program;
use super::options::Place;
use super::output::print;
use crate::clock::today;
use crate::report::words::counted;
use crate::signing::{
    Envelope, Envelopes, FILE, Judged, Role, SigningKey, Trusted, TrustedKey, VerdictStatement, envelopes_of,
    sign_acknowledgements, verdicts_of, write_new,
};
use crate::{codes, policy};

/// The variable with the text of a private key.
pub(super) const VARIABLE: &str = "MAGELLAN_SIGNING_KEY";

#[derive(Subcommand, Debug)]
pub(super) enum Keys {
    /// Make a key: FILE for its owner alone, and FILE.pub, the line for the trusted keys.
    New(New),
    /// Show whose the keys of a file are; of a private key, its id and public key.
    Show {
        /// A private key, or trusted keys.
        file: PathBuf,
    },
    /// Sign the verdicts of a folder that `magellan gate --out` wrote.
    ///
    /// It signs what deploys, and only beside the program, configs, units and policy that were judged. The envelopes lie
    /// in VERDICT_DIR/verdict.dsse.jsonl then.
    Sign(Sign),
    /// Check that trusted keys have signed each verdict of a folder.
    Verify(Verify),
    /// Sign the failures of a strategy that were accepted, in the file beside its config.
    SignAcknowledgements(SignAcknowledgements),
}

#[derive(Args, Debug)]
pub(super) struct New {
    /// Whose key it is, e.g. ci.
    #[arg(long)]
    name: String,
    /// What it may sign; repeatable.
    #[arg(long, value_enum, required = true)]
    role: Vec<Role>,
    /// Where to write the private key. Nothing is ever replaced.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// With which key.
#[derive(Args, Debug)]
pub(super) struct With {
    /// The private key [default: the text in the variable MAGELLAN_SIGNING_KEY].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct Sign {
    /// The folder with verdict.json, or with folders that have one each.
    #[arg(value_name = "VERDICT_DIR")]
    folder: PathBuf,
    /// This strategy only.
    #[arg(long)]
    strategy: Option<String>,
    #[command(flatten)]
    with: With,
    /// The program that was judged and is shipped [default: this one].
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The folder `deployed` [default: the nearest one above the working directory].
    #[arg(long, value_name = "DIR")]
    deployed: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct Verify {
    /// The folder with verdicts and their envelopes.
    #[arg(value_name = "VERDICT_DIR")]
    folder: PathBuf,
    /// The keys that are trusted, as a host has them in /etc/magellan/trusted-keys.
    #[arg(long, value_name = "FILE")]
    trusted: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct SignAcknowledgements {
    /// The strategy.
    strategy: String,
    #[command(flatten)]
    with: With,
    /// Only what this person accepted.
    #[arg(long)]
    who: Option<String>,
    /// The folder `deployed` [default: the nearest one above the working directory].
    #[arg(long, value_name = "DIR")]
    deployed: Option<PathBuf>,
}

pub(super) fn run(command: &Keys, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let text = match command {
        Keys::New(options) => new(options),
        Keys::Show { file } => show(file),
        Keys::Sign(options) => sign(options, strategies),
        Keys::Verify(options) => check(options),
        Keys::SignAcknowledgements(options) => sign_accepted(options),
    }?;
    print(&text)?;
    Ok(0)
}

/// The key that is named, or the variable's.
pub(super) fn signing_key(named: Option<&Path>) -> Result<SigningKey> {
    match (named, std::env::var(VARIABLE)) {
        (Some(path), _) => SigningKey::read(path),
        (None, Ok(pem)) if pem.is_empty() => Err(Error::new(codes::NO_KEY, "there is no key to sign with")),
        (None, Ok(pem)) => SigningKey::from_pem(&pem).map_err(|e| e.at(VARIABLE)),
        (None, Err(std::env::VarError::NotPresent)) => Err(Error::new(codes::NO_KEY, "there is no key to sign with")),
        // The error holds the text.
        (None, Err(_)) => Err(Error::new(codes::BAD_KEY, "it isn't text").at(VARIABLE)),
    }
}

fn new(options: &New) -> Result<String> {
    let public = PathBuf::from(format!("{}.pub", options.out.display()));
    if public.symlink_metadata().is_ok() {
        return Err(Error::new(codes::NOT_EMPTY, "there is a public key already").at(public.display()));
    }
    let (key, pem) = SigningKey::generate()?;
    let line = TrustedKey::new(&options.role, key.public(), &options.name)?;
    write_new(&options.out, &pem, 0o600)?;
    write_new(&public, &format!("{line}\n"), 0o644).inspect_err(|_| drop(std::fs::remove_file(&options.out)))?;
    Ok(format!("{}: the private key; keep it to yourself\n{}: {line}\n", options.out.display(), public.display()))
}

fn show(file: &Path) -> Result<String> {
    let text = map::bytes_up_to(file, 64 << 10).map_err(|e| e.recode(codes::BAD_KEY))?;
    if text.windows(b"PRIVATE KEY-----".len()).any(|part| part == b"PRIVATE KEY-----") {
        let key = SigningKey::read(file)?.public();
        return Ok(format!("a private key\nid      {}\npublic  {}\n", key.id(), key.to_base64()));
    }
    let keys = Trusted::read(file)?;
    let shown = keys.keys().iter().map(|key| {
        let roles: Vec<&str> = key.roles().iter().map(|role| role.name()).collect();
        format!("{}  {}\nid      {}\npublic  {}\n", key.name(), roles.join(", "), key.key().id(), key.key().to_base64())
    });
    Ok(shown.collect())
}

/// What is there to be signed for.
struct Here<'a> {
    strategies: &'a [&'a dyn AnyStrategy],
    deployed: Vec<Deployed>,
    binary: String,
    policy: Option<Policy>,
    policy_sha256: String,
}

impl Here<'_> {
    /// States a verdict that deploys, if it is about what is here.
    fn statement(&self, verdict: &StrategyVerdict) -> Result<VerdictStatement> {
        verdict.check_deploys(today())?;
        let name = &verdict.strategy;
        let one = self.deployed.iter().find(|one| one.name == *name);
        let one = one.ok_or_else(|| Error::new(codes::NOT_DEPLOYED, format!("`{name}` is not deployed")))?;
        let unit = sha256_hex(&map::bytes_up_to(&one.unit(), LARGEST_UNIT)?);
        let judged = Judged { binary: &self.binary, unit: &unit, policy: &self.policy_sha256 };
        let statement = VerdictStatement::of(verdict, &judged)?;
        self.check(verdict, one)?;
        Ok(statement)
    }

    /// Refuses a verdict of another config, policy, engine or set of rules than those here, or one that lacks a check.
    fn check(&self, verdict: &StrategyVerdict, one: &Deployed) -> Result<()> {
        let archive = verdict.subject.as_ref().map_or("", |subject| subject.manifest.as_str());
        let subject = subject_of(self.strategies, one, &self.binary, archive, self.policy.as_ref())?;
        if verdict.subject.as_ref() != Some(&subject) {
            let what = format!("{} was judged with another config, policy or version than those here", one.name);
            return Err(Error::new(codes::VERDICT_DIFFERS, what)
                .help("sign where it was judged: the same commit, the same program"));
        }
        let document = registry::find(self.strategies, &one.name)?.read_complete(&one.config)?;
        verify::check_complete(verdict, &document, self.policy.as_ref())
    }
}

fn sign(options: &Sign, strategies: &[&dyn AnyStrategy]) -> Result<String> {
    let key = signing_key(options.with.key.as_deref())?;
    let deployed = folder(options.deployed.as_ref())?;
    let binary = map::bytes(&program(options.binary.as_deref())?, Access::Map)?;
    let here = Here {
        strategies,
        deployed: discover(&deployed)?,
        binary: sha256_hex(&binary),
        policy: policy::read(&deployed)?,
        policy_sha256: policy::sha256(&deployed)?,
    };
    let mut envelopes = Envelopes::default();
    let mut text = String::new();
    for (file, stored) in verdicts_of(&options.folder)? {
        let wanted = |one: &&StrategyVerdict| options.strategy.as_ref().is_none_or(|only| *only == one.strategy);
        for verdict in stored.strategies.iter().filter(wanted) {
            let statement = here.statement(verdict).map_err(|e| e.at(file.display()))?;
            envelopes.add(Envelope::sign(&statement, &key)?);
            text += &format!("{}: {}, signed with {}\n", verdict.strategy, verdict.status.name(), key.public().id());
        }
    }
    if envelopes.count() == 0 {
        return Err(Error::new(codes::NO_VERDICT, "there is no verdict of this strategy").at(options.folder.display()));
    }
    envelopes.write(&options.folder.join(FILE))?;
    Ok(text)
}

fn folder(named: Option<&PathBuf>) -> Result<PathBuf> {
    Place { archive: None, deployed: named.cloned(), no_mmap: false }.deployed()
}

fn check(options: &Verify) -> Result<String> {
    let trusted = Trusted::read(&options.trusted)?;
    let envelopes = envelopes_of(&options.folder)?;
    let mut text = String::new();
    for (file, stored) in verdicts_of(&options.folder)? {
        for verdict in &stored.strategies {
            let what = format!("the verdict of {}", verdict.strategy);
            let found = envelopes
                .find(&what, |statement: &VerdictStatement| statement.is_about(verdict), &trusted)
                .map_err(|e| e.at(file.display()))?;
            text += &format!("{}: {}, signed by {}\n", verdict.strategy, verdict.status.name(), found.by);
        }
    }
    Ok(text)
}

fn sign_accepted(options: &SignAcknowledgements) -> Result<String> {
    let key = signing_key(options.with.key.as_deref())?;
    let all = discover(&folder(options.deployed.as_ref())?)?;
    let Some(one) = all.iter().find(|one| one.name == options.strategy) else {
        return Err(Error::new(codes::NOT_DEPLOYED, format!("`{}` is not deployed", options.strategy)));
    };
    let accepted = acknowledge::read(&one.config, today())?;
    let mine = |one: &magellan::gate::Acknowledgement| options.who.as_ref().is_none_or(|who| *who == one.who);
    if !accepted.iter().any(mine) {
        return Err(Error::new(codes::BAD_ARGUMENT, format!("nothing is accepted of {}, or not by them", one.name))
            .help("accept a failure with `magellan gate acknowledge`, and name its --who"));
    }
    let folder = one.config.with_file_name("");
    let count = sign_acknowledgements(&folder, &accepted, mine, &key)?;
    let file = folder.join(acknowledge::SIGNATURES);
    Ok(format!("{}: {}; commit it\n", file.display(), counted(count, "signature")))
}
