//! The events about one object, each request once, in the order in which they took effect.

use std::collections::HashMap;

use thiserror::Error;

use super::Target;
use crate::event::{Event, Stage, text};
use crate::time::Timestamp;

/// So much text is held at once.
const MAX_BYTES: usize = 256 << 20;
/// So much of it may be reads, which only show what the object was.
const MAX_READS: usize = 64 << 20;
/// A request that took longer is told by when it came: a session, not a change.
const LONG: i64 = 60_000_000;

/// The events about the object hold more text than is read at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the events about this object hold more than {} MiB", MAX_BYTES >> 20)]
pub struct TooMuch;

/// The events about one object.
pub struct Gathered {
    pub(super) target: Target,
    records: Vec<Record>,
    requests: HashMap<String, usize>,
    bytes: usize,
    reads: usize,
    /// Reads that were left out since there are too many.
    pub left_out: u64,
}

struct Record {
    json: String,
    salvaged: bool,
    time: Option<Timestamp>,
    rank: u8,
}

impl Gathered {
    /// Of no events yet.
    pub fn new(target: Target) -> Self {
        let (records, requests) = (Vec::new(), HashMap::new());
        Self { target, records, requests, bytes: 0, reads: 0, left_out: 0 }
    }

    /// Takes an event if it is about the object; of a request's stages, and of what was delivered twice, the one that says most.
    ///
    /// # Errors
    /// [`TooMuch`] when no more can be held.
    pub fn take(&mut self, event: &Event<'_>) -> Result<(), TooMuch> {
        if !self.target.is_of(event) {
            return Ok(());
        }
        let rank = match event.stage {
            Stage::RequestReceived => 0,
            Stage::ResponseStarted => 1,
            Stage::ResponseComplete | Stage::Panic | Stage::Unstated => 2,
        };
        let of = |s| text(s).unwrap_or_default();
        let request =
            [&event.audit_id, &event.verb, &event.request_uri, &event.received].map(of).join("\u{1f}");
        let known = self.requests.get(&request).copied();
        if known.and_then(|known| self.records.get(known)).is_some_and(|known| known.rank >= rank) {
            return Ok(());
        }
        let size = event.json().len();
        if of(&event.verb) == "get" && of(&event.object.subresource).is_empty() {
            if self.reads + size > MAX_READS {
                self.left_out += 1;
                return Ok(());
            }
            self.reads += size;
        }
        self.bytes += size;
        if self.bytes > MAX_BYTES {
            return Err(TooMuch);
        }
        let record =
            Record { json: event.json().to_owned(), salvaged: event.salvaged, time: effect(event), rank };
        if let Some(slot) = known.and_then(|known| self.records.get_mut(known)) {
            *slot = record;
        } else {
            self.requests.insert(request, self.records.len());
            self.records.push(record);
        }
        Ok(())
    }

    /// Calls `f` with each event and its time, in the order in which they took effect, until it returns false.
    pub(super) fn each(&mut self, f: &mut dyn FnMut(&Event<'_>, Option<Timestamp>) -> bool) {
        self.requests.clear();
        self.records.sort_by_key(|record| record.time);
        for record in &self.records {
            let Ok(mut event) = Event::parse(&record.json) else { continue };
            event.salvaged = record.salvaged;
            if !f(&event, record.time) {
                return;
            }
        }
    }
}

/// When a request took effect: when it was answered, which tells two that overlap apart; of a long one, when it came.
fn effect(event: &Event<'_>) -> Option<Timestamp> {
    match (event.received_at(), event.staged_at()) {
        (Some(came), Some(done)) if (0..LONG).contains(&(done.0.saturating_sub(came.0))) => Some(done),
        (came, done) => came.or(done),
    }
}
