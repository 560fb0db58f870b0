//! The judge's thread: one, for the life of the server. It reads what is durable, asks the rules, and writes the lake.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use klio_detect::RuleSet;
use klio_store::{CompactOptions, Spooled, Verdict};
use tracing::field::Empty;

use super::Pipeline;
use crate::keep::Keeper;
use crate::scan::{Stream, Watch, Wish, follow};
use crate::serve::metrics::Metrics;
use crate::traces::SPANS;

/// How long it waits before it tries again what the disk refused.
const AGAIN: Duration = Duration::from_secs(2);
/// How often small files are merged, when there is nothing else to do.
const MERGE: Duration = Duration::from_mins(10);

/// What the judge is asked by others.
pub struct Orders {
    stop: AtomicBool,
    /// The rules, and whether they changed.
    rules: ArcSwap<RuleSet>,
    changed: AtomicBool,
    /// Findings of others than rules, to be kept.
    found: Mutex<Vec<Verdict>>,
}

impl Orders {
    /// Judge by these rules.
    pub fn new(rules: RuleSet) -> Self {
        Self {
            stop: AtomicBool::new(false),
            rules: ArcSwap::from_pointee(rules),
            changed: AtomicBool::new(false),
            found: Mutex::default(),
        }
    }

    /// Judge by other rules from now on.
    pub fn reload(&self, rules: RuleSet) {
        self.rules.store(Arc::new(rules));
        self.changed.store(true, Ordering::Release);
    }

    /// The rules.
    pub fn rules(&self) -> Arc<RuleSet> {
        self.rules.load_full()
    }

    /// Keep this finding.
    pub fn find(&self, verdict: Verdict) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
    }

    /// Flush what was judged, and end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether the server ends.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

struct Desk<'d> {
    pipeline: &'d Pipeline,
    metrics: &'d Metrics,
    merged: std::cell::Cell<Instant>,
}

/// Judges until it is told to stop. Whatever the disk refuses is tried again: what is durable stays in the spool.
pub fn run(pipeline: &Pipeline, metrics: &Metrics, mut keeper: Keeper, every: Duration) {
    let desk = Desk { pipeline, metrics, merged: std::cell::Cell::new(Instant::now()) };
    let orders = &pipeline.orders;
    while !orders.is_over() {
        orders.changed.store(false, Ordering::Release);
        let rules = orders.rules.load_full();
        let stream = Stream { rules: &rules, terms: &pipeline.terms, intake: pipeline.intake.spool(), every };
        let (back, ended) = follow(&stream, keeper, &desk);
        let Some(back) = back else { return };
        keeper = back;
        let Err(mut failure) = ended else { continue };
        loop {
            tracing::error!(error = %failure.message, "the lake cannot be written; events wait in the spool");
            pipeline.live.trouble("lake", Some(failure.message));
            metrics.flush_failures.inc();
            let until = Instant::now() + AGAIN;
            while Instant::now() < until && !orders.is_over() {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            if orders.is_over() {
                return;
            }
            match keeper.reopen() {
                Ok(()) => break,
                Err(again) => failure = again,
            }
        }
    }
}

impl Watch for Desk<'_> {
    fn wish(&self) -> Wish {
        let orders = &self.pipeline.orders;
        if orders.is_over() || orders.changed.load(Ordering::Acquire) { Wish::Stop } else { Wish::GoOn }
    }

    fn judged(&self, batch: Spooled, events: u64, found: &[Verdict]) {
        if batch.seq() > self.pipeline.live.progress().0 {
            self.metrics.judged(&batch, events, found);
        }
        self.pipeline.live.judged(batch, found);
    }

    fn flushed(&self, upto: u64, took: Duration) {
        self.pipeline.live.flushed(upto);
        self.pipeline.live.trouble("lake", None);
        self.metrics.flush.observe(took.as_secs_f64());
    }

    fn damaged(&self, said: &str) {
        tracing::error!(error = said, "a batch of the spool cannot be read");
        self.pipeline.live.trouble("spool", Some(said.to_owned()));
    }

    fn idle(&self, keeper: &mut Keeper) {
        let found =
            std::mem::take(&mut *self.pipeline.orders.found.lock().unwrap_or_else(PoisonError::into_inner));
        if !found.is_empty() {
            keeper.find(found);
        }
        if self.merged.get().elapsed() < MERGE {
            return;
        }
        self.merged.set(Instant::now());
        let span = tracing::info_span!(target: SPANS, "merge", klio.files = Empty).entered();
        match keeper.writer().compact(&CompactOptions {
            min_files: 8,
            fan_in: 16,
            ..CompactOptions::default()
        }) {
            Ok(done) if done.files_before > 0 => {
                span.record("klio.files", done.files_before);
                tracing::info!(before = done.files_before, after = done.files_after, "merged small files");
            }
            Ok(_) => {}
            Err(e) => tracing::warn!(error = %e, "small files cannot be merged"),
        }
    }
}
