//! What the signed log says about files: which are live, what they were made of, which events must stay.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use klio_seal::{Expiry, Hash, Key, KeyEvent, LogReader, Manifest, Span, Statement, StoredFile};

use crate::error::StoreError;
use crate::hold::Held;
use crate::lake::Lake;
use crate::writer::{LOST, SPOOL, TABLE, seal};

/// What a flush stated of one file, whether the file is still there or not.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub rows: u64,
    pub root: Hash,
    pub spool: Span,
    /// Least and greatest time of an event.
    pub times: Option<(i64, i64)>,
    /// When the last of them was received, in microseconds since 1970.
    pub received: i64,
}

/// A file that must be there.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub stored: StoredFile,
    /// When it was stated, in microseconds since 1970.
    pub time: i64,
}

/// A file that a later statement took away.
#[derive(Clone, Debug)]
pub(crate) struct Gone {
    /// When, in microseconds since 1970.
    pub time: i64,
    /// Whether because its time was over.
    pub expired: bool,
}

/// A file whose hash the log states.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attested {
    pub hash: Hash,
    /// When, in microseconds since 1970.
    pub time: i64,
}

/// The log's statements, replayed.
#[derive(Default, Debug)]
pub(crate) struct Ledger {
    /// How many statements there are.
    pub entries: u64,
    /// Files that must be there, by leaf.
    pub live: BTreeMap<u64, Live>,
    /// Segments, by leaf.
    pub sources: BTreeMap<u64, Source>,
    /// What compactions replaced, by their leaf.
    replaces: HashMap<u64, Vec<u64>>,
    /// Files that were taken away, by path.
    pub gone: HashMap<String, Gone>,
    /// Holds in force.
    pub holds: Vec<Held>,
    /// The files of the tables' logs, by path below the lake, as they were stated last.
    pub commits: BTreeMap<String, Attested>,
    /// The last batch that was acknowledged, as far as the log knows, and when it was told so.
    pub acknowledged: Option<(u64, i64)>,
    /// What a writer found to be lost from the spool, and when.
    pub lost: Vec<(String, i64)>,
    /// Partitions, `class/day`, whose keys were destroyed: nobody can read their files.
    pub shredded: HashSet<String>,
    /// Removals by a rule, each with its leaf and time.
    pub expiries: Vec<(u64, i64, Expiry)>,
    by_file: HashMap<String, u64>,
}

impl Ledger {
    /// Replays a log.
    pub(crate) fn read(log: &LogReader) -> Result<Self, StoreError> {
        let mut ledger = Self::default();
        for entry in log.entries(0..log.size()) {
            let (index, bytes) = entry.map_err(seal)?;
            // Ticks are most of a quiet log; what this version cannot read states nothing that it could act on.
            let Ok(entry) = Manifest::decode(&bytes) else { continue };
            if let (Some(statement), Some(time)) = (entry.statement(), entry.time()) {
                ledger.take(index, time, statement);
            }
        }
        Ok(ledger)
    }

    /// Takes the next statement in.
    pub(crate) fn take(&mut self, index: u64, time: i64, statement: &Statement) {
        self.entries = self.entries.max(index.saturating_add(1));
        match statement {
            Statement::Segment(segment) => {
                let stored = &segment.stored;
                let times = segment.first_event.zip(segment.last_event);
                let (spool, received) = (segment.spool, segment.last_received);
                let source = Source { rows: stored.rows, root: stored.root, spool, times, received };
                self.sources.insert(index, source);
                self.add(index, time, stored);
            }
            Statement::Compaction(compaction) => {
                for leaf in &compaction.replaces {
                    self.remove(*leaf, time, false);
                }
                self.replaces.insert(index, compaction.replaces.clone());
                self.add(index, time, &compaction.stored);
            }
            Statement::Expiry(expiry) => {
                for leaf in &expiry.removed {
                    self.remove(*leaf, time, true);
                }
                self.expiries.push((index, time, expiry.clone()));
            }
            Statement::Hold(hold) => self.holds.push(Held::of(time, hold)),
            Statement::Release(hold) => {
                let same = |held: &Held| held.hold.filter == hold.filter && held.hold.owner == hold.owner;
                if let Some(place) = self.holds.iter().position(same) {
                    self.holds.remove(place);
                }
            }
            Statement::Key(Key { event: KeyEvent::Destroyed, id, .. }) => {
                self.shredded.extend(id.strip_prefix("files/").map(str::to_owned));
            }
            Statement::Note(remark) if remark.topic == TABLE => {
                if let Some(hash) = remark.hash {
                    self.commits.insert(remark.text.clone(), Attested { hash, time });
                }
            }
            Statement::Note(remark) if remark.topic == SPOOL => {
                if let Ok(last) = remark.text.parse() {
                    self.acknowledged = Some((last, time));
                }
            }
            Statement::Note(remark) if remark.topic == LOST => self.lost.push((remark.text.clone(), time)),
            _ => {}
        }
    }

    fn add(&mut self, index: u64, time: i64, stored: &StoredFile) {
        self.by_file.insert(stored.file.clone(), index);
        self.live.insert(index, Live { stored: stored.clone(), time });
    }

    fn remove(&mut self, leaf: u64, time: i64, expired: bool) {
        if let Some(live) = self.live.remove(&leaf) {
            self.by_file.remove(&live.stored.file);
            self.gone.insert(live.stored.file, Gone { time, expired });
        }
    }

    /// The live leaf that states a file, given its path below the lake.
    pub(crate) fn leaf_of(&self, file: &str) -> Option<u64> {
        self.by_file.get(file).copied()
    }

    /// Least and greatest time of the events under a leaf.
    pub(crate) fn span(&self, leaf: u64) -> Option<(i64, i64)> {
        let all = self.origins(leaf).into_iter().filter_map(|o| self.sources.get(&o)?.times);
        all.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Versions of a table, up to one, that were never sealed, as ranges. A writer seals each before the next, so each
    /// but the last was made by somebody else, also when nothing but a gap is left of it.
    pub(crate) fn unsealed(&self, table: &str, upto: u64) -> Vec<(u64, u64)> {
        let number = |path: &String| {
            path.strip_prefix(table)?.strip_prefix("/_delta_log/")?.strip_suffix(".json")?.parse().ok()
        };
        let sealed: BTreeSet<u64> = self.commits.keys().filter_map(number).collect();
        let (mut next, mut found) = (0, Vec::new());
        for version in sealed {
            if version > next {
                found.push((next, version - 1));
            }
            next = version.saturating_add(1);
        }
        if next <= upto {
            found.push((next, upto));
        }
        found
    }

    /// When a file was taken away, in microseconds since 1970.
    pub(crate) fn gone_since(&self, file: &str) -> Option<i64> {
        self.gone.get(file).map(|gone| gone.time)
    }

    /// The segments whose rows a leaf's file holds, in ascending order.
    pub(crate) fn origins(&self, leaf: u64) -> Vec<u64> {
        let (mut open, mut found) = (vec![leaf], Vec::new());
        while let Some(leaf) = open.pop() {
            match self.replaces.get(&leaf) {
                // A statement speaks of earlier ones only: this ends.
                Some(all) => open.extend(all.iter().copied().filter(|l| *l < leaf)),
                None => found.push(leaf),
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Lake {
    /// The signed log.
    pub(crate) fn log(&self) -> Result<LogReader, StoreError> {
        LogReader::open(&self.dir.join("seal")).map_err(seal)
    }

    /// The log's statements, replayed.
    pub(crate) fn ledger(&self) -> Result<Ledger, StoreError> {
        Ledger::read(&self.log()?)
    }
}
