//! Makes batches durable from many threads at once, while one other judges and flushes what is durable.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Origin, Records, Spooled};
use crate::error::StoreError;
use crate::spool::{Follower, Spool};
use crate::writer::Writer;

/// The spool of an open [`Writer`], to be shared by the threads that receive.
#[derive(Clone, Debug)]
pub struct Intake(Arc<Spool>);

impl Writer {
    /// The spool, for threads that receive.
    pub fn intake(&self) -> Intake {
        Intake(self.spool.clone())
    }
}

impl Intake {
    /// Makes a batch durable and returns its number: now its sender may be told that it is kept. Threads that append at
    /// the same time share a sync.
    pub fn append(&self, origin: &Origin, records: &Records) -> Result<u64, StoreError> {
        let header = serde_json::to_vec(origin).map_err(|e| StoreError::Query(e.to_string()))?;
        Ok(self.0.append(&header, records.bytes())?)
    }

    /// The last durable batch; 0 if there never was one.
    pub fn last(&self) -> u64 {
        self.0.last()
    }

    /// Waits until a batch after that number is durable, but not longer than `most`. Returns the last one.
    pub fn wait(&self, after: u64, most: Duration) -> u64 {
        self.0.wait(after, most)
    }

    /// Bytes that the spool's files take, and may take.
    pub fn room(&self) -> (u64, u64) {
        (self.0.bytes(), self.0.max_bytes())
    }

    /// Reads the batches after that number in their order. After `None` it may return more.
    pub fn follow(&self, after: u64) -> Following {
        Following(self.0.clone(), self.0.follow(after))
    }
}

/// Reads the durable batches of a spool that grows.
pub struct Following(Arc<Spool>, Follower);

impl Iterator for Following {
    type Item = Result<Spooled, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.1.next(&self.0)?.map_err(StoreError::from).and_then(Spooled::read))
    }
}
