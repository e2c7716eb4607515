//! Results of a sweep on disk: written part by part, so that it can be killed, resumed, shared out
//! and merged, and ends in the same bytes whichever way it went.
//!
//! ```text
//! DIR/plan.json                        what is swept
//! DIR/parts/<part>-<checksum>.parquet  rows of a part's points
//! DIR/parts/<part>-<checksum>.returns  session returns of those of them in the sample (Parquet)
//! DIR/results.parquet                  all rows, once all parts are there
//! DIR/returns.parquet                  session returns of the sample
//! ```
//!
//! A part appears by one rename, its returns before its rows; the checksum in the name tells a
//! part that was cut short from a whole one.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde::Serialize;
use serde_json::{Number, Value};

use super::equity::Kept;
use super::market::account_name;
use super::plan::{FILE, Plan, differences};
use super::sweepable::Row;
use super::together::FIGURES;
use crate::archive::parquet::write;
use crate::disk::hash::{sha256_hex, xxh3_hex};
use crate::disk::map;
use crate::disk::write::{TEMPORARY, write_whole};
use crate::error::{Error, Result, codes};
use crate::ledger;
use crate::metrics::{self, TRADING};
use crate::sweep::grid::Grid;

/// Zstandard's level: results are written often and read once.
const COMPRESSION: i32 = 1;
/// Rows of a group in the final file.
const GROUP_ROWS: usize = 65_536;
/// Largest file of a part.
const LARGEST: u64 = 1 << 30;

/// The folder of a sweep.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    /// Hash of the plan, which each part carries.
    plan: String,
}

/// What a file of a part holds.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Rows,
    Returns,
}

/// What a file says it is.
fn part_of(part: usize, kind: Kind) -> String {
    format!("{part} {kind:?}").to_lowercase()
}

/// All parts of a sweep, whole.
#[derive(Clone, Debug)]
pub(crate) struct Parts(BTreeMap<usize, Part>);

/// Files of one part.
#[derive(Clone, Debug)]
struct Part {
    rows: PathBuf,
    returns: PathBuf,
}

impl Store {
    /// Begins a sweep in `folder`, or goes on with it.
    ///
    /// # Errors
    /// Refused if the folder holds another sweep.
    pub(crate) fn begin(folder: &Path, plan: &Plan) -> Result<Self> {
        let (path, text) = (folder.join(FILE), plan.text());
        if !path.exists() && (folder.join("results.parquet").exists() || folder.join("parts").exists()) {
            return Err(Error::new(codes::OTHER_SWEEP, "the folder holds results without a plan").at(folder.display()));
        }
        // Shares that begin at once must not replace each other's plan.
        write_new(&path, text.as_bytes()).map_err(|e| cannot_write(&path, &e))?;
        let held = fs::read_to_string(&path).map_err(|e| Error::io(&path, &e))?;
        if held != text {
            let what = format!("the folder holds another sweep{}", differences(&held, &text));
            return Err(Error::new(codes::OTHER_SWEEP, what).at(folder.display()));
        }
        Ok(Self { folder: folder.to_owned(), plan: sha256_hex(text.as_bytes()) })
    }

