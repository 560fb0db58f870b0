//! Rules, and how often each fired; what is excused; hunts.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use klio_desk::{By, Right, SavedHunt};
use klio_model::Filter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::input::{Asked, Given, range};
use crate::view::{AllowPage, HuntPage, HuntView, NewHunt, RuleHits, RulePage, RuleView, SavedHuntView};
use crate::visitor::Visitor;
use crate::{Problem, Web, bodies};

/// Which hits count.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct During {
    /// Hits not before: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w).
    pub(crate) from: Option<String>,
    /// Hits before this time.
    pub(crate) to: Option<String>,
}

async fn hits(web: &Web, visitor: &Visitor, during: &During) -> Result<Vec<RuleHits>, Problem> {
    let range = range(during.from.as_deref(), during.to.as_deref(), web.now())?;
    visitor.ask(web, move |archive, sight, patience| archive.rule_hits(sight, patience, range)).await
}

/// All rules, with the findings that the asker sees.
#[utoipa::path(get, path = "/api/v1/rules", tag = "rules", params(During),
    responses((status = 200, description = "The rules", body = RulePage)))]
pub(crate) async fn list(
    State(web): State<Web>,
    visitor: Visitor,
    Asked(during): Asked<During>,
) -> Answer<RulePage> {
    let hits = hits(&web, &visitor, &during).await?;
    let of = |id: &str| hits.iter().find(|h| h.rule == id);
    let rules = web.inner.options.library.rules();
    let items: Vec<_> = rules.iter().map(|about| RuleView::of(about, of(&about.id))).collect();
    visitor.note.rows(items.len());
    Ok(Json(RulePage { items }))
}

/// One rule.
#[utoipa::path(get, path = "/api/v1/rules/{id}", tag = "rules", params(("id" = String, Path), During),
    responses((status = 200, description = "The rule", body = RuleView)))]
pub(crate) async fn get(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    Asked(during): Asked<During>,
) -> Answer<RuleView> {
    let about = web.inner.options.library.rules().into_iter().find(|about| about.id == id);
    let about = about.ok_or_else(Problem::not_found)?;
    let hits = hits(&web, &visitor, &during).await?;
    visitor.note.rows(1);
    let mut view = RuleView::of(&about, hits.iter().find(|h| h.rule == id));
    let library = &web.inner.options.library;
    (view.page, view.source) = (library.page(&about), library.source(&about));
    Ok(Json(view))
}

/// What the allow-list excuses, and how often it did since the server runs.
#[utoipa::path(get, path = "/api/v1/allow", tag = "rules",
    responses((status = 200, description = "The entries", body = AllowPage)))]
pub(crate) async fn allowed(State(web): State<Web>, visitor: Visitor) -> Answer<AllowPage> {
    let items = web.inner.options.library.allowed();
    visitor.note.rows(items.len());
    Ok(Json(AllowPage { items }))
}

/// The hunts that come with Klio, and those that were saved.
#[utoipa::path(get, path = "/api/v1/hunts", tag = "hunts",
    responses((status = 200, description = "The hunts", body = HuntPage)))]
pub(crate) async fn hunts(State(web): State<Web>, visitor: Visitor) -> Answer<HuntPage> {
    let items = web.inner.options.library.hunts();
    let by = visitor.by();
    let saved = web.desk().hunts(&by).await.map_err(|e| web.refused(e))?;
    let shown = saved.into_iter().filter(|hunt| visitor.bodies() || is_open(&web, &hunt.filter));
    let saved: Vec<SavedHuntView> = shown.map(|hunt| saved_view(hunt, &by)).collect();
    visitor.note.rows(items.len() + saved.len());
    Ok(Json(HuntPage { items, saved }))
}

/// Whether a question asks nothing of bodies: it tells what its asker looked for in them, and perhaps found.
fn is_open(web: &Web, filter: &str) -> bool {
    let filter = Filter::parse(filter).map(|filter| web.inner.archive.people().resolve(filter));
    filter.is_ok_and(|filter| bodies::check(&filter).is_ok())
}

fn saved_view(hunt: SavedHunt, by: &By) -> SavedHuntView {
    let SavedHunt { id, title, filter, owner, created, .. } = hunt;
    let others = by.principal.may(Right::ManageUsers);
    let removable = by.principal.may(Right::SaveHunts) && (others || owner == by.principal.to_string());
    SavedHuntView { id, title, filter, owner, removable, created }
}

/// Saves a question. Others see it who see at least what the asker sees now, and bodies if it asks about them.
#[utoipa::path(post, path = "/api/v1/hunts", tag = "hunts", request_body = NewHunt,
    responses((status = 201, description = "The hunt", body = SavedHuntView)))]
pub(crate) async fn save(
    State(web): State<Web>,
    visitor: Visitor,
    Given(new): Given<NewHunt>,
) -> Result<(StatusCode, Json<SavedHuntView>), Problem> {
    Filter::parse(&new.filter)?;
    let by = visitor.by();
    let hunt = web.desk().save_hunt(&by, &new.title, &new.filter).await.map_err(|e| web.refused(e))?;
    visitor.note.rows(1);
    Ok((StatusCode::CREATED, Json(saved_view(hunt, &by))))
}

/// Removes a saved question.
#[utoipa::path(delete, path = "/api/v1/hunts/{name}", tag = "hunts", params(("name" = String, Path, description = "Its id")),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn forget(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    web.desk().remove_hunt(&visitor.by(), &id).await.map_err(|e| web.refused(e))?;
    visitor.note.rows(1);
    Ok(StatusCode::NO_CONTENT)
}

/// One hunt.
#[utoipa::path(get, path = "/api/v1/hunts/{name}", tag = "hunts", params(("name" = String, Path)),
    responses((status = 200, description = "The hunt", body = HuntView)))]
pub(crate) async fn hunt(
    State(web): State<Web>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Answer<HuntView> {
    let hunt = web.inner.options.library.hunts().into_iter().find(|hunt| hunt.name == name);
    visitor.note.rows(1);
    hunt.map(Json).ok_or_else(Problem::not_found)
}
