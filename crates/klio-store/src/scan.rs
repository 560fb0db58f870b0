//! Finding events in data files.

use std::cell::OnceCell;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ByteView, MAX_INLINE_VIEW_LEN, StringViewArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ArrowPrimitiveType, Int64Type, TimestampMicrosecondType};
use klio_model::filter::{Matcher, Piece};
use klio_model::{Event, Field, Filter, TimeRange, Timestamp};

use crate::answer::{answer, in_range};
use crate::batch::{Spooled, event};
use crate::error::StoreError;
use crate::group::{Coded, Group};
use crate::lake::Lake;
use crate::needle::{Finder, Needles};
use crate::sight::Sight;
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
    /// Whether it was cut on its way: what it lacks is unknown and not absent.
    pub salvaged: bool,
}

impl Kept {
    /// A record that is in no data file yet.
    pub(crate) fn fresh(batch: &Spooled, event: &Event<'_>) -> Self {
        Self {
            raw: event.json().to_owned(),
            time: event.time(),
            cluster: batch.origin.cluster.clone(),
            source: batch.origin.source.clone(),
            received: batch.received(),
            salvaged: event.salvaged,
        }
    }

    /// The record as an event.
    pub fn event(&self) -> Option<Event<'_>> {
        event(&self.raw, self.salvaged)
    }
}

/// How much was looked at for an answer.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
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

