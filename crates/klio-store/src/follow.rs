//! The newest events, and those that come.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashSet;
use klio_model::{Filter, TimeRange, Timestamp};

use crate::batch::event;
use crate::error::StoreError;
use crate::file::OpenFile;
use crate::group::Group;
use crate::lake::Lake;
use crate::ledger::Ledger;
use crate::scan::{Kept, Question, Scanned};

/// How far somebody has followed the lake.
pub struct Cursor {
    /// The last batch that was told.
    batch: u64,
    /// The last batch that was in the tables then.
    flushed: u64,
    /// Log entries that were there.
    leaves: u64,
    /// Hashes of the told events that were in no table then.
    told: HashSet<u64>,
    /// How often the log was waited for.
    waited: u32,
    hasher: RandomState,
}

/// Times that is waited for the log to state what a table has: it does so right after the table's commit, but that of a
/// stranger it never states.
const PATIENCE: u32 = 20;

impl Lake {
    /// A cursor at the end of what there is.
    pub fn cursor(&mut self) -> Result<Cursor, StoreError> {
        let fresh = self.fresh()?;
        let flushed = self.events.upto()?;
        let mut cursor = Cursor {
            batch: flushed,
            flushed,
            leaves: self.log()?.size(),
            told: HashSet::new(),
            waited: 0,
            hasher: RandomState::new(),
        };
        for batch in fresh.batches() {
            let batch = batch?;
            cursor.told.extend(batch.records().map(|raw| cursor.hasher.hash_one(raw)));
            cursor.batch = batch.seq;
        }
        Ok(cursor)
    }

    /// The matching events that were acknowledged since the cursor, which moves on. Each event once: also if it was
    /// written to a file meanwhile.
    pub fn follow(&mut self, filter: &Filter, cursor: &mut Cursor) -> Result<Vec<Kept>, StoreError> {
        let fresh = self.fresh()?;
        let flushed = self.events.upto()?;
        let mut found = Vec::new();
        if flushed > cursor.flushed {
            let leaves = self.log()?.size();
            if !self.flushed_since(filter, cursor, &mut found)? && cursor.waited < PATIENCE {
                cursor.waited += 1;
                return Ok(Vec::new());
            }
            cursor.waited = 0;
            cursor.told.clear();
            for batch in fresh.batches() {
                let batch = batch?;
                if batch.seq > cursor.batch {
                    break;
                }
                cursor.told.extend(batch.records().map(|raw| cursor.hasher.hash_one(raw)));
            }
            (cursor.flushed, cursor.leaves) = (flushed, leaves);
            cursor.batch = cursor.batch.max(flushed);
        }
        let question = Question::new(filter, TimeRange::default(), self);
        for batch in fresh.batches() {
            let batch = batch?;
            if batch.seq <= cursor.batch {
                continue;
            }
            for (raw, salvaged) in batch.entries() {
                cursor.told.insert(cursor.hasher.hash_one(raw));
                if let Some(event) =
                    event(raw, salvaged).filter(|event| question.holds(&batch.origin.cluster, event))
                {
                    found.push(Kept::fresh(&batch, &event));
                }
            }
            cursor.batch = batch.seq;
        }
        found.sort_by_key(|kept| (kept.time, kept.received));
        Ok(found)
    }

    /// Hands the matching events of the batches after `batch` that are in files to `take`, all of one file at a time.
    pub fn since(
        &mut self,
        batch: u64,
        filter: &Filter,
        take: &mut dyn FnMut(Vec<Kept>),
    ) -> Result<(), StoreError> {
        self.refresh()?;
        let question = Question::new(filter, TimeRange::default(), self);
        let ledger = self.ledger()?;
        let is_new = |leaf: &u64| ledger.sources.get(leaf).is_some_and(|s| s.spool.to > batch + 1);
        self.newer(&question, &ledger, &is_new, take)?;
        Ok(())
    }

    /// Events of segments that were written since, but for those told while they were in the spool. False if the log does
    /// not state all files yet.
    fn flushed_since(
        &self,
        filter: &Filter,
        cursor: &Cursor,
        found: &mut Vec<Kept>,
    ) -> Result<bool, StoreError> {
        let ledger = self.ledger()?;
        let question = Question::new(filter, TimeRange::default(), self);
        let is_new = |leaf: &u64| {
            *leaf >= cursor.leaves
                || ledger.sources.get(leaf).is_some_and(|s| s.spool.to > cursor.flushed + 1)
        };
        self.newer(&question, &ledger, &is_new, &mut |kept| {
            found.extend(
                kept.into_iter()
                    .filter(|kept| !cursor.told.contains(&cursor.hasher.hash_one(kept.raw.as_str()))),
            );
        })
    }

