//! A table of any columns as texts, so that what is read from Parquet is checked by the rules for CSV.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::cast;
use super::guard::guarded;
use super::read;
use crate::bar::{DAY, Date};

/// Bytes of a dictionary of texts; what others write rarely goes beyond a megabyte.
const MOST_TEXTS: u64 = 4 << 20;

/// Rows that are texts at once: a dictionary may repeat a long text in each.
const ROWS: usize = 256;

/// A file's columns as texts, some rows at a time. A missing value is empty; a number has all its digits; a date is
/// `YYYY-MM-DD`, and so is an instant at midnight.
pub(crate) struct Cells {
    /// Names of the columns.
    pub(crate) names: Vec<String>,
    batches: ParquetRecordBatchReader,
}

impl Cells {
    /// Opens a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn open(bytes: Bytes) -> Result<Self, String> {
        trusting(|| {
            let builder = read::open_with(bytes, MOST_TEXTS, |schema| (0..schema.num_columns()).collect())?;
            let names = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
            let batches = builder.with_batch_size(ROWS).build().map_err(|e| e.to_string())?;
            Ok(Self { names, batches })
        })
    }

    /// All rows of the file.
    ///
    /// # Errors
    /// As [`Cells::next`].
    pub(crate) fn rows(mut self) -> Result<Vec<Vec<String>>, String> {
        let mut rows = Vec::new();
        while let Some(columns) = self.next()? {
            let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
            while let Some(row) = columns.iter_mut().map(Iterator::next).collect::<Option<Vec<String>>>() {
                if row.is_empty() {
                    break;
                }
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// The next rows: each column's cells.
    ///
    /// # Errors
    /// What is wrong with the file, or the column that holds no texts, numbers or dates.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Vec<String>>>, String> {
        trusting(|| {
            let Some(batch) = self.batches.next() else { return Ok(None) };
            let batch = batch.map_err(|e| e.to_string())?;
            let schema = batch.schema();
            let named = schema.fields().iter().zip(batch.columns());
            named
                .map(|(field, column)| texts(column).map_err(|e| format!("column `{}`: {e}", field.name())))
                .collect::<Result<_, _>>()
                .map(Some)
        })
    }
}

fn trusting<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    guarded(work).unwrap_or_else(|| Err("the Parquet library gave up on it".to_owned()))
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
