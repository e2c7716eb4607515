//! What a sweep is, and how its points are cut into parts and shares.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result, codes};
use crate::ledger::Trials;
use crate::sweep::How;

/// Name of a plan's file.
pub(super) const FILE: &str = "plan.json";
/// Most points whose session returns are kept.
pub const SAMPLE: usize = 512;
/// Version of the plan's form.
const SCHEMA_VERSION: u32 = 4;
/// Bars replayed in one part, about.
const PART_BARS: u64 = 500_000_000;
/// Most rows of a part.
const PART_ROWS: u64 = 1_000_000;
/// Most points of a part.
const PART_POINTS: u64 = 16_384;
/// A sweep is cut into so many parts at least, so that it can be shared out.
const PARTS: u64 = 16;
/// Bars of parts that are replayed together: small ones share their indicator columns. It bounds what a kill loses.
const STRETCH_BARS: u64 = PART_BARS / 8;

/// One share of several, counted from 1: `2/7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 1.
    pub index: usize,
    /// How many there are.
    pub of: usize,
}

impl Shard {
    /// All of a sweep.
    pub const WHOLE: Self = Self { index: 1, of: 1 };

    /// Whether nothing is left to others.
    pub fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Whether a part belongs to this share.
    pub(super) fn has(self, part: usize) -> bool {
        part % self.of.max(1) + 1 == self.index
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err(Error::new(
                codes::BAD_ARGUMENT,
                format!("`{text}` is not one of several shards: write which one and of how many, e.g. 2/7"),
            )),
        }
    }
}

/// What a sweep is: the same plan, the same results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this form.
    pub schema_version: u32,
    /// Version of Magellan.
    pub engine: String,
    /// What is tried.
    pub trials: Trials,
    /// Points of a part.
    pub part_points: u64,
    /// Whether all symbols together have a row at each point, beside the one that each symbol has.
    pub together: bool,
}

impl Plan {
    /// The plan of a sweep in which a point replays `bars` bars.
    pub fn new(trials: Trials, bars: u64, together: bool) -> Self {
        let small = trials.points.div_ceil(PARTS).max(PARTS);
        let rows = PART_ROWS / (trials.data.len() as u64 + u64::from(together)).max(1);
        let part_points = (PART_BARS / bars.max(1)).clamp(PARTS, PART_POINTS).min(small).min(rows.max(1));
        let engine = env!("CARGO_PKG_VERSION").to_owned();
        Self { schema_version: SCHEMA_VERSION, engine, trials, part_points, together }
    }

    /// Number of parts.
    pub fn parts(&self) -> usize {
        self.trials.points.div_ceil(self.part_points) as usize
    }

    /// Points of a part, by their number in the sweep.
    pub fn part(&self, part: usize) -> Range<usize> {
        let first = part as u64 * self.part_points;
        first as usize..(first + self.part_points).min(self.trials.points) as usize
    }

    /// Parts, joined to stretches that are replayed together if a point replays `bars` bars.
    pub(super) fn stretches<'p>(&self, parts: &'p [usize], bars: u64, how: How) -> impl Iterator<Item = &'p [usize]> {
        // The plain loop needs no columns to be worth it, and takes its time.
        let by_bars = if how == How::Plain { 1 } else { STRETCH_BARS / (self.part_points * bars).max(1) };
        let rows = self.part_points * (self.trials.data.len() as u64 + u64::from(self.together));
        parts.chunks(by_bars.min(PART_ROWS / rows.max(1)).max(1) as usize)
    }

    /// Numbers of the points whose returns are kept, ascending.
    ///
    /// # Errors
    /// Refused if the grid hasn't as many points as it says.
    pub fn sample(&self) -> Result<Vec<usize>> {
        self.trials.sample(SAMPLE)
    }

    /// The plan of the sweep in `folder`.
    ///
    /// # Errors
    /// Data error if there is none; refused if it is another version's.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, &e))?;
        Self::parse(&text).map_err(|e| e.at(path.display()))
    }

    /// A plan as it was written.
    ///
    /// # Errors
    /// Refused if it is none, or another version's.
    pub fn parse(text: &str) -> Result<Self> {
        let plan: Self =
            serde_json::from_str(text).map_err(|e| Error::new(codes::OTHER_SWEEP, format!("no plan: {e}")))?;
        let known = plan.schema_version == SCHEMA_VERSION && plan.engine == env!("CARGO_PKG_VERSION");
        if !known || plan.part_points == 0 || plan.trials.points == 0 || plan.text() != text {
            return Err(Error::new(codes::OTHER_SWEEP, "the plan was not written by this version of Magellan")
                .help("merge with the version that swept"));
        }
        Ok(plan)
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// Which parts of two plans differ, for a message.
pub(super) fn differences(held: &str, wanted: &str) -> String {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    let (Some(held), Some(wanted)) = (parse(held), parse(wanted)) else { return String::new() };
    let keys = |of: &Value, at: &str| -> Vec<String> {
        let of = if at.is_empty() { of } else { &of[at] };
        of.as_object().map_or_else(Vec::new, |o| o.keys().cloned().collect())
    };
    let top = keys(&wanted, "").into_iter().filter(|k| k != "trials" && held[k] != wanted[k]);
    let trials = keys(&wanted, "trials").into_iter().filter(|k| held["trials"][k] != wanted["trials"][k]);
    let differ: Vec<String> = top.chain(trials).collect();
    if differ.is_empty() { String::new() } else { format!("; they differ in {}", differ.join(", ")) }
}
