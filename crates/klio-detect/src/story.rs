//! Joins findings into stories: one actor, what he did before, between and after.
//!
//! A *session* is the requests of one user with one credential, one client and from one address. Each session
//! keeps a short log of its latest requests. The first finding of medium or above opens a *story*: it takes
//! over the log's last minutes, then what the session goes on to do. Stories of one intruder under several
//! identities are joined at the end (`link.rs`). All state is bounded; what had to be dropped is counted.

mod beside;
pub mod contain;
mod deed;
mod link;
mod reach;
mod session;
mod tale;

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use klio_model::{Actor, Attribution, Severity, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

pub use reach::{Reach, Reached};
use session::Session;
use tale::{Entry, Tale};
pub use tale::{Role, RuleInStory, Story, StoryEvent};

/// Requests this long before the first finding and after the last one belong to the tale.
const AROUND: i64 = 10 * 60 * 1_000_000;
/// A session that was quiet for so long begins a new story.
const PAUSE: i64 = 60 * 60 * 1_000_000;
/// Memory for the logs of sessions without a story, bytes.
const LOGS_CAP: usize = 20 << 20;
/// What a session costs besides its log, bytes.
const SESSION: usize = 160;
/// Requests that one story lists; more are counted.
const EVENTS_CAP: usize = 5_000;
/// Requests that all stories list; more are counted.
const ALL_EVENTS_CAP: usize = 200_000;
/// Stories of one severity; findings beyond open none. Many small ones cannot keep a grave one out.
const TALES_CAP: usize = 5_000;
/// Bytes of an audit id that are kept. The API server takes none above 64 (`apiserver/pkg/audit/context.go`).
pub const ID_CAP: usize = 200;
/// Bytes of a request's words that are kept: verb, resource, namespace and the longest name of an ordinary object fit.
pub const WORDS_CAP: usize = 512;
/// Tokens whose issuer is remembered.
const ISSUED_CAP: usize = 200_000;

/// One request of a session.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// Which session.
    pub session: u64,
    /// Which request: the same for all its stages.
    pub request: u64,
    /// When it was received, microseconds since the epoch.
    pub time: i64,
    /// Where somebody is who does not belong there: [`stranger`] of one who came to this public address while he was
    /// at work elsewhere, or of nobody for a client without a name at a public address. 0 for all others.
    pub stranger: u64,
    /// The control plane's and the nodes' own work is not logged before it becomes suspicious.
    pub quiet: bool,
    /// Audit id.
    pub audit_id: &'r str,
    /// Stage name.
    pub stage: &'static str,
    /// What it did, in a few words.
    pub what: &'r str,
    /// How it ended.
    pub ending: Ending,
}

/// How a request ended, beside its words: those may be cut, and a name may end like a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ending {
    /// The response's code.
    pub code: Option<u16>,
    /// It was a dry run: nothing was stored.
    pub is_dry: bool,
    /// Its words were cut.
    pub is_cut: bool,
}

/// What a finding tells the story.
#[derive(Clone, Copy, Debug)]
pub struct Clue<'c> {
    /// Number of the finding, from 0.
    pub number: u32,
    /// Its id.
    pub id: u64,
    /// Which rule, by number.
    pub rule: u32,
    /// How much it matters.
    pub severity: Severity,
    /// When.
    pub time: i64,
    /// What was written: [`place`] of it.
    pub wrote: Option<u64>,
    /// What was read or entered, likewise.
    pub reached: Option<u64>,
    /// The binding that allowed it, likewise.
    pub binding: Option<u64>,
    /// The events that prove it.
    pub evidence: &'c [Request<'c>],
}

/// Who acted and one sentence about it: asked for only when the story has not heard it yet.
#[derive(Clone, Debug)]
pub struct Telling {
    /// Who.
    pub actor: Actor,
    /// What.
    pub message: String,
    /// Who is behind it, if more is known than the actor's name.
    pub attribution: Option<Attribution>,
}

/// The text's beginning, at most so many bytes.
pub fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    &text[..end]
}

/// Stands for an object: tales that touch the same one are linked.
pub fn place(resource: &str, namespace: &str, name: &str) -> u64 {
    let part = |text: &str| xxh3_64(text.as_bytes());
    part(resource).rotate_left(1) ^ part(namespace).rotate_left(23) ^ part(name).rotate_left(47)
}

/// Stands for a user at a public address; anonymous clients and those that were not let in have no name.
pub fn stranger(user: &str, address: &str) -> u64 {
    place("strangers", user, address)
}

