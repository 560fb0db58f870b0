//! A flush: what was judged becomes files of the three tables.

use std::collections::{BTreeSet, HashSet};

use klio_model::Timestamp;
use klio_seal::{Span, Statement};

use super::{Batch, Flush, Writer, now, stored};
use crate::columns::word;
use crate::error::StoreError;
use crate::rows::{Cells, Sheet, Verdict, Verdicts};
use crate::segment::{Segment, pack};
use crate::settings::DEFAULT_CLASS;
use crate::table::ChangeKind;
use crate::whole::{Whole, leaves};

/// Sources that a manifest names, and characters of each: an entry of the log is no longer than 64 KiB.
const SOURCES: usize = 64;
const NAME: usize = 160;

impl Writer {
    /// Writes what has been judged, commits it, seals it and cuts the spool.
    ///
    /// # Errors
    /// Besides those of the disk: [`StoreError::Query`] for events of batches that are in the lake already.
    pub fn flush(&mut self, flush: &Flush) -> Result<(), StoreError> {
        let before = self.flushed()?;
        if flush.upto <= before && flush.rows.iter().any(|rows| !rows.is_empty()) {
            return Err(StoreError::Query(format!(
                "batch {} is in the lake already, up to {before}",
                flush.upto
            )));
        }
        for (table, all) in [("findings", &flush.findings), ("incidents", &flush.incidents)] {
            let known = self.verdicts_after(table, before)?;
            // An incident may have grown since; then it is news.
            let key = |v: &Verdict| (v.id.clone(), (table == "incidents").then(|| v.json.clone()));
            let new = all.iter().filter(|v| !known.contains(&key(v)));
            let verdicts = Verdicts::of(new, Timestamp(now()), DEFAULT_CLASS);
            self.add(table, &[&verdicts.0], before, flush)?;
        }
        let events: Vec<&Sheet> = flush.rows.iter().map(|rows| &rows.sheet).collect();
        self.add("events", &events, before, flush)?;
        self.spool.cut(flush.upto)?;
        Ok(())
    }

    fn add(
        &mut self,
        table: &'static str,
        sheets: &[&Sheet],
        before: u64,
        flush: &Flush,
    ) -> Result<(), StoreError> {
        let upto = flush.upto;
        let (mut add, mut statements) = (Vec::new(), Vec::new());
        for sheet in sheets {
            let vault = self.lake.vault.as_deref();
            for segment in pack(sheet, self.log.size() + statements.len() as u64, vault)? {
                let leaf = self.log.size() + statements.len() as u64;
                let path = Self::path(&segment, leaf);
                let spool = Span { from: before + 1, to: upto + 1 };
                let mut manifest = manifest(table, &path, &segment, leaf, spool, sheet);
                manifest.redaction.clone_from(&flush.redaction);
                if vault.is_some() {
                    // The log is not encrypted, so that it can be checked without a key: it names no values.
                    (manifest.first_event, manifest.last_event) = (None, None);
                    manifest.sources.clear();
                    manifest.stored.key = Some(format!("files/{}", manifest.stored.partition));
                }
                statements.push(Statement::Segment(manifest));
                add.push(self.write(table, path, segment)?);
            }
        }
        // The events' commit says how far the spool is flushed, so it is made even when there is none.
        if add.is_empty() && table != "events" {
            return Ok(());
        }
        let upto = upto.max(self.table(table).upto()?);
        let kind = ChangeKind::Append { upto };
        self.commit(table, Batch { add, remove: Vec::new(), kind, statements }).map(drop)
    }

    /// Ids, and of incidents the whole, of the verdicts that are kept of batches after `upto`. There are none unless
    /// a flush was cut short between the tables: then the same batches are judged again.
    fn verdicts_after(
        &self,
        table: &'static str,
        upto: u64,
    ) -> Result<HashSet<(String, Option<String>)>, StoreError> {
        let mut known = HashSet::new();
        let table = self.lake.table(table);
        if table.upto()? <= upto {
            return Ok(known);
        }
        let ledger = self.ledger()?;
        for (leaf, live) in &ledger.live {
            let Some(path) = live.stored.file.strip_prefix(&format!("{}/", table.name)) else { continue };
            let late = |o: &u64| ledger.sources.get(o).is_some_and(|s| s.spool.to > upto + 1);
            let late: BTreeSet<u64> = ledger.origins(*leaf).into_iter().filter(late).collect();
            if late.is_empty() {
                continue;
            }
            let whole = Whole::open(table, path, live.stored.bytes)?;
            for batch in whole.batches(None, 1024)? {
                let batch = batch.map_err(StoreError::damaged(path))?;
                leaves(&batch, &mut |row, segment, _, raw| {
                    if late.contains(&segment) {
                        let id = word(&batch, "id", row).unwrap_or_default().to_owned();
                        known.insert((id, (table.name == "incidents").then(|| raw.to_owned())));
                    }
                })?;
            }
        }
        Ok(known)
    }
}

fn manifest(
    table: &str,
    path: &str,
    segment: &Segment,
    leaf: u64,
    spool: Span,
    sheet: &Sheet,
) -> klio_seal::Segment {
    let mut sources = Vec::new();
    if let Some(Cells::Words(words)) = sheet.cells("source") {
        let names = (0..words.distinct()).map(|i| words.word(i));
        sources.extend(names.take(SOURCES).map(|name| name.chars().take(NAME).collect::<String>()));
    }
    let received = segment.received.unwrap_or_default();
    klio_seal::Segment {
        stored: stored(table, path, segment),
        // Larger than all before, whatever a flush is made of.
        flush: leaf,
        first_event: segment.times.map(|t| t.0),
        last_event: segment.times.map(|t| t.1),
        first_received: received.0,
        last_received: received.1,
        spool,
        redaction: String::new(),
        sources,
    }
}
