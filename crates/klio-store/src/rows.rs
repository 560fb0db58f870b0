//! Events on their way into a segment: the records as received, and their columns.

mod order;
mod sheet;
mod verdicts;
mod words;

use klio_model::event::{Event, Level, Stage};
use klio_model::{Field, Severity, Timestamp};

use crate::columns::{COLUMNS, Column};

pub(crate) use order::KEY;
pub(crate) use sheet::{Cells, Sheet};
pub use verdicts::{Verdict, Verdicts};
pub(crate) use words::Words;

/// What is known of a record besides its text: the preamble of its leaf in the row tree.
#[derive(Clone, Copy, Debug)]
pub struct Custody<'c> {
    /// Which cluster it comes from.
    pub cluster: &'c str,
    /// Which source handed it over.
    pub source: &'c str,
    /// When it was received.
    pub received: Timestamp,
}

/// Events in the order in which they came, ready to be written as one segment for each partition.
#[derive(Debug)]
pub struct Rows {
    pub(crate) sheet: Sheet,
    /// The credential that an `extra` holds, by the text of the `extra`.
    extras: Words,
    credentials: Vec<Option<Box<str>>>,
}

impl Default for Rows {
    fn default() -> Self {
        Self::new()
    }
}

impl Rows {
    /// No rows.
    pub fn new() -> Self {
        Self::of(COLUMNS)
    }

    /// No rows, of these columns.
    pub(crate) fn of(columns: &'static [Column]) -> Self {
        Self { sheet: Sheet::new(columns), extras: Words::default(), credentials: Vec::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sheet.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sheet.count == 0
    }

    /// Bytes of the records.
    pub fn bytes(&self) -> usize {
        self.sheet.bytes()
    }

    /// The record of a row.
    pub fn raw(&self, row: usize) -> &str {
        match self.sheet.cells("raw") {
            Some(Cells::Texts(text, ends, _)) => text.get(sheet::span(ends, row)).unwrap_or_default(),
            _ => "",
        }
    }

    /// Takes the rows of another that `keep` says.
    pub fn append(&mut self, other: &Self, keep: &[bool]) {
        self.sheet.append(&other.sheet, keep);
    }

    /// Forgets the rows and keeps their room.
    pub fn clear(&mut self) {
        self.sheet.clear();
        self.extras.clear();
        self.credentials.clear();
    }

    /// Takes an event: its text becomes the column `raw`.
    pub fn push(
        &mut self,
        event: &Event<'_>,
        custody: Custody<'_>,
        class: &str,
        severity: Option<Severity>,
        _flush: u64,
    ) {
        let time = event.time();
        let mut cells = std::mem::take(&mut self.sheet.cells);
        for (column, cell) in self.sheet.columns.iter().zip(&mut cells) {
            match cell {
                Cells::Words(words) => self.word(words, column, event, custody, severity),
                Cells::Texts(text, ends, missing) => {
                    let value =
                        if column.name == "raw" { Some(event.json()) } else { event.text_of(Field::AuditId) };
                    text.push_str(value.unwrap_or_default());
                    ends.push(text.len());
                    missing.push(value.is_none());
                }
                Cells::Numbers(numbers) => numbers.push(match (column.field, column.name) {
                    (Some(Field::Time), _) => time.map_or(i64::MIN, Timestamp::micros),
                    (Some(Field::StageTime), _) => {
                        let staged = event.text_of(Field::StageTime).and_then(Timestamp::parse);
                        staged.map_or(i64::MIN, Timestamp::micros)
                    }
                    (Some(Field::Code), _) => event.code.unwrap_or(i64::MIN),
                    (_, "received") => custody.received.micros(),
                    // The leaf of its segment, which is known when the file is packed.
                    _ => 0,
                }),
                Cells::Bools(bools) => bools.push(match column.field {
                    Some(Field::DryRun) => event.dry_run(),
                    Some(_) => event.is_write(),
                    None if column.name == "body" => {
                        event.request_object.text().is_some() || event.response_object.text().is_some()
                    }
                    None => is_whole(event),
                }),
            }
        }
        self.sheet.cells = cells;
        self.sheet.end(class, time.unwrap_or(custody.received));
    }

    fn word(
        &mut self,
        words: &mut Words,
        column: &Column,
        event: &Event<'_>,
        custody: Custody<'_>,
        severity: Option<Severity>,
    ) {
        match column.field {
            None => match column.name {
                "cluster" => words.push(Some(custody.cluster)),
                "source" => words.push(Some(custody.source)),
                _ => words.push(severity.map(Severity::name)),
            },
            // As JSON, so that a name with a comma in it stays one name.
            Some(Field::Groups) => words.push(event.user.groups.text()),
            Some(Field::Credential) => {
                let Some(extra) = event.user.extra.text() else { return words.push(None) };
                let index = self.extras.index(extra) as usize;
                if index == self.credentials.len() {
                    self.credentials.push(event.credential().map(Into::into));
                }
                words.push(self.credentials.get(index).and_then(Option::as_deref));
            }
            Some(Field::Decision) => words.push(event.annotation("authorization.k8s.io/decision").as_deref()),
            Some(field) => words.push(event.text_of(field)),
        }
    }
}

/// Whether what the columns of an event lack is known to be absent.
fn is_whole(event: &Event<'_>) -> bool {
    let readable = !event.user.groups.unreadable()
        && !event.source_ips.unreadable()
        && (event.user.extra.text().is_none()
            || event.credential().is_some()
            || !event.user.extra.unreadable());
    // The column has the time of the stage where the field has a text that is no time.
    let is_time = |field| event.text_of(field).is_none_or(|t| Timestamp::parse(t).is_some());
    let timed = is_time(Field::Time) && is_time(Field::StageTime);
    !event.salvaged && readable && timed && event.stage != Stage::Unstated && event.level != Level::Unstated
}
