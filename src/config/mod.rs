//! `deployed/<strategy>/config.json`, typed. Every key is read here or rejected.
//!
//! What a value may be stands beside its field, and becomes the JSON Schema ([`schema`]) that both editors and
//! [`Document`](document::Document)s are checked by; what two values may not be together is in `contradictions.rs`.
//! What a replay can't honour is refused where it contradicts the replay (another time zone, a limit order) and listed
//! as not evaluable where it needs quotes ([`Config::not_evaluable`]).
//!
//! A text becomes a [`Document`](document::Document), its strategy makes that a [`Checked`] one, and only a checked
//! document holds a [`Config`].

mod formats;
mod overrides;

pub mod document;
pub mod schema;

mod criteria;
mod parameters;
mod sections;

mod contradictions;
mod examine;

mod checked;

pub use checked::Checked;
pub use criteria::{
    GateCriterion, GateFigures, Levels, NonInferiority, PerformanceCriteria, Period, ROBUSTNESS, STATISTICS,
    gate_criteria,
};
pub use examine::{common_schema, examine, examine_parameters};
pub use overrides::Override;
pub(crate) use overrides::PARAMETER_BLOCKS;
pub use parameters::{Overnight, Parameters};
pub use sections::{
    AccountInfo, Config, DataRequirements, EmergencyStop, Execution, LONGEST_WARMUP, Monitoring, RiskManagement,
    SsmParameters, StrategyInfo, TradingHours,
};
