//! Reading in order: from file to file, past damage, never past what is missing without a word.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Batch, SpoolError,
    error::io_at,
    format::{FILE_HEAD, Part, RecordHead},
    position,
    segment::{Found, Segment},
};
use crate::keys::Cipher;

/// A file of the spool that is held open, so that it can be read although it was cut; without a readable head it is only named.
#[derive(Clone)]
struct Open {
    first: u64,
    path: PathBuf,
    segment: Option<Segment>,
}

/// The files of a spool from some batch on, as they were at one moment.
#[derive(Clone)]
pub(crate) struct Held {
    dir: PathBuf,
    after: u64,
    files: Arc<[Open]>,
}

impl Held {
    /// Opens the files with the batches above `after`; `None` if one was cut meanwhile.
    pub fn open(dir: &Path, after: u64) -> Result<Option<Self>, SpoolError> {
        let listed = files(dir)?;
        let begin = listed.iter().rposition(|(first, _)| *first <= after + 1);
        // Batches are numbered without gaps.
        if begin.is_none() && !listed.is_empty() {
            return Ok(None);
        }
        let mut open = Vec::new();
        for (first, path) in listed.into_iter().skip(begin.unwrap_or(0)) {
            let segment = match Segment::open(&path) {
                Ok(segment) => segment.map(Segment::held).transpose(),
                Err(e) if e.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(&path).is_err() => {
                    return Ok(None);
                }
                Err(e) => Err(e),
            };
            open.push(Open { first, segment: segment.map_err(io_at("open", &path))?, path });
        }
        Ok(Some(Self { dir: dir.to_owned(), after, files: open.into() }))
    }

    /// Its batches.
    pub fn batches(
        &self,
        key: Option<Arc<Cipher>>,
    ) -> impl Iterator<Item = Result<Batch, SpoolError>> + use<> {
        Walk { held: Some(self.files.clone()), ..Walk::new(&self.dir, key, self.after, u64::MAX) }
    }

    /// Bytes of the files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|file| file.segment.as_ref()?.len().ok()).sum()
    }
}

/// Walks over the batches above a number. Once it has returned `None`, it may return more later.
pub(super) struct Walk {
    dir: PathBuf,
    key: Option<Arc<Cipher>>,
    /// Only numbers above are returned.
    after: u64,
    /// Only numbers up to this are returned.
    upto: u64,
    current: Option<Segment>,
    offset: u64,
    /// The first number of the file that was opened last, by its name.
    file: u64,
    /// The last number passed.
    last: u64,
    /// What the next record must name as the one before; unknown behind damage.
    link: Option<u128>,
    /// Where the rest of the file was lost.
    broken: Option<(PathBuf, u64, &'static str)>,
    ready: VecDeque<Result<Batch, SpoolError>>,
    started: bool,
    failed: bool,
    /// Only sums and order are looked at; nothing is opened with a key.
    check: bool,
    /// The files, if it does not go by those in the directory.
    held: Option<Arc<[Open]>>,
}

/// Where the readable part of the last file ends.
pub(super) struct Tail {
    pub last: u64,
    pub link: u128,
    pub end: u64,
}

impl Walk {
    pub fn new(dir: &Path, key: Option<Arc<Cipher>>, after: u64, upto: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            key,
            after,
            upto,
            current: None,
            offset: FILE_HEAD,
            file: 0,
            last: after,
            link: None,
            broken: None,
            ready: VecDeque::new(),
            started: false,
            failed: false,
            check: false,
            held: None,
        }
    }

    /// Looks for damage behind `after`, with or without the key.
    pub fn check(dir: &Path, after: u64) -> Self {
        Self { check: true, ..Self::new(dir, None, after, u64::MAX) }
    }

    /// Returns batches up to this number from now on.
    pub fn up_to(&mut self, upto: u64) {
        self.upto = upto;
    }

    /// Where it stands, after it has returned `None`.
    pub fn tail(&self) -> Tail {
        Tail { last: self.last, link: self.link.unwrap_or(0), end: self.offset }
    }

