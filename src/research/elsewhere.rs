//! Trials that were counted elsewhere: by another backtester, an optimiser, a notebook.
//!
//! Two kinds of tables are read, from CSV or Parquet. Of returns: a column `date` or `session` and one column a trial,
//! or the three columns `trial`, `date` and `return`. Of figures: columns of parameters, `sharpe` and `sessions`.
//! A parameter that the strategy's config has makes the same trial as a sweep of it would; trials with others are known
//! by the file's hash and what it calls them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::archive::Cells;
use crate::bar::{Date, Symbol};
use crate::calendar;
use crate::config::{Checked, Override};
use crate::disk::hash::sha256_hex;
use crate::disk::map;
use crate::error::{Error, Result, codes, quoted};
use crate::ledger::mark::{KnownSharpe, Source};
use crate::ledger::{self, Ledger, Trials, Varied, encode};
use crate::metrics::SESSIONS_PER_YEAR;
use crate::sweep::grid::{Choice, word};

/// Largest file read, bytes.
const LARGEST: u64 = 256 << 20;
/// Largest Sharpe ratio a year that is believed.
const LARGEST_SHARPE: f64 = 100.0;
/// So many faults of a table are told.
const TOLD: usize = 50;

/// What Sharpe ratios are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharpePer {
    /// Annualised, by 252 sessions a year.
    Year,
    /// Mean over standard deviation of session returns.
    Session,
}

/// What an import says of a file besides its contents.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// The config whose parameters the columns may name.
    pub document: &'a Checked,
    /// Symbols that were traded.
    pub symbols: &'a [Symbol],
    /// What counted the trials.
    pub from: &'a str,
    /// What Sharpe ratios are over.
    pub sharpe_per: Option<SharpePer>,
    /// First and last session, of a table without dates.
    pub period: Option<(Date, Date)>,
    /// Whether the bars were made up.
    pub synthetic: bool,
}

/// What was imported.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Imported {
    /// Trials in the file.
    pub trials: u64,
    /// Trials of the strategy that the ledger counted before, and counts now: N.
    pub counted: (u64, u64),
    /// First and last session.
    pub period: (Date, Date),
    /// Whether returns are kept.
    pub with_returns: bool,
    /// What whoever imports should know: rows that stand twice, columns that are no parameters of the strategy.
    pub notes: Vec<String>,
}

/// Reads a file and adds its trials to the ledger.
///
/// # Errors
/// Data error that lists every cell that can't be read, by line and column; usage error if what must be said isn't, or
/// the ledger can't be written.
pub fn import(path: &Path, told: &Told<'_>, ledger: &mut Ledger) -> Result<Imported> {
    if told.from.trim().is_empty() {
        return Err(Error::new(codes::BAD_ARGUMENT, "it isn't said what counted these trials")
            .help("say it with --from, e.g. --from \"optuna study 12\""));
    }
    let bytes = map::bytes_up_to(path, LARGEST)?;
    let sha256 = sha256_hex(&bytes);
    let table = Table::read(path, bytes)?;
    let read = if table.column(&DATES).is_some() { table.returns(told)? } else { table.figures(told)? };
    let Read { settings, axis, period, sharpes, returns, notes } = read;
    let points = axis.values.len() as u64;
    let trials = Trials {
        strategy: ledger.strategy().to_owned(),
        data: told.symbols.iter().map(|&symbol| (symbol, "unknown".to_owned())).collect(),
        synthetic: told.synthetic,
        scope: "portfolio".to_owned(),
        hours: told.document.config().hours().name().to_owned(),
        start_date: period.0,
        end_date: period.1,
        settings: settings(&sha256),
        axes: vec![axis],
        conditions: Vec::new(),
        choice: Choice::All,
        points,
    };
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let source = Source { file, sha256, from: told.from.trim().to_owned(), sharpes };
    let returns = if returns.is_empty() { None } else { Some(encode(&returns)?) };
    let before = ledger.count()?;
    ledger.add_import(&trials, &source, returns.as_deref())?;
    let counted = (before, ledger.count()?);
    Ok(Imported { trials: points, counted, period, with_returns: returns.is_some(), notes })
}

