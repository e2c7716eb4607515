//! The cache: one Arrow IPC file per series, mapped without a copy.
//!
//! Derived and disposable. Its key is the hash of the records it was made from; every column
//! carries an XXH3 checksum, since Arrow IPC has none. A cache that is stale, damaged or
//! foreign is made anew; one that can't be written is done without.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::ipc::{MetadataVersion, root_as_footer};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::map::{self, Access};
use super::write_atomically;
use crate::error::{Error, Result};

/// The columns of a series.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    pub(super) start: ScalarBuffer<i64>,
    /// open, high, low, close, volume
    pub(super) ohlcv: [ScalarBuffer<f64>; 5],
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

fn decode(bytes: Bytes, key: &str) -> Result<Cached, String> {
    let fault = |e: &dyn std::fmt::Display| format!("it is damaged: {e}");
    let buffer = Buffer::from(bytes);
    let (body, trailer) = buffer.split_last_chunk::<10>().ok_or("it is too short")?;
    let length = read_footer_length(*trailer).map_err(|e| fault(&e))?;
    let start = body.len().checked_sub(length).ok_or("its footer is longer than the file")?;
    let footer = root_as_footer(&body[start..]).map_err(|e| fault(&e))?;
    let schema = footer.schema().ok_or("it has no schema")?;
    let schema = try_fb_to_schema(schema).map_err(|e| fault(&e))?;
    let said = schema.metadata();
    if said.get(KEY).map(String::as_str) != Some(key) {
        return Err("it was made from other records".to_owned());
    }
    let blocks = footer.recordBatches().filter(|b| b.len() == 1).ok_or("it has not one batch")?;
    let decoder = FileDecoder::new(Arc::new(schema.clone()), footer.version()).with_require_alignment(true);
    let batch = decoder.read_record_batch(blocks.get(0), &buffer).map_err(|e| fault(&e))?;
    let batch = batch.ok_or("it has no batch")?;
    let intact = |name: &str, bytes: &[u8]| match said.get(name) {
        Some(sum) if *sum == checksum(bytes) => Ok(()),
        _ => Err(format!("the checksum of its column {name} is wrong")),
    };
    let column = |i: usize| batch.columns().get(i).filter(|c| c.null_count() == 0).ok_or("a column is missing");
    let start = column(0)?.as_primitive_opt::<Int64Type>().ok_or("its starts are not integers")?.values().clone();
    intact(COLUMNS[0], start.inner().as_slice())?;
    let mut ohlcv = Vec::with_capacity(5);
    for (i, name) in COLUMNS.iter().enumerate().skip(1) {
        let values = column(i)?.as_primitive_opt::<Float64Type>().ok_or("a price is not a float")?.values().clone();
        intact(name, values.inner().as_slice())?;
        ohlcv.push(values);
    }
    let ohlcv = ohlcv.try_into().map_err(|_| "a column is missing")?;
    Ok(Cached { start, ohlcv })
}

/// Writes `columns` under `key`.
pub(super) fn write(path: &Path, key: &str, columns: &Cached) -> Result<()> {
    write_atomically(path, &encode(key, columns)?)
}

fn encode(key: &str, columns: &Cached) -> Result<Vec<u8>> {
    let fault = |e: arrow::error::ArrowError| Error::data(format!("can't write the cache: {e}"));
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
    format!("{:016x}", xxh3_64(bytes))
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
