//! Merging small files: a table of few large files is asked faster, and takes less room.
//!
//! Only files that are still what the log says are merged, and the merged file is committed only if the row trees of
//! all segments in it come out as they were stated. One Delta commit replaces the files, then the log says so; the
//! old ones stay on disk for a while, for readers who are still at them ([`Writer::sweep`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use klio_model::Timestamp;
use klio_seal::{Compaction, Hash, RowTree, Statement};
use parquet::encryption::decrypt::FileDecryptionProperties;

use crate::columns::columns_of;
use crate::error::StoreError;
use crate::ledger::Ledger;
use crate::merge::Merge;
use crate::place::Place;
use crate::segment::{Packer, Packing, Segment};
use crate::table::{ChangeKind, DataFile};
use crate::vault::Vault;
use crate::whole::Whole;
use crate::writer::{Batch, TABLES, Writer, now, stored};

/// Most rows of a merged file: one row group.
const ROWS: u64 = 1 << 20;
/// Bytes on disk up to which files are merged. Records are packed some ten- to thirtyfold.
const TARGET: u64 = 16 << 20;

/// How files are merged.
#[derive(Clone, Debug)]
pub struct CompactOptions {
    /// Fewer files than this in a partition are left as they are.
    pub min_files: usize,
    /// Most files that are merged at once: memory grows with it, by some 5 MB each.
    pub fan_in: usize,
    /// Most rows of a merged file; memory grows with it too. Files of half as many are left as they are.
    pub rows: u64,
    /// For how long the replaced files stay for readers.
    pub grace: Duration,
}

impl Default for CompactOptions {
    fn default() -> Self {
        Self { min_files: 4, fan_in: 48, rows: ROWS, grace: Duration::from_mins(10) }
    }
}

/// What was merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Files that were replaced.
    pub files_before: u64,
    /// Files that replace them.
    pub files_after: u64,
    /// Events, findings and incidents in them.
    pub rows: u64,
    /// Bytes of the replaced files.
    pub bytes_before: u64,
    /// Bytes of the new files.
    pub bytes_after: u64,
    /// Why files were left as they are: they are not what the log says.
    pub refused: Vec<String>,
}

/// Files of one partition that are to become one. Merging them takes seconds, and needs nothing of the writer: it may run on
/// another thread, while the writer goes on.
pub struct Merging {
    table: &'static str,
    files: Vec<DataFile>,
    /// What the log says of each file: its leaf and its hash.
    stated: Vec<(u64, Hash)>,
    /// What the log says of each segment in them: its rows and the root of their tree.
    segments: BTreeMap<u64, Option<(u64, Hash)>>,
    place: Place,
    keys: Option<Arc<FileDecryptionProperties>>,
    vault: Option<Arc<Vault>>,
}

/// Files that became one.
pub struct Merged {
    table: &'static str,
    files: Vec<DataFile>,
    replaces: Vec<u64>,
    rows: u64,
    segment: Segment,
}

impl Writer {
    /// Merges small files of each table and partition.
    pub fn compact(&mut self, options: &CompactOptions) -> Result<Compacted, StoreError> {
        let mut done = Compacted::default();
        self.sweep(Timestamp(now()), options.grace)?;
        // What comes out of one round may be merged in the next.
        loop {
            let before = done.files_before;
            for merging in self.mergings(options, &mut done.refused)? {
                match merging.run() {
                    Ok(merged) => self.adopt(merged, &mut done)?,
                    Err(e @ StoreError::Damaged { .. }) => done.refused.push(e.to_string()),
                    Err(e) => return Err(e),
                }
            }
            if done.files_before == before || !done.refused.is_empty() {
                break;
            }
        }
        self.sweep(Timestamp(now()), options.grace)?;
        Ok(done)
    }

    /// What there is to merge. Files that the log does not know are named and left as they are.
    pub fn mergings(
        &mut self,
        options: &CompactOptions,
        refused: &mut Vec<String>,
    ) -> Result<Vec<Merging>, StoreError> {
        let ledger = self.ledger()?;
        let mut mergings = Vec::new();
        for name in TABLES {
            let mut files = self.table(name).files()?;
            files.retain(|file| !ledger.shredded.contains(&format!("{}/{}", file.class, file.day)));
            for group in groups(files, options) {
                match self.merging(name, group, &ledger) {
                    Ok(merging) => mergings.push(merging),
                    Err(said) => refused.push(said),
                }
            }
        }
        Ok(mergings)
    }

    fn merging(&self, name: &'static str, group: Vec<DataFile>, ledger: &Ledger) -> Result<Merging, String> {
        let stated = group.iter().map(|file| {
            let path = format!("{name}/{}", file.path);
            let leaf = ledger.leaf_of(&path);
            let known =
                leaf.and_then(|leaf| Some((leaf, ledger.live.get(&leaf)?.stored.file_hash, file.clone())));
            known.ok_or_else(|| format!("{path}: not in the log"))
        });
        let mut stated = stated.collect::<Result<Vec<_>, _>>()?;
        // Within equals the order of arrival stays.
        stated.sort_by_key(|(leaf, ..)| *leaf);
        let origins = stated.iter().flat_map(|(leaf, ..)| ledger.origins(*leaf));
        let segments =
            origins.map(|leaf| (leaf, ledger.sources.get(&leaf).map(|source| (source.rows, source.root))));
        let table = self.lake.table(name);
        Ok(Merging {
            table: name,
            segments: segments.collect(),
            stated: stated.iter().map(|(leaf, hash, _)| (*leaf, *hash)).collect(),
            files: stated.into_iter().map(|(.., file)| file).collect(),
            place: table.place.clone(),
            keys: table.keys.clone(),
            vault: self.lake.vault.clone(),
        })
    }

