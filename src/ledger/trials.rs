//! What was tried, and when two trials are the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use twox_hash::XxHash3_128;

use crate::bar::{Date, Symbol};
use crate::error::{Error, Result, codes};
use crate::sweep::grid::{Axis, Choice, Condition, Grid};

/// What was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trials {
    /// The strategy.
    pub strategy: String,
    /// Symbols, alphabetically, with the hash of each one's bars.
    pub data: BTreeMap<Symbol, String>,
    /// Whether any bar is synthetic.
    pub synthetic: bool,
    /// `single`: each symbol has its own account; `portfolio`: all share one.
    pub scope: String,
    /// `regular` or `all`.
    pub hours: String,
    /// First session.
    pub start_date: Date,
    /// Last session.
    pub end_date: Date,
    /// The parts of the config that a replay depends on.
    pub settings: Value,
    /// What was varied.
    pub axes: Vec<Varied>,
    /// What had to hold between keys.
    pub conditions: Vec<String>,
    /// All points of the grid, or some of them.
    pub choice: Choice,
    /// How many points that is.
    pub points: u64,
}

/// An axis of a grid with the places of the settings that it sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Varied {
    /// The key as given.
    pub key: String,
    /// Dotted paths in `settings`.
    pub paths: Vec<String>,
    /// Its values. An array of as many as there are paths, where there are several, gives each path its own.
    pub values: Vec<Value>,
}

/// Which leaves of the settings tell trials apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// All of them.
    All,
    /// All but costs, capital and what is set aside for a position: those change how much is won, not how.
    WithoutCosts,
}

impl Leaves {
    fn count(self, path: &str) -> bool {
        const SIZES: [&str; 3] = ["per_trade_risk_pct", "max_position_dollars", "max_position_per_asset_dollars"];
        let last = path.rsplit('.').next().unwrap_or(path);
        let costs = path.starts_with("execution.") || path.starts_with("account_info.");
        self == Self::All || !(costs || last == "allocation" || SIZES.contains(&last))
    }
}

/// The trials of one record, by identity.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    /// Of all symbols together, a point each.
    pub whole: Vec<u128>,
    /// Of each symbol's own account, where symbols have one.
    pub own: Vec<Vec<u128>>,
}

impl Trials {
    /// What was varied, as a grid.
    ///
    /// # Errors
    /// Refused if a condition is none.
    pub fn grid(&self) -> Result<Grid> {
        Ok(Grid {
            axes: self.axes.iter().map(|a| Axis { key: a.key.clone(), values: a.values.clone() }).collect(),
            conditions: self.conditions.iter().map(|c| c.parse()).collect::<Result<Vec<Condition>>>()?,
        })
    }

    /// Whether a choice can be made for each symbol: where several have parameters of their own. Their results can be
    /// told apart on one account as well as on several.
    fn has_own_accounts(&self) -> bool {
        let mut leaves = BTreeMap::new();
        flatten("", &self.settings, &mut leaves);
        self.data.len() > 1 && leaves.keys().any(|path| self.owner(path).is_some())
    }

    /// What each point is looked at in: all symbols together and, where each has parameters of its own, each alone.
    pub fn accounts(&self) -> usize {
        1 + if self.has_own_accounts() { self.data.len() } else { 0 }
    }

    /// The points, as combinations of the grid.
    fn points(&self, grid: &Grid) -> Result<Vec<u64>> {
        let points = self.choice.points(grid)?;
        if points.len() as u64 != self.points {
            let what = format!("the grid has {} points, the record says {}", points.len(), self.points);
            return Err(Error::new(codes::LEDGER_ALTERED, what));
        }
        Ok(points)
    }

