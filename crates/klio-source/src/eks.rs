//! Amazon EKS: audit events as CloudWatch Logs hands them on — subscription records, `filter-log-events` output,
//! Insights results, Firehose deliveries, Lambda events (of CloudWatch and of Kinesis). (The export to S3 is text: see `text.rs`.)
//! Sources: CloudWatch Logs User Guide "Subscription filters", Firehose "HTTP endpoint delivery specifications";
//! AWS Lambda Developer Guide "Using Lambda with Kinesis".

use base64::Engine;
use std::io::Read;

use crate::decode::{Cx, Place};
use crate::scan::{Elements, Members, member, trim, unescape};
use crate::top::Top;
use crate::{Format, Reason, SkipReason, wrap};

/// Inflated bytes of one base64 payload; CloudWatch batches hold 1 MiB, Lambda events 6 MB.
const PAYLOAD_CAP: u64 = 64 << 20;

/// Takes the object if it is one of CloudWatch's envelopes.
pub(crate) fn object(cx: &mut Cx<'_>, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
    if top.message_type == Some(b"\"CONTROL_MESSAGE\"") {
        cx.skip(place.line, SkipReason::Probe);
    } else if let Some(events) = top.log_events.filter(|v| v.starts_with(b"[")) {
        subscription(cx, b, events, top, place);
    } else if let Some(events) = top.events.filter(|v| is_list_with(v, b"message")) {
        subscription(cx, b, events, top, place);
    } else if let Some(results) = top.results.filter(|v| v.starts_with(b"[")) {
        wrap::elements(cx, b, results, place);
    } else if let Some(data) = top.awslogs.and_then(|v| member(v, b"data")) {
        payload(cx, data, "Lambda awslogs", place.inside(Format::Eks, b));
    } else if let Some(records) = top.records.filter(|v| is_list_with(v, b"data")) {
        // Each `data` is a batch of its own; the records within name their raw bytes themselves.
        wrap::each(cx, b, records, place, &mut |cx, record, place| match member(record, b"data") {
            Some(data) => payload(cx, data, "Firehose record", Place { format: Format::Eks, ..place }),
            None => cx.value(record, place),
        });
    } else if let Some(records) = top.records_cased.filter(|v| is_list_with(v, b"kinesis")) {
        wrap::each(cx, b, records, place, &mut |cx, record, place| match member(record, b"kinesis")
            .and_then(|k| member(k, b"data"))
        {
            Some(data) => payload(cx, data, "Kinesis record", Place { format: Format::Eks, ..place }),
            None => cx.value(record, place),
        });
    } else if let (Some(message), true) = (top.message, is_log_event(top)) {
        log_event(cx, b, message, top, place);
    } else {
        return false;
    }
    true
}

/// A row of Insights results: `[{"field":"@message","value":"…"}, …]`.
pub(crate) fn insights_row(cx: &mut Cx<'_>, row: &[u8], place: Place<'_>) -> bool {
    let cell = |name: &[u8]| {
        Elements::new(row)
            .map_while(Result::ok)
            .find(|(_, c)| member(c, b"field") == Some(name))
            .and_then(|(_, c)| member(c, b"value"))
    };
    let Some(message) = cell(b"\"@message\"") else { return false };
    cx.message(message, place.inside(Format::Eks, row))
}

fn subscription(cx: &mut Cx<'_>, b: &[u8], events: &[u8], top: &Top<'_>, place: Place<'_>) {
    let mut stream = cx.take();
    if let Some(v) = top.log_stream {
        unescape(v, &mut stream);
    }
    let component = is_component_stream(&stream);
    wrap::each(cx, b, events, place, &mut |cx, event, place| {
        let mut own = None;
        let mut millis = None;
        let mut component = component;
        for m in Members::new(event).map_while(Result::ok) {
            match m.key {
                b"message" => own = Some(m.value),
                b"timestamp" => millis = std::str::from_utf8(m.value).ok().and_then(|t| t.parse().ok()),
                b"logStreamName" => component |= is_component_stream(trim_quotes(m.value)),
                _ => {}
            }
        }
        let place = Place { millis, ..place.inside(Format::Eks, event) };
        if component {
            cx.skip(place.line, SkipReason::ComponentLog);
        } else if !own.is_some_and(|message| cx.message(message, place)) {
            cx.reject(place.line, Reason::NotAudit { what: "log event without message".into() });
        }
    });
    cx.give(stream);
}