    fn step(&mut self) -> Result<bool, SpoolError> {
        let Some(segment) = self.current.take() else { return self.open_next() };
        let path = segment.path.clone();
        let failed = || io_at("read", &path);
        match segment.read(self.offset).map_err(failed())? {
            Found::Record { head, header, payload } => {
                self.take(&segment, head, header, payload);
                self.offset += head.size();
            }
            found => {
                let newer = self.file_above(self.file)?;
                // A file that has a successor is complete, but it may have grown since it was read.
                let found =
                    if newer.is_some() { segment.read(self.offset).map_err(failed())? } else { found };
                match found {
                    Found::Record { .. } => {}
                    Found::End if newer.is_some() => return self.open_next(),
                    Found::End => {
                        self.current = Some(segment);
                        return Ok(false);
                    }
                    Found::Bad => {
                        let wanted = self.last + 1;
                        let torn =
                            newer.is_none() && !segment.was_durable(self.offset, wanted).map_err(failed())?;
                        if torn {
                            self.current = Some(segment);
                            return Ok(false);
                        }
                        const WHAT: &str = "the record is not as it was written";
                        let Some((at, head)) = segment.resume(self.offset, self.last).map_err(failed())?
                        else {
                            self.broken = Some((path, self.offset, WHAT));
                            self.link = None;
                            return self.open_next();
                        };
                        if !matches!(segment.read(self.offset).map_err(failed())?, Found::Record { .. }) {
                            self.damaged(&path, self.offset, wanted, head.seq - 1, WHAT);
                            (self.offset, self.last, self.link) = (at, head.seq - 1, None);
                        }
                    }
                }
            }
        }
        self.current = Some(segment);
        Ok(true)
    }

    /// Judges a whole record and queues it.
    fn take(&mut self, segment: &Segment, head: RecordHead, header: Vec<u8>, payload: Vec<u8>) {
        let (path, offset, wanted) = (&segment.path, self.offset, self.last + 1);
        if head.seq < wanted {
            self.damaged(path, offset, head.seq, head.seq, "a record stands where a later one belongs");
            self.link = None;
            return;
        }
        if head.seq > wanted {
            self.damaged(path, offset, wanted, head.seq - 1, "records were taken out");
        } else if self.link.is_some_and(|link| link != head.prev) {
            self.damaged(path, offset, wanted, self.last, "the record does not follow the one before it");
        }
        self.last = head.seq;
        self.link = Some(head.link(segment.head.salt));
        if head.seq <= self.after || head.seq > self.upto || self.check {
            return;
        }
        // What was cut may be of the time before the lake was encrypted.
        if segment.head.sealed != self.key.is_some() {
            let what = if segment.head.sealed {
                "is sealed: its key is needed"
            } else {
                "is not sealed, but a key was given"
            };
            self.failed = true;
            self.ready.push_back(Err(SpoolError::Seal { file: path.clone(), what }));
            return;
        }
        let batch = match (&self.key, segment.head.sealed) {
            (Some(key), true) => {
                let open = |part, bytes: &[u8]| {
                    let mut plain = Vec::new();
                    let context = RecordHead::context(segment.head.salt, head.seq, head.prev, part);
                    key.open(&context, bytes, &mut plain).ok().map(|()| plain)
                };
                open(Part::Header, &header).zip(open(Part::Payload, &payload))
            }
            _ => Some((header, payload)),
        };
        match batch {
            Some((header, payload)) => self.ready.push_back(Ok(Batch { seq: head.seq, header, payload })),
            None => self.damaged(path, offset, head.seq, head.seq, "the record does not open with this key"),
        }
    }

