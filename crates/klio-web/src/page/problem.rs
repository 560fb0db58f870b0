//! Refusals, for people.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded::Serializer;

use super::frame::{About, Frame, Screen, html};
use crate::Problem;

#[derive(Template)]
#[template(path = "problem.html")]
struct Refused {
    frame: Frame,
    problem: Problem,
}

#[derive(Template)]
#[template(path = "again.html")]
struct Again {
    here: String,
}

/// In the extensions of an answer that says in its own way that something was refused: the status that the audit is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn(pub(crate) StatusCode);

/// A page with the status of a refusal, and what else its answer says.
pub(crate) fn drawn(page: Response, problem: Problem) -> Response {
    let status = problem.status();
    let mut answer = problem.into_response();
    answer.extensions_mut().remove::<Problem>();
    answer.extensions_mut().insert(Drawn(status));
    let (page, body) = page.into_parts();
    answer.headers_mut().extend(page.headers);
    *answer.body_mut() = body;
    answer
}

/// A refusal as a page; who is not signed in is sent to where he can. `on` is the page a script of which asked.
pub(crate) fn page(screen: &Screen, problem: Problem, on: Option<&str>) -> Response {
    if screen.wants_json() {
        return problem.into_response();
    }
    if problem.status() == StatusCode::UNAUTHORIZED {
        return stranger(screen, problem, on);
    }
    let about = About { title: problem.title.to_owned(), place: "", command: None };
    let frame = Frame::new(screen, about, None, Vec::new());
    match html(&Refused { frame, problem: problem.clone() }) {
        Ok(page) => drawn(page, problem),
        Err(_) => problem.into_response(),
    }
}

/// What somebody gets who has yet to sign in.
fn stranger(screen: &Screen, problem: Problem, on: Option<&str>) -> Response {
    let status = problem.status();
    let sign_in = |home: &str| {
        let query = Serializer::new(String::new()).append_pair("return_to", home).finish();
        format!("/sign-in?{query}")
    };
    if let Some(on) = on {
        // A script would look in the page for signing in for the part that it wanted.
        let to = if screen.is_followed() { screen.again() } else { on.to_owned() };
        let mut answer = problem.into_response();
        if let Ok(to) = sign_in(&to).parse() {
            answer.headers_mut().insert("hx-redirect", to);
        }
        return answer;
    }
    let mut answer = if screen.is_led() {
        // Asked by a page of Klio's own, the browser shows the session, if there is one.
        html(&Again { here: screen.again() }).unwrap_or_else(|_| problem.into_response())
    } else {
        (StatusCode::SEE_OTHER, [(header::LOCATION, sign_in(&screen.again()))]).into_response()
    };
    answer.extensions_mut().insert(Drawn(status));
    answer
}
