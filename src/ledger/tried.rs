//! The trials that could have led to a candidate: how many, and what is kept of them.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::graph::{Ledger, Record};
use super::trials::{Leaves, Trials};
use crate::bar::{Date, Symbol};
use crate::disk::hash::sha256_hex;
use crate::error::Result;

/// Trials on bars of one kind, in sessions that overlap some periods.
#[derive(Clone, Debug)]
pub struct Tried<'l> {
    ledger: &'l Ledger,
    records: Vec<(&'l String, &'l Record)>,
}

/// Trials that can be compared: the same symbols over the same sessions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Family {
    /// The symbols.
    pub symbols: Vec<Symbol>,
    /// First session asked for.
    pub start: Date,
    /// Last session asked for.
    pub end: Date,
}

impl Family {
    /// The family of a record.
    pub fn of(record: &Record) -> Self {
        let trials = &record.trials;
        Self { symbols: trials.data.keys().copied().collect(), start: trials.start_date, end: trials.end_date }
    }
}

/// The returns kept of one trial.
#[derive(Clone, Debug)]
pub struct Column {
    /// The trial.
    pub identity: u128,
    /// The same for trials that differ only in costs, capital and what is set aside.
    pub without_costs: u128,
    /// Where its settings are others than the candidate's.
    pub places: u128,
    /// Whether it was counted elsewhere, and anybody may have written its returns.
    pub imported: bool,
    /// Session returns.
    pub returns: Vec<(Date, f64)>,
}

impl Column {
    /// What tells it from trials that differ only in costs, capital and what is set aside.
    pub fn costs(&self) -> u128 {
        self.identity.wrapping_sub(self.without_costs)
    }
}

/// The returns that records keep.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Of each family, each trial once, by identity.
    pub families: BTreeMap<Family, BTreeMap<u128, Column>>,
    /// The family of each record, and the trials of which it keeps returns.
    pub by_record: Vec<(Family, Vec<u128>)>,
}

impl Ledger {
    /// The trials that could have led to a candidate: on bars like its own, synthetic ones or real ones, and in
    /// sessions that overlap one of its periods.
    pub fn tried(&self, synthetic: bool, periods: &[(Date, Date)]) -> Tried<'_> {
        let overlaps =
            |r: &Record| periods.iter().any(|(from, to)| r.trials.start_date <= *to && *from <= r.trials.end_date);
        let counts = |(_, r): &(&String, &Record)| is_like(r, synthetic) && overlaps(r);
        Tried { ledger: self, records: self.records().iter().filter(counts).collect() }
    }

    /// All trials on bars of one kind.
    pub fn all(&self, synthetic: bool) -> Tried<'_> {
        Tried { ledger: self, records: self.records().iter().filter(|(_, r)| is_like(r, synthetic)).collect() }
    }

    /// Number of distinct trials on all bars, real ones and synthetic ones.
    ///
    /// # Errors
    /// As [`Tried::count`].
    pub fn count(&self) -> Result<u64> {
        Ok(self.all(false).count()? + self.all(true).count()?)
    }
}

impl<'l> Tried<'l> {
    /// The records.
    pub fn records(&self) -> &[(&'l String, &'l Record)] {
        &self.records
    }

    /// Number of distinct trials: N.
    ///
    /// The same settings of the same symbols are one trial, whenever and however they were tried. Where each symbol has
    /// an account of its own, each account is one, since whoever ranks them can choose for each symbol.
    ///
    /// # Errors
    /// Refused if a record's grid isn't what it says.
    pub fn count(&self) -> Result<u64> {
        self.count_of(|_| true, &[], Leaves::All)
    }

