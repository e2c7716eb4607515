//! Session returns as a record keeps them: Parquet with the columns `point`, `session` and `return`.

use std::sync::Arc;

use arrow_array::{ArrayRef, Date32Array, Float64Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};

use crate::archive::parquet::write;
use crate::bar::Date;
use crate::error::{Error, Result, codes};

/// Level of compression, as sweeps take it.
const LEVEL: i32 = 1;

/// The bytes of a file with the session returns of some points; the rows of a point follow each other.
///
/// # Errors
/// Usage error if the Parquet library can't write them.
pub(crate) fn written(points: &[(u64, Vec<(Date, f64)>)]) -> Result<Vec<u8>> {
    let fields = vec![
        Field::new("point", DataType::UInt64, false),
        Field::new("session", DataType::Date32, false),
        Field::new("return", DataType::Float64, false),
    ];
    let schema = Arc::new(Schema::new(fields));
    let rows = || points.iter().flat_map(|(point, rows)| rows.iter().map(move |row| (*point, row)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(rows().map(|(point, _)| point))),
        Arc::new(Date32Array::from_iter_values(rows().map(|(_, row)| row.0.0))),
        Arc::new(Float64Array::from_iter_values(rows().map(|(_, row)| row.1))),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns);
    let batch = batch.map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()));
    let properties = write::properties(LEVEL, Vec::new()).build();
    write::batches(Vec::new(), schema, properties, std::iter::once(batch), codes::CANNOT_WRITE)
}