/// Columns that hold dates.
const DATES: [&str; 2] = ["date", "session"];
/// Where names stand that the config doesn't have.
const UNKNOWN: &str = "imported";

/// What a table says.
struct Read {
    /// The settings, given the file's hash.
    settings: Box<dyn FnOnce(&str) -> Value>,
    axis: Varied,
    period: (Date, Date),
    sharpes: Vec<KnownSharpe>,
    returns: Vec<ledger::Kept>,
    notes: Vec<String>,
}

/// Named columns of texts, each row with its line.
struct Table<'p> {
    path: &'p Path,
    names: Vec<String>,
    rows: Vec<(usize, Vec<String>)>,
    /// What a row is called: a line of text, a row of Parquet.
    unit: &'static str,
}

/// What is wrong with cells, all of it.
struct Faults<'t> {
    table: &'t Table<'t>,
    lines: Vec<String>,
    count: usize,
}

impl Faults<'_> {
    fn add(&mut self, line: usize, column: usize, what: impl std::fmt::Display) {
        self.count += 1;
        if self.count <= TOLD {
            let Table { names, unit, .. } = self.table;
            self.lines.push(format!("{unit} {line}, column {} `{}`: {what}", column + 1, names[column]));
        }
    }

    fn settle(mut self) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        if self.count > TOLD {
            self.lines.push(format!("and {} more", self.count - TOLD));
        }
        let cells = if self.count == 1 { "1 cell".to_owned() } else { format!("{} cells", self.count) };
        let what = format!("{cells} can't be taken as they are:\n  {}", self.lines.join("\n  "));
        Err(Error::new(codes::BAD_VALUE, what)
            .at(self.table.path.display())
            .help("correct the cells, or leave out their rows"))
    }
}

