//! What a decoder hands on: one audit event as it arrived, or the reason why some bytes are not one.

use crate::{Rejected, Skipped};

/// One result of decoding.
#[derive(Debug)]
pub enum Item<'a> {
    /// An audit event.
    Record(Record<'a>),
    /// Bytes that should have been an event and are not (or only in part): counted, named, gone on.
    Rejected(Rejected),
    /// Bytes that are well-formed but not audit events, such as a component's text log.
    Skipped(Skipped),
}

/// One audit event as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// One `audit.k8s.io` event object, native or synthesised. On the fast path its syntax is not yet checked:
    /// whoever parses it reports what is wrong.
    pub json: &'a str,
    /// Exactly the bytes received for it (the same as `json` when native).
    pub raw: &'a [u8],
    /// 1-based line of the inflated file where it starts.
    pub line: u64,
    /// What was done to it on the way.
    pub flags: RecordFlags,
    /// Which envelope it came in.
    pub format: Format,
}

/// What was done to a record before it was handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordFlags(u8);

impl RecordFlags {
    /// Nothing was done.
    pub const NONE: Self = Self(0);
    /// The record was cut by its transport; only the complete members were kept. Bodies may be missing although
    /// the level says they were recorded.
    pub const SALVAGED: Self = Self(1);
    /// The event was written anew from another schema (GKE, AKS tables).
    pub const SYNTHESISED: Self = Self(1 << 1);
    /// Invalid UTF-8 was replaced by U+FFFD.
    pub const REPAIRED: Self = Self(1 << 2);

    /// True if all of `other`'s flags are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of flags.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The event was cut and salvaged.
    pub const fn salvaged(self) -> bool {
        self.contains(Self::SALVAGED)
    }

    /// The event was written anew from another schema.
    pub const fn synthesised(self) -> bool {
        self.contains(Self::SYNTHESISED)
    }

    /// Bytes of the event were replaced.
    pub const fn repaired(self) -> bool {
        self.contains(Self::REPAIRED)
    }
}

/// Which envelope a record came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// As the apiserver wrote it (log file or webhook body).
    #[default]
    Native,
    /// Amazon EKS through CloudWatch.
    Eks,
    /// Azure AKS through Azure Monitor.
    Aks,
    /// Google GKE through Cloud Logging.
    Gke,
    /// A log shipper's line around it (Fluent Bit, Vector, Filebeat, Splunk, CRI, syslog …).
    Shipped,
}

impl Format {
    /// Short lower-case name, fit for a column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Eks => "eks",
            Self::Aks => "aks",
            Self::Gke => "gke",
            Self::Shipped => "shipped",
        }
    }
}
