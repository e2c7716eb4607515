//! The page of a sweep.

use std::path::Path;

use magellan::error::Result;
use magellan::research::landscape::Landscape;
use magellan::research::plan::Plan;
use serde_json::{Value, json};

use super::page::{Kind, render};

/// What a page of a sweep is made from.
#[derive(Clone, Copy, Debug)]
pub struct SweptPage<'s> {
    /// What `--json` prints.
    pub summary: &'s Value,
    /// What was swept.
    pub plan: &'s Plan,
    /// How the figure that ranks lies over the axes, an account each.
    pub landscapes: &'s [Landscape],
    /// The figure that ranks.
    pub by: &'s str,
    /// Whether the lowest is best.
    pub lowest: bool,
    /// The archive's folder.
    pub archive: &'s Path,
}

/// The page.
///
/// # Errors
/// Usage error if it can't be made.
pub fn sweep(of: &SweptPage<'_>) -> Result<String> {
    let trials = &of.plan.trials;
    let symbols: Vec<&str> = trials.data.keys().map(|symbol| symbol.as_str()).collect();
    let (start, end) = (trials.start_date, trials.end_date);
    let island = json!({
        "title": trials.strategy,
        "sweep": of.summary,
        "landscapes": of.landscapes,
        "by": of.by,
        "lowest": of.lowest,
        "symbols": symbols,
        "start_date": start,
        "end_date": end,
        "archive": of.archive.display().to_string(),
    });
    let title = format!("{} on {}, {start} to {end}, Magellan sweep", trials.strategy, symbols.join(" "));
    render(Kind::Sweep, &title, island)
}
