//! Decisions depend on the past alone, on the very bars that were judged.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::Answers;
use super::criteria::{NONE_ALLOWED, check};
use super::verdict::Group;
use crate::backtest::{Bench, Change, Decision};
use crate::bar::{Date, Nanos, Symbol, iso_utc};
use crate::error::Result;
use crate::metrics::Measure;

/// Random cuts.
const CUTS: usize = 6;
/// The live runner seeds indicators from so many times the longest period.
const SEED_PERIODS: usize = 20;

/// What cutting off the future, and more of the past, changed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Causality {
    /// Times after which the archive was cut off.
    pub cuts: Vec<String>,
    /// Decisions of the whole run.
    pub decisions: usize,
    /// Decisions that the cuts changed: before the cut, up to each symbol's last bar.
    pub changed_by_cuts: usize,
    /// Decisions that twice as long a history before them changed; none, if there are too few
    /// bars to tell, or if all indicators forget with the session.
    pub changed_by_seed: Option<usize>,
    /// Bars before the first decision, and then twice as many.
    pub seed_bars: Option<usize>,
}

impl Causality {
    /// No decision may change.
    pub(super) fn answer(&self, answers: &mut Answers<'_>) {
        let none =
            |metric, changed: usize| check(metric, Group::Causality, Measure::Defined(changed as f64), NONE_ALLOWED);
        answers.checks.push(none("changed_by_cuts", self.changed_by_cuts));
        match self.changed_by_seed {
            Some(changed) => answers.checks.push(none("changed_by_seed", changed)),
            None => answers.not_evaluable.push("changed_by_seed: too few bars before, or nothing to seed".to_owned()),
        }
    }
}

/// Replays at random cuts and with a doubled seed.
///
/// # Errors
/// As [`Bench::decisions`].
pub(super) fn examine(bench: &dyn Bench, seed: u64, end: Date) -> Result<Causality> {
    let (full, starts) = rayon::join(|| bench.decisions(&Change::default()), || bench.bar_starts());
    let full = full?;
    let cuts = random_cuts(&full, &starts, seed);
    let changed: Vec<usize> = cuts.par_iter().map(|&cut| changed_by_cut(bench, &full, cut)).collect::<Result<_>>()?;
    let (seed_bars, changed_by_seed) = match doubled_seed(bench, &starts, end)? {
        Some((bars, changed)) => (Some(bars), Some(changed)),
        None => (None, None),
    };
    Ok(Causality {
        cuts: cuts.iter().map(|&cut| iso_utc(cut)).collect(),
        decisions: full.len(),
        changed_by_cuts: changed.iter().sum(),
        changed_by_seed,
        seed_bars,
    })
}

/// Bars at which to cut: half of them right after decisions, where a look ahead would show.
fn random_cuts(full: &[Decision], starts: &[Nanos], seed: u64) -> Vec<Nanos> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut cuts = Vec::new();
    for i in 0..CUTS {
        let at = match (i % 2, full) {
            (0, [_, ..]) => {
                let decided = full[random.random_range(0..full.len())].1;
                // The bar decided upon stays, and one after it, on which the cut archive ends.
                starts.partition_point(|&t| t <= decided) + 1
            }
            _ if starts.len() > 1 => random.random_range(1..starts.len()),
            _ => continue,
        };
        cuts.extend(starts.get(at));
    }
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// On its last bar a symbol is liquidated, which the whole archive doesn't do: decisions count up
/// to each symbol's last bar before the cut.
fn changed_by_cut(bench: &dyn Bench, full: &[Decision], cut: Nanos) -> Result<usize> {
    let last = bench.last_bars(cut);
    let counts = |decision: &&Decision| {
        last.iter().any(|(symbol, last): &(Symbol, Nanos)| *symbol == decision.0 && decision.1 < *last)
    };
    let expected: Vec<&Decision> = full.iter().filter(counts).collect();
    let short = bench.decisions(&Change { before: Some(cut), ..Change::default() })?;
    let got: Vec<&Decision> = short.iter().filter(counts).collect();
    Ok(differences(&expected, &got))
}

fn differences(a: &[&Decision], b: &[&Decision]) -> usize {
    a.iter().zip(b).filter(|(a, b)| a != b).count() + a.len().abs_diff(b.len())
}

/// From the first session that has twice the seed before it, decisions with the seed and with
/// twice of it.
fn doubled_seed(bench: &dyn Bench, starts: &[Nanos], end: Date) -> Result<Option<(usize, usize)>> {
    let Some(period) = bench.longest_period() else { return Ok(None) };
    let seed = (SEED_PERIODS * period).max(bench.warmup());
    let mut dates: Vec<Date> = starts.iter().map(|&at| bench.session_of(at)).collect();
    dates.dedup();
    let first = dates.partition_point(|&date| bench.bars_before(date) < 2 * seed);
    let Some(&start) = dates.get(first).filter(|date| **date <= end) else { return Ok(None) };
    let of = |bars: usize| bench.decisions(&Change { seed: Some(bars), start: Some(start), ..Change::default() });
    let (once, twice) = rayon::join(|| of(seed), || of(2 * seed));
    let (once, twice) = (once?, twice?);
    Ok(Some((seed, differences(&once.iter().collect::<Vec<_>>(), &twice.iter().collect::<Vec<_>>()))))
}
