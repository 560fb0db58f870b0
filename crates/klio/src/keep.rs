//! Keeping what a scan reads: into the spool, then the lake.
//!
//! Workers redact each record and fill the columns ([`Terms`]); the sequence hands chunk after chunk to the
//! [`Keeper`], which knows what is a duplicate, spools what is left and flushes it with the findings.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use klio_detect::story::Story;
use klio_model::{Event, Severity, Timestamp};
pub use klio_source::head;
use klio_source::redact::{Policy, Redactor};
use klio_source::{Chunks, Options, Pool, discover};
use klio_store::{Classes, Custody, Expired, Flush, Intake, Records, Rows, Settings, Writer};
pub use klio_store::{Origin, Spooled, Verdict};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::output;
use crate::scan::RuleCount;

/// Bytes of records in a batch of the spool.
const BATCH: usize = 1 << 20;

/// Bytes of records that may wait for a chunk before them: one event from the future must not hold up the rest.
const EARLY: usize = 64 << 20;
/// How often the log attests what is in the spool.
const MINUTE: Duration = Duration::from_mins(1);

/// The columns of a chunk.
pub type Shelf = Rows;

/// What every worker needs to know.
pub struct Terms {
    /// Of which cluster the records are.
    pub cluster: String,
    /// When they are received.
    pub received: Timestamp,
    /// The id of the redaction policy.
    policy: String,
    redactor: Redactor,
    classes: Classes,
}

impl Terms {
    /// Reads the settings.
    pub fn new(cluster: &str, settings: &Settings, key: [u8; 32], policy: Policy) -> Result<Self, Failure> {
        let redactor = Redactor::new(key, policy).map_err(Failure::usage)?;
        let received = Timestamp(jiff::Timestamp::now().as_microsecond());
        let classes = Classes::of(settings).map_err(|e| Failure::usage(e.to_string()))?;
        Ok(Self {
            cluster: cluster.to_owned(),
            received,
            policy: redactor.policy_id().to_string(),
            redactor,
            classes,
        })
    }

    /// Writes the record without its secrets to `out`, if it has any.
    pub fn redact(&self, json: &str, event: &Event<'_>, out: &mut String) -> bool {
        self.redactor.redact(json, event, out).is_some()
    }

    /// Puts an event on the shelf.
    pub fn put(
        &self,
        shelf: &mut Shelf,
        event: &Event<'_>,
        source: &str,
        origin: Option<&Origin>,
        severity: Option<Severity>,
    ) {
        let cluster = origin.map_or(self.cluster.as_str(), |o| &o.cluster);
        let received = origin.map_or(self.received, |o| Timestamp(o.received));
        let class = self.classes.class(event, cluster, source, severity);
        shelf.push(event, Custody { cluster, source, received }, class, severity);
    }
}

/// How far a file has been read.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Position {
    /// Stands for its begin ([`head`]), so that a file keeps its position when it is renamed or packed.
    id: String,
    /// Events that were taken from it.
    events: u64,
    /// Files that lay there before and were renamed since, the latest first. Under their new names they have positions
    /// of their own only from the next flush on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    before: Vec<(String, u64)>,
}

/// Files that a position remembers to have lain there before.
const BEFORE: usize = 32;

#[derive(Default)]
struct Reading {
    position: Option<Position>,
    /// Events that were kept by an earlier run.
    skip: u64,
    /// Events of the chunks that were handed in, and of those that were taken.
    handed: u64,
    taken: u64,
    /// Chunks that ended before one that stands before them in the file, by their first event.
    early: BTreeMap<u64, Taken>,
    /// Records that are yet to be spooled, and which block of the rows they will be.
    records: Option<(u32, Records)>,
}

/// What is to be kept of a chunk: its rows, which of them, and what was found in them.
#[derive(Default)]
pub struct Taken {
    /// The rows.
    pub shelf: Shelf,
    /// Which of them.
    pub keep: Vec<bool>,
    /// Findings about them.
    pub findings: Vec<Verdict>,
}

/// Everything between the sequence and the disk.
pub struct Keeper {
    writer: Writer,
    terms: Arc<Terms>,
    flush_bytes: usize,
    files: HashMap<Arc<str>, Reading>,
    rows: Rows,
    /// Room for records.
    spare: Vec<Vec<u8>>,
    /// Findings about events that were taken, and those about events of chunks that are not taken yet.
    findings: Vec<Verdict>,
    fresh: Vec<Verdict>,
    /// Those of others than rules that are in no file yet: no record of the spool would bring them again.
    others: Vec<Verdict>,
    last: u64,
    /// Of which cluster the findings are.
    cluster: Arc<str>,
    /// Bytes of the records of chunks that ended early.
    early: usize,
    attested: Instant,
    /// Events that were kept.
    pub kept: u64,
    /// Events that an earlier run had kept.
    pub known: u64,
}

