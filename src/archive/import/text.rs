//! Foreign bytes as text, and text as a table: compression, encoding, separator, header.

use std::io::Read;

use super::columns::{self, Kind, plain};
use super::number::{Decimal, number};
use super::time::{self, Shape};
use crate::error::{Error, Result, codes, quoted};

/// Largest text, unpacked.
const LARGEST: u64 = 4 << 30;
/// Lines that tell how a table is written.
const LOOKED_AT: usize = 60;
/// Most fields of a line: more is no table of bars.
const MOST_FIELDS: usize = 6_000;

/// Unpacks bytes that gzip packed; others stay.
///
/// # Errors
/// Data error if they are damaged or unpack to more than 4 GiB.
pub(crate) fn unpacked(bytes: bytes::Bytes) -> Result<bytes::Bytes> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut text = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(&bytes[..]).take(LARGEST + 1).read_to_end(&mut text);
    read.map_err(|e| Error::new(codes::SOURCE_UNREADABLE, format!("not a readable gzip file: {e}")))?;
    if text.len() as u64 > LARGEST {
        let what = format!("the file unpacks to more than {LARGEST} bytes");
        return Err(Error::new(codes::SOURCE_TOO_LARGE, what));
    }
    Ok(text.into())
}

/// Bytes as text: UTF-8, or UTF-16 by its mark.
///
/// # Errors
/// Data error if they are no text, saying what they are instead.
pub(crate) fn decoded(bytes: &[u8], assumed: &mut Vec<String>) -> Result<String> {
    let wrong = |what: &str, help: &str| Err(Error::new(codes::SOURCE_UNREADABLE, what).help(help));
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>()
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => {
            let kinds: [(&[u8], &str, &str); 6] = [
                (
                    b"PK\x03\x04",
                    "this is an Excel workbook or a ZIP archive",
                    "save the sheet as CSV, or unpack the archive",
                ),
                (b"\xd0\xcf\x11\xe0", "this is an old Excel workbook", "save the sheet as CSV"),
                (b"\x89HDF", "this is an HDF5 file", "write the table as Parquet or CSV"),
                (b"ARROW1", "this is a Feather file", "write the table as Parquet or CSV"),
                (b"FEA1", "this is a Feather file", "write the table as Parquet or CSV"),
                (b"\x28\xb5\x2f\xfd", "this is packed by zstd", "unpack it first"),
            ];
            if let Some((_, what, help)) = kinds.into_iter().find(|(magic, ..)| rest.starts_with(magic)) {
                return wrong(what, help);
            }
            if rest.iter().take(1 << 16).any(|b| *b == 0) {
                return wrong(
                    "this is no text: it holds zero bytes",
                    "write it as UTF-8; UTF-16 needs its byte order mark",
                );
            }
            match std::str::from_utf8(rest) {
                Ok(text) => text.to_owned(),
                Err(_) => {
                    assumed.push("not UTF-8: read as Latin-1".to_owned());
                    rest.iter().map(|b| char::from(*b)).collect()
                }
            }
        }
    };
    // One end of lines, so that they are counted right.
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text };
    let begin = text.trim_start().get(..200).unwrap_or(text.trim_start()).to_ascii_lowercase();
    if ["<!doctype", "<html", "<head", "<body", "<?xml"].iter().any(|tag| begin.starts_with(tag)) {
        return wrong(
            "this is a web page, not a table",
            "download the data itself: a login or an error was saved in its place",
        );
    }
    if begin.is_empty() {
        return wrong("the file is empty", "fetch or write the file again");
    }
    Ok(text)
}

/// How a text's table is written.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) separator: u8,
    /// Names of the columns; made up where there is no header.
    pub(crate) names: Vec<String>,
    /// Each column's symbol, where the header names one.
    pub(crate) symbols: Vec<String>,
    pub(crate) has_header: bool,
    /// Records before the first row.
    pub(crate) records_before: usize,
    /// What the values of each column look like.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) layout: Option<&'static str>,
    pub(crate) assumed: Vec<String>,
}

/// A reader of records that differ in length, each field trimmed.
pub(crate) fn reader(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).trim(csv::Trim::All).delimiter(separator).from_reader(text.as_bytes())
}

type Line = (usize, Vec<String>);

/// The first records, each with its place.
fn first_lines(text: &str, separator: u8) -> Vec<Line> {
    let mut lines = Vec::new();
    for (place, record) in reader(text, separator).records().take(LOOKED_AT).enumerate() {
        let Ok(record) = record else { break };
        if record.len() > MOST_FIELDS {
            break;
        }
        lines.push((place, record.iter().map(str::to_owned).collect()));
    }
    lines
}

