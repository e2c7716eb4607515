//! What is deployed, as it was judged: subject, config, and the returns of each period.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::policy::Policy;
use super::subject::Subject;
use crate::bar::{Date, Symbol};
use crate::config::Period;
use crate::config::document::Document;
use crate::costs::Costs;
use crate::disk::hash::sha256_hex;
use crate::disk::map;
use crate::disk::write::write_whole;
use crate::error::{Error, Result, codes};
use crate::metrics::session_returns;
use crate::replay::Replay;
use crate::research::backtest::Run;

/// Largest baseline read.
const LARGEST: u64 = 64 << 20;
const SCHEMA_VERSION: u32 = 1;

/// What is deployed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    schema_version: u32,
    /// SHA-256 over all fields but this one and the verdict's digest, which covers it.
    pub sha256: String,
    /// The strategy.
    pub strategy: String,
    /// What was judged.
    pub subject: Subject,
    /// The digest of its verdict.
    pub verdict: String,
    /// The ledger's heads that it was judged with: no trial that was known then may be forgotten.
    pub heads: Vec<String>,
    /// The text of its config.
    pub config: String,
    /// The policy that it was judged by; none, if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// What it did in each period.
    pub periods: Vec<DeployedPeriod>,
}

/// What the deployed strategy did in one period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployedPeriod {
    /// The period.
    pub period: Period,
    /// What its fills cost.
    pub costs: Costs,
    /// Hash of each symbol's bars.
    pub data: BTreeMap<Symbol, String>,
    /// Session returns.
    pub returns: Vec<(Date, f64)>,
}

impl Baseline {
    /// The baseline of a strategy below `root`; none, if nothing is deployed yet.
    ///
    /// # Errors
    /// Refused if it isn't what it should be.
    pub fn read(root: &Path, strategy: &str) -> Result<Option<Self>> {
        let path = Self::path(root, strategy);
        if !path.exists() {
            return Ok(None);
        }
        Self::read_file(&path, strategy).map(Some)
    }

    /// As [`Baseline::read`], of one file.
    ///
    /// # Errors
    /// Refused if it isn't what it should be.
    pub fn read_file(path: &Path, strategy: &str) -> Result<Self> {
        let bytes = map::bytes_up_to(path, LARGEST).map_err(|e| e.recode(codes::BAD_BASELINE))?;
        Self::parse(path, &bytes, strategy)
    }

    /// As [`Baseline::read_file`], of bytes at hand.
    pub(crate) fn parse(path: &Path, bytes: &[u8], strategy: &str) -> Result<Self> {
        let bad = |what: String| Error::new(codes::BAD_BASELINE, what).at(path.display());
        let baseline: Self = serde_json::from_slice(bytes).map_err(|e| bad(format!("no baseline: {e}")))?;
        if baseline.schema_version != SCHEMA_VERSION {
            return Err(bad(format!("form {} of a baseline, known is {SCHEMA_VERSION}", baseline.schema_version)));
        }
        if baseline.strategy != strategy {
            return Err(bad(format!("a baseline of {}, not of {strategy}", baseline.strategy)));
        }
        let config = sha256_hex(baseline.config.as_bytes());
        if baseline.subject.hash() != baseline.subject.sha256 || baseline.subject.config != config {
            return Err(bad("its subject or its config was altered".to_owned()));
        }
        if baseline.hash() != baseline.sha256 {
            return Err(bad("it was altered: its hash isn't that of its contents".to_owned()));
        }
        Ok(baseline)
    }

    /// Where the baseline of a strategy is.
    pub fn path(root: &Path, strategy: &str) -> PathBuf {
        root.join(format!("{strategy}.json"))
    }

    /// What the candidate would be as a baseline.
    pub(super) fn new(
        strategy: &str,
        subject: Subject,
        heads: Vec<String>,
        document: &Document,
        policy: Option<Policy>,
        runs: &[(Period, &Run)],
    ) -> Self {
        let deployed = |(period, run): &(Period, &Run)| DeployedPeriod {
            period: period.clone(),
            costs: run.costs,
            data: run.data.clone(),
            returns: dated(&run.replay),
        };
        let baseline = Self {
            schema_version: SCHEMA_VERSION,
            sha256: String::new(),
            strategy: strategy.to_owned(),
            subject,
            verdict: String::new(),
            heads,
            config: document.text.clone(),
            policy,
            periods: runs.iter().map(deployed).collect(),
        };
        baseline.sealed()
    }

    /// The same with the hash of its contents.
    pub(crate) fn sealed(self) -> Self {
        Self { sha256: self.hash(), ..self }
    }

    fn hash(&self) -> String {
        let rest = Self { sha256: String::new(), verdict: String::new(), ..self.clone() };
        sha256_hex(serde_json::to_string(&rest).unwrap_or_default().as_bytes())
    }

    /// Writes it.
    ///
    /// # Errors
    /// Usage error if that isn't possible.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(self).unwrap_or_default() + "\n";
        write_whole(path, text.as_bytes(), 0o644)
            .map_err(|e| Error::new(codes::CANNOT_WRITE, format!("can't write: {e}")).at(path.display()))
    }
}

/// Session returns with their dates.
pub(super) fn dated(replay: &Replay) -> Vec<(Date, f64)> {
    replay.equity.iter().map(|e| e.0).zip(session_returns(replay)).collect()
}
