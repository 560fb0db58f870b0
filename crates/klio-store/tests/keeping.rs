//! Merging, holding, removing: what is kept stays what it was.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are not tests to the lint

#[path = "made/lake.rs"]
mod made;

use std::time::Duration;

use klio_model::{TimeRange, Timestamp};
use klio_store::{
    Classes, CompactOptions, Compacted, Flush, Hold, Lake, Settings, Trusted, Writer, narrowed,
};
use made::{NEW, OLD, append, classes, files, flush, holds_exactly, judged, numbers, problems, settings};

fn day(text: &str) -> Timestamp {
    Timestamp::parse(&format!("{text}T00:00:00Z")).unwrap()
}

fn parquet(dir: &std::path::Path, table: &str) -> usize {
    let all = files(&dir.join(table));
    all.iter()
        .filter(|p| {
            p.extension().is_some_and(|e| e == "parquet") && !p.to_str().unwrap().contains("_delta_log")
        })
        .count()
}

#[test]
fn merged_files_hold_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    for n in 0..9 {
        append(&mut writer, n * 50..n * 50 + 50, NEW);
        flush(&mut writer);
    }
    let options = CompactOptions { grace: Duration::ZERO, fan_in: 4, ..CompactOptions::default() };
    let done = writer.compact(&options).unwrap();
    assert_eq!(done.refused, Vec::<String>::new());
    assert!(done.files_before > done.files_after && done.rows >= 440, "{done:?}");
    assert!(parquet(dir.path(), "events") <= 3, "{:?}", files(dir.path()));
    holds_exactly(writer.lake(), 0..450);
    assert_eq!(problems(dir.path(), &Trusted::default()), Vec::<String>::new());
    // Merged again, with new ones.
    for n in 9..14 {
        append(&mut writer, n * 50..n * 50 + 50, NEW);
        flush(&mut writer);
    }
    let all = CompactOptions { min_files: 2, grace: Duration::ZERO, ..CompactOptions::default() };
    writer.compact(&all).unwrap();
    assert_eq!(parquet(dir.path(), "events"), 1);
    assert_eq!(writer.compact(&all).unwrap().files_before, 0);
    drop(writer);
    let mut lake = Lake::open(dir.path(), &settings()).unwrap();
    holds_exactly(&mut lake, 0..700);
    let report = lake.verify(&Trusted::default(), klio_store::Depth::Rows).unwrap();
    assert!(report.ok(), "{:?}", report.problems);
    // 14 flushes of events, 14 of findings.
    assert_eq!(report.segments, 28);
}

#[test]
fn replaced_files_stay_for_readers() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    for n in 0..4 {
        append(&mut writer, n * 5..n * 5 + 5, NEW);
        flush(&mut writer);
    }
    let mut reader = Lake::open(dir.path(), &settings()).unwrap();
    writer.compact(&CompactOptions::default()).unwrap();
    assert_eq!(parquet(dir.path(), "events"), 5);
    holds_exactly(&mut reader, 0..20);
    assert_eq!(problems(dir.path(), &Trusted::default()), Vec::<String>::new());
    let later = Timestamp(Timestamp::parse("2030-01-01T00:00:00Z").unwrap().micros());
    assert!(writer.sweep(later, Duration::from_mins(10)).unwrap().0 >= 4);
    assert_eq!(parquet(dir.path(), "events"), 1);
    holds_exactly(writer.lake(), 0..20);
}

#[test]
fn what_is_not_as_sealed_is_not_merged() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    for n in 0..4 {
        append(&mut writer, n * 5..n * 5 + 5, NEW);
        flush(&mut writer);
    }
    let all = files(&dir.path().join("events"));
    let one = all.iter().find(|p| p.extension().is_some_and(|e| e == "parquet")).unwrap();
    let mut bytes = std::fs::read(one).unwrap();
    bytes[100] ^= 1;
    std::fs::write(one, bytes).unwrap();
    let done = writer.compact(&CompactOptions::default()).unwrap();
    assert_eq!(done.refused.len(), 1, "{done:?}");
    assert!(done.refused[0].contains("log entry"), "{done:?}");
    assert_eq!(parquet(dir.path(), "events"), 4);
}

#[test]
fn days_end_by_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    append(&mut writer, 0..40, OLD);
    append(&mut writer, 40..60, NEW);
    flush(&mut writer);
    let classes = classes();
    // The day ends at midnight; 30 days later it may go, not a microsecond before.
    let over = Timestamp(day(OLD).micros() + 31 * 86_400_000_000);
    let before = Timestamp(over.micros() - 1);
    assert_eq!(writer.expire(before, &classes, false).unwrap().partitions.len(), 0);
    let dry = writer.expire(over, &classes, true).unwrap();
    assert_eq!(
        (dry.partitions[0].files, dry.partitions[0].rows, dry.partitions[0].class.as_str()),
        (1, 40, "short")
    );
    holds_exactly(writer.lake(), 0..60);
    assert_eq!(writer.expire(over, &classes, false).unwrap(), dry);
    holds_exactly(writer.lake(), 40..60);
    assert!(files(dir.path()).iter().all(|p| !p.to_str().unwrap().contains("class=short")));
    // Findings of that day are of the class that is kept longer.
    let log_says = problems(dir.path(), &Trusted::default());
    assert_eq!(log_says, Vec::<String>::new());
    drop(writer);
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    holds_exactly(writer.lake(), 40..60);
}