    /// The identity of each trial: of every account at every point.
    ///
    /// A trial is its settings: those of the symbols in its account, leaf by leaf, whatever the dates, the rest of the
    /// archive, and what else was replayed beside it. Leaves are hashed by path and value and added up, so that it
    /// doesn't matter which of them a grid varied.
    ///
    /// # Errors
    /// Refused if the grid hasn't as many points as it says.
    pub fn identities(&self, leaves: Leaves) -> Result<Identities> {
        let grid = self.grid()?;
        let points = self.points(&grid)?;
        let own = |&symbol: &Symbol| self.sums(Some(symbol), &grid, &points, leaves);
        Ok(Identities {
            whole: self.sums(None, &grid, &points, leaves),
            own: if self.has_own_accounts() { self.data.keys().map(own).collect() } else { Vec::new() },
        })
    }

    /// The identities of each symbol's settings alone, where there are several symbols: looks at parts of the whole.
    ///
    /// # Errors
    /// As [`Trials::identities`].
    pub fn parts(&self, leaves: Leaves) -> Result<Vec<u128>> {
        let grid = self.grid()?;
        let points = self.points(&grid)?;
        let of_symbol = |&symbol: &Symbol| self.sums(Some(symbol), &grid, &points, leaves);
        Ok(if self.data.len() > 1 { self.data.keys().flat_map(of_symbol).collect() } else { Vec::new() })
    }

    /// The identities of some points by their number, of all symbols together.
    ///
    /// # Errors
    /// Refused if the grid hasn't as many points as it says, or not these.
    pub fn identities_at(&self, numbers: &[u64], leaves: Leaves) -> Result<Vec<u128>> {
        let grid = self.grid()?;
        let points = self.points(&grid)?;
        let at = |number: &u64| points.get(usize::try_from(*number).ok()?).copied();
        let some: Option<Vec<u64>> = numbers.iter().map(at).collect();
        let some = some.ok_or_else(|| Error::new(codes::LEDGER_ALTERED, "returns of a point that the grid hasn't"))?;
        Ok(self.sums(None, &grid, &some, leaves))
    }

