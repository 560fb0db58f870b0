//! Faults that were found once, as users would meet them again.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

use made::{command, copy, count, err, events, file, klio, number, ok, recorded, refused, with_settings};

#[test]
fn a_rotated_file_is_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    let (data, logs) = (dir.path().join("lake"), dir.path().join("logs"));
    std::fs::create_dir(&logs).unwrap();
    let named = |name: &str| logs.join(name);
    let all = logs.display().to_string();
    file(&logs, "audit.log", &events(0..20));
    ok(&data, &["ingest", &all]);
    for turn in 1..4 {
        // Renamed, and a new file at the old path; then that grows.
        for older in (1..turn).rev() {
            std::fs::rename(named(&format!("audit.log.{older}")), named(&format!("audit.log.{}", older + 1)))
                .unwrap();
        }
        std::fs::rename(named("audit.log"), named("audit.log.1")).unwrap();
        let from = turn * 100;
        file(&logs, "audit.log", &events(from..from + 10));
        ok(&data, &["ingest", &all]);
        file(&logs, "audit.log", &events(from..from + 15));
        ok(&data, &["ingest", &all]);
        assert_eq!(count(&data), u64::from(20 + turn * 15));
    }
    assert_eq!(number(&data, "SELECT count(DISTINCT audit_id) FROM events"), 65);
    // Only the path that was rotated away from.
    std::fs::rename(named("audit.log"), named("audit.log.4")).unwrap();
    let current = file(&logs, "audit.log", &events(400..405));
    ok(&data, &["ingest", &current]);
    ok(&data, &["ingest", &all]);
    assert_eq!(count(&data), 70);
}

#[test]
fn a_log_that_grew_before_it_was_renamed_is_read_on_from_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (data, logs) = (dir.path().join("lake"), dir.path().join("logs"));
    std::fs::create_dir(&logs).unwrap();
    let named = |name: &str| logs.join(name);
    let all = logs.display().to_string();
    // As the API server names what it rotates.
    file(&logs, "audit.log", &events(0..20));
    ok(&data, &["ingest", &all]);
    file(&logs, "audit.log", &events(0..30));
    std::fs::rename(named("audit.log"), named("audit-2026-11-21T10-00-00.000.log")).unwrap();
    file(&logs, "audit.log", &events(100..110));
    ok(&data, &["ingest", &all]);
    assert_eq!(count(&data), 40);
    std::fs::rename(named("audit-2026-11-21T10-00-00.000.log"), named("old.log")).unwrap();
    ok(&data, &["ingest", &all]);
    assert_eq!(count(&data), 40);
}

#[test]
fn a_document_is_not_taken_for_another_that_begins_with_the_same_bracket() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let document = |lines: &str| {
        let items: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let list = serde_json::json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items});
        file(dir.path(), "export.json", &serde_json::to_string_pretty(&list).unwrap())
    };
    ok(&data, &["ingest", &document(&events(0..20))]);
    ok(&data, &["ingest", &document(&events(100..130))]);
    assert_eq!(count(&data), 50);
    ok(&data, &["ingest", &document(&events(100..130))]);
    assert_eq!(count(&data), 50);
}

#[test]
fn a_lake_is_not_begun_anew_beside_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (data, tables) = (dir.path().join("lake"), dir.path().join("tables"));
    std::fs::create_dir(&tables).unwrap();
    with_settings(&data, &format!("lake:\n  url: file://{}\n", tables.display()));
    let log = file(dir.path(), "audit.log", &events(0..20));
    ok(&data, &["ingest", &log]);
    let more = file(dir.path(), "more.log", &events(20..30));

    // The settings that said where the tables are.
    let aside = dir.path().join("aside");
    std::fs::rename(data.join("klio.yaml"), &aside).unwrap();
    for question in [&["ingest", more.as_str()][..], &["hunt", "verb:list"], &["lake", "compact"]] {
        refused(&data, question, 2, "lake.url");
    }
    assert!(!data.join("events").exists() && !data.join("findings").exists());
    std::fs::rename(&aside, data.join("klio.yaml")).unwrap();

    // The lake's own name.
    std::fs::rename(data.join("lake.json"), &aside).unwrap();
    refused(&data, &["ingest", &more], 3, "put it back from a backup");
    assert!(!data.join("lake.json").exists());
    std::fs::rename(&aside, data.join("lake.json")).unwrap();

    ok(&data, &["ingest", &more]);
    assert_eq!(count(&data), 30);
    assert!(ok(&data, &["verify"]).contains("verified"));
}

