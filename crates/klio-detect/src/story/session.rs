//! The latest requests of one session, in few bytes.

use klio_model::{Actor, Severity};

use super::tale::{Entry, Role};
use super::{Clue, Request};

/// A session's log is cut to half when it grows beyond this, bytes; about 400 requests.
const LOG_CAP: usize = 48 << 10;
/// Low findings that wait for a story.
const SUSPICIONS_CAP: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Session {
    pub last: i64,
    pub story: Option<u32>,
    /// Packed requests, oldest first.
    pub log: Vec<u8>,
    pub suspicions: Vec<Suspicion>,
}

/// A finding that was too small to open a story.
#[derive(Debug)]
pub(super) struct Suspicion {
    pub number: u32,
    pub time: i64,
    id: String,
    rule: u32,
    severity: Severity,
    actor: Actor,
    wrote: Option<String>,
    reached: Option<String>,
    message: String,
    evidence: Vec<(u64, String, &'static str, i64, String)>,
}

impl Suspicion {
    pub(super) fn clue(&self) -> Clue<'_> {
        Clue {
            number: self.number,
            id: &self.id,
            rule: self.rule,
            severity: self.severity,
            time: self.time,
            actor: &self.actor,
            wrote: self.wrote.clone(),
            reached: self.reached.clone(),
            binding: None,
            message: &self.message,
            evidence: &self.evidence,
        }
    }
}

impl Session {
    pub(super) fn suspect(&mut self, clue: &Clue<'_>) {
        if self.suspicions.len() >= SUSPICIONS_CAP {
            self.suspicions.remove(0);
        }
        self.suspicions.push(Suspicion {
            number: clue.number,
            time: clue.time,
            id: clue.id.to_owned(),
            rule: clue.rule,
            severity: clue.severity,
            actor: clue.actor.clone(),
            wrote: clue.wrote.clone(),
            reached: clue.reached.clone(),
            message: clue.message.to_owned(),
            evidence: clue.evidence.to_vec(),
        });
    }

    pub(super) fn remember(&mut self, r: &Request<'_>) {
        let (id, what) = (cut(r.audit_id, 200), cut(r.what, 250));
        self.log.extend_from_slice(&r.request.to_le_bytes());
        self.log.extend_from_slice(&r.time.to_le_bytes());
        self.log.push(stage_number(r.stage));
        self.log.push(id.len() as u8);
        self.log.push(what.len() as u8);
        self.log.extend_from_slice(id.as_bytes());
        self.log.extend_from_slice(what.as_bytes());
        if self.log.len() > LOG_CAP {
            let mut at = 0;
            while at < LOG_CAP / 2 {
                at += HEAD + usize::from(self.log[at + 17]) + usize::from(self.log[at + 18]);
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
            let (id, what) = (usize::from(head[17]), usize::from(head[18]));
            let text =
                |r: std::ops::Range<usize>| String::from_utf8_lossy(tail.get(r).unwrap_or_default()).into();
            let time = number(8) as i64;
            if time >= from {
                out.push(Entry {
                    request: number(0),
                    time,
                    stage: stage_name(head[16]),
                    role: Role::Context,
                    audit_id: text(0..id),
                    what: text(id..id + what),
                });
            }
            rest = tail.get(id + what..).unwrap_or_default();
        }
        out
    }
}

const HEAD: usize = 19;
const STAGES: [&str; 5] = ["", "RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];

fn stage_number(stage: &str) -> u8 {
    STAGES.iter().position(|s| *s == stage).unwrap_or(0) as u8
}

fn stage_name(number: u8) -> &'static str {
    STAGES.get(usize::from(number)).copied().unwrap_or_default()
}

/// The text's beginning, at most so many bytes.
fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    &text[..end]
}
