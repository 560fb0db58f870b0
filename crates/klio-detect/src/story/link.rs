//! Which tales belong to one intruder.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::tale::Tale;
use klio_model::event::SourceScope;

/// Two tales further apart in time than this are not joined by an address or a credential.
const NEAR: i64 = 60 * 60 * 1_000_000;

/// A group number for each tale. Tales are joined by
/// 1. a credential that one actor had issued and another used (TokenRequest's `issued-credential-id`),
/// 2. the same public address, the same user and credential, or the same user and address, near in time,
/// 3. an object that one wrote and the other is or uses: a service account, a pod, a binding.
///
/// Private addresses join nobody: behind them stand whole networks.
pub(super) fn join(tales: &[Tale], issued: &HashMap<u64, u64, FixedState>) -> Vec<usize> {
    let mut groups = Groups((0..tales.len()).collect());
    let by_session: HashMap<u64, usize> = tales.iter().enumerate().map(|(i, t)| (t.session, i)).collect();
    let mut nearest: HashMap<String, usize> = HashMap::new();
    let mut order: Vec<usize> = (0..tales.len()).collect();
    order.sort_by_key(|&i| tales[i].first_clue);
    let mut writers: HashMap<&str, usize> = HashMap::new();
    for &i in &order {
        for object in &tales[i].objects {
            writers.entry(object).or_insert(i);
        }
    }
    for &i in &order {
        let tale = &tales[i];
        let actor = &tale.actor;
        if let Some(credential) = &actor.credential {
            let issuer = issued.get(&xxh3_64(credential.as_bytes())).and_then(|s| by_session.get(s));
            if let Some(&issuer) = issuer {
                groups.union(i, issuer);
            }
        }
        let text = |s: &Option<String>| s.clone().unwrap_or_default();
        let ip = text(&actor.source_ip);
        let mut keys = Vec::new();
        if SourceScope::of(&ip) == Some(SourceScope::Public) {
            keys.push(format!("ip {ip}"));
        }
        if !ip.is_empty() {
            keys.push(format!("at {ip} {}", text(&actor.user)));
        }
        if actor.credential.is_some() {
            keys.push(format!("with {} {}", text(&actor.user), text(&actor.credential)));
        }
        for key in keys {
            if let Some(&other) = nearest.get(&key) {
                if tale.first_clue.saturating_sub(tales[other].last_clue) <= NEAR {
                    groups.union(i, other);
                }
            }
            nearest.insert(key, i);
        }
        if let Some((namespace, name)) =
            actor.user.as_deref().and_then(|u| u.strip_prefix("system:serviceaccount:")).and_then(|a| a.split_once(':'))
        {
            if let Some(&writer) = writers.get(format!("serviceaccounts/{namespace}/{name}").as_str()) {
                groups.union(i, writer);
            }
        }
        for object in tale.objects.iter().filter(|o| o.starts_with("pods/") || o.starts_with("secrets/")) {
            if let Some(&writer) = writers.get(object.as_str()) {
                if tale.first_clue.saturating_sub(tales[writer].last_clue) <= NEAR {
                    groups.union(i, writer);
                }
            }
        }
        for binding in &tale.bindings {
            if let Some(&writer) = writers.get(binding.as_str()) {
                groups.union(i, writer);
            }
        }
    }
    (0..tales.len()).map(|i| groups.find(i)).collect()
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
