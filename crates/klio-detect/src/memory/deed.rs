//! The rarer things that an event tells: a token was issued, an object was written, a pod got its addresses.

use klio_model::event::UserKind;
use klio_model::{Event, Field, Json};

use super::causes::{CHATTER, Draft};
use super::trace::{address, hash, mix};

/// What only few events do.
#[derive(Clone, Debug)]
pub(super) struct Deed {
    /// Who authenticated, where that may be remembered by name.
    pub(super) user: Option<Box<str>>,
    /// The credential that a TokenRequest issued.
    pub(super) issued: u64,
    pub(super) write: Option<Write>,
    pub(super) pod: Option<PodStatus>,
    /// What it says of itself, if others can follow from it. The control plane's own work counts only with a token that
    /// somebody had issued: then it is his.
    pub(super) cause: Option<Box<Draft>>,
}

/// A write of an object.
#[derive(Clone, Debug)]
pub(super) struct Write {
    /// By the control plane or a node.
    pub(super) controller: bool,
    /// It was stored.
    pub(super) done: bool,
    pub(super) removes: bool,
    /// The object was not there before: what is known of its name is of another.
    pub(super) creates: bool,
    /// The object by resource, namespace and name, and by its uid; 0 where unknown.
    pub(super) key: u64,
    pub(super) uid: u64,
    pub(super) owner: Option<Owner>,
    /// What its name, or that of its owner, says about possible owners.
    pub(super) guesses: Box<[u64]>,
}

/// An owner that stands in the object.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) key: u64,
    pub(super) uid: u64,
    /// `<resource>/<namespace>/<name>`
    pub(super) text: Box<str>,
}

/// What a kubelet says about its pod.
#[derive(Clone, Debug)]
pub(super) struct PodStatus {
    pub(super) uid: u64,
    pub(super) addresses: [u64; 2],
    pub(super) host: u64,
}

/// An object by resource, namespace and name.
pub(super) fn object(resource: &str, namespace: &str, name: &str) -> u64 {
    mix(hash(resource), mix(hash(namespace), hash(name)))
}

/// An object by its uid.
pub(super) fn by_uid(uid: &str) -> u64 {
    if uid.is_empty() { 0 } else { mix(hash(uid), 0x7569_6421) }
}

impl Deed {
    pub(super) fn of(event: &Event<'_>, kind: UserKind) -> Option<Self> {
        let text = |field: Field| event.text_of(field).unwrap_or_default();
        let (resource, sub, verb) = (text(Field::Resource), text(Field::Subresource), text(Field::Verb));
        if !matches!(verb, "create" | "update" | "patch" | "delete") {
            return None;
        }
        let done = event.code.is_some_and(|code| code < 300);
        let user = || event.text_of(Field::User).map(Into::into);
        let mut deed = Self { user: None, issued: 0, write: None, pod: None, cause: None };
        match (resource, sub) {
            ("serviceaccounts", "token") if done => {
                let id = event.annotation("authentication.kubernetes.io/issued-credential-id")?;
                deed.issued = hash(&id);
                deed.user = user();
                deed.cause = Draft::of(event, kind, text(Field::Name), deed.issued).map(Box::new);
            }
            ("pods", "status") if done && kind == UserKind::Node => deed.pod = Some(pod_status(event)?),
            (_, "" | "scale" | "binding") if !resource.is_empty() && event.is_write() => {
                // Who scales a workload or binds a pod writes nothing that runs.
                let learns = done && (sub.is_empty() || matches!(kind, UserKind::System | UserKind::Node));
                let (write, name) = write(event, kind, learns)?;
                if write.done && !write.removes {
                    deed.cause = Draft::of(event, kind, &name, 0).map(Box::new);
                }
                deed.user = if write.controller && deed.cause.is_none() { None } else { user() };
                deed.write = Some(write);
            }
            _ => return None,
        }
        Some(deed)
    }
}

/// The kubelet sends the pod's uid with each status (`pkg/util/pod/pod.go`, `preparePatchBytesForPodStatus`).
fn pod_status(event: &Event<'_>) -> Option<PodStatus> {
    let at = |path: &[&str]| event.request_object.at(path);
    let uid = at(&["metadata", "uid"])?;
    let one = |json: Option<&Json<'_>>| json.and_then(Json::as_str).map_or(0, |ip| address(ip).0);
    let mut addresses = [one(at(&["status", "podIP"]).as_ref()), 0];
    for ip in at(&["status", "podIPs"]).iter().flat_map(Json::items) {
        let ip = one(ip.get("ip"));
        if ip != addresses[0] {
            addresses[1] = ip;
        }
    }
    let host = one(at(&["status", "hostIP"]).as_ref());
    let pod = PodStatus { uid: hash(uid.as_str()?), addresses, host };
    (addresses[0] != 0).then_some(pod)
}

