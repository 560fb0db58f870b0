//! One audit event as a borrowed view over its bytes.
//!
//! [`Event::parse`] makes one typed pass over the text. Names, verbs and codes become slices; bodies,
//! annotations, groups and `extra` stay raw text and turn into a [`Json`] tree when a rule first asks.
//! Every part may be missing: managed clouds, salvaged lines and denied requests leave holes.
//! Source of the shape: `staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go`.

mod block;
mod flat;
mod hostpath;
mod identity;
mod patch;
mod recorded;
mod removed;
mod uri;
mod wire;
mod workload;

use std::borrow::Cow;
use std::cell::OnceCell;

use thiserror::Error;

use crate::json::{Json, Str};
use crate::time::Timestamp;

pub(crate) use flat::Flat;
pub use identity::{Outcome, SourceScope, UserKind};
pub use recorded::Recorded;
pub use uri::query_pairs;

/// How much of a request the audit policy recorded (`audit.Level`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// The event does not say, or says something unknown.
    Unstated,
    /// No bodies.
    Metadata,
    /// With the request body.
    Request,
    /// With both bodies.
    RequestResponse,
}

/// The moment in a request's life at which the event was written (`audit.Stage`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// The event does not say; treated like a finished request.
    Unstated,
    /// Before the request was handled: no outcome yet.
    RequestReceived,
    /// Headers were sent; written for long-running requests and for 401.
    ResponseStarted,
    /// The response was sent.
    ResponseComplete,
    /// The handler panicked.
    Panic,
}

impl Stage {
    /// The name in audit.k8s.io/v1; empty when unstated.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unstated => "",
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// Why a text is not an audit event.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ParseError {
    /// The text is not well-formed JSON, or a field has the wrong type.
    #[error("not an audit event: {0}")]
    Malformed(String),
}

/// Raw text of a member and, once asked for, its tree.
#[derive(Default)]
pub struct Part<'a> {
    text: Option<&'a str>,
    tree: OnceCell<Option<Json<'a>>>,
}

impl<'a> Part<'a> {
    fn new(text: Option<&'a str>) -> Self {
        Self { text, tree: OnceCell::new() }
    }

    /// A part that was never text.
    fn known(tree: Json<'a>) -> Self {
        Self { text: None, tree: OnceCell::from(Some(tree)) }
    }

    /// The JSON text as received.
    pub fn text(&self) -> Option<&'a str> {
        self.text
    }

    /// The parsed tree; `None` when absent or malformed.
    pub fn tree(&self) -> Option<&Json<'a>> {
        self.tree.get_or_init(|| self.text.and_then(Json::parse)).as_ref()
    }

    /// What stands at a path of object keys, read without the rest.
    pub fn at(&self, path: &[&str]) -> Option<Json<'a>> {
        if let Some(tree) = self.tree.get() {
            return path.iter().try_fold(tree.as_ref()?, |node, key| node.get(key)).cloned();
        }
        match sonic_rs::get(self.text?, path).ok()?.as_raw_cow() {
            Cow::Borrowed(raw) => Json::parse(raw),
            Cow::Owned(_) => None,
        }
    }

    /// Whether there is a text that is no JSON: what it says is unknown, not absent.
    pub fn unreadable(&self) -> bool {
        self.text.is_some() && self.tree().is_none()
    }
}

/// `user` or `impersonatedUser` of the event (`authentication.k8s.io/v1 UserInfo`).
#[derive(Default)]
pub struct Identity<'a> {
    /// `username`
    pub name: Option<Str<'a>>,
    /// `uid`
    pub uid: Option<Str<'a>>,
    /// `groups`, an array of strings.
    pub groups: Part<'a>,
    /// `extra`, an object of string arrays.
    pub extra: Part<'a>,
}

/// `objectRef` of the event.
#[derive(Default)]
#[allow(missing_docs)]
pub struct ObjectRef<'a> {
    pub resource: Option<Str<'a>>,
    pub namespace: Option<Str<'a>>,
    pub name: Option<Str<'a>>,
    pub uid: Option<Str<'a>>,
    pub api_group: Option<Str<'a>>,
    pub api_version: Option<Str<'a>>,
    pub resource_version: Option<Str<'a>>,
    pub subresource: Option<Str<'a>>,
}

