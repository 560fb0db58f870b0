//! The one writer of a lake: spool, files, tables and seal, in the order in which nothing is lost.
//!
//! A flush writes files, commits each table, adds the manifests of the files to the signed log, and only then cuts
//! the spool. A crash at any point leaves either the batches in the spool or their rows in the table, never
//! both: the table's transaction says how far it is. Manifests are kept with the commit, so that the next writer
//! can add those that the log lacks.

mod commit;
mod flush;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use klio_seal::{Hash, Log, Manifest, Opened, Remark, Signer, Statement};

use crate::batch::{Origin, Records, Spooled};
use crate::columns::schema_of;
use crate::error::StoreError;
use crate::identity::{Identity, identity, open_log, own_place, signer};
use crate::lake::Lake;
use crate::ledger::Ledger;
use crate::rows::{Rows, Verdict};
use crate::settings::Settings;
use crate::spool::{Options, Spool};
use crate::table::{ChangeKind, Table};

pub(crate) use commit::{Batch, stored};

/// The names of the tables, in the order in which a flush commits them: the events' commit cuts the spool.
pub(crate) const TABLES: [&str; 3] = ["findings", "incidents", "events"];
/// The topic of a remark that attests how many batches were acknowledged.
pub(crate) const SPOOL: &str = "spool";
/// The topic of a remark that says which acknowledged batches were gone.
pub(crate) const LOST: &str = "lost";
/// The topic of a remark that attests a file of a table's log, or `lake.json`.
pub(crate) const TABLE: &str = "table";

/// Least bytes of a spool: some batches of each of two threads.
const LEAST_SPOOL: u64 = 8 << 20;

/// What a lake is.
pub(crate) const LAKE: &str = "lake.json";

/// A lake open for writing. One process at a time.
pub struct Writer {
    pub(crate) lake: Lake,
    pub(crate) log: Log,
    /// Signs what is committed and not in the log yet.
    signer: Signer,
    pub(crate) spool: Arc<Spool>,
    positions: BTreeMap<String, String>,
    /// The last batch that the log attests, and when it was last seen to, in microseconds since 1970.
    attested: (u64, i64),
    /// A commit may be in a table and not in the log: until that is found out nothing is written.
    unsettled: bool,
}

/// What a flush takes.
#[derive(Default)]
pub struct Flush {
    /// Events, of the batches after [`Writer::flushed`].
    pub rows: Vec<Rows>,
    /// Findings.
    pub findings: Vec<Verdict>,
    /// Incidents.
    pub incidents: Vec<Verdict>,
    /// The last batch that is in them.
    pub upto: u64,
    /// The id of the policy by which secrets were removed from the events.
    pub redaction: String,
}

impl Writer {
    /// Opens the lake for writing, and makes it if there is none.
    pub fn open(dir: &Path, settings: &Settings) -> Result<Self, StoreError> {
        own_place(dir)?;
        fs::create_dir_all(dir).map_err(StoreError::io(dir))?;
        if settings.spool_bytes < LEAST_SPOOL {
            let said =
                format!("the spool's limit of {} bytes must be {LEAST_SPOOL} or more", settings.spool_bytes);
            return Err(StoreError::Setting { place: "lake.spool_bytes".into(), said });
        }
        // Whoever has the spool is the writer.
        let key = settings.vault(dir)?.map(|vault| vault.spool()).transpose()?;
        let options = Options {
            max_bytes: settings.spool_bytes,
            file_bytes: (settings.spool_bytes / 4).min(64 << 20),
            key,
        };
        let (spool, recovered) = Spool::open(&dir.join("spool"), options)?;
        if let Some(damage) = recovered.damage.into_iter().next() {
            return Err(damage.into());
        }
        let identity = identity(dir)?;
        let log = open_log(dir, &identity)?;
        // The tables are made before the log's first entry. Later they must be there: empty ones beside them would
        // be filled, sealed, and contradict what was sealed before.
        let lake = Lake::open_as(dir, settings, log.size() == 0)?;
        if log.size() == 0 && TABLES.iter().any(|name| lake.table(name).version() > 0) {
            let said = "the signed log is gone, and the tables are there: put it back from a backup".into();
            return Err(StoreError::Damaged { file: dir.join("seal").display().to_string(), said });
        }
        let signer = signer(dir)?;
        let mut writer = Self {
            lake,
            log,
            signer,
            spool: Arc::new(spool),
            positions: BTreeMap::new(),
            attested: (0, i64::MIN),
            unsettled: false,
        };
        writer.recover()?;
        writer.opened(identity)?;
        writer.grow()?;
        writer.miss()?;
        writer.check_keys()?;
        Ok(writer)
    }

    fn opened(&mut self, identity: Identity) -> Result<(), StoreError> {
        let opened = Statement::Opened(Opened {
            lake: identity.origin.clone(),
            origin: identity.origin,
            tool: concat!("klio ", env!("CARGO_PKG_VERSION")).into(),
        });
        let mut statements = vec![opened];
        if self.log.size() == 0 {
            let path = self.lake.dir.join(LAKE);
            let hash = Some(Hash::of(&fs::read(&path).map_err(StoreError::io(&path))?));
            statements.push(Statement::Note(Remark { topic: TABLE.into(), text: LAKE.into(), hash }));
            // The commits that made the tables.
            for name in TABLES {
                statements.extend(self.attest_commit(name, 0)?);
            }
        }
        let time = now();
        let entries = statements.into_iter().map(|statement| Manifest { time, statement }.encode());
        let entries = entries.collect::<Result<Vec<_>, _>>().map_err(seal)?;
        self.log.append(&entries).map_err(seal).map(drop)
    }

