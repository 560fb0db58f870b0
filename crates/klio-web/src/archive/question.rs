//! What is asked of the archive, and the plain records it answers with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use klio_model::{FieldRef, Filter, Severity, TimeRange, Timestamp};

use super::ArchiveError;
use crate::view::{Bar, Top};
use crate::{OWN_CLUSTER, Sight};

/// Which events are meant.
#[derive(Clone, PartialEq, Debug)]
pub struct Question {
    /// Of these clusters; of all but [`OWN_CLUSTER`] if none is named.
    pub clusters: Vec<String>,
    /// Of which this is certainly true.
    pub filter: Filter,
    /// Which happened then.
    pub range: TimeRange,
}

impl Question {
    /// What of a cluster's events is both asked for and visible; `None` if nothing can be, so that it need not be opened.
    pub fn for_cluster(&self, sight: &Sight, cluster: &str) -> Option<Filter> {
        let asked = if self.clusters.is_empty() {
            cluster != OWN_CLUSTER
        } else {
            self.clusters.iter().any(|name| name == cluster)
        };
        if !asked {
            return None;
        }
        Some(Filter::and([sight.filter_for(cluster)?, self.filter.clone()]))
    }
}

/// What is counted of events.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Survey {
    /// The most frequent values of each field, at most so many.
    pub tops: Vec<(FieldRef, usize)>,
    /// The most frequent combinations of values of each list of fields, at most so many. None is of persons or teams.
    pub combinations: Vec<(Vec<FieldRef>, usize)>,
    /// Events in each step of so many microseconds, counted from 1970, by the value of a field.
    pub steps: Option<(FieldRef, i64)>,
}

/// What was counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Surveyed {
    /// How many events match.
    pub count: u64,
    /// In the order of [`Survey::tops`].
    pub tops: Vec<Top>,
    /// In the order of [`Survey::combinations`], the most frequent first.
    pub combinations: Vec<Vec<(Vec<Option<String>>, u64)>>,
    /// For each value its steps, those without events left out; the most frequent value first.
    pub steps: Vec<(Option<String>, Vec<Bar>)>,
}

/// A place in an answer, to go on from. The archive's own words: made of nothing but what the asker sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position(pub String);

/// Which part of a long answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slice {
    /// What comes after this.
    pub after: Option<Position>,
    /// At most so many.
    pub most: usize,
}

/// A part of a long answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// Where it goes on; `None` at the end.
    pub next: Option<Position>,
}

/// An event as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The event's JSON.
    pub raw: String,
    /// Which cluster it comes from.
    pub cluster: String,
    /// Which source handed it over.
    pub source: String,
    /// When it was received.
    pub received: Timestamp,
    /// Whether it was cut on its way.
    pub salvaged: bool,
}

/// What came after a position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Followed {
    /// In the order in which they came, each with the position after it.
    pub items: Vec<(Position, Record)>,
    /// The position after all that was looked at.
    pub next: Position,
    /// Events that match and could not be told any more.
    pub lost: u64,
}

/// A finding or story as it is kept: the JSON that `klio scan` prints for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Which cluster it is about.
    pub cluster: String,
    /// All of it.
    pub json: String,
}

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerdictKind {
    /// One rule's verdict.
    Finding,
    /// Findings that belong together.
    Story,
}

/// Which findings or stories are meant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// Of these clusters; of all but [`OWN_CLUSTER`] if none is named.
    pub clusters: Vec<String>,
    /// Which happened then.
    pub range: TimeRange,
    /// At least so grave.
    pub severity: Option<Severity>,
    /// Of the rule with this id.
    pub rule: Option<String>,
    /// Of this actor.
    pub actor: Option<String>,
}

/// How events are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExportFormat {
    /// The records as they are kept, one a line.
    Jsonl,
    /// RFC 4180 with a heading; what a spreadsheet would run as a formula is guarded.
    Csv,
    /// Columns, and the record as `raw`.
    Parquet,
}

/// A part of an answer to SQL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SqlPart {
    /// Once, first: the names of the columns.
    Columns(Vec<String>),
    /// Rows, each a JSON object.
    Rows(Vec<String>),
}

/// How long somebody waits.
#[derive(Clone, Debug)]
pub struct Patience {
    until: Instant,
    stop: Stop,
}

impl Patience {
    /// So long, unless it is stopped.
    pub(crate) fn new(time: Duration, stop: Stop) -> Self {
        let now = Instant::now();
        Self { until: now.checked_add(time).unwrap_or(now), stop }
    }

    /// Until when.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Whether it is over: the time is up, or nobody waits any more.
    pub fn is_over(&self) -> bool {
        self.stop.is_set() || Instant::now() >= self.until
    }

    /// [`ArchiveError::TooSlow`] if it is over.
    pub fn check(&self) -> Result<(), ArchiveError> {
        if self.is_over() { Err(ArchiveError::TooSlow) } else { Ok(()) }
    }
}

/// Tells those who work for somebody that he has gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
