//! Reading one data file: its columns for a question, then the records of some rows.

mod blob;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Schema};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    RowSelection,
};
use parquet::basic::Compression;
use parquet::column::page::PageReader;
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::statistics::Statistics;

use blob::{Blob, Source};

use crate::columns::{EVENTS, VERDICT};
use crate::error::StoreError;
use crate::grams::Grams;
use crate::group::Pages;
use crate::place::Place;
use crate::table::DataFile;

/// How files are opened, and the footers of those that were read before: files never change.
pub(crate) struct Footers {
    known: Mutex<HashMap<String, Footer>>,
    keys: Option<Arc<FileDecryptionProperties>>,
}

impl Footers {
    pub(crate) fn of(keys: Option<Arc<FileDecryptionProperties>>) -> Self {
        Self { known: Mutex::default(), keys }
    }
}

/// What is known of a file once its footer has been read.
#[derive(Clone)]
struct Footer {
    plain: ArrowReaderMetadata,
    /// The same with long texts as views into the unpacked pages.
    views: ArrowReaderMetadata,
}

/// Stands in the footer of a file whose audit ids are all in lower case.
pub(crate) const LOWER_IDS: &str = "klio.lower-ids";

/// Footers kept at once: some 40 kB each.
const FOOTERS: usize = 2_048;

/// An open data file.
#[derive(Clone)]
pub(crate) struct OpenFile {
    name: String,
    blob: Blob,
    footer: Footer,
}

