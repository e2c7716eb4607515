//! How Magellan writes Parquet: the same properties for records and for results of sweeps.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};

use crate::error::{Code, Error, Result};

/// What all files have in common: a fixed creator, so that the same rows give the same bytes;
/// version 2 of the format; Zstandard at `level`; the file's own keys and values. The caller adds how
/// its columns are encoded.
pub(crate) fn properties(
    level: i32,
    pairs: impl IntoIterator<Item = (&'static str, String)>,
) -> WriterPropertiesBuilder {
    let pairs = pairs.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect();
    WriterProperties::builder()
        .set_created_by("magellan".to_owned())
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default()))
        .set_key_value_metadata(Some(pairs))
}

/// Writes batches of one schema into `out` and gives it back.
///
/// # Errors
/// An error of `code` if the library can't write; the first error among the batches.
pub(crate) fn batches<W: Write + Send>(
    out: W,
    schema: SchemaRef,
    properties: WriterProperties,
    batches: impl IntoIterator<Item = Result<RecordBatch>>,
    code: Code,
) -> Result<W> {
    let fault = |e: parquet::errors::ParquetError| Error::new(code, format!("can't write Parquet: {e}"));
    let mut writer = ArrowWriter::try_new(out, schema, Some(properties)).map_err(fault)?;
    for batch in batches {
        writer.write(&batch?).map_err(fault)?;
    }
    writer.into_inner().map_err(fault)
}
