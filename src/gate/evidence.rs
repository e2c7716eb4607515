//! Figures of luck, resampling and changed replays, and what a history of this length can show.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Check, Group};
use super::criteria::Answers;
use super::luck::Luck;
use super::robustness::Robustness;
use crate::config::{GateCriterion, GateFigures, Levels, ROBUSTNESS, STATISTICS};
use crate::costs::Costs;
use crate::metrics::{Cause, Measure, SESSIONS_PER_YEAR, round_trips};
use crate::research::backtest::Run;
use crate::stats::{Moments, bootstrap, monte_carlo, sharpe, trials as luck_of};

/// Confidence and power of the power statement.
const CONFIDENCE: f64 = 0.95;
const POWER: f64 = 0.80;
/// Orders of the trades that are tried for the drawdown.
const SHUFFLES: usize = 1_000;

/// What the gate's figures are made of.
pub(super) struct Evidence<'e> {
    pub(super) luck: &'e Luck,
    /// Whether the ledger has a sweep of more than one point.
    pub(super) swept: bool,
    pub(super) robustness: &'e Robustness,
    pub(super) returns: &'e [f64],
    pub(super) run: &'e Run,
    pub(super) seed: u64,
}

impl Evidence<'_> {
    /// The criteria on them.
    pub(super) fn answer(&self, answers: &mut Answers<'_>) {
        for (group, table) in [(Group::Statistics, STATISTICS), (Group::Robustness, ROBUSTNESS)] {
            for criterion in table {
                if let Some(&levels) = answers.criteria.get(criterion.name) {
                    self.answer_one(criterion, group, levels, answers);
                }
            }
        }
    }

    /// Without a sweep there is nothing to overfit, so that what needs one is not evaluable; a sweep that kept nothing
    /// tells nothing, so that it is inconclusive. Whatever else is undefined fails.
    fn answer_one(&self, criterion: &GateCriterion, group: Group, levels: Levels, answers: &mut Answers<'_>) {
        let value = (criterion.of)(self);
        let check = Check::new(criterion.name, group, value, levels);
        match value {
            Measure::Undefined(Cause::NoSweep) if !self.swept => {
                answers.not_evaluable.push(format!("{}: {}", criterion.name, Cause::NoSweep));
            }
            _ => answers.checks.push(check),
        }
    }

    /// A Sharpe ratio of a part, or of other circumstances. Of a strategy that was ruined, or never in the market, no
    /// part has one either.
    fn if_sharpe(&self, figure: impl FnOnce() -> Measure) -> Measure {
        match self.run.metrics.sharpe {
            Measure::Defined(_) => figure(),
            undefined => undefined,
        }
    }

    fn of_moments(&self, figure: impl Fn(&Moments) -> Option<f64>) -> Measure {
        let value = Moments::of(self.returns).and_then(|m| figure(&m));
        measure(value, Cause::ReturnsDoNotVary, Cause::NoFiniteValue)
    }

    /// What this history can show.
    pub(super) fn power(&self) -> Power {
        let moments = Moments::of(self.returns);
        let sessions = self.returns.len();
        let year = SESSIONS_PER_YEAR.sqrt();
        let error = moments.as_ref().and_then(sharpe::probabilistic_standard_error);
        let detectable = error.and_then(|e| sharpe::detectable(e, CONFIDENCE, POWER)).map(|d| d * year);
        let needed = moments.as_ref().and_then(|m| sharpe::min_track_record_length(m, 0.0, CONFIDENCE));
        let annual = moments.as_ref().and_then(Moments::sharpe).map(|s| s * year);
        let years = annual.filter(|s| *s > 0.0).and_then(|s| luck_of::min_backtest_length(self.luck.n_effective, s));
        let by_luck = self.luck.sharpe_over(sessions).map(|s| s * year);
        let either = |value, why| measure(value, why, why);
        Power {
            statement: statement(sessions, detectable, needed),
            detectable_sharpe: either(detectable, Cause::ReturnsDoNotVary),
            min_track_record: either(needed, Cause::NotAboveZero),
            sharpe_by_luck: either(by_luck, Cause::NoTrials),
            min_backtest_years: either(years, Cause::NotAboveZero),
        }
    }
}

