//! Events on their way into a segment: the records as received, and their columns.

mod long;
mod memo;
mod order;
mod sheet;
mod verdicts;
mod words;

use klio_model::event::{Event, Level, SourceScope, Stage};
use klio_model::{Field, Severity, Timestamp};

use crate::batch::Records;
use crate::columns::{COLUMNS, Column};

use memo::Memo;

pub(crate) use long::Long;
pub(crate) use order::KEY;
pub(crate) use sheet::{Cells, Sheet, span};
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
    /// What `extra` holds, by its text: the credential, and whether it can be read.
    extras: Memo<Extra>,
    /// Whether `groups` can be read.
    groups: Memo<bool>,
    /// What `sourceIPs` holds: the last address, its scope, and whether the list can be read.
    sources: Memo<Source>,
}

/// What the columns of an event share.
struct Shared<'m> {
    time: Option<Timestamp>,
    staged: Option<Timestamp>,
    credential: Option<&'m str>,
    address: Option<&'m str>,
    scope: Option<&'m str>,
    /// Whether what the columns lack is known to be absent.
    whole: bool,
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
        Self {
            sheet: Sheet::new(columns),
            extras: Memo::default(),
            groups: Memo::default(),
            sources: Memo::default(),
        }
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
        self.sheet.long().map_or(0, Long::bytes)
    }

    /// Reserves a block for records that are yet to be spooled.
    pub fn block(&mut self) -> u32 {
        self.sheet.long_mut().map_or(0, Long::block)
    }

    /// Takes the rows of another that `keep` says. Their records are added to `records`, which will be the block
    /// `block`.
    pub fn append(&mut self, other: &Self, keep: &[bool], records: &mut Records, block: u32) {
        self.sheet.append(&other.sheet, keep, records, block);
    }

    /// Gives a block the records that were reserved for it.
    pub fn fill(&mut self, block: u32, records: Records) {
        if let Some(long) = self.sheet.long_mut() {
            long.fill(block, records.into_bytes());
        }
    }

    /// Forgets the rows and keeps their room.
    pub fn clear(&mut self) {
        self.recycle(&mut Vec::new());
    }

    /// The same; the room of their blocks goes to `spare`.
    pub fn recycle(&mut self, spare: &mut Vec<Vec<u8>>) {
        self.sheet.clear(spare);
    }

    /// Takes an event: its text becomes the column `raw`.
    pub fn push(&mut self, event: &Event<'_>, custody: Custody<'_>, class: &str, severity: Option<Severity>) {
        let Self { sheet, extras, groups, sources } = self;
        let shared = shared(event, extras, groups, sources);
        for (column, cell) in sheet.columns.iter().zip(&mut sheet.cells) {
            match cell {
                Cells::Words(words) => word(words, column, event, custody, severity, &shared),
                Cells::Long(long) => long.push(event.json(), event.salvaged),
                Cells::Texts(text, ends, missing) => {
                    let value = event.text_of(Field::AuditId);
                    text.push_str(value.unwrap_or_default());
                    ends.push(text.len());
                    missing.push(value.is_none());
                }
                Cells::Numbers(numbers) => numbers.push(match (column.field, column.name) {
                    (Some(Field::Time), _) => shared.time.map_or(i64::MIN, Timestamp::micros),
                    (Some(Field::StageTime), _) => shared.staged.map_or(i64::MIN, Timestamp::micros),
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
                    None if column.name == "salvaged" => event.salvaged,
                    None => shared.whole,
                }),
            }
        }
        sheet.end(class, shared.time.unwrap_or(custody.received));
    }
}

type Extra = (Option<Box<str>>, bool);
type Source = (Option<Box<str>>, Option<&'static str>, bool);

fn shared<'m>(
    event: &Event<'_>,
    extras: &'m mut Memo<Extra>,
    groups: &mut Memo<bool>,
    sources: &'m mut Memo<Source>,
) -> Shared<'m> {
    let (received, staged) = (event.received_at(), event.staged_at());
    let extra = event.user.extra.text().and_then(|text| {
        extras.of(text, || {
            let credential: Option<Box<str>> = event.credential().map(Into::into);
            let readable = credential.is_some() || !event.user.extra.unreadable();
            (credential, readable)
        })
    });
    let group = event.user.groups.text().and_then(|text| groups.of(text, || !event.user.groups.unreadable()));
    let source = event.source_ips.text().and_then(|text| {
        sources.of(text, || {
            let address = event.source_ip();
            let scope = address.and_then(SourceScope::of).map(SourceScope::name);
            (address.map(Into::into), scope, !event.source_ips.unreadable())
        })
    });
    let readable =
        extra.is_none_or(|(_, read)| *read) && group.is_none_or(|read| *read) && source.is_none_or(|s| s.2);
    // The column has the time of the stage where the field has a text that is no time.
    let timed = event.received.is_none() == received.is_none() && event.staged.is_none() == staged.is_none();
    // The number that stands for none in the column.
    let numbered = event.code != Some(i64::MIN);
    let stated = event.stage != Stage::Unstated && event.level != Level::Unstated;
    Shared {
        time: received.or(staged),
        staged,
        credential: extra.and_then(|(credential, _)| credential.as_deref()),
        address: source.and_then(|(address, ..)| address.as_deref()),
        scope: source.and_then(|(_, scope, _)| *scope),
        whole: !event.salvaged && readable && timed && numbered && stated,
    }
}

fn word(
    words: &mut Words,
    column: &Column,
    event: &Event<'_>,
    custody: Custody<'_>,
    severity: Option<Severity>,
    shared: &Shared<'_>,
) {
    match column.field {
        None => match column.name {
            "cluster" => words.push(Some(custody.cluster)),
            "source" => words.push(Some(custody.source)),
            _ => words.push(severity.map(Severity::name)),
        },
        // As JSON, so that a name with a comma in it stays one name.
        Some(Field::Groups) => words.push(event.user.groups.text()),
        Some(Field::Credential) => words.push(shared.credential),
        Some(Field::SourceIp) => words.push(shared.address),
        Some(Field::SourceScope) => words.push(shared.scope),
        Some(Field::Decision) => words.push(event.annotation("authorization.k8s.io/decision").as_deref()),
        Some(field) => words.push(event.text_of(field)),
    }
}