impl OpenFile {
    pub(crate) fn open(place: &Place, file: &DataFile, footers: &Footers) -> Result<Self, StoreError> {
        let blob = Blob::open(place, &file.path, file.size)?;
        let lock = || footers.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&file.path).cloned();
        let name = file.path.clone();
        if let Some(footer) = known {
            return Ok(Self { name, blob, footer });
        }
        let read = |views| footer(&blob, footers.keys.as_ref(), views).map_err(StoreError::damaged(&name));
        let footer = Footer { plain: read(false)?, views: read(true)? };
        let mut all = lock();
        if all.len() >= FOOTERS {
            all.clear();
        }
        all.insert(name.clone(), footer.clone());
        Ok(Self { name, blob, footer })
    }

    /// The same without holding it open: it is opened for each read.
    pub(crate) fn released(mut self, place: &Place) -> Self {
        self.blob.source = Source::Named(place.clone(), self.name.as_str().into());
        self
    }

    /// Whether reading does not wait for a network.
    pub(crate) fn is_near(&self) -> bool {
        !matches!(&self.blob.source, Source::Named(Place::Remote { .. }, _))
    }

    /// Some bytes of the file.
    pub(crate) fn bytes(&self, range: Range<u64>) -> Result<Bytes, ParquetError> {
        self.blob.get_bytes(range.start, range.end.saturating_sub(range.start) as usize)
    }

    /// What its footer says.
    pub(crate) fn shared_metadata(&self) -> Arc<ParquetMetaData> {
        self.footer.plain.metadata().clone()
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.footer.plain.metadata()
    }

    /// How many row groups it has.
    pub(crate) fn groups(&self) -> usize {
        self.metadata().num_row_groups()
    }

    /// Rows of a group.
    pub(crate) fn rows(&self, group: usize) -> usize {
        self.metadata().row_groups().get(group).map_or(0, |g| g.num_rows().max(0) as usize)
    }

    /// The records of the rows of a group that are set, as views: texts are not copied out of the pages that hold them.
    pub(crate) fn records(
        &self,
        group: usize,
        rows: &BooleanBuffer,
        batch: usize,
    ) -> Result<ParquetRecordBatchReader, StoreError> {
        self.reader(&self.footer.views, group, &["raw"], Some(rows), batch)
    }

    /// Those of the named columns that there are, of all rows of a group at once.
    pub(crate) fn columns(&self, group: usize, names: &[&str]) -> Result<RecordBatch, StoreError> {
        let mut reader = self.reader(&self.footer.plain, group, names, None, self.rows(group))?;
        let batch = reader.next().transpose().map_err(|e| self.damaged(e))?;
        // None for a group without rows.
        Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(Arc::new(Schema::empty()))))
    }

    fn reader(
        &self,
        footer: &ArrowReaderMetadata,
        group: usize,
        names: &[&str],
        rows: Option<&BooleanBuffer>,
        batch: usize,
    ) -> Result<ParquetRecordBatchReader, StoreError> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.blob.clone(), footer.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
        let mut builder =
            builder.with_row_groups(vec![group]).with_projection(mask).with_batch_size(batch.max(1));
        if let Some(rows) = rows {
            builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(
                rows.set_slices().map(|(a, b)| a..b),
                rows.len(),
            ));
        }
        builder.build().map_err(StoreError::damaged(&self.name))
    }

    /// From when to when events of a group happened, if its statistics say so.
    pub(crate) fn times(&self, group: usize) -> Option<(i64, i64)> {
        match self.chunk(group, "time")?.1.statistics()? {
            Statistics::Int64(times) => Some((*times.min_opt()?, *times.max_opt()?)),
            _ => None,
        }
    }

    /// The first row of a group, counted from the first of the file.
    pub(crate) fn first_row(&self, group: usize) -> usize {
        (0..group).map(|before| self.rows(before)).sum()
    }

    /// The index of its texts; `None` if it has none.
    pub(crate) fn grams(&self) -> Result<Option<Grams>, StoreError> {
        let metadata = self.metadata();
        let place = Grams::place(metadata, self.blob.length).map_err(|e| self.damaged(e))?;
        let Some(place) = place else { return Ok(None) };
        let packed = self.bytes(place).map_err(|e| self.damaged(e))?;
        let rows = metadata.file_metadata().num_rows().max(0) as u64;
        let grams = Grams::unpack(&packed, rows);
        grams.map(Some).ok_or_else(|| self.damaged("its index of texts is damaged"))
    }

    /// The one value that a column of flags has in a group, if its statistics say so.
    pub(crate) fn flag(&self, group: usize, name: &str) -> Option<bool> {
        match self.chunk(group, name)?.1.statistics()? {
            Statistics::Boolean(flags) if flags.null_count_opt() == Some(0) => {
                flags.min_opt().filter(|min| Some(*min) == flags.max_opt()).copied()
            }
            _ => None,
        }
    }

    /// Packed bytes of a column of a group.
    pub(crate) fn packed_bytes(&self, group: usize, name: &str) -> u64 {
        self.chunk(group, name).map_or(0, |(_, c)| c.compressed_size().max(0) as u64)
    }

    /// A column of a group, and which it is.
    fn chunk(&self, group: usize, name: &str) -> Option<(usize, &ColumnChunkMetaData)> {
        let mut columns = self.metadata().row_groups().get(group)?.columns().iter().enumerate();
        columns.find(|(_, c)| matches!(c.column_path().parts(), [only] if only == name))
    }

    /// The pages of a column of a group as they are stored; `None` if it has no such column, or one that is encrypted or
    /// packed in another way than ours.
    pub(crate) fn pages(
        &self,
        group: usize,
        name: &str,
    ) -> Result<Option<Pages<impl PageReader + use<>>>, StoreError> {
        let plain = self.chunk(group, name).filter(|(_, c)| c.crypto_metadata().is_none());
        let Some((at, column)) = plain else { return Ok(None) };
        let kind = column.column_descr();
        let packed = match column.compression() {
            Compression::ZSTD(_) => true,
            Compression::UNCOMPRESSED => false,
            _ => return Ok(None),
        };
        let index = self.metadata().offset_index().and_then(|all| all.get(group)?.get(at));
        let Some(index) = index.filter(|_| kind.max_rep_level() == 0 && kind.max_def_level() <= 1) else {
            return Ok(None);
        };
        let nullable = kind.max_def_level() == 1;
        // The library makes an unpacker for each column, which costs more than a small page.
        let as_stored = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build();
        let as_stored = as_stored.map_err(|e| self.damaged(e))?;
        let (blob, places) = (Arc::new(self.blob.clone()), Some(index.page_locations().clone()));
        let pages = SerializedPageReader::new(blob, &as_stored, self.rows(group), places);
        Ok(Some(Pages { pages: pages.map_err(|e| self.damaged(e))?, nullable, packed }))
    }

    /// Whether a group may hold an audit id, given in lower case.
    pub(crate) fn may_hold_id(&self, group: usize, id: &str) -> bool {
        let notes = self.metadata().file_metadata().key_value_metadata();
        if !notes.is_some_and(|all| all.iter().any(|n| n.key == LOWER_IDS)) {
            return true;
        }
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.blob.clone(), self.footer.plain.clone());
        let schema = builder.parquet_schema();
        let Some(column) = schema.columns().iter().position(|c| c.name() == "audit_id") else { return true };
        match builder.get_row_group_column_bloom_filter(group, column) {
            Ok(Some(filter)) => filter.check(&id),
            _ => true,
        }
    }

    pub(crate) fn damaged<E: std::fmt::Display>(&self, e: E) -> StoreError {
        StoreError::damaged(&self.name)(e)
    }
}

/// Reads a footer, with columns typed as the lake types them; `views`: long texts as views into the pages.
pub(crate) fn footer<R: ChunkReader>(
    blob: &R,
    keys: Option<&Arc<FileDecryptionProperties>>,
    views: bool,
) -> Result<ArrowReaderMetadata, ParquetError> {
    let mut options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    if let Some(keys) = keys {
        options = options.with_file_decryption_properties(keys.clone());
    }
    let plain = ArrowReaderMetadata::load(blob, options.clone())?;
    let is_event = plain.schema().field_with_name("audit_id").is_ok();
    let known = if is_event { &*EVENTS } else { &*VERDICT };
    // Older files lack newer columns; those that are there are read as the schema says.
    let fields = plain.schema().fields().iter().map(|field| {
        let ours = known.field_with_name(field.name()).unwrap_or(field);
        let is_long = views && *ours.data_type() == DataType::Utf8;
        if is_long { ours.clone().with_data_type(DataType::Utf8View) } else { ours.clone() }
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    ArrowReaderMetadata::try_new(plain.metadata().clone(), options.with_schema(schema))
}
