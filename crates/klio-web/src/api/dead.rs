//! Dead letters: what was delivered and is no event.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::archive::{ArchiveError, Slice};
use crate::cursor::Thread;
use crate::input::{Asked, limit};
use crate::view::{DeadLetterPage, DeadLetterView, ReplayView};
use crate::visitor::Visitor;
use crate::{Archive, Problem, Sight, Web};

/// Which part of the list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// How many: 1 to 1000, usually 100.
    pub(crate) limit: Option<usize>,
    /// What `next` of the page before said.
    pub(crate) cursor: Option<String>,
}

/// Dead letters, the newest first.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "dead letters", params(Listing),
    responses((status = 200, description = "A page", body = DeadLetterPage)))]
pub(crate) async fn list(
    State(web): State<Web>,
    visitor: Visitor,
    Asked(asked): Asked<Listing>,
) -> Answer<DeadLetterPage> {
    let thread = Thread::new(&visitor.sight, &["dead letters"]);
    let slice =
        Slice { after: thread.position(asked.cursor.as_deref())?, most: limit(asked.limit, 100, 1000)? };
    let page = visitor.ask(&web, move |archive, sight, _| archive.dead_letters(sight, &slice)).await?;
    let mut items = page.items;
    items.retain(|letter| visitor.sight.sees_whole(&letter.cluster));
    for letter in &mut items {
        letter.bytes = None;
    }
    visitor.note.rows(items.len());
    Ok(Json(DeadLetterPage { items, next: page.next.map(|p| thread.cursor(&p)) }))
}

/// A number that is none leads nowhere, as any that does not exist.
fn number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

/// One that the asker sees.
fn seen(archive: &dyn Archive, sight: &Sight, number: u64) -> Result<DeadLetterView, ArchiveError> {
    let letter = archive.dead_letter(sight, number)?;
    if sight.sees_whole(&letter.cluster) { Ok(letter) } else { Err(ArchiveError::NotFound) }
}

/// One dead letter with its bytes, from which no secrets could be removed.
#[utoipa::path(get, path = "/api/v1/dead-letters/{number}", tag = "dead letters", params(("number" = u64, Path)),
    responses((status = 200, description = "The letter", body = DeadLetterView)))]
pub(crate) async fn get(
    State(web): State<Web>,
    visitor: Visitor,
    Path(text): Path<String>,
) -> Answer<DeadLetterView> {
    let number = number(&text)?;
    let letter = visitor.ask(&web, move |archive, sight, _| seen(archive, sight, number)).await?;
    visitor.note.rows(1);
    Ok(Json(letter))
}

/// Reads one anew: what is an event by now is kept, and the letter removed.
#[utoipa::path(post, path = "/api/v1/dead-letters/{number}/replay", tag = "dead letters",
    params(("number" = u64, Path)),
    responses((status = 200, description = "What came of it", body = ReplayView)))]
pub(crate) async fn replay(
    State(web): State<Web>,
    visitor: Visitor,
    Path(text): Path<String>,
) -> Answer<ReplayView> {
    let number = number(&text)?;
    let ask = move |archive: &dyn Archive, sight: &Sight, _: &_| {
        seen(archive, sight, number)?;
        archive.replay_dead_letter(sight, number)
    };
    let replayed = visitor.ask(&web, ask).await?;
    visitor.note.rows(1);
    Ok(Json(replayed))
}

/// Removes one for ever.
#[utoipa::path(delete, path = "/api/v1/dead-letters/{number}", tag = "dead letters", params(("number" = u64, Path)),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn remove(
    State(web): State<Web>,
    visitor: Visitor,
    Path(text): Path<String>,
) -> Result<StatusCode, Problem> {
    let number = number(&text)?;
    let ask = move |archive: &dyn Archive, sight: &Sight, _: &_| {
        seen(archive, sight, number)?;
        archive.remove_dead_letter(sight, number)
    };
    visitor.ask(&web, ask).await?;
    visitor.note.rows(1);
    Ok(StatusCode::NO_CONTENT)
}
