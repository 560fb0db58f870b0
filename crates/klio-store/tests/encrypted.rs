//! An encrypted lake tells nothing without its key: not in files, not in names, not in logs, not in the spool.

#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use klio_model::{Event, Filter, Severity, TimeRange, Timestamp};
use klio_store::keys::FileKeyProvider;
use klio_store::{
    Custody, Depth, Encryption, Flush, Hold, Lake, Origin, Records, Rows, Settings, Trusted, Verdict, Writer,
};

/// What must not be found in any byte of the lake.
const PLANTED: [&str; 9] = [
    "alice-the-admin",
    "payroll-prod",
    "10.11.12.13",
    "6f1f0ce9",
    "kubectl/v1.36",
    "hr-files",
    "prod-frankfurt",
    "/var/log/audit-of-hr",
    "a finding about alice",
];

fn event(number: usize) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"6f1f0ce9-{number:04}","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/payroll-prod/secrets/s{number}","verb":"get","user":{{"username":"alice-the-admin","groups":["system:masters"]}},"sourceIPs":["10.11.12.13"],"userAgent":"kubectl/v1.36","objectRef":{{"resource":"secrets","namespace":"payroll-prod","name":"s{number}","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestReceivedTimestamp":"2026-11-2{}T08:00:00.000000Z","stageTimestamp":"2026-11-20T08:00:00.100000Z"}}"#,
        number % 2
    )
}

fn settings(key: &Path) -> Settings {
    let key = format!("file:{}", key.display());
    Settings {
        encryption: Some(Encryption { key: Some(key), command: Vec::new(), key_name: None }),
        ..Settings::default()
    }
}

fn append(writer: &mut Writer, numbers: std::ops::Range<usize>) -> (Rows, u64) {
    let (mut records, mut rows) = (Records::default(), Rows::new());
    let received = Timestamp(1_795_000_000_000_000);
    let (cluster, source) = ("prod-frankfurt", "file:/var/log/audit-of-hr");
    for number in numbers {
        let text = event(number);
        records.push(&text);
        let custody = Custody { cluster, source, received };
        rows.push(&Event::parse(&text).unwrap(), custody, "hr-files", Some(Severity::High));
    }
    let origin = Origin {
        cluster: cluster.into(),
        source: source.into(),
        received: received.micros(),
        position: Some("{\"at\":\"/var/log/audit-of-hr\"}".into()),
        ..Origin::default()
    };
    let upto = writer.append(&origin, &records).unwrap();
    (rows, upto)
}

/// A lake with two flushed batches and one in the spool.
fn fill(dir: &Path, settings: &Settings) -> Writer {
    let mut writer = Writer::open(dir, settings).unwrap();
    for from in [0, 100] {
        let (rows, upto) = append(&mut writer, from..from + 100);
        let finding = Verdict {
            id: format!("f{from}"),
            time: Some(Timestamp(1_795_000_000_000_000)),
            cluster: "prod-frankfurt".into(),
            severity: "high",
            rule: "r".into(),
            title: "a finding about alice".into(),
            actor: "alice-the-admin".into(),
            json: "{\"title\":\"a finding about alice\"}".into(),
        };
        writer.flush(&Flush { rows: vec![rows], findings: vec![finding], upto, ..Flush::default() }).unwrap();
    }
    append(&mut writer, 200..250);
    writer
}

