//! Where credentials come from, and from where they are used.

use std::sync::Arc;

use klio_model::Facts;
use klio_model::attribution::Because;
use klio_model::event::UserKind;
use serde::{Deserialize, Serialize};

use super::DAY;
use super::causes::Behind;
use super::names::Names;
use super::table::{Entry, Table};
use super::trace::Trace;

/// Addresses of one credential that are counted.
const ADDRESSES: usize = 32;
/// Links of a chain that are followed.
const LINKS: usize = 16;

/// A token or certificate. Addresses, pods and nodes are compared with each other only: half of a hash will do.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Credential {
    /// When it was issued; 0 if nobody saw it.
    issued: u32,
    /// When it was used first and last; 0 for not yet.
    first: u32,
    last: u32,
    /// Who had it issued, and with which credential.
    issuer: u64,
    parent: u64,
    /// From where and by which pod it was used first.
    home: u32,
    pod: u32,
    node: u32,
    /// From where it was used, and when last; empty as long as it was used from home only.
    addresses: Vec<(u32, u32)>,
}

impl Entry for Credential {
    fn last(&self) -> u32 {
        self.last.max(self.issued)
    }
    fn heap(&self) -> usize {
        self.addresses.capacity() * size_of::<(u32, u32)>()
    }
    fn tidy(&mut self) {
        self.addresses.truncate(ADDRESSES);
        self.addresses.shrink_to_fit();
    }
}

impl Credential {
    /// Takes note of a use; tells whether it moved.
    fn used(&mut self, trace: &Trace) -> Option<bool> {
        let (at, address, pod, node) = (trace.at, trace.address as u32, trace.pod as u32, trace.node as u32);
        let bound = |a: u32, b: u32| a != 0 && b != 0 && a != b;
        let moved = if self.first == 0 {
            (self.issued != 0).then_some(false)
        } else {
            let elsewhere = self.home != 0 && address != 0 && self.home != address;
            Some(elsewhere || bound(self.pod, pod) || bound(self.node, node))
        };
        if address != 0 && (self.home != address && self.home != 0 || !self.addresses.is_empty()) {
            if self.addresses.is_empty() {
                self.addresses.push((self.home, self.last));
            }
            self.add(address, at);
        }
        if self.first == 0 || at < self.first {
            (self.first, self.home, self.pod, self.node) = (at.max(1), address, pod, node);
        }
        self.last = self.last.max(at).max(1);
        moved
    }

    fn add(&mut self, address: u32, at: u32) {
        if let Some((_, last)) = self.addresses.iter_mut().find(|(a, _)| *a == address) {
            *last = at.max(*last);
        } else if self.addresses.len() < ADDRESSES {
            self.addresses.push((address, at));
        } else if let Some(oldest) = self.addresses.iter_mut().min_by_key(|(_, last)| *last) {
            *oldest = (address, at);
        }
    }

    fn count(&self, at: u32) -> i64 {
        let lately = self.addresses.iter().filter(|(_, last)| at.saturating_sub(*last) < DAY).count();
        lately.max(1) as i64
    }
}

/// All credentials of a cluster.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) table: Table<Credential>,
}

impl Credentials {
    /// Tells the facts of the credential that a request used, and learns its use.
    pub(super) fn observe(&mut self, trace: &Trace, names: &Names, facts: &mut Facts) {
        let at = trace.at;
        if trace.certificate {
            facts.credential_depth = Some(0);
        }
        let (age, moved, count, issuer) = self.table.update(trace.credential, Credential::default, |entry| {
            let since = if entry.issued == 0 { entry.first } else { entry.issued };
            let age = (since != 0).then(|| i64::from(at.saturating_sub(since)));
            let moved = entry.used(trace);
            (age, moved, entry.count(at), entry.issuer)
        });
        (facts.credential_age, facts.credential_moved) = (age, moved);
        facts.credential_addresses = (trace.address != 0).then_some(count);
        if issuer != 0 {
            facts.credential_issuer = names.get(issuer);
            if let Some((root, depth)) = self.root(trace.credential, names) {
                (facts.credential_root, facts.credential_depth) = (Some(root), Some(depth));
            }
        }
    }

    /// Learns that a credential was issued.
    pub(super) fn issued(&mut self, credential: u64, issuer: u64, trace: &Trace) {
        self.table.update(credential, Credential::default, |entry| {
            if entry.issued == 0 {
                (entry.issued, entry.issuer, entry.parent) = (trace.at.max(1), issuer, trace.credential);
            }
        });
    }

    /// Who had a credential issued, if that is no kubelet's or controller's own work. Other tables may have forgotten the
    /// request.
    pub(super) fn minted(&self, credential: u64, names: &Names) -> Option<Behind> {
        let issuer = self.table.get(credential).map_or(0, |entry| entry.issuer);
        let name = names.get(issuer).filter(|_| issuer != 0 && credential != 0)?;
        let own = matches!(UserKind::of(Some(&name)), UserKind::System | UserKind::Node);
        Behind::new(Because::Token, 0, issuer, true).filter(|_| !own)
    }

    /// Up the chain of TokenRequests: the first who is no service account, else the outermost. Kubelets and
    /// controllers fetch tokens for pods and for themselves; they count only if nobody else stands behind them.
    fn root(&self, credential: u64, names: &Names) -> Option<(Arc<str>, i64)> {
        let (mut at, mut outermost, mut behind) = (credential, None, None);
        for link in 1..=LINKS as i64 {
            let Some(entry) = self.table.get(at).filter(|c| c.issuer != 0) else { break };
            let Some(name) = names.get(entry.issuer) else { break };
            match UserKind::of(Some(&name)) {
                UserKind::System | UserKind::Node => outermost = Some((name, 0)),
                UserKind::ServiceAccount => behind = Some((name, link)),
                _ => return Some((name, link)),
            }
            if entry.parent == 0 || entry.parent == at {
                break;
            }
            at = entry.parent;
        }
        behind.or(outermost)
    }
}
