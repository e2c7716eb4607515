//! What every way to the machine does.

use magellan::error::Result;

use crate::deploy::host::{Answer, Call};

/// A way to the machine.
pub trait Transport {
    /// Runs the script; what it printed. Meanwhile `waiting` is called every few seconds.
    ///
    /// # Errors
    /// Deploy error if nothing came back: whether the script ran is then unknown.
    fn output(&self, call: &Call, waiting: &dyn Fn()) -> Result<String>;

    /// For people: the way and the machine.
    fn name(&self) -> String;
}

impl dyn Transport + '_ {
    /// Runs the script and reads its answer, which may be that it failed.
    ///
    /// # Errors
    /// As [`Answer::ask`].
    pub fn call(&self, call: &Call) -> Result<Answer> {
        Answer::ask(self, call, &|| {})
    }
}
