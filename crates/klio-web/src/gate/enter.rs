//! Who asks: by an API token, a session, or what others vouch for.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, header};
use klio_desk::{DeskError, ExposeSecret as _, Identity, NewSession, Principal, Secret};

use super::Peer;
use crate::{Problem, Web};

/// The cookie of a session. Browsers take a name that begins so only with `Secure`, `Path=/` and without `Domain` (RFC 6265bis,
/// 4.1.3.2).
pub const COOKIE: &str = "__Host-klio";
/// Somebody for whom others vouch is told to the desk again after this time.
const KNOWN: Duration = Duration::from_mins(5);
/// So many of them are remembered.
const MOST_KNOWN: usize = 4096;
/// For how long who was refused is refused again without asking: each asking is an entry of the ledger.
const REFUSED: Duration = Duration::from_secs(10);

/// What somebody shows that is neither Klio's own token nor its session.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'s> {
    /// A bearer token: of an OpenID Connect provider, or of a Kubernetes service account.
    Bearer(&'s str),
    /// A client certificate (DER) that the server found good.
    Certificate(&'s [u8]),
}

/// Nobody vouches.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unidentified {
    /// It is not good; said to the log.
    #[error("{0}")]
    Refused(String),
    /// It cannot be found out now; said to the log.
    #[error("{0}")]
    Unavailable(String),
}

/// Says who somebody is who shows what others gave him. What he may do, the desk's mapping says.
#[async_trait]
pub trait Identify: Send + Sync {
    /// Who it is, verified: signature, audience, expiry, chain; `None` if this is nothing that it knows of.
    async fn identify(&self, shown: Shown<'_>) -> Result<Option<Identity>, Unidentified>;
}

/// What somebody showed, to be asked again while a long answer runs.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    Token(Secret),
    Session(Secret),
    Bearer,
    Certificate,
}

impl Credential {
    /// Whether a browser sends it on its own.
    pub(crate) fn is_ambient(&self) -> bool {
        matches!(self, Self::Session(_) | Self::Certificate)
    }
}

/// The `Set-Cookie` of a session that was begun.
pub fn session_cookie(session: &NewSession, now: klio_model::Timestamp) -> Option<HeaderValue> {
    let seconds = (session.ends.micros() - now.micros()).max(0) / 1_000_000;
    let secret = session.secret.expose_secret();
    let text = format!("{COOKIE}={secret}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The `Set-Cookie` that removes it.
pub(crate) fn no_session_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-klio=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict")
}

/// Who asks. A header `Authorization` counts alone; then the cookie; then the certificate.
pub(super) async fn principal(
    web: &Web,
    headers: &HeaderMap,
    peer: &Peer,
    from: IpAddr,
) -> Result<(Principal, Credential), Problem> {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    if let Some(value) = shown.next() {
        let bearer = value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let Some(bearer) = bearer.filter(|_| shown.next().is_none()) else {
            return Err(Problem::who_are_you("show an API token: Authorization: Bearer klio_…"));
        };
        if bearer.starts_with("klio_") {
            let token = Secret::from(bearer.to_owned());
            let principal = web.desk().token(&token, Some(from)).await.map_err(|e| web.refused(e))?;
            return Ok((principal, Credential::Token(token)));
        }
        return Ok((outside(web, Shown::Bearer(bearer), from).await?, Credential::Bearer));
    }
    if let Some(secret) = session(headers)? {
        let principal = web.desk().session(&secret).await.map_err(|e| web.refused(e))?;
        return Ok((principal, Credential::Session(secret)));
    }
    if let Some(certificate) = &peer.certificate {
        return Ok((outside(web, Shown::Certificate(certificate), from).await?, Credential::Certificate));
    }
    Err(Problem::who_are_you("sign in, or show an API token: Authorization: Bearer klio_…"))
}

/// Who somebody is now who showed a credential a while ago.
pub(crate) async fn again(
    web: &Web,
    credential: &Credential,
    from: Option<IpAddr>,
) -> Option<Result<Principal, Problem>> {
    let principal = match credential {
        Credential::Token(token) => web.desk().token(token, from).await,
        Credential::Session(session) => web.desk().session(session).await,
        Credential::Bearer | Credential::Certificate => return None,
    };
    Some(principal.map_err(|e| web.refused(e)))
}

/// The session's secret in the cookies.
pub(crate) fn session(headers: &HeaderMap) -> Result<Option<Secret>, Problem> {
    let twice = || Problem::who_are_you("there are two session cookies; sign in anew");
    Ok(cookie(headers, COOKIE).map_err(|Twice| twice())?.map(|secret| Secret::from(secret.to_owned())))
}

/// There are two cookies of one name, which are none: somebody planted one.
pub(crate) struct Twice;

/// The value of a cookie.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Twice> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = pairs
        .flat_map(|pairs| pairs.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
    let first = found.next();
    if found.next().is_some() { Err(Twice) } else { Ok(first) }
}

async fn outside(web: &Web, shown: Shown<'_>, from: IpAddr) -> Result<Principal, Problem> {
    for identify in &web.inner.options.identify {
        match identify.identify(shown).await {
            Ok(None) => {}
            Ok(Some(identity)) => return known(web, &identity, from).await,
            Err(Unidentified::Refused(why)) => {
                tracing::info!(%from, %why, "somebody was not let in");
                return Err(Problem::who_are_you("not let in"));
            }
            Err(Unidentified::Unavailable(why)) => {
                tracing::warn!(%why, "who somebody is cannot be found out");
                return Err(Problem::unavailable("who you are cannot be found out now"));
            }
        }
    }
    Err(Problem::who_are_you("not let in"))
}

/// What an identity becomes. The desk and its ledger are told once in a while, not with each request.
async fn known(web: &Web, identity: &Identity, from: IpAddr) -> Result<Principal, Problem> {
    let lock = || web.inner.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let key = (serde_json::to_vec(identity).unwrap_or_default(), Some(from));
    let now = Instant::now();
    let fresh = |at: &Instant| now.saturating_duration_since(*at) < KNOWN;
    let round = {
        let known = lock();
        if let Some((_, principal)) = known.all.get(&key).filter(|(at, _)| fresh(at)) {
            return Ok(principal.clone());
        }
        if known.refused.get(&key).is_some_and(|at| now.saturating_duration_since(*at) < REFUSED) {
            return Err(web.refused(DeskError::Denied));
        }
        known.round
    };
    let asked = web.desk().identity(identity, Some(from)).await;
    let mut known = lock();
    if let Err(DeskError::Denied) = asked {
        if known.refused.len() >= MOST_KNOWN {
            known.refused.clear();
        }
        known.refused.insert(key.clone(), now);
    }
    let principal = asked.map_err(|e| web.refused(e))?;
    if known.round != round {
        return Ok(principal);
    }
    if known.all.len() >= MOST_KNOWN {
        known.all.retain(|_, (at, _)| fresh(at));
        if known.all.len() >= MOST_KNOWN {
            known.all.clear();
        }
    }
    known.all.insert(key, (now, principal.clone()));
    Ok(principal)
}
