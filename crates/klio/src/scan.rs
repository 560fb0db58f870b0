//! The way of a scan: read → decode and judge on every core → put in order → tell.
//!
//! Workers take chunks from one [`feed`], judge them alone and hand results to the [`sequence`], which takes them
//! in the order of the input: duplicates, correlations and stories need it. Findings go to a [`spill`] file,
//! so that memory does not grow with their number.

mod feed;
mod judged;
mod keys;
mod known;
#[cfg(feature = "lake")]
mod memories;
mod progress;
mod report;
mod sequence;
mod spill;
#[cfg(feature = "lake")]
mod stream;
mod tally;
mod telling;
mod turns;
mod worker;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use klio_detect::engine::{FalcoMatching, Sight};
use klio_detect::{Engine, RuleSet};
use klio_model::{Filter, TimeRange};

use crate::failure::Failure;
use crate::keep::{self, Keeper, Terms};
use feed::Feed;
pub use feed::named;
#[cfg(feature = "lake")]
pub use memories::Memories;
#[cfg(feature = "lake")]
pub use report::Allowed;
pub use report::{Report, RuleCount, RuleName, Summary};
pub use sequence::REUSE;
use sequence::Sequence;
#[cfg(feature = "lake")]
pub use stream::{Stream, Watch, Wish, follow};
use turns::Turns;
use worker::Worker;

/// What to scan and how.
pub struct Options {
    /// Files, directories, patterns or `-`.
    pub paths: Vec<PathBuf>,
    /// Only these events are judged.
    pub filter: Filter,
    /// Only events of this time are judged.
    pub range: TimeRange,
    /// Threads; 0 for as many as there are cores.
    pub threads: usize,
    /// Which Falco rules count.
    pub matching: FalcoMatching,
    /// Findings are to be listed one by one, not only told in stories.
    pub listing: bool,
    /// Show a progress bar on stderr.
    pub progress: bool,
}

impl Options {
    /// All events of paths, with each finding.
    pub fn of(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            filter: Filter::All,
            range: TimeRange::default(),
            threads: 0,
            matching: FalcoMatching::First,
            listing: true,
            progress: false,
        }
    }
}

/// Runs a scan.
pub fn run(options: &Options, rules: &RuleSet) -> Result<Report, Failure> {
    keep(options, rules, None).map(|(report, _)| report)
}

/// Runs a scan and keeps what it reads.
pub fn keep(
    options: &Options,
    rules: &RuleSet,
    keeping: Option<(Keeper, Arc<Terms>)>,
) -> Result<(Report, Option<Keeper>), Failure> {
    let started = Instant::now();
    let engine = Engine::new(rules.awake(), options.matching);
    let feed = Feed::open(&options.paths, keeping.is_some())?;
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let bar = progress::Bar::new(options.progress, feed.total_bytes());
    let feed = Mutex::new(feed);
    let (keeper, terms) = keeping.unzip();
    let terms = terms.as_deref();
    let cluster = keep::cluster_of(None, terms);
    let mut sequence = Sequence::new(&engine, rules, options.listing, keeper, cluster.as_deref());
    let secret = keys::secret();
    let mut first = Worker::new(&engine, &secret, rules, options, terms);
    recover(&mut first, &mut sequence)?;
    let turns = Turns::new(sequence, 4 * threads);
    let work = |mut worker: Worker<'_>| -> Result<Vec<Sight>, Failure> {
        // The guard is dropped before the chunk is judged.
        while let Some(next) = { lock(&feed).next_chunk() } {
            let judged = worker.judge(&next, turns.room());
            bar.at(next.chunk.input, next.chunk.consumed);
            let number = next.number;
            drop(next);
            turns.hand_in(number, judged)?;
        }
        Ok(worker.into_sight())
    };
    let mut sight = vec![Sight::default(); engine.rules().len()];
    let results: Vec<_> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map(|_| Worker::new(&engine, &secret, rules, options, terms))
            .map(|worker| scope.spawn(move || work(worker)))
            .collect();
        let mut results = vec![work(first)];
        results.extend(
            others.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(Failure::world("a thread died")))),
        );
        results
    });
    // Who could not go on since another failed says less than that one.
    let is_echo = |result: &Result<_, Failure>| result.as_ref().is_err_and(|e| e.message == turns::ECHO);
    let (echoes, results): (Vec<_>, Vec<_>) = results.into_iter().partition(is_echo);
    for result in results.into_iter().chain(echoes) {
        for (sum, part) in sight.iter_mut().zip(result?) {
            sum.unknown += part.unknown;
            sum.decided += part.decided;
        }
    }
    bar.done();
    let feed = feed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let sequence = turns.into_sequence();
    for (sum, part) in sight.iter_mut().zip(sequence.sight()) {
        sum.unknown += part.unknown;
        sum.decided += part.decided;
    }
    let blind = engine.blind(&sight).map(RuleName::of).collect();
    sequence.finish(feed.into_troubles(), blind, started.elapsed())
}

/// Judges what an earlier run acknowledged and could not flush.
fn recover(worker: &mut Worker<'_>, sequence: &mut Sequence<'_>) -> Result<(), Failure> {
    let Some(pending) = sequence.keeper().map(|keeper| keeper.pending()).transpose()? else { return Ok(()) };
    let mut done = Vec::new();
    for batch in pending {
        let judged = worker.spooled(&batch?, done.pop().unwrap_or_default());
        sequence.take(judged, &mut done)?;
        if let Some(keeper) = sequence.keeper().filter(|keeper| keeper.is_due()) {
            keeper.finish(Vec::new())?;
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
