//! Removing what has been kept as long as the rules say: whole partitions, and no event under a hold.
//!
//! A file in which one event is held stays whole: then its row tree, and the proof of the held event, stay as they
//! were. Findings and incidents of a day stay as long as an event of that day is held.

use std::collections::HashMap;

use arrow::array::AsArray;
use klio_model::Timestamp;
use klio_seal::{Expiry, Statement};

use crate::batch::event;
use crate::day::{DAY, FIRST_DATE, LAST_DATE, day_begin};
use crate::error::StoreError;
use crate::hold::Held;
use crate::ledger::Ledger;
use crate::settings::Classes;
use crate::table::{ChangeKind, DataFile};
use crate::whole::{Whole, salvaged};
use crate::writer::{Batch, TABLES, Writer, now};

/// Files that one statement of the log names, so that it fits into an entry.
const FILES: usize = 300;

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// By table and partition.
    pub partitions: Vec<ExpiredPartition>,
}

/// The files of a partition whose time is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpiredPartition {
    /// The table.
    pub table: &'static str,
    /// The class of retention.
    pub class: String,
    /// The day of the events, `2026-11-21`.
    pub day: String,
    /// The rule in words.
    pub rule: String,
    /// Files that were removed.
    pub files: u64,
    /// Events, findings or incidents in them.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that stay because of a hold.
    pub held: u64,
}

impl Writer {
    /// The time, but no later than two days after the last day with events: a clock that runs ahead must not cost evidence.
    pub fn careful_now(&mut self) -> Result<Timestamp, StoreError> {
        let files = self.table("events").files()?;
        let dated = files.iter().filter(|file| file.day != FIRST_DATE && file.day != LAST_DATE);
        let last = dated.filter_map(|file| day_begin(&file.day)).max();
        Ok(Timestamp(last.map_or(0, |last| last.saturating_add(3 * DAY)).min(now())))
    }

    /// Removes the files of all partitions whose days are over at `now`, but for those under a hold. With `dry_run`
    /// only says which.
    pub fn expire(
        &mut self,
        now: Timestamp,
        classes: &Classes,
        dry_run: bool,
    ) -> Result<Expired, StoreError> {
        let mut ledger = self.ledger()?;
        let mut expired = Expired::default();
        let mut asked = Asked::default();
        let mut known = HashMap::new();
        for name in classes.names() {
            // An encrypted lake does not tell its classes.
            let class = match &self.lake.vault {
                Some(vault) => vault.class(name)?,
                None => name.to_owned(),
            };
            known.insert(class, classes.days(name));
        }
        for name in TABLES {
            let files = self.table(name).files()?;
            for partition in files.chunk_by(|a, b| (&a.day, &a.class) == (&b.day, &b.class)) {
                let Some(DataFile { class, day, .. }) = partition.first() else { continue };
                let days = known
                    .get(class)
                    .or_else(|| self.lake.vault.as_ref().and_then(|_| known.get(generation(class))))
                    .copied()
                    .unwrap_or_else(|| classes.days(class));
                let at = now.micros().saturating_sub(i64::from(days).saturating_mul(DAY));
                if day_begin(day).is_none_or(|begin| begin + DAY > at) {
                    continue;
                }
                let mut due = Vec::new();
                for file in partition {
                    // What the log does not know is for `verify` to name, not for us to remove.
                    let known = ledger.leaf_of(&format!("{name}/{}", file.path)).is_some();
                    if known && !self.is_held(name, file, &ledger, &mut asked)? {
                        due.push(file.clone());
                    }
                }
                let rule = format!("{class}: {days} days");
                expired.partitions.push(ExpiredPartition {
                    table: name,
                    class: class.clone(),
                    day: day.clone(),
                    rule: rule.clone(),
                    files: due.len() as u64,
                    rows: due.iter().map(|file| file.rows).sum(),
                    bytes: due.iter().map(|file| file.size).sum(),
                    held: (partition.len() - due.len()) as u64,
                });
                for files in due.chunks(FILES).filter(|_| !dry_run) {
                    self.remove(name, files, &rule, at, &mut ledger)?;
                }
            }
        }
        Ok(expired)
    }

