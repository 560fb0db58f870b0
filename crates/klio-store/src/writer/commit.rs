//! One change of one table: a Delta commit, then its statements in the log.
//!
//! The commit carries its manifests. Beside them the log states the hash of the commit itself, so that nobody can
//! change later what the table says of its files, or how far sources were read.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use klio_seal::{Hash, Manifest, Remark, Statement, StoredFile};
use serde_json::Value;

use super::{TABLE, TABLES, Writer, now, seal};
use crate::error::StoreError;
use crate::ledger::Ledger;
use crate::segment::Segment;
use crate::table::{Change, ChangeKind, DataFile, LOG_FILE, Table};

/// What is to become one commit.
pub(crate) struct Batch {
    pub add: Vec<DataFile>,
    pub remove: Vec<DataFile>,
    pub kind: ChangeKind,
    pub statements: Vec<Statement>,
}

/// A commit of which the log is to hold the statements from a leaf on.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Committed {
    leaf: u64,
    table: &'static str,
    version: u64,
    time: i64,
    manifests: Vec<String>,
}

impl Writer {
    /// The path of a file that the log will state as this leaf. A leaf is given once, and so is a path: what a crash
    /// left under it is in no table.
    pub(crate) fn path(segment: &Segment, leaf: u64) -> String {
        format!("class={}/day={}/{leaf:016}.parquet", segment.class, segment.day)
    }

    /// Writes a packed segment.
    pub(crate) fn write(&self, table: &str, path: String, segment: Segment) -> Result<DataFile, StoreError> {
        let file = DataFile {
            path,
            class: segment.class,
            day: segment.day,
            size: segment.file.len() as u64,
            rows: segment.rows,
            times: segment.times,
        };
        self.settled()?;
        self.lake.table(table).place.write(&file.path, segment.file)?;
        Ok(file)
    }

    /// Commits to a table, then to the log. Returns the leaf of the first statement and the time of all.
    pub(crate) fn commit(&mut self, table: &'static str, batch: Batch) -> Result<(u64, i64), StoreError> {
        self.settled()?;
        let (leaf, time) = (self.log.size(), now());
        let manifests = batch.statements.into_iter().map(|statement| {
            let bytes = Manifest { time, statement }.encode().map_err(seal)?;
            String::from_utf8(bytes).map_err(seal)
        });
        let manifests = manifests.collect::<Result<Vec<String>, StoreError>>()?;
        let (mut info, mut kept) = (Vec::new(), None);
        if table == "events" {
            let positions = serde_json::to_value(&self.positions).unwrap_or_default();
            // They name files.
            let positions = match &self.lake.vault {
                Some(vault) => vault.seal(&positions.to_string())?.into(),
                None => positions,
            };
            kept = Some(positions.clone());
            info.push(("klio.positions".into(), positions));
        }
        let signature = self.signer.sign(&claim(table, leaf, time, &manifests, kept.as_ref()), 0);
        info.push(("klio.signature".into(), BASE64.encode(signature).into()));
        let change = Change {
            add: batch.add,
            remove: batch.remove,
            kind: batch.kind,
            manifests: manifests.iter().map(|m| Value::from(m.as_str())).collect(),
            leaf,
            time,
            info,
        };
        self.unsettled = true;
        let version = self.table(table).commit(change)?;
        self.conclude(Committed { leaf, table, version, time, manifests })?;
        self.unsettled = false;
        Ok((leaf, time))
    }

    /// Adds the statements of a commit to the log, which may hold them already.
    fn conclude(&mut self, commit: Committed) -> Result<(), StoreError> {
        let mut entries: Vec<Vec<u8>> = commit.manifests.into_iter().map(String::into_bytes).collect();
        for statement in self.attest_commit(commit.table, commit.version)? {
            entries.push(Manifest { time: commit.time, statement }.encode().map_err(seal)?);
        }
        self.log.append_at(commit.leaf, &entries).map_err(seal).map(drop)
    }

    /// Statements of the hashes of what a commit wrote.
    pub(super) fn attest_commit(
        &self,
        table: &'static str,
        version: u64,
    ) -> Result<Vec<Statement>, StoreError> {
        let table = self.lake.table(table);
        let written = Table::written(version).into_iter().map(|name| {
            let hash = Some(Hash::of(&table.place.read_all(&name, LOG_FILE)?));
            Ok(Statement::Note(Remark { topic: TABLE.into(), text: format!("{}/{name}", table.name), hash }))
        });
        written.collect()
    }

