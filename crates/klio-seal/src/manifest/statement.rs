//! The kinds of statements. Field order is part of the format: it is the order of the canonical JSON.

use serde::{Deserialize, Serialize};

use crate::hash::Hash;

/// What a manifest states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Statement {
    /// A writer opened the log: the first leaf of every log, and after every restart.
    Opened(Opened),
    /// A file of events was added to the lake.
    Segment(Segment),
    /// Files were rewritten as one, with the same events.
    Compaction(Compaction),
    /// Files were removed because a rule of retention said so.
    Expiry(Expiry),
    /// Events under a filter must not be removed.
    Hold(Hold),
    /// A hold has ended.
    Release(Hold),
    /// The life of a key.
    Key(Key),
    /// A minute in which nothing happened: silence is attested.
    Tick,
    /// Anything that custody needs on record, an export for example.
    Note(Remark),
}

/// The names of all kinds of [`Statement`].
pub(super) const KINDS: [&str; 9] =
    ["opened", "segment", "compaction", "expiry", "hold", "release", "key", "tick", "note"];

/// A writer opened the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The lake's id.
    pub lake: String,
    /// The log's origin.
    pub origin: String,
    /// Program and version that write.
    pub tool: String,
}

/// A file as it must stand in the lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// The table it belongs to.
    pub table: String,
    /// Its partition, opaque here.
    pub partition: String,
    /// Its path relative to the lake.
    pub file: String,
    /// SHA-256 of its bytes as stored (encrypted, if they are).
    pub file_hash: Hash,
    /// Its length.
    pub bytes: u64,
    /// How many events it holds.
    pub rows: u64,
    /// The root of its row tree ([`crate::RowTree`]).
    pub root: Hash,
    /// The id of the key that encrypts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A file of events was added. Times are microseconds since 1970, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The file.
    #[serde(flatten)]
    pub stored: StoredFile,
    /// The flush that wrote it; larger than all earlier ones of its table and partition.
    pub flush: u64,
    /// When the first of its events happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_event: Option<i64>,
    /// When the last of its events happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event: Option<i64>,
    /// When the first of its events was received.
    pub first_received: i64,
    /// When the last of its events was received.
    pub last_received: i64,
    /// Which part of the spool it holds.
    pub spool: Span,
    /// The id of the redaction policy under which the events were received.
    pub redaction: String,
    /// Where the events came from.
    pub sources: Vec<String>,
}

/// A part of the spool: `from` up to, not including, `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First position.
    pub from: u64,
    /// Position after the last.
    pub to: u64,
}

/// Files were rewritten as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compaction {
    /// The new file.
    #[serde(flatten)]
    pub stored: StoredFile,
    /// The leaves that stated the files it replaces.
    pub replaces: Vec<u64>,
}

/// Files were removed by a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// The table they belonged to.
    pub table: String,
    /// Their partition.
    pub partition: String,
    /// The rule's name.
    pub rule: String,
    /// Why, in words.
    pub reason: String,
    /// The moment before which the rule removes events, in microseconds since 1970.
    pub at: i64,
    /// The leaves that stated the files.
    pub removed: Vec<u64>,
    /// Their paths.
    pub files: Vec<String>,
}

/// Events that must not be removed, or may be again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which events, in Klio's predicate language.
    pub filter: String,
    /// Who asked.
    pub owner: String,
    /// Why.
    pub reason: String,
}

/// The life of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// What happened.
    pub event: KeyEvent,
    /// Which key.
    pub id: String,
    /// For a key that signs the log: the text of its [`crate::Verifier`]. Together with
    /// [`KeyEvent::Rotated`] it hands the log over to that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyEvent {
    /// It was made.
    Created,
    /// It took over.
    Rotated,
    /// Nobody has it any more, and what it encrypted is gone.
    Destroyed,
}

/// Something for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// What it is about: `export`, `alert` and so on.
    pub topic: String,
    /// The words.
    pub text: String,
    /// SHA-256 of what is spoken about, of an exported `bundle.json` for example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
}
