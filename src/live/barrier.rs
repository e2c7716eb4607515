//! Bars from a stream, gathered until those of one time are decided on together.
//!
//! A replay shows a strategy all bars with one start at once. A stream brings them one by one, late, twice, or not at
//! all. The barrier of a time closes when every symbol has reported, or when the grace after its end has passed. What
//! comes later is told apart and never decided on.

use std::collections::BTreeMap;

use crate::bar::{Bar, Nanos, Symbol};

/// What became of a bar that came in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// It waits for its barrier to close.
    Kept,
    /// The same bar was there already.
    Duplicate,
    /// It replaces another bar of this symbol and time, which nobody has decided on yet.
    Replaced,
    /// Its barrier has closed: it is recorded, and changes no decision.
    Late,
    /// Nobody asked for this symbol.
    Foreign,
}

/// All bars with one start that had come when the barrier closed.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// Start of the bars, nanoseconds UTC.
    pub start: Nanos,
    /// The bars, alphabetically.
    pub bars: Vec<(Symbol, Bar)>,
    /// Symbols without a bar, alphabetically.
    pub missing: Vec<Symbol>,
}

/// Gathers the bars of some symbols by their start.
#[derive(Clone, Debug)]
pub struct Barrier {
    /// Alphabetically.
    symbols: Vec<Symbol>,
    /// How long after its end a bar may come, nanoseconds.
    grace: Nanos,
    /// By start: the bars that have come, one place a symbol.
    open: BTreeMap<Nanos, Vec<Option<Bar>>>,
    /// Start of the last barrier that closed.
    closed: Nanos,
}

impl Barrier {
    /// Waits for these symbols' bars, each until so many nanoseconds after its end.
    pub fn new(symbols: impl IntoIterator<Item = Symbol>, grace: Nanos) -> Self {
        let mut symbols: Vec<Symbol> = symbols.into_iter().collect();
        symbols.sort_unstable();
        symbols.dedup();
        Self { symbols, grace: grace.max(0), open: BTreeMap::new(), closed: Nanos::MIN }
    }

    /// Bars that start at or before this time have been decided on elsewhere.
    pub fn close_to(&mut self, start: Nanos) {
        self.closed = self.closed.max(start);
        self.open.retain(|of, _| *of > start);
    }

    /// Start of the last barrier that closed.
    pub fn closed(&self) -> Nanos {
        self.closed
    }

    /// Whether a symbol's bar with this start waits.
    pub fn has(&self, symbol: Symbol, start: Nanos) -> bool {
        let place = self.symbols.binary_search(&symbol);
        place.is_ok_and(|place| self.open.get(&start).is_some_and(|waiting| waiting[place].is_some()))
    }

    /// Takes a bar that came in.
    pub fn take(&mut self, symbol: Symbol, bar: Bar) -> Arrival {
        let Ok(place) = self.symbols.binary_search(&symbol) else { return Arrival::Foreign };
        if bar.start <= self.closed {
            return Arrival::Late;
        }
        let waiting = self.open.entry(bar.start).or_insert_with(|| vec![None; self.symbols.len()]);
        match waiting[place].replace(bar) {
            None => Arrival::Kept,
            Some(before) if before == bar => Arrival::Duplicate,
            Some(_) => Arrival::Replaced,
        }
    }

    /// The oldest barrier, if it closes by `now`: because all of its bars are there, or its grace has passed. Ask again
    /// until there is none: barriers close in the order of time.
    pub fn close_by(&mut self, now: Nanos) -> Option<Closed> {
        let first = self.open.first_entry()?;
        let ends = first.get().iter().flatten().map(|bar| bar.end).max()?;
        let complete = first.get().iter().all(Option::is_some);
        if !complete && now < ends.saturating_add(self.grace) {
            return None;
        }
        let (start, came) = first.remove_entry();
        self.closed = start;
        let (mut bars, mut missing) = (Vec::new(), Vec::new());
        for (symbol, bar) in self.symbols.iter().zip(came) {
            match bar {
                Some(bar) => bars.push((*symbol, bar)),
                None => missing.push(*symbol),
            }
        }
        Some(Closed { start, bars, missing })
    }