#[test]
fn a_class_is_not_taken_for_one_that_begins_alike() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let rule = |class: &str, user: &str, days: u32| {
        format!("    - class: {class}\n      where: user:{user}\n      keep_days: {days}\n")
    };
    let rules = |named: &[String]| format!("lake:\n  keep_days: 4000\n  retention:\n{}", named.concat());
    let both = [rule("c-a", "u1", 1), rule("c-a-1", "u2", 4000), rule("c-a-2", "u3", 4000)];
    with_settings(&data, &rules(&both));
    ok(&data, &["ingest", &file(dir.path(), "audit.log", &events(0..5))]);
    // One that no rule names any more is kept as the rest is.
    with_settings(&data, &rules(&both[..2]));
    ok(&data, &["lake", "expire"]);
    let users = ok(&data, &["sql", "SELECT user_name FROM events ORDER BY 1", "-o", "csv"]);
    assert_eq!(users.lines().collect::<Vec<_>>(), ["user_name", "u0", "u2", "u3", "u4"]);
    assert!(ok(&data, &["verify"]).contains("verified"));
}

#[test]
fn nothing_is_lost_by_flushing_each_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, split) = (dir.path().join("whole"), dir.path().join("split"));
    let input = recorded("attacks/04-secrets-mass-read");
    ok(&whole, &["ingest", &input]);
    with_settings(&split, "lake:\n  flush_bytes: 1\n");
    // With the same hashes for what is removed, findings have the same ids.
    std::fs::copy(whole.join("redaction.key"), split.join("redaction.key")).unwrap();
    ok(&split, &["ingest", &input]);
    assert!(number(&split, "SELECT count(DISTINCT flush) FROM events") > 1);
    for table in ["events", "findings", "incidents"] {
        let query = format!("SELECT count(*) FROM {table}");
        let wanted = number(&whole, &query);
        assert!(wanted > 0, "{table}");
        assert_eq!(number(&split, &query), wanted, "{table}");
    }
    let told = |data| ok(data, &["sql", "SELECT raw FROM incidents ORDER BY id", "-o", "csv"]);
    assert!(told(&split) == told(&whole), "the incidents differ");
}

