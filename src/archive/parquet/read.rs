//! Bars from any Parquet file that has them: columns by name, whatever their order and type.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::SchemaDescriptor;

use super::cast;
use super::claims::{self, MOST_SYMBOLS};
use super::guard::guarded;
use super::schema::{self, Schema};
use crate::archive::import::columns;
use crate::archive::import::layout::Layout;
use crate::archive::import::name;
use crate::archive::import::text;
use crate::archive::import::time::{self, Stamp};
use crate::archive::import::told::Told;
use crate::archive::import::whose::whose;
use crate::archive::row::{BarFile, Clock, KEY_DAY_BASIS, KEY_PROVENANCE, KEY_SYMBOL, KEY_TIMEFRAME, Row, Rows};
use crate::bar::{DAY, Nanos, Symbol};
use crate::error::{Error, Result, codes};

/// Reads a file; its rows keep their order. The path serves names and messages only.
pub(crate) fn bars(path: &Path, bytes: Bytes, told: &Told) -> Result<BarFile> {
    guarded(|| read_trusting(path, bytes, told))
        .unwrap_or_else(|| Err(foreign(path, &"the Parquet library gave up on it")))
}

pub(super) fn foreign(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new(codes::SOURCE_UNREADABLE, format!("not a readable Parquet file: {why}")).at(path.display())
}

/// As [`open_with`], dictionaries of symbols.
pub(crate) fn open(
    bytes: Bytes,
    wanted: impl Fn(&SchemaDescriptor) -> Vec<usize>,
) -> std::result::Result<ParquetRecordBatchReaderBuilder<Bytes>, String> {
    open_with(bytes, MOST_SYMBOLS, wanted)
}

/// A reader of some columns of a file whose footer and pages claim no more than they hold, and whose dictionaries of
/// texts have at most `most_texts` bytes. The library may still panic as it reads: see [`guarded`].
pub(super) fn open_with(
    bytes: Bytes,
    most_texts: u64,
    wanted: impl Fn(&SchemaDescriptor) -> Vec<usize>,
) -> std::result::Result<ParquetRecordBatchReaderBuilder<Bytes>, String> {
    claims::check_footer(&bytes)?;
    // The schema is Parquet's own; the copy that Arrow writers add is one more thing to forge.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options);
    let builder = builder.map_err(|e| e.to_string())?;
    let read = wanted(builder.parquet_schema());
    claims::check_pages(&bytes, builder.metadata(), &read, most_texts)?;
    let mask = ProjectionMask::leaves(builder.parquet_schema(), read);
    let groups = builder.metadata().row_groups().iter().enumerate();
    let with_rows = groups.filter(|(_, group)| group.num_rows() > 0).map(|(i, _)| i).collect();
    Ok(builder.with_projection(mask).with_row_groups(with_rows))
}

fn read_trusting(path: &Path, bytes: Bytes, told: &Told) -> Result<BarFile> {
    let foreign = |e: &dyn std::fmt::Display| foreign(path, e);
    let wanted =
        |schema: &SchemaDescriptor| Schema::of(schema).columns(told).map_or(Vec::new(), |c| schema::leaves(&c));
    let builder = open(bytes, wanted).map_err(|e| foreign(&e))?;
    let place = |e: Error| e.at(path.display());
    let schema = Schema::of(builder.parquet_schema());
    let found = schema.columns(told).map_err(place)?;
    let metadata = builder.metadata().clone();
    let pairs = metadata.file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let said = |key: &str| pairs.iter().find(|p| p.key == key).and_then(|p| p.value.clone());
    let marked = said(KEY_SYMBOL).map(|text| text.parse()).transpose().map_err(|e: Error| foreign(&e))?;
    let mut file = BarFile {
        provenance: said(KEY_PROVENANCE),
        timeframe: said(KEY_TIMEFRAME).map(|t| t.parse()).transpose().map_err(|e: Error| foreign(&e))?,
        day_basis: said(KEY_DAY_BASIS),
        symbol: marked,
        ..BarFile::default()
    };
    let layout = Layout::of(&schema.names);
    describe(&mut file, &schema, &found, &layout, &pairs.iter().map(|p| p.key.as_str()).collect::<Vec<_>>());
    let lone = lone_texts(&schema, &found, &metadata).map_err(place)?;
    let one = match (marked, found.symbol) {
        (Some(symbol), _) => Some((symbol, "its own mark".to_owned())),
        (None, Some(_)) => None,
        (None, None) => {
            let whose = whose(path, told, None, &[]).map_err(place)?;
            whose.symbol.map(|symbol| (symbol, whose.from))
        }
    };
    let mut reading = Reading::new(&schema, &found, one.as_ref().map(|o| o.0));
    reading.scale = if layout.in_billionths && schema.whole_prices(&found) { 1e9 } else { 1.0 };
    for batch in builder.build().map_err(|e| foreign(&e))? {
        reading.batch(&batch.map_err(|e| foreign(&e))?).map_err(place)?;
    }
    if reading.scale > 1.0 {
        file.assumed.push("prices are whole billionths of a dollar and divided by 1,000,000,000".to_owned());
    }
    let zone = said("pandas").as_deref().and_then(|text| schema::pandas_zone(text, &schema.names[found.timestamp]));
    let mut series = reading.settled(told, &layout, zone, &mut file).map_err(place)?;
    if let Some((_, from)) = one {
        file.symbol_from = from;
    } else if let Some(at) = found.symbol {
        let symbols: Vec<Symbol> = series.keys().copied().collect();
        let whose = whose(path, told, Some(&schema.names[at]), &symbols).map_err(place)?;
        if let Some(symbol) = whose.symbol {
            series = series.into_values().map(|rows| (symbol, rows)).collect();
        }
        file.symbol_from = whose.from;
    }
    let holders: Vec<Symbol> = series.keys().copied().collect();
    for (at, text) in lone {
        columns::check_lone_text(&schema.names[at], &text, &holders).map_err(place)?;
    }
    file.series = series.into_iter().collect();
    Ok(file)
}

