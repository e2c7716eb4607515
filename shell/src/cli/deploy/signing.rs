//! What a host that trusts keys must be shown: who signed the release, its verdicts, and what was overridden

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use magellan::error::{Error, Result};

use super::candidate::Candidate;
use crate::cli::keys::{VARIABLE as KEY_VARIABLE, signing_key};
use crate::deploy::facts::Facts;
use crate::deploy::judged::Verdicts;
use crate::deploy::record::{Judged, Override};
use crate::release::{BINARY, Environment, Kind, unit_path};
use crate::signing::{
    Envelope, Envelopes, OverrideStatement, ReleaseStatement, SigningKey, Trusted, VerdictStatement,
    acknowledgements_signed, envelopes_of,
};
use crate::{codes, policy};

/// The key of whoever deploys.
#[derive(Args, Debug)]
pub(crate) struct Signing {
    /// The private key that signs the release [default: the text in the variable MAGELLAN_SIGNING_KEY].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Signing {
    /// The key, if there is one. A workflow sets variables of secrets that aren't there to nothing.
    pub(super) fn key(&self) -> Result<Option<SigningKey>> {
        if self.key.is_none() && std::env::var_os(KEY_VARIABLE).is_none_or(|text| text.is_empty()) {
            return Ok(None);
        }
        signing_key(self.key.as_deref()).map(Some)
    }
}

/// What is to be signed, for whom, and by whom.
pub(super) struct Demand<'a> {
    pub(super) environment: &'a Environment,
    pub(super) seen: &'a Facts,
    pub(super) candidate: &'a Candidate,
    pub(super) key: Option<&'a SigningKey>,
    /// The folder `deployed`.
    pub(super) deployed: &'a Path,
    /// The folder of verdicts.
    pub(super) verdicts: &'a Path,
    pub(super) read: &'a Verdicts,
    /// What the deploy relies on, by strategy.
    pub(super) judged: &'a BTreeMap<String, Judged>,
}

/// Envelopes for the host, and all that speaks against them.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) envelopes: Vec<String>,
    pub(super) against: Vec<Error>,
}

impl Demand<'_> {
    /// Whether signatures are asked for: in production, and wherever the host trusts keys.
    fn is_made(&self) -> bool {
        self.environment.kind == Kind::Production || !self.seen.trusted.is_empty()
    }

    /// The release, signed here; its verdicts and what they accept, signed before.
    pub(super) fn shown(&self) -> Result<Shown> {
        if !self.is_made() {
            return Ok(Shown::default());
        }
        let trusted = Trusted::parse(&self.seen.trusted.iter().map(|line| format!("{line}\n")).collect::<String>())?;
        if trusted.keys().is_empty() {
            let what = format!("the host trusts no key, and {} is production", self.environment.name);
            return Ok(Shown { envelopes: Vec::new(), against: vec![Error::new(codes::NO_TRUST, what)] });
        }
        let policy = policy::sha256(self.deployed)?;
        let mut shown = Shown::default();
        shown.against.extend(self.policy_differs(&policy));
        shown.add(self.release(&policy, &trusted));
        let signed = envelopes_of(self.verdicts)?;
        for one in &self.candidate.deployed {
            shown.add(self.verdict(&one.name, &policy, &signed, &trusted));
            if let Err(err) = self.accepted(&one.name, &trusted) {
                shown.against.push(err);
            }
        }
        Ok(shown)
    }

    fn policy_differs(&self, policy: &str) -> Option<Error> {
        let pinned = &self.seen.policy;
        let what = match pinned.is_empty() {
            true if self.environment.kind == Kind::Production => "the host pins no least policy".to_owned(),
            false if pinned != policy => "the host pins another least policy than deployed/policy.toml".to_owned(),
            _ => return None,
        };
        Some(Error::new(codes::POLICY_NOT_PINNED, what))
    }

    fn release(&self, policy: &str, trusted: &Trusted) -> Result<Envelope> {
        let key = self.key.ok_or_else(|| {
            Error::new(codes::UNSIGNED, "nobody has signed the release")
                .help("name your key with --key FILE, or put its text into MAGELLAN_SIGNING_KEY")
        })?;
        let manifest = &self.candidate.manifest;
        let statement = ReleaseStatement {
            commit: manifest.commit.clone(),
            contents: manifest.contents(),
            policy: policy.to_owned(),
            release: self.candidate.digest.clone(),
        };
        let envelope = Envelope::sign(&statement, key)?;
        envelope.verify::<ReleaseStatement>(trusted).map(|_| envelope)
    }

    fn verdict(&self, strategy: &str, policy: &str, signed: &Envelopes, trusted: &Trusted) -> Result<Envelope> {
        let manifest = &self.candidate.manifest;
        let config = manifest.strategies.get(strategy).map_or("", |shipped| shipped.config_sha256.as_str());
        let is = |s: &VerdictStatement| {
            let parts = [s.strategy.as_str(), &s.binary, &s.config, &s.unit, &s.policy];
            parts == [strategy, manifest.sha256(BINARY), config, manifest.sha256(&unit_path(strategy)), policy]
                // The very verdict that the deploy relies on, not another of the same files.
                && self.judged.get(strategy).and_then(|judged| judged.verdict.as_ref()) == Some(&s.verdict)
        };
        signed.find(&format!("the verdict of {strategy}"), is, trusted).map(|found| found.envelope)
    }

    /// What a verdict rests on that somebody accepted is signed, too.
    fn accepted(&self, strategy: &str, trusted: &Trusted) -> Result<()> {
        let accepted = self.read.accepted(strategy);
        acknowledgements_signed(&self.deployed.join(strategy), &accepted, trusted).map(drop)
    }

    /// The envelope of what is overridden.
    pub(super) fn overriding(&self, overridden: Option<&Override>) -> Result<Option<String>> {
        let Some(overridden) = overridden.filter(|_| self.is_made()) else { return Ok(None) };
        let no_key = "what is overridden must be signed, and there is no key";
        let key = self.key.ok_or_else(|| Error::new(codes::NO_KEY, no_key))?;
        let reasons: Vec<&str> = overridden.reasons.iter().map(|reason| reason.why.as_str()).collect();
        let statement = OverrideStatement {
            codes: overridden.reasons.iter().map(|reason| reason.code.clone()).collect(),
            reason: reasons.join("; "),
            release: self.candidate.digest.clone(),
            who: overridden.who.clone(),
        };
        Ok(Some(Envelope::sign(&statement, key)?.to_string()))
    }
}

impl Shown {
    fn add(&mut self, envelope: Result<Envelope>) {
        match envelope {
            Ok(envelope) => self.envelopes.push(envelope.to_string()),
            Err(err) => self.against.push(err),
        }
    }
}
