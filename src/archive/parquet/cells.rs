//! A table of any columns as texts, so that what is read from Parquet is checked by the rules for CSV.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use bytes::Bytes;

use super::cast;
use super::guard::guarded;
use super::read::open;
use crate::bar::{DAY, Date};

/// Names of the columns, and rows of as many cells. A missing value is empty; a number has all its digits; a date is
/// `YYYY-MM-DD`, and so is an instant at midnight.
pub(crate) type Cells = (Vec<String>, Vec<Vec<String>>);

/// Reads a file whole.
///
/// # Errors
/// What is wrong with it, or the column that holds no texts, numbers or dates.
pub(crate) fn cells(bytes: Bytes) -> Result<Cells, String> {
    guarded(|| read(bytes)).unwrap_or_else(|| Err("the Parquet library gave up on it".to_owned()))
}

fn read(bytes: Bytes) -> Result<Cells, String> {
    let builder = open(bytes, |schema| (0..schema.num_columns()).collect())?;
    let names = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for batch in builder.build().map_err(|e| e.to_string())? {
        let batch = batch.map_err(|e| e.to_string())?;
        let schema = batch.schema();
        let named = schema.fields().iter().zip(batch.columns());
        let columns = named.map(|(field, column)| texts(column).map_err(|e| format!("column `{}`: {e}", field.name())));
        let columns: Vec<Vec<String>> = columns.collect::<Result<_, _>>()?;
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()));
    }
    Ok((names, rows))
}

fn texts(column: &ArrayRef) -> Result<Vec<String>, String> {
    let each = |text: &dyn Fn(usize) -> String| -> Vec<String> {
        (0..column.len()).map(|i| if column.is_null(i) { String::new() } else { text(i) }).collect()
    };
    if let Some(flags) = column.as_boolean_opt() {
        return Ok(each(&|i| flags.value(i).to_string()));
    }
    if let Some(instants) = cast::instants(column) {
        let instants = instants?;
        return Ok(each(&|i| match instants.value(i) {
            at if at % DAY == 0 => Date::of_utc(at).to_string(),
            at => crate::bar::iso_utc(at),
        }));
    }
    if *column.data_type() != DataType::Null
        && let Some(numbers) = cast::numbers(column)
    {
        return Ok(each(&|i| numbers.value(i).to_string()));
    }
    let texts = cast::texts(column)?;
    match texts.as_string_opt::<i32>() {
        Some(texts) => Ok(each(&|i| texts.value(i).to_owned())),
        None => Err(format!("{} is neither text, number nor date", column.data_type())),
    }
}
