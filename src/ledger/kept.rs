//! Session returns that records keep, in a Parquet file each.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, UInt64Type};
use arrow_array::{ArrayRef, Date32Array, Float64Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};

use crate::archive::parquet::read::open;
use crate::archive::parquet::write;
use crate::bar::Date;
use crate::error::{Error, Result, codes};

/// The number of a point, and its return in each session, ascending.
pub type Kept = (u64, Vec<(Date, f64)>);

/// Zstandard's level: written often, and read by each gate.
const COMPRESSION: i32 = 1;

/// `point`, `session`, `return`: rows of a point follow each other.
///
/// # Errors
/// Usage error if they can't be laid out.
pub(crate) fn batch(kept: &[Kept]) -> Result<RecordBatch> {
    let fields = vec![
        Field::new("point", DataType::UInt64, false),
        Field::new("session", DataType::Date32, false),
        Field::new("return", DataType::Float64, false),
    ];
    let points = kept.iter().flat_map(|(point, rows)| std::iter::repeat_n(*point, rows.len()));
    let rows = || kept.iter().flat_map(|(_, rows)| rows);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(points)),
        Arc::new(Date32Array::from_iter_values(rows().map(|row| row.0.0))),
        Arc::new(Float64Array::from_iter_values(rows().map(|row| row.1))),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|e| Error::new(codes::IO, e.to_string()))
}

/// The file of some returns: the same bytes for the same returns.
///
/// # Errors
/// Usage error if they can't be laid out.
pub(crate) fn encode(kept: &[Kept]) -> Result<Vec<u8>> {
    let batch = batch(kept)?;
    let properties = write::properties(COMPRESSION, Vec::new()).set_dictionary_enabled(false).build();
    write::batches(Vec::new(), batch.schema(), properties, std::iter::once(Ok(batch)), codes::CANNOT_WRITE)
}

/// `point`, `session`, `return`: rows of a point follow each other.
pub(crate) fn decode(bytes: bytes::Bytes) -> std::result::Result<Vec<Kept>, String> {
    let reader = open(bytes, |schema| (0..schema.num_columns()).collect())?.build().map_err(|e| e.to_string())?;
    let mut points: Vec<Kept> = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("no column {name}"));
        let (point, session, rate) = (column("point")?, column("session")?, column("return")?);
        let point = point.as_primitive_opt::<UInt64Type>();
        let (session, rate) = (session.as_primitive_opt::<Date32Type>(), rate.as_primitive_opt::<Float64Type>());
        let (Some(point), Some(session), Some(rate)) = (point, session, rate) else {
            return Err("its columns have other types".to_owned());
        };
        for i in 0..batch.num_rows() {
            let row = (Date(session.value(i)), rate.value(i));
            match points.last_mut() {
                Some((last, rows)) if *last == point.value(i) => rows.push(row),
                _ => points.push((point.value(i), vec![row])),
            }
        }
    }
    Ok(points)
}