impl GateFigures for Evidence<'_> {
    fn psr(&self) -> Measure {
        self.if_sharpe(|| self.of_moments(|m| sharpe::probabilistic(m, 0.0)))
    }

    fn dsr(&self) -> Measure {
        let by_luck = || self.luck.sharpe_over(self.returns.len());
        self.if_sharpe(|| self.of_moments(|m| sharpe::probabilistic(m, by_luck()?)))
    }

    fn pbo(&self) -> Measure {
        self.luck.pbo
    }

    fn shuffled_drawdown(&self) -> Measure {
        let profits: Vec<f64> = round_trips(&self.run.replay.fills).iter().map(|t| t.profit).collect();
        let paths = monte_carlo::shuffled_trades(&profits, self.run.replay.capital, SHUFFLES, self.seed);
        let worst = paths.and_then(|p| bootstrap::quantile(&p.max_drawdown, 1.0 - CONFIDENCE));
        measure(worst, Cause::NoTrades, Cause::NoFiniteDrawdown)
    }

    fn sharpe_at_double_costs(&self) -> Measure {
        self.if_sharpe(|| match self.run.costs == Costs::default() {
            true => Measure::Undefined(Cause::CostsNotCharged),
            false => self.robustness.at_double_costs(),
        })
    }

    fn break_even_bps(&self) -> Measure {
        self.robustness.break_even_bps
    }

    fn sharpe_without_a_symbol(&self) -> Measure {
        self.if_sharpe(|| self.robustness.without_a_symbol())
    }

    fn sharpe_without_a_year(&self) -> Measure {
        self.if_sharpe(|| self.robustness.without_a_year())
    }

    fn sharpe_in_worst_regime(&self) -> Measure {
        self.if_sharpe(|| self.robustness.in_worst_regime())
    }

    fn sharpe_of_neighbours(&self) -> Measure {
        self.if_sharpe(|| self.robustness.of_neighbours())
    }
}

fn measure(value: Option<f64>, missing: Cause, not_finite: Cause) -> Measure {
    value.map_or(Measure::Undefined(missing), |v| Measure::new(v, not_finite))
}

/// What a history of this length can show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Power {
    /// In a sentence.
    pub statement: String,
    /// Smallest change of the Sharpe ratio, a year, seen with 80 % at 95 % confidence.
    pub detectable_sharpe: Measure,
    /// Sessions that the Sharpe ratio seen needs to be above 0 at 95 %.
    pub min_track_record: Measure,
    /// Sharpe ratio, a year, that the best of the ledger's trials shows by luck over these sessions.
    pub sharpe_by_luck: Measure,
    /// Years of data below which the best of the trials looks this good by luck.
    pub min_backtest_years: Measure,
}

/// The power in a sentence: the smallest change seen, and the sessions that the Sharpe ratio needs.
fn statement(sessions: usize, detectable: Option<f64>, needed: Option<f64>) -> String {
    let seen = detectable
        .map_or("no Sharpe change at all".to_owned(), |d| format!("a Sharpe change of at least {d:.2} a year"));
    let record = match needed {
        Some(needed) if needed <= sessions as f64 => {
            let spare = sessions as f64 - needed.ceil();
            format!("MinTRL is {:.0} sessions, {spare:.0} fewer than there are", needed.ceil())
        }
        Some(needed) => format!("MinTRL is {:.0} sessions short", needed.ceil() - sessions as f64),
        None => "no length of history would show such a Sharpe ratio to be above 0".to_owned(),
    };
    format!("with {sessions} sessions the gate can see {seen} at 80 %; {record}")
}
