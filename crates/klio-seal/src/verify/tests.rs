//! Attacks on a log: each must be named.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::{
    Compaction, Expiry, Hash, Hold, Log, LogReader, Manifest, Opened, Path, Policy, Request, Scheme, Segment,
    Signer, Span, Statement, StoredFile, Verifier, Witness,
};

const MINUTE: i64 = 60_000_000;

fn signer(seed: u8) -> Signer {
    Signer::from_seed("example.org/lake", Scheme::Note, &[seed; 32]).unwrap()
}

fn trusted() -> Vec<Verifier> {
    vec![signer(1).verifier().clone()]
}

fn opened(time: i64) -> Manifest {
    let opened = Opened { lake: "l".into(), origin: "example.org/lake".into(), tool: "klio".into() };
    Manifest { time, statement: Statement::Opened(opened) }
}

fn stored(file: &str, rows: u64) -> StoredFile {
    StoredFile {
        table: "audit".into(),
        partition: "p".into(),
        file: file.into(),
        file_hash: Hash::of(file.as_bytes()),
        bytes: 1,
        rows,
        root: Hash::of(file.as_bytes()),
        key: None,
    }
}

fn segment(time: i64, flush: u64) -> Manifest {
    let segment = Segment {
        stored: stored(&format!("f{flush}"), 10),
        flush,
        first_event: Some(time - 2),
        last_event: Some(time - 1),
        first_received: time - 1,
        last_received: time,
        spool: Span { from: flush, to: flush + 1 },
        redaction: "none".into(),
        sources: vec!["webhook".into()],
    };
    Manifest { time, statement: Statement::Segment(segment) }
}

fn compaction(time: i64, file: &str, rows: u64, replaces: &[u64]) -> Manifest {
    let compaction = Compaction { stored: stored(file, rows), replaces: replaces.to_vec() };
    Manifest { time, statement: Statement::Compaction(compaction) }
}

fn expiry(time: i64, removed: &[u64]) -> Manifest {
    let expiry = Expiry {
        table: "audit".into(),
        partition: "p".into(),
        rule: "400d".into(),
        reason: "retention".into(),
        at: time,
        removed: removed.to_vec(),
        files: vec![],
    };
    Manifest { time, statement: Statement::Expiry(expiry) }
}

/// A log with one checkpoint per statement.
fn write(manifests: &[Manifest]) -> (TempDir, Log) {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::create(directory.path(), signer(1)).unwrap();
    for manifest in manifests {
        log.state(manifest).unwrap();
    }
    (directory, log)
}

/// Opened, two segments, an idle minute.
fn small() -> (TempDir, Log) {
    let (directory, mut log) = write(&[opened(0), segment(1, 1), segment(2, 2)]);
    assert_eq!(log.tick(MINUTE + 2).unwrap(), Some(3));
    (directory, log)
}

fn check(directory: &TempDir, outside: &[&str]) -> LogReport {
    let outside: Vec<String> = outside.iter().map(|text| (*text).to_owned()).collect();
    log(directory.path(), &trusted(), &outside, &Policy::default())
}

fn files(root: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { found.extend(files(&entry)) } else { found.push(entry) }
    }
    found
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

#[test]
fn a_good_log() {
    let (directory, log) = small();
    let report = check(&directory, &[log.checkpoint()]);
    assert!(report.ok() && report.facts.is_empty(), "{:?} {:?}", report.problems, report.facts);
    assert_eq!((report.size, report.checkpoints), (4, 5));
}

/// Flips bytes of every file of a small log, each `step`th; `lock` is empty. Nothing is exempt.
fn flip(step: usize) -> usize {
    let (directory, _log) = small();
    let mut flips = 0;
    for file in files(directory.path()) {
        let bytes = fs::read(&file).unwrap();
        for at in (0..bytes.len()).step_by(step) {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&file, bad).unwrap();
            assert!(!check(&directory, &[]).ok(), "{} byte {at}", file.display());
            flips += 1;
        }
        fs::write(&file, &bytes).unwrap();
    }
    assert!(check(&directory, &[]).ok());
    flips
}

#[test]
fn flips_are_named() {
    assert!(flip(23) > 100);
}

#[test]
#[ignore = "minutes without optimisation: cargo test -p klio-seal --release --lib -- --ignored"]
fn every_flip_is_named() {
    assert!(flip(1) > 3000);
}

