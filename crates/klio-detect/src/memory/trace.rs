//! What one event tells a memory: computed by a worker, without the past.

use std::net::IpAddr;

use klio_model::event::{Outcome, SourceScope, UserKind};
use klio_model::{Event, Field, Stage};
use xxhash_rust::xxh3::xxh3_64;

use super::baselines::ASN;
use super::deed::Deed;

/// What an event teaches and what its facts depend on, as hashes; 0 stands for "not there".
#[derive(Clone, Debug)]
pub struct Trace {
    /// Seconds since 1970.
    pub(super) at: u32,
    pub(super) kind: UserKind,
    /// The authorizer let the request pass and it was no dry run: it makes action and namespace known.
    pub(super) allowed: bool,
    /// It only asks what the API server serves, or whether it runs: nobody is at work by that, and it makes neither
    /// client nor public network known.
    pub(super) asks: bool,
    /// It was also answered well: it makes secrets known.
    pub(super) done: bool,
    /// The user's name and the name it impersonates; 0 for who has no baselines.
    pub(super) actor: u64,
    /// Whose doings are compared: people, or the service accounts of one namespace.
    pub(super) peers: u64,
    pub(super) agent: u64,
    /// The address, or its public network.
    pub(super) network: u64,
    /// Where the address lies, if a database was asked.
    pub(super) country: u64,
    pub(super) asn: u64,
    pub(super) namespace: u64,
    pub(super) action: u64,
    /// A secret that is read by its name.
    pub(super) secret: u64,
    /// The address as it is.
    pub(super) address: u64,
    pub(super) private: bool,
    pub(super) credential: u64,
    pub(super) certificate: bool,
    /// The uid of the pod that the token is bound to, and the name of its node.
    pub(super) pod: u64,
    pub(super) node: u64,
    /// `<namespace>/<name>` of that pod.
    pub(super) pod_name: Option<Box<str>>,
    /// For a node: its own name.
    pub(super) is_node: u64,
    pub(super) deed: Option<Box<Deed>>,
}

/// Stands for a text; never 0.
pub(super) fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes()).max(1)
}

/// Two numbers as one (the finalizer of SplitMix64, Steele, Lea and Flood, OOPSLA 2014); never 0.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)).max(1)
}

/// Microseconds as seconds, within 1970 and 2106.
pub(super) fn seconds(micros: i64) -> u32 {
    u32::try_from(micros.div_euclid(1_000_000).max(0)).unwrap_or(u32::MAX)
}

/// An address as a number, alone and as its network: the /24 or /48 of a public one (RFC 6177 gives sites a /48); and
/// whether it is private.
pub(super) fn address(text: &str) -> (u64, u64, bool) {
    let Ok(ip) = text.parse::<IpAddr>() else { return (hash(text), hash(text), false) };
    let public = SourceScope::of_ip(ip) == SourceScope::Public;
    let (bits, prefix) = match ip.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 24),
        IpAddr::V6(v6) => (v6.to_bits(), 48),
    };
    let number = |bits: u128| mix((bits >> 64) as u64, mix(bits as u64, prefix));
    let alone = number(bits);
    if !public {
        return (alone, alone, true);
    }
    (alone, number(bits >> (128 - prefix) << (128 - prefix)), false)
}

impl Trace {
    /// What an event tells; `None` where there is nothing to learn and nothing to say: stage RequestReceived, no
    /// time, nobody who proved who he is.
    ///
    /// Of the stages of one request only the one that is judged should be handed to a memory.
    pub fn of(event: &Event<'_>) -> Option<Self> {
        let name = event.text_of(Field::User).filter(|name| !name.is_empty())?;
        let kind = event.user_kind();
        if event.stage == Stage::RequestReceived
            || event.code == Some(401)
            || matches!(kind, UserKind::Anonymous | UserKind::Unauthenticated)
        {
            return None;
        }
        let (address, network, private) = event.source_ip().map_or((0, 0, false), address);
        let mut trace = Self {
            at: seconds(event.time()?.micros()),
            kind,
            allowed: false,
            asks: false,
            done: false,
            actor: 0,
            peers: 0,
            agent: 0,
            network,
            country: 0,
            asn: 0,
            namespace: 0,
            action: 0,
            secret: 0,
            address,
            private,
            credential: 0,
            certificate: false,
            pod: 0,
            node: 0,
            pod_name: None,
            is_node: name.strip_prefix("system:node:").map_or(0, hash),
            deed: Deed::of(event, kind).map(Box::new),
        };
        trace.credentials(event);
        if matches!(kind, UserKind::Human | UserKind::ServiceAccount) {
            trace.baselines(event, name);
        } else if trace.credential == 0 && trace.deed.is_none() && trace.is_node == 0 {
            return None;
        }
        Some(trace)
    }

