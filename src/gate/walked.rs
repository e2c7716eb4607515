//! What walk-forwards in the ledger showed out of sample.
//!
//! Each way of dividing sessions shows something else, so whoever may pick one picks the best: of all walk-forwards of
//! the same symbols on these sessions the worst counts. One that was begun and never finished tells nothing, and
//! nothing is told until it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::bar::Date;
use crate::calendar::{self, Calendar};
use crate::error::Result;
use crate::ledger::{Kind, Leaves, Ledger, Record, Trials};
use crate::metrics::{Cause, Measure, sharpe};

/// The worst of some walk-forwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Walked {
    /// Returns of its tests, joined, of all accounts together, by session of the period.
    pub returns: Vec<(Date, f64)>,
    /// How many of them a year has.
    pub per_year: f64,
    /// How many walk-forwards there are.
    pub of: usize,
}

impl Walked {
    /// Sharpe ratio, a year.
    pub fn sharpe(&self) -> Measure {
        sharpe(&self.rates(), self.per_year)
    }

    /// Return over all tests, a fraction.
    pub fn total_return(&self) -> Measure {
        let worth = self.rates().iter().fold(1.0, |worth, r| worth * (1.0 + r));
        Measure::new(worth - 1.0, Cause::NoFiniteValue)
    }

    fn rates(&self) -> Vec<f64> {
        self.returns.iter().map(|r| r.1).collect()
    }
}

/// The walk-forward with the lowest Sharpe ratio among those that chose between two points or more, of the symbols of
/// a gate's trial, whose tests cover half of its sessions or more; or why there is none.
///
/// # Errors
/// Refused if the ledger was altered.
pub fn worst_walk_forward(
    ledger: &Ledger,
    about: &Trials,
    calendar: Calendar,
) -> Result<std::result::Result<Walked, Cause>> {
    let (start, end) = (about.start_date.max(calendar::FIRST), about.end_date.min(calendar::LAST));
    let sessions = calendar.sessions(start, end).count();
    let is_like = |r: &Record| {
        let Trials { data, synthetic, start_date, end_date, points, .. } = &r.trials;
        r.kind == Kind::WalkForward
            && r.division.as_ref().is_some_and(|division| division["scheme"] != "cross-validation")
            && (*synthetic, *points > 1) == (about.synthetic, true)
            && chooses(&r.trials)
            && data.keys().eq(about.data.keys())
            && *start_date <= about.end_date
            && *end_date >= about.start_date
    };
    // One that is done has a record from its beginning and one with returns.
    let mut walks: BTreeMap<String, Option<&String>> = BTreeMap::new();
    for (hash, record) in ledger.records().iter().filter(|(_, r)| is_like(r)) {
        let same = serde_json::json!([record.trials, record.division.as_ref().unwrap_or(&Value::Null)]).to_string();
        let known = walks.entry(same).or_default();
        *known = known.or(record.out_of_sample.as_ref().map(|_| hash));
    }
    if walks.values().any(Option::is_none) {
        return Ok(Err(Cause::WalkForwardUnfinished));
    }
    let hashes: BTreeSet<&String> = walks.into_values().flatten().collect();
    let mut found: Vec<Walked> = Vec::new();
    for hash in &hashes {
        let mut returns = ledger.out_of_sample(hash)?.unwrap_or_default();
        returns.retain(|(day, _)| (about.start_date..=about.end_date).contains(day));
        if 2 * returns.len() >= sessions.max(1) {
            found.push(Walked { returns, per_year: calendar.sessions_per_year(), of: hashes.len() });
        }
    }
    // Without a Sharpe ratio it is the worst.
    let rank = |walked: &Walked| walked.sharpe().value().unwrap_or(f64::NEG_INFINITY);
    Ok(found.into_iter().min_by(|a, b| rank(a).total_cmp(&rank(b))).ok_or(Cause::NoWalkForward))
}

/// Whether its points differ in more than costs, capital and what is set aside.
fn chooses(trials: &Trials) -> bool {
    let points = trials.identities(Leaves::WithoutCosts).unwrap_or_default().whole;
    points.iter().collect::<BTreeSet<_>>().len() > 1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ledger::{Varied, encode};
    use crate::sweep::grid::Choice;

    fn trials(points: u64, end: &str) -> Trials {
        let values = (0..points).map(|i| json!(i)).collect();
        Trials {
            strategy: "s".to_owned(),
            data: BTreeMap::from([("AMC".parse().expect("a symbol"), "hash".to_owned())]),
            synthetic: false,
            scope: "portfolio".to_owned(),
            hours: "regular".to_owned(),
            start_date: "2024-01-02".parse().expect("a date"),
            end_date: end.parse().expect("a date"),
            settings: json!({"a": 0}),
            axes: vec![Varied { key: "a".to_owned(), paths: vec!["a".to_owned()], values }],
            conditions: Vec::new(),
            choice: Choice::All,
            points,
        }
    }

    /// Returns of every session of the trials but the first `skip`, around `mean`.
    fn returns(of: &Trials, skip: usize, mean: f64) -> Vec<u8> {
        let days = calendar::sessions(of.start_date, of.end_date).skip(skip).enumerate();
        let rows = days.map(|(i, s)| (s.date, mean + if i % 2 == 0 { 0.01 } else { -0.01 })).collect();
        encode(&[(0, rows)]).expect("written")
    }

    #[test]
    fn the_worst_of_all_divisions_counts_and_an_unfinished_one_tells_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ledger = Ledger::open(folder.path(), "s").expect("empty");
        let about = trials(3, "2024-06-28");
        let worst = |ledger: &Ledger| worst_walk_forward(ledger, &about, Calendar::Xnys).expect("sound");
        assert_eq!(worst(&ledger), Err(Cause::NoWalkForward));
        let mut walk = |scheme: &str, skip: usize, mean: f64, of: &Trials| {
            let (division, bytes) = (json!({"scheme": scheme, "skip": skip}), returns(of, skip, mean));
            ledger.add_walk_forward(of, division.clone(), None, None).expect("begun");
            let unfinished = worst(&ledger);
            let forward = (scheme != "cross-validation").then_some(bytes.as_slice());
            ledger.add_walk_forward(of, division, Some(&bytes), forward).expect("done");
            (unfinished, worst(&ledger))
        };
        assert_eq!(walk("cross-validation", 0, 0.5, &about).1, Err(Cause::NoWalkForward), "it saw the future");
        assert_eq!(walk("anchored", 20, 0.5, &trials(1, "2024-06-28")).1, Err(Cause::NoWalkForward), "no choice");
        assert_eq!(walk("anchored", 100, 0.5, &about).1, Err(Cause::NoWalkForward), "a fifth of the sessions");
        let (unfinished, good) = walk("anchored", 20, 0.002, &about);
        assert_eq!(unfinished, Err(Cause::WalkForwardUnfinished));
        let good = good.expect("half and more");
        assert_eq!((good.of, good.returns.len()), (2, 104));
        let bad = walk("rolling", 30, -0.002, &about).1.expect("two");
        assert!(bad.sharpe().value() < Some(0.0) && bad.of == 3, "{bad:?}");
        assert_eq!(walk("rolling", 25, 0.003, &about).1.expect("three").returns, bad.returns, "the best doesn't help");
    }
}
