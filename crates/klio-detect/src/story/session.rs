//! The latest requests of one session, in few bytes.

use klio_model::Severity;

use super::tale::{Entry, Role};
use super::{AROUND, Clue, Ending, ID_CAP, Request, Telling, WORDS_CAP, cut};

/// A session's log is cut to half when it grows beyond this, bytes; about 400 requests.
const LOG_CAP: usize = 48 << 10;
/// Kinds of low findings that wait for a story.
const SUSPICIONS_CAP: usize = 32;
/// Findings of one kind that wait; of more, the first and the latest.
const ALIKE_CAP: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Session {
    pub last: i64,
    /// The request's of that name.
    pub actor: u64,
    /// The request's of that name.
    pub stranger: u64,
    pub story: Option<u32>,
    /// Packed requests, oldest first.
    pub log: Vec<u8>,
    suspicions: Vec<Suspicion>,
    /// The weights of the suspicions.
    suspected: usize,
}

/// What a session costs besides its log, bytes.
const SESSION: usize = 192;

/// Findings of one rule that were too small to open a story, told by the first of them.
#[derive(Clone, Debug)]
pub(super) struct Suspicion {
    rule: u32,
    severity: Severity,
    telling: Telling,
    found: Vec<Small>,
}

#[derive(Clone, Debug)]
struct Small {
    number: u32,
    id: u64,
    time: i64,
    wrote: Option<u64>,
    reached: Option<u64>,
    binding: Option<u64>,
    evidence: Vec<Entry>,
}

impl Suspicion {
    fn first(&self) -> i64 {
        self.found.first().map_or(i64::MIN, |f| f.time)
    }

    /// When the latest of them happened.
    pub(super) fn last(&self) -> i64 {
        self.found.last().map_or(i64::MIN, |f| f.time)
    }

    /// Which findings they are.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.found.iter().map(|f| f.number)
    }

    /// The sentence of the first, and all of them with their requests.
    pub(super) fn clues(self) -> (Telling, impl Iterator<Item = (Clue<'static>, Vec<Entry>)>) {
        let clues = self.found.into_iter().map(move |small| {
            let clue = Clue {
                number: small.number,
                id: small.id,
                rule: self.rule,
                severity: self.severity,
                time: small.time,
                wrote: small.wrote,
                reached: small.reached,
                binding: small.binding,
                evidence: &[],
            };
            (clue, small.evidence)
        });
        (self.telling, clues)
    }

    fn weight(&self) -> usize {
        size_of::<Self>() + self.telling.bytes() + self.found.iter().map(Small::weight).sum::<usize>()
    }
}

impl Small {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.evidence.iter().map(Entry::weight).sum::<usize>()
    }
}

