//! What a request does, as a verb and its object.

use super::{code, name};
use crate::event::{Event, query_pairs, text};
use crate::json::Json;

/// "read" + "read" + " secret shop/db".
pub(super) struct Action {
    /// After "to".
    pub base: String,
    /// In the past tense.
    pub past: String,
    /// The object, with a space before it.
    pub rest: String,
}

fn act(base: &str, past: &str, rest: impl AsRef<str>) -> Action {
    let rest = rest.as_ref();
    let rest =
        if rest.is_empty() || rest.starts_with([',', ' ']) { rest.to_owned() } else { format!(" {rest}") };
    Action { base: base.to_owned(), past: past.to_owned(), rest }
}

impl Action {
    pub fn of(event: &Event<'_>) -> Self {
        let verb = text(&event.verb).unwrap_or_default();
        let Some(resource) = text(&event.object.resource).filter(|r| !r.is_empty()) else {
            return non_resource(event, verb);
        };
        match text(&event.object.subresource).filter(|s| !s.is_empty()) {
            Some(subresource) => sub(event, verb, resource, subresource),
            None => whole(event, verb, resource),
        }
    }
}

fn non_resource(event: &Event<'_>, verb: &str) -> Action {
    let path = event.path().map_or_else(|| "something that is not recorded".to_owned(), code);
    let method =
        if verb.is_empty() || verb == "get" { String::new() } else { format!(" with {}", name(verb)) };
    act("request", "requested", format!("{path}{method}"))
}

fn whole(event: &Event<'_>, verb: &str, resource: &str) -> Action {
    let secrets = resource == "secrets";
    let named = object_name(event).is_some();
    match (verb, resource) {
        ("create", "selfsubjectaccessreviews" | "selfsubjectrulesreviews") => {
            act("ask what it may do", "asked what it may do", asked(event))
        }
        ("create", "selfsubjectreviews") => act("ask who it is", "asked who it is", ""),
        ("create", "subjectaccessreviews" | "localsubjectaccessreviews") => {
            act("ask what another may do", "asked what another may do", asked(event))
        }
        ("create", "tokenreviews") => act("have a token checked", "had a token checked", ""),
        ("get", _) => act("read", "read", one(event, resource)),
        // A list of secrets holds their contents, and a watch without a version begins with them all.
        ("list", _) if secrets => act("read", "read", some(event, resource) + " through a list"),
        ("list", _) => act("list", "listed", some(event, resource)),
        ("watch", _) if secrets && watch_begins_with_all(event) => {
            act("read", "read", some(event, resource) + " through a watch")
        }
        ("watch", _) if named => act("watch", "watched", one(event, resource)),
        ("watch", _) => act("watch", "watched", some(event, resource)),
        ("create", _) => act("create", "created", one(event, resource)),
        ("update", _) => act("replace", "replaced", one(event, resource)),
        ("patch", _) => act("change", "changed", one(event, resource)),
        ("delete", _) => act("delete", "deleted", one(event, resource)),
        ("deletecollection", _) => act("delete", "deleted", some(event, resource)),
        ("", _) => act("do something with", "did something with", one(event, resource)),
        (verb, _) => act(
            &format!("{} (verb)", name(verb)),
            &format!("used the verb {} on", name(verb)),
            one(event, resource),
        ),
    }
}

fn sub(event: &Event<'_>, verb: &str, resource: &str, subresource: &str) -> Action {
    let it = one(event, resource);
    let reads = matches!(verb, "get" | "list" | "watch");
    match (resource, subresource) {
        ("pods", "exec") => {
            let how = if param(event, "tty").as_deref() == Some("true") { " interactively" } else { "" };
            let command = event.exec_command().map_or_else(|| "a command".to_owned(), |c| code(&c));
            act("run", "ran", format!("{command}{how} in {}{it}", container(event)))
        }
        ("pods", "attach") => act("attach to", "attached to", format!("{}{it}", container(event))),
        ("pods", "portforward") => {
            let ports =
                param(event, "ports").map_or_else(|| "a port".to_owned(), |p| format!("port {}", name(&p)));
            act("forward", "forwarded", format!("{ports} to {it}"))
        }
        ("pods", "log") => act("read", "read", format!("the log of {}{it}", container(event))),
        (_, "proxy") => {
            let path = event.path().and_then(|p| p.split_once("/proxy")).map_or("/", |(_, rest)| rest);
            let path = code(if path.is_empty() { "/" } else { path });
            act("send", "sent", format!("a request ({}) for {path} through the proxy of {it}", name(verb)))
        }
        ("serviceaccounts", "token") if verb == "create" => {
            act("mint", "minted", format!("a token for {it}"))
        }
        ("pods", "eviction") if verb == "create" => act("evict", "evicted", it),
        ("pods", "binding") if verb == "create" => {
            let node =
                body(event, "/target/name").map_or_else(String::new, |n| format!(" onto node {}", name(&n)));
            act("schedule", "scheduled", it + &node)
        }
        ("pods", "ephemeralcontainers") if !reads => {
            act("put", "put", format!("a debug container into {it}"))
        }
        ("certificatesigningrequests", "approval") if !reads => {
            let (base, past) = match body(event, "/status/conditions/0/type").as_deref() {
                Some("Denied") => ("deny", "denied"),
                Some("Approved") => ("approve", "approved"),
                _ => ("decide on", "decided on"),
            };
            act(base, past, it)
        }
        (_, "scale") if !reads => {
            let to = body(event, "/spec/replicas")
                .map_or_else(String::new, |n| format!(" to {} replicas", name(&n)));
            act("scale", "scaled", it + &to)
        }
        ("namespaces", "finalize") => act("finalize", "finalized", it),
        (_, part) => {
            let (base, past) = match verb {
                "get" | "list" => ("read", "read"),
                "watch" => ("watch", "watched"),
                "create" => ("create", "created"),
                "update" => ("replace", "replaced"),
                "patch" => ("change", "changed"),
                "delete" | "deletecollection" => ("delete", "deleted"),
                _ => ("use", "used"),
            };
            act(base, past, format!("the {} of {it}", name(part)))
        }
    }
}

