//! What is known of the moment: findings that are not in the lake yet, how far the judge is, what is wrong.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use klio_source::follow::FollowedFile;
use klio_store::{KeptVerdict, Spooled, Verdict};

use super::Receipt;

/// Findings that wait to be in the lake; more are seen when they are in it.
const FRESH: usize = 50_000;
/// Bytes of batches that are held, and batches.
const HELD: usize = 32 << 20;
const BATCHES: usize = 8192;

/// A source as it is now.
#[derive(Clone, Debug, Default)]
pub struct SourceNow {
    /// Events that were kept since the start.
    pub kept: u64,
    /// Events that were delivered again.
    pub known: u64,
    /// Items that are no events.
    pub dead: u64,
    /// Deliveries that were refused, to be made again.
    pub refused: u64,
    /// When the last delivery came, in microseconds since 1970.
    pub seen: Option<i64>,
    /// Microseconds from the last event of the last delivery to its receipt.
    behind: Option<i64>,
    /// Events by the minute in which they came, of the last minutes.
    minutes: BTreeMap<i64, u64>,
}

/// Minutes over which a rate is told.
const MINUTES: i64 = 5;

impl SourceNow {
    /// Events a second over the last minutes that are over; nothing before the first is.
    pub fn rate(&self) -> Option<f64> {
        let now = jiff::Timestamp::now().as_second() / 60;
        let first = *self.minutes.keys().next()?;
        let minutes = (now - first.max(now - MINUTES)).max(0);
        let events: u64 = self.minutes.range(now - MINUTES..now).map(|(_, count)| count).sum();
        (minutes > 0).then(|| events as f64 / (60 * minutes) as f64)
    }

    /// Seconds from an event to its receipt.
    pub fn lag(&self) -> Option<f64> {
        self.behind.map(|micros| micros.max(0) as f64 / 1e6)
    }
}

/// Batches that were judged last.
pub struct Held {
    /// The first that is held, if any is.
    pub oldest: Option<u64>,
    /// Those that were asked for, in order.
    pub batches: Vec<Arc<Spooled>>,
}

/// What is known of the moment, shared by all.
#[derive(Default, Debug)]
pub struct Live {
    sources: Mutex<BTreeMap<(String, String), SourceNow>>,
    files: Mutex<BTreeMap<String, Vec<FollowedFile>>>,
    /// Why the counters of a cluster's API servers cannot be read.
    unproven: Mutex<BTreeMap<String, String>>,
    /// Findings that are not in the lake yet, with the batch in which their event is.
    fresh: Mutex<VecDeque<(u64, KeptVerdict)>>,
    /// The batches that were judged last, for those who follow what comes, and their bytes.
    held: Mutex<(VecDeque<Arc<Spooled>>, usize)>,
    /// Batches judged, and batches in the lake.
    judged: AtomicU64,
    flushed: AtomicU64,
    /// Why events cannot be made durable now.
    trouble: Mutex<Option<String>>,
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
    pub fn taken(&self, cluster: &str, source: &str, receipt: Receipt) {
        self.source(cluster, source, |now| {
            now.kept += receipt.kept;
            now.known += receipt.known;
            now.dead += receipt.dead;
            let received = jiff::Timestamp::now();
            now.seen = Some(received.as_microsecond());
            if let Some(last) = receipt.last {
                now.behind = Some(received.as_microsecond() - last);
            }
            let minute = received.as_second() / 60;
            *now.minutes.entry(minute).or_default() += receipt.kept;
            now.minutes = now.minutes.split_off(&(minute - MINUTES - 1));
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
    pub fn judged(&self, batch: Spooled, found: &[Verdict]) {
        let seq = batch.seq();
        if seq <= self.judged.load(Ordering::Acquire) {
            // Judged again after the lake refused.
            return;
        }
        if !found.is_empty() {
            let mut fresh = lock(&self.fresh);
            fresh.extend(found.iter().map(|verdict| (seq, KeptVerdict::from(verdict))));
            let beyond = fresh.len().saturating_sub(FRESH);
            fresh.drain(..beyond);
        }
        let mut held = lock(&self.held);
        held.1 += batch.size();
        held.0.push_back(Arc::new(batch));
        while held.0.len() > BATCHES || held.1 > HELD && held.0.len() > 1 {
            let size = held.0.pop_front().map_or(0, |batch| batch.size());
            held.1 = held.1.saturating_sub(size);
        }
        drop(held);
        self.judged.store(seq, Ordering::Release);
        *lock(&self.told) = seq;
        self.news.notify_all();
    }

    /// What was judged up to a batch is in the lake.
    pub fn flushed(&self, upto: u64) {
        self.flushed.store(upto, Ordering::Release);
        self.judged.fetch_max(upto, Ordering::AcqRel);
        lock(&self.fresh).retain(|(batch, _)| *batch > upto);
    }

    /// The batches above a number that were judged, as far as they are held.
    pub fn batches(&self, after: u64) -> Held {
        let held = lock(&self.held);
        let oldest = held.0.front().map(|batch| batch.seq());
        Held { oldest, batches: held.0.iter().filter(|batch| batch.seq() > after).cloned().collect() }
    }

    /// The last batch that was judged, and the last one in the lake.
    pub fn progress(&self) -> (u64, u64) {
        (self.judged.load(Ordering::Acquire), self.flushed.load(Ordering::Acquire))
    }

    /// Findings that are not in the lake yet.
    pub fn findings(&self) -> Vec<KeptVerdict> {
        lock(&self.fresh).iter().map(|(_, verdict)| verdict.clone()).collect()
    }

    /// Waits until a batch above `after` is judged, but not longer than `most`.
    pub fn wait(&self, after: u64, most: Duration) {
        drop(self.news.wait_timeout_while(lock(&self.told), most, |told| *told <= after));
    }

    /// Events cannot be made durable, and why; or they can again.
    pub fn trouble(&self, said: Option<String>) {
        *lock(&self.trouble) = said;
    }

    /// Why events cannot be made durable now.
    pub fn troubled(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }
}
