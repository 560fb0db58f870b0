//! The one gate of all requests: how fast, who, whether he may; and the one place where accesses are told to the audit.
//!
//! In this order: the address, its pace, the table of routes, the credentials, whether a browser was made to send them by another
//! site, the principal's pace, his rights. Then the handler; then the audit; then the answer.

mod enter;
mod forwarded;
mod origin;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use tracing::Instrument;

use crate::access::{self, Access, AccessOutcome, AccessStage, Who};
use crate::archive::Stop;
use crate::pace::{Pass, place};
use crate::page::{self, Drawn, Screen};
use crate::problem::PROBLEM;
use crate::route::{self, CALLBACK, Entry, Need};
use crate::stream::{self, End, Feed};
use crate::visitor::{Note, Visitor};
use crate::{Problem, Web};

pub use enter::{COOKIE, Identify, Shown, Unidentified, session_cookie};
pub(crate) use enter::{Credential, again, cookie, no_session_cookie, session};
pub use origin::CSRF_HEADER;

/// Who is at the other end of the connection. The server puts it into each request's extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The TCP peer.
    pub address: IpAddr,
    /// The certificate (DER) that the client showed and that was found good.
    pub certificate: Option<Arc<[u8]>>,
}

/// Lets a request pass. It is worked on to its end also if the client goes, so that what was done is told.
pub(crate) async fn gate(State(web): State<Web>, request: Request, next: Next) -> Response {
    let stop = Stop::default();
    let gone = Gone(Some(stop.clone()));
    let passed = tokio::spawn(pass(web, request, next, stop).in_current_span()).await;
    gone.stays();
    passed.unwrap_or_else(|_| secured(broken().into_response(), ""))
}

/// Stops the work for a client that has gone.
struct Gone(Option<Stop>);

impl Gone {
    fn stays(mut self) {
        self.0 = None;
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        if let Some(stop) = &self.0 {
            stop.set();
        }
    }
}

fn broken() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a fault in Klio itself; the server's log says more")
}

fn unrecorded(error: &crate::AuditError) -> Problem {
    tracing::error!(%error, "an access cannot be audited, and so is refused");
    Problem::unavailable("this cannot be audited now, and so is refused")
}

async fn pass(web: Web, request: Request, next: Next, stop: Stop) -> Response {
    let Some(mut access) = arrival(&web, &request) else { return secured(broken().into_response(), "") };
    let id = access.id.clone();
    let note = Arc::new(Note::default());
    let (parts, body) = request.into_parts();
    let screen = Screen::of(&parts);
    let is_page = is_page(&parts);
    let on = origin::on(&parts.headers, &web.inner.options.origins);
    let refused = |problem| page::refused(&screen, problem, on.as_deref());
    let admitted = admit(&web, &parts, &mut access, &note, &stop).await;
    let (entry, visitor) = match admitted {
        Ok(admitted) => admitted,
        Err(Refusal { problem, told, methods }) => {
            let mut answer = if is_page { refused(problem) } else { problem.into_response() };
            if let Ok(methods) = HeaderValue::from_str(&methods.join(", "))
                && !methods.is_empty()
            {
                answer.headers_mut().insert(header::ALLOW, methods);
            }
            if !told {
                return secured(answer, &id);
            }
            return finish(&web, access, &note, &stop, answer).await;
        }
    };
    if entry.changes() {
        access.time = web.now();
        if let Err(error) = web.inner.audit.record(&access).await {
            return secured(unrecorded(&error).into_response(), &id);
        }
    }
    let mut request = Request::from_parts(parts, body);
    match visitor {
        Some(visitor) => drop(request.extensions_mut().insert(visitor)),
        None => {
            request.extensions_mut().insert(Stranger { from: access.address, note: note.clone() });
        }
    }
    let is_known = request.extensions().get::<Visitor>().is_some();
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let answer = answered.unwrap_or_else(|_| broken().into_response());
    let entered = note.who_entered();
    let is_known = is_known || entered.is_some();
    if let Some(principal) = entered {
        access.who = Some(Who::from(&principal));
    }
    let answer = as_problem(answer);
    let answer = match answer.extensions().get::<Problem>() {
        Some(problem) if is_page => refused(problem.clone()),
        _ => answer,
    };
    let mut answer = finish(&web, access, &note, &stop, answer).await;
    if is_known {
        answer.extensions_mut().insert(LetIn);
    }
    answer
}

