//! Writes a log: entries are on disk before the checkpoint that speaks of them replaces the last one, so that a
//! crash at any moment leaves the log as it was or as it should become.

mod edge;

use std::{fs, io, path::Path as FsPath};

use self::edge::Edge;
use crate::{
    disk::{self, Disk},
    hash::Hash,
    key::{Scheme, Signer, Verifier},
    manifest::{Entry, Key, KeyEvent, MAX_ENTRY, Manifest, ManifestError, Statement},
    note::{Checkpoint, Note},
    reader::{History, LogError, LogReader, history_file},
    tree::Path,
};

/// Idle time after which a tick is due, in microseconds: a checkpoint each minute, also when nothing happens.
pub const TICK: u64 = 60_000_000;

/// A log that is open for writing. One process at a time can have it.
#[derive(Debug)]
pub struct Log {
    disk: Disk,
    signer: Signer,
    edge: Edge,
    reader: LogReader,
    /// When the last entry was made, if it is a manifest.
    last: Option<i64>,
    broken: bool,
    /// Holds the lock as long as it is open.
    _lock: fs::File,
}

/// A manifest cannot be added to a log.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// It is too long.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Log {
    /// Makes a new log without entries; its origin is the signer's name. Its first entry should be an
    /// [`Opened`](crate::Opened).
    pub fn create(directory: &FsPath, signer: Signer) -> Result<Self, LogError> {
        fs::create_dir_all(directory).map_err(|source| failed(directory, source))?;
        Self::create_on(Disk::new(directory), signer)
    }

    /// Continues a log. What lies beyond the checkpoint was never attested and will be overwritten.
    pub fn open(directory: &FsPath, signer: Signer) -> Result<Self, LogError> {
        Self::open_on(Disk::new(directory), signer)
    }

    pub(crate) fn create_on(disk: Disk, signer: Signer) -> Result<Self, LogError> {
        check_key(signer.verifier())?;
        let lock = lock(&disk)?;
        let directory = disk.root().to_owned();
        match LogReader::open(&directory) {
            Err(LogError::NoLog(_)) => {}
            Ok(_) => return Err(LogError::Exists(directory.display().to_string())),
            Err(error) => return Err(error),
        }
        let text = checkpoint(&signer, 0, Hash::empty())?;
        let reader = LogReader::at(&directory, text)?;
        let edge = Edge::default();
        let mut log = Self { disk, signer, edge, reader, last: None, broken: false, _lock: lock };
        log.publish().map_err(|source| failed(&directory, source))?;
        Ok(log)
    }

    pub(crate) fn open_on(mut disk: Disk, signer: Signer) -> Result<Self, LogError> {
        check_key(signer.verifier())?;
        let directory = disk.root().to_owned();
        // Not to leave a lock file in a directory without a log.
        LogReader::open(&directory)?;
        let lock = lock(&disk)?;
        let reader = LogReader::open(&directory)?;
        let edge = Edge::read(&reader)?;
        let last = match reader.size().checked_sub(1) {
            Some(index) => Manifest::decode(&reader.entry(index)?).ok(),
            None => None,
        };
        check_owner(&reader, signer.verifier(), last.as_ref())?;
        heal_history(&mut disk, &reader)?;
        let last = last.and_then(|entry| entry.time());
        Ok(Self { disk, signer, edge, reader, last, broken: false, _lock: lock })
    }

    /// Reads again what is on disk, after the disk refused a write: it may be there or not.
    pub fn reopen(&mut self) -> Result<(), LogError> {
        let reader = LogReader::open(self.disk.root())?;
        self.edge = Edge::read(&reader)?;
        let last = match reader.size().checked_sub(1) {
            Some(index) => Manifest::decode(&reader.entry(index)?).ok(),
            None => None,
        };
        heal_history(&mut self.disk, &reader)?;
        self.last = last.and_then(|entry| entry.time());
        self.reader = reader;
        self.broken = false;
        Ok(())
    }

    /// The key that signs.
    pub fn verifier(&self) -> &Verifier {
        self.signer.verifier()
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.reader.size()
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        self.reader.root()
    }

    /// The signed note.
    pub fn checkpoint(&self) -> &str {
        self.reader.checkpoint()
    }

    /// The log as it is now, to read from.
    pub fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// Proves that entry `index` is in the log.
    pub fn inclusion(&self, index: u64) -> Result<Path, LogError> {
        self.reader.inclusion(index)
    }

    /// Proves that the log begins with its first `old` entries.
    pub fn consistency(&self, old: u64) -> Result<Path, LogError> {
        self.reader.consistency(old)
    }

    /// Adds entries and signs; they are on disk when this returns. Returns the index of the first.
    pub fn append<E: AsRef<[u8]>>(&mut self, entries: &[E]) -> Result<u64, LogError> {
        let index = self.size();
        self.append_at(index, entries)?;
        Ok(index)
    }

    /// Adds entries at an index that the caller expects. What the log holds already is compared: identical
    /// entries are no change, others are a [`LogError::Fork`]. Returns the index.
    pub fn append_at<E: AsRef<[u8]>>(&mut self, index: u64, entries: &[E]) -> Result<u64, LogError> {
        if self.broken {
            return Err(LogError::Broken);
        }
        let size = self.size();
        if index > size {
            return Err(LogError::Gap { index, size });
        }
        for (at, entry) in (index..).zip(entries) {
            if entry.as_ref().len() > MAX_ENTRY {
                return Err(LogError::EntryTooLong(at));
            }
        }
        let held = ((size - index) as usize).min(entries.len());
        for (kept, new) in self.reader.entries(index..index + held as u64).zip(entries) {
            let (at, kept) = kept?;
            if kept != new.as_ref() {
                return Err(LogError::Fork { index: at });
            }
        }
        if let Some(last) = entries[held..].last() {
            self.broken = true;
            self.write(&entries[held..])?;
            self.last = Manifest::decode(last.as_ref()).ok().and_then(|entry| entry.time());
            self.broken = false;
        }
        Ok(index)
    }

    /// Adds a manifest.
    pub fn state(&mut self, manifest: &Manifest) -> Result<u64, AppendError> {
        Ok(self.append(&[manifest.encode()?])?)
    }

    /// Attests a minute in which nothing happened: adds a tick if none or no other entry was made in the 60
    /// seconds before `now` (microseconds since 1970), by either direction of the clock. Ticks are written by
    /// this alone, so that each has a checkpoint of its own.
    pub fn tick(&mut self, now: i64) -> Result<Option<u64>, LogError> {
        if self.last.is_some_and(|last| last.abs_diff(now) < TICK) {
            return Ok(None);
        }
        let tick = Manifest { time: now, statement: Statement::Tick };
        // A tick is thirty bytes; it cannot be too long.
        let entry = tick.encode().map_err(|_| LogError::EntryTooLong(self.size()))?;
        self.append(&[entry]).map(Some)
    }

    /// Hands the log over to another key of the same name: the old key signs a checkpoint over a manifest that
    /// names the new one, which signs from then on. The new key's file must be on disk before; after a crash
    /// try the new key and then, at [`LogError::OtherKey`], the old one.
    pub fn rotate(&mut self, next: Signer, now: i64) -> Result<u64, LogError> {
        check_key(next.verifier())?;
        if next.verifier().name() != self.reader.origin() {
            return Err(LogError::OtherKey { key: next.verifier().to_string() });
        }
        let key = Key {
            event: KeyEvent::Rotated,
            id: format!("{:08x}", next.verifier().id()),
            verifier: Some(next.verifier().to_string()),
        };
        let manifest = Manifest { time: now, statement: Statement::Key(key) };
        let entry = manifest.encode().map_err(|_| LogError::EntryTooLong(self.size()))?;
        let index = self.append(&[entry])?;
        self.signer = next;
        Ok(index)
    }

    /// Adds witnesses' signature lines to the present checkpoint. The caller has verified them.
    pub fn attach(&mut self, lines: &str) -> Result<(), LogError> {
        if self.broken {
            return Err(LogError::Broken);
        }
        let mut note = Note::parse(self.checkpoint()).map_err(LogError::Checkpoint)?;
        for line in lines.lines() {
            note.add_line(line).map_err(LogError::Checkpoint)?;
        }
        let directory = self.disk.root().to_owned();
        self.reader = LogReader::at(&directory, note.to_string())?;
        self.broken = true;
        self.publish().map_err(|source| failed(&directory, source))?;
        self.broken = false;
        Ok(())
    }

    fn write<E: AsRef<[u8]>>(&mut self, entries: &[E]) -> Result<(), LogError> {
        let directory = self.disk.root().to_owned();
        let failed = |source| failed(&directory, source);
        let mut done = Vec::new();
        for entry in entries {
            self.edge.push(entry.as_ref(), &mut self.disk, &mut done).map_err(failed)?;
        }
        self.edge.write_partials(entries.len() as u64, &mut self.disk).map_err(failed)?;
        self.disk.settle().map_err(failed)?;
        let text = checkpoint(&self.signer, self.edge.size, self.edge.root())?;
        self.reader = LogReader::at(&directory, text)?;
        self.publish().map_err(failed)?;
        // Full tiles have replaced these; that some stay after a crash harms nobody.
        done.iter().try_for_each(|partials| self.disk.remove(partials)).map_err(failed)
    }

    /// Replaces the checkpoint, then keeps it for ever. The history never runs ahead of the checkpoint.
    fn publish(&mut self) -> io::Result<()> {
        self.disk.put("checkpoint", self.reader.checkpoint().as_bytes())?;
        self.disk.settle()?;
        let kept = format!("{}\n", self.reader.checkpoint());
        self.disk.append(&history_file(self.reader.size()), kept.as_bytes())?;
        self.disk.settle()
    }
}

