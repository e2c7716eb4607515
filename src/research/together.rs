//! All symbols at one common setting: accounts of a point added up.

use super::equity::{Kept, whole};
use super::market::Scope;
use super::sweepable::{Row, Sweepable};
use crate::bar::Date;
use crate::calendar;
use crate::metrics::{Benchmark, Cause, Measure, Metrics, Outcome, Tally, Trading};

/// Figures of several accounts that can be had from their equity and their own figures.
pub(super) const FIGURES: [&str; 20] = [
    "sharpe",
    "sortino",
    "total_return",
    "cagr",
    "calmar",
    "max_drawdown",
    "longest_drawdown_days",
    "volatility",
    "trades",
    "win_rate",
    "profit_factor",
    "avg_trade_pnl",
    "worst_day",
    "best_day",
    "final_equity",
    "gross_win",
    "gross_loss",
    "avg_win",
    "avg_loss",
    "sessions",
];

/// Equity values that are kept for it unasked: up to so many, the accounts of a small sweep are added up.
const UNASKED: u64 = 50_000_000;
/// Equity values held at once.
const AT_ONCE: u64 = 4_000_000;

/// Equity values of all accounts at one point.
fn values_a_point(strategy: &dyn Sweepable) -> u64 {
    let (start, end) = strategy.market().period();
    let sessions =
        strategy.market().calendar().sessions(start.max(calendar::FIRST), end.min(calendar::LAST)).count() as u64;
    (sessions * strategy.market().len() as u64).max(1)
}

/// Whether a sweep of so many points adds its accounts up: if it has several, and it is asked for or cheap.
pub(super) fn adds_up(strategy: &dyn Sweepable, points: usize, asked: bool) -> bool {
    let several = strategy.scope() == Scope::Single && strategy.market().len() > 1;
    several && (asked || values_a_point(strategy).saturating_mul(points as u64) <= UNASKED)
}

/// So many points' equity is held at once.
pub(super) fn points_at_once(strategy: &dyn Sweepable) -> usize {
    (AT_ONCE / values_a_point(strategy)).max(1) as usize
}

/// A row a point: the account's capital and the profits of all symbols, in the order of the symbols. `kept` has the
/// equity of all accounts of all points, `rows` their figures, both in the order of points.
pub(super) fn rows(strategy: &dyn Sweepable, points: &[u64], rows: &[Row], kept: &[Kept]) -> Vec<Row> {
    let accounts = rows.chunk_by(|a, b| a.point == b.point);
    let equity = kept.chunk_by(|a, b| a.point == b.point);
    let per_year = strategy.market().returns_per_year();
    accounts
        .zip(equity)
        .map(|(rows, kept)| row(strategy.capital(points[rows[0].point]), per_year, rows, kept))
        .collect()
}

fn row(capital: f64, per_year: f64, rows: &[Row], kept: &[Kept]) -> Row {
    let (dates, equity): (Vec<Date>, Vec<f64>) = whole(capital, kept).equity.into_iter().unzip();
    let tally = Tally::default();
    let outcome = Outcome { capital, dates: &dates, equity: &equity, per_year, tally, bars: 0, bars_held: 0 };
    let metrics = with_trades(Metrics::of(&outcome, &Benchmark::default()), rows);
    let trading = rows.iter().fold(Trading::default(), |all, row| all.and(&row.trading));
    Row { point: rows[0].point, symbol: None, metrics, trading, added_up: true }
}

/// The trades of all accounts, by their own figures.
fn with_trades(metrics: Metrics, rows: &[Row]) -> Metrics {
    let sum = |of: fn(&Metrics) -> f64| rows.iter().fold(0.0, |sum, row| sum + of(&row.metrics));
    let trades: u64 = rows.iter().map(|row| row.metrics.trades).sum();
    let wins = sum(|m| m.win_rate.value().map_or(0.0, |rate| (rate * m.trades as f64).round()));
    let (gross_win, gross_loss) = (sum(|m| m.gross_win), sum(|m| m.gross_loss));
    let ratio = |part: f64, whole: f64, otherwise| Measure::new(part / whole, otherwise);
    let count = trades as f64;
    Metrics {
        trades,
        win_rate: ratio(wins, count, Cause::NoTrades),
        gross_win,
        gross_loss,
        profit_factor: ratio(gross_win, gross_loss, Cause::NoLosingTrade),
        avg_trade_pnl: ratio(gross_win - gross_loss, count, Cause::NoTrades),
        avg_win: ratio(gross_win, wins, Cause::NoWinningTrade),
        avg_loss: ratio(-gross_loss, count - wins, Cause::NoLosingTrade),
        ..metrics
    }
}

#[cfg(test)]
mod tests {
    use super::FIGURES;

    #[test]
    fn figures_of_accounts_added_up_are_figures() {
        for name in FIGURES {
            assert!(crate::metrics::figure(name).is_some(), "{name}");
        }
    }
}