    /// The parts that are there and whole; damaged ones are removed.
    ///
    /// # Errors
    /// Data error if the folder can't be read.
    pub(crate) fn done(&self) -> Result<Vec<usize>> {
        let mut done = Vec::new();
        for (part, files) in self.parts()? {
            let opened = self.open(part, Kind::Rows, &files.rows).and(self.open(part, Kind::Returns, &files.returns));
            match opened {
                Ok(_) => done.push(part),
                Err(e) if e.code() == codes::PART_DAMAGED => {
                    for path in [&files.rows, &files.returns] {
                        match fs::remove_file(path) {
                            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(path, &e)),
                            _ => {}
                        }
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Whether both files of a part are what was written for it.
    fn is_intact(&self, part: usize, files: &Part) -> bool {
        self.open(part, Kind::Rows, &files.rows).is_ok() && self.open(part, Kind::Returns, &files.returns).is_ok()
    }

    /// Parts whose two files are there.
    fn parts(&self) -> Result<BTreeMap<usize, Part>> {
        let folder = self.folder.join("parts");
        let mut files: [BTreeMap<usize, PathBuf>; 2] = Default::default();
        if folder.exists() {
            for entry in fs::read_dir(&folder).map_err(|e| Error::io(&folder, &e))? {
                let path = entry.map_err(|e| Error::io(&folder, &e))?.path();
                let number = path.file_name().and_then(|n| n.to_str()?.split_once('-')?.0.parse().ok());
                let kind = match path.extension().and_then(|e| e.to_str()) {
                    Some("parquet") => 0,
                    Some("returns") => 1,
                    _ => continue,
                };
                if let Some(number) = number {
                    files[kind].insert(number, path);
                }
            }
        }
        let [rows, mut returns] = files;
        Ok(rows.into_iter().filter_map(|(n, rows)| Some((n, Part { rows, returns: returns.remove(&n)? }))).collect())
    }

    /// Writes a part: `rows` and `kept` number points from the part's first.
    ///
    /// # Errors
    /// Usage error if it can't be written.
    pub(crate) fn write(
        &self,
        part: usize,
        plan: &Plan,
        points: &[u64],
        grid: &Grid,
        rows: &[Row],
        kept: &[Kept],
    ) -> Result<()> {
        let first = plan.part(part).start;
        let batch = batch_of_rows(first, points, grid, rows)?;
        let numbered = kept.iter().map(|k| ((first + k.point) as u64, k.dated_returns())).collect::<Vec<_>>();
        let returns = ledger::batch(&numbered)?;
        // Rows last: a part with rows is a whole part.
        self.write_file(part, "returns", &encode(&self.plan, &part_of(part, Kind::Returns), returns)?)?;
        self.write_file(part, "parquet", &encode(&self.plan, &part_of(part, Kind::Rows), batch)?)
    }

    /// Without a sync: what a crash of the machine cuts short has the wrong checksum and is
    /// computed again.
    fn write_file(&self, part: usize, extension: &str, bytes: &[u8]) -> Result<()> {
        let folder = self.folder.join("parts");
        let path = folder.join(format!("{part:05}-{}.{extension}", xxh3_hex(bytes)));
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&folder)?;
            let mut file = tempfile::Builder::new().prefix(TEMPORARY).permissions(readable()).tempfile_in(&folder)?;
            file.write_all(bytes)?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|e| cannot_write(&path, &e))
    }

    /// Where all rows are, once they are merged.
    pub(crate) fn results(&self) -> PathBuf {
        self.folder.join("results.parquet")
    }

    /// Joins the parts of this folder into the final files; the bytes of the sample's returns.
    ///
    /// # Errors
    /// Refused if parts are missing or damaged.
    pub(crate) fn finish(&self, plan: &Plan) -> Result<Vec<u8>> {
        self.join(&Self::collect(plan, &[&self.folder])?)
    }

    /// The parts of a sweep from all its shares.
    ///
    /// # Errors
    /// Refused if parts are missing or damaged, or a source holds another sweep.
    pub(crate) fn collect(plan: &Plan, sources: &[&Path]) -> Result<Parts> {
        let text = plan.text();
        let hash = sha256_hex(text.as_bytes());
        let mut parts: BTreeMap<usize, Part> = BTreeMap::new();
        let mut damaged: BTreeMap<usize, Part> = BTreeMap::new();
        for source in sources {
            let store = Self { folder: source.to_path_buf(), plan: hash.clone() };
            let path = source.join(FILE);
            let held = fs::read_to_string(&path).map_err(|e| Error::io(&path, &e))?;
            if held != text {
                let what = format!("its plan is that of another sweep{}", differences(&held, &text));
                return Err(Error::new(codes::OTHER_SWEEP, what).at(source.display()));
            }
            for (part, files) in store.parts()? {
                let intact = store.is_intact(part, &files);
                if intact { &mut parts } else { &mut damaged }.entry(part).or_insert(files);
            }
        }
        let store = Self { folder: PathBuf::new(), plan: hash };
        for part in 0..plan.parts() {
            if parts.contains_key(&part) {
                continue;
            }
            if let Some(files) = damaged.get(&part) {
                store.open(part, Kind::Rows, &files.rows)?;
                store.open(part, Kind::Returns, &files.returns)?;
            }
        }
        let missing: Vec<String> =
            (0..plan.parts()).filter(|p| !parts.contains_key(p)).map(|p| p.to_string()).collect();
        if !missing.is_empty() {
            let some = missing[..missing.len().min(10)].join(", ");
            let what = format!("{} of {} parts are missing: {some}", missing.len(), plan.parts());
            return Err(Error::new(codes::SWEEP_INCOMPLETE, what));
        }
        Ok(Parts(parts))
    }

    /// Joins parts into the final files of this folder; the bytes of the sample's returns.
    ///
    /// # Errors
    /// Refused if a part was damaged since; usage error if results can't be written.
    pub(crate) fn join(&self, parts: &Parts) -> Result<Vec<u8>> {
        let written = |e: std::io::Error| cannot_write(&self.folder, &e);
        let each = || parts.0.iter();
        let returns =
            join(&self.plan, None, Vec::new(), each().map(|(n, part)| self.read(*n, Kind::Returns, &part.returns)))?;
        write_whole(&self.folder.join("returns.parquet"), &returns, 0o666).map_err(written)?;
        // Straight to the disk: the rows of millions of points needn't be in memory.
        let mut builder = tempfile::Builder::new();
        let file = builder.prefix(TEMPORARY).permissions(readable()).tempfile_in(&self.folder).map_err(written)?;
        let file = join(&self.plan, None, file, each().map(|(n, part)| self.read(*n, Kind::Rows, &part.rows)))?;
        file.as_file().sync_all().map_err(written)?;
        file.persist(self.results()).map_err(|e| written(e.error))?;
        Ok(returns)
    }

    /// Removes what killed runs left; only where no other run is at work.
    pub(crate) fn tidy(&self) {
        for folder in [self.folder.clone(), self.folder.join("parts")] {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let left = entries.filter(|e| e.file_name().to_string_lossy().starts_with(TEMPORARY));
            left.for_each(|entry| drop(fs::remove_file(entry.path())));
        }
    }

    /// A part's batches.
    fn read(&self, part: usize, kind: Kind, path: &Path) -> Result<Vec<RecordBatch>> {
        let damaged = |e: String| Error::new(codes::PART_DAMAGED, e).at(path.display());
        let reader =
            self.open(part, kind, path)?.with_batch_size(GROUP_ROWS).build().map_err(|e| damaged(e.to_string()))?;
        reader.collect::<Result<_, _>>().map_err(|e| damaged(e.to_string()))
    }

    /// A part's file, if its bytes are those that were written for this part of this plan.
    fn open(&self, part: usize, kind: Kind, path: &Path) -> Result<ParquetRecordBatchReaderBuilder<Bytes>> {
        let damaged = |what: &str| Error::new(codes::PART_DAMAGED, what).at(path.display());
        let bytes = map::bytes_up_to(path, LARGEST).map_err(|e| e.recode(codes::PART_DAMAGED))?;
        if !has_its_checksum(path, &bytes) {
            return Err(damaged("the part's bytes don't have the checksum in its name"));
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| damaged(&e.to_string()))?;
        let pairs = reader.metadata().file_metadata().key_value_metadata();
        let said = |key: &str| pairs.and_then(|pairs| pairs.iter().find(|p| p.key == key)?.value.clone());
        if said(KEY_PLAN).as_deref() != Some(&self.plan) {
            return Err(Error::new(codes::OTHER_SWEEP, "the part belongs to another sweep").at(path.display()));
        }
        if said(KEY_PART) != Some(part_of(part, kind)) {
            return Err(damaged("the file is that of another part"));
        }
        Ok(reader)
    }
}

const KEY_PLAN: &str = "magellan.plan";
const KEY_PART: &str = "magellan.part";

/// Writes a file, whole, unless there is one.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    if path.exists() {
        return Ok(());
    }
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).permissions(readable()).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(e) if e.error.kind() != std::io::ErrorKind::AlreadyExists => Err(e.error),
        _ => Ok(()),
    }
}

