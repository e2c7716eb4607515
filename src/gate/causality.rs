//! Decisions depend on the past alone, on the very bars that were judged.

use rand::RngExt;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Check, Group};
use super::criteria::Answers;
use crate::bar::{Nanos, Symbol, iso_utc};
use crate::config::Levels;
use crate::error::Result;
use crate::metrics::Measure;
use crate::research::backtest::{Change, Decision, Replayable};
use crate::stats::bootstrap::stream;

/// Name of the check that cuts the future off.
pub(super) const BY_CUTS: &str = "changed_by_cuts";
/// Name of the check that doubles the bars before the first session.
pub(super) const BY_SEED: &str = "changed_by_seed";

/// Random cuts.
const CUTS: usize = 8;
/// The live runner seeds indicators from so many times the longest period.
const SEED_PERIODS: usize = 20;

/// What cutting off the future, and more of the past, changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Causality {
    /// Bars after which the future was another.
    pub cuts: Vec<String>,
    /// Decisions of the whole run.
    pub decisions: usize,
    /// Decisions that changed: when the archive ended there, up to each symbol's last bar; and when
    /// all later bars had other prices, up to the cut itself.
    pub changed_by_cuts: usize,
    /// Decisions that twice as long a history before them changed, or the whole one; none, if that
    /// can't be told.
    pub changed_by_seed: Option<usize>,
    /// Bars before the first decision, and then twice as many.
    pub seed_bars: Option<usize>,
}

impl Causality {
    /// No decision may change.
    pub(super) fn answer(&self, answers: &mut Answers<'_>) {
        match self.cuts.is_empty() {
            false => answers.checks.push(none_changed(BY_CUTS, self.changed_by_cuts)),
            true => answers.not_evaluable.push("changed_by_cuts: too few bars to cut".to_owned()),
        }
        match (self.changed_by_seed, self.seed_bars) {
            (Some(changed), _) => answers.checks.push(none_changed(BY_SEED, changed)),
            (None, Some(bars)) => {
                answers.not_evaluable.push(format!("changed_by_seed: no session has twice {bars} bars before it"))
            }
            // All of it forgets with the session.
            (None, None) => {}
        }
    }
}

fn none_changed(metric: &str, changed: usize) -> Check {
    Check::new(metric, Group::Causality, Measure::Defined(changed as f64), Levels::NONE_ALLOWED)
}

/// Replays with other futures and with a doubled seed.
///
/// # Errors
/// As [`Replayable::decisions`].
pub(super) fn examine(strategy: &dyn Replayable, seed: u64) -> Result<Causality> {
    let (full, starts) = rayon::join(|| strategy.decisions(&Change::default()), || strategy.market().bar_starts());
    let (full, starts) = (full?, starts?);
    let cuts = random_cuts(&full, &starts, seed);
    let changed: Vec<usize> = cuts.par_iter().map(|&cut| changed_by(strategy, &full, cut)).collect::<Result<_>>()?;
    let (seed_bars, changed_by_seed) = doubled_seed(strategy)?;
    Ok(Causality {
        cuts: cuts.iter().map(|&cut| iso_utc(cut)).collect(),
        decisions: full.len(),
        changed_by_cuts: changed.iter().sum(),
        changed_by_seed,
        seed_bars,
    })
}

/// Bars to cut after: half of them are bars decided upon, where a look ahead would show.
fn random_cuts(full: &[Decision], starts: &[Nanos], seed: u64) -> Vec<Nanos> {
    let mut random = stream(seed, "cuts", 0);
    let mut cuts = Vec::new();
    // The last bar has no future.
    let Some(count) = starts.len().checked_sub(1).filter(|n| *n > 0) else { return cuts };
    for i in 0..CUTS {
        let at = match (i % 2, full) {
            (0, [_, ..]) => {
                let decided = full[random.random_range(0..full.len())].1;
                starts.partition_point(|&t| t < decided).min(count - 1)
            }
            _ => random.random_range(0..count),
        };
        cuts.push(starts[at]);
    }
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// Decisions that change if there is nothing after a bar, or something else.
fn changed_by(strategy: &dyn Replayable, full: &[Decision], cut: Nanos) -> Result<usize> {
    // On its last bar a symbol is liquidated, which the whole archive doesn't do: decisions count up to
    // there.
    let before = cut + 1;
    let last = strategy.market().last_bars(before)?;
    let up_to_last = |decision: &&Decision| {
        last.iter().any(|(symbol, last): &(Symbol, Nanos)| *symbol == decision.0 && decision.1 < *last)
    };
    let up_to_cut = |decision: &&Decision| decision.1 <= cut;
    let short = strategy.decisions(&Change { before: Some(before), ..Change::default() })?;
    let other = strategy.decisions(&Change { repriced_after: Some(cut), ..Change::default() })?;
    Ok(differences(full, &short, up_to_last).max(differences(full, &other, up_to_cut)))
}

/// How many of the decisions that count differ.
fn differences(a: &[Decision], b: &[Decision], counts: impl Fn(&&Decision) -> bool) -> usize {
    let [a, b] = [a, b].map(|all| all.iter().filter(&counts).collect::<Vec<&Decision>>());
    a.iter().zip(&b).filter(|(a, b)| a != b).count() + a.len().abs_diff(b.len())
}

/// From the first session that has twice the seed before it: how long the seed is, and the decisions
/// that change with twice of it, or with all that there is.
fn doubled_seed(strategy: &dyn Replayable) -> Result<(Option<usize>, Option<usize>)> {
    let Some(period) = strategy.longest_period() else { return Ok((None, None)) };
    let seed = (SEED_PERIODS * period).max(strategy.warmup());
    let Some(start) = strategy.market().first_after(2 * seed)? else { return Ok((Some(seed), None)) };
    let decide = |seed: Option<usize>| strategy.decisions(&Change { seed, start: Some(start), ..Change::default() });
    let (once, (twice, whole)) =
        rayon::join(|| decide(Some(seed)), || rayon::join(|| decide(Some(2 * seed)), || decide(None)));
    let once = once?;
    let changed = |other: &[Decision]| differences(&once, other, |_| true);
    Ok((Some(seed), Some(changed(&twice?).max(changed(&whole?)))))
}
