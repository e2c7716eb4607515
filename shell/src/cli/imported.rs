//! What an import did, as it is printed.

use std::fmt::Write as _;

use magellan::archive::import::Imported;
use magellan::bar::{Symbol, Timeframe};
use serde_json::{Value, json};

use crate::report::recognised;

/// How the provenance of fetched bars begins; nobody can type it.
pub(super) const FETCHED: &str = "alpaca-";

fn total(counts: &[(Symbol, Timeframe, u64)]) -> u64 {
    counts.iter().map(|c| c.2).sum()
}

/// What an import did, for people.
pub(super) fn as_text(done: &Imported) -> String {
    let more: String = [
        (done.rates_added, "risk-free rates"),
        (done.dividends_added, "dividends"),
        (done.delistings_added, "delistings"),
        (done.renames_added, "renames"),
    ]
    .into_iter()
    .filter(|(added, _)| *added > 0)
    .map(|(added, of)| format!(", {added} {of} added"))
    .collect();
    let mut text = format!(
        "{} files, {} rows read: {} bars added, {} identical duplicates dropped, {} splits and {} moves added{more}\n",
        done.files,
        done.rows_read,
        total(&done.added),
        total(&done.duplicates),
        done.splits_added,
        done.moves_added,
    );
    for (symbol, timeframe, count) in &done.duplicates {
        let _ = writeln!(text, "  {symbol} {timeframe}: {count} identical duplicates dropped");
    }
    text + &recognised::short(&done.recognised) + &recognised::skipped(&done.skipped)
}

/// What an import did, for programs.
pub(super) fn as_json(done: &Imported) -> Value {
    let counts = |all: &[(Symbol, Timeframe, u64)]| -> Vec<Value> {
        all.iter()
            .map(|(symbol, timeframe, rows)| json!({"symbol": symbol, "timeframe": timeframe, "rows": rows}))
            .collect()
    };
    json!({
        "schema_version": 1,
        "files": done.files,
        "rows_read": done.rows_read,
        "added": counts(&done.added),
        "duplicates": counts(&done.duplicates),
        "splits_added": done.splits_added,
        "moves_added": done.moves_added,
        "rates_added": done.rates_added,
        "dividends_added": done.dividends_added,
        "delistings_added": done.delistings_added,
        "renames_added": done.renames_added,
        "recognised": done.recognised.iter().map(recognised::one).collect::<Vec<_>>(),
        "skipped": done.skipped.iter().map(|(path, _)| path).collect::<Vec<_>>(),
    })
}
