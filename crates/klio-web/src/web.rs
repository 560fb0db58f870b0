//! What the server hands the API, and how much it gives to whom.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use klio_desk::{Clock, Desk, DeskError, Principal};
use klio_detect::About;
use klio_detect::coverage::Observed;
use klio_model::Timestamp;

use crate::gate::Identify;
use crate::journey::{Journeys, Providers};
use crate::pace::{Pace, Rate, Turns};
use crate::view::{AllowView, CoverageView, HuntView, NewAllow};
use crate::{Archive, OwnAudit, Problem};

/// How much anybody gets.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// Requests of one address, before it is known who asks.
    pub address: Rate,
    /// Requests of one principal.
    pub principal: Rate,
    /// Questions of one principal at once.
    pub questions: usize,
    /// Questions of all at once.
    pub all_questions: usize,
    /// Live tails of one principal at once.
    pub tails: usize,
    /// Live tails of all at once.
    pub all_tails: usize,
    /// How long a question may wait for its turn.
    pub turn: Duration,
    /// How long a question may take.
    pub question: Duration,
    /// How long an export may take.
    pub export: Duration,
    /// How long a reader of a stream may take nothing.
    pub stalled: Duration,
    /// After how long a live tail ends; the client comes again and loses nothing.
    pub tail: Duration,
    /// A live tail that has nothing to say says so after this time, and looks whether its reader is still let in.
    pub heartbeat: Duration,
    /// Events that wait for a slow reader of a live tail.
    pub tail_buffer: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// How long a request's body may take.
    pub body_time: Duration,
    /// Rows that SQL answers with at most.
    pub sql_rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            address: Rate { per_second: 100.0, burst: 400.0 },
            principal: Rate { per_second: 50.0, burst: 200.0 },
            questions: 4,
            all_questions: 16,
            tails: 8,
            all_tails: 64,
            turn: Duration::from_secs(5),
            question: Duration::from_mins(1),
            export: Duration::from_hours(6),
            stalled: Duration::from_mins(1),
            tail: Duration::from_hours(1),
            heartbeat: Duration::from_secs(15),
            tail_buffer: 1024,
            body: 1 << 20,
            body_time: Duration::from_secs(20),
            sql_rows: 1_000_000,
        }
    }
}

/// Rules with their pages, what is excused, and hunts, as they are now.
pub trait Library: Send + Sync {
    /// The rules that are judged by, as they were compiled.
    fn rules(&self) -> Vec<About> {
        Vec::new()
    }

    /// The page about a rule, Markdown.
    fn page(&self, rule: &About) -> Option<String> {
        let _ = rule;
        None
    }

    /// The rule as it is written.
    fn source(&self, rule: &About) -> Option<String> {
        let _ = rule;
        None
    }

    /// The entries of the allow-list, and last those that Klio wrote and that are not right any more.
    fn allowed(&self) -> Vec<AllowView> {
        Vec::new()
    }

    /// Whether each rule can work with what was recorded.
    fn coverage(&self, seen: &Observed) -> Vec<CoverageView> {
        let _ = seen;
        Vec::new()
    }

    /// Excuses from now on.
    fn allow(&self, entry: NewAllow) -> Result<AllowView, Problem> {
        let _ = entry;
        Err(Problem::unavailable("there is no allow-list to write to"))
    }

    /// Removes an entry that [`Library::allow`] made.
    fn disallow(&self, id: &str) -> Result<(), Problem> {
        let _ = id;
        Err(Problem::not_found())
    }

    /// What is done on a cluster's own side to connect it, by the platform's name; nothing for one that is not known.
    fn guide(&self, platform: &str, cluster: &str) -> Option<String> {
        let _ = (platform, cluster);
        None
    }

    /// Questions that somebody should ask now and then.
    fn hunts(&self) -> Vec<HuntView> {
        Vec::new()
    }
}

/// A library without anything.
struct Nothing;

impl Library for Nothing {}

/// How the API works.
#[derive(Clone)]
pub struct Options {
    /// How much anybody gets.
    pub limits: Limits,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpNet>,
    /// Where browsers find the server, such as `https://klio.example.org`; if none is named, where the request's `Host` says.
    pub origins: Vec<String>,
    /// Who else says who somebody is.
    pub identify: Vec<Arc<dyn Identify>>,
    /// At whose pages people sign in; they are sent back to the first of the origins.
    pub providers: Option<Arc<dyn Providers>>,
    /// What is judged by now, and what can be read about it.
    pub library: Arc<dyn Library>,
    /// The time of day.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            proxies: Vec::new(),
            origins: Vec::new(),
            identify: Vec::new(),
            providers: None,
            library: Arc::new(Nothing),
            clock: klio_desk::Options::default().clock,
        }
    }
}

/// Identities from outside that were let in a short while ago.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) all: HashMap<(Vec<u8>, Option<IpAddr>), (Instant, Principal)>,
    /// Whom no rule fitted, and when.
    pub(crate) refused: HashMap<(Vec<u8>, Option<IpAddr>), Instant>,
    /// How often all were forgotten: who was looked up before is not remembered after.
    pub(crate) round: u64,
}

/// All that the API works with. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Web {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) archive: Arc<dyn Archive>,
    pub(crate) desk: Desk,
    pub(crate) audit: Arc<dyn OwnAudit>,
    pub(crate) options: Options,
    pub(crate) addresses: Pace<IpAddr>,
    pub(crate) principals: Pace<String>,
    pub(crate) questions: Turns,
    pub(crate) tails: Turns,
    pub(crate) known: Mutex<Known>,
    pub(crate) journeys: Journeys,
    pub(crate) coverage: crate::api::coverage::Known,
}

impl Web {
    /// An API over these three.
    pub fn new(archive: Arc<dyn Archive>, desk: Desk, audit: Arc<dyn OwnAudit>, options: Options) -> Self {
        let limits = &options.limits;
        let inner = Inner {
            addresses: Pace::new(limits.address),
            principals: Pace::new(limits.principal),
            questions: Turns::new(limits.questions, limits.all_questions),
            tails: Turns::new(limits.tails, limits.all_tails),
            known: Mutex::default(),
            journeys: Journeys::default(),
            coverage: crate::api::coverage::Known::default(),
            archive,
            desk,
            audit,
            options,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Forgets who was let in by what others say: the mapping has changed.
    pub fn forget(&self) {
        let mut known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.all.clear();
        known.refused.clear();
        known.round += 1;
    }

    /// Forgets what was found out about the rules: they have changed.
    pub fn forget_rules(&self) {
        self.inner.coverage.forget();
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.inner.options.clock)()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.options.limits
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.inner.desk
    }

    /// What the desk said, for the asker.
    pub(crate) fn refused(&self, error: DeskError) -> Problem {
        Problem::of_desk(error, self.now())
    }
}

/// An API over nothing, for tests of the crate itself.
#[cfg(test)]
pub(crate) async fn for_tests() -> Web {
    tests::web().await
}

#[cfg(test)]
mod tests;
