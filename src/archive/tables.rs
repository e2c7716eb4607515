//! Corporate actions, declared price moves and risk-free rates: small tables beside the bars.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bar::{Date, Symbol};
use crate::disk::hash::sha256_hex;
use crate::disk::map;
use crate::error::{Error, Result, codes, quoted};

/// One share became `ratio` shares (4 for 4:1; 1/30 for a reverse split) on `date`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// The symbol.
    pub symbol: Symbol,
    /// First New York date at the new price.
    pub date: Date,
    /// New shares per old share.
    pub ratio: f64,
}

/// A large price change that was real.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// The symbol.
    pub symbol: Symbol,
    /// The session of the change.
    pub date: Date,
    /// What happened.
    pub reason: String,
}

/// Cash paid to whoever held a share before its ex-date.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dividend {
    /// The symbol.
    pub symbol: Symbol,
    /// First session without the right to it.
    pub ex_date: Date,
    /// Dollars a share, of the shares of that day: as paid, not adjusted for later splits.
    pub amount: f64,
}

/// The end of a symbol's trading.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delisting {
    /// The symbol.
    pub symbol: Symbol,
    /// The last session in which it traded.
    pub last_date: Date,
    /// What of the last close a holder lost: 0 is nothing, 1 everything.
    pub haircut: f64,
}

/// From a date on a company's bars are those of another symbol.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rename {
    /// The symbol before.
    pub old: Symbol,
    /// The symbol from then on.
    pub new: Symbol,
    /// First session under the new symbol.
    pub date: Date,
}

/// What money earned without risk from a date on, until the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// First date of the rate.
    pub date: Date,
    /// Simple rate a year, as a fraction: 0.05 is 5 %.
    pub rate: f64,
}

/// Longest first line that is looked at.
pub(super) const LONGEST_HEADER: u64 = 64 << 10;
/// Largest table read.
const LIMIT: u64 = 16 << 20;
const SPLIT_HEADER: [&str; 3] = ["symbol", "effective_date", "new_shares_per_old"];
const MOVE_HEADER: [&str; 3] = ["symbol", "date", "reason"];
const DIVIDEND_HEADER: [&str; 3] = ["symbol", "ex_date", "amount"];
const DELISTING_HEADER: [&str; 3] = ["symbol", "last_date", "haircut"];
const RENAME_HEADER: [&str; 3] = ["old", "new", "date"];
const RATE_HEADER: [&str; 2] = ["date", "rate"];

/// The tables that an archive keeps, in the order in which an import reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Splits,
    Moves,
    Rates,
    Dividends,
    Delistings,
    Renames,
}

impl Table {
    const ALL: [(Self, &[&str]); 6] = [
        (Self::Splits, &SPLIT_HEADER),
        (Self::Moves, &MOVE_HEADER),
        (Self::Rates, &RATE_HEADER),
        (Self::Dividends, &DIVIDEND_HEADER),
        (Self::Delistings, &DELISTING_HEADER),
        (Self::Renames, &RENAME_HEADER),
    ];

    /// The table that a CSV file holds by its header, if it is one of these.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let file = map::open_up_to(path, u64::MAX).ok()?;
        // The header alone: a file without a line end must not be read to its end.
        let header = csv::Reader::from_reader(file.take(LONGEST_HEADER)).headers().cloned().ok()?;
        let is_it = |want: &[&str]| header.iter().map(str::trim).eq(want.iter().copied());
        Self::ALL.into_iter().find(|(_, want)| is_it(want)).map(|(table, _)| table)
    }
}

/// Reads `symbol,effective_date,new_shares_per_old`; a ratio is `10`, `0.1` or `1/10`.
///
/// # Errors
/// Data error naming file and line.
pub fn read_splits(path: &Path) -> Result<Vec<Split>> {
    parse_splits(path, map::open_up_to(path, LIMIT)?)
}

/// As [`read_splits`], of text from anywhere; the path serves messages.
pub(crate) fn parse_splits(path: &Path, source: impl Read) -> Result<Vec<Split>> {
    parse(path, source, SPLIT_HEADER, |[symbol, date, ratio]| {
        Ok(Split { symbol: symbol.parse()?, date: date.parse()?, ratio: parse_ratio(ratio)? })
    })
}

