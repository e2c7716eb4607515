//! What a strategy is compared with: equal amounts of all its symbols, bought and held.

use super::sums::{mean, sum};
use crate::bar::Date;
use crate::history::{Action, History, SessionBars};

/// What a strategy is compared with: its worth at each session, and what beta needs of it.
#[derive(Clone, Debug, Default)]
pub struct Benchmark {
    pub(super) total_return: Option<f64>,
    /// Each return less their mean.
    pub(super) deviations: Vec<f64>,
    /// Sum of their squares.
    pub(super) squares: f64,
}

impl Benchmark {
    /// From the benchmark's worth at each of its sessions.
    pub fn new(worth: &[f64]) -> Self {
        let returns = simple_returns(worth);
        let centre = mean(&returns);
        let deviations: Vec<f64> = returns.iter().map(|m| m - centre).collect();
        let squares = sum(deviations.iter().map(|d| d * d));
        let total_return = match worth {
            [first, .., last] => Some(last / first - 1.0),
            _ => None,
        };
        Self { total_return, deviations, squares }
    }
}

pub(super) fn simple_returns(worth: &[f64]) -> Vec<f64> {
    worth.windows(2).map(|w| w[1] / w[0] - 1.0).collect()
}

/// Worth of equal amounts of each history bought at its first close in `from..=to`, at each session of any of them:
/// with what was split, paid and lost since. Dividends are kept as cash.
pub fn buy_and_hold(histories: &[&History<'_>], from: Date, to: Date) -> Vec<f64> {
    let closes: Vec<Vec<(Date, f64)>> = histories.iter().map(|history| worth_of_a_share(history, from, to)).collect();
    let mut dates: Vec<Date> = closes.iter().flatten().map(|c| c.0).collect();
    dates.sort_unstable();
    dates.dedup();
    let mut at = vec![0; closes.len()];
    let worth = |date: Date, at: &mut [usize]| {
        let mut total = 0.0;
        for (closes, at) in closes.iter().zip(at) {
            while *at + 1 < closes.len() && closes[*at + 1].0 <= date {
                *at += 1;
            }
            let bought = closes.first().is_some_and(|c| c.0 <= date);
            total += if bought { closes[*at].1 / closes[0].1 } else { 1.0 };
        }
        total
    };
    dates.into_iter().map(|date| worth(date, &mut at)).collect()
}

/// One share of the last day, bought at the first close: its price at each session, and what it has paid since.
fn worth_of_a_share(history: &History<'_>, from: Date, to: Date) -> Vec<(Date, f64)> {
    let sessions = &history.sessions()[history.sessions_between(from, to)];
    let (Some(first), Some(last)) = (sessions.first(), sessions.last()) else { return Vec::new() };
    let (bought, end) = (first.session.date, last.session.date);
    let dividend = |(on, action): &(Date, Action)| match action {
        Action::Dividend(amount) => Some((*on, amount / history.shares_of_one(*on) / history.later_splits(*on))),
        Action::Split(_) => None,
    };
    let mut dividends = history.actions().iter().filter_map(dividend).filter(|(on, _)| *on > bought).peekable();
    let mut paid = 0.0;
    let worth = |s: &SessionBars| {
        let (date, bars) = (s.session.date, history.session_bars(s));
        while let Some((_, amount)) = dividends.next_if(|(on, _)| *on <= date) {
            paid += amount;
        }
        let lost = history.haircut_by(to).filter(|_| date == end).unwrap_or(0.0);
        let close = bars.close()[bars.len() - 1] / history.later_splits(date) * (1.0 - lost);
        (date, close + paid)
    };
    sessions.iter().map(worth).collect()
}