impl Keeper {
    /// Opens the lake for writing.
    pub fn open(dir: &Path, settings: &Settings, terms: Arc<Terms>) -> Result<Self, Failure> {
        let writer = Writer::open(dir, settings).map_err(crate::data::refused)?;
        let last = writer.flushed().map_err(Failure::world)?;
        Ok(Self {
            writer,
            cluster: terms.cluster.as_str().into(),
            terms,
            // What is judged stays in the spool until it is flushed, and a file of the spool beyond that.
            flush_bytes: settings.flush_bytes.min(settings.spool_bytes / 2) as usize,
            files: HashMap::new(),
            rows: Rows::new(),
            spare: Vec::new(),
            findings: Vec::new(),
            fresh: Vec::new(),
            others: Vec::new(),
            last,
            early: 0,
            attested: Instant::now(),
            kept: 0,
            known: 0,
        })
    }

    /// A file is being read whose begin has this hash ([`head`]).
    pub fn begin(&mut self, file: &Arc<str>, head: u64) {
        if self.files.contains_key(file) {
            return;
        }
        let id = format!("{head:016x}");
        let own = source(file);
        let (mut read, mut before) = (Vec::new(), Vec::new());
        for (of, text) in self.writer.positions() {
            let Ok(position) = serde_json::from_str::<Position>(text) else { continue };
            let mut all = vec![(position.id, position.events)];
            all.extend(position.before);
            let is_own = of == own || is_same_file(of, &own);
            read.extend(all.iter().filter(|(of, _)| *of == id).map(|(_, n)| (is_own, of.to_owned(), *n)));
            if of == own {
                before = all;
            }
        }
        before.retain(|(of, _)| *of != id);
        before.truncate(BEFORE);
        // Its own position first; else that of a file which was renamed or packed since, and of several the latest,
        // since a file that grows is read further under its new name. Another file that begins with the same event has
        // a position of its own.
        read.sort_by_key(|(own, _, events)| std::cmp::Reverse((*own, *events)));
        let is_same = |(own, of, _): &(bool, String, u64)| *own || head_of(of) != Some(head);
        let skip = read.into_iter().find(is_same).map_or(0, |(.., events)| events);
        let position = Some(Position { id, events: 0, before });
        self.files.insert(file.clone(), Reading { position, skip, ..Reading::default() });
    }

    /// A chunk of a file begins with so many events; returns which of the file's events is its first.
    pub fn hand_in(&mut self, file: &Arc<str>, events: usize) -> u64 {
        let reading = self.files.entry(file.clone()).or_default();
        let first = reading.handed;
        reading.handed += events as u64;
        first
    }

    /// Whether an earlier run kept this event of a file.
    pub fn is_known(&mut self, file: &Arc<str>, number: u64) -> bool {
        let known = self.files.get(file).is_some_and(|reading| number < reading.skip);
        self.known += u64::from(known);
        known
    }

    /// Takes what is to be kept of a chunk. `first` is what [`Keeper::hand_in`] returned for it. Returns the room of its rows,
    /// unless they wait.
    ///
    /// Chunks whose times overlap end in any order. They are spooled in the file's, so that its position says exactly
    /// what is kept.
    pub fn take(&mut self, file: &Arc<str>, first: u64, taken: Taken) -> Result<Shelf, Failure> {
        let reading = self.files.entry(file.clone()).or_default();
        if first != reading.taken {
            self.early += taken.shelf.bytes();
            reading.early.insert(first, taken);
            return Ok(Shelf::default());
        }
        let shelf = self.put_in(file, taken)?;
        while let Some(taken) =
            self.files.get_mut(file).and_then(|reading| reading.early.remove(&reading.taken))
        {
            self.early -= taken.shelf.bytes();
            self.put_in(file, taken)?;
        }
        Ok(shelf)
    }

    /// Whether so much waits for one slow chunk that order must give way.
    pub fn is_full(&self) -> bool {
        self.early > EARLY
    }

