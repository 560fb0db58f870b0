//! What a question is asked of: the data files of one version of the table, and the batches that are in none of them.
//!
//! Files are opened before the first is read. On a local disk an open file can be read to its end although
//! compaction or expiry removed it meanwhile, so that an answer is that of one moment.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use klio_model::{Event, TimeRange};

use crate::batch::{Spooled, event};
use crate::day::{DAY, FIRST_DATE, LAST_DATE, day_begin};
use crate::error::StoreError;
use crate::file::OpenFile;
use crate::fresh::Fresh;
use crate::lake::{Lake, TRIES};
use crate::scan::{Question, Scanned};
use crate::table::DataFile;

/// Files held open at once; more are opened when it is their turn.
pub(crate) const HELD: usize = 384;

/// Data files in the order of their first events, and fresh batches.
pub(crate) struct View {
    /// The last is to be read first.
    files: Vec<(DataFile, Option<OpenFile>)>,
    fresh: Fresh,
    pub scanned: Scanned,
}

impl Lake {
    /// What there is now, as far as it may lie in the range.
    pub(crate) fn view(&mut self, range: TimeRange) -> Result<View, StoreError> {
        self.steady(|lake| {
            // Read first: what is flushed while the files are read would be seen twice or never.
            let fresh = lake.fresh()?;
            let mut scanned = Scanned::default();
            let (mut files, shredded) = lake.readable(&lake.events)?;
            scanned.shredded = shredded;
            scanned.files = files.len() as u64;
            files.retain(|file| may_overlap(file, range));
            scanned.skipped = scanned.files - files.len() as u64;
            files.sort_by_key(|file| Reverse(begin(file)));
            let first = files.len().saturating_sub(HELD);
            let open = files.into_iter().enumerate().map(|(number, file)| {
                let open = (number >= first).then(|| lake.open_file(&file)).transpose()?;
                Ok((file, open))
            });
            Ok(View { files: open.collect::<Result<Vec<_>, StoreError>>()?, fresh, scanned })
        })
    }

    /// Starts over while files vanish that a table had when it was read: they were merged or expired.
    pub(crate) fn steady<T>(
        &mut self,
        mut f: impl FnMut(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut gone = None;
        for _ in 0..TRIES {
            match f(self) {
                Err(e) if e.is_gone() => gone = Some(e),
                done => return done,
            }
        }
        Err(gone.unwrap_or_else(|| {
            StoreError::Query("the lake changes faster than it can be read; try again".into())
        }))
    }

    fn open_file(&self, file: &DataFile) -> Result<OpenFile, StoreError> {
        OpenFile::open(&self.events.place, file, &self.footers)
    }
}

impl View {
    /// The next file to be read.
    pub(crate) fn next(&mut self, lake: &Lake) -> Result<Option<OpenFile>, StoreError> {
        lake.go_on()?;
        let Some((file, open)) = self.files.pop() else { return Ok(None) };
        if let Some(open) = open {
            return Ok(Some(open));
        }
        match lake.open_file(&file) {
            Ok(open) => Ok(Some(open)),
            Err(e) if e.is_gone() => Err(merged_meanwhile()),
            Err(e) => Err(e),
        }
    }

    /// The file with the latest events of those that are left, opened, and the last moment that it may hold.
    pub(crate) fn next_back(&mut self, lake: &Lake) -> Result<Option<(OpenFile, i64)>, StoreError> {
        lake.go_on()?;
        let end = |file: &DataFile| span(file).map_or(i64::MAX, |(_, last)| last);
        let latest = self.files.iter().enumerate().max_by_key(|(_, (file, _))| end(file));
        let Some((number, (file, _))) = latest else { return Ok(None) };
        let end = end(file);
        let (file, open) = self.files.remove(number);
        match open.map_or_else(|| lake.open_file(&file), Ok) {
            Ok(open) => Ok(Some((open, end))),
            Err(e) if e.is_gone() => Err(merged_meanwhile()),
            Err(e) => Err(e),
        }
    }

    /// Calls `f` for each event that is in no file and matches.
    pub(crate) fn each_fresh(
        &self,
        question: &Question<'_>,
        scanned: &mut Scanned,
        f: &mut dyn FnMut(&Spooled, &Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        for batch in self.fresh.batches() {
            let batch = batch?;
            for (record, salvaged) in batch.entries() {
                scanned.fresh += 1;
                let Some(event) = event(record, salvaged) else { continue };
                if question.holds(&batch.origin.cluster, &event) {
                    scanned.matched += 1;
                    if f(&batch, &event).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// No event of the files that are left is earlier.
    pub(crate) fn horizon(&self) -> Option<i64> {
        self.files.last().map(|(file, _)| begin(file))
    }
}

fn merged_meanwhile() -> StoreError {
    StoreError::Query("files were merged while they were read; ask again, or for less time".into())
}

/// The least time that an event of the file may have.
fn begin(file: &DataFile) -> i64 {
    span(file).map_or(i64::MIN, |(first, _)| first)
}

/// From when to when events of a file happened, if it tells more than its partition does.
fn span(file: &DataFile) -> Option<(i64, i64)> {
    // Earlier and later days lie with the first and the last that has a date.
    let of_day = |day: i64| match file.day.as_str() {
        FIRST_DATE => (i64::MIN, day + DAY - 1),
        LAST_DATE => (day, i64::MAX),
        _ => (day, day + DAY - 1),
    };
    file.times.or_else(|| day_begin(&file.day).map(of_day))
}

/// Whether a file may hold events of a range. Events without a time lie in no range.
pub(crate) fn may_overlap(file: &DataFile, range: TimeRange) -> bool {
    span(file).is_none_or(|span| overlap(span, range))
}

/// Whether times from one to another reach into a range.
pub(crate) fn overlap((first, last): (i64, i64), range: TimeRange) -> bool {
    range.start.is_none_or(|s| last >= s.micros()) && range.end.is_none_or(|e| first < e.micros())
}