/// As files usually are, less the umask.
fn readable() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

fn cannot_write(path: &Path, err: &std::io::Error) -> Error {
    Error::new(codes::CANNOT_WRITE, format!("can't write results: {err}")).at(path.display())
}

fn has_its_checksum(path: &Path, bytes: &[u8]) -> bool {
    let named = path.file_stem().and_then(|n| Some(n.to_str()?.split_once('-')?.1));
    named == Some(&xxh3_hex(bytes))
}

/// Names of the figures of [`metrics::Metrics`].
fn names_of_figures() -> impl Iterator<Item = &'static str> {
    metrics::figures().map(|figure| figure.name)
}

/// Refuses what is no figure of [`metrics::Metrics`].
///
/// # Errors
/// Usage error that lists the figures.
pub fn check_figure(name: &str) -> Result<()> {
    check_known(name, names_of_figures())
}

/// Refuses a figure that no row has.
///
/// # Errors
/// Usage error that lists the figures.
pub fn check_figure_of_rows(name: &str) -> Result<()> {
    check_known(name, names_of_figures().chain(TRADING.iter().map(|(name, _)| *name)))
}

fn check_known(name: &str, known: impl Iterator<Item = &'static str>) -> Result<()> {
    let known: Vec<&str> = known.collect();
    if known.contains(&name) {
        return Ok(());
    }
    Err(Error::new(codes::BAD_ARGUMENT, format!("there is no figure `{name}`"))
        .help(format!("known are {}", known.join(", "))))
}

