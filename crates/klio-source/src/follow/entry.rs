//! One file that is followed: how far it was read, and where it lies now.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use xxhash_rust::xxh3::xxh3_64;

use super::cut::{Cut, Sizes, cut};
use super::mark::{Mark, TAIL};
use super::tape::Tape;
use crate::{Options, Reason};

/// Bytes of a file's begin that are compared each time.
const BEGIN: usize = 1024;

/// What the file system calls a file: device and inode. The same may be another file later.
pub(crate) type Key = (u64, u64);

/// One file, wherever it lies.
pub(crate) struct Entry {
    /// Under whose position it is remembered.
    pub lane: usize,
    /// Older files first.
    pub order: u64,
    pub mark: Mark,
    pub place: Option<Place>,
    /// It had a place since the follower began.
    pub was_met: bool,
    pub trouble: Option<Reason>,
}

/// Where a file lies.
pub(crate) struct Place {
    pub path: PathBuf,
    pub key: Key,
    /// Closed when many are open.
    pub tape: Option<Tape>,
    pub is_packed: bool,
    /// How the file begins, and the bytes before the offset.
    pub begin: Vec<u8>,
    pub tail: Vec<u8>,
    /// Bytes on disk, and when they changed.
    pub len: u64,
    pub changed: Option<SystemTime>,
    /// There may be more to read.
    pub is_dirty: bool,
    pub sought: u64,
    /// How often it was seen without a name.
    pub nameless: u32,
}

/// Whether a mark is one of a file.
pub(crate) enum Fit {
    /// Yes, and these bytes stand before its offset.
    Yes(Vec<u8>),
    /// The file is shorter, or not whole.
    Short,
    /// The file only begins alike.
    No,
}

/// Looks whether `tape`, with so many bytes on disk, is what the mark was set in.
pub(crate) fn fit(mark: &Mark, tape: &mut Tape, len: u64) -> Result<Fit, Reason> {
    if tape.is_packed() && mark.packed == Some(len) {
        return Ok(Fit::Yes(Vec::new()));
    }
    let mut bytes = Vec::new();
    let n = mark.offset().min(TAIL as u64);
    tape.read(mark.offset() - n, n as usize, &mut bytes)?;
    if (bytes.len() as u64) < n {
        return Ok(Fit::Short);
    }
    let is_same = mark.end.is_none_or(|end| end == xxh3_64(&bytes));
    Ok(if is_same { Fit::Yes(bytes) } else { Fit::No })
}

impl Place {
    pub(crate) fn new(path: &Path, key: Key, mut tape: Tape, tail: Vec<u8>) -> Result<Self, Reason> {
        let mut begin = Vec::new();
        let is_packed = tape.is_packed();
        if !is_packed {
            tape.read(0, BEGIN, &mut begin)?;
        }
        let meta = tape.file().metadata().ok();
        Ok(Self {
            path: path.to_path_buf(),
            key,
            tape: Some(tape),
            is_packed,
            begin,
            tail,
            len: meta.as_ref().map_or(0, |m| m.len()),
            changed: meta.and_then(|m| m.modified().ok()),
            is_dirty: true,
            sought: 0,
            nameless: 0,
        })
    }

    /// Whether the open file still begins as it did, reaches up to `end` and has the same bytes before the offset.
    pub(crate) fn is_intact(&self, offset: u64, end: u64) -> bool {
        let Some(tape) = &self.tape else { return true };
        let Ok(meta) = tape.file().metadata() else { return false };
        if self.is_packed {
            return meta.len() == self.len;
        }
        let mut room = [0; BEGIN];
        let mut holds = |bytes: &[u8], at: u64| {
            let room = &mut room[..bytes.len().min(BEGIN)];
            tape.file().read_exact_at(room, at).is_ok() && *room == *bytes
        };
        meta.len() >= end
            && holds(&self.begin, 0)
            && holds(&self.tail, offset.saturating_sub(self.tail.len() as u64))
    }

