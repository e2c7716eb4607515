//! The cells of an orders file, from CSV or Parquet.

use std::path::Path;

use bytes::Bytes;

use crate::archive::cells_of_parquet;
use crate::error::{Error, Result, codes};

/// Column names, and rows with their lines; cells are trimmed.
pub(super) struct Table {
    pub(super) names: Vec<String>,
    source: Source,
}

enum Source {
    Text(Bytes),
    Cells(Vec<Vec<String>>),
}

impl Table {
    /// Reads the header of a CSV file, or a Parquet file whole.
    pub(super) fn new(bytes: Bytes, path: &Path) -> Result<Self> {
        if bytes.starts_with(b"PAR1") {
            let (names, cells) =
                cells_of_parquet(bytes).map_err(|e| Error::new(codes::ORDERS_UNREADABLE, e).at(path.display()))?;
            return Ok(Self { names, source: Source::Cells(cells) });
        }
        if let Err(e) = std::str::from_utf8(&bytes) {
            let line = bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            let at = format!("{}:{line}", path.display());
            return Err(Error::new(codes::ORDERS_UNREADABLE, "the file is not UTF-8 text").at(at));
        }
        let mut record = csv::StringRecord::new();
        let mut reader = reader(&bytes);
        reader.read_record(&mut record).map_err(|e| unreadable(path, &e))?;
        let names = record.iter().map(|name| name.trim().to_owned()).collect();
        Ok(Self { names, source: Source::Text(bytes) })
    }

    /// Calls `each` with every row's line and cells.
    pub(super) fn each(&self, path: &Path, mut each: impl FnMut(u32, &[&str])) -> Result<()> {
        match &self.source {
            Source::Cells(rows) => {
                for (i, row) in rows.iter().enumerate() {
                    let cells: Vec<&str> = row.iter().map(|cell| cell.trim()).collect();
                    each(i as u32 + 2, &cells);
                }
                Ok(())
            }
            Source::Text(bytes) => each_record(bytes, path, each),
        }
    }
}

fn each_record(bytes: &[u8], path: &Path, mut each: impl FnMut(u32, &[&str])) -> Result<()> {
    let mut reader = reader(bytes);
    let mut record = csv::StringRecord::new();
    let mut is_header = true;
    while reader.read_record(&mut record).map_err(|e| unreadable(path, &e))? {
        if std::mem::replace(&mut is_header, false) {
            continue;
        }
        let line = record.position().map_or(0, |at| line_of(bytes, at));
        let cells: Vec<&str> = record.iter().map(str::trim).collect();
        if cells.len() > 1 || cells.iter().any(|cell| !cell.is_empty()) {
            each(line, &cells);
        }
    }
    Ok(())
}

/// The line of a record. Its position is that of the blank lines before it, if there are any.
fn line_of(bytes: &[u8], at: &csv::Position) -> u32 {
    let from = at.byte() as usize + (bytes.len() - without_mark(bytes).len());
    let blank = bytes[from.min(bytes.len())..].iter().take_while(|b| **b == b'\n' || **b == b'\r');
    at.line() as u32 + blank.filter(|b| **b == b'\n').count() as u32
}

/// Without a header of its own, so that the header's line is a record like others.
fn reader(bytes: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(without_mark(bytes))
}

/// Some programs begin a file with a byte order mark.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

fn unreadable(path: &Path, e: &csv::Error) -> Error {
    Error::new(codes::ORDERS_UNREADABLE, e.to_string()).at(path.display())
}