/// Reads `symbol,date,reason`.
///
/// # Errors
/// Data error naming file and line.
pub fn read_moves(path: &Path) -> Result<Vec<Move>> {
    parse_moves(path, map::open_up_to(path, LIMIT)?)
}

/// As [`read_moves`], of text from anywhere; the path serves messages.
pub(crate) fn parse_moves(path: &Path, source: impl Read) -> Result<Vec<Move>> {
    parse(path, source, MOVE_HEADER, |[symbol, date, reason]| {
        if reason.is_empty() {
            return Err(Error::new(codes::BAD_TABLE, "a move needs a reason"));
        }
        Ok(Move { symbol: symbol.parse()?, date: date.parse()?, reason: reason.to_owned() })
    })
}

/// Reads `symbol,ex_date,amount`, dollars a share as paid; sorted by symbol and date, one amount each.
///
/// # Errors
/// Data error naming file and line.
pub fn read_dividends(path: &Path) -> Result<Vec<Dividend>> {
    parse_dividends(path, map::open_up_to(path, LIMIT)?)
}

/// As [`read_dividends`], every row paid: two on one day are two dividends.
///
/// # Errors
/// As [`read_dividends`].
pub fn read_payments(path: &Path) -> Result<Vec<Dividend>> {
    dividend_rows(path, map::open_up_to(path, LIMIT)?)
}

fn dividend_rows(path: &Path, source: impl Read) -> Result<Vec<Dividend>> {
    parse(path, source, DIVIDEND_HEADER, |[symbol, date, amount]| {
        Ok(Dividend { symbol: symbol.parse()?, ex_date: date.parse()?, amount: parse_amount(amount)? })
    })
}

/// As [`read_dividends`], of text from anywhere; the path serves messages.
pub(crate) fn parse_dividends(path: &Path, source: impl Read) -> Result<Vec<Dividend>> {
    let read = dividend_rows(path, source)?;
    let mut dividends = Vec::new();
    merge_dividends(&mut dividends, read).map_err(|e| e.at(path.display()))?;
    Ok(dividends)
}

/// Reads `symbol,last_date,haircut`, a haircut from 0 to 1; sorted by symbol, one row each.
///
/// # Errors
/// Data error naming file and line.
pub fn read_delistings(path: &Path) -> Result<Vec<Delisting>> {
    parse_delistings(path, map::open_up_to(path, LIMIT)?)
}

/// As [`read_delistings`], of text from anywhere; the path serves messages.
pub(crate) fn parse_delistings(path: &Path, source: impl Read) -> Result<Vec<Delisting>> {
    let read = parse(path, source, DELISTING_HEADER, |[symbol, date, haircut]| {
        Ok(Delisting { symbol: symbol.parse()?, last_date: date.parse()?, haircut: parse_haircut(haircut)? })
    })?;
    let mut delistings = Vec::new();
    merge_delistings(&mut delistings, read).map_err(|e| e.at(path.display()))?;
    Ok(delistings)
}

/// Reads `old,new,date`; sorted by the new symbol and date.
///
/// # Errors
/// Data error naming file and line.
pub fn read_renames(path: &Path) -> Result<Vec<Rename>> {
    parse_renames(path, map::open_up_to(path, LIMIT)?)
}

/// As [`read_renames`], of text from anywhere; the path serves messages.
pub(crate) fn parse_renames(path: &Path, source: impl Read) -> Result<Vec<Rename>> {
    let read = parse(path, source, RENAME_HEADER, |[old, new, date]| {
        let rename = Rename { old: old.parse()?, new: new.parse()?, date: date.parse()? };
        match rename.old == rename.new {
            false => Ok(rename),
            true => Err(Error::new(codes::BAD_TABLE, format!("{old} is renamed to itself")).help(
                "write the symbol before, the one from then on, and the first session under it, or leave the row out",
            )),
        }
    })?;
    let mut renames = Vec::new();
    merge_renames(&mut renames, read).map_err(|e| e.at(path.display()))?;
    Ok(renames)
}

