//! One session's tale, and several of them told as one story.

use hashbrown::{HashMap, HashSet};
use klio_model::{Actor, Attribution, Severity, Timestamp};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::link::Touched;
use super::{Clue, EVENTS_CAP, Ending, ID_CAP, Request, Telling, WORDS_CAP, cut, stamp};
use crate::bound;

/// Finding ids that a story lists; more are counted.
const FINDINGS_CAP: usize = 10_000;
/// Identities that a story lists.
const ACTORS_CAP: usize = 1_000;
/// Sessions that a tale is known by, if it is told of more than one.
const SESSIONS_CAP: usize = 4_096;
/// What a request in a tale costs besides its texts, bytes.
const ENTRY: usize = 96;

/// Why a request is in a story.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The same actor did it around the findings.
    Context,
    /// A finding rests on it.
    Evidence,
}

/// A request in a story.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub request: u64,
    pub time: i64,
    pub stage: &'static str,
    pub role: Role,
    ending: Ending,
    /// Audit id, then what it did; neither longer than its cap.
    text: Box<str>,
    id: u32,
}

impl Entry {
    pub(super) fn new(
        request: u64,
        time: i64,
        stage: &'static str,
        role: Role,
        (id, what): (&str, &str),
        ending: Ending,
    ) -> Self {
        let (id, words) = (cut(id, ID_CAP), cut(what, WORDS_CAP));
        let ending = Ending { is_cut: ending.is_cut || words.len() < what.len(), ..ending };
        let mut text = String::with_capacity(id.len() + words.len());
        text.push_str(id);
        text.push_str(words);
        Self { request, time, stage, role, ending, text: text.into(), id: id.len() as u32 }
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        ENTRY + self.text.len()
    }

    fn texts(&self) -> (&str, &str) {
        self.text.split_at(self.id as usize)
    }

    pub(super) fn of(r: &Request<'_>, role: Role) -> Self {
        Self::new(r.request, r.time, r.stage, role, (r.audit_id, r.what), r.ending)
    }
}

#[derive(Clone, Debug)]
struct Tally {
    count: u64,
    first: i64,
    severity: Severity,
    telling: Telling,
}

/// The story of one session, while it is told.
#[derive(Clone, Debug)]
pub(super) struct Tale {
    pub session: u64,
    /// Further sessions of the same actor, which are told with it.
    pub sessions: HashSet<u64>,
    /// The severity of its first finding.
    pub opened_as: Severity,
    pub actor: Actor,
    pub first_clue: i64,
    pub last_clue: i64,
    pub wrote: Touched,
    pub reached: Touched,
    pub bindings: Touched,
    severity: Severity,
    findings: Vec<u64>,
    pub finding_count: u64,
    /// Bytes of its texts.
    texts: usize,
    /// Bytes of its requests.
    pub listed: usize,
    rules: HashMap<u32, Tally>,
    entries: Vec<Entry>,
    by_request: HashMap<u64, u32>,
    unlisted: u64,
}

impl Tale {
    pub(super) fn open(session: u64, clue: &Clue<'_>, actor: &Actor) -> Self {
        Self {
            session,
            sessions: HashSet::new(),
            opened_as: clue.severity,
            actor: actor.clone(),
            first_clue: clue.time,
            last_clue: clue.time,
            wrote: Touched::default(),
            reached: Touched::default(),
            bindings: Touched::default(),
            severity: clue.severity,
            findings: Vec::new(),
            finding_count: 0,
            texts: bound::bytes_of(actor),
            listed: 0,
            rules: HashMap::new(),
            entries: Vec::new(),
            by_request: HashMap::new(),
            unlisted: 0,
        }
    }

    /// A tale without a finding of its own, beside one that begins then.
    pub(super) fn beside(session: u64, begins: i64, actor: &Actor) -> Self {
        let clue = Clue {
            number: 0,
            id: 0,
            rule: 0,
            severity: Severity::Informational,
            time: begins,
            wrote: None,
            reached: None,
            binding: None,
            evidence: &[],
        };
        Self::open(session, &clue, actor)
    }

    /// Whether it lists nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// About how many bytes it takes without its requests.
    pub(super) fn weight(&self) -> usize {
        let objects = self.wrote.len() + self.reached.len() + self.bindings.len();
        size_of::<Self>()
            + self.texts
            + 8 * self.findings.capacity()
            + 16 * self.sessions.len()
            + 64 * objects
    }

