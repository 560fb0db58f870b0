//! The part of a scan that must see events in order: duplicates, requests and their stages, correlations,
//! stories, and the numbers of the summary.

use std::time::Duration;

use hashbrown::HashMap;
use klio_detect::story::{Clue, Request, Storyteller};
use klio_detect::{Correlator, Dialect, Engine, Match, RuleSet};
use klio_model::{Finding, Proof, RuleRef, Severity, Stage, Tactic};
use xxhash_rust::xxh3::xxh3_64;

use super::feed::Troubles;
use super::known::{Horizon, Known};
use super::report::{Report, RuleCount, RuleName, Summary};
use super::spill::Spill;
use super::tally::{Times, rule_ref};
use super::worker::{Found, Hit, Judged, Seen, mix, request_key};
use crate::failure::Failure;

/// Identities that are counted one by one; more are counted together.
const IDENTITIES_CAP: usize = 50_000;
/// Requests whose session is remembered for correlations.
const SESSIONS_CAP: usize = 200_000;
/// Rejections that the summary lists one by one.
const REASONS_CAP: usize = 1_000;

/// A rule, correlation or built-in check by its number.
struct Numbered {
    rule: RuleRef,
    severity: Severity,
    tactics: Vec<Tactic>,
    count: u64,
}

/// All state that depends on the order of events.
pub(super) struct Sequence<'e> {
    rules: Vec<Numbered>,
    set: &'e RuleSet,
    correlator: Correlator,
    horizon: Horizon,
    stories: Storyteller,
    /// Sessions of the requests that correlations watch.
    session_of: HashMap<u64, u64, foldhash::fast::FixedState>,
    spill: Spill,
    times: Times,
    identities: HashMap<Box<str>, u64, foldhash::fast::FixedState>,
    other_identities: u64,
    summary: Summary,
}

impl<'e> Sequence<'e> {
    pub(super) fn new(engine: &Engine, set: &'e RuleSet) -> Self {
        let mut rules: Vec<Numbered> = engine
            .rules()
            .iter()
            .map(|r| Numbered {
                rule: rule_ref(r),
                severity: r.severity,
                tactics: r.tactics.clone(),
                count: 0,
            })
            .collect();
        rules.extend(set.correlations.iter().map(|c| Numbered {
            rule: RuleRef { id: c.id.clone(), title: c.title.clone(), dialect: c.dialect.name() },
            severity: c.severity,
            tactics: c.tactics.clone(),
            count: 0,
        }));
        let summary = Summary { rules_run: rules.len(), ..Summary::default() };
        rules.push(Numbered {
            rule: RuleRef {
                id: "klio-audit-id-reuse".into(),
                title: "Audit ID used by two different requests".into(),
                dialect: Dialect::Klio.name(),
            },
            severity: Severity::Medium,
            tactics: vec![Tactic::DefenseEvasion],
            count: 0,
        });
        Self {
            rules,
            set,
            correlator: Correlator::new(set),
            horizon: Horizon::default(),
            stories: Storyteller::new(),
            session_of: HashMap::default(),
            spill: Spill::new(),
            times: Times::default(),
            identities: HashMap::default(),
            other_identities: 0,
            summary,
        }
    }

    /// Takes the next chunk's result.
    pub(super) fn take(&mut self, mut judged: Judged) -> Result<(), Failure> {
        let mut by_user = vec![0u64; judged.users.len()];
        let mut hits: Vec<Option<Hit>> = std::mem::take(&mut judged.hits).into_iter().map(Some).collect();
        for seen in &judged.seen {
            let known = self.horizon.event(seen.key, seen.content, seen.request);
            if known == Known::Duplicate {
                self.summary.duplicates += 1;
                continue;
            }
            self.summary.events += 1;
            if let Some(n) = by_user.get_mut(seen.user as usize) {
                *n += 1;
            }
            if seen.stage != Stage::RequestReceived {
                self.summary.requests += 1;
            }
            self.event(seen, known, &judged, &mut hits)?;
        }
        for (user, n) in judged.users.into_iter().zip(by_user) {
            if self.identities.len() < IDENTITIES_CAP || self.identities.contains_key(&user) {
                *self.identities.entry(user).or_default() += n;
            } else {
                self.other_identities += n;
            }
        }
        self.times.merge(judged.times);
        self.summary.bytes += judged.bytes;
        self.summary.filtered += judged.filtered;
        for (format, n) in judged.formats {
            *self.summary.formats.entry(format.to_owned()).or_default() += n;
        }
        self.summary.reject(judged.rejected, REASONS_CAP);
        self.summary.skip(judged.skipped, REASONS_CAP);
        Ok(())
    }

