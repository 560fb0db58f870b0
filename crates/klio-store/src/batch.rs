//! What a batch of the spool says: where it comes from, and its records as they are to be stored.

use std::collections::BTreeMap;

use klio_model::{Event, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;

/// Where the records of a batch come from, and how far their source has been read with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Which cluster.
    pub cluster: String,
    /// Which source.
    pub source: String,
    /// When they were received, in microseconds since 1970.
    pub received: i64,
    /// How far the source has been read when these are kept; opaque to the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// How many of the events reached their stage in which second since 1970, if whoever wrote them wants to count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stages: BTreeMap<i64, u64>,
}

/// Set in a record's length: it was cut on its way, and what it lacks is unknown and not absent.
const SALVAGED: u32 = 1 << 31;

/// Records on their way into the spool: each with its length before it.
#[derive(Default, Debug)]
pub struct Records {
    bytes: Vec<u8>,
    count: u64,
}

impl Records {
    /// None yet, in room that is there.
    pub fn within(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { bytes, count: 0 }
    }

    /// Adds a record, and returns where it begins.
    pub fn push(&mut self, record: impl AsRef<[u8]>) -> usize {
        self.push_as(record, false)
    }

    /// Adds a record that may have been cut on its way, and returns where it begins.
    pub fn push_as(&mut self, record: impl AsRef<[u8]>, salvaged: bool) -> usize {
        let record = record.as_ref();
        let length = record.len() as u32 & !SALVAGED | if salvaged { SALVAGED } else { 0 };
        self.bytes.extend_from_slice(&length.to_le_bytes());
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.count += 1;
        start
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A batch read back from the spool.
#[derive(Debug)]
pub struct Spooled {
    pub(crate) seq: u64,
    pub(crate) origin: Origin,
    payload: Vec<u8>,
}

impl Spooled {
    pub(crate) fn read(batch: crate::spool::Batch) -> Result<Self, StoreError> {
        let origin = serde_json::from_slice(&batch.header).map_err(|e| StoreError::Damaged {
            file: format!("spool, batch {}", batch.seq),
            said: format!("its header cannot be read: {e}"),
        })?;
        Ok(Self { seq: batch.seq, origin, payload: batch.payload })
    }

    /// Bytes of its records.
    pub fn size(&self) -> usize {
        self.payload.len()
    }

    /// Its number.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Which source handed it over.
    pub fn source(&self) -> &str {
        &self.origin.source
    }

    /// When they were received.
    pub fn received(&self) -> Timestamp {
        Timestamp(self.origin.received)
    }

    /// Its records in the order in which they came, and whether they were cut on their way.
    pub fn entries(&self) -> impl Iterator<Item = (&str, bool)> {
        let mut rest = self.payload.as_slice();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let length = u32::from_le_bytes(*length);
            let (record, after) = after.split_at_checked((length & !SALVAGED) as usize)?;
            rest = after;
            Some((std::str::from_utf8(record).ok()?, length & SALVAGED != 0))
        })
    }

    /// Its records in the order in which they came.
    pub fn records(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|(record, _)| record)
    }

    /// Its events.
    pub(crate) fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.entries().filter_map(|(record, salvaged)| event(record, salvaged))
    }
}

/// A record as an event. What one lacks that was cut on its way is unknown.
pub(crate) fn event(record: &str, salvaged: bool) -> Option<Event<'_>> {
    let mut event = Event::parse(record).ok()?;
    event.salvaged = salvaged;
    Some(event)
}
