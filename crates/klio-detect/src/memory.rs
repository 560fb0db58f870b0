//! What is known of the past: who usually does what from where, whose credential it is, what exists and who made it.
//!
//! Workers that judge events know nothing of the past. They make a [`Trace`] of each event; whoever has the events of
//! one cluster in the order of time hands the traces to a [`Memory`], which answers with the [`Facts`] that an event
//! may be judged by, and then learns it. Why: `docs/decisions/0024-memory.md`.
//!
//! - **Time** is the events' own. An event that comes late is compared with all that was learnt before it came; it
//!   never moves a last time back, so that nothing becomes new again.
//! - **Who teaches.** A 401 teaches nothing. A request that was denied, or a dry run, makes identity, client and
//!   address known, and no action, namespace or secret: whoever tries what he may not does not train it. Who only asks what
//!   there is makes neither client nor public network known. The control
//!   plane and nodes have no baselines; they teach credentials, pods and owners.
//! - **Size.** Each table has a share of the budget and forgets what was not seen for the longest time, an eighth at
//!   once; while it does, that table exists twice. [`Stats`] counts it.
//! - **The same traces give the same facts and snapshots**: no random seeds, no order of a hash map, no clock.
//!
//! Measured (`tests/memory_recorded.rs`): 500 people, 900 service accounts and 5,000 pods over 30 days with four tokens
//! a day take 78 MB by [`Stats::bytes`] of a budget of 256 MiB; the whole test process takes 142 MB, a snapshot of
//! 36 MB included. With eight tokens a day the oldest 340,000 tokens are forgotten and nothing else, and the process
//! takes 169 MB at its height. [`Memory::observe`] takes 0.12 µs on the recorded events; [`Trace::of`] 0.15 µs at
//! level Metadata (half of these events are of stage RequestReceived), 0.44 and 0.5 µs with bodies.

mod baselines;
mod causes;
mod credentials;
mod deed;
mod inventory;
mod names;
mod rate;
mod secrets;
mod snapshot;
mod table;
mod trace;

use klio_model::event::UserKind;
use klio_model::{Attribution, Facts, Timestamp};
use serde::{Deserialize, Serialize};

use baselines::Baselines;
use causes::{Behind, Causes};
use credentials::Credentials;
use inventory::Inventory;
use names::Names;
use table::Table;

pub use snapshot::Forgotten;
pub use trace::Trace;

/// Seconds of a day.
const DAY: u32 = 86_400;
/// What was not seen for so long is new again.
const FRESH: u32 = 30 * DAY;
/// Days that are counted.
const DAYS: usize = 400;

/// Whether something last seen then still counts.
fn is_fresh(last: u32, at: u32) -> bool {
    at.saturating_sub(last) <= FRESH
}

/// What a memory holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Identities.
    pub actors: usize,
    /// What was seen together with an identity: clients, networks, namespaces, secrets, actions.
    pub habits: usize,
    /// Credentials.
    pub credentials: usize,
    /// Pods, nodes and objects.
    pub objects: usize,
    /// Entries that were forgotten because there was no room.
    pub evicted: u64,
    /// Bytes in use.
    pub bytes: usize,
}

/// On which days there was something to learn.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Days {
    first: Option<u32>,
    /// Sorted.
    seen: Vec<u32>,
}

impl Days {
    /// Whole days since the first event, of which there were events on each that counts.
    fn before(&self, at: u32) -> i64 {
        let span = self.first.map_or(0, |first| at.saturating_sub(first) / DAY);
        let seen = self.seen.partition_point(|day| *day <= at / DAY);
        i64::from(span).min(seen as i64)
    }

    fn learn(&mut self, at: u32) {
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        let day = at / DAY;
        if self.seen.last() == Some(&day) {
            return;
        }
        if let Err(place) = self.seen.binary_search(&day) {
            self.seen.insert(place, day);
            if self.seen.len() > DAYS {
                self.seen.remove(0);
            }
        }
    }

    fn tidy(&mut self) {
        self.seen.sort_unstable();
        self.seen.dedup();
        self.seen.truncate(DAYS);
    }
}

/// What is known of one cluster.
#[derive(Debug)]
pub struct Memory {
    budget: usize,
    days: Days,
    baselines: Baselines,
    credentials: Credentials,
    inventory: Inventory,
    causes: Causes,
    names: Names,
}

impl Memory {
    /// A memory that takes at most so many bytes; 256 MiB are enough for 500 identities and 5,000 pods over 30 days.
    pub fn new(budget: usize) -> Self {
        // Thousandths, with those of the heap. Tables grow by doubling: at 256 MiB each fills its share.
        let share = |thousandths: usize| budget / 1000 * thousandths;
        Self {
            budget,
            days: Days::default(),
            baselines: Baselines {
                actors: Table::new(share(98), share(92)),
                tuples: Table::new(share(266), 0),
                doings: Table::new(share(162), 0),
                peers: Table::new(share(65), 0),
            },
            credentials: Credentials { table: Table::new(share(300), share(14)) },
            inventory: Inventory {
                pods: Table::new(share(24), 0),
                nodes: Table::new(share(5), 0),
                objects: Table::new(share(48), 0),
            },
            causes: Causes { table: Table::new(share(15), share(9)) },
            names: Names { table: Table::new(share(17), share(12)) },
        }
    }

