//! Recorded events, and the same with something odd about them.

use std::path::{Path, PathBuf};

use klio_model::Event;
use serde_json::{Value, json};

use crate::random::Random;

/// Recorded events taken, and odd ones made.
const RECORDED: usize = 350;
const ODD: usize = 350;

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if path.to_string_lossy().ends_with(".jsonl.zst") {
            found.push(path);
        }
    }
}

/// Events of all recordings.
pub fn events(random: &mut Random) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded");
    let mut paths = Vec::new();
    files(&root, &mut paths);
    let mut recorded: Vec<String> = Vec::new();
    let each = RECORDED / paths.len() + 2;
    for path in paths {
        let bytes = zstd::stream::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let lines: Vec<&str> = text.lines().filter(|l| l.len() < 6_000 && Event::parse(l).is_ok()).collect();
        if !lines.is_empty() {
            recorded.extend((0..each).map(|_| random.pick(&lines).to_string()));
        }
    }
    let mut all = recorded.clone();
    while all.len() < recorded.len() + ODD {
        let mut event: Value = serde_json::from_str(random.pick(&recorded).as_str()).unwrap();
        for _ in 0..=random.below(4) {
            bend(&mut event, random);
        }
        let mut text = event.to_string();
        // The same in another spelling.
        match random.below(12) {
            0 => text = text.replace("system", "s\\u0079stem").replace("kube", "ku\\u0062e"),
            1 => text = text.replace("/api", "\\/api").replace("/v1", "\\/v1"),
            2 => text = text.replace('k', "\u{212a}"),
            3 => text = text.replace("\":", "\" : ").replace(',', ", "),
            _ => {}
        }
        if Event::parse(&text).is_ok() {
            all.push(text);
        }
    }
    for text in [
        "{}",
        r#"{"kind":"Event"}"#,
        r#"{"verb":"get","verb":"list"}"#,
        r#"{"user":{"username":"a"},"auditID":"A"}"#,
    ] {
        all.push(text.to_owned());
    }
    for i in (1..all.len()).rev() {
        all.swap(i, random.below(i + 1));
    }
    all
}

fn bend(event: &mut Value, random: &mut Random) {
    let Value::Object(members) = event else { return };
    let keys: Vec<String> = members.keys().cloned().collect();
    match random.below(19) {
        0 => {
            members.remove(random.pick(&keys).as_str());
        }
        1 => {
            members.insert(random.pick(&keys).clone(), Value::Null);
        }
        2 => {
            let user = [
                json!(null),
                json!({}),
                json!({"username": null}),
                json!({"username": ""}),
                json!({"username": "ÄRGER İ ß"}),
            ];
            members.insert("user".into(), random.pick(&user).clone());
        }
        3 => {
            members.insert(
                "stage".into(),
                json!(random.pick(&["RequestReceived", "ResponseStarted", "Panic", "Odd", ""])),
            );
        }
        4 | 5 => {
            let times = [
                "2026-11-21T03:01:58+02:00",
                "2026-11-20T23:59:59.999999Z",
                "2026-11-21T00:00:00Z",
                "1969-12-31T23:00:00.5Z",
                "yesterday",
                "",
                "2026-11-23T10:11:12.123456789-05:00",
                "2026-02-30T00:00:00Z",
            ];
            let field = random.pick(&["requestReceivedTimestamp", "stageTimestamp"]);
            members.insert(field.to_string(), json!(random.pick(&times)));
        }
        6 => {
            let ids = ["", "ÄÖ", "ABC-DEF", "abc-def", "日本", "K", "a\nb\"c"];
            members.insert("auditID".into(), json!(random.pick(&ids)));
        }
        7 | 8 => {
            let groups = [
                json!([]),
                json!(["a,b", "c"]),
                json!(null),
                json!(["System:Masters", ""]),
                json!("dev"),
                json!({"a": "b"}),
                json!([1, "x"]),
                json!([["x"]]),
                json!([null]),
                json!(["ü", "Ü", "ü\"\\"]),
            ];
            let groups = random.pick(&groups).clone();
            match members.get_mut("user") {
                Some(Value::Object(user)) => drop(user.insert("groups".into(), groups)),
                _ => drop(members.insert("user".into(), json!({"username": "u", "groups": groups}))),
            }
        }
        9 => {
            let codes = [
                json!({}),
                json!({"code": 99_999_999_999_i64}),
                json!({"code": -1}),
                json!({"code": 0}),
                json!({"code": 404.0}),
                json!(null),
                json!({"code": "403"}),
                json!({"code": 1e300}),
                json!({"code": 403, "reason": "Forbidden"}),
            ];
            members.insert("responseStatus".into(), random.pick(&codes).clone());
        }
        10 => {
            let annotations = [
                json!(null),
                json!({}),
                json!({"authorization.k8s.io/decision": "Allow"}),
                json!({"authorization.k8s.io/decision": null}),
                json!({"authorization.k8s.io/decision": 1}),
                json!([]),
                json!({"authorization.k8s.io/decision": "al\u{e9}"}),
            ];
            members.insert("annotations".into(), random.pick(&annotations).clone());
        }
        11 => {
            let ips = [
                json!([]),
                json!(["::1"]),
                json!(["1.2.3.4", "10.0.0.9"]),
                json!(null),
                json!("10.0.0.1"),
                json!(["x"]),
                json!([7]),
            ];
            members.insert("sourceIPs".into(), random.pick(&ips).clone());
        }
        12 => {
            members.insert(
                "level".into(),
                json!(random.pick(&["Metadata", "Request", "RequestResponse", "None", "odd", ""])),
            );
        }
        13 => {
            let uris = [
                "/api/v1/pods?dryRun=All",
                "/a%2Fb?command=sh&command=id",
                "",
                "//x//y?",
                "/api/v1/namespaces/a/pods/b/exec?command=%22",
            ];
            members.insert("requestURI".into(), json!(random.pick(&uris)));
        }
        14 => {
            let extra = [
                json!(null),
                json!({}),
                json!({"authentication.kubernetes.io/credential-id": ["JTI=x"]}),
                json!({"authentication.kubernetes.io/credential-id": "JTI=y"}),
                json!([]),
                json!({"authentication.kubernetes.io/credential-id": [3]}),
            ];
            if let Some(Value::Object(user)) = members.get_mut("user") {
                user.insert("extra".into(), random.pick(&extra).clone());
            }
        }
        15 => {
            let verb = random.pick(&["GET", "create", "", "İ", "patch", "delete"]);
            members.insert("verb".into(), json!(verb));
        }
        16 => {
            let objects = [
                json!(null),
                json!({}),
                json!({"resource": "", "name": "a*b?"}),
                json!({"resource": "PODS", "namespace": "K\u{212a}"}),
            ];
            members.insert("objectRef".into(), random.pick(&objects).clone());
        }
        17 => {
            let users = [
                json!(null),
                json!({}),
                json!({"username": "root", "groups": []}),
                json!({"username": "ÄRGER i̇ SS"}),
            ];
            members.insert("impersonatedUser".into(), random.pick(&users).clone());
        }
        _ => {
            let bodies = [
                json!(null),
                json!({}),
                json!([]),
                json!([{"op": "add", "path": "/spec/hostPID", "value": true}]),
                json!("x"),
                json!({"spec": {"hostPID": true, "containers": [{"image": "é", "securityContext": {"privileged": true}}]}}),
            ];
            let field = random.pick(&["requestObject", "responseObject"]);
            members.insert(field.to_string(), random.pick(&bodies).clone());
        }
    }
}
