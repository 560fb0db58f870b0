//! Findings and incidents read back from their tables.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use klio_model::{TimeRange, Timestamp};

use crate::columns::word;
use crate::error::StoreError;
use crate::file::OpenFile;
use crate::lake::Lake;
use crate::view::may_overlap;

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerdictKind {
    /// One rule's verdict.
    Finding,
    /// Findings that belong together.
    Incident,
}

/// A finding or an incident as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptVerdict {
    /// When it happened.
    pub time: Option<Timestamp>,
    /// Its number.
    pub id: String,
    /// In which cluster.
    pub cluster: String,
    /// How bad it is.
    pub severity: String,
    /// The rule.
    pub rule: String,
    /// In a few words.
    pub title: String,
    /// Who.
    pub actor: String,
    /// All of it.
    pub json: String,
}

/// Which verdicts are wanted; texts are compared without regard to case.
#[derive(Clone, Copy, Default, Debug)]
pub struct Wanted<'w> {
    /// When it happened.
    pub range: TimeRange,
    /// The actor; all if none is given.
    pub actor: Option<&'w str>,
    /// A part of the rule's name or of the title; an empty one fits all.
    pub rule: &'w str,
}

const NAMES: [&str; 9] = ["time", "id", "cluster", "received", "severity", "rule", "title", "actor", "raw"];

impl Lake {
    /// The verdicts that are wanted, in the order of time. Of several with one id the last that was kept counts.
    /// Events that are in no data file yet have no verdicts yet.
    pub fn verdicts(
        &mut self,
        kind: VerdictKind,
        wanted: Wanted<'_>,
    ) -> Result<Vec<KeptVerdict>, StoreError> {
        let files = self.steady(|lake| {
            lake.refresh()?;
            let table = if kind == VerdictKind::Finding { &lake.findings } else { &lake.incidents };
            let files = lake.readable(table)?.0.into_iter().filter(|file| may_overlap(file, wanted.range));
            files
                .map(|file| OpenFile::open(&table.place, &file, &lake.footers))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let mut last: HashMap<String, (i64, KeptVerdict)> = HashMap::new();
        for file in &files {
            for group in 0..file.groups() {
                let batch = file.columns(group, &NAMES)?;
                for row in 0..batch.num_rows() {
                    let verdict = verdict(&batch, row);
                    let received = time(&batch, "received", row).unwrap_or(i64::MIN);
                    if last.get(&verdict.id).is_none_or(|(known, _)| *known <= received) {
                        last.insert(verdict.id.clone(), (received, verdict));
                    }
                }
            }
        }
        let mut found: Vec<KeptVerdict> =
            last.into_values().map(|(_, v)| v).filter(|v| wanted.fits(v)).collect();
        if let Some(sight) = &self.sight {
            found.retain(|verdict| sight.sees_verdict(kind, verdict));
        }
        found.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        Ok(found)
    }
}

impl Wanted<'_> {
    fn fits(&self, verdict: &KeptVerdict) -> bool {
        let has =
            |text: &str, part: &str| part.is_empty() || text.to_lowercase().contains(&part.to_lowercase());
        self.range.holds(verdict.time)
            && self.actor.is_none_or(|actor| verdict.actor.to_lowercase() == actor.to_lowercase())
            && (has(&verdict.rule, self.rule) || has(&verdict.title, self.rule))
    }
}

fn verdict(batch: &RecordBatch, row: usize) -> KeptVerdict {
    let word = |name: &str| word(batch, name, row).unwrap_or_default().to_owned();
    let raw = batch.column_by_name("raw").and_then(|c| c.as_string_opt::<i32>());
    KeptVerdict {
        time: time(batch, "time", row).map(Timestamp),
        id: word("id"),
        cluster: word("cluster"),
        severity: word("severity"),
        rule: word("rule"),
        title: word("title"),
        actor: word("actor"),
        json: raw.filter(|r| r.is_valid(row)).map(|r| r.value(row).to_owned()).unwrap_or_default(),
    }
}

fn time(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let array = batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    array.is_valid(row).then(|| array.value(row))
}
