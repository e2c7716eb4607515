//! Bars from any Parquet file that has them: columns by name, whatever their order and type.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampNanosecondType};
use arrow_array::{Array, Float64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::{BarFile, Rows, TIMESTAMPS, claims};
use crate::archive::record::{KEY_DAY_BASIS, KEY_PROVENANCE, KEY_SYMBOL, KEY_TIMEFRAME, PRICES, Row};
use crate::bar::Symbol;
use crate::error::{Error, Result, codes};

/// Reads a file; its rows keep their order. The path serves names and messages only.
pub(crate) fn read(path: &Path, bytes: Bytes) -> Result<BarFile> {
    guarded(|| read_trusting(path, bytes)).unwrap_or_else(|| Err(foreign(path, &"the Parquet library gave up on it")))
}

fn foreign(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new(codes::SOURCE_UNREADABLE, format!("not a readable Parquet file: {why}")).at(path.display())
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs code that panics on damaged input; nothing if it did.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    GUARDED.set(true);
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    GUARDED.set(false);
    done.ok()
}

/// Keeps the messages of panics that are caught off stderr. For programs, once at their start.
pub fn hide_caught_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !GUARDED.get() {
            usual(info);
        }
    }));
}

/// A reader of some columns of a file whose footer and pages claim no more than they hold. The
/// library may still panic as it reads: see [`guarded`].
pub(crate) fn open(
    bytes: Bytes,
    wanted: impl Fn(&SchemaDescriptor) -> Vec<usize>,
) -> std::result::Result<ParquetRecordBatchReaderBuilder<Bytes>, String> {
    claims::check_footer(&bytes)?;
    // The schema is Parquet's own; the copy that Arrow writers add is one more thing to forge.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options);
    let builder = builder.map_err(|e| e.to_string())?;
    let read = wanted(builder.parquet_schema());
    claims::check_pages(&bytes, builder.metadata(), &read)?;
    let mask = ProjectionMask::leaves(builder.parquet_schema(), read);
    let groups = builder.metadata().row_groups().iter().enumerate();
    let with_rows = groups.filter(|(_, group)| group.num_rows() > 0).map(|(i, _)| i).collect();
    Ok(builder.with_projection(mask).with_row_groups(with_rows))
}

fn read_trusting(path: &Path, bytes: Bytes) -> Result<BarFile> {
    let foreign = |e: &dyn std::fmt::Display| foreign(path, e);
    let builder = open(bytes, wanted).map_err(|e| foreign(&e))?;
    let pairs = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let said = |key: &str| pairs.iter().find(|p| p.key == key).and_then(|p| p.value.clone());
    let mut file = BarFile {
        provenance: said(KEY_PROVENANCE),
        timeframe: said(KEY_TIMEFRAME).map(|t| t.parse()).transpose().map_err(|e: Error| foreign(&e))?,
        day_basis: said(KEY_DAY_BASIS),
        symbol: None,
        naive: false,
        series: Vec::new(),
    };
    let marked = said(KEY_SYMBOL).map(|text| text.parse()).transpose().map_err(|e: Error| foreign(&e))?;
    file.symbol = marked;
    let symbol = marked.or_else(|| super::symbol_from_name(path));
    let mut series: BTreeMap<Symbol, Rows> = BTreeMap::new();
    let mut at = 0;
    for batch in builder.build().map_err(|e| foreign(&e))? {
        let batch = batch.map_err(|e| foreign(&e))?;
        file.naive |= read_batch(&batch, symbol, at, &mut series).map_err(|e| e.at(path.display()))?;
        at += batch.num_rows();
    }
    file.series = series.into_iter().collect();
    Ok(file)
}

