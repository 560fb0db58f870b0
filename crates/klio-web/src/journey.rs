//! Sign-ins that are under way: a browser was sent to a provider's page and has yet to come back.
//!
//! What it must bring back is 256 random bits in the address (`state`) and as many in a cookie, so that neither somebody who made a
//! browser come back (RFC 6749, 10.12) nor somebody who saw an address can end what another began. Each is good for ten minutes, once,
//! and for the provider to which the browser was sent (RFC 9207). What is kept lies in memory, bounded for each address and in all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use klio_desk::Identity;
use sha2::{Digest as _, Sha256};

use crate::Unidentified;

/// How long somebody may take at the provider's page.
pub(crate) const GOOD: Duration = Duration::from_mins(10);
/// Journeys of one address, and of all; beyond, the oldest ends.
const EACH: usize = 64;
const MOST: usize = 16_384;

/// What a browser takes along.
#[derive(Clone, Copy, Debug)]
pub struct Leave<'s> {
    /// It brings this back in the address.
    pub state: &'s str,
    /// It stands in the ID token.
    pub nonce: &'s str,
    /// SHA-256 of the code's verifier, base64url (RFC 7636, S256).
    pub challenge: &'s str,
    /// Where it comes back.
    pub redirect: &'s str,
}

/// What a browser brought back, and what it must fit.
#[derive(Clone, Copy, Debug)]
pub struct Back<'s> {
    /// For which the provider gives an ID token.
    pub code: &'s str,
    /// Who says that it sent the browser (RFC 9207).
    pub issuer: Option<&'s str>,
    /// As in [`Leave`].
    pub nonce: &'s str,
    /// Of which [`Leave::challenge`] was made.
    pub verifier: &'s str,
    /// As in [`Leave`].
    pub redirect: &'s str,
}

/// The OpenID Connect providers at whose pages people sign in. Each is asked by a name of [`Providers::names`].
#[async_trait]
pub trait Providers: Send + Sync {
    /// Their names.
    fn names(&self) -> Vec<String>;

    /// The address of the page at which somebody signs in.
    ///
    /// # Errors
    /// [`Unidentified::Unavailable`].
    async fn leave(&self, name: &str, leave: Leave<'_>) -> Result<String, Unidentified>;

    /// Who came back, verified.
    ///
    /// # Errors
    /// [`Unidentified`].
    async fn back(&self, name: &str, back: Back<'_>) -> Result<Identity, Unidentified>;
}

type Digest = [u8; 32];

/// One sign-in that is under way.
pub(crate) struct Journey {
    provider: String,
    from: Option<IpAddr>,
    browser: Digest,
    at: Instant,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
    /// The page at which it ends.
    pub(crate) home: String,
}

/// What is handed out for one.
pub(crate) struct Ticket {
    pub(crate) state: String,
    /// The cookie's value.
    pub(crate) browser: String,
    pub(crate) nonce: String,
    pub(crate) challenge: String,
}

/// Somebody came back who did not leave from here, or not so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stray;

/// All sign-ins that are under way.
#[derive(Default)]
pub(crate) struct Journeys(Mutex<HashMap<Digest, Journey>>);

impl Journeys {
    /// Begins one; `None` if there is no randomness. `from` is the address as [`crate::pace::place`] counts it.
    pub(crate) fn leave(
        &self,
        provider: &str,
        from: Option<IpAddr>,
        home: String,
        at: Instant,
    ) -> Option<Ticket> {
        let (state, browser, nonce, verifier) = (random()?, random()?, random()?, random()?);
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&verifier));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, journey| is_good(journey, at));
        if all.values().filter(|journey| journey.from == from).count() >= EACH {
            remove_oldest(&mut all, |journey| journey.from == from);
        }
        if all.len() >= MOST {
            remove_oldest(&mut all, |_| true);
        }
        let journey = Journey {
            provider: provider.to_owned(),
            from,
            browser: digest(&browser),
            at,
            nonce: nonce.clone(),
            verifier,
            home,
        };
        all.insert(digest(&state), journey);
        Some(Ticket { state, browser, nonce, challenge })
    }

    /// Ends one, whether it fits or not. Hashes are compared, so that the time it takes tells nothing.
    pub(crate) fn back(
        &self,
        provider: &str,
        state: &str,
        browser: &str,
        at: Instant,
    ) -> Result<Journey, Stray> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let journey = all.remove(&digest(state)).ok_or(Stray)?;
        let fits = journey.provider == provider && journey.browser == digest(browser);
        if fits && is_good(&journey, at) { Ok(journey) } else { Err(Stray) }
    }
}

fn is_good(journey: &Journey, at: Instant) -> bool {
    at.saturating_duration_since(journey.at) < GOOD
}

fn remove_oldest(all: &mut HashMap<Digest, Journey>, which: impl Fn(&Journey) -> bool) {
    let oldest = all.iter().filter(|(_, journey)| which(journey)).min_by_key(|(_, journey)| journey.at);
    if let Some(key) = oldest.map(|(key, _)| *key) {
        all.remove(&key);
    }
}

fn digest(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

fn random() -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_once_in_time_with_the_same_browser_from_the_same_provider() {
        let (journeys, now) = (Journeys::default(), Instant::now());
        let leave = || journeys.leave("corp", None, "/".into(), now).unwrap();
        let (a, b) = (leave(), leave());
        assert!(journeys.back("corp", &a.state, &b.browser, now).is_err(), "another browser");
        assert!(journeys.back("corp", &a.state, &a.browser, now).is_err(), "it was used up");
        let journey = journeys.back("corp", &b.state, &b.browser, now).unwrap();
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(digest(&journey.verifier)), b.challenge);
        assert!(journeys.back("corp", &b.state, &b.browser, now).is_err(), "twice");
        let c = leave();
        assert!(journeys.back("other", &c.state, &c.browser, now).is_err(), "another provider");
        let late = leave();
        assert!(journeys.back("corp", &late.state, &late.browser, now + GOOD).is_err());
        assert!(journeys.back("corp", "", "", now).is_err());
    }

    #[test]
    fn who_begins_many_ends_his_own() {
        let (journeys, now) = (Journeys::default(), Instant::now());
        let ana = journeys.leave("corp", Some([192, 0, 2, 1].into()), "/".into(), now).unwrap();
        let from = Some([192, 0, 2, 2].into());
        let at = |n: usize| now + Duration::from_millis(n as u64);
        let all: Vec<Ticket> =
            (0..=EACH).map(|n| journeys.leave("corp", from, "/".into(), at(n)).unwrap()).collect();
        assert!(journeys.back("corp", &all[0].state, &all[0].browser, now).is_err());
        assert!(journeys.back("corp", &all[1].state, &all[1].browser, now).is_ok());
        assert!(journeys.back("corp", &ana.state, &ana.browser, now).is_ok());
    }
}