    /// Hands over the events of segments that are new, file by file. False if the log does not state all files yet.
    fn newer(
        &self,
        question: &Question<'_>,
        ledger: &Ledger,
        is_new: &dyn Fn(&u64) -> bool,
        take: &mut dyn FnMut(Vec<Kept>),
    ) -> Result<bool, StoreError> {
        let mut stated = true;
        for file in self.readable(&self.events)?.0 {
            let Some(leaf) = ledger.leaf_of(&format!("events/{}", file.path)) else {
                stated = false;
                continue;
            };
            if !ledger.origins(leaf).iter().any(is_new) {
                continue;
            }
            let open = OpenFile::open(&self.events.place, &file, &self.footers)?;
            let mut found = Vec::new();
            for group in 0..open.groups() {
                let group = Group::new(&open, group);
                let Some(rows) = question.candidates(&group)? else { continue };
                let _ = question.records(&group, &rows, &mut Scanned::default(), &mut |row| {
                    // Of a merged file only the new rows.
                    if row.segment().is_none_or(|leaf| is_new(&leaf)) {
                        found.push(row.kept());
                    }
                    Ok(std::ops::ControlFlow::Continue(()))
                })?;
            }
            take(found);
        }
        Ok(stated)
    }

    /// Hands matching events to `take`, those of the latest files first. It returns a time before which none is wanted any more:
    /// files and rows before it are left out.
    fn backwards(
        &mut self,
        filter: &Filter,
        range: TimeRange,
        take: &mut dyn FnMut(Kept) -> Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let question = Question::new(filter, range, self);
        let mut view = self.view(range)?;
        let mut scanned = Scanned::default();
        let mut least = None;
        view.each_fresh(&question, &mut scanned, &mut |batch, event| {
            least = take(Kept::fresh(batch, event));
            std::ops::ControlFlow::Continue(())
        })?;
        while let Some((open, end)) = view.next_back(self)? {
            if least.is_some_and(|least: Timestamp| end < least.micros()) {
                continue;
            }
            for group in 0..open.groups() {
                let group = Group::new(&open, group);
                let Some(rows) = question.candidates(&group)? else { continue };
                let _ = question.records(&group, &rows, &mut scanned, &mut |row| {
                    if least.is_none() || row.time() >= least {
                        least = take(row.kept());
                    }
                    Ok(std::ops::ControlFlow::Continue(()))
                })?;
            }
        }
        Ok(())
    }

    /// The last `n` matching events of a range by their time, the latest first, and with them all that happened at the same
    /// time as the earliest of them. Events of one time stand in an order that is always the same.
    pub fn newest(&mut self, filter: &Filter, range: TimeRange, n: usize) -> Result<Vec<Kept>, StoreError> {
        let mut kept: BTreeMap<Option<Timestamp>, Vec<Kept>> = BTreeMap::new();
        let mut count = 0;
        let mut take = |event: Kept| {
            count += 1;
            kept.entry(event.time).or_default().push(event);
            while let Some(first) = kept.first_entry().filter(|first| count - first.get().len() >= n) {
                count -= first.remove().len();
            }
            (count >= n).then(|| kept.keys().next().copied().flatten()).flatten()
        };
        self.backwards(filter, range, &mut take)?;
        let mut found: Vec<Kept> = Vec::with_capacity(count);
        for (_, mut alike) in kept.into_iter().rev() {
            alike.sort_by(|a, b| (&a.cluster, &a.raw).cmp(&(&b.cluster, &b.raw)));
            found.extend(alike);
        }
        Ok(found)
    }

    /// The last `n` matching events by their time, in its order. Only as many files are read as it takes.
    pub fn last(&mut self, filter: &Filter, n: usize) -> Result<Vec<Kept>, StoreError> {
        // The earliest of them on top.
        let mut heap: BinaryHeap<Reverse<(Option<Timestamp>, u64)>> = BinaryHeap::new();
        let mut kept = std::collections::HashMap::new();
        let mut number = 0;
        let mut take = |event: Kept| {
            number += 1;
            heap.push(Reverse((event.time, number)));
            kept.insert(number, event);
            if heap.len() > n
                && let Some(Reverse((_, out))) = heap.pop()
            {
                kept.remove(&out);
            }
            (heap.len() >= n).then(|| heap.peek().and_then(|Reverse((time, _))| *time)).flatten()
        };
        self.backwards(filter, TimeRange::default(), &mut take)?;
        let mut found: Vec<Kept> = kept.into_values().collect();
        found.sort_by_key(|event| (event.time, event.received));
        Ok(found)
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("batch", &self.batch).finish_non_exhaustive()
    }
}
