//! Several data files become one, in the order of a file, each row by row.
//!
//! The merge takes from each file in its order: so the rows of each segment stay in theirs, and its row tree can be
//! computed again from the merged file. Memory is a few megabytes for each file, and the packed result.

mod complete;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::row::{RowConverter, Rows, SortField};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::columns::{Column, schema};
use crate::error::StoreError;
use crate::rows::KEY;
use crate::whole::Whole;

use complete::complete;

/// Bytes of records in a batch that is read or handed on, about.
const BYTES: u64 = 4 << 20;
/// Rows in a batch that is handed on, at most.
const ROWS: usize = 4096;

/// One file, at the row that is next.
struct Input {
    reader: ParquetRecordBatchReader,
    keys: Rows,
    row: usize,
    /// Which of the batches in use is this file's.
    batch: usize,
    /// Bytes of a record, on average.
    bytes: u64,
}

/// A merge under way.
pub(crate) struct Merge {
    keys: RowConverter,
    /// The columns of the merged file; older files may lack some.
    all: &'static [Column],
    /// Those by which rows are sorted.
    columns: Vec<usize>,
    inputs: Vec<Input>,
    batches: Vec<RecordBatch>,
    /// The rows that were chosen: batch and row there.
    chosen: Vec<(usize, usize)>,
    bytes: u64,
}

impl Merge {
    /// Begins to merge files of one table, the oldest first.
    pub(crate) fn new(files: &[Whole], all: &'static [Column]) -> Result<Self, StoreError> {
        let wanted = schema(all);
        let columns: Vec<usize> = KEY.iter().filter_map(|name| wanted.index_of(name).ok()).collect();
        let types = columns.iter().map(|at| SortField::new(wanted.field(*at).data_type().clone()));
        let keys = RowConverter::new(types.collect()).map_err(odd)?;
        let (inputs, batches, chosen) = (Vec::new(), Vec::new(), Vec::new());
        let mut merge = Self { keys, all, columns, inputs, batches, chosen, bytes: 0 };
        for file in files {
            if file.schema().fields().iter().any(|field| wanted.index_of(field.name()).is_err()) {
                return Err(odd("a file with columns of a newer version cannot be merged"));
            }
            let bytes = file.raw_bytes() / file.rows().max(1);
            let rows = (BYTES / bytes.max(1)).clamp(1, 8192 / files.len().max(8) as u64) as usize;
            let mut reader = file.batches(None, rows)?;
            if let Some(batch) = reader.next() {
                let batch = complete(batch.map_err(odd)?, all)?;
                let keys = merge.keys_of(&batch)?;
                merge.inputs.push(Input { reader, keys, row: 0, batch: merge.batches.len(), bytes });
                merge.batches.push(batch);
            }
        }
        Ok(merge)
    }

    fn keys_of(&self, batch: &RecordBatch) -> Result<Rows, StoreError> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|at| batch.column(*at).clone()).collect();
        self.keys.convert_columns(&columns).map_err(odd)
    }

    /// The next rows; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        while self.chosen.len() < ROWS && self.bytes < BYTES {
            let Some(first) = self.least(None) else { break };
            let rival = self.least(Some(first));
            let limit = rival.and_then(|at| Some((at, self.inputs.get(at)?)));
            let limit = limit.map(|(at, input)| (at, input.keys.row(input.row).owned()));
            let Some(input) = self.inputs.get_mut(first) else { break };
            // At least one row; then as long as this file is ahead of the others.
            loop {
                self.chosen.push((input.batch, input.row));
                self.bytes += input.bytes;
                input.row += 1;
                let ahead = input.row < input.keys.num_rows()
                    && limit
                        .as_ref()
                        .is_none_or(|(at, key)| (input.keys.row(input.row), first) < (key.row(), *at));
                if !ahead || self.chosen.len() >= ROWS || self.bytes >= BYTES {
                    break;
                }
            }
            if input.row >= input.keys.num_rows() {
                self.read_on(first)?;
            }
        }
        if self.chosen.is_empty() { Ok(None) } else { self.hand_on().map(Some) }
    }

    /// The file whose next row comes first; of equals the older.
    fn least(&self, but: Option<usize>) -> Option<usize> {
        let open = self.inputs.iter().enumerate().filter(|(at, _)| Some(*at) != but);
        let open = open.filter(|(_, input)| input.row < input.keys.num_rows());
        open.min_by(|(_, a), (_, b)| a.keys.row(a.row).cmp(&b.keys.row(b.row))).map(|(at, _)| at)
    }

    fn read_on(&mut self, at: usize) -> Result<(), StoreError> {
        let Some(batch) = self.inputs.get_mut(at).and_then(|input| input.reader.next()) else {
            return Ok(());
        };
        let batch = complete(batch.map_err(odd)?, self.all)?;
        let keys = self.keys_of(&batch)?;
        if let Some(input) = self.inputs.get_mut(at) {
            (input.keys, input.row, input.batch) = (keys, 0, self.batches.len());
            self.batches.push(batch);
        }
        Ok(())
    }

    fn hand_on(&mut self) -> Result<RecordBatch, StoreError> {
        let all: Vec<&RecordBatch> = self.batches.iter().collect();
        let merged = interleave_record_batch(&all, &self.chosen).map_err(odd)?;
        self.chosen.clear();
        self.bytes = 0;
        // Batches of which all rows are handed on are let go.
        let mut kept = Vec::new();
        for input in self.inputs.iter_mut().filter(|input| input.row < input.keys.num_rows()) {
            kept.extend(self.batches.get(input.batch).cloned());
            input.batch = kept.len() - 1;
        }
        self.batches = kept;
        Ok(merged)
    }
}

fn odd<E: std::fmt::Display>(e: E) -> StoreError {
    StoreError::damaged("a merge of data files")(e)
}
