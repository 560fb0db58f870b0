//! Reads a log without its key, while a writer may be writing: everything a checkpoint speaks of was on disk
//! before the checkpoint was.

mod history;

pub(crate) use history::history_file;
pub use history::{History, Kept};

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    ops::Range,
    path::{Path as FsPath, PathBuf},
};

use crate::{
    disk,
    hash::Hash,
    note::{Checkpoint, MAX_NOTE, NoteError},
    tile::{self, MAX_BUNDLE, MAX_TILE, Row, Tile, WIDTH},
    tree::{self, Nodes, Path, consistency_in, inclusion_in},
};

/// A log as its checkpoint was when this was opened.
#[derive(Debug, Clone)]
pub struct LogReader {
    root: PathBuf,
    text: String,
    checkpoint: Checkpoint,
}

/// A log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused.
    #[error("{path}: {source}")]
    File {
        /// The file or directory.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// There is no checkpoint, hence no log.
    #[error("{0} holds no log: there is no checkpoint")]
    NoLog(String),
    /// There is a log already where one should be made.
    #[error("{0} holds a log already")]
    Exists(String),
    /// The checkpoint cannot be read.
    #[error("the checkpoint is damaged: {0}")]
    Checkpoint(NoteError),
    /// A file that the checkpoint speaks of is not there or is not what the checkpoint says.
    #[error("{file} is missing or damaged")]
    Damaged {
        /// The file, relative to the log.
        file: String,
    },
    /// What was asked for lies outside of the log.
    #[error("there is no leaf or size {asked} in a log of {size} entries")]
    Outside {
        /// What was asked for.
        asked: u64,
        /// The size of the log.
        size: u64,
    },
    /// Another process writes this log.
    #[error("{0} is open for writing elsewhere")]
    Locked(String),
    /// The log belongs to another key, and its last entry does not hand it over to this one.
    #[error("the log is signed by another key than {key}")]
    OtherKey {
        /// The key it was opened with.
        key: String,
    },
    /// A witness's key cannot sign for a log.
    #[error("{0} is a witness's key")]
    WitnessKey(String),
    /// An entry is longer than its 16 bits of length can say.
    #[error("entry {0} is longer than 65535 bytes")]
    EntryTooLong(u64),
    /// The log holds another entry at this index than the one given: two histories.
    #[error("fork: the log holds another entry at index {index}")]
    Fork {
        /// The first that differs.
        index: u64,
    },
    /// Entries would leave a hole.
    #[error("the log holds {size} entries and cannot continue at {index}")]
    Gap {
        /// Where the entries should go.
        index: u64,
        /// The size of the log.
        size: u64,
    },
    /// A write failed half-way; what is on disk is known only after opening the log anew.
    #[error("an earlier write failed; open the log again")]
    Broken,
}

impl LogReader {
    /// Opens a log at its present checkpoint. Signatures are not verified here: see [`crate::verify`].
    pub fn open(directory: &FsPath) -> Result<Self, LogError> {
        let path = directory.join("checkpoint");
        let failed = |source| LogError::File { path: path.display().to_string(), source };
        let bytes = disk::read(&path, MAX_NOTE as u64).map_err(failed)?;
        let bytes = bytes.ok_or_else(|| LogError::NoLog(directory.display().to_string()))?;
        let text =
            String::from_utf8(bytes).map_err(|_| LogError::Checkpoint(NoteError::Malformed("not UTF-8")))?;
        Self::at(directory, text)
    }

    /// Opens a log at an older checkpoint of it.
    pub fn at(directory: &FsPath, checkpoint: String) -> Result<Self, LogError> {
        let (parsed, _) = Checkpoint::parse(&checkpoint).map_err(LogError::Checkpoint)?;
        Ok(Self { root: directory.to_owned(), text: checkpoint, checkpoint: parsed })
    }

    /// Where the log is.
    pub fn directory(&self) -> &FsPath {
        &self.root
    }

    /// The unique name of the log.
    pub fn origin(&self) -> &str {
        &self.checkpoint.origin
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        self.checkpoint.root
    }

    /// The signed note.
    pub fn checkpoint(&self) -> &str {
        &self.text
    }

    /// Every checkpoint that was ever signed, from the oldest.
    pub fn history(&self) -> Result<History, LogError> {
        History::open(&self.root)
    }

