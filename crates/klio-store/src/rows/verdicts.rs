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
}

/// Findings or incidents.
#[derive(Debug)]
pub struct Verdicts(pub(crate) Sheet);

impl Verdicts {
    /// Takes verdicts, as judged `now`.
    pub(crate) fn of<'v>(all: impl Iterator<Item = &'v Verdict>, now: Timestamp, class: &str) -> Self {
        let mut sheet = Sheet::new(VERDICTS);
        for verdict in all {
            let time = verdict.time.unwrap_or(now);
            for (column, cells) in VERDICTS.iter().zip(&mut sheet.cells) {
                match column.name {
                    "time" => cells.number(time.micros()),
                    "received" => cells.number(now.micros()),
                    "flush" => cells.number(0),
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
