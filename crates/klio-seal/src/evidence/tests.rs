//! A bundle that is right, and every way to spoil it.

use std::fs;

use super::*;
use crate::{
    Log, Manifest, Opened, RowTree, Scheme, Segment, Signer, Span, Statement, StoredFile, Tree, Verifier,
    leaf_hash,
};

fn signer(seed: u8) -> Signer {
    Signer::from_seed("example.org/lake", Scheme::Note, &[seed; 32]).unwrap()
}

fn export() -> Export {
    Export {
        tool: "klio 0.1.0".into(),
        query: "verb = delete".into(),
        from: Some(1),
        to: None,
        exported_by: "auditor".into(),
        exported_at: 5,
    }
}

/// A log of one file of seven events, a rotation, and the bundle of three of them.
fn bundle(directory: &std::path::Path) -> Verifier {
    let trusted = signer(1).verifier().clone();
    let log_directory = directory.join("log");
    let mut log = Log::create(&log_directory, signer(1)).unwrap();
    let opened = Opened { lake: "l".into(), origin: "example.org/lake".into(), tool: "klio".into() };
    log.state(&Manifest { time: 0, statement: Statement::Opened(opened) }).unwrap();
    let mut events: Vec<Vec<u8>> = (0..6).map(|n| format!("{{\"auditID\":\"{n}\"}}").into_bytes()).collect();
    events.push(vec![0xff, 0xfe]);
    let leaves: Vec<_> = events.iter().map(|event| leaf_hash(event)).collect();
    let mut tree = RowTree::new();
    for leaf in &leaves {
        tree.push(*leaf);
    }
    let stored = StoredFile {
        table: "audit".into(),
        partition: "p".into(),
        file: "f".into(),
        file_hash: Hash::empty(),
        bytes: 1,
        rows: 7,
        root: tree.root(),
        key: None,
    };
    let segment = Segment {
        stored,
        flush: 1,
        first_event: None,
        last_event: None,
        first_received: 0,
        last_received: 0,
        spool: Span { from: 0, to: 7 },
        redaction: "none".into(),
        sources: vec![],
    };
    let leaf = log.state(&Manifest { time: 1, statement: Statement::Segment(segment) }).unwrap();
    log.rotate(signer(2), 2).unwrap();
    log.tick(70_000_000).unwrap();
    let mut writer = BundleWriter::create(&directory.join("bundle"), export()).unwrap();
    let tree = Tree::new(leaves);
    for row in [0, 3, 6] {
        writer.event(&events[row as usize], leaf, row, 7, &tree.inclusion(row).unwrap()).unwrap();
    }
    writer.manifest(leaf, &log.reader().entry(leaf).unwrap(), &log.inclusion(leaf).unwrap()).unwrap();
    writer.rotations_of(log.reader()).unwrap();
    writer.custody(&Custody { time: 5, who: "auditor".into(), what: "exported".into() }).unwrap();
    writer.finish(log.checkpoint(), std::slice::from_ref(&trusted)).unwrap();
    trusted
}

#[test]
fn a_good_bundle() {
    let directory = tempfile::tempdir().unwrap();
    let trusted = bundle(directory.path());
    let path = directory.path().join("bundle");
    let report = verify_bundle(&path, Some(&[trusted]));
    assert!(report.ok(), "{:?}", report.problems);
    assert_eq!((report.proven, report.coverage[&1]), (3, Coverage { here: 3, rows: 7 }));
    assert_eq!(report.bundle.unwrap().export, export());
    // Its own keys prove that it agrees with itself, not more.
    let report = verify_bundle(&path, None);
    assert!(report.problems.is_empty() && !report.ok());
    let stranger = Signer::from_seed("example.org/lake", Scheme::Note, &[9; 32]).unwrap();
    let report = verify_bundle(&path, Some(&[stranger.verifier().clone()]));
    assert!(report.problems.iter().any(|problem| matches!(problem, BundleProblem::Checkpoint(_))));
    assert!(BundleWriter::create(&path, export()).is_err(), "must not overwrite");
}