#[test]
fn what_comes_through_a_pipe_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let mut child =
        command(&data, &["ingest", "-"]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(events(0..50).as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(count(&data), 50);

    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let path = pipe.display().to_string();
    for turn in 1..3 {
        let mut child = command(&data, &["ingest", &path]).stderr(Stdio::null()).spawn().unwrap();
        std::fs::OpenOptions::new()
            .write(true)
            .open(&pipe)
            .unwrap()
            .write_all(events(turn * 100..turn * 100 + 50).as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(count(&data), u64::from(50 + turn * 50));
    }
    assert_eq!(number(&data, "SELECT count(DISTINCT audit_id) FROM events"), 150);
}

#[test]
fn a_key_is_destroyed_once_it_is_meant_and_then_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let (data, key) = (dir.path().join("lake"), dir.path().join("key"));
    let settings = ok(&data, &["lake", "keys", "new", &key.display().to_string()]);
    with_settings(&data, &settings);
    ok(&data, &["ingest", &file(dir.path(), "audit.log", &events(0..50))]);
    let shred = |class, day| {
        ["lake", "keys", "shred", "--class", class, "--day", day, "--reason", "request 7", "--yes"]
    };
    refused(&data, &shred("defualt", "2026-07-01"), 2, "nothing is kept of class defualt");
    refused(&data, &shred("default", "2026-7-1"), 2, "written as 2026-11-21");
    refused(&data, &shred("default", "2026-07-02"), 2, "nothing is kept");
    let hold = ["user:u7", "--owner", "legal", "--reason", "case 1"];
    ok(&data, &[&["lake", "hold"][..], &hold].concat());
    refused(&data, &shred("default", "2026-07-01"), 2, "legal hold");
    ok(&data, &[&["lake", "release"][..], &hold].concat());
    assert_eq!(count(&data), 50);

    let before = dir.path().join("before");
    copy(&data, &before);
    ok(&data, &shred("default", "2026-07-01"));
    let asked = klio(&data, &["sql", "SELECT count(*) AS n FROM events", "-o", "csv"]);
    assert!(
        made::out(&asked).ends_with("0\r\n") || made::out(&asked).contains("\r\n0"),
        "{}",
        made::out(&asked)
    );
    assert!(err(&asked).contains("1 more files cannot be read: their key was destroyed"), "{}", err(&asked));
    let other = klio(&data, &["sql", "SELECT count(*) FROM findings"]);
    assert!(!err(&other).contains("destroyed"), "{}", err(&other));
    assert!(ok(&data, &["verify"]).contains("was destroyed"));

    // A crash after the tombstone: the key itself is still there, and goes with the next writer.
    let live = made::files(&before.join("keys"))
        .into_iter()
        .find(|p| p.display().to_string().contains("2026-07-01"));
    let live = live.unwrap();
    let back = data.join("keys").join(live.file_name().unwrap());
    assert!(!back.exists());
    std::fs::copy(&live, &back).unwrap();
    assert_eq!(count(&data), 0);
    ok(&data, &["lake", "compact"]);
    assert!(!back.exists());

    // A crash after the log was told: the next writer finishes it.
    let name = live.file_name().unwrap().to_str().unwrap().replace(".key.json", ".destroyed.json");
    let tombstone = data.join("keys").join(name);
    std::fs::remove_file(&tombstone).unwrap();
    std::fs::copy(&live, &back).unwrap();
    ok(&data, &["lake", "compact"]);
    assert!(tombstone.exists() && !back.exists());
    let verified = ok(&data, &["verify"]);
    assert!(verified.contains("was destroyed") && verified.contains("verified"), "{verified}");
    assert_eq!(count(&data), 0);

    // A tombstone of which the log says nothing.
    std::fs::remove_dir_all(data.join("seal")).unwrap();
    copy(&before.join("seal"), &data.join("seal"));
    refused(&data, &["lake", "compact"], 3, "knows nothing of this destruction");
}

#[test]
fn a_pipe_in_the_place_of_any_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (data, key) = (dir.path().join("lake"), dir.path().join("key"));
    let settings = ok(&data, &["lake", "keys", "new", &key.display().to_string()]);
    with_settings(&data, &settings);
    ok(&data, &["ingest", &file(dir.path(), "audit.log", &events(0..50))]);
    for path in made::files(&data) {
        let name = path.strip_prefix(&data).unwrap().to_str().unwrap().to_owned();
        // Settings and secrets are no part of what is verified, locks hold nothing; of partial tiles only the newest counts.
        let counts =
            !["klio.yaml", "redaction.key", "seal.key", "spool/lock", "seal/lock"].contains(&name.as_str());
        let newest = std::fs::read_dir(path.parent().unwrap()).unwrap().count() == 1 || !name.contains(".p/");
        if !counts || !newest {
            continue;
        }
        let aside = dir.path().join("aside");
        std::fs::rename(&path, &aside).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let mut child =
            command(&data, &["verify"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = std::time::Instant::now();
        let ended = loop {
            if let Some(ended) = child.try_wait().unwrap() {
                break ended;
            }
            if begun.elapsed() > Duration::from_mins(1) {
                child.kill().unwrap();
                panic!("verify waits for a pipe in the place of {name}");
            }
            std::thread::park_timeout(Duration::from_millis(5));
        };
        // A key's lock and a key only keep the rows from being read, which is told as a note.
        assert!(!ended.success() || name.starts_with("keys/"), "{name}: {ended}");
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
    }
    assert!(ok(&data, &["verify"]).contains("verified"));
}

#[test]
fn a_question_does_not_grow_without_bound() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    ok(&data, &["ingest", &recorded("attacks/04-secrets-mass-read")]);
    for query in [
        "SELECT repeat(raw, 1000000000) FROM events",
        "SELECT lpad('x', 2000000000, 'y')",
        "SELECT rpad(verb, 2000000000) FROM events",
        "SELECT levenshtein(raw, raw) FROM events",
        "SELECT array_repeat(raw, 1000000000) FROM events",
        "SELECT array_resize(make_array(1), 10000000000, 1)",
        "SELECT range(1, 100000000000)",
        "SELECT generate_series(1, 100000000000)",
        "SELECT count(*) FROM generate_series(1, 100000000000)",
        "SELECT count(*) FROM range(1, 100000000000)",
    ] {
        let output = klio(&data, &["sql", query, "--time-limit", "10"]);
        assert_eq!(output.status.code(), Some(2), "{query}: {}{}", made::out(&output), err(&output));
    }
    // Put together from what is allowed: each step is twice as long.
    let mut query = "WITH t0 AS (SELECT raw AS r FROM events)".to_owned();
    for step in 1..16 {
        query.push_str(&format!(", t{step} AS (SELECT concat(r, r) AS r FROM t{})", step - 1));
    }
    query.push_str(" SELECT sum(length(r)) FROM t15");
    let output = klio(&data, &["sql", &query, "--memory-limit", "64"]);
    assert_eq!(output.status.code(), Some(3), "{}{}", made::out(&output), err(&output));
    assert!(err(&output).contains("memory"), "{}", err(&output));
}

#[test]
fn a_setting_that_does_not_fit_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let log = file(dir.path(), "audit.log", &events(0..5));
    ok(&data, &["ingest", &log]);
    for (settings, said) in [
        ("url: carrier-pigeon://nest", "lake.url"),
        ("url: nonsense", "lake.url"),
        ("encryption: {}", "lake.encryption"),
        ("encryption: {key: nonsense}", "file:PATH or env:NAME"),
        ("encryption: {key: 'env:KLIO_NO_SUCH_KEY'}", "not set"),
        ("encryption: {command: [cat]}", "key_name"),
    ] {
        with_settings(&data, &format!("lake:\n  {settings}\n"));
        for question in [&["hunt", "verb:list"][..], &["ingest", log.as_str()], &["lake", "info"]] {
            refused(&data, question, 2, said);
        }
        let _ = std::fs::remove_dir(data.join("keys"));
    }
    for (settings, said) in [
        ("spool_bytes: 0", "the spool's limit"),
        ("retention: [{class: 'No Class', keep_days: 3}]", "small letters"),
        ("retention: [{class: a, keep_days: 0}]", "at least 1"),
        ("retention: [{class: a, keep_days: 1, where: 'code:what'}]", "where"),
    ] {
        with_settings(&data, &format!("lake:\n  {settings}\n"));
        refused(&data, &["ingest", &log], 2, said);
    }
    std::fs::remove_file(data.join("klio.yaml")).unwrap();
    assert_eq!(count(&data), 5);
}

