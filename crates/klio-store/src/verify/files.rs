//! Each data file against its statement.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use klio_seal::{Hash, LogReader};
use parquet::encryption::decrypt::FileDecryptionProperties;

use super::tables::Found;
use super::{Kind, Report};
use crate::day::{DAY, day_begin};
use crate::error::StoreError;
use crate::ledger::{Ledger, Live};
use crate::whole::Whole;

/// What is done with a file's bytes.
pub(super) enum Reading {
    Hashes,
    /// Rows too, with the keys of an encrypted lake.
    Rows(Option<Arc<FileDecryptionProperties>>),
}

/// Reads every file that must be there.
pub(super) fn check(dir: &Path, found: &Found, ledger: &Ledger, reading: &Reading, report: &mut Report) {
    let by_hash: HashMap<Hash, &str> =
        ledger.live.values().map(|live| (live.stored.file_hash, live.stored.file.as_str())).collect();
    for partition in &ledger.shredded {
        report
            .facts
            .push(format!("the key of {partition} was destroyed: its files are checked by their hashes"));
    }
    let mut later = Later { dir, read: None };
    for (leaf, live) in &ledger.live {
        let (stored, since) = (&live.stored, Some(live.time));
        let bytes = match found.place.read_all(&stored.file, stored.bytes) {
            Ok(bytes) => bytes,
            // Something else lies in its place, or more than it.
            Err(StoreError::Damaged { said, .. }) => {
                let said = format!("it is not the file of log entry {leaf}, {} rows: {said}", stored.rows);
                report.problem(Kind::Altered, &stored.file, said, since);
                continue;
            }
            Err(error) => {
                if later.is_live(*leaf) {
                    let said =
                        format!("the file of log entry {leaf}, {} rows, is missing: {error}", stored.rows);
                    report.problem(Kind::Missing, &stored.file, said, since);
                }
                continue;
            }
        };
        report.files += 1;
        report.bytes += bytes.len() as u64;
        let hash = Hash::of(&bytes);
        if hash != stored.file_hash {
            let said = match by_hash.get(&hash) {
                Some(other) => format!("it is a copy of {other} and not the file of log entry {leaf}"),
                None if bytes.len() as u64 == stored.bytes => {
                    format!("it was altered: it is not the file of log entry {leaf}, {} rows", stored.rows)
                }
                None => format!("it has {} bytes, log entry {leaf} states {}", bytes.len(), stored.bytes),
            };
            report.problem(Kind::Altered, &stored.file, said, since);
            continue;
        }
        if ledger.shredded.contains(&stored.partition) {
            continue;
        }
        if let Reading::Rows(keys) = reading {
            let whole = Whole::of(&stored.file, bytes, keys.as_ref());
            if let Err(error) = rows(whole, *leaf, live, ledger, report) {
                report.problem(Kind::Rows, &stored.file, error.to_string(), since);
            }
        }
    }
}

/// Computes the row tree of a file, and those of the segments in it.
fn rows(
    whole: Result<Whole, StoreError>,
    leaf: u64,
    live: &Live,
    ledger: &Ledger,
    report: &mut Report,
) -> Result<(), StoreError> {
    let (all, each) = whole?.trees()?;
    report.rows += all.size();
    let (stored, since) = (&live.stored, Some(live.time));
    if (all.size(), all.root()) != (stored.rows, stored.root) {
        let said = format!("its {} rows are not the {} of log entry {leaf}", all.size(), stored.rows);
        report.problem(Kind::Rows, &stored.file, said, since);
    }
    let mut found: BTreeMap<u64, _> = each.into_iter().collect();
    for origin in ledger.origins(leaf) {
        let tree = found.remove(&origin);
        let Some(source) = ledger.sources.get(&origin) else { continue };
        report.segments += 1;
        if tree.map(|tree| (tree.size(), tree.root())) != Some((source.rows, source.root)) {
            let said = format!("the rows of the segment of log entry {origin} are not as stated");
            report.problem(Kind::Rows, &stored.file, said, since);
        }
    }
    for stranger in found.keys() {
        let said = format!("it holds rows of log entry {stranger}, which is none of its segments");
        report.problem(Kind::Rows, &stored.file, said, since);
    }
    Ok(())
}

/// The log as it is by now, for files that are gone: a writer may have replaced them meanwhile.
struct Later<'d> {
    dir: &'d Path,
    read: Option<(u64, Ledger)>,
}

impl Later<'_> {
    fn is_live(&mut self, leaf: u64) -> bool {
        let Ok(log) = LogReader::open(&self.dir.join("seal")) else { return true };
        if self.read.as_ref().is_none_or(|(size, _)| *size != log.size()) {
            self.read = Ledger::read(&log).ok().map(|ledger| (log.size(), ledger));
        }
        self.read.as_ref().is_none_or(|(_, ledger)| ledger.live.contains_key(&leaf))
    }
}

/// What was removed by a rule was removed in its time.
pub(super) fn expiries(ledger: &Ledger, report: &mut Report) {
    for (leaf, time, expiry) in &ledger.expiries {
        let place = format!("{}/{}", expiry.table, expiry.partition);
        let day = expiry.partition.rsplit('/').next().unwrap_or_default();
        if day_begin(day).is_none_or(|begin| begin + DAY > expiry.at) {
            let said = format!("log entry {leaf} removed files before the rule `{}` allowed it", expiry.rule);
            report.problem(Kind::Expiry, &place, said, Some(*time));
        }
        // `class: 400 days`
        let days = expiry.rule.rsplit(": ").next().and_then(|words| words.strip_suffix(" days"));
        let days = days.and_then(|days| days.parse::<i64>().ok()).unwrap_or(0);
        if expiry.at > time.saturating_sub(days.saturating_mul(DAY)).saturating_add(DAY) {
            let said = format!("log entry {leaf} removed files by a clock that was ahead of the log's");
            report.problem(Kind::Expiry, &place, said, Some(*time));
        }
        let (files, rule) = (expiry.files.len(), &expiry.rule);
        report.facts.push(format!("{files} files of {place} were removed by the rule `{rule}`"));
    }
}
