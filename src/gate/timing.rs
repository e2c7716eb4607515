//! Whether the times at which a strategy was in the market matter: the same holding spells at other times.
//!
//! A strategy that is long most of the time in a rising market has a high Sharpe ratio without any skill. Its spells,
//! shifted together around a circle of the period's bars, keep how much it holds, for how long and which symbols at
//! once, and lose only when. `timing_p` is the share of shifts whose Sharpe ratio is as high as the unshifted one
//! (a randomisation test: Edgington & Onghena, Randomization Tests, 2007; shifted on a circle as in Politis & Romano,
//! A Circular Block-Resampling Procedure for Stationary Data, 1992). Both are worked out in the same way, from open to
//! open, with the dollars of each entry and without costs.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account::Fill;
use crate::bar::{Date, Nanos, Symbol};
use crate::error::Result;
use crate::metrics::{Cause, Measure, sharpe};
use crate::research::market::Market;

/// Most shifts that are tried; of a longer circle, so many, evenly spaced.
const SHIFTS: usize = 1_000;
/// Fewer sessions tell nothing.
const LEAST_SESSIONS: usize = 30;

/// How often the same holding spells at other times do as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// Share of shifts with a Sharpe ratio at least as high, all symbols shifted together; one-sided, the unshifted one
    /// counted in.
    pub together: Measure,
    /// The same of each symbol alone.
    pub by_symbol: Vec<SymbolTiming>,
    /// Shifts that were tried.
    pub shifts: usize,
}

/// One symbol's timing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SymbolTiming {
    /// The symbol.
    pub symbol: Symbol,
    /// Share of shifts with a Sharpe ratio at least as high.
    pub p: Measure,
}

impl Timing {
    /// Shifts the spells of `fills` over the period's bars.
    ///
    /// # Errors
    /// As [`Market::histories`].
    pub(super) fn of(market: &Market, fills: &[Fill], capital: f64) -> Result<Self> {
        let circle = Circle::of(market, fills)?;
        let dollars = |fill: &Fill| fill.shares * fill.entry_price / capital;
        let held: Vec<Vec<Spell>> = (circle.symbols.iter())
            .map(|symbol| {
                let own = fills.iter().filter(|fill| fill.symbol == *symbol);
                own.map(|fill| circle.spell(fill, dollars(fill))).collect()
            })
            .collect();
        let length = circle.starts.len();
        let shifts: Vec<usize> = match length.saturating_sub(1) {
            few if few <= SHIFTS => (1..length).collect(),
            _ => (1..=SHIFTS).map(|i| i * length / (SHIFTS + 1)).collect(),
        };
        let real = circle.sharpes(&held, 0);
        let shifted: Vec<Vec<Measure>> = shifts.par_iter().map(|&by| circle.sharpes(&held, by)).collect();
        let p = |i: usize| share_as_high(real[i], shifted.iter().map(|all| all[i]), circle.sessions());
        let by_symbol = circle.symbols.iter().enumerate().map(|(i, &symbol)| SymbolTiming { symbol, p: p(i) });
        Ok(Self { together: p(circle.symbols.len()), by_symbol: by_symbol.collect(), shifts: shifts.len() })
    }
}

/// The unshifted one counts as one of them, so that no share is 0.
fn share_as_high(real: Measure, shifted: impl Iterator<Item = Measure>, sessions: usize) -> Measure {
    let real = match real {
        _ if sessions < LEAST_SESSIONS => return Measure::Undefined(Cause::TooFewToResample),
        Measure::Defined(real) => real,
        undefined => return undefined,
    };
    let (mut as_high, mut all) = (1.0, 1.0);
    for other in shifted {
        // Spells that met bars without any move won nothing.
        as_high += f64::from(u8::from(other.value().unwrap_or(0.0) >= real));
        all += 1.0;
    }
    Measure::Defined(as_high / all)
}

/// Dollars held, as a share of the capital, over intervals `from..to` of the circle.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spell {
    from: usize,
    to: usize,
    share: f64,
}

/// The period's bar starts of all symbols, and what each symbol returned from one to the next.
struct Circle {
    symbols: Vec<Symbol>,
    /// Starts of bars, ascending, each once.
    starts: Vec<Nanos>,
    /// Where each session ends among the starts.
    session_ends: Vec<usize>,
    /// Of each symbol, sums of the returns of all intervals before each start, and of all.
    sums: Vec<Vec<f64>>,
    /// How many returns a year has.
    per_year: f64,
}

