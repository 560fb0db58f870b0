//! What a policy changes.

use super::*;

fn policy(yaml: &str) -> Result<Redactor, String> {
    let policy: Policy = serde_saphyr::from_str(yaml).map_err(|e| e.to_string())?;
    Redactor::new([7; 32], policy).map_err(|e| e.to_string())
}

#[track_caller]
fn check(yaml: &str, json: &str, gone: &[&str], left: &[&str]) {
    let redactor = policy(yaml).unwrap();
    let mut out = String::new();
    if redactor.redact(json, &Event::parse(json).unwrap(), &mut out).is_none() {
        out = json.to_owned();
    }
    for text in gone {
        assert!(!out.contains(text), "{text} in {out}");
    }
    for text in left {
        assert!(out.contains(text), "{text} not in {out}");
    }
}

#[test]
fn a_policy_adds_and_takes_away() {
    let secret = r#"{"objectRef":{"resource":"secrets"},"requestObject":{"data":{"a":"hunter2"}},"requestURI":"/x?token=abcdef"}"#;
    check("off: true", secret, &[], &["hunter2", "abcdef"]);
    check("rules: {secrets: false}", secret, &["abcdef"], &["hunter2"]);
    check("allow: [{rule: secret.*, value: 'hunter\\d'}]", secret, &["abcdef"], &["hunter2"]);
    let custom = r#"{"objectRef":{"resource":"externalsecrets","apiGroup":"external-secrets.io"},"requestObject":{"items":[{"spec":{"target":{"template":{"data":{"a":"alpha","b":{"c":"beta"}}},"name":"gamma"}}}]}}"#;
    check(
        "paths: {'externalsecrets.*': [spec.target.template.data.*]}",
        custom,
        &["alpha", "beta"],
        &["gamma", "\"c\":"],
    );
    check("paths: {'externalsecrets.*': ['spec.**.name']}", custom, &["gamma"], &["alpha"]);
    check("paths: {'other.*': ['spec.**']}", custom, &[], &["alpha", "gamma"]);
    let patch = r#"{"objectRef":{"resource":"externalsecrets","apiGroup":"external-secrets.io"},"requestObject":[{"op":"add","path":"/spec/target/template/data/x","value":"alpha"}]}"#;
    check("paths: {'externalsecrets.*': [spec.target.template.data.*]}", patch, &["alpha"], &[]);
    let text = r#"{"userAgent":"staff-123456","requestObject":{"x":"staff-\u0036\u00354321"}}"#;
    check(
        "patterns: {staff: 'staff-(\\d{6})'}",
        text,
        &["123456", "u0036"],
        &["staff-[redacted:staff len=6"],
    );
}

#[test]
fn the_id_follows_the_policy() {
    let id = |yaml: &str| policy(yaml).unwrap().policy_id().to_owned();
    assert_eq!(id("{}"), id("off: false"));
    assert_ne!(id("{}"), id("rules: {csr: false}"));
}

#[test]
fn what_means_nothing_is_refused() {
    let refused = |yaml: &str, want: &str| {
        let error = policy(yaml).err().unwrap_or_default();
        assert!(error.contains(want), "{yaml}: {error}");
    };
    refused("rule: {}", "rule");
    refused("rules: {secret: false}", "secrets");
    refused("patterns: {a: '('}", "patterns.a");
    refused("patterns: {a: 'x*'}", "empty text");
    refused("patterns: {'a b': 'x'}", "name for a marker");
    refused("paths: {'pods': ['spec.containers[0]']}", "without brackets");
    refused("paths: {'a b': ['x']}", "plural");
    refused("allow: [{rule: env, value: '['}]", "allow[0].value");
}
