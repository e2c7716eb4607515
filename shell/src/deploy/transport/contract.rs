//! What every way to the machine does.

use magellan::error::Result;

use crate::deploy::host::{Answer, Call};

/// A way to the machine.
pub trait Transport {
    /// Runs the script and reads its answer, which may be that it failed.
    ///
    /// # Errors
    /// Deploy error if there is no answer: whether the script ran is then unknown.
    fn call(&self, call: &Call) -> Result<Answer>;

    /// For people: the way and the machine.
    fn name(&self) -> String;
}
