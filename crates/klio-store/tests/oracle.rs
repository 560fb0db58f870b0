//! The lake says exactly what `MemoryArchive` says: random questions about recorded and odd events, some of them in
//! files of several partitions, some still in the spool.

#[path = "oracle/ask.rs"]
mod ask;
#[path = "oracle/lake.rs"]
mod both;
#[path = "oracle/events.rs"]
mod events;
#[path = "oracle/random.rs"]
mod random;

use std::ops::ControlFlow;

use klio_model::{Filter, TimeRange};
use klio_store::Lake;

use both::both;
use random::Random;

/// Filters that are asked unless `KLIO_QUESTIONS` says how many.
const QUESTIONS: usize = 2_000;

fn found(lake: &mut Lake, filter: &Filter, range: TimeRange) -> Vec<String> {
    let mut found = Vec::new();
    let scanned = lake
        .find(filter, range, &mut |kept| {
            found.push(kept.raw);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(scanned.matched, found.len() as u64);
    assert!(scanned.fresh > 0);
    found.sort();
    found
}

#[test]
fn the_lake_answers_as_memory_does() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut both = both(&mut random);
    let values = ask::Values::of(&both.events);
    let (mut some, mut wrong) = (0, 0);
    let questions = std::env::var("KLIO_QUESTIONS").map_or(QUESTIONS, |n| n.parse().unwrap());
    for number in 0..questions {
        let filter = ask::filter(&mut random, &values, 3);
        let range = ask::range(&mut random, &values);
        let mut expected: Vec<String> = both.memory.find(&filter, range).map(str::to_owned).collect();
        expected.sort();
        let found = found(&mut both.lake, &filter, range);
        some += usize::from(!expected.is_empty());
        if found != expected {
            wrong += 1;
            let extra = found.iter().find(|f| expected.binary_search(f).is_err());
            let lost = expected.iter().find(|e| found.binary_search(e).is_err());
            println!(
                "{number}: {filter}\n  {range:?}: {} instead of {}\n  too much {extra:?}\n  missing {lost:?}",
                found.len(),
                expected.len()
            );
            assert!(wrong < 8, "too many differences");
        }
    }
    assert_eq!(wrong, 0);
    assert!(some > questions / 3, "only {some} of the filters find anything");
}

#[test]
fn an_answer_can_be_broken_off() {
    let mut both = both(&mut Random(7));
    let mut count = 0;
    let scanned = both
        .lake
        .find(&Filter::All, TimeRange::default(), &mut |_| {
            count += 1;
            if count == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(count, 5);
    assert!(scanned.matched >= 5);
}

#[test]
fn files_that_are_removed_while_they_are_read_are_read_to_their_end() {
    let mut both = both(&mut Random(11));
    let files = data_files(&both.dir.path().join("events"));
    assert!(files.len() > 3);
    let mut count = 0;
    let scanned = both.lake.find(&Filter::All, TimeRange::default(), &mut |_| {
        if count == 0 {
            files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
        }
        count += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(scanned.unwrap().matched, both.events.len() as u64);
    assert_eq!(count, both.events.len());
    // Files that are gone though the table names them are no empty answer.
    assert!(both.lake.find(&Filter::All, TimeRange::default(), &mut |_| ControlFlow::Continue(())).is_err());
}

fn data_files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "parquet"));
    here.chain(dirs.iter().flat_map(|dir| data_files(dir))).collect()
}

#[test]
fn events_come_in_the_order_of_time() {
    let mut both = both(&mut Random(23));
    let mut last = None;
    let found = both.lake.find(&Filter::All, TimeRange::default(), &mut |kept| {
        assert!(kept.time >= last, "{:?} after {last:?}", kept.time);
        last = kept.time;
        ControlFlow::Continue(())
    });
    assert_eq!(found.unwrap().matched, both.events.len() as u64);
}
