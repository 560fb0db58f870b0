//! Actors, objects, addresses, credentials, namespaces, pods and nodes: what is known of them from what they did, or what was done to them.

use axum::Json;
use axum::extract::{Path, State};
use klio_model::{Field, FieldRef, Filter, Matcher, TextMatch};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use super::events::is;
use crate::archive::Question;
use crate::input::{Asked, clusters, range};
use crate::view::{SubjectView, TopView};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// Values that count as usual.
const USUAL: usize = 10;

/// When and where.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct During {
    /// In these clusters, with commas between.
    pub(crate) cluster: Option<String>,
    /// Not before: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w).
    pub(crate) from: Option<String>,
    /// Before this time.
    pub(crate) to: Option<String>,
}

struct Subject {
    kind: &'static str,
    name: String,
    filter: Filter,
    usual: &'static [Field],
}

async fn known(web: &Web, visitor: &Visitor, subject: Subject, during: During) -> Answer<SubjectView> {
    let Subject { kind, name, filter, usual } = subject;
    let range = range(during.from.as_deref(), during.to.as_deref(), web.now())?;
    let text = filter.to_string();
    let question = Question { clusters: clusters(during.cluster.as_deref()), filter, range };
    let ask = move |archive: &dyn crate::Archive, sight: &_, patience: &_| {
        let count = archive.count(sight, patience, &question)?;
        if count == 0 {
            return Ok(None);
        }
        let span = archive.span(sight, patience, &question)?;
        let mut tops = Vec::new();
        for field in usual {
            let field = FieldRef::of(*field);
            let top = archive.top(sight, patience, &question, &field, USUAL)?;
            tops.push(TopView::of(field.name(), top));
        }
        Ok(Some((count, span, tops)))
    };
    let (count, span, usual) = visitor.ask(web, ask).await?.ok_or_else(Problem::not_found)?;
    visitor.note.rows(1);
    let (first, last) = span.unzip();
    Ok(Json(SubjectView { kind, name, filter: text, count, first, last, usual }))
}

/// Texts that name a subject in the path of a page or of the API.
pub(crate) type Names<'n> = &'n [&'n str];

/// What one can ask about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Actor,
    Object,
    Address,
    Credential,
    Namespace,
    Pod,
    Node,
}

impl Kind {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Object => "object",
            Self::Address => "address",
            Self::Credential => "credential",
            Self::Namespace => "namespace",
            Self::Pod => "pod",
            Self::Node => "node",
        }
    }

    /// The events that are about it: `names` as its path has them.
    pub(crate) fn filter(self, names: Names<'_>) -> Filter {
        let name = |at: usize| names.get(at).copied().unwrap_or_default();
        let extra = |key: &str, value: &str| {
            let field = FieldRef::below(Field::Extra, key);
            Filter::test(field, Matcher::Text(TextMatch::exactly(value)))
        };
        match self {
            Self::Actor => Filter::or([is(Field::User, name(0)), is(Field::Impersonated, name(0))]),
            Self::Address => is(Field::SourceIp, name(0)),
            Self::Credential => is(Field::Credential, name(0)),
            Self::Namespace => is(Field::Namespace, name(0)),
            Self::Object => object_filter(name(0), name(1), name(2)),
            // What was done to it, and what was done with its token.
            Self::Pod => Filter::or([
                object_filter("pods", name(0), name(1)),
                Filter::and([
                    is(Field::UserNamespace, name(0)),
                    extra("authentication.kubernetes.io/pod-name", name(1)),
                ]),
            ]),
            Self::Node => Filter::or([
                object_filter("nodes", "-", name(0)),
                is(Field::User, &format!("system:node:{}", name(0))),
                extra("authentication.kubernetes.io/node-name", name(0)),
            ]),
        }
    }

    /// The fields whose most frequent values tell what is usual for it.
    pub(crate) fn usual(self) -> &'static [Field] {
        use Field::{Credential, Namespace, Outcome, Resource, SourceIp, Subresource, User, UserAgent, Verb};
        match self {
            Self::Actor => &[Verb, Resource, Namespace, Outcome, SourceIp, UserAgent, Credential],
            Self::Object => &[Verb, User, Outcome, SourceIp, Subresource],
            Self::Address => &[User, Verb, Resource, Namespace, Outcome, UserAgent],
            Self::Credential => &[User, SourceIp, Verb, Resource, Namespace, Outcome, UserAgent],
            Self::Namespace => &[User, Verb, Resource, Outcome, SourceIp],
            Self::Pod => &[User, Verb, Resource, Subresource, Outcome, SourceIp],
            Self::Node => &[User, Verb, Resource, Namespace, Outcome],
        }
    }
}