    /// Numbers of the points whose returns are kept, ascending: those with the smallest identities. Of all points of
    /// many sweeps, as many with the smallest identities are among those that each sweep keeps, so that it doesn't
    /// matter how points were spread over sweeps (bottom-k sketch; Cohen & Kaplan, Summarizing Data Using Bottom-k
    /// Sketches, PODC 2007).
    ///
    /// # Errors
    /// Refused if the grid hasn't as many points as it says.
    pub fn sample(&self, count: usize) -> Result<Vec<usize>> {
        let grid = self.grid()?;
        let points = self.points(&grid)?;
        if points.len() <= count {
            return Ok((0..points.len()).collect());
        }
        let identities = self.sums(None, &grid, &points, Leaves::All);
        let mut numbers: Vec<usize> = (0..points.len()).collect();
        numbers.select_nth_unstable_by_key(count, |&i| (identities[i], i));
        numbers.truncate(count);
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn sums(&self, account: Option<Symbol>, grid: &Grid, points: &[u64], counted: Leaves) -> Vec<u128> {
        let is_its = |path: &String| {
            let its = account.is_none_or(|own| self.owner(path).is_none_or(|owner| owner == own));
            its && counted.count(path)
        };
        let mut leaves = BTreeMap::new();
        flatten("", &self.settings, &mut leaves);
        leaves.retain(|path, _| is_its(path));
        for path in self.axes.iter().flat_map(|axis| &axis.paths) {
            leaves.remove(path);
        }
        let symbols: Vec<&Symbol> =
            self.data.keys().filter(|symbol| account.is_none_or(|own| own == **symbol)).collect();
        let subject = json!([self.strategy, symbols, self.hours]);
        let add = |sum: u128, (path, value): (&String, &String)| sum.wrapping_add(leaf(path, value));
        let base = leaves.iter().fold(XxHash3_128::oneshot(subject.to_string().as_bytes()), add);
        let of_value = |axis: &Varied, value: &Value| {
            let each = value.as_array().filter(|each| axis.paths.len() > 1 && each.len() == axis.paths.len());
            let its = axis.paths.iter().enumerate().filter(|(_, path)| is_its(path));
            let value = |i: usize| text(each.map_or(value, |each| &each[i]));
            its.fold(0u128, |sum, (i, path)| sum.wrapping_add(leaf(path, &value(i))))
        };
        let parts: Vec<Vec<u128>> =
            self.axes.iter().map(|axis| axis.values.iter().map(|v| of_value(axis, v)).collect()).collect();
        let axes = |point: u64| grid.indices(point).zip(parts.iter().rev());
        points.iter().map(|&p| axes(p).fold(base, |sum, (i, axis)| sum.wrapping_add(axis[i]))).collect()
    }

    /// Which settings of some points, by their number, are others than a candidate's: points that differ from it in the
    /// same places have the same sum.
    ///
    /// # Errors
    /// As [`Trials::identities_at`].
    pub fn places_at(&self, numbers: &[u64], candidate: &Self) -> Result<Vec<u128>> {
        let grid = self.grid()?;
        let points = self.points(&grid)?;
        let (mut own, mut other) = (BTreeMap::new(), BTreeMap::new());
        flatten("", &candidate.settings, &mut own);
        flatten("", &self.settings, &mut other);
        let place = |path: &String, value: &str| match own.get(path).map(String::as_str) {
            known if known == Some(value) || !Leaves::WithoutCosts.count(path) => 0,
            _ => leaf(path, ""),
        };
        for path in self.axes.iter().flat_map(|axis| &axis.paths) {
            other.remove(path);
        }
        let fixed = other.iter().fold(0u128, |sum, (path, value)| sum.wrapping_add(place(path, value)));
        let of_value = |axis: &Varied, value: &Value| {
            let each = value.as_array().filter(|each| axis.paths.len() > 1 && each.len() == axis.paths.len());
            let value = |i: usize| text(each.map_or(value, |each| &each[i]));
            let paths = axis.paths.iter().enumerate();
            paths.fold(0u128, |sum, (i, path)| sum.wrapping_add(place(path, &value(i))))
        };
        let parts: Vec<Vec<u128>> =
            self.axes.iter().map(|axis| axis.values.iter().map(|v| of_value(axis, v)).collect()).collect();
        let axes = |point: u64| grid.indices(point).zip(parts.iter().rev());
        let sum = |point: u64| axes(point).fold(fixed, |sum, (i, axis)| sum.wrapping_add(axis[i]));
        let point = |number: &u64| points.get(usize::try_from(*number).ok()?).map(|&point| sum(point));
        let all: Option<Vec<u128>> = numbers.iter().map(point).collect();
        all.ok_or_else(|| Error::new(codes::LEDGER_ALTERED, "returns of a point that the grid hasn't"))
    }

    /// Whether both try the same parameters of a symbol, and nothing else of it.
    pub fn treats_alike(&self, other: &Self, symbol: Symbol) -> bool {
        let own = |trials: &Self| {
            let mut leaves = BTreeMap::new();
            flatten("", &trials.settings, &mut leaves);
            leaves.retain(|path, _| trials.owner(path) == Some(symbol));
            leaves
        };
        let varies = |trials: &Self| trials.axes.iter().flat_map(|a| &a.paths).any(|p| trials.owner(p) == Some(symbol));
        !varies(self) && !varies(other) && own(self) == own(other)
    }

    /// The symbol whose parameters a path leads to, if it leads into a block with parameters by symbol.
    fn owner(&self, path: &str) -> Option<Symbol> {
        let (_, below) = path.split_once('.')?;
        // A symbol may have a dot, and another one may be its beginning: the longest counts.
        let before =
            |(dot, _): (usize, &str)| below[..dot].parse().ok().filter(|symbol| self.data.contains_key(symbol));
        below.rmatch_indices('.').find_map(before)
    }
}

fn leaf(path: &str, value: &str) -> u128 {
    XxHash3_128::oneshot(format!("{path}={value}").as_bytes())
}

/// A value as it is compared: 55 and 55.0 are the same.
fn text(value: &Value) -> String {
    match value.as_f64() {
        Some(number) => number.to_string(),
        None => value.to_string(),
    }
}

/// Every value that is no object, by its dotted path.
fn flatten(path: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, leaves);
            }
        }
        value => {
            leaves.insert(path.to_owned(), text(value));
        }
    }
}