    fn event(
        &mut self,
        seen: &Seen,
        known: Known,
        judged: &Judged,
        hits: &mut [Option<Hit>],
    ) -> Result<(), Failure> {
        // Of the stages of one request only the first that tells an outcome is judged.
        let second =
            seen.long && seen.stage != Stage::RequestReceived && self.horizon.request_judged(seen.request);
        let (start, id, what) = (seen.text.0 as usize, usize::from(seen.text.1), usize::from(seen.text.2));
        let audit_id = &judged.texts[start..start + id];
        let words = &judged.texts[start + id..start + id + what];
        if seen.stage != Stage::RequestReceived && !second {
            self.stories.request(&Request {
                session: seen.session,
                request: seen.request,
                time: seen.time,
                quiet: seen.quiet,
                audit_id,
                stage: seen.stage.name(),
                what: words,
            });
            if seen.issued != 0 {
                self.stories.credential_issued(seen.session, seen.issued);
            }
        }
        for hit in &mut hits[seen.hits.0 as usize..seen.hits.1 as usize] {
            let Some(hit) = hit.take() else { continue };
            if second && !hit.every_stage {
                continue;
            }
            // Stages of one request, and one request recorded by two backends, give one finding per rule.
            if self.horizon.finding_made(seen.request, hit.rule) {
                continue;
            }
            if let Some(found) = hit.finding {
                let evidence =
                    [(seen.request, audit_id.to_owned(), seen.stage.name(), seen.time, words.to_owned())];
                self.found(hit.rule, seen.session, seen.time, *found, &evidence)?;
            }
            if let Some(matched) = hit.matched {
                if self.session_of.len() >= SESSIONS_CAP {
                    self.session_of.clear();
                }
                self.session_of.insert(seen.request, seen.session);
                let results = self.correlator.observe(&matched);
                self.correlated(results)?;
            }
        }
        if known == Known::Reused {
            self.reused(seen, audit_id, words, judged)?;
        }
        Ok(())
    }

    fn correlated(&mut self, results: Vec<Match>) -> Result<(), Failure> {
        for result in results {
            let Some(index) = self.set.correlations.iter().position(|c| *c.id == *result.rule) else {
                continue;
            };
            let correlation = &self.set.correlations[index];
            let number = (self.set.rules.len() + index) as u32;
            let count = result.evidence.len();
            let first = result.evidence.first().map_or(String::new(), |e| e.audit_id.clone());
            let last = result.evidence.last().map_or(String::new(), |e| e.audit_id.clone());
            let ends = mix(xxh3_64(first.as_bytes()), xxh3_64(last.as_bytes()));
            let id = mix(xxh3_64(correlation.id.as_bytes()), mix(ends, count as u64));
            let evidence: Vec<_> = result
                .evidence
                .iter()
                .map(|e| {
                    let time = e.time.map_or(i64::MIN, |t| t.micros());
                    let request = request_key(xxh3_64(e.audit_id.as_bytes()), time);
                    (request, e.audit_id.clone(), e.stage, time, String::new())
                })
                .collect();
            let time = result.time.map_or(i64::MIN, |t| t.micros());
            let session =
                evidence.iter().rev().find_map(|e| self.session_of.get(&e.0).copied()).unwrap_or(id);
            let who =
                result.actor.user.clone().or_else(|| result.actor.source_ip.clone()).unwrap_or_default();
            let finding = Finding {
                id: format!("{id:016x}"),
                time: result.time,
                rule: self.rules[number as usize].rule.clone(),
                severity: if result.proven {
                    correlation.severity
                } else {
                    correlation.severity.min(Severity::Low)
                },
                proof: if result.proven { Proof::Proven } else { Proof::Unproven },
                tactics: correlation.tactics.clone(),
                techniques: correlation.techniques.clone(),
                actor: result.actor,
                object: result.object,
                story: None,
                message: format!("{}: {count} requests, by {who}", correlation.title),
                evidence: result.evidence,
            };
            let found = bare(finding)?;
            self.found(number, session, time, found, &evidence)?;
        }
        Ok(())
    }

