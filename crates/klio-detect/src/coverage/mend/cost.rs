//! What a rule of a policy costs.

use klio_model::Level;

use super::super::catalog;
use super::super::policy::PolicyRule;

/// What a rule of a policy costs, if it is worth a word.
pub(super) fn cost(rule: &PolicyRule) -> Option<&'static str> {
    let has =
        |verbs: &[&str]| rule.verbs.is_empty() || rule.verbs.iter().any(|v| verbs.contains(&v.as_str()));
    let reads = has(&["get", "list", "watch"]);
    let everything =
        rule.resources.is_empty() && rule.non_resource_urls.is_empty() && rule.namespaces.is_empty();
    let busy = ["system:nodes", "system:serviceaccounts"];
    let all = rule.users.is_empty() && rule.user_groups.iter().all(|g| busy.contains(&g.as_str()));
    let noise = rule.resources.iter().any(|group| {
        group
            .resources
            .iter()
            .any(|r| rule.verbs.iter().any(|verb| catalog::is_noise(&group.group, r, "", verb)))
    });
    match rule.level {
        Some(Level::RequestResponse) if reads => {
            Some("costly: whole answers, those of lists too, get into the log")
        }
        Some(Level::RequestResponse) => {
            Some("larger: each such change gets into the log as it was sent and as it was stored")
        }
        _ if noise => Some("many events: the cluster itself makes such requests all the time"),
        Some(Level::Metadata) if reads && everything && all => {
            Some("many events: all reads of everything, a line each")
        }
        _ => None,
    }
}
