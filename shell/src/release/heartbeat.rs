//! `heartbeat.json`: one line that says which process runs a unit, and how far it is. The service writes it, and a
//! deploy's health check and the service's next start read it.

use serde::{Deserialize, Serialize};

/// Name of the heartbeat's file in the folder of state.
pub const HEARTBEAT: &str = "heartbeat.json";
/// The form of the file that is written.
pub const SCHEMA_VERSION: u32 = 1;

/// Which process it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Name of the strategy.
    pub strategy: String,
    /// Where it runs, if that is known.
    pub environment: Option<String>,
    /// Digest of the release it runs from; none outside of one.
    pub release: Option<String>,
    /// What the process is made of.
    pub unit_digest: String,
}

/// How far the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has started and has seen no bar.
    Starting,
    /// It reads its journal and history.
    Loading,
    /// It compares its journal with the broker.
    Reconciling,
    /// It looks at the bars since the open.
    CatchingUp,
    /// Bars come.
    Trading,
    /// Something is away: it opens no positions.
    Degraded,
    /// Something can't be: it sends nothing until a person has looked.
    Halted,
    /// It was told to sell everything, and does.
    Flattening,
    /// It was told to open no positions.
    Killed,
    /// No bar is due.
    Waiting,
    /// It has ended.
    Stopped,
}

impl Phase {
    /// As it stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Loading => "loading",
            Self::Reconciling => "reconciling",
            Self::CatchingUp => "catching_up",
            Self::Degraded => "degraded",
            Self::Halted => "halted",
            Self::Flattening => "flattening",
            Self::Killed => "killed",
            Self::Trading => "trading",
            Self::Waiting => "waiting",
            Self::Stopped => "stopped",
        }
    }
}

/// What the file says. Bars are named by their start, UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The form of the file: [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Which process it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// The process.
    pub pid: u32,
    /// Unix seconds.
    pub started_at: f64,
    /// Unix seconds.
    pub written_at: f64,
    /// How far it is.
    pub phase: Phase,
    /// The latest bar.
    pub last_bar: Option<String>,
    /// The bar of the latest decision.
    pub last_decision: Option<String>,
    /// Since the start.
    pub decisions: u64,
    /// Since the start.
    pub errors: u64,
    /// Starts with this folder of state, this one included.
    pub starts: u64,
    /// None before the broker was asked.
    pub open_positions: Option<usize>,
    /// How the last day that was replayed came out, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parity: Option<ParityResult>,
}

/// How a day beside its replay came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParityResult {
    /// The session.
    pub date: String,
    /// `pass`, `warn` or `fail`.
    pub status: String,
}
