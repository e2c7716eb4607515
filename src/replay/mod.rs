//! The loop: at a bar's open orders fill, at its close the strategies decide, then equity is marked.
//!
//! [`replay`] is the definition of a result. Whatever is faster gives the same bits: see "Six ways through a replay" in
//! ARCHITECTURE.md.

mod actions;
pub(crate) mod crossings;
pub(crate) mod cursor;
pub(crate) mod floor;
#[cfg(test)]
mod floor_tests;
mod inputs;
mod pass_over;
mod portfolio;
mod record;
mod skim;
mod symbol;
mod terms;
#[cfg(test)]
mod tests;

use crate::account::Book;
use crate::bar::{Date, Nanos};
use crate::error::Result;
use crate::history::History;
use crate::indicator::Columns;
use crate::strategy::Strategy;
use crate::uncounted::Uncounted;

pub use record::{Recorder, Replay};
pub use terms::{Instrument, Terms};

use crossings::Crossings;
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

/// As [`replay_shared`], passing over the bars of an idle symbol that don't meet what its strategy needs to order
/// ([`Strategy::needs`]). `crossings` say which bars meet the needs of many points, one for each instrument; without
/// them they are worked out.
pub(crate) fn replay_passing_over<S: Strategy>(
    instruments: &[(&History<'_>, &Columns, S)],
    crossings: Option<&[Crossings]>,
    terms: &Terms,
) -> Result<Replay> {
    let mut portfolio = Portfolio::with_columns(instruments, terms)?;
    // Fills depend on what all positions are worth at each bar, or on every close.
    if portfolio.account.is_margin() || terms.conditions.impact != 0.0 {
        return Ok(run(portfolio, &mut ()));
    }
    for (i, (history, columns, strategy)) in instruments.iter().enumerate() {
        let symbol = portfolio.symbols.iter_mut().find(|symbol| symbol.name() == history.symbol);
        symbol.into_iter().for_each(|symbol| symbol.pass_over(strategy, columns, crossings.map(|c| &c[i])));
    }
    Ok(run(portfolio, &mut ()))
}

/// Session by session over the union of the symbols' dates.
fn run<S: Strategy, R: Recorder<S::Inputs>>(mut portfolio: Portfolio<'_, S>, recorder: &mut R) -> Replay {
    let mut equity: Vec<(Date, f64)> = Vec::new();
    while let Some(date) = portfolio.date_ahead() {
        let trading = portfolio.begin_session(date);
        match trading[..] {
            [] => {}
            // What a margin account may trade depends on what all positions are worth at each bar.
            [only] if !portfolio.account.is_margin() => run_alone(&mut portfolio, only, recorder),
            _ => run_together(&mut portfolio, &trading, recorder),
        }
        equity.push((date, portfolio.end_session(date, &trading)));
    }
    portfolio.into_replay(equity)
}

/// A session in which several symbols trade: at each bar start all take each step together, alphabetically.
fn run_together<S: Strategy, R: Recorder<S::Inputs>>(
    portfolio: &mut Portfolio<'_, S>,
    trading: &[usize],
    recorder: &mut R,
) {
    const DONE: Nanos = Nanos::MAX;
    // Quiet bars of one symbol mean nothing to the others, unless somebody asks what all are worth at each bar.
    let sees_all = R::BARS || R::MARKS || portfolio.account.is_margin();
    let runs_ahead = !sees_all && portfolio.account.conditions().impact == 0.0;
    let next = |symbol: &mut SymbolReplay<'_, S>| {
        match runs_ahead {
            true => symbol.run_ahead(),
            false => symbol.go_on(),
        }
        symbol.cursor.next_start().unwrap_or(DONE)
    };
    let mut starts: Vec<Nanos> = trading.iter().map(|&i| next(&mut portfolio.symbols[i])).collect();
    while let Some(&start) = starts.iter().min().filter(|&&start| start != DONE) {
        let mut all_pass = !portfolio.account.is_margin();
        for (&i, _) in trading.iter().zip(&starts).filter(|(_, at)| **at == start) {
            all_pass &= portfolio.symbols[i].try_pass();
        }
        if !all_pass {
            let together = trading.iter().zip(&starts).filter(|(_, at)| **at == start).map(|(&i, _)| i);
            trade_together(portfolio, &together.collect::<Vec<_>>());
        }
        let mut end = start;
        for (&i, at) in trading.iter().zip(&mut starts).filter(|(_, at)| **at == start) {
            portfolio.symbols[i].decide(&mut portfolio.account);
            if R::BARS {
                end = portfolio.symbols[i].cursor.next_times().1;
            }
            end_bar(portfolio, i, recorder);
            *at = next(&mut portfolio.symbols[i]);
        }
        mark(portfolio, recorder, start, end);
    }
}

/// Open, inside and closing auction of one bar start, for the symbols that have a bar then.
#[inline(never)]
fn trade_together<S: Strategy>(portfolio: &mut Portfolio<'_, S>, together: &[usize]) {
    let (symbols, account) = (&mut portfolio.symbols, &mut portfolio.account);
    let marks = account.is_margin();
    if marks {
        together.iter().for_each(|&i| symbols[i].set_mark(account, |bar| bar.open));
    }
    for part in [Book::begin_bar, Book::open_reductions, Book::open_rest, Book::inside] {
        together.iter().for_each(|&i| symbols[i].part(account, part));
    }
    if marks {
        together.iter().for_each(|&i| symbols[i].set_mark(account, |bar| bar.close));
    }
    if together.iter().any(|&i| symbols[i].book.has_auction_orders()) {
        for part in [Book::auction_reductions, Book::auction_rest] {
            together.iter().for_each(|&i| symbols[i].part(account, part));
        }
    }
}

/// Hands a symbol's orders to its book and ends its bar.
#[inline(always)]
fn end_bar<S: Strategy, R: Recorder<S::Inputs>>(portfolio: &mut Portfolio<'_, S>, symbol: usize, recorder: &mut R) {
    if portfolio.symbols[symbol].orders.has_any() && portfolio.symbols[symbol].orders.size_by_equity() {
        portfolio.mark_all(symbol);
    }
    portfolio.symbols[symbol].end_bar(&mut portfolio.account, recorder);
}

/// A session in which one symbol trades: nothing to merge, and quiet bars are skimmed.
fn run_alone<S: Strategy, R: Recorder<S::Inputs>>(portfolio: &mut Portfolio<'_, S>, only: usize, recorder: &mut R) {
    loop {
        portfolio.symbols[only].go_on();
        if portfolio.symbols[only].cursor.next_start().is_none() {
            return;
        }
        // What is held has another worth on each bar: where marks are asked for, these aren't skimmed.
        let sees_all = R::BARS || (R::MARKS && portfolio.holds()) || portfolio.account.conditions().impact != 0.0;
        let before = if R::MARKS { portfolio.equity() } else { 0.0 };
        let (symbol, account) = (&mut portfolio.symbols[only], &mut portfolio.account);
        if !sees_all && !symbol.passes_over() && symbol.book.is_quiet() && symbol.try_pass() {
            let from = symbol.cursor.next();
            symbol.skim();
            end_bar(portfolio, only, recorder);
            if R::MARKS {
                let bars = portfolio.symbols[only].cursor.next() - from;
                recorder.valued(bars as u64 - 1, before, 0.0);
                recorder.valued(1, portfolio.equity(), portfolio.held());
            }
            continue;
        }
        symbol.fill(account);
        symbol.part(account, Book::hold_auction);
        symbol.decide(account);
        let (start, end) = if R::BARS { symbol.cursor.next_times() } else { Default::default() };
        end_bar(portfolio, only, recorder);
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
