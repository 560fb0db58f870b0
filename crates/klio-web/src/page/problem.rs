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

/// A refusal as a page; who is not signed in is sent to where he can.
pub(crate) fn page(screen: &Screen, problem: Problem) -> Response {
    if screen.wants_json() {
        return problem.into_response();
    }
    if problem.status() == StatusCode::UNAUTHORIZED && screen.is_led() {
        // Asked by a page of Klio's own, the browser shows the session, if there is one.
        return html(&Again { here: screen.here() }).unwrap_or_else(|_| problem.into_response());
    }
    if problem.status() == StatusCode::UNAUTHORIZED {
        let query = Serializer::new(String::new()).append_pair("return_to", &screen.here()).finish();
        let to = format!("/sign-in?{query}");
        return (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
    }
    let about = About { title: problem.title.to_owned(), place: "", command: None };
    let frame = Frame::new(screen, about, None, Vec::new());
    let status = problem.status();
    match html(&Refused { frame, problem: problem.clone() }) {
        Ok(mut page) => {
            *page.status_mut() = status;
            page
        }
        Err(_) => problem.into_response(),
    }
}
