//! The cells of an orders file, from CSV or Parquet.

use std::path::Path;

use bytes::Bytes;

use crate::archive::Cells;
use crate::error::{Error, Result, codes};

/// Column names, and rows with their lines; cells are trimmed.
pub(super) struct Table {
    pub(super) names: Vec<String>,
    source: Source,
}

enum Source {
    Text(Bytes),
    Parquet(Bytes),
}

impl Table {
    /// Reads the header of a CSV file, or the names of a Parquet file's columns.
    pub(super) fn new(bytes: Bytes, path: &Path) -> Result<Self> {
        if bytes.starts_with(b"PAR1") {
            let names = Cells::open(bytes.clone()).map_err(|e| unreadable(path, &e))?.names;
            return Ok(Self { names, source: Source::Parquet(bytes) });
        }
        if let Err(e) = std::str::from_utf8(&bytes) {
            let line = bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            let at = format!("{}:{line}", path.display());
            return Err(Error::new(codes::ORDERS_UNREADABLE, "the file is not UTF-8 text").at(at));
        }
        if let Some(line) = open_quote(without_mark(&bytes)) {
            let what = "a cell that begins with a quote here never ends";
            return Err(Error::new(codes::ORDERS_UNREADABLE, what)
                .at(format!("{}:{line}", path.display()))
                .help("end the cell with a quote, or write a quote inside a quoted cell twice"));
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
            Source::Parquet(bytes) => {
                let mut reader = Cells::open(bytes.clone()).map_err(|e| unreadable(path, &e))?;
                let mut line = 1;
                while let Some(columns) = reader.next().map_err(|e| unreadable(path, &e))? {
                    for row in 0..columns.first().map_or(0, Vec::len) {
                        line += 1;
                        let cells: Vec<&str> = columns.iter().map(|column| column[row].trim()).collect();
                        each(line, &cells);
                    }
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

/// The line of a quote that begins a cell and has no end: all rows after it would belong to that cell.
fn open_quote(bytes: &[u8]) -> Option<usize> {
    let (mut line, mut opened, mut begins) = (1, None, true);
    let mut bytes = bytes.iter().peekable();
    while let Some(byte) = bytes.next() {
        line += usize::from(*byte == b'\n');
        match (opened, byte) {
            (Some(_), b'"') if bytes.next_if(|next| **next == b'"').is_none() => opened = None,
            (Some(_), _) => {}
            (None, b'"') if begins => opened = Some(line),
            (None, _) => begins = matches!(byte, b',' | b'\n' | b'\r'),
        }
    }
    opened
}

/// Without a header of its own, so that the header's line is a record like others.
fn reader(bytes: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(without_mark(bytes))
}

/// Some programs begin a file with a byte order mark.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

fn unreadable(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::new(codes::ORDERS_UNREADABLE, e.to_string()).at(path.display())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;

    use super::*;

    #[test]
    fn a_quote_without_an_end_is_found_where_it_begins() {
        assert_eq!(open_quote(b"a,b\n1,\"x\n2,y\n"), Some(2));
        assert_eq!(open_quote(b"a,b\n1,\"x\"\"\n"), Some(2));
        for whole in ["a,b\n1,\"x\n2\"\n", "a,b\n1,\"x\"\"y\"\n", "a,b\n1,5\" pipe\n", "\"\",\"\"\r\n"] {
            assert_eq!(open_quote(whole.as_bytes()), None, "{whole}");
        }
        let unreadable = Table::new(b"time,symbol,id\n1,\"AA,a\n".to_vec().into(), Path::new("o.csv"));
        assert_eq!(unreadable.map(|_| ()).expect_err("no end").code(), codes::ORDERS_UNREADABLE);
    }

    /// Every order has an identifier of its own, and a writer of Parquet puts them all into a dictionary.
    #[test]
    fn a_dictionary_of_many_identifiers_is_read() {
        let ids: Vec<String> = (0..60_000).map(|i| format!("order-{i}")).collect();
        let column: ArrayRef = Arc::new(StringArray::from(ids.clone()));
        let batch = RecordBatch::try_from_iter([("id", column)]).expect("a batch");
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        let table = Table::new(writer.into_inner().expect("closed").into(), Path::new("o.parquet")).expect("opened");
        let mut read: Vec<String> = Vec::new();
        let each = |line: u32, cells: &[&str]| {
            assert_eq!(line as usize, read.len() + 2);
            read.push(cells[0].to_owned());
        };
        table.each(Path::new("o.parquet"), each).expect("read");
        assert!(read == ids);
    }
}
