//! What is wrong with a rule, and where.

use super::tree::Place;
use crate::error::Code;

/// What is wrong with a rule, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Its stable code.
    pub code: Code,
    /// Where in the rule's text.
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: String,
}

impl Fault {
    /// A fault.
    pub fn new(code: Code, place: Place, what: impl Into<String>) -> Self {
        Self { code, place, what: what.into(), help: code.next().to_owned() }
    }

    /// Says what to do, where that is more than the code's own next step.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}
