//! Words of a script, with what the shell puts in place of their parts.

use std::ops::Range;

use super::{Arithmetic, Script};

#[derive(Debug, Default)]
pub(in super::super) struct Word {
    pub(in super::super) parts: Vec<Part>,
    /// Without its quotes; what is put in place of a part stands as it is written.
    pub(in super::super) text: String,
    /// Whether a part of it is in quotes.
    pub(in super::super) quoted: bool,
    pub(in super::super) at: Range<usize>,
}

#[derive(Debug)]
pub(in super::super) enum Part {
    Text(String),
    /// `$NAME`, `${NAME[index]}`, `${NAME:-default}`.
    Variable {
        name: String,
        index: Option<String>,
        quoted: bool,
    },
    /// `$(…)` and backquotes.
    Substitution(Script),
    /// `<(…)` and `>(…)`.
    Process(Script),
    /// `$((…))`
    Arithmetic(Arithmetic),
    /// A value that isn't followed, with the scripts in it.
    Other(Vec<Script>),
}

impl Part {
    fn scripts(&self) -> Vec<&Script> {
        match self {
            Self::Substitution(script) | Self::Process(script) => vec![script],
            Self::Arithmetic(arithmetic) => arithmetic.scripts(),
            Self::Other(scripts) => scripts.iter().collect(),
            Self::Text(_) | Self::Variable { .. } => Vec::new(),
        }
    }

    /// The script in it, if it has one.
    pub(super) fn into_script(self) -> Option<Script> {
        match self {
            Self::Substitution(script) | Self::Process(script) => Some(script),
            _ => None,
        }
    }
}

impl Word {
    pub(super) fn push(&mut self, part: Part, written: &str) {
        self.parts.push(part);
        self.text += written;
    }

    /// Whether nothing is written there, not even quotes.
    pub(super) fn is_nothing(&self) -> bool {
        self.text.is_empty() && !self.quoted
    }

    /// Whether a script runs to make it.
    pub(in super::super) fn runs(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Substitution(_)))
    }

    /// Scripts whose output becomes part of it, and those that it is connected to.
    pub(super) fn scripts(&self) -> Vec<&Script> {
        self.parts.iter().flat_map(Part::scripts).collect()
    }
}
