//! A sweep's results as a landscape, to be drawn: how a figure lies over the axes, how it is distributed, and whether
//! the best point stands on a plateau or on a spike. As large for a million points as for a thousand.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use serde::Serialize;
use serde_json::Value;

use super::plan::Plan;
use super::results::{Rank, check_figure_of_rows, rows};
use crate::error::{Error, Result, codes};
use crate::stats::bootstrap::quantile;
use crate::sweep::grid::{Axis, Grid};

/// Most columns, and most rows, of a map: longer axes have neighbouring values joined.
const MOST_STEPS: usize = 48;
/// The longest axes, of which each pair has a map.
const MAPPED_AXES: usize = 5;
/// Most cells of all maps together.
const MOST_CELLS: usize = 30_000;
/// Most accounts that have a landscape.
const MOST_ACCOUNTS: usize = 24;
/// Bars of a histogram.
const BINS: usize = 48;

/// What the results of one account, a symbol's or the portfolio's, look like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Landscape {
    /// The symbol, or `PORTFOLIO`.
    pub symbol: String,
    /// Points with a value.
    pub defined: usize,
    /// Points without one.
    pub undefined: usize,
    /// Number of the best point.
    pub point: u64,
    /// Its value.
    pub value: f64,
    /// Its parameters, in the order of the axes.
    pub parameters: Vec<Value>,
    /// The points one step away on one axis.
    pub neighbours: Vec<Neighbour>,
    /// The points at most one step away on each axis.
    pub around: Around,
    /// All points.
    pub distribution: Distribution,
    /// The figure over pairs of axes, longest axes first.
    pub maps: Vec<Map>,
}

/// A point one step from the best one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Neighbour {
    /// The axis of the step.
    pub key: String,
    /// Its value there.
    pub to: Value,
    /// The figure; none, if the point was not swept or has no value.
    pub value: Option<f64>,
}

/// What lies around the best point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Around {
    /// Points of the grid there.
    pub points: u64,
    /// Points of them that were swept and have a value.
    pub defined: usize,
    /// The worst of their values.
    pub worst: Option<f64>,
    /// Their median.
    pub median: Option<f64>,
}

/// How the values of all points are distributed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distribution {
    /// Least value, 5 %, 25 %, median, 75 %, 95 %, greatest.
    pub quantiles: [f64; 7],
    /// Points in each of equal stretches from the least to the greatest.
    pub counts: Vec<u64>,
}

/// A figure over one axis or two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Map {
    /// Across.
    pub x: Side,
    /// Upwards; none, if only one axis has two values or more.
    pub y: Option<Side>,
    /// Rows of cells, upwards: the best of all points there, whatever their other axes.
    pub best: Vec<Vec<Option<f64>>>,
    /// The same where all other axes are as at the best point.
    pub held: Vec<Vec<Option<f64>>>,
    /// Column and row of the best point.
    pub chosen: (usize, usize),
}

/// An axis of a map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// Its key.
    pub key: String,
    /// What each step stands for.
    pub labels: Vec<String>,
    /// So many neighbouring values make a step.
    pub joined: usize,
    /// Which axis of the grid.
    #[serde(skip)]
    axis: usize,
}

/// The landscape of each account, the best first; of many accounts only the best. Accounts without any value have none.
///
/// # Errors
/// Usage error if there is no such figure; refused if the folder holds no results of a sweep.
pub fn landscapes(results: &Path, rank: Rank<'_>) -> Result<Vec<Landscape>> {
    check_figure_of_rows(rank.by)?;
    let plan = Plan::read(results.parent().unwrap_or(Path::new(".")))?;
    let grid = plan.trials.grid()?;
    let points = plan.trials.choice.points(&grid)?;
    let accounts = accounts(results, rank.by, points.len())?;
    let better = |a: f64, b: f64| if rank.lowest { a.total_cmp(&b).is_lt() } else { a.total_cmp(&b).is_gt() };
    let mut found: Vec<(Account, Peak)> = Vec::new();
    for account in accounts {
        if let Some(peak) = Peak::of(&account, &points, &grid, better) {
            let at = found.partition_point(|(_, other)| !better(peak.value, other.value));
            found.insert(at, (account, peak));
        }
    }
    found.truncate(MOST_ACCOUNTS);
    let view = View { grid: &grid, points: &points, better: &better };
    let cells = MOST_CELLS / found.len().max(1);
    Ok(found.iter().map(|(account, peak)| view.landscape(account, peak, cells)).collect())
}

