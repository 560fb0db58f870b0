//! The files as the writer sees them: the active one, those that are complete, and how far disk and memory are.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use ring::rand::{SecureRandom, SystemRandom};

use super::{
    SpoolError, Torn,
    error::io_at,
    format::{FILE_HEAD, FileHead, Part, RECORD_HEAD, RecordHead, body_sum},
    position::sync_dir,
    segment::Segment,
    walk::{Walk, file_of, files},
    write_new,
};
use crate::keys::{Cipher, KeyError};

/// Numbers that are passed over when a file's head is gone and nobody can tell how many records it held.
const LEAP: u64 = 1 << 32;

/// The writer's files.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    key: Option<Arc<Cipher>>,
    max_bytes: u64,
    file_bytes: u64,
    active: Option<Active>,
    closed: Vec<Closed>,
    /// The number of the next batch.
    next: u64,
    written: Mark,
    durable: Mark,
    head: Vec<u8>,
    sealed: Vec<u8>,
}

/// A place between two records of the active file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    seq: u64,
    link: u128,
    len: u64,
}

#[derive(Debug)]
struct Active {
    file: Arc<File>,
    path: PathBuf,
    salt: u64,
}

#[derive(Debug)]
struct Closed {
    path: PathBuf,
    bytes: u64,
    last: u64,
}

impl Log {
    /// Takes up the files as a crash may have left them.
    pub fn recover(
        dir: &Path,
        key: Option<Arc<Cipher>>,
        (max_bytes, file_bytes): (u64, u64),
        cut: u64,
        damage: &mut Vec<SpoolError>,
    ) -> Result<(Self, Option<Torn>), SpoolError> {
        let start = Mark { seq: cut, link: 0, len: 0 };
        let mut log = Self {
            dir: dir.to_owned(),
            key,
            max_bytes,
            file_bytes,
            active: None,
            closed: Vec::new(),
            next: cut + 1,
            written: start,
            durable: start,
            head: Vec::new(),
            sealed: Vec::new(),
        };
        let mut found = files(dir)?;
        // A file whose head was not yet durable holds nothing that anybody relies on.
        while let Some((_, path)) = found.last()
            && fs::metadata(path).map_err(io_at("read", path))?.len() <= FILE_HEAD
            && Segment::open(path).map_err(io_at("open", path))?.is_none()
        {
            fs::remove_file(path).map_err(io_at("delete", path))?;
            found.pop();
        }
        let mut torn = None;
        if let Some((first, path)) = found.last() {
            if let Some(segment) = Segment::open(path).map_err(io_at("open", path))? {
                torn = log.take_up(&segment, *first, cut, damage)?;
            } else {
                let what = "the file's head is gone: its records cannot be read, and numbers are passed over";
                let (file, last) = (path.clone(), first.saturating_add(LEAP - 1));
                damage.push(SpoolError::Damaged { file, offset: 0, first: *first, last, what });
                log.next = log.next.max(last.saturating_add(1));
                log.written = Mark { seq: log.next - 1, ..start };
                log.durable = log.written;
            }
        }
        for (index, (_, path)) in found.iter().enumerate() {
            if log.active.as_ref().is_some_and(|active| active.path == *path) {
                continue;
            }
            let last = found.get(index + 1).map_or(log.next, |(first, _)| *first) - 1;
            let bytes = fs::metadata(path).map_err(io_at("read", path))?.len();
            log.closed.push(Closed { path: path.clone(), bytes, last });
        }
        Ok((log, torn))
    }

