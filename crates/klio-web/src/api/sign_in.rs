//! Signing in at the page of somebody else: OpenID Connect, authorization code with PKCE.

use std::time::Instant;

use axum::Extension;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::gate::{Stranger, cookie, session_cookie};
use crate::input::Asked;
use crate::journey::{Back, GOOD, Leave, Providers};
use crate::pace::place;
use crate::view::{WayView, WaysView};
use crate::{Problem, Unidentified, Web};

/// Bound to this browser until it comes back. `Lax`, since it comes back from another site.
const COOKIE: &str = "__Host-klio-sign-in";
/// Longest path to which somebody comes back.
const HOME: usize = 1024;

/// How one may sign in.
#[utoipa::path(get, path = "/api/v1/sign-in", tag = "account", responses((status = 200, description = "The ways", body = WaysView)))]
pub(crate) async fn ways(
    State(web): State<Web>,
    Extension(stranger): Extension<Stranger>,
) -> Answer<WaysView> {
    let items = ways_of(&web);
    stranger.note.rows(items.len());
    Ok(Json(WaysView { items }))
}

/// The ways to sign in, the password first.
pub(crate) fn ways_of(web: &Web) -> Vec<WayView> {
    let password = WayView { kind: "password", name: None, url: "/api/v1/session".to_owned() };
    let names = web.inner.options.providers.as_ref().map(|providers| providers.names()).unwrap_or_default();
    let oidc = names.into_iter().map(|name| {
        let url = format!("/api/v1/sign-in/oidc/{name}");
        WayView { kind: "oidc", name: Some(name), url }
    });
    [password].into_iter().chain(oidc).collect()
}

/// Where somebody wants to be afterwards.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Home {
    /// A path of this server, `/` unless given.
    return_to: Option<String>,
}

/// Sends the browser to the provider's page.
#[utoipa::path(get, path = "/api/v1/sign-in/oidc/{name}", tag = "account", params(("name" = String, Path), Home),
    responses((status = 303, description = "To the provider, with a cookie for the way back")))]
pub(crate) async fn leave(
    State(web): State<Web>,
    Extension(stranger): Extension<Stranger>,
    Path(name): Path<String>,
    Asked(Home { return_to }): Asked<Home>,
) -> Result<Response, Problem> {
    let home = return_to.unwrap_or_else(|| "/".to_owned());
    if !is_local(&home) {
        return Err(Problem::bad("return_to is a path of this server, such as /events?filter=verb:get"));
    }
    let (providers, redirect) = to(&web, &name)?;
    let ticket = web
        .inner
        .journeys
        .leave(&name, stranger.from.map(place), home, Instant::now())
        .ok_or_else(|| Problem::unavailable("there is no randomness"))?;
    let leave = Leave {
        state: &ticket.state,
        nonce: &ticket.nonce,
        challenge: &ticket.challenge,
        redirect: &redirect,
    };
    let url = providers.leave(&name, leave).await.map_err(|e| told(&name, &e))?;
    let seconds = GOOD.as_secs();
    let kept =
        format!("{COOKIE}={}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax", ticket.browser);
    let mut kept = HeaderValue::from_str(&kept).map_err(|_| Problem::unavailable("no cookie"))?;
    kept.set_sensitive(true);
    let url = HeaderValue::from_str(&url).map_err(|_| Problem::unavailable("the provider has no address"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, url), (header::SET_COOKIE, kept)]).into_response())
}

/// What the provider put into the address. It may say more, which is passed over (RFC 6749, 4.1.2).
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Brought {
    /// What the browser took along.
    state: Option<String>,
    /// For which the provider gives an ID token.
    code: Option<String>,
    /// Who sent the browser.
    iss: Option<String>,
    /// Why the provider refused.
    error: Option<String>,
}

/// Where the provider sends the browser back: begins a session.
#[utoipa::path(get, path = "/api/v1/sign-in/oidc/{name}/callback", tag = "account", params(("name" = String, Path), Brought),
    responses((status = 303, description = "To where it was to return, with the cookie of the session")))]