impl<'p> Table<'p> {
    fn read(path: &'p Path, bytes: Bytes) -> Result<Self> {
        let unreadable = |what: String| Error::new(codes::SOURCE_UNREADABLE, what).at(path.display());
        let (names, rows, unit) = if bytes.starts_with(b"PAR1") {
            let cells = Cells::open(bytes).map_err(unreadable)?;
            let (names, rows) = (cells.names.clone(), cells.rows().map_err(unreadable)?);
            (names, (1..).zip(rows).collect(), "row")
        } else {
            let (names, rows) = text(&bytes).map_err(unreadable)?;
            (names, rows, "line")
        };
        if rows.is_empty() {
            return Err(unreadable("it has no rows: nothing was tried".to_owned()));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.to_lowercase())) {
            let what = format!("the column `{twice}` stands twice");
            return Err(Error::new(codes::DUPLICATE_COLUMN, what)
                .at(path.display())
                .help("rename one, or leave it out"));
        }
        if let Some(at) = names.iter().position(String::is_empty) {
            let what = format!("column {} has no name", at + 1);
            return Err(Error::new(codes::MISSING_COLUMN, what)
                .at(path.display())
                .help("name it; an index that nobody named is best left out, e.g. to_csv(index=False)"));
        }
        Ok(Self { path, names, rows, unit })
    }

    fn faults(&self) -> Faults<'_> {
        Faults { table: self, lines: Vec::new(), count: 0 }
    }

    fn column(&self, names: &[&str]) -> Option<usize> {
        self.names.iter().position(|name| names.contains(&name.to_lowercase().as_str()))
    }

    /// A table of session returns.
    fn returns(&self, told: &Told<'_>) -> Result<Read> {
        if told.period.is_some() || told.sharpe_per.is_some() {
            let what = "the table has dates: returns tell their sessions and their Sharpe ratios";
            return Err(Error::new(codes::BAD_ARGUMENT, what)
                .at(self.path.display())
                .help("leave out --start-date, --end-date and --sharpe-per"));
        }
        let date = self.column(&DATES).unwrap_or_default();
        let long = self.column(&["trial"]).zip(self.column(&["return"])).filter(|_| self.names.len() == 3);
        let mut faults = self.faults();
        let mut trials: Vec<(String, BTreeMap<Date, f64>)> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut place = |trials: &mut Vec<(String, BTreeMap<Date, f64>)>, name: &str| {
            *places.entry(name.to_owned()).or_insert_with(|| {
                trials.push((name.to_owned(), BTreeMap::new()));
                trials.len() - 1
            })
        };
        for (line, row) in &self.rows {
            let day = session(&row[date]).map_err(|what| faults.add(*line, date, what)).ok();
            let cells: Vec<(usize, &str)> = match long {
                Some((trial, value)) => vec![(value, row[trial].as_str())],
                None => (0..row.len()).filter(|i| *i != date).map(|i| (i, self.names[i].as_str())).collect(),
            };
            for (at, name) in cells {
                if name.is_empty() {
                    faults.add(*line, long.map_or(at, |l| l.0), "it is empty");
                    continue;
                }
                let trial = place(&mut trials, name);
                let rate = rate(&row[at]).unwrap_or_else(|what| {
                    faults.add(*line, at, what);
                    0.0
                });
                if let Some(day) = day
                    && trials[trial].1.insert(day, rate).is_some()
                {
                    faults.add(*line, at, format!("{day} of `{name}` stands twice"));
                }
            }
        }
        faults.settle()?;
        if trials.is_empty() {
            return Err(Error::new(codes::MISSING_COLUMN, "no column has returns").at(self.path.display()));
        }
        let mut same: BTreeMap<Vec<(Date, u64)>, Vec<&str>> = BTreeMap::new();
        for (name, returns) in &trials {
            same.entry(returns.iter().map(|(day, r)| (*day, r.to_bits())).collect()).or_default().push(name);
        }
        let alike = same.values().filter(|names| names.len() > 1);
        let notes = alike.map(|names| format!("the same returns, all counted: {}", names.join(", "))).collect();
        let days = || trials.iter().flat_map(|trial| trial.1.keys().copied());
        Ok(Read {
            settings: Box::new(|sha256| json!({(UNKNOWN): {"file": sha256}})),
            period: (days().min().unwrap_or_default(), days().max().unwrap_or_default()),
            axis: Varied {
                key: "trial".to_owned(),
                paths: vec![format!("{UNKNOWN}.trial")],
                values: trials.iter().map(|trial| json!(trial.0)).collect(),
            },
            sharpes: Vec::new(),
            returns: (0..).zip(trials).map(|(i, (_, returns))| (i, returns.into_iter().collect())).collect(),
            notes,
        })
    }

    /// A table of parameters with Sharpe ratios.
    fn figures(&self, told: &Told<'_>) -> Result<Read> {
        let Some((sharpe, sessions)) = self.column(&["sharpe"]).zip(self.column(&["sessions"])) else {
            let what = format!("the columns are {}", self.names.join(", "));
            return Err(Error::new(codes::MISSING_COLUMN, what).at(self.path.display()).help(
                "returns need `date` and a column for each trial, or `trial`, `date` and `return`; figures need \
                 parameters, `sharpe` and `sessions`",
            ));
        };
        let missing =
            |what: &str, help: &str| Err(Error::new(codes::BAD_ARGUMENT, what.to_owned()).help(help.to_owned()));
        let Some(per) = told.sharpe_per else {
            return missing(
                "it isn't said what the Sharpe ratios are over",
                "say it: --sharpe-per year, or --sharpe-per session",
            );
        };
        let Some(period) = told.period else {
            return missing("it isn't said which sessions were replayed", "say it: --start-date and --end-date");
        };
        if period.0 > period.1 {
            return missing("the start date is after the end date", "exchange them");
        }
        let within = calendar_sessions(period)?;
        let parameters: Vec<usize> = (0..self.names.len()).filter(|i| ![sharpe, sessions].contains(i)).collect();
        if parameters.is_empty() {
            return Err(Error::new(codes::MISSING_COLUMN, "no column has a parameter: the rows can't be told apart")
                .at(self.path.display()));
        }
        let scale = if per == SharpePer::Year { SESSIONS_PER_YEAR.sqrt() } else { 1.0 };
        let mut faults = self.faults();
        let mut rows: Vec<(Vec<Value>, KnownSharpe)> = Vec::new();
        let (mut said, mut twice) = (BTreeSet::new(), 0);
        for (line, row) in &self.rows {
            for &at in parameters.iter().filter(|&&at| row[at].is_empty()) {
                faults.add(*line, at, "it is empty");
            }
            let ratio = ratio(&row[sharpe], scale).map_err(|what| faults.add(*line, sharpe, what));
            let count = count(&row[sessions], within).map_err(|what| faults.add(*line, sessions, what));
            let (Ok(ratio), Ok(count)) = (ratio, count) else { continue };
            let values: Vec<Value> = parameters.iter().map(|&at| word(&row[at])).collect();
            let known = KnownSharpe { per_session: ratio / scale, sessions: count };
            match said.insert(format!("{values:?} {known:?}")) {
                true => rows.push((values, known)),
                false => twice += 1,
            }
        }
        faults.settle()?;
        let settings = told.document.settings(told.symbols);
        let mut notes = Vec::new();
        if twice > 0 {
            notes.push(format!("{twice} rows say what another says, and count once"));
        }
        let places: Vec<Vec<String>> = parameters.iter().map(|&at| self.places(at, &settings, told)).collect();
        let strangers: Vec<&str> = parameters
            .iter()
            .zip(&places)
            .filter(|(_, places)| places[0].starts_with(UNKNOWN))
            .map(|(&at, _)| self.names[at].as_str())
            .collect();
        if !strangers.is_empty() {
            let names = strangers.join(", ");
            notes.push(format!("the config has no parameter {names}: these trials are known by the file's hash"));
        }
        let is_strange = !strangers.is_empty();
        let (rows, sharpes): (Vec<Vec<Value>>, Vec<KnownSharpe>) = rows.into_iter().unzip();
        let paths: Vec<String> = places.iter().flatten().cloned().collect();
        let spread = |row: Vec<Value>| -> Value {
            let each = row.iter().zip(&places).flat_map(|(value, at)| std::iter::repeat_n(value.clone(), at.len()));
            let mut each: Vec<Value> = each.collect();
            if each.len() == 1 { each.remove(0) } else { Value::Array(each) }
        };
        Ok(Read {
            axis: Varied {
                key: parameters.iter().map(|&at| self.names[at].as_str()).collect::<Vec<_>>().join(" "),
                values: rows.into_iter().map(spread).collect(),
                paths,
            },
            settings: Box::new(move |sha256| {
                let mut settings = settings;
                if is_strange {
                    settings[UNKNOWN] = json!({"file": sha256});
                    settings.sort_all_objects();
                }
                settings
            }),
            period,
            sharpes,
            returns: Vec::new(),
            notes,
        })
    }

    /// The places of the settings that a column's parameter has.
    fn places(&self, at: usize, settings: &Value, told: &Told<'_>) -> Vec<String> {
        let name = &self.names[at];
        let paths = Override::new(name, Value::Null).paths(told.document.value());
        let of_replay = paths.into_iter().filter(|path| settings.pointer(&format!("/{}", path.join("/"))).is_some());
        let places: Vec<String> = of_replay.map(|path| path.join(".")).collect();
        if places.is_empty() { vec![format!("{UNKNOWN}.{name}")] } else { places }
    }
}

