//! Writing, reading beside it, crashes at every step.

use std::fs;

use super::*;
use crate::{
    disk::Step,
    hash::leaf_hash,
    manifest::Opened,
    tree::{self, verify_consistency, verify_inclusion},
};

fn signer() -> Signer {
    Signer::from_seed("example.org/lake", Scheme::Note, &[7; 32]).unwrap()
}

fn entry(n: u64) -> Vec<u8> {
    let text = crate::Remark { topic: "n".into(), text: n.to_string(), hash: None };
    Manifest { time: n as i64, statement: Statement::Note(text) }.encode().unwrap()
}

#[test]
fn writes_reads_and_proves() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut log = Log::create(path, signer()).unwrap();
    assert!(matches!(Log::open(path, signer()), Err(LogError::Locked(_))));
    let mut leaves = Vec::new();
    let mut older = vec![(0, log.root(), log.checkpoint().to_owned())];
    // Sizes around the borders of tiles on two levels.
    for batch in [1, 2, 252, 1, 1, 255, 1, 300, 64_000, 722, 1, 1, 3] {
        let first = leaves.len() as u64;
        let entries: Vec<Vec<u8>> = (first..first + batch).map(entry).collect();
        leaves.extend(entries.iter().map(|entry| leaf_hash(entry)));
        assert_eq!(log.append(&entries).unwrap(), first);
        assert_eq!(log.root(), tree::root(&leaves));
        older.push((log.size(), log.root(), log.checkpoint().to_owned()));
        if log.size() < 1000 || log.size() > 65_537 {
            drop(log);
            log = Log::open(path, signer()).unwrap();
            assert_eq!(log.root(), tree::root(&leaves));
        }
    }
    let size = log.size();
    let reader = LogReader::open(path).unwrap();
    for (at, root, text) in &older {
        let proof = reader.consistency(*at).unwrap();
        verify_consistency(*at, root, size, &reader.root(), &proof).unwrap();
        // The log as it was then can still be read.
        let then = LogReader::at(path, text.clone()).unwrap();
        if let Some(last) = at.checked_sub(1) {
            let proof = then.inclusion(last).unwrap();
            verify_inclusion(leaves[last as usize], last, *at, &proof, root).unwrap();
            assert_eq!(then.entries(last..u64::MAX).count(), 1);
        }
    }
    for index in (0..size).step_by(997).chain(65_500..size) {
        verify_inclusion(leaves[index as usize], index, size, &reader.inclusion(index).unwrap(), &log.root())
            .unwrap();
        assert_eq!(reader.entry(index).unwrap(), entry(index));
    }
    assert_eq!(reader.entries(0..size).map(|e| e.unwrap().1).collect::<Vec<_>>().len() as u64, size);
    assert!(matches!(reader.inclusion(size), Err(LogError::Outside { .. })));
    let history: Vec<String> = reader.history().unwrap().map(|kept| kept.unwrap().note.unwrap()).collect();
    assert_eq!(history, older.into_iter().map(|(_, _, text)| text).collect::<Vec<_>>());
}

#[test]
fn same_entries_again_are_no_change_and_others_a_fork() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::create(directory.path(), signer()).unwrap();
    log.append_at(0, &[entry(0), entry(1)]).unwrap();
    let before = log.checkpoint().to_owned();
    assert_eq!(log.append_at(1, &[entry(1)]).unwrap(), 1);
    assert_eq!(log.checkpoint(), before);
    assert!(matches!(log.append_at(0, &[entry(0), entry(9)]), Err(LogError::Fork { index: 1 })));
    assert!(matches!(log.append_at(3, &[entry(3)]), Err(LogError::Gap { .. })));
    assert!(matches!(log.append(&[vec![0; 65_536]]), Err(LogError::EntryTooLong(2))));
    assert_eq!(log.append_at(1, &[entry(1), entry(2)]).unwrap(), 1);
    assert_eq!(log.size(), 3);
}

#[test]
fn ticks_when_idle() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::create(directory.path(), signer()).unwrap();
    let opened = Opened { lake: "l".into(), origin: "o".into(), tool: "t".into() };
    log.state(&Manifest { time: 0, statement: Statement::Opened(opened) }).unwrap();
    assert_eq!(log.tick(59_999_999).unwrap(), None);
    assert_eq!(log.tick(60_000_000).unwrap(), Some(1));
    drop(log);
    let mut log = Log::open(directory.path(), signer()).unwrap();
    assert_eq!(log.tick(100_000_000).unwrap(), None);
    // A clock that was set back is told, not waited for.
    assert_eq!(log.tick(-1).unwrap(), Some(2));
}

#[test]
fn keys_rotate() {
    let directory = tempfile::tempdir().unwrap();
    let next = || Signer::from_seed("example.org/lake", Scheme::Note, &[8; 32]).unwrap();
    let mut log = Log::create(directory.path(), signer()).unwrap();
    log.append(&[entry(0)]).unwrap();
    assert!(log.rotate(Signer::from_seed("other", Scheme::Note, &[8; 32]).unwrap(), 5).is_err());
    drop(log);
    assert!(matches!(Log::open(directory.path(), next()), Err(LogError::OtherKey { .. })));
    let mut log = Log::open(directory.path(), signer()).unwrap();
    log.rotate(next(), 5).unwrap();
    drop(log);
    let mut log = Log::open(directory.path(), next()).unwrap();
    log.append(&[entry(2)]).unwrap();
    drop(log);
    assert!(matches!(Log::open(directory.path(), signer()), Err(LogError::OtherKey { .. })));
    let witness = Signer::generate("example.org/lake", Scheme::Cosignature).unwrap();
    assert!(matches!(Log::open(directory.path(), witness), Err(LogError::WitnessKey(_))));
}

