//! The lake as readers see it: three tables, and what the spool still holds.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klio_model::{Event, Filter, TimeRange};
use tokio::runtime::Runtime;

use crate::batch::Spooled;
use crate::columns::{EVENTS, VERDICT};
use crate::error::StoreError;
use crate::file::{Footers, OpenFile};
use crate::keys::Cipher;
use crate::place::Place;
use crate::scan::{Kept, Scanned, candidates, records};
use crate::settings::Settings;
use crate::spool::SpoolReader;
use crate::table::{DataFile, Table};
use crate::vault::Vault;

/// Times that a reader starts over when the spool was cut under its hands.
const TRIES: usize = 8;

/// An open lake.
pub struct Lake {
    pub(crate) dir: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) events: Table,
    pub(crate) findings: Table,
    pub(crate) incidents: Table,
    pub(crate) footers: Footers,
    pub(crate) vault: Option<Arc<Vault>>,
}

impl Lake {
    /// Opens a lake for reading, while another process may write to it.
    ///
    /// # Errors
    /// [`StoreError::NoLake`] when there is none.
    pub fn open(dir: &Path, settings: &Settings) -> Result<Self, StoreError> {
        if !dir.join("lake.json").is_file() {
            return Err(StoreError::NoLake(dir.to_owned()));
        }
        Self::open_as(dir, settings, false)
    }

    pub(crate) fn open_as(dir: &Path, settings: &Settings, make: bool) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = Arc::new(runtime.map_err(StoreError::io(dir))?);
        let place = settings.place(dir, &runtime)?;
        let vault = settings.vault(dir)?;
        let keys = vault.as_ref().map(Vault::decrypt).transpose()?;
        let table = |name, schema| Table::open(name, place.below(name), schema, &runtime, make, keys.clone());
        Ok(Self {
            events: table("events", &EVENTS)?,
            findings: table("findings", &VERDICT)?,
            incidents: table("incidents", &VERDICT)?,
            dir: dir.to_owned(),
            settings: settings.clone(),
            runtime: runtime.clone(),
            footers: Footers::of(keys.clone()),
            vault,
        })
    }

    /// Reads what was committed meanwhile.
    pub fn refresh(&mut self) -> Result<(), StoreError> {
        self.events.refresh()?;
        self.findings.refresh()?;
        self.incidents.refresh()
    }

    /// Calls `f` for each event of which the filter is certainly true and whose time lies in the range; `f` breaks
    /// to stop. Events come in the order of their times as far as files do not overlap much, and those not yet
    /// flushed come last.
    pub fn find(
        &mut self,
        filter: &Filter,
        range: TimeRange,
        f: &mut dyn FnMut(Kept) -> ControlFlow<()>,
    ) -> Result<Scanned, StoreError> {
        // Read first: what is flushed while the files are read would be seen twice or never.
        let fresh = self.fresh()?;
        let mut scanned = Scanned::default();
        let mut flow = self.each_file(filter, range, &mut scanned, f)?;
        for batch in &fresh {
            for raw in batch.records() {
                scanned.fresh += 1;
                if flow.is_break() {
                    return Ok(scanned);
                }
                let Ok(event) = Event::parse(raw) else { continue };
                let time = event.time();
                let inside = range.is_all() || time.is_some_and(|t| range.contains(t));
                if inside && filter.matches(&event) {
                    scanned.matched += 1;
                    flow = f(Kept {
                        raw: raw.to_owned(),
                        time,
                        cluster: batch.origin.cluster.clone(),
                        source: batch.origin.source.clone(),
                        received: batch.received(),
                    });
                }
            }
        }
        Ok(scanned)
    }

    fn each_file(
        &self,
        filter: &Filter,
        range: TimeRange,
        scanned: &mut Scanned,
        f: &mut dyn FnMut(Kept) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut files = self.events.files()?;
        files.sort_by_key(DataFile::first);
        // Found, and not told before all files that may hold earlier ones have been read.
        let mut waiting: Vec<Kept> = Vec::new();
        let mut files = files.into_iter().peekable();
        while let Some(file) = files.next() {
            scanned.files += 1;
            if !may_overlap(&file, range) {
                scanned.skipped += 1;
                continue;
            }
            let open = OpenFile::open(&self.events.place, &file, &self.footers)?;
            for group in 0..open.groups() {
                scanned.rows += open.rows(group) as u64;
                let Some(found) = candidates(&open, group, filter, range)? else { continue };
                let _ = records(&open, &found, filter, scanned, &mut |kept| {
                    waiting.push(kept);
                    ControlFlow::Continue(())
                })?;
            }
            let next = files.peek().map(DataFile::first);
            waiting.sort_by(|a, b| (a.time, a.received).cmp(&(b.time, b.received)));
            let due = next.map_or(waiting.len(), |next| {
                waiting.partition_point(|k| k.time.map_or(i64::MIN, |t| t.micros()) < next)
            });
            for kept in waiting.drain(..due) {
                if f(kept).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The batches of the spool that are in no file of the table, which is brought up to date with them.
    pub(crate) fn fresh(&mut self) -> Result<Vec<Spooled>, StoreError> {
        let mut last = None;
        for _ in 0..TRIES {
            self.events.refresh()?;
            let upto = self.events.upto()?;
            let reader = SpoolReader::after(&self.dir.join("spool"), self.spool_key()?, upto);
            let read: Result<Vec<_>, _> = reader.map(|batch| batch.map_err(StoreError::from)).collect();
            let read = read.and_then(|all| all.into_iter().map(Spooled::read).collect::<Result<Vec<_>, _>>());
            match read {
                // Batches are numbered without gaps: a gap was flushed and cut between the two reads.
                Ok(all) if all.first().is_none_or(|b| b.seq == upto + 1) => {
                    if self.unchanged(upto)? {
                        return Ok(all);
                    }
                }
                Ok(_) => {}
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| StoreError::Query("the spool is cut faster than it can be read; try again".into())))
    }

    pub(crate) fn spool_key(&self) -> Result<Option<Arc<Cipher>>, StoreError> {
        self.vault.as_ref().map(|vault| vault.spool()).transpose()
    }

    fn unchanged(&mut self, upto: u64) -> Result<bool, StoreError> {
        self.events.refresh()?;
        Ok(self.events.upto()? == upto)
    }

    /// The tables' directory or bucket.
    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        [&self.events, &self.findings, &self.incidents].into_iter().find(|t| t.name == name)
    }
}

/// Whether a file may hold events of a range.
pub(crate) fn may_overlap(file: &DataFile, range: TimeRange) -> bool {
    // Events without a time lie in no range; a file that tells no times holds those of its day.
    let Some((first, last)) = file.times.or_else(|| file.span_of_day()) else { return true };
    range.start.is_none_or(|s| last >= s.micros()) && range.end.is_none_or(|e| first < e.micros())
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lake").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Where a lake's files lie.
pub(crate) fn local(dir: &Path) -> Place {
    Place::Local(dir.to_owned())
}
