//! A scan that does not end: what comes into the spool is judged as it comes, and flushed when there is enough of it or
//! when it has waited long enough. Each cluster has a sequence of its own: what happens in one says nothing about another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use klio_detect::{Engine, RuleSet};
use klio_store::spool::SpoolError;
use klio_store::{Following, Intake, StoreError};
use tracing::field::Empty;

use super::Options;
use super::judged::Judged;
use super::keys;
use super::memories::Memories;
use super::report::Allowed;
use super::sequence::{Past, Sequence};
use super::worker::Worker;
use crate::failure::Failure;
use crate::keep::{Keeper, Spooled, Terms, Verdict};
use crate::traces::SPANS;

/// How long the judge waits for news before it looks at the clock.
const BREATH: Duration = Duration::from_millis(100);

/// What the judge is to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Go on.
    GoOn,
    /// Flush what was judged, and return.
    Stop,
}

/// Who looks at the judge.
pub trait Watch {
    /// What it is to do next; asked after each batch, and several times a second.
    fn wish(&self) -> Wish;
    /// A batch was judged: so many events, and what was found in them.
    fn judged(&self, batch: Spooled, events: u64, found: &[Verdict]);
    /// What was judged is about to be written to the lake.
    fn flushing(&self);
    /// What was judged up to this batch is in the lake, and took so long to write.
    fn flushed(&self, upto: u64, took: Duration);
    /// An entry of the allow-list excused so many findings more.
    fn excused(&self, cluster: &str, entry: &Allowed, findings: u64);
    /// A batch cannot be read; the judge goes on with the next.
    fn damaged(&self, said: &str);
    /// The time for chores, at most twice a second.
    fn chores(&self, keeper: &mut Keeper) -> Result<(), Failure>;
}

/// What is judged, and how.
pub struct Stream<'s> {
    /// The rules.
    pub rules: &'s Arc<RuleSet>,
    /// How events are kept.
    pub terms: &'s Arc<Terms>,
    /// Where they come from.
    pub intake: &'s Intake,
    /// They wait no longer than this for a file.
    pub every: Duration,
}

/// What a run of the judge hands on to the next: all that it knows of what is in the lake.
pub struct Carried {
    /// Contents are hashed with it, so that repeats are known.
    secret: Box<[u8; 192]>,
    /// What was judged by.
    rules: Arc<RuleSet>,
    clusters: Vec<(String, Past, Told)>,
}

/// Judges the batches after those in the lake, until the watch wants it to stop; then what was judged is flushed, and the rest
/// stays in the spool. The next run goes on with what this one leaves in `carried`, also by other rules. On an error the keeper is to be
/// reopened: what was not flushed is still in the spool, to be judged again, and nothing is carried.
pub fn follow(
    stream: &Stream<'_>,
    keeper: Keeper,
    memories: &mut Memories,
    carried: &mut Option<Carried>,
    watch: &dyn Watch,
) -> (Option<Keeper>, Result<(), Failure>) {
    let engine = Engine::new(stream.rules.awake(), Options::of(Vec::new()).matching);
    let Carried { secret, rules: before, clusters } = carried.take().unwrap_or_else(|| Carried {
        secret: keys::secret(),
        rules: stream.rules.clone(),
        clusters: Vec::new(),
    });
    let resumed = clusters.into_iter().map(|(name, past, told)| {
        let sequence = Sequence::resumed(&engine, stream.rules, &name, past, &before);
        (name, Cluster { sequence, told, excused: Vec::new() })
    });
    let options = Options::of(Vec::new());
    let mut judge = Judge {
        stream,
        watch,
        engine: &engine,
        worker: Worker::new(&engine, &secret, stream.rules, &options, Some(stream.terms)),
        keeper: Some(keeper),
        memories,
        clusters: resumed.collect(),
        done: Vec::new(),
        since: None,
        upto: 0,
    };
    let ended = judge.run();
    let Judge { keeper, memories, clusters, upto, .. } = judge;
    // What was judged and not flushed is judged again, and must not be learnt twice: then the last file counts.
    if ended.is_ok() {
        memories
            .save(upto, clusters.iter().map(|(name, cluster)| (name.as_str(), cluster.sequence.memory())));
        let clusters = clusters.into_iter();
        let clusters = clusters.map(|(name, cluster)| (name, cluster.sequence.into_past(), cluster.told));
        let clusters = clusters.collect();
        *carried = Some(Carried { secret: secret.clone(), rules: stream.rules.clone(), clusters });
    }
    (keeper, ended)
}

struct Judge<'j> {
    stream: &'j Stream<'j>,
    watch: &'j dyn Watch,
    engine: &'j Engine,
    worker: Worker<'j>,
    keeper: Option<Keeper>,
    memories: &'j mut Memories,
    clusters: HashMap<String, Cluster<'j>>,
    done: Vec<Judged>,
    /// When the first event came that waits for a file.
    since: Option<Instant>,
    /// The last batch that was judged.
    upto: u64,
}

struct Cluster<'c> {
    sequence: Sequence<'c>,
    told: Told,
    /// What each entry of the allow-list had excused when that was told last.
    excused: Vec<u64>,
}

/// What was told of a cluster's incidents.
#[derive(Default)]
struct Told {
    /// Its findings at that time.
    findings: u32,
    /// The incidents as they were told last, hashed.
    last: HashMap<String, u64>,
}

