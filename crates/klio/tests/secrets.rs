//! Secrets in an audit log: none reaches the lake's directory, whatever happens to the program meanwhile.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use made::{command, count, number, ok, recorded, with_settings};
use serde_json::{Value, json};

/// What must not be found anywhere, and where it is planted.
const PLANTED: [(&str, &str); 18] = [
    ("Tr0ub4dorAndThreeHorses", "data of a Secret"),
    ("stringDataHuntsForBadgers", "stringData of a Secret"),
    ("patchedInByJsonPatchNr77", "a JSON patch of a Secret"),
    ("mergedInByMergePatchNr78", "a merge patch of a Secret"),
    ("lastAppliedKeepsItTwice9", "a last-applied annotation"),
    ("helmReleaseHoldsValues31", "a Helm release"),
    ("c2lnbmF0dXJlT2ZUb2tlblJl", "the answer to a TokenRequest"),
    ("MIICsjCCAZoCAQAwIjEgMB4G", "a CertificateSigningRequest"),
    ("bearerTokenInUrlQuery4711", "a token in a URL"),
    ("passwordInExecCommand8080", "the command of an exec"),
    ("envLiteralPassword5432xy", "an environment variable"),
    ("argumentOfContainer999zz", "an argument of a container"),
    ("kubeconfigUserToken24680", "a kubeconfig in a ConfigMap"),
    ("kubeconfigClientKey13579", "the key in that kubeconfig"),
    ("userinfoPasswordOfUrl66q", "a password in a URL"),
    ("admissionPatchAddedIt555", "a patch by an admission webhook"),
    ("quotedByAnErrorMessage12", "an error message"),
    ("cutOffInTheMiddleOfLine3", "a line that was cut off"),
];

fn planted(number: usize) -> &'static str {
    PLANTED[number].0
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, i| word << 8 | u32::from(three.get(i).copied().unwrap_or(0)));
        let digit = |i: usize| {
            if i > three.len() { '=' } else { DIGITS[(word >> (18 - 6 * i) & 63) as usize].into() }
        };
        text.extend((0..4).map(digit));
    }
    text
}

/// Forms in which a value may stand in a file.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    // Base64 of it at any place of a longer text, and once more.
    let packed = |text: &str| -> Vec<String> {
        let at = |shift: usize| {
            let packed = base64(format!("{}{text}", "x".repeat(shift)).as_bytes());
            packed[shift.div_ceil(3) * 4..packed.len() - 4].to_owned()
        };
        (0..3).map(at).collect()
    };
    for once in packed(value) {
        forms.extend(packed(&once));
        forms.push(once);
    }
    forms.push(value.bytes().fold(String::new(), |hex, b| format!("{hex}{b:02x}")));
    forms
}

fn event(number: usize, verb: &str, resource: &str, more: &Value) -> Value {
    let time = format!("2026-07-01T10:{:02}:{:02}.{:06}Z", number / 60 % 60, number % 60, number);
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse",
        "auditID": format!("6f1f0ce9-0000-4000-8000-{number:012}"), "stage": "ResponseComplete",
        "requestURI": format!("/api/v1/namespaces/shop/{resource}"), "verb": verb,
        "user": {"username": "alice", "groups": ["system:masters"]}, "sourceIPs": ["203.0.113.7"],
        "userAgent": "kubectl/v1.36.1",
        "objectRef": {"resource": resource, "namespace": "shop", "name": format!("n{number}"), "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": time, "stageTimestamp": time,
    });
    for (key, value) in more.as_object().unwrap() {
        event[key] = value.clone();
    }
    event
}