/// Adds a batch whose first row is row `first` of the file; whether its times have no zone.
fn read_batch(
    batch: &RecordBatch,
    symbol: Option<Symbol>,
    first: usize,
    series: &mut BTreeMap<Symbol, Rows>,
) -> Result<bool> {
    let (starts, naive) = timestamps(batch)?;
    let mut prices = Vec::with_capacity(PRICES.len());
    for name in PRICES {
        let column = number(batch, name)?;
        prices.push(column.ok_or_else(|| super::missing_column(name, &names(batch)))?);
    }
    let (trade_count, vwap) = (number(batch, "trade_count")?, number(batch, "vwap")?);
    let symbols = text(batch, "symbol")?;
    if let Some(i) = (0..batch.num_rows()).find(|&i| starts.is_null(i) || prices.iter().any(|c| c.is_null(i))) {
        return Err(Error::new(
            codes::MISSING_VALUE,
            format!("row {} has no timestamp, price or volume", first + i + 1),
        ));
    }
    for i in 0..batch.num_rows() {
        let symbol = match &symbols {
            Some(column) if column.is_valid(i) => column
                .value(i)
                .parse()
                .map_err(|e: Error| Error::new(codes::BAD_VALUE, format!("row {}: {e}", first + i + 1)))?,
            Some(_) => return Err(Error::new(codes::MISSING_VALUE, format!("row {} has no symbol", first + i + 1))),
            None => symbol.ok_or_else(super::no_symbol)?,
        };
        let extra = |c: &Option<Float64Array>| c.as_ref().filter(|c| c.is_valid(i)).map_or(f64::NAN, |c| c.value(i));
        series.entry(symbol).or_default().push(Row {
            start: starts.value(i),
            ohlcv: std::array::from_fn(|k| prices[k].value(i)),
            trade_count: extra(&trade_count),
            vwap: extra(&vwap),
            origin: (0, (first + i + 1) as u32),
        });
    }
    Ok(naive)
}

/// The leaves that bars are made of: plain columns with a name that is read. Whatever else a file
/// holds is passed over.
fn wanted(schema: &SchemaDescriptor) -> Vec<usize> {
    let names = || TIMESTAMPS.iter().chain(&PRICES).chain(&["symbol", "trade_count", "vwap"]);
    let is_read = |column: &ColumnDescPtr| {
        column.path().parts().len() == 1
            && column.max_rep_level() == 0
            && names().any(|name| column.name().eq_ignore_ascii_case(name))
    };
    (0..schema.num_columns()).filter(|&leaf| is_read(&schema.column(leaf))).collect()
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|f| f.name().clone()).collect()
}

fn find<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a dyn Array> {
    let found = batch.schema().fields().iter().position(|f| f.name().eq_ignore_ascii_case(name))?;
    Some(batch.column(found))
}

/// Naive timestamps are UTC; zoned ones are instants already; dates are midnight UTC.
fn timestamps(batch: &RecordBatch) -> Result<(TimestampNanosecondArray, bool)> {
    let column = TIMESTAMPS.iter().find_map(|name| find(batch, name));
    let column = column.ok_or_else(|| super::missing_column("timestamp", &names(batch)))?;
    let kind = column.data_type();
    if !matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) {
        return Err(Error::new(codes::COLUMN_TYPE, format!("the timestamp column is {kind}, not a timestamp"))
            .help("a plain number doesn't say its unit: store timestamps as timestamps"));
    }
    let zone = match kind {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let naive = zone.is_none() && matches!(kind, DataType::Timestamp(..));
    let cast = cast(column, &DataType::Timestamp(TimeUnit::Nanosecond, zone), "timestamp")?;
    Ok((cast.as_primitive::<TimestampNanosecondType>().clone(), naive))
}

fn number(batch: &RecordBatch, name: &str) -> Result<Option<Float64Array>> {
    let Some(column) = find(batch, name) else { return Ok(None) };
    if !column.data_type().is_numeric() && *column.data_type() != DataType::Null {
        let kind = column.data_type();
        return Err(Error::new(codes::COLUMN_TYPE, format!("the column {name} is {kind}, not a number")));
    }
    let cast = cast(column, &DataType::Float64, name)?;
    Ok(Some(cast.as_primitive::<Float64Type>().clone()))
}

fn text(batch: &RecordBatch, name: &str) -> Result<Option<StringArray>> {
    let Some(column) = find(batch, name) else { return Ok(None) };
    let cast = cast(column, &DataType::Utf8, name)?;
    Ok(Some(cast.as_string::<i32>().clone()))
}

fn cast(column: &dyn Array, to: &DataType, name: &str) -> Result<arrow_array::ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, to, &options)
        .map_err(|e| Error::new(codes::COLUMN_TYPE, format!("the column {name}: {e}")))
}