fn object_filter(resource: &str, namespace: &str, name: &str) -> Filter {
    let place = if namespace == "-" {
        Filter::not(Filter::test(FieldRef::of(Field::Namespace), Matcher::Present))
    } else {
        is(Field::Namespace, namespace)
    };
    Filter::and([is(Field::Resource, resource), place, is(Field::Name, name)])
}

/// What is known of one.
pub(crate) async fn subject(
    web: &Web,
    visitor: &Visitor,
    kind: Kind,
    names: Names<'_>,
    during: During,
) -> Answer<SubjectView> {
    let subject =
        Subject { kind: kind.name(), name: names.join("/"), filter: kind.filter(names), usual: kind.usual() };
    known(web, visitor, subject, during).await
}

/// An actor, by the name under which he authenticated or as which he acted.
#[utoipa::path(get, path = "/api/v1/actors/{name}", tag = "subjects", params(("name" = String, Path), During),
    responses((status = 200, description = "What is known", body = SubjectView)))]
pub(crate) async fn actor(
    State(web): State<Web>,
    visitor: Visitor,
    Path(name): Path<String>,
    Asked(during): Asked<During>,
) -> Answer<SubjectView> {
    subject(&web, &visitor, Kind::Actor, &[&name], during).await
}

/// An object; the namespace is `-` for one that is in none.
#[utoipa::path(get, path = "/api/v1/objects/{resource}/{namespace}/{name}", tag = "subjects",
    params(("resource" = String, Path), ("namespace" = String, Path), ("name" = String, Path), During),
    responses((status = 200, description = "What is known", body = SubjectView)))]
pub(crate) async fn object(
    State(web): State<Web>,
    visitor: Visitor,
    Path((resource, namespace, name)): Path<(String, String, String)>,
    Asked(during): Asked<During>,
) -> Answer<SubjectView> {
    subject(&web, &visitor, Kind::Object, &[&resource, &namespace, &name], during).await
}

/// An address, as TCP peer.
#[utoipa::path(get, path = "/api/v1/addresses/{address}", tag = "subjects", params(("address" = String, Path), During),
    responses((status = 200, description = "What is known", body = SubjectView)))]
pub(crate) async fn address(
    State(web): State<Web>,
    visitor: Visitor,
    Path(address): Path<String>,
    Asked(during): Asked<During>,
) -> Answer<SubjectView> {
    subject(&web, &visitor, Kind::Address, &[&address], during).await
}

/// A credential, by the id that the API server gives it.
#[utoipa::path(get, path = "/api/v1/credentials/{id}", tag = "subjects", params(("id" = String, Path), During),
    responses((status = 200, description = "What is known", body = SubjectView)))]
pub(crate) async fn credential(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    Asked(during): Asked<During>,
) -> Answer<SubjectView> {
    subject(&web, &visitor, Kind::Credential, &[&id], during).await
}

/// A namespace: what was done in it.
#[utoipa::path(get, path = "/api/v1/namespaces/{name}", tag = "subjects", params(("name" = String, Path), During),
    responses((status = 200, description = "What is known", body = SubjectView)))]
pub(crate) async fn namespace(
    State(web): State<Web>,
    visitor: Visitor,
    Path(name): Path<String>,
    Asked(during): Asked<During>,
) -> Answer<SubjectView> {
    subject(&web, &visitor, Kind::Namespace, &[&name], during).await
}

/// A pod: what was done to it, and with its token.
#[utoipa::path(get, path = "/api/v1/pods/{namespace}/{name}", tag = "subjects",
    params(("namespace" = String, Path), ("name" = String, Path), During),
    responses((status = 200, description = "What is known", body = SubjectView)))]
pub(crate) async fn pod(
    State(web): State<Web>,
    visitor: Visitor,
    Path((namespace, name)): Path<(String, String)>,
    Asked(during): Asked<During>,
) -> Answer<SubjectView> {
    subject(&web, &visitor, Kind::Pod, &[&namespace, &name], during).await
}

/// A node: what was done to it, by its kubelet, and with tokens of its pods.
#[utoipa::path(get, path = "/api/v1/nodes/{name}", tag = "subjects", params(("name" = String, Path), During),
    responses((status = 200, description = "What is known", body = SubjectView)))]
pub(crate) async fn node(
    State(web): State<Web>,
    visitor: Visitor,
    Path(name): Path<String>,
    Asked(during): Asked<During>,
) -> Answer<SubjectView> {
    subject(&web, &visitor, Kind::Node, &[&name], during).await
}