    /// The entries of a range with their indices; ends early after an error.
    pub fn entries(&self, range: Range<u64>) -> LogEntries<'_> {
        LogEntries {
            reader: self,
            next: range.start,
            end: range.end.min(self.size()),
            bundle: Vec::new(),
            at: 0,
        }
    }

    /// One entry.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let outside = LogError::Outside { asked: index, size: self.size() };
        self.entries(index..index.saturating_add(1)).next().unwrap_or(Err(outside)).map(|(_, entry)| entry)
    }

    /// Proves that entry `index` is in the log.
    pub fn inclusion(&self, index: u64) -> Result<Path, LogError> {
        if index >= self.size() {
            return Err(LogError::Outside { asked: index, size: self.size() });
        }
        inclusion_in(&Tiles::new(self), index, self.size())
    }

    /// Proves that the log begins with its first `old` entries.
    pub fn consistency(&self, old: u64) -> Result<Path, LogError> {
        if old > self.size() {
            return Err(LogError::Outside { asked: old, size: self.size() });
        }
        consistency_in(&Tiles::new(self), old, self.size())
    }

    /// Reads a tile of at least this width, or the full one that has taken its place.
    pub(crate) fn tile(&self, row: Row, index: u64, width: u64) -> Result<Vec<u8>, LogError> {
        read_tile(&self.root, row, index, width)
    }
}

/// Reads a tile, or the full one that has taken its place.
pub(crate) fn read_tile(root: &FsPath, row: Row, index: u64, width: u64) -> Result<Vec<u8>, LogError> {
    let limit = if row == Row::Entries { MAX_BUNDLE } else { MAX_TILE };
    let mut widths = vec![width];
    widths.extend((width < WIDTH).then_some(WIDTH));
    for width in widths {
        let path = root.join(Tile::new(row, index, width).path());
        let failed = |source| LogError::File { path: path.display().to_string(), source };
        if let Some(bytes) = disk::read(&path, limit).map_err(failed)? {
            return Ok(bytes);
        }
    }
    Err(LogError::Damaged { file: Tile::new(row, index, width).path() })
}

/// Iterates over entries.
#[derive(Debug)]
pub struct LogEntries<'a> {
    reader: &'a LogReader,
    next: u64,
    end: u64,
    bundle: Vec<u8>,
    /// Where the next entry begins in `bundle`; at the end of it when the next bundle is due.
    at: usize,
}

impl LogEntries<'_> {
    fn read(&mut self) -> Result<(u64, Vec<u8>), LogError> {
        let index = self.next;
        let size = self.reader.size();
        let width = (size - index / WIDTH * WIDTH).min(WIDTH);
        let damaged = || LogError::Damaged { file: Tile::new(Row::Entries, index / WIDTH, width).path() };
        if self.bundle.is_empty() || index.is_multiple_of(WIDTH) {
            self.bundle = self.reader.tile(Row::Entries, index / WIDTH, width)?;
            self.at = 0;
            for _ in 0..index % WIDTH {
                let entry = tile::entries(&self.bundle[self.at..]).next().ok_or_else(damaged)?;
                self.at += 2 + entry.len();
            }
        }
        let entry = tile::entries(&self.bundle[self.at..]).next().ok_or_else(damaged)?.to_vec();
        self.at += 2 + entry.len();
        self.next += 1;
        Ok((index, entry))
    }
}

impl Iterator for LogEntries<'_> {
    type Item = Result<(u64, Vec<u8>), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let item = self.read();
        if item.is_err() {
            self.next = self.end;
        }
        Some(item)
    }
}

/// Complete subtrees from tiles. The root of `2^(8l + r)` leaves is computed from `2^r` hashes of level `l`.
struct Tiles<'a> {
    reader: &'a LogReader,
    read: RefCell<HashMap<(u32, u64), Vec<Hash>>>,
}

impl<'a> Tiles<'a> {
    fn new(reader: &'a LogReader) -> Self {
        Self { reader, read: RefCell::default() }
    }
}

impl Nodes for Tiles<'_> {
    type Error = LogError;

    fn node(&self, level: u32, index: u64) -> Result<Hash, LogError> {
        let (tile_level, below) = (level / 8, level % 8);
        let first = index << below;
        let place = (tile_level, first / WIDTH);
        let mut read = self.read.borrow_mut();
        let row = Row::Level(tile_level);
        let (full, partial) = Tile::widths(row, self.reader.size());
        let width = if place.1 < full { WIDTH } else { partial };
        let damaged = || LogError::Damaged { file: Tile::new(row, place.1, width).path() };
        let hashes = match read.entry(place) {
            std::collections::hash_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::hash_map::Entry::Vacant(slot) => {
                let bytes = self.reader.tile(row, place.1, width)?;
                slot.insert(tile::hashes(&bytes).ok_or_else(damaged)?)
            }
        };
        let from = (first % WIDTH) as usize;
        hashes.get(from..from + (1 << below)).map(tree::root).ok_or_else(damaged)
    }
}
