//! SARIF 2.1.0 (OASIS Standard), as code-scanning services read it.

use std::collections::BTreeSet;
use std::io::{self, Write};

use klio_model::Severity;
use serde_json::json;

use super::json as lines;
use super::view::View;
use crate::scan::Report;

pub(super) fn print(report: &mut Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut used = BTreeSet::new();
    let mut results = Vec::new();
    lines::findings(report, view, &mut |f, story| {
        let id = f["rule"]["id"].as_str().unwrap_or_default().to_owned();
        let severity = f["severity"].as_str().and_then(|s| s.parse().ok()).unwrap_or(Severity::Medium);
        let locations: Vec<_> = f["evidence"]
            .as_array()
            .into_iter()
            .flatten()
            .take(100)
            .map(|e| {
                let line = e["line"].as_u64().unwrap_or(1).max(1);
                json!({"physicalLocation": {
                    "artifactLocation": {"uri": uri(e["file"].as_str().unwrap_or_default())},
                    "region": {"startLine": line}}})
            })
            .collect();
        results.push(json!({
            "ruleId": id,
            "level": level(severity),
            "message": {"text": f["message"]},
            "locations": locations,
            "partialFingerprints": {"klioFinding/v1": f["id"]},
            "properties": {"severity": f["severity"], "proof": f["proof"], "time": f["time"], "actor": f["actor"], "attribution": f["attribution"], "object": f["object"], "story": story},
        }));
        used.insert(id);
        Ok(())
    })?;
    let rules: Vec<_> = report
        .rules
        .iter()
        .filter(|r| used.contains(&r.rule.id))
        .map(|r| {
            let tags: Vec<_> = r.tactics.iter().map(|t| format!("attack.{t}")).collect();
            json!({
                "id": r.rule.id,
                "name": r.rule.title,
                "shortDescription": {"text": r.rule.title},
                "defaultConfiguration": {"level": level(r.severity)},
                "properties": {"tags": tags, "security-severity": score(r.severity), "dialect": r.rule.dialect},
            })
        })
        .collect();
    let document = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "klio", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Informational => "note",
    }
}

/// The number by which code scanning ranks security findings (CVSS bands).
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.0",
        Severity::Low => "3.0",
        Severity::Informational => "0.5",
    }
}

/// A path as a relative or file URI: everything but unreserved characters and slashes is escaped (RFC 3986).
fn uri(path: &str) -> String {
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for b in path.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}