    /// Goes on in the newest file.
    fn take_up(
        &mut self,
        segment: &Segment,
        first: u64,
        cut: u64,
        damage: &mut Vec<SpoolError>,
    ) -> Result<Option<Torn>, SpoolError> {
        let path = &segment.path;
        let mut walk = Walk::check(&self.dir, first - 1);
        damage.extend(walk.by_ref().filter_map(Result::err));
        let tail = walk.tail();
        let file = OpenOptions::new().write(true).open(path).map_err(io_at("open", path))?;
        let len = segment.len().map_err(io_at("read", path))?;
        let torn =
            (len > tail.end).then(|| Torn { file: path.clone(), offset: tail.end, bytes: len - tail.end });
        if torn.is_some() {
            file.set_len(tail.end).map_err(io_at("cut the unfinished end of", path))?;
        }
        // What was only in memory when the writer was killed becomes durable before anything builds on it.
        file.sync_all().map_err(io_at("sync", path))?;
        sync_dir(&self.dir).map_err(io_at("sync", &self.dir))?;
        if tail.last >= cut {
            self.next = first.max(tail.last + 1);
            self.written = Mark { seq: tail.last, link: tail.link, len: tail.end };
            self.durable = self.written;
            if segment.head.sealed == self.key.is_some() {
                self.active =
                    Some(Active { file: Arc::new(file), path: path.clone(), salt: segment.head.salt });
            }
        }
        Ok(torn)
    }

    /// What a batch will take.
    pub fn size_of(&self, header: &[u8], payload: &[u8]) -> u64 {
        let seal = self.key.as_ref().map_or(0, |_| 2 * Cipher::OVERHEAD);
        (RECORD_HEAD + header.len() + payload.len() + seal) as u64
    }

    /// Whether the active file is too full for `need` more bytes.
    pub fn must_roll(&self, need: u64) -> bool {
        self.active.is_some() && self.written.len > FILE_HEAD && self.written.len + need > self.file_bytes
    }

    /// Refuses what is over the limit.
    pub fn check_room(&self, need: u64) -> Result<(), SpoolError> {
        let fresh = self.active.is_none() || self.must_roll(need);
        let need = need + if fresh { FILE_HEAD } else { 0 };
        if need + FILE_HEAD > self.max_bytes {
            return Err(SpoolError::TooLarge {
                part: "record",
                bytes: need,
                limit: self.max_bytes - FILE_HEAD,
            });
        }
        if self.bytes() + need > self.max_bytes {
            return Err(SpoolError::Full { bytes: self.bytes(), limit: self.max_bytes, need });
        }
        Ok(())
    }

    /// Writes a record behind the last one. It is not yet durable.
    pub fn write(&mut self, header: &[u8], payload: &[u8], need: u64) -> Result<u64, SpoolError> {
        self.check_room(need)?;
        if self.active.is_none() {
            self.start()?;
        }
        let Some(Active { file, path, salt }) = &self.active else {
            return Err(io_at("open a file in", &self.dir)(io::ErrorKind::NotFound.into()));
        };
        let (seq, prev) = (self.next, self.written.link);
        self.head.clear();
        self.head.resize(RECORD_HEAD, 0);
        self.sealed.clear();
        let stored = if let Some(key) = &self.key {
            key.seal(&RecordHead::context(*salt, seq, prev, Part::Header), header, &mut self.head)?;
            key.seal(&RecordHead::context(*salt, seq, prev, Part::Payload), payload, &mut self.sealed)?;
            &self.sealed[..]
        } else {
            self.head.extend_from_slice(header);
            payload
        };
        let record = RecordHead {
            header: (self.head.len() - RECORD_HEAD) as u32,
            payload: stored.len() as u32,
            seq,
            durable: self.durable.seq,
            prev,
            body: body_sum(*salt, &self.head[RECORD_HEAD..], stored),
        };
        self.head[..RECORD_HEAD].copy_from_slice(&record.encode(*salt));
        let at = self.written.len;
        let wrote = file
            .write_all_at(&self.head, at)
            .and_then(|()| file.write_all_at(stored, at + self.head.len() as u64));
        if let Err(error) = wrote {
            // If this fails too, the next record overwrites what is there, and a reader takes it for a torn tail.
            let _ = file.set_len(at);
            return Err(io_at("write", path)(error));
        }
        self.next += 1;
        self.written = Mark { seq, link: record.link(*salt), len: at + record.size() };
        Ok(seq)
    }

