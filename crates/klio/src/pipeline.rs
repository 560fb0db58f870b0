//! The way of an event through the server:
//!
//! ```text
//! receivers ──▶ intake: read, redact, claim, spool (durable: acknowledged) ──▶ judge ──▶ lake (sealed)
//!                  └──▶ dead letters                                             └──▶ live
//! ```
//!
//! Receivers are many and run side by side; the judge is one thread and sees every event once, in the order of the spool.
//! Nothing but the spool lies between them: it is bounded, and when it is full the intake refuses.

mod account;
mod files;
mod intake;
mod judge;
mod live;
mod pulse;
mod recent;
mod upkeep;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use klio_detect::RuleSet;
use klio_store::{DeadLetters, Settings};

pub use account::{Accounts, Balance, Reading};
pub use intake::{Intake, Receipt, Refusal, Sender, is_full};
pub use judge::Orders;
pub use live::Live;

use crate::config::Cluster;
use crate::data::refused;
use crate::failure::Failure;
use crate::keep::{Keeper, Terms};
use crate::scan::Memories;
use crate::serve::metrics::Metrics;

/// A delivery can be repeated for so long after it was received, in microseconds: the audit webhook tries five times within
/// 98 seconds, and each try may hang for 30 (kubernetes `apiserver/pkg/server/options/audit.go`).
const REPEATS: i64 = 10 * 60 * 1_000_000;
/// Events of that time that are looked at when the server starts.
const MOST: u64 = 1 << 20;

/// The parts, as they are shared.
pub struct Pipeline {
    /// Takes deliveries.
    pub intake: Intake,
    /// What is known of the moment.
    pub live: Live,
    /// What the judge is to do.
    pub orders: Orders,
    /// Whether everything has come.
    pub accounts: Accounts,
    terms: Arc<Terms>,
}

/// The judge and those who follow files, at work.
pub struct Judge {
    judge: std::thread::JoinHandle<()>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

/// What a pipeline is made of.
pub struct Setup {
    /// The data directory.
    pub dir: PathBuf,
    /// How the lake is kept.
    pub lake: Settings,
    /// Whose files are followed.
    pub clusters: BTreeMap<String, Cluster>,
    /// How events are kept.
    pub terms: Arc<Terms>,
    /// The secret of redaction.
    pub secret: [u8; 32],
    /// What is judged by.
    pub rules: RuleSet,
    /// Events wait no longer than this for a file.
    pub every: Duration,
}

/// Opens the lake and starts its judge.
pub fn start(setup: Setup, metrics: &Arc<Metrics>) -> Result<(Arc<Pipeline>, Judge), Failure> {
    let Setup { dir, lake, clusters, terms, secret, rules, every } = setup;
    let mut keeper = Keeper::open(&dir, &lake, terms.clone())?;
    let dead = DeadLetters::open(&dir, &lake, secret).map_err(refused)?;
    let intake = Intake::new(keeper.intake(), dead, terms.clone()).map_err(Failure::world)?;
    let note = &mut |cluster: &str, json: &str| intake.know(cluster, json);
    keeper.writer().latest(REPEATS, MOST, note).map_err(Failure::world)?;
    for batch in keeper.pending()? {
        // What is damaged is told by the judge, who comes to it next.
        let Ok(batch) = batch else { continue };
        batch.records().for_each(|json| intake.know(&batch.origin().cluster, json));
    }
    let (live, accounts) = (Live::default(), Accounts::open(&dir));
    live.flushed(keeper.flushed()?);
    for (cluster, source, seen) in accounts.heard() {
        live.source(&cluster, &source, |now| now.seen = Some(seen));
    }
    let pipeline = Arc::new(Pipeline { intake, live, orders: Orders::new(rules), accounts, terms });
    let known = keeper.positions();
    let mut readers = Vec::new();
    for (name, cluster) in clusters.iter().filter(|(_, cluster)| !cluster.files.is_empty()) {
        let (pipeline, metrics, known) = (pipeline.clone(), metrics.clone(), known.clone());
        let (name, patterns) = (name.clone(), cluster.files.clone());
        let reader = std::thread::Builder::new().name(format!("files {name}"));
        let follow = move || files::follow(&pipeline, &metrics, &name, &patterns, known);
        readers.push(reader.spawn(follow).map_err(Failure::world)?);
    }
    let (own, metrics) = (pipeline.clone(), metrics.clone());
    let judge = std::thread::Builder::new().name("judge".into());
    let memories = Memories::open(&dir);
    let judge =
        judge.spawn(move || judge::run(&own, &metrics, keeper, memories, every)).map_err(Failure::world)?;
    Ok((pipeline, Judge { judge, readers }))
}

impl Judge {
    /// Whether the judge has ended, and whoever follows files.
    pub fn is_over(&self) -> bool {
        self.judge.is_finished() && self.readers.iter().all(std::thread::JoinHandle::is_finished)
    }

    /// Whether the judge has ended, or somebody who follows files.
    pub fn is_gone(&self) -> bool {
        self.judge.is_finished() || self.readers.iter().any(std::thread::JoinHandle::is_finished)
    }
}
