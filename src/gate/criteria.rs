//! Levels applied to figures, on the estimate or on a confidence bound.

use std::collections::BTreeMap;

use super::verdict::{Check, Group, Status};
use crate::bar::Date;
use crate::config::{CRITERIA, Criterion, Levels, Resampled};
use crate::metrics::{Benchmark, Measure, Metrics, Outcome, Tally};
use crate::replay::Replay;
use crate::stats::bootstrap;

/// Resamples behind a confidence bound.
pub(super) const RESAMPLES: usize = 1_000;

/// Fewer sessions or trades have no bound.
const LEAST: usize = 30;
const TOO_FEW: &str = "fewer than 30 to resample";

/// Levels by metric.
pub(super) type Criteria = BTreeMap<String, Levels>;

/// No level.
pub(super) const NO_LEVELS: Levels =
    Levels { fail_below: None, warn_below: None, fail_above: None, warn_above: None, confidence: None };
/// Fails above 0.
pub(super) const NONE_ALLOWED: Levels = Levels { fail_above: Some(0.0), ..NO_LEVELS };

/// e.g. `lower 95 %`
pub(super) fn bound_name(side: &str, confidence: f64) -> String {
    format!("{side} {} %", (confidence * 1e6).round() / 1e4)
}

/// Applies one criterion. Levels are strict: a value at its level holds.
pub(super) fn check(metric: &'static str, group: Group, value: Measure, levels: Levels) -> Check {
    let undecided = Check {
        metric,
        group,
        value,
        estimate: None,
        bound: None,
        levels,
        margin: None,
        status: Status::Fail,
        acknowledged: None,
    };
    let Some(number) = value.value() else { return undecided };
    let below = |level: Option<f64>| level.is_some_and(|l| number < l);
    let above = |level: Option<f64>| level.is_some_and(|l| number > l);
    let status = if below(levels.fail_below) || above(levels.fail_above) {
        Status::Fail
    } else if below(levels.warn_below) || above(levels.warn_above) {
        Status::Warn
    } else {
        Status::Pass
    };
    let margins = [levels.fail_below.map(|l| number - l), levels.fail_above.map(|l| l - number)];
    let margin = margins.into_iter().flatten().reduce(f64::min);
    Check { margin, status, ..undecided }
}

/// The criteria on one replay's figures.
pub(super) fn points(criteria: &Criteria, metrics: &Metrics, sample: &Sample<'_>) -> Vec<Check> {
    let named = CRITERIA.iter().filter_map(|c| Some((c, *criteria.get(c.name)?)));
    let mut checks: Vec<Check> = named.flat_map(|(c, levels)| point(c, levels, metrics, sample)).collect();
    if metrics.trades == 0 {
        // Whatever else holds: a strategy that never trades has proved nothing.
        checks.retain(|c| c.metric != "trades");
        let levels = Levels { fail_below: Some(1.0), ..NO_LEVELS };
        checks.push(check("trades", Group::Point, Measure::Undefined("no trades: nothing was proved"), levels));
    }
    checks
}

/// One criterion: a check, or one for each side if bounds are asked for on both.
fn point(criterion: &Criterion, levels: Levels, metrics: &Metrics, sample: &Sample<'_>) -> Vec<Check> {
    let estimate = (criterion.of)(metrics);
    let Some(confidence) = levels.confidence else {
        return vec![check(criterion.name, Group::Point, estimate, levels)];
    };
    let drawn = sample.draw(criterion);
    // What a resample doesn't have counts as the worst that it could be.
    let missing = RESAMPLES.saturating_sub(drawn.len());
    let padded = |worst: f64| -> Vec<f64> {
        let mut all = drawn.clone();
        all.extend(std::iter::repeat_n(worst, missing));
        all.sort_by(f64::total_cmp);
        all
    };
    let of_side = |side: &str, quantile: f64, levels: Levels| {
        let worst = if quantile < 0.5 { f64::NEG_INFINITY } else { f64::INFINITY };
        let value = match estimate {
            Measure::Defined(_) if drawn.is_empty() => Measure::Undefined(TOO_FEW),
            Measure::Defined(_) => {
                let bound = bootstrap::quantile(&padded(worst), quantile);
                bound.map_or(Measure::Undefined(TOO_FEW), |b| Measure::new(b, "undefined in too many resamples"))
            }
            undefined => undefined,
        };
        let bound = Some(bound_name(side, confidence));
        Check { estimate: Some(estimate), bound, ..check(criterion.name, Group::Statistics, value, levels) }
    };
    let below = levels
        .fail_below
        .or(levels.warn_below)
        .map(|_| of_side("lower", 1.0 - confidence, Levels { fail_above: None, warn_above: None, ..levels }));
    let above = levels
        .fail_above
        .or(levels.warn_above)
        .map(|_| of_side("upper", confidence, Levels { fail_below: None, warn_below: None, ..levels }));
    below.into_iter().chain(above).collect()
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
    /// (Politis & Romano 1994); trade figures draw trades one by one.
    pub(super) fn draw(&self, criterion: &Criterion) -> Vec<f64> {
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
        CRITERIA.iter().find(|c| c.name == "sharpe").map_or_else(Vec::new, |sharpe| self.draw(sharpe))
    }

    fn draw_sessions(&self, criterion: &Criterion) -> Vec<f64> {
        if self.returns.len() < LEAST {
            return Vec::new();
        }
        let of = |indices: &[usize]| {
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
        bootstrap::stationary(self.returns.len(), self.block, RESAMPLES, self.seed, criterion.name, of)
    }

    fn draw_trades(&self, criterion: &Criterion) -> Vec<f64> {
        let trades = crate::metrics::round_trips(&self.replay.fills);
        if trades.len() < LEAST {
            return Vec::new();
        }
        let of = |indices: &[usize]| {
            let mut tally = Tally::default();
            indices.iter().map(|&i| &trades[i]).for_each(|t| tally.add(t.profit, t.amount, t.held));
            self.figure(criterion, &[self.replay.capital], tally)
        };
        bootstrap::stationary(trades.len(), 1.0, RESAMPLES, self.seed, criterion.name, of)
    }

    fn figure(&self, criterion: &Criterion, equity: &[f64], tally: Tally) -> Option<f64> {
        let dates: Vec<Date> = self.replay.equity.iter().take(equity.len()).map(|e| e.0).collect();
        let outcome = Outcome { capital: self.replay.capital, dates: &dates, equity, tally, bars: 0, bars_held: 0 };
        (criterion.of)(&Metrics::of(&outcome, &Benchmark::default())).value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_LEAST: Levels = Levels { fail_below: Some(1.0), warn_below: Some(2.0), ..NO_LEVELS };

    #[test]
    fn a_value_at_its_level_holds_and_one_below_does_not() {
        let status = |v| check("sharpe", Group::Point, Measure::Defined(v), AT_LEAST).status;
        assert_eq!(
            [status(0.99), status(1.0), status(1.99), status(2.0)],
            [Status::Fail, Status::Warn, Status::Warn, Status::Pass]
        );
    }

    #[test]
    fn an_undefined_metric_fails_whatever_its_levels() {
        for levels in [AT_LEAST, NO_LEVELS] {
            assert_eq!(check("sharpe", Group::Point, Measure::Undefined("x"), levels).status, Status::Fail);
        }
    }

    #[test]
    fn a_nan_never_becomes_a_number() {
        assert_eq!(Measure::new(f64::NAN, "no"), Measure::Undefined("no"));
        assert_eq!(Measure::new(f64::INFINITY, "no"), Measure::Undefined("no"));
    }
}
