//! What the check of a bundle found, in words.

use std::collections::BTreeMap;

use super::Bundle;
use crate::{hash::Hash, note::Checkpoint, tree::ProofError};

/// The outcome of [`super::verify_bundle`].
#[derive(Debug, Clone, Default)]
pub struct BundleReport {
    /// What the bundle says it is.
    pub bundle: Option<Bundle>,
    /// SHA-256 of `bundle.json`: compare it with what the log or the exporter says.
    pub hash: Option<Hash>,
    /// The signed state of the log.
    pub checkpoint: Option<Checkpoint>,
    /// Whether the checkpoint is signed by a key that the caller trusts. Without it the bundle only agrees
    /// with itself.
    pub trusted: bool,
    /// How many events are proven.
    pub proven: u64,
    /// For each leaf: how many of its rows are here.
    pub coverage: BTreeMap<u64, Coverage>,
    /// What is wrong.
    pub problems: Vec<BundleProblem>,
    /// Problems that were found after the list was full.
    pub more: u64,
}

/// How much of a file is in a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Events here.
    pub here: u64,
    /// Events in the file.
    pub rows: u64,
}

/// Something is wrong with a bundle. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleProblem {
    /// A file cannot be read.
    #[error("{file} cannot be read: {why}")]
    File {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// A file is missing.
    #[error("{0} is missing")]
    Missing(String),
    /// A file is not the one that `bundle.json` names.
    #[error("{0} was altered: its SHA-256 is not the one in bundle.json")]
    Hash(String),
    /// A file that `bundle.json` does not name.
    #[error("{0} does not belong to the bundle: bundle.json does not name it")]
    Unlisted(String),
    /// `bundle.json` was written by a newer version.
    #[error("the bundle is of format {0}, this program reads format 1")]
    Format(u32),
    /// A line cannot be read.
    #[error("{file}:{line} cannot be read: {why}")]
    Line {
        /// The file.
        file: String,
        /// The line.
        line: u64,
        /// Why.
        why: String,
    },
    /// The checkpoint is not readable or not signed by a trusted key.
    #[error("the checkpoint is not to be believed: {0}")]
    Checkpoint(String),
    /// A handing-over of the log's key is not proven.
    #[error("rotations.jsonl:{line} does not prove a new key: {why}")]
    Rotation {
        /// The line.
        line: u64,
        /// Why.
        why: String,
    },
    /// A manifest is not in the log.
    #[error("manifests.jsonl:{line} was altered: entry {index} is not in the log: {why}")]
    Manifest {
        /// The line.
        line: u64,
        /// Its index.
        index: u64,
        /// Why.
        why: ProofError,
    },
    /// Two lines claim the same place.
    #[error("{file}:{line} stands there a second time")]
    Twice {
        /// The file.
        file: String,
        /// The line.
        line: u64,
    },
    /// An event refers to a manifest that is not here, not proven, or states no rows.
    #[error("events.jsonl:{line} is not proven: there is no proven manifest of a file with index {leaf}")]
    NoManifest {
        /// The line.
        line: u64,
        /// The index it refers to.
        leaf: u64,
    },
    /// An event is not in the file that its manifest speaks of.
    #[error("events.jsonl:{line} was altered: it is not row {row} of the file of entry {leaf}: {why}")]
    Event {
        /// The line.
        line: u64,
        /// The manifest.
        leaf: u64,
        /// The row.
        row: u64,
        /// Why.
        why: ProofError,
    },
    /// An event claims another number of rows than the manifest.
    #[error("events.jsonl:{line} was altered: it speaks of {size} rows, entry {leaf} of {rows}")]
    Size {
        /// The line.
        line: u64,
        /// The manifest.
        leaf: u64,
        /// What the line says.
        size: u64,
        /// What the manifest says.
        rows: u64,
    },
    /// Lines were added or taken away.
    #[error("bundle.json speaks of {says} {what}, there are {found}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many there should be.
        says: u64,
        /// How many there are.
        found: u64,
    },
}

/// Most problems that are listed.
const MOST: usize = 10_000;

impl BundleReport {
    /// Whether nothing is wrong and the signature is one that the caller trusts.
    pub fn ok(&self) -> bool {
        self.problems.is_empty() && self.trusted
    }

    pub(super) fn problem(&mut self, problem: BundleProblem) {
        if self.problems.len() < MOST {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }
}