/// Files cut, grown or removed. The partial tiles of older checkpoints may go.
#[test]
fn every_missing_or_cut_file_is_named() {
    let (directory, _log) = small();
    for file in files(directory.path()).into_iter().filter(|file| !file.ends_with("lock")) {
        let bytes = fs::read(&file).unwrap();
        let name = file.strip_prefix(directory.path()).unwrap().to_owned();
        fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        // The tail of the newest note of the history is what a crash can take; opening the log mends it.
        let report = check(&directory, &[]);
        let torn = name.starts_with("checkpoints") && report.facts == [Fact::TornHistory];
        assert!(!report.ok() || torn, "{} cut", name.display());
        fs::write(&file, [&bytes[..], b"x"].concat()).unwrap();
        assert!(!check(&directory, &[]).ok(), "{} grown", name.display());
        fs::remove_file(&file).unwrap();
        let older = name.to_str().unwrap().contains(".p/") && !name.ends_with("4");
        assert_eq!(check(&directory, &[]).ok(), older, "{} removed", name.display());
        fs::write(&file, &bytes).unwrap();
    }
}

#[test]
fn damage_is_named_by_place() {
    let (directory, mut log) = small();
    let entries: Vec<Vec<u8>> =
        (0..600).map(|n| segment(MINUTE + n, n as u64 + 9).encode().unwrap()).collect();
    log.append(&entries).unwrap();
    let spoil = |name: &str, at: usize, problem: Problem| {
        let path = directory.path().join(name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, bad).unwrap();
        let report = check(&directory, &[]);
        assert_eq!(report.problems, [problem]);
        fs::write(path, good).unwrap();
    };
    let file = || "tile/0/001".to_owned();
    spoil("tile/0/001", 70, Problem::Tile { file: file(), at: 2 });
    let file = || "tile/1/000.p/2".to_owned();
    spoil("tile/1/000.p/2", 40, Problem::Tile { file: file(), at: 1 });
    let file = || "tile/entries/001".to_owned();
    spoil("tile/entries/001", 5, Problem::Entry { index: 256, file: file() });
    spoil("tile/entries/001", 0, Problem::Bundle { file: file(), index: 256 });
    fs::remove_file(directory.path().join("tile/0/000")).unwrap();
    fs::remove_file(directory.path().join("tile/entries/000")).unwrap();
    let said = check(&directory, &[]).problems;
    assert!(said.contains(&Problem::Missing { file: "tile/0/000".into() }), "{said:?}");
}

/// Two entries swapped, or one dropped, with all tiles made anew: only the key is lacking.
#[test]
fn rebuilt_without_the_key() {
    let order: [&[usize]; 3] = [&[0, 2, 1, 3], &[0, 1, 3], &[0, 1, 2]];
    for order in order {
        let (directory, log) = small();
        let entries: Vec<Vec<u8>> = log.reader().entries(0..4).map(|entry| entry.unwrap().1).collect();
        let thief = Signer::from_seed("example.org/lake", Scheme::Note, &[66; 32]).unwrap();
        let forged = tempfile::tempdir().unwrap();
        let mut other = Log::create(forged.path(), thief).unwrap();
        for place in order {
            other.append(&[&entries[*place]]).unwrap();
        }
        let said = check(&forged, &[]).problems;
        assert!(said.iter().any(|problem| matches!(problem, Problem::BadSignature { .. })), "{said:?}");
        // With the true checkpoint and history beside the forged entries.
        fs::copy(directory.path().join("checkpoint"), forged.path().join("checkpoint")).unwrap();
        copy(&directory.path().join("checkpoints"), &forged.path().join("checkpoints"));
        let said = check(&forged, &[]).problems;
        assert!(
            said.iter().any(|problem| matches!(problem, Problem::Root { .. } | Problem::Missing { .. })),
            "{said:?}"
        );
    }
}