/// One log event standing alone, as an element of a list whose head is gone or as a line.
fn log_event(cx: &mut Cx<'_>, b: &[u8], message: &[u8], top: &Top<'_>, place: Place<'_>) {
    let millis = top.timestamp.and_then(|t| std::str::from_utf8(t).ok()).and_then(|t| t.parse().ok());
    cx.message(message, Place { millis, ..place.inside(Format::Eks, b) });
}

fn is_log_event(top: &Top<'_>) -> bool {
    top.message.is_some_and(|m| m.starts_with(b"\"{"))
        && top.timestamp.is_some_and(|t| t.iter().all(u8::is_ascii_digit))
}

/// Base64 of gzip of a subscription record (or of a bare message).
fn payload(cx: &mut Cx<'_>, data: &[u8], envelope: &'static str, place: Place<'_>) {
    if place.depth > 4 {
        return cx.reject(place.line, Reason::TooDeep);
    }
    let mut text = cx.take();
    if !unescape(data, &mut text) {
        cx.give(text);
        return cx.reject(place.line, Reason::Payload { envelope, why: "data is no string".into() });
    }
    let packed = match base64::engine::general_purpose::STANDARD.decode(trim(&text)) {
        Ok(packed) => packed,
        Err(e) => {
            cx.give(text);
            return cx.reject(place.line, Reason::Payload { envelope, why: e.to_string() });
        }
    };
    text.clear();
    let mut flaw = None;
    if packed.starts_with(&[0x1f, 0x8b]) {
        let cap = PAYLOAD_CAP.min((packed.len() as u64 * 1000).max(1 << 20));
        let inflated = flate2::bufread::MultiGzDecoder::new(&packed[..]).take(cap).read_to_end(&mut text);
        flaw = match inflated {
            Err(e) => Some(e.to_string()),
            Ok(n) if n as u64 == cap => Some(format!("more than {cap} bytes inside")),
            Ok(_) => None,
        };
    } else {
        text.extend_from_slice(&packed);
    }
    if let Some(why) = flaw {
        cx.reject(place.line, Reason::Payload { envelope, why });
    } else if let Ok(inner) = simdutf8::basic::from_utf8(&text) {
        // The innermost log event is the record as received, not the whole batch.
        let place = Place { depth: place.depth + 1, raw: None, ..place };
        cx.values(inner.as_bytes(), Place { line: place.line, ..place });
    } else {
        cx.reject(place.line, Reason::Payload { envelope, why: "not UTF-8 text".into() });
    }
    cx.give(text);
}

/// The streams of the other control-plane log types; only audit is of use, an unknown name is read.
fn is_component_stream(stream: &[u8]) -> bool {
    if stream.starts_with(b"kube-apiserver-audit") {
        return false;
    }
    [
        &b"kube-apiserver-"[..],
        b"authenticator-",
        b"kube-controller-manager-",
        b"cloud-controller-manager-",
        b"kube-scheduler-",
    ]
    .iter()
    .any(|p| stream.starts_with(p))
}

fn trim_quotes(v: &[u8]) -> &[u8] {
    v.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(v)
}

/// An array whose first element is an object with `key`.
pub(crate) fn is_list_with(v: &[u8], key: &[u8]) -> bool {
    v.starts_with(b"[")
        && Elements::new(v).next().is_some_and(|e| e.is_ok_and(|(_, e)| member(e, key).is_some()))
}
