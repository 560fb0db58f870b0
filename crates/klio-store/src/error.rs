//! What can go wrong between us and the disk.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the store could not do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A table's log refused.
    #[error("table `{table}`: {said}")]
    Table {
        /// Which table.
        table: &'static str,
        /// In the words of the Delta library.
        said: String,
    },
    /// The lake is behind what was acknowledged, and an answer would have to read all of that.
    #[error("{0}")]
    Behind(String),
    /// A data file is damaged.
    #[error("{file}: {said}")]
    Damaged {
        /// Path below the lake.
        file: String,
        /// What is wrong with it.
        said: String,
    },
    /// The object store refused.
    #[error("{place}: {said}")]
    Remote {
        /// Path in the bucket.
        place: String,
        /// In its words.
        said: String,
    },
    /// The lake was written by a newer Klio.
    #[error("the lake has layout {found}, this Klio knows layouts up to {known}; use a newer Klio")]
    Newer {
        /// Of the lake.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A lake has a directory of its own.
    #[error("{} holds other files, such as {other}: a lake has a directory of its own", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
        /// One of them.
        other: String,
    },
    /// The first run ended while it made the lake.
    #[error("the lake in {} is not finished; `klio ingest` finishes it", .0.display())]
    Unfinished(PathBuf),
    /// There is no lake here.
    #[error("there is no lake in {}; `klio ingest` makes one", .0.display())]
    NoLake(PathBuf),
    /// The spool refused.
    #[error(transparent)]
    Spool(#[from] crate::spool::SpoolError),
    /// A key is missing, destroyed or does not fit.
    #[error(transparent)]
    Key(#[from] crate::keys::KeyError),
    /// The signed log refused.
    #[error("seal: {0}")]
    Seal(String),
    /// A query that cannot be run.
    #[error("{0}")]
    Query(String),
    /// A query was stopped by a limit or by its user.
    #[error("the query was stopped: {0}")]
    Stopped(String),
    /// A setting that makes no sense.
    #[error("{place}: {said}")]
    Setting {
        /// File or key.
        place: String,
        /// What is wrong and what would be right.
        said: String,
    },
}

impl StoreError {
    /// Whether a file is not there any more.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            // As the object store's library says it.
            Self::Remote { said, .. } | Self::Damaged { said, .. } => {
                said.contains("Object at location") && said.contains("not found")
            }
            _ => false,
        }
    }

    /// Adds the file to what is wrong with it.
    pub(crate) fn damaged<E: std::fmt::Display>(file: &str) -> impl Fn(E) -> Self + '_ {
        move |e| Self::Damaged { file: file.to_owned(), said: e.to_string() }
    }

    /// Adds the path to an I/O error.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