    /// Number of distinct trials in some of the records, but for looks at each symbol of these `candidates` alone: what
    /// is judged as a whole isn't tried again by looking at its parts.
    ///
    /// # Errors
    /// As [`Tried::count`].
    pub fn count_of(&self, wanted: impl Fn(&Record) -> bool, candidates: &[Trials], leaves: Leaves) -> Result<u64> {
        let mut all: Distinct = Distinct::default();
        let parts: BTreeSet<u128> =
            candidates.iter().map(|c| c.parts(leaves)).collect::<Result<Vec<_>>>()?.concat().into_iter().collect();
        let mut counted: BTreeSet<String> = BTreeSet::new();
        for (_, record) in self.records.iter().filter(|(_, r)| wanted(r)) {
            let text = serde_json::to_string(&record.trials).unwrap_or_default();
            if !counted.insert(sha256_hex(text.as_bytes())) {
                continue;
            }
            let identities = record.trials.identities(leaves)?;
            all.add(identities.whole);
            for mut own in identities.own {
                own.retain(|one| !parts.contains(one));
                all.add(own);
            }
        }
        Ok(all.sorted().len() as u64)
    }

    /// Number of distinct settings of all symbols together in some of the records.
    ///
    /// # Errors
    /// As [`Tried::count`].
    pub fn wholes(&self, wanted: impl Fn(&Record) -> bool, leaves: Leaves) -> Result<u64> {
        let mut all = Distinct::default();
        for (_, record) in self.records.iter().filter(|(_, r)| wanted(r)) {
            all.add(record.trials.identities(leaves)?.whole);
        }
        Ok(all.sorted().len() as u64)
    }

    /// The returns that records keep.
    ///
    /// # Errors
    /// Refused if they were altered or are gone.
    pub fn columns(&self, candidate: Option<&Trials>) -> Result<Columns> {
        let keeping: Vec<&(&String, &Record)> = self.records.iter().filter(|(_, r)| r.returns.is_some()).collect();
        let read: Vec<Vec<Column>> =
            keeping.par_iter().map(|(hash, r)| self.read(hash, r, candidate)).collect::<Result<_>>()?;
        let mut all = Columns::default();
        for ((_, record), columns) in keeping.iter().zip(read) {
            let family = Family::of(record);
            all.by_record.push((family.clone(), columns.iter().map(|c| c.identity).collect()));
            let family = all.families.entry(family).or_default();
            for column in columns {
                // Records are in the order of their hashes: the first one's, whoever asks.
                family.entry(column.identity).or_insert(column);
            }
        }
        Ok(all)
    }

    fn read(&self, hash: &str, record: &Record, candidate: Option<&Trials>) -> Result<Vec<Column>> {
        let kept = self.ledger.returns(hash)?;
        let numbers: Vec<u64> = kept.iter().map(|(point, _)| *point).collect();
        let identities = record.trials.identities_at(&numbers, Leaves::All)?;
        let bare = record.trials.identities_at(&numbers, Leaves::WithoutCosts)?;
        let places = match candidate {
            Some(candidate) => record.trials.places_at(&numbers, candidate)?,
            None => vec![0; numbers.len()],
        };
        let imported = record.source.is_some();
        let trials = identities.into_iter().zip(bare).zip(places);
        let column = |((_, returns), ((identity, without_costs), places))| Column {
            identity,
            without_costs,
            places,
            imported,
            returns,
        };
        Ok(kept.into_iter().zip(trials).map(column).collect())
    }
}

/// Whether a record is of trials on bars of one kind.
fn is_like(record: &Record, synthetic: bool) -> bool {
    record.kind.tries() && record.trials.synthetic == synthetic
}

/// Numbers, each once.
#[derive(Default)]
struct Distinct {
    numbers: Vec<u128>,
    distinct: usize,
}

impl Distinct {
    fn add(&mut self, more: Vec<u128>) {
        self.numbers.extend(more);
        // Now and then, so that memory follows what is distinct.
        if self.numbers.len() > 2 * self.distinct + 1_000_000 {
            self.numbers.sort_unstable();
            self.numbers.dedup();
            self.distinct = self.numbers.len();
        }
    }

    fn sorted(mut self) -> Vec<u128> {
        self.numbers.sort_unstable();
        self.numbers.dedup();
        self.numbers
    }
}