/// One event for each place.
fn events() -> Vec<Value> {
    let secret = |data: Value| {
        let mut secret =
            json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "db", "namespace": "shop"}});
        secret.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
        secret
    };
    let of = |n: usize| base64(planted(n).as_bytes());
    let body = secret(json!({"data": {"password": of(0)}, "type": "Opaque"}));
    let string = secret(json!({"stringData": {"password": planted(1)}}));
    let applied =
        json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"password": planted(4)}}).to_string();
    let mut annotated = secret(json!({"data": {"a": of(4)}}));
    annotated["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": applied});
    let release =
        base64(base64(format!("{{\"config\":{{\"password\":\"{}\"}}}}", planted(5)).as_bytes()).as_bytes());
    let token = format!(
        "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.{}",
        planted(6)
    );
    let request = base64(
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", planted(7))
            .as_bytes(),
    );
    let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {"containers": [{
        "name": "c", "image": "nginx",
        "env": [{"name": "DB_PASSWORD", "value": planted(10)}, {"name": "MODE", "value": "fast"}],
        "args": [format!("--api-token={}", planted(11)), "--verbose"],
    }]}});
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nusers:\n- name: ops\n  user:\n    token: {}\n    client-key-data: {}\n",
        planted(12),
        base64(
            format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", planted(13))
                .as_bytes()
        ),
    );
    let webhook = json!({"webhooks": [{"clientConfig": {"url": format!("https://hook:{}@hooks.example.com/x", planted(14))}}]});
    let patch = json!({"patch": [{"op": "add", "path": "/data/injected", "value": of(15)}], "patchType": "JSONPatch"}).to_string();
    let exec = format!(
        "/api/v1/namespaces/shop/pods/p/exec?command=mysql&command=-p{0}&command=--password={0}&container=c",
        planted(9)
    );
    vec![
        event(0, "create", "secrets", &json!({"requestObject": body, "responseObject": body})),
        event(1, "update", "secrets", &json!({"requestObject": string})),
        event(
            2,
            "patch",
            "secrets",
            &json!({"requestObject": [{"op": "replace", "path": "/data/password", "value": of(2)}]}),
        ),
        event(3, "patch", "secrets", &json!({"requestObject": {"stringData": {"password": planted(3)}}})),
        event(
            4,
            "list",
            "secrets",
            &json!({"responseObject": {"kind": "SecretList", "apiVersion": "v1", "items": [annotated]}}),
        ),
        event(
            5,
            "create",
            "secrets",
            &json!({"requestObject": {
                "kind": "Secret", "apiVersion": "v1", "type": "helm.sh/release.v1",
                "metadata": {"name": "sh.helm.release.v1.shop.v1"}, "data": {"release": release},
            }}),
        ),
        event(
            6,
            "create",
            "serviceaccounts",
            &json!({
                "objectRef": {"resource": "serviceaccounts", "subresource": "token", "namespace": "shop", "name": "cart"},
                "responseObject": {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "status": {"token": token}},
            }),
        ),
        event(
            7,
            "create",
            "certificatesigningrequests",
            &json!({
                "objectRef": {"resource": "certificatesigningrequests", "name": "csr-1", "apiGroup": "certificates.k8s.io"},
                "requestObject": {"kind": "CertificateSigningRequest", "spec": {"request": request}},
            }),
        ),
        event(
            8,
            "get",
            "pods",
            &json!({"requestURI": format!("/api/v1/watch?access_token={}&limit=1", planted(8))}),
        ),
        event(
            9,
            "create",
            "pods",
            &json!({
                "requestURI": exec, "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "p"},
            }),
        ),
        event(10, "create", "pods", &json!({"requestObject": pod, "responseObject": pod})),
        event(
            11,
            "create",
            "configmaps",
            &json!({"requestObject": {"kind": "ConfigMap", "data": {"config": kubeconfig}}}),
        ),
        event(12, "create", "validatingwebhookconfigurations", &json!({"requestObject": webhook})),
        event(
            13,
            "create",
            "secrets",
            &json!({"annotations": {"patch.webhook.admission.k8s.io/round_0_index_0": patch}}),
        ),
        event(
            14,
            "create",
            "secrets",
            &json!({"responseStatus": {"code": 422, "status": "Failure", "message": format!(
                "Secret \"db\" is invalid: data[password]: Invalid value: \"{}\": not base64", planted(16)
            )}}),
        ),
    ]
}

/// The events, each again until there are so many bytes, between others; last a line that was cut off.
fn log(bytes: usize) -> String {
    let all = events();
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        let mut event = all[number % all.len()].clone();
        event["auditID"] = json!(format!("6f1f0ce9-0000-4000-8001-{number:012}"));
        text.push_str(&event.to_string());
        text.push('\n');
    }
    let cut = event(
        15,
        "create",
        "secrets",
        &json!({"requestObject": {"kind": "Secret", "stringData": {"a": planted(17)}}}),
    );
    let cut = cut.to_string();
    let end = cut.find(planted(17)).unwrap() + planted(17).len();
    text.push_str(&cut[..end]);
    text.push('\n');
    text
}

fn search(text: &[u8], place: &str, found: &mut Vec<String>) {
    for (value, of) in PLANTED {
        for form in forms(value) {
            if memchr::memmem::find(text, form.as_bytes()).is_some() {
                found.push(format!("{of}: {form} in {place}"));
            }
        }
    }
}

/// What is left of the secrets in any file of the lake, packed or not.
fn left(data: &Path, asked: bool) -> Vec<String> {
    let mut found = Vec::new();
    for path in made::files(data) {
        search(&std::fs::read(&path).unwrap(), &path.display().to_string(), &mut found);
    }
    if asked {
        search(ok(data, &["export"]).as_bytes(), "events", &mut found);
        for table in ["events", "findings", "incidents"] {
            let rows = ok(data, &["sql", &format!("SELECT * FROM {table}"), "-o", "jsonl"]);
            search(rows.as_bytes(), table, &mut found);
        }
    }
    found
}

#[test]
fn no_secret_reaches_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    with_settings(&data, "lake:\n  flush_bytes: 2000000\n");
    let text = log(5 << 20);
    // The search finds what is there.
    let mut there = Vec::new();
    search(text.as_bytes(), "the log", &mut there);
    for (_, of) in PLANTED {
        assert!(there.iter().any(|t| t.starts_with(of)), "{of} is not planted");
    }

    // Killed while there are batches in the spool and rows in the tables.
    let mut child =
        command(&data, &["ingest", "-"]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let (first, _) = text.split_at(text[..4 << 20].rfind('\n').unwrap() + 1);
    input.write_all(first.as_bytes()).unwrap();
    let size = |part: &str| -> u64 {
        let all = if data.join(part).is_dir() { made::files(&data.join(part)) } else { Vec::new() };
        all.iter().map(|path| path.metadata().map_or(0, |m| m.len())).sum()
    };
    let begun = std::time::Instant::now();
    while size("spool") < 100_000 && size("events") < 100_000 {
        assert!(begun.elapsed() < Duration::from_mins(2), "nothing was kept");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drop(input);
    assert_eq!(left(&data, false), Vec::<String>::new(), "after a kill");

    // Another takes the spool over, and keeps an attack that was recorded beside it.
    let path = made::file(dir.path(), "audit.log", &text);
    ok(&data, &["ingest", &path, &recorded("attacks/27-legacy-token-secret")]);
    assert!(count(&data) > 1000 && number(&data, "SELECT count(*) FROM findings") > 0);
    assert_eq!(left(&data, true), Vec::<String>::new(), "after it was kept");
    ok(&data, &["lake", "compact", "--min-files", "2", "--grace", "0"]);
    assert_eq!(left(&data, true), Vec::<String>::new(), "after merging");
}
