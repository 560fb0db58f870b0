//! Why bytes did not become an event: named by file and line, with the reason and what to do about it.

use std::fmt;
use std::sync::Arc;

/// Bytes (or a whole path) that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The input's name as shown to people.
    pub file: Arc<str>,
    /// 1-based line in the inflated file; 0 = the whole path.
    pub line: u64,
    /// How many records or lines in a row share this reason (at least 1).
    pub count: u64,
    /// What is wrong.
    pub reason: Reason,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line, self.count)?;
        write!(f, "{}", self.reason)
    }
}

/// Well-formed content that is no audit event and was not meant to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The input's name as shown to people.
    pub file: Arc<str>,
    /// 1-based line in the inflated file of the first one; 0 = the whole path.
    pub line: u64,
    /// How many of them.
    pub count: u64,
    /// What it is.
    pub reason: SkipReason,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line, self.count)?;
        write!(f, "{}", self.reason)
    }
}

fn place(f: &mut fmt::Formatter<'_>, file: &str, line: u64, count: u64) -> fmt::Result {
    match (line, count) {
        (0, _) => write!(f, "{file}: "),
        (_, 0 | 1) => write!(f, "{file}:{line}: "),
        _ => write!(f, "{file}:{line} (and {} more): ", count - 1),
    }
}

/// Why something was rejected. The text is for people; what they can do about it follows in parentheses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The path does not exist.
    #[error("no such file or directory (check the path)")]
    Missing,
    /// A glob pattern that matched nothing, or is not one.
    #[error(
        "no file matches this pattern{} (quote it so that the shell leaves it alone, and check the directory)",
        .why.as_deref().map(|w| format!(": {w}")).unwrap_or_default()
    )]
    NoMatch {
        /// What is wrong with the pattern itself.
        why: Option<String>,
    },
    /// The operating system refused.
    #[error(
        "cannot be read: {why} (audit logs belong to root with mode 0600: copy them or run as that user)"
    )]
    Unreadable {
        /// The system's words.
        why: String,
    },
    /// A symbolic link that leads back to a directory above it.
    #[error("directory loop: the link leads back to {target} (the rest of the directory was read)")]
    Loop {
        /// The directory already being read.
        target: String,
    },
    /// A device, socket or pipe inside a directory.
    #[error(
        "not a regular file but {what} (name a pipe itself, not its directory, or use - for standard input)"
    )]
    NotRegular {
        /// What it is.
        what: &'static str,
    },
    /// The compressed stream is cut or damaged; what came before it was used.
    #[error(
        "{format} stream is damaged after {at} bytes of content: {why}; what came before was read (fetch the file \
         again; a log still being compressed ends like this)"
    )]
    Damaged {
        /// `gzip` or `zstd`.
        format: &'static str,
        /// Inflated bytes that could be read before it.
        at: u64,
        /// The decompressor's words.
        why: String,
    },
    /// A decompression bomb.
    #[error(
        "{format} stream grows more than {limit} times, {packed} bytes became {at}: taken for a bomb, reading stopped \
         (if the file is genuine, inflate it first and scan the result)"
    )]
    Bomb {
        /// `gzip` or `zstd`.
        format: &'static str,
        /// The highest ratio allowed.
        limit: u64,
        /// Compressed bytes read.
        packed: u64,
        /// Inflated bytes they gave.
        at: u64,
    },
    /// A container Klio does not open.
    #[error("{what}, which is not read ({advice})")]
    Container {
        /// The kind of file.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// Larger than the cap for one record.
    #[error("record larger than {} MiB", .cap >> 20)]
    TooLong {
        /// The cap, bytes.
        cap: u64,
    },
    /// The JSON ends before it is complete.
    #[error(
        "truncated JSON: the line or file ends inside the record (it was copied while being written, or a shipper cut \
         it)"
    )]
    Truncated,
    /// The end of an event whose beginning is elsewhere.
    #[error(
        "the rest of a line whose beginning is missing (the log was rotated, or a shipper passes on parts of lines)"
    )]
    NoBeginning,
    /// The JSON is not well-formed.
    #[error("malformed JSON at byte {at} of the record: {expected} expected")]
    Malformed {
        /// Byte offset in the record.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// Well-formed so far as it was looked at, and yet no audit event.
    #[error("{0}")]
    NotAnEvent(String),
    /// Bytes that are not UTF-8. When `repaired`, they were replaced and the event was kept.
    #[error("invalid UTF-8 at byte {at} of the record{}", if *.repaired { "; the bad bytes were replaced and the event was kept (the apiserver records patch bodies byte for byte: look at who sent it)" } else { "" })]
    InvalidUtf8 {
        /// Byte offset in the record.
        at: usize,
        /// True if a record was handed on all the same.
        repaired: bool,
    },
    /// NULs outside of records; the records around them are read.
    #[error(
        "{bytes} NUL bytes (a file system that crashed leaves them where something was written: records may be lost)"
    )]
    Nul {
        /// How many.
        bytes: u64,
    },
    /// Text that is neither JSON nor a log line known here.
    #[error("not JSON: {sample:?}")]
    NotJson {
        /// How it begins.
        sample: String,
    },
    /// JSON that is not an audit event.
    #[error(
        "JSON, but not an audit event: {what} (an audit event has kind Event and apiVersion audit.k8s.io/v1)"
    )]
    NotAudit {
        /// What it seems to be.
        what: String,
    },
    /// An envelope whose payload cannot be opened.
    #[error("{envelope} payload cannot be opened: {why}")]
    Payload {
        /// Which envelope.
        envelope: &'static str,
        /// What went wrong.
        why: String,
    },
    /// Envelopes in envelopes beyond any real use.
    #[error("envelopes nested too deeply")]
    TooDeep,
}

impl Reason {
    /// True if such content is plainly something else than a log, so that a directory may hold it quietly.
    pub(crate) fn foreign(&self) -> bool {
        matches!(self, Self::NotJson { .. } | Self::NotAudit { .. } | Self::Nul { .. })
    }

    /// True if neighbours with this reason are told as one.
    pub(crate) fn merges(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NotJson { .. }, Self::NotJson { .. }) => true,
            (Self::NotAudit { what: a }, Self::NotAudit { what: b }) => a == b,
            _ => false,
        }
    }
}

/// Why something was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// A text log of a component (klog, logfmt, container output).
    ComponentLog,
    /// A core/v1 or events.k8s.io Event.
    KubernetesEvent,
    /// A delivery service's own probe (CloudWatch `CONTROL_MESSAGE`).
    Probe,
    /// A cloud audit log entry of another service than Kubernetes.
    OtherService,
    /// A file found in a directory in which there is no audit event at all.
    NoAuditEvent,
    /// A file without content.
    Empty,
    /// A hidden file or directory found in a directory.
    Hidden,
    /// The last record of a file that is still being written.
    Unfinished,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ComponentLog => "component log, not an audit event",
            Self::KubernetesEvent => "Kubernetes Event, not an audit event",
            Self::Probe => "delivery probe, not an audit event",
            Self::OtherService => "log entry of another service than Kubernetes",
            Self::NoAuditEvent => "no audit event in this file",
            Self::Empty => "empty file",
            Self::Unfinished => "the last record is not finished; it is read when it is",
            Self::Hidden => "hidden, not read (name it to read it)",
        })
    }
}
