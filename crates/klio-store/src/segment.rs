//! One file of the lake: the rows of one partition, sorted, packed and hashed.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use klio_seal::{Hash, RowTree};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::columns::{Column, Kind, schema};
use crate::error::StoreError;
use crate::file::LOWER_IDS;
use crate::grams::{Builder, NOTE};
use crate::rows::{Cells, Long, Sheet, span};
use crate::vault::Vault;
use crate::whole;

/// Rows handed to the writer at a time: some 6 MB of records.
const BATCH: usize = 4096;
/// Rows between two looks at the size of a page.
const LOOK: usize = 128;

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
    /// Root of the row tree.
    pub root: Hash,
    /// Least and greatest time of an event.
    pub times: Option<(i64, i64)>,
    /// Least and greatest time of receipt.
    pub received: Option<(i64, i64)>,
}

/// How the records of a file are packed (docs/decisions/0015-layout.md).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packing {
    /// Bytes of records in a page, the unit that a question unpacks.
    page: usize,
    /// Of zstd.
    level: i32,
}

impl Packing {
    /// Of a flush: quickly.
    pub(crate) const FLUSHED: Self = Self { page: 288 << 10, level: 1 };
    /// Of a merge, which stays for long: small.
    pub(crate) const MERGED: Self = Self { page: 576 << 10, level: 6 };
}

/// How files are written.
pub(crate) fn properties(
    columns: &[Column],
    packing: Packing,
    encryption: Option<Arc<FileEncryptionProperties>>,
) -> WriterProperties {
    // A bloom filter is written in plain whatever the rest of the file is.
    let blooms = encryption.is_none();
    let zstd = |level| Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default());
    let mut builder = WriterProperties::builder()
        .set_compression(zstd(1))
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
                .set_column_data_page_size_limit(path.clone(), packing.page)
                .set_column_compression(path.clone(), zstd(packing.level))
                .set_column_statistics_enabled(path, EnabledStatistics::None),
            Kind::Text => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
                .set_column_bloom_filter_enabled(path.clone(), blooms)
                .set_column_bloom_filter_fpp(path, 0.01),
        };
    }
    match encryption {
        Some(encryption) => builder.with_file_encryption_properties(encryption).build(),
        None => builder.build(),
    }
}

/// A file being packed, batch after batch.
pub(crate) struct Packer {
    writer: ArrowWriter<Vec<u8>>,
    tree: RowTree,
    /// Of events that are not encrypted: like a bloom filter it would be written in plain.
    grams: Option<Builder>,
    rows: u64,
    times: Option<(i64, i64)>,
    received: Option<(i64, i64)>,
}

impl Packer {
    /// A file of a partition, `class/day`.
    pub(crate) fn new(
        columns: &[Column],
        schema: SchemaRef,
        partition: &str,
        packing: Packing,
        vault: Option<&Vault>,
    ) -> Result<Self, StoreError> {
        let encryption = vault.map(|vault| vault.encrypt(partition)).transpose()?;
        let options = ArrowWriterOptions::new().with_properties(properties(columns, packing, encryption));
        let options = options.with_skip_arrow_metadata(true);
        let is_events = schema.field_with_name("audit_id").is_ok();
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options).map_err(unpacked)?;
        let grams = (is_events && vault.is_none()).then(Builder::new);
        Ok(Self { writer, tree: RowTree::new(), grams, rows: 0, times: None, received: None })
    }

    /// Adds rows, calling `f` with segment and leaf of each.
    pub(crate) fn add(
        &mut self,
        batch: &RecordBatch,
        f: &mut dyn FnMut(u64, Hash),
    ) -> Result<(), StoreError> {
        whole::leaves(batch, &mut |_, segment, leaf, raw| {
            self.tree.push(leaf);
            if let Some(grams) = &mut self.grams {
                grams.push(raw.as_bytes());
            }
            f(segment, leaf);
        })?;
        self.rows += batch.num_rows() as u64;
        self.times = whole::widen(self.times, batch, "time");
        self.received = whole::widen(self.received, batch, "received");
        self.writer.write(batch).map_err(unpacked)
    }

    /// Ends the file. `lower`: all its audit ids are in lower case.
    pub(crate) fn finish(mut self, class: &str, day: &str, lower: bool) -> Result<Segment, StoreError> {
        if lower {
            self.writer.append_key_value_metadata(KeyValue::new(LOWER_IDS.to_owned(), None));
        }
        if let Some(grams) = self.grams.as_ref().and_then(Builder::finish) {
            let packed = grams.pack().map_err(unpacked)?;
            self.writer.flush().map_err(unpacked)?;
            let place = format!("{} {}", self.writer.bytes_written(), packed.len());
            self.writer.write_all(&packed).map_err(unpacked)?;
            self.writer.append_key_value_metadata(KeyValue::new(NOTE.to_owned(), place));
        }
        let mut file = self.writer.into_inner().map_err(unpacked)?;
        file.shrink_to_fit();
        Ok(Segment {
            class: class.into(),
            day: day.into(),
            file_hash: Hash::of(&file),
            rows: self.rows,
            root: self.tree.root(),
            times: self.times,
            received: self.received,
            file,
        })
    }
}