#[test]
fn what_is_held_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    for n in 0..3 {
        append(&mut writer, n * 10..n * 10 + 10, OLD);
        flush(&mut writer);
    }
    let hold = Hold { filter: "name:p-13".into(), owner: "legal".into(), reason: "case 7".into() };
    writer.hold(&hold).unwrap();
    let classes = classes();
    let expired = writer.expire(day(NEW), &classes, false).unwrap();
    assert_eq!((expired.partitions[0].files, expired.partitions[0].held), (2, 1));
    // The file of the held event stays whole.
    holds_exactly(writer.lake(), 10..20);
    assert_eq!(problems(dir.path(), &Trusted::default()), Vec::<String>::new());
    assert_eq!(writer.lake().holds().unwrap().len(), 1);
    // A range, and a filter that cannot be read.
    let range = TimeRange { start: Some(day(OLD)), end: Some(day(NEW)) };
    let second = Hold { filter: "*".into(), owner: "court".into(), reason: "order".into() };
    let second = narrowed(second, range);
    writer.hold(&second).unwrap();
    assert!(writer.hold(&Hold { filter: "code:what".into(), ..second.clone() }).is_err());
    writer.release(&hold).unwrap();
    assert!(writer.release(&hold).is_err());
    assert_eq!(writer.expire(day(NEW), &classes, false).unwrap().partitions[0].files, 0);
    writer.release(&second).unwrap();
    assert_eq!(writer.expire(day(NEW), &classes, false).unwrap().partitions[0].files, 1);
    holds_exactly(writer.lake(), []);
    assert_eq!(problems(dir.path(), &Trusted::default()), Vec::<String>::new());
}

#[test]
fn a_flush_cut_short_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    append(&mut writer, 0..30, NEW);
    flush(&mut writer);
    append(&mut writer, 30..60, NEW);
    // Findings are committed first: a table of events that refuses stops the flush behind them.
    let judged_now = judged(&writer);
    let events = dir.path().join("events");
    let aside = dir.path().join("aside");
    std::fs::rename(&events, &aside).unwrap();
    std::fs::write(&events, "no directory").unwrap();
    assert!(writer.flush(&judged_now).is_err());
    drop(writer);
    std::fs::remove_file(&events).unwrap();
    std::fs::rename(&aside, &events).unwrap();
    // The next writer judges the same batches again, and one more.
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    append(&mut writer, 60..90, NEW);
    let again: Flush = judged(&writer);
    assert_eq!((again.upto, again.findings.len()), (3, 6));
    writer.flush(&again).unwrap();
    assert_eq!(numbers(writer.lake()).len(), 90);
    let rows: u64 = writer.lake().info().unwrap().tables.iter().find(|t| t.name == "findings").unwrap().rows;
    assert_eq!(rows, 9);
    assert_eq!(problems(dir.path(), &Trusted::default()), Vec::<String>::new());
}

#[test]
fn a_writer_may_be_at_work() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            for n in 0..2000 {
                append(&mut writer, n * 5..n * 5 + 5, NEW);
                if n % 2 == 0 {
                    flush(&mut writer);
                }
                if n % 7 == 0 {
                    let options = CompactOptions { grace: Duration::ZERO, ..CompactOptions::default() };
                    assert!(writer.compact(&options).unwrap().refused.is_empty());
                }
                if over.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
            }
        });
        let found: Vec<_> = (0..20).map(|_| problems(dir.path(), &Trusted::default())).collect();
        assert!(!worker.is_finished());
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(found.iter().all(Vec::is_empty), "{found:#?}");
    });
}

/// Peak of the memory of this process since it was asked last, in MB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
#[ignore = "a minute: 700 MB of records"]
fn merging_takes_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    for n in 0..48 {
        append(&mut writer, n * 20_000..n * 20_000 + 20_000, NEW);
        flush(&mut writer);
    }
    let before = peak();
    let began = std::time::Instant::now();
    let done =
        writer.compact(&CompactOptions { grace: Duration::ZERO, ..CompactOptions::default() }).unwrap();
    let (time, merged) = (began.elapsed(), peak());
    let report = writer.lake().verify(&Trusted::default(), klio_store::Depth::Rows).unwrap();
    println!("flushes {before} MB, merge {merged} MB in {time:?}, verify {} MB, {done:?}", peak());
    assert!(report.ok() && merged < 600, "{merged} MB, {:?}", report.problems);
}

