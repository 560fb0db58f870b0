//! How far an intruder came: what was read, entered, minted and changed in a story.

use std::collections::BTreeSet;

use serde::Serialize;

use super::deed::Deed;
use super::{Story, StoryEvent};

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

/// One of the lists of a [`Reach`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Reached {
    Secrets,
    Tokens,
    Entered,
    Nodes,
    Written,
    Deleted,
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

    /// What one request reached: which list it belongs to, and as what. Nothing if the server did not do it.
    pub fn by(event: &StoryEvent) -> Option<(Reached, String)> {
        reached(&Deed::of(event)?)
    }

    fn add(&mut self, deed: &Deed<'_>) {
        self.refused += u64::from(deed.is_refused());
        let Some((what, one)) = reached(deed) else { return };
        let set = match what {
            Reached::Secrets => &mut self.secrets,
            Reached::Tokens => &mut self.tokens,
            Reached::Entered => &mut self.entered,
            Reached::Nodes => &mut self.nodes,
            Reached::Written => &mut self.written,
            Reached::Deleted => &mut self.deleted,
        };
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

fn reached(deed: &Deed<'_>) -> Option<(Reached, String)> {
    if !deed.is_done() {
        return None;
    }
    let place = if deed.name.is_empty() { "*".to_owned() } else { deed.place() };
    let object = |place: String| format!("{} {place}", deed.resource);
    Some(match (deed.verb, deed.resource, deed.subresource) {
        ("get" | "list" | "watch", "secrets", "") => (Reached::Secrets, place),
        ("create", "serviceaccounts", "token") => (Reached::Tokens, place),
        (_, "pods", "exec" | "attach" | "portforward" | "ephemeralcontainers") => (Reached::Entered, place),
        (_, "nodes", "proxy") => (Reached::Nodes, place),
        ("create" | "update" | "patch", resource, "") if !is_question(resource) => {
            (Reached::Written, object(place))
        }
        ("delete" | "deletecollection", _, "") => (Reached::Deleted, object(place)),
        _ => return None,
    })
}

/// Resources that are created to ask something and that nobody stores (`authorization.k8s.io`, `authentication.k8s.io`).
fn is_question(resource: &str) -> bool {
    resource.ends_with("reviews")
}
