//! Actors, objects and addresses: what is known of them from what they did, or what was done to them.

use axum::Json;
use axum::extract::{Path, State};
use klio_model::{Field, FieldRef, Filter, Matcher};
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
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct During {
    /// In these clusters, with commas between.
    cluster: Option<String>,
    /// Not before: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w).
    from: Option<String>,
    /// Before this time.
    to: Option<String>,
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

/// An actor, by the name under which he authenticated or as which he acted.
#[utoipa::path(get, path = "/api/v1/actors/{name}", tag = "subjects", params(("name" = String, Path), During),
    responses((status = 200, description = "What is known", body = SubjectView)))]
pub(crate) async fn actor(
    State(web): State<Web>,
    visitor: Visitor,
    Path(name): Path<String>,
    Asked(during): Asked<During>,
) -> Answer<SubjectView> {
    let filter = Filter::or([is(Field::User, &name), is(Field::Impersonated, &name)]);
    let usual = &[
        Field::Verb,
        Field::Resource,
        Field::Namespace,
        Field::Outcome,
        Field::SourceIp,
        Field::UserAgent,
        Field::Credential,
    ];
    known(&web, &visitor, Subject { kind: "actor", name, filter, usual }, during).await
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
    let place = if namespace == "-" {
        Filter::not(Filter::test(FieldRef::of(Field::Namespace), Matcher::Present))
    } else {
        is(Field::Namespace, &namespace)
    };
    let filter = Filter::and([is(Field::Resource, &resource), place, is(Field::Name, &name)]);
    let usual = &[Field::Verb, Field::User, Field::Outcome, Field::SourceIp, Field::Subresource];
    let name = format!("{resource}/{namespace}/{name}");
    known(&web, &visitor, Subject { kind: "object", name, filter, usual }, during).await
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
    let filter = is(Field::SourceIp, &address);
    let usual =
        &[Field::User, Field::Verb, Field::Resource, Field::Namespace, Field::Outcome, Field::UserAgent];
    known(&web, &visitor, Subject { kind: "address", name: address, filter, usual }, during).await
}
