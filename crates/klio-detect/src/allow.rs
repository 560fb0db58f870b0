//! What a site knows to be right: findings that are counted and not told.
//!
//! An entry is a filter with an owner, a reason and an end. It excuses an event only if its filter is certainly true of it: what
//! the audit level did not record excuses nobody. After its end, by the time of the event, it excuses nothing.

use hashbrown::HashSet;
use klio_model::{Event, Filter, Missing, Timestamp, Tri};

use crate::rule::RuleSet;

/// One entry.
#[derive(Clone, Debug)]
pub struct Allow {
    /// The rule whose findings it excuses, by id, name or title; all rules unless given.
    pub rule: Option<String>,
    /// Which events.
    pub filter: Filter,
    /// The filter as it was written.
    pub text: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it is right.
    pub reason: String,
    /// From then on it excuses nothing.
    pub until: Timestamp,
}

/// Entries, by the rules that they are about.
#[derive(Debug, Default)]
pub struct AllowList {
    entries: Vec<Allow>,
    /// Entries of each rule, by its number in the engine.
    of_rule: Vec<Vec<u32>>,
}

impl AllowList {
    /// Sorts the entries of a rule set by its rules. An entry about a correlation is one about the rules that it watches and that report
    /// only through it.
    pub fn new(set: &RuleSet) -> Self {
        let mut of_rule = vec![Vec::new(); set.rules.len()];
        for (number, entry) in set.allow.iter().enumerate() {
            let reached = entry.rule.as_deref().map(|name| reached(set, name));
            for (rule, entries) in set.rules.iter().zip(&mut of_rule) {
                if reached.as_ref().is_none_or(|reached| reached.contains(rule.id.as_str())) {
                    entries.push(number as u32);
                }
            }
        }
        Self { entries: set.allow.clone(), of_rule }
    }

    /// Which entry excuses a rule's finding about this event.
    pub fn excuses(&self, rule: u32, event: &Event<'_>) -> Option<u32> {
        let entries = self.of_rule.get(rule as usize)?;
        let fits = |entry: &Allow| {
            event.time().is_some_and(|time| time < entry.until)
                && entry.filter.eval(event, Missing::Unknown) == Tri::True
        };
        entries.iter().copied().find(|&number| self.entries.get(number as usize).is_some_and(fits))
    }
}

/// The ids of the rules that a name means: its own, and those that a correlation watches, also through others.
fn reached<'s>(set: &'s RuleSet, name: &str) -> HashSet<&'s str> {
    let about = |name: &str| {
        let named = set
            .abouts()
            .find(|about| about.id == name || about.name.as_deref() == Some(name) || about.title == name);
        named.map(|about| about.id.as_str())
    };
    let mut open: Vec<&str> = about(name).into_iter().collect();
    let mut reached = HashSet::new();
    while let Some(id) = open.pop() {
        if !reached.insert(id) {
            continue;
        }
        for correlation in set.correlations.iter().filter(|correlation| correlation.id == id) {
            let silent = |id: &&str| set.abouts().any(|about| about.id == **id && !about.reports);
            open.extend(correlation.sources.iter().filter_map(|source| about(&source.rule)).filter(silent));
        }
    }
    reached
}

impl RuleSet {
    /// Whether a rule or correlation is called so.
    pub fn has(&self, name: &str) -> bool {
        !reached(self, name).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rule::{Dialect, RuleFile};

    const RULES: &str = "
title: Secret read
id: 8f0e5a0e-0000-4000-8000-000000000001
logsource: {product: kubernetes, service: audit}
detection: {s: {objectRef.resource: secrets}, condition: s}
level: medium
---
title: Quiet step
name: quiet_step
id: 8f0e5a0e-0000-4000-8000-000000000002
logsource: {product: kubernetes, service: audit}
detection: {s: {objectRef.resource: pods}, condition: s}
level: informational
---
title: Many pods
id: 8f0e5a0e-0000-4000-8000-000000000003
correlation: {type: event_count, rules: [quiet_step], group-by: [user.username], timespan: 1m, condition: {gte: 2}}
level: medium
";

    fn list(rule: Option<&str>, filter: &str) -> AllowList {
        let file = RuleFile { name: "rules".into(), text: Arc::from(RULES) };
        let (mut set, problems) = crate::sigma::compile_all(&[(Dialect::Klio, &file)]);
        assert!(problems.is_empty(), "{problems:?}");
        set.allow.push(Allow {
            rule: rule.map(str::to_owned),
            filter: Filter::parse(filter).unwrap(),
            text: filter.into(),
            owner: "team".into(),
            reason: "known".into(),
            until: Timestamp::parse("2026-12-01T00:00:00Z").unwrap(),
        });
        AllowList::new(&set)
    }

    fn check(list: &AllowList, day: &str, level: &str) -> [Option<u32>; 2] {
        let body = if level == "Request" { r#""requestObject":{"spec":{"replicas":2}},"# } else { "" };
        let json = format!(
            r#"{{"level":"{level}",{body}"verb":"update","user":{{"username":"ci"}},"requestReceivedTimestamp":"2026-{day}T00:00:00Z"}}"#
        );
        let event = Event::parse(&json).unwrap();
        [list.excuses(0, &event), list.excuses(1, &event)]
    }

    #[test]
    fn an_entry_excuses_its_rule_until_it_ends() {
        let secret = list(Some("Secret read"), "user:ci");
        assert_eq!(check(&secret, "11-30", "Metadata"), [Some(0), None]);
        assert_eq!(check(&secret, "12-01", "Metadata"), [None, None]);
        assert_eq!(check(&list(None, "user:ci"), "11-30", "Metadata"), [Some(0), Some(0)]);
        assert_eq!(check(&list(Some("Many pods"), "user:ci"), "11-30", "Metadata"), [None, Some(0)]);
        assert_eq!(check(&list(Some("no such rule"), "user:ci"), "11-30", "Metadata"), [None, None]);
    }

    #[test]
    fn what_was_not_recorded_excuses_nobody() {
        let body = list(None, "not request.spec.replicas:3");
        assert_eq!(check(&body, "11-30", "Metadata"), [None, None]);
        assert_eq!(check(&body, "11-30", "Request"), [Some(0), Some(0)]);
    }
}
