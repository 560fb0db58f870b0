//! Merging small files: a table of few large files is asked faster, and takes less room.
//!
//! Only files that are still what the log says are merged, and the merged file is committed only if the row trees of
//! all segments in it come out as they were stated. One Delta commit replaces the files, then the log says so; the
//! old ones stay on disk for a while, for readers who are still at them ([`Writer::sweep`]).

use std::collections::BTreeMap;
use std::time::Duration;

use klio_seal::{Compaction, Hash, RowTree, Statement};

use crate::columns::columns_of;
use crate::error::StoreError;
use crate::ledger::{Ledger, Live};
use crate::merge::Merge;
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
    /// For how long the replaced files stay for readers.
    pub grace: Duration,
}

impl Default for CompactOptions {
    fn default() -> Self {
        Self { min_files: 4, fan_in: 48, grace: Duration::from_mins(10) }
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

impl Writer {
    /// Merges small files of each table and partition.
    pub fn compact(&mut self, options: &CompactOptions) -> Result<Compacted, StoreError> {
        let mut done = Compacted::default();
        let mut ledger = self.ledger()?;
        self.sweep_known(&ledger, now(), options.grace)?;
        for name in TABLES {
            // What comes out of one round may be merged in the next.
            loop {
                let mut files = self.table(name).files()?;
                files.retain(|file| !ledger.shredded.contains(&format!("{}/{}", file.class, file.day)));
                let groups = groups(files, options);
                let before = done.files_before;
                for group in groups {
                    self.merge(name, &group, &mut ledger, &mut done)?;
                }
                if done.files_before == before || !done.refused.is_empty() {
                    break;
                }
            }
        }
        self.sweep_known(&ledger, now(), options.grace)?;
        Ok(done)
    }

    fn merge(
        &mut self,
        table: &'static str,
        group: &[DataFile],
        ledger: &mut Ledger,
        done: &mut Compacted,
    ) -> Result<(), StoreError> {
        let mut inputs = Vec::new();
        for file in group {
            match self.sound(table, file, ledger) {
                Ok(input) => inputs.push(input),
                Err(said) => {
                    done.refused.push(said);
                    return Ok(());
                }
            }
        }
        // Within equals the order of arrival stays.
        inputs.sort_by_key(|(leaf, _)| *leaf);
        let (replaces, files): (Vec<u64>, Vec<Whole>) = inputs.into_iter().unzip();
        let (Some(first), rows) = (group.first(), files.iter().map(Whole::rows).sum::<u64>()) else {
            return Ok(());
        };
        let (segment, trees) = merged(table, first, &files, self.lake.vault.as_deref())?;
        for leaf in replaces.iter().flat_map(|leaf| ledger.origins(*leaf)) {
            let expected = ledger.sources.get(&leaf).map(|source| (source.rows, source.root));
            let found = trees.get(&leaf).map(|tree| (tree.size(), tree.root()));
            if expected != found {
                done.refused
                    .push(format!("{table}, {}: the rows of log entry {leaf} are not as stated", first.day));
                return Ok(());
            }
        }
        done.files_before += group.len() as u64;
        done.files_after += 1;
        done.rows += rows;
        done.bytes_before += group.iter().map(|file| file.size).sum::<u64>();
        done.bytes_after += segment.file.len() as u64;
        let path = Self::path(&segment, self.log.size());
        let compaction = Compaction { stored: stored(table, &path, &segment), replaces };
        let add = vec![self.write(table, path, segment)?];
        let statement = Statement::Compaction(compaction);
        let batch = Batch {
            add,
            remove: group.to_vec(),
            kind: ChangeKind::Compact,
            statements: vec![statement.clone()],
        };
        let (leaf, time) = self.commit(table, batch)?;
        ledger.take(leaf, time, &statement);
        Ok(())
    }

    /// A file and its leaf, if it is what the log says.
    fn sound(&self, table: &str, file: &DataFile, ledger: &Ledger) -> Result<(u64, Whole), String> {
        let path = format!("{table}/{}", file.path);
        let leaf = ledger.leaf_of(&path);
        let known = leaf.and_then(|leaf| Some((leaf, ledger.live.get(&leaf)?)));
        let Some((leaf, Live { stored, .. })) = known else { return Err(format!("{path}: not in the log")) };
        let whole = Whole::open(self.lake.table(table), &file.path, file.size).map_err(|e| e.to_string())?;
        if Hash::of(&whole.bytes) == stored.file_hash {
            Ok((leaf, whole))
        } else {
            Err(format!("{path}: it is not the file that log entry {leaf} states"))
        }
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
    files.retain(|file| file.size < TARGET / 2 && file.rows < ROWS / 2);
    files.sort_by(|a, b| (&a.class, &a.day, &a.path).cmp(&(&b.class, &b.day, &b.path)));
    let mut groups = Vec::new();
    for partition in files.chunk_by(|a, b| (&a.class, &a.day) == (&b.class, &b.day)) {
        if partition.len() < options.min_files.max(2) {
            continue;
        }
        let mut group: Vec<DataFile> = Vec::new();
        let (mut bytes, mut rows) = (0, 0);
        for file in partition {
            let full = bytes + file.size > TARGET || rows + file.rows > ROWS;
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
