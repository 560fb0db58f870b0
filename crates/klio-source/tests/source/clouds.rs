//! The clouds' envelopes, written from their documents: what comes out is the event and its raw bytes.

use crate::support::*;
use base64::Engine;
use klio_source::{Format, Reason, SkipReason};
use serde_json::json;

fn b64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn subscription(messages: &[&str]) -> String {
    let events: Vec<_> = messages
        .iter()
        .enumerate()
        .map(|(i, m)| json!({"id": i.to_string(), "timestamp": 1_787_220_004_001u64, "message": m}))
        .collect();
    json!({"messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "/aws/eks/prod/cluster",
        "logStream": "kube-apiserver-audit-0a1b", "subscriptionFilters": ["to-audit"], "logEvents": events})
    .to_string()
}

#[test]
fn eks_deliveries_give_their_events() {
    let (a, b) = (event("a"), event("b"));
    let record = subscription(&[&a, &b]);
    let filter = json!({"events": [{"logStreamName": "kube-apiserver-audit-1", "timestamp": 1, "message": a, "eventId": "1"},
        {"logStreamName": "kube-apiserver-audit-1", "timestamp": 1, "message": b}], "searchedLogStreams": []});
    let insights = json!({"results": [[{"field": "@timestamp", "value": "2026-08-20 10:00:04.001"}, {"field": "@message", "value": a}],
        [{"field": "@message", "value": b}, {"field": "@log", "value": "111122223333:/aws/eks/prod/cluster"}]], "status": "Complete"});
    let firehose =
        json!({"requestId": "r", "timestamp": 1, "records": [{"data": b64(&gz(record.as_bytes()))}]});
    let lambda = json!({"awslogs": {"data": b64(&gz(record.as_bytes()))}});
    let kinesis = |record: &str| {
        json!({"kinesis": {"partitionKey": "1", "sequenceNumber": "4", "data": b64(&gz(record.as_bytes()))},
            "eventSource": "aws:kinesis", "eventName": "aws:kinesis:record"})
    };
    let kinesis = json!({"Records": [kinesis(&subscription(&[&a])), kinesis(&subscription(&[&b]))]});
    let export = format!("2026-08-20T10:00:04.001Z {a}\n2026-08-20T10:00:04.002Z {b}\n");
    for text in [
        record.clone(),
        pretty(&record),
        format!("{}{}", subscription(&[&a]), subscription(&[&b])),
        filter.to_string(),
        pretty(&filter.to_string()),
        insights.to_string(),
        pretty(&insights.to_string()),
        firehose.to_string(),
        lambda.to_string(),
        kinesis.to_string(),
        pretty(&kinesis.to_string()),
        export,
    ] {
        let got = read_all_ways(text.as_bytes());
        assert_eq!(got.ids(), ["a", "b"], "{text}");
        assert!(got.rejected.is_empty() && got.skipped.is_empty(), "{text}");
        assert!(got.records.iter().all(|r| r.format == Format::Eks && !r.raw.is_empty()), "{text}");
        assert_eq!(got.records[0].json, a);
    }
    // Firehose writes to S3 without line feeds, and compresses what CloudWatch already compressed.
    let double = gz(&[gz(record.as_bytes()), gz(record.as_bytes())].concat());
    assert_eq!(read(double).records.len(), 4);
}

#[test]
fn eks_raw_is_the_log_event_as_received() {
    let text = subscription(&[&event("a")]);
    let got = read(text.clone());
    let raw = String::from_utf8(got.records[0].raw.clone()).unwrap();
    assert!(text.contains(&raw) && raw.starts_with("{\"id\":") || raw.starts_with("{\"message\""), "{raw}");
}