    /// Tells another session of the same actor with it.
    pub(super) fn adopt(&mut self, session: u64) {
        if self.sessions.len() < SESSIONS_CAP {
            self.sessions.insert(session);
        }
    }

    /// Adds a finding. `tell` is called if it is the first of its rule.
    pub(super) fn note(&mut self, clue: &Clue<'_>, tell: &mut dyn FnMut() -> Telling) {
        self.severity = self.severity.max(clue.severity);
        self.first_clue = self.first_clue.min(clue.time);
        self.last_clue = self.last_clue.max(clue.time);
        self.finding_count += 1;
        if self.findings.len() < FINDINGS_CAP {
            self.findings.push(clue.id);
        }
        for (set, one) in [
            (&mut self.wrote, clue.wrote),
            (&mut self.reached, clue.reached),
            (&mut self.bindings, clue.binding),
        ] {
            if let Some(object) = one {
                set.add(object, clue.time);
            }
        }
        match self.rules.entry(clue.rule) {
            hashbrown::hash_map::Entry::Occupied(known) => {
                let tally = known.into_mut();
                tally.count += 1;
                tally.severity = tally.severity.max(clue.severity);
                if clue.time < tally.first {
                    self.texts -= tally.telling.bytes();
                    (tally.first, tally.telling) = (clue.time, tell().bounded());
                    self.texts += tally.telling.bytes();
                }
            }
            hashbrown::hash_map::Entry::Vacant(new) => {
                let (first, severity) = (clue.time, clue.severity);
                let telling = tell().bounded();
                self.texts += size_of::<Tally>() + telling.bytes();
                new.insert(Tally { count: 1, first, severity, telling });
            }
        }
    }

    /// Raises the role of a request that is there; false if it is not.
    pub(super) fn knows(&mut self, request: u64, role: Role) -> bool {
        let Some(&at) = self.by_request.get(&request) else { return false };
        let known = &mut self.entries[at as usize];
        known.role = known.role.max(role);
        true
    }

    /// Adds a request unless it is there; returns how many bytes were added.
    pub(super) fn tell(&mut self, entry: Entry, room: bool) -> usize {
        if self.knows(entry.request, entry.role) {
            return 0;
        }
        if !room || self.entries.len() >= EVENTS_CAP {
            self.unlisted += 1;
            return 0;
        }
        let weight = entry.weight();
        self.listed += weight;
        self.by_request.insert(entry.request, self.entries.len() as u32);
        self.entries.push(entry);
        weight
    }
}

/// A request in a finished story.
#[derive(Clone, Debug, Serialize)]
pub struct StoryEvent {
    /// Audit id.
    pub audit_id: Box<str>,
    /// Stage.
    pub stage: &'static str,
    /// When the request was received.
    pub time: Option<Timestamp>,
    /// Why it is here.
    pub role: Role,
    /// What it did, in a few words; then the response's code, and whether it was a dry run.
    pub what: Box<str>,
    /// The response's code.
    pub code: Option<u16>,
    /// Whether it was a dry run: nothing was stored.
    pub dry_run: bool,
    /// How many bytes of `what` are words.
    #[serde(skip)]
    words: usize,
    /// The words were cut.
    #[serde(skip)]
    pub(super) is_cut: bool,
}

impl StoryEvent {
    fn of(entry: &Entry) -> Self {
        let (id, words) = entry.texts();
        let Ending { code, is_dry, is_cut } = entry.ending;
        let mut what = words.to_owned();
        if is_cut {
            what.push('…');
        }
        if let Some(code) = code {
            what.push_str(&format!(" {code}"));
        }
        if is_dry {
            what.push_str(" (dry run)");
        }
        Self {
            audit_id: id.into(),
            stage: entry.stage,
            time: stamp(entry.time),
            role: entry.role,
            words: words.len(),
            what: what.into(),
            code,
            dry_run: is_dry,
            is_cut,
        }
    }

    /// What it did, without code.
    pub(super) fn words(&self) -> &str {
        &self.what[..self.words]
    }

    /// An event with these words.
    #[cfg(test)]
    pub(super) fn made(what: &str, ending: Ending) -> Self {
        Self::of(&Entry::new(0, 0, "ResponseComplete", Role::Evidence, ("a", what), ending))
    }
}

