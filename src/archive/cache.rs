//! The cache: one Arrow IPC file per series, mapped without a copy.
//!
//! Derived and disposable. Its key is the hash of the records it was made from; every column
//! carries an XXH3 checksum, since Arrow IPC has none. A cache that is stale, damaged or
//! foreign is made anew; one that can't be written is done without.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_ipc::reader::read_footer_length;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_ipc::{MetadataVersion, root_as_footer, root_as_message};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use twox_hash::XxHash3_64;

use super::row::Row;
use crate::disk::map::{self, Access};
use crate::disk::write::write_atomically;
use crate::error::{Error, Result, codes};

/// The columns of a series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cached {
    pub(crate) start: ScalarBuffer<i64>,
    /// open, high, low, close, volume
    pub(crate) ohlcv: [ScalarBuffer<f64>; 5],
}

impl Cached {
    /// The columns of some rows.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let column = |i: usize| ScalarBuffer::from_iter(rows.iter().map(|r| r.ohlcv[i]));
        Self { start: rows.iter().map(|r| r.start).collect(), ohlcv: std::array::from_fn(column) }
    }
}

const COLUMNS: [&str; 6] = ["start", "open", "high", "low", "close", "volume"];
const KEY: &str = "magellan.key";

/// The columns in `path` if they are intact and made from `key`; else why not.
pub(super) fn open(path: &Path, key: &str, access: Access) -> Result<Cached, String> {
    if !path.exists() {
        return Err("there is none".to_owned());
    }
    let bytes = map::bytes(path, access).map_err(|e| e.to_string())?;
    decode(bytes, key)
}

/// Finds the six value buffers by the file's own flat buffers, every bound checked here:
/// Arrow's reader trusts its metadata and panics on a damaged one.
pub(crate) fn decode(bytes: Bytes, key: &str) -> Result<Cached, String> {
    let fault = |e: &dyn std::fmt::Display| format!("it is damaged: {e}");
    let file = Buffer::from(bytes);
    let (body, trailer) = file.split_last_chunk::<10>().ok_or("it is too short")?;
    let length = read_footer_length(*trailer).map_err(|e| fault(&e))?;
    let start = body.len().checked_sub(length).ok_or("its footer is longer than the file")?;
    let footer = root_as_footer(&body[start..]).map_err(|e| fault(&e))?;
    let pairs = footer.schema().and_then(|s| s.custom_metadata()).ok_or("it has no metadata")?;
    let said = |name: &str| pairs.iter().find(|p| p.key() == Some(name)).and_then(|p| p.value());
    if said(KEY) != Some(key) {
        return Err("it was made from other records".to_owned());
    }
    let block = footer.recordBatches().filter(|b| b.len() == 1).ok_or("it has not one batch")?.get(0);
    let message = part(&file, block.offset(), i64::from(block.metaDataLength()))?;
    // A message starts with a marker and its length, four bytes each.
    let message = message.get(8..).ok_or("its batch is too short")?;
    let message = root_as_message(message).map_err(|e| fault(&e))?;
    let batch = message.header_as_record_batch().ok_or("it has no batch")?;
    let rows = usize::try_from(batch.length()).map_err(|e| fault(&e))?;
    let buffers = batch.buffers().filter(|b| b.len() == 2 * COLUMNS.len()).ok_or("it has not six columns")?;
    let body = block.offset().checked_add(i64::from(block.metaDataLength())).ok_or("its batch is too long")?;
    // Each column has a validity buffer, empty here, and a value buffer.
    let column = |i: usize| -> Result<Buffer, String> {
        let place = buffers.get(2 * i + 1);
        let at = body.checked_add(place.offset()).ok_or("a column lies outside the file")?;
        let values = part(&file, at, place.length())?;
        if Some(values.len()) != rows.checked_mul(8) || values.as_ptr().align_offset(8) != 0 {
            return Err(format!("its column {} has a wrong size or place", COLUMNS[i]));
        }
        if said(COLUMNS[i]) != Some(checksum(&values).as_str()) {
            return Err(format!("the checksum of its column {} is wrong", COLUMNS[i]));
        }
        Ok(values)
    };
    let mut ohlcv = Vec::with_capacity(5);
    for i in 1..COLUMNS.len() {
        ohlcv.push(ScalarBuffer::new(column(i)?, 0, rows));
    }
    let ohlcv = ohlcv.try_into().map_err(|_| "a column is missing")?;
    let start: ScalarBuffer<i64> = ScalarBuffer::new(column(0)?, 0, rows);
    // Checksums can be forged; replays index by time and rely on its order.
    if !start.is_sorted_by(|a, b| a < b) {
        return Err("its bars are out of order".to_owned());
    }
    Ok(Cached { start, ohlcv })
}

