//! Which scope is part of which, and what two have in common.

use super::{Grant, Reach, Scope};

impl Grant {
    /// Whether all that the other lets see is let seen by this one.
    pub(super) fn holds(&self, other: &Self) -> bool {
        self.cluster.holds(&other.cluster) && self.reach.holds(&other.reach)
    }
}

impl Reach {
    fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cluster, _) => true,
            (Self::Namespaces(mine), Self::Namespaces(theirs)) => mine.holds(theirs),
            (Self::Namespaces(_), Self::Cluster) => false,
        }
    }

    fn both(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Cluster, reach) | (reach, Self::Cluster) => Some(reach.clone()),
            (Self::Namespaces(a), Self::Namespaces(b)) => a.both(b).cloned().map(Self::Namespaces),
        }
    }
}

impl Scope {
    /// Whether everything that this scope lets see is let seen by the other.
    ///
    /// Names of clusters and namespaces are without end, so a beginning of names is part of other grants only if one of them
    /// alone holds it: to compare grants one by one is exact.
    pub fn is_within(&self, other: &Self) -> bool {
        self.grants.iter().all(|grant| other.grants.iter().any(|wider| wider.holds(grant)))
    }

    /// What both let see.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        let pairs = self.grants.iter().flat_map(|a| other.grants.iter().map(move |b| (a, b)));
        Self::of(pairs.filter_map(|(a, b)| {
            Some(Grant { cluster: a.cluster.both(&b.cluster)?.clone(), reach: a.reach.both(&b.reach)? })
        }))
    }
}
