//! Findings that no single event makes: correlations, and audit ids that come twice.

use hashbrown::HashMap;
use klio_detect::Match;
use klio_detect::correlate::{Correlation, CorrelationKind};
use klio_detect::story::{Clue, Ending, Request, Telling};
use klio_model::{Actor, Attribution, Evidence, Finding, Object, Proof, Severity, Tactic, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::Sequence;
use crate::failure::Failure;
use crate::output::identity;
use crate::scan::keys::{mix, request_key};
use crate::scan::telling::severity;

/// Memory for the requests that correlations watch, bytes.
const WATCHED_CAP: usize = 48 << 20;
/// What one of them costs besides its words, bytes.
const WATCHED: usize = 96;

/// What correlations do not remember of a request.
#[derive(Clone, Debug, Default)]
struct Past {
    /// 0 if it is not known.
    session: u64,
    what: Box<str>,
    ending: Ending,
}

/// The requests that correlations watch.
#[derive(Debug, Default)]
pub(super) struct Watched {
    requests: HashMap<u64, Past, foldhash::fast::RandomState>,
    bytes: usize,
}

impl Watched {
    /// Remembers a request. When memory is full, all are forgotten: a correlation is over sooner.
    pub(super) fn note(&mut self, request: &Request<'_>) {
        if self.bytes > WATCHED_CAP {
            *self = Self::default();
        }
        let (session, ending) = (request.session, request.ending);
        let past = Past { session, what: request.what.into(), ending };
        self.bytes += WATCHED + past.what.len();
        if let Some(past) = self.requests.insert(request.request, past) {
            self.bytes -= WATCHED + past.what.len();
        }
    }

    fn of(&self, request: u64) -> Past {
        self.requests.get(&request).cloned().unwrap_or_default()
    }
}

impl Sequence<'_> {
    /// What correlations found; who made the request that completed them, and who is behind him.
    pub(super) fn correlated(
        &mut self,
        results: Vec<Match>,
        last: Option<(&Actor, Option<&Attribution>)>,
    ) -> Result<(), Failure> {
        for result in results {
            let Some(index) = self.set.correlations.iter().position(|c| *c.id == *result.rule) else {
                continue;
            };
            let correlation = &self.set.correlations[index];
            let number = self.numbers[self.set.rules.len() + index];
            let count = result.evidence.len();
            let end = |e: Option<&Evidence>| xxh3_64(e.map_or("", |e| &e.audit_id).as_bytes());
            let ends = mix(end(result.evidence.first()), end(result.evidence.last()));
            let id = mix(xxh3_64(correlation.id.as_bytes()), mix(ends, count as u64)) ^ self.salt;
            let is_known = result.actor.user.is_some();
            let who = if is_known {
                identity(&result.actor)
            } else {
                result.actor.source_ip.clone().unwrap_or_default()
            };
            let is_his = |(actor, _): &(&Actor, _)| actor.user == result.actor.user;
            let attribution = last.filter(is_his).and_then(|(_, behind)| behind).cloned();
            let finding = Finding {
                id: format!("{id:016x}"),
                time: result.time,
                rule: self.rules[number as usize].rule.clone(),
                severity: severity(correlation.severity, result.proven),
                proof: if result.proven { Proof::Proven } else { Proof::Unproven },
                tactics: correlation.tactics.clone(),
                techniques: correlation.techniques.clone(),
                actor: result.actor,
                object: result.object,
                message: format!("{}: {count} requests, by {who}", correlation.title),
                attribution,
                evidence: result.evidence,
            };
            let mut requests: Vec<Request<'_>> = finding.evidence.iter().map(request).collect();
            let known: Vec<Past> = requests.iter().map(|r| self.watched.of(r.request)).collect();
            for (request, past) in requests.iter_mut().zip(&known) {
                (request.what, request.ending) = (&*past.what, past.ending);
            }
            let session = known.iter().rev().map(|past| past.session).find(|session| *session != 0);
            // Where places are counted, the other place is the owner's: it proves the finding, and is no deed of the
            // one who is told of.
            if counts_places(correlation) {
                let mut sessions =
                    known.iter().map(|past| Some(past.session) == session || past.session == 0);
                requests.retain(|_| sessions.next().unwrap_or(true));
            }
            self.made(number, id, &finding, session.unwrap_or(id), &requests)?;
        }
        Ok(())
    }

    /// An audit id came a second time, with another request under it. `id` is the finding's.
    pub(super) fn reused(
        &mut self,
        request: &Request<'_>,
        id: u64,
        user: Option<&str>,
        (file, line): (&str, u64),
    ) -> Result<(), Failure> {
        let number = self.numbers[self.set.rules.len() + self.set.correlations.len()];
        let time = (request.time != i64::MIN).then_some(Timestamp(request.time));
        let finding = Finding {
            id: format!("{id:016x}"),
            time,
            rule: self.rules[number as usize].rule.clone(),
            severity: Severity::Medium,
            proof: Proof::Proven,
            tactics: vec![Tactic::DefenseEvasion],
            techniques: Vec::new(),
            actor: Actor { user: user.filter(|u| !u.is_empty()).map(str::to_owned), ..Actor::default() },
            object: Object::default(),
            message:
                "Audit ID used by two different requests: the client chooses the Audit-ID header; a second \
                      request under a known id may be meant to pass for a repeated delivery"
                    .into(),
            attribution: None,
            evidence: vec![Evidence {
                audit_id: request.audit_id.to_owned(),
                stage: request.stage,
                time,
                file: file.to_owned(),
                line,
                fields: vec![("audit.id".into(), request.audit_id.to_owned())],
            }],
        };
        self.made(number, id, &finding, request.session, &[*request])
    }

    /// A finding that was made here.
    fn made(
        &mut self,
        rule: u32,
        id: u64,
        finding: &Finding,
        session: u64,
        evidence: &[Request<'_>],
    ) -> Result<(), Failure> {
        let clue = Clue {
            number: self.findings,
            id,
            rule,
            severity: finding.severity,
            time: finding.time.map_or(i64::MIN, |t| t.micros()),
            wrote: None,
            reached: None,
            binding: None,
            evidence,
        };
        let json =
            if self.listing { serde_json::to_vec(finding).map_err(Failure::world)? } else { Vec::new() };
        self.found(session, &clue, &json, &mut || Telling {
            actor: finding.actor.clone(),
            message: finding.message.clone(),
            attribution: finding.attribution.clone(),
        })
    }
}

/// Whether it counts from how many places something came.
fn counts_places(correlation: &Correlation) -> bool {
    let mut fields = correlation.sources.iter().flat_map(|source| &source.fields).peekable();
    correlation.kind == CorrelationKind::ValueCount
        && fields.peek().is_some()
        && fields.all(|field| matches!(field.as_str(), "source.ip" | "source.scope"))
}

/// A request as a correlation remembers it.
fn request(evidence: &Evidence) -> Request<'_> {
    let time = evidence.time.map_or(i64::MIN, |t| t.micros());
    Request {
        session: 0,
        actor: 0,
        request: request_key(xxh3_64(evidence.audit_id.as_bytes()), time),
        time,
        stranger: 0,
        quiet: false,
        audit_id: &evidence.audit_id,
        stage: evidence.stage,
        what: "",
        ending: Ending::default(),
    }
}