/// In the extensions of an answer to somebody who is known.
#[derive(Clone, Copy, Debug)]
pub struct LetIn;

/// Somebody who has yet to say who he is.
#[derive(Clone)]
pub(crate) struct Stranger {
    pub(crate) from: Option<IpAddr>,
    pub(crate) note: Arc<Note>,
}

/// What is known when a request comes; `None` if there is no randomness.
fn arrival(web: &Web, request: &Request) -> Option<Access> {
    let now = web.now();
    let query = request.uri().query().unwrap_or_default();
    let is_callback = request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str() == CALLBACK);
    let text = |name| request.headers().get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    Some(Access {
        id: access::new_id()?,
        stage: AccessStage::Received,
        received: now,
        time: now,
        who: None,
        address: None,
        proxy: None,
        agent: text(header::USER_AGENT).unwrap_or_default().chars().take(1024).collect(),
        method: request.method().as_str().chars().take(16).collect(),
        route: None,
        path: request.uri().path().to_owned(),
        query: if is_callback { names_only(query) } else { query.to_owned() },
        verb: "get",
        resource: "unknown",
        name: None,
        status: 0,
        rows: 0,
        bytes: 0,
        outcome: None,
        folded: 0,
        said: None,
    })
}

/// A query without its values.
fn names_only(query: &str) -> String {
    let names = query.split('&').map(|pair| pair.split_once('=').map_or("", |(name, _)| name));
    names.collect::<Vec<_>>().join("&")
}

/// A request that goes no further.
struct Refusal {
    problem: Problem,
    /// Whether the audit is told now; of many that come too fast it is told at intervals.
    told: bool,
    /// What else the route could be asked.
    methods: Box<[&'static str]>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, told: true, methods: Box::default() }
    }
}

fn too_fast(seconds: u64) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests; come again later").again(seconds)
}

/// Whether a pass lets go on; notes what it says for the audit.
fn paced(pass: Pass, access: &mut Access) -> Result<(), Refusal> {
    match pass {
        Pass::Go(folded) => {
            access.folded += folded;
            Ok(())
        }
        Pass::Wait(seconds, told) => {
            access.folded += told.unwrap_or(0);
            Err(Refusal { told: told.is_some(), ..too_fast(seconds).into() })
        }
    }
}

async fn admit(
    web: &Web,
    request: &Parts,
    access: &mut Access,
    note: &Arc<Note>,
    stop: &Stop,
) -> Result<(&'static Entry, Option<Visitor>), Refusal> {
    let Some(peer) = request.extensions.get::<Peer>() else {
        tracing::error!("a request without its peer: the server does not say who is at the other end");
        return Err(broken().into());
    };
    let options = &web.inner.options;
    let from = forwarded::client(peer.address, &request.headers, &options.proxies);
    access.address = Some(from);
    access.proxy = (from != peer.address.to_canonical()).then(|| peer.address.to_canonical());
    paced(web.inner.addresses.take(&place(from), Instant::now()), access)?;

    let pattern = request.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let entry = match route::find(request.method.as_str(), pattern.as_deref()) {
        Ok(entry) => entry,
        Err(methods) if methods.is_empty() => return Err(Problem::not_found().into()),
        Err(methods) => {
            let problem = Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("this can be asked with {}", methods.join(", ")),
            );
            return Err(Refusal { methods: methods.into(), ..problem.into() });
        }
    };
    access.route = Some(entry.path);
    (access.verb, access.resource) = (entry.verb, entry.resource);
    access.name = route::name(entry.path, request.uri.path());

    let headers = &request.headers;
    if entry.need == Need::Open {
        if request.method != Method::GET {
            origin::check(headers, &request.method, &options.origins)?;
        }
        return Ok((entry, None));
    }
    let (principal, credential) = enter::principal(web, headers, peer, from).await?;
    access.who = Some(Who::from(&principal));
    paced(web.inner.principals.take(&principal.to_string(), Instant::now()), access)?;
    if credential.is_ambient() {
        origin::check(headers, &request.method, &options.origins)?;
    }
    if let Credential::Session(secret) = &credential
        && request.method != Method::GET
    {
        origin::check_token(web.desk(), secret, headers)?;
    }
    entry.check(&principal)?;
    Ok((entry, Some(Visitor::new(principal, Some(from), credential, note.clone(), stop.clone()))))
}

