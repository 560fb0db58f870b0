//! What identities usually do: first and last times of what was seen together, hours, rates.

use klio_model::Facts;
use klio_model::event::UserKind;
use serde::{Deserialize, Serialize};

use super::rate::Rate;
use super::secrets::Secrets;
use super::table::{Entry, Table};
use super::trace::{Trace, mix};
use super::{DAY, is_fresh};

/// An identity.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Actor {
    pub(super) first: u32,
    pub(super) last: u32,
    /// When it was last at work; who only asks what there is, is not.
    worked: u32,
    /// Whether that was at a private address.
    private: bool,
    /// When a service account came last to networks while it was at work elsewhere.
    arrivals: Option<Box<[u32; ARRIVALS]>>,
    hours: Option<Box<Hours>>,
    secrets: Option<Box<Secrets>>,
}

/// Something that was seen together.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Tuple {
    last: u32,
    /// Of a client: when it was first seen. Of a network: when the identity came there while it was at work elsewhere; 0 if
    /// it is at home there.
    since: u32,
}

/// What an identity does.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Doing {
    last: u32,
    rate: Rate,
}

/// The last two who did something.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pair {
    who: [u64; 2],
    last: [u32; 2],
}

/// Hours of the week at which a person works, of this month and the one before.
#[derive(Debug, Serialize, Deserialize)]
struct Hours {
    month: u32,
    used: [[u64; 3]; 2],
}

impl Entry for Actor {
    fn last(&self) -> u32 {
        self.last
    }
    fn heap(&self) -> usize {
        let hours = self.hours.as_ref().map_or(0, |_| size_of::<Hours>());
        let arrivals = self.arrivals.as_ref().map_or(0, |_| size_of::<[u32; ARRIVALS]>());
        hours + arrivals + self.secrets.as_ref().map_or(0, |s| size_of::<Secrets>() + s.heap())
    }
    fn tidy(&mut self) {
        if let Some(secrets) = &mut self.secrets {
            secrets.tidy();
        }
    }
}

impl Entry for Tuple {
    fn last(&self) -> u32 {
        self.last
    }
}

impl Entry for Doing {
    fn last(&self) -> u32 {
        self.last
    }
}

impl Entry for Pair {
    fn last(&self) -> u32 {
        self.last[0].max(self.last[1])
    }
}

impl Pair {
    fn empty() -> Self {
        Self { who: [0; 2], last: [0; 2] }
    }

    /// Whether there was somebody else within the time that counts.
    fn others(&self, who: u64, at: u32) -> bool {
        (0..2).any(|i| self.who[i] != 0 && self.who[i] != who && is_fresh(self.last[i], at))
    }

    fn learn(&mut self, who: u64, at: u32) {
        let older = usize::from(self.last[1] < self.last[0]);
        let place = self.who.iter().position(|w| *w == who).unwrap_or(older);
        // A late event does not push out who came after it.
        if self.who[place] == who || self.last[place] <= at {
            (self.who[place], self.last[place]) = (who, self.last[place].max(at));
        }
    }
}

/// Who was seen elsewhere so long ago is still at work there.
const AT_WORK: u32 = 3600;
/// Arrivals of a service account within the time that counts. Who comes from ever new networks, as build jobs of a cloud
/// do, has no place that he could leave. People have one.
const ARRIVALS: usize = 3;

impl Actor {
    /// Takes note of from where it comes, before it is learnt that it was seen; tells whether it came to this network while
    /// it was at work elsewhere. `new`: it was never seen on this public network.
    fn arrives(&mut self, trace: &Trace, new: bool) -> bool {
        let at = trace.at;
        let human = trace.kind == UserKind::Human;
        // Accounts of workloads outside of the cluster come from any address; those of pods from private ones.
        let mut arrives = new && self.worked != 0 && at.saturating_sub(self.worked) <= AT_WORK;
        arrives &= human || self.private;
        if arrives && !human {
            let arrivals = self.arrivals.get_or_insert_default();
            let free = arrivals.iter_mut().find(|came| **came == 0 || !is_fresh(**came, at));
            arrives = free.map(|free| *free = if trace.asks { *free } else { at }).is_some();
        }
        if trace.asks {
            return arrives;
        }
        self.worked = self.worked.max(at).max(1);
        if trace.network != 0 {
            self.private = trace.private;
        }
        arrives
    }
}

