//! How a call of the host script reaches the machine.

mod local;
mod ssm;

use super::host::{Answer, Call};
use crate::error::Result;

pub use local::Local;
pub use ssm::Ssm;

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
