//! What a Parquet file claims, checked before a library believes it: lists longer than the
//! file, pages that unpack to gigabytes, chunks outside the file. Memory stays within a small
//! multiple of the file's size.

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

/// Unpacked bytes that a file of `length` bytes may claim. Bars rarely pack ten to one.
fn most_unpacked(length: usize) -> u64 {
    (64 << 20) + 64 * length as u64
}

/// Bytes of a dictionary of symbols: some ten thousand of them.
pub(super) const MOST_SYMBOLS: u64 = 256 << 10;

/// Rows that a file of `length` bytes may claim: a bar takes at least two bits.
fn most_rows(length: usize) -> u64 {
    1_000_000 + 4 * length as u64
}

/// Refuses a footer whose lists or texts are longer than itself; a reader would allocate them.
pub(super) fn check_footer(file: &[u8]) -> Result<(), String> {
    let (body, magic) = file.split_last_chunk::<4>().ok_or("it is too short")?;
    if magic != b"PAR1" || !file.starts_with(b"PAR1") {
        return Err("it doesn't begin and end with PAR1".to_owned());
    }
    let (body, length) = body.split_last_chunk::<4>().ok_or("it is too short")?;
    let length = u32::from_le_bytes(*length) as usize;
    let start = body.len().checked_sub(length).ok_or("its footer is longer than the file")?;
    Thrift { bytes: &body[start..] }.walk(FILE, 0)
}

/// Refuses metadata whose rows, chunks or pages go beyond what the file can hold, or contradict
/// each other. Looks at the columns that are `read`, by their place among the leaves; each has one
/// value a row. A dictionary of texts has at most `most_texts` bytes.
pub(super) fn check_pages(
    file: &Bytes,
    metadata: &ParquetMetaData,
    read: &[usize],
    most_texts: u64,
) -> Result<(), String> {
    let mut rows = 0u64;
    let mut unpacked = 0u64;
    for group in metadata.row_groups() {
        let in_group = u64::try_from(group.num_rows()).map_err(|_| "a negative number of rows")?;
        rows = rows.saturating_add(in_group);
        // A writer may leave a group without rows, and then without pages: it isn't read.
        for &leaf in read.iter().filter(|_| in_group > 0) {
            let column = group.columns().get(leaf).ok_or("a row group lacks a column")?;
            let chunk = check_chunk(file, column, most_texts)?;
            if chunk.values != in_group {
                return Err(format!("a column claims {} values for {in_group} rows", chunk.values));
            }
            unpacked = unpacked.saturating_add(chunk.unpacked);
        }
    }
    if u64::try_from(metadata.file_metadata().num_rows()) != Ok(rows) {
        return Err(format!("it claims {} rows, its groups {rows}", metadata.file_metadata().num_rows()));
    }
    if rows > most_rows(file.len()) {
        return Err(format!("it claims {rows} rows in {} bytes", file.len()));
    }
    if unpacked > most_unpacked(file.len()) {
        return Err(format!("it claims to unpack {} bytes to {unpacked}", file.len()));
    }
    Ok(())
}

/// What the pages of one chunk add up to.
#[derive(Default)]
struct Chunk {
    unpacked: u64,
    values: u64,
}

