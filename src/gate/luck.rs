//! What was tried, from the ledger: how good the best of so many would look by luck.
//!
//! N is the number of distinct settings tried on bars like the candidate's, in sessions that overlap its own, and V
//! the variance of their Sharpe ratios; neither can be typed. A Sharpe ratio over T sessions varies by about 1/T, so
//! trials over other sessions are compared by V·T. Only trials of the same symbols and sessions (a family) are
//! compared with each other, each settings once, whichever way they were swept; what hardly trades and what
//! duplicates another tells nothing of how trials vary. The widest family counts, so that families of near-identical
//! trials can't dilute it. Trials of which nothing is known are taken to vary as without an edge. Correlated trials
//! differ less, so V already discounts for them; the effective N (Bailey & López de Prado 2014) is shown and makes the
//! minimum backtest length. Used in DSR as well it would discount twice: with a mean correlation of 0.9, 7 % of lucky
//! picks would pass at 95 %.

use std::collections::BTreeMap;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Check, Group};
use super::columns::{self, Chosen};
use crate::bar::{Date, Symbol};
use crate::config::Levels;
use crate::error::Result;
use crate::ledger::{Column, Columns, Family, Ledger, Record, Tried};
use crate::metrics::{Cause, Measure};
use crate::research::plan::SAMPLE;
use crate::stats::pbo::{Performance, probability_of_overfitting};
use crate::stats::trials;

/// Blocks of CSCV.
const BLOCKS: usize = 16;
/// Fewer Sharpe ratios make no variance.
const LEAST_SERIES: usize = 10;

/// What the ledger says of a strategy's trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Luck {
    /// Distinct settings tried, these included, on bars of the same kind in sessions that overlap the periods: N.
    pub n: u64,
    /// Those of them of which it isn't known how their Sharpe ratios vary.
    pub n_unknown: u64,
    /// As many as independent ones, by the mean correlation of kept returns.
    pub n_effective: f64,
    /// Mean correlation of kept returns; none, if too few were kept.
    pub correlation: Option<f64>,
    /// Variance of the trials' Sharpe ratios per session, V, times the sessions they are of: 1 for
    /// independent trials without an edge. The largest of the families'; none, if none kept enough.
    pub dispersion: Option<f64>,
    /// Probability of backtest overfitting, the largest of all sweeps, and of all trials of the same symbols and
    /// sessions together.
    pub pbo: Measure,
    /// Sweeps that keep returns and were looked at.
    pub sweeps: usize,
    /// Trials whose returns are kept.
    pub columns: usize,
    /// Those of them set aside since they differ from another only in costs, capital or what is set aside for a
    /// position.
    pub costs_only: usize,
    /// Those set aside since they hardly trade.
    pub hardly_trade: usize,
    /// Those set aside since they lose for sure: nobody would choose them.
    pub losing: usize,
    /// Those set aside since their returns are those of another, at a correlation of 0.99.
    pub duplicates: usize,
    /// Symbols of earlier trials that the config no longer has.
    pub dropped: Vec<Symbol>,
    /// The ledger's heads: with them the same N can be counted again.
    pub heads: Vec<String>,
}

/// Whose trials are counted.
pub(super) struct About<'a> {
    /// The symbols that it trades.
    pub(super) symbols: &'a [Symbol],
    /// Whether its bars are synthetic.
    pub(super) synthetic: bool,
    /// First and last date of each period.
    pub(super) periods: &'a [(Date, Date)],
}

/// What the kept returns of one family say.
struct Compared {
    dispersion: Option<f64>,
    correlation: Option<f64>,
    chosen: Chosen,
}

