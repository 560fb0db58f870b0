//! Where a story began: the first request of the chain behind it, and who stands behind the others.

use klio_detect::story::{RuleInStory, Story};
use klio_model::attribution::Because;
use klio_model::{Attribution, Person, Timestamp};
use serde::Serialize;

use super::narrative::{Paragraph, at};
use super::view::{identity, short};

/// Chains that are told.
const CHAINS: usize = 12;

/// The request with which a story began, as far as the records say.
#[derive(Clone, Debug, Serialize)]
pub struct FirstCause {
    /// Why the story follows from it; nothing for a request of the story itself.
    because: Option<Because>,
    /// Who authenticated.
    user: Option<String>,
    /// As whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    acting_as: Option<String>,
    /// Who uses that account.
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<Person>,
    /// What it did.
    what: Option<String>,
    /// Its audit id.
    audit_id: Option<String>,
    /// When it was received.
    time: Option<Timestamp>,
    /// Whether it follows from recorded owners and credentials, and not from names alone.
    sure: bool,
    /// The workload of the pod whose token it used.
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<String>,
}

impl FirstCause {
    /// Behind the first finding; of who made it, if nobody stands behind him.
    pub fn of(story: &Story) -> Option<Self> {
        let rule = story.rules.first()?;
        let told = rule.attribution.as_ref();
        if let Some(cause) = told.and_then(Attribution::first_cause) {
            let cause = cause.clone();
            return Some(Self {
                because: Some(cause.because),
                user: Some(cause.user),
                acting_as: cause.acting_as,
                person: cause.person,
                what: cause.what,
                audit_id: cause.audit_id,
                time: cause.time,
                // A chain is as sure as its weakest link.
                sure: told.is_some_and(|told| told.chain.iter().all(|cause| cause.sure)),
                workload: cause.workload,
            });
        }
        let actor = &rule.actor;
        let id = at(story, rule.first).into_iter().next();
        let event = story.events.iter().find(|event| id.as_ref().is_some_and(|id| *id == *event.audit_id));
        Some(Self {
            because: None,
            user: actor.user.clone(),
            acting_as: actor.impersonated.clone(),
            person: actor.person.clone(),
            what: event.map(|event| event.what.to_string()),
            audit_id: id,
            time: rule.first,
            sure: true,
            workload: told.and_then(|told| told.workload.clone()),
        })
    }
}

/// The first cause, and who is behind the findings: each chain once.
pub fn causes(story: &Story) -> Vec<Paragraph> {
    let mut told: Vec<Paragraph> = story.rules.first().map(|rule| first(story, rule)).into_iter().collect();
    for rule in &story.rules {
        let Some(behind) = rule.attribution.as_ref().filter(|told| !told.chain.is_empty()) else { continue };
        let text = format!("By {}.", behind.said);
        if told.len() <= CHAINS && told.iter().all(|known| known.text != text) {
            let evidence = behind.chain.iter().filter_map(|cause| cause.audit_id.clone());
            told.push(Paragraph { text, evidence: evidence.collect() });
        }
    }
    told
}

fn first(story: &Story, rule: &RuleInStory) -> Paragraph {
    let when =
        |time: Option<Timestamp>| time.map(|time| format!(" at {} UTC", short(time))).unwrap_or_default();
    let behind = rule.attribution.as_ref();
    if let Some(cause) = behind.and_then(|told| told.first_cause()) {
        let what = cause.what.as_deref().map(|what| format!(" ({what})")).unwrap_or_default();
        let unsure = if cause.sure { "" } else { ", by names alone" };
        return Paragraph {
            text: format!("First cause: {}{}{what}{unsure}.", cause.who(), when(cause.time)),
            evidence: cause.audit_id.iter().cloned().collect(),
        };
    }
    let (who, rest) = match behind.filter(|told| told.workload.is_some()) {
        Some(told) => (told.said.clone(), "; who wrote that workload is not recorded here"),
        None => (identity(&rule.actor), ""),
    };
    Paragraph {
        text: format!("First cause: {who}{}{rest}.", when(rule.first)),
        evidence: at(story, rule.first),
    }
}
