//! A sweep: many points of a strategy's grid, counted before the first is replayed, results on disk.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::coverage::{PartlyCovered, partly_covered};
use super::equity::{Kept, whole};
use super::market::Period;
use super::plan::{Plan, Shard};
use super::progress::Progress;
use super::results::{Best, Contest, Rank, Store, best};
use super::sweepable::{Row, Sweepable, accounts};
use super::together;
use crate::error::{Error, Result, codes};
use crate::finding::Finding;
use crate::holdout;
use crate::ledger::{Kind, Leaves, Ledger};
use crate::sweep::grid::Grid;

/// How a sweep is shared out and kept.
#[derive(Clone, Copy, Debug)]
pub struct Keeping<'a> {
    /// The folder of the results; parts that are there already aren't computed again.
    pub folder: &'a Path,
    /// Which share of the points is replayed here.
    pub shard: Shard,
    /// Whether all symbols together are ranked even in a large sweep.
    pub together: bool,
}

/// A sweep that is done, or this process's share of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Swept {
    /// Points of the whole sweep.
    pub points: usize,
    /// Points of them that were replayed just now.
    pub replayed: usize,
    /// Bars that one point replays, all symbols together.
    pub bars: u64,
    /// Accounts a point has.
    pub accounts: usize,
    /// Whether all of them together are ranked, too.
    pub together: bool,
    /// Keys of the axes.
    pub axes: Vec<String>,
    /// All rows; none if this was one share of several, which are to be merged.
    pub results: Option<PathBuf>,
    /// Trials of the strategy that the ledger counts now: N.
    pub trials: u64,
    /// Whether any bar is synthetic.
    pub synthetic: bool,
    /// What an audit doubts in the bars.
    pub doubts: Vec<Finding>,
    /// Symbols whose bars cover a part of the dates asked for only.
    pub partly_covered: Vec<PartlyCovered>,
}

impl Swept {
    /// The first `top` rows of each contest by a figure, with the axes' values and the figures asked for.
    ///
    /// # Errors
    /// Refused if the sweep isn't complete; usage error if there is no such figure.
    pub fn best(&self, contest: Contest, rank: Rank<'_>, top: usize, figures: &[&str]) -> Result<Vec<Best>> {
        match &self.results {
            Some(results) => best(results, contest, rank, top, &self.axes, figures),
            None => Err(Error::new(codes::SWEEP_INCOMPLETE, "this is one share of the sweep; merge all of them first")),
        }
    }
}

/// Records the trials, then replays this process's share of them.
pub(crate) fn counted(
    strategy: &dyn Sweepable,
    keeping: &Keeping<'_>,
    ledger: &mut Ledger,
    progress: &dyn Progress,
) -> Result<Swept> {
    let points = strategy.points()?;
    let together = together::adds_up(strategy, points.len(), keeping.together);
    let plan = Plan::new(strategy.trials(points.len()), strategy.bars(), together);
    holdout::check_free(ledger, &plan.trials)?;
    let store = Store::begin(keeping.folder, &plan)?;
    ledger.add(Kind::Sweep, &plan.trials, None)?;
    let replayed = replay_parts(&store, &plan, strategy, &points, keeping.shard, progress)?;
    let results = match keeping.shard.is_whole() {
        true => Some(finish(&store, &plan, ledger)?),
        false => None,
    };
    Ok(Swept {
        points: points.len(),
        replayed,
        bars: strategy.bars(),
        accounts: accounts(strategy),
        together,
        axes: strategy.grid().axes.iter().map(|axis| axis.key.clone()).collect(),
        results,
        trials: ledger.count()?,
        synthetic: strategy.market().is_synthetic(),
        doubts: strategy.market().doubts(),
        partly_covered: partly_covered(strategy.market())?,
    })
}

/// Joins all parts and records the returns that were kept.
fn finish(store: &Store, plan: &Plan, ledger: &mut Ledger) -> Result<PathBuf> {
    let returns = store.finish(plan)?;
    store.tidy();
    ledger.add(Kind::Sweep, &plan.trials, Some(&returns))?;
    Ok(store.results())
}

