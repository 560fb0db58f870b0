//! What all pages have in common: who looks, where one can go, the address, and the command that says the same.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::{Html, IntoResponse, Response};
use klio_desk::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::asset;
use crate::gate::cookie;
use crate::route;
use crate::view::WhoView;
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// The cookie with the colours that somebody chose. It holds nothing else, and scripts write it.
const THEME: &str = "klio-theme";
/// The same for how close lines of tables are.
const DENSITY: &str = "klio-density";
/// In a query: the answer is wanted as JSON.
const AS_JSON: &str = "as=json";

/// A request for a page.
pub(crate) struct Screen {
    path: String,
    query: String,
    /// Whether its address is one to come back to.
    get: bool,
    theme: &'static str,
    density: &'static str,
    json: bool,
    /// The id of the element that is to be replaced, if it is not the whole page (htmx's `HX-Target`).
    part: Option<String>,
    /// Another site led here (`Sec-Fetch-Site`).
    led: bool,
    /// A page of Klio's own led here.
    own: bool,
    /// A script follows a link or a form to this address (htmx's `HX-Boosted`).
    followed: bool,
}

impl Screen {
    /// Of a request that may have been refused.
    pub(crate) fn of(parts: &Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let others: Vec<&str> =
            query.split('&').filter(|pair| *pair != AS_JSON && !pair.is_empty()).collect();
        let theme = match cookie(&parts.headers, THEME).ok().flatten() {
            Some("dark") => "dark",
            Some("light") => "light",
            _ => "auto",
        };
        let density = match cookie(&parts.headers, DENSITY).ok().flatten() {
            Some("close") => "close",
            _ => "usual",
        };
        let site = parts.headers.get("sec-fetch-site");
        Self {
            path: parts.uri.path().to_owned(),
            get: parts.method == Method::GET,
            json: query.split('&').any(|pair| pair == AS_JSON) || takes_json(&parts.headers),
            query: others.join("&"),
            theme,
            density,
            led: site.is_some_and(|site| site == "cross-site" || site == "same-site"),
            own: site.is_some_and(|site| site == "same-origin"),
            followed: parts.headers.get("hx-boosted").is_some_and(|value| value == "true"),
            part: parts.headers.get("hx-target").and_then(|id| id.to_str().ok()).map(str::to_owned),
        }
    }

    /// The address without what it is wanted as.
    pub(crate) fn here(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// The address to come back to.
    pub(crate) fn again(&self) -> String {
        if self.get { self.here() } else { "/".to_owned() }
    }

    /// Whether a script follows a link or a form to this address, and does not look for a part of the page where it is.
    pub(crate) fn is_followed(&self) -> bool {
        self.followed
    }

    /// Whether another site led here: browsers keep the session's cookie back then (`SameSite=Strict`).
    pub(crate) fn is_led(&self) -> bool {
        self.led
    }

    /// Whether a page of Klio's own led here, as the browser says.
    pub(crate) fn is_own(&self) -> bool {
        self.own
    }

    /// Whether nothing but the element with this id is wanted.
    pub(crate) fn wants_only(&self, id: &str) -> bool {
        !self.json && self.part.as_deref() == Some(id)
    }

    pub(crate) fn wants_json(&self) -> bool {
        self.json
    }

    /// The answer: the view as JSON, or drawn.
    pub(crate) fn show<V: Serialize, T: Template>(
        self,
        web: &Web,
        visitor: &Visitor,
        about: About,
        view: V,
        draw: impl FnOnce(Frame, V) -> T,
    ) -> Result<Response, Problem> {
        if self.json {
            return Ok(axum::Json(view).into_response());
        }
        let csrf = visitor.session().map(|session| web.desk().csrf(session).expose_secret().to_owned());
        let who = WhoView::of(&visitor.principal, csrf);
        let places = PLACES.iter().map(|place| Link::of(place, &about, visitor)).collect();
        let frame = Frame::new(&self, about, Some(who), places);
        html(&draw(frame, view))
    }
}

impl<S: Sync> FromRequestParts<S> for Screen {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts))
    }
}