    /// Adds the statements that a crash kept from the log, and reads how far the sources are.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        let mut missing = Vec::new();
        let ledger = self.ledger()?;
        for name in TABLES {
            let table = self.lake.table(name);
            let version = table.version();
            let Some(notes) = table.notes(1)?.into_iter().next() else { continue };
            // What the log has of a commit it has whole.
            let commit = format!("_delta_log/{version:020}.json");
            let hash = Hash::of(&table.place.read_all(&commit, LOG_FILE)?);
            let known =
                ledger.commits.get(&format!("{name}/{commit}")).is_some_and(|known| known.hash == hash);
            if !known && self.log.size() > 0 {
                missing.push(self.untold(name, version, &notes, &ledger)?);
            }
            if name == "events" {
                self.positions = match (notes.get("klio.positions"), &self.lake.vault) {
                    (Some(Value::String(sealed)), Some(vault)) => {
                        serde_json::from_str(&vault.open_text(sealed)?).unwrap_or_default()
                    }
                    (Some(plain), _) => serde_json::from_value(plain.clone()).unwrap_or_default(),
                    (None, _) => BTreeMap::new(),
                };
            }
        }
        missing.sort();
        for commit in missing {
            // The crash may have come before it was whole.
            self.table(commit.table).checkpoint_if_due()?;
            self.conclude(commit)?;
        }
        let upto = self.flushed()?;
        self.spool.cut(upto)?;
        for batch in self.pending()? {
            // What is damaged is told by whoever reads it; it must not keep the rest from being read.
            let Ok(batch) = batch else { continue };
            if let Some(position) = batch.origin.position {
                self.positions.insert(batch.origin.source, position);
            }
        }
        Ok(())
    }

    /// A table's last commit, which the log does not know. It is ours only if we signed it.
    fn untold(
        &self,
        table: &'static str,
        version: u64,
        notes: &HashMap<String, Value>,
        ledger: &Ledger,
    ) -> Result<Committed, StoreError> {
        // Ours follow each other: one on top of a stranger's would make that one part of the table for good.
        let before = version.checked_sub(1).map(|n| format!("{table}/_delta_log/{n:020}.json"));
        if before.is_some_and(|b| !ledger.commits.contains_key(&b)) {
            let said = format!("somebody else made commit {}: verify the lake", version - 1);
            return Err(StoreError::Damaged { file: format!("{table}/_delta_log"), said });
        }
        let manifests: Vec<String> = notes
            .get("klio.manifests")
            .and_then(Value::as_array)
            .map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let leaf = notes.get("klio.leaf").and_then(Value::as_u64).unwrap_or(0);
        let time = notes.get("klio.time").and_then(Value::as_i64).unwrap_or(0);
        let claim = claim(table, leaf, time, &manifests, notes.get("klio.positions"));
        let signature = notes.get("klio.signature").and_then(Value::as_str);
        let signature = signature.and_then(|text| BASE64.decode(text).ok()).unwrap_or_default();
        // Who can write here must not get our signature under what he wrote.
        let signed = self.signer.verifier().verify(&claim, &signature).is_some();
        if leaf < self.log.size() || !signed {
            let said = "it was not made by this lake's writer, who would have signed it: verify the lake";
            let file = format!("{table}/_delta_log, commit {version}");
            return Err(StoreError::Damaged { file, said: said.into() });
        }
        Ok(Committed { leaf, table, version, time, manifests })
    }
}

/// What a writer signs of a commit before the log has it; no text of a checkpoint.
fn claim(table: &str, leaf: u64, time: i64, manifests: &[String], positions: Option<&Value>) -> String {
    let positions = match positions {
        Some(Value::Object(all)) => {
            let all: BTreeMap<_, _> = all.iter().collect();
            serde_json::to_string(&all).unwrap_or_default()
        }
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let hash = Hash::of(format!("{}\n{positions}", manifests.join("\n")).as_bytes());
    format!("klio commit 1\n{table}\n{leaf}\n{time}\n{hash}\n")
}

/// How the log names a file.
pub(crate) fn stored(table: &str, path: &str, segment: &Segment) -> StoredFile {
    StoredFile {
        table: table.to_owned(),
        partition: format!("{}/{}", segment.class, segment.day),
        file: format!("{table}/{path}"),
        file_hash: segment.file_hash,
        bytes: segment.file.len() as u64,
        rows: segment.rows,
        root: segment.root,
        key: None,
    }
}