/// An account's rows: numbers of points with their values.
struct Account {
    symbol: String,
    rows: Vec<(u32, f64)>,
    undefined: usize,
}

/// The best point.
struct Peak {
    point: u32,
    value: f64,
    /// Its place on each axis.
    at: Vec<usize>,
}

impl Peak {
    /// The first of the best, as the table ranks them.
    fn of(account: &Account, points: &[u64], grid: &Grid, better: impl Fn(f64, f64) -> bool) -> Option<Self> {
        let best = account.rows.iter().copied().reduce(|best, row| if better(row.1, best.1) { row } else { best })?;
        Some(Self { point: best.0, value: best.1, at: places(grid, points[best.0 as usize]) })
    }
}

/// Which value of each axis a combination takes.
fn places(grid: &Grid, combination: u64) -> Vec<usize> {
    let mut places: Vec<usize> = grid.indices(combination).collect();
    places.reverse();
    places
}

/// The rows of each account, of a sweep of so many points.
fn accounts(results: &Path, by: &str, points: usize) -> Result<Vec<Account>> {
    let foreign = |what: String| Error::new(codes::PART_DAMAGED, what).at(results.display());
    let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
    for batch in rows(results, &["point", "symbol", by])? {
        let batch = batch.map_err(|e| foreign(e.to_string()))?;
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| foreign(format!("no column {name}")));
        let (numbers, symbols, values) = (column("point")?, column("symbol")?, column(by)?);
        let (numbers, symbols) = (numbers.as_primitive::<UInt64Type>(), symbols.as_string::<i32>());
        let values = values.as_primitive::<Float64Type>();
        for i in 0..batch.num_rows() {
            let point = numbers.value(i);
            if point >= points as u64 {
                return Err(foreign(format!("there is a point {point} of {points}")));
            }
            let name = symbols.value(i);
            if !accounts.contains_key(name) {
                let account = Account { symbol: name.to_owned(), rows: Vec::new(), undefined: 0 };
                accounts.insert(name.to_owned(), account);
            }
            let Some(account) = accounts.get_mut(name) else { continue };
            match values.is_valid(i) && values.value(i).is_finite() {
                true => account.rows.push((point as u32, values.value(i))),
                false => account.undefined += 1,
            }
        }
    }
    Ok(accounts.into_values().collect())
}

/// What all landscapes of a sweep share.
struct View<'v> {
    grid: &'v Grid,
    /// The combination of each point.
    points: &'v [u64],
    better: &'v dyn Fn(f64, f64) -> bool,
}

