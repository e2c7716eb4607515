//! A config that was examined, once: enough for research, or for the gate and a deploy, too.

use std::ops::Deref;

use serde_json::json;

use super::assumptions::assume;
use super::deployment::Deployment;
use super::document::Document;
use super::examine::{examine, examine_for_research};
use super::sections::Config;
use crate::error::{Error, Result, codes};
use crate::finding::Finding;

/// A document in which neither the common schema nor its strategy finds anything wrong, and the config that it holds.
/// It may lack what only a deploy needs; what figures depend on is assumed where it isn't given
/// ([`Document::assumed`]).
///
/// The only way from a text to a [`Config`]. A strategy makes it: `strategy.check(document)`.
#[derive(Clone, Debug)]
pub struct Checked {
    document: Document,
    config: Config,
}

impl Checked {
    /// Examines a document; `of_strategy` finds what is wrong with it for its strategy.
    ///
    /// # Errors
    /// Config error that names file, line, column and path: the first of the findings.
    pub(crate) fn new(mut document: Document, of_strategy: impl FnOnce(&Document) -> Vec<Finding>) -> Result<Self> {
        let found = examine_for_research(&document).into_iter().next();
        if let Some(first) = found.or_else(|| of_strategy(&document).into_iter().next()) {
            return Err(first.into());
        }
        assume(&mut document);
        Ok(Self { config: Config::of(&document)?, document })
    }

    /// The same with so many bars of warm-up, if it doesn't say how many.
    pub(crate) fn assuming_warmup(mut self, bars: usize) -> Self {
        self.document.assume("data_requirements", "warmup_bars", json!(bars));
        if self.document.assumed().contains_key("data_requirements.warmup_bars") {
            self.config.data_requirements.warmup_bars = bars;
        }
        self
    }

    /// The config.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The config alone.
    pub fn into_config(self) -> Config {
        self.config
    }
}

impl Deref for Checked {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.document
    }
}

/// A config that lacks nothing: what the gate judges and a service runs. Nothing is assumed in it.
///
/// A strategy makes it: `strategy.complete(document)`.
#[derive(Clone, Debug)]
pub struct Complete {
    checked: Checked,
    deployment: Deployment,
}

impl Complete {
    /// As [`Checked::new`], of a document that lacks nothing.
    ///
    /// # Errors
    /// As there; of keys that are missing, all.
    pub(crate) fn new(document: Document, of_strategy: impl FnOnce(&Document) -> Vec<Finding>) -> Result<Self> {
        let mut found = examine(&document);
        found.extend(of_strategy(&document));
        let is_missing = |f: &&Finding| matches!(f.code, codes::MISSING_KEY | codes::NO_CRITERIA);
        let first = found.iter().find(|f| !is_missing(f)).or(found.first()).cloned();
        match (first, &found[..]) {
            (Some(first), [_, _, ..]) if is_missing(&&first) => Err(incomplete(&document, &found)),
            (Some(first), _) => Err(first.into()),
            (None, _) => {
                let checked = Checked::new(document, |_| Vec::new())?;
                Ok(Self { deployment: Deployment::of(&checked)?, checked })
            }
        }
    }

    /// What only the gate and a deploy need.
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }
}

impl Deref for Complete {
    type Target = Checked;

    fn deref(&self) -> &Checked {
        &self.checked
    }
}

/// All keys that a config lacks, each with what it is for.
fn incomplete(document: &Document, missing: &[Finding]) -> Error {
    let code = missing.iter().map(|f| f.code).find(|code| *code == codes::NO_CRITERIA).unwrap_or(codes::MISSING_KEY);
    let keys: Vec<&str> = missing.iter().map(|f| f.subject.as_str()).collect();
    let what = format!("the gate and a deploy need {} keys that are missing: {}", keys.len(), keys.join(", "));
    let purposes: Vec<String> =
        missing.iter().map(|f| format!("{} ({})", f.subject, f.help.trim_start_matches("add it: "))).collect();
    let help = format!("add {}; `magellan validate` shows where", purposes.join("; "));
    Error::new(code, what).at(document.path.display()).help(help)
}