/// Reads `date,rate`: simple rates a year as fractions, each valid from its date on until the next.
///
/// # Errors
/// Data error naming file and line.
pub fn read_rates(path: &Path) -> Result<Vec<Rate>> {
    parse_rates(path, map::open_up_to(path, LIMIT)?)
}

/// As [`read_rates`], of text from anywhere; the path serves messages.
pub(crate) fn parse_rates(path: &Path, source: impl Read) -> Result<Vec<Rate>> {
    let before = Cell::new(None);
    let rates = parse(path, source, RATE_HEADER, |[date, rate]| {
        let date: Date = date.parse()?;
        if before.replace(Some(date)).is_some_and(|before| before >= date) {
            return Err(Error::new(codes::BAD_TABLE, format!("{date} does not come after the date above it"))
                .help("sort the rows by date, one row a date"));
        }
        let parsed = rate.parse().ok().filter(|rate| is_rate(*rate));
        let rate = parsed.ok_or_else(|| {
            Error::new(codes::BAD_TABLE, format!("{} is not a rate from -0.1 to 1", quoted(rate)))
                .help("write a simple rate a year as a fraction: 0.05 for 5 %")
        })?;
        Ok(Rate { date, rate })
    })?;
    match rates.is_empty() {
        false => Ok(rates),
        true => Err(Error::new(codes::BAD_TABLE, "the table has no row: no rate isn't a rate of 0").at(path.display())),
    }
}

/// Whether money ever earned so much a year.
pub(super) fn is_rate(rate: f64) -> bool {
    (-0.1..=1.0).contains(&rate)
}

/// SHA-256 of a table of rates, as its rows are written.
pub(crate) fn hash_of_rates(rates: &[Rate]) -> String {
    let rows: Vec<String> = rates.iter().map(|r| format!("{},{}\n", r.date, r.rate)).collect();
    sha256_hex(rows.concat().as_bytes())
}

fn parse<T, const N: usize>(
    path: &Path,
    source: impl Read,
    header: [&str; N],
    row: impl Fn([&str; N]) -> Result<T>,
) -> Result<Vec<T>> {
    let expected = format!("expected the columns {}", header.join(","));
    let fault = |e: csv::Error| Error::new(codes::BAD_TABLE, e.to_string()).at(path.display()).help(expected.clone());
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
    if !reader.headers().map_err(fault)?.iter().eq(header) {
        return Err(Error::new(codes::BAD_TABLE, "the header is not that of this table")
            .at(path.display())
            .help(expected));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(fault)?;
        let line = record.position().map_or(0, csv::Position::line);
        let fields = std::array::from_fn(|i| record.get(i).unwrap_or_default());
        let as_data = |e: Error| e.recode(codes::BAD_TABLE).at_line(path, line as usize, None);
        rows.push(row(fields).map_err(as_data)?);
    }
    Ok(rows)
}

/// Whether shares are ever split so.
pub(super) fn is_ratio(ratio: f64) -> bool {
    (1e-6..=1e6).contains(&ratio) && ratio != 1.0
}

fn parse_ratio(text: &str) -> Result<f64> {
    let number = |t: &str| t.trim().parse::<f64>().ok();
    let ratio = match text.split_once('/') {
        Some((new, old)) => number(new).zip(number(old)).map(|(new, old)| new / old),
        None => number(text),
    };
    ratio.filter(|r| is_ratio(*r)).ok_or_else(|| {
        Error::new(codes::BAD_TABLE, format!("{} is not a split ratio", quoted(text)))
            .help("write new shares per old share: 10 for 10:1, 1/30 for a reverse split")
    })
}

/// Whether a share ever paid so much; the dearest costs less.
pub(super) fn is_amount(amount: f64) -> bool {
    amount > 0.0 && amount <= 1e6
}

fn parse_amount(text: &str) -> Result<f64> {
    text.parse().ok().filter(|amount| is_amount(*amount)).ok_or_else(|| {
        Error::new(codes::BAD_TABLE, format!("{} is not an amount above 0 and up to 1,000,000", quoted(text)))
            .help("write dollars a share as they were paid: 0.24; leave out what paid nothing")
    })
}

