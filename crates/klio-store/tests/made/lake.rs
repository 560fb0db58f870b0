//! Small lakes for tests: events that are numbered, kept and read back.

#![allow(dead_code)] // each test uses a part
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // helpers of tests are not tests to the lint

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::Path;

use klio_model::{Event, Filter, TimeRange, Timestamp};
use klio_store::{
    Classes, Custody, Flush, Lake, Origin, Records, Retention, Rows, Settings, Trusted, Verdict, Writer,
};

pub const OLD: &str = "2020-02-03";
pub const NEW: &str = "2026-11-20";

pub fn settings() -> Settings {
    Settings::default()
}

/// What a lake keeps how long: events of [`OLD`] are in the class `short`.
pub fn classes() -> Classes {
    let short = Retention {
        class: "short".into(),
        filter: "*".into(),
        clusters: Vec::new(),
        sources: Vec::new(),
        severity: None,
        keep_days: 30,
    };
    Classes::of(&Settings { retention: vec![short], keep_days: 4000, ..settings() }).unwrap()
}

/// Event number `n` of a day.
pub fn event(n: u64, day: &str) -> String {
    let (user, verb) = (n % 7, ["get", "list", "create", "delete"][n as usize % 4]);
    let time = format!("{day}T{:02}:{:02}:{:02}.{:06}Z", n / 3600 % 24, n / 60 % 60, n % 60, n % 1000);
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{n:08x}-0000-4000-8000-000000000000","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/n/pods/p-{n}","verb":"{verb}","user":{{"username":"user-{user}","groups":["system:authenticated"]}},"sourceIPs":["10.0.0.{user}"],"userAgent":"kubectl/v1.30","objectRef":{{"resource":"pods","namespace":"n","name":"p-{n}","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestReceivedTimestamp":"{time}","stageTimestamp":"{time}"}}"#
    )
}

/// The number of an event.
pub fn number(raw: &str) -> u64 {
    let at = raw.find(r#""auditID":""#).unwrap() + 11;
    u64::from_str_radix(&raw[at..at + 8], 16).unwrap()
}

fn origin(position: u64) -> Origin {
    let received = jiff_now();
    Origin {
        cluster: "c".into(),
        source: "test".into(),
        received,
        position: Some(position.to_string()),
        ..Origin::default()
    }
}

fn jiff_now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap()
}

/// Makes events durable, as one batch.
pub fn append(writer: &mut Writer, numbers: Range<u64>, day: &str) -> u64 {
    let mut records = Records::default();
    numbers.clone().for_each(|n| {
        records.push(event(n, day));
    });
    writer.append(&origin(numbers.end), &records).unwrap()
}

pub fn finding(n: u64, day: &str) -> Verdict {
    Verdict {
        id: format!("finding-{n}"),
        time: Timestamp::parse(&format!("{day}T00:00:00Z")),
        cluster: "c".into(),
        severity: "high",
        rule: "r".into(),
        title: "t".into(),
        actor: "a".into(),
        json: format!(r#"{{"id":"finding-{n}"}}"#),
    }
}

/// What a flush of all pending batches takes: each event of a number that divides by ten has a finding.
pub fn judged(writer: &Writer) -> Flush {
    let mut flush = Flush { upto: writer.flushed().unwrap(), ..Flush::default() };
    let mut rows = Rows::new();
    for batch in writer.pending().unwrap() {
        let batch = batch.unwrap();
        for raw in batch.records() {
            let event = Event::parse(raw).unwrap();
            let day = if raw.contains(OLD) { OLD } else { NEW };
            let custody = Custody { cluster: "c", source: "test", received: batch.received() };
            rows.push(&event, custody, if day == OLD { "short" } else { "default" }, None);
            if number(raw).is_multiple_of(10) {
                flush.findings.push(finding(number(raw), day));
            }
        }
        flush.upto = batch.seq();
    }
    flush.rows.push(rows);
    flush
}

pub fn flush(writer: &mut Writer) {
    let judged = judged(writer);
    writer.flush(&judged).unwrap();
}

/// How often each number is in the lake, its spool included.
pub fn numbers(lake: &mut Lake) -> BTreeMap<u64, usize> {
    let mut found = BTreeMap::new();
    lake.find(&Filter::All, TimeRange::default(), &mut |kept| {
        *found.entry(number(&kept.raw)).or_default() += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

/// The numbers of the events of a day.
pub fn of_day(lake: &mut Lake, day: &str) -> Vec<u64> {
    let mut found = Vec::new();
    lake.find(&Filter::All, TimeRange::default(), &mut |kept| {
        found.extend(kept.raw.contains(day).then(|| number(&kept.raw)));
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

/// The lake holds each of these once and nothing else.
pub fn holds_exactly(lake: &mut Lake, wanted: impl IntoIterator<Item = u64>) {
    let found = numbers(lake);
    let wanted: BTreeMap<u64, usize> = wanted.into_iter().map(|n| (n, 1)).collect();
    assert_eq!(found, wanted);
}

/// What verification says, in lines.
pub fn problems(dir: &Path, trusted: &Trusted) -> Vec<String> {
    let report = klio_store::verify(dir, &settings(), trusted, klio_store::Depth::Rows).unwrap();
    report.problems.iter().map(|p| format!("{:?} {p}", p.kind)).collect()
}

/// All files below, by path.
pub fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Copies a lake, so that the copy can be tampered with.
pub fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, target).unwrap();
    }
}
