//! The tables as they are against the log: which files there are, and what the tables' own logs say of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use klio_seal::{Hash, LogReader};
use tokio::runtime::Runtime;

use super::{Kind, Report};
use crate::columns::schema_of;
use crate::error::StoreError;
use crate::ledger::Ledger;
use crate::place::{Listed, Place};
use crate::settings::Settings;
use crate::sweep::is_unfinished;
use crate::table::{DataFile, LOG_FILE, Table};
use crate::writer::TABLES;

/// Files of one flush, at most: leaves that a crash may have left files of.
const NEXT: u64 = 4096;

/// Times that the tables are read anew while a writer commits.
pub(super) const TRIES: usize = 4;

/// The tables at one moment.
pub(super) struct Found {
    pub place: Place,
    tables: Vec<Seen>,
}

struct Seen {
    name: &'static str,
    place: Place,
    /// Why the table could not be opened, or what it says.
    state: Result<State, String>,
    listed: Result<Vec<Listed>, String>,
}

/// What a table says of itself.
struct State {
    version: u64,
    files: Vec<DataFile>,
    /// How far the spool is in it.
    upto: u64,
}

impl Found {
    pub(super) fn read(dir: &Path, settings: &Settings) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = Arc::new(runtime.map_err(StoreError::io(dir))?);
        let place = settings.place(dir, &runtime)?;
        let mut tables = Vec::new();
        for name in TABLES {
            let place = place.below(name);
            let state = open(name, &place, &runtime).map_err(|error| error.to_string());
            let listed = place.list().map_err(|error| error.to_string());
            tables.push(Seen { name, place, state, listed });
        }
        Ok(Self { place, tables })
    }

    /// Compares the tables with the log, and again for as long as they disagree: while a writer commits, each reading
    /// may catch it between the two. What is wrong stays wrong. Returns the tables and the log that were read last.
    pub(super) fn settled(
        self,
        dir: &Path,
        settings: &Settings,
        ledger: Ledger,
        report: &mut Report,
    ) -> Result<(Self, Ledger), StoreError> {
        let (mut found, mut ledger) = (self, ledger);
        let mut trial = Report::default();
        found.compare(&ledger, &mut trial);
        for _ in 0..TRIES {
            if trial.ok() {
                break;
            }
            found = Self::read(dir, settings)?;
            let log = LogReader::open(&dir.join("seal")).map_err(|e| StoreError::Seal(e.to_string()));
            if let Ok(newer) = log.and_then(|log| Ledger::read(&log)) {
                ledger = newer;
            }
            let mut again = Report::default();
            found.compare(&ledger, &mut again);
            again.problems.retain(|problem| trial.problems.contains(problem));
            trial = again;
        }
        report.problems.append(&mut trial.problems);
        report.facts.append(&mut trial.facts);
        Ok((found, ledger))
    }

    /// How far the spool is in the table of events, if that can be read.
    pub(super) fn upto(&self) -> Option<u64> {
        let events = self.tables.iter().find(|table| table.name == "events")?;
        events.state.as_ref().ok().map(|state| state.upto)
    }

    /// Whether all tables could be opened.
    pub(super) fn opened(&self) -> bool {
        self.tables.iter().all(|table| table.state.is_ok())
    }

    fn compare(&self, ledger: &Ledger, report: &mut Report) {
        for table in &self.tables {
            match &table.state {
                Ok(state) => table.files(&state.files, ledger, report),
                Err(said) => {
                    report.problem(Kind::Table, table.name, format!("it cannot be opened: {said}"), None)
                }
            }
            match &table.listed {
                Ok(listed) => {
                    table.commits(listed, ledger, report);
                    table.versions(listed, ledger, report);
                    table.leftovers(listed, ledger, report);
                }
                Err(said) => report.problem(Kind::Table, table.name, said.clone(), None),
            }
        }
    }
}

fn open(name: &'static str, place: &Place, runtime: &Arc<Runtime>) -> Result<State, StoreError> {
    // The library would read these files whole, and wait for a pipe.
    place.below("_delta_log").sound(LOG_FILE)?;
    let table = Table::open(name, place.clone(), schema_of(name), runtime, false, None)?;
    Ok(State { version: table.version(), files: table.files()?, upto: table.upto()? })
}

impl Seen {
    /// The table's files are those that the log states.
    fn files(&self, files: &[DataFile], ledger: &Ledger, report: &mut Report) {
        let mut missing: BTreeMap<&str, (u64, i64)> = ledger
            .live
            .iter()
            .filter(|(_, live)| live.stored.table == self.name)
            .map(|(leaf, live)| (live.stored.file.as_str(), (*leaf, live.time)))
            .collect();
        for file in files {
            let path = format!("{}/{}", self.name, file.path);
            if missing.remove(path.as_str()).is_none() {
                let gone = ledger.gone.get(&path);
                let said = match gone {
                    Some(gone) if gone.expired => {
                        "the table names a file whose time was over and that was removed"
                    }
                    Some(_) => {
                        "the table names a file that was replaced by a merged one: its rows count twice"
                    }
                    None => "the table names a file that the log does not know",
                };
                report.problem(Kind::Smuggled, &path, said.into(), gone.map(|gone| gone.time));
                continue;
            }
            self.says(file, &path, ledger, report);
        }
        for (path, (leaf, time)) in missing {
            let said = format!("the table does not name the file of log entry {leaf} any more");
            report.problem(Kind::Missing, path, said, Some(time));
        }
    }

