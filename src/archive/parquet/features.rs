//! Numbers by symbol and time from a Parquet file.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch};
use bytes::Bytes;

use super::cast;
use super::guard::guarded;
use super::read::{foreign, open, symbol_at};
use crate::bar::{Nanos, Symbol};
use crate::error::{Error, Result, codes};

/// What the column of times may be called.
const TIMES: [&str; 2] = ["time", "timestamp"];

/// What the column of symbols is called.
const SYMBOL: &str = "symbol";

/// Rows as the file has them.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) names: Vec<String>,
    /// Of each symbol, or of none where the file has no column of symbols.
    pub(crate) series: BTreeMap<Option<Symbol>, Vec<(Nanos, Vec<f64>)>>,
}

/// Reads a file whole: a column `time` or `timestamp` of instants or dates (those without a zone are UTC), perhaps a
/// column `symbol`, and columns of numbers. A missing number is NaN.
///
/// # Errors
/// Data error if it isn't such a file.
pub(crate) fn rows(path: &Path, bytes: Bytes) -> Result<Rows> {
    guarded(|| read(path, bytes)).unwrap_or_else(|| Err(foreign(path, &"the Parquet library gave up on it")))
}

fn read(path: &Path, bytes: Bytes) -> Result<Rows> {
    let builder = open(bytes, |schema| (0..schema.num_columns()).collect()).map_err(|e| foreign(path, &e))?;
    let names: Vec<String> = builder.schema().fields().iter().map(|f| f.name().clone()).collect();
    let place = Places::of(&names).map_err(|e| e.at(path.display()))?;
    let mut rows = Rows { names: place.numbers.iter().map(|&at| names[at].clone()).collect(), ..Rows::default() };
    let mut before = 0;
    for batch in builder.build().map_err(|e| foreign(path, &e))? {
        let batch = batch.map_err(|e| foreign(path, &e))?;
        add(&mut rows, &place, &batch, before).map_err(|e| e.at(path.display()))?;
        before += batch.num_rows();
    }
    Ok(rows)
}

/// Which column is what.
struct Places {
    time: usize,
    symbol: Option<usize>,
    numbers: Vec<usize>,
}

impl Places {
    fn of(names: &[String]) -> Result<Self> {
        let at = |wanted: &str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        let time = TIMES.into_iter().find_map(at).ok_or_else(|| {
            let what = format!("no column `time` among {}", names.join(", "));
            Error::new(codes::COLUMN_TYPE, what).help("name the column that says when each value was known `time`")
        })?;
        let symbol = at(SYMBOL);
        let numbers = (0..names.len()).filter(|&at| at != time && Some(at) != symbol).collect();
        Ok(Self { time, symbol, numbers })
    }
}

fn add(rows: &mut Rows, place: &Places, batch: &RecordBatch, before: usize) -> Result<()> {
    let schema = batch.schema();
    let unusable = |at: usize, wanted: &str| {
        let (name, kind) = (schema.field(at).name(), batch.column(at).data_type());
        Error::new(codes::COLUMN_TYPE, format!("the column {name} is {kind}, not {wanted}"))
            .help("a file of features has times, perhaps symbols, and numbers")
    };
    let numbers = |&at: &usize| cast::numbers(batch.column(at)).ok_or_else(|| unusable(at, "a number"));
    let columns: Vec<Float64Array> = place.numbers.iter().map(numbers).collect::<Result<_>>()?;
    let times: &ArrayRef = batch.column(place.time);
    let instants = cast::instants(times).ok_or_else(|| unusable(place.time, "a timestamp"))?;
    let instants = instants.map_err(|e| Error::new(codes::COLUMN_TYPE, e))?;
    let symbols = place.symbol.map(|at| cast::texts(batch.column(at))).transpose();
    let symbols = symbols.map_err(|e| Error::new(codes::COLUMN_TYPE, format!("the column symbol: {e}")))?;
    for i in 0..batch.num_rows() {
        let row = before + i + 1;
        if instants.is_null(i) {
            return Err(Error::new(codes::MISSING_VALUE, format!("row {row} has no time")));
        }
        let symbol = symbols.as_ref().map(|symbols| symbol_at(symbols, i, row)).transpose()?;
        let value = |column: &Float64Array| if column.is_valid(i) { column.value(i) } else { f64::NAN };
        rows.series.entry(symbol).or_default().push((instants.value(i), columns.iter().map(value).collect()));
    }
    Ok(())
}
