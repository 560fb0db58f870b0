//! Signing in and out, and one's own account.

use axum::Extension;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use klio_desk::{ExposeSecret as _, Secret, Via};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::gate::{Stranger, no_session_cookie, session_cookie};
use crate::input::{Asked, Given};
use crate::view::{Entered, SessionPage, WhoView};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// A name and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// Whose account.
    name: String,
    /// His password.
    password: String,
}

/// Signs in: the session's secret is set as a cookie, and the answer says what changes must bring in `X-CSRF-Token`.
#[utoipa::path(post, path = "/api/v1/session", tag = "account", request_body = SignIn,
    responses((status = 200, description = "Who it is", body = Entered)))]
pub(crate) async fn sign_in(
    State(web): State<Web>,
    Extension(stranger): Extension<Stranger>,
    Given(SignIn { name, password }): Given<SignIn>,
) -> Result<Response, Problem> {
    let password = Secret::from(password);
    let desk = web.desk();
    let principal = desk.password(&name, &password, stranger.from).await.map_err(|e| web.refused(e))?;
    stranger.note.entered(&principal);
    let session = desk.begin_session(&principal, stranger.from).await.map_err(|e| web.refused(e))?;
    let cookie = session_cookie(&session, web.now()).ok_or_else(|| Problem::unavailable("no cookie"))?;
    let csrf = session.csrf.expose_secret().to_owned();
    let entered = Entered { who: WhoView::of(&principal, Some(csrf)), ends: session.ends };
    Ok(([(header::SET_COOKIE, cookie)], Json(entered)).into_response())
}

/// Signs out: ends the session of this request.
#[utoipa::path(delete, path = "/api/v1/session", tag = "account", responses((status = 204, description = "Signed out")))]
pub(crate) async fn sign_out(State(web): State<Web>, visitor: Visitor) -> Result<Response, Problem> {
    let Via::Session(id) = visitor.principal.via() else {
        return Err(Problem::bad("there is no session to end: you showed no cookie"));
    };
    web.desk().end_session(&visitor.by(), id).await.map_err(|e| web.refused(e))?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, no_session_cookie())]).into_response())
}

/// Who the server takes the asker for, and what he may do.
#[utoipa::path(get, path = "/api/v1/whoami", tag = "account", responses((status = 200, description = "Who", body = WhoView)))]
pub(crate) async fn whoami(State(web): State<Web>, visitor: Visitor) -> Answer<WhoView> {
    let csrf = visitor.session().map(|session| web.desk().csrf(session).expose_secret().to_owned());
    visitor.note.rows(1);
    Ok(Json(WhoView::of(&visitor.principal, csrf)))
}

/// The old and the new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    /// The one that is.
    current: String,
    /// The one that will be.
    new: String,
}

/// Changes one's own password and ends all of one's sessions.
#[utoipa::path(put, path = "/api/v1/password", tag = "account", request_body = NewPassword,
    responses((status = 204, description = "Changed; sign in anew")))]
pub(crate) async fn change_password(
    State(web): State<Web>,
    visitor: Visitor,
    Given(NewPassword { current, new }): Given<NewPassword>,
) -> Result<Response, Problem> {
    let (current, new) = (Secret::from(current), Secret::from(new));
    let changed = web.desk().change_password(&visitor.by(), &current, &new).await;
    changed.map_err(|e| match e {
        // He is known; it is the password that is wrong.
        klio_desk::DeskError::Denied => Problem::forbidden("the current password is wrong"),
        other => web.refused(other),
    })?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, no_session_cookie())]).into_response())
}

/// One's own sessions, or those that one may end; the newest first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "account",
    responses((status = 200, description = "The sessions", body = SessionPage)))]
pub(crate) async fn list(State(web): State<Web>, visitor: Visitor) -> Answer<SessionPage> {
    let sessions = web.desk().sessions(&visitor.by()).await.map_err(|e| web.refused(e))?;
    visitor.note.rows(sessions.len());
    Ok(Json(SessionPage { items: sessions.into_iter().map(Into::into).collect() }))
}

/// Whose sessions.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// As `who` of a session says; one's own without it.
    who: Option<String>,
}

/// Ends all sessions of somebody.
#[utoipa::path(delete, path = "/api/v1/sessions", tag = "account", params(Whose),
    responses((status = 204, description = "Ended")))]
pub(crate) async fn end_all(
    State(web): State<Web>,
    visitor: Visitor,
    Asked(whose): Asked<Whose>,
) -> Result<StatusCode, Problem> {
    let who = whose.who.unwrap_or_else(|| visitor.principal.to_string());
    let ended = web.desk().end_sessions(&visitor.by(), &who).await.map_err(|e| web.refused(e))?;
    visitor.note.rows(ended);
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one session.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "account", params(("id" = String, Path)),
    responses((status = 204, description = "Ended")))]
pub(crate) async fn end(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    web.desk().end_session(&visitor.by(), &id).await.map_err(|e| web.refused(e))?;
    visitor.note.rows(1);
    Ok(StatusCode::NO_CONTENT)
}