/// Walks the pages of one chunk.
fn check_chunk(file: &[u8], column: &ColumnChunkMetaData, most_texts: u64) -> Result<Chunk, String> {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset()).min(column.data_page_offset());
    let place = usize::try_from(start).ok().zip(usize::try_from(column.compressed_size()).ok());
    let end = place.and_then(|(start, size)| start.checked_add(size)).filter(|end| *end <= file.len());
    let (Some((start, _)), Some(end)) = (place, end) else { return Err("a column lies outside the file".to_owned()) };
    let mut rest = &file[start..end];
    let is_text = column.column_type() == parquet::basic::Type::BYTE_ARRAY;
    let mut chunk = Chunk::default();
    while !rest.is_empty() {
        let mut thrift = Thrift { bytes: rest };
        let page = thrift.page_header()?;
        rest = thrift.bytes;
        let packed = usize::try_from(page.packed).ok().filter(|p| *p <= rest.len());
        let packed = packed.ok_or("a page is longer than its column")?;
        let size = u64::try_from(page.unpacked).map_err(|_| "a page of negative size")?;
        if size > most_unpacked(file.len()) {
            return Err(format!("a page claims to unpack to {size} bytes"));
        }
        check_codec(column.compression(), &rest[..packed], &page, size)?;
        let values = u64::try_from(page.values).map_err(|_| "a page with a negative number of values")?;
        match page.kind {
            // Each row repeats a text of the dictionary, so that one long text becomes a thousand.
            DICTIONARY if is_text && size > most_texts => {
                return Err(format!("a dictionary of texts has {size} bytes, at most {most_texts} are read"));
            }
            DICTIONARY if values > size => return Err(format!("a dictionary claims {values} values in {size} bytes")),
            DICTIONARY | INDEX => {}
            _ => chunk.values = chunk.values.saturating_add(values),
        }
        chunk.unpacked = chunk.unpacked.saturating_add(size);
        rest = &rest[packed..];
    }
    Ok(chunk)
}

/// Codecs that unpack no more than they were told to; gzip is tried first.
fn check_codec(codec: Compression, page: &[u8], header: &PageHeader, size: u64) -> Result<(), String> {
    match codec {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) | Compression::LZ4_RAW => Ok(()),
        Compression::GZIP(_) if header.plain => Ok(()),
        Compression::GZIP(_) => {
            use std::io::Read;
            let levels = usize::try_from(header.levels).ok().filter(|l| *l <= page.len());
            let packed = &page[levels.ok_or("a page's levels are longer than the page")?..];
            let mut unpack = MultiGzDecoder::new(packed).take(size + 1);
            let unpacked = std::io::copy(&mut unpack, &mut std::io::sink()).map_err(|e| e.to_string())?;
            if unpacked > size { Err("a page unpacks to more than it claims".to_owned()) } else { Ok(()) }
        }
        other => Err(format!("compression {other:?} is not read; write it with snappy, gzip, zstd, lz4_raw or none")),
    }
}

/// Types of pages, as the format numbers them; the rest are data.
const INDEX: i64 = 1;
const DICTIONARY: i64 = 2;

/// What a page says of itself.
#[derive(Default)]
struct PageHeader {
    kind: i64,
    values: i64,
    unpacked: i64,
    packed: i64,
    /// Bytes of repetition and definition levels before the packed part (pages of version 2).
    levels: i64,
    /// Whether the page says that it isn't compressed whatever its column is (version 2).
    plain: bool,
}