impl Session {
    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        SESSION + self.log.capacity() + self.suspected
    }

    /// Forgets the oldest until it is no heavier than that: requests first.
    pub(super) fn shrink(&mut self, limit: usize) {
        while SESSION + self.suspected > limit && !self.suspicions.is_empty() {
            self.suspected -= self.suspicions.remove(0).weight();
        }
        let room = limit.saturating_sub(SESSION + self.suspected);
        if self.log.capacity() > room {
            self.log = self.log[self.past(self.log.len().saturating_sub(room))..].to_vec();
        }
    }

    /// Where the first logged request begins that begins there or later.
    fn past(&self, from: usize) -> usize {
        let mut at = 0;
        while at < from {
            at += HEAD + texts(&self.log[at..]);
        }
        at.min(self.log.len())
    }

    /// The findings that wait for a story.
    pub(super) fn suspicions(&self) -> &[Suspicion] {
        &self.suspicions
    }

    /// Takes them all, and the log with them.
    pub(super) fn take_suspicions(&mut self) -> Vec<Suspicion> {
        (self.log, self.suspected) = (Vec::new(), 0);
        std::mem::take(&mut self.suspicions)
    }

    pub(super) fn suspect(&mut self, clue: &Clue<'_>, tell: &mut dyn FnMut() -> Telling) {
        let small = Small {
            number: clue.number,
            id: clue.id,
            time: clue.time,
            wrote: clue.wrote,
            reached: clue.reached,
            binding: clue.binding,
            evidence: clue.evidence.iter().map(|r| Entry::of(r, Role::Evidence)).collect(),
        };
        // A sentence older than a story reaches back would tell of something that is not in it.
        let is_alike = |s: &&mut Suspicion| {
            s.rule == clue.rule
                && s.severity == clue.severity
                && clue.time.saturating_sub(s.first()) <= AROUND
        };
        let weight = small.weight();
        if let Some(alike) = self.suspicions.iter_mut().find(is_alike) {
            if alike.found.len() >= ALIKE_CAP {
                self.suspected -= alike.found.remove(1).weight();
            }
            self.suspected += weight;
            alike.found.push(small);
            return;
        }
        if self.suspicions.len() >= SUSPICIONS_CAP {
            self.suspected -= self.suspicions.remove(0).weight();
        }
        let (rule, severity, telling) = (clue.rule, clue.severity, tell().bounded());
        let fresh = Suspicion { rule, severity, telling, found: vec![small] };
        self.suspected += fresh.weight();
        self.suspicions.push(fresh);
    }

    pub(super) fn remember(&mut self, r: &Request<'_>) {
        let (id, what) = (cut(r.audit_id, ID_CAP), cut(r.what, WORDS_CAP));
        let is_cut = r.ending.is_cut || what.len() < r.what.len();
        self.log.extend_from_slice(&r.request.to_le_bytes());
        self.log.extend_from_slice(&r.time.to_le_bytes());
        self.log.push(stage_number(r.stage));
        self.log.push(id.len() as u8);
        self.log.extend_from_slice(&(what.len() as u16).to_le_bytes());
        self.log.extend_from_slice(&r.ending.code.unwrap_or_default().to_le_bytes());
        self.log.push(u8::from(r.ending.is_dry) | u8::from(is_cut) << 1);
        self.log.extend_from_slice(id.as_bytes());
        self.log.extend_from_slice(what.as_bytes());
        if self.log.len() > LOG_CAP {
            let from = self.past(LOG_CAP / 2);
            self.log.drain(..from);
        }
    }

    /// The logged requests from a time on.
    pub(super) fn recall(&self, from: i64) -> Vec<Entry> {
        let mut out = Vec::new();
        let mut rest = self.log.as_slice();
        while let Some((head, tail)) = rest.split_first_chunk::<HEAD>() {
            let number = |i: usize| {
                let mut n = [0; 8];
                n.copy_from_slice(&head[i..i + 8]);
                u64::from_le_bytes(n)
            };
            let (id, both) = (usize::from(head[17]), texts(head));
            let text = |r: std::ops::Range<usize>| String::from_utf8_lossy(tail.get(r).unwrap_or_default());
            let time = number(8) as i64;
            if time >= from {
                let (id, what) = (text(0..id), text(id..both));
                let code = u16::from_le_bytes([head[20], head[21]]);
                let ending = Ending {
                    code: (code != 0).then_some(code),
                    is_dry: head[22] & 1 != 0,
                    is_cut: head[22] & 2 != 0,
                };
                let stage = stage_name(head[16]);
                out.push(Entry::new(number(0), time, stage, Role::Context, (&id, &what), ending));
            }
            rest = tail.get(both..).unwrap_or_default();
        }
        out
    }
}

/// Request, time, stage, lengths of the audit id and of the words, code, flags; then these two texts.
const HEAD: usize = 23;
const STAGES: [&str; 5] = ["", "RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];

/// How many bytes of text follow this head.
fn texts(head: &[u8]) -> usize {
    usize::from(head[17]) + usize::from(u16::from_le_bytes([head[18], head[19]]))
}

fn stage_number(stage: &str) -> u8 {
    STAGES.iter().position(|s| *s == stage).unwrap_or(0) as u8
}

fn stage_name(number: u8) -> &'static str {
    STAGES.get(usize::from(number)).copied().unwrap_or_default()
}