#[test]
fn an_old_checkpoint_put_back() {
    let (directory, mut log) = small();
    let old = log.checkpoint().to_owned();
    log.state(&segment(MINUTE + 3, 3)).unwrap();
    let new = log.checkpoint().to_owned();
    fs::write(directory.path().join("checkpoint"), &old).unwrap();
    let said = check(&directory, &[]).problems;
    assert!(matches!(said[..], [Problem::Replayed { had: 5, size: 4, .. }]), "{said:?}");
    // And with the history cut to match: only a checkpoint from elsewhere tells.
    let history = directory.path().join("checkpoints/000000000000");
    let text = fs::read_to_string(&history).unwrap();
    fs::write(&history, text.strip_suffix(&format!("{new}\n")).unwrap()).unwrap();
    assert!(check(&directory, &[]).ok());
    let said = check(&directory, &[&new]).problems;
    assert!(
        matches!(said[..], [Problem::Replayed { had: 5, size: 4, at: Evidence::Outside(0) }]),
        "{said:?}"
    );
    // And with the last segment's bytes gone too.
    for row in ["0", "entries"] {
        fs::remove_file(directory.path().join(format!("tile/{row}/000.p/5"))).unwrap();
    }
    let said = check(&directory, &[&new]).problems;
    assert!(matches!(said[..], [Problem::Truncated { had: 5, size: 4, .. }]), "{said:?}");
}

/// The thief has the key and writes a log without the first segment.
#[test]
fn rewritten_with_the_stolen_key() {
    let (honest, mut log) = small();
    let state = tempfile::tempdir().unwrap();
    let key = Signer::from_seed("example.net/witness", Scheme::Cosignature, &[5; 32]).unwrap();
    let witness = Witness::new(&state.path().join("seen"), key, trusted()).unwrap();
    let policy = Policy { witnesses: vec![witness.verifier().clone()], quorum: 1 };
    let request = Request { old: 0, proof: Path::default(), checkpoint: log.checkpoint().to_owned() };
    let line = witness.cosign(&request, 100).unwrap();
    log.attach(&line).unwrap();
    let outside = log.checkpoint().to_owned();

    let (forged, mut rewritten) = write(&[opened(0), segment(2, 2)]);
    rewritten.tick(MINUTE + 2).unwrap();
    rewritten.tick(2 * MINUTE + 2).unwrap();
    // Nothing in the log itself can tell.
    assert!(check(&forged, &[]).ok());
    let said = check(&forged, &[&outside]).problems;
    assert!(matches!(said[..], [Problem::Fork { size: 4, at: Evidence::Outside(0), .. }]), "{said:?}");
    let said = super::log(forged.path(), &trusted(), &[], &policy).problems;
    assert_eq!(said, [Problem::NotWitnessed { quorum: 1, most: 0 }]);
    // The witness does not help the thief.
    let proof = Path::default();
    let request = Request { old: 4, proof, checkpoint: rewritten.checkpoint().to_owned() };
    assert!(matches!(witness.cosign(&request, 200), Err(crate::Refused::Fork { seen: 4, .. })));
    // A cosignature moved to the forged checkpoint is no cosignature of it.
    rewritten.attach(&line).unwrap();
    let said = super::log(forged.path(), &trusted(), &[], &policy).problems;
    assert!(said.iter().any(|problem| matches!(problem, Problem::BadCosignature { .. })), "{said:?}");
    // The honest log keeps its witness.
    let report = super::log(honest.path(), &trusted(), &[], &policy);
    assert!(report.ok(), "{:?}", report.problems);
    assert_eq!(report.witnessed, Some(Witnessed { size: 4, time: 100 }));
}

/// Two branches of one log, each signed: either one convicts the other.
#[test]
fn a_fork() {
    let (one, mut first) = small();
    drop(first);
    let two = tempfile::tempdir().unwrap();
    copy(one.path(), two.path());
    first = Log::open(one.path(), signer(1)).unwrap();
    let mut second = Log::open(two.path(), signer(1)).unwrap();
    first.state(&segment(MINUTE + 3, 3)).unwrap();
    second.state(&segment(MINUTE + 3, 4)).unwrap();
    assert!(check(&one, &[]).ok() && check(&two, &[]).ok());
    let said = check(&one, &[second.checkpoint()]).problems;
    assert!(matches!(said[..], [Problem::Fork { size: 5, agrees: 5, .. }]), "{said:?}");
    // A stranger's checkpoint convicts nobody, but is named.
    let (_other, stranger) = write(&[opened(0)]);
    let text = stranger.checkpoint().replace("example.org/lake Ab", "example.org/lake AB");
    let said = check(&one, &["nonsense", &text]).problems;
    assert!(said.iter().any(|problem| matches!(problem, Problem::Unreadable { .. })), "{said:?}");
}

