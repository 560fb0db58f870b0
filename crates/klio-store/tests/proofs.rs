//! Evidence: what leaves the lake proves itself, and nothing that was changed does.

#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

#[path = "made/lake.rs"]
mod made;

use std::fs;

use klio_model::{Filter, TimeRange};
use klio_store::seal::evidence::verify_bundle;
use klio_store::{CompactOptions, Proof, Request, Writer};
use made::{NEW, append, flush, settings};

fn lake(dir: &std::path::Path) -> Writer {
    let mut writer = Writer::open(dir, &settings()).unwrap();
    for n in 0..4 {
        append(&mut writer, n * 20..n * 20 + 20, NEW);
        flush(&mut writer);
    }
    writer.compact(&CompactOptions::default()).unwrap();
    append(&mut writer, 80..100, NEW);
    flush(&mut writer);
    append(&mut writer, 100..110, NEW);
    writer
}

#[test]
fn one_event() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = lake(dir.path());
    let keys = [writer.lake().public_key().unwrap()];
    // One in a merged file, one in a file of its own, one that is not sealed yet.
    for (n, found) in [(7, 1), (93, 1), (105, 0), (4711, 0)] {
        let id = format!("{n:08x}-0000-4000-8000-000000000000");
        let proofs = writer.lake().prove(&id).unwrap();
        assert_eq!(proofs.len(), found, "{n}");
        for proof in proofs {
            assert!(proof.event.contains(&id) && proof.event.starts_with("[\"c\",\"test\","));
            // It travels as JSON.
            let proof: Proof = serde_json::from_str(&serde_json::to_string(&proof).unwrap()).unwrap();
            assert_eq!(proof.verify(&keys), Ok(()));
            let stranger = klio_store::seal::Signer::generate("x", klio_store::seal::Scheme::Note).unwrap();
            assert!(proof.verify(&[stranger.verifier().clone()]).unwrap_err().contains("checkpoint"));
            let forged = Proof { event: proof.event.replace("user-", "admin-"), ..proof.clone() };
            assert!(forged.verify(&keys).unwrap_err().starts_with("the event"));
            let forged = Proof { entry: proof.entry.replace("\"rows\":", "\"rows\":1"), ..proof.clone() };
            assert!(forged.verify(&keys).unwrap_err().starts_with("the log's entry"));
        }
    }
}

#[test]
fn a_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = lake(dir.path());
    let keys = [writer.lake().public_key().unwrap()];
    let filter = Filter::parse("verb:delete").unwrap();
    let request = Request {
        filter: &filter,
        range: TimeRange::default(),
        query: "verb:delete",
        who: "auditor",
        why: "case 7",
    };
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("bundle");
    let exported = writer.export_evidence(&bundle, &request).unwrap();
    assert_eq!((exported.events, exported.files, exported.fresh), (25, 2, 2));
    let report = verify_bundle(&bundle, Some(&keys));
    assert!(report.ok(), "{:?}", report.problems);
    assert_eq!((report.proven, report.hash.unwrap().to_string()), (25, exported.hash.clone()));
    // The log says who took it.
    let said = fs::read_to_string(bundle.join("custody.jsonl")).unwrap();
    assert!(said.contains("auditor") && said.contains("case 7"));
    let seal = made::files(&dir.path().join("seal"));
    let stated = seal.iter().any(|p| String::from_utf8_lossy(&fs::read(p).unwrap()).contains(&exported.hash));
    assert!(stated, "the export is not in the log");
    // A second one goes nowhere near the first.
    assert!(writer.export_evidence(&bundle, &request).is_err());
    let stranger = klio_store::seal::Signer::generate("x", klio_store::seal::Scheme::Note).unwrap();
    assert!(!verify_bundle(&bundle, Some(&[stranger.verifier().clone()])).ok());
    // What was changed is named.
    for (file, from, to) in [
        ("events.jsonl", "user-", "admin"),
        ("events.jsonl", "\"row\":", "\"row\":1"),
        ("manifests.jsonl", "\"index\":", "\"index\":1"),
        ("checkpoint", "klio/", "klia/"),
        ("custody.jsonl", "auditor", "nobody!"),
        ("bundle.json", "verb:delete", "verb:create"),
        ("bundle.json", "\"events\": 25", "\"events\": 24"),
    ] {
        let path = bundle.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let report = verify_bundle(&bundle, Some(&keys));
        // The query stands in `bundle.json`, whose hash the log states.
        let named = !report.ok() || report.hash.unwrap().to_string() != exported.hash;
        assert!(named, "{file}: {from} became {to}");
        fs::write(&path, text).unwrap();
    }
    assert!(verify_bundle(&bundle, Some(&keys)).ok());
}
