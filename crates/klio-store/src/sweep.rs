//! Removing files that no table names any more: replaced or expired ones, and what a crash left behind.

use std::collections::HashSet;
use std::time::Duration;

use klio_model::Timestamp;

use crate::error::StoreError;
use crate::ledger::Ledger;
use crate::place::Listed;
use crate::table::Table;
use crate::writer::{TABLES, Writer};

impl Writer {
    /// Removes data files that are in no table and have not been for longer than `grace`, so that readers who began
    /// before are not disturbed. Returns how many, and their bytes.
    pub fn sweep(&mut self, now: Timestamp, grace: Duration) -> Result<(u64, u64), StoreError> {
        let ledger = self.ledger()?;
        self.sweep_known(&ledger, now.micros(), grace)
    }

    pub(crate) fn sweep_known(
        &mut self,
        ledger: &Ledger,
        now: i64,
        grace: Duration,
    ) -> Result<(u64, u64), StoreError> {
        let before = now.saturating_sub(i64::try_from(grace.as_micros()).unwrap_or(i64::MAX));
        let (mut files, mut bytes) = (0, 0);
        for name in TABLES {
            let table = self.table(name);
            for file in orphans(table, ledger)? {
                if ledger.gone_since(&format!("{name}/{}", file.name)).unwrap_or(file.changed) <= before {
                    table.place.remove(&file.name)?;
                    files += 1;
                    bytes += file.size;
                }
            }
        }
        Ok((files, bytes))
    }
}

/// Whether a file is what the object store writes before it gives a file its name: `…#1`. Nobody reads it.
pub(crate) fn is_unfinished(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Data files that neither the table nor the log names. A file that only the log names is evidence and stays.
pub(crate) fn orphans(table: &Table, ledger: &Ledger) -> Result<Vec<Listed>, StoreError> {
    let active: HashSet<String> = table.files()?.into_iter().map(|file| file.path).collect();
    let mut found = table.place.list()?;
    found.retain(|file| {
        (!file.name.starts_with("_delta_log/") || is_unfinished(&file.name))
            && !active.contains(&file.name)
            && ledger.leaf_of(&format!("{}/{}", table.name, file.name)).is_none()
    });
    Ok(found)
}
