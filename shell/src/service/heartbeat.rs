//! `heartbeat.json`: one line that says who runs and how far it is.

use std::path::Path;

use magellan::bar::{Nanos, SECOND};
use magellan::disk::map;
use magellan::disk::write::write_whole;
use serde::{Deserialize, Serialize};
use tracing::warn;

const SCHEMA_VERSION: u32 = 1;
const LARGEST: u64 = 64 << 10;

/// Who runs.
#[derive(Clone, Debug, Serialize)]
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

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    Starting,
    Trading,
    Waiting,
    Stopped,
}

impl Phase {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Trading => "trading",
            Self::Waiting => "waiting",
            Self::Stopped => "stopped",
        }
    }
}

/// What the file says. Instants of bars are their starts.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Heartbeat {
    schema_version: u32,
    #[serde(flatten)]
    pub(super) identity: Identity,
    pid: u32,
    /// Unix seconds.
    started_at: f64,
    /// Unix seconds.
    written_at: f64,
    pub(super) phase: Phase,
    pub(super) last_bar: Option<String>,
    pub(super) last_decision: Option<String>,
    /// Since the start.
    pub(super) decisions: u64,
    /// Since the start.
    pub(super) errors: u64,
    /// Starts with this folder of state, this one included.
    pub(super) starts: u64,
    /// None before the broker was asked.
    pub(super) open_positions: Option<usize>,
}

/// What a former process's heartbeat is asked for.
#[derive(Deserialize)]
struct Former {
    starts: u64,
}

impl Heartbeat {
    /// The first heartbeat of this process, after what a former one may have left at `path`.
    pub(super) fn after(path: &Path, identity: Identity, now: Nanos) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            identity,
            pid: std::process::id(),
            started_at: seconds(now),
            written_at: seconds(now),
            phase: Phase::Starting,
            last_bar: None,
            last_decision: None,
            decisions: 0,
            errors: 0,
            starts: former_starts(path) + 1,
            open_positions: None,
        }
    }

    /// Replaces the file.
    pub(super) fn write(&mut self, path: &Path, now: Nanos) -> std::io::Result<()> {
        self.written_at = seconds(now);
        let line = serde_json::to_string(self)? + "\n";
        write_whole(path, line.as_bytes(), 0o644)
    }
}

fn former_starts(path: &Path) -> u64 {
    if !path.exists() {
        return 0;
    }
    let text = map::bytes_up_to(path, LARGEST).map_err(|e| e.to_string());
    let former: Result<Former, String> = text.and_then(|t| serde_json::from_slice(&t).map_err(|e| e.to_string()));
    former.map(|former| former.starts).unwrap_or_else(|err| {
        warn!("{}: starts are counted from 1 again: {err}", path.display());
        0
    })
}

fn seconds(at: Nanos) -> f64 {
    at as f64 / SECOND as f64
}
