//! The record: one Parquet file per series and year, readable by pandas, polars and DuckDB.
//!
//! Columns: `timestamp` (ns, UTC, start of the bar), `open high low close volume` (f64), and
//! `trade_count vwap` where the source had them. Prices are raw.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, TimestampNanosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::manifest::{DayBasis, Record};
use crate::bar::{Nanos, Symbol, Timeframe};
use crate::error::{Error, Result, codes};

/// One bar as archived. Absent extras are NaN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) start: Nanos,
    /// open, high, low, close, volume
    pub(crate) ohlcv: [f64; 5],
    pub(crate) trade_count: f64,
    pub(crate) vwap: f64,
    /// Which source and which of its rows, for messages.
    pub(crate) origin: (u32, u32),
}

/// What the metadata of a record says about its bars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) symbol: Symbol,
    pub(crate) timeframe: Timeframe,
    pub(crate) provenance: String,
    pub(crate) day_basis: Option<DayBasis>,
}

pub(crate) const PRICES: [&str; 5] = ["open", "high", "low", "close", "volume"];
pub(crate) const KEY_PROVENANCE: &str = "magellan.provenance";
pub(crate) const KEY_SYMBOL: &str = "magellan.symbol";
pub(crate) const KEY_TIMEFRAME: &str = "magellan.timeframe";
pub(crate) const KEY_DAY_BASIS: &str = "magellan.day_basis";

/// The Parquet bytes of `rows`; the same rows give the same bytes.
pub(crate) fn encode(label: &Label, rows: &[Row]) -> Result<Vec<u8>> {
    let batch = batch(rows)?;
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties(label))).map_err(|e| fault(label, &e))?;
    writer.write(&batch).and_then(|()| writer.close()).map_err(|e| fault(label, &e))?;
    Ok(bytes)
}

fn fault(label: &Label, err: &parquet::errors::ParquetError) -> Error {
    Error::new(codes::IO, format!("can't write Parquet: {err}")).at(label.symbol)
}

fn batch(rows: &[Row]) -> Result<RecordBatch> {
    let starts: TimestampNanosecondArray = rows.iter().map(|r| Some(r.start)).collect();
    let mut fields =
        vec![Field::new("timestamp", DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), false)];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(starts.with_timezone("UTC"))];
    for (i, name) in PRICES.iter().enumerate() {
        fields.push(Field::new(*name, DataType::Float64, false));
        columns.push(Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.ohlcv[i]))));
    }
    for name in ["trade_count", "vwap"] {
        let of = |r: &Row| if name == "vwap" { r.vwap } else { r.trade_count };
        let column: Float64Array = rows.iter().map(|r| Some(of(r)).filter(|v| !v.is_nan())).collect();
        if column.null_count() < rows.len() {
            fields.push(Field::new(name, DataType::Float64, true));
            columns.push(Arc::new(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|e| Error::new(codes::IO, e.to_string()))
}

fn properties(label: &Label) -> WriterProperties {
    let mut pairs = vec![
        (KEY_PROVENANCE, label.provenance.clone()),
        (KEY_SYMBOL, label.symbol.to_string()),
        (KEY_TIMEFRAME, label.timeframe.to_string()),
        ("magellan.prices", "raw".to_owned()),
    ];
    pairs.extend(label.day_basis.map(|b| (KEY_DAY_BASIS, b.name().to_owned())));
    let pairs = pairs.into_iter().map(|(k, v)| KeyValue::new(k.to_owned(), v)).collect();
    let timestamp = ColumnPath::from("timestamp");
    WriterProperties::builder()
        .set_created_by("magellan".to_owned())
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(9).unwrap_or_default()))
        .set_column_dictionary_enabled(timestamp.clone(), false)
        .set_column_encoding(timestamp, Encoding::DELTA_BINARY_PACKED)
        .set_key_value_metadata(Some(pairs))
        .build()
}

/// The rows of a record, as written by [`encode`], if they are what the manifest says of them.
///
/// # Errors
/// Data error if the file isn't such a record.
pub(crate) fn decode(path: &Path, bytes: Bytes, entry: &Record) -> Result<Vec<Row>> {
    let foreign = |what: String| Err(Error::new(codes::RECORD_FOREIGN, what).at(path.display()));
    let file = super::import::parquet::read(path, bytes)?;
    let label = (file.symbol, file.timeframe, file.provenance.as_deref());
    if label != (Some(entry.symbol), Some(entry.timeframe), Some(&entry.provenance)) {
        let Record { symbol, timeframe, provenance, .. } = entry;
        return foreign(format!("its metadata is not that of {symbol} {timeframe} from {provenance}"));
    }
    let mut series = file.series;
    let (Some((symbol, rows)), true) = (series.pop(), series.is_empty()) else {
        return foreign("a record holds exactly one symbol".to_owned());
    };
    let range = rows.first().zip(rows.last()).map(|(a, b)| (a.start, b.start));
    if symbol != entry.symbol || rows.len() as u64 != entry.rows || range != Some((entry.first, entry.last)) {
        return foreign(format!("it doesn't hold {} bars of {} from {}", entry.rows, entry.symbol, entry.range()));
    }
    rows.iter().try_for_each(|row| super::import::check_row(row, entry.timeframe).map_err(|e| e.at(path.display())))?;
    Ok(rows)
}
