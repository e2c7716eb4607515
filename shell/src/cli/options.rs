//! What several commands ask for: where archive, configs, ledger and baselines are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use magellan::archive::{Archive, SYNTHETIC};
use magellan::bar::{Symbol, Timeframe};
use magellan::config::document::Document;
use magellan::config::{Checked, Override};
use magellan::declared::read_rules;
use magellan::disk::map::Access;
use magellan::error::{Error, Result};
use magellan::history::Hours;
use magellan::registry::{self, AnyStrategy};
use serde_json::Value;

use crate::codes;

/// Where trials are counted.
#[derive(Args, Clone, Debug)]
pub(super) struct Counting {
    /// Ledger of trials [default: data/ledger beside `deployed`; of synthetic bars, data/synthetic-ledger].
    #[arg(long, value_name = "DIR", env = "MAGELLAN_LEDGER")]
    pub(super) ledger: Option<PathBuf>,
}

/// Config and bars, and where the trial is counted.
#[derive(Args, Debug)]
pub(super) struct Subject {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) counting: Counting,
    /// Config instead of deployed/<strategy>/config.json.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// A strategy that is written as rules: a file with rules, strategy_parameters and data_requirements.timeframe.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "strategy"])]
    pub(super) rules: Option<PathBuf>,
    /// Symbols instead of the configured ones, e.g. AMC,GME.
    #[arg(long, value_delimiter = ',')]
    pub(super) symbols: Option<Vec<Symbol>>,
    /// Bars of the regular session only, or all [default: as configured].
    #[arg(long, value_enum)]
    pub(super) session: Option<SessionArg>,
    /// Replay on bars of another width than the strategy's, e.g. 5Min; built from finer ones if there are none.
    #[arg(long, value_name = "WIDTH")]
    pub(super) timeframe: Option<Timeframe>,
    /// Another value for a parameter, a symbol's parameter or a config path; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<Override>,
}

/// Where archive and configs are.
#[derive(Args, Clone, Debug)]
pub(super) struct Place {
    /// Archive with the bars [default: data/sample beside `deployed`].
    #[arg(long, value_name = "DIR", env = "MAGELLAN_ARCHIVE")]
    pub(super) archive: Option<PathBuf>,
    /// The folder `deployed` [default: the nearest one above the working directory].
    #[arg(long, value_name = "DIR")]
    pub(super) deployed: Option<PathBuf>,
    /// Read archive files instead of mapping them.
    #[arg(long)]
    pub(super) no_mmap: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// Annotations of a GitHub workflow.
    Github,
}

/// Where what is deployed is recorded.
#[derive(Args, Clone, Debug)]
pub(super) struct Baselines {
    /// Records of what is deployed [default: data/baseline beside `deployed`].
    #[arg(long, value_name = "DIR", env = "MAGELLAN_BASELINES")]
    pub(super) baselines: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum SessionArg {
    Regular,
    All,
}

impl From<SessionArg> for Hours {
    fn from(session: SessionArg) -> Self {
        match session {
            SessionArg::Regular => Self::Regular,
            SessionArg::All => Self::All,
        }
    }
}

impl Subject {
    /// The strategy of this name, or the one whose rules are in a file.
    pub(super) fn strategy<'s>(
        &self,
        name: Option<&str>,
        strategies: &[&'s dyn AnyStrategy],
    ) -> Result<&'s dyn AnyStrategy> {
        match (&self.rules, name) {
            (Some(file), _) => registry::find(
                strategies,
                read_rules(file, &[], &self.set)?.text_at("strategy.name").unwrap_or_default(),
            ),
            (None, Some(name)) => registry::find(strategies, name),
            (None, None) => {
                Err(Error::new(codes::COMMAND_LINE, "--strategy is missing").help("name one, or --rules FILE"))
            }
        }
    }

    /// The strategy's config with its overrides: as named, or the deployed one.
    pub(super) fn document(&self, strategy: &dyn AnyStrategy) -> Result<Checked> {
        if let Some(file) = &self.rules {
            return strategy.check(read_rules(file, self.symbols.as_deref().unwrap_or_default(), &self.set)?);
        }
        let path = match &self.config {
            Some(path) => path.clone(),
            None => self.place.deployed()?.join(strategy.name()).join("config.json"),
        };
        strategy.read_document(&path, &self.set)
    }

    /// What figures depend on and neither config nor options say.
    pub(super) fn assumed(&self, document: &Document) -> BTreeMap<String, Value> {
        let hours = ["data_requirements.premarket", "data_requirements.after_hours"];
        let mut assumed = document.assumed().clone();
        assumed.retain(|path, _| self.session.is_none() || !hours.contains(&path.as_str()));
        assumed
    }

    pub(super) fn hours(&self) -> Option<Hours> {
        self.session.map(Into::into)
    }

    pub(super) fn ledger(&self, archive: &Archive) -> Result<PathBuf> {
        self.counting.folder(&self.place, is_synthetic(archive))
    }
}

/// Whether an archive holds made-up bars alone: trials on them prove nothing, and aren't kept among those on real ones.
pub(super) fn is_synthetic(archive: &Archive) -> bool {
    let records = &archive.manifest().records;
    !records.is_empty() && records.iter().all(|r| r.provenance == SYNTHETIC)
}

impl Counting {
    /// The ledger: as named, or the one beside `deployed`, of which there are two: trials on real bars and on synthetic
    /// ones.
    pub(super) fn folder(&self, place: &Place, synthetic: bool) -> Result<PathBuf> {
        if let Some(folder) = &self.ledger {
            return Ok(folder.clone());
        }
        let deployed = place.deployed().map_err(|e| e.help("run from the project's folder, or name --ledger DIR"))?;
        let name = if synthetic { "data/synthetic-ledger" } else { "data/ledger" };
        Ok(deployed.parent().unwrap_or(Path::new(".")).join(name))
    }
}

impl Baselines {
    /// The baselines: as named, or those beside `deployed`.
    pub(super) fn folder(&self, place: &Place) -> Result<PathBuf> {
        match &self.baselines {
            Some(folder) => Ok(folder.clone()),
            None => Ok(place.deployed()?.parent().unwrap_or(Path::new(".")).join("data/baseline")),
        }
    }
}

/// The nearest folder `deployed` above the working directory.
pub(super) fn nearest_deployed() -> Option<PathBuf> {
    // Relative if it is right here, so that reports name files as the project does.
    let right_here = Some(PathBuf::from("deployed")).filter(|dir| dir.is_dir());
    let above = || std::env::current_dir().ok()?.ancestors().map(|dir| dir.join("deployed")).find(|dir| dir.is_dir());
    right_here.or_else(above)
}

impl Place {
    /// The folder `deployed`: as named, or the nearest one above the working directory.
    pub(super) fn deployed(&self) -> Result<PathBuf> {
        if let Some(folder) = &self.deployed {
            return Ok(folder.clone());
        }
        let here = std::env::current_dir().map_err(|e| Error::new(codes::NO_DEPLOYED_FOLDER, e.to_string()))?;
        nearest_deployed().ok_or_else(|| {
            Error::new(codes::NO_DEPLOYED_FOLDER, "no folder `deployed` here or above").at(here.display())
        })
    }

    /// The archive: as named, or the sample beside `deployed`.
    pub(super) fn archive(&self) -> Result<Archive> {
        let folder = match &self.archive {
            Some(folder) => folder.clone(),
            None => self.deployed()?.parent().unwrap_or(Path::new(".")).join("data/sample"),
        };
        let access = if self.no_mmap { Access::Read } else { Access::Map };
        Archive::open(&folder, access)
    }
}
