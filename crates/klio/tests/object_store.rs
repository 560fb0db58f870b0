//! Tables in an object store: the same as in a directory. `KLIO_TEST_S3` names the endpoint of an S3 server that takes
//! any credentials; `cargo xtask test` starts one.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;

use made::{events, file, out, with_settings};

/// Asks the server itself, without a library. Returns the answer.
fn http(endpoint: &str, method: &str, path: &str) -> String {
    let address = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Klio, which must not ask a proxy for this machine.
fn klio(data: &Path, arguments: &[&str]) -> Output {
    let mut command = made::command(data, arguments);
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.output().unwrap()
}

fn ok(data: &Path, arguments: &[&str]) -> String {
    let output = klio(data, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}{}", out(&output), made::err(&output));
    out(&output)
}

#[test]
fn a_lake_lives_in_a_bucket() {
    let Some(endpoint) = std::env::var("KLIO_TEST_S3").ok().filter(|e| !e.is_empty()) else {
        eprintln!("skipped: KLIO_TEST_S3 names no S3 server; `cargo xtask test` starts one");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let bucket = format!("klio-test-{}", std::process::id());
    assert!(http(&endpoint, "PUT", &format!("/{bucket}")).contains("200"), "no bucket could be made");
    let settings = format!(
        "lake:\n  url: s3://{bucket}/prod\n  keep_days: 30\n  options:\n    aws_endpoint: {endpoint}\n    \
         aws_allow_http: 'true'\n    aws_region: us-east-1\n    aws_access_key_id: test\n    aws_secret_access_key: test\n"
    );
    with_settings(&data, &settings);
    for part in 0..4 {
        let name = format!("part-{part}.log");
        ok(&data, &["ingest", &file(dir.path(), &name, &events(part * 100..part * 100 + 50))]);
    }
    let stored = || http(&endpoint, "GET", &format!("/{bucket}?list-type=2"));
    assert!(stored().contains("prod/events/class=default/day=2026-07-01/"), "{}", stored());
    assert!(!data.join("events").exists(), "the tables are in the bucket only");

    // Asked.
    let direct = |query: &str| {
        let told = ok(&data, &["sql", query, "-o", "csv"]);
        told.lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(direct("SELECT count(*) FROM events"), "200");
    assert_eq!(ok(&data, &["hunt", "user:u107", "-o", "jsonl"]).lines().count(), 1);
    assert_eq!(ok(&data, &["export", "verb:list"]).lines().count(), 200);
    assert!(ok(&data, &["verify"]).contains("verified"));

    // Merged.
    ok(&data, &["lake", "compact", "--min-files", "2", "--grace", "0"]);
    assert_eq!(direct("SELECT count(*) FROM events"), "200");
    let parts = stored().matches("prod/events/class=default/day=2026-07-01/").count();
    assert_eq!(parts, 1, "one file is left: {}", stored());
    assert!(ok(&data, &["verify"]).contains("verified"));
    ok(&data, &["ingest", &file(dir.path(), "more.log", &events(900..910))]);
    assert_eq!(direct("SELECT count(*) FROM events"), "210");

    // What somebody else puts there is named.
    let strange = format!("/{bucket}/prod/events/class=default/day=2026-07-01/smuggled.parquet");
    assert!(http(&endpoint, "PUT", &strange).contains("200"));
    let output = klio(&data, &["verify"]);
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert!(out(&output).contains("smuggled.parquet: the file is in no table"), "{}", out(&output));

    // A lake of its own, removed by the rule when its time is over.
    let other = dir.path().join("other");
    with_settings(&other, &settings.replace("/prod", "/other"));
    ok(&other, &["ingest", &file(dir.path(), "other.log", &events(0..50))]);
    ok(&other, &["lake", "expire"]);
    let told = ok(&other, &["sql", "SELECT count(*) FROM events", "-o", "csv"]);
    assert_eq!(told.lines().nth(1), Some("0"));
    assert!(!stored().contains("other/events/class=default"), "{}", stored());
    assert!(ok(&other, &["verify"]).contains("verified"));
}