    /// What is known before this event; then it is learnt.
    pub fn observe(&mut self, trace: &Trace) -> Facts {
        let at = trace.at;
        let mut facts = Facts { history_days: Some(self.days.before(at)), ..Facts::default() };
        self.days.learn(at);
        if trace.is_node != 0 {
            self.inventory.node(trace);
        }
        let new_pod = trace.pod != 0 && self.inventory.bound(trace, &mut self.names, &mut facts);
        if trace.credential != 0 {
            self.credentials.observe(trace, &self.names, &mut facts);
        }
        if trace.actor != 0 {
            self.baselines.observe(trace, new_pod, &mut facts);
        }
        if let Some(deed) = &trace.deed {
            let minted = self.minted(trace.credential);
            if let (Some(draft), Some(user)) = (&deed.cause, deed.user.as_deref())
                && (trace.kind != UserKind::System || minted.is_some())
            {
                let (workload, _, behind) = self.behind(trace, user);
                self.causes.put(draft, user, workload, behind, at, &mut self.names);
            }
            if deed.issued != 0 {
                let issuer = deed.user.as_deref().map_or(0, |user| self.names.put(user, at));
                self.credentials.issued(deed.issued, issuer, trace);
            }
            if let Some(write) = &deed.write {
                let (before, follows) =
                    self.inventory.wrote(deed, write, at, minted, &mut self.names, &mut facts);
                self.causes.followed(follows);
                self.causes.replaced(before, deed.cause.as_ref().map_or(before, |draft| draft.key()));
            }
            if let Some(status) = &deed.pod {
                self.inventory.status(status, at);
            }
        }
        facts
    }

    /// Who is behind a request that was observed: the workload of its token, and the chain of requests that it follows
    /// from. `user` is who authenticated. Persons and the phrase are left to [`Attribution::tell`].
    pub fn attribution(&self, trace: &Trace, user: Option<&str>) -> Attribution {
        let (workload, sure, behind) = self.behind(trace, user.unwrap_or_default());
        let workload = self.names.get(workload).map(|name| name.to_string());
        let write = trace.deed.as_ref().and_then(|deed| deed.write.as_ref()).filter(|write| write.controller);
        let behind = behind.or_else(|| self.inventory.owner(write?));
        Attribution {
            said: String::new(),
            workload_sure: workload.as_ref().map(|_| sure),
            workload,
            chain: self.causes.chain(behind, &self.names),
        }
    }

    /// The workload of who makes a request, whether that is recorded, and what stands behind him: who had his token
    /// issued, who wrote his workload, or who wrote his account.
    fn behind(&self, trace: &Trace, user: &str) -> (u64, bool, Option<Behind>) {
        let (workload, sure, of_pod) =
            if trace.pod == 0 { (0, false, None) } else { self.inventory.pod(trace, &self.names) };
        let minted = self.minted(trace.credential);
        let account = || if workload == 0 { self.inventory.account(user) } else { None };
        (workload, sure, minted.or(of_pod).or_else(account))
    }

    /// Who had a credential issued, and the request, as long as that is remembered.
    fn minted(&self, credential: u64) -> Option<Behind> {
        self.causes.minted(credential).or_else(|| self.credentials.minted(credential, &self.names))
    }

    /// The facts of an event that has no trace: what is known of the cluster alone.
    pub fn facts_at(&self, time: Timestamp) -> Facts {
        let at = trace::seconds(time.micros());
        Facts { history_days: Some(self.days.before(at)), ..Facts::default() }
    }

    /// How much it holds.
    pub fn stats(&self) -> Stats {
        let Self { baselines, credentials, inventory, causes, names, .. } = self;
        let mut stats = Stats {
            actors: baselines.actors.len(),
            habits: baselines.tuples.len() + baselines.doings.len(),
            credentials: credentials.table.len(),
            objects: inventory.pods.len() + inventory.nodes.len() + inventory.objects.len(),
            evicted: 0,
            bytes: size_of::<Self>() + self.days.seen.capacity() * size_of::<u32>(),
        };
        let mut add = |evicted: u64, bytes: usize| {
            stats.evicted += evicted;
            stats.bytes += bytes;
        };
        add(baselines.actors.evicted(), baselines.actors.bytes());
        add(baselines.tuples.evicted(), baselines.tuples.bytes());
        add(baselines.doings.evicted(), baselines.doings.bytes());
        add(baselines.peers.evicted(), baselines.peers.bytes());
        add(credentials.table.evicted(), credentials.table.bytes());
        add(inventory.pods.evicted(), inventory.pods.bytes());
        add(inventory.nodes.evicted(), inventory.nodes.bytes());
        add(inventory.objects.evicted(), inventory.objects.bytes());
        add(causes.table.evicted(), causes.table.bytes());
        add(names.table.evicted(), names.table.bytes());
        stats
    }
}

#[cfg(test)]
mod tests;
