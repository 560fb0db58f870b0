//! Which clusters and namespaces somebody sees.
//!
//! A scope is a list of grants. As text they stand with commas between them: `prod` is a whole cluster, `prod/shop` a
//! namespace in it, `*` everything, `prod-*` all clusters whose name begins so, `prod/team-a-*` such namespaces, and no text at
//! all nothing. A star stands at the end only: two such patterns hold each other or have nothing in common, so that "is part of" and
//! "what both see" have exact answers.
//!
//! What a person with a namespace sees are the events whose `objectRef.namespace` is recorded and is that namespace, and
//! those about the Namespace object itself. The API server writes the namespace's own name as `objectRef.namespace` of a request
//! to `/api/v1/namespaces/NAME` (`staging/src/k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`); of its creation, which has
//! no such path, the name is compared. What concerns no namespace, or many (a list over all of them), or where a cut line
//! does not say, is not visible to him.

mod filter;
mod order;
mod pattern;
mod text;

use serde::{Deserialize, Serialize};

pub use pattern::Pattern;
pub use text::BadScope;

/// Which part of the grant's clusters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reach {
    /// All of it, also what has no namespace.
    Cluster,
    /// What lies in namespaces of this name.
    Namespaces(Pattern),
}

/// One thing to see.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Grant {
    /// Of which clusters.
    pub cluster: Pattern,
    /// What of them.
    pub reach: Reach,
}

/// All that somebody sees; [`Scope::default`] is nothing.
///
/// Sorted, and without grants that others hold already, so that equal scopes are equal texts.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Scope {
    grants: Vec<Grant>,
}

impl Scope {
    /// Everything there is.
    pub fn all() -> Self {
        Self { grants: vec![Grant { cluster: Pattern::any(), reach: Reach::Cluster }] }
    }

    /// These grants together.
    pub fn of(grants: impl IntoIterator<Item = Grant>) -> Self {
        let all: Vec<Grant> = grants.into_iter().collect();
        let mut kept: Vec<Grant> = Vec::new();
        for (i, grant) in all.iter().enumerate() {
            let held =
                |(k, other): (usize, &Grant)| k != i && other.holds(grant) && (k < i || !grant.holds(other));
            if !all.iter().enumerate().any(held) {
                kept.push(grant.clone());
            }
        }
        kept.sort();
        Self { grants: kept }
    }

    /// The grants, in order.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Whether it is everything, in every cluster.
    pub fn is_all(&self) -> bool {
        self.grants.iter().any(|g| g.cluster.is_any() && g.reach == Reach::Cluster)
    }

    /// Whether it is nothing.
    pub fn is_nothing(&self) -> bool {
        self.grants.is_empty()
    }

    /// The clusters of which something is visible: names and beginnings of names.
    pub fn clusters(&self) -> Vec<&Pattern> {
        let mut clusters: Vec<&Pattern> = self.grants.iter().map(|g| &g.cluster).collect();
        clusters.dedup();
        clusters
    }
}

#[cfg(test)]
mod tests;
