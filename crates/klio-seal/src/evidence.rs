//! Exported evidence: a directory of plain files that proves each event in it without the lake and without us.
//! `bundle.json` names every other file with its hash; `events.jsonl` leads each event by its row path to a
//! manifest in `manifests.jsonl`, whose path leads to the signed `checkpoint`. How a person checks that by hand
//! stands in the bundle's `VERIFY.md`.

mod check;
mod lines;
mod report;
mod writer;

pub use check::verify_bundle;
pub use report::{BundleProblem, BundleReport, Coverage};
pub use writer::{BundleError, BundleWriter};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{hash::Hash, tree::Path};

/// What an export is of, as `bundle.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Program and version that wrote it.
    pub tool: String,
    /// The question it answers, in Klio's predicate language.
    pub query: String,
    /// Events from here on, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Events before this, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
    /// Who exported it.
    pub exported_by: String,
    /// When, in microseconds since 1970.
    pub exported_at: i64,
}

/// `bundle.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The version of this format.
    pub format: u32,
    /// What it is of.
    #[serde(flatten)]
    pub export: Export,
    /// How many events there are.
    pub events: u64,
    /// How many manifests they stand under.
    pub manifests: u64,
    /// SHA-256 of every other file, by name.
    pub files: BTreeMap<String, Hash>,
}

/// One entry of the chain of custody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    /// When, in microseconds since 1970.
    pub time: i64,
    /// Who.
    pub who: String,
    /// Did what.
    pub what: String,
}

/// The version of the format that this writes and reads.
pub const FORMAT: u32 = 1;

const BUNDLE: &str = "bundle.json";
const EVENTS: &str = "events.jsonl";
const MANIFESTS: &str = "manifests.jsonl";
const ROTATIONS: &str = "rotations.jsonl";
const CUSTODY: &str = "custody.jsonl";
const CHECKPOINT: &str = "checkpoint";
const KEYS: &str = "keys";
const GUIDE: &str = "VERIFY.md";

/// A line of `events.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
struct EventLine {
    /// The record as it was received, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    /// The record in base64, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_base64: Option<String>,
    leaf: u64,
    row: u64,
    size: u64,
    path: Path,
}

/// A line of `manifests.jsonl`; with a checkpoint, one of `rotations.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
struct ManifestLine {
    index: u64,
    entry: String,
    path: Path,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<String>,
}

#[cfg(test)]
mod tests;
