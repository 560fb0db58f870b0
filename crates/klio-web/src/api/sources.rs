//! Where events come from, and whether they do.

use axum::Json;
use axum::extract::State;

use super::Answer;
use crate::Web;
use crate::view::SourcePage;
use crate::visitor::Visitor;

/// The sources of the clusters that the asker sees as a whole.
#[utoipa::path(get, path = "/api/v1/sources", tag = "sources",
    responses((status = 200, description = "The sources", body = SourcePage)))]
pub(crate) async fn list(State(web): State<Web>, visitor: Visitor) -> Answer<SourcePage> {
    let mut items = visitor.ask(&web, |archive, sight, _| archive.sources(sight)).await?;
    // What a cluster as a whole does is not for those who see a part of it.
    items.retain(|source| visitor.sight.sees_whole(&source.cluster));
    items.sort_by(|a, b| (&a.cluster, &a.source).cmp(&(&b.cluster, &b.source)));
    visitor.note.rows(items.len());
    Ok(Json(SourcePage { items }))
}
