//! The history of an object, asked as a user would, of recorded events.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;

use std::path::Path;

use made::{err, file, klio, ok, out, recorded, refused};
use serde_json::Value;

const BENIGN: &str = "benign/requestresponse.jsonl.zst";

/// Tells the history that a file holds.
fn of_file(log: &str, object: &str, more: &[&str]) -> String {
    let log = recorded(log);
    ok(Path::new("/nonexistent"), &[&["object", object, "--log", &log][..], more].concat())
}

fn steps(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The body that an event of a recording was answered with.
fn answer(log: &str, audit_id: &str) -> Value {
    let found = ok(
        Path::new("/nonexistent"),
        &["hunt", &format!("audit.id:{audit_id}"), &recorded(log), "-o", "jsonl"],
    );
    let event: Value = serde_json::from_str(found.lines().last().unwrap()).unwrap();
    event["responseObject"].clone()
}

#[test]
fn a_deployment_is_told_field_by_field() {
    let told = of_file(BENIGN, "deploy/web/bff", &[]);
    assert!(told.starts_with("deployments web/bff: apps/v1 Deployment, uid "), "{told}");
    let image = "~ spec.template.spec.containers[name=app].image: \"docker.io/evil/bff:3.13.8\" → \"docker.io/evil/bff:6.44.1\"";
    assert!(told.contains(image), "{told}");
    assert!(
        told.contains("~ spec.template.metadata.annotations[\"ci/build\"]: \"17a87d0f\" → \"cbf0f91f\""),
        "{told}"
    );
    assert!(told.contains("as kubectl-set, audit id "), "{told}");
    // The controller's status updates are counted with those that came too late, and what the server keeps is left out.
    let quiet = "12 status updates, 3 writes that came too late (409) (system:serviceaccount:kube-system:deployment-controller)";
    assert!(told.contains(quiet) && !told.contains("which failed (409)"), "{told}");
    assert!(!told.contains("resourceVersion") && !told.contains("managedFields"), "{told}");
    let all = of_file(BENIGN, "deploy/web/bff", &["--all", "--lines", "0"]);
    assert!(all.contains("~ metadata.resourceVersion: ") && all.contains("status."), "{all}");

    // Only of one person, and only by a subresource.
    let one = of_file(BENIGN, "deployments.apps/web/bff", &["--where", "user:dave@corp.example"]);
    assert_eq!(one.matches("dave@corp.example (").count(), 1, "{one}");
    assert!(!one.contains("heidi"), "{one}");
    let scaled = of_file(BENIGN, "Deployment/payments/payments-api/scale", &["-o", "json"]);
    let scaled = steps(&scaled);
    assert!(scaled.len() > 2 && scaled.iter().all(|step| step["subresource"] == "scale"), "{scaled:?}");
    assert!(scaled.iter().any(|step| step["changes"][0]["path"] == "spec.replicas"), "{scaled:?}");
}

#[test]
fn each_version_is_what_the_server_answered() {
    let told = steps(&of_file(BENIGN, "deploy/web/bff", &["-o", "json"]));
    let versions: Vec<&Value> = told.iter().filter(|step| step["version"].is_u64()).collect();
    assert_eq!(versions.len(), 7, "{versions:?}");
    for step in versions {
        let n = step["version"].to_string();
        let whole = answer(BENIGN, step["audit_id"].as_str().unwrap());
        let json: Value =
            serde_json::from_str(&of_file(BENIGN, "deploy/web/bff", &["--version", &n, "-o", "json"]))
                .unwrap();
        assert_eq!(json["spec"], whole["spec"], "{n}");
        assert!(json.get("status").is_none() && json["metadata"].get("resourceVersion").is_none(), "{json}");
        let yaml = of_file(BENIGN, "deploy/web/bff", &["--version", &n]);
        assert!(yaml.starts_with("# deployments web/bff as the API server answered it"), "{yaml}");
        assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), json, "{n}");
    }
    // Between two versions the earlier one holds.
    let at = of_file(BENIGN, "deploy/web/bff", &["--at", "2026-11-21T01:22:05Z"]);
    assert!(at.contains("evil/bff:6.44.1") && at.contains("2026-11-21T01:22:02Z"), "{at}");
    let log = recorded(BENIGN);
    let nowhere = Path::new("/nonexistent");
    refused(
        nowhere,
        &["object", "deploy/web/bff", "--log", &log, "--version", "70"],
        2,
        "there is no version 70",
    );
    let early = ["object", "deploy/web/bff", "--log", &log, "--at", "2026-11-20"];
    refused(nowhere, &early, 2, "deployments web/bff");
}

