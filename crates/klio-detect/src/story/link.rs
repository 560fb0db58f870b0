//! Which tales belong to one intruder.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::tale::Tale;
use super::{PAUSE, place};
use klio_model::event::{SourceScope, UserKind};

/// Two tales further apart in time than this are not joined by an address or a credential.
const NEAR: i64 = 60 * 60 * 1_000_000;
/// Spans of time that a tale remembers of the objects it touched.
const SPANS_CAP: usize = 256;
/// Findings of one tale are near to each other.
const _: () = assert!(PAUSE <= NEAR);

/// When objects were touched: spans of time in which no touch is further than [`NEAR`] from the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    of: HashMap<u64, Vec<(i64, i64)>, RandomState>,
    count: usize,
}

impl Touched {
    /// How many spans.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn add(&mut self, object: u64, time: i64) {
        if self.count >= SPANS_CAP && !self.of.contains_key(&object) {
            return;
        }
        let spans = self.of.entry(object).or_default();
        let (mut from, mut to, before) = (time, time, spans.len());
        spans.retain(|&(a, b)| {
            let is_near = time >= a.saturating_sub(NEAR) && time <= b.saturating_add(NEAR);
            if is_near {
                (from, to) = (from.min(a), to.max(b));
            }
            !is_near
        });
        if self.count - (before - spans.len()) < SPANS_CAP {
            spans.push((from, to));
        }
        self.count = self.count - before + spans.len();
    }
}

/// Who wrote one object: each span of writes with its tale, and the latest end so far with the tale that it is of.
struct Writers(Vec<(i64, usize, i64, usize)>);

impl Writers {
    fn of(mut spans: Vec<(i64, i64, usize)>) -> Self {
        spans.sort_unstable();
        let (mut latest, mut whose) = (i64::MIN, usize::MAX);
        let with_latest = spans.into_iter().map(|(from, to, tale)| {
            if whose == usize::MAX || to > latest {
                (latest, whose) = (to, tale);
            }
            (from, tale, latest, whose)
        });
        Self(with_latest.collect())
    }

    /// The nearest writer before that time.
    fn before(&self, time: i64) -> Option<usize> {
        let upto = self.0.partition_point(|(from, ..)| *from <= time);
        let (_, _, latest, whose) = self.0[..upto].last()?;
        (time.saturating_sub(*latest) <= NEAR).then_some(*whose)
    }

    /// Whose writes the uses of one span rest on: of the first use, of the last, or of one between them.
    fn behind(&self, (first, last): (i64, i64)) -> impl Iterator<Item = usize> {
        let ends = [self.before(first), self.before(last)];
        let between = || {
            let next = self.0.get(self.0.partition_point(|(from, ..)| *from <= first))?;
            (next.0 <= last).then_some(next.1)
        };
        let between = if ends == [None, None] { between() } else { None };
        ends.into_iter().chain([between]).flatten()
    }
}

/// A group number for each tale. Tales are joined by
/// 1. a credential that one actor had issued and another used (TokenRequest's `issued-credential-id`),
/// 2. the same public address, the same user and credential, the same user and address, or accounts of one person, near in
///    time,
/// 3. an object that one wrote and the other then, and soon, is, enters, reads or is allowed by: a service account, a pod,
///    a secret, a binding. Of several writers the latest before that counts.
///
/// Private addresses join nobody: behind them stand whole networks. The control plane and the nodes touch everything: they are joined
/// to others only by a token that somebody had issued, and by a public address, where neither works.
pub(super) fn join(tales: &[&Tale], issued: &HashMap<u64, u64, RandomState>) -> Vec<usize> {
    let mut groups = Groups((0..tales.len()).collect());
    let mut order: Vec<usize> = (0..tales.len()).collect();
    order.sort_by_key(|&i| tales[i].first_clue);
    let sessions = |i: usize| tales[i].sessions.iter().chain([&tales[i].session]).map(move |s| (*s, i));
    let by_session: HashMap<u64, usize> = order.iter().flat_map(|&i| sessions(i)).collect();
    let mut writers: HashMap<u64, Vec<(i64, i64, usize)>> = HashMap::new();
    for &i in order.iter().filter(|&&i| !is_plant(tales[i])) {
        for (object, spans) in &tales[i].wrote.of {
            writers.entry(*object).or_default().extend(spans.iter().map(|(from, to)| (*from, *to, i)));
        }
    }
    let writers: HashMap<u64, Writers> =
        writers.into_iter().map(|(object, spans)| (object, Writers::of(spans))).collect();
    let mut nearest: HashMap<String, usize> = HashMap::new();
    for &i in &order {
        let tale = tales[i];
        // Those before it in this order began no later.
        let near = |other: usize| tale.first_clue.saturating_sub(tales[other].last_clue) <= NEAR;
        if let Some(credential) = &tale.actor.credential {
            let issuer = issued.get(&xxh3_64(credential.as_bytes())).and_then(|s| by_session.get(s));
            if let Some(&issuer) = issuer {
                groups.union(i, issuer);
            }
        }
        for key in keys(tale) {
            if let Some(&other) = nearest.get(&key) {
                if near(other) {
                    groups.union(i, other);
                }
            }
            let nearest = nearest.entry(key).or_insert(i);
            if tales[*nearest].last_clue <= tale.last_clue {
                *nearest = i;
            }
        }
        if is_plant(tale) {
            continue;
        }
        let is = tale.actor.user.as_deref().and_then(|u| u.strip_prefix("system:serviceaccount:"));
        let is = is.and_then(|a| a.split_once(':')).map(|(ns, name)| place("serviceaccounts", ns, name));
        let touched = tale.reached.of.iter().chain(&tale.bindings.of);
        let touched = touched.flat_map(|(object, spans)| spans.iter().map(move |span| (*object, *span)));
        for (object, span) in touched.chain(is.map(|account| (account, (tale.first_clue, tale.last_clue)))) {
            for writer in writers.get(&object).into_iter().flat_map(|writers| writers.behind(span)) {
                groups.union(i, writer);
            }
        }
    }
    (0..tales.len()).map(|i| groups.find(i)).collect()
}

/// Whether it is of the control plane or a node.
fn is_plant(tale: &Tale) -> bool {
    matches!(UserKind::of(tale.actor.user.as_deref()), UserKind::System | UserKind::Node)
}

/// What joins two tales near in time.
fn keys(tale: &Tale) -> Vec<String> {
    let text = |s: &Option<String>| s.clone().unwrap_or_default();
    let (user, ip) = (text(&tale.actor.user), text(&tale.actor.source_ip));
    let mut keys = Vec::new();
    if SourceScope::of(&ip) == Some(SourceScope::Public) {
        keys.push(format!("ip {ip}"));
    }
    if is_plant(tale) {
        return keys;
    }
    if !ip.is_empty() {
        keys.push(format!("at {ip} {user}"));
    }
    if let Some(person) = &tale.actor.person {
        keys.push(format!("person {}", person.name));
    }
    if let Some(credential) = &tale.actor.credential {
        keys.push(format!("with {user} {credential}"));
    }
    keys
}

/// Disjoint sets with path halving.
struct Groups(Vec<usize>);

impl Groups {
    fn find(&mut self, mut i: usize) -> usize {
        while self.0[i] != i {
            self.0[i] = self.0[self.0[i]];
            i = self.0[i];
        }
        i
    }

    fn union(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }
}
