//! Verdicts that are made up, for tests: every field takes every kind of value that it can.

use std::path::PathBuf;

use rand::{Rng, RngExt};
use serde_json::json;

use super::causality::Causality;
use super::check::{Acknowledgement, Check, Group, Status};
use super::comparison::Comparison;
use super::evidence::Power;
use super::luck::Luck;
use super::robustness::{AtCosts, LeftOut, Neighbour, Regime, Robustness};
use super::subject::Subject;
use super::verdict::{DataFinding, Expectation, PeriodVerdict, Refusal, StrategyVerdict, Verdict};
use crate::bar::{Date, Symbol};
use crate::config::{Levels, Period};
use crate::finding::Severity;
use crate::metrics::{Benchmark, Cause, Measure, Metrics, Outcome, Tally};
use crate::stats::bootstrap::stream;

/// A verdict of two or three strategies, the same for the same seed.
pub(crate) fn verdict(seed: u64) -> Verdict {
    let mut random = Random(stream(seed, "verdict", 0));
    let names = ["bear_trap", "daily_trend", "hourly_swing"];
    let count = 2 + random.index(2);
    Verdict::new(names[..count].iter().map(|name| random.strategy(name)).collect())
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

    fn status(&mut self) -> Status {
        self.pick(&[Status::Pass, Status::Warn, Status::Inconclusive, Status::Fail, Status::Error])
    }

    fn strategy(&mut self, name: &str) -> StrategyVerdict {
        let judged = self.flag();
        let subject =
            Subject::new(self.text(), "config", "manifest", &json!({"criteria": self.number()}), self.count());
        let verdict = StrategyVerdict {
            strategy: name.to_owned(),
            config: PathBuf::from(format!("configs/{name}.json")),
            digest: String::new(),
            baseline_sha256: self.maybe(Self::text),
            subject: judged.then_some(subject),
            status: self.status(),
            synthetic: self.flag(),
            ledger: self.maybe(Self::luck),
            periods: self.some(Self::period),
            acknowledgements: self.some(Self::acknowledgement),
            error: (!judged).then(|| self.refusal()),
        };
        StrategyVerdict { digest: verdict.hash(), ..verdict }
    }

    fn refusal(&mut self) -> Refusal {
        Refusal { code: self.text(), message: self.text(), help: self.text(), exit_code: self.pick(&[2, 3, 8]) }
    }

    fn luck(&mut self) -> Luck {
        Luck {
            n: self.count(),
            n_without_returns: self.count(),
            n_effective: self.number(),
            correlation: self.maybe(Self::number),
            dispersion: self.maybe(Self::number),
            pbo: self.measure(),
            sweeps: self.size(),
            dropped: self.some(Self::symbol),
            heads: self.some(Self::text),
        }
    }

    fn acknowledgement(&mut self) -> Acknowledgement {
        Acknowledgement {
            check: self.text(),
            period: self.text(),
            config_sha256: self.text(),
            who: self.text(),
            why: self.text(),
            accepted: self.date(),
            expires: self.date(),
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
        Check {
            metric: self.pick(&["sharpe", "pbo", "data_errors"]).to_owned(),
            group: self.pick(&[&groups[..], &[Group::Selection, Group::Data]].concat()),
            value: self.measure(),
            estimate: self.maybe(Self::measure),
            bound: self.maybe(Self::text),
            levels: self.levels(),
            margin: self.maybe(Self::number),
            status: self.status(),
            acknowledged: self.maybe(Self::acknowledgement),
        }
    }

    fn power(&mut self) -> Power {
        Power {
            statement: self.text(),
            detectable_sharpe: self.measure(),
            min_track_record: self.measure(),
            sharpe_by_luck: self.measure(),
            min_backtest_years: self.measure(),
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
        }
    }

    fn left_out(&mut self) -> LeftOut {
        LeftOut { left_out: self.text(), total_return: self.measure(), sharpe: self.measure() }
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
            period: Period { name: self.text(), start_date: self.date(), end_date: self.date() },
            status: self.status(),
            checks: self.some(Self::check),
            power: self.power(),
            metrics: self.metrics(),
            baseline: self.comparison(),
            robustness: self.robustness(),
            causality: self.causality(),
            symbols: self.some(Self::symbol),
            provenance: self.some(Self::text),
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