/// Rows read at a time: about a page, which stays in the processor's cache while it is looked through.
const BATCH: usize = 512;
/// The same of rows that an index leaves, some of each page.
const SPARSE: usize = 128;
/// A smaller part of a group than one of so many is read without asking the index of texts.
const PART: usize = 64;
/// What is asked of data files, prepared once.
pub(crate) struct Question<'f> {
    pub filter: &'f Filter,
    pub range: TimeRange,
    /// What may be seen; everything unless it says otherwise.
    sight: Option<Arc<Sight>>,
    /// Audit ids of which an event must have one.
    ids: Option<Vec<String>>,
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
    pub(crate) fn new(filter: &'f Filter, range: TimeRange, lake: &Lake) -> Self {
        let mut ids = Vec::new();
        let ids = required_ids(filter, &mut ids).then_some(ids);
        let sight = lake.sight.clone();
        Self { filter, range, sight, ids, needles: Needles::of(filter), finder: OnceCell::new() }
    }

    /// Whether an event of a cluster matches, and may be seen.
    pub(crate) fn holds(&self, cluster: &str, event: &Event<'_>) -> bool {
        self.range.holds(event.time())
            && self.filter.matches(event)
            && self.sight.as_ref().is_none_or(|sight| sight.sees(cluster, event))
    }

    /// Asks the columns of a row group; `None` if no row can match.
    pub(crate) fn candidates(&self, group: &Group<'_>) -> Result<Option<Candidates>, StoreError> {
        let may_hold = |id: &String| group.file.may_hold_id(group.number, id);
        if self.ids.as_ref().is_some_and(|ids| !ids.iter().any(may_hold)) {
            return Ok(None);
        }
        if group.file.times(group.number).is_some_and(|span| !overlap(span, self.range)) {
            return Ok(None);
        }
        let answers = answer(self.filter, group, &BooleanBuffer::new_set(group.rows))?;
        if answers.yes.count_set_bits() == 0 {
            return Ok(None);
        }
        let mut may = &answers.yes & &in_range(self.range, group)?;
        let mut certain = answers.certain();
        if let Some(sight) = &self.sight {
            let (perhaps, surely) = sight.rows(group)?;
            may = &may & &perhaps;
            certain = &certain & &surely;
        }
        if may.count_set_bits() == 0 {
            return Ok(None);
        }
        Ok(Some(Candidates { certain: &may & &certain, may }))
    }

    /// Reads the records of the candidates and hands on those that match.
    pub(crate) fn records(
        &self,
        group: &Group<'_>,
        found: &Candidates,
        scanned: &mut Scanned,
        f: &mut dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let told = self.by_index(group, found)?;
        let may = told.as_ref().unwrap_or(&found.may);
        // Read with the first record that matches.
        let mut custody = None;
        let mut rows = may.set_indices();
        let salvaged = group.flags("salvaged")?.filter(|flags| flags.count_set_bits() > 0);
        let clusters = if self.sight.is_some() { group.words("cluster")? } else { None };
        let salvaged = |row: usize| salvaged.as_ref().is_some_and(|flags| flags.value(row));
        let size = if told.is_some() { SPARSE } else { BATCH };
        for batch in group.file.records(group.number, may, size)? {
            let batch = batch.map_err(|e| group.file.damaged(e))?;
            let raws = batch.column_by_name("raw").and_then(|c| c.as_string_view_opt());
            let Some(raws) = raws else { return Err(group.file.damaged("the column raw is missing")) };
            let rows: Vec<usize> = rows.by_ref().take(raws.len()).collect();
            let sure: Vec<bool> = rows.iter().map(|&row| found.certain.value(row)).collect();
            let promising = self.promising(raws, &sure);
            scanned.records += rows.len() as u64;
            for (at, ((row, sure), promising)) in rows.iter().zip(sure).zip(promising).enumerate() {
                let salvaged = salvaged(*row);
                let may_see = |event: &Event<'_>| {
                    let Some(sight) = &self.sight else { return true };
                    let cluster = clusters.as_ref().and_then(|clusters| clusters.of_row(*row));
                    cluster.is_some_and(|cluster| sight.sees(cluster, event))
                };
                let matches = || {
                    event(raws.value(at), salvaged)
                        .is_some_and(|event| self.filter.matches(&event) && may_see(&event))
                };
                if sure || promising && matches() {
                    scanned.matched += 1;
                    let custody = match &mut custody {
                        Some(known) => known,
                        none => none.insert(Custody::of(group)?),
                    };
                    if f(&Row { custody, row: *row, raw: raws.value(at), salvaged })?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The candidates that an index of texts leaves, if the file has one and there is something to gain.
    fn by_index(&self, group: &Group<'_>, found: &Candidates) -> Result<Option<BooleanBuffer>, StoreError> {
        let open = &found.may & &!&found.certain;
        let many = open.count_set_bits() > group.rows / PART;
        let grams = self.needles.as_ref().filter(|_| many).and_then(Needles::grams);
        let Some(grams) = grams else { return Ok(None) };
        let Some(index) = group.file.grams()? else { return Ok(None) };
        let first = group.file.first_row(group.number);
        let rows = index.rows(&grams, first..first + group.rows);
        Ok(Some(&found.certain | &(&open & &rows)))
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

/// What is told of the records of a group besides their text.
struct Custody {
    time: Option<ArrayRef>,
    cluster: Option<Rc<Coded>>,
    source: Option<Rc<Coded>>,
    received: Option<ArrayRef>,
    flush: Option<ArrayRef>,
}

impl Custody {
    fn of(group: &Group<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            time: group.array("time")?,
            cluster: group.words("cluster")?,
            source: group.words("source")?,
            received: group.array("received")?,
            flush: group.array("flush")?,
        })
    }
}

/// A record of a data file that matches.
pub(crate) struct Row<'b> {
    custody: &'b Custody,
    /// Its number in its group.
    row: usize,
    pub raw: &'b str,
    salvaged: bool,
}

impl Row<'_> {
    /// The record as an event.
    pub(crate) fn event(&self) -> Option<Event<'_>> {
        event(self.raw, self.salvaged)
    }

    /// When the request was received.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        number::<TimestampMicrosecondType>(self.custody.time.as_ref(), self.row).map(Timestamp)
    }

    /// The log entry that stated it first.
    pub(crate) fn segment(&self) -> Option<u64> {
        number::<Int64Type>(self.custody.flush.as_ref(), self.row).and_then(|n| n.try_into().ok())
    }

    pub(crate) fn kept(&self) -> Kept {
        let word = |words: &Option<Rc<Coded>>| {
            words.as_ref().and_then(|words| words.of_row(self.row)).unwrap_or_default().to_owned()
        };
        let received = number::<TimestampMicrosecondType>(self.custody.received.as_ref(), self.row);
        Kept {
            raw: self.raw.to_owned(),
            time: self.time(),
            cluster: word(&self.custody.cluster),
            source: word(&self.custody.source),
            received: Timestamp(received.unwrap_or(0)),
            salvaged: self.salvaged,
        }
    }
}

fn number<T: ArrowPrimitiveType<Native = i64>>(array: Option<&ArrayRef>, row: usize) -> Option<i64> {
    let array = array?.as_primitive_opt::<T>()?;
    array.is_valid(row).then(|| array.value(row))
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