    /// What the table says of a file is what the log says: queries skip files by it.
    fn says(&self, file: &DataFile, path: &str, ledger: &Ledger, report: &mut Report) {
        let Some(leaf) = ledger.leaf_of(path) else { return };
        let Some(live) = ledger.live.get(&leaf) else { return };
        let partition = format!("{}/{}", file.class, file.day);
        let milliseconds = |(a, b): (i64, i64)| (a.div_euclid(1000) * 1000, b.div_euclid(1000) * 1000 + 999);
        let times = ledger.span(leaf).map(milliseconds);
        for (said, differs) in [
            ("size", file.size != live.stored.bytes),
            ("number of rows", file.rows != live.stored.rows),
            ("partition", partition != live.stored.partition),
            ("times", self.name == "events" && file.times.is_some() && file.times != times),
        ] {
            if differs {
                let said = format!("the table gives it another {said} than log entry {leaf}");
                report.problem(Kind::Table, path, said, Some(live.time));
            }
        }
    }

    /// The table's own log is what was sealed.
    fn commits(&self, listed: &[Listed], ledger: &Ledger, report: &mut Report) {
        let listed: BTreeSet<String> = listed
            .iter()
            .filter(|file| file.name.starts_with("_delta_log/") && !is_unfinished(&file.name))
            .map(|file| format!("{}/{}", self.name, file.name))
            .collect();
        let sealed = |path: &&String| path.starts_with(&format!("{}/", self.name));
        for path in ledger.commits.keys().filter(sealed) {
            if !listed.contains(path) {
                let since = ledger.commits.get(path).map(|sealed| sealed.time);
                report.problem(Kind::Table, path, "it is missing".into(), since);
            }
        }
        for path in &listed {
            let Some(sealed) = ledger.commits.get(path) else {
                report.problem(Kind::Table, path, "the log does not know it".into(), None);
                continue;
            };
            let name = path.split_once('/').map_or("", |(_, name)| name);
            match self.place.read_all(name, LOG_FILE) {
                Ok(bytes) if Hash::of(&bytes) == sealed.hash => {}
                Ok(_) => report.problem(Kind::Table, path, "it was altered".into(), Some(sealed.time)),
                Err(error) => report.problem(Kind::Table, path, error.to_string(), Some(sealed.time)),
            }
        }
    }

    /// Each version of the table was sealed. One that was slipped in and taken away again, once a checkpoint of the
    /// table's log stood in for it, is missing from the seal.
    fn versions(&self, listed: &[Listed], ledger: &Ledger, report: &mut Report) {
        let version = self.state.as_ref().map_or(0, |state| state.version);
        for (from, to) in ledger.unsealed(self.name, version) {
            let name = format!("_delta_log/{from:020}.json");
            // Named already as a file that the log does not know.
            if from == to && listed.iter().any(|file| file.name == name) {
                continue;
            }
            let said = match to - from {
                0 => format!("commit {from} of the table was never sealed: somebody else made it"),
                _ => {
                    format!("commits {from} to {to} of the table were never sealed: somebody else made them")
                }
            };
            report.problem(Kind::Table, &format!("{}/{name}", self.name), said, None);
        }
    }

    /// Files in the directory that nobody names.
    fn leftovers(&self, listed: &[Listed], ledger: &Ledger, report: &mut Report) {
        let active: BTreeSet<&str> =
            self.state.iter().flat_map(|state| &state.files).map(|file| file.path.as_str()).collect();
        for file in listed {
            let path = format!("{}/{}", self.name, file.name);
            let known = active.contains(file.name.as_str()) || ledger.leaf_of(&path).is_some();
            if known || file.name.starts_with("_delta_log/") {
                continue;
            }
            if let Some(gone) = ledger.gone.get(&path) {
                if gone.expired {
                    report
                        .facts
                        .push(format!("{path} was removed by a rule and is there: it will be swept away"));
                }
                continue;
            }
            if is_unfinished(&file.name) {
                report.facts.push(format!("{path} was not finished: it will be swept away"));
                continue;
            }
            let name = file.name.rsplit('/').next().unwrap_or_default();
            let number = name.strip_suffix(".parquet").filter(|n| n.len() == 16);
            // A crash leaves files of leaves that come next.
            if number.and_then(|n| n.parse::<u64>().ok()).is_some_and(|n| n < ledger.entries + NEXT) {
                report
                    .facts
                    .push(format!("{path} is in no table, as a crash leaves files: it will be swept away"));
            } else {
                let said = "the file is in no table and nothing of ours is called so";
                report.problem(Kind::Smuggled, &path, said.into(), None);
            }
        }
    }
}
