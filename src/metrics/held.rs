//! The figures of what a strategy is compared with, by the definitions that hold for the strategy itself.

use serde::Serialize;

use super::benchmark::Benchmark;
use super::measure::Measure;
use super::summary::{Metrics, Outcome};
use super::trades::Tally;
use crate::bar::Date;
use crate::replay::Replay;

/// What buying and holding was worth over the sessions of a replay. On the first session, at whose close it is bought,
/// it returns 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Held {
    /// As [`Metrics::total_return`].
    pub total_return: Measure,
    /// As [`Metrics::cagr`].
    pub cagr: Measure,
    /// As [`Metrics::sharpe`].
    pub sharpe: Measure,
    /// As [`Metrics::sortino`].
    pub sortino: Measure,
    /// As [`Metrics::volatility`].
    pub volatility: Measure,
    /// As [`Metrics::max_drawdown`].
    pub max_drawdown: Measure,
    /// As [`Metrics::longest_drawdown_days`].
    pub longest_drawdown_days: u64,
    /// As [`Metrics::calmar`].
    pub calmar: Measure,
    /// As [`Metrics::best_day`].
    pub best_day: Measure,
    /// As [`Metrics::worst_day`].
    pub worst_day: Measure,
}

impl Held {
    /// From the benchmark's worth at each session of a replay.
    pub fn new(replay: &Replay, worth: &[f64]) -> Self {
        let dates: Vec<Date> = replay.equity.iter().map(|e| e.0).collect();
        let capital = worth.first().copied().unwrap_or(0.0);
        let tally = Tally::default();
        let per_year = replay.returns_per_year;
        let outcome = Outcome { capital, dates: &dates, equity: worth, per_year, tally, bars: 0, bars_held: 0 };
        let m = Metrics::of(&outcome, &Benchmark::default());
        Self {
            // As the strategy's figures have it: of one session there is none.
            total_return: Metrics::against(replay, &Benchmark::new(worth)).benchmark_return,
            cagr: m.cagr,
            sharpe: m.sharpe,
            sortino: m.sortino,
            volatility: m.volatility,
            max_drawdown: m.max_drawdown,
            longest_drawdown_days: m.longest_drawdown_days,
            calmar: m.calmar,
            best_day: m.best_day,
            worst_day: m.worst_day,
        }
    }
}
