//! The state of correlations outlives their rules: when those are read again, what means the same goes on.

use std::cmp::Reverse;

use super::Correlator;
use crate::correlate::Correlation;
use crate::rule::{Rule, RuleSet};

impl Correlator {
    /// Goes on with another rule set; `before` is the one that it watched. Windows of a correlation stay as they are where it
    /// and all that it watches have the same ids and mean the same in both sets; what is said of them (title, severity, place
    /// in a file) may differ. Those of all others begin anew.
    #[must_use]
    pub fn renewed(self, before: &RuleSet, now: &RuleSet) -> Self {
        let mut new = Self::with_limit(now, self.limit);
        (new.newest, new.serial, new.stats) = (self.newest, self.serial, self.stats);
        let mut place: Vec<Option<usize>> = Vec::new();
        for old in &self.plans {
            let is_free = |at: &usize| !place.contains(&Some(*at));
            let at = (0..new.plans.len()).filter(is_free).find(|at| alike(old, &new.plans[*at]));
            place.push(at.filter(|_| sources_alike(old, before, now, &mut vec![&old.id])));
        }
        for ((plan, key), group) in self.groups {
            if let Some(at) = place[plan] {
                new.weight += group.weight(&key);
                new.groups.insert((at, key), group);
            }
        }
        for Reverse((end, plan, key, serial)) in self.closing {
            if let Some(at) = place[plan] {
                new.closing.push(Reverse((end, at, key, serial)));
            }
        }
        new
    }
}

/// Whether all that a correlation watches, also through others, means the same in two sets. `met` are ids that were looked at.
fn sources_alike<'s>(
    correlation: &'s Correlation,
    before: &'s RuleSet,
    now: &RuleSet,
    met: &mut Vec<&'s str>,
) -> bool {
    correlation.sources.iter().all(|source| {
        let id = source.rule.as_str();
        if met.contains(&id) {
            return true;
        }
        met.push(id);
        let (old, new) = (rules(before, id), rules(now, id));
        let (above, new_above) = (correlations(before, id), correlations(now, id));
        old.len() == new.len()
            && old.iter().zip(new).all(|(old, new)| {
                old.filter == new.filter && old.every_stage == new.every_stage && old.carries == new.carries
            })
            && above.len() == new_above.len()
            && above.iter().zip(new_above).all(|(old, new)| alike(old, new))
            && above.iter().all(|correlation| sources_alike(correlation, before, now, met))
    })
}

fn rules<'s>(set: &'s RuleSet, id: &str) -> Vec<&'s Rule> {
    set.rules.iter().filter(|rule| rule.id == id).collect()
}

fn correlations<'s>(set: &'s RuleSet, id: &str) -> Vec<&'s Correlation> {
    set.correlations.iter().filter(|correlation| correlation.id == id).collect()
}

/// Whether two correlations are one and count the same.
fn alike(a: &Correlation, b: &Correlation) -> bool {
    a.id == b.id
        && a.kind == b.kind
        && a.sources == b.sources
        && a.group_by == b.group_by
        && a.timespan == b.timespan
        && a.condition == b.condition
        && a.carries == b.carries
}
