//! Odd and hostile input, and what somebody may do to a lake's files: nothing is lost, and nothing stops.
#![cfg(feature = "lake")]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers beside the tests

#[path = "made/klio.rs"]
mod made;

use made::{count, err, events, file, klio, number, ok, out, refused, with_settings};
use serde_json::json;

/// How an event stands in a log.
type Shape<'s> = &'s dyn Fn(u32, &str) -> String;

/// One event as a line, with other values.
fn event(n: u32, other: &[(&str, serde_json::Value)]) -> String {
    let mut event: serde_json::Value = serde_json::from_str(&events(n..n + 1)).unwrap();
    for (key, value) in other {
        event[key] = value.clone();
    }
    format!("{event}\n")
}

#[test]
fn to_keep_for_ever_is_not_to_remove_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    with_settings(&data, "lake:\n  keep_days: 110000000\n");
    ok(&data, &["ingest", &file(dir.path(), "audit.log", &events(0..10))]);
    ok(&data, &["lake", "expire"]);
    assert_eq!(count(&data), 10);
}

#[test]
fn an_event_that_is_being_written_is_kept_when_it_is_whole() {
    let cri = |n: u32, event: &str| {
        let (head, tail) = event.trim_end().split_at(100);
        let time = format!("2026-07-01T10:00:{n:02}.000000000Z");
        format!("{time} stdout P {head}\n{time} stdout F {tail}\n")
    };
    let docker = |n: u32, event: &str| {
        let (head, tail) = event.split_at(100);
        let part = |text: &str| {
            let time = format!("2026-07-01T10:00:{n:02}.0Z");
            let (text, time) = (serde_json::to_string(text).unwrap(), serde_json::to_string(&time).unwrap());
            format!("{{\"log\":{text},\"stream\":\"stdout\",\"time\":{time}}}\n")
        };
        part(head) + &part(tail)
    };
    // What a client sends may look like an event of its own, until the rest of the line is there.
    let nested = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"forged","stage":"ResponseComplete","requestURI":"/api/v1/nodes","verb":"delete","user":{"username":"system:admin"}}"#;
    let nested: serde_json::Value = serde_json::from_str(nested).unwrap();
    let native =
        |n: u32, _: &str| event(n, &[("level", json!("Request")), ("requestObject", nested.clone())]);
    let shapes: [Shape<'_>; 3] = [&cri, &docker, &native];
    for (number_of_shape, shape) in shapes.into_iter().enumerate() {
        let lines: Vec<String> = (0..4).map(|n| shape(n, &events(n..n + 1))).collect();
        let (whole, last) = (lines[..3].concat(), &lines[3]);
        for cut in (1..last.len()).step_by(last.len() / 12) {
            let dir = tempfile::tempdir().unwrap();
            let data = dir.path().join("lake");
            let log = file(dir.path(), "audit.log", &format!("{whole}{}", &last[..cut]));
            ok(&data, &["ingest", &log]);
            let log = file(dir.path(), "audit.log", &format!("{whole}{last}"));
            ok(&data, &["ingest", &log]);
            let users = ok(&data, &["sql", "SELECT user_name FROM events ORDER BY 1", "-o", "csv"]);
            let users: Vec<&str> = users.lines().collect();
            assert_eq!(users, ["user_name", "u0", "u1", "u2", "u3"], "shape {number_of_shape}, cut at {cut}");
        }
    }
}

#[test]
fn no_time_that_an_event_claims_stops_the_lake() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let times = [
        "9999-12-31T23:59:59.999999Z",
        "-000001-01-01T00:00:00Z",
        "0000-01-01T00:00:00+23:59",
        "1969-12-31T23:59:59Z",
        "2026-02-30T25:00:00Z",
        "nothing",
    ];
    let lines = (0_u32..).zip(times).map(|(n, time)| event(n, &[("requestReceivedTimestamp", json!(time))]));
    let text = lines.collect::<String>() + &events(10..12);
    ok(&data, &["ingest", &file(dir.path(), "audit.log", &text)]);
    ok(&data, &["ingest", &file(dir.path(), "more.log", &events(20..22))]);
    assert_eq!(count(&data), 10);
    for user in ["u0", "u1", "u2", "u3", "u4", "u5", "u11", "u21"] {
        let found = ok(&data, &["hunt", &format!("user:{user}"), "-o", "jsonl"]);
        assert_eq!(found.lines().count(), 1, "{user}");
    }
    assert_eq!(ok(&data, &["hunt", "*", "--since", "9999-01-01", "-o", "jsonl"]).lines().count(), 1);
    assert_eq!(ok(&data, &["hunt", "*", "--until", "0000-01-01", "-o", "jsonl"]).lines().count(), 2);
    ok(&data, &["lake", "compact", "--min-files", "2"]);
    assert_eq!(count(&data), 10);
    assert!(ok(&data, &["verify"]).contains("verified"));
}

