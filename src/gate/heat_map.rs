//! The largest sweep as a heat map, for the page.

use serde::Serialize;
use serde_json::Value;

use super::luck::largest_sweeps;
use crate::error::Result;
use crate::ledger::{Kept, Kind, Ledger, Record};
use crate::metrics::sharpe;
use crate::stats::bootstrap::quantile;

/// Sharpe ratios over the two longest axes of the largest sweep, to be drawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeatMap {
    metric: &'static str,
    x: String,
    y: Option<String>,
    xs: Vec<Value>,
    ys: Vec<Value>,
    /// A row a value of `y`; null where no point's returns were kept.
    z: Vec<Vec<Option<f64>>>,
    /// Where the candidate stands, if it is on the grid.
    chosen: Option<(usize, usize)>,
    note: String,
}

impl HeatMap {
    /// Of the largest sweep with an axis of two values or more; `settings` are the candidate's.
    ///
    /// # Errors
    /// Refused if the ledger was altered.
    pub(super) fn of(ledger: &Ledger, synthetic: bool, settings: &Value, per_year: f64) -> Result<Option<Self>> {
        for (hash, record) in largest_sweeps(ledger, synthetic).into_iter().filter(|(_, r)| r.kind != Kind::Import) {
            let mut axes: Vec<usize> = (0..record.trials.axes.len()).collect();
            axes.retain(|&i| record.trials.axes[i].values.len() > 1);
            axes.sort_by_key(|&i| std::cmp::Reverse(record.trials.axes[i].values.len()));
            if let [x, rest @ ..] = &axes[..] {
                let kept = ledger.returns(hash)?;
                return Self::over(record, (&kept, per_year), (*x, rest.first().copied()), settings).map(Some);
            }
        }
        Ok(None)
    }

    fn over(
        record: &Record,
        (kept, per_year): (&[Kept], f64),
        (x, y): (usize, Option<usize>),
        settings: &Value,
    ) -> Result<Self> {
        let trials = &record.trials;
        let (grid, count) = (trials.grid()?, trials.axes.len());
        let points = trials.choice.points(&grid)?;
        let values = |axis: usize| trials.axes[axis].values.clone();
        let (xs, ys) = (values(x), y.map_or_else(|| vec![Value::Null], values));
        let mut cells: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); xs.len()]; ys.len()];
        for (point, returns) in kept {
            let Some(&combination) = points.get(*point as usize) else { continue };
            // The last axis comes first.
            let indices: Vec<usize> = grid.indices(combination).take(count).collect();
            let index = |axis: usize| indices[count - 1 - axis];
            let returns: Vec<f64> = returns.iter().map(|r| r.1).collect();
            cells[y.map_or(0, index)][index(x)].extend(sharpe(&returns, per_year).value());
        }
        let place = |axis: usize| {
            let varied = &trials.axes[axis];
            let own = settings.pointer(&format!("/{}", varied.paths.first()?.replace('.', "/")))?;
            varied.values.iter().position(|value| value == own)
        };
        let chosen = place(x).and_then(|at| Some((at, y.map_or(Some(0), place)?)));
        Ok(Self {
            metric: "sharpe",
            x: trials.axes[x].key.clone(),
            y: y.map(|y| trials.axes[y].key.clone()),
            xs,
            ys,
            z: cells.into_iter().map(|row| row.into_iter().map(median).collect()).collect(),
            chosen,
            note: format!(
                "median over the other axes, of the {} points of {} whose returns were kept",
                kept.len(),
                trials.points
            ),
        })
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}