/// Replays the parts of a share that aren't there yet; how many points that were.
fn replay_parts(
    store: &Store,
    plan: &Plan,
    strategy: &dyn Sweepable,
    points: &[u64],
    shard: Shard,
    progress: &dyn Progress,
) -> Result<usize> {
    let done = store.done()?;
    let parts: Vec<usize> = (0..plan.parts()).filter(|part| shard.has(*part) && !done.contains(part)).collect();
    let to_do: usize = parts.iter().map(|&part| plan.part(part).len()).sum();
    let accounts = accounts(strategy);
    let bars_each = strategy.bars() as f64 / accounts as f64;
    progress.begins((to_do * accounts) as u64, bars_each);
    let period: Period = strategy.market().period();
    let sample = plan.sample()?;
    for parts in plan.stretches(&parts, strategy.bars(), strategy.how()) {
        let places: Vec<usize> = parts.iter().flat_map(|&part| plan.part(part)).collect();
        let chosen: Vec<u64> = places.iter().map(|&place| points[place]).collect();
        let sampled = |i: usize| sample.binary_search(&places[i]).is_ok();
        let done = |n: usize| progress.advances(n as u64);
        let (rows, kept) = match plan.together {
            false => strategy.run(&chosen, period, &sampled, &done)?,
            true => run_together(strategy, &chosen, period, &sampled, &done)?,
        };
        let together = |accounts: &[Kept]| whole(strategy.capital(chosen[accounts[0].point]), accounts);
        let kept: Vec<Kept> = kept.chunk_by(|a, b| a.point == b.point).map(together).collect();
        write_parts(store, plan, parts, &chosen, strategy.grid(), rows, kept)?;
    }
    progress.ends();
    Ok(to_do)
}

/// Writes what was replayed together as the parts that it is, on all threads.
fn write_parts(
    store: &Store,
    plan: &Plan,
    parts: &[usize],
    points: &[u64],
    grid: &Grid,
    mut rows: Vec<Row>,
    mut kept: Vec<Kept>,
) -> Result<()> {
    let mut end = points.len();
    // From behind, so that each is cut off its end.
    let cut = parts.iter().rev().map(|&part| {
        let first = end - plan.part(part).len();
        let points = &points[first..end];
        end = first;
        let mut rows = rows.split_off(rows.partition_point(|row| row.point < first));
        let mut kept = kept.split_off(kept.partition_point(|kept| kept.point < first));
        rows.iter_mut().for_each(|row| row.point -= first);
        kept.iter_mut().for_each(|kept| kept.point -= first);
        (part, points, rows, kept)
    });
    let cut: Vec<_> = cut.collect();
    cut.par_iter().try_for_each(|(part, points, rows, kept)| store.write(*part, plan, points, grid, rows, kept))
}

/// As [`Sweepable::run`], with a row of all accounts together after those of each point.
fn run_together(
    strategy: &dyn Sweepable,
    points: &[u64],
    period: Period,
    sampled: &dyn Fn(usize) -> bool,
    done: &(dyn Fn(usize) + Sync),
) -> Result<(Vec<Row>, Vec<Kept>)> {
    let (mut all_rows, mut all_kept) = (Vec::new(), Vec::new());
    let at_once = together::points_at_once(strategy);
    for (i, points) in points.chunks(at_once).enumerate() {
        let (mut rows, kept) = strategy.run(points, period, &|_| true, done)?;
        rows.extend(together::rows(strategy, points, &rows, &kept));
        // Stable: after the rows of its symbols.
        rows.sort_by_key(|row| row.point);
        let first = i * at_once;
        all_rows.extend(rows.into_iter().map(|row| Row { point: first + row.point, ..row }));
        let kept = kept.into_iter().map(|kept| Kept { point: first + kept.point, ..kept });
        all_kept.extend(kept.filter(|kept| sampled(kept.point)));
    }
    Ok((all_rows, all_kept))
}

/// Joins the shares of a sweep, records its trials, and says where the results are.
///
/// # Errors
/// Refused if parts are missing or damaged, if a folder holds another sweep, or if the plan's trials aren't what it
/// says; usage error if results can't be written.
pub fn merge(plan: &Plan, sources: &[&Path], into: &Path, ledger: &mut Ledger) -> Result<PathBuf> {
    plan.trials.identities(Leaves::All).map_err(|e| e.recode(codes::OTHER_SWEEP))?;
    holdout::check_free(ledger, &plan.trials)?;
    let parts = Store::collect(plan, sources)?;
    let store = Store::begin(into, plan)?;
    ledger.add(Kind::Sweep, &plan.trials, None)?;
    let returns = store.join(&parts)?;
    ledger.add(Kind::Sweep, &plan.trials, Some(&returns))?;
    Ok(store.results())
}