fn unpacked<E: std::fmt::Display>(e: E) -> StoreError {
    StoreError::damaged("a new data file")(e)
}

/// Packs rows into one segment for each partition. The first will be the log's leaf `leaf`, and so on: the column
/// `flush` says so in each row, so that its segment is known also after files were merged.
pub(crate) fn pack(rows: &Sheet, leaf: u64, vault: Option<&Vault>) -> Result<Vec<Segment>, StoreError> {
    let order = rows.order();
    let values = Arrays::new(rows);
    let partition_of = |row: u32| rows.partitions.codes.get(row as usize).copied();
    let parts = order.chunk_by(|a, b| partition_of(*a) == partition_of(*b));
    parts
        .zip(leaf..)
        .map(|(part, leaf)| {
            let name = part.first().and_then(|&r| partition_of(r)).unwrap_or(1);
            let (day, class) = rows.partitions.word(name - 1).split_once('/').unwrap_or_default();
            let class = vault.map_or_else(|| Ok(class.to_owned()), |vault| vault.partition(class, day))?;
            let partition = format!("{class}/{day}");
            let schema = values.schema.clone();
            let mut packer = Packer::new(rows.columns, schema, &partition, Packing::FLUSHED, vault)?;
            for rows in part.chunks(BATCH) {
                packer.add(&values.batch(rows, leaf).map_err(unpacked)?, &mut |_, _| {})?;
            }
            packer.finish(&class, day, values.ids_are_lower(part))
        })
        .collect()
}

/// The rows of a sheet in the order in which they were pushed.
pub(crate) fn as_pushed(sheet: &Sheet) -> Result<RecordBatch, arrow::error::ArrowError> {
    let rows: Vec<u32> = (0..sheet.count as u32).collect();
    Arrays::new(sheet).batch(&rows, 0)
}

/// The distinct texts of each column as Arrow has them, made once for all partitions.
struct Arrays<'r> {
    rows: &'r Sheet,
    schema: SchemaRef,
    words: Vec<Option<Arc<StringArray>>>,
    /// In which the records lie.
    blocks: Vec<Buffer>,
}

