//! What of a report is shown, and the sentences that all forms share.

use klio_detect::RuleSet;
use klio_detect::story::Story;
use klio_model::{Actor, Severity};

use crate::pack;
use crate::scan::Report;

/// What of a report is shown.
pub struct View<'v> {
    /// Findings and stories below are left out.
    pub min_severity: Option<Severity>,
    /// Show each story's requests.
    pub timeline: bool,
    /// The rules that ran.
    pub rules: &'v RuleSet,
}

impl View<'_> {
    /// Whether something of this severity is shown.
    pub fn shows(&self, severity: Severity) -> bool {
        self.min_severity.is_none_or(|least| severity >= least)
    }

    /// What to do next about a rule's findings.
    pub fn next_step(&self, rule: u32) -> Option<String> {
        let rules = &self.rules.rules;
        if let Some(rule) = rules.get(rule as usize) {
            return pack::next_step(rule);
        }
        let correlation = self.rules.correlations.get(rule as usize - rules.len())?;
        let base = rules.iter().find(|r| r.file == correlation.file)?;
        pack::next_step(base)
    }
}

/// `alice as system:admin from 203.0.113.7`
pub fn who(actor: &Actor) -> String {
    let mut text = actor.user.clone().unwrap_or_else(|| "somebody without valid credentials".into());
    if let Some(other) = &actor.impersonated {
        text = format!("{text} as {other}");
    }
    if let Some(ip) = &actor.source_ip {
        text = format!("{text} from {ip}");
    }
    text
}

/// The whole story in a few sentences.
pub fn summary(story: &Story, report: &Report) -> String {
    let mut names: Vec<String> = Vec::new();
    for actor in &story.actors {
        let name = who(actor);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let shown = names.len().min(4);
    let more = if names.len() > shown {
        format!(" and {} more identities", names.len() - shown)
    } else {
        String::new()
    };
    let steps: Vec<String> = story
        .rules
        .iter()
        .map(|r| {
            let title = report.rules.get(r.rule as usize).map_or("", |c| c.rule.title.as_str());
            if r.count > 1 { format!("{title} ({}×)", r.count) } else { title.to_owned() }
        })
        .collect();
    let span = match (story.first, story.last) {
        (Some(first), Some(last)) => format!(
            " between {} and {}",
            first.to_string().get(..19).unwrap_or_default().replace('T', " "),
            last.to_string().get(..19).unwrap_or_default().replace('T', " ")
        ),
        _ => String::new(),
    };
    let requests = story.events.len() as u64 + story.unlisted;
    let s = if requests == 1 { "" } else { "s" };
    format!(
        "{}{more}: {requests} request{s}{span}. In order: {}.",
        names[..shown].join("; "),
        steps.join(", then ")
    )
}
