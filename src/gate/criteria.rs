//! The criteria of a config, applied to one replay's figures: on the estimate or on a confidence bound.

use std::collections::BTreeMap;

use super::check::{Check, Group, bound_name};
use crate::bar::Date;
use crate::config::{Complete, Levels};
use crate::metrics::{
    Benchmark, CRITERIA, Cause, Criterion, Measure, Metrics, Outcome, Resampled, Tally, Trade, round_trips,
};
use crate::replay::Replay;
use crate::stats::bootstrap;

/// Resamples behind a confidence bound.
const RESAMPLES: usize = 1_000;
/// Fewer sessions or trades have no bound.
const LEAST: usize = 30;
/// Nor have trades of fewer sessions.
const LEAST_CLUSTERS: usize = 10;

/// Levels by metric.
pub(super) type Criteria = BTreeMap<String, Levels>;

/// Checks as they come in, and what could not be answered.
pub(super) struct Answers<'c> {
    pub(super) criteria: &'c Criteria,
    pub(super) checks: Vec<Check>,
    pub(super) not_evaluable: Vec<String>,
}

impl<'c> Answers<'c> {
    pub(super) fn new(document: &'c Complete) -> Self {
        let not_evaluable = document.config().not_evaluable().into_iter().map(str::to_owned).collect();
        Self { criteria: &document.deployment().performance_criteria.criteria, checks: Vec::new(), not_evaluable }
    }
}

/// The criteria on one replay's figures.
pub(super) fn points(criteria: &Criteria, metrics: &Metrics, sample: &Sample<'_>) -> Vec<Check> {
    let demanded = CRITERIA.iter().filter_map(|c| Some((c, *criteria.get(c.figure.name)?)));
    let mut checks: Vec<Check> = demanded.flat_map(|(c, levels)| point(c, levels, metrics, sample)).collect();
    if metrics.trades == 0 {
        // Whatever else holds: a strategy that never trades has proved nothing.
        checks.retain(|c| c.metric != "trades");
        let levels = Levels { fail_below: Some(1.0), ..Levels::NONE };
        checks.push(Check::new("trades", Group::Point, Measure::Undefined(Cause::NothingProved), levels));
    }
    checks
}

/// One criterion: a check, or one for each side if bounds are asked for on both.
fn point(criterion: &Criterion, levels: Levels, metrics: &Metrics, sample: &Sample<'_>) -> Vec<Check> {
    let (name, estimate) = (criterion.figure.name, (criterion.figure.of)(metrics));
    let Some(confidence) = levels.confidence else {
        return vec![Check::new(name, Group::Point, estimate, levels)];
    };
    let drawn = sample.draw(criterion);
    let check = |side: &str, quantile: f64, levels: Levels| Check {
        estimate: Some(estimate),
        bound: Some(bound_name(side, confidence)),
        monte_carlo_error: bootstrap::quantile_error(&drawn, quantile),
        ..Check::new(name, Group::Statistics, bound(estimate, &drawn, quantile), levels)
    };
    let below = levels
        .fail_below
        .or(levels.warn_below)
        .map(|_| check("lower", 1.0 - confidence, Levels { fail_above: None, warn_above: None, ..levels }));
    let above = levels
        .fail_above
        .or(levels.warn_above)
        .map(|_| check("upper", confidence, Levels { fail_below: None, warn_below: None, ..levels }));
    below.into_iter().chain(above).collect()
}

/// A quantile of the figures of all resamples. A resample that doesn't have the figure counts as the worst that it
/// could be.
fn bound(estimate: Measure, drawn: &[f64], quantile: f64) -> Measure {
    if estimate.value().is_none() {
        return estimate;
    }
    if drawn.is_empty() {
        return Measure::Undefined(Cause::TooFewToResample);
    }
    let worst = if quantile < 0.5 { f64::NEG_INFINITY } else { f64::INFINITY };
    let mut all = drawn.to_vec();
    all.extend(std::iter::repeat_n(worst, RESAMPLES.saturating_sub(drawn.len())));
    all.sort_by(f64::total_cmp);
    match bootstrap::quantile(&all, quantile) {
        Some(bound) => Measure::new(bound, Cause::UndefinedInResamples),
        None => Measure::Undefined(Cause::TooFewToResample),
    }
}

/// What a period leaves to be drawn from again.
pub(super) struct Sample<'a> {
    pub(super) replay: &'a Replay,
    pub(super) returns: &'a [f64],
    /// Mean length of a block of sessions.
    pub(super) block: f64,
    pub(super) seed: u64,
}

impl Sample<'_> {
    /// A criterion's figure in resamples, ascending. Session figures draw blocks of sessions
    /// (Politis & Romano 1994); trade figures draw all trades that began in one session together, since what moves the
    /// market moves them all (the cluster bootstrap; Cameron, Gelbach & Miller, Review of Economics and Statistics 90,
    /// 2008).
    fn draw(&self, criterion: &Criterion) -> Vec<f64> {
        let mut drawn = match criterion.resampled {
            Some(Resampled::Sessions) => self.draw_sessions(criterion),
            Some(Resampled::Trades) => self.draw_trades(criterion),
            None => Vec::new(),
        };
        drawn.sort_by(f64::total_cmp);
        drawn
    }

    /// Sharpe ratios of resampled sessions, ascending.
    pub(super) fn sharpes(&self) -> Vec<f64> {
        CRITERIA.iter().find(|c| c.figure.name == "sharpe").map_or_else(Vec::new, |sharpe| self.draw(sharpe))
    }

    fn draw_sessions(&self, criterion: &Criterion) -> Vec<f64> {
        if self.returns.len() < LEAST {
            return Vec::new();
        }
        let figure = |indices: &[usize]| {
            let mut worth = self.replay.capital;
            let equity: Vec<f64> = indices
                .iter()
                .map(|&i| {
                    worth *= 1.0 + self.returns[i];
                    worth
                })
                .collect();
            self.figure(criterion, &equity, Tally::default())
        };
        bootstrap::stationary(self.returns.len(), self.block, RESAMPLES, self.seed, criterion.figure.name, figure)
    }

    fn draw_trades(&self, criterion: &Criterion) -> Vec<f64> {
        let trades = round_trips(&self.replay.fills);
        let mut by_session: Vec<(Date, Vec<&Trade>)> = Vec::new();
        for trade in &trades {
            let session = self.replay.calendar.date(trade.entered.max(0));
            match by_session.iter_mut().rev().find(|(date, _)| *date == session) {
                Some((_, together)) => together.push(trade),
                None => by_session.push((session, vec![trade])),
            }
        }
        if trades.len() < LEAST || by_session.len() < LEAST_CLUSTERS {
            return Vec::new();
        }
        let figure = |indices: &[usize]| {
            let mut tally = Tally::default();
            let drawn = indices.iter().flat_map(|&i| &by_session[i].1);
            drawn.for_each(|t| tally.add(t.profit, t.amount, t.held));
            self.figure(criterion, &[self.replay.capital], tally)
        };
        bootstrap::stationary(by_session.len(), 1.0, RESAMPLES, self.seed, criterion.figure.name, figure)
    }

    fn figure(&self, criterion: &Criterion, equity: &[f64], tally: Tally) -> Option<f64> {
        let dates: Vec<Date> = self.replay.equity.iter().take(equity.len()).map(|e| e.0).collect();
        let outcome = Outcome {
            capital: self.replay.capital,
            dates: &dates,
            equity,
            per_year: self.replay.returns_per_year,
            tally,
            bars: 0,
            bars_held: 0,
        };
        (criterion.figure.of)(&Metrics::of(&outcome, &Benchmark::default())).value()
    }
}