pub(crate) async fn back(
    State(web): State<Web>,
    Extension(stranger): Extension<Stranger>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Asked(brought): Asked<Brought>,
) -> Result<Response, Problem> {
    let (providers, redirect) = to(&web, &name)?;
    let stray = || {
        Problem::bad(
            "this sign-in did not begin in this browser, was ended already, or took more than ten minutes",
        )
        .help(format!("begin anew at /api/v1/sign-in/oidc/{name}"))
    };
    let browser = cookie(&headers, COOKIE).ok().flatten().ok_or_else(stray)?;
    let state = brought.state.as_deref().ok_or_else(stray)?;
    let journey = web.inner.journeys.back(&name, state, browser, Instant::now()).map_err(|_| stray())?;
    if let Some(error) = &brought.error {
        let error: String = error.chars().filter(char::is_ascii_graphic).take(100).collect();
        tracing::info!(provider = name, %error, "a provider let somebody not in");
        return Err(Problem::who_are_you("the provider did not let you in").help(format!("it said {error}")));
    }
    let code = brought.code.as_deref().ok_or_else(stray)?;
    let back = Back {
        code,
        issuer: brought.iss.as_deref(),
        nonce: &journey.nonce,
        verifier: &journey.verifier,
        redirect: &redirect,
    };
    let identity = providers.back(&name, back).await.map_err(|e| told(&name, &e))?;
    let principal = web.desk().identity(&identity, stranger.from).await.map_err(|e| match e {
        klio_desk::DeskError::Denied => Problem::forbidden("the provider knows you, but no rule lets you in")
            .help("an administrator adds one to sign_in.mapping"),
        other => web.refused(other),
    })?;
    stranger.note.entered(&principal);
    let session = web.desk().begin_session(&principal, stranger.from).await.map_err(|e| web.refused(e))?;
    let cookie = session_cookie(&session, web.now()).ok_or_else(|| Problem::unavailable("no cookie"))?;
    let home = HeaderValue::from_str(&journey.home).map_err(|_| stray())?;
    let none =
        HeaderValue::from_static("__Host-klio-sign-in=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
    let cookies = AppendHeaders([(header::SET_COOKIE, cookie), (header::SET_COOKIE, none)]);
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, home)], cookies).into_response())
}

/// The providers, and where this one sends people back.
fn to<'w>(web: &'w Web, name: &str) -> Result<(&'w dyn Providers, String), Problem> {
    let options = &web.inner.options;
    let providers = options.providers.as_deref().ok_or_else(Problem::not_found)?;
    if !providers.names().iter().any(|own| own == name) {
        return Err(Problem::not_found());
    }
    let origin = options.origins.first().ok_or_else(|| {
        tracing::error!(
            "nobody can sign in at a provider: server.url does not say where it sends people back"
        );
        Problem::unavailable("the server does not know its own address; its log says more")
    })?;
    Ok((providers, format!("{}/api/v1/sign-in/oidc/{name}/callback", origin.trim_end_matches('/'))))
}

fn told(provider: &str, error: &Unidentified) -> Problem {
    match error {
        Unidentified::Refused(why) => {
            tracing::info!(provider, %why, "somebody who came back from a provider was not let in");
            Problem::who_are_you("what the provider sent is not good; the server's log says why")
                .help(format!("begin anew at /api/v1/sign-in/oidc/{provider}"))
        }
        Unidentified::Unavailable(why) => {
            tracing::warn!(provider, %why, "a provider cannot be asked");
            Problem::unavailable("the provider cannot be asked now; the server's log says why")
        }
    }
}

/// Whether a browser that is sent there stays here. It would drop tabs and line ends, and read `\` as `/` (WHATWG URL, 4.4).
pub(crate) fn is_local(path: &str) -> bool {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    path.len() <= HOME && is_plain && path.starts_with('/') && !path.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for local in ["/", "/events?filter=verb:get#x", "/a//b", "/%2f%2fevil.example"] {
            assert!(is_local(local), "{local}");
        }
        let long = format!("/{}", "a".repeat(HOME));
        for other in [
            "",
            "events",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " /",
            "javascript:alert(1)",
            "/é",
            long.as_str(),
        ] {
            assert!(!is_local(other), "{other:?}");
        }
    }
}