/// All sessions and stories of a run.
#[derive(Debug, Default)]
pub struct Storyteller {
    sessions: HashMap<u64, Session, RandomState>,
    logged: usize,
    tales: Vec<Tale>,
    /// Stories opened, by severity.
    opened: BTreeMap<Severity, usize>,
    listed: usize,
    /// Story of each finding, by number; `u32::MAX` for none. Nothing if the run does not end.
    of_finding: Vec<u32>,
    endless: bool,
    /// Which session was issued a credential.
    issued: HashMap<u64, u64, RandomState>,
    /// Sessions whose log was dropped to stay within memory.
    pub forgotten: u64,
    /// Findings that would have opened a story beyond the cap.
    pub untold: u64,
}

impl Storyteller {
    /// No sessions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// No sessions yet, of a run that does not end: which finding belongs to which story is not kept.
    pub fn endless() -> Self {
        Self { endless: true, ..Self::default() }
    }

    /// Notes that a session was issued a credential (hash of its id) by TokenRequest.
    pub fn credential_issued(&mut self, session: u64, credential: u64) {
        if self.issued.len() < ISSUED_CAP {
            self.issued.insert(credential, session);
        }
    }

    /// Notes a request; called before its findings.
    pub fn request(&mut self, r: &Request<'_>) {
        if r.quiet && !self.sessions.contains_key(&r.session) {
            return;
        }
        let session = self.sessions.entry(r.session).or_default();
        session.last = session.last.max(r.time);
        if r.stranger != 0 {
            session.stranger = r.stranger;
        }
        if let Some(tale) = session.story.and_then(|s| self.tales.get_mut(s as usize)) {
            if r.time <= tale.last_clue.saturating_add(AROUND) {
                if tale.tell(Entry::of(r, Role::Context), self.listed < ALL_EVENTS_CAP) {
                    self.listed += 1;
                }
                return;
            }
        }
        let before = session.log.len();
        session.remember(r);
        self.logged += session.log.len().saturating_sub(before) + if before == 0 { SESSION } else { 0 };
        if self.logged > LOGS_CAP {
            self.forget();
        }
    }

    /// Notes a finding; findings below medium join a story but open none. `tell` is called when a reader would
    /// see what it says: most findings repeat what the story tells already.
    pub fn finding(&mut self, session_key: u64, clue: &Clue<'_>, tell: &mut dyn FnMut() -> Telling) {
        if !self.endless && self.of_finding.len() <= clue.number as usize {
            self.of_finding.resize(clue.number as usize + 1, u32::MAX);
        }
        let session = self.sessions.entry(session_key).or_default();
        session.last = session.last.max(clue.time);
        let open =
            session.story.filter(|&s| clue.time <= self.tales[s as usize].last_clue.saturating_add(PAUSE));
        let story = match open {
            Some(story) => story,
            None if clue.severity < Severity::Medium => {
                session.suspect(clue, tell);
                return;
            }
            None => {
                let opened = self.opened.entry(clue.severity).or_default();
                if *opened >= TALES_CAP {
                    self.untold += 1;
                    return;
                }
                *opened += 1;
                let story = self.tales.len() as u32;
                let telling = tell();
                let mut tale = Tale::open(session_key, clue, &telling.actor);
                for entry in session.recall(clue.time.saturating_sub(AROUND)) {
                    if tale.tell(entry, self.listed < ALL_EVENTS_CAP) {
                        self.listed += 1;
                    }
                }
                self.logged = self.logged.saturating_sub(session.log.len());
                session.log = Vec::new();
                session.story = Some(story);
                for earlier in std::mem::take(&mut session.suspicions) {
                    if earlier.last() >= clue.time.saturating_sub(AROUND) {
                        for number in earlier.numbers() {
                            if let Some(of) = self.of_finding.get_mut(number as usize) {
                                *of = story;
                            }
                        }
                        self.listed += earlier.join(&mut tale, ALL_EVENTS_CAP.saturating_sub(self.listed));
                    }
                }
                tale.note(clue, &mut || telling.clone());
                self.tales.push(tale);
                story
            }
        };
        if let Some(of) = self.of_finding.get_mut(clue.number as usize) {
            *of = story;
        }
        let tale = &mut self.tales[story as usize];
        if open.is_some() {
            tale.note(clue, tell);
        }
        for request in clue.evidence {
            if tale.knows(request.request, Role::Evidence) {
                continue;
            }
            if tale.tell(Entry::of(request, Role::Evidence), self.listed < ALL_EVENTS_CAP) {
                self.listed += 1;
            }
        }
    }