fn failed(path: &FsPath, source: io::Error) -> LogError {
    LogError::File { path: path.display().to_string(), source }
}

fn check_key(key: &Verifier) -> Result<(), LogError> {
    if key.scheme() == Scheme::Note { Ok(()) } else { Err(LogError::WitnessKey(key.to_string())) }
}

fn checkpoint(signer: &Signer, size: u64, root: Hash) -> Result<String, LogError> {
    let origin = signer.verifier().name().to_owned();
    let text = Checkpoint { origin, size, root, extensions: Vec::new() }.to_text();
    Ok(Note::sign(&text, signer, 0).map_err(LogError::Checkpoint)?.to_string())
}

fn lock(disk: &Disk) -> Result<fs::File, LogError> {
    let path = disk.root().join("lock");
    let options = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = options.map_err(|source| failed(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(LogError::Locked(disk.root().display().to_string())),
        Err(fs::TryLockError::Error(source)) => Err(failed(&path, source)),
    }
}

/// The checkpoint is ours, or its last entry hands the log over to us.
fn check_owner(reader: &LogReader, key: &Verifier, last: Option<&Entry>) -> Result<(), LogError> {
    let other = LogError::OtherKey { key: key.to_string() };
    if reader.origin() != key.name() {
        return Err(other);
    }
    let note = Note::parse(reader.checkpoint()).map_err(LogError::Checkpoint)?;
    if note.verify(std::slice::from_ref(key)).is_ok() {
        return Ok(());
    }
    match last.and_then(Entry::next_key) {
        Some(next) if next == *key => Ok(()),
        _ => Err(other),
    }
}

/// Cuts off a note that a crash tore, and adds the checkpoint if the crash came before that.
fn heal_history(disk: &mut Disk, reader: &LogReader) -> Result<(), LogError> {
    let directory = disk.root().to_owned();
    let failed = |source| failed(&directory, source);
    let history = History::open(&directory)?;
    let newest = history.newest().map(str::to_owned);
    let mut held = false;
    if let Some(file) = newest {
        let bytes = disk::read(&directory.join(&file), 1 << 30).map_err(failed)?.unwrap_or_default();
        let kept = format!("{}\n", reader.checkpoint());
        held = bytes.ends_with(kept.as_bytes());
        // Only what is a beginning of the present checkpoint is ours to cut; anything else is evidence.
        let torn = (1..kept.len()).rev().map(|length| &kept.as_bytes()[..length]).find_map(|torn| {
            let whole = bytes.strip_suffix(torn)?;
            (whole.is_empty() || whole.ends_with(b"\n\n")).then_some(whole.len())
        });
        if let Some(whole) = torn.filter(|_| !held) {
            disk.cut(&file, whole as u64).map_err(failed)?;
        }
    }
    if !held {
        let kept = format!("{}\n", reader.checkpoint());
        disk.append(&history_file(reader.size()), kept.as_bytes()).map_err(failed)?;
        disk.settle().map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "log/tests.rs"]
mod tests;