#[test]
fn idle_minutes_removed() {
    let (directory, log) = small();
    let history = directory.path().join("checkpoints/000000000000");
    let text = fs::read_to_string(&history).unwrap();
    let kept = format!("{}\n", log.checkpoint());
    drop(log);
    let mut log = Log::open(directory.path(), signer(1)).unwrap();
    log.state(&segment(MINUTE + 3, 3)).unwrap();
    let newer = fs::read_to_string(&history).unwrap();
    assert!(newer.starts_with(&text));
    fs::write(&history, newer.replace(&kept, "")).unwrap();
    assert_eq!(check(&directory, &[]).problems, [Problem::TickUnattested { index: 3 }]);
    // Checkpoints in another order.
    let swapped = format!("{}{kept}", newer.replace(&kept, ""));
    fs::write(&history, swapped).unwrap();
    let said = check(&directory, &[]).problems;
    assert!(said.iter().any(|problem| matches!(problem, Problem::HistoryOrder { .. })), "{said:?}");
}

#[test]
fn times() {
    let hour = 60 * MINUTE;
    let (directory, _log) = write(&[opened(hour), segment(hour + 1, 1), segment(1, 2), segment(hour + 2, 3)]);
    assert_eq!(check(&directory, &[]).problems, [Problem::BackDated { index: 2, back: 3600 }]);
    // Adjusted by less than the tolerance.
    let (directory, _log) = write(&[opened(hour), segment(hour - 4_000_000, 1)]);
    assert!(check(&directory, &[]).ok());
    // Silence is a fact, with or without a restart.
    let (directory, _log) = write(&[opened(0), segment(hour, 1), opened(2 * hour)]);
    let report = check(&directory, &[]);
    assert!(report.ok());
    let silent = |index, restart| Fact::Unattested { index, seconds: 3600, restart };
    assert_eq!(report.facts, [silent(1, false), silent(2, true)]);
    let mut late = segment(5, 1);
    if let Statement::Segment(segment) = &mut late.statement {
        segment.last_received = hour;
    }
    let (directory, _log) = write(&[opened(0), late]);
    assert!(matches!(check(&directory, &[]).problems[..], [Problem::ReceivedLater { index: 1, .. }]));
}

#[test]
fn what_must_be_there() {
    let hold = Hold { filter: "f".into(), owner: "o".into(), reason: "r".into() };
    let (directory, _log) = write(&[
        opened(0),
        segment(1, 1),
        segment(2, 2),
        segment(3, 3),
        compaction(4, "c", 20, &[1, 2]),
        Manifest { time: 5, statement: Statement::Hold(hold.clone()) },
        expiry(6, &[3]),
        Manifest { time: 7, statement: Statement::Release(hold) },
        segment(8, 4),
        // Nothing but what is there can be taken away.
        expiry(9, &[4, 8]),
    ]);
    let report = check(&directory, &[]);
    assert!(report.ok(), "{:?}", report.problems);
    assert_eq!(report.facts, [Fact::ExpiryUnderHold { index: 6, holds: 1 }]);
}

#[test]
fn statements_that_contradict() {
    let other = |mut manifest: Manifest| {
        if let Statement::Compaction(compaction) = &mut manifest.statement {
            compaction.stored.table = "other".into();
        }
        manifest
    };
    let source = |source_index, why| Problem::Source { index: 2, source_index, why };
    let cases = [
        (compaction(2, "c", 0, &[7]), source(7, "that is no earlier entry")),
        (
            compaction(2, "c", 10, &[1, 1]),
            source(1, "that entry states no file, or one that was taken away before"),
        ),
        (other(compaction(2, "c", 0, &[1])), source(1, "that file is of another table or partition")),
        (compaction(2, "c", 9, &[1]), Problem::Rows { index: 2, before: 10, after: 9 }),
        (expiry(2, &[0]), source(0, "that entry states no file, or one that was taken away before")),
        (compaction(2, "f1", 0, &[]), Problem::SamePath { index: 2, earlier: 1, file: "f1".into() }),
    ];
    for (manifest, problem) in cases {
        let (directory, _log) = write(&[opened(0), segment(1, 1), manifest]);
        assert_eq!(check(&directory, &[]).problems, [problem]);
    }
    let (directory, _log) = write(&[segment(1, 2), segment(2, 1)]);
    let flush = Problem::Flush { index: 1, table: "audit".into(), flush: 1, before: 2 };
    assert_eq!(check(&directory, &[]).problems, [Problem::NoGenesis, flush]);
}