/// Weeks of history before an hour can be unusual.
const HOURS_NEED: u32 = 14 * DAY;

impl Hours {
    /// Whether neither the hour nor one next to it was used; takes note of it.
    fn unusual(&mut self, at: u32) -> bool {
        let (month, hour) = (at / (30 * DAY), at / 3600 % 168);
        let bit = |hour: u32| (((hour % 168) / 64) as usize, 1u64 << (hour % 168 % 64));
        let near = [hour + 167, hour, hour + 1];
        let used = near.iter().any(|h| {
            let (word, mask) = bit(*h);
            self.used.iter().any(|month| month[word] & mask != 0)
        });
        match month.checked_sub(self.month) {
            Some(0) | None => {}
            Some(1) => self.used[1] = std::mem::take(&mut self.used[0]),
            Some(_) => self.used = [[0; 3]; 2],
        }
        let of = usize::from(month < self.month);
        self.month = self.month.max(month);
        let (word, mask) = bit(hour);
        self.used[of][word] |= mask;
        !used
    }
}

/// All baselines of a cluster.
#[derive(Debug)]
pub(super) struct Baselines {
    pub(super) actors: Table<Actor>,
    pub(super) tuples: Table<Tuple>,
    pub(super) doings: Table<Doing>,
    pub(super) peers: Table<Pair>,
}

/// Kinds of what is seen together, so that an agent is never taken for an address.
const AGENT: u64 = 1;
const NETWORK: u64 = 2;
const NAMESPACE: u64 = 3;
const SECRET: u64 = 4;
const COUNTRY: u64 = 5;
pub(super) const ASN: u64 = 6;
/// Stands for any country or network.
const ANY: u64 = 1;
const HOME: u64 = 7;

