//! Arrays, lists, and the envelopes of log shippers: each is taken off by one small function, the first that fits wins.

use crate::decode::{Cx, Place, newlines};
use crate::scan::{Elements, member};
use crate::top::Top;
use crate::{Format, Reason, eks};

/// An array at the top: events, log entries, or Insights rows.
pub(crate) fn array(cx: &mut Cx<'_>, b: &[u8], place: Place<'_>) {
    if eks::insights_row(cx, b, place) {
        return;
    }
    elements(cx, b, b, place);
}

/// Decodes every element of `list`, a part of `whole`.
pub(crate) fn elements(cx: &mut Cx<'_>, whole: &[u8], list: &[u8], place: Place<'_>) {
    each(cx, whole, list, place, &mut |cx, element, place| cx.value(element, place));
}

/// Calls `f` for every element of `list`, with the line on which it starts.
pub(crate) fn each(
    cx: &mut Cx<'_>,
    whole: &[u8],
    list: &[u8],
    place: Place<'_>,
    f: &mut dyn FnMut(&mut Cx<'_>, &[u8], Place<'_>),
) {
    let before = (list.as_ptr() as usize).checked_sub(whole.as_ptr() as usize).filter(|n| *n <= whole.len());
    let mut line = place.line + newlines(whole, 0, before.unwrap_or(0));
    let mut counted = 0;
    // A list in a list costs a level, so that `[[[[…` ends.
    let inner = Place { depth: place.depth + 1, ..place };
    let mut walk = Elements::new(list);
    while let Some(element) = walk.next() {
        match element {
            Ok((at, element)) => {
                line += newlines(list, counted, at);
                counted = at;
                f(cx, element, Place { line, ..inner });
            }
            Err(flaw) => {
                line += newlines(list, counted, walk.at());
                cx.reject(line, flaw.into());
            }
        }
    }
}

type Unwrap = fn(&mut Cx<'_>, &[u8], &Top<'_>, Place<'_>) -> bool;

/// The envelopes, most telling first.
const ENVELOPES: [Unwrap; 7] = [pubsub, splunk, elastic, azure_table, loki, nested, named];

/// Takes the object if it is an envelope known here.
pub(crate) fn object(cx: &mut Cx<'_>, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
    ENVELOPES.iter().any(|unwrap| unwrap(cx, b, top, place))
}

/// Pub/Sub push: `{"message":{"data":"<base64>"},"subscription":"…"}`, and what `gcloud pubsub pull` prints.
fn pubsub(cx: &mut Cx<'_>, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
    let data = top
        .message
        .and_then(|m| member(m, b"data"))
        .or(top.data.filter(|_| member(b, b"messageId").is_some()));
    let Some(data) = data else { return false };
    let mut text = cx.take();
    let is = crate::scan::unescape(data, &mut text);
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &text);
    cx.give(text);
    match decoded {
        Ok(bytes) if is && simdutf8::basic::from_utf8(&bytes).is_ok() => {
            cx.inner(crate::scan::trim(&bytes), place.inside(Format::Shipped, b));
        }
        Ok(_) => {
            let why = "data is not UTF-8 text".into();
            cx.reject(place.line, Reason::Payload { envelope: "Pub/Sub", why });
        }
        Err(e) => cx.reject(place.line, Reason::Payload { envelope: "Pub/Sub", why: e.to_string() }),
    }
    true
}

/// Splunk: HEC `{"event":…}` and search export `{"result":{"_raw":"…"}}`.
fn splunk(cx: &mut Cx<'_>, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
    let raw = top.raw.or_else(|| top.result.and_then(|r| member(r, b"_raw")));
    payload(cx, b, raw, place) || payload(cx, b, top.event, place)
}

/// Elasticsearch: a hit's `_source`, a search answer, `event.original`, `kubernetes.audit` of Filebeat and Agent.
fn elastic(cx: &mut Cx<'_>, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
    if let Some(hits) = top.hits.and_then(|h| member(h, b"hits")) {
        elements(cx, b, hits, place);
        return true;
    }
    let original = top.event_original.or_else(|| top.event.and_then(|e| member(e, b"original")));
    let audit = top.kubernetes_audit.or_else(|| top.kubernetes.and_then(|k| member(k, b"audit")));
    payload(cx, b, top.source, place) || payload(cx, b, original, place) || payload(cx, b, audit, place)
}

/// A log query's answer: `{"value":[…]}` of the Azure REST interface.
fn azure_table(cx: &mut Cx<'_>, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
    let Some(list) = top.value.or(top.entries).filter(|v| v.starts_with(b"[{")) else { return false };
    elements(cx, b, list, place);
    true
}

/// Loki: what `logcli -o jsonl` prints.
fn loki(cx: &mut Cx<'_>, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
    payload(cx, b, top.line, place)
}

/// The event as an object under a member of its own.
fn nested(cx: &mut Cx<'_>, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
    [top.json_payload, top.record, top.data, top.body, top.event_cased, top.properties, top.msg]
        .into_iter()
        .any(|v| v.is_some_and(|v| v.starts_with(b"{")) && payload(cx, b, v, place))
}

/// The line as the shipper read it: Docker, Fluentd, Fluent Bit, Vector, Logstash.
fn named(cx: &mut Cx<'_>, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
    [
        top.log,
        top.message,
        top.message_at,
        top.msg,
        top.log_cased,
        top.text_payload,
        top.data,
        top.body,
        top.record,
    ]
    .into_iter()
    .any(|v| payload(cx, b, v, place))
}

/// Opens `inner`, an object or a string, if there is one.
fn payload(cx: &mut Cx<'_>, b: &[u8], inner: Option<&[u8]>, place: Place<'_>) -> bool {
    let place = place.inside(Format::Shipped, b);
    match inner {
        Some([b'{', ..]) => inner.is_some_and(|v| telling(cx, v, place)),
        Some([b'"', ..]) => inner.is_some_and(|v| cx.message(v, place)),
        _ => false,
    }
}

/// Opens an object only if it is something: `{"event":{"kind":"alert"}}` must not end the search.
fn telling(cx: &mut Cx<'_>, v: &[u8], place: Place<'_>) -> bool {
    let Ok(top) = Top::read(v) else { return false };
    place.depth <= 6 && cx.opened(v, &top, place)
}
