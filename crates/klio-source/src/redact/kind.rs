//! What an object is, as far as that decides where its secrets are, and what a step down in it leads to.

use klio_model::Event;

use super::name;
use super::rule::Rule;

/// The kinds with secrets in known places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Secret,
    /// A Status in place of a Secret.
    SecretStatus,
    /// A Table of Secrets.
    SecretTable,
    ConfigMap,
    /// TokenReview and TokenRequest.
    Token,
    Csr,
    /// A resource that is not one of Kubernetes' own: its members are judged by their names.
    Custom,
    Other,
}

/// Where in an event a value stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Text whose looks alone decide.
    Plain,
    /// An object of the API, a list of such, or a patch.
    Object(Kind),
    /// Something within it.
    Part(Kind),
    /// `metadata`
    Metadata(Kind),
    /// `annotations`
    Annotations(Kind),
    /// Each member goes, the keys stay. With the word whether values are base64.
    Members(Rule, bool),
    /// All of it goes.
    Gone(Rule, bool),
    /// `data` of a ConfigMap.
    ConfigData,
    /// A list (or map) of environment variables.
    Env(Kind),
    /// One environment variable.
    Variable(Kind),
    /// Arguments of a command.
    Args(Kind),
    /// An error message.
    Message(Kind),
}

impl Kind {
    /// By the resource of the event.
    pub(super) fn of_event(event: &Event<'_>) -> Self {
        let text = |s: &Option<klio_model::json::Str<'_>>| s.as_ref().map(|s| s.0.to_ascii_lowercase());
        let group = text(&event.object.api_group).unwrap_or_default();
        match text(&event.object.resource).as_deref() {
            Some("secrets") => Self::Secret,
            Some("configmaps") => Self::ConfigMap,
            Some("tokenreviews" | "tokenrequests") => Self::Token,
            Some("serviceaccounts") if text(&event.object.subresource).as_deref() == Some("token") => {
                Self::Token
            }
            Some("certificatesigningrequests") => Self::Csr,
            Some("customresourcedefinitions") => Self::Other,
            Some(_) if is_own(&group) => Self::Other,
            Some(_) => Self::Custom,
            None if event.request_uri.as_ref().is_some_and(|uri| uri.0.contains("/secrets")) => Self::Secret,
            None => Self::Custom,
        }
    }

    /// By an object's own word, where it stands in another or in a list. An object that was expected to be a Secret
    /// stays one unless it is an answer of which the members are known.
    pub(super) fn stated(self, kind: &str) -> Self {
        match (self, kind) {
            (_, "secret" | "secretlist") => Self::Secret,
            (_, "tokenreview" | "tokenrequest") => Self::Token,
            (Self::Secret | Self::SecretStatus | Self::SecretTable, "status") => Self::SecretStatus,
            (Self::Secret | Self::SecretStatus | Self::SecretTable, "table") => Self::SecretTable,
            (Self::Secret | Self::SecretStatus | Self::SecretTable, _) => self,
            (_, "configmap" | "configmaplist") => Self::ConfigMap,
            (_, "certificatesigningrequest" | "certificatesigningrequestlist") => Self::Csr,
            _ => self,
        }
    }

    fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretStatus | Self::SecretTable)
    }
}

/// Whether an API group is one of Kubernetes' own, whose types keep no secrets in other places than those known.
fn is_own(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// Where a member leads; `key` is folded.
pub(super) fn step(place: Place, key: &str) -> Place {
    use Place::{
        Annotations, Args, ConfigData, Env, Gone, Members, Message, Metadata, Object, Part, Plain, Variable,
    };
    match place {
        Plain | Message(_) => Plain,
        Gone(..) => place,
        Members(rule, base64) => Gone(rule, base64),
        Object(kind) if kind.is_secret() => of_secret(kind, key),
        Object(Kind::ConfigMap) if matches!(key, "data" | "binarydata") => ConfigData,
        Object(kind) => match key {
            "metadata" => Metadata(kind),
            "kind" | "apiversion" => Plain,
            "items" => Object(kind),
            "rows" if kind == Kind::ConfigMap => Object(kind),
            "object" if kind == Kind::ConfigMap => Object(kind),
            "message" => Message(kind),
            _ => below(kind, key),
        },
        Metadata(kind) => match key {
            "annotations" => Annotations(kind),
            _ => Plain,
        },
        Annotations(kind) => Part(kind),
        Part(kind) => below(kind, key),
        ConfigData if name::of_member(key) => Gone(Rule::ConfigMapKey, false),
        ConfigData => Part(Kind::Custom),
        Env(kind) if is_index(key) => Variable(kind),
        Env(_) if name::of_variable(key) => Gone(Rule::Env, false),
        Env(kind) => Part(kind),
        // The walk knows the name; a patch that addresses the value alone does not say it.
        Variable(_) if key == "value" => Gone(Rule::Env, false),
        Variable(kind) => Part(kind),
        Args(kind) if is_index(key) => Args(kind),
        Args(kind) => Part(kind),
    }
}

fn of_secret(kind: Kind, key: &str) -> Place {
    match key {
        "metadata" => Place::Metadata(kind),
        "kind" | "apiversion" | "type" | "immutable" | "$patch" => Place::Plain,
        "items" => Place::Object(Kind::Secret),
        "data" => Place::Members(Rule::SecretData, true),
        "stringdata" => Place::Members(Rule::SecretData, false),
        "message" if kind == Kind::SecretStatus => Place::Message(Kind::Secret),
        "status" | "reason" | "code" if kind == Kind::SecretStatus => Place::Plain,
        "details" if kind == Kind::SecretStatus => Place::Part(Kind::Secret),
        "rows" if kind == Kind::SecretTable => Place::Object(kind),
        "cells" | "columndefinitions" if kind == Kind::SecretTable => Place::Plain,
        "object" if kind == Kind::SecretTable => Place::Object(Kind::Secret),
        // What deletes say.
        "preconditions" | "propagationpolicy" | "dryrun" | "orphandependents" | "graceperiodseconds" => {
            Place::Plain
        }
        _ => Place::Members(Rule::SecretData, false),
    }
}

fn below(kind: Kind, key: &str) -> Place {
    match key {
        "env" => Place::Env(kind),
        "command" | "args" => Place::Args(kind),
        "stringdata" => Place::Members(Rule::SecretData, false),
        "annotations" => Place::Annotations(kind),
        "managedfields" => Place::Plain,
        "message" => Place::Message(kind),
        "token" if kind == Kind::Token => Place::Gone(Rule::Token, false),
        "request" | "certificate" if kind == Kind::Csr => Place::Gone(Rule::Csr, true),
        // A webhook's patch, as an annotation of the event tells it.
        "patch" => Place::Object(kind),
        _ if kind == Kind::Custom && name::of_member(key) => Place::Gone(Rule::CustomResource, false),
        _ => Place::Part(kind),
    }
}

/// Whether a token of a JSON pointer is one of a list's.
fn is_index(token: &str) -> bool {
    token == "-" || (!token.is_empty() && token.bytes().all(|b| b.is_ascii_digit()))
}