impl View<'_> {
    fn landscape(&self, account: &Account, peak: &Peak, most_cells: usize) -> Landscape {
        let axes = &self.grid.axes;
        let mut neighbours = self.steps_from(peak);
        let mut maps = self.empty_maps(peak, most_cells);
        let mut around = Vec::new();
        for &(point, value) in &account.rows {
            let at = places(self.grid, self.points[point as usize]);
            let apart = || at.iter().zip(&peak.at).filter(|(a, b)| a != b);
            if point != peak.point && apart().all(|(a, b)| a.abs_diff(*b) == 1) {
                around.push(value);
                if let Some(own) = neighbours.iter_mut().find(|(place, _)| *place == at) {
                    own.1.value = Some(value);
                }
            }
            for map in &mut maps {
                map.add(&at, &peak.at, value, self.better);
            }
        }
        maps.iter_mut().for_each(Map::shorten);
        around.sort_by(f64::total_cmp);
        let worst = around.iter().copied().reduce(|a, b| if (self.better)(a, b) { b } else { a });
        Landscape {
            symbol: account.symbol.clone(),
            defined: account.rows.len(),
            undefined: account.undefined,
            point: u64::from(peak.point),
            value: peak.value,
            parameters: axes.iter().zip(&peak.at).map(|(axis, &i)| axis.values[i].clone()).collect(),
            around: Around { points: self.around(peak), defined: around.len(), worst, median: quantile(&around, 0.5) },
            neighbours: neighbours.into_iter().map(|n| n.1).collect(),
            distribution: Distribution::of(account.rows.iter().map(|r| r.1).collect()),
            maps,
        }
    }

    /// Places one step away on one axis.
    fn steps_from(&self, peak: &Peak) -> Vec<(Vec<usize>, Neighbour)> {
        let mut steps = Vec::new();
        for (axis, values) in self.grid.axes.iter().enumerate() {
            let at = peak.at[axis];
            for to in [at.checked_sub(1), Some(at + 1)].into_iter().flatten() {
                let Some(value) = values.values.get(to) else { continue };
                let mut place = peak.at.clone();
                place[axis] = to;
                steps.push((place, Neighbour { key: values.key.clone(), to: value.clone(), value: None }));
            }
        }
        steps
    }

    /// Points of the grid at most one step away on each axis.
    fn around(&self, peak: &Peak) -> u64 {
        let near = |(axis, &at): (&Axis, &usize)| 1 + u64::from(at > 0) + u64::from(at + 1 < axis.values.len());
        self.grid.axes.iter().zip(&peak.at).map(near).product::<u64>() - 1
    }

    /// A map for each pair of the longest axes, as many as fit.
    fn empty_maps(&self, peak: &Peak, most_cells: usize) -> Vec<Map> {
        let mut axes: Vec<usize> = (0..self.grid.axes.len()).collect();
        axes.retain(|&axis| self.grid.axes[axis].values.len() > 1);
        axes.sort_by_key(|&axis| std::cmp::Reverse(self.grid.axes[axis].values.len()));
        axes.truncate(MAPPED_AXES);
        let pairs: Vec<(usize, Option<usize>)> = match axes[..] {
            [] => Vec::new(),
            [only] => vec![(only, None)],
            _ => (0..axes.len())
                .flat_map(|i| axes[i + 1..].iter().map(move |&y| (i, y)))
                .map(|(i, y)| (axes[i], Some(y)))
                .collect(),
        };
        let mut room = most_cells;
        let mut maps = Vec::new();
        for (x, y) in pairs {
            let map = Map::empty(self.side(x), y.map(|y| self.side(y)), &peak.at);
            let cells = map.best.len() * map.best[0].len();
            // One is always shown.
            if maps.is_empty() || cells <= room {
                room = room.saturating_sub(cells);
                maps.push(map);
            }
        }
        maps
    }

    fn side(&self, axis: usize) -> Side {
        let values = &self.grid.axes[axis].values;
        let joined = values.len().div_ceil(MOST_STEPS);
        let label = |group: &[Value]| match group {
            [first, .., last] => format!("{} to {}", shown(first), shown(last)),
            [only] => shown(only),
            [] => String::new(),
        };
        Side { key: self.grid.axes[axis].key.clone(), labels: values.chunks(joined).map(label).collect(), joined, axis }
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Map {
    fn empty(x: Side, y: Option<Side>, peak: &[usize]) -> Self {
        let rows = y.as_ref().map_or(1, |y| y.labels.len());
        let none = vec![vec![None; x.labels.len()]; rows];
        let chosen = (x.step(peak), y.as_ref().map_or(0, |y| y.step(peak)));
        Self { x, y, best: none.clone(), held: none, chosen }
    }

    fn shorten(&mut self) {
        let cells = self.best.iter_mut().chain(&mut self.held).flatten().flatten();
        cells.for_each(|cell| *cell = short(*cell));
    }

    fn add(&mut self, at: &[usize], peak: &[usize], value: f64, better: &dyn Fn(f64, f64) -> bool) {
        let (column, row) = (self.x.step(at), self.y.as_ref().map_or(0, |y| y.step(at)));
        let own = |axis: usize| axis == self.x.axis || self.y.as_ref().is_some_and(|y| axis == y.axis);
        let others_held = (0..at.len()).all(|axis| own(axis) || at[axis] == peak[axis]);
        let put = |cell: &mut Option<f64>| {
            if cell.is_none_or(|held| better(value, held)) {
                *cell = Some(value);
            }
        };
        put(&mut self.best[row][column]);
        if others_held {
            put(&mut self.held[row][column]);
        }
    }
}

/// To five digits: a cell is drawn, and read out with fewer.
fn short(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

impl Side {
    fn step(&self, at: &[usize]) -> usize {
        at[self.axis] / self.joined
    }
}

impl Distribution {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |q: f64| quantile(&values, q).unwrap_or(f64::NAN);
        let quantiles = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0].map(at);
        let (low, high) = (quantiles[0], quantiles[6]);
        let mut counts = vec![0; BINS];
        for value in &values {
            let share = if high > low { (value - low) / (high - low) } else { 0.5 };
            counts[((share * BINS as f64) as usize).min(BINS - 1)] += 1;
        }
        Self { quantiles, counts }
    }
}