/// `point`, `symbol` (`PORTFOLIO` for a portfolio), the axes, the figures, what was traded; a figure that isn't
/// defined is null.
fn batch_of_rows(first: usize, points: &[u64], grid: &Grid, rows: &[Row]) -> Result<RecordBatch> {
    let mut fields = vec![Field::new("point", DataType::UInt64, false), Field::new("symbol", DataType::Utf8, false)];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|r| (first + r.point) as u64))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| account_name(r.symbol)))),
    ];
    let values: Vec<Vec<&Value>> = points.iter().map(|&point| grid.values(point)).collect();
    for (k, axis) in grid.axes.iter().enumerate() {
        let of = |row: &Row| values[row.point][k];
        let all = |is: fn(&Value) -> bool| axis.values.iter().all(is);
        let column: ArrayRef = if all(Value::is_i64) {
            Arc::new(Int64Array::from_iter(rows.iter().map(|r| of(r).as_i64())))
        } else if all(Value::is_number) {
            Arc::new(Float64Array::from_iter(rows.iter().map(|r| of(r).as_f64())))
        } else if all(Value::is_boolean) {
            Arc::new(BooleanArray::from_iter(rows.iter().map(|r| of(r).as_bool())))
        } else {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| text(of(r)))))
        };
        fields.push(Field::new(&axis.key, column.data_type().clone(), true));
        columns.push(column);
    }
    for figure in metrics::figures() {
        fields.push(Field::new(figure.name, DataType::Float64, true));
        let added_up = FIGURES.contains(&figure.name);
        let value = |row: &Row| (figure.of)(&row.metrics).value().filter(|_| added_up || !row.added_up);
        columns.push(Arc::new(Float64Array::from_iter(rows.iter().map(value))));
    }
    for (name, of) in TRADING {
        fields.push(Field::new(name, DataType::Float64, false));
        columns.push(Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| of(&row.trading)))));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|e| Error::new(codes::IO, e.to_string()))
}

fn encode(plan: &str, part: &str, batch: RecordBatch) -> Result<Vec<u8>> {
    join(plan, Some(part), Vec::new(), std::iter::once(Ok(vec![batch])))
}