    fn put_in(&mut self, file: &Arc<str>, taken: Taken) -> Result<Shelf, Failure> {
        let Taken { shelf, keep, mut findings } = taken;
        // With their rows: a finding whose event is read again is found again.
        self.findings.append(&mut findings);
        let reading = self.files.entry(file.clone()).or_default();
        reading.taken += keep.len() as u64;
        if let Some(position) = &mut reading.position {
            position.events = reading.taken;
        }
        if !keep.contains(&true) {
            return Ok(shelf);
        }
        let (rows, spare) = (&mut self.rows, &mut self.spare);
        let (block, records) = reading.records.get_or_insert_with(|| (rows.block(), room(spare)));
        rows.append(&shelf, &keep, records, *block);
        if records.bytes().len() >= BATCH {
            self.spool(file)?;
        }
        if self.rows.bytes() >= self.flush_bytes {
            self.flush(&mut Vec::new())?;
        }
        Ok(shelf)
    }

    fn spool(&mut self, file: &Arc<str>) -> Result<(), Failure> {
        let Some(reading) = self.files.get_mut(file) else { return Ok(()) };
        let Some((block, records)) = reading.records.take().filter(|(_, records)| !records.is_empty()) else {
            return Ok(());
        };
        let origin = Origin {
            cluster: self.terms.cluster.clone(),
            source: source(file),
            received: self.terms.received.micros(),
            position: reading.position.as_ref().and_then(|p| serde_json::to_string(p).ok()),
            ..Origin::default()
        };
        self.last = self.writer.append(&origin, &records).map_err(Failure::world)?;
        self.kept += records.len();
        self.rows.fill(block, records);
        // The log attests what was acknowledged, so that a spool cut short later is found.
        if self.attested.elapsed() >= MINUTE {
            self.attested = Instant::now();
            self.writer.tick().map_err(Failure::world)?;
        }
        Ok(())
    }

    /// Takes a finding as JSON, of the chunk that is being judged.
    pub fn finding(&mut self, json: &[u8]) {
        self.fresh.extend(verdict(json, &self.cluster));
    }

    /// The findings since this was called last.
    pub fn found(&mut self) -> Vec<Verdict> {
        std::mem::take(&mut self.fresh)
    }

    fn flush(&mut self, incidents: &mut Vec<Verdict>) -> Result<(), Failure> {
        let files: Vec<Arc<str>> = self.files.keys().cloned().collect();
        for file in files {
            self.spool(&file)?;
        }
        // Also of files that held nothing new: under another name they would be taken for new ones.
        let mut moved = false;
        for (file, reading) in &self.files {
            if let Some(position) = &reading.position {
                let events = reading.taken.max(reading.skip);
                let position = serde_json::to_string(&Position { events, ..position.clone() });
                moved |= position.is_ok_and(|text| self.writer.set_position(&source(file), text));
            }
        }
        if self.rows.is_empty() && self.findings.is_empty() && incidents.is_empty() && !moved {
            return Ok(());
        }
        let findings = std::mem::take(&mut self.findings);
        let mut flush = Flush {
            rows: vec![std::mem::take(&mut self.rows)],
            findings,
            incidents: std::mem::take(incidents),
            upto: self.last,
            redaction: self.terms.policy.clone(),
        };
        self.writer.flush(&flush).map_err(Failure::world)?;
        self.others.clear();
        self.rows = flush.rows.pop().unwrap_or_default();
        self.rows.recycle(&mut self.spare);
        Ok(())
    }

    /// Flushes what is left, with the incidents that were found.
    pub fn finish(&mut self, mut incidents: Vec<Verdict>) -> Result<(), Failure> {
        self.findings.append(&mut self.fresh);
        self.flush(&mut incidents)
    }

    /// Batches that an earlier run spooled and could not flush.
    pub fn pending(&self) -> Result<impl Iterator<Item = Result<Spooled, Failure>> + use<>, Failure> {
        let pending = self.writer.pending().map_err(Failure::world)?;
        Ok(pending.map(|batch| batch.map_err(Failure::world)))
    }

    /// What is judged from now on is of that batch: its findings are of its cluster.
    pub fn judging(&mut self, origin: &Origin) {
        if *self.cluster != *origin.cluster {
            self.cluster = origin.cluster.as_str().into();
        }
    }

    /// Takes rows whose records are in the spool already.
    pub fn again(&mut self, seq: u64, origin: &Origin, taken: &mut Taken) {
        self.findings.append(&mut taken.findings);
        self.last = self.last.max(seq);
        if let Some(position) = &origin.position {
            self.writer.set_position(&origin.source, position.clone());
        }
        let (block, mut records) = (self.rows.block(), room(&mut self.spare));
        self.rows.append(&taken.shelf, &taken.keep, &mut records, block);
        self.rows.fill(block, records);
    }

    /// Whether there is enough for a file.
    pub fn is_due(&self) -> bool {
        self.rows.bytes() >= self.flush_bytes
    }

    /// Findings that are not in the lake yet.
    pub fn waiting(&self) -> &[Verdict] {
        &self.findings
    }

