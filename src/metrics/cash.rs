//! What entries left in cash: the replay checks no cash, so that a report must say where there was none.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bar::Nanos;
use crate::replay::Replay;

/// Cash of an account after its entries. On one bar, sales of older positions come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cash {
    /// Entries, each with all its sales.
    pub entries: u64,
    /// Entries that left less than nothing.
    pub below_zero: u64,
    /// The least that an entry left, dollars; the starting capital, if nothing was bought.
    pub lowest: f64,
    /// When that was: start of the bar of the entry, nanoseconds UTC.
    #[serde(skip)]
    pub lowest_at: Option<Nanos>,
    /// The first entry that left less than nothing.
    #[serde(skip)]
    pub first_at: Option<Nanos>,
}

/// What happens at one instant, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Sale,
    Entry,
    /// The sale of what was bought at the same instant.
    SaleAfterEntry,
}

impl Cash {
    /// From all sales of a replay, which is flat in the end.
    pub fn of(replay: &Replay) -> Self {
        let mut entries: BTreeMap<u32, (Nanos, f64)> = BTreeMap::new();
        let mut flows: Vec<(Nanos, Step, f64)> = Vec::with_capacity(2 * replay.fills.len());
        for fill in &replay.fills {
            // A short sale brings what its purchase takes away.
            let paid = fill.side.sign() as f64 * fill.shares * fill.entry_price;
            entries.entry(fill.trade).or_insert((fill.entered, 0.0)).1 += paid;
            let step = if fill.exited > fill.entered { Step::Sale } else { Step::SaleAfterEntry };
            flows.push((fill.exited, step, paid + fill.profit));
        }
        flows.extend(entries.into_values().map(|(entered, paid)| (entered, Step::Entry, -paid)));
        flows.sort_by_key(|&(at, step, _)| (at, step));
        let mut cash = Self { lowest: replay.capital, ..Self::default() };
        let mut left = replay.capital;
        for (at, step, dollars) in flows {
            left += dollars;
            if step != Step::Entry {
                continue;
            }
            cash.entries += 1;
            if left < cash.lowest {
                (cash.lowest, cash.lowest_at) = (left, Some(at));
            }
            if left < 0.0 {
                cash.below_zero += 1;
                cash.first_at.get_or_insert(at);
            }
        }
        cash
    }
}
