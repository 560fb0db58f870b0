//! One thing to read: a file or standard input, and how to read it.

use std::path::PathBuf;
use std::sync::Arc;

/// Number of an input in its [`crate::Discovery`], in reading order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputId(pub u32);

/// Where the bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file (or a pipe that was named itself).
    File(PathBuf),
}

/// One thing to read.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its number.
    pub id: InputId,
    /// Where the bytes come from.
    pub source: Source,
    /// How people call it: the path as given, or `-`.
    pub name: Arc<str>,
    /// Size on disk, bytes, if known.
    pub size: Option<u64>,
    /// True if it was found in a directory or by a pattern: then a file without any audit event is merely skipped.
    pub found: bool,
}

impl Input {
    /// The file at `path`, as if it had been named itself.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            id: InputId(0),
            name: path.to_string_lossy().into(),
            source: Source::File(path),
            size: None,
            found: false,
        }
    }
}

/// Limits and sizes of reading.
#[derive(Debug, Clone)]
pub struct Options {
    /// Largest single record, bytes. A larger one is rejected without being held in memory.
    pub record_cap: usize,
    /// Bytes a chunk aims at.
    pub chunk: usize,
    /// Highest ratio of inflated to compressed bytes …
    pub ratio_cap: u64,
    /// … once this many bytes came out.
    pub ratio_grace: u64,
    /// A file may be read again when it has grown: its last record is left for then if it is not finished. Else what is
    /// there of it is salvaged.
    pub grows: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { record_cap: 64 << 20, chunk: 1 << 18, ratio_cap: 1000, ratio_grace: 64 << 20, grows: false }
    }
}
