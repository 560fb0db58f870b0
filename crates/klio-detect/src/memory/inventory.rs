//! What exists and who made it: pods with their addresses, nodes, and the authors of objects.

use klio_model::Facts;
use klio_model::attribution::Because;
use klio_model::event::UserKind;
use serde::{Deserialize, Serialize};

use super::causes::{Behind, account};
use super::deed::{Deed, PodStatus, Write, is_minutes, is_template, object, owners_by_name};
use super::names::Names;
use super::table::{Entry, Table};
use super::trace::Trace;

/// A pod.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Pod {
    last: u32,
    addresses: [u64; 2],
    host: u64,
    /// The name of its workload.
    workload: u64,
}

/// A node: the latest addresses of its kubelet.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Node {
    last: u32,
    addresses: [u64; 2],
}

/// An object, by name or by uid.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Object {
    last: u32,
    /// The name of who wrote it, or its owner.
    author: u64,
    /// Whether that follows from recorded owners.
    sure: bool,
    /// Its uid; 0 if that is unknown.
    uid: u64,
    /// The name of the workload it belongs to; 0 for itself.
    workload: u64,
    /// The request by which its author wrote it; 0 if that is not remembered.
    cause: u64,
}

impl Entry for Pod {
    fn last(&self) -> u32 {
        self.last
    }
}

impl Entry for Node {
    fn last(&self) -> u32 {
        self.last
    }
}

impl Entry for Object {
    fn last(&self) -> u32 {
        self.last
    }
}

/// Everything that exists in a cluster, as far as it was seen.
#[derive(Debug)]
pub(super) struct Inventory {
    pub(super) pods: Table<Pod>,
    pub(super) nodes: Table<Node>,
    pub(super) objects: Table<Object>,
}

impl Inventory {
    /// Tells who is behind a write, and learns it. Returns the request that wrote the object before, if this is no
    /// controller's write, and the one that this write follows from; 0 for none.
    pub(super) fn wrote(
        &mut self,
        deed: &Deed,
        write: &Write,
        at: u32,
        minted: Option<Behind>,
        names: &mut Names,
        facts: &mut Facts,
    ) -> (u64, u64) {
        let cause = deed.cause.as_ref().map_or(0, |cause| cause.key());
        let found = match (write.controller, minted) {
            (false, _) => {
                let author = deed.user.as_deref().map_or(0, |user| names.put(user, at));
                Some(Object { author, sure: true, cause, ..Object::default() })
            }
            // Whoever has a controller's token issued to himself is behind what it writes.
            (true, Some(thief)) => {
                Some(Object { author: thief.user, sure: true, cause, ..Object::default() })
            }
            (true, None) => self.behind(write),
        };
        if let Some(found) = found {
            facts.author = names.get(found.author);
            facts.author_sure = facts.author.as_ref().map(|_| found.sure);
        }
        if !write.done || write.removes {
            return (0, 0);
        }
        let followed = found.map_or(0, |found| found.cause);
        let before = self.objects.get(write.key).map_or(0, |object| object.cause);
        // What belongs to a workload: the owner's, or the owner itself.
        let workload = write.owner.as_ref().map_or(0, |owner| {
            let of_owner = self.objects.get(owner.key).map_or(0, |owner| owner.workload);
            if of_owner != 0 { of_owner } else { names.put(&owner.text, at) }
        });
        // A request that does not say the uid is of the object that has the name.
        let known =
            |key: u64| self.objects.get(key).filter(|_| !write.creates).map_or(0, |object| object.uid);
        let uid = if write.uid == 0 { known(write.key) } else { write.uid };
        let new = Object { last: at, workload, uid, ..found.unwrap_or_default() };
        for key in [write.key, uid] {
            // Nothing is known of it; what is known of its name is of another.
            let stale = || write.creates && self.objects.get(key).is_some();
            if key == 0 || (found.is_none() && workload == 0 && !stale()) {
                continue;
            }
            self.objects.update(
                key,
                || new,
                |object| {
                    // Late news do not replace later ones.
                    if at >= object.last {
                        let keeps = new.workload == 0 && !write.creates;
                        *object =
                            Object { workload: if keeps { object.workload } else { new.workload }, ..new };
                    }
                },
            );
        }
        (if write.controller { 0 } else { before }, if followed == cause { 0 } else { followed })
    }

    /// Who is behind what a controller writes: by the owner that stands in it, by what is known of the object itself,
    /// by the owners that its name allows.
    fn behind(&self, write: &Write) -> Option<Object> {
        let own = match &write.owner {
            Some(owner) => self.author(owner.key, owner.uid),
            None if write.creates => None,
            None => self.author(write.key, write.uid),
        };
        own.or_else(|| {
            let guessed = write.guesses.iter().find_map(|key| self.author(*key, 0))?;
            Some(Object { sure: false, ..guessed })
        })
    }

    /// Who wrote an object last. Of two entries the one by uid is of that object, and the one by name may be of another;
    /// but not each request says the uid.
    fn author(&self, key: u64, uid: u64) -> Option<Object> {
        let known = |key: u64| self.objects.get(key).copied().filter(|object| key != 0 && object.author != 0);
        let (by_uid, Some(by_key)) = (known(uid), known(key)) else { return known(uid) };
        let is_other = uid != 0 && by_key.uid != 0 && by_key.uid != uid;
        match by_uid {
            Some(by_uid) if is_other || by_key.last < by_uid.last => Some(by_uid),
            Some(_) => Some(Object { sure: by_key.sure && by_key.uid == uid, ..by_key }),
            None => Some(Object { sure: by_key.sure && !is_other, ..by_key }),
        }
    }

