//! A lake of an older Klio, which did not know some columns.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use klio_model::{Event, FieldRef, Filter, TimeRange, Timestamp};

use crate::columns::{COLUMNS, Column, schema};
use crate::place::Place;
use crate::rows::{Custody, Rows};
use crate::table::Table;
use crate::writer::{Flush, Writer};
use crate::{Cancel, CompactOptions, Depth, Lake, Limits, Origin, Records, Settings, StoreError, Trusted};

/// One of each kind, and those whose absence means something.
const ADDED: [&str; 7] = ["stage_time", "groups", "credential", "agent", "code", "decision", "dry_run"];

fn older() -> &'static [Column] {
    Box::leak(COLUMNS.iter().copied().filter(|c| !ADDED.contains(&c.name)).collect())
}

fn recorded() -> Vec<String> {
    let attacks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded/attacks");
    let mut all = Vec::new();
    for name in ["04-secrets-mass-read/requestresponse", "14-impersonate-masters/metadata"] {
        let file = std::fs::File::open(attacks.join(format!("{name}.jsonl.zst"))).unwrap();
        let text = String::from_utf8(zstd::stream::decode_all(file).unwrap()).unwrap();
        all.extend(text.lines().take(120).map(str::to_owned));
    }
    // The same without what is asked for, and with what nobody can read.
    let bent = all[3].replacen("\"userAgent\"", "\"x\"", 1).replacen("\"code\"", "\"y\"", 1);
    let odd = all[4].replacen("\"groups\":[", "\"groups\":[{},", 1);
    all.extend([bent, odd]);
    all
}

/// Keeps events with these columns.
fn keep(writer: &mut Writer, events: &[String], columns: &'static [Column]) {
    let (mut records, mut rows) = (Records::default(), Rows::of(columns));
    let custody = Custody { cluster: "c", source: "test", received: Timestamp(1_795_000_000_000_000) };
    for text in events {
        records.push(text);
        rows.push(&Event::parse(text).unwrap(), custody, "default", None);
    }
    let received = custody.received.micros();
    let origin = Origin { cluster: "c".into(), source: "test".into(), received, ..Origin::default() };
    let upto = writer.append(&origin, &records).unwrap();
    writer.flush(&Flush { rows: vec![rows], upto, ..Flush::default() }).unwrap();
}

fn table(dir: &Path, columns: &'static [Column], make: bool) -> Result<Table, StoreError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let place = Place::Local(dir.join("events"));
    Table::open("events", place, &schema(columns), &Arc::new(runtime), make, None)
}

/// The lake says what its records say.
fn agrees(lake: &mut Lake, events: &[String]) {
    for text in [
        "userAgent:kubectl*",
        "not userAgent:kubectl*",
        "code:200",
        "code:>=400 or verb:list",
        "not code:200",
        "groups:system:masters",
        "not groups:system:authenticated",
        "dryRun:true",
        "dryRun:false and verb:get",
        "credential:*",
        "not credential:*",
        "decision:allow and userAgent:*",
        "stage.time:>=2020-01-01T00:00:00Z",
        "resource:secrets and not (userAgent:*e* and code:200)",
    ] {
        let filter = Filter::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let mut found = Vec::new();
        lake.find(&filter, TimeRange::default(), &mut |kept| {
            found.push(kept.raw);
            ControlFlow::Continue(())
        })
        .unwrap();
        let mut wanted: Vec<&String> =
            events.iter().filter(|e| filter.matches(&Event::parse(e).unwrap())).collect();
        found.sort();
        wanted.sort();
        assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{text}");
        let counted = lake.count(&filter, TimeRange::default()).unwrap();
        assert_eq!(counted.matched, wanted.len() as u64, "{text}");
    }
    for name in ["userAgent", "groups", "code"] {
        let field = FieldRef::parse(name).unwrap();
        let top = lake.top(&field, &Filter::All, TimeRange::default(), 1000).unwrap();
        let mut wanted: BTreeMap<String, u64> = BTreeMap::new();
        for event in events {
            Event::parse(event).unwrap().visit(&field, &mut |value| {
                *wanted.entry(value.to_text().into_owned()).or_default() += 1;
                false
            });
        }
        assert_eq!(top.values.into_iter().collect::<BTreeMap<_, _>>(), wanted, "{name}");
    }
}

fn number(lake: &mut Lake, query: &str) -> String {
    let mut told = String::new();
    lake.sql(query, &Limits::default(), &Cancel::default(), &mut |page| {
        told.push_str(&page.json(0, 0).to_string());
        ControlFlow::Continue(())
    })
    .unwrap();
    told
}

#[test]
fn an_older_lake_grows_and_answers_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (older, events) = (older(), recorded());
    assert_eq!(table(dir.path(), older, true).unwrap().version(), 0);
    std::fs::write(dir.path().join("klio.yaml"), "").unwrap();
    let (old, new) = events.split_at(events.len() / 2);
    let mut writer = Writer::open(dir.path(), &Settings::default()).unwrap();
    assert_eq!(writer.lake().events.version(), 1, "one commit");
    assert!(writer.lake().events.lacks(&schema(COLUMNS)).unwrap().is_empty());
    for part in old.chunks(40) {
        keep(&mut writer, part, older);
    }
    agrees(writer.lake(), old);
    assert_eq!(number(writer.lake(), "SELECT count(agent) FROM events"), "0", "null in older files");
    for part in new.chunks(40) {
        keep(&mut writer, part, COLUMNS);
    }
    agrees(writer.lake(), &events);
    let verified = |writer: &mut Writer| {
        let report = writer.lake().verify(&Trusted::default(), Depth::Rows).unwrap();
        assert!(report.ok(), "{:?}", report.problems);
    };
    verified(&mut writer);

    // Merged, the columns are there for all.
    let options = CompactOptions { min_files: 2, grace: Duration::ZERO, ..CompactOptions::default() };
    let done = writer.compact(&options).unwrap();
    assert_eq!((done.refused.len(), done.rows), (0, events.len() as u64), "{done:?}");
    drop(writer);
    let mut writer = Writer::open(dir.path(), &Settings::default()).unwrap();
    agrees(writer.lake(), &events);
    let agents =
        events.iter().filter(|e| Event::parse(e).unwrap().text_of(klio_model::Field::UserAgent).is_some());
    assert_eq!(number(writer.lake(), "SELECT count(agent) FROM events"), agents.count().to_string());
    verified(&mut writer);
}

#[test]
fn events_of_a_file_without_their_times_are_counted_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let events = recorded();
    let timeless: Vec<Column> = COLUMNS.iter().copied().filter(|c| c.name != "time").collect();
    let mut writer = Writer::open(dir.path(), &Settings::default()).unwrap();
    keep(&mut writer, &events, timeless.leak());
    let hours = writer.lake().histogram(&Filter::All, TimeRange::default(), 3_600_000_000).unwrap();
    assert_eq!(hours.steps.iter().map(|(_, n)| n).sum::<u64>(), events.len() as u64);
    assert_eq!(hours.scanned.matched, events.len() as u64);
}

#[test]
fn an_older_klio_refuses_a_newer_table() {
    let dir = tempfile::tempdir().unwrap();
    drop(Writer::open(dir.path(), &Settings::default()).unwrap());
    let refused = table(dir.path(), older(), false).err().unwrap().to_string();
    assert!(refused.contains("does not know") && refused.contains("use that"), "{refused}");
}