#[test]
fn a_record_that_grows_as_its_secrets_are_replaced_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let secrets: serde_json::Map<String, serde_json::Value> =
        (0..1_400_000).map(|n| (format!("k{n}"), json!("YQ=="))).collect();
    let body = json!({"kind": "Secret", "apiVersion": "v1", "data": secrets});
    let about = json!({"resource": "secrets", "namespace": "shop", "name": "s", "apiVersion": "v1"});
    let large =
        event(1, &[("level", json!("RequestResponse")), ("objectRef", about), ("responseObject", body)]);
    let log = file(dir.path(), "audit.log", &(events(0..1) + &large + &events(2..3)));
    ok(&data, &["ingest", &log]);
    assert_eq!(count(&data), 3);
    assert!(number(&data, "SELECT max(length(raw)) FROM events") > 64 << 20);
}

#[test]
fn sources_of_any_name_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let deep = format!("{0}/{0}/{0}/{0}", "d".repeat(240));
    let logs = dir.path().join(&deep);
    std::fs::create_dir_all(&logs).unwrap();
    for n in 0..70 {
        file(&logs, &format!("audit-{n}.log"), &events(n..n + 1));
    }
    ok(&data, &["ingest", &logs.display().to_string()]);
    ok(&data, &["ingest", &file(dir.path(), "more.log", &events(100..101))]);
    assert_eq!(count(&data), 71);
    assert!(ok(&data, &["verify"]).contains("verified"));
}

/// An event as EKS hands it over: cut within the user's name.
fn cut(n: u32) -> String {
    let whole = events(n..n + 1);
    let head = &whole[..whole.find("\"user\":{\"username\":\"u").unwrap() + 22];
    let message = format!("{head}[Truncated...]");
    let line =
        json!({"timestamp": 1_782_900_000_000_i64 + i64::from(n), "message": message, "id": n.to_string()});
    format!("{line}\n")
}

#[test]
fn what_a_cut_event_lacks_is_unknown_in_the_lake_as_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let log = file(dir.path(), "audit.log", &((0..20).map(cut).collect::<String>() + &events(100..110)));
    ok(&data, &["ingest", &log]);
    for filter in ["not user:alice", "not resource:*", "not user:u100", "verb:list", "code >= 200"] {
        let of_file = ok(&data, &["hunt", filter, &log, "-o", "jsonl"]).lines().count();
        let of_lake = ok(&data, &["hunt", filter, "-o", "jsonl"]).lines().count();
        assert_eq!(of_lake, of_file, "{filter}");
    }
    assert_eq!(number(&data, "SELECT count(*) FROM events WHERE salvaged"), 20);

    // A hold is true unless it is certainly false.
    ok(&data, &["lake", "hold", "user:mallory", "--owner", "legal", "--reason", "case 1"]);
    let said = err(&klio(&data, &["lake", "expire", "--dry-run", "--at", "2036-01-01T00:00:00Z"]));
    assert!(said.contains(" 0 rows would be removed"), "{said}");
}

#[test]
fn a_hold_by_a_secret_that_was_removed_holds() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    with_settings(&data, "lake:\n  keep_days: 1\n");
    let uri = "/api/v1/nodes?token=sesame4711-of-some-length";
    let text = event(1, &[("requestURI", json!(uri))]);
    ok(&data, &["ingest", &file(dir.path(), "audit.log", &text)]);
    assert_eq!(ok(&data, &["hunt", "uri:*sesame4711*", "-o", "jsonl"]), "", "it is not kept");
    ok(&data, &["lake", "hold", "uri:*sesame4711*", "--owner", "legal", "--reason", "case 1"]);
    ok(&data, &["lake", "expire"]);
    assert_eq!(count(&data), 1);
    ok(&data, &["lake", "release", "uri:*sesame4711*", "--owner", "legal", "--reason", "over"]);
    ok(&data, &["lake", "hold", "user:somebody", "--owner", "legal", "--reason", "case 2"]);
    ok(&data, &["lake", "expire"]);
    assert_eq!(count(&data), 0);
}

