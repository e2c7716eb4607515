//! Verdicts that are made up, for tests: every field takes every kind of value that it can.

use std::path::PathBuf;

use rand::{Rng, RngExt};
use serde_json::json;

use super::causality::Causality;
use super::changes::Changed;
use super::check::{Acknowledgement, Check, Group, Status};
use super::comparison::Comparison;
use super::evidence::Power;
use super::luck::Luck;
use super::policy::{Accepting, Holdout, KnownTrials, LeastComparison, Policy};
use super::robustness::{AtCosts, LeftOut, Neighbour, Regime, Robustness};
use super::skill::{Beside, Skill, Superior};
use super::subject::Subject;
use super::timing::{SymbolTiming, Timing};
use super::verdict::{DataFinding, Expectation, PeriodVerdict, Refusal, StrategyVerdict, Verdict};
use crate::bar::{Date, Symbol};
use crate::config::{Levels, Period};
use crate::finding::Severity;
use crate::metrics::{Benchmark, Cause, Measure, Metrics, Outcome, Profile, Tally};
use crate::stats::bootstrap::stream;

/// A verdict of two or three strategies, the same for the same seed.
pub(crate) fn verdict(seed: u64) -> Verdict {
    let mut random = Random(stream(seed, "verdict", 0));
    let names = ["bear_trap", "daily_trend", "hourly_swing"];
    let count = 2 + random.index(2);
    Verdict::new(names[..count].iter().map(|name| random.strategy(name)).collect())
}

const METRICS: [&str; 3] = ["sharpe", "pbo", "data_errors"];
const PERIODS: [&str; 2] = ["2018-2025", "later"];

/// A policy with every key.
pub(crate) fn policy() -> Policy {
    let level = |fail_below| Levels { fail_below: Some(fail_below), ..Levels::NONE };
    Policy {
        sessions_at_least_min_trl: true,
        costs_above_zero: true,
        criteria: [("psr".to_owned(), level(0.9)), ("dsr".to_owned(), level(0.9))].into(),
        baseline: LeastComparison { largest_sharpe_margin: 0.5, least_confidence: 0.9 },
        ledger: KnownTrials { heads: [("daily_trend".to_owned(), ["a".repeat(64)].into())].into() },
        holdout: Holdout { sessions: 0 },
        acknowledgements: Accepting { who: ["the risk desk".to_owned()].into(), longest_days: 30 },
    }
}

struct Random<R>(R);

impl<R: Rng> Random<R> {
    fn index(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }

    fn flag(&mut self) -> bool {
        self.index(2) == 1
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())].clone()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| make(self))
    }

    fn some<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.index(3)).map(|_| make(self)).collect()
    }

    /// Whole, fine, tiny, huge, negative.
    fn number(&mut self) -> f64 {
        let fine = self.0.random_range(-2.0..2.0);
        self.pick(&[0.0, -0.0, 1.0, 252.0, fine, fine * 1e-17, fine * 1e19, 0.1 + 0.2, f64::MIN_POSITIVE, 9e15])
    }

    fn count(&mut self) -> u64 {
        self.0.random_range(0..1 << 40)
    }

    fn size(&mut self) -> usize {
        self.index(1 << 20)
    }

    fn text(&mut self) -> String {
        self.pick(&["", "plain", "\"quoted\" \\ and\nlines\t", "größer als 1 €", "<b>&amp;</b>", "\u{1f600}\u{7}"])
            .to_owned()
    }

    fn date(&mut self) -> Date {
        Date(self.0.random_range(10_000..22_000))
    }

    fn symbol(&mut self) -> Symbol {
        self.pick(&["AMC", "BRK.B", "SPY"]).parse().expect("a symbol")
    }

    fn measure(&mut self) -> Measure {
        match self.flag() {
            true => Measure::Defined(self.number()),
            false => Measure::Undefined(self.pick(Cause::ALL)),
        }
    }

    fn strategy(&mut self, name: &str) -> StrategyVerdict {
        let judged = self.flag();
        let subject = Subject::new(name, self.text(), "config", "manifest", &json!({"criteria": self.number()}), None);
        let verdict = StrategyVerdict {
            strategy: name.to_owned(),
            config: PathBuf::from(format!("configs/{name}.json")),
            digest: String::new(),
            baseline_sha256: self.maybe(Self::text),
            policy: self.maybe(|_| policy()),
            changed: self.some(|r| Changed { path: r.text(), was: r.text(), is: r.text() }),
            subject: judged.then_some(subject),
            status: Status::Error,
            synthetic: false,
            ledger: self.maybe(Self::luck),
            periods: self.some(Self::period),
            acknowledgements: self.some(Self::acknowledgement),
            error: (!judged).then(|| self.refusal()),
        };
        let verdict = verdict.derived();
        StrategyVerdict { digest: verdict.hash(), ..verdict }
    }

    fn refusal(&mut self) -> Refusal {
        Refusal { code: self.text(), message: self.text(), help: self.text(), exit_code: self.pick(&[2, 3, 8]) }
    }

    fn luck(&mut self) -> Luck {
        Luck {
            n: self.count(),
            n_unknown: self.count(),
            n_effective: self.number(),
            correlation: self.maybe(Self::number),
            dispersion: self.maybe(Self::number),
            pbo: self.measure(),
            sweeps: self.size(),
            columns: self.size(),
            costs_only: self.size(),
            hardly_trade: self.size(),
            losing: self.size(),
            duplicates: self.size(),
            imported: self.some(Self::text),
            dropped: self.some(Self::symbol),
            heads: self.some(Self::text),
        }
    }

    fn acknowledgement(&mut self) -> Acknowledgement {
        let accepted = self.date();
        Acknowledgement {
            check: self.pick(&METRICS).to_owned(),
            period: self.pick(&PERIODS).to_owned(),
            config_sha256: self.pick(&["config", "another"]).to_owned(),
            who: self.pick(&["the risk desk", "somebody"]).to_owned(),
            why: "größer als 1 € \"quoted\"".to_owned(),
            accepted,
            expires: Date(accepted.0 + self.index(90) as i32),
            expired: self.flag(),
        }
    }

    fn levels(&mut self) -> Levels {
        Levels {
            fail_below: self.maybe(Self::number),
            warn_below: self.maybe(Self::number),
            fail_above: self.maybe(Self::number),
            warn_above: self.maybe(Self::number),
            confidence: self.maybe(Self::number),
        }
    }

    fn check(&mut self) -> Check {
        let groups = [Group::Point, Group::Statistics, Group::Baseline, Group::Robustness, Group::Causality];
        let more = [Group::Selection, Group::Data, Group::Policy, Group::Pending];
        Check {
            metric: self.pick(&METRICS).to_owned(),
            group: self.pick(&[&groups[..], &more].concat()),
            value: self.measure(),
            estimate: self.maybe(Self::measure),
            bound: self.maybe(Self::text),
            monte_carlo_error: self.maybe(Self::number),
            levels: self.levels(),
            opposite: self.maybe(Self::number),
            counted: self.some(Self::text),
            margin: None,
            status: Status::Error,
            acknowledged: None,
        }
    }

    fn power(&mut self) -> Power {
        Power {
            statement: self.text(),
            detectable_sharpe: self.measure(),
            min_track_record: self.measure(),
            sharpe_by_luck: self.measure(),
            min_backtest_years: self.measure(),
            psr_published: self.measure(),
            dsr_published: self.measure(),
        }
    }

    /// Of an account that was never in the market, with other figures here and there.
    fn metrics(&mut self) -> Metrics {
        let (dates, equity) = ([self.date()], [1_000.0]);
        let tally = Tally::default();
        let outcome =
            Outcome { capital: 1_000.0, dates: &dates, equity: &equity, per_year: 252.0, tally, bars: 0, bars_held: 0 };
        let metrics = Metrics::of(&outcome, &Benchmark::default());
        Metrics {
            final_equity: self.number(),
            sharpe: self.measure(),
            calmar: self.measure(),
            trades: self.count(),
            best_day: self.measure(),
            beta: self.measure(),
            ..metrics
        }
    }

    fn profile(&mut self) -> Profile {
        Profile {
            bar_drawdown: self.measure(),
            alpha: self.measure(),
            information_ratio: self.measure(),
            cvar: self.measure(),
            ulcer_index: self.measure(),
            time_under_water: self.measure(),
            gross_exposure: self.measure(),
            excess_sharpe: self.measure(),
            risk_free: self.text(),
        }
    }

    fn comparison(&mut self) -> Comparison {
        Comparison {
            how: self.text(),
            subject: self.maybe(Self::text),
            policy_differs: self.flag(),
            sessions: self.size(),
            correlation: self.maybe(Self::number),
            difference: self.maybe(Self::number),
            lower: self.maybe(Self::number),
            upper: self.maybe(Self::number),
            detectable_fall: self.maybe(Self::number),
            equal_passes: self.maybe(Self::number),
        }
    }

    fn left_out(&mut self) -> LeftOut {
        LeftOut { left_out: self.text(), total_return: self.measure(), sharpe: self.measure() }
    }

    fn beside(&mut self) -> Beside {
        Beside {
            held: self.text(),
            alpha: self.measure(),
            alpha_t: self.measure(),
            beta: self.measure(),
            sharpe_difference: self.measure(),
            sharpe_difference_lower: self.measure(),
        }
    }

    fn skill(&mut self) -> Skill {
        let timing = Timing {
            together: self.measure(),
            by_symbol: self.some(|r| SymbolTiming { symbol: r.symbol(), p: r.measure() }),
            shifts: self.size(),
        };
        let spa = Superior { p: self.measure(), columns: self.size() };
        Skill { timing, own: self.beside(), market: self.maybe(Self::beside), spa }
    }

    fn robustness(&mut self) -> Robustness {
        Robustness {
            cost_frontier: self.some(|r| AtCosts {
                multiple: r.number(),
                total_return: r.measure(),
                sharpe: r.measure(),
            }),
            break_even_bps: self.measure(),
            without_symbol: self.some(Self::left_out),
            without_year: self.some(Self::left_out),
            regimes: self.some(|r| Regime {
                name: r.text(),
                sessions: r.size(),
                total_return: r.measure(),
                sharpe: r.measure(),
            }),
            neighbours: self.some(|r| Neighbour { parameter: r.text(), step: r.text(), sharpe: r.measure() }),
        }
    }

    fn causality(&mut self) -> Causality {
        Causality {
            cuts: self.some(Self::text),
            decisions: self.size(),
            changed_by_cuts: self.size(),
            changed_by_seed: self.maybe(Self::size),
            seed_bars: self.maybe(Self::size),
        }
    }

    fn data_finding(&mut self) -> DataFinding {
        DataFinding {
            code: self.text(),
            severity: self.pick(&[Severity::Note, Severity::Warning, Severity::Error]),
            subject: self.text(),
            what: self.text(),
            help: self.text(),
        }
    }

    fn period(&mut self) -> PeriodVerdict {
        PeriodVerdict {
            period: Period { name: self.pick(&PERIODS).to_owned(), start_date: self.date(), end_date: self.date() },
            status: Status::Error,
            checks: self.some(Self::check),
            power: self.power(),
            metrics: self.metrics(),
            profile: self.profile(),
            baseline: self.comparison(),
            skill: self.skill(),
            robustness: self.robustness(),
            causality: self.causality(),
            symbols: self.some(Self::symbol),
            provenance: self.some(|r| r.pick(&["synthetic", "files"]).to_owned()),
            data_sha256: self.text(),
            slippage_bps: self.number(),
            gate_blocks: self.some(|r| (r.text(), r.count())),
            expectations: self.some(|r| Expectation { path: r.text(), expected: r.number(), value: r.measure() }),
            data_findings: self.some(Self::data_finding),
            seen: None,
            not_evaluable: self.some(Self::text),
            not_demanded: self.some(Self::text),
        }
    }
}
