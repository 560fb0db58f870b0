//! Finding events in data files.

use std::cell::OnceCell;
use std::ops::{ControlFlow, Range};

use arrow::array::{AsArray, ByteView, MAX_INLINE_VIEW_LEN, RecordBatch, StringViewArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, Int64Type, TimestampMicrosecondType};
use klio_model::filter::{Matcher, Piece};
use klio_model::{Event, Field, Filter, TimeRange, Timestamp};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::answer::{answer, columns_for, in_range};
use crate::columns::place;
use crate::error::StoreError;
use crate::file::OpenFile;
use crate::needle::{Finder, Needles};
use crate::view::overlap;

/// A record of the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The record as it is stored.
    pub raw: String,
    /// When the request reached the API server, if the record says.
    pub time: Option<Timestamp>,
    /// Which cluster it comes from.
    pub cluster: String,
    /// Which source handed it over.
    pub source: String,
    /// When it was received.
    pub received: Timestamp,
}

/// How much was looked at for an answer.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Scanned {
    /// Data files, and those that could be left out by their times.
    pub files: u64,
    /// Files that could be left out.
    pub skipped: u64,
    /// Files whose key was destroyed: what is in them cannot be known any more.
    pub shredded: u64,
    /// Events whose columns were looked at.
    pub rows: u64,
    /// Events whose record was read.
    pub records: u64,
    /// Events that are not in a data file yet.
    pub fresh: u64,
    /// Events that match.
    pub matched: u64,
}

impl Scanned {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.files += other.files;
        self.skipped += other.skipped;
        self.shredded += other.shredded;
        self.rows += other.rows;
        self.records += other.records;
        self.fresh += other.fresh;
        self.matched += other.matched;
    }
}

/// Rows read at a time: little more than a page, which stays in the processor's cache while it is looked through.
const BATCH: usize = 1024;
/// What is told of a record besides its text.
const CUSTODY: [&str; 5] = ["time", "cluster", "source", "received", "flush"];

/// What is asked of data files, prepared once.
pub(crate) struct Question<'f> {
    pub filter: &'f Filter,
    pub range: TimeRange,
    /// Audit ids of which an event must have one.
    ids: Option<Vec<String>>,
    /// The columns that answer a part of it.
    places: Vec<usize>,
    needles: Option<Needles>,
    /// Made when the first records are seen.
    finder: OnceCell<Option<Finder>>,
}

/// Rows of one group that may match.
pub(crate) struct Candidates {
    pub may: BooleanBuffer,
    pub certain: BooleanBuffer,
}

impl<'f> Question<'f> {
    pub(crate) fn new(filter: &'f Filter, range: TimeRange) -> Self {
        let mut ids = Vec::new();
        let ids = required_ids(filter, &mut ids).then_some(ids);
        let places = columns_for(filter, range);
        Self { filter, range, ids, places, needles: Needles::of(filter), finder: OnceCell::new() }
    }

    /// Whether an event that is in no data file matches.
    pub(crate) fn holds(&self, event: &Event<'_>) -> bool {
        let inside = self.range.is_all() || event.time().is_some_and(|t| self.range.contains(t));
        inside && self.filter.matches(event)
    }

    /// Asks the columns of a group, of which `more` may be read besides for the caller.
    pub(crate) fn candidates(
        &self,
        file: &OpenFile,
        group: usize,
        more: &[usize],
    ) -> Result<Option<(Candidates, RecordBatch)>, StoreError> {
        if self.ids.as_ref().is_some_and(|ids| !ids.iter().any(|id| file.may_hold_id(group, id))) {
            return Ok(None);
        }
        if file.times(group).is_some_and(|span| !overlap(span, self.range)) {
            return Ok(None);
        }
        let mut places = self.places.clone();
        places.extend_from_slice(more);
        places.sort_unstable();
        places.dedup();
        let batch = if places.is_empty() { file.no_columns(group)? } else { file.columns(group, &places)? };
        let answers = answer(self.filter, &batch);
        let may = &answers.yes & &in_range(self.range, &batch);
        if may.count_set_bits() == 0 {
            return Ok(None);
        }
        Ok(Some((Candidates { certain: &may & &answers.certain(), may }, batch)))
    }

