//! The lake as its users meet it: kept, asked, verified, tampered with, interrupted.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used)] // helpers beside the tests

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

fn klio(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klio"));
    command.args(arguments).env("KLIO_DATA", data).stdin(Stdio::null());
    command.output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn ok(data: &Path, arguments: &[&str]) -> String {
    let output = klio(data, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}{}", out(&output), err(&output));
    out(&output)
}

fn recorded(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded");
    root.join(name).display().to_string()
}

fn count(data: &Path) -> u64 {
    let rows = ok(data, &["sql", "SELECT count(*) AS n FROM events", "-o", "jsonl"]);
    serde_json::from_str::<Value>(rows.trim()).unwrap()["n"].as_u64().unwrap()
}

/// Bytes of the files in a directory.
fn size(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|m| m.len()).sum()
}

/// A data file of a table.
fn a_file(data: &Path, table: &str) -> PathBuf {
    let mut open = vec![data.join(table)];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                return path;
            }
        }
    }
    unreachable!("{table} has no data file");
}

#[test]
fn what_was_kept_is_found_counted_and_proven() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let attack = recorded("attacks/04-secrets-mass-read");
    let said = err(&klio(&data, &["ingest", &attack]));
    assert!(said.contains("kept") && said.contains("findings"), "{said}");
    let events = count(&data);
    assert!(events > 100, "{events}");

    // The lake says what the files say.
    let filter = "verb:list and resource:secrets";
    let mut kept: Vec<String> =
        ok(&data, &["hunt", filter, "-o", "jsonl"]).lines().map(str::to_owned).collect();
    let mut read: Vec<String> =
        ok(&data, &["hunt", filter, &attack, "-o", "jsonl"]).lines().map(str::to_owned).collect();
    kept.sort();
    read.sort();
    assert!(!kept.is_empty());
    assert_eq!(kept.len(), read.len());
    let top = ok(&data, &["stats", "top", "verb", "--json"]);
    let total: u64 =
        top.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["events"].as_u64().unwrap()).sum();
    assert_eq!(total, events);
    assert!(ok(&data, &["stats", "histogram", "--step", "1m"]).lines().count() > 1);
    assert!(ok(&data, &["stats", "distinct", "user,verb"]).contains("list"));
    assert_eq!(ok(&data, &["tail", "-n", "7", "-o", "jsonl"]).lines().count(), 7);
    let line = kept.first().unwrap();
    let event: Value = serde_json::from_str(line).unwrap();
    let user = event["user"]["username"].as_str().unwrap();
    assert!(ok(&data, &["timeline", "--actor", user]).contains("secrets"));
    assert_eq!(ok(&data, &["export", filter]).lines().count(), kept.len());
    assert_eq!(ok(&data, &["export", filter, "-f", "csv"]).lines().count(), kept.len() + 1);

    // Again: nothing is kept twice.
    let said = err(&klio(&data, &["ingest", &attack]));
    assert!(said.contains("kept 0 events"), "{said}");
    assert_eq!(count(&data), events);

    // Proven here, and elsewhere with nothing but the bundle and the public key.
    assert!(ok(&data, &["verify"]).contains("verified"));
    let key = ok(&data, &["lake", "public-key"]);
    let bundle = dir.path().join("bundle");
    let to = bundle.display().to_string();
    ok(&data, &["evidence", "export", filter, "--to", &to, "--by", "auditor", "--reason", "test"]);
    let nowhere = dir.path().join("nowhere");
    assert!(ok(&nowhere, &["verify", "--bundle", &to, "--key", key.trim()]).contains("verified"));
    let proof = dir.path().join("proof");
    let id = event["auditID"].as_str().unwrap();
    std::fs::write(&proof, ok(&data, &["evidence", "prove", id])).unwrap();
    let proof = proof.display().to_string();
    assert!(ok(&nowhere, &["verify", "--proof", &proof, "--key", key.trim()]).contains("proven by entry"));

    // The bundle, the lake and the log, each with one byte changed.
    let events = bundle.join("events.jsonl");
    let text = std::fs::read_to_string(&events).unwrap().replacen("secrets", "pods_we", 1);
    std::fs::write(&events, text).unwrap();
    let output = klio(&nowhere, &["verify", "--bundle", &to, "--key", key.trim()]);
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert!(out(&output).contains("problem: events.jsonl"), "{}", out(&output));
    let file = a_file(&data, "events");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let output = klio(&data, &["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    assert!(
        out(&output).lines().any(|l| l.starts_with("problem: events/") && l.contains(&name)),
        "{}",
        out(&output)
    );
}

