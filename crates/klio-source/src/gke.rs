//! Google GKE: Cloud Logging's LogEntry with an AuditLog in `protoPayload`, written back as an audit event.
//! Sources: Cloud Logging `LogEntry` and `google.cloud.audit.AuditLog` references; GKE "Audit logging information".
//! GKE gives no audit level and no groups, and only a google.rpc code: what is missing stays missing.

use crate::decode::{Cx, Place};
use crate::gke_object::{Target, put_object};
use crate::scan::{Elements, Members, member, unescape};
use crate::top::Top;
use crate::{Format, SkipReason, write};

/// Takes the object if it is a LogEntry.
pub(crate) fn object(cx: &mut Cx<'_>, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
    let Some(payload) = top.proto_payload.filter(|p| p.starts_with(b"{")) else {
        // Another log of the same project, unless an event is inside.
        if top.log_name.is_some() && top.json_payload.is_none() {
            cx.skip(place.line, SkipReason::ComponentLog);
            return true;
        }
        return false;
    };
    let service = member(payload, b"serviceName");
    if service.is_some_and(|s| s != b"\"k8s.io\"") {
        cx.skip(place.line, SkipReason::OtherService);
        return true;
    }
    let mut out = cx.take();
    synthesise(b, payload, &mut out);
    cx.record(&out, place.inside(Format::Gke, b));
    cx.give(out);
    true
}

/// The string at `key`, unescaped.
fn text(object: &[u8], key: &[u8]) -> Option<String> {
    let mut out = Vec::new();
    (unescape(member(object, key)?, &mut out) && !out.is_empty()).then_some(())?;
    String::from_utf8(out).ok()
}

fn put(out: &mut Vec<u8>, key: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        write::key(out, key);
        write::string(out, value);
    }
}

