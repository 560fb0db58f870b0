//! The part of a scan that must see events in order: duplicates, requests and their stages, correlations,
//! stories, and the numbers of the summary.

#[cfg(feature = "lake")]
mod endless;
mod made;
mod merge;

use std::time::Duration;

use hashbrown::HashMap;
use klio_detect::engine::Sight;
use klio_detect::lookup::Places;
use klio_detect::memory::Memory;
use klio_detect::story::{Clue, Request, Storyteller, Telling};
use klio_detect::{AllowList, Correlator, Dialect, Engine, RuleSet};
use klio_model::{Actor, Attribution, Event, Facts, People, RuleRef, Severity, Stage, Tactic};

use super::feed::Troubles;
use super::judged::{Hit, Judged, Seen};
use super::keys::{mix, salt};
use super::known::{Horizon, Known};
use super::report::{Allowed, Report, RuleCount, RuleName, Summary};
use super::spill::Spill;
use super::tally::{Times, rule_ref};
use super::telling::{Maker, Yes, attributed, severity, telling};
use crate::failure::Failure;
use crate::keep::Keeper;
#[cfg(feature = "lake")]
pub(super) use endless::Past;

/// The check that is made without a rule: its id and title.
pub const REUSE: (&str, &str) = ("klio-audit-id-reuse", "Audit ID used by two different requests");

/// Identities that are counted one by one; more are counted together.
const IDENTITIES_CAP: usize = 50_000;
/// Rejections that the summary lists one by one.
const REASONS_CAP: usize = 1_000;
/// Bytes that the memory of a cluster's past may take.
pub(super) const MEMORY_BYTES: usize = 128 << 20;
/// Cut events that the summary lists one by one.
const SALVAGED_CAP: usize = 20;

/// All state that depends on the order of events.
pub(super) struct Sequence<'e> {
    /// Rules, correlations and the built-in check, by the numbers that stories and the horizon know them by.
    rules: Vec<RuleCount>,
    /// The number of each rule of the engine, then of each correlation, then of the built-in check. They are counted through until the
    /// rules are read again.
    numbers: Vec<u32>,
    engine: &'e Engine,
    set: &'e RuleSet,
    /// Of the cluster.
    salt: u64,
    /// Findings are kept for a list; else only the stories are.
    listing: bool,
    maker: Maker,
    allow: AllowList,
    /// How often rules that read the past could not answer.
    sight: Vec<Sight>,
    memory: Memory,
    places: Places,
    findings: u32,
    correlator: Correlator,
    horizon: Horizon,
    stories: Storyteller,
    /// The requests that correlations watch.
    watched: made::Watched,
    spill: Spill,
    waiting: Vec<merge::Waiting>,
    times: Times,
    identities: HashMap<Box<str>, u64, foldhash::fast::RandomState>,
    other_identities: u64,
    summary: Summary,
    keeper: Option<Keeper>,
}

impl<'e> Sequence<'e> {
    pub(super) fn new(
        engine: &'e Engine,
        set: &'e RuleSet,
        listing: bool,
        keeper: Option<Keeper>,
        cluster: Option<&str>,
    ) -> Self {
        let mut rules: Vec<RuleCount> = engine
            .rules()
            .iter()
            .map(|r| RuleCount {
                rule: rule_ref(r),
                severity: r.severity,
                tactics: r.tactics.clone(),
                count: 0,
            })
            .collect();
        rules.extend(set.correlations.iter().map(|c| RuleCount {
            rule: RuleRef { id: c.id.clone(), title: c.title.clone(), dialect: c.dialect.name() },
            severity: c.severity,
            tactics: c.tactics.clone(),
            count: 0,
        }));
        let allowed = set.allow.iter().map(Allowed::of).collect();
        let summary = Summary { rules_run: rules.len(), allowed, ..Summary::default() };
        rules.push(RuleCount {
            rule: RuleRef { id: REUSE.0.into(), title: REUSE.1.into(), dialect: Dialect::Klio.name() },
            severity: Severity::Medium,
            tactics: vec![Tactic::DefenseEvasion],
            count: 0,
        });
        Self {
            numbers: (0..rules.len() as u32).collect(),
            rules,
            engine,
            set,
            salt: salt(cluster),
            listing,
            maker: Maker::new(engine, set, listing),
            allow: AllowList::new(set),
            sight: vec![Sight::default(); engine.rules().len()],
            memory: Memory::new(MEMORY_BYTES),
            places: Places::default(),
            findings: 0,
            correlator: Correlator::new(set),
            horizon: Horizon::default(),
            stories: Storyteller::new(),
            watched: made::Watched::default(),
            spill: Spill::new(),
            waiting: Vec::new(),
            times: Times::default(),
            identities: HashMap::default(),
            other_identities: 0,
            summary,
            keeper,
        }
    }