    fn remove(
        &mut self,
        table: &'static str,
        files: &[DataFile],
        rule: &str,
        at: i64,
        ledger: &mut Ledger,
    ) -> Result<(), StoreError> {
        let Some(DataFile { class, day, .. }) = files.first() else { return Ok(()) };
        let paths: Vec<String> = files.iter().map(|file| format!("{table}/{}", file.path)).collect();
        let expiry = Expiry {
            table: table.to_owned(),
            partition: format!("{class}/{day}"),
            rule: rule.to_owned(),
            reason: "the time of keeping is over".into(),
            at,
            removed: paths.iter().filter_map(|path| ledger.leaf_of(path)).collect(),
            files: paths,
        };
        let statement = Statement::Expiry(expiry);
        let kind = ChangeKind::Expire { rule: format!("class = '{class}' AND day = '{day}'") };
        let batch =
            Batch { add: Vec::new(), remove: files.to_vec(), kind, statements: vec![statement.clone()] };
        let (leaf, time) = self.commit(table, batch)?;
        ledger.take(leaf, time, &statement);
        // Their time is over for readers too.
        files.iter().try_for_each(|file| self.table(table).place.remove(&file.path))
    }

    fn is_held(
        &mut self,
        table: &str,
        file: &DataFile,
        ledger: &Ledger,
        asked: &mut Asked,
    ) -> Result<bool, StoreError> {
        if ledger.holds.is_empty() {
            return Ok(false);
        }
        if table == "events" {
            return self.holds_in(file, ledger, asked);
        }
        if let Some(held) = asked.days.get(&file.day) {
            return Ok(*held);
        }
        let mut held = false;
        for other in self.table("events").files()?.iter().filter(|other| other.day == file.day) {
            held = held || self.holds_in(other, ledger, asked)?;
        }
        asked.days.insert(file.day.clone(), held);
        Ok(held)
    }

    /// Whether an event of a day is held, of one class or any.
    pub(crate) fn holds_on(&self, class: Option<&str>, day: &str) -> Result<bool, StoreError> {
        let ledger = self.ledger()?;
        let mut asked = Asked::default();
        for file in self
            .lake
            .events
            .files()?
            .iter()
            .filter(|f| f.day == day && class.is_none_or(|class| f.class == class))
        {
            if !ledger.holds.is_empty() && self.holds_in(file, &ledger, &mut asked)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an event of a file is held.
    fn holds_in(&self, file: &DataFile, ledger: &Ledger, asked: &mut Asked) -> Result<bool, StoreError> {
        if let Some(held) = asked.files.get(&file.path) {
            return Ok(*held);
        }
        if ledger.shredded.contains(&format!("{}/{}", file.class, file.day)) {
            return Ok(false);
        }
        let mut held = false;
        let whole = Whole::open(&self.lake.events, &file.path, file.size)?;
        for batch in whole.batches(Some(&["raw", "salvaged"]), 1024)? {
            let batch = batch.map_err(StoreError::damaged(&file.path))?;
            let (cut, raws) =
                (salvaged(&batch), batch.column_by_name("raw").and_then(|c| c.as_string_opt::<i32>()));
            // What cannot be read stays.
            let Some(raws) = raws else { return Ok(true) };
            let is_held =
                |(row, raw): (usize, Option<&str>)| is_held(&ledger.holds, raw.unwrap_or_default(), cut(row));
            held = held || raws.iter().enumerate().any(is_held);
        }
        asked.files.insert(file.path.clone(), held);
        Ok(held)
    }
}

/// The name of a class without the number that it has after a shredding.
fn generation(class: &str) -> &str {
    class.rsplit_once('-').filter(|(name, _)| name.starts_with("c-")).map_or(class, |(name, _)| name)
}

/// Answers that were found before.
#[derive(Default)]
struct Asked {
    files: HashMap<String, bool>,
    days: HashMap<String, bool>,
}

/// Whether a record must stay.
fn is_held(holds: &[Held], raw: &str, salvaged: bool) -> bool {
    let event = event(raw, salvaged);
    holds.iter().any(|held| held.holds(event.as_ref()))
}
