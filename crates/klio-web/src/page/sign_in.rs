//! Signing in and out, also without scripts.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use klio_desk::{By, Secret, Via};
use serde::Deserialize;

use super::address::path;
use super::frame::{About, Asked, Frame, Screen, html};
use super::problem::drawn;
use crate::api::is_local;
use crate::gate::{Stranger, no_session_cookie, session, session_cookie};
use crate::input::Fields;
use crate::{Problem, Web};

/// Where somebody wants to be afterwards.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Home {
    return_to: Option<String>,
}

impl Home {
    fn path(self) -> String {
        self.return_to.filter(|path| is_local(path)).unwrap_or_else(|| "/".to_owned())
    }
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    home: String,
    name: String,
    refused: Option<String>,
    /// Names of providers and where they begin.
    providers: Vec<(String, String)>,
}

fn draw(
    web: &Web,
    screen: &Screen,
    home: String,
    name: String,
    refused: Option<String>,
) -> Result<Response, Problem> {
    let names = web.inner.options.providers.as_ref().map(|providers| providers.names()).unwrap_or_default();
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", &home).finish();
    let to = |name: String| {
        let to = format!("{}?{query}", path("/api/v1/sign-in/oidc", &name));
        (name, to)
    };
    let about = About { title: "Sign in".to_owned(), place: "", command: None };
    let frame = Frame::new(screen, about, None, Vec::new());
    html(&SignIn { frame, home, name, refused, providers: names.into_iter().map(to).collect() })
}

pub(crate) async fn page(
    State(web): State<Web>,
    screen: Screen,
    Asked(home): Asked<Home>,
) -> Result<Response, Problem> {
    draw(&web, &screen, home.path(), String::new(), None)
}

pub(crate) async fn enter(
    State(web): State<Web>,
    Extension(stranger): Extension<Stranger>,
    screen: Screen,
    given: Fields,
) -> Result<Response, Problem> {
    let home = Home { return_to: Some(given.get("return_to")) }.path();
    let (name, password) = (given.get("name"), Secret::from(given.get("password")));
    let known = web.desk().password(&name, &password, stranger.from).await;
    let principal = match known {
        Ok(principal) => principal,
        Err(error) => {
            let problem = web.refused(error);
            let said = match problem.status() {
                StatusCode::UNAUTHORIZED => "Name or password is wrong.".to_owned(),
                _ => problem.detail.clone(),
            };
            return Ok(drawn(draw(&web, &screen, home, name, Some(said))?, problem));
        }
    };
    stranger.note.entered(&principal);
    let session = web.desk().begin_session(&principal, stranger.from).await.map_err(|e| web.refused(e))?;
    let cookie = session_cookie(&session, web.now()).ok_or_else(|| Problem::unavailable("no cookie"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, home)], [(header::SET_COOKIE, cookie)]).into_response())
}

/// Ends the session of this browser. That one of Klio's own pages asks for it, the gate has seen to.
pub(crate) async fn leave(
    State(web): State<Web>,
    Extension(stranger): Extension<Stranger>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(secret) = session(&headers)?
        && let Ok(principal) = web.desk().session(&secret).await
        && let Via::Session(id) = principal.via().clone()
    {
        stranger.note.entered(&principal);
        let by = By { principal, from: stranger.from };
        web.desk().end_session(&by, &id).await.map_err(|e| web.refused(e))?;
    }
    let to = [(header::LOCATION, "/sign-in")];
    Ok((StatusCode::SEE_OTHER, to, [(header::SET_COOKIE, no_session_cookie())]).into_response())
}