fn found(lake: &mut Lake, filter: &str) -> usize {
    let filter = Filter::parse(filter).unwrap();
    let mut count = 0;
    lake.find(&filter, TimeRange::default(), &mut |_| {
        count += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    count
}

/// Every planted word that stands in a file or in a name below `dir`.
fn leaks(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
        for word in PLANTED {
            if name.contains(word) || bytes.windows(word.len()).any(|w| w == word.as_bytes()) {
                found.push(format!("{word} in {}", path.display()));
            }
        }
        if path.is_dir() {
            leaks(&path, found);
        }
    }
}

#[test]
fn nothing_is_told_without_the_key() {
    let (dir, safe) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = safe.path().join("key");
    FileKeyProvider::generate(&key).unwrap();
    let settings = settings(&key);
    let mut writer = fill(dir.path(), &settings);
    assert_eq!(found(writer.lake(), "user:alice-the-admin"), 250);
    assert_eq!(found(writer.lake(), "auditID:6f1f0ce9-0042"), 1);
    let mut told = Vec::new();
    leaks(dir.path(), &mut told);
    assert!(told.is_empty(), "{told:#?}");
    drop(writer);

    // The same search finds them in a lake that is not encrypted: it looks where it should.
    let plain = tempfile::tempdir().unwrap();
    drop(fill(plain.path(), &Settings::default()));
    leaks(plain.path(), &mut told);
    for word in PLANTED {
        assert!(told.iter().any(|t| t.starts_with(word)), "{word}");
    }

    // Another key, or none, opens nothing.
    let other = safe.path().join("other");
    FileKeyProvider::generate(&other).unwrap();
    let refused = Writer::open(dir.path(), &self::settings(&other)).unwrap_err().to_string();
    assert!(refused.contains("wrapped by"), "{refused}");
    let refused = Lake::open(dir.path(), &Settings::default()).unwrap_err().to_string();
    assert!(refused.contains("is encrypted"), "{refused}");
}

#[test]
fn keys_rotate_and_are_destroyed() {
    let (dir, safe) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (key, next) = (safe.path().join("key"), safe.path().join("next"));
    FileKeyProvider::generate(&key).unwrap();
    FileKeyProvider::generate(&next).unwrap();
    let mut writer = fill(dir.path(), &settings(&key));
    assert!(writer.rotate_keys().unwrap() >= 3);
    writer.rewrap_keys(settings(&next).encryption.as_ref().unwrap()).unwrap();
    drop(writer);

    // The old key is of no use any more, the new one reads what was written under both versions.
    Writer::open(dir.path(), &settings(&key)).unwrap_err();
    let settings = settings(&next);
    let mut writer = Writer::open(dir.path(), &settings).unwrap();
    let (rows, upto) = append(&mut writer, 250..300);
    drop(rows);
    assert_eq!(writer.pending().unwrap().map(|b| b.unwrap().records().count()).sum::<usize>(), 100);
    assert_eq!(found(writer.lake(), "user:alice-the-admin"), 300);
    assert_eq!(upto, 4);

    writer.shred("hr-files", "2026-11-21", "request 4711").unwrap();
    drop(writer);
    let mut lake = Lake::open(dir.path(), &settings).unwrap();
    let one_day = TimeRange { start: None, end: Timestamp::parse("2026-11-21T00:00:00Z") };
    let mut count = 0;
    lake.find(&Filter::All, one_day, &mut |_| {
        count += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(count, 150, "the other day is still readable");
    // What was shredded is passed over and counted; a late event of that day is kept under a new key.
    let scanned = lake.find(&Filter::All, TimeRange::default(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(scanned.shredded > 0 && scanned.matched == 200, "{scanned:?}");
    let mut writer = Writer::open(dir.path(), &settings).unwrap();
    let (rows, upto) = append(&mut writer, 300..310);
    writer.flush(&Flush { rows: vec![rows], upto, ..Flush::default() }).unwrap();
    assert_eq!(found(writer.lake(), "user:alice-the-admin"), 110);
    writer.hold(&Hold { filter: "*".into(), owner: "legal".into(), reason: "case 1".into() }).unwrap();
    let refused = writer.shred("hr-files", "2026-11-20", "never").unwrap_err().to_string();
    assert!(refused.contains("legal hold"), "{refused}");
}

#[test]
fn a_destruction_that_the_log_does_not_state_destroys_nothing() {
    let (dir, safe) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = safe.path().join("key");
    FileKeyProvider::generate(&key).unwrap();
    let settings = settings(&key);
    drop(fill(dir.path(), &settings));
    let name = fs::read_dir(dir.path().join("keys")).unwrap().find_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".key.json").filter(|name| name.starts_with("files~")).map(str::to_owned)
    });
    let name = name.unwrap();
    let forged = dir.path().join(format!("keys/{name}.destroyed.json"));
    let text =
        format!(r#"{{"name":"{}","when":"2026-11-21T00:00:00Z","why":"request 1"}}"#, name.replace('~', "/"));
    fs::write(&forged, text).unwrap();
    for _ in 0..2 {
        let report = klio_store::verify(dir.path(), &settings, &Trusted::default(), Depth::Rows).unwrap();
        let named = report.problems.iter().any(|p| p.what.contains("knows nothing of this destruction"));
        assert!(named, "{:?}", report.problems);
        let refused = Writer::open(dir.path(), &settings).unwrap_err().to_string();
        assert!(refused.contains("knows nothing of this destruction"), "{refused}");
    }
    fs::remove_file(&forged).unwrap();
    let mut writer = Writer::open(dir.path(), &settings).unwrap();
    assert_eq!(found(writer.lake(), "user:alice-the-admin"), 250);
    drop(writer);

    // A key that is gone is not made anew.
    let (live, aside) = (dir.path().join(format!("keys/{name}.key.json")), safe.path().join("aside"));
    fs::rename(&live, &aside).unwrap();
    let refused = Writer::open(dir.path(), &settings).unwrap_err().to_string();
    assert!(refused.contains("put it back from a backup"), "{refused}");
    assert!(!live.exists());
    fs::rename(&aside, &live).unwrap();
    Writer::open(dir.path(), &settings).unwrap();
}
