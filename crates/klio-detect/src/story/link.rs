//! Which tales belong to one intruder.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::place;
use super::tale::Tale;
use klio_model::event::{SourceScope, UserKind};

/// Two tales further apart in time than this are not joined by an address or a credential.
const NEAR: i64 = 60 * 60 * 1_000_000;

/// A group number for each tale. Tales are joined by
/// 1. a credential that one actor had issued and another used (TokenRequest's `issued-credential-id`),
/// 2. the same public address, the same user and credential, the same user and address, or accounts of one person, near in
///    time,
/// 3. an object that one wrote and the other then is, enters, reads or is allowed by: a service account, a pod, a
///    secret, a binding.
///
/// Private addresses join nobody: behind them stand whole networks. The control plane and the nodes touch everything: they are joined
/// to others only by a token that somebody had issued, and by a public address, where neither works.
pub(super) fn join(tales: &[Tale], issued: &HashMap<u64, u64, RandomState>) -> Vec<usize> {
    let mut groups = Groups((0..tales.len()).collect());
    let mut order: Vec<usize> = (0..tales.len()).collect();
    order.sort_by_key(|&i| tales[i].first_clue);
    let by_session: HashMap<u64, usize> = order.iter().map(|&i| (tales[i].session, i)).collect();
    let mut writers: HashMap<u64, usize> = HashMap::new();
    for &i in order.iter().filter(|&&i| !is_plant(&tales[i])) {
        for object in &tales[i].wrote {
            writers.entry(*object).or_insert(i);
        }
    }
    let mut nearest: HashMap<String, usize> = HashMap::new();
    for &i in &order {
        let tale = &tales[i];
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
            nearest.insert(key, i);
        }
        if is_plant(tale) {
            continue;
        }
        let is = tale.actor.user.as_deref().and_then(|u| u.strip_prefix("system:serviceaccount:"));
        let is = is.and_then(|a| a.split_once(':')).map(|(ns, name)| place("serviceaccounts", ns, name));
        for object in tale.reached.iter().chain(&tale.bindings).chain(&is) {
            if let Some(&writer) = writers.get(object) {
                if near(writer) {
                    groups.union(i, writer);
                }
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
