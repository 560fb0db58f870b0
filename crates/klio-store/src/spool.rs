//! The spool makes a batch durable before its sender is told that it was kept. It is a row of files in one
//! directory, each a row of checked and chained records ([`format`]); one process writes, others may read.
//!
//! Threads that append at the same time share one `fdatasync`: whoever finds none under way makes it for all
//! records written so far. A file whose sync failed is given up, since the system may have dropped its pages;
//! what was not yet durable is refused, and the next batch goes to a new file.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

mod error;
mod format;
mod log;
mod position;
mod segment;
mod walk;

pub use error::SpoolError;
pub use format::{MAX_HEADER, MAX_PAYLOAD};

use crate::keys::Cipher;
use error::io_at;
use log::Log;
use position::Position;
pub(crate) use walk::Held;
use walk::Walk;

/// How a spool is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Limit of all files together, in bytes.
    pub max_bytes: u64,
    /// Size at which a new file is begun, in bytes. Whole files are deleted, so less is kept with smaller ones.
    pub file_bytes: u64,
    /// Seals headers and payloads.
    pub key: Option<Arc<Cipher>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_bytes: 4 << 30, file_bytes: 64 << 20, key: None }
    }
}

/// One batch, as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its number.
    pub seq: u64,
    /// What the caller says about it.
    pub header: Vec<u8>,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// What was found on opening.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The last batch; 0 if there never was one.
    pub last: u64,
    /// The last batch that was cut: reading begins after it.
    pub cut: u64,
    /// Bytes that the files take.
    pub bytes: u64,
    /// What a crash left behind the last whole record. Nobody was told that it was kept.
    pub torn: Option<Torn>,
    /// Damage in the newest file and in the position. Older files are checked as they are read.
    pub damage: Vec<SpoolError>,
}

/// An unfinished record that was cut away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The file.
    pub file: PathBuf,
    /// Where it began.
    pub offset: u64,
    /// How many bytes were removed.
    pub bytes: u64,
}

/// A spool that this process writes.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    key: Option<Arc<Cipher>>,
    state: Mutex<State>,
    synced: Condvar,
    /// Held as long as the spool is open.
    _lock: File,
    /// Every sync fails.
    #[cfg(test)]
    faults: std::sync::atomic::AtomicBool,
}

#[derive(Debug)]
struct State {
    log: Log,
    /// A sync is under way, without the mutex.
    syncing: bool,
    /// Threads that wait to hear whether their record is durable.
    waiting: usize,
    /// Ranges of numbers whose sync failed, for those who wait.
    lost: Vec<Lost>,
    cut: Position,
    syncs: u64,
}

#[derive(Debug)]
struct Lost {
    first: u64,
    last: u64,
    path: PathBuf,
    kind: io::ErrorKind,
    code: Option<i32>,
}

