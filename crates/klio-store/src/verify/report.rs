//! What a verification found, in words.

use klio_model::Timestamp;
use serde::{Serialize, Serializer};

use super::Depth;

/// The outcome of a verification.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What is wrong. Empty means: the lake is what was sealed.
    pub problems: Vec<Problem>,
    /// What is not wrong but should be known.
    pub facts: Vec<String>,
    /// Entries of the log.
    pub entries: u64,
    /// The log's root, in hexadecimal digits.
    pub root: String,
    /// Checkpoints that the log's history held.
    pub checkpoints: u64,
    /// The largest checkpoint that the witnesses cosigned: entries, and seconds since 1970.
    pub witnessed: Option<(u64, u64)>,
    /// Data files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows whose leaves were computed again; none when only files were hashed.
    pub rows: u64,
    /// Segments whose row trees were computed again, also out of merged files.
    pub segments: u64,
    /// Batches of the spool that are not in the lake yet.
    pub spooled: u64,
    /// Whether row trees were computed.
    pub full: bool,
}

/// Something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Of which kind.
    pub kind: Kind,
    /// Where, as a path below the lake.
    pub place: String,
    /// What.
    pub what: String,
    /// The last moment at which it was otherwise, as far as the seal knows.
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The signed log is not in order.
    Log,
    /// The lake's own description is not in order.
    Lake,
    /// A table's log is not what was sealed.
    Table,
    /// A file that the log states is not there.
    Missing,
    /// A file is not what was sealed.
    Altered,
    /// A file that nobody sealed.
    Smuggled,
    /// Rows of a segment are not those that were sealed.
    Rows,
    /// Acknowledged batches are damaged or gone.
    Spool,
    /// Something was removed before its time.
    Expiry,
}

impl Kind {
    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Log => {
                "copy the lake before anything else touches it; compare its checkpoint with the ones kept elsewhere and \
                 ask the witnesses"
            }
            Self::Lake => "put lake.json back from a backup",
            Self::Table => {
                "if a writer was killed just now, open the lake for writing once and verify again; otherwise put the \
                 table's `_delta_log` back from a backup"
            }
            Self::Missing => "put the file back from a backup: it can be verified again",
            Self::Altered => "keep the altered file as evidence and put the sealed one back from a backup",
            Self::Smuggled => {
                "do not trust answers from it: move the file away and see who could write there"
            }
            Self::Rows => {
                "the writer or its key was not to be trusted when this was written: see who had them"
            }
            Self::Spool => {
                "ask the senders for what they still have, and the API server's own log, for that time"
            }
            Self::Expiry => "put the files back from a backup, and see who changed the rules or the clock",
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        match self.since {
            Some(since) => write!(f, " (sealed {since})"),
            None => Ok(()),
        }
    }
}

impl Report {
    pub(super) fn new(depth: Depth) -> Self {
        Self { full: depth == Depth::Rows, ..Self::default() }
    }

    /// Whether nothing is wrong.
    pub fn ok(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn problem(&mut self, kind: Kind, place: &str, what: String, since: Option<i64>) {
        let since = since.map(Timestamp);
        self.problems.push(Problem { kind, place: place.to_owned(), what, since });
    }
}

fn time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}