impl Luck {
    /// Counts and reads a ledger. Trials on synthetic bars say nothing about how those on real ones
    /// vary, nor the other way round.
    ///
    /// # Errors
    /// Refused if the ledger was altered.
    pub(super) fn of(ledger: &Ledger, about: &About<'_>) -> Result<Self> {
        let tried = ledger.tried(about.synthetic, about.periods);
        let n = tried.count()?;
        let all = tried.columns()?;
        let families: Vec<(&Family, &BTreeMap<u128, Column>)> = all.families.iter().collect();
        let compared: Vec<Compared> = families.par_iter().map(|(_, columns)| Compared::of(columns)).collect();
        let dispersion = |c: &&Compared| c.dispersion.unwrap_or(-1.0);
        let widest = compared.iter().max_by(|a, b| dispersion(a).total_cmp(&dispersion(b)));
        let correlation = widest.and_then(|c| c.correlation);
        let known = |r: &Record| {
            let own = Family::of(r);
            families.iter().zip(&compared).any(|((family, _), c)| **family == own && c.dispersion.is_some())
        };
        // What duplicates another trial of an unknown family is no trial of its own.
        let unknown = compared.iter().filter(|c| c.dispersion.is_none());
        let copies: usize = unknown.map(|c| c.chosen.costs_only + c.chosen.duplicates + c.chosen.hardly_trade).sum();
        let n_unknown = n.saturating_sub(tried.count_of(known)?).saturating_sub(copies as u64);
        let pbo = overfitting(&all);
        let sum = |of: fn(&Chosen) -> usize| compared.iter().map(|c| of(&c.chosen)).sum();
        Ok(Self {
            n,
            n_unknown,
            n_effective: correlation.map_or(n as f64, |rho| trials::effective_trials(n as f64, rho)),
            correlation,
            dispersion: widest.and_then(|c| c.dispersion),
            pbo: pbo.map_or(Measure::Undefined(Cause::NoSweep), |p| Measure::new(p, Cause::NoSweep)),
            sweeps: tried.records().iter().filter(|(_, r)| r.returns.is_some() && r.trials.points > 1).count(),
            columns: families.iter().map(|(_, columns)| columns.len()).sum(),
            costs_only: sum(|c| c.costs_only),
            hardly_trade: sum(|c| c.hardly_trade),
            losing: sum(|c| c.losing),
            duplicates: sum(|c| c.duplicates),
            dropped: dropped(&tried, about.symbols),
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
        sharpe_by_luck(sessions, (self.dispersion, self.n), self.n_unknown)
    }
}

/// Name of the check that no symbol was dropped.
pub(super) const DROPPED: &str = "symbols_dropped";

fn dropped(tried: &Tried<'_>, symbols: &[Symbol]) -> Vec<Symbol> {
    let all = tried.records().iter().flat_map(|(_, r)| r.trials.data.keys().copied());
    let mut dropped: Vec<Symbol> = all.filter(|s| !symbols.contains(s)).collect();
    dropped.sort_unstable();
    dropped.dedup();
    dropped
}

/// By the dispersion of all trials, or as without an edge by those of which nothing is known, if that
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

/// The largest probability of overfitting: of all trials of a family, and of each sweep by itself, so that neither
/// one sweep among many nor many small ones in place of one hide it.
fn overfitting(all: &Columns) -> Option<f64> {
    let families = all.families.values().map(|columns| columns.values().collect());
    let of_record = all.by_record.iter().map(|(family, trials)| {
        let columns = &all.families[family];
        let mut trials: Vec<&u128> = trials.iter().collect();
        trials.sort_unstable();
        // Where the record is the whole family it was looked at as such.
        let part = trials.len() > 1 && trials.len() < columns.len();
        if part { trials.into_iter().filter_map(|trial| columns.get(trial)).collect() } else { Vec::new() }
    });
    let sets: Vec<Vec<&Column>> = families.chain(of_record).collect();
    sets.par_iter().filter_map(|set| of_set(set)).reduce_with(f64::max)
}

fn of_set(set: &[&Column]) -> Option<f64> {
    let chosen = columns::choose(set, SAMPLE);
    let returns: Vec<&[f64]> = chosen.worth_choosing.iter().map(Vec::as_slice).collect();
    probability_of_overfitting(&returns, BLOCKS, Performance::Sharpe).map(|o| o.pbo)
}

impl Compared {
    fn of(columns: &BTreeMap<u128, Column>) -> Self {
        let all: Vec<&Column> = columns.values().collect();
        let chosen = columns::choose(&all, SAMPLE);
        let sharpes: Vec<f64> = chosen.distinct.iter().filter_map(|c| columns::sharpe_of_profits(c)).collect();
        let sessions = chosen.distinct.first().map_or(0, Vec::len);
        let dispersion = dispersion_of(&sharpes, sessions);
        let returns: Vec<&[f64]> = chosen.distinct.iter().map(Vec::as_slice).collect();
        let correlation = dispersion.and_then(|_| trials::average_correlation(&returns));
        Self { dispersion, correlation, chosen }
    }
}
