//! What is known of the moment: findings that are not in the lake yet, how far the judge is, what is wrong.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use klio_model::Timestamp;
use klio_source::follow::FollowedFile;
use klio_store::{Spooled, Verdict};

use super::Receipt;

/// Findings that are held for those who look for what is newest.
const HELD: usize = 10_000;

/// A source as it is now.
#[derive(Clone, Debug, Default)]
pub struct SourceNow {
    /// Events that were kept since the start.
    pub kept: u64,
    /// Events that were delivered again.
    pub known: u64,
    /// Items that are no events.
    pub dead: u64,
    /// Bytes that were delivered.
    pub bytes: u64,
    /// Deliveries that were refused, to be made again.
    pub refused: u64,
    /// When the last delivery came, in microseconds since 1970.
    pub seen: Option<i64>,
    /// When the last event of a delivery happened by the sender's clock.
    pub event: Option<i64>,
}

/// A finding that may not be in the lake yet.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The finding.
    pub verdict: Arc<Verdict>,
    /// The batch of the spool in which its event is.
    pub batch: u64,
    /// When that batch was received.
    pub received: Timestamp,
}

/// What is known of the moment, shared by all.
#[derive(Default, Debug)]
pub struct Live {
    sources: Mutex<BTreeMap<(String, String), SourceNow>>,
    files: Mutex<BTreeMap<String, Vec<FollowedFile>>>,
    /// Why the counters of a cluster's API servers cannot be read.
    unproven: Mutex<BTreeMap<String, String>>,
    fresh: Mutex<VecDeque<Fresh>>,
    /// Batches judged, and batches in the lake.
    judged: AtomicU64,
    flushed: AtomicU64,
    /// What is wrong, by the part that says so, and since when.
    troubles: Mutex<BTreeMap<&'static str, (String, Instant)>>,
    news: Condvar,
    told: Mutex<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    /// Changes what is known of a source.
    pub fn source(&self, cluster: &str, source: &str, change: impl FnOnce(&mut SourceNow)) {
        change(lock(&self.sources).entry((cluster.to_owned(), source.to_owned())).or_default());
    }

    /// A delivery was taken.
    pub fn taken(&self, cluster: &str, source: &str, bytes: usize, receipt: Receipt) {
        self.source(cluster, source, |now| {
            now.kept += receipt.kept;
            now.known += receipt.known;
            now.dead += receipt.dead;
            now.bytes += bytes as u64;
            now.seen = Some(jiff::Timestamp::now().as_microsecond());
        });
    }

    /// Whether the counters of a cluster's API servers can be read, and why not.
    pub fn unproven(&self, cluster: &str, said: Option<String>) {
        let mut unproven = lock(&self.unproven);
        match said {
            Some(said) => drop(unproven.insert(cluster.to_owned(), said)),
            None => drop(unproven.remove(cluster)),
        }
    }

    /// Why not, by cluster.
    pub fn why_unproven(&self) -> BTreeMap<String, String> {
        lock(&self.unproven).clone()
    }

    /// The state of a cluster's files.
    pub fn files(&self, cluster: &str, files: Vec<FollowedFile>) {
        lock(&self.files).insert(cluster.to_owned(), files);
    }

    /// The files that are followed, by cluster.
    pub fn followed(&self) -> BTreeMap<String, Vec<FollowedFile>> {
        lock(&self.files).clone()
    }

    /// All sources, by cluster and name.
    pub fn sources(&self) -> BTreeMap<(String, String), SourceNow> {
        lock(&self.sources).clone()
    }

    /// A batch was judged.
    pub fn judged(&self, batch: &Spooled, found: &[Verdict]) {
        if !found.is_empty() {
            let mut fresh = lock(&self.fresh);
            let new = found.iter().map(|verdict| Fresh {
                verdict: Arc::new(verdict.clone()),
                batch: batch.seq(),
                received: batch.received(),
            });
            fresh.extend(new);
            let beyond = fresh.len().saturating_sub(HELD);
            fresh.drain(..beyond);
        }
        self.judged.store(batch.seq(), Ordering::Release);
        *lock(&self.told) = batch.seq();
        self.news.notify_all();
    }

    /// What was judged up to a batch is in the lake.
    pub fn flushed(&self, upto: u64) {
        self.flushed.store(upto, Ordering::Release);
    }

    /// The last batch that was judged, and the last one in the lake.
    pub fn progress(&self) -> (u64, u64) {
        (self.judged.load(Ordering::Acquire), self.flushed.load(Ordering::Acquire))
    }

    /// The newest findings of batches above `after`, in the order in which they were made.
    pub fn findings(&self, after: u64) -> Vec<Fresh> {
        lock(&self.fresh).iter().filter(|fresh| fresh.batch > after).cloned().collect()
    }

    /// Waits until a batch above `after` is judged, but not longer than `most`; returns the last judged one.
    pub fn wait(&self, after: u64, most: Duration) -> u64 {
        let waited = self.news.wait_timeout_while(lock(&self.told), most, |told| *told <= after);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Something is wrong with a part, or is no longer.
    pub fn trouble(&self, part: &'static str, said: Option<String>) {
        let mut troubles = lock(&self.troubles);
        match said {
            Some(said) => {
                let since = troubles.get(part).map_or_else(Instant::now, |(_, since)| *since);
                troubles.insert(part, (said, since));
            }
            None => drop(troubles.remove(part)),
        }
    }

    /// What is wrong now, by part, and for how long.
    pub fn troubles(&self) -> Vec<(&'static str, String, Duration)> {
        lock(&self.troubles).iter().map(|(part, (said, since))| (*part, said.clone(), since.elapsed())).collect()
    }
}
