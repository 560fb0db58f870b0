//! The story in words, each paragraph with links to what it rests on.

use klio_model::{Severity, Tactic};

use crate::page::address;
use crate::view::{IncidentView, ParagraphView, capital};

/// One paragraph.
pub(super) struct Told {
    /// The phase of the intrusion, if it is about one.
    pub(super) label: Option<String>,
    /// When the phase began.
    pub(super) since: Option<String>,
    /// What was found in the phase.
    pub(super) items: Vec<Item>,
    /// What it says otherwise.
    pub(super) text: String,
    /// What it rests on.
    pub(super) proofs: Vec<Proof>,
}

/// What a rule found in a phase.
pub(super) struct Item {
    pub(super) text: String,
    pub(super) severity: Option<String>,
    /// Where the rule's findings are on the page.
    pub(super) href: Option<String>,
}

/// A link to a request.
pub(super) struct Proof {
    pub(super) label: String,
    pub(super) href: String,
    pub(super) title: String,
}

/// The story but for its first paragraph, which the heading says, and for the last ones, which the reach says: phases in the order in
/// which intrusions usually show them.
pub(super) fn story(view: &IncidentView) -> Vec<Told> {
    let reached = view.reach.parts().iter().filter(|(_, names)| !names.is_empty()).count();
    let all = &view.story.narrative;
    let end = all.len().saturating_sub(reached).max(1);
    let told = all.get(1.min(all.len())..end.min(all.len())).unwrap_or_default();
    let mut told: Vec<(usize, Told)> = told.iter().map(|paragraph| told_of(view, paragraph)).collect();
    told.sort_by_key(|(place, _)| *place);
    told.into_iter().map(|(_, told)| told).collect()
}

/// Where it began and who is behind it.
pub(super) fn causes(view: &IncidentView) -> Vec<Told> {
    view.story.causes.iter().map(|paragraph| told_of(view, paragraph).1).collect()
}

/// The phases in the order in which intrusions usually show them, and how many findings each has.
pub(super) fn phases(view: &IncidentView) -> Vec<(String, u64)> {
    let count = |tactic: &Tactic| {
        let of = view.rules.iter().filter(|rule| rule.tactics.iter().any(|name| name == tactic.name()));
        of.map(|rule| rule.count).sum::<u64>()
    };
    let all = Tactic::ALL.iter().map(|tactic| (said(*tactic), count(tactic)));
    all.filter(|(_, count)| *count > 0).collect()
}

/// `Initial access`.
fn said(tactic: Tactic) -> String {
    capital(&tactic.name().replace('-', " "))
}

/// The paragraph, and its place: after what is about no phase.
fn told_of(view: &IncidentView, paragraph: &ParagraphView) -> (usize, Told) {
    let proofs = paragraph.evidence.iter().map(|id| proof(view, id)).collect();
    let whole = |text: &str, proofs| {
        (0, Told { label: None, since: None, items: Vec::new(), text: text.to_owned(), proofs })
    };
    let Some((name, rest)) = paragraph.text.split_once(" from ") else {
        return whole(&paragraph.text, proofs);
    };
    let tactic = Tactic::ALL.iter().position(|tactic| said(*tactic) == name);
    let (Some(place), Some((since, items))) =
        (tactic.or((name == "Other").then_some(Tactic::ALL.len())), rest.split_once(" on: "))
    else {
        return whole(&paragraph.text, proofs);
    };
    let mut items: Vec<Item> = items.trim_end_matches('.').split("; ").map(|text| item(view, text)).collect();
    items.sort_by_key(|item| {
        std::cmp::Reverse(item.severity.as_ref().and_then(|text| text.parse::<Severity>().ok()))
    });
    let told = Told {
        label: Some(name.to_owned()),
        since: since.get(11..).map(str::to_owned),
        items,
        text: String::new(),
        proofs,
    };
    (place + 1, told)
}

fn item(view: &IncidentView, text: &str) -> Item {
    let title =
        text.rsplit_once(" (").filter(|(_, rest)| rest.ends_with(" times)")).map_or(text, |(title, _)| title);
    let rule = view.rules.iter().position(|rule| rule.title == title);
    Item {
        text: text.to_owned(),
        severity: rule.and_then(|at| view.rules.get(at)).map(|rule| rule.severity.clone()),
        href: rule.map(|at| format!("#rule-{}", at + 1)),
    }
}

fn proof(view: &IncidentView, id: &str) -> Proof {
    let request = view.requests.iter().find(|request| request.audit_id == id);
    let time = |time: &klio_model::Timestamp| crate::page::draw::time(time);
    Proof {
        label: request.map_or_else(|| "event".to_owned(), |request| request.number.to_string()),
        title: request.map_or_else(
            || format!("Event {id}"),
            |request| {
                let when = request.time.as_ref().map(time).unwrap_or_default();
                format!("Request {}: {when} {}", request.number, request.what)
            },
        ),
        href: address::event(Some(id), None),
    }
}