impl Spool {
    /// Opens or makes the spool in `dir`, takes its lock and cuts away what a crash left unfinished.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovered), SpoolError> {
        let Options { max_bytes, file_bytes, key } = options;
        if max_bytes / 2 < file_bytes || file_bytes == 0 {
            return Err(SpoolError::Options { max_bytes, file_bytes });
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_at("make", dir))?;
        let lock = take_lock(dir)?;
        let mut damage = Vec::new();
        let found = position::read(dir)?;
        let cut = match found {
            Some(cut) if cut.intact => cut,
            _ => position::make(dir, found.map_or(0, |cut| cut.seq))?,
        };
        if found.is_some_and(|cut| !cut.intact) {
            let what =
                "the position is not as it was written: batches that are in the lake may be read again";
            damage.push(SpoolError::Damaged { file: dir.join("cut"), offset: 0, first: 1, last: 0, what });
        }
        let (log, torn) = Log::recover(dir, key.clone(), (max_bytes, file_bytes), cut.seq, &mut damage)?;
        let recovered = Recovered { last: log.last(), cut: cut.seq, bytes: log.bytes(), torn, damage };
        let state = State { log, syncing: false, waiting: 0, lost: Vec::new(), cut, syncs: 0 };
        let (state, synced) = (Mutex::new(state), Condvar::new());
        let spool = Self {
            dir: dir.to_owned(),
            key,
            state,
            synced,
            _lock: lock,
            #[cfg(test)]
            faults: false.into(),
        };
        Ok((spool, recovered))
    }

    /// Keeps a batch and returns its number once it is durable.
    pub fn append(&self, header: &[u8], payload: &[u8]) -> Result<u64, SpoolError> {
        for (part, bytes, limit) in
            [("header", header.len(), MAX_HEADER), ("payload", payload.len(), MAX_PAYLOAD)]
        {
            if bytes > limit {
                return Err(SpoolError::TooLarge { part, bytes: bytes as u64, limit: limit as u64 });
            }
        }
        let mut state = self.state();
        let need = state.log.size_of(header, payload);
        while state.log.must_roll(need) {
            // The system tells a failed sync to one asker only: never two at once.
            if state.syncing {
                state = self.synced.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.log.check_room(need)?;
            self.sync_here(&mut state)?;
            state.log.close();
        }
        let seq = state.log.write(header, payload, need)?;
        state.waiting += 1;
        let (mut state, result) = self.wait_until_durable(state, seq);
        state.waiting -= 1;
        if state.waiting == 0 {
            state.lost.clear();
        }
        result.map(|()| seq)
    }

    /// The batches from `seq` on that were durable when this was called and are not cut.
    ///
    /// Damage is an error in its place, and what follows is still returned.
    pub fn read_from(&self, seq: u64) -> impl Iterator<Item = Result<Batch, SpoolError>> + use<> {
        let (after, upto) = {
            let state = self.state();
            (state.cut.seq.max(seq.saturating_sub(1)), state.log.durable())
        };
        Walk::new(&self.dir, self.key.clone(), after, upto)
    }

    /// Reads the batches above a number, also those that are appended later.
    pub fn follow(&self, after: u64) -> Follower {
        Follower(Walk::new(&self.dir, self.key.clone(), after, after))
    }

    /// Waits until a batch above `after` is durable, but not longer than `most`. Returns the last durable one.
    pub fn wait(&self, after: u64, most: Duration) -> u64 {
        let is_old = |state: &mut State| state.log.durable() <= after;
        let waited = self.synced.wait_timeout_while(self.state(), most, is_old);
        waited.unwrap_or_else(PoisonError::into_inner).0.log.durable()
    }

    /// Forgets the batches up to `upto`, which are in the lake, and deletes the files that hold no other.
    pub fn cut(&self, upto: u64) -> Result<(), SpoolError> {
        let mut state = self.state();
        let upto = upto.min(state.log.durable());
        if upto > state.cut.seq {
            state.cut = position::write(&self.dir, state.cut, upto)?;
        }
        while state.log.is_spent(upto) && state.syncing {
            state = self.synced.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Without room for a new file, what can be deleted still is.
        let restarted = if state.log.is_spent(upto) { state.log.restart() } else { Ok(()) };
        state.log.delete(upto)?;
        restarted
    }

    /// Gives numbers above `seq` from now on, when the files remember older ones only.
    pub(crate) fn pass_over(&self, seq: u64) -> Result<(), SpoolError> {
        let mut state = self.state();
        if state.log.durable() < seq && !state.syncing {
            state.log.pass_over(seq)?;
            state.cut = position::write(&self.dir, state.cut, seq)?;
            state.log.delete(seq)?;
        }
        Ok(())
    }

    /// Bytes that the spool's files take.
    pub fn bytes(&self) -> u64 {
        self.state().log.bytes()
    }

    /// Bytes that the spool's files may take.
    pub fn max_bytes(&self) -> u64 {
        self.state().log.max_bytes()
    }

    /// The last durable batch; 0 if there never was one.
    pub fn last(&self) -> u64 {
        self.state().log.durable()
    }

    /// The last batch that was cut.
    pub fn position(&self) -> u64 {
        self.state().cut.seq
    }

    /// The last batch of the oldest file: cutting up to it makes room for as many bytes.
    pub(crate) fn oldest(&self) -> Result<u64, SpoolError> {
        let second = walk::files(&self.dir)?.get(1).map(|(first, _)| first - 1);
        Ok(second.unwrap_or_else(|| self.last()))
    }

    /// How often batches were synced to disk since the spool was opened.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests make it fail"))]
    fn sync(&self, file: &File) -> io::Result<()> {
        #[cfg(test)]
        if self.faults.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        file.sync_data()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_durable<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        seq: u64,
    ) -> (MutexGuard<'a, State>, Result<(), SpoolError>) {
        loop {
            if let Some(lost) = state.lost.iter().find(|l| (l.first..=l.last).contains(&seq)) {
                let error = lost.error();
                return (state, Err(error));
            }
            if state.log.durable() >= seq {
                return (state, Ok(()));
            }
            if state.syncing {
                state = self.synced.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let Some((file, mark)) = state.log.pending() else {
                // Unreachable: a record that is neither lost nor durable stands in the active file.
                let error = SpoolError::Io {
                    doing: "sync",
                    path: self.dir.clone(),
                    source: io::ErrorKind::Other.into(),
                };
                return (state, Err(error));
            };
            state.syncing = true;
            drop(state);
            let result = self.sync(&file);
            state = self.state();
            state.syncing = false;
            state.syncs += 1;
            match result {
                Ok(()) => state.log.mark_durable(mark),
                Err(error) => give_up(&mut state, &error),
            }
            self.synced.notify_all();
        }
    }

    /// Syncs with the mutex held.
    fn sync_here(&self, state: &mut State) -> Result<(), SpoolError> {
        let Some((file, mark)) = state.log.pending() else { return Ok(()) };
        state.syncs += 1;
        let result = self.sync(&file);
        match &result {
            Ok(()) => state.log.mark_durable(mark),
            Err(error) => give_up(state, error),
        }
        self.synced.notify_all();
        result.map_err(io_at("sync a file in", &self.dir))
    }
}

/// Refuses everything that was not durable, and the file with it.
fn give_up(state: &mut State, error: &io::Error) {
    let (first, last, path) = state.log.give_up();
    state.lost.push(Lost { first, last, path, kind: error.kind(), code: error.raw_os_error() });
}

impl Lost {
    fn error(&self) -> SpoolError {
        let source = self.code.map_or_else(|| self.kind.into(), io::Error::from_raw_os_error);
        SpoolError::Io { doing: "sync", path: self.path.clone(), source }
    }
}

fn take_lock(dir: &Path) -> Result<File, SpoolError> {
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(io_at("open", &path))?;
    match file.try_lock() {
        Ok(()) => {
            let pid = format!("process {}\n", std::process::id());
            let written = file.set_len(0).and_then(|()| file.write_all_at(pid.as_bytes(), 0));
            written.map_err(io_at("write", &path))?;
            Ok(file)
        }
        Err(fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message.
            let _ = (&file).take(64).read_to_string(&mut holder);
            let holder = holder.trim();
            let holder = if holder.is_empty() { "another process" } else { holder }.to_owned();
            Err(SpoolError::Locked { dir: dir.to_owned(), holder })
        }
        Err(fs::TryLockError::Error(error)) => Err(io_at("lock", &path)(error)),
    }
}

/// Reads a spool of this process in order, never a batch that is not durable yet.
pub struct Follower(Walk);

impl Follower {
    /// The next batch, if it is there. Damage is an error in its place, and what follows is still returned.
    pub fn next(&mut self, spool: &Spool) -> Option<Result<Batch, SpoolError>> {
        self.0.up_to(spool.last());
        self.0.next()
    }
}

/// Reads a spool that another process may be writing. Takes no lock and changes nothing.
///
/// As an iterator it returns what is there; after `None`, later calls return what was appended since. It may
/// return a batch a moment before that is durable.
pub struct SpoolReader(Walk);

impl SpoolReader {
    /// Reads the batches above `seq` in `dir`.
    pub fn after(dir: &Path, key: Option<Arc<Cipher>>, seq: u64) -> Self {
        Self(Walk::new(dir, key, seq, u64::MAX))
    }

    /// The last batch of the spool in `dir` that was cut.
    pub(crate) fn position(dir: &Path) -> Result<u64, SpoolError> {
        Ok(position::read(dir)?.map_or(0, |cut| cut.seq))
    }
}

impl Iterator for SpoolReader {
    type Item = Result<Batch, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// A spool as a verifier sees it.
pub(crate) struct Survey {
    /// The last batch that was cut.
    pub cut: u64,
    /// Whether the position is as it was written.
    pub intact: bool,
    pub files: usize,
    pub bytes: u64,
    /// The last batch that is there or was.
    pub last: u64,
    /// Damage behind the batch from which on was looked.
    pub damage: Vec<SpoolError>,
}

/// Looks a spool over, from the batch after `seq` on. Takes no lock and needs no key.
pub(crate) fn survey(dir: &Path, seq: u64) -> Result<Survey, SpoolError> {
    let cut = position::read(dir)?;
    let files = walk::files(dir)?;
    let bytes = files.iter().filter_map(|(_, path)| fs::metadata(path).ok()).map(|m| m.len()).sum();
    let mut walk = Walk::check(dir, seq);
    let damage = walk.by_ref().filter_map(Result::err).collect();
    let (cut, intact) = cut.map_or((0, files.is_empty()), |cut| (cut.seq, cut.intact));
    Ok(Survey { cut, intact, files: files.len(), bytes, last: walk.tail().last, damage })
}

/// Creates a file that must not be read by others.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Writes and syncs a new file.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests;
