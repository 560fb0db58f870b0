//! Reads a log without its key, while a writer may be writing: everything a checkpoint speaks of was on disk
//! before the checkpoint was.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs, io,
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

/// How many leaves the notes of one history file speak of.
pub(crate) const HISTORY_SPAN: u64 = 4096;

/// The file below the log's directory that keeps the checkpoints of these sizes.
pub(crate) fn history_file(size: u64) -> String {
    format!("checkpoints/{:012}", size / HISTORY_SPAN)
}

/// The checkpoints of a log from the oldest: the notes, one after another, with an empty line between.
#[derive(Debug)]
pub struct History {
    root: PathBuf,
    /// Numbers of the files still to be read, the last first.
    files: Vec<String>,
    file: String,
    lines: Option<io::BufReader<io::Take<fs::File>>>,
    line: u64,
    /// A line that was read too far.
    pushed: Vec<u8>,
}

/// One note of the history.
#[derive(Debug)]
pub struct Kept {
    /// The file, relative to the log.
    pub file: String,
    /// The line on which it begins.
    pub line: u64,
    /// The note; or the words on why it is none, and the text as far as it was read.
    pub note: Result<String, String>,
}

/// Most bytes of one history file that are read.
const MAX_HISTORY: u64 = 1 << 30;

impl History {
    pub(crate) fn open(root: &FsPath) -> Result<Self, LogError> {
        let directory = root.join("checkpoints");
        let failed = |source| LogError::File { path: directory.display().to_string(), source };
        let mut files = Vec::new();
        match fs::read_dir(&directory) {
            Ok(entries) => {
                for entry in entries {
                    let name = entry.map_err(failed)?.file_name();
                    let name = name.to_string_lossy();
                    if name.len() == 12 && name.bytes().all(|b| b.is_ascii_digit()) {
                        files.push(format!("checkpoints/{name}"));
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        files.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self {
            root: root.to_owned(),
            files,
            file: String::new(),
            lines: None,
            line: 0,
            pushed: Vec::new(),
        })
    }

    /// The path of the newest file, if there is one.
    pub(crate) fn newest(&self) -> Option<&str> {
        self.files.first().map(String::as_str)
    }

    fn next_file(&mut self) -> Result<bool, LogError> {
        let Some(file) = self.files.pop() else { return Ok(false) };
        let path = self.root.join(&file);
        let opened = fs::File::open(&path)
            .map_err(|source| LogError::File { path: path.display().to_string(), source })?;
        self.lines = Some(io::BufReader::new(io::Read::take(opened, MAX_HISTORY)));
        (self.file, self.line) = (file, 0);
        Ok(true)
    }

    /// Reads one note: lines up to the empty one after a signature, or the end of the file. A damaged note
    /// takes at most its neighbour with it.
    fn read(&mut self) -> io::Result<Option<Kept>> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        let mut note = std::mem::take(&mut self.pushed);
        let (mut signed, mut whole, begin) = (false, false, self.line + 1);
        self.line += u64::from(!note.is_empty());
        loop {
            let before = note.len();
            let left = (MAX_NOTE + 1).saturating_sub(before) as u64;
            let read = io::BufRead::read_until(&mut io::Read::take(&mut *lines, left), b'\n', &mut note)?;
            if read == 0 {
                if before == 0 {
                    self.lines = None;
                    return Ok(None);
                }
                break;
            }
            let line = &note[before..];
            if signed && line == b"\n" {
                self.line += 1;
                whole = true;
                note.pop();
                break;
            }
            let signature = line.starts_with("\u{2014} ".as_bytes());
            if signed && !signature {
                self.pushed = note.split_off(before);
                break;
            }
            signed = signature;
            self.line += 1;
        }
        let text = String::from_utf8(note).map_err(|_| "not UTF-8".to_owned());
        let note = text.and_then(|text| if whole { Ok(text) } else { Err(text) });
        Ok(Some(Kept { file: self.file.clone(), line: begin, note }))
    }
}

impl Iterator for History {
    type Item = Result<Kept, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Ok(Some(kept)) => return Some(Ok(kept)),
                Ok(None) => match self.next_file() {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                },
                Err(source) => {
                    self.lines = None;
                    let path = self.root.join(&self.file).display().to_string();
                    return Some(Err(LogError::File { path, source }));
                }
            }
        }
    }
}
