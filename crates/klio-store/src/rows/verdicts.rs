//! Findings and incidents on their way into their tables.

use klio_model::Timestamp;

use super::Sheet;
use crate::columns::VERDICTS;

/// A finding or an incident.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Its number.
    pub id: String,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// In which cluster.
    pub cluster: String,
    /// How bad it is.
    pub severity: &'static str,
    /// The rule; of an incident the first of its rules.
    pub rule: String,
    /// In a few words.
    pub title: String,
    /// Who.
    pub actor: String,
    /// All of it as JSON.
    pub json: String,
    /// The batch of the spool that led to it.
    pub batch: u64,
}

/// Findings or incidents.
#[derive(Debug)]
pub struct Verdicts(pub(crate) Sheet);

impl Verdicts {
    /// Those that come from batches after `upto`.
    pub(crate) fn after(upto: u64, all: &[Verdict], now: Timestamp, class: &str) -> Self {
        let mut sheet = Sheet::new(VERDICTS);
        for verdict in all.iter().filter(|v| v.batch > upto) {
            let time = verdict.time.unwrap_or(now);
            for (column, cells) in VERDICTS.iter().zip(&mut sheet.cells) {
                match column.name {
                    "time" => cells.number(time.micros()),
                    "received" => cells.number(now.micros()),
                    "flush" => cells.number(verdict.batch as i64),
                    "id" => cells.text(Some(&verdict.id)),
                    "cluster" => cells.text(Some(&verdict.cluster)),
                    "severity" => cells.text(Some(verdict.severity)),
                    "rule" => cells.text(Some(&verdict.rule)),
                    "title" => cells.text(Some(&verdict.title)),
                    "actor" => cells.text(Some(&verdict.actor)),
                    "source" => cells.text(Some("klio")),
                    _ => cells.text(Some(&verdict.json)),
                }
            }
            sheet.end(class, time);
        }
        Self(sheet)
    }
}