/// What one rule found in a story.
#[derive(Clone, Debug)]
pub struct RuleInStory {
    /// Which rule, by number.
    pub rule: u32,
    /// How many findings.
    pub count: u64,
    /// The first of them.
    pub first: Option<Timestamp>,
    /// Severity.
    pub severity: Severity,
    /// The first finding's sentence.
    pub message: String,
    /// Who acted in it.
    pub actor: Actor,
    /// Who is behind the first finding, if more is known than the actor's name.
    pub attribution: Option<Attribution>,
}

/// Findings that belong together, with the requests around them.
#[derive(Clone, Debug)]
pub struct Story {
    /// Deterministic id.
    pub id: String,
    /// The gravest finding's.
    pub severity: Severity,
    /// 0–100: grows with severity and with the number of different rules.
    pub score: u32,
    /// Who, the first identity first.
    pub actors: Vec<Actor>,
    /// First request.
    pub first: Option<Timestamp>,
    /// Last request.
    pub last: Option<Timestamp>,
    /// Ids of the findings.
    pub findings: Vec<String>,
    /// How many findings.
    pub finding_count: u64,
    /// What each rule found, in the order of time.
    pub rules: Vec<RuleInStory>,
    /// The requests, in the order of time.
    pub events: Vec<StoryEvent>,
    /// Requests beyond those listed.
    pub unlisted: u64,
}

/// Puts the tales of one actor, or of one intruder's several identities, in order.
pub(super) fn tell_story(mut tales: Vec<Tale>) -> Story {
    tales.sort_by_key(|t| (t.first_clue, t.session));
    let mut rules: HashMap<u32, Tally> = HashMap::new();
    let mut entries: HashMap<u64, Entry> = HashMap::new();
    let mut actors: Vec<Actor> = Vec::new();
    let mut met: HashSet<Actor> = HashSet::new();
    let mut findings = Vec::new();
    let (mut finding_count, mut unlisted) = (0, 0);
    let severity = tales.iter().map(|t| t.severity).max().unwrap_or(Severity::Informational);
    for tale in tales {
        if actors.len() < ACTORS_CAP && met.insert(tale.actor.clone()) {
            actors.push(tale.actor);
        }
        findings.extend(tale.findings);
        finding_count += tale.finding_count;
        unlisted += tale.unlisted;
        for (rule, tally) in tale.rules {
            rules
                .entry(rule)
                .and_modify(|t| {
                    t.count += tally.count;
                    t.severity = t.severity.max(tally.severity);
                    if tally.first < t.first {
                        t.first = tally.first;
                        t.telling.clone_from(&tally.telling);
                    }
                })
                .or_insert(tally);
        }
        for entry in tale.entries {
            entries.entry(entry.request).and_modify(|e| e.role = e.role.max(entry.role)).or_insert(entry);
        }
    }
    let mut entries: Vec<Entry> = entries.into_values().collect();
    entries.sort_by(|a, b| (a.time, a.texts().0).cmp(&(b.time, b.texts().0)));
    let mut rules: Vec<(u32, Tally)> = rules.into_iter().collect();
    rules.sort_by_key(|(rule, t)| (t.first, *rule));
    let weight = |s: Severity| match s {
        Severity::Critical => 40,
        Severity::High => 25,
        Severity::Medium => 12,
        Severity::Low => 4,
        Severity::Informational => 1,
    };
    let score = rules.iter().map(|(_, t)| weight(t.severity)).sum::<u32>().min(100);
    let findings: Vec<String> = findings.iter().map(|id| format!("{id:016x}")).collect();
    Story {
        id: format!("{:016x}", xxh3_64(findings.first().map_or("", |f| f).as_bytes())),
        severity,
        score,
        actors,
        first: entries.iter().map(|e| e.time).find(|t| *t != i64::MIN).and_then(stamp),
        last: entries.last().and_then(|e| stamp(e.time)),
        findings,
        finding_count,
        rules: rules
            .into_iter()
            .map(|(rule, t)| RuleInStory {
                rule,
                count: t.count,
                first: stamp(t.first),
                severity: t.severity,
                message: t.telling.message,
                actor: t.telling.actor,
                attribution: t.telling.attribution,
            })
            .collect(),
        events: entries.iter().map(StoryEvent::of).collect(),
        unlisted,
    }
}
