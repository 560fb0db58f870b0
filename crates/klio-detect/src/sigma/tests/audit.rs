//! What is special about Kubernetes audit events.

use super::*;

#[test]
fn aliases_of_deployed_pipelines_mean_audit_fields() {
    let event = r#"{"level":"RequestResponse","verb":"create","objectRef":{"resource":"pods","namespace":"kube-system","apiGroup":"apps"},
        "user":{"username":"bob"},"userAgent":"curl/8","sourceIPs":["203.0.113.7"],
        "requestObject":{"spec":{"containers":[{"securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}},
        "responseObject":{"spec":{"containers":[{"securityContext":{"privileged":true}}]}},
        "annotations":{"authorization.k8s.io/decision":"allow"},"responseStatus":{"code":201,"details":{"kind":"pods"}}}"#;
    for item in [
        "apiGroup: apps",
        "resource: pods",
        "namespace: kube-system",
        "username: bob",
        "user.name: bob",
        "capabilities: '*'",
        "capabilities: sys_admin",
        "privileged: true",
        "user_agent.original|startswith: curl",
        "event.action: create",
        "source.ip: 203.0.113.7",
        "kubernetes.audit.objectRef.resource: pods",
        "kubernetes.audit.annotations.authorization_k8s_io/decision: allow",
        "responseStatus.details.kind: pods",
        "responseStatus.code: ALLOW",
        "container.securityContext.capabilities.add: SYS_ADMIN",
    ] {
        check(item, event, true);
    }
    check("subresource: ''", event, true);
    check("apiGroup: ''", event, false);
    check("responseStatus.code: FORBID", event, false);
}

#[test]
fn an_exec_is_one_request_whichever_protocol_carries_it() {
    let exec = "verb: create\nobjectRef.resource: pods\nobjectRef.subresource: exec";
    check(exec, EXEC, true);
    let websocket = EXEC.replace(r#""verb":"create""#, r#""verb":"get""#);
    check(exec, &websocket, true);
    // Refused: no connection was made.
    check(exec, &websocket.replace("101", "403"), false);
    // Only where the selection itself is about connections.
    check("verb: create\nobjectRef.resource: pods", &websocket, false);
    check("verb: get\nobjectRef.subresource: exec", EXEC, false);
    check("verb: create\nobjectRef.subresource:\n  - exec\n  - binding", &websocket, false);
}

#[test]
fn a_verb_that_never_occurs_is_pointed_out() {
    let text =
        rule("sel:\n  verb:\n    - update\n    - replace\n  objectRef.resource: secrets\ncondition: sel");
    let (set, problems) = load(&text);
    assert_eq!(set.rules.len(), 1);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].warning && problems[0].message.contains("`replace`") && problems[0].line == 11);
    assert!(problems[0].advice.as_deref().unwrap().contains("`update`"));
}

#[test]
fn an_unrecorded_body_leaves_a_negation_unproven() {
    let (set, _) = load(&rule(
        "sel:\n  verb: create\ntls:\n  requestObject.spec.tls|exists: true\ncondition: sel and not tls",
    ));
    let event = r#"{"level":"Metadata","verb":"create","objectRef":{"resource":"ingresses"}}"#;
    let event = Event::parse(event).unwrap();
    assert_eq!(set.rules[0].filter.eval(&event, Missing::Unknown), Tri::Unknown);
    assert_eq!(set.rules[0].filter.eval(&event, Missing::False), Tri::True);
}

#[test]
fn rules_that_name_the_stage_see_every_stage() {
    let every = |d: &str| load(&rule(d)).0.rules[0].every_stage;
    assert!(every("sel:\n  stage: RequestReceived\ncondition: sel"));
    assert!(!every("sel:\n  verb: get\ncondition: sel"));
}

#[test]
fn attributes_reach_the_rule() {
    let text = format!(
        "{}name: short\ndescription: |\n  Two\n  lines.\ntags:\n  - attack.credential-access\n  - attack.stealth\n  - attack.t1552.007\n  - attack.s0002\n  - cve.2020-1\nfalsepositives:\n  - Backups\nreferences:\n  - https://example.com\n",
        rule("sel:\n  verb: get\ncondition: sel").replace("level: low", "level: critical")
    );
    let (set, problems) = load(&text);
    assert!(problems.is_empty(), "{problems:?}");
    let rule = &set.rules[0];
    assert_eq!((rule.id.as_str(), rule.title.as_str(), rule.line), ("t-1", "T", 1));
    assert_eq!(rule.severity, Severity::Critical);
    assert_eq!(rule.tactics.len(), 2);
    assert_eq!(rule.techniques[0].to_string(), "T1552.007");
    assert_eq!(rule.description, "Two\nlines.");
    assert!(rule.reports);
}
