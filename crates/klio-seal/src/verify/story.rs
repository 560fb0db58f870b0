//! What the entries say, taken together: times, flushes, which files are there.

use std::collections::HashMap;

use super::{
    GAP, TOLERANCE,
    report::{Fact, LogReport, Problem},
};
use crate::manifest::{Entry, Hold, Manifest, Segment, Statement, StoredFile};

/// Goes through the entries in order.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// The latest time so far.
    latest: Option<i64>,
    /// The time of the entry before.
    before: Option<i64>,
    /// The files that must exist, by the entry that stated them.
    live: HashMap<u64, StoredFile>,
    paths: HashMap<String, u64>,
    flushes: HashMap<String, u64>,
    partitions: HashMap<(String, String), u64>,
    holds: Vec<Hold>,
}

impl Story {
    /// Takes the next entry in. Returns what it is, if it can be read.
    pub(super) fn entry(&mut self, index: u64, bytes: &[u8], report: &mut LogReport) -> Option<Entry> {
        let entry = match Manifest::decode(bytes) {
            Ok(entry) => entry,
            Err(error) => {
                report.problem(Problem::Manifest { index, why: error.to_string() });
                return None;
            }
        };
        let opened = matches!(entry.statement(), Some(Statement::Opened(_)));
        if index == 0 && !opened {
            report.problem(Problem::NoGenesis);
        }
        if let Some(time) = entry.time() {
            self.time(index, time, opened, report);
        }
        match &entry {
            Entry::Newer { kind, .. } => report.fact(Fact::NewerKind { index, kind: kind.clone() }),
            Entry::Extended(_) => report.fact(Fact::NewerFields { index }),
            Entry::Known(_) => {}
        }
        if let Entry::Known(manifest) | Entry::Extended(manifest) = &entry {
            self.statement(index, manifest, report);
        }
        Some(entry)
    }

    /// The time of the newest entry.
    pub(super) fn newest(&self) -> Option<i64> {
        self.before
    }

    fn time(&mut self, index: u64, time: i64, restart: bool, report: &mut LogReport) {
        if let Some(latest) = self.latest.filter(|latest| *latest > time) {
            let back = latest.abs_diff(time);
            if back > TOLERANCE {
                report.problem(Problem::BackDated { index, back: back / 1_000_000 });
            }
        }
        if let Some(before) = self.before.filter(|before| *before < time) {
            let silence = before.abs_diff(time);
            if silence > GAP {
                report.fact(Fact::Unattested { index, seconds: silence / 1_000_000, restart });
            }
        }
        self.latest = self.latest.max(Some(time));
        self.before = Some(time);
    }

    fn statement(&mut self, index: u64, manifest: &Manifest, report: &mut LogReport) {
        match &manifest.statement {
            Statement::Segment(segment) => self.segment(index, manifest.time, segment, report),
            Statement::Compaction(compaction) => {
                let stored = &compaction.stored;
                let mut before = 0u64;
                for source in &compaction.replaces {
                    let taken = self.take(index, *source, &stored.table, &stored.partition, report);
                    before = before.saturating_add(taken.unwrap_or_default());
                }
                if before != stored.rows {
                    report.problem(Problem::Rows { index, before, after: stored.rows });
                }
                self.add(index, stored, report);
            }
            Statement::Expiry(expiry) => {
                for source in &expiry.removed {
                    self.take(index, *source, &expiry.table, &expiry.partition, report);
                }
                if !self.holds.is_empty() {
                    report.fact(Fact::ExpiryUnderHold { index, holds: self.holds.len() });
                }
            }
            Statement::Hold(hold) => self.holds.push(hold.clone()),
            Statement::Release(hold) => {
                let same = |held: &Hold| held.filter == hold.filter && held.owner == hold.owner;
                if let Some(place) = self.holds.iter().position(same) {
                    self.holds.remove(place);
                }
            }
            Statement::Opened(_) | Statement::Key(_) | Statement::Tick | Statement::Note(_) => {}
        }
    }

    fn segment(&mut self, index: u64, time: i64, segment: &Segment, report: &mut LogReport) {
        let (table, partition) = (&segment.stored.table, &segment.stored.partition);
        let received = segment.last_received.max(segment.first_received);
        if received > time && received.abs_diff(time) > TOLERANCE {
            report.problem(Problem::ReceivedLater { index, late: received.abs_diff(time) / 1_000_000 });
        }
        // One flush may write several partitions, each once.
        let flush = segment.flush;
        let of_table = self.flushes.insert(table.clone(), flush).filter(|before| *before > flush);
        let place = (table.clone(), partition.clone());
        let of_partition = self.partitions.insert(place, flush).filter(|before| *before >= flush);
        if let Some(before) = of_table.or(of_partition) {
            report.problem(Problem::Flush { index, table: table.clone(), flush, before });
        }
        self.add(index, &segment.stored, report);
    }

    fn add(&mut self, index: u64, stored: &StoredFile, report: &mut LogReport) {
        if let Some(earlier) = self.paths.insert(stored.file.clone(), index) {
            report.problem(Problem::SamePath { index, earlier, file: stored.file.clone() });
        }
        self.live.insert(index, stored.clone());
    }

    /// Takes a file away; returns how many events it held.
    fn take(
        &mut self,
        index: u64,
        source: u64,
        table: &str,
        partition: &str,
        report: &mut LogReport,
    ) -> Option<u64> {
        let why = match self.live.get(&source) {
            _ if source >= index => "that is no earlier entry",
            None => "that entry states no file, or one that was taken away before",
            Some(stored) if stored.table != table || stored.partition != partition => {
                "that file is of another table or partition"
            }
            Some(_) => {
                let stored = self.live.remove(&source)?;
                self.paths.remove(&stored.file);
                return Some(stored.rows);
            }
        };
        report.problem(Problem::Source { index, source_index: source, why });
        None
    }
}
