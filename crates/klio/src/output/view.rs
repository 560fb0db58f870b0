//! What of a report is shown, and the sentences that all forms share.

use klio_detect::RuleSet;
use klio_detect::story::{Role, RuleInStory, Story};
use klio_model::{Actor, Severity, Timestamp};

use super::plain;
use crate::pack;
use crate::scan::{RuleCount, Summary};

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

    /// What to do next about a story: what the first of its gravest rules says.
    pub fn next_step(&self, story: &Story) -> Option<String> {
        // The rules are in the order of time, and of equals `max_by_key` takes the last.
        let rule = story.rules.iter().rev().max_by_key(|r| r.severity)?.rule;
        let rules = &self.rules.rules;
        if let Some(rule) = rules.get(rule as usize) {
            return pack::next_step(rule);
        }
        let correlation = self.rules.correlations.get(rule as usize - rules.len())?;
        let base = rules.iter().find(|r| r.file == correlation.file)?;
        pack::next_step(base)
    }
}

/// `alice (Alice Example) as system:admin`
pub fn identity(actor: &Actor) -> String {
    let mut text = actor.user.clone().unwrap_or_else(|| "somebody without valid credentials".into());
    if let Some(person) = &actor.person {
        text = format!("{text} ({})", person.name);
    }
    if let Some(other) = &actor.impersonated {
        text = format!("{text} as {other}");
    }
    text
}

/// The same, and from where: `alice as system:admin from 203.0.113.7`
pub fn who(actor: &Actor) -> String {
    let mut text = identity(actor);
    if let Some(ip) = &actor.source_ip {
        text = format!("{text} from {ip}");
    }
    text
}

/// Who is behind the first finding of a rule in a story, where its sentence does not say it.
pub fn behind(rule: &RuleInStory) -> Option<String> {
    let told = rule.attribution.as_ref()?;
    (told.workload.is_some() || !told.chain.is_empty()).then(|| format!("By {}.", told.said))
}

/// The whole story in a few sentences.
pub fn summary(story: &Story, rules: &[RuleCount]) -> String {
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
            let title = rules.get(r.rule as usize).map_or("", |c| c.rule.title.as_str());
            if r.count > 1 { format!("{title} ({}×)", r.count) } else { title.to_owned() }
        })
        .collect();
    let span = match (story.first, story.last) {
        (Some(first), Some(last)) => format!(" between {} and {}", short(first), short(last)),
        _ => String::new(),
    };
    let requests = story.events.len() as u64 + story.unlisted;
    format!(
        "{}{more}: {}{span}. In order: {}.",
        names[..shown].join("; "),
        plural(requests, "request"),
        steps.join(", then ")
    )
}

/// `2 critical · 5 high`, each part as `show` writes it, or `none`.
pub fn findings(s: &Summary, show: impl Fn(Severity, String) -> String) -> String {
    let counts = Severity::ALL.into_iter().rev().filter_map(|l| Some((l, s.findings.by_severity.get(&l)?)));
    let parts: Vec<String> = counts.map(|(level, n)| show(level, format!("{n} {level}"))).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(" · ") }
}

/// `discovery 4 · execution 1`; empty if no rule that found something has a tactic.
pub fn tactics(s: &Summary) -> String {
    s.findings.by_tactic.iter().map(|(t, n)| format!("{t} {n}")).collect::<Vec<_>>().join(" · ")
}

/// The busiest identities with their events.
pub fn busiest(s: &Summary, most: usize) -> String {
    let name = |name: &str| if name.is_empty() { "(nobody)".to_owned() } else { plain(name) };
    let top = s.top_identities.iter().take(most);
    top.map(|(n, events)| format!("{} {}", name(n), count(*events))).collect::<Vec<_>>().join(" · ")
}

/// Why a request is in a story, in a word.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Evidence => "evidence",
        Role::Context => "context",
    }
}

/// `1 file`, `2 files`
pub fn plural(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// 1234567 as 1,234,567.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `2026-11-21 01:01:58`
pub fn short(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

/// What was cut on its way, if anything was: nobody saw those bodies.
pub fn cut(s: &Summary) -> Option<String> {
    let first = s.salvaged_places.first().map_or(String::new(), |place| format!(", the first at {place}"));
    (s.salvaged > 0).then(|| {
        format!(
            "{} cut on the way; what {} of them changed is unknown{first}",
            plural(s.salvaged, "event"),
            count(s.salvaged_writes)
        )
    })
}
