//! Sources, the seal, and what could not be read.

use klio_model::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// One source of one cluster.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceView {
    /// The cluster.
    pub cluster: String,
    /// The source.
    pub source: String,
    /// When it last delivered.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
    /// Events kept.
    pub events: u64,
    /// Events a second, over the last minutes.
    pub rate: Option<f64>,
    /// How far it is behind, seconds: from when a request happened to when it was received.
    pub lag_seconds: Option<f64>,
    /// Deliveries that failed.
    pub errors: u64,
    /// Dead letters that wait.
    pub dead_letters: u64,
    /// Whether everything arrived.
    pub completeness: Completeness,
    /// What is wrong with it; nothing if nothing is.
    pub trouble: Option<String>,
    /// From when to when no lease of the control plane was renewed in what came: there events are missing.
    pub gaps: Vec<Gap>,
}

/// A time without signs of life.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Gap {
    /// The lease that was not renewed.
    pub lease: String,
    /// The last renewal before it.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The first renewal after it.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
}

/// Whether everything arrived that the API server wrote.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Completeness {
    /// Nothing says so.
    Unproven,
    /// The API servers' own counters were compared.
    Compared(Balance),
}

/// What the API servers of a cluster counted in the last hour but the last minutes, and what has come of it.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Balance {
    /// Kept of what was counted, 0 to 1.
    pub ratio: f64,
    /// From the first reading of the counters that was compared.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// To the last.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Events that they counted.
    pub counted: u64,
    /// Events of that time that are kept.
    pub kept: u64,
    /// So many more or fewer may be of that time: API servers tell the time of a reading to the second.
    pub unsure: u64,
    /// Events that the API servers themselves say to have lost, with any of their backends.
    pub lost: u64,
}

/// The sources that the reader sees as a whole.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct SourcePage {
    /// By cluster and source.
    pub items: Vec<SourceView>,
}

/// The state of the seal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrityView {
    /// Entries of the signed log; only for whom sees everything.
    pub log_size: Option<u64>,
    /// The last signed checkpoint; only for whom sees everything.
    pub checkpoint: Option<String>,
    /// The last verification of everything that ended; nothing if there was none.
    pub last: Option<Verification>,
    /// When the one that is under way began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub running_since: Option<Timestamp>,
}

/// A verification that ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// What came of it.
    pub verdict: Verdict,
    /// What does not fit; only for whom sees everything, Klio's own audit too.
    pub problems: Vec<String>,
}

/// What came of a verification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Everything is as it was sealed.
    Intact,
    /// Something was altered, removed or added.
    Damaged,
    /// It could not be finished.
    Failed,
}

/// Bytes that were delivered as events and are none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterView {
    /// Its number.
    pub number: u64,
    /// The cluster.
    pub cluster: String,
    /// The source that delivered them.
    pub source: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// Why they are no event, and what helps.
    pub reason: String,
    /// How many bytes.
    pub size: u64,
    /// As they came, in base64; not in lists.
    #[serde(serialize_with = "base64", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Byte)]
    pub bytes: Option<Vec<u8>>,
}

fn base64<S: serde::Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
    use base64::Engine as _;
    let text = bytes.as_ref().map(|b| base64::engine::general_purpose::STANDARD.encode(b));
    text.serialize(to)
}

/// Dead letters, the newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterPage {
    /// The letters.
    pub items: Vec<DeadLetterView>,
    /// For `cursor=`, to go on; nothing at the end.
    pub next: Option<String>,
}

/// What came of a replay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayView {
    /// Events that were in it and are kept now.
    pub events: u64,
    /// Why it is still no event; nothing if it was read, and is removed.
    pub reason: Option<String>,
}