impl<'r> Arrays<'r> {
    fn new(rows: &'r Sheet) -> Self {
        let words = rows.cells.iter().map(|cells| match cells {
            Cells::Words(words) => {
                Some(Arc::new(StringArray::from_iter_values((0..words.distinct()).map(|i| words.word(i)))))
            }
            _ => None,
        });
        // Records are not copied, but pointed to where they lie.
        let fields = schema(rows.columns);
        let fields = fields.fields().iter().map(|field| match field.name().as_str() {
            "raw" => field.as_ref().clone().with_data_type(DataType::Utf8View),
            _ => field.as_ref().clone(),
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let blocks = rows.long().map(Long::blocks).unwrap_or_default();
        Self { rows, schema, words: words.collect(), blocks }
    }

    /// Rows with the leaf of their segment.
    fn batch(&self, rows: &[u32], leaf: u64) -> Result<RecordBatch, arrow::error::ArrowError> {
        let columns = self.rows.columns.iter().zip(&self.rows.cells).zip(&self.words);
        let arrays = columns.map(|((column, cells), words)| match column.name {
            "flush" => Ok(Arc::new(Int64Array::from_value(leaf as i64, rows.len())) as ArrayRef),
            _ => array(column, cells, words.as_ref(), &self.blocks, rows),
        });
        RecordBatch::try_new(self.schema.clone(), arrays.collect::<Result<_, _>>()?)
    }

    fn ids_are_lower(&self, rows: &[u32]) -> bool {
        let Some(Cells::Texts(text, ends, _)) = self.rows.cells("audit_id") else {
            return false;
        };
        // Without a way out, so that many bytes are looked at at once.
        let is_odd = |odd: bool, b: &u8| odd | !b.is_ascii() | b.is_ascii_uppercase();
        let is_lower = |text: &[u8]| !text.iter().fold(false, is_odd);
        is_lower(text.as_bytes())
            || rows.iter().all(|&r| is_lower(text.as_bytes().get(span(ends, r as usize)).unwrap_or_default()))
    }
}

fn array(
    column: &Column,
    cells: &Cells,
    words: Option<&Arc<StringArray>>,
    blocks: &[Buffer],
    rows: &[u32],
) -> Result<ArrayRef, arrow::error::ArrowError> {
    let code =
        |codes: &[u32], i: usize| rows.get(i).and_then(|&r| codes.get(r as usize)).copied().unwrap_or(0);
    Ok(match cells {
        Cells::Words(cells) => {
            let nulls = nulls(rows.len(), |i| code(&cells.codes, i) > 0);
            let keys: ScalarBuffer<i32> =
                (0..rows.len()).map(|i| code(&cells.codes, i).saturating_sub(1) as i32).collect();
            let keys = Int32Array::try_new(keys, nulls)?;
            let words = words.cloned().unwrap_or_else(|| Arc::new(StringArray::new_null(0)));
            Arc::new(DictionaryArray::try_new(keys, words)?)
        }
        Cells::Long(long) => {
            let views: ScalarBuffer<u128> = rows.iter().map(|&r| long.view(r)).collect();
            Arc::new(StringViewArray::try_new(views, blocks.to_vec(), None)?)
        }
        Cells::Texts(text, ends, missing) => {
            let span = |r: u32| span(ends, r as usize);
            let lengths = OffsetBuffer::from_lengths(rows.iter().map(|&r| span(r).len()));
            let mut values = Vec::with_capacity(lengths.last().copied().unwrap_or(0) as usize);
            for &r in rows {
                values.extend_from_slice(text.as_bytes().get(span(r)).unwrap_or_default());
            }
            let is_there = |i: usize| rows.get(i).and_then(|&r| missing.get(r as usize)) == Some(&false);
            Arc::new(StringArray::try_new(lengths, values.into(), nulls(rows.len(), is_there))?)
        }
        Cells::Numbers(numbers) => {
            let value = |&r: &u32| numbers.get(r as usize).copied().unwrap_or(i64::MIN);
            let numbers: ScalarBuffer<i64> = rows.iter().map(value).collect();
            let nulls = nulls(rows.len(), |i| numbers.get(i).is_some_and(|n| *n != i64::MIN));
            if column.kind == Kind::Time {
                Arc::new(TimestampMicrosecondArray::try_new(numbers, nulls)?.with_timezone("UTC"))
            } else {
                Arc::new(Int64Array::try_new(numbers, nulls)?)
            }
        }
        Cells::Bools(bools) => {
            let is_true = |i: usize| rows.get(i).and_then(|&r| bools.get(r as usize)) == Some(&true);
            Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(rows.len(), is_true), None))
        }
    })
}

/// Which rows have a value; none if all have.
fn nulls(rows: usize, is_there: impl FnMut(usize) -> bool) -> Option<NullBuffer> {
    Some(NullBuffer::new(BooleanBuffer::collect_bool(rows, is_there))).filter(|nulls| nulls.null_count() > 0)
}
