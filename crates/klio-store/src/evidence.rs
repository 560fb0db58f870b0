//! Events on paper: proofs and bundles that can be checked without the lake and without us.
//!
//! A proof leads from a record by its path in the row tree to the statement of its file, and from there by the path
//! in the log to the signed checkpoint. It is made from the file as it is now: also from a merged one.

use std::collections::HashSet;
use std::path::Path as FilePath;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use klio_model::filter::{Matcher, TextMatch};
use klio_model::{Field, FieldRef, Filter, TimeRange};
use klio_seal::evidence::{BundleWriter, Custody, Export};
use klio_seal::{Hash, LogReader, Manifest, Path, Remark, Statement, StoredFile, Tree};

use crate::batch::event;
use crate::columns::word;
use crate::error::StoreError;
use crate::file::OpenFile;
use crate::group::Group;
use crate::lake::Lake;
use crate::leaf;
use crate::ledger::Ledger;
use crate::proof::{Proof, stored_in};
use crate::scan::Question;
use crate::view::may_overlap;
use crate::whole::{CUSTODY, Whole, salvaged};
use crate::writer::{Writer, now, seal};

/// What is to be exported, and who answers for it.
#[derive(Clone, Debug)]
pub struct Request<'r> {
    /// Which events.
    pub filter: &'r Filter,
    /// Of which time.
    pub range: TimeRange,
    /// The question as it was asked.
    pub query: &'r str,
    /// Who exports.
    pub who: &'r str,
    /// Why.
    pub why: &'r str,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Events in the bundle, each with its proof.
    pub events: u64,
    /// Data files that they come from.
    pub files: u64,
    /// Events that match and are not in the bundle: they are in the spool and not sealed yet.
    pub fresh: u64,
    /// SHA-256 of `bundle.json`, in hexadecimal digits.
    pub hash: String,
}

impl Lake {
    /// Proves all events with an audit id: one for each stage that was recorded and is sealed.
    pub fn prove(&mut self, audit_id: &str) -> Result<Vec<Proof>, StoreError> {
        let matcher = Matcher::Text(TextMatch::literal(audit_id));
        self.prove_all(&Filter::test(FieldRef::of(Field::AuditId), matcher), TimeRange::default(), usize::MAX)
    }

    /// Proves the events of which the filter is certainly true, at most `limit`.
    pub fn prove_all(
        &mut self,
        filter: &Filter,
        range: TimeRange,
        limit: usize,
    ) -> Result<Vec<Proof>, StoreError> {
        let mut proofs = Vec::new();
        self.sealed(filter, range, &mut |source, row, event| {
            if proofs.len() < limit {
                proofs.push(Proof {
                    event,
                    row,
                    rows: source.stored.rows,
                    path: source.path(row)?,
                    index: source.index,
                    entry: source.entry.clone(),
                    log_path: source.log_path.clone(),
                    checkpoint: source.checkpoint.clone(),
                });
            }
            Ok(proofs.len() < limit)
        })?;
        Ok(proofs)
    }

    /// Writes the events of a request with their proofs into a new directory, to be checked by
    /// [`crate::seal::evidence::verify_bundle`].
    pub fn export_evidence(&mut self, dir: &FilePath, request: &Request<'_>) -> Result<Exported, StoreError> {
        let shredded = self.shredded(request.range)?;
        if shredded > 0 {
            return Err(StoreError::Query(format!(
                "{shredded} files cannot be read since their key was destroyed: narrow the time to what is left"
            )));
        }
        let time = now();
        let tool = concat!("klio ", env!("CARGO_PKG_VERSION"));
        let export = Export {
            tool: tool.into(),
            query: request.query.into(),
            from: request.range.start.map(|t| t.micros()),
            to: request.range.end.map(|t| t.micros()),
            exported_by: request.who.into(),
            exported_at: time,
        };
        let mut bundle = BundleWriter::create(dir, export).map_err(seal)?;
        let (mut events, mut files) = (0, Vec::new());
        let log = self.sealed(request.filter, request.range, &mut |source, row, event| {
            if files.last() != Some(&source.index) {
                files.push(source.index);
                bundle.manifest(source.index, source.entry.as_bytes(), &source.log_path).map_err(seal)?;
            }
            let path = source.path(row)?;
            bundle.event(event.as_bytes(), source.index, row, source.stored.rows, &path).map_err(seal)?;
            events += 1;
            Ok(true)
        })?;
        bundle.rotations_of(&log).map_err(seal)?;
        let what = format!("exported {events} events of lake {} with {tool}: {}", log.origin(), request.why);
        bundle.custody(&Custody { time, who: request.who.into(), what }).map_err(seal)?;
        let hash = bundle.finish(log.checkpoint(), &[self.public_key()?]).map_err(seal)?;
        let fresh = self.fresh_matches(request)?;
        Ok(Exported { events, files: files.len() as u64, fresh, hash: hash.to_string() })
    }

    /// How many files with events of a time cannot be read since their key was destroyed.
    pub fn shredded(&mut self, range: TimeRange) -> Result<u64, StoreError> {
        self.refresh()?;
        let readable = self.readable(&self.events)?.0;
        let readable: HashSet<&str> = readable.iter().map(|file| file.path.as_str()).collect();
        let files = self.events.files()?;
        let gone = files.iter().filter(|f| may_overlap(f, range) && !readable.contains(f.path.as_str()));
        Ok(gone.count() as u64)
    }

