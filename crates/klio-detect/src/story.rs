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
mod sessions;
mod tale;
mod tales;

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use klio_model::{Actor, Attribution, Severity, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use crate::bound;

pub use crate::bound::cut;
pub use reach::{Reach, Reached};
use sessions::Sessions;
use tale::Tale;
pub use tale::{Role, RuleInStory, Story, StoryEvent};
use tales::Tales;

/// Requests this long before the first finding and after the last one belong to the tale.
const AROUND: i64 = 10 * 60 * 1_000_000;
/// A session that was quiet for so long begins a new story.
const PAUSE: i64 = 60 * 60 * 1_000_000;
/// Requests that one story lists; more are counted.
const EVENTS_CAP: usize = 5_000;
/// Memory for the requests that all stories list, bytes; more are counted.
const ALL_EVENTS_CAP: usize = 40 << 20;
/// Tales of one severity. For a new one the oldest of the actor who has the most gives way.
const TALES_CAP: usize = 5_000;
/// Memory for the texts of the tales of one severity, bytes.
const TALES_BYTES: usize = 32 << 20;
/// Bytes of a sentence.
const MESSAGE_CAP: usize = 4_096;
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
    /// Whose: the same for all sessions of a user at an address.
    pub actor: u64,
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

impl Telling {
    /// Cut to what is kept of it.
    fn bounded(mut self) -> Self {
        bound::shorten(&mut self.message, MESSAGE_CAP);
        bound::actor(&mut self.actor);
        self
    }

    /// About how many bytes it takes beside its own size.
    fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let chain = self.attribution.iter().flat_map(|told| &told.chain);
        let chain = chain.map(|cause| {
            let texts = [&cause.acting_as, &cause.what, &cause.audit_id, &cause.workload];
            size_of::<klio_model::attribution::Cause>()
                + cause.user.len()
                + texts.into_iter().map(text).sum::<usize>()
        });
        let said = self.attribution.as_ref().map_or(0, |told| told.said.len() + text(&told.workload));
        self.message.len() + bound::bytes_of(&self.actor) + said + chain.sum::<usize>()
    }
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
    sessions: Sessions,
    tales: Tales,
    /// Tale of each finding, by number; `u32::MAX` for none. Nothing if the run does not end.
    of_finding: Vec<u32>,
    endless: bool,
    /// Which session was issued a credential.
    issued: HashMap<u64, u64, RandomState>,
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

    /// How often a session's first requests were forgotten to stay within memory.
    pub fn forgotten(&self) -> u64 {
        self.sessions.forgotten
    }

    /// Findings of stories that gave way to later ones.
    pub fn untold(&self) -> u64 {
        self.tales.untold
    }

    /// Notes a request; called before its findings.
    pub fn request(&mut self, r: &Request<'_>) {
        if r.quiet && !self.sessions.knows(r.session) {
            return;
        }
        let tales = &mut self.tales;
        self.sessions.change(r.session, |session| {
            session.last = session.last.max(r.time);
            session.actor = r.actor;
            if r.stranger != 0 {
                session.stranger = r.stranger;
            }
            let told = session.story.and_then(|story| Some((story, tales.last_clue(story)?)));
            match told.filter(|(_, last)| r.time <= last.saturating_add(AROUND)) {
                Some((story, _)) => tales.tell_again(story, r, Role::Context),
                None => session.remember(r),
            }
        });
    }

    /// Notes a finding; findings below medium join a story but open none. `tell` is called when a reader would
    /// see what it says: most findings repeat what the story tells already.
    pub fn finding(&mut self, session_key: u64, clue: &Clue<'_>, tell: &mut dyn FnMut() -> Telling) {
        if !self.endless && self.of_finding.len() <= clue.number as usize {
            self.of_finding.resize(clue.number as usize + 1, u32::MAX);
        }
        let (tales, of_finding) = (&mut self.tales, &mut self.of_finding);
        let mut belongs = |number: u32, story: u32| {
            if let Some(of) = of_finding.get_mut(number as usize) {
                *of = story;
            }
        };
        self.sessions.change(session_key, |session| {
            session.last = session.last.max(clue.time);
            let goes_on = |last: i64| clue.time <= last.saturating_add(PAUSE);
            let story = match session.story.filter(|&story| tales.last_clue(story).is_some_and(goes_on)) {
                Some(story) => {
                    tales.note(story, clue, tell);
                    story
                }
                None if clue.severity < Severity::Medium => return session.suspect(clue, tell),
                None => {
                    let telling = tell().bounded();
                    let story = tales.open(session_key, clue, &telling.actor);
                    session.story = Some(story);
                    let from = clue.time.saturating_sub(AROUND);
                    for entry in session.recall(from) {
                        tales.tell(story, entry);
                    }
                    let earlier = session.take_suspicions();
                    for suspicion in earlier.into_iter().filter(|earlier| earlier.last() >= from) {
                        let (telling, clues) = suspicion.clues();
                        for (small, evidence) in clues {
                            belongs(small.number, story);
                            tales.note(story, &small, &mut || telling.clone());
                            for entry in evidence {
                                tales.tell(story, entry);
                            }
                        }
                    }
                    tales.note(story, clue, &mut || telling.clone());
                    story
                }
            };
            belongs(clue.number, story);
            for request in clue.evidence {
                tales.tell_again(story, request, Role::Evidence);
            }
        });
    }

    /// The stories so far, in no order.
    pub fn stories(&self) -> Vec<Story> {
        let besides = self.besides();
        let tales = self.tales.iter().map(|(_, tale)| tale);
        let tales: Vec<&Tale> = tales.chain(besides.iter().map(|(tale, _)| tale)).collect();
        let mut by_group: BTreeMap<usize, Vec<Tale>> = BTreeMap::new();
        for (tale, group) in tales.iter().zip(link::join(&tales, &self.issued)) {
            by_group.entry(group).or_default().push((*tale).clone());
        }
        by_group.into_values().map(tale::tell_story).collect()
    }

    /// Forgets the stories whose last finding is earlier than that, with all that belongs to them, and sessions that were
    /// quiet since: what they do later begins a new story.
    pub fn retire(&mut self, before: i64) {
        let (numbers, tales): (Vec<u32>, Vec<&Tale>) = self.tales.iter().unzip();
        let groups = link::join(&tales, &self.issued);
        let mut last: HashMap<usize, i64> = HashMap::new();
        for (tale, group) in tales.iter().zip(&groups) {
            let latest = last.entry(*group).or_insert(i64::MIN);
            *latest = tale.last_clue.max(*latest);
        }
        let stays = |group: &usize| last.get(group).is_some_and(|last| *last >= before);
        if groups.iter().all(stays) {
            return;
        }
        for (number, _) in numbers.iter().zip(&groups).filter(|(_, group)| !stays(group)) {
            self.tales.remove(*number);
        }
        let tales = &self.tales;
        self.sessions.retain(|session| {
            session.story = session.story.filter(|story| tales.last_clue(*story).is_some());
            session.story.is_some() || session.last >= before
        });
        if self.issued.len() >= ISSUED_CAP {
            self.issued.clear();
        }
    }

    /// Joins what belongs together and tells the stories, the gravest first, and the story of each finding.
    pub fn finish(mut self) -> (Vec<Story>, Vec<Option<u32>>) {
        for (tale, numbers) in self.besides() {
            let story = self.tales.add(tale);
            for number in numbers {
                if let Some(of) = self.of_finding.get_mut(number as usize) {
                    *of = story;
                }
            }
        }
        let (numbers, tales) = self.tales.into_parts();
        let groups = link::join(&tales.iter().collect::<Vec<_>>(), &self.issued);
        let mut by_group: BTreeMap<usize, Vec<Tale>> = BTreeMap::new();
        for (tale, group) in tales.into_iter().zip(&groups) {
            by_group.entry(*group).or_default().push(tale);
        }
        let mut stories: Vec<(usize, Story)> =
            by_group.into_iter().map(|(group, tales)| (group, tale::tell_story(tales))).collect();
        stories.sort_by(|(_, a), (_, b)| {
            (b.severity, b.score, a.first, &a.id).cmp(&(a.severity, a.score, b.first, &b.id))
        });
        let place: HashMap<usize, u32> =
            stories.iter().enumerate().map(|(i, (group, _))| (*group, i as u32)).collect();
        let story = |tale: &u32| place.get(groups.get(numbers.binary_search(tale).ok()?)?).copied();
        let of_finding = self.of_finding.iter().map(story).collect();
        (stories.into_iter().map(|(_, s)| s).collect(), of_finding)
    }
}

/// The time as the model has it; the least number stands for none.
fn stamp(time: i64) -> Option<Timestamp> {
    (time != i64::MIN).then_some(Timestamp(time))
}

#[cfg(test)]
mod tests;
