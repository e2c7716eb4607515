//! Figures of luck, resampling and changed replays, and what a history of this length can show.

use super::Answers;
use super::criteria::check;
use super::luck::Luck;
use super::robustness::Robustness;
use super::verdict::{Check, Group, Power, Status};
use crate::config::EVIDENCE;
use crate::metrics::{Measure, SESSIONS_PER_YEAR, round_trips};
use crate::research::backtest::Run;
use crate::stats::{Moments, bootstrap, monte_carlo, sharpe, trials as luck_of};

/// Confidence and power of the power statement.
const CONFIDENCE: f64 = 0.95;
const POWER: f64 = 0.80;
/// Orders of the trades that are tried for the drawdown.
const SHUFFLES: usize = 1_000;

/// What the figures of `EVIDENCE` are made of.
pub(super) struct Evidence<'e> {
    pub(super) luck: &'e Luck,
    pub(super) robustness: &'e Robustness,
    pub(super) returns: &'e [f64],
    pub(super) run: &'e Run,
    pub(super) seed: u64,
}

impl Evidence<'_> {
    /// The criteria on them. PBO without a sweep is not evaluable; whatever else is undefined fails.
    pub(super) fn answer(&self, answers: &mut Answers<'_>) {
        for evidence in EVIDENCE {
            let Some(&levels) = answers.criteria.get(evidence.name) else { continue };
            let group = match evidence.name {
                "psr" | "dsr" | "pbo" | "shuffled_drawdown" => Group::Statistics,
                _ => Group::Robustness,
            };
            match (evidence.name, self.figure(evidence.name)) {
                // Without a sweep there is nothing to overfit; one that kept nothing tells nothing.
                ("pbo", Measure::Undefined(why)) if !self.luck.swept_in_vain() => {
                    answers.not_evaluable.push(format!("pbo: {why}"));
                }
                ("pbo", value @ Measure::Undefined(_)) => {
                    answers.checks.push(Check { status: Status::Inconclusive, ..check("pbo", group, value, levels) });
                }
                (name, value) => answers.checks.push(check(name, group, value, levels)),
            }
        }
    }

    fn figure(&self, name: &str) -> Measure {
        let r = self.robustness;
        let of_sharpe = name.starts_with("sharpe") || name == "psr" || name == "dsr";
        // Ruined, or never in the market: no part of it has a Sharpe ratio either.
        if let (true, undefined @ Measure::Undefined(_)) = (of_sharpe, self.run.metrics.sharpe) {
            return undefined;
        }
        match name {
            "psr" => self.of_moments(|m| sharpe::probabilistic(m, 0.0)),
            "dsr" => self.of_moments(|m| sharpe::probabilistic(m, self.luck.sharpe_over(self.returns.len())?)),
            "pbo" => self.luck.pbo,
            "shuffled_drawdown" => self.shuffled_drawdown(),
            "sharpe_at_double_costs" => r.at_double_costs(),
            "break_even_bps" => r.break_even_bps,
            "sharpe_without_a_symbol" => r.without_a_symbol(),
            "sharpe_without_a_year" => r.without_a_year(),
            "sharpe_in_worst_regime" => r.in_worst_regime(),
            "sharpe_of_neighbours" => r.of_neighbours(),
            _ => Measure::Undefined("no such figure"),
        }
    }

    fn of_moments(&self, of: impl Fn(&Moments) -> Option<f64>) -> Measure {
        let value = Moments::of(self.returns).and_then(|m| of(&m));
        value.map_or(Measure::Undefined("the returns don't vary"), |v| Measure::new(v, "no finite value"))
    }

    /// The drawdown that one order of the trades in twenty exceeds.
    fn shuffled_drawdown(&self) -> Measure {
        let profits: Vec<f64> = round_trips(&self.run.replay.fills).iter().map(|t| t.profit).collect();
        let paths = monte_carlo::shuffled_trades(&profits, self.run.replay.capital, SHUFFLES, self.seed);
        let worst = paths.and_then(|p| bootstrap::quantile(&p.max_drawdown, 1.0 - CONFIDENCE));
        worst.map_or(Measure::Undefined("no trades"), |v| Measure::new(v, "no finite drawdown"))
    }

    /// What this history can show.
    pub(super) fn power(&self) -> Power {
        let moments = Moments::of(self.returns);
        let year = SESSIONS_PER_YEAR.sqrt();
        let error = moments.as_ref().and_then(sharpe::probabilistic_standard_error);
        let detectable = error.and_then(|e| sharpe::detectable(e, CONFIDENCE, POWER)).map(|d| d * year);
        let needed = moments.as_ref().and_then(|m| sharpe::min_track_record_length(m, 0.0, CONFIDENCE));
        let annual = moments.as_ref().and_then(Moments::sharpe).map(|s| s * year);
        let years = annual.filter(|s| *s > 0.0).and_then(|s| luck_of::min_backtest_length(self.luck.n_effective, s));
        let sessions = self.returns.len();
        let seen = detectable
            .map_or("no Sharpe change at all".to_owned(), |d| format!("a Sharpe change of at least {d:.2} a year"));
        let record = match needed {
            Some(needed) if needed <= sessions as f64 => {
                format!(
                    "MinTRL is {:.0} sessions, {:.0} fewer than there are",
                    needed.ceil(),
                    sessions as f64 - needed.ceil()
                )
            }
            Some(needed) => format!("MinTRL is {:.0} sessions short", needed.ceil() - sessions as f64),
            None => "no length of history would show such a Sharpe ratio to be above 0".to_owned(),
        };
        let by_luck = self.luck.sharpe_over(sessions).map(|s| s * year);
        let measure = |value: Option<f64>, why| value.map_or(Measure::Undefined(why), |v| Measure::new(v, why));
        Power {
            statement: format!("with {sessions} sessions the gate can see {seen} at 80 %; {record}"),
            detectable_sharpe: measure(detectable, "the returns don't vary"),
            min_track_record: measure(needed, "the Sharpe ratio isn't above 0"),
            sharpe_by_luck: measure(by_luck, "no trials"),
            min_backtest_years: measure(years, "the Sharpe ratio isn't above 0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_that_a_criterion_may_name_is_made() {
        let text = include_str!("evidence.rs");
        for evidence in EVIDENCE {
            assert!(text.contains(&format!("\"{}\" =>", evidence.name)), "{}", evidence.name);
        }
    }
}
