//! Somebody who was let in, for as long as one request takes.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use klio_desk::{By, Principal, Right, Secret};

use crate::archive::{Archive, ArchiveError, Patience, Stop};
use crate::gate::Credential;
use crate::route::Entry;
use crate::{Problem, Sight, Web};

/// Who asks, what he sees, and what is noted about his request.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) principal: Principal,
    pub(crate) from: Option<IpAddr>,
    pub(crate) credential: Credential,
    pub(crate) sight: Sight,
    pub(crate) note: Arc<Note>,
    pub(crate) stop: Stop,
}

/// What a handler has to say for the audit.
#[derive(Default)]
pub(crate) struct Note {
    rows: AtomicU64,
    entered: Mutex<Option<Principal>>,
    said: Mutex<Option<String>>,
    also: Mutex<Option<&'static Entry>>,
}

impl Note {
    /// So many more rows are in the answer.
    pub(crate) fn rows(&self, more: usize) {
        self.rows.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn counted(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// What exactly was changed, for the audit.
    pub(crate) fn say(&self, what: String) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    pub(crate) fn said(&self) -> Option<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The request turned out to ask what has an entry of its own.
    pub(crate) fn also(&self, entry: Option<&'static Entry>) {
        *self.also.lock().unwrap_or_else(PoisonError::into_inner) = entry;
    }

    pub(crate) fn asked_also(&self) -> Option<&'static Entry> {
        *self.also.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stranger turned out to be somebody.
    pub(crate) fn entered(&self, principal: &Principal) {
        *self.entered.lock().unwrap_or_else(PoisonError::into_inner) = Some(principal.clone());
    }

    pub(crate) fn who_entered(&self) -> Option<Principal> {
        self.entered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Visitor {
    pub(crate) fn new(
        principal: Principal,
        from: Option<IpAddr>,
        credential: Credential,
        note: Arc<Note>,
        stop: Stop,
    ) -> Self {
        let sight = Sight::of(&principal);
        Self { principal, from, credential, sight, note, stop }
    }

    /// Whether he may see bodies.
    pub(crate) fn bodies(&self) -> bool {
        self.principal.may(Right::ReadBodies)
    }

    /// For the desk.
    pub(crate) fn by(&self) -> By {
        By { principal: self.principal.clone(), from: self.from }
    }

    /// The secret of his session, if he showed one.
    pub(crate) fn session(&self) -> Option<&Secret> {
        if let Credential::Session(secret) = &self.credential { Some(secret) } else { None }
    }

    /// Asks the archive on a thread that may block: after waiting for a turn, and no longer than a question may take.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        web: &Web,
        question: impl FnOnce(&dyn Archive, &Sight, &Patience) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, Problem> {
        let limits = web.limits();
        let turn = web.inner.questions.turn(&self.principal.to_string(), limits.turn).await;
        let turn = turn.ok_or_else(too_many)?;
        let patience = Patience::new(limits.question, self.stop.clone());
        let (archive, sight) = (web.inner.archive.clone(), self.sight.clone());
        let span = tracing::Span::current();
        let asked = tokio::task::spawn_blocking(move || {
            let _span = span.entered();
            // The place is taken as long as the thread is, also if nobody waits for it any more.
            let _turn = turn;
            question(&*archive, &sight, &patience)
        });
        match tokio::time::timeout(limits.question + Duration::from_secs(1), asked).await {
            Ok(Ok(answer)) => answer.map_err(Problem::from),
            Ok(Err(e)) => Err(ArchiveError::Unavailable(format!("a question broke off: {e}")).into()),
            Err(_) => {
                self.stop.set();
                Err(ArchiveError::TooSlow.into())
            }
        }
    }
}

/// Somebody has too many questions open.
pub(crate) fn too_many() -> Problem {
    let detail = "too many of your questions are being answered; wait for one of them";
    Problem::new(axum::http::StatusCode::TOO_MANY_REQUESTS, detail).again(2)
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::who_are_you("sign in"))
    }
}
