//! Figures of luck, resampling and changed replays, and what a history of this length can show.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Check, Group};
use super::criteria::Answers;
use super::luck::Luck;
use super::robustness::Robustness;
use super::skill::Skill;
use super::walked::Walked;
use crate::config::{GateFigures, ROBUSTNESS, STATISTICS};
use crate::costs::Costs;
use crate::metrics::{Cause, Measure, PROFILE};
use crate::research::backtest::Run;
use crate::stats::sharpe::LongRun;
use crate::stats::{Moments, monte_carlo, sharpe, trials as luck_of};

/// Confidence and power of the power statement.
const CONFIDENCE: f64 = 0.95;
const POWER: f64 = 0.80;
/// Sessions from which `gate selftest --seeds` measures the level of PSR.
const STATED_FROM: usize = 252;
/// Skewness below which losses are rarer and larger than gains.
const SKEWED: f64 = -0.5;
/// Resamples of the sessions for the drawdown.
const SHUFFLES: usize = 1_000;

/// What the gate's figures are made of.
pub(super) struct Evidence<'e> {
    pub(super) luck: &'e Luck,
    /// The worst walk-forward of the same symbols, or why there is none.
    pub(super) walked: &'e std::result::Result<Walked, Cause>,
    pub(super) skill: &'e Skill,
    pub(super) robustness: &'e Robustness,
    pub(super) returns: &'e [f64],
    /// Its Sharpe ratio, if the returns vary.
    pub(super) sharpe: Option<LongRun>,
    /// Mean length of a block of sessions that is drawn again.
    pub(super) block: f64,
    pub(super) run: &'e Run,
    pub(super) seed: u64,
}

