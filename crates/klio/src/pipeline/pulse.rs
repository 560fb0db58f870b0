//! Signs of life in the stream itself: leases that the control plane renews every few seconds. Where renewals are missing,
//! events are.
//!
//! kube-controller-manager and kube-scheduler renew the lease of the leader every two seconds (`--leader-elect-retry-period`),
//! API servers their own every ten (kubernetes `pkg/controlplane/instance.go`, `IdentityLeaseRenewIntervalPeriod`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use klio_model::{Event, Field};

/// Microseconds without a renewal that are a gap.
const GAP: i64 = 60 * 1_000_000;
/// Leases of a cluster that are listened to, and gaps of each that are remembered, the latest.
const LEASES: usize = 16;
const GAPS: usize = 32;
/// Clusters that are listened to.
const CLUSTERS: usize = 1024;

/// One lease's renewals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// The first and the last renewal, in microseconds since 1970.
    pub first: i64,
    /// The last one.
    pub last: i64,
    /// Renewals.
    pub count: u64,
    /// From which renewal to which there was none for more than a minute.
    pub gaps: Vec<(i64, i64)>,
}

impl Beat {
    fn renewed(&mut self, at: i64) {
        if self.count == 0 {
            (self.first, self.last) = (at, at);
        }
        self.count += 1;
        if at > self.last {
            self.add(self.last, at);
            self.last = at;
        } else if let Some(place) = self.gaps.iter().position(|(from, to)| *from < at && at < *to) {
            // It came late: the gap is smaller, or there is none.
            let (from, to) = self.gaps.remove(place);
            self.add(from, at);
            self.add(at, to);
        } else if at < self.first {
            let first = std::mem::replace(&mut self.first, at);
            self.add(at, first);
        }
    }

    fn add(&mut self, from: i64, to: i64) {
        if to - from > GAP {
            self.gaps.push((from, to));
            self.gaps.sort_unstable();
            if self.gaps.len() > GAPS {
                self.gaps.remove(0);
            }
        }
    }
}

type Clusters = BTreeMap<String, BTreeMap<String, Beat>>;

/// All leases of all clusters.
#[derive(Default, Debug)]
pub struct Pulse(Mutex<Clusters>);

impl Pulse {
    /// Takes note of an event, if it is a renewal.
    pub fn hear(&self, cluster: &str, event: &Event<'_>) {
        if event.text_of(Field::Resource) != Some("leases")
            || event.text_of(Field::Namespace) != Some("kube-system")
            || !matches!(event.text_of(Field::Verb), Some("update" | "patch"))
            || event.code.is_none_or(|code| code >= 300)
        {
            return;
        }
        let (Some(name), Some(at)) = (event.text_of(Field::Name), event.staged_at()) else { return };
        let is_known =
            matches!(name, "kube-controller-manager" | "kube-scheduler" | "cloud-controller-manager")
                || name.starts_with("apiserver-");
        if !is_known {
            return;
        }
        let mut clusters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if clusters.len() >= CLUSTERS && !clusters.contains_key(cluster) {
            return;
        }
        let leases = clusters.entry(cluster.to_owned()).or_default();
        if leases.len() < LEASES || leases.contains_key(name) {
            leases.entry(name.to_owned()).or_default().renewed(at.micros());
        }
    }

    /// The leases of a cluster.
    pub fn of(&self, cluster: &str) -> BTreeMap<String, Beat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(cluster).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_gap_is_seen_and_closed_by_what_comes_late() {
        let mut beat = Beat::default();
        for second in (0..60).chain(300..360) {
            beat.renewed((1_000_000 + second) * SECOND);
        }
        assert_eq!(beat.gaps, [((1_000_000 + 59) * SECOND, (1_000_000 + 300) * SECOND)]);
        for second in (60..300).step_by(10) {
            beat.renewed((1_000_000 + second) * SECOND);
        }
        assert!(beat.gaps.is_empty(), "{:?}", beat.gaps);
        beat.renewed((1_000_000 - 100) * SECOND);
        assert_eq!(beat.gaps.len(), 1);
    }

    #[test]
    fn only_renewals_of_the_control_plane_count() {
        let pulse = Pulse::default();
        let lease = |name: &str, verb: &str, code: u32| {
            format!(
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","verb":"{verb}",
                "objectRef":{{"resource":"leases","namespace":"kube-system","name":"{name}","apiGroup":"coordination.k8s.io"}},
                "responseStatus":{{"code":{code}}},"stageTimestamp":"2026-07-01T10:00:00.000000Z"}}"#
            )
        };
        for (name, verb, code) in
            [("mine", "update", 200), ("kube-scheduler", "get", 200), ("kube-scheduler", "update", 409)]
        {
            let json = lease(name, verb, code);
            pulse.hear("prod", &Event::parse(&json).unwrap());
        }
        assert!(pulse.of("prod").is_empty());
        let json = lease("apiserver-abc", "update", 200);
        pulse.hear("prod", &Event::parse(&json).unwrap());
        assert_eq!(pulse.of("prod").len(), 1);
    }
}
