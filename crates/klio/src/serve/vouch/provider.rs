//! An OpenID Connect provider: what it publishes about itself, its sign-in page, its tokens.
//!
//! What it publishes is read when it is first needed, so that Klio starts without it; again after an hour, and when a token names a key
//! that is not known. While it does not answer, what is known holds for a day.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use klio_desk::Identity;
use klio_web::{Back, Leave, Unidentified};
use reqwest::RequestBuilder;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::ANSWER;
use super::claims::{self, For};
use super::jwt::Jwt;
use super::keys::{Keys, Signed};
use crate::config::Oidc;
use crate::line::{Answer, Line, PATIENCE, send};

/// After this time it is read again.
const FRESH: Duration = Duration::from_hours(1);
/// So long it holds while the provider does not answer.
const HOLDS: Duration = Duration::from_hours(24);
/// It is read so often at most: while something is known, and while nothing is.
const AGAIN: Duration = Duration::from_mins(1);
const FIRST: Duration = Duration::from_secs(3);

/// What a provider says about itself (OpenID Connect Discovery 1.0, 3).
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

struct Known {
    metadata: Metadata,
    keys: Keys,
    read: Instant,
}

/// What comes for a code.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// Why there is nothing for a code.
#[derive(Deserialize)]
struct TokenError {
    error: String,
}

/// A provider.
pub struct Provider {
    oidc: Oidc,
    line: Line,
    known: ArcSwapOption<Known>,
    /// When it was last tried to read it.
    tried: Mutex<Option<Instant>>,
}

fn refused(why: impl Into<String>) -> Unidentified {
    Unidentified::Refused(why.into())
}

impl Provider {
    /// One that nothing is known of yet.
    pub fn new(oidc: Oidc) -> Self {
        let line = Line::new(oidc.ca.clone());
        Self { oidc, line, known: ArcSwapOption::empty(), tried: Mutex::default() }
    }

    /// Whether it is the one of these settings.
    pub fn is(&self, oidc: &Oidc) -> bool {
        self.oidc == *oidc
    }

    /// As `klio.yaml` calls it.
    pub fn name(&self) -> &str {
        &self.oidc.name
    }

    /// As it calls itself.
    pub fn issuer(&self) -> &str {
        &self.oidc.issuer
    }

    fn unavailable(&self, why: impl std::fmt::Display) -> Unidentified {
        Unidentified::Unavailable(format!("{}: {why}", self.oidc.issuer))
    }