#[test]
fn the_same_name_after_a_deletion_is_another_object() {
    let told = of_file(BENIGN, "po/data/postgres-0", &[]);
    assert!(told.contains("2 objects of this name"), "{told}");
    let order = [
        "ran `sh -c env | sort` in container app of pod data/postgres-0",
        "grace@corp.example (from",
        "its deletion began",
        "deleted pod data/postgres-0",
        "created pod data/postgres-0",
        "another object than the one that was deleted at 2026-11-21T01:22:13",
        "its uid is 6c161903-c472-440f-839b-b38e944231af",
        "+ spec.containers[name=app].image: ",
        "~ spec.nodeName",
    ];
    let mut rest = told.as_str();
    for words in order {
        let words = if words.starts_with('~') { "spec.nodeName: " } else { words };
        let at = rest.find(words).unwrap_or_else(|| panic!("{words} is not after the others in {told}"));
        rest = &rest[at..];
    }
    // A deployment of which mallory changed the scale, refused requests and all, from the lake.
    let dir = tempfile::tempdir().unwrap();
    ok(dir.path(), &["ingest", &recorded("attacks/17-mutating-webhook/requestresponse.jsonl.zst")]);
    let told = ok(dir.path(), &["object", "deployment/web/frontend"]);
    let scaled = told.split("\n\n").find(|step| step.contains("mallory@corp.example")).unwrap();
    assert!(scaled.contains("spec.replicas: ") && scaled.contains(" → 2"), "{told}");
    let file =
        of_file("attacks/17-mutating-webhook/requestresponse.jsonl.zst", "deployment/web/frontend", &[]);
    assert_eq!(told, file, "the lake and its file tell the same");
}

#[test]
fn values_of_secrets_are_never_told() {
    let name = "secrets/payments/sh.helm.release.v1.payments.v17952241121";
    let value = answer(BENIGN, &{
        let told = steps(&of_file(BENIGN, name, &["-o", "json"]));
        told[0]["audit_id"].as_str().unwrap().to_owned()
    });
    let value = value["data"]["release"].as_str().unwrap();
    assert!(value.len() > 100, "the recording holds the value");
    let dir = tempfile::tempdir().unwrap();
    // A lake that was told to keep secrets does not show them here either.
    made::with_settings(dir.path(), "redaction:\n  off: true\n");
    ok(dir.path(), &["ingest", &recorded(BENIGN)]);
    assert!(ok(dir.path(), &["hunt", "resource:secrets", "-o", "jsonl"]).contains(value));
    let of_lake = |more: &[&str]| ok(dir.path(), &[&["object", name][..], more].concat());
    for more in [
        &[][..],
        &["--all", "--lines", "0"],
        &["-o", "json"],
        &["--version", "1"],
        &["--version", "1", "--all"],
    ] {
        for text in [of_file(BENIGN, name, more), of_lake(more)] {
            assert!(!text.contains(&value[..24]), "{more:?}");
            assert!(text.contains("[redacted:secret.data len="), "{more:?}: {text}");
        }
    }
    let yaml = of_file(BENIGN, name, &["--version", "1"]);
    assert!(yaml.contains("# DO NOT APPLY IT AS IT IS") && yaml.contains("data.release"), "{yaml}");
}

#[test]
fn what_was_not_recorded_is_said_with_the_way_to_record_it() {
    let log = recorded("benign/metadata.jsonl.zst");
    let nowhere = Path::new("/nonexistent");
    let told = klio(nowhere, &["object", "deploy/web/bff", "--log", &log]);
    assert_eq!(told.status.code(), Some(0), "{}", err(&told));
    assert!(out(&told).contains("cannot be seen: the audit level records no bodies"), "{}", out(&told));
    let advice = err(&told);
    assert!(
        advice.contains("- level: RequestResponse") && advice.contains("resources: [\"deployments\"]"),
        "{advice}"
    );
    refused(nowhere, &["object", "deploy/web/bff", "--log", &log, "--version", "1"], 2, "is not known");
    // Of secrets that is as it should be.
    let name =
        steps(&ok(nowhere, &["hunt", "resource:secrets and verb:patch and code:200", &log, "-o", "jsonl"]));
    let object = &name[0]["objectRef"];
    let (place, name) = (object["namespace"].as_str().unwrap(), object["name"].as_str().unwrap());
    let told = klio(nowhere, &["object", &format!("secret/{place}/{name}"), "--log", &log]);
    assert!(
        err(&told).contains("as it should be") && !err(&told).contains("level: RequestResponse"),
        "{}",
        err(&told)
    );
}

