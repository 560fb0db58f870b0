//! The state of the seal.

use axum::Json;
use axum::extract::State;

use super::Answer;
use crate::view::IntegrityView;
use crate::visitor::Visitor;
use crate::{Sight, Web};

/// How much the log grows tells how much all clusters do, and what does not fit names what of all of them.
fn cut_to(sight: &Sight, mut state: IntegrityView) -> IntegrityView {
    if !sight.is_all() {
        state.log_size = None;
        state.checkpoint = None;
    }
    if !(sight.is_all() && sight.sees_audit())
        && let Some(last) = &mut state.last
    {
        last.problems.clear();
    }
    state
}

/// The signed log and the last verification.
#[utoipa::path(get, path = "/api/v1/integrity", tag = "integrity",
    responses((status = 200, description = "The state", body = IntegrityView)))]
pub(crate) async fn get(State(web): State<Web>, visitor: Visitor) -> Answer<IntegrityView> {
    let state = visitor.ask(&web, |archive, sight, _| archive.integrity(sight)).await?;
    visitor.note.rows(1);
    Ok(Json(cut_to(&visitor.sight, state)))
}

/// Begins to verify everything, unless that is under way; `GET /api/v1/integrity` says when it has ended.
#[utoipa::path(post, path = "/api/v1/integrity/verify", tag = "integrity",
    responses((status = 200, description = "The state", body = IntegrityView)))]
pub(crate) async fn verify(State(web): State<Web>, visitor: Visitor) -> Answer<IntegrityView> {
    let state = visitor.ask(&web, |archive, sight, _| archive.verify(sight)).await?;
    visitor.note.rows(1);
    Ok(Json(cut_to(&visitor.sight, state)))
}