/// Rows with the line that each begins on.
type Lines = Vec<(usize, Vec<String>)>;

fn text(bytes: &[u8]) -> std::result::Result<(Vec<String>, Lines), String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("neither Parquet nor UTF-8 text: {e}"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|e| e.to_string())?.iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        let line = record.position().map_or(0, csv::Position::line) as usize;
        rows.push((line, record.iter().map(str::to_owned).collect()));
    }
    Ok((names, rows))
}

/// A cell as read, or what is wrong with it.
type Cell<T> = std::result::Result<T, String>;

fn session(text: &str) -> Cell<Date> {
    let date: Date = text.parse().map_err(|_| format!("{} is not a date as YYYY-MM-DD", quoted(text)))?;
    calendar::check_covered(date).map_err(|e| e.what().to_owned())?;
    if calendar::is_trading_day(date) { Ok(date) } else { Err(format!("the exchange was closed on {date}")) }
}

fn finite(text: &str) -> Cell<f64> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ if text.is_empty() => Err("it is empty".to_owned()),
        _ => Err(format!("{} is not a number", quoted(text))),
    }
}

/// A Sharpe ratio that somebody may have seen.
fn ratio(text: &str, sessions_root: f64) -> Cell<f64> {
    let number = finite(text)?;
    let a_year = number / sessions_root * SESSIONS_PER_YEAR.sqrt();
    match a_year.abs() <= LARGEST_SHARPE {
        true => Ok(number),
        false => {
            Err(format!("{} is {a_year:.0} a year; nobody has a Sharpe ratio beyond {LARGEST_SHARPE}", quoted(text)))
        }
    }
}

