//! `deployed/<strategy>/config.json`, typed. Every key is read here or rejected.
//!
//! What a value may be stands beside its field, and becomes the JSON Schema ([`schema`]) that both editors and
//! [`Document`](document::Document)s are checked by; what two values may not be together is in `contradictions.rs`.
//! What a replay can't honour is refused where it contradicts the replay (another time zone, a limit order) and listed
//! as not evaluable where it needs quotes ([`Config::not_evaluable`]).
//!
//! A text becomes a [`Document`](document::Document), its strategy makes that a [`Checked`] one, and only a checked
//! document holds a [`Config`]. Strategy, symbols and parameters are enough for that; what figures depend on besides is
//! assumed, and reports say so. The gate and a service take only a [`Complete`] one, which lacks and assumes nothing.

mod formats;
mod overrides;
mod slips;

pub mod document;
pub mod schema;

mod criteria;
mod parameters;
mod sections;

mod deployment;

mod contradictions;
mod examine;

mod assumptions;

mod checked;

pub use assumptions::{CAPITAL, FRICTION_BPS};
pub use checked::{Checked, Complete};
pub use criteria::{
    GateCriterion, GateFigures, Levels, NonInferiority, PerformanceCriteria, Period, ROBUSTNESS, STATISTICS,
    gate_criteria,
};
pub use deployment::{Deployment, Monitoring, SsmParameters, TradingHours, check_calendar};
pub use examine::{common_schema, examine, examine_for_research, examine_parameters, research_schema};
pub use overrides::Override;
pub(crate) use overrides::PARAMETER_BLOCKS;
pub use parameters::{Overnight, Parameters};
pub use sections::{
    AccountInfo, Config, DataRequirements, EmergencyStop, Execution, LONGEST_WARMUP, RiskManagement, StrategyInfo,
};
