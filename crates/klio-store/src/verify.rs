//! Is the lake what was sealed? The signed log is read first; then all files, tables and the spool are held against
//! what it says.
//!
//! The log alone finds what others altered. Who has the signing key can write another log that is perfect in itself:
//! that is found with a checkpoint that was kept elsewhere, or with witnesses ([`Trusted`]).
//!
//! | what was done | found by |
//! |---|---|
//! | a bit of a data file, a table's log, the seal or the spool changed | the lake and its public key |
//! | a file removed, added, swapped; in the directory or in a table's log | the lake and its public key |
//! | an old checkpoint put back while newer entries or history are there | the lake and its public key |
//! | the whole lake put back to an earlier moment | an outside checkpoint, or a witness |
//! | the spool cut short, up to what the log attests (each minute) | the lake and its public key |
//! | the spool cut short after the last attestation | nobody: the sender still has it, or the API server's log |
//! | a log rewritten, forked, cut or back-dated with the stolen signing key | an outside checkpoint, or a witness |
//! | forged events added with the stolen key at the end | nobody: a key must be guarded while it is used |

mod files;
mod report;
mod spool;
mod tables;

use std::path::Path;
use std::sync::Arc;

use klio_seal::{Checkpoint, Hash, LogReader, Policy, Verifier, verify::LogReport};

use crate::error::StoreError;
use crate::identity;
use crate::lake::Lake;
use crate::ledger::Ledger;
use crate::place::read_file;
use crate::settings::Settings;
use crate::vault::Vault;
use crate::writer::LAKE;

use files::Reading;
pub use report::{Kind, Problem, Report};

/// What the one who verifies knows of his own.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// The public keys that may have signed the log from its beginning; without any, the one that lies with the lake
    /// is used, which an attacker may have replaced.
    pub keys: Vec<Verifier>,
    /// Signed checkpoints that were kept elsewhere.
    pub checkpoints: Vec<String>,
    /// Which witnesses count, and how many of them must have cosigned.
    pub witnesses: Policy,
}

/// How closely files are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Each file's hash: as fast as the disk.
    Files,
    /// Also the row tree of each file and of all segments that were merged into it.
    #[default]
    Rows,
}

impl Lake {
    /// Verifies the lake; see [`verify`].
    pub fn verify(&self, trusted: &Trusted, depth: Depth) -> Result<Report, StoreError> {
        verify(&self.dir, &self.settings, trusted, depth)
    }

    /// The public key of the lake's log, for those who verify it elsewhere.
    pub fn public_key(&self) -> Result<Verifier, StoreError> {
        identity::public_key(&self.dir)
    }

    /// The log's newest signed checkpoint: to be kept elsewhere, now and then.
    pub fn checkpoint(&self) -> Result<String, StoreError> {
        Ok(self.log()?.checkpoint().to_owned())
    }
}

