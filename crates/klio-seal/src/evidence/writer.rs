//! Writes a bundle. Events stream to disk; nothing but hashes is kept in memory.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path as FsPath, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    BUNDLE, Bundle, CHECKPOINT, CUSTODY, Custody, EVENTS, EventLine, Export, FORMAT, GUIDE, KEYS, MANIFESTS,
    ManifestLine, ROTATIONS,
};
use crate::{
    disk::sync_directory, hash::Hash, key::Verifier, manifest::Manifest, note::Checkpoint, reader::LogError,
    reader::LogReader, tree::Path,
};

/// Writes a bundle into a new directory.
#[derive(Debug)]
pub struct BundleWriter {
    directory: PathBuf,
    export: Export,
    events: Sink,
    manifests: Sink,
    rotations: Sink,
    custody: Sink,
}

/// A bundle cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file system refused; also when the directory is not empty.
    #[error("{path}: {source}")]
    File {
        /// The file or directory.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A file that is hashed while it is written.
#[derive(Debug)]
struct Sink {
    path: PathBuf,
    file: io::BufWriter<fs::File>,
    sha: Sha256,
    lines: u64,
}

impl BundleWriter {
    /// Starts a bundle. The directory is made; it must not hold files of an older one.
    pub fn create(directory: &FsPath, export: Export) -> Result<Self, BundleError> {
        fs::create_dir_all(directory)
            .map_err(|source| BundleError::File { path: directory.display().to_string(), source })?;
        let sink = |name: &str| Sink::create(directory.join(name));
        Ok(Self {
            events: sink(EVENTS)?,
            manifests: sink(MANIFESTS)?,
            rotations: sink(ROTATIONS)?,
            custody: sink(CUSTODY)?,
            directory: directory.to_owned(),
            export,
        })
    }

    /// Adds one event: its record as received, the log entry of its file, its row there, the number of rows
    /// and its path in the row tree.
    pub fn event(
        &mut self,
        raw: &[u8],
        leaf: u64,
        row: u64,
        size: u64,
        path: &Path,
    ) -> Result<(), BundleError> {
        let text = std::str::from_utf8(raw);
        let event = text.ok().map(str::to_owned);
        let event_base64 = text.is_err().then(|| STANDARD.encode(raw));
        self.events.line(&EventLine { event, event_base64, leaf, row, size, path: path.clone() })
    }

    /// Adds a manifest: its index, bytes and path in the log at the checkpoint given to
    /// [`BundleWriter::finish`].
    pub fn manifest(&mut self, index: u64, entry: &[u8], path: &Path) -> Result<(), BundleError> {
        let entry = STANDARD.encode(entry);
        self.manifests.line(&ManifestLine { index, entry, path: path.clone(), checkpoint: None })
    }

    /// Adds the proof that the log was handed over to another key: the entry that says so and the
    /// checkpoint over just that entry, signed by the key before. In the order of the log.
    pub fn rotation(
        &mut self,
        index: u64,
        entry: &[u8],
        path: &Path,
        checkpoint: &str,
    ) -> Result<(), BundleError> {
        let (entry, checkpoint) = (STANDARD.encode(entry), Some(checkpoint.to_owned()));
        self.rotations.line(&ManifestLine { index, entry, path: path.clone(), checkpoint })
    }

    /// Adds all rotations of a log.
    pub fn rotations_of(&mut self, log: &LogReader) -> Result<(), BundleError> {
        let mut found = BTreeMap::new();
        for entry in log.entries(0..log.size()) {
            let (index, entry) = entry?;
            if Manifest::decode(&entry).is_ok_and(|entry| entry.next_key().is_some()) {
                found.insert(index + 1, (index, entry));
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        for kept in log.history()? {
            let Ok(text) = kept?.note else { continue };
            let Ok((checkpoint, _)) = Checkpoint::parse(&text) else { continue };
            if let Some((index, entry)) = found.remove(&checkpoint.size) {
                let then = LogReader::at(log.directory(), text)?;
                self.rotation(index, &entry, &then.inclusion(index)?, then.checkpoint())?;
            }
        }
        Ok(())
    }

    /// Adds an entry of the chain of custody.
    pub fn custody(&mut self, custody: &Custody) -> Result<(), BundleError> {
        self.custody.line(custody)
    }

    /// Completes the bundle; it is on disk when this returns. Returns the hash of `bundle.json`, which
    /// belongs into the log (a [`crate::Remark`]) and into the letter that goes with the bundle.
    pub fn finish(self, checkpoint: &str, keys: &[Verifier]) -> Result<Hash, BundleError> {
        let (events, manifests) = (self.events.lines, self.manifests.lines);
        let mut files = BTreeMap::new();
        for (name, sink) in [
            (EVENTS, self.events),
            (MANIFESTS, self.manifests),
            (ROTATIONS, self.rotations),
            (CUSTODY, self.custody),
        ] {
            files.insert(name.to_owned(), sink.finish()?);
        }
        let keys = keys.iter().map(ToString::to_string).chain([String::new()]).collect::<Vec<_>>().join("\n");
        let guide = include_str!("VERIFY.md");
        for (name, text) in [(CHECKPOINT, checkpoint), (KEYS, &keys), (GUIDE, guide)] {
            let mut sink = Sink::create(self.directory.join(name))?;
            sink.write(text.as_bytes())?;
            files.insert(name.to_owned(), sink.finish()?);
        }
        let bundle = Bundle { format: FORMAT, export: self.export, events, manifests, files };
        let path = self.directory.join(BUNDLE);
        let mut json = serde_json::to_vec_pretty(&bundle)
            .map_err(|error| BundleError::File { path: path.display().to_string(), source: error.into() })?;
        json.push(b'\n');
        let mut sink = Sink::create(path)?;
        sink.write(&json)?;
        let hash = sink.finish()?;
        sync_directory(&self.directory)
            .map_err(|source| BundleError::File { path: self.directory.display().to_string(), source })?;
        Ok(hash)
    }
}

impl Sink {
    fn create(path: PathBuf) -> Result<Self, BundleError> {
        match fs::File::create_new(&path) {
            Ok(file) => {
                let file = io::BufWriter::with_capacity(1 << 16, file);
                Ok(Self { path, file, sha: Sha256::new(), lines: 0 })
            }
            Err(source) => Err(BundleError::File { path: path.display().to_string(), source }),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.sha.update(bytes);
        let written = self.file.write_all(bytes);
        written.map_err(|source| BundleError::File { path: self.path.display().to_string(), source })
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), BundleError> {
        let json = serde_json::to_vec(line).map_err(io::Error::from);
        let json =
            json.map_err(|source| BundleError::File { path: self.path.display().to_string(), source })?;
        self.write(&json)?;
        self.write(b"\n")?;
        self.lines += 1;
        Ok(())
    }

    fn finish(self) -> Result<Hash, BundleError> {
        let failed = |source| BundleError::File { path: self.path.display().to_string(), source };
        let file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        Ok(Hash(self.sha.finalize().into()))
    }
}