    fn reused(&mut self, seen: &Seen, audit_id: &str, words: &str, judged: &Judged) -> Result<(), Failure> {
        let number = (self.rules.len() - 1) as u32;
        let user = judged.users.get(seen.user as usize).map(ToString::to_string);
        let stamp = (seen.time != i64::MIN).then_some(klio_model::Timestamp(seen.time));
        let finding = Finding {
            id: format!("{:016x}", mix(seen.key, seen.content)),
            time: stamp,
            rule: self.rules[number as usize].rule.clone(),
            severity: Severity::Medium,
            proof: Proof::Proven,
            tactics: vec![Tactic::DefenseEvasion],
            techniques: Vec::new(),
            actor: klio_model::Actor { user: user.filter(|u| !u.is_empty()), ..klio_model::Actor::default() },
            object: klio_model::Object::default(),
            story: None,
            message:
                "Audit ID used by two different requests: the client chooses the Audit-ID header; a second \
                      request under a known id may be meant to pass for a repeated delivery"
                    .into(),
            evidence: vec![klio_model::Evidence {
                audit_id: audit_id.to_owned(),
                stage: seen.stage.name(),
                time: stamp,
                file: judged.file.to_string(),
                line: 0,
                fields: vec![("audit.id".into(), audit_id.to_owned())],
            }],
        };
        let evidence = [(seen.request, audit_id.to_owned(), seen.stage.name(), seen.time, words.to_owned())];
        self.found(number, seen.session, seen.time, bare(finding)?, &evidence)
    }

    fn found(
        &mut self,
        rule: u32,
        session: u64,
        time: i64,
        found: Found,
        evidence: &[(u64, String, &'static str, i64, String)],
    ) -> Result<(), Failure> {
        let finding = &found.finding;
        let number = self.spill.push(&found.json)?;
        if let Some(rule) = self.rules.get_mut(rule as usize) {
            rule.count += 1;
        }
        *self.summary.findings.by_severity.entry(finding.severity).or_default() += 1;
        for tactic in &finding.tactics {
            *self.summary.findings.by_tactic.entry(*tactic).or_default() += 1;
        }
        self.stories.finding(
            session,
            &Clue {
                number,
                id: &finding.id,
                rule,
                severity: finding.severity,
                time,
                actor: &finding.actor,
                wrote: found.wrote,
                reached: found.reached,
                binding: found.binding,
                message: &finding.message,
                evidence,
            },
        );
        Ok(())
    }

    /// Ends the scan.
    pub(super) fn finish(
        mut self,
        troubles: Troubles,
        blind: Vec<RuleName>,
        took: Duration,
    ) -> Result<Report, Failure> {
        let results = self.correlator.finish();
        self.correlated(results)?;
        let mut summary = std::mem::take(&mut self.summary);
        summary.files = troubles.files;
        summary.reject(troubles.rejected, REASONS_CAP);
        summary.skip(troubles.skipped, REASONS_CAP);
        summary.untimed = self.times.untimed;
        let (range, gaps) = self.times.finish();
        summary.time_range = range.into();
        summary.gaps = gaps;
        summary.seconds = took.as_secs_f64();
        summary.rules_blind = blind;
        summary.identities_seen = self.identities.len() as u64 + u64::from(self.other_identities > 0);
        let mut identities: Vec<(Box<str>, u64)> = self.identities.into_iter().collect();
        identities.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        identities.truncate(10);
        summary.top_identities = identities.into_iter().map(|(n, c)| (n.into_string(), c)).collect();
        let (stories, story_of) = self.stories.finish();
        summary.stories = stories.len() as u64;
        let stored = self.spill.finish()?;
        let rules = self
            .rules
            .into_iter()
            .map(|r| RuleCount { rule: r.rule, severity: r.severity, tactics: r.tactics, count: r.count })
            .collect();
        Ok(Report { summary, stories, story_of, findings: stored, rules })
    }
}

/// A finding that tells the story nothing but itself.
fn bare(finding: Finding) -> Result<Found, Failure> {
    let json = serde_json::to_vec(&finding).map_err(Failure::world)?;
    Ok(Found { finding, json, wrote: None, reached: None, binding: None })
}