    /// Drops the older half of the logs of sessions without a story.
    fn forget(&mut self) {
        let mut ages: Vec<i64> =
            self.sessions.values().filter(|s| s.story.is_none()).map(|s| s.last).collect();
        let middle = ages.len() / 2;
        let (_, &mut limit, _) = ages.select_nth_unstable(middle);
        let before = self.sessions.len();
        self.sessions.retain(|_, s| s.story.is_some() || s.last > limit);
        self.forgotten += (before - self.sessions.len()) as u64;
        self.logged = self.sessions.values().map(|s| s.log.len() + SESSION).sum();
    }

    /// The stories so far, in no order.
    pub fn stories(&self) -> Vec<Story> {
        let mut tales = self.tales.clone();
        tales.extend(self.besides().into_iter().map(|(tale, _)| tale));
        let groups = link::join(&tales, &self.issued);
        let mut by_group: BTreeMap<usize, Vec<Tale>> = BTreeMap::new();
        for (tale, group) in tales.into_iter().zip(groups) {
            by_group.entry(group).or_default().push(tale);
        }
        by_group.into_values().map(tale::tell_story).collect()
    }

    /// Forgets the stories whose last finding is earlier than that, with all that belongs to them, and sessions that were
    /// quiet since: what they do later begins a new story.
    pub fn retire(&mut self, before: i64) {
        let groups = link::join(&self.tales, &self.issued);
        let mut last: HashMap<usize, i64> = HashMap::new();
        for (tale, group) in self.tales.iter().zip(&groups) {
            let latest = last.entry(*group).or_insert(i64::MIN);
            *latest = tale.last_clue.max(*latest);
        }
        let stays = |group: &usize| last.get(group).is_some_and(|last| *last >= before);
        if groups.iter().all(stays) {
            return;
        }
        let mut place = vec![None; groups.len()];
        let mut kept = Vec::new();
        for (old, (tale, group)) in std::mem::take(&mut self.tales).into_iter().zip(&groups).enumerate() {
            if stays(group) {
                place[old] = Some(kept.len() as u32);
                kept.push(tale);
            } else {
                self.listed = self.listed.saturating_sub(tale.listed());
                if let Some(opened) = self.opened.get_mut(&tale.opened_as) {
                    *opened = opened.saturating_sub(1);
                }
            }
        }
        self.tales = kept;
        for session in self.sessions.values_mut() {
            session.story = session.story.and_then(|old| place.get(old as usize).copied().flatten());
        }
        self.sessions.retain(|_, session| session.story.is_some() || session.last >= before);
        self.logged =
            self.sessions.values().filter(|s| s.story.is_none()).map(|s| s.log.len() + SESSION).sum();
        if self.issued.len() >= ISSUED_CAP {
            self.issued.clear();
        }
    }

    /// Joins what belongs together and tells the stories, the gravest first, and the story of each finding.
    pub fn finish(mut self) -> (Vec<Story>, Vec<Option<u32>>) {
        for (tale, numbers) in self.besides() {
            for number in numbers {
                if let Some(of) = self.of_finding.get_mut(number as usize) {
                    *of = self.tales.len() as u32;
                }
            }
            self.tales.push(tale);
        }
        let groups = link::join(&self.tales, &self.issued);
        let mut by_group: BTreeMap<usize, Vec<Tale>> = BTreeMap::new();
        for (tale, group) in self.tales.into_iter().zip(&groups) {
            by_group.entry(*group).or_default().push(tale);
        }
        let mut stories: Vec<(usize, Story)> =
            by_group.into_iter().map(|(group, tales)| (group, tale::tell_story(tales))).collect();
        stories.sort_by(|(_, a), (_, b)| {
            (b.severity, b.score, a.first, &a.id).cmp(&(a.severity, a.score, b.first, &b.id))
        });
        let place: HashMap<usize, u32> =
            stories.iter().enumerate().map(|(i, (group, _))| (*group, i as u32)).collect();
        let of_finding = self
            .of_finding
            .iter()
            .map(|&tale| groups.get(tale as usize).and_then(|g| place.get(g).copied()))
            .collect();
        (stories.into_iter().map(|(_, s)| s).collect(), of_finding)
    }
}

/// The time as the model has it; the least number stands for none.
fn stamp(time: i64) -> Option<Timestamp> {
    (time != i64::MIN).then_some(Timestamp(time))
}

#[cfg(test)]
mod tests;
