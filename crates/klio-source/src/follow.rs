//! Follows log files that grow and are rotated: every line once, also over a restart.
//!
//! A file is known by how it begins, never by its name or inode. It is read to its end under whatever name it has,
//! then the one that took its place. How far each was read is remembered in one position for the place where it lay
//! when it was met first; a [`Piece`] carries the position that is true once its lines are kept.

mod cut;
mod entry;
mod mark;
mod match_up;
mod piece;
mod sight;
mod tape;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cut::Sizes;
use entry::Entry;
pub use piece::Piece;
use sight::{Sights, place};

use crate::{Options, Reason, Rejected};

/// How files are followed.
#[derive(Clone, Debug)]
pub struct Following {
    /// How often is looked for new files and whether the known ones grew.
    pub every: Duration,
    /// Bytes of a piece, unless one line is larger.
    pub piece: usize,
    /// Files that are kept open, so that they are read to their end also when they are deleted.
    pub open: usize,
    /// Limits of reading.
    pub reading: Options,
}

impl Default for Following {
    fn default() -> Self {
        Self { every: Duration::from_secs(1), piece: 1 << 20, open: 512, reading: Options::default() }
    }
}

/// A file that is followed, or should be.
#[derive(Clone, Debug)]
pub struct FollowedFile {
    /// Where it lies, or the pattern.
    pub path: String,
    /// Bytes on disk.
    pub size: u64,
    /// Bytes that were read and kept, of the inflated content.
    pub offset: u64,
    /// Bytes that are there and not kept yet. Of a compressed file, all of it until it was read to the end.
    pub lag: u64,
    /// When it changed last.
    pub changed: Option<SystemTime>,
    /// What is wrong. It is tried again.
    pub trouble: Option<Reason>,
}

/// Follows the files that fit patterns, in the order of their writing.
pub struct Follower {
    patterns: Vec<String>,
    following: Following,
    lanes: Vec<Lane>,
    by_path: HashMap<Arc<str>, usize>,
    entries: Vec<Entry>,
    /// Files of one rotated log, oldest first, as numbers of entries.
    sets: Vec<Vec<usize>>,
    /// Which set is next.
    turn: usize,
    orders: u64,
    pending: Option<Pending>,
    scanned: Option<Instant>,
    sights: Sights,
    /// Files that cannot be read, or not yet.
    waiting: Vec<FollowedFile>,
}

/// A place whose position is remembered.
struct Lane {
    path: Arc<str>,
    /// The log it belongs to, with what was rotated out of it.
    set: PathBuf,
}

/// A piece that was handed out.
struct Pending {
    piece: Piece,
    tail: Vec<u8>,
}

impl Follower {
    /// Follows the files that fit `patterns`: paths, directories, globs. `known` are the positions that were made durable,
    /// by source (`file:PATH`); those of other sources are left alone.
    pub fn new<P, K>(patterns: P, known: K, following: Following) -> Self
    where
        P: IntoIterator<Item: Into<String>>,
        K: IntoIterator<Item = (String, String)>,
    {
        let mut follower = Self {
            patterns: patterns.into_iter().map(Into::into).collect(),
            following,
            lanes: Vec::new(),
            by_path: HashMap::new(),
            entries: Vec::new(),
            sets: Vec::new(),
            turn: 0,
            orders: 0,
            pending: None,
            scanned: None,
            sights: Sights::default(),
            waiting: Vec::new(),
        };
        for (source, position) in known {
            let Some(path) = source.strip_prefix("file:") else { continue };
            for mark in mark::read(&position) {
                let (lane, order) = (follower.lane(path), follower.order());
                follower.entries.push(Entry {
                    lane,
                    order,
                    mark,
                    place: None,
                    was_met: false,
                    trouble: None,
                });
            }
        }
        follower
    }

