//! Splits and declared price moves: small tables beside the bars.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bar::{Date, Symbol};
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

/// Longest first line that is looked at.
pub(super) const LONGEST_HEADER: u64 = 64 << 10;
/// Largest table read.
const LIMIT: u64 = 16 << 20;
const SPLIT_HEADER: [&str; 3] = ["symbol", "effective_date", "new_shares_per_old"];
const MOVE_HEADER: [&str; 3] = ["symbol", "date", "reason"];

/// Whether a CSV file starts with the header of a split table.
pub(super) fn is_split_table(path: &Path) -> bool {
    has_header(path, SPLIT_HEADER)
}

/// Whether a CSV file starts with the header of a table of moves.
pub(super) fn is_move_table(path: &Path) -> bool {
    has_header(path, MOVE_HEADER)
}

fn has_header(path: &Path, want: [&str; 3]) -> bool {
    let Ok(file) = map::open_up_to(path, u64::MAX) else { return false };
    // The header alone: a file without a line end must not be read to its end.
    let header = csv::Reader::from_reader(file.take(LONGEST_HEADER)).headers().cloned();
    header.is_ok_and(|h| h.iter().map(str::trim).eq(want))
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

fn parse<T>(path: &Path, source: impl Read, header: [&str; 3], row: impl Fn([&str; 3]) -> Result<T>) -> Result<Vec<T>> {
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
        let fields = [0, 1, 2].map(|i| record.get(i).unwrap_or_default());
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

#[cfg(test)]
mod tests {
    use super::*;

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