/// Whether a holder can lose that part of the last price.
pub(super) fn is_haircut(haircut: f64) -> bool {
    (0.0..=1.0).contains(&haircut)
}

fn parse_haircut(text: &str) -> Result<f64> {
    text.parse().ok().filter(|haircut| is_haircut(*haircut)).ok_or_else(|| {
        Error::new(codes::BAD_TABLE, format!("{} is not a haircut from 0 to 1", quoted(text)))
            .help("write the part of the last close that a holder lost: 0 for a buyout at that price, 1 for everything")
    })
}

/// Adds `new` to `known`, in the order of `key`; the same row twice is one, two rows of one key an error.
fn merge<T: Copy + PartialEq, K: Copy + Ord>(
    known: &mut Vec<T>,
    new: Vec<T>,
    key: impl Fn(&T) -> K,
    conflict: impl Fn(&T, &T) -> Error,
) -> Result<usize> {
    let before = known.len();
    let mut rows: BTreeMap<K, T> = known.iter().map(|row| (key(row), *row)).collect();
    for row in new {
        if let Some(other) = rows.insert(key(&row), row).filter(|other| *other != row) {
            return Err(conflict(&other, &row));
        }
    }
    *known = rows.into_values().collect();
    Ok(known.len() - before)
}

/// Adds `new` to `known`; the same dividend twice is one, two amounts for one day are an error.
pub(super) fn merge_dividends(known: &mut Vec<Dividend>, new: Vec<Dividend>) -> Result<usize> {
    merge(
        known,
        new,
        |d| (d.symbol, d.ex_date),
        |a, b| {
            let what = format!("two dividends of {} on {}: {} and {}", a.symbol, a.ex_date, a.amount, b.amount);
            Error::new(codes::BAD_TABLE, what).help("keep the right one; if both were paid, write their sum")
        },
    )
}

/// Adds `new` to `known`; the same delisting twice is one, two of one symbol are an error.
pub(super) fn merge_delistings(known: &mut Vec<Delisting>, new: Vec<Delisting>) -> Result<usize> {
    merge(
        known,
        new,
        |d| d.symbol,
        |a, b| {
            let text = |d: &Delisting| format!("{} with a haircut of {}", d.last_date, d.haircut);
            let what = format!("two delistings of {}: {} and {}", a.symbol, text(a), text(b));
            Error::new(codes::BAD_TABLE, what).help("keep the right one; a symbol ends once")
        },
    )
}

/// Adds `new` to `known`; the same rename twice is one. On one day a symbol follows one symbol, and is followed by one.
pub(super) fn merge_renames(known: &mut Vec<Rename>, new: Vec<Rename>) -> Result<usize> {
    let conflict = |a: &Rename, b: &Rename| {
        let what = format!("two renames on {}: {} to {}, and {} to {}", a.date, a.old, a.new, b.old, b.new);
        Error::new(codes::BAD_TABLE, what).help("keep the one whose bars go on under the new symbol")
    };
    let added = merge(known, new, |r| (r.new, r.date), conflict)?;
    let mut by_old: BTreeMap<(Symbol, Date), Rename> = BTreeMap::new();
    for rename in known.iter() {
        if let Some(other) = by_old.insert((rename.old, rename.date), *rename) {
            return Err(conflict(&other, rename));
        }
    }
    Ok(added)
}

/// Adds `new` to `known`; the same split twice is one, two ratios for one day are an error.
pub(super) fn merge_splits(known: &mut Vec<Split>, new: Vec<Split>) -> Result<usize> {
    let before = known.len();
    let mut ratios: BTreeMap<(Symbol, Date), f64> = known.iter().map(|k| ((k.symbol, k.date), k.ratio)).collect();
    for split in new {
        match ratios.insert((split.symbol, split.date), split.ratio) {
            Some(ratio) if (ratio / split.ratio - 1.0).abs() < 1e-12 => {}
            Some(ratio) => {
                let (a, b) = (ratio, split.ratio);
                let what = format!("two splits of {} on {}: {a} and {b}", split.symbol, split.date);
                return Err(Error::new(codes::SPLIT_CONFLICT, what));
            }
            None => known.push(split),
        }
    }
    known.sort_by_key(|s| (s.symbol, s.date));
    Ok(known.len() - before)
}

