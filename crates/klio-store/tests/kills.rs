//! A writer that is killed at any moment loses nothing that it acknowledged and keeps nothing twice.
//!
//! `KLIO_KILLS=1000` for more kills, `KLIO_SEED=7` for others.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // helpers of tests are not tests to the lint

#[path = "made/lake.rs"]
mod made;

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use klio_model::Timestamp;
use klio_store::{CompactOptions, Trusted, Writer};
use made::{NEW, OLD, append, classes, flush, numbers, problems, settings};

const DIR: &str = "KLIO_TEST_LAKE";
const FROM: &str = "KLIO_TEST_FROM";

struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Appends, flushes, merges and expires until it is killed; says what it acknowledged.
#[test]
#[ignore = "run by killed_at_any_moment"]
fn writer() {
    let Some(dir) = env::var_os(DIR) else { return };
    let mut next: u64 = env::var(FROM).unwrap().parse().unwrap();
    let mut chance = Chance(next | 1);
    let mut writer = Writer::open(Path::new(&dir), &settings()).unwrap();
    let classes = classes();
    let now = Timestamp::parse(&format!("{NEW}T00:00:00Z")).unwrap();
    loop {
        match chance.below(16) {
            0..=3 => flush(&mut writer),
            4 => {
                let grace = Duration::from_secs(chance.below(2) * 600);
                let options = CompactOptions { min_files: 2, fan_in: 5, grace, ..CompactOptions::default() };
                let done = writer.compact(&options).unwrap();
                assert!(done.refused.is_empty(), "{:?}", done.refused);
            }
            5 => drop(writer.expire(now, &classes, false).unwrap()),
            6 => writer.attest_spool().unwrap(),
            _ => {
                let old = chance.below(8) == 0;
                let count = 1 + chance.below(12);
                append(&mut writer, next..next + count, if old { OLD } else { NEW });
                println!("\nack {next} {count} {}", u64::from(old));
                next += count;
            }
        }
    }
}

fn child(dir: &Path, from: u64) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "writer", "--ignored", "--nocapture"]).env(DIR, dir).env(FROM, from.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

/// Lets a writer work for a while and kills it; tells which numbers it acknowledged, and which of them are old.
fn run(dir: &Path, from: u64, time: Duration) -> Vec<(u64, bool)> {
    let mut writer = child(dir, from);
    let lines = BufReader::new(writer.stdout.take().unwrap());
    let (send, heard) = mpsc::channel();
    let listener = std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let (end, mut all) = (Instant::now() + time, Vec::new());
    while let Ok(line) = heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
        all.push(line);
    }
    let over = writer.try_wait().unwrap();
    assert!(over.is_none(), "the writer ended by itself: {over:?} {all:?}");
    writer.kill().unwrap();
    writer.wait().unwrap();
    listener.join().unwrap();
    all.extend(heard.try_iter());
    let mut numbers = Vec::new();
    for line in all {
        let words: Vec<u64> = match line.strip_prefix("ack ") {
            Some(words) => words.split(' ').map_while(|w| w.parse().ok()).collect(),
            None => continue,
        };
        if let [first, count, old] = words[..] {
            numbers.extend((first..first + count).map(|n| (n, old == 1)));
        }
    }
    numbers
}

#[test]
fn killed_at_any_moment() {
    let kills: u64 = env::var("KLIO_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let seed: u64 = env::var("KLIO_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(20_261_121);
    let mut chance = Chance(seed | 1);
    let (mut dir, mut next) = (tempfile::tempdir().unwrap(), 0);
    let (mut acknowledged, mut old, mut total) = (BTreeSet::new(), BTreeSet::new(), 0);
    for kill in 0..kills {
        if kill % 50 == 49 {
            // A new one, so that the beginning of a lake is met again, and small lakes are verified quickly.
            dir = tempfile::tempdir().unwrap();
            (acknowledged, old, next) = (BTreeSet::new(), BTreeSet::new(), 0);
        }
        // Most while it works, some while it opens.
        let time = Duration::from_micros(5_000 + chance.below(if kill % 4 == 0 { 80_000 } else { 900_000 }));
        let heard = run(dir.path(), next, time);
        total += heard.len();
        for (n, is_old) in heard {
            if is_old {
                old.insert(n)
            } else {
                acknowledged.insert(n)
            };
        }
        let what = format!("kill {kill} of seed {seed}, after {time:?}");
        let mut writer = Writer::open(dir.path(), &settings()).unwrap_or_else(|e| panic!("{what}: {e}"));
        let found = numbers(writer.lake());
        let twice: Vec<_> = found.iter().filter(|(_, count)| **count != 1).collect();
        assert!(twice.is_empty(), "{what}: kept twice: {twice:?}");
        let lost: Vec<_> = acknowledged.iter().filter(|n| !found.contains_key(n)).collect();
        assert!(lost.is_empty(), "{what}: lost: {lost:?}");
        let wrong = problems(dir.path(), &Trusted::default());
        assert!(wrong.is_empty(), "{what}: {wrong:#?}");
        flush(&mut writer);
        let after = numbers(writer.lake());
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            after.keys().collect::<Vec<_>>(),
            "{what}: after a flush"
        );
        // Every tenth event has a finding, and no more.
        let ever: BTreeSet<u64> = acknowledged.iter().chain(&old).chain(found.keys()).copied().collect();
        let info = writer.lake().info().unwrap();
        let findings = info.tables.iter().find(|t| t.name == "findings").unwrap().rows;
        assert_eq!(findings, ever.iter().filter(|n| n.is_multiple_of(10)).count() as u64, "{what}: findings");
        // What was durable before it could be acknowledged counts from now on.
        next = ever.last().map_or(0, |n| n + 1) + 1000;
        old.extend(made::of_day(writer.lake(), OLD));
        acknowledged.extend(found.into_keys().filter(|n| !old.contains(n)));
    }
    assert!(total > kills as usize * 5, "{total} acknowledged");
}