/// A page's query, with names that are known; what it is wanted as is [`Screen`]'s.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let uri = Screen::of(parts).here().parse().map_err(|_| Problem::bad("the address is none"))?;
        let query = axum::extract::Query::<T>::try_from_uri(&uri);
        query.map(|query| Self(query.0)).map_err(|e| Problem::bad(e.body_text()))
    }
}

/// Nothing may stand in the query.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Whether somebody asks for JSON and not for a page.
fn takes_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/html")
}

/// A template, drawn.
pub(crate) fn html(template: &impl Template) -> Result<Response, Problem> {
    let text = template.render().map_err(|error| {
        tracing::error!(%error, "a page cannot be drawn");
        Problem::unavailable("the page cannot be drawn; the server's log says why")
    })?;
    Ok(Html(text).into_response())
}

/// What a page is about.
pub(crate) struct About {
    /// In the window's title and as heading.
    pub(crate) title: String,
    /// The path of the place in the navigation to which it belongs.
    pub(crate) place: &'static str,
    /// The command that says the same in a terminal.
    pub(crate) command: Option<String>,
}

/// A place in the navigation.
struct Place {
    group: &'static str,
    name: &'static str,
    path: &'static str,
    /// With `g`, the key that leads there.
    key: char,
}

const fn place(group: &'static str, name: &'static str, path: &'static str, key: char) -> Place {
    Place { group, name, path, key }
}

/// Where one can go.
const PLACES: &[Place] = &[
    place("", "Overview", "/", 'o'),
    place("", "Incidents", "/incidents", 'a'),
    place("", "Explore", "/explore", 'e'),
    place("", "Live tail", "/tail", 'l'),
    place("Judgement", "Detections", "/detections", 'd'),
    place("Judgement", "Hunts", "/hunts", 'h'),
    place("Running it", "Sources", "/sources", 's'),
    place("Running it", "Trends", "/trends", 't'),
    place("Running it", "Integrity", "/integrity", 'v'),
    place("Running it", "Our own audit", "/own-audit", 'u'),
    place("Running it", "Settings", "/settings", ','),
];

/// A place as somebody sees it.
pub(crate) struct Link {
    /// Set on the first of a group.
    pub(crate) group: Option<&'static str>,
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) key: char,
    pub(crate) current: bool,
    /// Why he may not go there.
    pub(crate) reason: Option<String>,
}

impl Link {
    fn of(place: &Place, about: &About, visitor: &Visitor) -> Self {
        let first = PLACES.iter().find(|other| other.group == place.group);
        Self {
            group: (first.is_some_and(|first| first.path == place.path) && !place.group.is_empty())
                .then_some(place.group),
            name: place.name,
            path: place.path,
            key: place.key,
            current: about.place == place.path,
            reason: route::why_not(visitor, "GET", place.path),
        }
    }
}

/// What stands around every page.
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) theme: &'static str,
    pub(crate) density: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) who: Option<WhoView>,
    pub(crate) places: Vec<Link>,
    pub(crate) command: Option<String>,
    /// The address of the same as JSON.
    pub(crate) twin: String,
}

impl Frame {
    pub(crate) fn new(screen: &Screen, about: About, who: Option<WhoView>, places: Vec<Link>) -> Self {
        let here = screen.here();
        let joint = if here.contains('?') { '&' } else { '?' };
        Self {
            title: about.title,
            theme: screen.theme,
            density: screen.density,
            tag: asset::TAG,
            who,
            places,
            command: about.command,
            twin: format!("{here}{joint}{AS_JSON}"),
        }
    }

    /// What requests that change something must bring.
    pub(crate) fn csrf(&self) -> &str {
        self.who.as_ref().and_then(|who| who.csrf.as_deref()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_a_page_with_a_key_of_its_own() {
        let mut keys: Vec<char> = PLACES.iter().map(|place| place.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), PLACES.len());
        for place in PLACES {
            assert!(route::find("GET", Some(place.path)).is_ok(), "{}", place.path);
        }
    }
}