/// One file from the batches of many, group by group, whatever their sizes.
fn join<W: Write + Send>(
    plan: &str,
    part: Option<&str>,
    out: W,
    parts: impl Iterator<Item = Result<Vec<RecordBatch>>>,
) -> Result<W> {
    let mut pairs = vec![(KEY_PLAN, plan.to_owned())];
    pairs.extend(part.map(|part| (KEY_PART, part.to_owned())));
    let properties = write::properties(COMPRESSION, pairs)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        // Figures hardly repeat.
        .set_dictionary_enabled(false)
        .set_column_dictionary_enabled("symbol".into(), true)
        .build();
    let mut batches = parts.flat_map(|part| match part {
        Ok(batches) => batches.into_iter().map(Ok).collect(),
        Err(e) => vec![Err(e)],
    });
    let first = batches.next().unwrap_or_else(|| Err(Error::new(codes::SWEEP_INCOMPLETE, "no part has a row")))?;
    let schema = first.schema();
    write::batches(out, schema, properties, std::iter::once(Ok(first)).chain(batches), codes::CANNOT_WRITE)
}

/// A row of the table of best points.
#[derive(Clone, Debug, Serialize)]
pub struct Best {
    /// Number of the point.
    pub point: u64,
    /// The symbol, or `PORTFOLIO`.
    pub symbol: String,
    /// The axes' values.
    pub parameters: Vec<Value>,
    /// The figures asked for.
    pub figures: Vec<Option<f64>>,
}

/// What ranks points.
#[derive(Clone, Copy, Debug)]
pub struct Rank<'a> {
    /// The figure.
    pub by: &'a str,
    /// Whether the lowest comes first.
    pub lowest: bool,
}

/// Which rows compete with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contest {
    /// All of them.
    All,
    /// Those of each symbol.
    EachSymbol,
    /// Those of all symbols together.
    Together,
}

impl Contest {
    /// The contest in which an account's row competes, if it does.
    fn of(self, account: &str) -> Option<&str> {
        match (self, account == account_name(None)) {
            (Self::All, _) => Some(""),
            (Self::EachSymbol, false) | (Self::Together, true) => Some(account),
            _ => None,
        }
    }
}

/// The first `top` rows of each contest, and of those the given axes and figures.
///
/// # Errors
/// Usage error if there is no such figure; refused if the file holds no results of a sweep.
pub fn best(
    results: &Path,
    contest: Contest,
    rank: Rank<'_>,
    top: usize,
    axes: &[String],
    figures: &[&str],
) -> Result<Vec<Best>> {
    let Rank { by, lowest } = rank;
    for name in figures.iter().chain([&by]) {
        check_figure_of_rows(name)?;
    }
    let sign = if lowest { -1.0 } else { 1.0 };
    let foreign = |e: String| Error::new(codes::PART_DAMAGED, e).at(results.display());
    let wanted = ["point", "symbol", by].into_iter().chain(axes.iter().map(String::as_str));
    let wanted: Vec<&str> = wanted.chain(figures.iter().copied()).collect();
    let mut contests: BTreeMap<String, Vec<(f64, Best)>> = BTreeMap::new();
    for batch in rows(results, &wanted)? {
        let batch = batch.map_err(|e| foreign(e.to_string()))?;
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| foreign(format!("no column {name}")));
        let ranked = column(by)?.as_primitive::<Float64Type>();
        let mut order: Vec<usize> = (0..batch.num_rows()).filter(|&i| ranked.is_valid(i)).collect();
        order.sort_by(|&a, &b| (sign * ranked.value(b)).total_cmp(&(sign * ranked.value(a))));
        let accounts = column("symbol")?.as_string::<i32>();
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        for &i in &order {
            let Some(place) = contest.of(accounts.value(i)) else { continue };
            let taken = taken.entry(place).or_default();
            *taken += 1;
            match *taken > top {
                true if contest == Contest::EachSymbol => continue,
                true => break,
                false => {}
            }
            let figure = |name: &&str| {
                let column = column(name)?.as_primitive::<Float64Type>();
                Ok(column.is_valid(i).then(|| column.value(i)))
            };
            let show = |axis: &String| {
                let column = column(axis)?;
                axis_value(column, i).ok_or_else(|| foreign(format!("the axis {axis} is {}", column.data_type())))
            };
            contests.entry(place.to_owned()).or_default().push((
                sign * ranked.value(i),
                Best {
                    point: column("point")?.as_primitive::<UInt64Type>().value(i),
                    symbol: accounts.value(i).to_owned(),
                    parameters: axes.iter().map(show).collect::<Result<_>>()?,
                    figures: figures.iter().map(figure).collect::<Result<_>>()?,
                },
            ));
        }
        for best in contests.values_mut() {
            best.sort_by(|a, b| b.0.total_cmp(&a.0));
            best.truncate(top);
        }
    }
    Ok(contests.into_values().flatten().map(|b| b.1).collect())
}