    /// The address of its sign-in page.
    pub async fn leave(&self, leave: Leave<'_>) -> Result<String, Unidentified> {
        let known = self.known().await?;
        let mut url = known.metadata.authorization_endpoint.clone();
        let mut scopes = vec!["openid"];
        scopes.extend(self.oidc.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid"));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.oidc.client_id)
            .append_pair("redirect_uri", leave.redirect)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", leave.state)
            .append_pair("nonce", leave.nonce)
            .append_pair("code_challenge", leave.challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Who came back from it.
    pub async fn back(&self, back: Back<'_>) -> Result<Identity, Unidentified> {
        let known = self.known().await?;
        // Another provider sent him with its own code (RFC 9207, 2.4).
        let must_say = known.metadata.authorization_response_iss_parameter_supported;
        match back.issuer {
            Some(issuer) if issuer != self.oidc.issuer => {
                return Err(refused(format!("{issuer:?} sent the browser, not {}", self.oidc.issuer)));
            }
            None if must_say => return Err(refused("who sent the browser is not said (iss)")),
            _ => {}
        }
        let token = self.redeem(&known.metadata, &back).await?;
        let jwt = Jwt::read(&token).ok_or_else(|| refused("the provider's ID token is none"))?;
        self.verify(&jwt, &For::SignIn(back.nonce)).await
    }

    /// Whom a bearer token of this issuer is about.
    pub async fn bearer(&self, jwt: &Jwt<'_>) -> Result<Identity, Unidentified> {
        self.verify(jwt, &For::Bearer).await
    }

    async fn verify(&self, jwt: &Jwt<'_>, wanted: &For<'_>) -> Result<Identity, Unidentified> {
        // It may say again what somebody wrote into a token.
        let refuse = |why: String| {
            let why: String = why.chars().take(300).collect();
            refused(format!("a token of {}: {why}", self.oidc.name))
        };
        let now = jiff::Timestamp::now().as_second();
        // What is not for us need not be looked at more closely.
        claims::check(&self.oidc, jwt, wanted, now).map_err(refuse)?;
        if jwt.header.crit.is_some() {
            return Err(refuse("it demands what is not known (crit)".to_owned()));
        }
        let mut known = self.known().await?;
        let alg = &jwt.header.alg;
        let algorithms = known.metadata.id_token_signing_alg_values_supported.as_ref();
        if algorithms.is_some_and(|all| !all.contains(alg)) {
            return Err(refuse(format!("the provider does not sign with {alg:?}")));
        }
        let mut signed = known.keys.signed(jwt);
        // Of a token that names no key it cannot be told whether its key is new.
        if signed == Signed::UnknownKey || signed == Signed::No && jwt.header.kid.is_none() {
            known = self.read_again(known).await?;
            signed = known.keys.signed(jwt);
        }
        match signed {
            Signed::Yes => claims::identity(&self.oidc, jwt).map_err(refuse),
            Signed::No => Err(refuse("its signature is wrong".to_owned())),
            Signed::UnknownKey => {
                Err(refuse(format!("it names a key that the provider does not have: {:?}", jwt.header.kid)))
            }
        }
    }

    /// Gets the ID token for a code.
    async fn redeem(&self, metadata: &Metadata, back: &Back<'_>) -> Result<String, Unidentified> {
        let request = self.token_request(metadata, back).map_err(|e| self.unavailable(e))?;
        let Answer { status, body, .. } = send(request, ANSWER).await.map_err(|e| self.unavailable(e))?;
        if status.is_success() {
            let tokens: Result<Tokens, _> = serde_json::from_slice(&body);
            return tokens
                .map(|tokens| tokens.id_token)
                .map_err(|_| refused("the provider gave no ID token"));
        }
        let said = serde_json::from_slice::<TokenError>(&body).map(|error| error.error).unwrap_or_default();
        if status == 400 && said == "invalid_grant" {
            return Err(refused(
                "the provider does not take the code: it was used, is too old, or another's",
            ));
        }
        Err(self.unavailable(format!(
            "no token for a code: {status} {said:?}; are `client_id` and `client_secret` right?"
        )))
    }

    fn token_request(&self, metadata: &Metadata, back: &Back<'_>) -> Result<RequestBuilder, String> {
        let secret = self.oidc.client_secret.as_ref().map(|secret| secret.read()).transpose();
        let secret = secret.map_err(|failure| failure.message)?;
        let mut request = self.line.client()?.post(metadata.token_endpoint.clone());
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", back.code)
            .append_pair("redirect_uri", back.redirect)
            .append_pair("code_verifier", back.verifier);
        // `client_secret_basic` is what holds if nothing is said.
        let methods = metadata.token_endpoint_auth_methods_supported.as_ref();
        let basic = methods.is_none_or(|all| all.iter().any(|method| method == "client_secret_basic"));
        match &secret {
            Some(secret) if basic => {
                // As in a form (RFC 6749, 2.3.1).
                let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                request = request.basic_auth(encode(&self.oidc.client_id), Some(encode(secret)));
            }
            Some(secret) => {
                form.append_pair("client_id", &self.oidc.client_id).append_pair("client_secret", secret);
            }
            None => {
                form.append_pair("client_id", &self.oidc.client_id);
            }
        }
        Ok(request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form.finish()))
    }

    /// What is known of it.
    async fn known(&self) -> Result<Arc<Known>, Unidentified> {
        let Some(known) = self.known.load_full() else {
            let tried = self.tried.lock().await;
            return self.read(tried, FIRST).await;
        };
        if known.read.elapsed() < FRESH {
            return Ok(known);
        }
        // One reads it again; the others need not wait.
        match self.tried.try_lock() {
            Ok(tried) => self.read(tried, AGAIN).await,
            Err(_) if known.read.elapsed() < HOLDS => Ok(known),
            Err(_) => Err(self.unavailable("it has not answered for a day")),
        }
    }

    /// What is known after it was read again; the same if that was a short while ago.
    async fn read_again(&self, before: Arc<Known>) -> Result<Arc<Known>, Unidentified> {
        let tried = self.tried.lock().await;
        match self.known.load_full() {
            Some(known) if !Arc::ptr_eq(&known, &before) => Ok(known),
            _ => self.read(tried, AGAIN).await,
        }
    }

    async fn read(
        &self,
        mut tried: tokio::sync::MutexGuard<'_, Option<Instant>>,
        pause: Duration,
    ) -> Result<Arc<Known>, Unidentified> {
        let known = self.known.load_full().filter(|known| known.read.elapsed() < HOLDS);
        if tried.is_some_and(|at| at.elapsed() < pause) {
            return known.ok_or_else(|| self.unavailable("it did not answer a moment ago"));
        }
        let read = tokio::time::timeout(PATIENCE, self.fetch()).await;
        let read = read.unwrap_or_else(|_| Err(format!("no answer within {} seconds", PATIENCE.as_secs())));
        *tried = Some(Instant::now());
        match (read, known) {
            (Ok(fresh), _) => {
                let fresh = Arc::new(fresh);
                self.known.store(Some(fresh.clone()));
                Ok(fresh)
            }
            (Err(error), Some(known)) => {
                tracing::warn!(issuer = self.oidc.issuer, %error, "a provider cannot be read again; what is known holds for a day");
                Ok(known)
            }
            (Err(error), None) => Err(self.unavailable(error)),
        }
    }

    async fn fetch(&self) -> Result<Known, String> {
        let client = self.line.client()?;
        let get = async |url: &str| {
            let request = client.get(url).header("accept", "application/json");
            let Answer { status, body, .. } = send(request, ANSWER).await?;
            if status.is_success() { Ok(body) } else { Err(format!("{url} answers {status}")) }
        };
        let issuer = self.oidc.issuer.trim_end_matches('/');
        let body = get(&format!("{issuer}/.well-known/openid-configuration")).await?;
        let metadata: Metadata = serde_json::from_slice(&body)
            .map_err(|e| format!("what it says about itself cannot be read: {e}"))?;
        if metadata.issuer != self.oidc.issuer {
            return Err(format!("it calls itself {:?}: write exactly that as `issuer`", metadata.issuer));
        }
        let places = [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
        if let Some(place) = places.into_iter().find(|place| place.scheme() != "https") {
            return Err(format!("{place} is not https"));
        }
        let keys = Keys::read(&get(metadata.jwks_uri.as_str()).await?)?;
        Ok(Known { metadata, keys, read: Instant::now() })
    }
}