    /// The next piece of whole lines, or nothing for now. The same again until it is [kept](Self::kept).
    pub fn piece(&mut self) -> Option<Piece> {
        if let Some(pending) = &self.pending {
            return Some(pending.piece.clone());
        }
        if self.scanned.is_none_or(|at| at.elapsed() >= self.following.every) {
            self.scan();
            self.scanned = Some(Instant::now());
        }
        let sizes = self.sizes();
        for n in 0..self.sets.len() {
            let turn = (self.turn + n) % self.sets.len();
            let set = self.sets.get(turn).cloned().unwrap_or_default();
            for of in set {
                if let Some(piece) = self.read(of, sizes) {
                    self.turn = turn + 1;
                    return Some(piece);
                }
            }
        }
        None
    }

    /// The piece is durable, with the position for so many records: what [`Piece::decode`] returned.
    pub fn kept(&mut self, piece: &Piece, records: u64) {
        let is_it = |p: &Pending| p.piece.of == piece.of && p.piece.mark == piece.mark;
        let Some(Pending { tail, .. }) = self.pending.take_if(|p| is_it(p)) else { return };
        if let Some(entry) = self.entries.get_mut(piece.of) {
            entry.advance(piece.after(records), tail);
        }
    }

    /// How long until it is looked for changes again, if nothing is there now.
    pub fn idle(&self) -> Duration {
        self.scanned.map_or(Duration::ZERO, |at| self.following.every.saturating_sub(at.elapsed()))
    }

    /// The files that lie where the patterns lead, as they were seen last, and what cannot be read.
    pub fn status(&self) -> Vec<FollowedFile> {
        let mut all = self.waiting.clone();
        for entry in &self.entries {
            let Some(place) = &entry.place else { continue };
            all.push(FollowedFile {
                path: place.path.to_string_lossy().into_owned(),
                size: place.len,
                offset: entry.mark.offset(),
                lag: entry.lag(),
                changed: place.changed,
                trouble: entry.trouble.clone(),
            });
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }

    fn sizes(&self) -> Sizes {
        Sizes { most: self.following.piece, cap: self.following.reading.record_cap }
    }

    fn order(&mut self) -> u64 {
        self.orders += 1;
        self.orders
    }

    /// The number of the lane of a path.
    fn lane(&mut self, path: &str) -> usize {
        if let Some(lane) = self.by_path.get(path) {
            return *lane;
        }
        let path: Arc<str> = path.into();
        self.lanes.push(Lane { path: path.clone(), set: place(Path::new(&*path)).set });
        self.by_path.insert(path, self.lanes.len() - 1);
        self.lanes.len() - 1
    }

    /// Reads a piece of a file.
    fn read(&mut self, of: usize, sizes: Sizes) -> Option<Piece> {
        let entry = self.entries.get_mut(of)?;
        if !entry.place.as_ref()?.is_dirty {
            return None;
        }
        let next = entry.next(&self.following.reading, sizes)?;
        let file: Arc<str> = entry.place.as_ref()?.path.to_string_lossy().into();
        let (lane, order, line) = (entry.lane, entry.order, entry.mark.lines + 1);
        let passed = next.cut.passed.into_iter();
        let rejected = passed.map(|reason| Rejected { file: file.clone(), line, count: 1, reason }).collect();
        let mut others: Vec<&Entry> =
            self.entries.iter().filter(|e| e.lane == lane && e.order != order && e.mark.is_begun()).collect();
        others.sort_by_key(|e| e.order);
        let (older, newer): (Vec<&Entry>, Vec<&Entry>) = others.into_iter().partition(|e| e.order < order);
        let marks = |entries: Vec<&Entry>| entries.iter().map(|e| e.mark.clone()).collect();
        let piece = Piece {
            path: self.lanes.get(lane)?.path.clone(),
            file,
            bytes: Arc::new(next.cut.bytes),
            line,
            rejected,
            of,
            mark: next.mark,
            others: (marks(older), marks(newer)),
            options: self.following.reading.clone(),
        };
        self.pending = Some(Pending { piece: piece.clone(), tail: next.tail });
        Some(piece)
    }
}