    /// Takes the event of that number in its file; false if it was delivered before.
    fn seen(&mut self, seen: &Seen, judged: &Judged, number: u64) -> Result<bool, Failure> {
        if judged.spooled.is_none()
            && self.keeper.as_mut().is_some_and(|keeper| keeper.is_known(&judged.file, number))
        {
            return Ok(false);
        }
        let known = self.horizon.event(seen.key, seen.content, seen.request);
        if known == Known::Duplicate {
            self.summary.duplicates += 1;
            return Ok(false);
        }
        self.summary.events += 1;
        if seen.stage != Stage::RequestReceived {
            self.summary.requests += 1;
        }
        self.event(seen, known, judged)?;
        Ok(true)
    }

    /// How often each rule that reads the past could not answer.
    pub(super) fn sight(&self) -> &[Sight] {
        &self.sight
    }

    /// The keeper, for an input that begins.
    pub(super) fn keeper(&mut self) -> Option<&mut Keeper> {
        self.keeper.as_mut()
    }

    /// Adds a result's numbers to the summary.
    fn count(&mut self, judged: &mut Judged, by_user: Vec<u64>) {
        for (user, n) in judged.users.drain(..).zip(by_user) {
            if self.identities.len() < IDENTITIES_CAP || self.identities.contains_key(&user) {
                *self.identities.entry(user).or_default() += n;
            } else {
                self.other_identities += n;
            }
        }
        self.times.merge(std::mem::take(&mut judged.times));
        self.summary.bytes += judged.bytes;
        self.summary.filtered += judged.filtered;
        self.summary.salvaged += judged.salvaged;
        self.summary.salvaged_writes += judged.salvaged_writes.len() as u64;
        let room = SALVAGED_CAP.saturating_sub(self.summary.salvaged_places.len());
        let places = judged.salvaged_writes.iter().take(room).map(|line| format!("{}:{line}", judged.file));
        self.summary.salvaged_places.extend(places);
        for (format, n) in judged.formats.drain(..) {
            *self.summary.formats.entry(format.to_owned()).or_default() += n;
        }
        self.summary.reject(std::mem::take(&mut judged.rejected), REASONS_CAP);
        self.summary.skip(std::mem::take(&mut judged.skipped), REASONS_CAP);
    }

