//! Rules, and how often each fired.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::input::{Asked, range};
use crate::view::{RuleHits, RulePage, RuleView};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// Which hits count.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct During {
    /// Hits not before: a time as RFC 3339 or its beginning, `now`, or `now-3h` (s, m, h, d, w).
    from: Option<String>,
    /// Hits before this time.
    to: Option<String>,
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
    let rules = (web.inner.options.rules)();
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
    let about = (web.inner.options.rules)().into_iter().find(|about| about.id == id);
    let about = about.ok_or_else(Problem::not_found)?;
    let hits = hits(&web, &visitor, &during).await?;
    visitor.note.rows(1);
    Ok(Json(RuleView::of(&about, hits.iter().find(|h| h.rule == id))))
}
