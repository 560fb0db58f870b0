//! What a hostile data directory, or a bundle from a stranger, may hold: notes, entries of the log, proofs, bundles of
//! evidence, files of the spool. The seeds are those of a small lake of recorded events.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use klio_model::{Event, Filter, TimeRange, Timestamp};
use klio_store::seal::evidence::verify_bundle;
use klio_store::seal::{Checkpoint, Manifest, Note, Verifier};
use klio_store::spool::{Options, Spool, SpoolReader};
use klio_store::{Custody, Flush, Origin, Proof, Records, Request, Rows, Settings, Writer};

use super::{Target, seen};
use crate::error::Error;

/// The lake's directory, its key, and the files of a bundle.
struct Made {
    dir: PathBuf,
    keys: Vec<Verifier>,
    bundle: Vec<(PathBuf, Vec<u8>)>,
}

static MADE: OnceLock<Mutex<Made>> = OnceLock::new();

pub(super) fn targets(events: &[Vec<u8>]) -> Result<Vec<Target>, Error> {
    let dir = std::env::temp_dir().join(format!("klio-fuzz-lake-{}", std::process::id()));
    let refused = |e: klio_store::StoreError| Error::Io(std::io::Error::other(e.to_string()));
    let mut writer = Writer::open(&dir.join("lake"), &Settings::default()).map_err(refused)?;
    let texts: Vec<&str> = events.iter().filter_map(|e| std::str::from_utf8(e).ok()).take(6).collect();
    let (mut records, mut rows) = (Records::default(), Rows::new());
    let received = Timestamp(1_795_000_000_000_000);
    for text in &texts {
        let Ok(event) = Event::parse(text) else { continue };
        records.push(text);
        rows.push(&event, Custody { cluster: "c", source: "s", received }, "default", None);
    }
    let at = received.micros();
    let origin = Origin {
        cluster: "c".into(),
        source: "s".into(),
        received: at,
        position: Some("1".into()),
        ..Origin::default()
    };
    let upto = writer.append(&origin, &records).map_err(refused)?;
    writer.flush(&Flush { rows: vec![rows], upto, ..Flush::default() }).map_err(refused)?;
    let to = dir.join("bundle");
    let about = Request { filter: &Filter::All, range: TimeRange::default(), query: "*", who: "a", why: "b" };
    writer.export_evidence(&to, &about).map_err(refused)?;
    let proofs = writer.lake().prove_all(&Filter::All, TimeRange::default(), 3).map_err(refused)?;
    // Small ones, so that a change hits what frames them.
    for text in texts.iter().cycle().take(5) {
        let mut one = Records::default();
        one.push(text.get(..200).unwrap_or("{}"));
        writer.append(&origin, &one).map_err(refused)?;
    }
    let keys = vec![writer.lake().public_key().map_err(refused)?];
    let checkpoint = writer.lake().checkpoint().map_err(refused)?.into_bytes();
    drop(writer);

    let log = klio_store::seal::LogReader::open(&dir.join("lake/seal"));
    let log = log.map_err(|e| Error::Io(std::io::Error::other(e.to_string())))?;
    let entries: Vec<Vec<u8>> = log.entries(0..log.size()).filter_map(|e| Some(e.ok()?.1)).collect();
    let proofs: Vec<Vec<u8>> = proofs.iter().filter_map(|proof| serde_json::to_vec(proof).ok()).collect();
    let mut bundle = Vec::new();
    for entry in fs::read_dir(&to)? {
        let path = entry?.path();
        bundle.push((path.clone(), fs::read(&path)?));
    }
    bundle.sort();
    // The first byte says which file of the bundle is to have the rest.
    let parts = bundle.iter().zip(b'a'..).map(|((_, bytes), n)| [&[n], bytes.as_slice()].concat()).collect();
    let mut spools = Vec::new();
    for entry in fs::read_dir(dir.join("lake/spool"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "spool") {
            spools.push(fs::read(path)?);
        }
    }
    let made = Made { dir, keys, bundle };
    drop(MADE.set(Mutex::new(made)));
    Ok(vec![
        Target { name: "note", seeds: vec![checkpoint], read: note },
        Target { name: "entry", seeds: entries, read: |bytes| seen(Manifest::decode(bytes)) },
        Target { name: "proof", seeds: proofs, read: proof },
        Target { name: "bundle", seeds: parts, read: evidence },
        Target { name: "spool", seeds: spools, read: spool },
    ])
}

/// Removes what the targets wrote.
pub(super) fn end() {
    if let Some(made) = MADE.get() {
        let made = made.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = fs::remove_dir_all(&made.dir);
    }
}

fn with(read: impl FnOnce(&Made)) {
    if let Some(made) = MADE.get() {
        read(&made.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn note(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    with(|made| {
        if let Ok(note) = Note::parse(text) {
            seen(note.verify(&made.keys));
        }
    });
    seen(Checkpoint::parse(text));
    seen(text.parse::<Verifier>());
}

fn proof(bytes: &[u8]) {
    if let Ok(proof) = serde_json::from_slice::<Proof>(bytes) {
        with(|made| seen(proof.verify(&made.keys)));
    }
}

fn evidence(bytes: &[u8]) {
    let Some((which, rest)) = bytes.split_first() else { return };
    with(|made| {
        let Some((path, whole)) = made.bundle.get(usize::from(*which) % made.bundle.len().max(1)) else {
            return;
        };
        if fs::write(path, rest).is_ok() {
            let report = verify_bundle(&made.dir.join("bundle"), Some(&made.keys));
            assert!(!report.problems.is_empty() || rest == whole, "an altered bundle was not named");
        }
        seen(fs::write(path, whole));
    });
}

fn spool(bytes: &[u8]) {
    with(|made| {
        let dir = made.dir.join("spool");
        seen(lay(&dir, bytes));
        SpoolReader::after(&dir, None, 0).take(10_000).for_each(|batch| seen(batch.is_ok()));
        let options = Options { max_bytes: 64 << 20, file_bytes: 1 << 20, key: None };
        if let Ok((spool, recovered)) = Spool::open(&dir, options) {
            seen(recovered);
            spool.read_from(1).take(10_000).for_each(|batch| seen(batch.is_ok()));
            // What is new is kept, whatever lies before it.
            let seq = spool.append(b"{}", b"new").ok();
            let kept =
                seq.is_none_or(|seq| spool.read_from(seq).any(|batch| batch.is_ok_and(|b| b.seq == seq)));
            assert!(kept, "a batch that was acknowledged is gone");
        }
    });
}

/// A spool with one file.
fn lay(dir: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)?;
    fs::write(dir.join(format!("{:020}.spool", 1)), bytes)
}