/// Stops at every single step of an append that completes a tile, then goes on as a restarted writer does.
#[test]
fn every_crash_leaves_the_old_log_or_the_new_one() {
    let start: Vec<Vec<u8>> = (0..254).map(entry).collect();
    let add: Vec<Vec<u8>> = (254..259).map(entry).collect();
    let other: Vec<Vec<u8>> = (900..902).map(entry).collect();
    for steps in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mut log = Log::create(path, signer()).unwrap();
        log.append(&start[..200]).unwrap();
        log.append(&start[200..]).unwrap();
        let old = log.checkpoint().to_owned();
        log.disk.fuse = Some(steps);
        let done = log.append(&add).is_ok();
        if !done {
            assert!(matches!(log.append(&add), Err(LogError::Broken)));
        }
        drop(log);
        let reader = LogReader::open(path).unwrap();
        assert!(reader.size() == 259 || reader.checkpoint() == old, "after {steps} steps");
        assert_eq!(reader.entries(0..259).flatten().count() as u64, reader.size());
        // The retry is idempotent; different entries are accepted only if the first never became visible.
        let mut log = Log::open(path, signer()).unwrap();
        if steps % 2 == 0 || log.size() == 259 {
            log.append_at(254, &add).unwrap();
            assert_eq!(log.size(), 259);
        } else {
            log.append_at(254, &other).unwrap();
            assert_eq!(log.size(), 256);
        }
        let report =
            crate::verify::log(path, &[signer().verifier().clone()], &[old], &crate::Policy::default());
        let problems: Vec<_> =
            report.problems.iter().filter(|p| !matches!(p, crate::verify::Problem::NoGenesis)).collect();
        assert!(problems.is_empty(), "after {steps} steps: {problems:?}");
        assert!(log.reader().history().unwrap().all(|kept| kept.unwrap().note.is_ok()));
        if done {
            break;
        }
    }
}

#[test]
fn a_crash_while_making_the_log() {
    for steps in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = Disk::new(directory.path());
        disk.fuse = Some(steps);
        let done = Log::create_on(disk, signer()).is_ok();
        let log = Log::open(directory.path(), signer()).or_else(|_| Log::create(directory.path(), signer()));
        assert_eq!(log.unwrap().size(), 0);
        if done {
            break;
        }
    }
}

/// Against loss of power: files are synced before they are renamed, and every name of data is synced before
/// the checkpoint is renamed.
#[test]
fn order_of_syncs() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::create(directory.path(), signer()).unwrap();
    log.disk.trace.clear();
    log.append(&(0..300).map(entry).collect::<Vec<_>>()).unwrap();
    let trace = &log.disk.trace;
    let published =
        trace.iter().position(|(step, path)| *step == Step::Rename && path.ends_with("checkpoint"));
    let published = published.unwrap();
    let mut data = 0;
    for (at, (step, path)) in trace.iter().enumerate() {
        if *step != Step::Rename {
            continue;
        }
        let (before, beside) = (&trace[at - 1], format!("{}.tmp", path.display()));
        assert_eq!((before.0, before.1.to_str().unwrap()), (Step::Sync, beside.as_str()));
        let mut directory = path.parent().unwrap().to_owned();
        while path.starts_with(log.disk.root().join("tile")) && directory.starts_with(log.disk.root()) {
            data += 1;
            let synced = (Step::SyncDirectory, directory.clone());
            assert!(trace[at..published].contains(&synced), "{} for {}", directory.display(), path.display());
            directory.pop();
        }
        assert!(at <= published);
    }
    assert!(data > 10);
}

#[test]
fn opening_refuses_damage() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::create(directory.path(), signer()).unwrap();
    log.append(&[entry(0), entry(1)]).unwrap();
    drop(log);
    for file in ["tile/0/000.p/2", "tile/entries/000.p/2"] {
        let path = directory.path().join(file);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[5] ^= 1;
        fs::write(&path, bad).unwrap();
        assert!(matches!(Log::open(directory.path(), signer()), Err(LogError::Damaged { .. })), "{file}");
        fs::write(&path, good).unwrap();
    }
    Log::open(directory.path(), signer()).unwrap();
}

/// Readers see whole states only, and a verification beside a writer accuses nobody.
#[test]
fn reading_beside_a_writer() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::create(directory.path(), signer()).unwrap();
    log.append(&(0..200).map(entry).collect::<Vec<_>>()).unwrap();
    let trusted = [signer().verifier().clone()];
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for n in 200..330 {
                log.append(&[entry(n)]).unwrap();
            }
        });
        let mut rounds = 0;
        while !writer.is_finished() || rounds == 0 {
            let reader = LogReader::open(directory.path()).unwrap();
            let size = reader.size();
            let last = reader.entry(size - 1).unwrap();
            let path = reader.inclusion(size - 1).unwrap();
            verify_inclusion(leaf_hash(&last), size - 1, size, &path, &reader.root()).unwrap();
            let report = crate::verify::log(directory.path(), &trusted, &[], &crate::Policy::default());
            assert_eq!(report.problems, [crate::verify::Problem::NoGenesis]);
            rounds += 1;
        }
    });
}