/// What was recognised, in words.
fn describe(file: &mut BarFile, schema: &Schema, found: &columns::Columns, layout: &Layout, keys: &[&str]) {
    let writer = match keys {
        keys if keys.contains(&KEY_SYMBOL) => ", Magellan's",
        keys if keys.contains(&"pandas") => ", pandas",
        _ => "",
    };
    let known = if layout.name == Layout::ANY_NAME { String::new() } else { format!(", {}", layout.name) };
    file.layout = format!("Parquet{writer}{known}");
    file.assumed.extend(found.assumed.iter().cloned());
    file.assumed.extend(layout.assumed.map(str::to_owned));
    let unused: Vec<&str> = found.unknown.iter().map(|&at| schema.names[at].as_str()).collect();
    if !unused.is_empty() {
        file.assumed.push(format!("not used: {}", unused.join(", ")));
    }
}

/// Texts of statistics that are this long may be cut.
const LONGEST_STATISTIC: usize = 64;

/// The columns of one text that aren't understood, by their statistics.
///
/// # Errors
/// Data error for one that has several: two symbols could hide behind it.
fn lone_texts(schema: &Schema, found: &columns::Columns, metadata: &ParquetMetaData) -> Result<Vec<(usize, String)>> {
    let mut lone = Vec::new();
    for &at in found.unknown.iter().filter(|&&at| schema.kinds[at] == columns::Kind::Text) {
        let mut first: Option<String> = None;
        for group in metadata.row_groups() {
            let Some(statistics) = group.columns().get(at).and_then(|c| c.statistics()) else { continue };
            for bytes in [statistics.min_bytes_opt(), statistics.max_bytes_opt()].into_iter().flatten() {
                // Writers cut longer ones, and not all of them say so.
                if bytes.len() >= LONGEST_STATISTIC {
                    continue;
                }
                let Ok(value) = std::str::from_utf8(bytes) else { continue };
                match &first {
                    Some(known) if known != value && text::is_text(value) => {
                        return Err(columns::not_understood(&schema.names[at], known, value));
                    }
                    None if text::is_text(value) => first = Some(value.to_owned()),
                    _ => {}
                }
            }
        }
        lone.extend(first.map(|text| (at, text)));
    }
    Ok(lone)
}

/// The times of a file, as its column holds them.
enum Times {
    /// Instants.
    Instants,
    /// Texts or numbers, which only all together are settled; rows hold their places meanwhile.
    Stamps(Vec<Stamp>),
}

/// A file being read, batch by batch.
struct Reading<'a> {
    schema: &'a Schema,
    found: &'a columns::Columns,
    /// Of each leaf that is read, its place in a batch.
    leaves: Vec<usize>,
    symbol: Option<Symbol>,
    scale: f64,
    times: Times,
    naive: bool,
    rows: usize,
    series: BTreeMap<Symbol, Rows>,
}

impl<'a> Reading<'a> {
    fn new(schema: &'a Schema, found: &'a columns::Columns, symbol: Option<Symbol>) -> Self {
        let (times, series) = (Times::Instants, BTreeMap::new());
        let leaves = schema::leaves(found);
        Self { schema, found, leaves, symbol, scale: 1.0, times, naive: false, rows: 0, series }
    }