/// One audit event.
pub struct Event<'a> {
    json: &'a str,
    /// Recorded level.
    pub level: Level,
    /// Recorded stage.
    pub stage: Stage,
    /// Chosen by the client (header `Audit-ID`): never a sole key, escape it before showing it.
    pub audit_id: Option<Str<'a>>,
    /// Path and query as the client sent them.
    pub request_uri: Option<Str<'a>>,
    /// Kubernetes verb; the lower-cased HTTP method for non-resource requests.
    pub verb: Option<Str<'a>>,
    /// Who authenticated.
    pub user: Identity<'a>,
    /// As whom the request was made, when impersonation was allowed.
    pub impersonated: Option<Identity<'a>>,
    /// `sourceIPs`: only the last entry is the TCP peer.
    pub source_ips: Part<'a>,
    /// As the client sent it, cut at 1,024 characters.
    pub user_agent: Option<Str<'a>>,
    /// Which object.
    pub object: ObjectRef<'a>,
    /// HTTP status code.
    pub code: Option<i64>,
    /// `responseStatus.status`
    pub status: Option<Str<'a>>,
    /// `responseStatus.message`
    pub message: Option<Str<'a>>,
    /// `responseStatus.reason`
    pub reason: Option<Str<'a>>,
    /// Request body.
    pub request_object: Part<'a>,
    /// Response body.
    pub response_object: Part<'a>,
    /// When the request reached the API server, as text.
    pub received: Option<Str<'a>>,
    /// When this stage was reached, as text.
    pub staged: Option<Str<'a>>,
    /// What admission, authorization and latency tracking noted.
    pub annotations: Part<'a>,
    flat_annotations: OnceCell<Option<Flat<'a>>>,
    /// `authenticationMetadata` (constrained impersonation, Kubernetes 1.35 and later).
    pub authentication: Part<'a>,
    /// Recovered from a cut line: an absent member may have been cut off.
    pub salvaged: bool,
    /// What is known of the past; `None` until a memory was asked.
    pub facts: Option<crate::Facts>,
    /// What lists and databases say of it; `None` until they were asked.
    pub outside: Option<crate::Outside>,
    /// Whose accounts there are; `None` where nobody said.
    pub people: Option<&'a crate::People>,
    document: OnceCell<Option<Json<'a>>>,
    patched: OnceCell<patch::Folded<'a>>,
    decoded_path: OnceCell<String>,
    folded: OnceCell<Vec<u8>>,
}

impl Part<'_> {
    /// Calls `f` for each string of a list; `f` returns true to stop. False if it is no list of strings alone that can
    /// be read without a tree.
    pub(crate) fn each_string(&self, f: &mut dyn FnMut(&str) -> bool) -> bool {
        let Some(mut strings) = self.text.and_then(flat::flat_strings) else { return false };
        strings.any(f);
        true
    }
}

impl<'a> Event<'a> {
    /// Reads one audit event.
    ///
    /// # Errors
    /// [`ParseError::Malformed`] when the bytes are not one JSON object of the right shape.
    pub fn parse(json: &'a str) -> Result<Self, ParseError> {
        wire::read(json)
    }

    /// An event that says nothing.
    pub fn blank() -> Self {
        Self::empty("{}")
    }

    /// Adds a text, for asking a filter about a value alone. Fields that are not texts of their own are left.
    #[must_use]
    pub fn with(mut self, field: crate::field::Field, value: &str) -> Self {
        use crate::field::Field;
        let text = Some(Str(value.to_owned().into()));
        match field {
            Field::Verb => self.verb = text,
            Field::Resource => self.object.resource = text,
            Field::Subresource => self.object.subresource = text,
            Field::Namespace => self.object.namespace = text,
            Field::ApiGroup => self.object.api_group = text,
            Field::Name => self.object.name = text,
            Field::Uri => self.request_uri = text,
            Field::User => self.user.name = text,
            Field::UserAgent => self.user_agent = text,
            Field::Level => self.level = wire::level(Some(value)),
            Field::Stage => self.stage = wire::stage(Some(value)),
            Field::Impersonated => self.impersonated = Some(Identity { name: text, ..Identity::default() }),
            Field::SourceIp => {
                self.source_ips = Part::known(Json::Array(vec![Json::String(value.to_owned().into())]));
            }
            _ => {}
        }
        self
    }