#[test]
fn eks_cut_messages_are_salvaged() {
    let a = event("a").replace(
        r#""requestReceived"#,
        &format!(r#""requestObject":{{"data":"{}"}},"requestReceived"#, "x".repeat(500)),
    );
    let cut = format!("{}[Truncated...]", &a[..800]);
    let export = format!("2026-08-20T10:00:04.001Z {cut}\n");
    for text in [subscription(&[&cut]), subscription(&[&a[..800]]), export] {
        let got = read(text);
        let r = &got.records[0];
        assert!(r.salvaged);
        let v = json(&r.json);
        assert_eq!(
            (v["auditID"].as_str(), v["user"]["username"].as_str()),
            (Some("a"), Some("ana@example.org"))
        );
        assert_eq!(v["annotations"]["audit.k8s.io/truncated"], "true");
        assert!(v.get("requestObject").is_none());
    }
    let v = json(&read(subscription(&[&cut])).records[0].json);
    assert_eq!(v["stageTimestamp"], "2026-08-20T10:00:04.001000Z");
}

#[test]
fn eks_other_logs_are_counted() {
    let got = read(subscription(&[
        "time=\"2026-08-20T10:00:04Z\" level=info msg=\"access granted\"",
        "I0820 10:00:04.001002 1 a.go:1] x",
        &event("a"),
    ]));
    assert_eq!((got.records.len(), got.skips(SkipReason::ComponentLog), got.rejected.len()), (1, 2, 0));
    let other =
        subscription(&["{\"level\":\"info\"}"]).replace("kube-apiserver-audit-0a1b", "authenticator-0a1b");
    assert_eq!(read(other).skips(SkipReason::ComponentLog), 1);
    let probe = subscription(&["CWL CONTROL MESSAGE: Checking health of destination Firehose."])
        .replace("DATA_", "CONTROL_");
    assert_eq!(read(probe).skips(SkipReason::Probe), 1);
    let broken = json!({"records": [{"data": "!!!"}, {"data": b64(b"\x1f\x8b\x08broken")}]}).to_string();
    assert!(matches!(read(broken).reasons()[..], [(1, Reason::Payload { .. }), (1, Reason::Payload { .. })]));
}

#[test]
fn aks_records_give_their_events() {
    let id = "/SUBSCRIPTIONS/1/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/PROD";
    let record = |log: &str| {
        json!({"time": "2026-08-20T10:00:04.001Z", "category": "kube-audit", "operationName": "x", "resourceId": id,
        "properties": {"log": format!("{log}\n"), "stream": "stdout", "pod": "kube-apiserver-7d9", "containerID": "c0ffee"}})
    };
    let (a, b, klog) =
        (record(&event("a")), record(&event("b")), record("I0820 10:00:04.001002 1 a.go:1] x"));
    let properties = json!({"log": event("a")}).to_string();
    let text = json!({"properties": properties, "category": "kube-audit", "resourceId": id}).to_string();
    for text in [
        json!({"records": [a, klog, b]}).to_string(),
        pretty(&json!({"records": [a, klog, b]}).to_string()),
        format!("{a}\n{klog}\n{b}\n"),
        json!([a, klog, b]).to_string(),
    ] {
        let got = read_all_ways(text.as_bytes());
        assert_eq!(got.ids(), ["a", "b"]);
        assert_eq!((got.skips(SkipReason::ComponentLog), got.rejected.len()), (1, 0));
        assert!(got.records.iter().all(|r| r.format == Format::Aks));
    }
    assert_eq!(read(text).ids(), ["a"]);
    let legacy = json!([{"Category": "kube-audit", "log_s": event("a"), "pod_s": "p", "ResourceId": id, "TenantId": "t"}]);
    assert_eq!(read(legacy.to_string()).ids(), ["a"]);
}

#[test]
fn aks_table_rows_become_events() {
    let row = json!({"Level": "Request", "AuditId": "a", "Stage": "ResponseComplete", "RequestUri": "/api/v1/pods", "Verb": "create",
        "User": {"username": "ana"}, "SourceIps": "[\"203.0.113.7\"]", "UserAgent": "kubectl", "ObjectRef": "{\"resource\":\"pods\"}",
        "ResponseStatus": {"code": 201}, "RequestObject": "skipped-too-big-size-object", "ResponseObject": "", "Annotations": "{\"authorization.k8s.io/decision\":\"allow\"}",
        "RequestReceivedTime": "2026-08-20T10:00:00.1Z", "StageReceivedTime": "2026-08-20T10:00:00.2Z", "TimeGenerated": "2026-08-20T10:01:00Z",
        "PodName": "p", "_ResourceId": "/subscriptions/1/managedclusters/prod"});
    let got = read_all_ways(format!("{row}\n").as_bytes());
    let r = &got.records[0];
    assert!(r.salvaged);
    assert_eq!(
        json(&r.json),
        json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "auditID": "a", "stage": "ResponseComplete",
            "requestURI": "/api/v1/pods", "verb": "create", "user": {"username": "ana"}, "sourceIPs": ["203.0.113.7"], "userAgent": "kubectl",
            "objectRef": {"resource": "pods"}, "responseStatus": {"code": 201}, "requestReceivedTimestamp": "2026-08-20T10:00:00.1Z",
            "stageTimestamp": "2026-08-20T10:00:00.2Z",
            "annotations": {"audit.k8s.io/truncated": "true", "authorization.k8s.io/decision": "allow"}})
    );
    assert_eq!(String::from_utf8(r.raw.clone()).unwrap(), row.to_string());
}