impl Circle {
    fn of(market: &Market, fills: &[Fill]) -> Result<Self> {
        let histories = market.histories()?;
        let (from, to) = market.period();
        let mut starts: Vec<(Date, Nanos)> = Vec::new();
        for history in &histories {
            for session in &history.sessions()[history.sessions_between(from, to)] {
                let bars = history.session_bars(session);
                starts.extend(bars.starts().iter().map(|&start| (session.session.date, start)));
            }
        }
        starts.sort_unstable_by_key(|s| s.1);
        starts.dedup_by_key(|s| s.1);
        let session_ends: Vec<usize> =
            (1..=starts.len()).filter(|&i| i == starts.len() || starts[i].0 != starts[i - 1].0).collect();
        let starts: Vec<Nanos> = starts.into_iter().map(|s| s.1).collect();
        let at = |time: Nanos| starts.partition_point(|&start| start < time);
        let session = |place: usize| session_ends.partition_point(|&end| end <= place);
        // Who is never in the market overnight doesn't win what happens overnight at other times either.
        let overnight = fills.iter().any(|fill| {
            let sold = at(fill.exited) - usize::from(fill.reason.is_liquidation());
            session(at(fill.entered)) != session(sold)
        });
        let mut sums = Vec::new();
        for history in &histories {
            let mut returns = vec![0.0; starts.len()];
            let mut before: Option<(usize, f64)> = None;
            for session in &history.sessions()[history.sessions_between(from, to)] {
                let bars = history.session_bars(session);
                // Raw prices jump at a split; adjusted ones don't.
                let adjust = history.later_splits(session.session.date);
                for at in 0..bars.len() {
                    let place = starts.partition_point(|&start| start < bars.start_at(at));
                    let open = bars.open()[at] / adjust;
                    if let Some((earlier, price)) = before {
                        returns[earlier] = open / price - 1.0;
                    }
                    before = Some((place, open));
                }
                let last = bars.len().checked_sub(1).map(|last| bars.close_at(last) / adjust);
                if let (Some((place, open)), Some(close)) = (before, last) {
                    returns[place] = close / open - 1.0;
                    // Overwritten by the next session's open, if the night counts.
                    before = before.filter(|_| overnight);
                }
            }
            let mut total = 0.0;
            let added = returns.into_iter().map(|rate| {
                total += rate;
                total
            });
            sums.push(std::iter::once(0.0).chain(added).collect());
        }
        let symbols = histories.iter().map(|history| history.symbol).collect();
        Ok(Self { symbols, starts, session_ends, sums, per_year: market.returns_per_year() })
    }

    fn sessions(&self) -> usize {
        self.session_ends.len()
    }

    /// A sale at an open ends the spell before its bar; a stop or a target inside a bar, or an end, after it.
    fn spell(&self, fill: &Fill, share: f64) -> Spell {
        let at = |time: Nanos| self.starts.partition_point(|&start| start < time);
        let from = at(fill.entered);
        let inside = usize::from(fill.reason.is_inside_a_bar());
        let to = (at(fill.exited) + inside).clamp(from + 1, self.starts.len().max(from + 1));
        Spell { from, to, share }
    }

    /// Sharpe ratios of session returns with all spells shifted: of each symbol, then of all together.
    fn sharpes(&self, held: &[Vec<Spell>], by: usize) -> Vec<Measure> {
        let mut together = vec![0.0; self.sessions()];
        let mut own = vec![0.0; self.sessions()];
        let mut all = Vec::with_capacity(held.len() + 1);
        for (spells, sums) in held.iter().zip(&self.sums) {
            own.fill(0.0);
            spells.iter().for_each(|spell| self.add(&mut own, spell, sums, by));
            together.iter_mut().zip(&own).for_each(|(total, rate)| *total += rate);
            all.push(sharpe(&own, self.per_year));
        }
        all.push(sharpe(&together, self.per_year));
        all
    }

    /// Adds what a shifted spell returned to each session.
    fn add(&self, sessions: &mut [f64], spell: &Spell, sums: &[f64], by: usize) {
        let length = self.starts.len();
        let from = (spell.from + by) % length;
        let to = from + (spell.to - spell.from);
        self.add_range(sessions, from, to.min(length), spell.share, sums);
        // On around the end.
        if to > length {
            self.add_range(sessions, 0, to - length, spell.share, sums);
        }
    }

    fn add_range(&self, sessions: &mut [f64], mut from: usize, to: usize, share: f64, sums: &[f64]) {
        let mut session = self.session_ends.partition_point(|&end| end <= from);
        while from < to {
            let end = self.session_ends[session].min(to);
            sessions[session] += share * (sums[end] - sums[from]);
            (from, session) = (end, session + 1);
        }
    }
}