/// A session's return as a fraction.
fn rate(text: &str) -> Cell<f64> {
    if text.is_empty() {
        return Err("it is empty: write 0 for a session without a position".to_owned());
    }
    let rate = finite(text)?;
    match rate.abs() <= 1.0 {
        true => Ok(rate),
        false => Err(format!("{text} would be {} %: write fractions, 0.01 for 1 %", rate * 100.0)),
    }
}

fn count(text: &str, within: usize) -> Cell<u32> {
    let number = finite(text)?;
    match number.fract() == 0.0 && number >= 2.0 && number <= within as f64 {
        true => Ok(number as u32),
        false => Err(format!("{text} sessions; the period has {within}, and at least 2 are needed")),
    }
}

fn calendar_sessions((start, end): (Date, Date)) -> Result<usize> {
    calendar::check_covered(start)?;
    calendar::check_covered(end)?;
    Ok(calendar::sessions(start, end).count())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text_of: &str) -> Table<'static> {
        Table::read(Path::new("f.csv"), Bytes::from(text_of.to_owned())).expect("a table")
    }

    #[test]
    fn every_bad_cell_is_told_with_its_line_and_column() {
        let table = rows("date,a,b\n2024-01-02,0.01,x\n2024-01-06,,12\n");
        let mut faults = table.faults();
        for (line, row) in &table.rows {
            let _ = session(&row[0]).map_err(|what| faults.add(*line, 0, what));
            for (at, cell) in row.iter().enumerate().skip(1) {
                let _ = rate(cell).map_err(|what| faults.add(*line, at, what));
            }
        }
        let said = faults.settle().expect_err("four faults").to_string();
        for part in ["4 cells", "line 2, column 3 `b`: `x`", "line 3, column 1 `date`: the exchange was closed"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(said.contains("1200 %"), "{said}");
    }

    proptest! {
        /// Numbers and dates of a Parquet file are read as those of a CSV file with all their digits.
        #[test]
        fn parquet_reads_as_text_does(rates in prop::collection::vec(-1.0f64..1.0, 1..40)) {
            let days: Vec<Date> = calendar::sessions(Date(19_000), Date(19_100)).map(|s| s.date).collect();
            let rows: Vec<(Date, f64)> = days.into_iter().zip(rates).collect();
            let bytes = encode(&[(7, rows.clone())]).expect("written");
            let line = |(day, rate): &(Date, f64)| format!("7,{day},{rate}\n");
            let text = "point,session,return\n".to_owned() + &rows.iter().map(line).collect::<String>();
            let read = |bytes: Bytes| Table::read(Path::new("f"), bytes).map(|t| (t.names, t.rows.into_iter().map(|r| r.1).collect::<Vec<_>>()));
            prop_assert_eq!(read(Bytes::from(bytes)).ok(), read(Bytes::from(text)).ok());
        }
    }

    #[test]
    fn columns_without_a_name_and_names_that_stand_twice_are_refused() {
        for (text, code) in [
            (",date,a\n0,2024-01-02,0\n", codes::MISSING_COLUMN),
            ("date,a,A\n2024-01-02,0,0\n", codes::DUPLICATE_COLUMN),
            ("date,a\n", codes::SOURCE_UNREADABLE),
            ("date,a\n2024-01-02\n", codes::SOURCE_UNREADABLE),
        ] {
            let read = Table::read(Path::new("f.csv"), Bytes::from(text.to_owned())).map(|_| ());
            assert_eq!(read.map_err(|e| e.code()), Err(code), "{text}");
        }
    }
}
