//! An incident told in plain English, each paragraph with the audit ids of what it rests on.

use klio_detect::story::{Reach, Reached, Role, Story};
use klio_model::Tactic;
use serde::Serialize;

use super::view::{plural, short, who};
use crate::scan::RuleCount;

/// Audit ids that a paragraph names.
const PROOFS: usize = 20;
/// Things that are named one by one; more are counted.
const NAMED: usize = 8;

/// One paragraph.
#[derive(Clone, Debug, Serialize)]
pub struct Paragraph {
    /// What it says.
    pub text: String,
    /// The audit ids of the requests that it rests on, the first of them.
    pub evidence: Vec<String>,
}

/// The whole story: who and when, the first cause, the phases in the order in which they began, and how far it reached.
pub fn narrative(story: &Story, reach: &Reach, rules: &[RuleCount]) -> Vec<Paragraph> {
    let mut told = vec![opening(story, reach)];
    if let Some(first) = story.rules.first() {
        told.push(Paragraph {
            text: format!("It began with this. {}", first.message),
            evidence: at(story, first.first),
        });
    }
    for (tactic, steps) in phases(story, rules) {
        let begun = steps.first().and_then(|step| step.first).map(short).unwrap_or_default();
        let named: Vec<String> = steps
            .iter()
            .map(|step| {
                let title = rules.get(step.rule as usize).map_or("", |count| count.rule.title.as_str());
                if step.count > 1 { format!("{title} ({} times)", step.count) } else { title.to_owned() }
            })
            .collect();
        let mut evidence: Vec<String> = steps.iter().flat_map(|step| at(story, step.first)).collect();
        evidence.dedup();
        evidence.truncate(PROOFS);
        told.push(Paragraph {
            text: format!("{} from {begun} on: {}.", phase(tactic), named.join("; ")),
            evidence,
        });
    }
    told.extend(reached(story, reach));
    told
}

fn opening(story: &Story, reach: &Reach) -> Paragraph {
    let first = story.actors.first().map(who).unwrap_or_default();
    let others: Vec<String> = story.actors.iter().skip(1).take(NAMED).map(who).collect();
    let more = story.actors.len().saturating_sub(1 + NAMED);
    let with = match (others.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(", also as {},", others.join(", ")),
        (false, more) => format!(", also as {} and {more} more,", others.join(", ")),
    };
    let span = match (story.first, story.last) {
        (Some(a), Some(b)) => format!(" between {} and {} UTC", short(a), short(b)),
        _ => String::new(),
    };
    let refused = if reach.refused == 0 {
        "none was refused".to_owned()
    } else {
        format!("{} were refused", reach.refused)
    };
    let requests = plural(story.events.len() as u64 + story.unlisted, "request");
    Paragraph { text: format!("{first}{with} made {requests}{span}; {refused}."), evidence: Vec::new() }
}

/// The rules by tactic, in the order in which each tactic was first seen.
fn phases<'s>(
    story: &'s Story,
    rules: &[RuleCount],
) -> Vec<(Option<Tactic>, Vec<&'s klio_detect::story::RuleInStory>)> {
    let mut phases: Vec<(Option<Tactic>, Vec<_>)> = Vec::new();
    for step in &story.rules {
        let tactic = rules.get(step.rule as usize).and_then(|count| count.tactics.first().copied());
        match phases.iter_mut().find(|(of, _)| *of == tactic) {
            Some((_, steps)) => steps.push(step),
            None => phases.push((tactic, vec![step])),
        }
    }
    phases
}

fn phase(tactic: Option<Tactic>) -> String {
    let name = tactic.map_or_else(|| "Other".to_owned(), |tactic| tactic.to_string().replace('-', " "));
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The evidence of that time.
pub(super) fn at(story: &Story, time: Option<klio_model::Timestamp>) -> Vec<String> {
    let proves = story.events.iter().filter(|event| event.role == Role::Evidence && event.time == time);
    proves.take(PROOFS).map(|event| event.audit_id.to_string()).collect()
}

fn reached(story: &Story, reach: &Reach) -> Vec<Paragraph> {
    let sets = [
        (Reached::Secrets, "Secrets that were read", &reach.secrets),
        (Reached::Tokens, "Tokens were minted for", &reach.tokens),
        (Reached::Entered, "Pods that were entered", &reach.entered),
        (Reached::Nodes, "Nodes that were reached through the API server", &reach.nodes),
        (Reached::Written, "Made or changed", &reach.written),
        (Reached::Deleted, "Deleted", &reach.deleted),
    ];
    let deeds: Vec<_> =
        story.events.iter().filter_map(|event| Some((Reach::by(event)?.0, &*event.audit_id))).collect();
    let mut told = Vec::new();
    for (kind, title, set) in sets.into_iter().filter(|(.., set)| !set.is_empty()) {
        let named: Vec<&str> = set.iter().take(NAMED).map(String::as_str).collect();
        let more = set.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let proves = deeds.iter().filter(|(of, _)| *of == kind).take(PROOFS);
        told.push(Paragraph {
            text: format!("{title}: {}{more}.", named.join(", ")),
            evidence: proves.map(|(_, id)| (*id).to_owned()).collect(),
        });
    }
    told
}
