//! A config that was examined, once.

use std::ops::Deref;

use super::document::Document;
use super::examine::examine;
use super::sections::Config;
use crate::error::Result;
use crate::finding::Finding;

/// A document in which neither the common schema nor its strategy finds anything wrong, and the config that it holds.
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
    pub(crate) fn new(document: Document, of_strategy: impl FnOnce(&Document) -> Vec<Finding>) -> Result<Self> {
        let found = examine(&document).into_iter().next();
        if let Some(first) = found.or_else(|| of_strategy(&document).into_iter().next()) {
            return Err(first.into());
        }
        Ok(Self { config: Config::of(&document)?, document })
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