    /// Opens the file again if it was closed. False if it is another one now.
    pub(crate) fn open(&mut self, options: &Options, offset: u64) -> Result<bool, Reason> {
        if self.tape.is_some() {
            return Ok(true);
        }
        let tape = Tape::open(&self.path, options)?;
        let is_same = tape.file().metadata().is_ok_and(|m| (m.dev(), m.ino()) == self.key)
            && tape.is_packed() == self.is_packed;
        self.tape = Some(tape);
        Ok(is_same && self.is_intact(offset, offset))
    }
}

/// A cut with the mark and the tail behind it.
pub(crate) struct Next {
    pub cut: Cut,
    pub mark: Mark,
    pub tail: Vec<u8>,
}

enum Step {
    Next(Box<Next>),
    Nothing,
    /// Another file lies there.
    Lost,
}

impl Entry {
    /// The next whole lines. The file may lose its place with it, if it is another one now.
    pub(crate) fn next(&mut self, options: &Options, sizes: Sizes) -> Option<Next> {
        let offset = self.mark.offset();
        let place = self.place.as_mut()?;
        match Self::try_next(place, &self.mark, options, sizes) {
            Ok(Step::Next(next))
                if place.is_intact(offset, if place.is_packed { 0 } else { next.cut.to }) =>
            {
                self.trouble = None;
                return Some(*next);
            }
            Ok(Step::Nothing) if place.is_intact(offset, offset) => {
                place.is_dirty = false;
                let tape = place.tape.as_ref();
                self.trouble = tape.and_then(Tape::flaw).cloned();
                if place.is_packed && tape.is_some_and(|tape| tape.is_end(offset)) {
                    self.mark.packed = Some(place.len);
                    place.tape = None;
                }
            }
            Ok(_) => self.place = None,
            Err(reason) => {
                place.is_dirty = false;
                place.tape = None;
                self.trouble = Some(reason);
            }
        }
        None
    }

    fn try_next(place: &mut Place, mark: &Mark, options: &Options, sizes: Sizes) -> Result<Step, Reason> {
        let offset = mark.offset();
        if place.is_packed && mark.packed == Some(place.len) {
            return Ok(Step::Nothing);
        }
        if !place.open(options, offset)? {
            return Ok(Step::Lost);
        }
        let Some(tape) = &mut place.tape else { return Ok(Step::Nothing) };
        let Some(cut) = cut(tape, offset, &mut place.sought, sizes)? else { return Ok(Step::Nothing) };
        let mut tail = Vec::new();
        if cut.from == offset && cut.passed.is_none() {
            // Without reading backwards, as a compressed file would be inflated anew.
            tail.extend_from_slice(&place.tail);
            tail.extend_from_slice(cut.bytes.get(cut.bytes.len().saturating_sub(TAIL)..).unwrap_or_default());
            tail.drain(..tail.len().saturating_sub(TAIL));
        } else {
            let n = cut.to.min(TAIL as u64);
            tape.read(cut.to - n, n as usize, &mut tail)?;
        }
        let feeds = memchr::memchr_iter(b'\n', &cut.bytes).count() as u64;
        let is_last = tape.is_end(cut.to);
        let mark = Mark {
            bytes: Some(cut.to),
            lines: mark.lines + feeds + u64::from(cut.passed.is_some()),
            end: Some(xxh3_64(&tail)),
            packed: is_last.then_some(place.len),
            ..mark.clone()
        };
        Ok(Step::Next(Box::new(Next { cut, mark, tail })))
    }

    /// Goes on behind what was cut.
    pub(crate) fn advance(&mut self, mark: Mark, tail: Vec<u8>) {
        self.mark = mark;
        if let Some(place) = &mut self.place {
            place.tail = tail;
            place.sought = 0;
        }
    }

    /// Bytes that are there and not read yet.
    pub(crate) fn lag(&self) -> u64 {
        match &self.place {
            Some(place) if place.is_packed && self.mark.packed == Some(place.len) => 0,
            Some(place) if place.is_packed => place.len,
            Some(place) => place.len.saturating_sub(self.mark.offset()),
            None => 0,
        }
    }
}
