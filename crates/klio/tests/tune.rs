//! `klio tune`: from what fires again and again to an allow-list.
#![allow(clippy::unwrap_used)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;

use made::{file, ok};

/// Somebody lists the Secrets of a system namespace; his name holds what a terminal would obey and what YAML would end at.
fn event(n: u32) -> String {
    let user = r#"o'neil\u001b[31m \"bot\"@example.com"#;
    format!(
        "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Metadata\",\"auditID\":\"tune-{n}\",\
         \"stage\":\"ResponseComplete\",\"requestURI\":\"/api/v1/namespaces/kube-system/secrets\",\"verb\":\"list\",\
         \"user\":{{\"username\":\"{user}\",\"groups\":[\"system:authenticated\"]}},\"sourceIPs\":[\"192.0.2.10\"],\
         \"userAgent\":\"kubectl/v1.36.1 (linux/amd64)\",\"objectRef\":{{\"resource\":\"secrets\",\
         \"namespace\":\"kube-system\",\"apiVersion\":\"v1\"}},\"responseStatus\":{{\"code\":200}},\
         \"requestReceivedTimestamp\":\"2026-11-{n:02}T08:00:00.000000Z\",\"stageTimestamp\":\"2026-11-{n:02}T08:00:00.000000Z\",\
         \"annotations\":{{\"authorization.k8s.io/decision\":\"allow\",\"authorization.k8s.io/reason\":\"\"}}}}\n"
    )
}

#[test]
fn what_fires_again_and_again_becomes_an_entry_that_removes_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = file(dir.path(), "audit.log", &(1..=8).map(event).collect::<String>());
    let suggested = ok(dir.path(), &["tune", &log]);
    assert!(!suggested.chars().any(|c| c.is_control() && c != '\n'), "{suggested:?}");
    assert!(suggested.contains("# 8 findings on 8 days, none in an incident."), "{suggested}");
    assert!(suggested.contains("agent:kubectl/*"), "{suggested}");
    assert!(ok(dir.path(), &["tune", &log, "--least", "9"]).is_empty());

    // Without an owner nobody answers for it.
    let list = file(dir.path(), "allow.yaml", &suggested);
    let refused = made::klio(dir.path(), &["tune", &log, "--try", &list]);
    assert_eq!(refused.status.code(), Some(2), "{}", made::err(&refused));
    let signed =
        suggested.replace("owner: ''", "owner: platform").replace("reason: ''", "reason: nightly copy");
    let list = file(dir.path(), "allow.yaml", &signed);
    let tried = ok(dir.path(), &["tune", &log, "--try", &list]);
    assert!(tried.contains("removes 8 findings, 0 of them in incidents"), "{tried}");
}
