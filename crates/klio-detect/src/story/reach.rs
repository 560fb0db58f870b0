//! How far an intruder came: what was read, entered, minted and changed in a story.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Story;
use super::deed::Deed;

/// Entries of each kind that are listed; more are counted.
const MOST: usize = 500;

/// What a story's requests reached, as far as the server did what they asked for.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Reach {
    /// Secrets that were read: `namespace/name`, `namespace/*` or `*` for all of the cluster.
    pub secrets: BTreeSet<String>,
    /// Service accounts for which tokens were minted.
    pub tokens: BTreeSet<String>,
    /// Pods that were entered, by exec, attach, port-forward or a debug container.
    pub entered: BTreeSet<String>,
    /// Nodes that were reached through the API server's proxy.
    pub nodes: BTreeSet<String>,
    /// Objects that were made or changed: `resource namespace/name`.
    pub written: BTreeSet<String>,
    /// Objects that were deleted.
    pub deleted: BTreeSet<String>,
    /// Namespaces in which any of this happened.
    pub namespaces: BTreeSet<String>,
    /// Requests that were refused.
    pub refused: u64,
    /// Things beyond those listed.
    pub more: u64,
}

impl Reach {
    /// Of a story.
    pub fn of(story: &Story) -> Self {
        let mut reach = Self::default();
        for deed in story.events.iter().filter_map(Deed::of) {
            reach.add(&deed);
        }
        reach
    }

    fn add(&mut self, deed: &Deed<'_>) {
        if !deed.is_done {
            self.refused += 1;
            return;
        }
        let place = if deed.name.is_empty() { "*".to_owned() } else { deed.place() };
        let object = || format!("{} {place}", deed.resource);
        let set = match (deed.verb, deed.resource, deed.subresource) {
            ("get" | "list" | "watch", "secrets", "") => Some((&mut self.secrets, place.clone())),
            ("create", "serviceaccounts", "token") => Some((&mut self.tokens, place.clone())),
            (_, "pods", "exec" | "attach" | "portforward" | "ephemeralcontainers") => {
                Some((&mut self.entered, place.clone()))
            }
            (_, "nodes", "proxy") => Some((&mut self.nodes, place.clone())),
            ("create" | "update" | "patch", _, "") if !is_question(deed.resource) => {
                Some((&mut self.written, object()))
            }
            ("delete" | "deletecollection", _, "") => Some((&mut self.deleted, object())),
            _ => None,
        };
        let Some((set, one)) = set else { return };
        if set.len() < MOST {
            set.insert(one);
        } else if !set.contains(&one) {
            self.more += 1;
        }
        if !deed.namespace.is_empty() && self.namespaces.len() < MOST {
            self.namespaces.insert(deed.namespace.to_owned());
        }
    }
}

/// Resources that are created to ask something and that nobody stores (`authorization.k8s.io`, `authentication.k8s.io`).
fn is_question(resource: &str) -> bool {
    resource.ends_with("reviews")
}