    /// Makes the user a member of groups, for the same purpose.
    #[must_use]
    pub fn in_groups<'g>(mut self, groups: impl IntoIterator<Item = &'g str>) -> Self {
        let groups = groups.into_iter().map(|g| Json::String(g.to_owned().into()));
        self.user.groups = Part::known(Json::Array(groups.collect()));
        self
    }

    /// Gives the user groups as they stand in another event ([`Part::text`]), for the same purpose.
    #[must_use]
    pub fn with_groups(mut self, json: &'a str) -> Self {
        self.user.groups = Part::new(Some(json));
        self
    }

    fn empty(json: &'a str) -> Self {
        Self {
            json,
            level: Level::Unstated,
            stage: Stage::Unstated,
            audit_id: None,
            request_uri: None,
            verb: None,
            user: Identity::default(),
            impersonated: None,
            source_ips: Part::default(),
            user_agent: None,
            object: ObjectRef::default(),
            code: None,
            status: None,
            message: None,
            reason: None,
            request_object: Part::default(),
            response_object: Part::default(),
            received: None,
            staged: None,
            annotations: Part::default(),
            flat_annotations: OnceCell::new(),
            authentication: Part::default(),
            salvaged: false,
            facts: None,
            outside: None,
            people: None,
            document: OnceCell::new(),
            patched: OnceCell::new(),
            decoded_path: OnceCell::new(),
            folded: OnceCell::new(),
        }
    }

    /// The event's text as it was handed in.
    pub fn json(&self) -> &'a str {
        self.json
    }

    /// The event's text with its ASCII letters in lower case, for keyword search.
    pub(crate) fn folded(&self) -> &[u8] {
        self.folded.get_or_init(|| self.json.as_bytes().to_ascii_lowercase())
    }

    /// When the request was received, else when the stage was reached.
    pub fn time(&self) -> Option<Timestamp> {
        self.received_at().or_else(|| self.staged_at())
    }

    /// When the request was received.
    pub fn received_at(&self) -> Option<Timestamp> {
        Timestamp::parse(&self.received.as_ref()?.0)
    }

    /// When this stage was reached.
    pub fn staged_at(&self) -> Option<Timestamp> {
        Timestamp::parse(&self.staged.as_ref()?.0)
    }

    /// The whole event as a tree, for pointers into it.
    pub fn document(&self) -> Option<&Json<'a>> {
        self.document.get_or_init(|| Json::parse(self.json)).as_ref()
    }

    /// Calls `f` with each key of `user.extra` and its first value.
    pub fn each_extra(&self, f: &mut dyn FnMut(&str, &str)) {
        let Some(text) = self.user.extra.text() else { return };
        if flat::flat_lists(text, f) {
            return;
        }
        let tree = self.user.extra.tree().map(Json::members).unwrap_or_default();
        for (key, values) in tree {
            if let Some(value) = values.items().first().and_then(Json::as_str) {
                f(key, value);
            }
        }
    }

    /// An annotation's text by its exact key.
    pub fn annotation(&self, key: &str) -> Option<Cow<'_, str>> {
        if let Some(flat) = self.flat_annotation(key) {
            return flat;
        }
        self.annotations.tree()?.get(key)?.as_str().map(Cow::Borrowed)
    }

    /// The annotation, found without a tree; `None` if that cannot be done.
    pub(crate) fn flat_annotation(&self, key: &str) -> Option<Option<Cow<'_, str>>> {
        self.flat_annotations()?.get(key)
    }

    /// All annotations, if they are texts alone.
    pub(crate) fn flat_annotations(&self) -> Option<&Flat<'a>> {
        self.flat_annotations.get_or_init(|| Flat::of(self.annotations.text()?)).as_ref()
    }

    /// The request body with JSON patches folded into the object they would make of an empty one; other
    /// bodies as they are.
    pub fn patched(&self) -> Option<&Json<'a>> {
        match self.folded_patch() {
            Some(folded) => Some(&folded.tree),
            None => self.request_object.tree(),
        }
    }

    /// For a value that is not in [`Event::patched`]: whether the request certainly did not write it.
    pub(crate) fn written(&self) -> Recorded {
        match self.folded_patch() {
            Some(folded) if folded.whole => Recorded::Yes,
            Some(_) => Recorded::No,
            None if self.request_object.tree().is_some() => Recorded::Yes,
            None => self.request_recorded(),
        }
    }

    fn folded_patch(&self) -> Option<&patch::Folded<'a>> {
        let Json::Array(operations) = self.request_object.tree()? else { return None };
        Some(self.patched.get_or_init(|| {
            let answer = self.response_object.tree();
            patch::fold(operations, answer.filter(|a| a.get("kind").and_then(Json::as_str) != Some("Status")))
        }))
    }
}

/// The text of an optional string.
#[inline]
pub(crate) fn text<'e>(s: &'e Option<Str<'_>>) -> Option<&'e str> {
    s.as_ref().map(|s| s.0.as_ref())
}
