//! Requests that others follow from: tokens minted, workloads and accounts written. Each knows what stood behind it when it
//! was made, so that a chain does not change when something is written anew.

use klio_model::attribution::{Because, Cause as Told};
use klio_model::event::UserKind;
use klio_model::{Event, Field, Timestamp};
use serde::{Deserialize, Serialize};

use super::deed::object;
use super::names::Names;
use super::table::{Entry, Table};
use super::trace::{hash, mix};

/// Requests of a chain that are told.
const LINKS: usize = 16;
/// Longer texts are cut off: nothing is told of such a request but who made it.
const LONGEST: usize = 1_024;

/// What service accounts write that can run code, or make what does. People write little: of them all counts.
const RUNS: [&str; 16] = [
    "pods",
    "deployments",
    "replicasets",
    "statefulsets",
    "daemonsets",
    "jobs",
    "cronjobs",
    "replicationcontrollers",
    "serviceaccounts",
    // Owners of pods that are no part of Kubernetes: Argo, Tekton, OpenKruise, KEDA.
    "rollouts",
    "workflows",
    "cronworkflows",
    "pipelineruns",
    "taskruns",
    "clonesets",
    "scaledjobs",
];

/// What is written all the time, and nothing follows from it; besides reviews, which ask something.
pub(super) const CHATTER: [&str; 4] = ["leases", "events", "endpoints", "endpointslices"];

/// What stands behind something.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Behind {
    because: u8,
    /// Whether it follows from what is recorded, and not from names.
    pub(super) sure: bool,
    /// Its key; 0 if only its user is known.
    pub(super) key: u64,
    /// Who it was.
    pub(super) user: u64,
}

impl Behind {
    pub(super) fn new(because: Because, key: u64, user: u64, sure: bool) -> Option<Self> {
        let because = match because {
            Because::Token => 0,
            Because::Workload => 1,
            Because::Account => 2,
            Because::Owner => 3,
        };
        (key != 0 || user != 0).then_some(Self { because, sure, key, user })
    }

    fn because(self) -> Because {
        match self.because {
            0 => Because::Token,
            1 => Because::Workload,
            2 => Because::Account,
            _ => Because::Owner,
        }
    }
}

/// The bit of [`Cause::parent_flags`] that says that something was made from the request.
const FOLLOWED: u8 = 0x80;

/// A request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Cause {
    last: u32,
    /// When it was received, microseconds.
    time: i64,
    /// Names: who made it, as whom, and the workload of his pod; 0 for none.
    user: u64,
    acting: u64,
    workload: u64,
    /// What stood behind it.
    parent: u64,
    parent_user: u64,
    parent_flags: u8,
    audit_id: Box<str>,
    what: Box<str>,
}

impl Entry for Cause {
    fn last(&self) -> u32 {
        self.last
    }
    fn heap(&self) -> usize {
        self.audit_id.len() + self.what.len()
    }
}

/// What an event says of itself as a cause.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    key: u64,
    time: i64,
    acting: Option<Box<str>>,
    audit_id: Box<str>,
    what: Box<str>,
}

impl Draft {
    /// Of a request that wrote an object, or had a token issued (its hash).
    pub(super) fn of(event: &Event<'_>, kind: UserKind, name: &str, issued: u64) -> Option<Self> {
        let text = |field: Field| event.text_of(field).unwrap_or_default();
        let (resource, audit_id) = (text(Field::Resource), text(Field::AuditId));
        let counts = match kind {
            UserKind::Node => false,
            _ if issued != 0 => kind != UserKind::System,
            UserKind::Human => !CHATTER.contains(&resource) && !resource.ends_with("reviews"),
            _ => RUNS.contains(&resource),
        };
        if !counts {
            return None;
        }
        let place = [text(Field::Namespace), name];
        let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
        let token = if issued == 0 { "" } else { "/token" };
        let what = [text(Field::Verb), " ", resource, "/", &place.join("/"), token].concat();
        if audit_id.len() + what.len() > LONGEST {
            return None;
        }
        let time = event.time()?.micros();
        let key = if issued == 0 { mix(hash(audit_id), mix(hash(&what), time as u64)) } else { issued };
        let acting = event.text_of(Field::Impersonated).map(Into::into);
        Some(Self { key, time, acting, audit_id: audit_id.into(), what: what.into() })
    }

