//! One file of the lake: the rows of one partition, sorted, packed and hashed.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::SchemaRef;
use klio_seal::{Hash, RowTree};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::columns::{Column, Kind, schema};
use crate::error::StoreError;
use crate::file::LOWER_IDS;
use crate::leaf;
use crate::rows::{Cells, Sheet};

/// Rows handed to the writer at a time: some 6 MB of records.
const BATCH: usize = 4096;
/// Bytes of records in a page, the unit that a query unpacks (docs/decisions/0015-layout.md).
const PAGE: usize = 1 << 20;
/// Rows between two looks at the size of a page.
const LOOK: usize = 256;

/// A packed segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub class: String,
    pub day: String,
    /// The Parquet file.
    pub file: Vec<u8>,
    /// SHA-256 of the file.
    pub file_hash: Hash,
    pub rows: u64,
    /// Bytes of the records.
    pub bytes: u64,
    /// Root of the row tree.
    pub root: Hash,
    /// Least and greatest time of an event.
    pub times: Option<(i64, i64)>,
    /// Least and greatest time of receipt.
    pub received: Option<(i64, i64)>,
}

/// How files are written.
pub(crate) fn properties(columns: &[Column]) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_data_page_size_limit(PAGE)
        .set_write_batch_size(LOOK)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(1 << 20))
        .set_created_by(concat!("klio ", env!("CARGO_PKG_VERSION")).to_owned());
    for column in columns {
        let path = ColumnPath::from(column.name);
        builder = match column.kind {
            Kind::Word | Kind::Bool => builder,
            Kind::Int if column.name == "code" => builder,
            Kind::Time | Kind::Int => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            Kind::Text if column.name == "raw" => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
                .set_column_statistics_enabled(path, EnabledStatistics::None),
            Kind::Text => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path, 0.01),
        };
    }
    builder.build()
}

/// Packs rows into one segment for each partition.
pub(crate) fn pack(rows: &Sheet) -> Result<Vec<Segment>, StoreError> {
    let order = rows.order();
    let values = Arrays::new(rows);
    let partition_of = |row: u32| rows.partitions.codes.get(row as usize).copied();
    let parts = order.chunk_by(|a, b| partition_of(*a) == partition_of(*b));
    parts
        .map(|part| {
            let name = part.first().and_then(|&r| partition_of(r)).unwrap_or(1);
            let (day, class) = rows.partitions.word(name - 1).split_once('/').unwrap_or_default();
            one(&values, part, class, day)
        })
        .collect()
}

fn one(values: &Arrays<'_>, part: &[u32], class: &str, day: &str) -> Result<Segment, StoreError> {
    let broken = |e: &dyn std::fmt::Display| StoreError::Damaged { file: day.into(), said: e.to_string() };
    let options = ArrowWriterOptions::new()
        .with_properties(properties(values.rows.columns))
        .with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), values.schema.clone(), options)
        .map_err(|e| broken(&e))?;
    let mut tree = RowTree::new();
    let mut bytes = 0;
    for rows in part.chunks(BATCH) {
        let batch = values.batch(rows).map_err(|e| broken(&e))?;
        leaf::each(&batch, &mut |_, leaf, raw| {
            tree.push(leaf);
            bytes += raw.len() as u64;
        })?;
        writer.write(&batch).map_err(|e| broken(&e))?;
    }
    if values.ids_are_lower(part) {
        writer.append_key_value_metadata(KeyValue::new(LOWER_IDS.to_owned(), None));
    }
    let mut file = writer.into_inner().map_err(|e| broken(&e))?;
    file.flush().map_err(|e| broken(&e))?;
    file.shrink_to_fit();
    Ok(Segment {
        class: class.into(),
        day: day.into(),
        file_hash: Hash::of(&file),
        rows: part.len() as u64,
        bytes,
        root: tree.root(),
        times: values.span("time", part),
        received: values.span("received", part),
        file,
    })
}

/// The rows of a sheet in the order in which they were pushed.
pub(crate) fn as_pushed(sheet: &Sheet) -> Result<RecordBatch, arrow::error::ArrowError> {
    let rows: Vec<u32> = (0..sheet.count as u32).collect();
    Arrays::new(sheet).batch(&rows)
}

/// The distinct texts of each column as Arrow has them, made once for all partitions.
struct Arrays<'r> {
    rows: &'r Sheet,
    schema: SchemaRef,
    words: Vec<Option<Arc<StringArray>>>,
}