    fn event(&mut self, seen: &Seen, known: Known, judged: &Judged) -> Result<(), Failure> {
        // Of the stages of one request only the first that tells an outcome is judged.
        let second =
            seen.long && seen.stage != Stage::RequestReceived && self.horizon.request_judged(seen.request);
        let (start, id, what) = (seen.text.0 as usize, usize::from(seen.text.1), usize::from(seen.text.2));
        let mut facts = None;
        if seen.stage != Stage::RequestReceived && !second {
            facts = judged.traces.get(seen.trace as usize).map(|trace| self.memory.observe(trace));
        }
        // Anonymous clients are strangers everywhere; the memory has nothing to say of them.
        let is_stranger = facts.as_ref().is_none_or(|facts| facts.address_age.is_some());
        let request = Request {
            session: seen.session,
            actor: seen.actor,
            request: seen.request,
            time: seen.time,
            stranger: if is_stranger { seen.stranger } else { 0 },
            quiet: seen.quiet,
            audit_id: &judged.texts[start..start + id],
            stage: seen.stage.name(),
            what: &judged.texts[start + id..start + id + what],
            ending: seen.ending,
        };
        if seen.stage != Stage::RequestReceived && !second {
            self.stories.request(&request);
            if seen.issued != 0 {
                self.stories.credential_issued(seen.session, seen.issued);
            }
        }
        let mut listed = Vec::new();
        let mut behind = None;
        for hit in &judged.hits[seen.hits.0 as usize..seen.hits.1 as usize] {
            let rule = &self.engine.rules()[hit.rule as usize];
            if second && !rule.every_stage {
                continue;
            }
            let again;
            let (hit, listed) = if hit.later {
                listed.clear();
                let Some(made) = self.again(hit, seen.line, facts.as_ref(), judged, &mut listed) else {
                    continue;
                };
                again = made;
                (&again, &listed)
            } else {
                (hit, &judged.listed)
            };
            // Stages of one request, and one request recorded by two backends, give one finding per rule.
            if self.horizon.finding_made(seen.request, self.numbers[hit.rule as usize]) {
                continue;
            }
            if let Some(count) = self.summary.allowed.get_mut(hit.allowed as usize) {
                count.findings += 1;
                continue;
            }
            if rule.reports {
                let behind = behind.get_or_insert_with(|| self.attribution(seen, hit, judged));
                self.hit(hit, &request, judged, listed, behind.as_ref())?;
            }
            if let Some(matched) = &hit.matched {
                self.watched.note(&request);
                let results = self.correlator.observe(matched);
                if !results.is_empty() {
                    let behind = behind.get_or_insert_with(|| self.attribution(seen, hit, judged));
                    self.correlated(results, Some((&matched.actor, behind.as_ref())))?;
                }
            }
        }
        if known == Known::Reused {
            self.reused(
                &request,
                mix(seen.key, seen.request) ^ self.salt,
                judged.users.get(seen.user as usize).map(|user| &**user),
                (&judged.file, seen.line),
            )?;
        }
        Ok(())
    }

    /// Asks a rule again that reads the past.
    fn again(
        &mut self,
        hit: &Hit,
        line: u64,
        facts: Option<&Facts>,
        judged: &Judged,
        listed: &mut Vec<u8>,
    ) -> Option<Hit> {
        let scene = &judged.scenes[hit.scene as usize];
        // The worker has read it before.
        let mut event = Event::parse(&judged.kept[scene.json.0 as usize..scene.json.1 as usize]).ok()?;
        let known = || event.time().map(|time| self.memory.facts_at(time)).unwrap_or_default();
        let facts = facts.cloned().unwrap_or_else(known);
        (event.salvaged, event.facts) = (scene.salvaged, Some(facts));
        event.people = Some(&self.set.people);
        self.set.lookup.fill(&mut event, &mut self.places);
        let sight = self.sight.get_mut(hit.rule as usize)?;
        let verdict = self.engine.again(&event, hit.rule, sight)?;
        let rule = &self.engine.rules()[hit.rule as usize];
        let yes = Yes { rule, proven: verdict.proven, id: hit.id, file: &judged.file, line };
        let mut made = self.maker.hit(&yes, hit.rule, hit.scene, &event, listed);
        made.allowed = self.allow.excuses(hit.rule, &event).unwrap_or(u32::MAX);
        Some(made)
    }