#[test]
fn newer_kinds_are_no_problem_and_nonsense_is() {
    let (directory, mut log) = write(&[opened(0)]);
    log.append(&[r#"{"time":1,"kind":"oath"}"#, r#"{"time":2,"kind":"tick","more":1}"#]).unwrap();
    let report = check(&directory, &[]);
    assert!(report.ok(), "{:?}", report.problems);
    let newer = Fact::NewerKind { index: 1, kind: "oath".into() };
    assert_eq!(report.facts, [newer, Fact::NewerFields { index: 2 }]);
    log.append(&["nonsense"]).unwrap();
    assert!(matches!(check(&directory, &[]).problems[..], [Problem::Manifest { index: 3, .. }]));
}

#[test]
fn rotations() {
    let (directory, mut log) = small();
    log.rotate(signer(2), MINUTE + 3).unwrap();
    assert!(check(&directory, &[]).ok(), "before the new key has signed");
    let handed = log.checkpoint().to_owned();
    log.state(&segment(MINUTE + 4, 3)).unwrap();
    log.rotate(signer(3), MINUTE + 5).unwrap();
    log.state(&segment(MINUTE + 6, 4)).unwrap();
    let report = check(&directory, &[log.checkpoint(), &handed]);
    assert!(report.ok(), "{:?}", report.problems);
    assert_eq!(report.keys, [signer(3).verifier().clone()]);
    drop(log);
    // The first key, stolen after it was retired, signs the log's present state.
    let reader = LogReader::open(directory.path()).unwrap();
    let text = crate::Note::parse(reader.checkpoint()).unwrap().text().to_owned();
    let stolen = crate::Note::sign(&text, &signer(1), 0).unwrap().to_string();
    fs::write(directory.path().join("checkpoint"), stolen).unwrap();
    let said = check(&directory, &[]).problems;
    assert!(matches!(said[..], [Problem::RetiredKey { size: 8, .. }]), "{said:?}");
    fs::write(directory.path().join("checkpoint"), reader.checkpoint()).unwrap();
    // Without the old key's checkpoint the new key is nobody.
    let history = directory.path().join("checkpoints/000000000000");
    let kept = fs::read_to_string(&history).unwrap();
    fs::write(&history, kept.replace(&format!("{handed}\n"), "")).unwrap();
    let said = check(&directory, &[]).problems;
    assert!(said.iter().any(|problem| matches!(problem, Problem::RotationUnattested { index: 4, .. })));
    // A checkpoint kept elsewhere stands in for it.
    assert!(check(&directory, &[&handed]).ok());
}

#[test]
fn ahead_of_the_witness() {
    let (directory, mut log) = small();
    let key = Signer::from_seed("w", Scheme::Cosignature, &[5; 32]).unwrap();
    let mut note = crate::Note::parse(log.checkpoint()).unwrap();
    note.add(&key, 10);
    log.attach(&note.signatures().last().unwrap().to_string()).unwrap();
    let policy = Policy { witnesses: vec![key.verifier().clone()], quorum: 1 };
    let said = super::log(directory.path(), &trusted(), &[], &policy).problems;
    assert!(matches!(said[0], Problem::AheadOfWitness { index: 3, late: 49 }), "{said:?}");
}

/// What a stranger can put there must neither panic nor take for ever.
#[test]
fn hostile_directories() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(check(&directory, &[]).problems[0], Problem::NoCheckpoint(_)));
    let text = format!("example.org/lake\n{}\n{}\n", u64::MAX, Hash::empty().to_base64());
    let note = crate::Note::sign(&text, &signer(1), 0).unwrap().to_string();
    fs::write(directory.path().join("checkpoint"), note).unwrap();
    assert!(!check(&directory, &[]).ok());
    fs::create_dir_all(directory.path().join("tile/0/000")).unwrap();
    let far = "tile/0/x018/x446/x744/x073/x709/x551";
    fs::create_dir_all(directory.path().join(far)).unwrap();
    fs::write(directory.path().join(far).join("615"), "x").unwrap();
    fs::create_dir_all(directory.path().join("checkpoints")).unwrap();
    fs::write(directory.path().join("checkpoints/000000000000"), vec![b'\n'; 5_000]).unwrap();
    fs::write(directory.path().join("checkpoints/000000000001"), vec![b'x'; 5_000_000]).unwrap();
    assert!(!check(&directory, &[]).ok());
}
