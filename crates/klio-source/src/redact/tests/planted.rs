//! Secrets planted in events of all shapes: none may be left.
#![allow(clippy::format_collect)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

const JWT: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJzdWIiOiJhIn0";

fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn percent(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

/// Ways to write a JSON string with the same meaning.
fn spelled(text: &str, how: u8) -> String {
    match how % 3 {
        0 => quote(text),
        1 => format!("\"{}\"", text.encode_utf16().map(|u| format!("\\u{u:04x}")).collect::<String>()),
        _ => {
            let letter = |(i, c): (usize, char)| {
                let quoted = quote(&c.to_string());
                if i % 3 == 0 && u32::from(c) < 0x1_0000 {
                    format!("\\u{:04X}", u32::from(c))
                } else {
                    quoted[1..quoted.len() - 1].to_owned()
                }
            };
            format!("\"{}\"", text.chars().enumerate().map(letter).collect::<String>())
        }
    }
}

/// A value that holds a secret, in one of the places where each of the rules looks.
fn shape(kind: u8, secret: &str, how: u8) -> (&'static str, String) {
    let s = spelled(secret, how);
    let key = |k: &str| spelled(k, how / 3);
    let b64 = quote(&STANDARD.encode(secret));
    match kind % 26 {
        0 => ("secrets", format!(r#"{{"kind":"Secret",{}:{{"a":{b64}}}}}"#, key("data"))),
        1 => ("secrets", format!(r#"{{{}:{{"a":{s}}}}}"#, key("stringData"))),
        2 => ("secrets", format!(r#"{{"kind":"SecretList","items":[{{"data":{{"a":{b64},"b":{b64}}}}}]}}"#)),
        3 => ("secrets", format!(r#"[{{"op":"add","path":"/data/x","value":{b64}}}]"#)),
        4 => {
            ("secrets", format!(r#"[{{"value":{{"x":{s}}},"path":{},"op":"replace"}}]"#, key("/stringData")))
        }
        5 => (
            "things",
            format!(r#"{{"kind":"List","items":[{{"kind":{},"data":{{"x":{b64}}}}}]}}"#, key("Secret")),
        ),
        6 => {
            let inner = format!(r#"{{"kind":"Secret","stringData":{{"x":{s}}}}}"#);
            (
                "secrets",
                format!(
                    r#"{{"metadata":{{"annotations":{{"kubectl.kubernetes.io/last-applied-configuration":{}}}}}}}"#,
                    quote(&inner)
                ),
            )
        }
        7 => {
            let inner = format!(r#"{{"kind":"Secret","data":{{"x":{b64}}}}}"#);
            let middle = format!(
                r#"{{"metadata":{{"annotations":{{"kubectl.kubernetes.io/last-applied-configuration":{}}}}}}}"#,
                quote(&inner)
            );
            ("deployments", format!(r#"{{"metadata":{{"annotations":{{"b":{}}}}}}}"#, spelled(&middle, how)))
        }
        8 => (
            "pods",
            format!(
                r#"{{"spec":{{"containers":[{{{}:[{{"value":{s},"name":{}}}]}}]}}}}"#,
                key("env"),
                key("DB_PASSWORD")
            ),
        ),
        9 => (
            "cronjobs",
            format!(
                r#"{{"a":{{"b":{{"template":{{"spec":{{"initContainers":[{{"env":[{{"name":"X_AUTH","value":{s}}}]}}]}}}}}}}}}}"#
            ),
        ),
        10 => ("pods", format!(r#"{{"spec":{{"containers":[{{"args":["--password",{s}]}}]}}}}"#)),
        11 => (
            "pods",
            format!(
                r#"{{"spec":{{"containers":[{{"command":[{}]}}]}}}}"#,
                spelled(&format!("--api-token={secret}"), how)
            ),
        ),
        12 => ("tokenreviews", format!(r#"{{"kind":"TokenReview","spec":{{"token":{s}}}}}"#)),
        13 => ("serviceaccounts", format!(r#"{{"kind":{},"status":{{"token":{s}}}}}"#, key("TokenRequest"))),
        14 => ("configmaps", format!(r#"{{"data":{{"db_password":{s}}}}}"#)),
        15 => (
            "configmaps",
            format!(r#"{{"data":{{"c.json":{}}}}}"#, quote(&format!(r#"{{"db":{{"password":{s}}}}}"#))),
        ),
        16 => (
            "pods",
            format!(
                r#"{{"x":{{"y":[{}]}}}}"#,
                spelled(
                    &format!("a {JWT}.{}", secret.replace(|c: char| !c.is_ascii_alphanumeric(), "")),
                    how
                )
            ),
        ),
        17 => (
            "webhooks",
            format!(r#"{{"url":{}}}"#, spelled(&format!("https://user:{}@host/x", percent(secret)), how)),
        ),
        18 => (
            "pods",
            format!(
                r#"{{"x":{}}}"#,
                spelled(
                    &format!(
                        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n",
                        STANDARD.encode(secret)
                    ),
                    how
                )
            ),
        ),
        19..=21 => {
            let pem = format!(
                "{}-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n",
                "x".repeat(usize::from(kind % 26 - 19))
            );
            ("pods", format!(r#"{{"x":{}}}"#, quote(&STANDARD.encode(pem))))
        }
        22 => (
            "secrets",
            format!(
                r#"{{"data":{{"a":{}}}}}"#,
                quote(&secret.bytes().map(|b| format!("{b:02x}")).collect::<String>())
            ),
        ),
        23 => ("databases", format!(r#"{{"spec":{{"adminPassword":{s}}}}}"#)),
        24 => ("secrets", format!(r#"{{"kind":"Table","rows":[{{"object":{{"data":{{"a":{b64}}}}}}}]}}"#)),
        _ => (
            "pods",
            format!(
                r#"{{"metadata":{{"annotations":{{"x":{}}}}}}}"#,
                quote(&format!("apiVersion: v1\nkind: Secret\nstringData:\n  a: {secret}\n"))
            ),
        ),
    }
}

/// All ways in which the secret might be left.
fn traces(secret: &str) -> Vec<String> {
    let mut traces = vec![
        secret.to_owned(),
        percent(secret),
        secret.bytes().map(|b| format!("{b:02x}")).collect(),
        secret.encode_utf16().map(|u| format!("\\u{u:04x}")).collect(),
    ];
    for shift in 0..3 {
        let text = STANDARD.encode(format!("{}{secret}", "x".repeat(shift)));
        traces.push(text[shift.div_ceil(3) * 4..text.len() - 4].to_owned());
    }
    traces
}

fn event(resource: &str, body: &str, at: u8) -> String {
    let group = if matches!(resource, "things" | "databases") { "example.com" } else { "" };
    let sub = if resource == "serviceaccounts" { r#","subresource":"token""# } else { "" };
    let member = ["requestObject", "responseObject"][usize::from(at % 2)];
    let about = format!(
        r#""objectRef":{{"resource":"{resource}","namespace":"n","name":"nm","apiGroup":"{group}"{sub}}}"#
    );
    let head = r#""kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"i","stage":"ResponseComplete","requestURI":"/a/b","verb":"create","user":{"username":"u"}"#;
    match at / 2 % 3 {
        0 => format!(r#"{{{head},{about},"{member}":{body},"annotations":{{"a":"b"}}}}"#),
        1 => format!(r#"{{ "{member}" : {body} , {about} ,{head}}}"#),
        _ => format!(r#"{{{head},{about},"{member}":{body},"{member}":{{}}}}"#),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_planted_secret_is_left(kind: u8, how: u8, at: u8, secret in "[A-Za-z0-9]{24,40}", tail in "[ -~é😀]{0,12}") {
        // Some shapes can hold any text, others only what needs no quoting there.
        let free = matches!(kind % 26, 0..=9 | 12..=15 | 23 | 24);
        let planted = if free { format!("{secret}{tail}") } else { secret.clone() };
        let (resource, body) = shape(kind, &planted, how);
        let json = event(resource, &body, at);
        let parsed = Event::parse(&json).unwrap();
        let mut out = String::new();
        let removed = redactor().redact(&json, &parsed, &mut out);
        prop_assert!(removed.is_some(), "{json}");
        for trace in traces(&secret) {
            prop_assert!(!out.contains(&trace), "{trace} left in\n{out}\nof {json}");
        }
        let value: Result<serde_json::Value, _> = serde_json::from_str(&out);
        prop_assert!(value.is_ok(), "{out}");
        let again = Event::parse(&out).unwrap();
        prop_assert_eq!(again.verb.as_ref().map(|s| s.0.as_ref()), Some("create"));
        prop_assert_eq!(again.object.name.as_ref().map(|s| s.0.as_ref()), Some("nm"));
        // All other bytes are as they were: the output without its markers is the input with gaps.
        let marker = regex::Regex::new(r"\[redacted:[a-z.-]+ len=\d+ hmac=[0-9a-f]{16}\]").unwrap();
        let mut rest = json.as_str();
        for part in marker.split(&out) {
            let part = part.trim_matches(['"', '\\']);
            let found = rest.find(part);
            prop_assert!(found.is_some(), "{part} is new in {out}\nof {json}");
            rest = &rest[found.unwrap() + part.len()..];
        }
        let mut twice = String::new();
        prop_assert_eq!(redactor().redact(&out, &again, &mut twice), None, "{}", out);
    }

    #[test]
    fn no_text_panics(
        any in ".{0,60}",
        parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u", "\\ud83d", "é", "1", "%", "%e", "=", "&", "?", "'", " ", "-p",
            "mysql", "--password", "Invalid value: ", "://", "@", "eyJ", ".", "...|", "|...", "kind: Secret", "data", "\\u0065",
        ]), 0..30),
        resource in prop::sample::select(vec!["secrets", "pods", "configmaps", "things"]),
    ) {
        let (redactor, mut out) = (redactor(), String::new());
        for text in [any.clone(), parts.concat(), format!("{{\"data\":{}}}", parts.concat())] {
            let quoted = quote(&text);
            let events = [
                text.clone(),
                format!(r#"{{"requestURI":{quoted},"responseStatus":{{"message":{quoted}}},"requestObject":{{"command":[{quoted}],"env":[{{"value":{quoted}}}],"x":{quoted}}}}}"#),
                format!(r#"{{"objectRef":{{"resource":"{resource}"}},"requestObject":{{"a":{text}}},"requestURI":"{text}"}}"#),
            ];
            for json in events {
                let Ok(event) = Event::parse(&json) else { continue };
                if redactor.redact(&json, &event, &mut out).is_some() {
                    prop_assert!(Event::parse(&out).is_ok(), "{out}");
                }
                walk::event(&redactor, &json, &event);
            }
        }
    }
}

#[test]
fn the_same_secret_has_the_same_hash_everywhere() {
    let secret = "correctHorseBatteryStaple42";
    let mut hashes = std::collections::BTreeSet::new();
    for kind in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 23, 24] {
        for how in 0..9 {
            let (resource, body) = shape(kind, secret, how);
            let out = redact(&event(resource, &body, 0));
            let hash = out.split("hmac=").nth(1).unwrap_or_else(|| panic!("{kind} {how}: {out}"));
            assert!(kind == 17 || out.contains(" len=27 "), "{kind} {how}: {out}");
            if kind != 17 {
                hashes.insert(hash[..16].to_owned());
            }
        }
    }
    assert_eq!(hashes.len(), 1, "{hashes:?}");
    let other = Redactor::new([8; 32], Policy::default()).unwrap();
    let json = event("secrets", &shape(0, secret, 0).1, 0);
    let mut out = String::new();
    other.redact(&json, &Event::parse(&json).unwrap(), &mut out);
    assert!(!out.contains(hashes.first().unwrap()));
}
