//! What goes and what stays, case by case.

use super::*;

/// An event about `resource` (and its group after a dot) with these members; `want` is the same with `<rule>` where a
/// marker is expected.
#[track_caller]
fn check(resource: &str, members: &str, want: &str) {
    let (resource, rest) = resource.split_once('.').unwrap_or((resource, ""));
    let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
    let json = format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"x","objectRef":{{"resource":"{resource}","apiGroup":"{rest}","subresource":"{sub}"}},{members}}}"#
    );
    let out = redact(&json);
    let marker = regex::Regex::new(r"\[redacted:([a-z.-]+) len=\d+ hmac=[0-9a-f]{16}\]").unwrap();
    let got = marker.replace_all(&out, "<$1>");
    let got = got.split_once("\"},").unwrap().1.strip_suffix('}').unwrap();
    assert_eq!(got, want, "{resource} {members}");
    serde_json::from_str::<serde_json::Value>(&out).unwrap_or_else(|e| panic!("{e}: {out}"));
    assert_eq!(redact(&out), out, "a second time");
}

#[track_caller]
fn stays(resource: &str, members: &str) {
    check(resource, members, members);
}

#[track_caller]
fn body(resource: &str, body: &str, want: &str) {
    check(resource, &format!(r#""requestObject":{body}"#), &format!(r#""requestObject":{want}"#));
    check(resource, &format!(r#""responseObject":{body}"#), &format!(r#""responseObject":{want}"#));
}

#[test]
fn secrets_lose_their_data() {
    let want = r#"{"kind":"Secret","metadata":{"name":"a"},"data":{"p":"<secret.data>"},"type":"Opaque"}"#;
    let secret = r#"{"kind":"Secret","metadata":{"name":"a"},"data":{"p":"aHVudGVyMg=="},"type":"Opaque"}"#;
    body("secrets", secret, want);
    body("pods", secret, want);
    body(
        "things.example.com",
        &format!(r#"{{"kind":"List","items":[{secret}]}}"#),
        &format!(r#"{{"kind":"List","items":[{want}]}}"#),
    );
    body(
        "secrets",
        r#"{"kind":"SecretList","items":[{"data":{"a":"eA==","b":null,"c":""}}]}"#,
        r#"{"kind":"SecretList","items":[{"data":{"a":"<secret.data>","b":null,"c":""}}]}"#,
    );
    body(
        "secrets",
        r#"{"data":{"a":1,"b":{"c":"d"},"e":["f"],"g":true}}"#,
        r#"{"data":{"a":"<secret.data>","b":"<secret.data>","e":"<secret.data>","g":"<secret.data>"}}"#,
    );
    body("secrets", r#"{"data":"x"}"#, r#"{"data":"<secret.data>"}"#);
    body("secrets", r#""kind: Secret""#, r#""<secret.data>""#);
    body(
        "secrets",
        r#"{"kind":"Table","rows":[{"cells":["a","Opaque"],"object":{"kind":"Secret","data":{"a":"eA=="}}}]}"#,
        r#"{"kind":"Table","rows":[{"cells":["a","Opaque"],"object":{"kind":"Secret","data":{"a":"<secret.data>"}}}]}"#,
    );
}

#[test]
fn tricks_do_not_help() {
    body(
        "secrets",
        r#"{"data":{"a":"eA=="},"data":{"a":"eQ=="},"DATA":{"a":"x"},"\u0064ata":{"a":"y"},"ſtringData":{"a":"z"}}"#,
        r#"{"data":{"a":"<secret.data>"},"data":{"a":"<secret.data>"},"DATA":{"a":"<secret.data>"},"\u0064ata":{"a":"<secret.data>"},"ſtringData":{"a":"<secret.data>"}}"#,
    );
    body(
        "pods",
        r#"{"kind":"\u0053ecret","data":{"a":"eA=="}}"#,
        r#"{"kind":"\u0053ecret","data":{"a":"<secret.data>"}}"#,
    );
    body(
        "pods",
        r#"{"kind":"Secret","kind":"Pod","data":{"a":"eA=="}}"#,
        r#"{"kind":"Secret","kind":"Pod","data":{"a":"<secret.data>"}}"#,
    );
    body(
        "secrets",
        r#"{"kind":"Status","data":{"a":"eA=="}}"#,
        r#"{"kind":"Status","data":{"a":"<secret.data>"}}"#,
    );
    body("secrets", r#"{"data":{"a":"\ud800x"}}"#, r#"{"data":{"a":"<secret.data>"}}"#);
    body(
        "secrets",
        r#"{"unknown":{"a":"x"},"other":"y"}"#,
        r#"{"unknown":{"a":"<secret.data>"},"other":"<secret.data>"}"#,
    );
    let deep = format!("{}\"x\"{}", "[".repeat(300), "]".repeat(300));
    let event = format!(
        r#"{{"objectRef":{{"resource":"secrets"}},"requestObject":{{"metadata":{{"annotations":{{"a":{deep}}}}}}}}}"#
    );
    let out = redact(&event);
    assert!(out.contains("[redacted:deep") && !out.contains("\"x\""), "{out}");
    assert!(klio_model::Json::parse(&out).is_some());
    // No JSON within its brackets.
    let out = redact(r#"{"objectRef":{"resource":"secrets"},"requestObject":{"a","data":{"a":"hunter2"}}}"#);
    assert!(!out.contains("hunter2"), "{out}");
    // A body twice.
    let out = redact(
        r#"{"objectRef":{"resource":"secrets"},"requestObject":{"data":{"a":"hunter2"}},"requestObject":{}}"#,
    );
    assert!(!out.contains("hunter2"), "{out}");
}

#[test]
fn patches_are_followed() {
    body(
        "secrets",
        r#"[{"op":"add","path":"/data/x","value":"eA=="},{"op":"replace","path":"/data","value":{"y":"eA=="}},{"op":"test","path":"/metadata/name","value":"keep-me"}]"#,
        r#"[{"op":"add","path":"/data/x","value":"<secret.data>"},{"op":"replace","path":"/data","value":{"y":"<secret.data>"}},{"op":"test","path":"/metadata/name","value":"keep-me"}]"#,
    );
    body(
        "secrets",
        r#"[{"op":"add","path":"","value":{"stringData":{"y":"x"}}}]"#,
        r#"[{"op":"add","path":"","value":{"stringData":{"y":"<secret.data>"}}}]"#,
    );
    body(
        "deployments.apps",
        r#"[{"op":"add","path":"/spec/template/spec/containers/0/env/-","value":{"name":"DB_PASSWORD","value":"hunter2"}},{"op":"replace","path":"/spec/template/spec/containers/0/env/1/value","value":"hunter2"},{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"nginx:1"}]"#,
        r#"[{"op":"add","path":"/spec/template/spec/containers/0/env/-","value":{"name":"DB_PASSWORD","value":"<env>"}},{"op":"replace","path":"/spec/template/spec/containers/0/env/1/value","value":"<env>"},{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"nginx:1"}]"#,
    );
    check(
        "secrets",
        r#""annotations":{"patch.webhook.admission.k8s.io/round_0_index_0":"{\"configuration\":\"c\",\"patch\":[{\"op\":\"add\",\"path\":\"/data/x\",\"value\":\"eA==\"}],\"patchType\":\"JSONPatch\"}"}"#,
        r#""annotations":{"patch.webhook.admission.k8s.io/round_0_index_0":"{\"configuration\":\"c\",\"patch\":[{\"op\":\"add\",\"path\":\"/data/x\",\"value\":\"<secret.data>\"}],\"patchType\":\"JSONPatch\"}"}"#,
    );
}

#[test]
fn json_within_texts_is_followed() {
    body(
        "secrets",
        r#"{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"kind\":\"Secret\",\"data\":{\"a\":\"eA==\",\"n\":1}}\n"}}}"#,
        r#"{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"kind\":\"Secret\",\"data\":{\"a\":\"<secret.data>\",\"n\":\"<secret.data>\"}}\n"}}}"#,
    );
    body(
        "pods",
        r#"{"metadata":{"annotations":{"other":"{\"kind\":\"List\",\"items\":[{\"kind\":\"Secret\",\"metadata\":{\"annotations\":{\"x\":\"{\\\"kind\\\":\\\"Secret\\\",\\\"data\\\":{\\\"a\\\":7}}\"}}}]}"}}}"#,
        r#"{"metadata":{"annotations":{"other":"{\"kind\":\"List\",\"items\":[{\"kind\":\"Secret\",\"metadata\":{\"annotations\":{\"x\":\"{\\\"kind\\\":\\\"Secret\\\",\\\"data\\\":{\\\"a\\\":\\\"<secret.data>\\\"}}\"}}}]}"}}}"#,
    );
    body(
        "secrets",
        r#"{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"a\":\"hunt"}}}"#,
        r#"{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"<last-applied>"}}}"#,
    );
    body(
        "pods",
        r#"{"metadata":{"annotations":{"y":"apiVersion: v1\nkind: Secret\nstringData:\n  a: b\n"}}}"#,
        r#"{"metadata":{"annotations":{"y":"<secret.data>"}}}"#,
    );
}

#[test]
fn pods_lose_variables_and_arguments() {
    body(
        "pods",
        r#"{"spec":{"containers":[{"image":"a","env":[{"name":"DB_PASSWORD","value":"hunter2"},{"name":"MODE","value":"fast"},{"name":"A_TOKEN","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}},{"name":"TOKEN_FILE","value":"/var/run/t"}]}]}}"#,
        r#"{"spec":{"containers":[{"image":"a","env":[{"name":"DB_PASSWORD","value":"<env>"},{"name":"MODE","value":"fast"},{"name":"A_TOKEN","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}},{"name":"TOKEN_FILE","value":"/var/run/t"}]}]}}"#,
    );
    body(
        "pods",
        r#"{"spec":{"containers":[{"command":["mysql","-phunter2","--user=x"],"args":["--password=hunter2","--token","abc","--tls-private-key-file=/etc/x/y","sh -c 'x'"]}]}}"#,
        r#"{"spec":{"containers":[{"command":["mysql","-p<args>","--user=x"],"args":["--password=<args>","--token","<args>","--tls-private-key-file=/etc/x/y","sh -c 'x'"]}]}}"#,
    );
    body(
        "pods",
        r#"{"spec":{"containers":[{"command":["sh","-c","PGPASSWORD=hunter2 psql; curl -u a:hunter2 x"]}]}}"#,
        r#"{"spec":{"containers":[{"command":["sh","-c","PGPASSWORD=<args> psql; curl -u a:<args> x"]}]}}"#,
    );
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
    body(
        "pods",
        &format!(r#"{{"metadata":{{"annotations":{{"a":"b {token} c"}}}}}}"#),
        r#"{"metadata":{"annotations":{"a":"b <jwt> c"}}}"#,
    );
}

#[test]
fn urls_lose_their_tokens() {
    let uri = |uri: &str, want: &str| {
        check("pods", &format!(r#""requestURI":"{uri}""#), &format!(r#""requestURI":"{want}""#))
    };
    uri("/api/v1/x?access_token=a%2Bb\\u0026limit=5", "/api/v1/x?access_token=<url.token>\\u0026limit=5");
    uri("/x/proxy/y?X-Amz-Signature=abc&a=b", "/x/proxy/y?X-Amz-Signature=<url.token>&a=b");
    uri("/x?%74oken=abc", "/x?%74oken=<url.token>");
    uri("/x?u=https%3A%2F%2Fa%3Ab%40h", "/x?u=https%3A%2F%2Fa%3A<password-url>%40h");
    uri(
        "/exec?command=mysql&command=-phunter2&command=--password%3Dx+y",
        "/exec?command=mysql&command=-p<args>&command=--password%3D<args>",
    );
    uri(
        "/exec?command=sh&command=-c&command=curl+-H+%27Authorization%3A+Bearer+abcdefghijkl1234%27",
        "/exec?command=sh&command=-c&command=curl+-H+%27Authorization%3A+Bearer+<bearer>%27",
    );
    stays(
        "secrets",
        r#""requestURI":"/api/v1/namespaces/a/secrets/my-token?fieldSelector=metadata.name%3Dtoken&limit=500""#,
    );
    stays("secrets", r#""requestURI":"/api/v1/secrets?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MX0""#);
}

#[test]
fn others_lose_what_they_hold() {
    body(
        "tokenreviews.authentication.k8s.io",
        r#"{"kind":"TokenReview","spec":{"token":"abc"},"status":{"user":{"username":"u"}}}"#,
        r#"{"kind":"TokenReview","spec":{"token":"<token>"},"status":{"user":{"username":"u"}}}"#,
    );
    body(
        "serviceaccounts/token",
        r#"{"kind":"TokenRequest","spec":{"audiences":["a"]},"status":{"token":"abc"}}"#,
        r#"{"kind":"TokenRequest","spec":{"audiences":["a"]},"status":{"token":"<token>"}}"#,
    );
    body(
        "certificatesigningrequests.certificates.k8s.io",
        r#"{"spec":{"request":"LS0t","signerName":"s"}}"#,
        r#"{"spec":{"request":"<csr>","signerName":"s"}}"#,
    );
    body(
        "configmaps",
        r#"{"kind":"ConfigMap","data":{"db.password":"x","mode":"fast","app.yaml":"user: u\npassword: hunter2\nport: 5\n","c":"{\"apiKey\":\"k\",\"a\":1}"}}"#,
        r#"{"kind":"ConfigMap","data":{"db.password":"<configmap.data>","mode":"fast","app.yaml":"user: u\npassword: <assignment>\nport: 5\n","c":"{\"apiKey\":\"<custom.key>\",\"a\":1}"}}"#,
    );
    body(
        "databases.example.com",
        r#"{"spec":{"adminPassword":"x","secretName":"s","passwordSecretRef":{"name":"n","key":"password"},"replicas":3}}"#,
        r#"{"spec":{"adminPassword":"<custom.key>","secretName":"s","passwordSecretRef":{"name":"n","key":"password"},"replicas":3}}"#,
    );
    body(
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        r#"{"webhooks":[{"clientConfig":{"url":"https://u:p@h/x"}}]}"#,
        r#"{"webhooks":[{"clientConfig":{"url":"https://u:<password-url>@h/x"}}]}"#,
    );
    check(
        "secrets",
        r#""responseStatus":{"status":"Failure","message":"Secret is invalid: data[a]: Invalid value: \"hunter2\": too short, metadata.name: Invalid value: \"N\": x"}"#,
        r#""responseStatus":{"status":"Failure","message":"Secret is invalid: data[a]: Invalid value: \"<message>\": too short, metadata.name: Invalid value: \"N\": x"}"#,
    );
    check(
        "pods",
        r#""responseStatus":{"message":"json: error found in #10 byte of ...|d\":\"hunter2\"|..., bigger context ...|abc|..."}"#,
        r#""responseStatus":{"message":"json: error found in #10 byte of ...|<message>|..., bigger context ...|<message>|..."}"#,
    );
    stays(
        "secrets",
        r#""responseStatus":{"metadata":{},"status":"Failure","message":"secrets \"a\" not found","reason":"NotFound","details":{"name":"a","kind":"secrets"},"code":404}"#,
    );
    stays(
        "serviceaccounts/token",
        r#""annotations":{"authentication.kubernetes.io/issued-credential-id":"JTI=7c70ace8-c367-4401-955d-4441f46c7139"}"#,
    );
}