/// `length` bytes of `file` from `at`, shared, if they are inside it.
fn part(file: &Buffer, at: i64, length: i64) -> Result<Buffer, String> {
    let range = usize::try_from(at).ok().zip(usize::try_from(length).ok());
    let inside = range.filter(|(at, length)| at.checked_add(*length).is_some_and(|end| end <= file.len()));
    let (at, length) = inside.ok_or("a part of it lies outside the file")?;
    Ok(file.slice_with_length(at, length))
}

/// Writes `columns` under `key`.
pub(super) fn write(path: &Path, key: &str, columns: &Cached) -> Result<()> {
    write_atomically(path, &encode(key, columns)?)
}

pub(crate) fn encode(key: &str, columns: &Cached) -> Result<Vec<u8>> {
    let fault = |e: arrow_schema::ArrowError| Error::new(codes::IO, format!("can't write the cache: {e}"));
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(Int64Array::new(columns.start.clone(), None))];
    let mut metadata = HashMap::from([(KEY.to_owned(), key.to_owned())]);
    metadata.insert(COLUMNS[0].to_owned(), checksum(columns.start.inner().as_slice()));
    for (name, column) in COLUMNS[1..].iter().zip(&columns.ohlcv) {
        metadata.insert((*name).to_owned(), checksum(column.inner().as_slice()));
        arrays.push(Arc::new(Float64Array::new(column.clone(), None)));
    }
    let kind = |i: usize| if i == 0 { DataType::Int64 } else { DataType::Float64 };
    let fields: Vec<Field> = COLUMNS.iter().enumerate().map(|(i, n)| Field::new(*n, kind(i), false)).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(fault)?;
    let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5).map_err(fault)?;
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &schema, options).map_err(fault)?;
    writer.write(&batch).and_then(|()| writer.finish()).map_err(fault)?;
    writer.into_inner().map_err(fault)
}

fn checksum(bytes: &[u8]) -> String {
    format!("{:016x}", XxHash3_64::oneshot(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Cached {
        let column = |k: f64| (0..100).map(|i| k + f64::from(i)).collect::<Vec<f64>>().into();
        Cached { start: (0..100).collect::<Vec<i64>>().into(), ohlcv: [1.0, 2.0, 3.0, 4.0, 5.0].map(column) }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = encode("k", &columns()).expect("encodes");
        let read = decode(bytes.into(), "k").expect("decodes");
        assert_eq!((read.start, read.ohlcv), (columns().start, columns().ohlcv));
    }

    #[test]
    fn any_flipped_byte_gives_the_same_columns_or_an_error() {
        let good = encode("k", &columns()).expect("encodes");
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 0x41;
            if let Ok(read) = decode(bad.into(), "k") {
                assert_eq!((read.start, read.ohlcv), (columns().start, columns().ohlcv), "byte {i}");
            }
        }
    }

    #[test]
    fn truncation_and_foreign_keys_are_errors() {
        let good = encode("k", &columns()).expect("encodes");
        assert!(decode(good.clone().into(), "other").is_err());
        for len in 0..good.len() {
            assert!(decode(good[..len].to_vec().into(), "k").is_err(), "length {len}");
        }
    }
}
