//! Columns that aren't made of the symbol's bars: features from a file, and indicators of other symbols.
//!
//! Each value has the time since when it was known. At a bar, the latest one counts that was known by the bar's end;
//! bars of days and weeks end at the close of their last session.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::fold::Fold;
use super::time::known_at;
use crate::archive::parquet::features;
use crate::bar::{Bar, Nanos, Symbol, iso_utc};
use crate::calendar::Session;
use crate::disk::hash::sha256_hex;
use crate::disk::map::{Access, bytes};
use crate::error::{Error, Result, codes};

/// Features by symbol and time, from a Parquet file. Kept for as long as the program runs, once for each content.
///
/// The file has a column `time` or `timestamp` (instants or dates; without a zone they are UTC), perhaps a column
/// `symbol`, and columns of numbers. **The time is when the value was known**, not the day that it describes: a value
/// worked out from Tuesday's close and dated Tuesday 00:00 would be seen a day too early. Without a column of symbols the
/// values are those of every symbol.
#[derive(Clone, Copy)]
pub struct Features(&'static Table);

/// Values by time.
pub(super) struct Table {
    /// Hash of everything in it.
    hash: String,
    names: Vec<String>,
    series: BTreeMap<Option<Symbol>, Series>,
}

/// The values of one symbol, oldest first.
#[derive(Default)]
struct Series {
    known: Vec<Nanos>,
    columns: Vec<Vec<f64>>,
}

/// Keeps a table, or finds the one with the same content.
fn keep(hash: String, table: impl FnOnce(String) -> Result<Table>) -> Result<&'static Table> {
    static KNOWN: LazyLock<Mutex<HashMap<String, &'static Table>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(table) = known.get(&hash) {
        return Ok(table);
    }
    let table: &'static Table = Box::leak(Box::new(table(hash.clone())?));
    known.insert(hash, table);
    Ok(table)
}

impl Features {
    /// Reads a file.
    ///
    /// # Errors
    /// Data error if it can't be read, isn't such a file, or has two rows of one symbol and time.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = bytes(path, Access::Read)?;
        let table = |hash| {
            let features::Rows { names, series } = features::rows(path, bytes.clone())?;
            let sorted = |(symbol, rows)| Ok((symbol, Series::of(rows, names.len())?));
            let series = series.into_iter().map(sorted).collect::<Result<_>>().map_err(|e| e.at(path.display()))?;
            Ok(Table { hash, names, series })
        };
        keep(sha256_hex(&bytes), table).map(Self)
    }

    /// The columns of numbers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names.iter().map(String::as_str)
    }

    /// The symbols that have rows; none if the rows are those of every symbol.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol> {
        self.0.series.keys().copied().flatten()
    }

    /// A column, of the symbol that is traded: NaN before its first row, where a number is missing, and for symbols
    /// without rows.
    ///
    /// # Errors
    /// Usage error if there is no such column.
    pub fn column(&self, name: &str) -> Result<External> {
        let column = self.names().position(|known| known == name).ok_or_else(|| {
            let known = self.names().collect::<Vec<_>>().join(", ");
            Error::new(codes::BAD_ARGUMENT, format!("no column `{name}`: there are {known}"))
        })?;
        Ok(External { table: self.0, column, of: None })
    }

    /// A column, of this symbol whatever is traded.
    ///
    /// # Errors
    /// Usage error if there is no such column.
    pub fn column_of(&self, symbol: Symbol, name: &str) -> Result<External> {
        Ok(External { of: Some(symbol), ..self.column(name)? })
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Features").field("names", &self.0.names).field("hash", &self.0.hash).finish()
    }
}

impl Series {
    fn of(mut rows: Vec<(Nanos, Vec<f64>)>, columns: usize) -> Result<Self> {
        rows.sort_by_key(|row| row.0);
        if let Some(twice) = rows.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let what = format!("two rows of {}, and which of them counts isn't known", iso_utc(twice[0].0));
            return Err(Error::new(codes::BAD_VALUE, what));
        }
        let column = |at: usize| rows.iter().map(|row| row.1[at]).collect();
        Ok(Self { known: rows.iter().map(|row| row.0).collect(), columns: (0..columns).map(column).collect() })
    }
}

/// A column from elsewhere, as of each bar. It is an indicator: [`Indicator::from`](super::Indicator).
#[derive(Clone, Copy)]
pub struct External {
    table: &'static Table,
    column: usize,
    /// Whose values: the traded symbol's if none is named.
    of: Option<Symbol>,
}

impl External {
    /// Values of one symbol, each with the time since when it is known, oldest first.
    pub(super) fn of_symbol(symbol: Symbol, name: &str, known: Vec<Nanos>, values: Vec<f64>) -> Self {
        let mut bytes = format!("{symbol} {name} ").into_bytes();
        bytes.extend(known.iter().flat_map(|at| at.to_le_bytes()));
        bytes.extend(values.iter().flat_map(|value| value.to_bits().to_le_bytes()));
        let table = |hash| {
            let series = [(Some(symbol), Series { known, columns: vec![values] })].into();
            Ok(Table { hash, names: vec![name.to_owned()], series })
        };
        let of = Some(symbol);
        match keep(sha256_hex(&bytes), table) {
            Ok(table) => Self { table, column: 0, of },
            Err(never) => unreachable!("nothing is read here: {never}"),
        }
    }

    pub(super) fn name(self) -> &'static str {
        &self.table.names[self.column]
    }

    pub(super) fn start(self, symbol: Symbol) -> AsOf {
        let own = self.table.series.get(&Some(self.of.unwrap_or(symbol)));
        let series = own.or_else(|| self.table.series.get(&None));
        let values = series.map_or((&[][..], &[][..]), |s| (&s.known[..], &s.columns[self.column][..]));
        AsOf { known: values.0, values: values.1, passed: 0 }
    }
}

impl PartialEq for External {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.table, other.table) && (self.column, self.of) == (other.column, other.of)
    }
}

impl Eq for External {}

impl Hash for External {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::hash(self.table, state);
        (self.column, self.of).hash(state);
    }
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, column, of } = self;
        f.debug_struct("External")
            .field("column", &table.names[*column])
            .field("of", of)
            .field("hash", &table.hash)
            .finish()
    }
}

/// The latest value that is known.
pub(super) struct AsOf {
    known: &'static [Nanos],
    values: &'static [f64],
    /// How many are known.
    passed: usize,
}

impl Fold for AsOf {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        let now = known_at(bar, session);
        while self.known.get(self.passed).is_some_and(|at| *at <= now) {
            self.passed += 1;
        }
        self.passed.checked_sub(1).map_or(f64::NAN, |latest| self.values[latest])
    }
}
