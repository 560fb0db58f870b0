//! The records that came last: whoever repeats a delivery repeats one of these.

use crate::columns::word;
use crate::error::StoreError;
use crate::whole::{Whole, leaves};
use crate::writer::Writer;

impl Writer {
    /// Calls `f` with cluster and record of the events in the lake that lie in files which took an event within the last `micros`
    /// microseconds before the newest was received; the newest files last, and no more than `most` events before them.
    pub fn latest(
        &mut self,
        micros: i64,
        most: u64,
        f: &mut dyn FnMut(&str, &str),
    ) -> Result<(), StoreError> {
        let ledger = self.ledger()?;
        let Some(newest) = ledger.sources.values().map(|source| source.received).max() else { return Ok(()) };
        let since = newest.saturating_sub(micros);
        let (mut files, mut rows) = (Vec::new(), 0);
        for (leaf, live) in ledger.live.iter().rev() {
            let Some(path) = live.stored.file.strip_prefix("events/") else { continue };
            let is_late = |leaf: &u64| ledger.sources.get(leaf).is_some_and(|s| s.received >= since);
            let late: Vec<u64> = ledger.origins(*leaf).into_iter().filter(is_late).collect();
            if late.is_empty() || ledger.shredded.contains(&live.stored.partition) {
                continue;
            }
            rows += live.stored.rows;
            files.push((path, live.stored.bytes, late));
            if rows >= most {
                break;
            }
        }
        for (path, bytes, late) in files.into_iter().rev() {
            let whole = Whole::open(&self.lake.events, path, bytes)?;
            for batch in whole.batches(None, 1024)? {
                let batch = batch.map_err(StoreError::damaged(path))?;
                leaves(&batch, &mut |row, segment, _, raw| {
                    if late.contains(&segment) {
                        f(word(&batch, "cluster", row).unwrap_or_default(), raw);
                    }
                })?;
            }
        }
        Ok(())
    }
}
