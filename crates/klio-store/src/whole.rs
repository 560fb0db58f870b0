//! A data file read whole: its bytes are hashed anyway when files are merged, checked or proven.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef, TimestampMicrosecondType};
use bytes::Bytes;
use klio_seal::{Hash, RowTree};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::encryption::decrypt::FileDecryptionProperties;

use crate::error::StoreError;
use crate::file::{LOWER_IDS, footer};
use crate::grams::{Builder, Grams};
use crate::leaf;
use crate::table::Table;

/// The columns that a leaf is made of, the one that says of which segment, and the one that says how the record is to be read.
pub(crate) const CUSTODY: [&str; 6] = ["cluster", "source", "received", "flush", "raw", "salvaged"];

/// A file in memory.
pub(crate) struct Whole {
    name: String,
    pub bytes: Bytes,
    footer: ArrowReaderMetadata,
}

impl Whole {
    /// Reads a file of a table that has `size` bytes.
    pub(crate) fn open(table: &Table, path: &str, size: u64) -> Result<Self, StoreError> {
        Self::of(&format!("{}/{path}", table.name), table.place.read_all(path, size)?, table.keys.as_ref())
    }

    pub(crate) fn of(
        name: &str,
        bytes: Bytes,
        keys: Option<&Arc<FileDecryptionProperties>>,
    ) -> Result<Self, StoreError> {
        let footer = footer(&bytes, keys, false).map_err(StoreError::damaged(name))?;
        Ok(Self { name: name.to_owned(), bytes, footer })
    }

    /// Bytes of the records.
    pub(crate) fn raw_bytes(&self) -> u64 {
        let groups = self.footer.metadata().row_groups().iter();
        let raw = groups.flat_map(|g| g.columns()).filter(|c| c.column_path().string() == "raw");
        raw.map(|c| c.uncompressed_size().max(0) as u64).sum()
    }

    /// How many rows it has.
    pub(crate) fn rows(&self) -> u64 {
        self.footer.metadata().file_metadata().num_rows().max(0) as u64
    }

    /// Its columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.footer.schema()
    }

    /// Whether it says that its audit ids are in lower case.
    pub(crate) fn ids_are_lower(&self) -> bool {
        let notes = self.footer.metadata().file_metadata().key_value_metadata();
        notes.is_some_and(|all| all.iter().any(|n| n.key == LOWER_IDS))
    }

    /// Its rows in their order; all columns, or those named.
    pub(crate) fn batches(
        &self,
        names: Option<&[&str]>,
        rows: usize,
    ) -> Result<ParquetRecordBatchReader, StoreError> {
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.footer.clone());
        let mask = match names {
            Some(names) => ProjectionMask::columns(builder.parquet_schema(), names.iter().copied()),
            None => ProjectionMask::all(),
        };
        let builder = builder.with_projection(mask).with_batch_size(rows.max(1));
        builder.build().map_err(StoreError::damaged(&self.name))
    }

    /// Calls `f` with the segment, leaf and record of each row.
    pub(crate) fn each_leaf(&self, f: &mut dyn FnMut(u64, Hash, &str)) -> Result<(), StoreError> {
        for batch in self.batches(Some(&CUSTODY), 1024)? {
            let batch = batch.map_err(StoreError::damaged(&self.name))?;
            leaves(&batch, &mut |_, segment, leaf, raw| f(segment, leaf, raw))
                .map_err(StoreError::damaged(&self.name))?;
        }
        Ok(())
    }

    /// The row tree of the file, and of each segment whose rows are in it. An index of texts must have all of them.
    pub(crate) fn trees(&self) -> Result<(RowTree, BTreeMap<u64, RowTree>), StoreError> {
        let (mut all, mut each) = (RowTree::new(), BTreeMap::<u64, RowTree>::new());
        let index = self.grams()?;
        let mut grams = Builder::new();
        self.each_leaf(&mut |segment, leaf, raw| {
            all.push(leaf);
            each.entry(segment).or_default().push(leaf);
            if index.is_some() {
                grams.push(raw.as_bytes());
            }
        })?;
        if index.is_some_and(|index| grams.finish().is_none_or(|grams| !index.holds(&grams))) {
            return Err(StoreError::damaged(&self.name)("its index of texts leaves out texts of its rows"));
        }
        Ok((all, each))
    }

    /// Its index of texts, if it has one.
    fn grams(&self) -> Result<Option<Grams>, StoreError> {
        let place = Grams::place(self.footer.metadata(), self.bytes.len() as u64);
        let Some(place) = place.map_err(StoreError::damaged(&self.name))? else { return Ok(None) };
        let packed = self.bytes.get(place.start as usize..place.end as usize).unwrap_or_default();
        let grams = Grams::unpack(packed, self.rows());
        grams.map(Some).ok_or_else(|| StoreError::damaged(&self.name)("its index of texts is damaged"))
    }
}

/// Calls `f` with the number, segment, leaf and record of each row of a batch.
pub(crate) fn leaves(
    batch: &RecordBatch,
    f: &mut dyn FnMut(usize, u64, Hash, &str),
) -> Result<(), StoreError> {
    let flush = batch.column_by_name("flush").and_then(|c| c.as_primitive_opt::<Int64Type>());
    leaf::each(batch, &mut |row, leaf, raw| {
        let segment = flush.map_or(-1, |f| f.value(row));
        f(row, u64::try_from(segment).unwrap_or(u64::MAX), leaf, raw);
    })
}

/// Which rows of a batch were cut on their way.
pub(crate) fn salvaged(batch: &RecordBatch) -> impl Fn(usize) -> bool + '_ {
    let flags = batch.column_by_name("salvaged").and_then(|c| c.as_boolean_opt());
    move |row| flags.is_some_and(|flags| flags.is_valid(row) && flags.value(row))
}

/// The span of a column of times, widened by a batch.
pub(crate) fn widen(span: Option<(i64, i64)>, batch: &RecordBatch, column: &str) -> Option<(i64, i64)> {
    let times = batch.column_by_name(column).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let Some(times) = times else { return span };
    times.iter().flatten().fold(span, |span, n| Some(span.map_or((n, n), |(a, b)| (a.min(n), b.max(n)))))
}