#[test]
fn aks_only_its_annotations_tell_that_an_event_was_cut() {
    let row = |body: serde_json::Value, annotations: serde_json::Value| {
        json!({"Level": "Request", "AuditId": "a", "Stage": "ResponseComplete", "RequestUri": "/api/v1/pods", "Verb": "create",
            "User": {"username": "eve"}, "RequestObject": body, "Annotations": annotations, "TimeGenerated": "2026-08-20T10:01:00Z"})
    };
    let mark = json!({"audit.k8s.io/truncated": "true"});
    // A client writes bodies.
    let forged = json!({"metadata": {"annotations": mark}});
    let got = read(row(forged, json!({"authorization.k8s.io/decision": "allow"})).to_string());
    assert!(got.records.len() == 1 && !got.records[0].salvaged);
    for annotations in [mark.clone(), json!(mark.to_string())] {
        assert!(read(row(json!({}), annotations.clone()).to_string()).records[0].salvaged);
        let got = read(row(json!("skipped-too-big-size-object"), annotations).to_string());
        assert_eq!(
            (
                json(&got.records[0].json)["annotations"].clone(),
                got.records[0].json.matches("truncated").count()
            ),
            (mark.clone(), 1)
        );
    }
}

fn entry() -> serde_json::Value {
    json!({"insertId": "1x2y3z", "logName": "projects/p1/logs/cloudaudit.googleapis.com%2Factivity", "timestamp": "2026-08-20T10:00:04.001002Z",
        "resource": {"type": "k8s_cluster", "labels": {"project_id": "p1", "location": "europe-west1", "cluster_name": "prod"}},
        "operation": {"id": "5e8b5a5e", "producer": "k8s.io", "first": true, "last": true},
        "labels": {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": ""},
        "protoPayload": {"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io",
            "methodName": "io.k8s.core.v1.pods.exec.create", "resourceName": "core/v1/namespaces/shop/pods/cart-7c9/exec",
            "authenticationInfo": {"principalEmail": "ana@example.org"}, "authorizationInfo": [{"permission": "io.k8s.core.v1.pods.exec.create"}],
            "requestMetadata": {"callerIp": "203.0.113.7", "callerSuppliedUserAgent": "kubectl/v1.31.2"}, "status": {"code": 7, "message": "Forbidden"}}})
}

#[test]
fn gke_entries_become_events() {
    let e = entry();
    let push = json!({"message": {"data": b64(e.to_string().as_bytes()), "messageId": "1"}, "subscription": "projects/p/subscriptions/s"});
    for text in [
        e.to_string(),
        pretty(&e.to_string()),
        json!([e, e]).to_string(),
        pretty(&json!([e]).to_string()),
        json!({"entries": [e]}).to_string(),
        push.to_string(),
    ] {
        let got = read_all_ways(text.as_bytes());
        assert!(got.rejected.is_empty(), "{text}: {:?}", got.rejected);
        let r = &got.records[0];
        assert!(r.format == Format::Gke);
        assert_eq!(
            json(&r.json),
            json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "5e8b5a5e", "stage": "ResponseComplete",
                "requestURI": "/api/v1/namespaces/shop/pods/cart-7c9/exec", "verb": "create", "user": {"username": "ana@example.org"},
                "sourceIPs": ["203.0.113.7"], "userAgent": "kubectl/v1.31.2",
                "objectRef": {"resource": "pods", "namespace": "shop", "name": "cart-7c9", "apiVersion": "v1", "subresource": "exec"},
                "responseStatus": {"metadata": {}, "status": "Failure", "message": "Forbidden", "reason": "Forbidden", "code": 403},
                "stageTimestamp": "2026-08-20T10:00:04.001002Z",
                "annotations": {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": ""}})
        );
    }
}

#[test]
fn gke_status_and_level_are_true() {
    let one = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut e = entry();
        change(&mut e);
        json(&read(e.to_string()).records[0].json)
    };
    for (code, want) in [
        (0, 201),
        (3, 400),
        (5, 404),
        (6, 409),
        (7, 403),
        (8, 429),
        (9, 412),
        (10, 409),
        (13, 500),
        (14, 503),
        (16, 401),
    ] {
        let v = one(&|e| e["protoPayload"]["status"]["code"] = code.into());
        assert_eq!(v["responseStatus"]["code"], want, "google.rpc {code}");
    }
    let v = one(&|e| {
        e["protoPayload"]["status"] = json!({});
        e["protoPayload"]["methodName"] = "io.k8s.core.v1.pods.get".into();
        e["protoPayload"]["request"] = json!({"@type": "core.k8s.io/v1.Pod", "spec": {"hostPID": true}});
        e["operation"] = json!(null);
        e["protoPayload"]["authenticationInfo"]["principalSubject"] = "serviceAccount:x".into();
    });
    assert_eq!(
        (v["level"].as_str(), v["auditID"].as_str(), v["responseStatus"]["code"].as_i64()),
        (Some("Request"), Some("1x2y3z"), Some(200))
    );
    assert_eq!(v["requestObject"], json!({"spec": {"hostPID": true}}));
    assert_eq!(v["user"]["extra"]["principalSubject"], json!(["serviceAccount:x"]));
    let v = one(&|e| {
        e["protoPayload"]["status"]["code"] = 3.into();
        e["protoPayload"]["response"] =
            json!({"@type": "core.k8s.io/v1.Status", "code": 422, "reason": "Invalid"});
    });
    assert_eq!(
        (v["level"].as_str(), v["responseStatus"]["code"].as_i64()),
        (Some("RequestResponse"), Some(422))
    );
    assert_eq!(v["responseStatus"]["reason"], "Invalid");
}

#[test]
fn gke_other_services_are_counted() {
    let mut e = entry();
    e["protoPayload"]["serviceName"] = "container.googleapis.com".into();
    assert_eq!(read(e.to_string()).skips(SkipReason::OtherService), 1);
}

#[test]
fn shippers_lines_give_their_events() {
    let a = event("a");
    let v = json(&a);
    for text in [
        json!({"log": format!("{a}\n"), "stream": "stdout", "time": "2026-08-20T10:00:04Z"}).to_string(),
        json!({"@timestamp": "2026", "message": a, "host": {"name": "h"}}).to_string(),
        json!({"@timestamp": "2026", "kubernetes": {"audit": v, "node": {}}, "event": {"kind": "event"}})
            .to_string(),
        json!({"event": {"original": a, "kind": "event"}}).to_string(),
        json!({"event.original": a}).to_string(),
        json!({"time": 1, "host": "h", "sourcetype": "kube:audit", "event": v}).to_string(),
        json!({"event": a}).to_string(),
        json!({"preview": false, "result": {"_raw": a}}).to_string(),
        json!({"_index": "audit", "_source": v}).to_string(),
        json!({"took": 1, "hits": {"total": 1, "hits": [{"_source": {"message": a}}]}}).to_string(),
        json!({"labels": {}, "line": a, "timestamp": "2026"}).to_string(),
        json!({"jsonPayload": v, "logName": "projects/p/logs/x", "insertId": "i"}).to_string(),
        json!({"log": v}).to_string(),
        format!("2026-08-20T10:00:04.001002003Z stdout F {a}"),
        format!("Aug 20 10:00:04 cp-1 kube-apiserver[911]: {a}"),
        format!("[pod/kube-apiserver-cp-1/kube-apiserver] {a}"),
    ] {
        let got = read_all_ways(format!("{text}\n").as_bytes());
        assert_eq!(got.ids(), ["a"], "{text}: {:?}", got.rejected);
        assert_eq!((got.records[0].format, got.told()), (Format::Shipped, 1), "{text}");
    }
}
