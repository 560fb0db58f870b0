//! The apiserver's own forms: an Event, an EventList (the webhook's body), a List of either.
//! Source: kubernetes `staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go`.

use memchr::memmem;

use crate::decode::{Cx, Place};
use crate::scan::{Members, skip_value, skip_ws};
use crate::top::Top;
use crate::{Reason, SkipReason, wrap};

/// How the apiserver begins every line of its log file.
pub(crate) const HEAD: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/"#;

/// Takes the object if it is a native form.
pub(crate) fn object(cx: &mut Cx<'_>, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
    if top.is_native() {
        cx.record(b, place);
        return true;
    }
    match top.kind {
        // Abridged by whoever passed it on: it still has what only an audit event has.
        Some(b"\"Event\"") if top.api_version.is_none() && top.audit_id.is_some() => cx.record(b, place),
        Some(b"\"Event\"") => cx.skip(place.line, SkipReason::KubernetesEvent),
        // `kubectl get events -o json` is a List of Events; `EventList` is also what core/v1 calls its own.
        Some(kind) if kind.ends_with(b"List\"") => match top.items {
            Some(items) => wrap::elements(cx, b, items, place),
            None => return false,
        },
        Some(_) => return false,
        None if is_item(top) => cx.record(b, place),
        None => match top.items {
            Some(items) if items.starts_with(b"[") => wrap::elements(cx, b, items, place),
            _ => return false,
        },
    }
    true
}

/// The whole event at the start or the end of a record that a parser refused: a log writer that was killed in the
/// middle of a line goes on in the same line after its restart. An object inside an event cannot be taken for one, since the closing
/// brackets of what surrounds it would follow.
pub fn recover(json: &str) -> Option<&str> {
    let part = recover_bytes(json.as_bytes())?;
    // Both ends are brackets.
    std::str::from_utf8(part).ok()
}

/// The same over bytes.
pub(crate) fn recover_bytes(json: &[u8]) -> Option<&[u8]> {
    if let Ok(end) = skip_value(json, 0)
        && end < json.len()
    {
        return json.get(..end);
    }
    let at = memmem::rfind(json, HEAD).filter(|at| *at > 0)?;
    let tail = json.get(at..)?;
    (skip_value(tail, 0) == Ok(tail.len())).then_some(tail)
}

/// What is wrong with the text of a record that a parser refused; `None` if nothing shows at this level. The fast path
/// does not look inside a line, so that this is asked only when parsing failed.
pub fn diagnose(json: &str) -> Option<Reason> {
    let json = json.as_bytes();
    let mut members = Members::new(json);
    if let Some(Err(flaw)) = members.by_ref().find(Result::is_err) {
        return Some(flaw.into());
    }
    if memmem::rfind(json, HEAD).is_some_and(|at| at > 0) && recover_bytes(json).is_some() {
        return Some(Reason::Truncated);
    }
    let end = skip_ws(json, members.end());
    (end < json.len()).then_some(Reason::Malformed { at: end, expected: "the end of the record" })
}

/// An item of an EventList has no kind: it is told by its members.
fn is_item(top: &Top<'_>) -> bool {
    let string = |v: Option<&[u8]>| v.is_some_and(|v| v.starts_with(b"\""));
    let level =
        matches!(top.level, Some(b"\"None\"" | b"\"Metadata\"" | b"\"Request\"" | b"\"RequestResponse\""));
    let stage = matches!(
        top.stage,
        Some(b"\"RequestReceived\"" | b"\"ResponseStarted\"" | b"\"ResponseComplete\"" | b"\"Panic\"")
    );
    let request = string(top.request_uri) || string(top.verb);
    (string(top.audit_id) && (level || stage || request)) || (stage && request && string(top.request_uri))
}