impl<'r> Arrays<'r> {
    fn new(rows: &'r Sheet) -> Self {
        let words = rows.cells.iter().map(|cells| match cells {
            Cells::Words(words) => {
                Some(Arc::new(StringArray::from_iter_values((0..words.distinct()).map(|i| words.word(i)))))
            }
            _ => None,
        });
        Self { rows, schema: schema(rows.columns), words: words.collect() }
    }

    fn batch(&self, rows: &[u32]) -> Result<RecordBatch, arrow::error::ArrowError> {
        let columns = self.rows.columns.iter().zip(&self.rows.cells).zip(&self.words);
        let arrays = columns.map(|((column, cells), words)| array(column, cells, words.as_ref(), rows));
        RecordBatch::try_new(self.schema.clone(), arrays.collect::<Result<_, _>>()?)
    }

    fn ids_are_lower(&self, rows: &[u32]) -> bool {
        let Some(Cells::Texts(text, ends, _)) = self.rows.cells("audit_id") else {
            return false;
        };
        rows.iter().all(|&r| {
            let id = text.get(span(ends, r)).unwrap_or_default();
            id.is_ascii() && !id.bytes().any(|b| b.is_ascii_uppercase())
        })
    }

    fn span(&self, column: &str, rows: &[u32]) -> Option<(i64, i64)> {
        let Some(Cells::Numbers(numbers)) = self.rows.cells(column) else {
            return None;
        };
        let known = rows.iter().filter_map(|&r| numbers.get(r as usize).copied()).filter(|n| *n != i64::MIN);
        known.fold(None, |span, n| Some(span.map_or((n, n), |(a, b): (i64, i64)| (a.min(n), b.max(n)))))
    }
}

/// Where the text of a row lies.
fn span(ends: &[usize], row: u32) -> std::ops::Range<usize> {
    let end = ends.get(row as usize).copied().unwrap_or(0);
    let start = (row as usize).checked_sub(1).and_then(|i| ends.get(i).copied()).unwrap_or(0);
    start..end
}

fn array(
    column: &Column,
    cells: &Cells,
    words: Option<&Arc<StringArray>>,
    rows: &[u32],
) -> Result<ArrayRef, arrow::error::ArrowError> {
    Ok(match cells {
        Cells::Words(cells) => {
            let codes = rows.iter().map(|&r| cells.codes.get(r as usize).copied().unwrap_or(0));
            let nulls = NullBuffer::from_iter(codes.clone().map(|c| c > 0));
            let keys: ScalarBuffer<i32> = codes.map(|c| c.saturating_sub(1) as i32).collect();
            let keys = Int32Array::try_new(keys, Some(nulls))?;
            let words = words.cloned().unwrap_or_else(|| Arc::new(StringArray::new_null(0)));
            Arc::new(DictionaryArray::try_new(keys, words)?)
        }
        Cells::Texts(text, ends, missing) => {
            let span = |r: u32| span(ends, r);
            let lengths = OffsetBuffer::from_lengths(rows.iter().map(|&r| span(r).len()));
            let mut values = Vec::with_capacity(lengths.last().copied().unwrap_or(0) as usize);
            for &r in rows {
                values.extend_from_slice(text.as_bytes().get(span(r)).unwrap_or_default());
            }
            let is_there = |r: u32| !missing.get(r as usize).copied().unwrap_or(true);
            let nulls = NullBuffer::from_iter(rows.iter().map(|&r| is_there(r)));
            Arc::new(StringArray::try_new(lengths, values.into(), Some(nulls))?)
        }
        Cells::Numbers(numbers) => {
            let value = |r: u32| numbers.get(r as usize).copied().unwrap_or(i64::MIN);
            let nulls = NullBuffer::from_iter(rows.iter().map(|&r| value(r) != i64::MIN));
            let numbers: ScalarBuffer<i64> = rows.iter().map(|&r| value(r)).collect();
            if column.kind == Kind::Time {
                Arc::new(TimestampMicrosecondArray::try_new(numbers, Some(nulls))?.with_timezone("UTC"))
            } else {
                Arc::new(Int64Array::try_new(numbers, Some(nulls))?)
            }
        }
        Cells::Bools(bools) => Arc::new(
            rows.iter()
                .map(|&r| Some(bools.get(r as usize).copied().unwrap_or(false)))
                .collect::<BooleanArray>(),
        ),
    })
}