/// Bytes of every file, all of the small ones. `bundle.json` is authenticated by its own hash, which the report
/// tells.
#[test]
fn every_flip_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let trusted = [bundle(directory.path())];
    let path = directory.path().join("bundle");
    let good = verify_bundle(&path, Some(&trusted)).hash;
    for file in fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()) {
        let bytes = fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let step = if bytes.len() < 300 { 1 } else { bytes.len() / 100 };
        for at in (0..bytes.len()).step_by(step) {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&file, bad).unwrap();
            let report = verify_bundle(&path, Some(&trusted));
            if name == BUNDLE {
                assert_ne!(report.hash, good);
            } else {
                assert!(!report.problems.is_empty(), "{name} byte {at}");
            }
        }
        fs::write(&file, &bytes).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(!verify_bundle(&path, Some(&trusted)).problems.is_empty(), "{name} removed");
        fs::write(&file, bytes).unwrap();
    }
}

/// Somebody alters a file and writes its new hash into `bundle.json`.
fn forge(path: &std::path::Path, name: &str, change: impl Fn(&mut Vec<String>)) {
    let text = fs::read_to_string(path.join(name)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    lines.push(String::new());
    let text = lines.join("\n");
    lines.pop();
    fs::write(path.join(name), &text).unwrap();
    let mut bundle: Bundle = serde_json::from_slice(&fs::read(path.join(BUNDLE)).unwrap()).unwrap();
    bundle.files.insert(name.to_owned(), Hash::of(text.as_bytes()));
    if name == EVENTS {
        bundle.events = lines.len() as u64;
    }
    fs::write(path.join(BUNDLE), serde_json::to_vec(&bundle).unwrap()).unwrap();
}

#[test]
fn forgeries_are_named_by_line() {
    type Change = fn(&mut Vec<String>);
    let cases: [(&str, Change, &str); 8] = [
        (EVENTS, |l| l[1] = l[1].replace("\\\"3\\\"", "\\\"4\\\""), "events.jsonl:2 was altered"),
        (EVENTS, |l| l.push(l[0].clone()), "events.jsonl:4 stands there a second time"),
        (EVENTS, |l| l[0] = l[0].replace("\"size\":7", "\"size\":8"), "it speaks of 8 rows"),
        (EVENTS, |l| l[0] = l[0].replace("\"leaf\":1", "\"leaf\":5"), "no proven manifest"),
        (EVENTS, |l| l[2] = "{".into(), "events.jsonl:3 cannot be read"),
        (MANIFESTS, |l| l[0] = l[0].replace("\"index\":1", "\"index\":0"), "manifests.jsonl:1 was altered"),
        (ROTATIONS, |l| l.clear(), "signed by none of the known keys"),
        (CHECKPOINT, |l| l[1] = "9".into(), "signature of example.org/lake"),
    ];
    for (name, change, words) in cases {
        let directory = tempfile::tempdir().unwrap();
        let trusted = bundle(directory.path());
        let path = directory.path().join("bundle");
        forge(&path, name, change);
        let report = verify_bundle(&path, Some(&[trusted]));
        let said: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|said| said.contains(words)), "{words}: {said:?}");
    }
}

#[test]
fn hostile_bundles() {
    let directory = tempfile::tempdir().unwrap();
    let trusted = [bundle(directory.path())];
    let path = directory.path().join("bundle");
    fs::write(path.join("extra"), "x").unwrap();
    let report = verify_bundle(&path, Some(&trusted));
    assert!(report.problems.contains(&BundleProblem::Unlisted("extra".into())));
    fs::remove_file(path.join("extra")).unwrap();
    fs::remove_file(path.join(GUIDE)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path.join(GUIDE)).unwrap();
    let report = verify_bundle(&path, Some(&trusted));
    assert!(matches!(&report.problems[..], [BundleProblem::File { .. }]), "{:?}", report.problems);
    // Deep nesting, endless lines and nonsense in every file.
    for name in [BUNDLE, EVENTS, MANIFESTS, ROTATIONS, CUSTODY, CHECKPOINT, KEYS] {
        let bytes = fs::read(path.join(name)).unwrap();
        for bad in [vec![b'['; 9_000_000], vec![0xff; 100], Vec::new()] {
            fs::write(path.join(name), bad).unwrap();
            assert!(!verify_bundle(&path, Some(&trusted)).problems.is_empty(), "{name}");
        }
        fs::write(path.join(name), bytes).unwrap();
    }
    assert!(!verify_bundle(&directory.path().join("nothing"), None).problems.is_empty());
}