    fn column<'b>(&self, batch: &'b RecordBatch, at: usize) -> &'b ArrayRef {
        let place = self.leaves.iter().position(|leaf| *leaf == at).unwrap_or_default();
        batch.column(place)
    }

    fn numbers(&self, batch: &RecordBatch, at: usize) -> Result<Float64Array> {
        let column = self.column(batch, at);
        if let Some(numbers) = cast::numbers(column) {
            return Ok(numbers);
        }
        let (name, kind) = (&self.schema.names[at], column.data_type());
        let what = format!("the column {name} is {kind}, not a number{}", first_of(column));
        Err(Error::new(codes::COLUMN_TYPE, what).help("store prices and volumes as numbers"))
    }

    /// Adds a batch.
    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let starts = self.starts(batch)?;
        let prices = self.found.prices.iter().map(|&at| self.numbers(batch, at)).collect::<Result<Vec<_>>>()?;
        let extra = |at: Option<usize>| at.map(|at| self.numbers(batch, at)).transpose();
        let (trade_count, vwap) = (extra(self.found.trade_count)?, extra(self.found.vwap)?);
        let named = self.found.symbol.map(|at| &self.schema.names[at]);
        let symbols = self.found.symbol.map(|at| cast::texts(self.column(batch, at))).transpose();
        let symbols = symbols.map_err(|e| unusable(named.map_or("symbol", |n| n), &e))?;
        for (name, column) in PRICE_NAMES.iter().zip(&prices) {
            if let Some(i) = (0..batch.num_rows()).find(|&i| column.is_null(i)) {
                let what = format!("row {} has no {name}", self.rows + i + 1);
                return Err(Error::new(codes::MISSING_VALUE, what));
            }
        }
        for (i, &start) in starts.iter().enumerate() {
            let row = self.rows + i + 1;
            let symbol = match &symbols {
                Some(column) => symbol_at(column, i, row)?,
                None => self.symbol.ok_or_else(|| Error::new(codes::MISSING_VALUE, "no symbol"))?,
            };
            let extra =
                |c: &Option<Float64Array>| c.as_ref().filter(|c| c.is_valid(i)).map_or(f64::NAN, |c| c.value(i));
            self.series.entry(symbol).or_default().push(Row {
                start,
                ohlcv: std::array::from_fn(
                    |k| if k < 4 { prices[k].value(i) / self.scale } else { prices[k].value(i) },
                ),
                trade_count: extra(&trade_count),
                vwap: extra(&vwap) / self.scale,
                origin: (0, row as u32),
            });
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// The starts of a batch's bars; places in the file's times, where these aren't instants.
    fn starts(&mut self, batch: &RecordBatch) -> Result<Vec<Nanos>> {
        let at = self.found.timestamp;
        let (column, name) = (self.column(batch, at).clone(), self.schema.names[at].clone());
        let missing = |i: usize| Error::new(codes::MISSING_VALUE, format!("row {} has no {name}", self.rows + i + 1));
        if let Some(i) = (0..column.len()).find(|&i| column.is_null(i)) {
            return Err(missing(i));
        }
        if let Some(instants) = cast::instants(&column) {
            self.naive |= matches!(column.data_type(), DataType::Timestamp(_, None));
            return Ok(instants.map_err(|e| unusable(&name, &e))?.values().to_vec());
        }
        let new = stamps(&column, &name, self.rows)?;
        if matches!(self.times, Times::Instants) {
            self.times = Times::Stamps(Vec::new());
        }
        let Times::Stamps(known) = &mut self.times else { return Ok(Vec::new()) };
        let first = known.len();
        known.extend(new);
        Ok((first..known.len()).map(|place| place as Nanos).collect())
    }

    /// The series, their times settled.
    fn settled(
        self,
        told: &Told,
        layout: &Layout,
        zone: Option<schema::Zone>,
        file: &mut BarFile,
    ) -> Result<BTreeMap<Symbol, Rows>> {
        let mut series = self.series;
        match self.times {
            Times::Stamps(stamps) => {
                let name = &self.schema.names[self.found.timestamp];
                let times = time::settle(&stamps, told, layout.custom).map_err(|(row, e)| {
                    let e = e.within(name);
                    Error::new(e.code(), format!("row {}: {}", row + 1, e.what())).help(e.suggestion())
                })?;
                for row in series.values_mut().flatten() {
                    row.start = times.starts[row.start as usize];
                }
                file.clock = times.clock;
                file.assumed.extend(times.assumed);
            }
            Times::Instants => {
                file.clock = Clock { naive: self.naive, ..Clock::default() };
                file.clock.note_offset(0);
                let has_time = series.values().flatten().any(|row| row.start.rem_euclid(DAY) != 0);
                if let Some(zone) = told.zone.as_ref().filter(|_| self.naive && has_time) {
                    for row in series.values_mut().flatten() {
                        row.start = time::in_zone(row.start, zone)?;
                    }
                    file.clock = Clock::default();
                }
            }
        }
        match zone {
            Some(schema::Zone::Named(zone)) => file.clock.zone = Some(zone),
            Some(schema::Zone::Offset(offset)) => file.clock.note_offset(offset),
            None => {}
        }
        if told.zone.is_some() {
            file.clock.zone.clone_from(&told.zone);
        }
        Ok(series)
    }
}

