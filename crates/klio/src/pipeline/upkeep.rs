//! What keeps a lake in order while it is written: small files are merged, and what has been kept long enough is removed.
//!
//! Merging is worked out on a thread of its own, so that verdicts do not wait for it; the judge only puts the result in its place.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use klio_store::{CompactOptions, Compacted, Merged, Merging, StoreError, Writer};

use crate::failure::Failure;
use crate::keep::Keeper;
use crate::traces::SPANS;

/// How often it is looked for small files.
const MERGE: Duration = Duration::from_mins(10);
/// When it is first looked for them: a server that is often started anew must come to it too.
const FIRST: Duration = Duration::from_mins(1);
/// How often it is looked for what has been kept long enough.
const EXPIRE: Duration = Duration::from_hours(1);

/// The chores of a lake's writer.
pub struct Upkeep {
    merged: Instant,
    expired: Option<Instant>,
    waiting: VecDeque<Merging>,
    /// One thread for all.
    bench: Option<Bench>,
    /// Whether something lies on the bench.
    busy: bool,
    done: Compacted,
}

/// Where files are merged.
struct Bench {
    work: Sender<Merging>,
    done: Receiver<Result<Merged, StoreError>>,
}

impl Bench {
    fn new() -> std::io::Result<Self> {
        let (work, orders) = channel::<Merging>();
        let (results, done) = channel();
        let run = move || {
            // Behind whoever waits for an answer.
            let _ = rustix::process::setpriority_process(None, 10);
            for merging in orders {
                let _span = tracing::info_span!(target: SPANS, "merge").entered();
                if results.send(merging.run()).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("merge".into()).spawn(run)?;
        Ok(Self { work, done })
    }
}

impl Upkeep {
    /// Nothing to do yet.
    pub fn new() -> Self {
        let (waiting, done) = (VecDeque::new(), Compacted::default());
        let now = Instant::now();
        Self {
            merged: now.checked_sub(MERGE.saturating_sub(FIRST)).unwrap_or(now),
            expired: None,
            waiting,
            bench: None,
            busy: false,
            done,
        }
    }

    /// A step, which takes no longer than a commit. After an error the keeper is to be reopened.
    pub fn step(&mut self, keeper: &mut Keeper) -> Result<(), Failure> {
        if let Err(e) = self.merge(keeper.writer()) {
            self.waiting.clear();
            return Err(Failure::world(format!("small files cannot be merged: {e}")));
        }
        if self.expired.is_none_or(|expired| expired.elapsed() >= EXPIRE) {
            self.expired = Some(Instant::now());
            for p in keeper.expire()?.partitions.iter().filter(|p| p.files > 0) {
                tracing::info!(
                    table = p.table,
                    class = p.class,
                    day = p.day,
                    rule = p.rule,
                    files = p.files,
                    rows = p.rows,
                    "removed what was kept long enough"
                );
            }
        }
        Ok(())
    }

    /// Goes on with merging. Only a commit that failed is an error; the rest is tried again the next time.
    fn merge(&mut self, writer: &mut Writer) -> Result<(), StoreError> {
        if let Some(bench) = self.bench.as_ref().filter(|_| self.busy) {
            match bench.done.try_recv() {
                Err(TryRecvError::Empty) => return Ok(()),
                Ok(merged) => {
                    self.busy = false;
                    match merged {
                        Ok(merged) => writer.adopt(merged, &mut self.done)?,
                        // The rest is none the worse for it.
                        Err(e) => tracing::warn!(error = %e, "files are left as they are"),
                    }
                }
                Err(TryRecvError::Disconnected) => {
                    tracing::error!("the thread that merges broke off");
                    (self.bench, self.busy) = (None, false);
                }
            }
        }
        if let Err(e) = self.next(writer) {
            tracing::warn!(error = %e, "small files cannot be merged now");
            self.waiting.clear();
        }
        Ok(())
    }

    fn next(&mut self, writer: &mut Writer) -> Result<(), StoreError> {
        if let Some(next) = self.waiting.pop_front() {
            let broken = |e: std::io::Error| StoreError::Query(e.to_string());
            let bench = match &self.bench {
                Some(bench) => bench,
                None => self.bench.insert(Bench::new().map_err(broken)?),
            };
            self.busy = true;
            return bench.work.send(next).map_err(|e| broken(std::io::Error::other(e.to_string())));
        }
        if self.done.files_before > 0 {
            let Compacted { files_before, files_after, rows, .. } = std::mem::take(&mut self.done);
            tracing::info!(before = files_before, after = files_after, rows, "merged small files");
        }
        if self.merged.elapsed() < MERGE {
            return Ok(());
        }
        self.merged = Instant::now();
        // What merging takes of memory must not be felt beside the rest of the server.
        let options = CompactOptions { min_files: 8, fan_in: 8, rows: 1 << 17, ..CompactOptions::default() };
        writer.sweep(klio_model::Timestamp(jiff::Timestamp::now().as_microsecond()), options.grace)?;
        let mut refused = Vec::new();
        self.waiting = writer.mergings(&options, &mut refused)?.into();
        for said in refused {
            tracing::warn!(said, "a file is left as it is");
        }
        Ok(())
    }
}
