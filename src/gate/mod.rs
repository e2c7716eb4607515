//! The gate: criteria over periods, one verdict a strategy. Red unless everything is there.
//!
//! A metric without a value, no trades, a missing symbol, bars that an audit doubts, no
//! criteria or no strategy at all is never a pass. Luck is counted from the ledger, the candidate
//! is paired with what is deployed, decisions are asked for again without the future, and the
//! digest of the answer fits one subject only.
//!
//! | the question | its file |
//! |---|---|
//! | do the figures meet their levels? | `criteria.rs` |
//! | could so many trials show this by luck? | `luck.rs`, `evidence.rs` |
//! | does it add anything to being in the market? | `skill.rs`, `timing.rs` |
//! | is it worse than what is deployed? | `comparison.rs` |
//! | does it hold under other circumstances? | `variations.rs`, `regimes.rs`, `robustness.rs` |
//! | do decisions depend on the past alone? | `causality.rs` |
//! | is it held to the least policy, and to no less than what is deployed? | `policy.rs` |
//!
//! `candidate.rs` asks them of one period and `judge.rs` of a strategy; `verdict.rs` is the answer, [`verify`] reads it
//! back.

// What everything below answers with.
pub mod changes;
mod check;
mod digest;
pub mod policy;
pub mod subject;

// The questions.
mod causality;
mod columns;
mod criteria;
mod evidence;
mod luck;
mod regimes;
mod robustness;
mod skill;
mod timing;
mod variations;
pub mod walked;

// What is deployed, and the candidate beside it.
pub mod baseline;
pub mod comparison;

// The answer.
pub mod acknowledge;
mod verdict;
pub mod verify;

// The judging.
mod candidate;
mod heat_map;
mod judge;

pub mod selftest;

#[cfg(test)]
pub(crate) mod sample;

pub use candidate::PeriodCharts;
pub use check::{Acknowledgement, Check, Group, Status, TRIAL_NOT_COMMITTED};
pub use evidence::Power;
pub use heat_map::HeatMap;
pub use judge::{Committed, Gate, Judgement, NEVER_ACCEPTED, check_names};
pub use luck::Luck;
pub use policy::Policy;
pub use robustness::Robustness;
pub use skill::{Beside, Skill, Superior};
pub use timing::Timing;
pub use verdict::{DataFinding, Expectation, PeriodVerdict, Refusal, StrategyVerdict, Verdict};