    /// Puts a merged file in the place of those that it was made of, if they are still there.
    pub fn adopt(&mut self, merged: Merged, done: &mut Compacted) -> Result<(), StoreError> {
        let Merged { table, files, replaces, rows, segment } = merged;
        let there = self.table(table).files()?;
        if files.iter().any(|file| there.iter().all(|other| other.path != file.path)) {
            return Ok(());
        }
        done.files_before += files.len() as u64;
        done.files_after += 1;
        done.rows += rows;
        done.bytes_before += files.iter().map(|file| file.size).sum::<u64>();
        done.bytes_after += segment.file.len() as u64;
        let path = Self::path(&segment, self.log.size());
        let compaction = Compaction { stored: stored(table, &path, &segment), replaces };
        let add = vec![self.write(table, path, segment)?];
        let statements = vec![Statement::Compaction(compaction)];
        self.commit(table, Batch { add, remove: files, kind: ChangeKind::Compact, statements }).map(drop)
    }
}

impl Merging {
    /// Merges them.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if they are not what the log says.
    pub fn run(self) -> Result<Merged, StoreError> {
        let mut inputs = Vec::new();
        for (file, (leaf, hash)) in self.files.iter().zip(&self.stated) {
            let path = format!("{}/{}", self.table, file.path);
            let bytes = self.place.read_all(&file.path, file.size)?;
            if Hash::of(&bytes) != *hash {
                let said = format!("it is not the file that log entry {leaf} states");
                return Err(StoreError::Damaged { file: path, said });
            }
            inputs.push(Whole::of(&path, bytes, self.keys.as_ref())?);
        }
        let like = self.files.first().ok_or_else(|| StoreError::Query("nothing is to be merged".into()))?;
        let (segment, trees) = merged(self.table, like, &inputs, self.vault.as_deref())?;
        for (leaf, stated) in &self.segments {
            if trees.get(leaf).map(|tree| (tree.size(), tree.root())) != *stated {
                let said = format!("the rows of log entry {leaf} are not as stated");
                return Err(StoreError::Damaged { file: format!("{}, {}", self.table, like.day), said });
            }
        }
        let rows = inputs.iter().map(Whole::rows).sum();
        let replaces = self.stated.into_iter().map(|(leaf, _)| leaf).collect();
        Ok(Merged { table: self.table, files: self.files, replaces, rows, segment })
    }
}

/// Merges files of one partition; also returns the row trees of the segments in them.
fn merged(
    table: &str,
    like: &DataFile,
    files: &[Whole],
    vault: Option<&Vault>,
) -> Result<(Segment, BTreeMap<u64, RowTree>), StoreError> {
    let columns = columns_of(table);
    let mut merge = Merge::new(files, columns)?;
    let lower = files.iter().all(Whole::ids_are_lower);
    let mut trees = BTreeMap::<u64, RowTree>::new();
    let mut packer: Option<Packer> = None;
    let partition = format!("{}/{}", like.class, like.day);
    while let Some(batch) = merge.next()? {
        let packer = match &mut packer {
            Some(packer) => packer,
            None => packer.insert(Packer::new(columns, batch.schema(), &partition, Packing::MERGED, vault)?),
        };
        packer.add(&batch, &mut |segment, leaf| trees.entry(segment).or_default().push(leaf))?;
    }
    let Some(packer) = packer else {
        return Err(StoreError::Damaged { file: like.path.clone(), said: "no rows".into() });
    };
    Ok((packer.finish(&like.class, &like.day, lower)?, trees))
}

/// Files that belong together.
fn groups(mut files: Vec<DataFile>, options: &CompactOptions) -> Vec<Vec<DataFile>> {
    // Half the target is large enough.
    files.retain(|file| file.size < TARGET / 2 && file.rows < options.rows / 2);
    files.sort_by(|a, b| (&a.class, &a.day, &a.path).cmp(&(&b.class, &b.day, &b.path)));
    let mut groups = Vec::new();
    for partition in files.chunk_by(|a, b| (&a.class, &a.day) == (&b.class, &b.day)) {
        if partition.len() < options.min_files.max(2) {
            continue;
        }
        let mut group: Vec<DataFile> = Vec::new();
        let (mut bytes, mut rows) = (0, 0);
        for file in partition {
            let full = bytes + file.size > TARGET || rows + file.rows > options.rows;
            if full || group.len() >= options.fan_in.max(2) {
                groups.push(std::mem::take(&mut group));
                (bytes, rows) = (0, 0);
            }
            (bytes, rows) = (bytes + file.size, rows + file.rows);
            group.push(file.clone());
        }
        groups.push(group);
    }
    groups.retain(|group| group.len() > 1);
    groups
}