impl Evidence<'_> {
    /// The criteria on them.
    pub(super) fn answer(&self, answers: &mut Answers<'_>) {
        for criterion in PROFILE {
            if let Some(&levels) = answers.criteria.get(criterion.name) {
                answers.checks.push(Check::new(
                    criterion.name,
                    Group::Point,
                    (criterion.of)(&self.run.profile),
                    levels,
                ));
            }
        }
        for (group, table) in [(Group::Statistics, STATISTICS), (Group::Robustness, ROBUSTNESS)] {
            for criterion in table {
                if let Some(&levels) = answers.criteria.get(criterion.name) {
                    answers.checks.push(Check::new(criterion.name, group, (criterion.of)(self), levels));
                }
            }
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

    /// Probability that the true Sharpe ratio is above a hurdle, by the long-run variance.
    fn above(&self, hurdle: Option<f64>) -> Measure {
        let probability = || self.sharpe.as_ref()?.probability_above(hurdle?);
        self.if_sharpe(|| measure(probability(), Cause::ReturnsDoNotVary, Cause::NoFiniteValue))
    }

    /// The same as published, for independent returns.
    fn published_above(&self, hurdle: Option<f64>) -> Measure {
        let probability = || sharpe::probabilistic(&Moments::of(self.returns)?, hurdle?);
        self.if_sharpe(|| measure(probability(), Cause::ReturnsDoNotVary, Cause::NoFiniteValue))
    }

    /// Where PSR and DSR hold their level less well than they state.
    fn caveat(&self) -> String {
        let traded = self.returns.iter().filter(|r| **r != 0.0).count();
        let skewed = Moments::of(self.returns).is_some_and(|m| m.skewness < SKEWED);
        let mut text = String::new();
        if self.returns.len() < STATED_FROM {
            text += &format!("; of fewer than {STATED_FROM} sessions no level of psr and dsr is stated");
        }
        if traded < STATED_FROM / 2 && skewed {
            text += &format!(
                "; {traded} sessions in the market with rare large losses: chance passes psr and dsr more often than they state"
            );
        }
        text
    }

    /// What this history can show.
    pub(super) fn power(&self) -> Power {
        let long_run = self.sharpe.as_ref();
        let sessions = self.returns.len();
        let year = self.run.replay.returns_per_year.sqrt();
        let detectable = long_run.and_then(|s| sharpe::detectable(s.standard_error(), CONFIDENCE, POWER));
        let detectable = detectable.map(|d| d * year);
        let needed = long_run.and_then(|s| s.min_track_record_length(0.0, CONFIDENCE));
        let annual = long_run.map(|s| s.sharpe * year);
        let years = annual.filter(|s| *s > 0.0).and_then(|s| luck_of::min_backtest_length(self.luck.n_effective, s));
        let by_luck = self.luck.sharpe_over(sessions).map(|s| s * year);
        let either = |value, why| measure(value, why, why);
        Power {
            statement: statement(sessions, detectable, needed) + &self.caveat(),
            detectable_sharpe: either(detectable, Cause::ReturnsDoNotVary),
            min_track_record: either(needed, Cause::NotAboveZero),
            sharpe_by_luck: either(by_luck, Cause::NoTrials),
            min_backtest_years: either(years, Cause::NotAboveZero),
            psr_published: self.published_above(Some(0.0)),
            dsr_published: self.published_above(self.luck.sharpe_over(sessions)),
        }
    }
}

impl GateFigures for Evidence<'_> {
    fn psr(&self) -> Measure {
        self.above(Some(0.0))
    }

    fn dsr(&self) -> Measure {
        self.above(self.luck.sharpe_over(self.returns.len()))
    }

    fn pbo(&self) -> Measure {
        self.luck.pbo
    }

    fn shuffled_drawdown(&self) -> Measure {
        if self.run.metrics.trades == 0 {
            return Measure::Undefined(Cause::NoTrades);
        }
        let paths = monte_carlo::bootstrapped(self.returns, self.block, SHUFFLES, self.seed);
        measure(paths.and_then(|p| p.drawdown(CONFIDENCE)), Cause::NoFiniteDrawdown, Cause::NoFiniteDrawdown)
    }

    fn timing_p(&self) -> Measure {
        self.skill.timing.together
    }

    fn alpha_t(&self) -> Measure {
        self.skill.own.alpha_t
    }

    fn market_alpha_t(&self) -> Measure {
        self.skill.market.as_ref().map_or(Measure::Undefined(Cause::NoMarket), |market| market.alpha_t)
    }

    fn sharpe_over_holding(&self) -> Measure {
        self.skill.own.sharpe_difference_lower
    }

    fn walk_forward_sharpe(&self) -> Measure {
        self.walked.as_ref().map_or_else(|cause| Measure::Undefined(*cause), Walked::sharpe)
    }

    fn walk_forward_return(&self) -> Measure {
        self.walked.as_ref().map_or_else(|cause| Measure::Undefined(*cause), Walked::total_return)
    }

    fn spa_p(&self) -> Measure {
        self.skill.spa.p
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
    /// Smallest distance of a true Sharpe ratio, a year, from a constant such as 0 that 95 % confidence shows with 80 %
    /// probability, autocorrelation allowed for.
    pub detectable_sharpe: Measure,
    /// Sessions that the Sharpe ratio seen needs to be above 0 at 95 %.
    pub min_track_record: Measure,
    /// Sharpe ratio, a year, that the best of the ledger's trials shows by luck over these sessions.
    pub sharpe_by_luck: Measure,
    /// Years of data below which the best of the trials looks this good by luck.
    pub min_backtest_years: Measure,
    /// Probabilistic Sharpe ratio as published, which takes returns as independent.
    pub psr_published: Measure,
    /// Deflated Sharpe ratio as published.
    pub dsr_published: Measure,
}

/// The power in a sentence: the smallest distance seen, and the sessions that the Sharpe ratio needs.
fn statement(sessions: usize, detectable: Option<f64>, needed: Option<f64>) -> String {
    let seen = detectable.map_or("no Sharpe ratio".to_owned(), |d| format!("a Sharpe ratio of {d:.2} a year"));
    let record = match needed {
        Some(needed) if needed <= sessions as f64 => {
            let spare = sessions as f64 - needed.ceil();
            format!("MinTRL is {:.0} sessions, {spare:.0} fewer than there are", needed.ceil())
        }
        Some(needed) => format!("MinTRL is {:.0} sessions short", needed.ceil() - sessions as f64),
        None => "no length of history would show such a Sharpe ratio to be above 0".to_owned(),
    };
    format!("{sessions} sessions tell {seen} from 0 with 80 % probability, autocorrelation allowed for; {record}")
}
