//! The one writer of a lake: spool, files, tables and seal, in the order in which nothing is lost.
//!
//! A flush writes files, commits each table, adds the manifests of the files to the signed log, and only then cuts
//! the spool. A crash at any point leaves either the batches in the spool or their rows in the table, never
//! both: the table's transaction says how far it is. Manifests are kept with the commit, so that the next writer
//! can add those that the log lacks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use klio_model::Timestamp;
use klio_seal::{Log, Manifest, Opened, Scheme, Signer, Span, Statement, StoredFile};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::{Origin, Records, Spooled};
use crate::error::StoreError;
use crate::lake::Lake;
use crate::place::sync;
use crate::rows::{Cells, Rows, Sheet, Verdict, Verdicts};
use crate::segment::{Segment, pack};
use crate::settings::{DEFAULT_CLASS, Settings};
use crate::spool::{Options, Spool};
use crate::table::{Change, ChangeKind, DataFile, Table};

/// The layout that this version writes (docs/lake.md).
pub const LAYOUT: u32 = 1;

/// `lake.json`: what a lake is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub layout: u32,
    /// The lake's id and the name of its log.
    pub origin: String,
    /// When it was made, RFC 3339.
    pub created: String,
}

/// A lake open for writing. One process at a time.
pub struct Writer {
    pub(crate) lake: Lake,
    pub(crate) log: Log,
    spool: Spool,
    positions: BTreeMap<String, String>,
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
}

