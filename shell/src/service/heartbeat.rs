//! Writes `heartbeat.json`, and counts starts with what a former process left in it.

use std::path::Path;

use magellan::bar::{Nanos, SECOND};
use magellan::disk::map;
use magellan::disk::write::write_whole;
use serde_json::Value;
use tracing::warn;

use crate::release::heartbeat::{Heartbeat, Identity, Phase, SCHEMA_VERSION};

const LARGEST: u64 = 64 << 10;

/// The first heartbeat of this process, after what a former one may have left at `path`.
pub(super) fn first(path: &Path, identity: Identity, now: Nanos) -> Heartbeat {
    Heartbeat {
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
        parity: None,
    }
}

/// Replaces the file.
pub(super) fn write(heartbeat: &mut Heartbeat, path: &Path, now: Nanos) -> std::io::Result<()> {
    heartbeat.written_at = seconds(now);
    let line = serde_json::to_string(heartbeat)? + "\n";
    write_whole(path, line.as_bytes(), 0o644)
}

fn former_starts(path: &Path) -> u64 {
    if !path.exists() {
        return 0;
    }
    let text = map::bytes_up_to(path, LARGEST).map_err(|e| e.to_string());
    // Another version's heartbeat may have other fields; the count of starts is in all of them.
    let former: Result<Value, String> = text.and_then(|t| serde_json::from_slice(&t).map_err(|e| e.to_string()));
    let starts = former.and_then(|former| former["starts"].as_u64().ok_or_else(|| "it has no starts".to_owned()));
    starts.unwrap_or_else(|err| {
        warn!("{}: starts are counted from 1 again: {err}", path.display());
        0
    })
}

fn seconds(at: Nanos) -> f64 {
    at as f64 / SECOND as f64
}