impl Judge<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        self.upto = self.keeper()?.flushed()?;
        let mut batches = self.stream.intake.follow(self.upto);
        let mut rested = Instant::now();
        loop {
            while let Some(batch) = self.next(&mut batches)? {
                self.batch(batch)?;
                let is_late = self.since.is_some_and(|since| since.elapsed() >= self.stream.every);
                if is_late || self.keeper()?.is_due() {
                    self.flush()?;
                }
                self.keeper()?.tick()?;
                self.chores(&mut rested)?;
                if self.watch.wish() == Wish::Stop {
                    break;
                }
            }
            if self.watch.wish() == Wish::Stop {
                return self.flush();
            }
            if self.since.is_some_and(|since| since.elapsed() >= self.stream.every) {
                self.flush()?;
            }
            self.keeper()?.tick()?;
            self.chores(&mut rested)?;
            self.stream.intake.wait(self.upto, BREATH);
        }
    }

    fn chores(&mut self, rested: &mut Instant) -> Result<(), Failure> {
        if rested.elapsed() >= 5 * BREATH {
            *rested = Instant::now();
            let watch = self.watch;
            let keeper = self.keeper()?;
            watch.chores(keeper)?;
            if !keeper.waiting().is_empty() {
                self.since.get_or_insert_with(Instant::now);
            }
        }
        Ok(())
    }

    fn keeper(&mut self) -> Result<&mut Keeper, Failure> {
        self.keeper.as_mut().ok_or_else(given_away)
    }

    /// The next batch that can be read. One that is damaged is told and passed over; when the disk refuses, it is not.
    fn next(&mut self, batches: &mut Following) -> Result<Option<Spooled>, Failure> {
        loop {
            match batches.next() {
                None => return Ok(None),
                Some(Ok(batch)) => return Ok(Some(batch)),
                Some(Err(
                    e @ (StoreError::Spool(SpoolError::Damaged { .. }) | StoreError::Damaged { .. }),
                )) => {
                    self.watch.damaged(&e.to_string());
                }
                // The reader ends with anything else, and begins again with what is in the lake.
                Some(Err(e)) => return Err(Failure::world(e)),
            }
        }
    }

    fn batch(&mut self, batch: Spooled) -> Result<(), Failure> {
        let name = batch.origin().cluster.as_str();
        let span = tracing::info_span!(target: SPANS, "judge", klio.cluster = name, klio.events = Empty, klio.findings = Empty);
        let _span = span.enter();
        let judged = self.worker.spooled(&batch, self.done.pop().unwrap_or_default());
        let events = judged.seen.len() as u64;
        if !self.clusters.contains_key(name) {
            let keeper = self.keeper.as_mut().ok_or_else(given_away)?;
            let memory = self.memories.take(name, keeper.writer().lake());
            let sequence = Sequence::endless(self.engine, self.stream.rules, name, memory);
            let cluster = Cluster { sequence, told: Told::default(), excused: Vec::new() };
            self.clusters.insert(name.to_owned(), cluster);
        }
        let cluster = self.clusters.get_mut(name).ok_or_else(given_away)?;
        let before = self.keeper.as_ref().map_or(0, |keeper| keeper.waiting().len());
        cluster.sequence.lend(self.keeper.take());
        let taken = cluster.sequence.take(judged, &mut self.done);
        self.keeper = cluster.sequence.lend(None);
        taken?;
        self.upto = batch.seq();
        self.since.get_or_insert_with(Instant::now);
        let found =
            self.keeper.as_ref().and_then(|keeper| keeper.waiting().get(before..)).unwrap_or_default();
        span.record("klio.events", events).record("klio.findings", found.len());
        self.watch.judged(batch, events, found);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let _span = tracing::info_span!(target: SPANS, "flush").entered();
        self.since = None;
        let started = Instant::now();
        self.watch.flushing();
        let mut incidents = Vec::new();
        for (name, cluster) in &mut self.clusters {
            incidents.extend(cluster.news(name));
            cluster.excused.resize(cluster.sequence.allowed().len(), 0);
            for (entry, told) in cluster.sequence.allowed().iter().zip(&mut cluster.excused) {
                self.watch.excused(name, entry, entry.findings - *told);
                *told = entry.findings;
            }
        }
        self.keeper()?.finish(incidents)?;
        if self.memories.is_due() {
            let all = self.clusters.iter().map(|(name, cluster)| (name.as_str(), cluster.sequence.memory()));
            self.memories.save(self.upto, all);
        }
        self.watch.flushed(self.upto, started.elapsed());
        Ok(())
    }
}

fn given_away() -> Failure {
    Failure::world("the lake was given away")
}

impl Cluster<'_> {
    /// Incidents that are new, or have grown since they were told.
    fn news(&mut self, name: &str) -> Vec<Verdict> {
        let findings = self.sequence.findings();
        if std::mem::replace(&mut self.told.findings, findings) == findings {
            return Vec::new();
        }
        let mut all = self.sequence.incidents(name);
        let now = all.iter().map(|incident| (incident.id.clone(), keys::text(&incident.json))).collect();
        let last = std::mem::replace(&mut self.told.last, now);
        all.retain(|incident| last.get(&incident.id) != self.told.last.get(&incident.id));
        all
    }
}

#[cfg(test)]
mod tests;