/// Adds `new` to `known`, one reason for a symbol and date.
pub(super) fn merge_moves(known: &mut Vec<Move>, new: Vec<Move>) -> usize {
    let before = known.len();
    let mut days: BTreeSet<(Symbol, Date)> = known.iter().map(|k| (k.symbol, k.date)).collect();
    for entry in new {
        if days.insert((entry.symbol, entry.date)) {
            known.push(entry);
        }
    }
    known.sort_by_key(|m| (m.symbol, m.date));
    known.len() - before
}

/// Adds `new` to `known`; the same rate twice is one, two rates for one date are an error.
pub(super) fn merge_rates(known: &mut Vec<Rate>, new: Vec<Rate>) -> Result<usize> {
    let before = known.len();
    let mut rates: BTreeMap<Date, f64> = known.iter().map(|k| (k.date, k.rate)).collect();
    for Rate { date, rate } in new {
        if let Some(other) = rates.insert(date, rate).filter(|other| *other != rate) {
            let what = format!("two risk-free rates for {date}: {other} and {rate}");
            return Err(Error::new(codes::BAD_TABLE, what).help("import into a new archive to replace the table"));
        }
    }
    *known = rates.into_iter().map(|(date, rate)| Rate { date, rate }).collect();
    Ok(known.len() - before)
}

/// Risk-free rates: the date from which each is valid, and the simple rate a year; ascending.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// The rates. With none the rate is 0.
    pub rates: Vec<(Date, f64)>,
    /// SHA-256 of their table.
    pub sha256: String,
}

impl Rates {
    /// The rate of a date. A table says nothing of a date before its first row or after its last.
    pub(crate) fn at(&self, date: Date) -> Option<f64> {
        let (Some(_), Some(last)) = (self.rates.first(), self.rates.last()) else { return Some(0.0) };
        let after = self.rates.partition_point(|r| r.0 <= date);
        (date <= last.0 && after > 0).then(|| self.rates[after - 1].1)
    }

