//! A sequence that does not end: it tells its incidents again and again, and hands its state on when the rules are read again.

use std::collections::VecDeque;

use hashbrown::HashMap;
use klio_detect::memory::Memory;
use klio_detect::story::Storyteller;
use klio_detect::{Correlator, Engine, RuleSet};

use super::Sequence;
use super::made::Watched;
use crate::keep::{self, Keeper, Verdict};
use crate::scan::known::Horizon;
use crate::scan::report::{Allowed, RuleCount};

/// How long an incident may be quiet and still go on, in microseconds: a night.
const QUIET: i64 = 12 * 3600 * 1_000_000;

/// What outlives the rules of a sequence: all that it knows of the events that it has seen.
pub(in crate::scan) struct Past {
    rules: Vec<RuleCount>,
    memory: Memory,
    findings: u32,
    correlator: Correlator,
    horizon: Horizon,
    stories: Storyteller,
    watched: Watched,
}

impl<'e> Sequence<'e> {
    /// A sequence for one cluster. The keeper is lent to it ([`Self::lend`]).
    pub(in crate::scan) fn endless(
        engine: &'e Engine,
        set: &'e RuleSet,
        cluster: &str,
        memory: Memory,
    ) -> Self {
        Self { stories: Storyteller::endless(), memory, ..Self::new(engine, set, true, None, Some(cluster)) }
    }

    /// Goes on after one that was judged by the rules of `before`.
    pub(in crate::scan) fn resumed(
        engine: &'e Engine,
        set: &'e RuleSet,
        cluster: &str,
        past: Past,
        before: &RuleSet,
    ) -> Self {
        let Past { mut rules, memory, findings, correlator, horizon, stories, watched } = past;
        let new = Self::endless(engine, set, cluster, memory);
        let numbers = enlist(&mut rules, new.rules);
        let correlator = correlator.renewed(before, set);
        Self { rules, numbers, findings, correlator, horizon, stories, watched, ..new }
    }

    /// Gives away what outlives its rules.
    pub(in crate::scan) fn into_past(self) -> Past {
        let Self { rules, memory, findings, correlator, horizon, stories, watched, .. } = self;
        Past { rules, memory, findings, correlator, horizon, stories, watched }
    }

    /// What is known of the past.
    pub(in crate::scan) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Lends it the keeper, or takes it back.
    pub(in crate::scan) fn lend(&mut self, keeper: Option<Keeper>) -> Option<Keeper> {
        std::mem::replace(&mut self.keeper, keeper)
    }

    /// The entries of the allow-list, and what each excused.
    pub(in crate::scan) fn allowed(&self) -> &[Allowed] {
        &self.summary.allowed
    }

    /// How many findings there were.
    pub(in crate::scan) fn findings(&self) -> u32 {
        self.findings
    }

    /// The incidents so far. Those that were quiet for long are told a last time and forgotten.
    pub(in crate::scan) fn incidents(&mut self, cluster: &str) -> Vec<Verdict> {
        let stories = self.stories.stories();
        if let Some(latest) = stories.iter().filter_map(|story| story.last).max() {
            self.stories.retire(latest.micros().saturating_sub(QUIET));
        }
        stories.iter().map(|story| keep::incident(story, &self.rules, cluster)).collect()
    }
}

/// Gives the rules of a new set their numbers: those that were there keep theirs, whatever they say of themselves by now. What
/// is gone keeps its place, since stories tell of it.
fn enlist(known: &mut Vec<RuleCount>, now: Vec<RuleCount>) -> Vec<u32> {
    let key = |of: &RuleCount| (of.rule.dialect, of.rule.id.clone());
    // Ids that are there twice keep their order.
    let mut places: HashMap<_, VecDeque<usize>> = HashMap::new();
    for (number, rule) in known.iter().enumerate() {
        places.entry(key(rule)).or_default().push_back(number);
    }
    let mut numbers = Vec::new();
    for rule in now {
        let place = places.get_mut(&key(&rule)).and_then(VecDeque::pop_front);
        if let Some(place) = place {
            known[place] = rule;
        } else {
            known.push(rule);
        }
        numbers.push(place.unwrap_or(known.len() - 1) as u32);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use klio_model::{RuleRef, Severity};

    use super::*;

    #[test]
    fn numbers_stay_with_their_rules() {
        let rule = |id: &str, dialect, title: &str| RuleCount {
            rule: RuleRef { id: id.into(), title: title.into(), dialect },
            severity: Severity::Low,
            tactics: Vec::new(),
            count: 0,
        };
        let mut known = Vec::new();
        let first = [rule("a", "klio", "A"), rule("b", "klio", "B"), rule("b", "falco", "B")];
        assert_eq!(enlist(&mut known, first.into()), [0, 1, 2]);
        // One is new, one is gone, one is called otherwise, and one is there twice.
        let second = [
            rule("new", "klio", "N"),
            rule("b", "falco", "B"),
            rule("a", "klio", "Renamed"),
            rule("a", "klio", "Twin"),
        ];
        assert_eq!(enlist(&mut known, second.into()), [3, 2, 0, 4]);
        let titles: Vec<&str> = known.iter().map(|rule| rule.rule.title.as_str()).collect();
        assert_eq!(titles, ["Renamed", "B", "B", "N", "Twin"]);
    }
}
