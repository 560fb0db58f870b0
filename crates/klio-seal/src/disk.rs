//! Files that are on disk before anybody is told so: written beside, synced, renamed, directories synced.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// A directory that is written to.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    /// Directories with new names that are not yet known to be on disk.
    unsynced: BTreeSet<PathBuf>,
    /// Directories whose own names are on disk since this was opened.
    settled: BTreeSet<PathBuf>,
    /// Stops after so many steps, as a crash would; counts down.
    #[cfg(test)]
    pub(crate) fuse: Option<u64>,
    /// What was done, in order.
    #[cfg(test)]
    pub(crate) trace: Vec<(Step, PathBuf)>,
}

/// A thing that happens to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    MakeDirectory,
    Write,
    Sync,
    Rename,
    SyncDirectory,
    Remove,
}

impl Disk {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            unsynced: BTreeSet::new(),
            settled: BTreeSet::new(),
            #[cfg(test)]
            fuse: None,
            #[cfg(test)]
            trace: Vec::new(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Replaces a file as a whole. It is certain to be there after the next [`Disk::settle`].
    pub(crate) fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(name);
        self.make_parents(&path)?;
        let mut beside = path.clone().into_os_string();
        beside.push(".tmp");
        let beside = PathBuf::from(beside);
        let mut file = fs::File::create(&beside)?;
        self.write(&mut file, &beside, bytes)?;
        self.step(Step::Sync, &beside)?;
        file.sync_all()?;
        self.step(Step::Rename, &path)?;
        fs::rename(&beside, &path)
    }

    /// Adds to the end of a file and syncs it.
    pub(crate) fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(name);
        self.make_parents(&path)?;
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path)?;
        self.write(&mut file, &path, bytes)?;
        self.step(Step::Sync, &path)?;
        file.sync_all()
    }

    /// Cuts a file to a length.
    pub(crate) fn cut(&mut self, name: &str, length: u64) -> io::Result<()> {
        let path = self.root.join(name);
        self.step(Step::Write, &path)?;
        let file = fs::OpenOptions::new().write(true).open(&path)?;
        file.set_len(length)?;
        file.sync_all()
    }

    /// Removes a directory and what is in it, if it is there.
    pub(crate) fn remove(&mut self, name: &str) -> io::Result<()> {
        let path = self.root.join(name);
        self.step(Step::Remove, &path)?;
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the names of all files written so far certain.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        while let Some(directory) = self.unsynced.pop_first() {
            self.step(Step::SyncDirectory, &directory)?;
            sync_directory(&directory)?;
        }
        Ok(())
    }

    fn make_parents(&mut self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if !self.settled.contains(parent) {
            self.step(Step::MakeDirectory, parent)?;
            fs::create_dir_all(parent)?;
            // A directory's own name is in its parent, up to the root and the root's own name.
            let mut at = parent;
            while let Some(above) = at.parent().filter(|_| at.starts_with(&self.root)) {
                if !above.as_os_str().is_empty() {
                    self.unsynced.insert(above.to_owned());
                }
                at = above;
            }
            self.settled.insert(parent.to_owned());
        }
        self.unsynced.insert(parent.to_owned());
        Ok(())
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self)] // the tests' version uses it
    fn write(&mut self, file: &mut fs::File, _: &Path, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Writes in two halves, between which a test can stop.
    #[cfg(test)]
    fn write(&mut self, file: &mut fs::File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        self.step(Step::Write, path)?;
        file.write_all(first)?;
        self.step(Step::Write, path)?;
        file.write_all(second)
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // the tests' version uses both
    fn step(&mut self, _: Step, _: &Path) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&mut self, step: Step, path: &Path) -> io::Result<()> {
        if let Some(left) = &mut self.fuse {
            if *left == 0 {
                return Err(io::Error::other("the fuse has blown"));
            }
            *left -= 1;
        }
        self.trace.push((step, path.to_owned()));
        Ok(())
    }
}

/// Makes the names in a directory certain.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// Reads a file of at most `limit` bytes; `None` when it does not exist.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let why = format!("longer than the {limit} bytes it may have");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(Some(bytes))
}

/// Opens a regular file: a pipe in its place would wait for a writer, a device never end.
pub(crate) fn open(path: &Path) -> io::Result<fs::File> {
    if fs::metadata(path)?.is_file() {
        fs::File::open(path)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"))
    }
}