#[test]
fn findings_stay_with_held_events() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    append(&mut writer, 0..10, OLD);
    append(&mut writer, 10..20, NEW);
    flush(&mut writer);
    let all = Classes::of(&Settings { keep_days: 30, ..settings() }).unwrap();
    let hold = Hold { filter: "name:p-3".into(), owner: "legal".into(), reason: "case 7".into() };
    writer.hold(&hold).unwrap();
    let findings = |writer: &mut Writer| writer.lake().info().unwrap().tables[1].rows;
    let expired = writer.expire(day("2026-11-21"), &all, false).unwrap();
    assert!(expired.partitions.iter().all(|p| p.files == 0 && p.held == 1), "{expired:?}");
    assert_eq!(findings(&mut writer), 2);
    writer.release(&hold).unwrap();
    assert_eq!(writer.expire(day("2026-11-21"), &all, false).unwrap().partitions.len(), 2);
    assert_eq!(findings(&mut writer), 1);
    holds_exactly(writer.lake(), 10..20);
}

#[test]
fn a_look_at_the_lake() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    append(&mut writer, 0..10, OLD);
    flush(&mut writer);
    append(&mut writer, 10..20, NEW);
    let info = writer.lake().info().unwrap();
    let events = &info.tables[0];
    assert_eq!((events.name, events.files, events.rows, events.days), ("events", 1, 10, 1));
    assert_eq!(events.classes["short"].0, 10);
    assert!(events.oldest.as_ref().unwrap().starts_with(OLD), "{events:?}");
    assert_eq!((info.flushed, info.spooled), (1, 1));
    let check = writer.lake().check().unwrap();
    assert_eq!((check.problems.len(), check.orphans.len(), check.files), (0, 0, 2), "{check:?}");

    let key = dir.path().join("seal.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let one = files(&dir.path().join("events"))
        .into_iter()
        .find(|p| p.extension().is_some_and(|e| e == "parquet"))
        .unwrap();
    std::fs::copy(&one, one.with_file_name("0000000000000099.parquet")).unwrap();
    std::fs::write(&one, "short").unwrap();
    let check = writer.lake().check().unwrap();
    assert_eq!(check.orphans.len(), 1);
    let named = |what: &str| check.problems.iter().any(|p| p.contains(what));
    assert!(named("others may read this key") && named("it has 5 bytes"), "{check:?}");
    std::fs::remove_file(&one).unwrap();
    assert!(writer.lake().check().unwrap().problems.iter().any(|p| p.contains("it is missing")));
}

#[test]
fn a_reader_meets_each_event_once_while_files_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    append(&mut writer, 0..5, NEW);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            for n in 1..120 {
                append(&mut writer, n * 5..n * 5 + 5, NEW);
                if n % 3 == 0 {
                    flush(&mut writer);
                }
            }
        });
        let mut lake = Lake::open(dir.path(), &settings()).unwrap();
        let (mut before, mut asked) = (0, 0);
        while !worker.is_finished() {
            let met = numbers(&mut lake);
            assert!(met.values().all(|times| *times == 1), "{met:?}");
            // Whole batches, none between left out, and never fewer than before.
            assert!(met.len() >= before && met.len().is_multiple_of(5), "{} after {before}", met.len());
            assert_eq!(met.keys().next_back().copied(), Some(met.len() as u64 - 1));
            (before, asked) = (met.len(), asked + 1);
        }
        assert!(asked > 3, "{asked}");
    });
}

#[test]
fn files_are_merged_while_the_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    let write = |writer: &mut Writer, n: u64| {
        append(writer, n * 5..n * 5 + 5, NEW);
        flush(writer);
    };
    (0..6).for_each(|n| write(&mut writer, n));
    let (options, mut refused, mut done) = (CompactOptions::default(), Vec::new(), Compacted::default());
    let mergings = writer.mergings(&options, &mut refused).unwrap();
    let late = writer.mergings(&options, &mut refused).unwrap();
    write(&mut writer, 6);
    for merging in mergings {
        let merged = std::thread::spawn(|| merging.run()).join().unwrap().unwrap();
        write(&mut writer, 7);
        writer.adopt(merged, &mut done).unwrap();
    }
    assert_eq!((done.files_before, done.files_after, refused.len()), (6, 1, 0));
    // Whoever is late finds other files, and changes nothing.
    for merging in late {
        writer.adopt(merging.run().unwrap(), &mut done).unwrap();
    }
    assert_eq!(done.files_before, 6);
    drop(writer);
    holds_exactly(&mut Lake::open(dir.path(), &settings()).unwrap(), 0..40);
    assert_eq!(problems(dir.path(), &Trusted::default()), Vec::<String>::new());
}
