//! A lake of each layout that was ever released is read, written and verified by today's program.
//!
//! `fixtures/lakes/<layout>` was written once, by the program of its time. A new layout gets a lake of its own:
//! `cargo test --package klio --test upgrade -- --ignored`.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use made::{copy, count, file, files, number, ok, recorded, with_settings};

/// Filters whose answers must stay.
const FILTERS: [&str; 7] = [
    "*",
    "verb:list and resource:secrets",
    "not user.kind:system",
    "code:>=400 or userAgent:curl*",
    "groups:system:masters",
    "request.write:true and not dryRun:true",
    "requestObject.kind:*",
];

fn lakes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lakes")
}

/// Recorded events: those that a lake of the fixtures holds, and others for later. Fitting what is short.
fn parts(dir: &Path) -> (String, String, String) {
    let attack = recorded("attacks/04-secrets-mass-read/recommended.jsonl.zst");
    let all = ok(dir, &["hunt", "user.kind:human", &attack, "-o", "jsonl"]);
    let lines: Vec<&str> = all.lines().filter(|line| line.len() < 3_000).take(90).collect();
    let part = |name, range: std::ops::Range<usize>| file(dir, name, &(lines[range].join("\n") + "\n"));
    (part("first.jsonl", 0..30), part("second.jsonl", 30..60), part("later.jsonl", 60..90))
}

/// What a lake, or files, say to a filter.
fn answer(data: &Path, filter: &str, paths: &[&str]) -> Vec<String> {
    let mut told: Vec<String> = ok(data, &[&["hunt", filter][..], paths, &["-o", "jsonl"]].concat())
        .lines()
        .map(str::to_owned)
        .collect();
    told.sort();
    told
}

/// Answers of the lake and of a fresh one that keeps the same files.
fn says_the_same(data: &Path, fresh: &Path) {
    for filter in FILTERS {
        let (old, new) = (answer(data, filter, &[]), answer(fresh, filter, &[]));
        // Each lake has hashes of its own for what was removed.
        let plain = |lines: Vec<String>| -> Vec<String> { lines.iter().map(|line| unhashed(line)).collect() };
        assert_eq!(plain(old), plain(new), "{filter}");
    }
}

/// A record without the hashes of redaction.
fn unhashed(line: &str) -> String {
    let mut parts = line.split("hmac=");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "hmac=" + part.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
}

#[test]
fn lakes_of_all_layouts_go_on() {
    let mut seen = 0;
    for entry in std::fs::read_dir(lakes()).unwrap() {
        let fixture = entry.unwrap().path();
        if !fixture.is_dir() {
            continue;
        }
        seen += 1;
        let dir = tempfile::tempdir().unwrap();
        let (data, fresh) = (dir.path().join("lake"), dir.path().join("fresh"));
        copy(&fixture, &data);
        // Others must not read keys, which a repository does not keep.
        for key in ["seal.key", "redaction.key"] {
            std::fs::set_permissions(data.join(key), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let (first, second, later) = parts(dir.path());
        ok(&fresh, &["ingest", &first, &second]);
        assert!(ok(&data, &["verify"]).contains("verified"), "{}", fixture.display());
        assert_eq!(count(&data), 60);
        says_the_same(&data, &fresh);
        assert!(number(&data, "SELECT count(*) FROM findings") > 0);

        // Kept on, merged, and held on to.
        ok(&data, &["ingest", &later]);
        ok(&fresh, &["ingest", &later]);
        assert_eq!(count(&data), 90);
        says_the_same(&data, &fresh);
        assert!(ok(&data, &["verify"]).contains("verified"));
        ok(&data, &["lake", "compact", "--min-files", "2", "--grace", "0"]);
        let left = files(&data.join("events"))
            .iter()
            .filter(|p| p.extension().is_some_and(|e| e == "parquet"))
            .count();
        assert_eq!(left, 1, "old and new files are merged");
        says_the_same(&data, &fresh);
        let all = "SELECT count(agent) FROM events";
        assert_eq!(number(&data, all), number(&fresh, all));
        assert!(ok(&data, &["verify"]).contains("verified"));
        assert!(ok(&data, &["lake", "check"]).contains("data files"));
    }
    assert!(seen > 0, "{} holds no lake", lakes().display());
}

#[test]
#[ignore = "writes the lake of a new layout into the fixtures"]
fn write_the_lake_of_this_layout() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    with_settings(&data, "lake:\n  keep_days: 400\n");
    let (first, second, _) = parts(dir.path());
    ok(&data, &["ingest", &first]);
    ok(&data, &["ingest", &second]);
    let identity: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data.join("lake.json")).unwrap()).unwrap();
    let to = lakes().join(identity["layout"].to_string());
    assert!(!to.exists(), "{} is there, and stays as it was written", to.display());
    for path in files(&data).iter().filter(|path| path.ends_with("lock")) {
        std::fs::remove_file(path).unwrap();
    }
    copy(&data, &to);
}
