//! The judge's thread: one, for the life of the server. It reads what is durable, asks the rules, and writes the lake.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use klio_detect::RuleSet;
use klio_store::{Spooled, Verdict};

use super::Pipeline;
use super::upkeep::Upkeep;
use crate::failure::Failure;
use crate::keep::Keeper;
use crate::scan::{Allowed, Memories, Stream, Watch, Wish, follow};
use crate::serve::metrics::Metrics;

/// How long it waits before it tries again what the disk refused.
const AGAIN: Duration = Duration::from_secs(2);

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

struct Watcher<'d> {
    pipeline: &'d Pipeline,
    metrics: &'d Metrics,
    upkeep: RefCell<Upkeep>,
}

/// Judges until it is told to stop. Whatever the disk refuses is tried again: what is durable stays in the spool.
pub fn run(
    pipeline: &Pipeline,
    metrics: &Metrics,
    mut keeper: Keeper,
    mut memories: Memories,
    every: Duration,
) {
    let watcher = Watcher { pipeline, metrics, upkeep: RefCell::new(Upkeep::new()) };
    let orders = &pipeline.orders;
    let mut carried = None;
    while !orders.is_over() {
        orders.changed.store(false, Ordering::Release);
        let rules = orders.rules.load_full();
        let stream = Stream { rules: &rules, terms: &pipeline.terms, intake: pipeline.intake.spool(), every };
        let (back, ended) = follow(&stream, keeper, &mut memories, &mut carried, &watcher);
        let Some(back) = back else { return };
        keeper = back;
        let Err(mut failure) = ended else { continue };
        loop {
            tracing::error!(error = %failure.message, "the lake cannot be written; events wait in the spool");
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

impl Watch for Watcher<'_> {
    fn wish(&self) -> Wish {
        let orders = &self.pipeline.orders;
        if orders.is_over() || orders.changed.load(Ordering::Acquire) { Wish::Stop } else { Wish::GoOn }
    }

    fn judged(&self, batch: Spooled, events: u64, found: &[Verdict]) {
        self.pipeline.accounts.durable(batch.seq(), batch.origin());
        if batch.seq() > self.pipeline.live.progress().0 {
            self.metrics.judged(&batch, events, found);
        }
        self.pipeline.live.judged(batch, found);
    }

    fn flushing(&self) {
        if let Err(e) = self.pipeline.accounts.save() {
            tracing::warn!(error = %e, "what was counted cannot be kept; after a restart completeness is unproven for a while");
        }
    }

    fn flushed(&self, upto: u64, took: Duration) {
        self.pipeline.live.flushed(upto);
        self.metrics.flush.observe(took.as_secs_f64());
    }

    fn excused(&self, cluster: &str, entry: &Allowed, findings: u64) {
        self.metrics.excused(cluster, entry, findings);
    }

    fn damaged(&self, said: &str) {
        tracing::error!(error = said, "a batch of the spool cannot be read");
    }

    fn chores(&self, keeper: &mut Keeper) -> Result<(), Failure> {
        let found =
            std::mem::take(&mut *self.pipeline.orders.found.lock().unwrap_or_else(PoisonError::into_inner));
        if !found.is_empty() {
            keeper.find(found);
        }
        self.upkeep.borrow_mut().step(keeper)
    }
}