/// Some columns of a file of results: from the disk, and only what is asked for, since millions of rows needn't be in
/// memory.
///
/// # Errors
/// Refused if the file holds no results of a sweep, or lacks a column.
pub(super) fn rows(results: &Path, wanted: &[&str]) -> Result<ParquetRecordBatchReader> {
    let foreign = |e: String| Error::new(codes::PART_DAMAGED, e).at(results.display());
    let file = fs::File::open(results).map_err(|e| Error::io(results, &e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| foreign(e.to_string()))?;
    let roots: Vec<usize> = {
        let fields = reader.schema().fields();
        if let Some(missing) = wanted.iter().find(|name| fields.find(name).is_none()) {
            return Err(foreign(format!("no column {missing}")));
        }
        fields.iter().enumerate().filter(|(_, f)| wanted.contains(&f.name().as_str())).map(|(i, _)| i).collect()
    };
    let mask = parquet::arrow::ProjectionMask::roots(reader.parquet_schema(), roots);
    reader.with_projection(mask).with_batch_size(GROUP_ROWS).build().map_err(|e| foreign(e.to_string()))
}

/// The value of an axis in place `i` of its column, as the grid gave it. Nothing if the column is of a
/// kind that no axis is.
fn axis_value(column: &dyn Array, i: usize) -> Option<Value> {
    if column.is_null(i) {
        return Some(Value::String(String::new()));
    }
    Some(match column.data_type() {
        DataType::Int64 => Value::from(column.as_primitive::<Int64Type>().value(i)),
        DataType::Float64 => {
            let number = column.as_primitive::<Float64Type>().value(i);
            // JSON has no infinity.
            Number::from_f64(number).map_or_else(|| Value::String(number.to_string()), Value::Number)
        }
        DataType::Boolean => Value::Bool(column.as_boolean().value(i)),
        DataType::Utf8 => {
            // Values of several types on one axis are kept as their JSON.
            let text = column.as_string::<i32>().value(i);
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use arrow_cast::display::array_value_to_string;

    use super::*;

    /// Arrow's own text of a value, read as JSON if it is some.
    fn shown(column: &dyn Array, i: usize) -> Value {
        let cell = array_value_to_string(column, i).expect("shown");
        serde_json::from_str(&cell).unwrap_or(Value::String(cell))
    }

    #[test]
    fn values_of_axes_are_shown_as_arrow_shows_them() {
        let numbers = [0.0, -0.0, 1.0, 0.1, 1e16, 1e-7, 5e-324, f64::MAX, 1.0 / 3.0, f64::NAN, f64::INFINITY];
        let texts = ["1:2", "true", "[1,2]", "abc", "", "1.50", "null", "NaN"];
        let columns: [ArrayRef; 4] = [
            Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(0), Some(i64::MAX), None])),
            Arc::new(Float64Array::from_iter(numbers.into_iter().map(Some).chain([None, Some(f64::NEG_INFINITY)]))),
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
            Arc::new(StringArray::from_iter(texts.into_iter().map(Some).chain([None]))),
        ];
        for column in columns {
            for i in 0..column.len() {
                let value = axis_value(&column, i).expect("a kind that axes are");
                let shown = shown(&column, i);
                assert_eq!((&value, value.to_string()), (&shown, shown.to_string()), "{}", column.data_type());
            }
        }
        let dates: ArrayRef = Arc::new(arrow_array::Date32Array::from(vec![1]));
        assert_eq!(axis_value(&dates, 0), None);
    }
}