    /// Where the rates come from, in words.
    pub(crate) fn name(&self) -> String {
        match self.rates.is_empty() {
            true => "0 (no table in the archive)".to_owned(),
            false => format!("table {} of the archive", self.sha256.get(..12).unwrap_or(&self.sha256)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(text: &str) -> Result<Vec<Rate>> {
        parse_rates(Path::new("risk_free.csv"), text.as_bytes())
    }

    #[test]
    fn a_bad_line_of_rates_is_named() {
        let good = rates("date,rate\n2024-01-02,0.05\n2024-02-01,-0.01\n").expect("a table");
        assert_eq!(good.iter().map(|r| r.rate).collect::<Vec<f64>>(), [0.05, -0.01]);
        for bad in ["2024-01-02,0.05", "2024-01-01,0.05", "2024-01-03,NaN", "2024-01-03,inf", "2024-01-03,5", "x,0"] {
            let err = rates(&format!("date,rate\n2024-01-02,0.05\n{bad}\n")).expect_err(bad);
            assert!(err.to_string().contains("risk_free.csv:3"), "{err}");
            assert_eq!(err.code(), codes::BAD_TABLE);
        }
        assert!(rates("day,rate\n").is_err());
    }

    #[test]
    fn dividends_are_sorted_and_a_bad_line_is_named() {
        let read = |text: &str| parse_dividends(Path::new("dividends.csv"), text.as_bytes());
        let good = read("symbol,ex_date,amount\nGME,2024-01-03,0.38\nAMC,2024-02-01,1\nAMC,2024-01-02, 0.2 \n");
        let good: Vec<(String, f64)> =
            good.expect("a table").iter().map(|d| (format!("{} {}", d.symbol, d.ex_date), d.amount)).collect();
        let expected = [("AMC 2024-01-02", 0.2), ("AMC 2024-02-01", 1.0), ("GME 2024-01-03", 0.38)];
        assert_eq!(good, expected.map(|(about, amount)| (about.to_owned(), amount)));
        for bad in ["AMC,2024-01-02,0", "AMC,2024-01-02,-1", "AMC,2024-01-02,NaN", "AMC,2024-01-02,2e6", "amc,x,1"] {
            let err = read(&format!("symbol,ex_date,amount\nGME,2024-01-02,1\n{bad}\n")).expect_err(bad);
            assert!(err.to_string().contains("dividends.csv:3"), "{err}");
            assert_eq!(err.code(), codes::BAD_TABLE);
        }
        let twice = |second| read(&format!("symbol,ex_date,amount\nAMC,2024-01-02,1\nAMC,2024-01-02,{second}\n"));
        assert_eq!(twice("1.0").expect("the same row").len(), 1);
        assert!(twice("2").expect_err("two amounts").to_string().contains("two dividends of AMC on 2024-01-02"));
        assert!(read("symbol,date,amount\n").is_err() && read("symbol,ex_date,amount\n").is_ok());
    }

    #[test]
    fn a_symbol_ends_once_with_a_haircut_from_0_to_1() {
        let read = |rows: &str| {
            parse_delistings(Path::new("delistings.csv"), format!("symbol,last_date,haircut\n{rows}").as_bytes())
        };
        let good = read("GME,2024-01-03,1\nAMC,2024-02-01,0\n").expect("a table");
        assert_eq!(
            good.iter().map(|d| (d.symbol.as_str(), d.haircut)).collect::<Vec<_>>(),
            [("AMC", 0.0), ("GME", 1.0)]
        );
        for bad in ["AMC,2024-01-02,-0.1", "AMC,2024-01-02,1.5", "AMC,2024-01-02,NaN", "AMC,2024-01-02,", ",,"] {
            let err = read(&format!("GME,2024-01-02,1\n{bad}\n")).expect_err(bad);
            assert!(err.to_string().contains("delistings.csv:3"), "{err}");
        }
        assert_eq!(read("AMC,2024-01-02,1\nAMC,2024-01-02,1\n").expect("the same row").len(), 1);
        assert!(read("AMC,2024-01-02,1\nAMC,2024-01-03,1\n").is_err());
    }

    #[test]
    fn a_rename_goes_from_one_symbol_to_one_other() {
        let read = |rows: &str| parse_renames(Path::new("renames.csv"), format!("old,new,date\n{rows}").as_bytes());
        let good = read("FB,META,2022-06-09\nFB,META,2022-06-09\nTWTR,FB,2023-01-03\n").expect("a table");
        assert_eq!(
            good.iter().map(|r| (r.old.as_str(), r.new.as_str())).collect::<Vec<_>>(),
            [("TWTR", "FB"), ("FB", "META")]
        );
        assert!(read("FB,META,2022-06-09\nFB,FB,2022-06-09\n").expect_err("itself").to_string().contains("csv:3"));
        assert!(read("FB,META,2022-06-09\nGOOG,META,2022-06-09\n").is_err(), "one follows two");
        assert!(read("FB,META,2022-06-09\nFB,GOOG,2022-06-09\n").is_err(), "two follow one");
    }

    #[test]
    fn one_date_has_one_rate() {
        let rate = |rate| vec![Rate { date: Date(1), rate }];
        let mut known = rate(0.05);
        assert_eq!(merge_rates(&mut known, rate(0.05)).ok(), Some(0));
        assert!(merge_rates(&mut known, rate(0.04)).is_err());
        assert_eq!(known, rate(0.05));
    }

    #[test]
    fn ratios_are_numbers_or_fractions() {
        assert_eq!(parse_ratio("10").ok(), Some(10.0));
        assert_eq!(parse_ratio("1/30").ok(), Some(1.0 / 30.0));
        assert_eq!(parse_ratio("0.0333333333333333333").ok(), Some(1.0 / 30.0));
        for bad in ["", "0", "-4", "1", "4:1", "1/0", "NaN", "inf"] {
            assert!(parse_ratio(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_day_has_one_ratio() {
        let split = |ratio| Split { symbol: "AMC".parse().expect("symbol"), date: Date(1), ratio };
        let mut known = vec![split(10.0)];
        assert_eq!(merge_splits(&mut known, vec![split(10.0)]).ok(), Some(0));
        assert!(merge_splits(&mut known, vec![split(4.0)]).is_err());
    }
}