impl Baselines {
    /// Tells the facts of a request and learns it. `new_pod`: it is the first of its pod.
    pub(super) fn observe(&mut self, trace: &Trace, new_pod: bool, facts: &mut Facts) {
        let (at, actor) = (trace.at, trace.actor);
        let history = !self.actors.is_empty();
        let secret = if trace.done { trace.secret } else { 0 };
        let make = || Actor {
            first: at,
            last: 0,
            worked: 0,
            private: false,
            arrivals: None,
            hours: None,
            secrets: None,
        };
        let network = mix(actor, mix(trace.network, NETWORK));
        // Where colleagues are at home nobody is a stranger.
        let home = mix(trace.network, HOME);
        let new_network = trace.network != 0
            && !trace.private
            && self.tuples.get(network).is_none_or(|tuple| !is_fresh(tuple.last, at))
            && !self.peers.get(home).is_some_and(|pair| pair.others(actor, at));
        let (known, age, unusual, read, arrives) = self.actors.update(actor, make, |entry| {
            let known = entry.last != 0 && is_fresh(entry.last, at);
            if !known {
                *entry = make();
            }
            let age = at.saturating_sub(entry.first);
            let arrives = entry.arrives(trace, new_network);
            entry.first = entry.first.min(at);
            entry.last = entry.last.max(at).max(1);
            let unusual = (trace.kind == UserKind::Human).then(|| {
                let hours = entry
                    .hours
                    .get_or_insert_with(|| Box::new(Hours { month: at / (30 * DAY), used: [[0; 3]; 2] }));
                hours.unusual(at)
            });
            if secret != 0 {
                entry.secrets.get_or_insert_default().read(secret, at);
            }
            let read = entry.secrets.as_ref().map_or((0, 0), |s| (s.within(at, DAY), s.within(at, 7 * DAY)));
            (known, age, unusual.filter(|_| age >= HOURS_NEED), read, arrives)
        });
        if history {
            facts.new_actor = Some(!known);
            facts.actor_age = Some(i64::from(age));
            (facts.secrets_day, facts.secrets_week) = (Some(read.0), Some(read.1));
        }
        facts.actor_hour_unusual = unusual;
        let came = if arrives { at } else { self.tuples.get(network).map_or(0, |tuple| tuple.since) };
        let came = Some(came).filter(|came| *came != 0 && trace.network != 0 && is_fresh(*came, at));
        facts.address_age = came.map(|came| i64::from(at.saturating_sub(came)));
        if came.is_none()
            && !trace.asks
            && trace.kind == UserKind::Human
            && trace.network != 0
            && !trace.private
        {
            self.peers.update(home, Pair::empty, |pair| pair.learn(actor, at));
        }
        let mut tuple = |kind: u64, value: u64, learn: bool| {
            if value == 0 {
                return None;
            }
            let key = mix(actor, mix(value, kind));
            let new = self.tuples.get(key).is_none_or(|tuple| !is_fresh(tuple.last, at));
            let since = match kind {
                AGENT => at,
                NETWORK if arrives => at,
                _ => 0,
            };
            if learn {
                self.tuples.update(
                    key,
                    || Tuple { last: at, since },
                    |tuple| {
                        tuple.since = if new { since } else { tuple.since };
                        tuple.last = tuple.last.max(at);
                    },
                );
            }
            known.then_some(new)
        };
        facts.new_agent = tuple(AGENT, trace.agent, !trace.asks);
        let public = trace.asks && !trace.private;
        facts.new_address = tuple(NETWORK, trace.network, !public).filter(|_| !(new_pod && trace.private));
        // Databases may have come after the history: then there is nothing to compare the first place with.
        let mut place = |kind: u64, value: u64| {
            let compared = value != 0 && tuple(kind, ANY, true) == Some(false);
            tuple(kind, value, true).filter(|_| compared)
        };
        facts.new_country = place(COUNTRY, trace.country);
        facts.new_asn = place(ASN, trace.asn);
        facts.new_namespace = tuple(NAMESPACE, trace.namespace, trace.allowed);
        facts.new_secret = tuple(SECRET, trace.secret, trace.done);
        if trace.agent != 0 {
            let agent = self.tuples.get(mix(actor, mix(trace.agent, AGENT)));
            let since = agent.filter(|agent| is_fresh(agent.last, at)).map_or(at, |agent| agent.since);
            facts.agent_age = Some(i64::from(at.saturating_sub(since)));
        }
        self.action(trace, known, facts);
    }

    fn action(&mut self, trace: &Trace, known: bool, facts: &mut Facts) {
        let (at, actor, learn) = (trace.at, trace.actor, trace.allowed);
        let key = mix(actor, trace.action);
        let fresh = self.doings.get(key).is_some_and(|doing| is_fresh(doing.last, at));
        facts.new_action = known.then_some(!fresh);
        facts.actor_rate = Some(0);
        if learn || fresh {
            let make = || Doing { last: 0, rate: Rate::default() };
            facts.actor_rate = Some(self.doings.update(key, make, |doing| {
                if !fresh {
                    *doing = make();
                }
                if learn {
                    doing.last = doing.last.max(at);
                }
                doing.rate.count(at)
            }));
        }
        // Whether there is anybody to compare with, then whether one of them did it.
        let mut others = |key: u64, learn: bool| {
            if !learn {
                return self.peers.get(key).is_some_and(|pair| pair.others(actor, at));
            }
            self.peers.update(key, Pair::empty, |pair| {
                let others = pair.others(actor, at);
                pair.learn(actor, at);
                others
            })
        };
        let (anybody, did) = (others(trace.peers, true), others(mix(trace.peers, trace.action), learn));
        facts.peers_action = anybody.then_some(did);
    }
}