/// Verifies the lake in a directory, also one that cannot be opened any more. A writer may be at work.
///
/// Memory is that of the largest data file, and 100 bytes for each entry of the log.
///
/// # Errors
/// When the settings make no sense. Everything else is a [`Problem`].
pub fn verify(
    dir: &Path,
    settings: &Settings,
    trusted: &Trusted,
    depth: Depth,
) -> Result<Report, StoreError> {
    let mut report = Report::new(depth);
    let mut keys = trusted.keys.clone();
    if keys.is_empty() {
        match identity::public_key(dir) {
            Ok(key) => keys.push(key),
            Err(error) => report.problem(Kind::Log, "seal.pub", error.to_string(), None),
        }
        report
            .facts
            .push("the public key is the one that lies with the lake: compare it with your own copy".into());
    }
    // First the tables, then the log: what a table has was stated by then, or will be in a moment.
    let found = tables::Found::read(dir, settings)?;
    let log = klio_seal::verify::log(&dir.join("seal"), &keys, &trusted.checkpoints, &trusted.witnesses);
    told(&log, &mut report);
    if !trusted.keys.is_empty() {
        let own = identity::public_key(dir).is_ok_and(|key| keys.contains(&key) || log.keys.contains(&key));
        if !own {
            report.problem(Kind::Lake, "seal.pub", "it is not the log's public key".into(), None);
        }
    }
    if (0..tables::TRIES).all(|_| !agree(dir)) {
        let said = "it is not as the history has it: cosignatures in one of them were altered";
        report.problem(Kind::Log, "seal/checkpoint", said.into(), None);
    }
    match identity::read(dir) {
        Ok(identity) if log.origin.as_ref().is_some_and(|origin| *origin != identity.origin) => {
            report.problem(Kind::Lake, "lake.json", "it names another log than the seal's".into(), None);
        }
        Ok(_) => {}
        Err(error) => report.problem(Kind::Lake, "lake.json", error.to_string(), None),
    }
    let read = LogReader::open(&dir.join("seal")).map_err(|e| StoreError::Seal(e.to_string()));
    match read.and_then(|reader| Ledger::read(&reader)) {
        Ok(ledger) => {
            let (found, ledger) = found.settled(dir, settings, ledger, &mut report)?;
            let known = ledger.commits.get(LAKE);
            let read = read_file(&dir.join(LAKE), LAKE, identity::SMALL).unwrap_or_default();
            if known.is_some_and(|known| known.hash != Hash::of(&read)) {
                let since = known.map(|known| known.time);
                report.problem(Kind::Lake, LAKE, "it is missing or was altered".into(), since);
            }
            // Hashes are those of the files as stored; their rows need the keys.
            let vault = settings.vault(dir);
            let listed = vault.as_ref().ok().and_then(Option::as_ref).and_then(|vault| vault.list().ok());
            let decrypt = |vault: Arc<Vault>| vault.check_key().and_then(|()| vault.decrypt());
            let depth = match (depth, vault.and_then(|vault| vault.map(decrypt).transpose())) {
                (Depth::Files, _) => Reading::Hashes,
                (Depth::Rows, Ok(keys)) => Reading::Rows(keys),
                (Depth::Rows, Err(error)) => {
                    report.facts.push(format!("row trees were not computed: {error}"));
                    report.full = false;
                    Reading::Hashes
                }
            };
            for key in listed.unwrap_or_default().into_iter().filter(|key| key.destroyed.is_some()) {
                if key.name.strip_prefix("files/").is_none_or(|name| !ledger.shredded.contains(name)) {
                    let place = format!("keys/{}.destroyed.json", key.name.replace('/', "~"));
                    let said = "the signed log knows nothing of this destruction".into();
                    report.problem(Kind::Smuggled, &place, said, None);
                }
            }
            files::check(dir, &found, &ledger, &depth, &mut report);
            files::expiries(&ledger, &mut report);
            spool::check(dir, settings, &found, &ledger, &mut report);
        }
        Err(error) => {
            let said = format!("{error}: files cannot be compared with it");
            report.problem(Kind::Log, "seal", said, None);
        }
    }
    Ok(report)
}

/// Whether the checkpoint stands in its history as it is, also with the signatures of witnesses that nobody named. One
/// that the history lacks altogether is being copied there, or was when a crash came.
fn agree(dir: &Path) -> bool {
    let Ok(log) = LogReader::open(&dir.join("seal")) else { return true };
    let Ok(history) = log.history() else { return true };
    let notes = history.filter_map(|kept| kept.ok()?.note.ok());
    let mut same =
        notes.filter(|note| Checkpoint::parse(note).is_ok_and(|(c, _)| c.size == log.size())).peekable();
    same.peek().is_none() || same.any(|note| note == log.checkpoint())
}

fn told(log: &LogReport, report: &mut Report) {
    for problem in &log.problems {
        report.problem(Kind::Log, "seal", problem.to_string(), None);
    }
    report.facts.extend(log.facts.iter().map(ToString::to_string));
    report.entries = log.size;
    report.root = log.root.to_string();
    report.checkpoints = log.checkpoints;
    report.witnessed = log.witnessed.map(|seen| (seen.size, seen.time));
}