/// Whether people look at it in a browser: a page, or an address at which there is nothing.
fn is_page(request: &Parts) -> bool {
    request.extensions.get::<MatchedPath>().is_none_or(|path| route::is_page(path.as_str()))
}

/// Tells the audit, then lets the answer go.
async fn finish(
    web: &Web,
    mut access: Access,
    note: &Arc<Note>,
    stop: &Stop,
    mut answer: Response,
) -> Response {
    let id = access.id.clone();
    // Of a page that says why something was refused, browsers may be told something else.
    let drawn = answer.extensions().get::<Drawn>().map(|Drawn(status)| *status);
    access.status = drawn.unwrap_or_else(|| answer.status()).as_u16();
    access.rows = note.counted();
    access.said = note.said();
    if let Some(entry) = note.asked_also() {
        (access.verb, access.resource) = (entry.verb, entry.resource);
    }
    access.time = web.now();
    let feed = answer.extensions_mut().remove::<Feed>().and_then(|feed| feed.take());
    if let Some(parts) = feed {
        access.stage = AccessStage::Started;
        if let Err(error) = web.inner.audit.record(&access).await {
            stop.set();
            return secured(unrecorded(&error).into_response(), &id);
        }
        let end = End::new(web.clone(), access, note.clone(), stop.clone());
        *answer.body_mut() = stream::body(parts, end);
        return secured(answer, &id);
    }
    access.stage = AccessStage::Complete;
    access.outcome = Some(AccessOutcome::of(access.status));
    access.bytes = axum::body::HttpBody::size_hint(answer.body()).exact().unwrap_or(0);
    match web.inner.audit.record(&access).await {
        Ok(()) => secured(answer, &id),
        Err(error) if access.status < 400 && access.method != "GET" => {
            tracing::error!(%error, "the end of a change cannot be audited");
            let detail = "this was done, but its end cannot be audited; look before you try again";
            secured(Problem::unavailable(detail).into_response(), &id)
        }
        Err(error) => secured(unrecorded(&error).into_response(), &id),
    }
}

/// What libraries refuse in their own words, as a problem.
fn as_problem(answer: Response) -> Response {
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let is_refusal = status.is_client_error() || status.is_server_error();
    let is_drawn = answer.extensions().get::<Drawn>().is_some();
    if !is_refusal || is_drawn || kind.is_some_and(|kind| kind == PROBLEM) {
        return answer;
    }
    let detail = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "the request's body is too large",
        StatusCode::NOT_FOUND => return Problem::not_found().into_response(),
        _ => "the request cannot be understood",
    };
    Problem::new(status, detail).into_response()
}

/// What browsers may do with an answer that is no page.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// What every answer bears (OWASP Secure Headers Project; RFC 9111 for `no-store`).
fn secured(mut answer: Response, id: &str) -> Response {
    const FIXED: [(header::HeaderName, &str); 5] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let headers: &mut HeaderMap = answer.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/html") {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
        // Without any referrer a form's request bears no origin, by which it is known to be Klio's own (Fetch, 3.2).
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    } else {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING));
    }
    if let Ok(id) = HeaderValue::from_str(id)
        && !id.is_empty()
    {
        headers.insert(header::HeaderName::from_static("audit-id"), id);
    }
    answer
}
