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
    /// The bytes received for it (the same as `json` when native); the parts of a container's line are joined.
    pub raw: &'a [u8],
    /// 1-based line of the inflated file where it starts.
    pub line: u64,
    /// Its transport cut it and only the complete members were kept, or left a body out. Bodies may be missing although
    /// the level says that they were recorded.
    pub salvaged: bool,
    /// Which envelope it came in.
    pub format: Format,
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
