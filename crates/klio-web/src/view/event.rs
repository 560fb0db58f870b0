//! Events.

use std::fmt::Write as _;

use klio_model::event::{Level, Stage};
use klio_model::{Event, Timestamp, explain};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::archive::Record;
use crate::bodies;

/// One event, in a sentence, in its main facts and whole.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// Chosen by the client: not unique.
    pub audit_id: Option<String>,
    /// Which of the events with this audit id, or without any: its time in microseconds and sixteen hexadecimal digits of the SHA-256
    /// of its cluster and its bytes. The query parameter `mark` of its page.
    pub mark: String,
    /// Which cluster.
    pub cluster: String,
    /// Which source handed it over.
    pub source: String,
    /// When the request reached the API server.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub time: Option<Timestamp>,
    /// When Klio received it.
    #[schema(value_type = String, format = DateTime)]
    pub received: Timestamp,
    /// RequestReceived, ResponseStarted, ResponseComplete or Panic.
    pub stage: &'static str,
    /// How much of the request the audit policy recorded.
    pub level: Option<&'static str>,
    /// Kubernetes verb.
    pub verb: Option<String>,
    /// Who authenticated.
    pub user: Option<String>,
    /// As whom the request was made.
    pub impersonated: Option<String>,
    /// Resource in the plural.
    pub resource: Option<String>,
    /// Part of the object.
    pub subresource: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Object name.
    pub name: Option<String>,
    /// HTTP status code.
    pub code: Option<i64>,
    /// allowed, denied, failed or unknown.
    pub outcome: &'static str,
    /// The TCP peer.
    pub source_ip: Option<String>,
    /// What it means, in one sentence.
    pub sentence: String,
    /// Whether it was cut on its way: what it lacks is unknown and not absent.
    pub salvaged: bool,
    /// Whether request and response bodies were left out, since the reader may not see any.
    pub bodies_withheld: bool,
    /// The event as it is kept, character by character unless bodies are withheld.
    #[schema(value_type = Object)]
    pub event: Box<RawValue>,
}

/// See [`EventView::mark`].
fn mark(record: &Record, time: Option<Timestamp>) -> String {
    let hash =
        Sha256::new().chain_update(&record.cluster).chain_update([0]).chain_update(&record.raw).finalize();
    let start = time.map_or(String::new(), |time| time.micros().to_string());
    hash.iter().take(8).fold(start + ".", |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl EventView {
    /// Of a record, with or without bodies; `None` if it is no event.
    pub(crate) fn of(record: &Record, with_bodies: bool) -> Option<Self> {
        let raw = if with_bodies { record.raw.clone() } else { bodies::without(&record.raw)? };
        let mut event = Event::parse(&raw).ok()?;
        event.salvaged = record.salvaged;
        let own = |text: &Option<klio_model::json::Str<'_>>| text.as_ref().map(|t| t.0.to_string());
        Some(Self {
            audit_id: own(&event.audit_id),
            mark: mark(record, event.time()),
            cluster: record.cluster.clone(),
            source: record.source.clone(),
            time: event.time(),
            received: record.received,
            stage: match event.stage {
                Stage::Unstated => Stage::ResponseComplete.name(),
                stage => stage.name(),
            },
            level: level(event.level),
            verb: own(&event.verb),
            user: own(&event.user.name),
            impersonated: event.impersonated.as_ref().and_then(|i| own(&i.name)),
            resource: own(&event.object.resource),
            subresource: own(&event.object.subresource),
            namespace: own(&event.object.namespace),
            name: own(&event.object.name),
            code: event.code,
            outcome: event.outcome().name(),
            source_ip: event.source_ip().map(str::to_owned),
            sentence: explain(&event),
            salvaged: record.salvaged,
            bodies_withheld: !with_bodies,
            event: RawValue::from_string(raw.clone()).ok()?,
        })
    }
}

fn level(level: Level) -> Option<&'static str> {
    match level {
        Level::Unstated => None,
        Level::Metadata => Some("Metadata"),
        Level::Request => Some("Request"),
        Level::RequestResponse => Some("RequestResponse"),
    }
}

/// Events, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventPage {
    /// The events.
    pub items: Vec<EventView>,
    /// For `cursor=`, to go on; nothing at the end.
    pub next: Option<String>,
}

/// All events of one audit id, in the order of time.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventStages {
    /// The id.
    pub audit_id: String,
    /// Its events. Several requests may bear one id, since clients choose it.
    pub items: Vec<EventView>,
}

/// Proofs that events were sealed; `klio verify --proof` checks each without the lake.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProofView {
    /// The id.
    pub audit_id: String,
    /// One for each event of it.
    #[schema(value_type = Vec<Object>)]
    pub proofs: Vec<Box<RawValue>>,
}
