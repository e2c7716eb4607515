//! Bars from any Parquet file that has them: columns by name, whatever their order and type.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, TimestampNanosecondArray};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::cast;
use super::claims;
use super::guard::guarded;
use crate::archive::row::{
    BarFile, EXTRAS, KEY_DAY_BASIS, KEY_PROVENANCE, KEY_SYMBOL, KEY_TIMEFRAME, PRICES, Row, Rows, TIMESTAMPS,
    missing_column, no_symbol, symbol_from_name,
};
use crate::bar::Symbol;
use crate::error::{Error, Result, codes};

/// Reads a file; its rows keep their order. The path serves names and messages only.
pub(crate) fn bars(path: &Path, bytes: Bytes) -> Result<BarFile> {
    guarded(|| read_trusting(path, bytes)).unwrap_or_else(|| Err(foreign(path, &"the Parquet library gave up on it")))
}

fn foreign(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new(codes::SOURCE_UNREADABLE, format!("not a readable Parquet file: {why}")).at(path.display())
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
    let symbol = marked.or_else(|| symbol_from_name(path));
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
        let column = numbers(batch, name)?;
        prices.push(column.ok_or_else(|| missing_column(name, &names(batch)))?);
    }
    let (trade_count, vwap) = (numbers(batch, "trade_count")?, numbers(batch, "vwap")?);
    let symbols = find(batch, "symbol").map(cast::texts).transpose().map_err(|e| unusable("symbol", &e))?;
    if let Some(i) = (0..batch.num_rows()).find(|&i| starts.is_null(i) || prices.iter().any(|c| c.is_null(i))) {
        return Err(Error::new(
            codes::MISSING_VALUE,
            format!("row {} has no timestamp, price or volume", first + i + 1),
        ));
    }
    for i in 0..batch.num_rows() {
        let symbol = match &symbols {
            Some(column) => symbol_at(column, i, first + i + 1)?,
            None => symbol.ok_or_else(no_symbol)?,
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
    let names = || TIMESTAMPS.iter().chain(&PRICES).chain(&EXTRAS).chain(&["symbol"]);
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

fn find<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a ArrayRef> {
    let found = batch.schema().fields().iter().position(|f| f.name().eq_ignore_ascii_case(name))?;
    Some(batch.column(found))
}

/// Times without a zone are UTC, and the second value says that there are such; times with one are
/// instants already; dates are midnight UTC.
fn timestamps(batch: &RecordBatch) -> Result<(TimestampNanosecondArray, bool)> {
    let column = TIMESTAMPS.iter().find_map(|name| find(batch, name));
    let column = column.ok_or_else(|| missing_column("timestamp", &names(batch)))?;
    let kind = column.data_type();
    let Some(instants) = cast::instants(column) else {
        return Err(Error::new(codes::COLUMN_TYPE, format!("the timestamp column is {kind}, not a timestamp"))
            .help("a plain number doesn't say its unit: store timestamps as timestamps"));
    };
    let naive = matches!(kind, DataType::Timestamp(_, None));
    Ok((instants.map_err(|e| unusable("timestamp", &e))?, naive))
}

fn numbers(batch: &RecordBatch, name: &str) -> Result<Option<Float64Array>> {
    let Some(column) = find(batch, name) else { return Ok(None) };
    let numbers = cast::numbers(column);
    let kind = column.data_type();
    let not_numbers = || Error::new(codes::COLUMN_TYPE, format!("the column {name} is {kind}, not a number"));
    numbers.ok_or_else(not_numbers).map(Some)
}

fn unusable(name: &str, why: &str) -> Error {
    Error::new(codes::COLUMN_TYPE, format!("the column {name}: {why}"))
}

/// The symbol in place `i` of a column, which is row `row` of the file.
fn symbol_at(column: &dyn Array, i: usize, row: usize) -> Result<Symbol> {
    if column.is_null(i) {
        return Err(Error::new(codes::MISSING_VALUE, format!("row {row} has no symbol")));
    }
    let wrong = |why: &dyn std::fmt::Display| Error::new(codes::BAD_VALUE, format!("row {row}: {why}"));
    let Some(texts) = column.as_string_opt::<i32>() else {
        return Err(wrong(&format!("the column symbol is {}, not text", column.data_type())));
    };
    texts.value(i).parse().map_err(|e: Error| wrong(&e))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::{Float64Type, TimestampNanosecondType};
    use arrow_array::{BinaryArray, Int64Array, StringArray};
    use arrow_cast::{CastOptions, cast_with_options};
    use arrow_schema::{Field, IntervalUnit, Schema, TimeUnit};
    use parquet::arrow::ArrowWriter;
    use proptest::prelude::*;

    use super::*;

    /// Arrow's own cast, which gives an error where a value can't be represented.
    fn arrow(column: &dyn Array, to: &DataType) -> Result<ArrayRef, String> {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(column, to, &options).map_err(|e| e.to_string())
    }

    /// Every kind of plain column that an Arrow writer makes a Parquet column of.
    fn kinds() -> Vec<DataType> {
        use DataType::*;
        let mut kinds = vec![
            Null,
            Boolean,
            Int8,
            Int16,
            Int32,
            Int64,
            UInt8,
            UInt16,
            UInt32,
            UInt64,
            Float16,
            Float32,
            Float64,
            Date32,
            Date64,
            Utf8,
            LargeUtf8,
            Utf8View,
            Binary,
            LargeBinary,
            BinaryView,
        ];
        kinds.extend([Time32(TimeUnit::Millisecond), Time64(TimeUnit::Microsecond), Time64(TimeUnit::Nanosecond)]);
        kinds.extend([FixedSizeBinary(4), Interval(IntervalUnit::YearMonth)]);
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
            kinds.extend([None, Some("UTC"), Some("-05:00")].map(|zone| Timestamp(unit, zone.map(Into::into))));
        }
        kinds.extend([Decimal32(9, 2), Decimal64(18, 4), Decimal128(9, 2), Decimal128(18, 4)]);
        kinds.extend([0, 2, 10, 22, 23, 38].map(|scale| Decimal128(38, scale)));
        kinds.extend([0, 4, 22, 30, 76].map(|scale| Decimal256(76, scale)));
        kinds.extend([Utf8, LargeUtf8, Int64, Float64].map(|kind| Dictionary(Box::new(Int32), Box::new(kind))));
        kinds
    }

    /// Values of one kind: those of the first source that Arrow casts to it, missing where they don't fit.
    fn column(kind: &DataType, sources: &[ArrayRef]) -> Option<ArrayRef> {
        if *kind == DataType::Null {
            return Some(arrow_array::new_null_array(kind, sources[0].len()));
        }
        sources.iter().find_map(|source| cast_with_options(source, kind, &CastOptions::default()).ok())
    }

    /// The column as it arrives from a file that an Arrow writer wrote.
    fn arriving(name: &str, column: ArrayRef) -> RecordBatch {
        let schema = Schema::new(vec![Field::new(name, column.data_type().clone(), true)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![column]).expect("a batch");
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        let file = writer.into_inner().expect("closed");
        let mut reader = open(file.into(), |_| vec![0]).expect("opened").build().expect("a reader");
        reader.next().expect("a batch").expect("read")
    }

    fn same_numbers(column: &dyn Array) {
        let numeric = column.data_type().is_numeric() || *column.data_type() == DataType::Null;
        let ours = cast::numbers(column);
        assert_eq!(ours.is_some(), numeric, "{}", column.data_type());
        if let Some(ours) = ours {
            let arrows = arrow(column, &DataType::Float64).expect("numbers always fit");
            let bits = |numbers: &Float64Array| numbers.iter().map(|n| n.map(f64::to_bits)).collect::<Vec<_>>();
            assert_eq!(bits(&ours), bits(arrows.as_primitive::<Float64Type>()), "{}", column.data_type());
        }
    }

    fn same_instants(column: &dyn Array) {
        let zone = match column.data_type() {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        let temporal = matches!(column.data_type(), DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
        let ours = cast::instants(column);
        assert_eq!(ours.is_some(), temporal, "{}", column.data_type());
        if let Some(ours) = ours {
            let arrows = arrow(column, &DataType::Timestamp(TimeUnit::Nanosecond, zone));
            assert_eq!(ours.is_ok(), arrows.is_ok(), "{ours:?} {arrows:?}");
            if let (Ok(ours), Ok(arrows)) = (ours, arrows) {
                assert!(ours.iter().eq(arrows.as_primitive::<TimestampNanosecondType>().iter()));
            }
        }
    }

    /// The symbol by Arrow's cast to text, or the code of the error.
    fn arrows_symbol(column: &dyn Array, i: usize) -> Result<Symbol, crate::error::Code> {
        let texts = arrow(column, &DataType::Utf8).map_err(|_| codes::COLUMN_TYPE)?;
        let texts = texts.as_string::<i32>();
        if texts.is_null(i) {
            return Err(codes::MISSING_VALUE);
        }
        texts.value(i).parse().map_err(|_| codes::BAD_VALUE)
    }

    fn same_symbols(column: &ArrayRef) {
        for i in 0..column.len() {
            let ours = cast::texts(column).map_err(|_| codes::COLUMN_TYPE);
            let ours = ours.and_then(|texts| symbol_at(&texts, i, 1).map_err(|e| e.code()));
            let arrows = arrows_symbol(column, i);
            // Arrow can't write a time that is outside its calendar; either way it's no symbol.
            if !(column.data_type().is_temporal() && arrows == Err(codes::COLUMN_TYPE)) {
                assert_eq!(ours, arrows, "{}", column.data_type());
            }
        }
    }

    fn integers() -> impl Strategy<Value = i64> {
        (any::<i64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn columns_are_cast_as_arrow_casts_them(
            kind in prop::sample::select(kinds()),
            integers in prop::collection::vec(prop::option::of(integers()), 1..20),
            floats in prop::collection::vec(prop::option::of(any::<f64>()), 1..20),
            texts in prop::collection::vec(prop::option::of("[A-Z]{1,5}|.{0,13}"), 1..20),
            bytes in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 4)), 1..20),
            first in 0..4_usize,
        ) {
            let mut sources: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from(integers)),
                Arc::new(Float64Array::from(floats)),
                Arc::new(StringArray::from(texts)),
                Arc::new(BinaryArray::from_iter(bytes)),
            ];
            sources.rotate_left(first);
            let column = column(&kind, &sources).unwrap_or_else(|| panic!("no source makes {kind}"));
            let batch = arriving("x", column);
            same_numbers(batch.column(0));
            same_instants(batch.column(0));
            same_symbols(batch.column(0));
        }
    }

    #[test]
    fn times_that_nanoseconds_cannot_count_are_an_error() {
        let seconds = i64::MAX / 1_000_000;
        for (millis, fits) in [(seconds, true), (seconds + 1, false), (-seconds, true), (-seconds - 1, false)] {
            let kind = DataType::Timestamp(TimeUnit::Millisecond, None);
            let column = arrow(&Int64Array::from(vec![millis]), &kind).expect("the same number");
            let batch = arriving("timestamp", column);
            assert_eq!(timestamps(&batch).map(|_| ()).map_err(|e| e.code()).is_ok(), fits, "{millis}");
            same_instants(batch.column(0));
        }
    }

    #[test]
    fn decimals_are_rounded_once() {
        let digits = ["0", "1", "-1", "1999", "9007199254740993", "99999999999999999999999999999999999999"];
        for scale in [0, 2, 22, 23, 38] {
            for digits in digits {
                let number: i128 = digits.parse().expect("digits");
                let column = arrow_array::Decimal128Array::from(vec![number]);
                let column: ArrayRef = Arc::new(column.with_precision_and_scale(38, scale).expect("in range"));
                let batch = arriving("close", column);
                let read = cast::numbers(batch.column(0)).expect("numbers").value(0);
                assert_eq!(read, format!("{digits}e-{scale}").parse::<f64>().expect("a number"));
            }
        }
    }
}
