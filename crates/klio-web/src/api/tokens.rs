//! What programs sign in with.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use klio_desk::{ExposeSecret as _, TokenOrder};
use klio_model::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Answer;
use super::users::{role, scope};
use crate::input::Given;
use crate::view::{NewTokenView, TokenPage};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// One's own tokens, or those that one may manage; the newest first.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "people", responses((status = 200, description = "The tokens", body = TokenPage)))]
pub(crate) async fn list(State(web): State<Web>, visitor: Visitor) -> Answer<TokenPage> {
    let tokens = web.desk().tokens(&visitor.by()).await.map_err(|e| web.refused(e))?;
    visitor.note.rows(tokens.len());
    Ok(Json(TokenPage { items: tokens.into_iter().map(Into::into).collect() }))
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    /// What it is for.
    name: String,
    /// Whose it is; one's own without it.
    owner: Option<String>,
    /// The most it is trusted with; as much as the owner without it.
    role: Option<String>,
    /// The most it sees; as much as the owner without it.
    scope: Option<String>,
    /// From when on it is refused, RFC 3339; never without it.
    #[schema(format = DateTime)]
    expires: Option<String>,
}

/// Makes a token. Its secret is in the answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "people", request_body = Create,
    responses((status = 201, description = "The token", body = NewTokenView)))]
pub(crate) async fn create(
    State(web): State<Web>,
    visitor: Visitor,
    Given(asked): Given<Create>,
) -> Result<(StatusCode, Json<NewTokenView>), Problem> {
    let expires = asked.expires.map(|text| {
        Timestamp::parse(&text)
            .ok_or_else(|| Problem::bad("`expires` is no time: write 2026-11-21T10:00:00Z"))
    });
    let order = TokenOrder {
        name: asked.name,
        owner: asked.owner,
        role: asked.role.as_deref().map(role).transpose()?,
        scope: asked.scope.as_deref().map(scope).transpose()?,
        expires: expires.transpose()?,
    };
    let new = web.desk().create_token(&visitor.by(), order).await.map_err(|e| web.refused(e))?;
    visitor.note.rows(1);
    let view = NewTokenView { secret: new.secret.expose_secret().to_owned(), token: new.token.into() };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Revokes a token, from its next use on.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "people", params(("id" = String, Path)),
    responses((status = 204, description = "Revoked")))]
pub(crate) async fn revoke(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    web.desk().revoke_token(&visitor.by(), &id).await.map_err(|e| web.refused(e))?;
    visitor.note.rows(1);
    Ok(StatusCode::NO_CONTENT)
}
