//! Finding events in data files.

use std::ops::ControlFlow;

use arrow::array::{AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, TimestampMicrosecondType};
use klio_model::filter::{Matcher, Piece};
use klio_model::{Event, Field, Filter, TimeRange, Timestamp};

use crate::answer::{Answers, answer, columns_for, in_range};
use crate::columns::place;
use crate::error::StoreError;
use crate::file::OpenFile;

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
        self.rows += other.rows;
        self.records += other.records;
        self.fresh += other.fresh;
        self.matched += other.matched;
    }
}

/// Rows of one group that may match.
pub(crate) struct Candidates {
    pub group: usize,
    pub may: BooleanBuffer,
    pub certain: BooleanBuffer,
}

/// Asks the columns of a group.
pub(crate) fn candidates(
    file: &OpenFile,
    group: usize,
    filter: &Filter,
    range: TimeRange,
) -> Result<Option<Candidates>, StoreError> {
    let rows = file.rows(group);
    let mut ids = Vec::new();
    if required_ids(filter, &mut ids) && !ids.iter().any(|id| file.may_hold_id(group, id)) {
        return Ok(None);
    }
    let places = columns_for(filter, range);
    let batch = if places.is_empty() {
        RecordBatch::try_new_with_options(
            std::sync::Arc::new(arrow::datatypes::Schema::empty()),
            Vec::new(),
            &arrow::array::RecordBatchOptions::new().with_row_count(Some(rows)),
        )
        .map_err(|e| file.damaged(e))?
    } else {
        file.columns(group, &places)?
    };
    let Answers { yes, no, unknown } = answer(filter, &batch);
    let inside = in_range(range, &batch);
    let may = &yes & &inside;
    if may.count_set_bits() == 0 {
        return Ok(None);
    }
    let certain = Answers { yes, no, unknown }.certain();
    Ok(Some(Candidates { group, certain: &may & &certain, may }))
}

/// Reads the records of the candidates and keeps those that match.
pub(crate) fn records(
    file: &OpenFile,
    found: &Candidates,
    filter: &Filter,
    scanned: &mut Scanned,
    f: &mut dyn FnMut(Kept) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, StoreError> {
    let places: Vec<usize> =
        ["raw", "time", "cluster", "source", "received"].iter().filter_map(|n| place(n)).collect();
    let certain: Vec<bool> = found.may.set_indices().map(|i| found.certain.value(i)).collect();
    let mut at = 0;
    for batch in file.read(found.group, &places, Some(&found.may), 1024)? {
        let batch = batch.map_err(|e| file.damaged(e))?;
        let raws = batch.column_by_name("raw").and_then(|c| c.as_string_opt::<i32>());
        let Some(raws) = raws else { return Err(file.damaged("the column raw is missing")) };
        for row in 0..batch.num_rows() {
            let raw = raws.value(row);
            scanned.records += 1;
            let sure = certain.get(at).copied().unwrap_or(false);
            at += 1;
            if sure || Event::parse(raw).is_ok_and(|event| filter.matches(&event)) {
                scanned.matched += 1;
                if f(kept(&batch, row, raw)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
    Ok(ControlFlow::Continue(()))
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