/// What a value of the footer is. The Parquet library reads a known field as what it should be,
/// whatever it says that it is, and from then on reads nonsense: a list without bytes of two
/// thousand million elements, for instance.
enum Kind {
    Bool,
    Byte,
    Short,
    Int,
    Long,
    Double,
    Binary,
    List(&'static Kind),
    Struct(&'static [Field]),
}

/// A field's number and what it is.
type Field = (i64, Kind);

// The structs of parquet.thrift, field by field. What isn't listed is skipped by its own word.
const FILE: &[Field] = &[
    (1, Kind::Int),
    (2, Kind::List(&Kind::Struct(SCHEMA_ELEMENT))),
    (3, Kind::Long),
    (4, Kind::List(&Kind::Struct(ROW_GROUP))),
    (5, KEY_VALUES),
    (6, Kind::Binary),
    (7, Kind::List(&Kind::Struct(&[(1, EMPTY), (2, EMPTY)]))),
];
const EMPTY: Kind = Kind::Struct(&[]);
const KEY_VALUES: Kind = Kind::List(&Kind::Struct(&[(1, Kind::Binary), (2, Kind::Binary)]));
const SCHEMA_ELEMENT: &[Field] = &[
    (1, Kind::Int),
    (2, Kind::Int),
    (3, Kind::Int),
    (4, Kind::Binary),
    (5, Kind::Int),
    (6, Kind::Int),
    (7, Kind::Int),
    (8, Kind::Int),
    (9, Kind::Int),
    (10, Kind::Struct(LOGICAL_TYPE)),
];
const TIME: Kind = Kind::Struct(&[(1, Kind::Bool), (2, Kind::Struct(&[(1, EMPTY), (2, EMPTY), (3, EMPTY)]))]);
const LOGICAL_TYPE: &[Field] = &[
    (1, EMPTY),
    (2, EMPTY),
    (3, EMPTY),
    (4, EMPTY),
    (5, Kind::Struct(&[(1, Kind::Int), (2, Kind::Int)])),
    (6, EMPTY),
    (7, TIME),
    (8, TIME),
    (10, Kind::Struct(&[(1, Kind::Byte), (2, Kind::Bool)])),
    (11, EMPTY),
    (12, EMPTY),
    (13, EMPTY),
    (14, EMPTY),
    (15, EMPTY),
    (16, Kind::Struct(&[(1, Kind::Byte)])),
    (17, Kind::Struct(&[(1, Kind::Binary)])),
    (18, Kind::Struct(&[(1, Kind::Binary), (2, Kind::Int)])),
];
const ROW_GROUP: &[Field] = &[
    (1, Kind::List(&Kind::Struct(COLUMN_CHUNK))),
    (2, Kind::Long),
    (3, Kind::Long),
    (4, Kind::List(&Kind::Struct(&[(1, Kind::Int), (2, Kind::Bool), (3, Kind::Bool)]))),
    (5, Kind::Long),
    (6, Kind::Long),
    (7, Kind::Short),
];
const COLUMN_CHUNK: &[Field] = &[
    (1, Kind::Binary),
    (2, Kind::Long),
    (3, Kind::Struct(COLUMN)),
    (4, Kind::Long),
    (5, Kind::Int),
    (6, Kind::Long),
    (7, Kind::Int),
];
const COLUMN: &[Field] = &[
    (1, Kind::Int),
    (2, Kind::List(&Kind::Int)),
    (3, Kind::List(&Kind::Binary)),
    (4, Kind::Int),
    (5, Kind::Long),
    (6, Kind::Long),
    (7, Kind::Long),
    (8, KEY_VALUES),
    (9, Kind::Long),
    (10, Kind::Long),
    (11, Kind::Long),
    (12, Kind::Struct(STATISTICS)),
    (13, Kind::List(&Kind::Struct(&[(1, Kind::Int), (2, Kind::Int), (3, Kind::Int)]))),
    (14, Kind::Long),
    (15, Kind::Int),
    (16, Kind::Struct(&[(1, Kind::Long), (2, Kind::List(&Kind::Long)), (3, Kind::List(&Kind::Long))])),
    (17, Kind::Struct(&[(1, Kind::Struct(BOX)), (2, Kind::List(&Kind::Int))])),
];
const BOX: &[Field] = &[
    (1, Kind::Double),
    (2, Kind::Double),
    (3, Kind::Double),
    (4, Kind::Double),
    (5, Kind::Double),
    (6, Kind::Double),
    (7, Kind::Double),
    (8, Kind::Double),
];
const STATISTICS: &[Field] = &[
    (1, Kind::Binary),
    (2, Kind::Binary),
    (3, Kind::Long),
    (4, Kind::Long),
    (5, Kind::Binary),
    (6, Kind::Binary),
    (7, Kind::Bool),
    (8, Kind::Bool),
];

impl Kind {
    /// Whether a value of this kind may be marked `wire`.
    fn is(&self, wire: u8) -> bool {
        match self {
            Self::Bool => wire == 1 || wire == 2,
            Self::Byte => wire == 3,
            Self::Short => wire == 4,
            Self::Int => wire == 5,
            Self::Long => wire == 6,
            Self::Double => wire == 7,
            Self::Binary => wire == 8,
            Self::List(_) => wire == 9,
            Self::Struct(_) => wire == 12,
        }
    }
}

/// Thrift's compact protocol, as far as to walk over it.
struct Thrift<'a> {
    bytes: &'a [u8],
}

/// Deepest nesting of a footer that a writer makes is about ten.
const DEEPEST: u32 = 40;

impl Thrift<'_> {
    fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.bytes.split_first().ok_or("it ends inside its metadata")?;
        self.bytes = rest;
        Ok(*first)
    }

    fn take(&mut self, count: u64) -> Result<(), String> {
        let count = usize::try_from(count).ok().filter(|c| *c <= self.bytes.len());
        self.bytes = &self.bytes[count.ok_or("a text or list is longer than its metadata")?..];
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number of its metadata doesn't end".to_owned())
    }

    fn zigzag(&mut self) -> Result<i64, String> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next field's number and type; none at the struct's end. Numbers only grow.
    fn field(&mut self, last: &mut i64) -> Result<Option<(i64, u8)>, String> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        let delta = i64::from(byte >> 4);
        // Writers write fields in order, each by its distance from the one before, and spell a
        // number out only where the first field of a union (a logical type) is beyond 15. The
        // Parquet library relies on that: anything else would be another field to it.
        let number = if delta == 0 { self.zigzag()? } else { *last + delta };
        if delta == 0 && (*last != 0 || !(16..=18).contains(&number)) {
            return Err("a field of its metadata is numbered as no writer does".to_owned());
        }
        *last = number;
        Ok(Some((*last, byte & 0x0f)))
    }

    /// Walks a struct whose fields are known; encrypted parts aren't.
    fn walk(&mut self, fields: &[Field], depth: u32) -> Result<(), String> {
        let mut last = 0;
        while let Some((number, wire)) = self.field(&mut last)? {
            match fields.iter().find(|f| f.0 == number) {
                Some((_, kind)) if kind.is(wire) => self.value(kind, depth + 1)?,
                Some(_) => return Err(format!("a field of its metadata has the type {wire}, which it can't have")),
                None => self.skip(wire, depth + 1)?,
            }
        }
        Ok(())
    }

    fn value(&mut self, kind: &Kind, depth: u32) -> Result<(), String> {
        match kind {
            Kind::Bool => Ok(()),
            Kind::Byte => self.take(1),
            Kind::Short | Kind::Int | Kind::Long => self.varint().map(drop),
            Kind::Double => self.take(8),
            Kind::Binary => self.skip(8, depth),
            Kind::Struct(fields) => self.walk(fields, depth),
            Kind::List(each) => {
                let (wire, count) = self.list_head()?;
                if count > 0 && !each.is(wire) {
                    return Err(format!("a list of its metadata has elements of type {wire}, which it can't have"));
                }
                (0..count).try_for_each(|_| self.value(each, depth))
            }
        }
    }

    fn page_header(&mut self) -> Result<PageHeader, String> {
        let (mut header, mut last) = (PageHeader::default(), 0);
        while let Some(field) = self.field(&mut last)? {
            match field {
                (1, 5) => header.kind = self.zigzag()?,
                (2, 5) => header.unpacked = self.zigzag()?,
                (3, 5) => header.packed = self.zigzag()?,
                (5 | 7 | 8, 12) => self.page_kind(field.0, &mut header)?,
                (4, 5) => drop(self.zigzag()?),
                (1..=8, wire) => return Err(format!("a field of a page has the type {wire}, which it can't have")),
                (_, kind) => self.skip(kind, 0)?,
            }
        }
        Ok(header)
    }

    /// A data page (5, or 8 in version 2) or a dictionary (7): its number of values. Version 2
    /// also tells the lengths of its levels, and whether it is compressed.
    fn page_kind(&mut self, which: i64, header: &mut PageHeader) -> Result<(), String> {
        let mut last = 0;
        while let Some(field) = self.field(&mut last)? {
            match (which, field.0, field.1) {
                (_, 1, 5) => header.values = self.zigzag()?,
                (8, 5 | 6, 5) => header.levels = header.levels.saturating_add(self.zigzag()?),
                // A boolean's value is its type: 1 is true, 2 is false.
                (8, 7, value @ (1 | 2)) => header.plain = value == 2,
                (5, 2..=4, 5) | (7, 2, 5) | (8, 2..=4, 5) => drop(self.zigzag()?),
                (7, 3, 1 | 2) => {}
                (5, 5, 12) | (8, 8, 12) => self.walk(STATISTICS, 2)?,
                (_, 1..=8, wire) => return Err(format!("a field of a page has the type {wire}, which it can't have")),
                (_, _, kind) => self.skip(kind, 1)?,
            }
        }
        Ok(())
    }

    fn skip_struct(&mut self, depth: u32) -> Result<(), String> {
        let mut last = 0;
        while let Some((_, kind)) = self.field(&mut last)? {
            self.skip(kind, depth)?;
        }
        Ok(())
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Result<(), String> {
        if depth > DEEPEST {
            return Err("its metadata is nested too deeply".to_owned());
        }
        match kind {
            // A boolean field has its value in its type.
            1 | 2 => Ok(()),
            3 => self.take(1),
            4..=6 => self.varint().map(drop),
            7 => self.take(8),
            8 => {
                let length = self.varint()?;
                self.take(length)
            }
            9 | 10 => self.skip_list(depth),
            12 => self.skip_struct(depth + 1),
            _ => Err(format!("its metadata has a value of unknown type {kind}")),
        }
    }

    /// The type of a list's elements and their number, each at least a byte long.
    fn list_head(&mut self) -> Result<(u8, u64), String> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        if count > self.bytes.len() as u64 {
            return Err("a list is longer than its metadata".to_owned());
        }
        Ok((head & 0x0f, count))
    }

    fn skip_list(&mut self, depth: u32) -> Result<(), String> {
        let (wire, count) = self.list_head()?;
        for _ in 0..count {
            match wire {
                // No footer has one, and the Parquet library takes no byte for an element.
                1 | 2 => return Err("its metadata has a list of booleans".to_owned()),
                kind => self.skip(kind, depth + 1)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_longer_than_the_footer_is_refused() {
        // Field 2, a list of 2^35 structs.
        let footer = [0x29, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x7f];
        let mut file = b"PAR1".to_vec();
        file.extend(footer);
        file.extend((footer.len() as u32).to_le_bytes());
        file.extend(b"PAR1");
        assert!(check_footer(&file).is_err_and(|e| e.contains("list")));
    }

    #[test]
    fn a_known_field_of_a_wrong_type_is_refused() {
        // Field 2, the schema, as an empty struct instead of a list of structs.
        assert!(Thrift { bytes: &[0x2c, 0, 0] }.walk(FILE, 0).is_err_and(|e| e.contains("type 12")));
        // A list of two booleans where integers belong; unknown field 9 with a list of booleans.
        assert!(Thrift { bytes: &[0x29, 0x21, 0, 0, 0] }.walk(FILE, 0).is_err_and(|e| e.contains("type 1")));
        assert!(Thrift { bytes: &[0x99, 0x21, 1, 1, 0] }.walk(FILE, 0).is_err_and(|e| e.contains("booleans")));
    }

    #[test]
    fn a_page_is_held_to_its_own_kind() {
        let header = |bytes: &[u8]| Thrift { bytes }.page_header();
        // A data page (5) of 40 values, its statistics (5) empty: as they are, and as a number.
        assert!(header(&[0x15, 0, 0x15, 2, 0x15, 2, 0x2c, 0x15, 80, 0x4c, 0, 0, 0]).is_ok_and(|h| h.values == 40));
        assert!(header(&[0x15, 0, 0x15, 2, 0x15, 2, 0x2c, 0x15, 80, 0x45, 0, 0, 0]).is_err());
        // Field 65541, which is 5 in 16 bits.
        assert!(header(&[0x15, 0, 0x15, 2, 0x15, 2, 0x0c, 0x8a, 0x80, 0x08, 0, 0]).is_err());
        // A dictionary (7) whose `is_sorted` (3) is a number.
        assert!(header(&[0x15, 4, 0x15, 2, 0x15, 2, 0x4c, 0x15, 80, 0x25, 0, 0, 0]).is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        let mut deep = vec![0x1c; 10_000];
        deep.extend([0; 10_001]);
        assert!(Thrift { bytes: &deep }.skip_struct(0).is_err_and(|e| e.contains("deeply")));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Thrift { bytes: &bytes }.skip_struct(0);
            let _ = Thrift { bytes: &bytes }.walk(FILE, 0);
            let _ = Thrift { bytes: &bytes }.page_header();
        }
    }
}