const PRICE_NAMES: [&str; 5] = ["open", "high", "low", "close", "volume"];

/// Times that are written as texts or counted as whole numbers.
fn stamps(column: &ArrayRef, name: &str, rows: usize) -> Result<Vec<Stamp>> {
    let texts = cast::texts(column).map_err(|e| unusable(name, &e))?;
    if let Some(texts) = texts.as_any().downcast_ref::<StringArray>() {
        let read = |(i, text): (usize, Option<&str>)| {
            let text = text.unwrap_or_default();
            time::parse(text).ok_or_else(|| {
                let e = time::not_a_time(text).within(name);
                Error::new(e.code(), format!("row {}: {}", rows + i + 1, e.what())).help(e.suggestion())
            })
        };
        return texts.iter().enumerate().map(read).collect();
    }
    match column.data_type() {
        DataType::Int64 => Ok(time::of_integers(column.as_primitive::<Int64Type>().values().iter().copied())),
        DataType::Int32 => {
            Ok(time::of_integers(column.as_primitive::<Int32Type>().values().iter().map(|v| i64::from(*v))))
        }
        DataType::UInt64 => {
            let counts = column.as_primitive::<arrow_array::types::UInt64Type>().values();
            Ok(time::of_integers(counts.iter().map(|v| i64::try_from(*v).unwrap_or(i64::MAX))))
        }
        kind => Err(Error::new(codes::COLUMN_TYPE, format!("the column {name} is {kind}, not a timestamp"))
            .help("store timestamps as timestamps")),
    }
}

/// The first value of a column of texts, for messages.
fn first_of(column: &ArrayRef) -> String {
    let texts = cast::texts(column).ok();
    let first = texts.as_ref().and_then(|t| t.as_string_opt::<i32>()).and_then(|t| t.iter().flatten().next());
    first.map_or(String::new(), |text| format!("; its first value is {}", crate::error::quoted(text)))
}

fn unusable(name: &str, why: &str) -> Error {
    Error::new(codes::COLUMN_TYPE, format!("the column {name}: {why}"))
}

/// The symbol in place `i` of a column, which is row `row` of the file.
pub(super) fn symbol_at(column: &dyn Array, i: usize, row: usize) -> Result<Symbol> {
    if column.is_null(i) {
        return Err(Error::new(codes::MISSING_VALUE, format!("row {row} has no symbol")));
    }
    let wrong = |why: &dyn std::fmt::Display| Error::new(codes::BAD_VALUE, format!("row {row}: {why}"));
    let Some(texts) = column.as_string_opt::<i32>() else {
        return Err(wrong(&format!("the column symbol is {}, not text", column.data_type())));
    };
    let text = texts.value(i);
    name::cell(text).ok_or_else(|| wrong(&format!("{} is not a symbol", crate::error::quoted(text))))
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
        name::cell(texts.value(i)).ok_or(codes::BAD_VALUE)
    }

    fn same_symbols(column: &ArrayRef) {
        for i in 0..column.len() {
            let ours = cast::texts(column).map_err(|_| codes::COLUMN_TYPE);
            let ours = ours.and_then(|texts| symbol_at(&texts, i, 1).map_err(|e| e.code()));
            let arrows = match arrows_symbol(column, i) {
                // Arrow writes `inf` and `true`, which are no symbols.
                Ok(_) if column.data_type().is_floating() || *column.data_type() == DataType::Boolean => {
                    Err(codes::BAD_VALUE)
                }
                other => other,
            };
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
            assert_eq!(cast::instants(batch.column(0)).is_some_and(|i| i.is_ok()), fits, "{millis}");
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