    /// Begins again with what is in the lake, after it refused: the rest is in the spool.
    pub fn reopen(&mut self) -> Result<(), Failure> {
        self.rows = Rows::new();
        self.files.clear();
        (self.findings, self.fresh, self.early) = (self.others.clone(), Vec::new(), 0);
        self.writer.reopen().map_err(Failure::world)?;
        self.last = self.writer.flushed().map_err(Failure::world)?;
        Ok(())
    }

    /// The last batch that is in the lake.
    pub fn flushed(&self) -> Result<u64, Failure> {
        self.writer.flushed().map_err(Failure::world)
    }

    /// Takes findings of others than rules, which the next flush keeps.
    pub fn find(&mut self, mut found: Vec<Verdict>) {
        self.others.extend_from_slice(&found);
        self.findings.append(&mut found);
    }

    /// Removes what has been kept as long as the settings say.
    pub fn expire(&mut self) -> Result<Expired, Failure> {
        let now = self.writer.careful_now().map_err(Failure::world)?;
        self.writer.expire(now, &self.terms.classes, false).map_err(Failure::world)
    }

    /// The spool, for those who receive.
    pub fn intake(&self) -> Intake {
        self.writer.intake()
    }

    /// How far each source has been read.
    pub fn positions(&self) -> Vec<(String, String)> {
        self.writer.positions().map(|(source, position)| (source.to_owned(), position.to_owned())).collect()
    }

    /// The lake and the writer, for merging, holds and questions.
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// To be called now and then: the log attests once a minute what is in the spool.
    pub fn tick(&mut self) -> Result<(), Failure> {
        if self.attested.elapsed() < MINUTE {
            return Ok(());
        }
        self.attested = Instant::now();
        self.writer.tick().map_err(Failure::world)
    }
}

/// Room for the records of a batch, and for the chunk that fills it.
fn room(spare: &mut Vec<Vec<u8>>) -> Records {
    Records::within(spare.pop().unwrap_or_else(|| Vec::with_capacity(BATCH + BATCH / 4)))
}

/// Whether two sources are one file, by whatever path.
fn is_same_file(a: &str, b: &str) -> bool {
    let place = |source: &str| {
        let there = std::fs::metadata(source.strip_prefix("file:")?).ok()?;
        Some((there.dev(), there.ino()))
    };
    place(a).is_some_and(|place_of_a| place(b) == Some(place_of_a))
}

/// The hash of the begin of the file that a source stands for, if it is there.
fn head_of(source: &str) -> Option<u64> {
    let path = source.strip_prefix("file:")?;
    // Reading a pipe to look at it would take what it holds.
    if !std::fs::metadata(path).is_ok_and(|m| m.is_file()) {
        return None;
    }
    let found = discover(&[path]);
    let chunk = Chunks::new(found.inputs.first()?, &Options::default(), &Pool::default()).next()?;
    Some(head(chunk.bytes()))
}

/// Which cluster's records these are.
pub fn cluster_of(origin: Option<&Origin>, terms: Option<&Terms>) -> Option<String> {
    origin.map(|origin| &origin.cluster).or(terms.map(|terms| &terms.cluster)).cloned()
}

/// How a file is called as a source.
pub fn source(file: &str) -> String {
    format!("file:{file}")
}

/// A story as it is kept.
pub fn incident(story: &Story, rules: &[RuleCount], cluster: &str) -> Verdict {
    let (title, json) = output::story(story, rules);
    Verdict {
        id: story.id.clone(),
        time: story.first,
        cluster: cluster.to_owned(),
        severity: story.severity.name(),
        rule: String::new(),
        title,
        actor: story.actors.first().and_then(|a| a.user.clone()).unwrap_or_default(),
        json,
    }
}

fn verdict(json: &[u8], cluster: &str) -> Option<Verdict> {
    #[derive(Deserialize)]
    struct Rule {
        id: String,
        title: String,
    }
    #[derive(Deserialize)]
    struct Actor {
        user: Option<String>,
    }
    #[derive(Deserialize)]
    struct Finding {
        id: String,
        time: Option<String>,
        rule: Rule,
        severity: String,
        actor: Actor,
    }
    let json = std::str::from_utf8(json).ok()?;
    let finding: Finding = serde_json::from_str(json).ok()?;
    Some(Verdict {
        id: finding.id,
        time: finding.time.as_deref().and_then(Timestamp::parse),
        cluster: cluster.to_owned(),
        severity: finding.severity.parse::<Severity>().ok()?.name(),
        rule: finding.rule.id,
        title: finding.rule.title,
        actor: finding.actor.user.unwrap_or_default(),
        json: json.to_owned(),
    })
}
