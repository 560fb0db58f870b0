//! The one typed pass over an event's text.

use std::cell::OnceCell;

use serde::Deserialize;
use sonic_rs::LazyValue;

use super::{Event, Identity, Level, ObjectRef, ParseError, Part, Stage};
use crate::json::Str;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    level: Option<Str<'a>>,
    #[serde(borrow, rename = "auditID")]
    audit_id: Option<Str<'a>>,
    #[serde(borrow)]
    stage: Option<Str<'a>>,
    #[serde(borrow, rename = "requestURI")]
    request_uri: Option<Str<'a>>,
    #[serde(borrow)]
    verb: Option<Str<'a>>,
    #[serde(borrow)]
    user: Option<WireUser<'a>>,
    #[serde(borrow)]
    impersonated_user: Option<WireUser<'a>>,
    #[serde(borrow)]
    authentication_metadata: Option<LazyValue<'a>>,
    #[serde(borrow, rename = "sourceIPs")]
    source_ips: Option<LazyValue<'a>>,
    #[serde(borrow)]
    user_agent: Option<Str<'a>>,
    #[serde(borrow)]
    object_ref: Option<WireObject<'a>>,
    #[serde(borrow)]
    response_status: Option<WireStatus<'a>>,
    #[serde(borrow)]
    request_object: Option<LazyValue<'a>>,
    #[serde(borrow)]
    response_object: Option<LazyValue<'a>>,
    #[serde(borrow)]
    request_received_timestamp: Option<Str<'a>>,
    #[serde(borrow, alias = "timestamp")]
    stage_timestamp: Option<Str<'a>>,
    #[serde(borrow)]
    annotations: Option<LazyValue<'a>>,
}

#[derive(Deserialize)]
struct WireUser<'a> {
    #[serde(borrow)]
    username: Option<Str<'a>>,
    #[serde(borrow)]
    uid: Option<Str<'a>>,
    #[serde(borrow)]
    groups: Option<LazyValue<'a>>,
    #[serde(borrow)]
    extra: Option<LazyValue<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireObject<'a> {
    #[serde(borrow)]
    resource: Option<Str<'a>>,
    #[serde(borrow)]
    namespace: Option<Str<'a>>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    uid: Option<Str<'a>>,
    #[serde(borrow)]
    api_group: Option<Str<'a>>,
    #[serde(borrow)]
    api_version: Option<Str<'a>>,
    #[serde(borrow)]
    resource_version: Option<Str<'a>>,
    #[serde(borrow)]
    subresource: Option<Str<'a>>,
}

#[derive(Deserialize)]
struct WireStatus<'a> {
    #[serde(borrow)]
    status: Option<Str<'a>>,
    #[serde(borrow)]
    message: Option<Str<'a>>,
    #[serde(borrow)]
    reason: Option<Str<'a>>,
    code: Option<i64>,
}

pub(super) fn read(json: &str) -> Result<Event<'_>, ParseError> {
    let wire: Wire<'_> = sonic_rs::from_str(json).map_err(|e| ParseError::Malformed(first_line(&e)))?;
    let status = wire.response_status.unwrap_or(WireStatus { status: None, message: None, reason: None, code: None });
    Ok(Event {
        json,
        level: match wire.level.as_ref().map(|l| l.0.as_ref()) {
            Some("Metadata") => Level::Metadata,
            Some("Request") => Level::Request,
            Some("RequestResponse") => Level::RequestResponse,
            _ => Level::Unstated,
        },
        stage: match wire.stage.as_ref().map(|s| s.0.as_ref()) {
            Some("RequestReceived") => Stage::RequestReceived,
            Some("ResponseStarted") => Stage::ResponseStarted,
            Some("ResponseComplete") => Stage::ResponseComplete,
            Some("Panic") => Stage::Panic,
            _ => Stage::Unstated,
        },
        audit_id: wire.audit_id,
        request_uri: wire.request_uri,
        verb: wire.verb,
        user: wire.user.map(identity).unwrap_or_default(),
        impersonated: wire.impersonated_user.map(identity),
        source_ips: part(wire.source_ips),
        user_agent: wire.user_agent,
        object: wire.object_ref.map(object).unwrap_or_default(),
        code: status.code,
        status: status.status,
        message: status.message,
        reason: status.reason,
        request_object: part(wire.request_object),
        response_object: part(wire.response_object),
        received: wire.request_received_timestamp,
        staged: wire.stage_timestamp,
        annotations: part(wire.annotations),
        authentication: part(wire.authentication_metadata),
        salvaged: false,
        document: OnceCell::new(),
        patched: OnceCell::new(),
    })
}

fn identity(user: WireUser<'_>) -> Identity<'_> {
    Identity { name: user.username, uid: user.uid, groups: part(user.groups), extra: part(user.extra) }
}

fn object(o: WireObject<'_>) -> ObjectRef<'_> {
    ObjectRef {
        resource: o.resource,
        namespace: o.namespace,
        name: o.name,
        uid: o.uid,
        api_group: o.api_group,
        api_version: o.api_version,
        resource_version: o.resource_version,
        subresource: o.subresource,
    }
}

fn part(value: Option<LazyValue<'_>>) -> Part<'_> {
    Part::new(value.and_then(|v| match v.as_raw_cow() {
        std::borrow::Cow::Borrowed(text) => Some(text),
        std::borrow::Cow::Owned(_) => None,
    }))
}

/// The parser's message without its excerpt of the input.
fn first_line(error: &sonic_rs::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}