fn synthesise(entry: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    let body = |key| member(payload, key).filter(|v| v.starts_with(b"{") || v.starts_with(b"["));
    let (request, response) = (body(b"request"), body(b"response"));
    let method = text(payload, b"methodName").unwrap_or_default();
    let resource = text(payload, b"resourceName").unwrap_or_default();
    let target = Target::read(&method, &resource);
    let operation = member(entry, b"operation");
    let flag = |key| operation.and_then(|o| member(o, key)) == Some(b"true");

    out.extend_from_slice(br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1""#);
    let level = match (request, response) {
        (_, Some(_)) => "RequestResponse",
        (Some(_), None) => "Request",
        (None, None) => "Metadata",
    };
    put(out, b"level", Some(level));
    let id = operation.and_then(|o| text(o, b"id")).or_else(|| text(entry, b"insertId"));
    put(out, b"auditID", id.as_deref());
    let stage = if flag(b"first") && !flag(b"last") { "ResponseStarted" } else { "ResponseComplete" };
    put(out, b"stage", Some(stage));
    put(out, b"requestURI", target.uri().as_deref());
    put(out, b"verb", Some(target.verb).filter(|v| !v.is_empty()));
    let who = member(payload, b"authenticationInfo").unwrap_or_default();
    user(who, out);
    if let Some(selector) = text(who, b"authoritySelector") {
        write::key(out, b"impersonatedUser");
        out.push(b'{');
        put(out, b"username", Some(&selector));
        out.push(b'}');
    }
    let from = member(payload, b"requestMetadata").unwrap_or_default();
    if let Some(ip) = text(from, b"callerIp") {
        write::key(out, b"sourceIPs");
        out.push(b'[');
        write::string(out, &ip);
        out.push(b']');
    }
    put(out, b"userAgent", text(from, b"callerSuppliedUserAgent").as_deref());
    target.put(out);
    status(payload, response, &target, out);
    for (key, value) in [(&b"requestObject"[..], request), (b"responseObject", response)] {
        if let Some(value) = value {
            write::key(out, key);
            put_object(value, out);
        }
    }
    let received = member(from, b"requestAttributes").and_then(|a| text(a, b"time"));
    put(out, b"requestReceivedTimestamp", received.as_deref());
    put(out, b"stageTimestamp", text(entry, b"timestamp").as_deref());
    annotations(entry, payload, out);
    out.push(b'}');
}

fn user(who: &[u8], out: &mut Vec<u8>) {
    write::key(out, b"user");
    out.push(b'{');
    put(out, b"username", text(who, b"principalEmail").as_deref());
    if let Some(subject) = text(who, b"principalSubject") {
        write::key(out, b"extra");
        out.extend_from_slice(b"{\"principalSubject\":[");
        write::string(out, &subject);
        out.extend_from_slice(b"]}");
    }
    out.push(b'}');
}

/// The HTTP status behind a google.rpc code, and the reason Kubernetes gives with it. The table runs against the one
/// in `google/rpc/code.proto` where the apiserver's own statuses are folded: 409 arrives as 6 or 10, 422 as 3.
fn http(code: i64) -> (u16, &'static str) {
    match code {
        1 => (499, "ClientClosedRequest"),
        3 | 11 => (400, "BadRequest"),
        4 => (504, "Timeout"),
        5 => (404, "NotFound"),
        6 => (409, "AlreadyExists"),
        7 => (403, "Forbidden"),
        8 => (429, "TooManyRequests"),
        9 => (412, "PreconditionFailed"),
        10 => (409, "Conflict"),
        12 => (501, "NotImplemented"),
        14 => (503, "ServiceUnavailable"),
        16 => (401, "Unauthorized"),
        _ => (500, "InternalError"),
    }
}

fn status(payload: &[u8], response: Option<&[u8]>, target: &Target<'_>, out: &mut Vec<u8>) {
    let status = member(payload, b"status").unwrap_or_default();
    let number =
        |object: &[u8], key| member(object, key).and_then(|v| std::str::from_utf8(v).ok()?.parse().ok());
    let rpc: i64 = number(status, b"code").unwrap_or(0);
    // A failed request's body is a Kubernetes Status with the true code.
    let own = response.filter(|r| {
        let is = |key, end: &[u8]| member(r, key).is_some_and(|v| v.ends_with(end));
        is(b"@type", b".Status\"") || is(b"kind", b"\"Status\"")
    });
    let told: Option<i64> = own.and_then(|r| number(r, b"code")).filter(|c| (100..600).contains(c));
    write::key(out, b"responseStatus");
    out.extend_from_slice(b"{\"metadata\":{}");
    let code = if rpc == 0 {
        told.unwrap_or(if target.verb == "create" { 201 } else { 200 })
    } else {
        let (code, reason) = http(rpc);
        put(out, b"status", Some("Failure"));
        put(out, b"message", text(status, b"message").as_deref());
        put(out, b"reason", Some(own.and_then(|r| text(r, b"reason")).as_deref().unwrap_or(reason)));
        told.unwrap_or(i64::from(code))
    };
    out.extend_from_slice(format!(",\"code\":{code}}}").as_bytes());
}

fn annotations(entry: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    let mut all = Vec::new();
    let mut decided = false;
    all.push(b'{');
    for m in Members::new(member(entry, b"labels").unwrap_or_default()).map_while(Result::ok) {
        if m.value.starts_with(b"\"") {
            decided |= m.key == b"authorization.k8s.io/decision";
            write::key(&mut all, m.key);
            all.extend_from_slice(m.value);
        }
    }
    if !decided {
        let info = member(payload, b"authorizationInfo").unwrap_or_default();
        let granted: Vec<_> = Elements::new(info)
            .map_while(Result::ok)
            .map(|(_, i)| member(i, b"granted") == Some(b"true"))
            .collect();
        let denied = member(payload, b"status").and_then(|s| member(s, b"code")) == Some(b"7");
        let decision = match (denied, granted.is_empty()) {
            (true, _) => Some("forbid"),
            (false, false) if granted.iter().all(|g| *g) => Some("allow"),
            _ => None,
        };
        put(&mut all, b"authorization.k8s.io/decision", decision);
    }
    all.push(b'}');
    if all.len() > 2 {
        write::key(out, b"annotations");
        out.extend_from_slice(&all);
    }
}
