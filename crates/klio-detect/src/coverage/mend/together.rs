//! The rules for everything that lacks, as one piece of a policy.

use super::super::Coverage;
use super::super::policy::PolicyRule;

/// Whether it only keeps credentials out of what a wider rule records.
fn guards(rule: &PolicyRule) -> bool {
    rule.resources == super::credentials()
}

/// The proposed rules of all, each once with the titles of those it is for, in an order in which none takes another's
/// requests: objects by their names, then what keeps credentials out, then the higher levels before the lower.
pub fn together<'c>(all: &'c [Coverage<'_>]) -> Vec<(&'c PolicyRule, Vec<&'c str>)> {
    let mut rules: Vec<(&PolicyRule, Vec<&str>)> = Vec::new();
    for coverage in all {
        let title = coverage.about.title.as_str();
        for rule in &coverage.mend.rules {
            match rules.iter_mut().find(|(known, _)| *known == rule) {
                Some((_, titles)) => titles.push(title),
                None => rules.push((rule, vec![title])),
            }
        }
    }
    rules.sort_by_key(|(rule, _)| {
        let named = rule.resources.iter().any(|r| !r.resource_names.is_empty());
        let place = if named {
            0
        } else if guards(rule) {
            1
        } else {
            2
        };
        (place, std::cmp::Reverse(rule.level))
    });
    rules
}
