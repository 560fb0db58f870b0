//! Looks which files are there, and how each begins.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use memchr::memchr;

use super::entry::Key;
use super::tape::{Tape, unreadable};
use crate::order::{Rank, rank};
use crate::{Options, Reason, discover, head};

/// A change may leave a file's time as it is if it comes sooner after the one before.
const TICK: Duration = Duration::from_secs(1);
/// Bytes read at first to find the end of the first line.
const FIRST: usize = 16 << 10;
/// Bytes that stand for the first line of a file that has none of reasonable length.
const ENDLESS: usize = 4096;

/// A file that is there.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub path: PathBuf,
    pub key: Key,
    pub len: u64,
    pub changed: Option<SystemTime>,
    /// It fits the patterns; else it lies beside one that does.
    pub fits: bool,
    ctime: (i64, i64),
}

impl Seen {
    fn new(path: PathBuf, meta: &Metadata, fits: bool) -> Self {
        Self {
            path,
            key: (meta.dev(), meta.ino()),
            len: meta.len(),
            changed: meta.modified().ok(),
            fits,
            ctime: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// Where it stands among the others.
    pub(crate) fn rank(&self) -> Rank {
        place(&self.path)
    }
}

/// Where a path stands in its rotated set, wherever a link to it lies.
pub(crate) fn place(path: &Path) -> Rank {
    let real = std::fs::canonicalize(path).ok().or_else(|| {
        let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(std::fs::canonicalize(dir).ok()?.join(path.file_name()?))
    });
    rank(real.as_deref().unwrap_or(path))
}

/// The files that fit the patterns, each once, and what cannot be read.
pub(crate) fn fitting(patterns: &[String]) -> (Vec<Seen>, Vec<(String, Reason)>) {
    let found = discover(patterns);
    let mut troubles: Vec<_> = found.rejected.into_iter().map(|r| (r.file.to_string(), r.reason)).collect();
    let mut seen = Vec::new();
    let mut keys = HashSet::new();
    for input in found.inputs {
        let path = PathBuf::from(&*input.name);
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() => {
                let one = Seen::new(path, &meta, true);
                if keys.insert(one.key) {
                    seen.push(one);
                }
            }
            Ok(_) => {
                troubles.push((input.name.to_string(), Reason::NotRegular { what: "a pipe or a device" }));
            }
            Err(e) => troubles.push((input.name.to_string(), unreadable(&e))),
        }
    }
    (seen, troubles)
}

/// Adds the files that lie beside those at these paths.
pub(crate) fn beside<'a>(paths: impl Iterator<Item = &'a Path>, seen: &mut Vec<Seen>) {
    let mut keys: HashSet<Key> = seen.iter().map(|s| s.key).collect();
    let mut dirs = HashSet::new();
    for path in paths {
        // A link to a log leads to where the rotated ones are.
        let real = std::fs::canonicalize(path).ok();
        for path in [Some(path.to_path_buf()), real].into_iter().flatten() {
            let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
            dirs.insert(dir.to_path_buf());
        }
    }
    for dir in dirs {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if !is_hidden
                && let Ok(meta) = entry.metadata()
                && meta.is_file()
                && keys.insert((meta.dev(), meta.ino()))
            {
                seen.push(Seen::new(entry.path(), &meta, false));
            }
        }
    }
}

/// What was found in a file that has no place yet.
#[derive(Debug)]
pub(crate) struct Sight {
    len: u64,
    ctime: (i64, i64),
    /// Another look would find the same.
    is_sure: bool,
    /// It was the same when it was looked at before.
    pub is_settled: bool,
    /// Stands for its begin, once that is whole.
    pub id: Option<u64>,
    pub is_packed: bool,
    pub trouble: Option<Reason>,
    /// It is a copy of this one, as far as it goes.
    pub twin: Option<Key>,
}

/// What was found in the files that have no place.
#[derive(Default)]
pub(crate) struct Sights(HashMap<Key, Sight>);

impl Sights {
    /// Looks at a file, unless it is as it was.
    pub(crate) fn look(&mut self, seen: &Seen, options: &Options) -> &mut Sight {
        let before = self.0.remove(&seen.key).filter(|s| s.len == seen.len && s.ctime == seen.ctime);
        let is_settled = before.is_some();
        let sight = match before {
            Some(before) if before.is_sure => Sight { is_settled, ..before },
            _ => {
                let age = seen.changed.and_then(|at| SystemTime::now().duration_since(at).ok());
                let mut sight = Sight {
                    len: seen.len,
                    ctime: seen.ctime,
                    is_sure: age.is_some_and(|age| age > TICK),
                    is_settled,
                    id: None,
                    is_packed: false,
                    trouble: None,
                    twin: None,
                };
                match open(seen, options).and_then(|mut tape| {
                    sight.is_packed = tape.is_packed();
                    identify(&mut tape, options.record_cap)
                }) {
                    Ok(id) => sight.id = id,
                    // Permissions may change without the file's content.
                    Err(reason) => (sight.trouble, sight.is_sure) = (Some(reason), false),
                }
                sight
            }
        };
        self.0.entry(seen.key).or_insert(sight)
    }

    /// Forgets those that are not there.
    pub(crate) fn retain(&mut self, keys: &HashSet<Key>) {
        self.0.retain(|key, _| keys.contains(key));
    }
}

/// Opens the file that was seen, and no other.
pub(crate) fn open(seen: &Seen, options: &Options) -> Result<Tape, Reason> {
    let tape = Tape::open(&seen.path, options)?;
    let meta = tape.file().metadata().map_err(|e| unreadable(&e))?;
    if (meta.dev(), meta.ino()) == seen.key { Ok(tape) } else { Err(Reason::Missing) }
}

/// Stands for the file, if its first line is whole.
fn identify(tape: &mut Tape, cap: usize) -> Result<Option<u64>, Reason> {
    let (mut at, mut want) = (0, FIRST);
    let mut bytes = Vec::new();
    loop {
        tape.read(at, want, &mut bytes)?;
        let nuls = bytes.iter().take_while(|b| **b == 0).count();
        if nuls > 0 {
            at += nuls as u64;
            want = want.max(1 << 20);
            continue;
        }
        if let Some(feed) = memchr(b'\n', &bytes) {
            // Not more than the line: a file that grows stays itself.
            return Ok(bytes.get(..feed).map(head));
        }
        if want > cap {
            return Ok(bytes.get(..ENDLESS).map(head));
        }
        if bytes.len() < want {
            let is_last = !bytes.is_empty() && tape.is_end(at + bytes.len() as u64);
            return Ok(is_last.then(|| head(&bytes)));
        }
        want = want.saturating_mul(4).min(cap + 1);
    }
}
