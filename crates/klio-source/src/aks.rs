//! Azure AKS: diagnostic records with the event as a string in `properties.log`, the AzureDiagnostics table
//! (`log_s`), and the resource-specific tables AKSAudit and AKSAuditAdmin, whose rows are written back as events.
//! Sources: Azure Monitor "AKSAudit" table reference; AKS "Monitoring data reference".

use crate::decode::{Cx, Place};
use crate::scan::{Members, member, trim, unescape};
use crate::top::Top;
use crate::{Format, Reason, salvage, wrap, write};

/// Column of the table → member of the event, in the event's order.
const COLUMNS: [(&[u8], &[u8], Column); 17] = [
    (b"Level", b"level", Column::Text),
    (b"AuditId", b"auditID", Column::Text),
    (b"Stage", b"stage", Column::Text),
    (b"RequestUri", b"requestURI", Column::Text),
    (b"Verb", b"verb", Column::Text),
    (b"User", b"user", Column::Json),
    (b"ImpersonatedUser", b"impersonatedUser", Column::Json),
    (b"SourceIps", b"sourceIPs", Column::Json),
    (b"UserAgent", b"userAgent", Column::Text),
    (b"ObjectRef", b"objectRef", Column::Json),
    (b"ResponseStatus", b"responseStatus", Column::Json),
    (b"RequestObject", b"requestObject", Column::Json),
    (b"ResponseObject", b"responseObject", Column::Json),
    (b"RequestReceivedTime", b"requestReceivedTimestamp", Column::Text),
    (b"StageReceivedTime", b"stageTimestamp", Column::Text),
    (b"TimeGenerated", b"stageTimestamp", Column::Text),
    (b"Annotations", b"annotations", Column::Json),
];

#[derive(Clone, Copy, PartialEq)]
enum Column {
    Text,
    /// "dynamic": JSON, or JSON in a string.
    Json,
}

/// Takes the object if it is one of Azure's.
pub(crate) fn object(cx: &mut Cx<'_>, b: &[u8], top: &Top<'_>, place: Place<'_>) -> bool {
    let id = top.resource_id.or(top.resource_id_la).or(top.resource_id_table);
    let inside = place.inside(Format::Aks, b);
    let log = top.properties.and_then(|p| properties_log(cx, p));
    if let Some(log) = log {
        // The category says audit, the content may still be klog text: content decides.
        let is = cx.message(&log, inside);
        cx.give(log);
        is
    } else if let Some(log) = top.log_s {
        cx.message(log, inside)
    } else if top.audit_id_la.is_some() && (top.level_la.is_some() || member(b, b"RequestUri").is_some()) {
        row(cx, b, inside);
        true
    } else if let Some(records) = top.records.filter(|v| v.starts_with(b"[")) {
        wrap::elements(cx, b, records, place);
        true
    } else if (top.category.is_some() || top.category_la.is_some())
        && id.is_some_and(|id| id.starts_with(b"\"") && id.len() > 2)
    {
        // Another diagnostic category of the same account.
        cx.skip(place.line, crate::SkipReason::OtherService);
        true
    } else {
        false
    }
}

/// `properties.log`; `properties` may itself be a string.
fn properties_log(cx: &mut Cx<'_>, properties: &[u8]) -> Option<Vec<u8>> {
    let mut inner = cx.take();
    let object = if unescape(properties, &mut inner) { &inner[..] } else { properties };
    let log = member(object, b"log").map(<[u8]>::to_vec);
    cx.give(inner);
    log
}

/// A row of AKSAudit or AKSAuditAdmin.
fn row(cx: &mut Cx<'_>, b: &[u8], place: Place<'_>) {
    let mut values: [Option<&[u8]>; COLUMNS.len()] = [None; COLUMNS.len()];
    for m in Members::new(b).map_while(Result::ok) {
        for ((name, ..), value) in COLUMNS.iter().zip(&mut values) {
            if *name == m.key {
                *value = Some(m.value);
            }
        }
    }
    let mut out = cx.take();
    out.extend_from_slice(br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1""#);
    // `lost`: a body was left out and the event does not tell it yet.
    let (mut lost, mut cut, mut time) = (false, false, false);
    for ((name, target, column), value) in COLUMNS.iter().zip(values) {
        let Some(value) = value.filter(|v| !matches!(*v, b"null" | b"\"\"")) else { continue };
        if *target == b"stageTimestamp" && std::mem::replace(&mut time, true) {
            continue;
        }
        let mut text = cx.take();
        let dynamic = *column == Column::Json && unescape(value, &mut text);
        let json = if dynamic { trim(&text) } else { value };
        if *column == Column::Text || matches!(json.first(), Some(b'{' | b'[')) {
            let annotations = *name == b"Annotations";
            write::key(&mut out, target);
            if annotations && member(json, b"audit.k8s.io/truncated") == Some(b"\"true\"") {
                (lost, cut) = (false, true);
            }
            match json {
                [b'{', rest @ ..] if annotations && lost => {
                    out.push(b'{');
                    out.extend_from_slice(salvage::TRUNCATED);
                    out.extend_from_slice(if trim(rest) == b"}" { b"" } else { b"," });
                    out.extend_from_slice(rest);
                    lost = false;
                }
                _ => out.extend_from_slice(json),
            }
        } else {
            // `skipped-too-big-size-object`: recorded by the apiserver, left out by Azure.
            lost |= target.ends_with(b"Object");
            cut |= lost;
        }
        cx.give(text);
    }
    if lost {
        write::key(&mut out, b"annotations");
        out.push(b'{');
        out.extend_from_slice(salvage::TRUNCATED);
        out.push(b'}');
    }
    out.push(b'}');
    if crate::scan::skip_value(&out, 0) == Ok(out.len()) {
        cx.record(&out, Place { salvaged: cut || place.salvaged, ..place });
    } else {
        cx.reject(
            place.line,
            Reason::Payload { envelope: "AKSAudit row", why: "a column is not JSON".into() },
        );
    }
    cx.give(out);
}