fn is_blank_or_comment(fields: &[String]) -> bool {
    fields.iter().all(String::is_empty)
        || (fields[0].starts_with('#') && !columns::is_price(fields.get(1).map_or("", |f| f)))
}

/// The separator: the one that gives most lines the same number of at least five fields. A comma
/// may be part of numbers, so others come first.
fn separator(text: &str) -> Option<u8> {
    if let Some(sep) = text.strip_prefix("sep=").and_then(|rest| rest.bytes().next()) {
        return Some(sep);
    }
    // The beginning tells.
    let mut end = text.len().min(1 << 17);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    let fits = |separator: u8, least: usize| {
        let lines = first_lines(text, separator);
        let most = lines.iter().map(|l| l.1.len()).max().unwrap_or(0);
        let same = lines.iter().filter(|l| l.1.len() == most).count();
        most >= least && same * 2 >= lines.len()
    };
    // Tables of fewer columns are none of bars, but better named as what they are.
    let all = [b';', b'\t', b'|', b',', b' '];
    all.into_iter().find(|&s| fits(s, 5)).or_else(|| all[..4].iter().copied().find(|&s| fits(s, 3)))
}

/// What one field looks like.
fn kind(text: &str) -> Kind {
    if text.is_empty() {
        return Kind::Empty;
    }
    match time::shape(text) {
        Some(Shape::Date) => return Kind::Time,
        Some(Shape::Clock) => return Kind::Clock,
        _ => {}
    }
    let is_number = [Decimal::Point, Decimal::Comma].iter().any(|d| number(text.trim_end_matches('%'), *d, "").is_ok());
    let is_flag = ["true", "false", "null", "nan", "none", "n/a", "-"].contains(&text.to_ascii_lowercase().as_str());
    if is_number || is_flag { Kind::Number } else { Kind::Text }
}

/// Whether a field is text that isn't a number, a time or nothing.
pub(crate) fn is_text(text: &str) -> bool {
    kind(text) == Kind::Text
}

/// What the values of each column look like: text, if any is.
fn kinds(rows: &[Line], width: usize) -> Vec<Kind> {
    let of = |at: usize| {
        let seen: Vec<Kind> = rows.iter().filter_map(|(_, f)| f.get(at)).map(|f| kind(f)).collect();
        let has = |kind: Kind| seen.contains(&kind);
        let order = [Kind::Text, Kind::Time, Kind::Clock, Kind::Number];
        order.into_iter().find(|&k| has(k)).unwrap_or(Kind::Empty)
    };
    (0..width).map(of).collect()
}

/// Finds out how a table is written.
///
/// # Errors
/// Data error if the text is no table, or its columns have no names and an order that isn't known.
pub(crate) fn table(text: &str, told_columns: bool) -> Result<Table> {
    let not_a_table =
        || Error::new(codes::NOT_A_SOURCE, format!("this is no table of bars; it begins {}", begin(text)));
    let separator = separator(text).ok_or_else(not_a_table)?;
    let lines: Vec<Line> = first_lines(text, separator).into_iter().filter(|(_, f)| !is_blank_or_comment(f)).collect();
    let named = |fields: &[String]| fields.iter().filter(|f| columns::meaning(f).is_some()).count();
    let most = lines.iter().map(|l| l.1.len()).max().unwrap_or(0);
    let first = lines.iter().position(|(_, f)| named(f) >= 4 || f.len() == most).ok_or_else(not_a_table)?;
    let mut assumed = Vec::new();
    if first > 0 {
        assumed.push(format!("what stands above the table is passed over, {first} of its lines"));
    }
    let lines = &lines[first..];
    if let Some(table) = stacked_header(lines, separator) {
        return Ok(table);
    }
    let (record, fields) = &lines[0];
    let values = |f: &String| !f.is_empty() && kind(f) != Kind::Text;
    let has_header = named(fields) >= 2 || !fields.iter().any(values);
    if has_header {
        let names =
            fields.iter().map(|f| f.trim_start_matches('\u{feff}').trim_start_matches('#').to_owned()).collect();
        let kinds = kinds(&lines[1..], fields.len());
        let symbols = vec![String::new(); fields.len()];
        return Ok(Table {
            separator,
            names,
            symbols,
            has_header,
            records_before: *record + 1,
            kinds,
            layout: None,
            assumed,
        });
    }
    let kinds = kinds(lines, most);
    let (names, layout) = match told_columns {
        true => ((1..=most).map(|at| at.to_string()).collect(), "no header, columns as told"),
        false => without_header(lines, &kinds).ok_or_else(|| {
            Error::new(codes::MISSING_COLUMN, format!("the columns have no names; the file begins {}", begin(text)))
                .help("say what they are by their places: --columns timestamp=1,open=2,high=3,low=4,close=5,volume=6, in the file's own order; ignore=7 leaves one out")
        })?,
    };
    if !told_columns {
        let known: Vec<&str> = names.iter().map(String::as_str).filter(|n| n.parse::<usize>().is_err()).collect();
        assumed.push(format!("no header: columns are taken as {}", known.join(", ")));
    }
    let symbols = vec![String::new(); names.len()];
    Ok(Table { separator, names, symbols, has_header, records_before: *record, kinds, layout: Some(layout), assumed })
}

