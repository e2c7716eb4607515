//! The record: one Parquet file per series and year, readable by pandas, polars and DuckDB.
//!
//! Columns: `timestamp` (ns, UTC, start of the bar), `open high low close volume` (f64), and
//! `trade_count vwap` where the source had them. Prices are raw.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, TimestampNanosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::import::told::Told;
use super::manifest::Record;
use super::parquet::{read, write};
use super::row::{EXTRAS, KEY_DAY_BASIS, KEY_PROVENANCE, KEY_SYMBOL, KEY_TIMEFRAME, Label, PRICES, Row, check_row};
use crate::bar::{DAY, Date, Symbol, Timeframe};
use crate::disk::hash::{sha256_hex, xxh3_hex};
use crate::disk::map::{self, Access};
use crate::disk::write::write_atomically;
use crate::error::{Error, Result, codes};

/// Zstandard's level: a record is written once and read for years.
const COMPRESSION: i32 = 9;

/// The Parquet bytes of `rows`; the same rows give the same bytes.
pub(crate) fn encode(label: &Label, rows: &[Row]) -> Result<Vec<u8>> {
    let batch = batch(rows)?;
    let (schema, batches) = (batch.schema(), std::iter::once(Ok(batch)));
    write::batches(Vec::new(), schema, properties(label), batches, codes::IO).map_err(|e| e.at(label.symbol))
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
    let extras: [fn(&Row) -> f64; 2] = [|row| row.trade_count, |row| row.vwap];
    for (name, extra) in EXTRAS.into_iter().zip(extras) {
        let column: Float64Array = rows.iter().map(|r| Some(extra(r)).filter(|v| !v.is_nan())).collect();
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
    let timestamp = ColumnPath::from("timestamp");
    write::properties(COMPRESSION, pairs)
        .set_column_dictionary_enabled(timestamp.clone(), false)
        .set_column_encoding(timestamp, Encoding::DELTA_BINARY_PACKED)
        .build()
}

/// The rows of a record, as written by [`encode`], if they are what the manifest says of them.
///
/// # Errors
/// Data error if the file isn't such a record.
pub(crate) fn decode(path: &Path, bytes: Bytes, entry: &Record) -> Result<Vec<Row>> {
    let foreign = |what: String| Err(Error::new(codes::RECORD_FOREIGN, what).at(path.display()));
    let file = read::bars(path, bytes, &Told::default())?;
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
    rows.iter().try_for_each(|row| check_row(row, entry.timeframe).map_err(|e| e.at(path.display())))?;
    Ok(rows)
}

/// A record's bytes, if they are those that the manifest names.
pub(super) fn checked_bytes(folder: &Path, record: &Record, access: Access) -> Result<Bytes> {
    let path = folder.join(&record.path);
    let restore =
        "run again if an import was under way; else restore the file, or import its source into a new archive";
    let bytes = map::bytes(&path, access).map_err(|e| e.recode(codes::RECORD_MISSING).help(restore))?;
    if xxh3_hex(&bytes) != record.xxh3 {
        let what = "the record was changed or damaged: its hash is not the manifest's";
        return Err(Error::new(codes::RECORD_CHANGED, what).at(path.display()).help(restore));
    }
    Ok(bytes)
}

/// Writes one record per UTC year. Each file is named after its contents, so a changed year is a
/// new file.
pub(super) fn write_years(archive: &Path, label: &Label, rows: &[Row]) -> Result<Vec<Record>> {
    rows.chunk_by(|a, b| year(a) == year(b)).map(|rows| write_year(archive, label, rows)).collect()
}

/// Year of a bar's start, UTC.
fn year(row: &Row) -> i16 {
    Date(row.start.div_euclid(DAY) as i32).civil().year()
}

fn write_year(archive: &Path, label: &Label, rows: &[Row]) -> Result<Record> {
    let (first, last) = (&rows[0], &rows[rows.len() - 1]);
    let bytes = encode(label, rows)?;
    let xxh3 = xxh3_hex(&bytes);
    let (timeframe, symbol, year) = (label.timeframe, label.symbol, year(first));
    let path = format!("{}/raw/{timeframe}/{symbol}/{year}-{}.parquet", label.provenance, &xxh3[..8]);
    let full = archive.join(&path);
    let unchanged = fs::read(&full).is_ok_and(|old| old == bytes);
    if !unchanged {
        write_atomically(&full, &bytes)?;
    }
    Ok(Record {
        path,
        symbol,
        timeframe,
        provenance: label.provenance.clone(),
        day_basis: label.day_basis,
        year,
        rows: rows.len() as u64,
        first: first.start,
        last: last.start,
        sha256: sha256_hex(&bytes),
        xxh3,
    })
}

/// Whether a path inside an archive is one that [`write_years`] gives. Whoever imports into a folder
/// of their own files loses none of them.
pub(super) fn is_record_path(archive: &Path, path: &Path) -> bool {
    let inside = path.strip_prefix(archive).ok().and_then(Path::to_str).unwrap_or_default();
    let [_, "raw", timeframe, symbol, name] = inside.split('/').collect::<Vec<&str>>()[..] else { return false };
    let stem = name.strip_suffix(".parquet").and_then(|stem| stem.split_once('-'));
    let hex = |text: &str| text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    Timeframe::ALL.iter().any(|t| t.name() == timeframe)
        && symbol.parse::<Symbol>().is_ok()
        && stem.is_some_and(|(year, hash)| year.parse::<i16>().is_ok() && hex(hash))
}
