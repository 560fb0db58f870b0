//! The history of one object.

use axum::Json;
use axum::extract::{Path, State};
use klio_model::history::{Gathered, History, Target, Terms, Until};
use klio_model::{Event, TimeRange, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::archive::{ArchiveError, Question, Slice};
use crate::input::{Asked, clusters, range};
use crate::view::HistoryView;
use crate::visitor::Visitor;
use crate::{Problem, Web, bodies};

/// Events that are looked at, the newest ones.
const EVENTS: usize = 500;
/// Changes of a step that are told.
const CHANGES: usize = 200;

/// Which object of this name, and when.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct When {
    /// Of this cluster; it must be named if several have such an object.
    cluster: Option<String>,
    /// Told from then on: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w).
    from: Option<String>,
    /// Before this time.
    to: Option<String>,
}

/// The text by which an object is meant; the namespace is `-` for one that is in none.
pub(crate) fn target(resource: &str, namespace: &str, name: &str) -> Result<Target, Problem> {
    let text = if namespace == "-" {
        format!("{resource}/{name}")
    } else {
        format!("{resource}/{namespace}/{name}")
    };
    Target::parse(&text).map_err(|e| Problem::bad(e.message).help(e.help))
}

/// What happened to an object: who changed which fields and when. What changed is told from recorded answers, else rebuilt from
/// patches, else as it was asked.
#[utoipa::path(get, path = "/api/v1/objects/{resource}/{namespace}/{name}/history", tag = "subjects",
    params(("resource" = String, Path), ("namespace" = String, Path), ("name" = String, Path), When),
    responses((status = 200, description = "Its history", body = HistoryView)))]
pub(crate) async fn get(
    State(web): State<Web>,
    visitor: Visitor,
    Path((resource, namespace, name)): Path<(String, String, String)>,
    Asked(when): Asked<When>,
) -> Answer<HistoryView> {
    let target = target(&resource, &namespace, &name)?;
    let range = range(when.from.as_deref(), when.to.as_deref(), web.now())?;
    let clusters = clusters(when.cluster.as_deref());
    let told =
        history(&web, &visitor, target, clusters, range.end, move |event| range.holds(event.time())).await?;
    let told = told.ok_or_else(Problem::not_found)?;
    visitor.note.rows(told.steps.len());
    Ok(Json(told))
}

/// The history until a time, of the requests that `show` names; nothing if none names the object.
pub(crate) async fn history(
    web: &Web,
    visitor: &Visitor,
    target: Target,
    clusters: Vec<String>,
    end: Option<Timestamp>,
    show: impl Fn(&Event<'_>) -> bool + Send + 'static,
) -> Result<Option<HistoryView>, Problem> {
    let with_bodies = visitor.bodies();
    let told = visitor.ask(web, move |archive, sight, patience| {
        let range = TimeRange { start: None, end };
        let question = Question { clusters, filter: target.filter(), range };
        let page = archive.events(sight, patience, &question, &Slice { after: None, most: EVENTS })?;
        let mut of = None;
        let mut gathered = Gathered::new(target);
        for record in page.items.iter().rev() {
            if *of.get_or_insert(&record.cluster) != &record.cluster {
                return Err(ArchiveError::BadQuestion(
                    "several clusters have such an object; say which one: cluster=NAME".into(),
                ));
            }
            let closed = if with_bodies { None } else { bodies::without(&record.raw) };
            let Ok(mut event) = Event::parse(closed.as_ref().unwrap_or(&record.raw)) else { continue };
            event.salvaged = record.salvaged;
            gathered
                .take(&event)
                .map_err(|e| ArchiveError::BadQuestion(format!("{e}; ask for less time")))?;
        }
        let terms = Terms { all: false, most: CHANGES, until: Until::End, show: &show };
        let told = History::of(gathered, &terms);
        Ok(told.seen.then(|| HistoryView::of(told, page.next.is_some())))
    });
    told.await
}