    /// Goes to the next file. `false` if there is none.
    fn open_next(&mut self) -> Result<bool, SpoolError> {
        let files = self.files()?;
        let next = if self.started {
            files.iter().find(|(first, _)| *first > self.file)
        } else {
            let holds = files.iter().rposition(|(first, _)| *first <= self.after + 1);
            files.get(holds.unwrap_or(0))
        };
        let Some((first, path)) = next else { return Ok(false) };
        let held = self.held.as_ref().map(|held| held.iter().find(|open| open.first == *first));
        let opened =
            held.map_or_else(|| Segment::open(path), |held| Ok(held.and_then(|open| open.segment.clone())));
        let segment = match opened {
            Ok(segment) => segment,
            // Cut since the directory was read; a link to nothing stays there.
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
                return Ok(true);
            }
            Err(error) => return Err(io_at("open", path)(error)),
        };
        let Some(segment) = segment else {
            // A file that is being made, or one whose head is gone.
            let Some((newer, _)) = files.iter().find(|(other, _)| other > first) else {
                if self.check && fs::metadata(path).map_err(io_at("read", path))?.len() > FILE_HEAD {
                    self.damaged(path, 0, 1, 0, "the file's head is gone");
                    (self.started, self.file) = (true, *first);
                    return Ok(true);
                }
                return Ok(false);
            };
            self.damaged(path, 0, (*first).max(self.last + 1), newer - 1, "the file's head is gone");
            (self.started, self.file) = (true, *first);
            (self.last, self.link, self.broken) = (newer - 1, None, None);
            return Ok(true);
        };
        if segment.head.first != *first {
            self.damaged(path, 0, 1, 0, "the file bears the name of another");
        }
        if !segment.intact {
            self.damaged(path, 0, 1, 0, "one of the two copies of the file's head is not as it was written");
        }
        self.follow(&segment)?;
        (self.started, self.file) = (true, *first);
        self.offset = FILE_HEAD;
        self.current = Some(segment);
        Ok(true)
    }

    /// Compares where the last file ended with where this one begins.
    fn follow(&mut self, segment: &Segment) -> Result<(), SpoolError> {
        let head = segment.head;
        let broken = self.broken.take();
        if head.after > self.last {
            let (first, cut) = (self.last + 1, position::read(&self.dir)?.map_or(0, |cut| cut.seq));
            if cut >= first {
                self.failed = true;
                return Err(SpoolError::Gap { wanted: first, oldest: cut + 1 });
            }
            let (file, offset, what) =
                broken.unwrap_or((segment.path.clone(), 0, "what came before this file is missing"));
            self.damaged(&file, offset, first, head.after, what);
        } else if self.started && head.after == self.last && self.link.is_some_and(|link| link != head.link) {
            self.damaged(
                &segment.path,
                0,
                head.first,
                self.last,
                "the file does not follow the one before it",
            );
        }
        self.last = if self.started { self.last.max(head.first - 1) } else { head.first - 1 };
        self.link = Some(head.link);
        Ok(())
    }

    fn file_above(&self, first: u64) -> Result<Option<u64>, SpoolError> {
        Ok(self.files()?.into_iter().map(|(other, _)| other).find(|other| *other > first))
    }

    fn files(&self) -> Result<Vec<(u64, PathBuf)>, SpoolError> {
        match &self.held {
            Some(held) => Ok(held.iter().map(|open| (open.first, open.path.clone())).collect()),
            None => files(&self.dir),
        }
    }

    fn damaged(&mut self, file: &Path, offset: u64, first: u64, last: u64, what: &'static str) {
        if first <= last && last <= self.after {
            return;
        }
        self.ready.push_back(Err(SpoolError::Damaged { file: file.to_owned(), offset, first, last, what }));
    }
}

impl Iterator for Walk {
    type Item = Result<Batch, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            if self.failed || self.last >= self.upto {
                return None;
            }
            match self.step() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The spool's files by their first number.
pub(super) fn files(dir: &Path) -> Result<Vec<(u64, PathBuf)>, SpoolError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_at("list", dir))? {
        let path = entry.map_err(io_at("list", dir))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if let Some(first) = name.strip_suffix(".spool").and_then(|n| n.parse().ok()).filter(|n| *n > 0) {
            files.push((first, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The file that begins with batch `first`.
pub(super) fn file_of(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.spool"))
}
