//! What can go wrong in the spool, with the file and the advice.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::keys::KeyError;

/// Why the spool could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// Another process writes this spool.
    #[error("the spool {} is in use by {holder}: this needs the lake for itself, so stop that process (a running server is asked through its API)", dir.display())]
    Locked {
        /// The spool's directory.
        dir: PathBuf,
        /// What the lock file says about its owner.
        holder: String,
    },
    /// The limit is reached. Nothing was written; the caller keeps the batch and tries again.
    #[error(
        "the spool is full: {bytes} of {limit} bytes are used and {need} more are needed; it empties as the lake \
         commits. If that lasts, see why the lake does not commit, or raise the spool's limit"
    )]
    Full {
        /// Bytes that the spool's files take.
        bytes: u64,
        /// The limit.
        limit: u64,
        /// What the batch would take.
        need: u64,
    },
    /// The batch can never be taken.
    #[error("a batch's {part} of {bytes} bytes is over the limit of {limit}: send smaller batches")]
    TooLarge {
        /// Which part.
        part: &'static str,
        /// Its size.
        bytes: u64,
        /// The limit for it.
        limit: u64,
    },
    /// The options contradict each other.
    #[error("the spool's limit of {max_bytes} bytes must hold at least two files of {file_bytes} bytes")]
    Options {
        /// Limit of all files.
        max_bytes: u64,
        /// Limit of one file.
        file_bytes: u64,
    },
    /// The operating system refused. Nothing was acknowledged.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Records cannot be read, or are not those that were written. What stands before and after is still returned.
    #[error(
        "{} is damaged at offset {offset}: {what}; {}. Copy the spool's directory, then move it away: what is in the \
         lake stays, and the next run states in the signed log which acknowledged batches are gone",
        file.display(), records(*first, *last)
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// First number concerned.
        first: u64,
        /// Last number concerned; below `first` when no record is lost.
        last: u64,
        /// What was seen.
        what: &'static str,
    },
    /// Batches were cut between two reads: they are in the lake by now.
    #[error(
        "batch {wanted} was cut from the spool, which now begins at {oldest}: read the lake again, then go on"
    )]
    Gap {
        /// The number that was to come next.
        wanted: u64,
        /// The oldest that may still be there.
        oldest: u64,
    },
    /// The file is sealed and no key was given, or the other way round.
    #[error("{}: {what}", file.display())]
    Seal {
        /// The file.
        file: PathBuf,
        /// Which of the two.
        what: &'static str,
    },
    /// Sealing failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

fn records(first: u64, last: u64) -> String {
    match last.checked_sub(first) {
        None => "no record is lost".to_owned(),
        Some(0) => format!("batch {first} is affected"),
        Some(_) => format!("batches {first} to {last} are affected"),
    }
}

/// Turns an [`io::Error`] into a [`SpoolError`].
pub(super) fn io_at<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> SpoolError + 'a {
    move |source| SpoolError::Io { doing, path: path.to_owned(), source }
}
