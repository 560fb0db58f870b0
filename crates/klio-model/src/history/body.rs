//! The bodies of an event about an object.

use serde_json::Value;

use super::step::Why;
use crate::event::{Event, Level, Part, text};

/// A longer body is not read: no stored object comes near it (etcd takes 1.5 MiB).
const MAX_BODY: usize = 8 << 20;

/// A body as a tree; `None` if there is none that can be read.
fn tree(part: &Part<'_>) -> Option<Value> {
    let text = part.text().filter(|text| text.len() <= MAX_BODY)?;
    serde_json::from_str(text).ok()
}

/// What was sent.
pub(super) fn request(event: &Event<'_>) -> Option<Value> {
    tree(&event.request_object).filter(|body| body.is_object() || body.is_array())
}

/// What was answered, whatever it is.
pub(super) fn response(event: &Event<'_>) -> Option<Value> {
    tree(&event.response_object).filter(Value::is_object)
}

/// The object in the answer, whole.
pub(super) fn answered(event: &Event<'_>, name: &str) -> Option<Value> {
    let subresource = text(&event.object.subresource).unwrap_or_default();
    if !is_whole(subresource) {
        return None;
    }
    let part = &event.response_object;
    let kind = part.at(&["kind"]);
    let kind = kind.as_ref().and_then(crate::Json::as_str).unwrap_or_default();
    // What clients may ask for in place of the object (`Accept: …;as=Table`).
    if matches!(kind, "Status" | "Table" | "PartialObjectMetadata") || kind.ends_with("List") {
        return None;
    }
    tree(part).filter(|body| body.pointer("/metadata/name").and_then(Value::as_str) == Some(name))
}

/// Whether a subresource takes and answers the whole object.
pub(super) fn is_whole(subresource: &str) -> bool {
    matches!(subresource, "" | "status" | "approval" | "ephemeralcontainers" | "resize" | "finalize")
}

/// Why nothing of the bodies can be read.
pub(super) fn missing(event: &Event<'_>) -> Why {
    if event.truncated() {
        return Why::Truncated;
    }
    if event.request_object.text().is_some() || event.response_object.text().is_some() {
        return Why::Unreadable;
    }
    if event.salvaged {
        return Why::Salvaged;
    }
    if matches!(event.level, Level::Metadata | Level::Unstated) { Why::Level } else { Why::Absent }
}