    /// Who is behind an event, if more is known than its actor's name.
    fn attribution(&self, seen: &Seen, hit: &Hit, judged: &Judged) -> Option<Attribution> {
        let scene = &judged.scenes[hit.scene as usize];
        let user = judged.users.get(seen.user as usize).map(|user| &**user);
        let told = judged.traces.get(seen.trace as usize).map(|trace| self.memory.attribution(trace, user));
        let mut told = told.unwrap_or_default();
        if told.workload.is_none() && told.chain.is_empty() && !scene.acting {
            return None;
        }
        // The worker has read it before.
        let mut event = Event::parse(&judged.kept[scene.json.0 as usize..scene.json.1 as usize]).ok()?;
        event.people = Some(&self.set.people);
        told.tell(&Actor::of(&event), &self.set.people);
        Some(told)
    }

    /// A rule's finding. Its sentence is written only when the story wants to hear it.
    fn hit(
        &mut self,
        hit: &Hit,
        request: &Request<'_>,
        judged: &Judged,
        listed: &[u8],
        behind: Option<&Attribution>,
    ) -> Result<(), Failure> {
        let rule = &self.engine.rules()[hit.rule as usize];
        let scene = &judged.scenes[hit.scene as usize];
        let matters = rule.severity >= Severity::Medium;
        let clue = Clue {
            number: self.findings,
            id: hit.id,
            rule: self.numbers[hit.rule as usize],
            severity: severity(rule.severity, hit.proven),
            time: request.time,
            wrote: scene.wrote.filter(|_| matters),
            reached: scene.reached.filter(|_| matters),
            binding: scene.binding,
            evidence: &[*request],
        };
        let (lookup, mut places) = (&self.set.lookup, Places::default());
        let json = &listed[hit.listed.0 as usize..hit.listed.1 as usize];
        let longer = behind.filter(|_| !json.is_empty()).map(|behind| attributed(json, behind));
        let people: &People = &self.set.people;
        self.found(request.session, &clue, longer.as_deref().unwrap_or(json), &mut || {
            let text = &judged.kept[scene.json.0 as usize..scene.json.1 as usize];
            // The worker has read it before.
            let mut event = Event::parse(text).unwrap_or_else(|_| Event::blank());
            (event.salvaged, event.people) = (scene.salvaged, Some(people));
            lookup.fill(&mut event, &mut places);
            telling(rule, &event, behind)
        })
    }

    fn found(
        &mut self,
        session: u64,
        clue: &Clue<'_>,
        json: &[u8],
        tell: &mut dyn FnMut() -> Telling,
    ) -> Result<(), Failure> {
        if let Some(keeper) = &mut self.keeper {
            keeper.finding(json);
        } else if self.listing {
            self.spill.push(json)?;
        }
        self.findings += 1;
        *self.summary.findings.by_severity.entry(clue.severity).or_default() += 1;
        if let Some(rule) = self.rules.get_mut(clue.rule as usize) {
            rule.count += 1;
            for tactic in &rule.tactics {
                *self.summary.findings.by_tactic.entry(*tactic).or_default() += 1;
            }
        }
        self.stories.finding(session, clue, tell);
        Ok(())
    }

    /// Ends the scan.
    pub(super) fn finish(
        mut self,
        troubles: Troubles,
        blind: Vec<RuleName>,
        took: Duration,
    ) -> Result<(Report, Option<Keeper>), Failure> {
        self.until(None, &mut Vec::new())?;
        let results = self.correlator.finish();
        self.correlated(results, None)?;
        let mut summary = std::mem::take(&mut self.summary);
        summary.files = troubles.files;
        summary.missing = troubles.named;
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
        summary.findings_untold = self.stories.untold();
        summary.sessions_forgotten = self.stories.forgotten();
        summary.correlations_forgotten = self.correlator.stats().evicted;
        summary.memory_forgotten = self.memory.stats().evicted;
        let (stories, story_of) = self.stories.finish();
        summary.stories = stories.len() as u64;
        let stored = self.spill.finish()?;
        Ok((Report { summary, stories, story_of, findings: stored, rules: self.rules }, self.keeper))
    }
}