    /// `user.extra` as the API server's authenticators fill it
    /// (`apiserver/pkg/authentication/serviceaccount/util.go`, `.../request/x509/x509.go`).
    fn credentials(&mut self, event: &Event<'_>) {
        event.each_extra(&mut |key, value| match key.strip_prefix("authentication.kubernetes.io/") {
            Some("credential-id") => {
                self.credential = hash(value);
                self.certificate = value.starts_with("X509SHA256=");
            }
            Some("pod-uid") => self.pod = hash(value),
            Some("node-name") => self.node = hash(value),
            Some("pod-name") => {
                self.pod_name = event.user_namespace().map(|ns| [ns, "/", value].concat().into());
            }
            _ => {}
        });
    }

    fn baselines(&mut self, event: &Event<'_>, name: &str) {
        let text = |field: Field| event.text_of(field).unwrap_or_default();
        self.allowed = match event.outcome() {
            Outcome::Allowed => true,
            // An answer such as 404 or 409 comes after the authorizer, 429 and 400 may come before.
            Outcome::Failed => event.annotation("authorization.k8s.io/decision").as_deref() == Some("allow"),
            Outcome::Denied | Outcome::Unknown => false,
        } && !event.dry_run();
        self.asks = asks(event);
        self.done = self.allowed && event.code.is_some_and(|code| code < 300);
        self.actor = hash(name);
        if let Some(other) = event.text_of(Field::Impersonated) {
            self.actor = mix(self.actor, hash(other));
        }
        self.peers = event.user_namespace().map_or(1, hash);
        self.agent = match text(Field::UserAgent) {
            "" => 0,
            agent => hash(agent.split(['/', ' ']).next().unwrap_or_default()),
        };
        if let Some(place) = event.outside.as_ref().and_then(|outside| outside.place.as_deref()) {
            self.country = place.country.as_deref().map_or(0, hash);
            self.asn = place.asn.map_or(0, |asn| mix(asn as u64, ASN));
        }
        self.namespace = event.text_of(Field::Namespace).map_or(0, hash);
        let (verb, resource, sub) = (text(Field::Verb), text(Field::Resource), text(Field::Subresource));
        self.action = if resource.is_empty() {
            // Paths are the client's choice: their first part is enough to tell /openapi from /metrics.
            let first = event.path().and_then(|path| path.split('/').nth(1)).unwrap_or_default();
            mix(hash(verb), hash(first))
        } else {
            let what = mix(hash(resource), mix(hash(sub), hash(text(Field::ApiGroup))));
            mix(hash(class(verb, sub)), what)
        };
        let reads = matches!(verb, "get" | "list" | "watch");
        if resource == "secrets" && sub.is_empty() && reads && self.namespace != 0 {
            self.secret = event.text_of(Field::Name).map_or(0, |name| mix(self.namespace, hash(name)));
        }
    }
}

/// Whether a request is one by which clients learn what there is (`client-go/discovery`), asks for health, or who one is.
fn asks(event: &Event<'_>) -> bool {
    if let Some(resource) = event.text_of(Field::Resource).filter(|resource| !resource.is_empty()) {
        return resource.starts_with("selfsubject") && resource.ends_with("reviews");
    }
    let path = event.path().unwrap_or_default();
    let first = path.split('/').find(|part| !part.is_empty()).unwrap_or_default();
    first.starts_with("swagger")
        || ["", "api", "apis", "openapi", "version", "healthz", "livez", "readyz", ".well-known"]
            .contains(&first)
}

/// Verbs that do the same: an exec is a `get` over WebSockets and a `create` over SPDY.
fn class<'v>(verb: &'v str, subresource: &str) -> &'v str {
    match (verb, subresource) {
        (_, "exec" | "attach" | "portforward" | "proxy") => "connect",
        ("list" | "watch", _) => "list",
        ("update" | "patch", _) => "change",
        ("delete" | "deletecollection", _) => "delete",
        (other, _) => other,
    }
}
