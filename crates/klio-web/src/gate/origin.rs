//! Whether a browser was made to ask by another site (cross-site request forgery; OWASP's cheat sheet on it).
//!
//! Cookies and client certificates are sent by browsers on their own. Such requests must come from Klio's own pages, by what the
//! browser says (`Sec-Fetch-Site`, `Origin`); and those of a session that change something must bring a token that only Klio's
//! own pages can read. API tokens are sent by nobody's browser.

use axum::http::{HeaderMap, Method, header};
use klio_desk::{Desk, Secret};
use url::{Position, Url};

use crate::Problem;
use crate::api::is_local;

/// The header in which a session's requests bring their token.
pub const CSRF_HEADER: &str = "x-csrf-token";

fn other_site() -> Problem {
    Problem::forbidden(
        "the request comes from another site; if a proxy stands between, tell Klio its origins",
    )
}

/// Refuses what another site made a browser send. Programs say neither where they are nor where they come from.
pub(super) fn check(headers: &HeaderMap, method: &Method, origins: &[String]) -> Result<(), Problem> {
    let text = |name: &str| only(headers, name);
    match text("sec-fetch-site") {
        None | Some("same-origin") => {}
        // Typed into the bar, or a bookmark.
        Some("none") if *method == Method::GET => {}
        // A link that somebody followed: what comes is shown to him and not to the site that he comes from. Frames are no documents.
        Some(_)
            if *method == Method::GET
                && text("sec-fetch-mode") == Some("navigate")
                && text("sec-fetch-dest") == Some("document") => {}
        Some(_) => return Err(other_site()),
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else { return Ok(()) };
    if is_own(headers, origin, origins) { Ok(()) } else { Err(other_site()) }
}

/// The only value of a header; `?` if there are several or it is no text.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.to_str().unwrap_or("?"));
    if values.next().is_some() { Some("?") } else { first }
}

/// Whether an origin is where Klio is: one of those that it was told, or the one that was asked.
fn is_own(headers: &HeaderMap, origin: &str, origins: &[String]) -> bool {
    if !origins.is_empty() {
        return origins.iter().any(|own| own.trim_end_matches('/').eq_ignore_ascii_case(origin));
    }
    let host = only(headers, header::HOST.as_str()).unwrap_or_default();
    let asked = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    !host.is_empty() && asked.is_some_and(|asked| asked.eq_ignore_ascii_case(host))
}

/// The address of the page a script of which asks for a part of it (htmx's `HX-Request` and `HX-Current-URL`), without its origin; `/`
/// if it is none of Klio's own. `None` if no such script asks.
pub(super) fn on(headers: &HeaderMap, origins: &[String]) -> Option<String> {
    if only(headers, "hx-request") != Some("true") {
        return None;
    }
    let page = only(headers, "hx-current-url").and_then(|page| Url::parse(page).ok());
    let page = page.filter(|page| is_own(headers, &page.origin().ascii_serialization(), origins));
    let local = page.map(|page| page[Position::BeforePath..Position::AfterQuery].to_owned());
    Some(local.filter(|path| is_local(path)).unwrap_or_else(|| "/".to_owned()))
}

/// Refuses a session's request without its token.
pub(super) fn check_token(desk: &Desk, session: &Secret, headers: &HeaderMap) -> Result<(), Problem> {
    let shown = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if desk.is_csrf(session, shown) {
        Ok(())
    } else {
        Err(Problem::forbidden("the header X-CSRF-Token must bring what /api/v1/whoami says as `csrf`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_sites_make_a_browser_send_is_refused() {
        let check = |pairs: &[(&'static str, &str)], origins: &[String], method: &Method| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            check(&headers, method, origins).is_ok()
        };
        let (post, get) = (&Method::POST, &Method::GET);
        let host = ("host", "klio.example.org");
        assert!(check(&[host], &[], post), "a program");
        assert!(check(&[host, ("origin", "https://klio.example.org")], &[], post));
        assert!(check(
            &[host, ("origin", "https://klio.example.org"), ("sec-fetch-site", "same-origin")],
            &[],
            post
        ));
        assert!(!check(&[host, ("origin", "https://evil.example.org")], &[], post));
        assert!(!check(&[host, ("origin", "null")], &[], post));
        assert!(!check(&[("origin", "https://")], &[], post));
        assert!(!check(&[host, ("sec-fetch-site", "same-site")], &[], post));
        assert!(!check(&[host, ("sec-fetch-site", "none")], &[], post));
        assert!(check(&[host, ("sec-fetch-site", "none")], &[], get));
        assert!(!check(&[host, ("sec-fetch-site", "cross-site")], &[], get));
        let followed = [
            host,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(check(&followed, &[], get) && !check(&followed, &[], post));
        let framed = [
            host,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
        ];
        assert!(!check(&framed, &[], get));
        let own = ["https://klio.example.org/".to_owned()];
        assert!(check(&[("host", "10.0.0.1"), ("origin", "https://klio.example.org")], &own, post));
        assert!(!check(&[("host", "evil"), ("origin", "https://evil")], &own, post));
    }
    #[test]
    fn a_script_says_on_which_of_klios_pages_it_is() {
        let on = |page: &str, origins: &[String]| {
            let mut headers = HeaderMap::new();
            headers.insert("host", "klio.example.org:8443".parse().unwrap());
            headers.insert("hx-request", "true".parse().unwrap());
            headers.insert("hx-current-url", page.parse().unwrap());
            on(&headers, origins).unwrap()
        };
        assert_eq!(on("https://klio.example.org:8443/explore?filter=a%20b#x", &[]), "/explore?filter=a%20b");
        let own = ["https://klio.example.org/".to_owned()];
        assert_eq!(on("https://klio.example.org/integrity", &own), "/integrity");
        for other in [
            "https://evil.example/x",
            "https://klio.example.org:8443//evil.example",
            "/explore",
            "",
            "data:x",
        ] {
            assert_eq!(on(other, &[]), "/", "{other}");
        }
        assert_eq!(super::on(&HeaderMap::new(), &own), None);
    }
}
