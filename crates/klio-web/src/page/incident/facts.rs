//! What the archive says about the requests of an incident beyond the story.

use std::collections::HashMap;

use klio_model::{Event, Field, FieldRef, Filter, Severity, TimeRange, Timestamp};

use crate::api;
use crate::archive::{Question, Slice};
use crate::view::{FindingView, RequestView, RuleInIncident, StoryEventView, StoryView, words};
use crate::visitor::Visitor;
use crate::{Problem, Web};

/// Requests whose events are read; of the others the story's few words are known.
const READ: usize = 1_500;
/// Stages of each that are read.
const STAGES: usize = 3;
/// Findings of a rule that are told.
const TOLD: usize = 8;

/// The requests of a story, with who made each and what it proves.
pub(super) async fn requests(
    web: &Web,
    visitor: &Visitor,
    story: &StoryView,
    findings: &[FindingView],
) -> Result<Vec<RequestView>, Problem> {
    let mut ids: Vec<&StoryEventView> = story.events.iter().collect();
    // If not all can be read, then those that prove something.
    ids.sort_by_key(|event| event.role.as_str() != Some("evidence"));
    let one = |event: &&StoryEventView| api::is(Field::AuditId, &event.audit_id);
    let time = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse);
    let question = Question {
        clusters: vec![story.cluster.clone()],
        filter: Filter::or(ids.iter().take(READ).map(one)),
        range: TimeRange {
            start: time(&story.first),
            end: time(&story.last).map(|last| Timestamp(last.micros().saturating_add(1))),
        },
    };
    let slice = Slice { after: None, most: READ * STAGES };
    let found =
        visitor.ask(web, move |a, sight, patience| a.events(sight, patience, &question, &slice)).await?;
    visitor.note.rows(found.items.len());
    let mut known: HashMap<String, RequestView> = HashMap::new();
    let key = |id: &str, stage: &str| format!("{stage} {id}");
    for record in &found.items {
        let Some(seen) = api::event_view(record, &visitor.sight, false) else { continue };
        let Ok(event) = Event::parse(seen.event.get()) else { continue };
        known.insert(key(seen.audit_id.as_deref().unwrap_or_default(), seen.stage), facts(&event));
    }
    let proofs = proofs(findings);
    let told = story.events.iter().enumerate().map(|(at, event)| {
        let mut request =
            known.get(&key(&event.audit_id, &event.stage)).cloned().unwrap_or_else(|| guessed(event));
        request.number = at as u64 + 1;
        request.audit_id.clone_from(&event.audit_id);
        request.time = time(&event.time);
        request.is_evidence = event.role.as_str() == Some("evidence");
        request.what.clone_from(&event.what);
        if let Some(proof) = proofs.get(event.audit_id.as_str()) {
            request.severity = Some(proof.severity.name().to_owned());
            request.rules.clone_from(&proof.rules);
            if request.user.is_none() {
                request.user.clone_from(&proof.of.actor.user);
                request.source_ip.clone_from(&proof.of.actor.source_ip);
                request.credential.clone_from(&proof.of.actor.credential);
            }
        }
        request
    });
    Ok(told.collect())
}

fn facts(event: &Event<'_>) -> RequestView {
    let own = |text: &Option<klio_model::json::Str<'_>>| text.as_ref().map(|text| text.0.to_string());
    let resource = own(&event.object.resource).map(|resource| match own(&event.object.subresource) {
        Some(part) => format!("{resource}/{part}"),
        None => resource,
    });
    RequestView {
        user: own(&event.user.name),
        impersonated: event.impersonated.as_ref().and_then(|other| own(&other.name)),
        source_ip: event.source_ip().map(str::to_owned),
        credential: FieldRef::of(Field::Credential).values(event).into_iter().next(),
        verb: own(&event.verb),
        resource,
        namespace: own(&event.object.namespace).filter(|namespace| !namespace.is_empty()),
        name: own(&event.object.name),
        code: event.code,
        ..RequestView::default()
    }
}

/// Of a request that cannot be read what its few words say: `create pods/exec shop/cart 101`.
fn guessed(event: &StoryEventView) -> RequestView {
    let mut words: Vec<&str> = event.what.split(' ').collect();
    let code = words.last().and_then(|word| word.parse::<i64>().ok());
    if code.is_some() {
        words.pop();
    }
    let word = |at: usize| words.get(at).map(|word| (*word).to_owned());
    let resource = word(1).filter(|word| !word.starts_with('/'));
    let place = word(2).filter(|_| resource.is_some());
    let (namespace, name) = match place.as_deref().map(|place| place.split_once('/').ok_or(place)) {
        Some(Ok((namespace, name))) => (Some(namespace.to_owned()), Some(name.to_owned())),
        Some(Err(name)) => (None, Some(name.to_owned())),
        None => (None, None),
    };
    let name = name.filter(|name| name != "*");
    RequestView { verb: word(0), resource, namespace, name, code, ..RequestView::default() }
}

struct Proof<'f> {
    severity: Severity,
    rules: Vec<String>,
    of: &'f FindingView,
}

/// Which findings rest on each request.
fn proofs(findings: &[FindingView]) -> HashMap<&str, Proof<'_>> {
    let mut proofs: HashMap<&str, Proof<'_>> = HashMap::new();
    for finding in findings {
        let severity = finding.severity.parse().unwrap_or(Severity::Informational);
        for evidence in &finding.evidence {
            let proof = proofs.entry(&evidence.audit_id);
            let proof = proof.or_insert_with(|| Proof { severity, rules: Vec::new(), of: finding });
            proof.severity = proof.severity.max(severity);
            if !proof.rules.contains(&finding.rule.title) {
                proof.rules.push(finding.rule.title.clone());
            }
        }
    }
    proofs
}

/// The findings by rule, in the order in which the rules first fired.
pub(super) fn rules(findings: Vec<FindingView>) -> Vec<RuleInIncident> {
    let mut rules: Vec<RuleInIncident> = Vec::new();
    for finding in findings {
        let known = rules.iter_mut().find(|rule| rule.id == finding.rule.id);
        let Some(rule) = known else {
            rules.push(RuleInIncident {
                id: finding.rule.id.clone(),
                title: finding.rule.title.clone(),
                severity: finding.severity.clone(),
                tactics: words(&finding.tactics),
                techniques: words(&finding.techniques),
                count: 1,
                first: finding.time.as_deref().and_then(Timestamp::parse),
                findings: vec![finding],
            });
            continue;
        };
        rule.count += 1;
        let grave = |text: &str| text.parse::<Severity>().ok();
        if grave(&finding.severity) > grave(&rule.severity) {
            rule.severity.clone_from(&finding.severity);
        }
        if rule.findings.len() < TOLD {
            rule.findings.push(finding);
        }
    }
    rules
}