#[test]
fn a_file_is_the_same_by_any_path() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let log = file(dir.path(), "audit.log", &events(0..20));
    let other = dir.path().join(".").join("x").join("..").join("audit.log").display().to_string();
    std::fs::create_dir(dir.path().join("x")).unwrap();
    for path in [&log, &other, &log] {
        ok(&data, &["ingest", path]);
    }
    assert_eq!(count(&data), 20);
}

#[test]
fn a_record_on_several_lines_is_one_line_of_an_export() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let items: Vec<serde_json::Value> =
        events(0..3).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items});
    let text = serde_json::to_string_pretty(&list).unwrap();
    ok(&data, &["ingest", &file(dir.path(), "list.json", &text)]);
    assert_eq!(ok(&data, &["export"]).lines().count(), 3);
    assert_eq!(ok(&data, &["hunt", "*", "-o", "jsonl"]).lines().count(), 3);
}

#[test]
fn a_spool_smaller_than_a_flush_is_flushed_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    with_settings(&data, "lake:\n  spool_bytes: 8388608\n");
    let large = |n: u32| event(n, &[("userAgent", json!("x".repeat(1_000)))]);
    let text: String = (0..20_000).map(large).collect();
    ok(&data, &["ingest", &file(dir.path(), "audit.log", &text)]);
    assert_eq!(count(&data), 20_000);
}

#[test]
fn lost_keys_and_a_lost_seal_are_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let log = file(dir.path(), "audit.log", &events(0..20));
    ok(&data, &["ingest", &log]);
    let more = file(dir.path(), "more.log", &events(20..30));
    for part in ["seal", "seal.key", "redaction.key"] {
        let aside = dir.path().join("aside");
        std::fs::rename(data.join(part), &aside).unwrap();
        refused(&data, &["ingest", &more], 3, "put it back from a backup");
        if data.join(part).exists() {
            std::fs::remove_dir_all(data.join(part)).unwrap();
        }
        std::fs::rename(&aside, data.join(part)).unwrap();
    }
    ok(&data, &["ingest", &more]);
    assert_eq!(count(&data), 30);
    assert!(ok(&data, &["verify"]).contains("verified"));
}

#[test]
fn what_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    let log = file(dir.path(), "audit.log", &(events(0..5) + "{\"kind\":\"Event\",,}\n" + &events(5..6)));
    let done = klio(&data, &["ingest", &log]);
    assert_eq!((done.status.code(), count(&data)), (Some(0), 6));
    assert!(err(&done).contains("audit.log:6: "), "{}", err(&done));
    let missing = klio(&data, &["ingest", &log, "nowhere.log"]);
    assert_eq!(missing.status.code(), Some(3), "{}", err(&missing));
    assert!(err(&missing).contains("nowhere.log"), "{}", err(&missing));
    refused(&data, &["ingest", &file(dir.path(), "notes.md", "# no log\n")], 3, "notes.md");

    // A lake has a directory of its own.
    let logs = dir.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    file(&logs, "audit.log", &events(0..5));
    refused(&logs, &["ingest", &log], 3, "directory of its own");
    assert_eq!(std::fs::read_dir(&logs).unwrap().count(), 1);
}

#[test]
fn findings_are_told_of_exactly_one_user() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("lake");
    ok(&data, &["ingest", &made::recorded("attacks/04-secrets-mass-read")]);
    let of = |user: &str| out(&klio(&data, &["timeline", "--actor", user])).matches("  ! ").count();
    let all = ok(&data, &["sql", "SELECT DISTINCT actor FROM findings WHERE actor <> ''", "-o", "csv"]);
    let user = all.lines().nth(1).unwrap().trim_matches('"');
    assert!(of(user) > 0, "{user}");
    assert_eq!(of(&user[..user.len() - 1]), 0);
    for wrong in [&["timeline", "--actor", ""][..], &["timeline", "--ip", "nowhere"], &["stats", "top", ""]] {
        assert_eq!(klio(&data, wrong).status.code(), Some(2), "{wrong:?}");
    }
}