/// What was written, and its name.
fn write(event: &Event<'_>, kind: UserKind, done: bool) -> Option<(Write, String)> {
    let text = |field: Field| event.text_of(field).unwrap_or_default();
    let (resource, namespace, verb) = (text(Field::Resource), text(Field::Namespace), text(Field::Verb));
    let controller = matches!(kind, UserKind::System | UserKind::Node);
    let is_whole = text(Field::Subresource).is_empty();
    let (removes, creates) = (verb == "delete", verb == "create" && is_whole);
    let given = |key: &str| {
        let given = event.response_object.at(&["metadata", key]);
        given.and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let mut name = text(Field::Name).to_owned();
    if name.is_empty() && creates && done {
        name = given("name");
    }
    // The uid of a body that creates is the client's choice: the server makes another one. A patch has none. What
    // controllers change is known by its name.
    let mut uid = if creates { String::new() } else { text(Field::ObjectUid).to_owned() };
    let changes = !controller && is_whole && !removes && !CHATTER.contains(&resource);
    if uid.is_empty() && done && (creates || changes) {
        uid = given("uid");
    }
    let owner =
        if controller && matches!(verb, "create" | "update") { owner(event, namespace) } else { None };
    let key = if name.is_empty() { 0 } else { object(resource, namespace, &name) };
    let guesses = match &owner {
        // The owner's owners: nobody may have seen it written.
        Some(Owner { text, .. }) => {
            let mut parts = text.splitn(3, '/');
            let mut part = || parts.next().unwrap_or_default();
            let (resource, _, name) = (part(), part(), part());
            guesses(resource, namespace, name).collect()
        }
        None if controller => guesses(resource, namespace, &name).collect(),
        None => Box::default(),
    };
    if controller && key == 0 && owner.is_none() {
        return None;
    }
    Some((Write { controller, done, removes, creates, key, uid: by_uid(&uid), owner, guesses }, name))
}

/// The owner that controls the written object (`metav1.OwnerReference`).
fn owner(event: &Event<'_>, namespace: &str) -> Option<Owner> {
    let owners = event.request_object.at(&["metadata", "ownerReferences"])?;
    let controls = |o: &&Json<'_>| o.get("controller") == Some(&Json::Bool(true));
    let owner = owners.items().iter().find(controls).or_else(|| owners.items().first())?;
    let part = |key: &str| owner.get(key).and_then(Json::as_str);
    let (kind, name) = (part("kind")?.to_ascii_lowercase(), part("name")?);
    // `meta.UnsafeGuessKindToResource` of apimachinery.
    let resource = match kind.as_bytes() {
        [.., b's'] => format!("{kind}es"),
        [.., b'y'] => format!("{}ies", kind.trim_end_matches('y')),
        _ => format!("{kind}s"),
    };
    Some(Owner {
        key: object(&resource, namespace, name),
        uid: by_uid(part("uid").unwrap_or_default()),
        text: format!("{resource}/{namespace}/{name}").into(),
    })
}

/// The owners that an object's name allows, the nearest first.
fn guesses(resource: &str, namespace: &str, name: &str) -> impl Iterator<Item = u64> {
    owners_by_name(resource, name).into_iter().flatten().map(move |(r, n)| object(r, namespace, n))
}

/// How controllers make names. A pod's is its owner's and five random characters (`apiserver/pkg/storage/names`),
/// a StatefulSet's pod has a number; a ReplicaSet's is the Deployment's and a hash of the template
/// (`pkg/controller/deployment/sync.go`), a Job's is the CronJob's and the time in minutes
/// (`pkg/controller/cronjob/cronjob_controllerv2.go`).
pub(super) fn owners_by_name<'n>(resource: &str, name: &'n str) -> [Option<(&'static str, &'n str)>; 5] {
    let mut out = [None; 5];
    let Some((base, last)) = name.rsplit_once('-') else { return out };
    match resource {
        "pods" if is_random(last) && last.len() == 5 => {
            out[0] = Some(("replicasets", base));
            out[1] = Some(("jobs", base));
            out[2] = Some(("daemonsets", base));
            let deeper = base.rsplit_once('-');
            out[3] = deeper.filter(|(_, hash)| is_template(hash)).map(|(b, _)| ("deployments", b));
            out[4] = deeper.filter(|(_, time)| is_minutes(time)).map(|(b, _)| ("cronjobs", b));
        }
        "pods" if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) => {
            out[0] = Some(("statefulsets", base));
        }
        "replicasets" if is_template(last) => out[0] = Some(("deployments", base)),
        "jobs" if is_minutes(last) => out[0] = Some(("cronjobs", base)),
        _ => {}
    }
    out
}

/// `apimachinery/pkg/util/rand`: no vowels and nothing that looks like one.
fn is_random(text: &str) -> bool {
    text.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b))
}

/// `rand.SafeEncodeString` of a 32-bit hash in decimal; few have less than seven digits.
pub(super) fn is_template(text: &str) -> bool {
    (7..=10).contains(&text.len()) && is_random(text)
}

/// Minutes since 1970, of the years after 1989.
pub(super) fn is_minutes(text: &str) -> bool {
    (8..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}