    pub(super) fn key(&self) -> u64 {
        self.key
    }
}

/// All that are remembered.
#[derive(Debug)]
pub(super) struct Causes {
    pub(super) table: Table<Cause>,
}

impl Causes {
    /// The request that issued a credential.
    pub(super) fn minted(&self, credential: u64) -> Option<Behind> {
        let cause = self.table.get(credential).filter(|_| credential != 0)?;
        Behind::new(Because::Token, credential, cause.user, true)
    }

    /// Learns a request, with the workload of who made it and what stands behind him.
    pub(super) fn put(
        &mut self,
        draft: &Draft,
        user: &str,
        workload: u64,
        behind: Option<Behind>,
        at: u32,
        names: &mut Names,
    ) {
        let user = names.put(user, at);
        let acting = draft.acting.as_deref().map_or(0, |name| names.put(name, at));
        self.followed(behind.map_or(0, |behind| behind.key));
        let (parent, parent_user) = behind.map_or((0, 0), |behind| (behind.key, behind.user));
        let parent_flags = behind.map_or(0, |behind| behind.because << 1 | u8::from(behind.sure));
        let make = || Cause {
            last: at,
            time: draft.time,
            user,
            acting,
            workload,
            parent: if parent == draft.key { 0 } else { parent },
            parent_user,
            parent_flags,
            audit_id: draft.audit_id.clone(),
            what: draft.what.clone(),
        };
        self.table.update(draft.key, make, |cause| cause.last = cause.last.max(at));
    }

    /// Takes note that something was made from a request.
    pub(super) fn followed(&mut self, key: u64) {
        if key != 0
            && let Some(cause) = self.table.get_mut(key)
        {
            cause.parent_flags |= FOLLOWED;
        }
    }

    /// Forgets a request whose object was written anew, if nothing was made from it.
    pub(super) fn replaced(&mut self, key: u64, by: u64) {
        if key != by && self.table.get(key).is_some_and(|cause| cause.parent_flags & FOLLOWED == 0) {
            self.table.remove(key);
        }
    }

    /// The chain from something on, the nearest first.
    pub(super) fn chain(&self, behind: Option<Behind>, names: &Names) -> Vec<Told> {
        let text = |name: u64| names.get(name).map(|name| name.to_string());
        let (mut chain, mut next) = (Vec::new(), behind);
        while let Some(behind) = next.filter(|_| chain.len() < LINKS) {
            let cause = self.table.get(behind.key);
            let Some(user) = text(cause.map_or(behind.user, |cause| cause.user)) else { break };
            chain.push(Told {
                because: behind.because(),
                user,
                acting_as: cause.and_then(|cause| text(cause.acting)),
                person: None,
                what: cause.map(|cause| cause.what.to_string()),
                audit_id: cause.map(|cause| cause.audit_id.to_string()).filter(|id| !id.is_empty()),
                time: cause.map(|cause| Timestamp(cause.time)),
                sure: behind.sure,
                workload: cause.and_then(|cause| text(cause.workload)),
            });
            next = cause.filter(|cause| cause.parent != 0 || cause.parent_user != 0).map(|cause| Behind {
                because: (cause.parent_flags & !FOLLOWED) >> 1,
                sure: cause.parent_flags & 1 == 1,
                key: cause.parent,
                user: cause.parent_user,
            });
        }
        chain
    }
}

/// The object of a service account, by its user name.
pub(super) fn account(user: &str) -> Option<u64> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(object("serviceaccounts", namespace, name))
}