/// `pod shop/cart`, or `a pod in shop` when no name is recorded.
fn one(event: &Event<'_>, resource: &str) -> String {
    let noun = singular(resource);
    // The object of a request on a namespace names it twice.
    let namespace = text(&event.object.namespace).filter(|n| !n.is_empty() && resource != "namespaces");
    match (namespace, object_name(event)) {
        (Some(namespace), Some(object)) => format!("{noun} {}/{}", name(namespace), name(&object)),
        (None, Some(object)) => format!("{noun} {}", name(&object)),
        (Some(namespace), None) => format!("{} {noun} in namespace {}", article(&noun), name(namespace)),
        (None, None) => format!("{} {noun}", article(&noun)),
    }
}

/// `all secrets in namespace shop`
fn some(event: &Event<'_>, resource: &str) -> String {
    if object_name(event).is_some() {
        return one(event, resource);
    }
    let place = match text(&event.object.namespace).filter(|n| !n.is_empty()) {
        Some(namespace) => format!("in namespace {}", name(namespace)),
        None => "in the whole cluster".to_owned(),
    };
    let mut out = format!("all {} {place}", plural(resource));
    for selector in ["labelSelector", "fieldSelector"] {
        if let Some(value) = param(event, selector).filter(|v| !v.is_empty()) {
            out.push_str(" that match ");
            out.push_str(&code(&value));
        }
    }
    out
}

/// The name from the reference, else from the bodies.
fn object_name(event: &Event<'_>) -> Option<String> {
    let named = text(&event.object.name).filter(|n| !n.is_empty()).map(str::to_owned);
    named.or_else(|| {
        if text(&event.verb) != Some("create") {
            return None;
        }
        let at = |tree: Option<&Json<'_>>| Some(tree?.pointer("/metadata/name")?.as_str()?.to_owned());
        at(event.request_object.tree()).or_else(|| at(event.response_object.tree()))
    })
}

fn body(event: &Event<'_>, pointer: &str) -> Option<String> {
    match event.patched()?.pointer(pointer)? {
        Json::String(s) => Some(s.to_string()),
        Json::Int(n) => Some(n.to_string()),
        _ => None,
    }
}

fn param(event: &Event<'_>, key: &str) -> Option<String> {
    query_pairs(text(&event.request_uri)?).find(|(k, _)| k == key).map(|(_, v)| v.into_owned())
}

fn container(event: &Event<'_>) -> String {
    param(event, "container")
        .filter(|c| !c.is_empty())
        .map_or_else(String::new, |c| format!("container {} of ", name(&c)))
}

/// What an access review asks about.
fn asked(event: &Event<'_>) -> String {
    let at = |key: &str| body(event, &format!("/spec/resourceAttributes/{key}"));
    match (at("verb"), at("resource")) {
        (Some(verb), Some(resource)) => format!(", namely {} {}", name(&verb), name(&resource)),
        _ => String::new(),
    }
}

/// A watch sends what exists first when it asks for that or names no version
/// (`apimachinery/pkg/apis/meta/v1/types.go`, `SendInitialEvents` and `ResourceVersion`).
fn watch_begins_with_all(event: &Event<'_>) -> bool {
    param(event, "sendInitialEvents").as_deref() == Some("true")
        || matches!(param(event, "resourceVersion").as_deref(), None | Some("" | "0"))
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}

fn plural(resource: &str) -> String {
    match resource {
        "serviceaccounts" => "service accounts".to_owned(),
        other => name(other),
    }
}

/// The noun for one object of a resource.
fn singular(resource: &str) -> String {
    let one = match resource {
        "endpoints" => return "endpoints".to_owned(),
        "serviceaccounts" => return "service account".to_owned(),
        "certificatesigningrequests" => return "certificate signing request".to_owned(),
        r => r
            .strip_suffix("ies")
            .map(|stem| format!("{stem}y"))
            .or_else(|| r.strip_suffix("es").filter(|stem| stem.ends_with("ss")).map(str::to_owned))
            .or_else(|| r.strip_suffix('s').filter(|stem| !stem.ends_with('s')).map(str::to_owned))
            .unwrap_or_else(|| r.to_owned()),
    };
    name(&one)
}