    fn fresh_matches(&mut self, request: &Request<'_>) -> Result<u64, StoreError> {
        let question = Question::new(request.filter, request.range, self);
        let mut count = 0;
        for batch in self.fresh()?.batches() {
            let batch = batch?;
            count +=
                batch.events().filter(|event| question.holds(&batch.origin.cluster, event)).count() as u64;
        }
        Ok(count)
    }

    /// Calls `f` with each sealed event that fits, file by file, until it returns false. Returns the log on which the
    /// proofs rest.
    fn sealed(
        &mut self,
        filter: &Filter,
        range: TimeRange,
        f: &mut dyn FnMut(&Source, u64, String) -> Result<bool, StoreError>,
    ) -> Result<LogReader, StoreError> {
        // The table first: what it has, the log states.
        self.refresh()?;
        let files = self.readable(&self.events)?.0;
        let log = self.log()?;
        let ledger = Ledger::read(&log)?;
        let question = Question::new(filter, range, self);
        for file in files.iter().filter(|file| may_overlap(file, range)) {
            let open = OpenFile::open(&self.events.place, file, &self.footers)?;
            let mut may = false;
            for group in 0..open.groups() {
                may = may || question.candidates(&Group::new(&open, group))?.is_some();
            }
            if !may {
                continue;
            }
            let whole = Whole::open(&self.events, &file.path, file.size)?;
            let source = Source::new(&whole, &format!("events/{}", file.path), &ledger, &log)?;
            let mut row = 0;
            for batch in whole.batches(Some(&CUSTODY), 1024)? {
                let batch = batch.map_err(StoreError::damaged(&file.path))?;
                let cut = salvaged(&batch);
                for (number, (raw, text)) in texts(&batch).enumerate() {
                    let fits = event(raw, cut(number)).is_some_and(|event| {
                        question.holds(word(&batch, "cluster", number).unwrap_or_default(), &event)
                    });
                    if fits && !f(&source, row, text())? {
                        return Ok(log);
                    }
                    row += 1;
                }
            }
        }
        Ok(log)
    }
}

impl Writer {
    /// As [`Lake::export_evidence`]; the log then states who exported what, with the bundle's hash.
    pub fn export_evidence(&mut self, dir: &FilePath, request: &Request<'_>) -> Result<Exported, StoreError> {
        let exported = self.lake.export_evidence(dir, request)?;
        let text =
            format!("{}: {} events of `{}`: {}", request.who, exported.events, request.query, request.why);
        let text = text.chars().take(4000).collect();
        let hash = exported.hash.parse().ok();
        self.state(Statement::Note(Remark { topic: "export".into(), text, hash }))?;
        Ok(exported)
    }
}

/// A file from which events are proven.
struct Source {
    stored: StoredFile,
    tree: Tree,
    index: u64,
    entry: String,
    log_path: Path,
    checkpoint: String,
}

impl Source {
    fn new(whole: &Whole, path: &str, ledger: &Ledger, log: &LogReader) -> Result<Self, StoreError> {
        let wrong = StoreError::damaged(path);
        let index = ledger
            .leaf_of(path)
            .ok_or_else(|| wrong("the log does not know it: nothing in it can be proven"))?;
        let entry = String::from_utf8(log.entry(index).map_err(seal)?).map_err(seal)?;
        let stated = Manifest::decode(entry.as_bytes()).map_err(seal)?;
        let stored = stated.statement().and_then(stored_in).cloned();
        let stored = stored.ok_or_else(|| wrong("its entry in the log states no file"))?;
        let mut leaves = Vec::with_capacity(whole.rows().min(1 << 24) as usize);
        whole.each_leaf(&mut |_, leaf, _| leaves.push(leaf))?;
        let tree = Tree::new(leaves);
        if tree.root() != stored.root || Hash::of(&whole.bytes) != stored.file_hash {
            return Err(wrong("it is not the file that was sealed: verify the lake"));
        }
        let log_path = log.inclusion(index).map_err(seal)?;
        Ok(Self { stored, tree, index, entry, log_path, checkpoint: log.checkpoint().to_owned() })
    }

    fn path(&self, row: u64) -> Result<Path, StoreError> {
        let outside =
            || StoreError::Damaged { file: self.stored.file.clone(), said: format!("no row {row}") };
        self.tree.inclusion(row).ok_or_else(outside)
    }
}

/// The records of a batch, and what the leaf of each is made of.
fn texts(batch: &RecordBatch) -> impl Iterator<Item = (&str, impl FnOnce() -> String)> {
    let received =
        batch.column_by_name("received").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let raws = batch.column_by_name("raw").and_then(|c| c.as_string_opt::<i32>());
    raws.into_iter().flat_map(move |raws| {
        (0..raws.len()).map(move |row| {
            let raw = raws.value(row);
            let text = move || {
                let (cluster, source) = (word(batch, "cluster", row), word(batch, "source", row));
                let received = received.map_or(0, |r| r.value(row));
                leaf::text(cluster.unwrap_or_default(), source.unwrap_or_default(), received, raw)
            };
            (raw, text)
        })
    })
}