#[test]
fn rules_are_counted_as_a_scan_finds_them() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let attack = recorded("attacks/04-secrets-mass-read/requestresponse.jsonl.zst");
    ok(&data, &["ingest", &attack]);
    let counted = ok(&data, &["stats", "rules", "--json"]);
    let counted: Vec<Value> = counted.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // What a scan finds of the same file was made of these events.
    let mut found = std::collections::BTreeMap::<String, u64>::new();
    for line in out(&klio(&data, &["scan", &attack, "-o", "jsonl"])).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        // Correlations count no events of their own.
        let is_counted = |message: &str| message.contains(" requests, by ");
        if line["type"] == "finding" && !line["message"].as_str().is_some_and(is_counted) {
            *found.entry(line["rule"]["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert!(found.len() > 1, "{found:?}");
    for (rule, findings) in found {
        let row = counted.iter().find(|row| row["rule"] == rule.as_str()).unwrap();
        assert!(row["events"].as_u64().unwrap() >= findings, "{row}");
    }
    let top = counted[0]["events"].as_u64().unwrap();
    assert!(counted.iter().all(|row| row["events"].as_u64().unwrap() <= top), "most first");
    let grid = ok(&data, &["stats", "rules", "user.kind:human"]);
    assert!(grid.contains("EVENTS"), "{grid}");
}

#[test]
fn an_interrupted_ingest_loses_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    let input = recorded("benign");
    ok(&whole, &["ingest", &input]);
    for spooled in [1 << 20, 9 << 20, 20 << 20] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_klio"))
            .args(["ingest", &input])
            .env("KLIO_DATA", &broken)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while size(&broken.join("spool")) < spooled && child.try_wait().unwrap().is_none() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    ok(&broken, &["ingest", &input]);
    assert_eq!(count(&broken), count(&whole));
    let twice = "SELECT count(*) - count(DISTINCT raw) AS n FROM events";
    let same = ok(&whole, &["sql", twice, "-o", "jsonl"]);
    assert_eq!(ok(&broken, &["sql", twice, "-o", "jsonl"]), same);
    assert!(ok(&broken, &["verify"]).contains("verified"));
}

#[test]
fn an_encrypted_lake_answers_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (data, key) = (dir.path().join("lake"), dir.path().join("key"));
    let settings = ok(&data, &["lake", "keys", "new", &key.display().to_string()]);
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("klio.yaml"), settings).unwrap();
    let attack = recorded("attacks/04-secrets-mass-read");
    ok(&data, &["ingest", &attack]);
    assert!(count(&data) > 100);
    ok(&data, &["lake", "compact", "--min-files", "2", "--grace", "0"]);
    ok(&data, &["lake", "keys", "rotate"]);
    assert!(!ok(&data, &["hunt", "verb:list and resource:secrets"]).is_empty());
    assert!(ok(&data, &["verify"]).contains("verified"));
    std::fs::remove_file(data.join("klio.yaml")).unwrap();
    let output = klio(&data, &["hunt", "verb:list"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("is encrypted"), "{}", err(&output));
}

#[test]
fn holds_outlive_expiry_and_both_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("klio.yaml"), "lake:\n  keep_days: 30\n").unwrap();
    let log = dir.path().join("audit.log");
    let event = |n: u32| {
        format!(
            "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Metadata\",\"auditID\":\"id-{n}\",\
             \"stage\":\"ResponseComplete\",\"requestURI\":\"/api/v1/nodes\",\"verb\":\"list\",\
             \"user\":{{\"username\":\"u{n}\"}},\"responseStatus\":{{\"code\":200}},\
             \"requestReceivedTimestamp\":\"2026-07-01T10:00:{n:02}.000000Z\",\
             \"stageTimestamp\":\"2026-07-01T10:00:{n:02}.000000Z\"}}\n"
        )
    };
    std::fs::write(&log, (0..50).map(event).collect::<String>()).unwrap();
    ok(&data, &["ingest", &log.display().to_string()]);
    let held = ["user:u7", "--owner", "legal", "--reason", "case 1"];
    ok(&data, &[&["lake", "hold"][..], &held].concat());
    assert!(ok(&data, &["lake", "holds"]).contains("legal"));
    ok(&data, &["lake", "expire"]);
    assert_eq!(count(&data), 50, "a file with a held event stays whole");
    ok(&data, &[&["lake", "release"][..], &held].concat());
    ok(&data, &["lake", "expire", "--dry-run"]);
    assert_eq!(count(&data), 50);
    ok(&data, &["lake", "expire"]);
    assert_eq!(count(&data), 0);
    assert!(ok(&data, &["verify"]).contains("verified"), "a lawful removal is no problem");
}

#[test]
fn wrong_questions_get_advice() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = klio(dir.path(), &["hunt", "verb:get"]);
    assert_eq!(nothing.status.code(), Some(3));
    assert!(err(&nothing).contains("klio ingest"), "{}", err(&nothing));
    ok(dir.path(), &["ingest", &recorded("attacks/04-secrets-mass-read")]);
    for (query, said) in [
        ("DROP TABLE events", "for reading"),
        ("COPY events TO 'x.csv'", "for reading"),
        ("SELECT nothing FROM events", "nothing"),
    ] {
        let refused = klio(dir.path(), &["sql", query]);
        assert_eq!(refused.status.code(), Some(2), "{query}");
        assert!(err(&refused).contains(said), "{query}: {}", err(&refused));
    }
    let slow = "SELECT count(*) FROM events a, events b, events c WHERE a.code + b.code > c.code";
    let stopped = klio(dir.path(), &["sql", slow, "--time-limit", "1"]);
    assert_eq!(stopped.status.code(), Some(3));
    assert!(err(&stopped).contains("longer than 1 s"), "{}", err(&stopped));
    std::fs::write(dir.path().join("klio.yaml"), "lake:\n  keep_day: 7\n").unwrap();
    let wrong = klio(dir.path(), &["hunt", "verb:get"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(err(&wrong).contains("keep_day"), "{}", err(&wrong));
}