    /// The request behind what a controller wrote.
    pub(super) fn owner(&self, write: &Write) -> Option<Behind> {
        let found = self.behind(write)?;
        Behind::new(Because::Owner, found.cause, found.author, found.sure)
    }

    /// The request that wrote a service account.
    pub(super) fn account(&self, user: &str) -> Option<Behind> {
        let found = self.objects.get(account(user)?)?;
        Behind::new(Because::Account, found.cause, found.author, found.sure)
    }

    /// The workload of the pod that a token is bound to, whether that is recorded, and the request that wrote it.
    pub(super) fn pod(&self, trace: &Trace, names: &Names) -> (u64, bool, Option<Behind>) {
        let workload = self.pods.get(trace.pod).map_or(0, |pod| pod.workload);
        let place = trace.pod_name.as_deref().and_then(|name| name.split_once('/'));
        let pod = place.and_then(|(namespace, name)| self.objects.get(object("pods", namespace, name)));
        let is_recorded = pod.is_some_and(|pod| pod.workload != 0 || is_persons(pod, names));
        let behind = |of: &Object, sure| Behind::new(Because::Workload, of.cause, of.author, sure);
        let of_pod = pod.and_then(|pod| behind(pod, pod.sure));
        let of_workload = || {
            let text = names.get(workload)?;
            let mut parts = text.splitn(3, '/');
            let key = object(parts.next()?, parts.next()?, parts.next()?);
            behind(self.objects.get(key)?, false)
        };
        (workload, is_recorded, of_pod.or_else(of_workload))
    }

    /// A kubelet's own address.
    pub(super) fn node(&mut self, trace: &Trace) {
        if trace.address == 0 {
            return;
        }
        self.nodes.update(trace.is_node, Node::default, |node| {
            if !node.addresses.contains(&trace.address) {
                node.addresses = [trace.address, node.addresses[0]];
            }
            node.last = node.last.max(trace.at);
        });
    }

    /// A kubelet tells a pod's addresses.
    pub(super) fn status(&mut self, status: &PodStatus, at: u32) {
        self.pods.update(status.uid, Pod::default, |pod| {
            if at >= pod.last || pod.addresses[0] == 0 {
                (pod.addresses, pod.host) = (status.addresses, status.host);
            }
            pod.last = pod.last.max(at);
        });
    }

    /// Tells the facts of the pod that a token is bound to; returns whether no token of the pod was used before.
    pub(super) fn bound(&mut self, trace: &Trace, names: &mut Names, facts: &mut Facts) -> bool {
        let node = self.nodes.get(trace.node).map_or([0; 2], |node| node.addresses);
        let known = self.pods.get(trace.pod).map(|pod| pod.workload);
        let workload = match (known, &trace.pod_name) {
            (Some(workload), _) if workload != 0 => workload,
            (_, Some(name)) => self.workload(name, trace.at, names),
            _ => 0,
        };
        facts.workload = names.get(workload);
        let new = known.is_none_or(|workload| workload == 0);
        facts.credential_elsewhere = self.pods.update(trace.pod, Pod::default, |pod| {
            (pod.workload, pod.last) = (workload, pod.last.max(trace.at));
            let told = pod.addresses[0] != 0 && trace.address != 0;
            told.then(|| {
                let here = [pod.addresses[0], pod.addresses[1], pod.host, node[0], node[1]];
                !here.contains(&trace.address)
            })
        });
        new
    }

    /// The workload of a pod `<namespace>/<name>`: by its owners, else by its name.
    fn workload(&self, pod: &str, at: u32, names: &mut Names) -> u64 {
        let Some((namespace, name)) = pod.split_once('/') else { return 0 };
        let of = |resource: &str, name: &str| self.objects.get(object(resource, namespace, name));
        if let Some(object) = of("pods", name) {
            if object.workload != 0 {
                return object.workload;
            }
            // Who writes a pod himself chooses its name, which then says nothing of a controller.
            if is_persons(object, names) {
                return names.put(&format!("pods/{namespace}/{name}"), at);
            }
            if object.sure {
                let base = name.rsplit_once('-').map_or(name, |(base, _)| base);
                return names.put(&format!("pods/{namespace}/{base}"), at);
            }
        }
        let owners = owners_by_name("pods", name);
        for (resource, owner) in owners.into_iter().flatten() {
            if let Some(object) = of(resource, owner) {
                if object.workload != 0 {
                    return object.workload;
                }
                let (resource, owner) = owners_by_name(resource, owner)[0].unwrap_or((resource, owner));
                return names.put(&format!("{resource}/{namespace}/{owner}"), at);
            }
        }
        names.put(&by_name(namespace, name), at)
    }
}

/// Whether a person wrote the object himself.
fn is_persons(object: &Object, names: &Names) -> bool {
    let is_human = |name: &str| UserKind::of(Some(name)) == UserKind::Human;
    object.sure && object.workload == 0 && names.get(object.author).is_some_and(|name| is_human(&name))
}

/// What a pod's name says of its workload.
fn by_name(namespace: &str, name: &str) -> String {
    let Some((base, last)) = name.rsplit_once('-') else { return format!("pods/{namespace}/{name}") };
    let [first, ..] = owners_by_name("pods", name);
    match (first, base.rsplit_once('-')) {
        (None, _) => format!("pods/{namespace}/{name}"),
        (Some(("statefulsets", base)), _) if last.len() < 5 => format!("statefulsets/{namespace}/{base}"),
        (_, Some((deeper, hash))) if is_template(hash) => format!("deployments/{namespace}/{deeper}"),
        (_, Some((deeper, time))) if is_minutes(time) => format!("cronjobs/{namespace}/{deeper}"),
        _ => format!("pods/{namespace}/{base}"),
    }
}