/// The first line, as messages quote it.
pub(crate) fn begin(text: &str) -> String {
    quoted(text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default().trim())
}

/// yfinance's two or three lines of names: `Price,Close,High…`, `Ticker,AAPL,AAPL…`, `Date,,…`.
fn stacked_header(lines: &[Line], separator: u8) -> Option<Table> {
    let [(_, first), (_, second), rest @ ..] = lines else { return None };
    let tickers = plain(&second[0]) == "ticker" || plain(&second[0]) == "tickers" || second[0].is_empty();
    let (mut fields, mut symbols) = (first.clone(), second.clone());
    // Grouped by ticker, the lines stand the other way round.
    if plain(&first[0]) == "ticker" {
        std::mem::swap(&mut fields, &mut symbols);
    } else if !tickers || !second.iter().skip(1).all(|s| super::name::cell(s).is_some()) {
        return None;
    }
    if fields.len() < 6 || fields.len() != symbols.len() || !fields.iter().any(|f| columns::is_price(f)) {
        return None;
    }
    let (mut before, mut rows) = (lines[1].0, rest);
    if let Some((record, third)) = rest.first()
        && columns::meaning(&third[0]).is_some()
        && third.iter().skip(1).all(String::is_empty)
    {
        (before, rows) = (*record, &rest[1..]);
    }
    fields[0] = "Date".to_owned();
    symbols[0] = String::new();
    let kinds = kinds(rows, fields.len());
    let (names, layout) = (fields, Some("yfinance, columns by ticker"));
    Some(Table {
        separator,
        names,
        symbols,
        has_header: true,
        records_before: before + 1,
        kinds,
        layout,
        assumed: Vec::new(),
    })
}

/// Names for columns without a header, from what their values show: a symbol perhaps, a date, a time
/// perhaps, four prices of which the second is the highest and the third the lowest, and a volume.
fn without_header(lines: &[Line], kinds: &[Kind]) -> Option<(Vec<String>, &'static str)> {
    let mut names = Vec::new();
    let mut at = 0;
    if kinds.first() == Some(&Kind::Text) && lines.iter().all(|(_, f)| super::name::cell(&f[0]).is_some()) {
        names.push("symbol");
        at = 1;
    }
    let field = |row: usize, at: usize| lines[row].1.get(at).map_or("", |f| f);
    let is_time = (0..lines.len()).all(|row| time::parse(field(row, at)).is_some());
    is_time.then_some(())?;
    names.push("timestamp");
    at += 1;
    let date_alone = (0..lines.len()).all(|row| field(row, at - 1).len() <= 10);
    let clock = |row: usize| time::clock(field(row, at)).is_some() && !field(row, at).contains('.');
    let mut apart = false;
    if kinds.get(at) == Some(&Kind::Clock) || (date_alone && kinds.len() >= at + 6 && (0..lines.len()).all(clock)) {
        names.push("time");
        apart = true;
        at += 1;
    }
    let value = |row: usize, at: usize| {
        [Decimal::Point, Decimal::Comma].into_iter().find_map(|d| number(field(row, at), d, "").ok())
    };
    let in_order = (0..lines.len()).all(|row| {
        let prices: Option<Vec<f64>> = (at..at + 5).map(|at| value(row, at)).collect();
        prices.is_some_and(|p| p[1] >= p[0].max(p[3]) && p[2] <= p[0].min(p[3]) && p[4] >= 0.0)
    });
    in_order.then_some(())?;
    names.extend(["open", "high", "low", "close", "volume"]);
    at += 5;
    let layout = match (kinds.len(), apart) {
        (12, false) if at == 6 => "Binance klines",
        // What else there is may be what is meant: a second close, a bid beside an ask.
        (all, _) if all > at => return None,
        (_, true) => "no header, date and time apart (as Kibot, FirstRate, MetaTrader)",
        _ => "no header",
    };
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.extend((at + 1..=kinds.len()).map(|at| at.to_string()));
    Some((names, layout))
}
