//! The lake as readers see it: three tables, and what the spool still holds.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klio_model::{Filter, TimeRange, Timestamp};
use klio_seal::LogReader;
use tokio::runtime::Runtime;

use crate::columns::schema_of;
use crate::error::StoreError;
use crate::file::Footers;
use crate::group::Group;
use crate::scan::{Kept, Question, Scanned};
use crate::settings::Settings;
use crate::sight::Sight;
use crate::table::Table;
use crate::vault::Vault;

/// Room for queries that nest as deeply as `sql` lets them; memory only where it is used.
const STACK: usize = 64 << 20;
/// Times that a reader starts over when the spool was cut or files were removed under its hands.
pub(crate) const TRIES: usize = 8;

/// Asks the object store that the settings name, if they name one, whether it answers and lets us in.
///
/// # Errors
/// When it does not.
pub fn reach(dir: &Path, settings: &Settings) -> Result<(), StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    settings.place(dir, &Arc::new(runtime.map_err(StoreError::io(dir))?))?.reach()
}

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
    /// What may be seen of it; everything unless it says otherwise.
    pub(crate) sight: Option<Arc<Sight>>,
    /// Whether nobody waits for an answer any more.
    stop: Option<Stop>,
}

type Stop = Arc<dyn Fn() -> bool + Send + Sync>;

impl Lake {
    /// Opens a lake for reading, while another process may write to it.
    ///
    /// # Errors
    /// [`StoreError::NoLake`] when there is none.
    pub fn open(dir: &Path, settings: &Settings) -> Result<Self, StoreError> {
        if !dir.join("lake.json").is_file() {
            return Err(StoreError::NoLake(dir.to_owned()));
        }
        let opened = Self::open_as(dir, settings, false);
        // The tables are made before the log's first entry.
        let log = dir.join("seal");
        let is_new =
            || !log.join("checkpoint").exists() || LogReader::open(&log).is_ok_and(|log| log.size() == 0);
        if opened.is_err() && is_new() {
            return Err(StoreError::Unfinished(dir.to_owned()));
        }
        opened
    }

    pub(crate) fn open_as(dir: &Path, settings: &Settings, make: bool) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_stack_size(STACK)
            .enable_all()
            .build();
        let runtime = Arc::new(runtime.map_err(StoreError::io(dir))?);
        let place = settings.place(dir, &runtime)?;
        let vault = settings.vault(dir)?;
        let keys = vault.as_ref().map(Vault::decrypt).transpose()?;
        let table =
            |name| Table::open(name, place.below(name), schema_of(name), &runtime, make, keys.clone());
        Ok(Self {
            events: table("events")?,
            findings: table("findings")?,
            incidents: table("incidents")?,
            dir: dir.to_owned(),
            settings: settings.clone(),
            runtime: runtime.clone(),
            footers: Footers::of(keys.clone()),
            vault,
            sight: None,
            stop: None,
        })
    }

    /// The lake as somebody sees it who may see this: whatever is asked, the rest is not there.
    pub fn show_to(&mut self, sight: Option<Arc<Sight>>) {
        self.sight = sight;
    }

    /// Questions end with [`StoreError::Stopped`] when this says so; it is asked before each file.
    pub fn stop_when(&mut self, stop: Option<Arc<dyn Fn() -> bool + Send + Sync>>) {
        self.stop = stop;
    }

    /// Refuses to go on if nobody waits.
    pub(crate) fn go_on(&self) -> Result<(), StoreError> {
        let over = self.stop.as_ref().is_some_and(|stop| stop());
        if over { Err(StoreError::Stopped("its time was over".into())) } else { Ok(()) }
    }

    /// Reads what was committed meanwhile.
    pub fn refresh(&mut self) -> Result<(), StoreError> {
        self.events.refresh()?;
        self.findings.refresh()?;
        self.incidents.refresh()
    }

    /// Calls `f` for each event of which the filter is certainly true and whose time lies in the range, in the order
    /// of time; `f` breaks to stop. Events without a time come when their file is read.
    ///
    /// What was found waits until no file that is left can hold an earlier event.
    pub fn find(
        &mut self,
        filter: &Filter,
        range: TimeRange,
        f: &mut dyn FnMut(Kept) -> ControlFlow<()>,
    ) -> Result<Scanned, StoreError> {
        let mut view = self.view(range)?;
        let question = Question::new(filter, range, self);
        let mut waiting: Vec<Kept> = Vec::new();
        let mut scanned = view.scanned;
        view.each_fresh(&question, &mut scanned, &mut |batch, event| {
            waiting.push(Kept::fresh(batch, event));
            ControlFlow::Continue(())
        })?;
        loop {
            let horizon = view.horizon();
            waiting.sort_by_key(|kept| (kept.time, kept.received));
            let due = horizon.map_or(waiting.len(), |horizon| {
                waiting.partition_point(|kept| kept.time.map_or(i64::MIN, Timestamp::micros) < horizon)
            });
            for kept in waiting.drain(..due) {
                if f(kept).is_break() {
                    return Ok(scanned);
                }
            }
            let Some(file) = view.next(self)? else { return Ok(scanned) };
            for group in 0..file.groups() {
                scanned.rows += file.rows(group) as u64;
                let group = Group::new(&file, group);
                let Some(found) = question.candidates(&group)? else { continue };
                let _ = question.records(&group, &found, &mut scanned, &mut |row| {
                    waiting.push(row.kept());
                    Ok(ControlFlow::Continue(()))
                })?;
            }
        }
    }

    /// The same in the order of the files, without holding what was found.
    pub(crate) fn each(
        &mut self,
        filter: &Filter,
        range: TimeRange,
        f: &mut dyn FnMut(Kept) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<Scanned, StoreError> {
        let mut view = self.view(range)?;
        let question = Question::new(filter, range, self);
        let mut scanned = view.scanned;
        while let Some(file) = view.next(self)? {
            for group in 0..file.groups() {
                scanned.rows += file.rows(group) as u64;
                let group = Group::new(&file, group);
                let Some(found) = question.candidates(&group)? else { continue };
                let flow = question.records(&group, &found, &mut scanned, &mut |row| f(row.kept()))?;
                if flow.is_break() {
                    return Ok(scanned);
                }
            }
        }
        let mut failed = Ok(());
        view.each_fresh(&question, &mut scanned, &mut |batch, event| match f(Kept::fresh(batch, event)) {
            Ok(flow) => flow,
            Err(e) => {
                failed = Err(e);
                ControlFlow::Break(())
            }
        })?;
        failed.map(|()| scanned)
    }

    pub(crate) fn table(&self, name: &str) -> &Table {
        match name {
            "findings" => &self.findings,
            "incidents" => &self.incidents,
            _ => &self.events,
        }
    }
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lake").field("dir", &self.dir).finish_non_exhaustive()
    }
}
