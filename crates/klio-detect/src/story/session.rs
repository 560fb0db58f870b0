//! The latest requests of one session, in few bytes.

use klio_model::Severity;

use super::tale::{Entry, Role, Tale};
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
    pub stranger: u64,
    pub story: Option<u32>,
    /// Packed requests, oldest first.
    pub log: Vec<u8>,
    pub suspicions: Vec<Suspicion>,
}

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

    /// Tells them all; returns how many requests were added.
    pub(super) fn join(self, tale: &mut Tale, room: usize) -> usize {
        let mut added = 0;
        for small in self.found {
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
            tale.note(&clue, &mut || self.telling.clone());
            for entry in small.evidence {
                added += usize::from(tale.tell(entry, added < room));
            }
        }
        added
    }
}

impl Session {
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
        let alike = self
            .suspicions
            .iter_mut()
            .find(|s| s.rule == clue.rule && s.severity == clue.severity && clue.time - s.first() <= AROUND);
        if let Some(alike) = alike {
            if alike.found.len() >= ALIKE_CAP {
                alike.found.remove(1);
            }
            alike.found.push(small);
            return;
        }
        if self.suspicions.len() >= SUSPICIONS_CAP {
            self.suspicions.remove(0);
        }
        self.suspicions.push(Suspicion {
            rule: clue.rule,
            severity: clue.severity,
            telling: tell(),
            found: vec![small],
        });
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
            let mut at = 0;
            while at < LOG_CAP / 2 {
                at += HEAD + texts(&self.log[at..]);
            }
            self.log.drain(..at.min(self.log.len()));
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