#[test]
fn wrong_objects_get_advice() {
    let dir = tempfile::tempdir().unwrap();
    let log = recorded("attacks/17-mutating-webhook/metadata.jsonl.zst");
    let check = |object: &str, code: i32, said: &str| {
        refused(dir.path(), &["object", object, "--log", &log], code, said)
    };
    check("deplyoments/web/frontend", 2, "did you mean deployments?");
    check("deploy/web/nobody", 2, "nothing in these files was done to deployments web/nobody");
    check("deploy/frontend", 2, "write deploy/NAMESPACE/NAME");
    check("clusterrole/web/view", 2, "are in no namespace");
    check("frontend", 2, "is no object");
    refused(dir.path(), &["object", "po/a/b", "--log", "/no/such/file"], 3, "");
    ok(dir.path(), &["ingest", &log]);
    refused(
        dir.path(),
        &["object", "deploy/web/nobody"],
        2,
        "klio stats distinct resource,namespace 'name:nobody'",
    );
    ok(dir.path(), &["stats", "distinct", "resource,namespace", "name:frontend"]);
    let other = recorded("attacks/17-mutating-webhook/requestresponse.jsonl.zst");
    ok(dir.path(), &["ingest", &other, "--cluster", "other"]);
    refused(dir.path(), &["object", "deploy/web/frontend"], 2, "--cluster NAME");
    ok(dir.path(), &["object", "deploy/web/frontend", "--cluster", "other"]);
}

/// Patches without answers, of each kind, are applied to what was read before.
#[test]
fn patches_without_answers_are_applied() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = String::new();
    let mut n = 0;
    let mut event = |verb: &str, key: &str, body: &str| {
        n += 1;
        log += &format!(
            "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"RequestResponse\",\"auditID\":\"id-{n}\",\
             \"stage\":\"ResponseComplete\",\"requestURI\":\"/api/v1/namespaces/a/pods/p\",\"verb\":\"{verb}\",\
             \"user\":{{\"username\":\"alice\"}},\"objectRef\":{{\"resource\":\"pods\",\"namespace\":\"a\",\"name\":\"p\"}},\
             \"responseStatus\":{{\"code\":200}},\"{key}\":{body},\"requestReceivedTimestamp\":\"2026-07-01T10:00:{n:02}.000000Z\",\
             \"stageTimestamp\":\"2026-07-01T10:00:{n:02}.000000Z\"}}\n"
        );
    };
    event(
        "get",
        "responseObject",
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","labels":{"a":"yes","b":"1:30"}},"spec":{"containers":[{"name":"x","image":"x:1"},{"name":"y","image":"y:1"}]}}"#,
    );
    event("patch", "requestObject", r#"{"spec":{"containers":[{"name":"y","image":"y:2"}]}}"#);
    event("patch", "requestObject", r#"[{"op":"replace","path":"/spec/containers/0/image","value":"x:2"}]"#);
    event("patch", "requestObject", r#"{"metadata":{"labels":{"c":"\u001b[31mon","d":null}}}"#);
    let path = file(dir.path(), "audit.log", &log);
    let told = ok(dir.path(), &["object", "po/a/p", "--log", &path]);
    for line in [
        "the kind of patch is not recorded",
        "~ spec.containers[name=y].image: \"y:1\" → \"y:2\"",
        "~ spec.containers[name=x].image: \"x:1\" → \"x:2\"",
        "+ metadata.labels.c: ",
        "rebuilt from the patch",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(!told.contains('\u{1b}'), "{told}");
    let yaml = ok(dir.path(), &["object", "po/a/p", "--log", &path, "--version", "3"]);
    assert!(yaml.contains("# UNCERTAIN") && !yaml.contains('\u{1b}'), "{yaml}");
    let pod: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(pod["spec"]["containers"][1]["image"], "y:2");
    // What YAML 1.1 takes for something else stays a text.
    assert!(yaml.contains("a: \"yes\"") || yaml.contains("a: 'yes'"), "{yaml}");
    assert!(yaml.contains("\"1:30\"") || yaml.contains("'1:30'"), "{yaml}");
}
