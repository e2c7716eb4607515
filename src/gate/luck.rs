//! What was tried, from the ledger: how good the best of so many would look by luck.
//!
//! N is the number of distinct trials and V the variance of their Sharpe ratios; neither can be
//! typed. A Sharpe ratio over T sessions varies by about 1/T, so sweeps over other periods are
//! compared by V·T; the largest counts, so that sweeps of near-identical points can't dilute it.
//! Trials whose returns nobody kept are taken to vary as without an edge. Correlated trials differ
//! less, so V already discounts for them; the effective N (Bailey & López de Prado 2014) is shown
//! and makes the minimum backtest length. Used in DSR as well it would discount twice: with a mean
//! correlation of 0.9, 7 % of lucky picks would pass at 95 %.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Check, Group};
use crate::bar::Symbol;
use crate::config::Levels;
use crate::error::Result;
use crate::ledger::{Kept, Ledger, Record};
use crate::metrics::{Cause, Measure};
use crate::stats::pbo::{Performance, probability_of_overfitting};
use crate::stats::{Moments, trials};

/// Blocks of CSCV.
const BLOCKS: usize = 16;
/// Fewer Sharpe ratios make no variance.
const LEAST_SERIES: usize = 10;
/// PBO is worked out for so many sweeps, those with the most points.
const SWEEPS: usize = 8;

/// What the ledger says of a strategy's trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Luck {
    /// Distinct trials, this one included, on whatever bars: N.
    pub n: u64,
    /// Those of them whose returns no sweep kept.
    pub n_without_returns: u64,
    /// As many as independent ones, by the mean correlation of kept returns.
    pub n_effective: f64,
    /// Mean correlation of kept returns; none, if no sweep kept enough.
    pub correlation: Option<f64>,
    /// Variance of the trials' Sharpe ratios per session, V, times the sessions they are of: 1 for
    /// independent trials without an edge. The largest of the sweeps'; none, if none kept enough.
    pub dispersion: Option<f64>,
    /// Probability of backtest overfitting, the largest of the sweeps'.
    pub pbo: Measure,
    /// Sweeps that keep returns and were looked at.
    pub sweeps: usize,
    /// Symbols of earlier trials that the config no longer has.
    pub dropped: Vec<Symbol>,
    /// The ledger's heads: with them the same N can be counted again.
    pub heads: Vec<String>,
}

/// What the kept returns of one sweep say.
struct Swept {
    dispersion: Option<f64>,
    correlation: Option<f64>,
    pbo: Option<f64>,
}

impl Luck {
    /// Counts and reads a ledger. Trials on synthetic bars say nothing about how those on real ones
    /// vary, nor the other way round.
    ///
    /// # Errors
    /// Refused if the ledger was altered.
    pub(super) fn of(ledger: &Ledger, symbols: &[Symbol], synthetic: bool) -> Result<Self> {
        let sweeps = largest_sweeps(ledger, synthetic);
        let read = |(i, (hash, _)): (usize, &(&String, &Record))| Ok(Swept::of(&ledger.returns(hash)?, i < SWEEPS));
        let swept: Vec<Swept> = sweeps.par_iter().enumerate().map(read).collect::<Result<_>>()?;
        let n = ledger.count()?;
        let dispersion = |s: &Swept| s.dispersion.unwrap_or(-1.0);
        let widest = swept.iter().max_by(|a, b| dispersion(a).total_cmp(&dispersion(b)));
        let correlation = widest.and_then(|s| s.correlation);
        let pbo = swept.iter().filter_map(|s| s.pbo).reduce(f64::max);
        let tried = ledger.records().values().filter(|r| r.trials.synthetic == synthetic);
        let mut dropped: Vec<Symbol> =
            tried.flat_map(|r| r.trials.data.keys().copied()).filter(|s| !symbols.contains(s)).collect();
        dropped.sort_unstable();
        dropped.dedup();
        Ok(Self {
            n,
            n_without_returns: n - ledger.count_of(|r| r.returns.is_some())?,
            n_effective: correlation.map_or(n as f64, |rho| trials::effective_trials(n as f64, rho)),
            correlation,
            dispersion: widest.and_then(|s| s.dispersion),
            pbo: pbo.map_or(Measure::Undefined(Cause::NoSweep), |p| Measure::new(p, Cause::NoSweep)),
            sweeps: swept.len(),
            dropped,
            heads: ledger.heads(),
        })
    }

    /// No symbol that was tried may be gone: what is left may be what happened to work.
    pub(super) fn check(&self) -> Check {
        let dropped = Measure::Defined(self.dropped.len() as f64);
        Check::new(DROPPED, Group::Selection, dropped, Levels::NONE_ALLOWED)
    }

    /// The Sharpe ratio, a session, that the best of the trials shows by luck over so many sessions.
    pub(super) fn sharpe_over(&self, sessions: usize) -> Option<f64> {
        sharpe_by_luck(sessions, (self.dispersion, self.n), self.n_without_returns)
    }
}

/// Name of the check that no symbol was dropped.
pub(super) const DROPPED: &str = "symbols_dropped";

/// By the dispersion of all trials, or as without an edge by those whose returns nobody kept, if that
/// is more.
pub(super) fn sharpe_by_luck(sessions: usize, (dispersion, n): (Option<f64>, u64), unknown: u64) -> Option<f64> {
    let count = (sessions as f64).max(1.0);
    let of_known = dispersion.and_then(|d| trials::luck(d / count, n as f64));
    let of_unknown = trials::luck(1.0 / count, (unknown as f64).max(1.0))?;
    Some(of_known.map_or(of_unknown, |known| known.max(of_unknown)))
}

/// Variance of Sharpe ratios over so many sessions, times the sessions, if there are enough of them.
pub(super) fn dispersion_of(sharpes: &[f64], sessions: usize) -> Option<f64> {
    let variance = if sharpes.len() < LEAST_SERIES { None } else { trials::variance(sharpes) };
    variance.map(|v| v * sessions as f64)
}

/// The sweeps that keep returns, those with the most points first.
pub(super) fn largest_sweeps(ledger: &Ledger, synthetic: bool) -> Vec<(&String, &Record)> {
    let keeps = |r: &Record| r.returns.is_some() && r.trials.synthetic == synthetic;
    let mut sweeps: Vec<(&String, &Record)> = ledger.records().iter().filter(|(_, r)| keeps(r)).collect();
    sweeps.sort_by(|a, b| (b.1.trials.points, b.0).cmp(&(a.1.trials.points, a.0)));
    sweeps
}

impl Swept {
    fn of(points: &[Kept], with_pbo: bool) -> Self {
        let series: Vec<Vec<f64>> = points.iter().map(|p| p.1.iter().map(|(_, r)| *r).collect()).collect();
        // A ruined point has no returns from there on, and is nobody's choice.
        let sound = series.iter().filter(|s| s.iter().all(|r| r.is_finite()));
        let columns: Vec<&[f64]> = sound.map(Vec::as_slice).collect();
        let sharpes: Vec<f64> = columns.iter().filter_map(|c| Moments::of(c)?.sharpe()).collect();
        let sessions = columns.first().map_or(0, |c| c.len());
        let alike = columns.iter().all(|c| c.len() == sessions);
        let dispersion = if alike { dispersion_of(&sharpes, sessions) } else { None };
        let overfitting = || probability_of_overfitting(&columns, BLOCKS, Performance::Sharpe);
        Self {
            dispersion,
            correlation: if dispersion.is_some() { trials::average_correlation(&columns) } else { None },
            pbo: if with_pbo && alike { overfitting().map(|o| o.pbo) } else { None },
        }
    }
}
