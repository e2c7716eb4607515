//! Which kept returns count as trials of their own.
//!
//! A probability of overfitting compares the point that was chosen with the median of all, so that points nobody would
//! choose make any choice look good; and a variance is small where most points are copies of each other. Set aside are,
//! in this order: trials that differ from another only in costs, capital or what is set aside for a position; those
//! that hardly trade; those whose returns are another's; and, for overfitting alone, those that lose for sure.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::Column;
use crate::stats::Moments;

/// A column that is in the market on fewer sessions than this tells nothing, if another is in it on twice as many.
const LEAST_TRADED: usize = 10;
/// Nor does one that is on fewer than this share of the sessions of the one that trades most.
const LEAST_SHARE: f64 = 0.05;
/// Columns with this correlation are one.
const SAME: f64 = 0.99;
/// t of the mean return below which a column loses for sure, 5 % one-sided.
const LOSES: f64 = -1.644_853_626_951_472_7;

/// The columns that count, and how many don't.
pub(super) struct Chosen {
    /// Returns of trials that trade, each behaviour once.
    pub(super) distinct: Vec<Vec<f64>>,
    /// Those of them that don't lose for sure.
    pub(super) worth_choosing: Vec<Vec<f64>>,
    pub(super) costs_only: usize,
    pub(super) hardly_trade: usize,
    pub(super) duplicates: usize,
    pub(super) losing: usize,
}

/// Of columns in the order of their identities: at most `most`, over as many sessions as the longest has. Of those that
/// differ in costs only, one at the candidate's costs counts, if there is one.
pub(super) fn choose(columns: &[&Column], own_costs: &BTreeSet<u128>, most: usize) -> Chosen {
    let mut chosen = Chosen {
        distinct: Vec::new(),
        worth_choosing: Vec::new(),
        costs_only: 0,
        hardly_trade: 0,
        duplicates: 0,
        losing: 0,
    };
    // A ruined point has no returns from there on, and is nobody's choice.
    let sound = columns.iter().filter(|c| c.returns.iter().all(|r| r.1.is_finite()));
    let longest = columns.iter().map(|c| c.returns.len()).max().unwrap_or(0);
    let alike: Vec<&&Column> = sound.filter(|c| c.returns.len() == longest).collect();
    let at_own_costs = |c: &Column| own_costs.contains(&c.costs());
    let mut by_behaviour: BTreeMap<u128, &Column> = BTreeMap::new();
    for column in &alike {
        let known = by_behaviour.entry(column.without_costs).or_insert(column);
        if at_own_costs(column) && !at_own_costs(known) {
            *known = column;
        }
    }
    chosen.costs_only = alike.len() - by_behaviour.len();
    let mut candidates: Vec<&Column> = by_behaviour.into_values().collect();
    candidates.sort_by_key(|c| c.identity);
    candidates.truncate(most);
    let traded = |c: &&Column| c.returns.iter().filter(|r| r.1 != 0.0).count();
    let busiest = candidates.iter().map(traded).max().unwrap_or(0);
    let least = ((busiest as f64 * LEAST_SHARE) as usize).max(LEAST_TRADED.min(busiest / 2)).max(1);
    let all = candidates.len();
    candidates.retain(|c| traded(c) >= least);
    chosen.hardly_trade = all - candidates.len();
    let mut units: Vec<Vec<f64>> = Vec::new();
    for column in candidates {
        let returns: Vec<f64> = column.returns.iter().map(|r| r.1).collect();
        let Some(moments) = Moments::of(&returns) else {
            chosen.hardly_trade += 1;
            continue;
        };
        let scale = 1.0 / (moments.sd * ((returns.len() - 1) as f64).sqrt());
        let unit: Vec<f64> = returns.iter().map(|r| (r - moments.mean) * scale).collect();
        if units.iter().any(|known| dot(known, &unit) >= SAME) {
            chosen.duplicates += 1;
            continue;
        }
        units.push(unit);
        let t = moments.mean / moments.sd * (returns.len() as f64).sqrt();
        match t < LOSES {
            true => chosen.losing += 1,
            false => chosen.worth_choosing.push(returns.clone()),
        }
        chosen.distinct.push(returns);
    }
    chosen
}

/// Sharpe ratio a session of profits in dollars: the same whatever the capital, where positions have a fixed size.
pub(super) fn sharpe_of_profits(returns: &[f64]) -> Option<f64> {
    let mut worth = 1.0;
    let profits: Vec<f64> = returns
        .iter()
        .map(|r| {
            let profit = worth * r;
            worth += profit;
            profit
        })
        .collect();
    Moments::of(&profits)?.sharpe()
}

/// Added up in eight sums, in one order whatever the machine.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).fold(0.0, |sum, (x, y)| sum + x * y);
    for (x, y) in a_chunks.zip(b_chunks) {
        sums.iter_mut().zip(x.iter().zip(y)).for_each(|(sum, (x, y))| *sum += x * y);
    }
    sums.iter().fold(rest, |total, sum| total + sum)
}