    /// The active file and how far it is written, if that is not durable yet.
    pub fn pending(&self) -> Option<(Arc<File>, Mark)> {
        let active = self.active.as_ref().filter(|_| self.written.seq > self.durable.seq)?;
        Some((Arc::clone(&active.file), self.written))
    }

    /// Everything up to `mark` is on disk.
    pub fn mark_durable(&mut self, mark: Mark) {
        self.durable = mark;
    }

    /// Bytes that the files may take.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Gives the active file up after a failed sync: what was durable stays, the rest is cut off. Returns the
    /// numbers that are lost.
    pub fn give_up(&mut self) -> (u64, u64, PathBuf) {
        let (first, last) = (self.durable.seq + 1, self.next - 1);
        let path = self.active.take().map_or_else(|| self.dir.clone(), |active| active.path);
        if path != self.dir {
            // Opened anew: the old descriptor's errors are spent. What cannot be cut off was never acknowledged,
            // and readers know from the next file's `after` that it does not count as missing.
            let _ = OpenOptions::new().write(true).open(&path).and_then(|file| {
                file.set_len(self.durable.len)?;
                file.sync_all()
            });
            self.closed.push(Closed { path: path.clone(), bytes: self.durable.len, last });
        }
        self.written = self.durable;
        (first, last, path)
    }

    /// Ends the active file, which is durable.
    pub fn close(&mut self) {
        if let Some(active) = self.active.take() {
            self.closed.push(Closed { path: active.path, bytes: self.written.len, last: self.written.seq });
        }
    }

    /// Whether all batches of the active file are cut.
    pub fn is_spent(&self, upto: u64) -> bool {
        self.active.is_some() && self.written.len > FILE_HEAD && self.written.seq <= upto
    }

    /// Begins a new file, so that the active one can be deleted.
    pub fn restart(&mut self) -> Result<(), SpoolError> {
        self.close();
        self.start()
    }

    /// Deletes complete files that hold nothing above `upto`.
    pub fn delete(&mut self, upto: u64) -> Result<(), SpoolError> {
        // Without an active file the newest one remembers the numbers.
        let keep = usize::from(self.active.is_none());
        while self.closed.len() > keep && self.closed[0].last <= upto {
            let path = &self.closed[0].path;
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_at("delete", path)(error));
                }
                _ => drop(self.closed.remove(0)),
            }
        }
        Ok(())
    }

    /// Begins behind `seq`, in a new file.
    pub fn pass_over(&mut self, seq: u64) -> Result<(), SpoolError> {
        self.close();
        let mark = Mark { seq, link: 0, len: 0 };
        (self.next, self.written, self.durable) = (seq + 1, mark, mark);
        self.start()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |_| self.written.len);
        active + self.closed.iter().map(|file| file.bytes).sum::<u64>()
    }

    /// The last batch that was written.
    pub fn last(&self) -> u64 {
        self.next - 1
    }

    /// The last batch that is durable.
    pub fn durable(&self) -> u64 {
        self.durable.seq
    }

    fn start(&mut self) -> Result<(), SpoolError> {
        let mut salt = [0; 8];
        SystemRandom::new().fill(&mut salt).map_err(|_| KeyError::Random)?;
        let salt = u64::from_le_bytes(salt);
        let head = FileHead {
            sealed: self.key.is_some(),
            first: self.next,
            after: self.written.seq,
            salt,
            link: self.written.link,
        };
        let path = file_of(&self.dir, self.next);
        let made = write_new(&path, &head.encode()).and_then(|file| sync_dir(&self.dir).map(|()| file));
        let file = made.map_err(|error| {
            // A file without records is harmless; the next try overwrites it.
            let _ = fs::remove_file(&path);
            io_at("make", &path)(error)
        })?;
        self.active = Some(Active { file: Arc::new(file), path, salt });
        self.written.len = FILE_HEAD;
        self.durable = self.written;
        Ok(())
    }
}
