//! One event's proof, and how it is checked: without the lake, with the log's public key alone.

use klio_seal::{Checkpoint, Manifest, Path, Statement, StoredFile, Verifier, leaf_hash, verify_inclusion};
use serde::{Deserialize, Serialize};

/// The proof that the lake sealed one event. It is checked with the public key alone ([`Proof::verify`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What was sealed: a line that says cluster, source and time of receipt in microseconds, then the record.
    pub event: String,
    /// Its row in the file.
    pub row: u64,
    /// Rows of the file.
    pub rows: u64,
    /// The path in the file's row tree.
    pub path: Path,
    /// The log's entry that states the file.
    pub index: u64,
    /// That entry.
    pub entry: String,
    /// The path in the log.
    pub log_path: Path,
    /// The log's signed checkpoint.
    pub checkpoint: String,
}

impl Proof {
    /// Checks the proof with the log's keys as the caller knows them. The event was sealed as it is if this is `Ok`;
    /// else it says what does not fit.
    pub fn verify(&self, keys: &[Verifier]) -> Result<(), String> {
        let (checkpoint, note) =
            Checkpoint::parse(&self.checkpoint).map_err(|e| format!("the checkpoint: {e}"))?;
        note.verify(keys).map_err(|e| format!("the checkpoint: {e}"))?;
        let entry = leaf_hash(self.entry.as_bytes());
        verify_inclusion(entry, self.index, checkpoint.size, &self.log_path, &checkpoint.root)
            .map_err(|e| format!("the log's entry: {e}"))?;
        let stated = Manifest::decode(self.entry.as_bytes()).map_err(|e| format!("the log's entry: {e}"))?;
        let Some(stored) = stated.statement().and_then(stored_in) else {
            return Err("the log's entry states no file".into());
        };
        verify_inclusion(leaf_hash(self.event.as_bytes()), self.row, stored.rows, &self.path, &stored.root)
            .map_err(|e| format!("the event: {e}"))
    }
}

/// The file that a statement speaks of.
pub(crate) fn stored_in(statement: &Statement) -> Option<&StoredFile> {
    match statement {
        Statement::Segment(segment) => Some(&segment.stored),
        Statement::Compaction(compaction) => Some(&compaction.stored),
        _ => None,
    }
}