    /// Gives the tables the columns that this version writes and an older one did not know.
    fn grow(&mut self) -> Result<(), StoreError> {
        for name in TABLES {
            let columns = schema_of(name);
            if !self.table(name).lacks(columns)?.is_empty() {
                let kind = ChangeKind::Grow { columns: columns.clone() };
                let batch = Batch { add: Vec::new(), remove: Vec::new(), kind, statements: Vec::new() };
                self.commit(name, batch)?;
            }
        }
        Ok(())
    }

    /// Names batches that were acknowledged and are neither in the lake nor in the spool: their numbers will be given
    /// again, and then nobody could tell.
    fn miss(&mut self) -> Result<(), StoreError> {
        let (flushed, last) = (self.flushed()?, self.spool.last());
        let there = last.max(flushed);
        if let Some((acknowledged, _)) = self.ledger()?.acknowledged.filter(|(all, _)| *all > there) {
            let text = format!("batches {} to {acknowledged} were acknowledged and are gone", there + 1);
            self.state(Statement::Note(Remark { topic: LOST.into(), text, hash: None }))?;
            self.state(Statement::Note(Remark { topic: SPOOL.into(), text: there.to_string(), hash: None }))?;
        }
        if last < flushed {
            // An older spool, or none: numbers that the lake has must not be given again.
            self.spool.pass_over(flushed)?;
        }
        Ok(())
    }

    /// Finds out what is on disk after the disk refused a write, and finishes what was half done. What was in memory is
    /// to be read again from the spool.
    pub fn reopen(&mut self) -> Result<(), StoreError> {
        self.log.reopen().map_err(seal)?;
        self.lake.refresh()?;
        self.recover()?;
        self.unsettled = false;
        Ok(())
    }

    /// Refuses to write before [`Writer::reopen`], if a commit may be half done: the next one would take its place in the log.
    pub(crate) fn settled(&self) -> Result<(), StoreError> {
        if !self.unsettled {
            return Ok(());
        }
        Err(StoreError::Seal("a commit of the lake was not finished".into()))
    }

    /// Makes a batch durable and returns its number: now its sender may be told that it is kept.
    pub fn append(&mut self, origin: &Origin, records: &Records) -> Result<u64, StoreError> {
        let header = serde_json::to_vec(origin).map_err(|e| StoreError::Query(e.to_string()))?;
        let seq = self.spool.append(&header, records.bytes())?;
        if let Some(position) = &origin.position {
            self.positions.insert(origin.source.clone(), position.clone());
        }
        Ok(seq)
    }

    /// Says how far a source has been read without anything new in it; the next flush keeps it. False if that was
    /// known.
    pub fn set_position(&mut self, source: &str, position: String) -> bool {
        let old = self.positions.insert(source.to_owned(), position.clone());
        old.is_none_or(|old| old != position)
    }

    /// How far each source has been read.
    pub fn positions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.positions.iter().map(|(source, position)| (source.as_str(), position.as_str()))
    }

    /// The last batch that is in the lake.
    pub fn flushed(&self) -> Result<u64, StoreError> {
        self.lake.events.upto()
    }

    /// Batches that were acknowledged and are not in the lake yet.
    pub fn pending(&self) -> Result<impl Iterator<Item = Result<Spooled, StoreError>> + use<>, StoreError> {
        let from = self.flushed()? + 1;
        Ok(self.spool.read_from(from).map(|batch| Spooled::read(batch?)))
    }

    /// The lake, for questions.
    pub fn lake(&mut self) -> &mut Lake {
        &mut self.lake
    }

    /// To be called at least once a minute. States once a minute how many batches were acknowledged, if some of them
    /// are not in the lake yet, so that a spool that is cut short later is found out; and that nothing happened, if the
    /// log took nothing for a minute.
    pub fn tick(&mut self) -> Result<(), StoreError> {
        let now = now();
        if now.abs_diff(self.attested.1) >= klio_seal::TICK {
            self.attest_spool()?;
        }
        self.log.tick(now).map_err(seal).map(drop)
    }

    /// States in the log which batch was acknowledged last, unless it is in the lake or was stated before.
    /// [`Writer::tick`] does it each minute; a writer that leaves batches in the spool should do it once more.
    pub fn attest_spool(&mut self) -> Result<(), StoreError> {
        let last = self.spool.last();
        self.attested.1 = now();
        if last > self.attested.0.max(self.flushed()?) {
            self.state(Statement::Note(Remark { topic: SPOOL.into(), text: last.to_string(), hash: None }))?;
            self.attested.0 = last;
        }
        Ok(())
    }

    /// States something in the log.
    pub(crate) fn state(&mut self, statement: Statement) -> Result<u64, StoreError> {
        self.log.state(&Manifest { time: now(), statement }).map_err(seal)
    }

    /// The log's statements, replayed.
    pub(crate) fn ledger(&self) -> Result<Ledger, StoreError> {
        Ledger::read(self.log.reader())
    }

    pub(crate) fn table(&mut self, name: &str) -> &mut Table {
        match name {
            "findings" => &mut self.lake.findings,
            "incidents" => &mut self.lake.incidents,
            _ => &mut self.lake.events,
        }
    }
}

pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

pub(crate) fn seal<E: std::fmt::Display>(e: E) -> StoreError {
    StoreError::Seal(e.to_string())
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("lake", &self.lake).finish_non_exhaustive()
    }
}
