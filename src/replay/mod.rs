//! The loop: at a bar's open orders fill, at its close the strategies decide, then equity is marked.
//!
//! [`replay`] is the definition of a result. Whatever is faster gives the same bits: see "Six ways through a replay" in
//! ARCHITECTURE.md.

pub(crate) mod cursor;
mod inputs;
mod pass_over;
mod portfolio;
mod record;
mod skim;
mod symbol;
mod terms;
#[cfg(test)]
mod tests;

use crate::bar::{Date, Nanos};
use crate::error::Result;
use crate::history::History;
use crate::indicator::Columns;
use crate::strategy::Strategy;
use crate::uncounted::Uncounted;

pub use record::{Recorder, Replay};
pub use terms::{Instrument, Terms};

use portfolio::Portfolio;
use symbol::SymbolReplay;

/// Replays `instruments` on one account.
///
/// # Errors
/// Usage error for a symbol given twice; data error if no symbol has a bar in the period.
pub fn replay<S: Strategy, R: Recorder<S::Inputs>>(
    instruments: &[Instrument<'_, S>],
    terms: &Terms,
    recorder: &mut R,
) -> Result<Uncounted<Replay>> {
    Ok(Uncounted::new(run(Portfolio::rolling(instruments, terms)?, recorder)))
}

/// As [`replay`], with indicators computed before: each symbol comes with columns that hold its strategy's indicators,
/// so that many points of a sweep share one computation.
///
/// # Errors
/// As [`replay`].
///
/// # Panics
/// If a strategy's indicator is not among its columns.
pub fn replay_shared<S: Strategy, R: Recorder<S::Inputs>>(
    instruments: &[(&History<'_>, &Columns, S)],
    terms: &Terms,
    recorder: &mut R,
) -> Result<Uncounted<Replay>> {
    Ok(Uncounted::new(run(Portfolio::with_columns(instruments, terms)?, recorder)))
}

/// As [`replay_shared`], passing over the sessions in which a flat symbol has no bar that meets what its strategy needs
/// to buy ([`Strategy::needs`]).
pub(crate) fn replay_passing_over<S: Strategy>(
    instruments: &[(&History<'_>, &Columns, S)],
    terms: &Terms,
) -> Result<Replay> {
    let mut portfolio = Portfolio::with_columns(instruments, terms)?;
    portfolio.symbols.iter_mut().for_each(SymbolReplay::allow_passing_over);
    Ok(run(portfolio, &mut ()))
}

/// Session by session over the union of the symbols' dates.
fn run<S: Strategy, R: Recorder<S::Inputs>>(mut portfolio: Portfolio<'_, S>, recorder: &mut R) -> Replay {
    let mut equity: Vec<(Date, f64)> = Vec::new();
    while let Some(date) = portfolio.date_ahead() {
        let trading = portfolio.begin_session(date);
        match trading[..] {
            [] => {}
            [only] => run_alone(&mut portfolio, only, recorder),
            _ => run_together(&mut portfolio, &trading, recorder),
        }
        equity.push((date, portfolio.end_session(date, &trading)));
    }
    portfolio.into_replay(equity)
}

/// A session in which several symbols trade: at each bar start first all opens, then all closes, alphabetically.
fn run_together<S: Strategy, R: Recorder<S::Inputs>>(
    portfolio: &mut Portfolio<'_, S>,
    trading: &[usize],
    recorder: &mut R,
) {
    const DONE: Nanos = Nanos::MAX;
    let next = |symbol: &SymbolReplay<'_, S>| symbol.cursor.next_start().unwrap_or(DONE);
    let mut starts: Vec<Nanos> = trading.iter().map(|&i| next(&portfolio.symbols[i])).collect();
    while let Some(&start) = starts.iter().min().filter(|&&start| start != DONE) {
        for (&i, _) in trading.iter().zip(&starts).filter(|(_, at)| **at == start) {
            portfolio.symbols[i].fill(&mut portfolio.account);
        }
        let mut end = start;
        for (&i, at) in trading.iter().zip(&mut starts).filter(|(_, at)| **at == start) {
            end = portfolio.symbols[i].decide(&mut portfolio.account, recorder).1;
            *at = next(&portfolio.symbols[i]);
        }
        mark(portfolio, recorder, start, end);
    }
}

/// A session in which one symbol trades: nothing to merge, and quiet bars are skimmed.
fn run_alone<S: Strategy, R: Recorder<S::Inputs>>(portfolio: &mut Portfolio<'_, S>, only: usize, recorder: &mut R) {
    while portfolio.symbols[only].cursor.next_start().is_some() {
        // What is held has another worth on each bar: where marks are asked for, these aren't skimmed.
        let may_skim = !(R::BARS || (R::MARKS && portfolio.holds()));
        let before = if R::MARKS { portfolio.equity() } else { 0.0 };
        let (symbol, account) = (&mut portfolio.symbols[only], &mut portfolio.account);
        if may_skim && symbol.book.open_quietly() {
            let from = symbol.cursor.next();
            symbol.skim(account, recorder);
            if R::MARKS {
                let bars = symbol.cursor.next() - from;
                recorder.valued(bars as u64 - 1, before, 0.0);
                recorder.valued(1, portfolio.equity(), portfolio.held());
            }
            continue;
        }
        symbol.fill(account);
        let (start, end) = symbol.decide(account, recorder);
        mark(portfolio, recorder, start, end);
    }
}

/// Tells a recorder that asks for bars or marks what the account is worth.
#[inline(always)]
fn mark<S: Strategy, R: Recorder<S::Inputs>>(portfolio: &Portfolio<'_, S>, recorder: &mut R, start: Nanos, end: Nanos) {
    if R::BARS {
        recorder.marked(start, end, portfolio.equity());
    }
    if R::MARKS {
        recorder.valued(1, portfolio.equity(), portfolio.held());
    }
}
