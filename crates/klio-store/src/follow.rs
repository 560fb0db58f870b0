//! The newest events, and those that come.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
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

    /// The last `n` matching events of a range by their time, the latest first. Events of one time stand in an order that is
    /// always the same.
    pub fn newest(&mut self, filter: &Filter, range: TimeRange, n: usize) -> Result<Vec<Kept>, StoreError> {
        let mut newest = Newest::new(Part { skip: 0, most: n, bytes: usize::MAX }, false);
        self.backwards(filter, range, &mut |event| newest.take(event))?;
        Ok(newest.part()?.0)
    }

    /// A part of the same, as it has room in memory, and whether more events follow. At least one event is in it, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Query`] when the events before the part are too large to be put in order.
    pub fn newest_part(
        &mut self,
        filter: &Filter,
        range: TimeRange,
        part: Part,
    ) -> Result<(Vec<Kept>, bool), StoreError> {
        let mut newest = Newest::new(part, true);
        self.backwards(filter, range, &mut |event| newest.take(event))?;
        newest.part()
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

/// Which part of the newest events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// So many are left out first.
    pub skip: usize,
    /// At most so many.
    pub most: usize,
    /// Records of so many bytes at most, but for a single one that is larger.
    pub bytes: usize,
}

/// An event by its place: the latest first.
struct Ranked(Kept);

impl Ranked {
    fn key(&self) -> (Reverse<Option<Timestamp>>, &str, &str) {
        (Reverse(self.0.time), &self.0.cluster, &self.0.raw)
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// The newest events of those that come in any order, and no more of them than have room.
struct Newest {
    part: Part,
    /// The last in order on top.
    kept: BinaryHeap<Ranked>,
    bytes: usize,
    /// The first in order of those that had no room: what comes behind it has none either.
    out: Option<Ranked>,
    /// Whether it is asked if there are more.
    asks_more: bool,
}

impl Newest {
    fn new(part: Part, asks_more: bool) -> Self {
        Self { part, kept: BinaryHeap::new(), bytes: 0, out: None, asks_more }
    }

    /// Returns a time before which none is wanted any more.
    fn take(&mut self, event: Kept) -> Option<Timestamp> {
        let event = Ranked(event);
        let Part { skip, most, bytes } = self.part;
        let most = skip.saturating_add(most);
        if self.out.as_ref().is_none_or(|out| event < *out) {
            self.bytes += event.0.raw.len();
            self.kept.push(event);
            let has_room = |len: usize, held: usize| {
                let is_within = held <= bytes || len <= skip.saturating_add(1);
                len <= most && is_within && (held <= bytes.saturating_mul(4) || len <= 1)
            };
            while !has_room(self.kept.len(), self.bytes) {
                let Some(last) = self.kept.pop() else { break };
                self.bytes -= last.0.raw.len();
                self.out = Some(last);
            }
        }
        let is_whole = self.kept.len() >= most && (self.out.is_some() || !self.asks_more);
        let last = if is_whole { self.kept.peek() } else { None };
        last.or(self.out.as_ref()).and_then(|last| last.0.time)
    }

    fn part(self) -> Result<(Vec<Kept>, bool), StoreError> {
        if self.part.most > 0 && self.kept.len() <= self.part.skip && self.out.is_some() {
            return Err(StoreError::Query(
                "the events of one moment are too large to be told one after the other; narrow the filter"
                    .into(),
            ));
        }
        let sorted = self.kept.into_sorted_vec().into_iter().skip(self.part.skip);
        Ok((sorted.map(|event| event.0).collect(), self.out.is_some()))
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("batch", &self.batch).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(time: Option<i64>, raw: &str) -> Kept {
        let text = |text: &str| text.to_owned();
        Kept {
            raw: text(raw),
            time: time.map(Timestamp),
            cluster: text("prod"),
            source: text("file:x"),
            received: Timestamp(0),
            salvaged: false,
        }
    }

    fn told(events: &[Kept], part: Part) -> Result<(Vec<String>, bool), StoreError> {
        let mut newest = Newest::new(part, true);
        let mut least = None;
        for event in events {
            if least.is_none() || event.time >= least {
                least = newest.take(event.clone());
            }
        }
        let (found, more) = newest.part()?;
        Ok((found.into_iter().map(|event| event.raw).collect(), more))
    }

    #[test]
    fn a_part_is_the_same_in_whichever_order_events_come() {
        let sizes = [3, 9, 1, 1, 20, 2, 2, 7, 1, 5, 1, 1];
        let mut events: Vec<Kept> = (0..sizes.len() as i64)
            .map(|n| kept((n < 9).then_some(n / 3), &format!("{n:x}").repeat(sizes[n as usize])))
            .collect();
        let mut sorted: Vec<Kept> = events.clone();
        sorted.sort_by(|a, b| (b.time, &a.raw).cmp(&(a.time, &b.raw)));
        for turn in 0..events.len() {
            events.rotate_left(1);
            events.swap(0, turn);
            for skip in 0..3 {
                for most in 1..14 {
                    for bytes in [1, 8, 24, 1000] {
                        let mut room = bytes;
                        let mut want = Vec::new();
                        for (at, event) in sorted.iter().take(skip + most).enumerate() {
                            if at > skip && room < event.raw.len() {
                                break;
                            }
                            room = room.saturating_sub(event.raw.len());
                            want.push(event.raw.clone());
                        }
                        let more = want.len() < sorted.len();
                        let before: usize = want.iter().take(skip + 1).map(String::len).sum();
                        want.drain(..skip);
                        // Those that are left out are not held without end.
                        let want = (skip == 0 || before <= 4 * bytes).then_some((want, more));
                        assert_eq!(told(&events, Part { skip, most, bytes }).ok(), want);
                    }
                }
            }
        }
    }
}