impl Writer {
    /// Opens the lake for writing, and makes it if there is none.
    pub fn open(dir: &Path, settings: &Settings) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(StoreError::io(dir))?;
        // Whoever has the spool is the writer.
        let options = Options {
            max_bytes: settings.spool_bytes,
            file_bytes: (settings.spool_bytes / 4).min(64 << 20),
            key: settings.spool_key()?,
        };
        let (spool, recovered) = Spool::open(&dir.join("spool"), options)?;
        if let Some(damage) = recovered.damage.into_iter().next() {
            return Err(damage.into());
        }
        let identity = identity(dir)?;
        let lake = Lake::open_as(dir, settings, true)?;
        let log = open_log(dir, &identity)?;
        let mut writer = Self { lake, log, spool, positions: BTreeMap::new() };
        writer.recover()?;
        writer.state(Statement::Opened(Opened {
            lake: identity.origin.clone(),
            origin: identity.origin,
            tool: concat!("klio ", env!("CARGO_PKG_VERSION")).into(),
        }))?;
        Ok(writer)
    }

    /// Adds the manifests that a crash kept from the log, and reads how far the sources are.
    fn recover(&mut self) -> Result<(), StoreError> {
        let mut missing: Vec<(u64, Vec<Vec<u8>>)> = Vec::new();
        for table in [&self.lake.findings, &self.lake.incidents, &self.lake.events] {
            let Some(notes) = table.notes(1)?.into_iter().next() else { continue };
            let manifests: Vec<Vec<u8>> = notes
                .get("klio.manifests")
                .and_then(Value::as_array)
                .map(|all| all.iter().filter_map(Value::as_str).map(|m| m.as_bytes().to_vec()).collect())
                .unwrap_or_default();
            if let Some(leaf) = notes.get("klio.leaf").and_then(Value::as_u64) {
                missing.push((leaf, manifests));
            }
            if table.name == "events" {
                let positions = notes.get("klio.positions").cloned().unwrap_or_default();
                self.positions = serde_json::from_value(positions).unwrap_or_default();
            }
        }
        missing.sort();
        for (leaf, manifests) in missing {
            if leaf + manifests.len() as u64 > self.log.size() {
                self.log.append_at(leaf, &manifests).map_err(seal)?;
            }
        }
        let upto = self.flushed()?;
        self.spool.cut(upto)?;
        for batch in self.pending()? {
            let batch = batch?;
            if let Some(position) = batch.origin.position {
                self.positions.insert(batch.origin.source, position);
            }
        }
        Ok(())
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

    /// How far a source has been read.
    pub fn position(&self, source: &str) -> Option<&str> {
        self.positions.get(source).map(String::as_str)
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

    /// Writes what has been judged, commits it, seals it and cuts the spool.
    pub fn flush(&mut self, flush: &Flush) -> Result<(), StoreError> {
        let now = Timestamp(jiff::Timestamp::now().as_microsecond());
        let verdicts = |upto: u64, all: &[Verdict]| Verdicts::after(upto, all, now, DEFAULT_CLASS);
        let findings = verdicts(self.lake.findings.upto()?, &flush.findings);
        self.add("findings", &[&findings.0], flush.upto)?;
        let incidents = verdicts(self.lake.incidents.upto()?, &flush.incidents);
        self.add("incidents", &[&incidents.0], flush.upto)?;
        let events: Vec<&Sheet> = flush.rows.iter().map(|rows| &rows.sheet).collect();
        self.add("events", &events, flush.upto)?;
        self.spool.cut(flush.upto)?;
        Ok(())
    }

    /// Attests a minute in which nothing happened.
    pub fn tick(&mut self) -> Result<(), StoreError> {
        let now = jiff::Timestamp::now().as_microsecond();
        self.log.tick(now).map_err(seal).map(drop)
    }

    /// States something in the log.
    pub(crate) fn state(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let time = jiff::Timestamp::now().as_microsecond();
        self.log.state(&Manifest { time, statement }).map_err(seal)
    }

    fn add(&mut self, table: &'static str, sheets: &[&Sheet], upto: u64) -> Result<(), StoreError> {
        let time = jiff::Timestamp::now().as_microsecond();
        let from = self.table(table).upto()? + 1;
        let (mut files, mut manifests) = (Vec::new(), Vec::new());
        for (number, sheet) in sheets.iter().enumerate() {
            for segment in pack(sheet)? {
                let path = path_of(&segment, &format!("{upto:016}-{number}"));
                let manifest = manifest(table, &path, &segment, upto, Span { from, to: upto + 1 }, sheet);
                manifests.push(encode(&Manifest { time, statement: Statement::Segment(manifest) })?);
                files.push(self.write(table, path, segment)?);
            }
        }
        // The events' commit says how far the spool is flushed, so it is made even when there is none.
        if files.is_empty() && table != "events" {
            return Ok(());
        }
        let kind = ChangeKind::Append { upto };
        self.commit(
            table,
            Change { add: files, remove: Vec::new(), kind, manifests, leaf: 0, info: Vec::new() },
        )
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
        let place = &self.lake.table(table).unwrap_or(&self.lake.events).place;
        place.write(&file.path, segment.file)?;
        Ok(file)
    }

    /// Commits to a table, then to the log.
    pub(crate) fn commit(&mut self, table: &'static str, mut change: Change) -> Result<(), StoreError> {
        change.leaf = self.log.size();
        if table == "events" {
            change
                .info
                .push(("klio.positions".into(), serde_json::to_value(&self.positions).unwrap_or_default()));
        }
        let manifests: Vec<Vec<u8>> =
            change.manifests.iter().filter_map(Value::as_str).map(|m| m.as_bytes().to_vec()).collect();
        let leaf = change.leaf;
        self.table(table).commit(change)?;
        if !manifests.is_empty() {
            self.log.append_at(leaf, &manifests).map_err(seal)?;
        }
        Ok(())
    }

    fn table(&mut self, name: &str) -> &mut Table {
        match name {
            "findings" => &mut self.lake.findings,
            "incidents" => &mut self.lake.incidents,
            _ => &mut self.lake.events,
        }
    }
}

fn path_of(segment: &Segment, name: &str) -> String {
    format!("class={}/day={}/{name}.parquet", segment.class, segment.day)
}

/// A manifest as the commit and the log keep it.
pub(crate) fn encode(manifest: &Manifest) -> Result<Value, StoreError> {
    let bytes = manifest.encode().map_err(seal)?;
    String::from_utf8(bytes).map(Value::from).map_err(seal)
}

fn manifest(
    table: &str,
    path: &str,
    segment: &Segment,
    flush: u64,
    spool: Span,
    sheet: &Sheet,
) -> klio_seal::Segment {
    let mut sources = Vec::new();
    if let Some(Cells::Words(words)) = sheet.cells("source") {
        sources.extend((0..words.distinct().min(64)).map(|i| words.word(i).to_owned()));
    }
    let received = segment.received.unwrap_or_default();
    klio_seal::Segment {
        stored: stored(table, path, segment),
        flush,
        first_event: segment.times.map(|t| t.0),
        last_event: segment.times.map(|t| t.1),
        first_received: received.0,
        last_received: received.1,
        spool,
        redaction: String::new(),
        sources,
    }
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

pub(crate) fn seal<E: std::fmt::Display>(e: E) -> StoreError {
    StoreError::Seal(e.to_string())
}

/// Reads `lake.json`, or writes it for a new lake.
fn identity(dir: &Path) -> Result<Identity, StoreError> {
    let path = dir.join("lake.json");
    if let Ok(text) = fs::read_to_string(&path) {
        let identity: Identity = serde_json::from_str(&text)
            .map_err(|e| StoreError::Damaged { file: path.display().to_string(), said: e.to_string() })?;
        if identity.layout > LAYOUT {
            return Err(StoreError::Newer { found: identity.layout, known: LAYOUT });
        }
        return Ok(identity);
    }
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(seal)?;
    let id: String = random.iter().map(|b| format!("{b:02x}")).collect();
    let created = Timestamp(jiff::Timestamp::now().as_microsecond()).to_string();
    let identity = Identity { layout: LAYOUT, origin: format!("klio/{id}"), created };
    let text = serde_json::to_string_pretty(&identity).unwrap_or_default();
    let new = dir.join("lake.json.new");
    fs::write(&new, text).map_err(StoreError::io(&new))?;
    sync(&new)?;
    fs::rename(&new, &path).map_err(StoreError::io(&path))?;
    sync(dir)?;
    Ok(identity)
}

/// Opens the signed log, or begins it with a new key.
fn open_log(dir: &Path, identity: &Identity) -> Result<Log, StoreError> {
    let log = dir.join("seal");
    fs::create_dir_all(&log).map_err(StoreError::io(&log))?;
    let key = dir.join("seal.key");
    if !key.is_file() {
        let signer = Signer::generate(&identity.origin, Scheme::Note).map_err(seal)?;
        signer.save(&key).map_err(seal)?;
        sync(dir)?;
    }
    let signer = Signer::load(&key).map_err(seal)?;
    if log.join("checkpoint").is_file() {
        Log::open(&log, signer).map_err(seal)
    } else {
        Log::create(&log, signer).map_err(seal)
    }
}
