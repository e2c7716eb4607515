//! The catalogue of figures: every name that results, rankings and criteria have for a figure of [`Metrics`].

use super::measure::Measure;
use super::summary::Metrics;

/// A figure of a replay.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub of: fn(&Metrics) -> Measure,
}

/// A figure that a criterion may name.
#[derive(Debug)]
pub struct Criterion {
    /// The figure.
    pub figure: Figure,
    /// Least and greatest value that a level can sensibly have. A level that no value can cross,
    /// such as a drawdown above 0, demands nothing.
    pub range: (f64, f64),
    /// What the number means.
    pub unit: &'static str,
    /// What is drawn again for its confidence bound; none, if it has no bound.
    pub resampled: Option<Resampled>,
}

/// What a confidence bound is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampled {
    /// Session returns, in blocks.
    Sessions,
    /// Trades, one by one.
    Trades,
}

/// Every figure, in the order of a sweep's results: those that a criterion may name, then the others.
pub fn figures() -> impl Iterator<Item = &'static Figure> {
    CRITERIA.iter().map(|c| &c.figure).chain(OTHERS)
}

/// The figure called `name`.
pub fn figure(name: &str) -> Option<&'static Figure> {
    figures().find(|figure| figure.name == name)
}

const fn criterion(
    name: &'static str,
    of: fn(&Metrics) -> Measure,
    range: (f64, f64),
    unit: &'static str,
    resampled: Option<Resampled>,
) -> Criterion {
    Criterion { figure: Figure { name, of }, range, unit, resampled }
}

const FRACTION: &str = "as a fraction, 0.1 being 10 %";

const SESSIONS: Option<Resampled> = Some(Resampled::Sessions);
const TRADES: Option<Resampled> = Some(Resampled::Trades);

/// The figures that a criterion may name.
pub const CRITERIA: &[Criterion] = &[
    criterion("sharpe", |m| m.sharpe, (-100.0, 100.0), "a year", SESSIONS),
    criterion("sortino", |m| m.sortino, (-1e3, 1e3), "a year", SESSIONS),
    criterion("total_return", |m| m.total_return, (-1.0, 1e3), FRACTION, SESSIONS),
    criterion("cagr", |m| m.cagr, (-1.0, 100.0), FRACTION, SESSIONS),
    criterion("calmar", |m| m.calmar, (-1e3, 1e3), "a year", SESSIONS),
    criterion("max_drawdown", |m| m.max_drawdown, (-1.0, 0.0), "as a negative fraction, -0.1 being 10 %", SESSIONS),
    criterion("longest_drawdown_days", |m| Measure::Defined(m.longest_drawdown_days as f64), (0.0, 1e5), "days", None),
    criterion("volatility", |m| m.volatility, (0.0, 100.0), FRACTION, SESSIONS),
    criterion("trades", |m| Measure::Defined(m.trades as f64), (0.0, 1e9), "trades", None),
    criterion("win_rate", |m| m.win_rate, (0.0, 1.0), FRACTION, TRADES),
    criterion("profit_factor", |m| m.profit_factor, (0.0, 1e6), "dollars won a dollar lost", TRADES),
    criterion("expectancy_ret", |m| m.expectancy_ret, (-1.0, 100.0), FRACTION, TRADES),
    criterion("avg_trade_pnl", |m| m.avg_trade_pnl, (-1e9, 1e9), "dollars", TRADES),
    criterion("exposure", |m| m.exposure, (0.0, 1.0), FRACTION, None),
    criterion("turnover", |m| m.turnover, (0.0, 1e6), "times equity a year", None),
    criterion("worst_day", |m| m.worst_day, (-1.0, 10.0), FRACTION, None),
    criterion("best_day", |m| m.best_day, (-1.0, 10.0), FRACTION, None),
    criterion(
        "max_consecutive_losses",
        |m| Measure::Defined(m.max_consecutive_losses as f64),
        (0.0, 1e6),
        "trades",
        None,
    ),
    criterion("beta", |m| m.beta, (-100.0, 100.0), "times the benchmark", None),
];

/// The other figures.
const OTHERS: &[Figure] = &[
    Figure { name: "final_equity", of: |m| Measure::Defined(m.final_equity) },
    Figure { name: "gross_win", of: |m| Measure::Defined(m.gross_win) },
    Figure { name: "gross_loss", of: |m| Measure::Defined(m.gross_loss) },
    Figure { name: "avg_win", of: |m| m.avg_win },
    Figure { name: "avg_loss", of: |m| m.avg_loss },
    Figure { name: "avg_holding_hours", of: |m| m.avg_holding_hours },
    Figure { name: "benchmark_return", of: |m| m.benchmark_return },
    Figure { name: "sessions", of: |m| Measure::Defined(m.sessions as f64) },
];