    /// When the oldest barrier closes at the latest, if any bar waits.
    pub fn deadline(&self) -> Option<Nanos> {
        let (_, waiting) = self.open.first_key_value()?;
        let ends = waiting.iter().flatten().map(|bar| bar.end).max()?;
        Some(ends.saturating_add(self.grace))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::bar::{MINUTE, SECOND};

    fn symbol(i: usize) -> Symbol {
        ["AMC", "GME", "SPY"][i].parse().expect("a symbol")
    }

    fn bar(minute: i64, price: f64) -> Bar {
        let start = minute * MINUTE;
        Bar { start, end: start + MINUTE, open: price, high: price, low: price, close: price, volume: 1.0 }
    }

    fn barrier() -> Barrier {
        Barrier::new((0..3).map(symbol), 2 * SECOND)
    }

    #[test]
    fn a_barrier_closes_when_all_have_reported_or_its_grace_has_passed() {
        let mut of = barrier();
        assert_eq!(of.take(symbol(2), bar(1, 1.0)), Arrival::Kept);
        assert_eq!(of.take(symbol(0), bar(1, 2.0)), Arrival::Kept);
        assert_eq!(of.close_by(2 * MINUTE), None);
        assert_eq!(of.deadline(), Some(2 * MINUTE + 2 * SECOND));
        assert_eq!(of.take(symbol(1), bar(1, 3.0)), Arrival::Kept);
        let closed = of.close_by(2 * MINUTE).expect("all are there");
        assert_eq!(closed.bars.iter().map(|(s, _)| *s).collect::<Vec<_>>(), (0..3).map(symbol).collect::<Vec<_>>());
        assert_eq!(of.take(symbol(0), bar(2, 1.0)), Arrival::Kept);
        assert_eq!(of.close_by(3 * MINUTE + 2 * SECOND - 1), None);
        let closed = of.close_by(3 * MINUTE + 2 * SECOND).expect("the grace has passed");
        assert_eq!((closed.bars.len(), closed.missing), (1, vec![symbol(1), symbol(2)]));
    }

    #[test]
    fn what_comes_twice_late_or_unasked_is_told_apart() {
        let mut of = Barrier::new([symbol(0)], SECOND);
        assert_eq!(of.take(symbol(1), bar(1, 1.0)), Arrival::Foreign);
        of.take(symbol(0), bar(1, 1.0));
        assert_eq!(of.take(symbol(0), bar(1, 1.0)), Arrival::Duplicate);
        assert_eq!(of.take(symbol(0), bar(1, 2.0)), Arrival::Replaced);
        assert_eq!(of.close_by(0).expect("complete").bars[0].1.close, 2.0);
        assert_eq!(of.take(symbol(0), bar(1, 3.0)), Arrival::Late);
        of.close_to(5 * MINUTE);
        assert_eq!(of.take(symbol(0), bar(5, 3.0)), Arrival::Late);
        assert_eq!(of.take(symbol(0), bar(6, 3.0)), Arrival::Kept);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// In whatever order and however often bars come: each is decided on at most once, in the order of time, and all
        /// that come in time are decided on together.
        #[test]
        fn each_bar_is_decided_on_once_and_in_order(
            arrivals in prop::collection::vec((0usize..3, 0i64..20, any::<bool>()), 1..120),
        ) {
            let mut of = barrier();
            let (mut now, mut seen): (Nanos, Vec<Closed>) = (0, Vec::new());
            let mut kept = 0;
            for (who, minute, passes) in arrivals {
                if passes {
                    now += 20 * SECOND;
                }
                let late = seen.last().is_some_and(|closed| closed.start >= minute * MINUTE);
                let arrival = of.take(symbol(who), bar(minute, 1.0));
                prop_assert_eq!(arrival == Arrival::Late, late);
                kept += usize::from(arrival == Arrival::Kept);
                while let Some(closed) = of.close_by(now) {
                    prop_assert!(seen.last().is_none_or(|before| before.start < closed.start));
                    prop_assert_eq!(closed.bars.len() + closed.missing.len(), 3);
                    prop_assert!(closed.missing.is_empty() || now >= closed.start + MINUTE + 2 * SECOND);
                    seen.push(closed);
                }
            }
            while let Some(closed) = of.close_by(Nanos::MAX) {
                seen.push(closed);
            }
            prop_assert_eq!(seen.iter().map(|closed| closed.bars.len()).sum::<usize>(), kept);
            prop_assert_eq!(of.deadline(), None);
        }
    }
}
