//! Checks GitHub workflows (`.github/workflows/*.yml`) for ways in which a failure can look like a success.
//!
//! In every workflow these are errors: a lost exit code, untrusted text that becomes code, and a secret that more than
//! one step can read. A workflow that runs `magellan` must also have all stages of the pipeline. Each stage waits for
//! the one before, and one job fails unless all of them succeeded, because to GitHub a skipped job is no failure. A
//! deploy runs only behind the gate and only when one table of branches and environments says so, never beside another
//! one, and is never cancelled halfway; one that dies is brought to its end.

pub mod codes;

mod acceptances;

mod findings;

mod yaml;

mod expressions;

mod shell;

mod paths;

mod masks;

mod jobs;

mod steps;

mod triggers;

mod untrusted;

mod foreign;

mod forks;

mod table;

mod deploys;

mod stages;

mod workflow;

#[cfg(any(test, fuzzing))]
pub mod fuzz;

pub use workflow::{Workflow, examine_all};