    /// Reads the records of the candidates and hands on those that match.
    pub(crate) fn records(
        &self,
        file: &OpenFile,
        group: usize,
        found: &Candidates,
        scanned: &mut Scanned,
        f: &mut dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let certain: Vec<bool> = found.may.set_indices().map(|i| found.certain.value(i)).collect();
        let mut certain = certain.as_slice();
        let raw: Vec<usize> = place("raw").into_iter().collect();
        // Read beside the records from the first that matches on.
        let mut custody: Option<ParquetRecordBatchReader> = None;
        let mut passed = 0;
        for batch in file.views(group, &raw, Some(&found.may), BATCH)? {
            let batch = batch.map_err(|e| file.damaged(e))?;
            let raws = batch.column_by_name("raw").and_then(|c| c.as_string_view_opt());
            let Some(raws) = raws else { return Err(file.damaged("the column raw is missing")) };
            let (sure, rest) = certain.split_at_checked(batch.num_rows()).unwrap_or((certain, &[]));
            certain = rest;
            let promising = self.promising(raws, sure);
            scanned.records += batch.num_rows() as u64;
            let rows = sure.iter().zip(&promising).enumerate().filter(|(row, (sure, promising))| {
                let parsed = || Event::parse(raws.value(*row));
                **sure || **promising && parsed().is_ok_and(|event| self.filter.matches(&event))
            });
            let matched: Vec<usize> = rows.map(|(row, _)| row).collect();
            if custody.is_none() && !matched.is_empty() {
                custody = Some(custody_after(file, group, &found.may, passed)?);
            }
            passed += batch.num_rows();
            let Some(reader) = &mut custody else { continue };
            let told = reader.next().transpose().map_err(|e| file.damaged(e))?;
            let Some(told) = told.filter(|t| t.num_rows() == batch.num_rows()) else {
                return Err(file.damaged("its columns differ in length"));
            };
            for row in matched {
                scanned.matched += 1;
                if f(&Row { batch: &told, row, raw: raws.value(row) })?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The rows that must be parsed because what the filter demands stands in their text.
    fn promising(&self, raws: &StringViewArray, sure: &[bool]) -> Vec<bool> {
        let Some(needles) = self.needles.as_ref().filter(|_| sure.contains(&false)) else {
            return vec![true; sure.len()];
        };
        let sample = || raws.data_buffers().first().map_or(&[][..], |b| b.as_slice());
        let Some(finder) = self.finder.get_or_init(|| Finder::new(needles, sample())) else {
            return vec![true; sure.len()];
        };
        let mut promising = vec![false; sure.len()];
        // Rows of one page lie one behind the other.
        let (mut page, mut rows, mut texts) = (0, Vec::new(), Vec::new());
        let look =
            |page: u32, rows: &mut Vec<usize>, texts: &mut Vec<Range<usize>>, promising: &mut Vec<bool>| {
                if let Some(buffer) = raws.data_buffers().get(page as usize) {
                    finder.each(buffer, texts, &mut |number| {
                        if let Some(slot) = rows.get(number).and_then(|row| promising.get_mut(*row)) {
                            *slot = true;
                        }
                    });
                }
                rows.clear();
                texts.clear();
            };
        for (row, view) in raws.views().iter().enumerate() {
            let view = ByteView::from(*view);
            if view.length <= MAX_INLINE_VIEW_LEN {
                if let Some(slot) = promising.get_mut(row) {
                    *slot = true;
                }
            } else if !sure.get(row).copied().unwrap_or(false) {
                let start = view.offset as usize;
                if view.buffer_index != page || texts.last().is_some_and(|t: &Range<usize>| t.end > start) {
                    look(page, &mut rows, &mut texts, &mut promising);
                    page = view.buffer_index;
                }
                rows.push(row);
                texts.push(start..start + view.length as usize);
            }
        }
        look(page, &mut rows, &mut texts, &mut promising);
        promising
    }
}

/// The columns of custody for the candidates after the first `passed`.
fn custody_after(
    file: &OpenFile,
    group: usize,
    may: &BooleanBuffer,
    passed: usize,
) -> Result<ParquetRecordBatchReader, StoreError> {
    let places: Vec<usize> = CUSTODY.iter().filter_map(|name| place(name)).collect();
    let first = may.set_indices().nth(passed).unwrap_or(may.len());
    let left = BooleanBuffer::collect_bool(may.len(), |i| i >= first && may.value(i));
    file.read(group, &places, Some(&left), BATCH)
}

/// A record of a data file that matches.
pub(crate) struct Row<'b> {
    batch: &'b RecordBatch,
    row: usize,
    pub raw: &'b str,
}

impl Row<'_> {
    /// When the request was received.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        number::<TimestampMicrosecondType>(self.batch, "time", self.row).map(Timestamp)
    }

    /// The log entry that stated it first.
    pub(crate) fn segment(&self) -> Option<u64> {
        number::<Int64Type>(self.batch, "flush", self.row).and_then(|n| n.try_into().ok())
    }

    pub(crate) fn kept(&self) -> Kept {
        kept(self.batch, self.row, self.raw)
    }
}

fn kept(batch: &RecordBatch, row: usize, raw: &str) -> Kept {
    Kept {
        raw: raw.to_owned(),
        time: number::<TimestampMicrosecondType>(batch, "time", row).map(Timestamp),
        cluster: word(batch, "cluster", row).unwrap_or_default().to_owned(),
        source: word(batch, "source", row).unwrap_or_default().to_owned(),
        received: Timestamp(number::<TimestampMicrosecondType>(batch, "received", row).unwrap_or(0)),
    }
}

fn number<T: ArrowPrimitiveType<Native = i64>>(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    use arrow::array::Array;
    let array = batch.column_by_name(name)?.as_primitive_opt::<T>()?;
    array.is_valid(row).then(|| array.value(row))
}

fn word<'b>(batch: &'b RecordBatch, name: &str, row: usize) -> Option<&'b str> {
    let array = batch.column_by_name(name)?.as_dictionary_opt::<Int32Type>()?;
    Some(array.values().as_string_opt::<i32>()?.value(array.key(row)?))
}

/// Collects audit ids of which an event must have one for the filter to be true; false if it need not.
fn required_ids(filter: &Filter, ids: &mut Vec<String>) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().any(|part| {
            let mut of_part = Vec::new();
            let needed = required_ids(part, &mut of_part);
            if needed {
                *ids = of_part;
            }
            needed
        }),
        Filter::Or(parts) => parts.iter().all(|part| required_ids(part, ids)),
        Filter::Test(test) if test.field.field() == Field::AuditId && test.field.path().is_empty() => {
            let Matcher::Text(text) = &test.matcher else { return false };
            match text.pieces() {
                // Case does not count for most texts; a file tells whether it has ids in upper case.
                [Piece::Literal(id)] => {
                    ids.push(id.to_lowercase());
                    true
                }
                _ => false,
            }
        }
        _ => false,
    }
}
