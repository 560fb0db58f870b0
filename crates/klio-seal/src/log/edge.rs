//! What a writer must have in memory to continue a log: its incomplete tiles, at most one per level.

use std::io;

use crate::{
    disk::Disk,
    hash::{Hash, leaf_hash},
    reader::{LogError, LogReader},
    tile::{self, Row, Tile, WIDTH},
    tree,
};

/// What is needed to continue: the incomplete tiles.
#[derive(Debug, Clone, Default)]
pub(super) struct Edge {
    pub(super) size: u64,
    /// The hashes of the last tile of each level, as far as it is filled.
    levels: Vec<Vec<Hash>>,
    /// The entries of the last bundle.
    bundle: Vec<u8>,
}

impl Edge {
    /// Reads the incomplete tiles of a log, and checks that they lead to its root.
    pub(super) fn read(reader: &LogReader) -> Result<Self, LogError> {
        let size = reader.size();
        let mut edge = Self { size, ..Self::default() };
        for level in 0..8 {
            let row = Row::Level(level);
            let (full, width) = Tile::widths(row, size);
            if full + width == 0 {
                break;
            }
            let mut hashes = Vec::new();
            if width > 0 {
                hashes = tile::hashes(&reader.tile(row, full, width)?).unwrap_or_default();
                hashes.truncate(width as usize);
            }
            edge.levels.push(hashes);
        }
        let (full, width) = Tile::widths(Row::Entries, size);
        if width > 0 {
            let damaged = || LogError::Damaged { file: Tile::new(Row::Entries, full, width).path() };
            let bundle = reader.tile(Row::Entries, full, width)?;
            let mut hashes = edge.levels.first().map_or(&[][..], Vec::as_slice).iter();
            for entry in tile::entries(&bundle).take(width as usize) {
                if hashes.next() != Some(&leaf_hash(entry)) {
                    return Err(damaged());
                }
                edge.bundle.extend((entry.len() as u16).to_be_bytes());
                edge.bundle.extend(entry);
            }
            if hashes.next().is_some() {
                return Err(damaged());
            }
        }
        if edge.root() == reader.root() {
            Ok(edge)
        } else {
            Err(LogError::Damaged { file: "the last tile of a level under tile/".into() })
        }
    }

    /// The root over all: the tree over each level's last hashes and, as the last of them, the root of what
    /// is too young to be in one (256 is a power of two, so that RFC 6962 splits just there).
    pub(super) fn root(&self) -> Hash {
        let mut younger: Option<Hash> = None;
        for level in &self.levels {
            let mut hashes = level.clone();
            hashes.extend(younger);
            if !hashes.is_empty() {
                younger = Some(tree::root(&hashes));
            }
        }
        younger.unwrap_or_else(Hash::empty)
    }

    /// Adds an entry and writes the tiles that it fills; `done` gets the partial tiles they replace.
    pub(super) fn push(&mut self, entry: &[u8], disk: &mut Disk, done: &mut Vec<String>) -> io::Result<()> {
        self.bundle.extend((entry.len() as u16).to_be_bytes());
        self.bundle.extend(entry);
        let mut index = self.size;
        self.size += 1;
        let mut hash = leaf_hash(entry);
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[level];
            hashes.push(hash);
            if hashes.len() < WIDTH as usize {
                break;
            }
            index /= WIDTH;
            let row = Row::Level(level as u32);
            disk.put(&Tile::new(row, index, WIDTH).path(), &bytes(hashes))?;
            done.push(Tile::partials(row, index));
            if level == 0 {
                disk.put(&Tile::new(Row::Entries, index, WIDTH).path(), &self.bundle)?;
                done.push(Tile::partials(Row::Entries, index));
                self.bundle.clear();
            }
            hash = tree::root(hashes);
            hashes.clear();
        }
        Ok(())
    }

    /// Writes the partial tiles that the last `added` entries have changed.
    pub(super) fn write_partials(&self, added: u64, disk: &mut Disk) -> io::Result<()> {
        for (level, hashes) in (0u32..).zip(&self.levels) {
            let row = Row::Level(level);
            let (full, width) = Tile::widths(row, self.size);
            let changed = Tile::widths(row, self.size - added) != (full, width);
            if width > 0 && changed {
                disk.put(&Tile::new(row, full, width).path(), &bytes(hashes))?;
                if level == 0 {
                    disk.put(&Tile::new(Row::Entries, full, width).path(), &self.bundle)?;
                }
            }
        }
        Ok(())
    }
}

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}