#[test]
fn tail_follows_what_others_keep() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    ok(&data, &["ingest", &file(dir.path(), "first.log", &events(0..30))]);
    let follow = ["tail", "-f", "-n", "3", "-o", "jsonl", "not user:u105"];
    let mut child = command(&data, &follow).stdout(Stdio::piped()).spawn().unwrap();
    let (send, lines) = std::sync::mpsc::channel();
    let told = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        BufReader::new(told).lines().map_while(Result::ok).for_each(|line| drop(send.send(line)));
    });
    let next = |count: usize| -> Vec<String> {
        let user = |line: String| {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            event["user"]["username"].as_str().unwrap().to_owned()
        };
        (0..count).map(|_| user(lines.recv_timeout(Duration::from_mins(1)).unwrap())).collect()
    };
    assert_eq!(next(3), ["u27", "u28", "u29"]);
    for (name, from) in [("second.log", 100), ("third.log", 200)] {
        ok(&data, &["ingest", &file(dir.path(), name, &events(from..from + 10))]);
        let wanted: Vec<String> = (from..from + 10).filter(|n| *n != 105).map(|n| format!("u{n}")).collect();
        let mut found = next(wanted.len());
        found.sort();
        assert_eq!(found, wanted);
    }
    // Compaction moves rows to other files; they do not come again.
    ok(&data, &["lake", "compact", "--min-files", "2", "--grace", "0"]);
    ok(&data, &["ingest", &file(dir.path(), "fourth.log", &events(300..301))]);
    assert_eq!(next(1), ["u300"]);
    child.kill().unwrap();
    child.wait().unwrap();
}
