//! The audit policy: which requests the API server records, and how much of them.
//!
//! Evaluated exactly as `staging/src/k8s.io/apiserver/pkg/audit/policy/checker.go` (Kubernetes 1.36) does: the first rule that
//! fits decides, all its selectors must fit, every one compares literally but resources and paths, and what no rule
//! fits is not recorded.

mod read;

use klio_model::Level;

use super::stages::Stages;

pub use read::PolicyError;

/// A policy of audit.k8s.io/v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// In their order.
    pub rules: Vec<PolicyRule>,
    /// Stages that are recorded of no request.
    pub omit_stages: Stages,
    /// Whether bodies are recorded without `metadata.managedFields`, unless a rule says otherwise.
    pub omit_managed_fields: bool,
}

/// One rule of a policy; an empty list selects everything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PolicyRule {
    /// `None`: nothing is recorded.
    pub level: Option<Level>,
    /// Names of users.
    pub users: Vec<String>,
    /// Groups, of which the user is in one.
    pub user_groups: Vec<String>,
    /// Verbs.
    pub verbs: Vec<String>,
    /// Resources.
    pub resources: Vec<GroupResources>,
    /// Namespaces; the empty one is that of cluster-scoped objects.
    pub namespaces: Vec<String>,
    /// Paths beside the resources, with `*` at the end.
    pub non_resource_urls: Vec<String>,
    /// Stages that are left out besides those of the policy.
    pub omit_stages: Stages,
    /// What the policy says of managed fields, if not the same.
    pub omit_managed_fields: Option<bool>,
    /// The line at which it begins, from 1; 0 for a rule that was not read.
    pub line: usize,
}

/// Resources of one API group.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GroupResources {
    /// The group; empty for the core, `*` for all (since 1.36).
    pub group: String,
    /// `pods`, `pods/log`, `pods/*`, `*/scale` or `*`; empty for all of the group.
    pub resources: Vec<String>,
    /// Names of objects, if only those.
    pub resource_names: Vec<String>,
}

/// A request as a policy sees it (`authorizer.Attributes`).
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'r> {
    /// `None` when nobody authenticated.
    pub user: Option<&'r str>,
    /// Of the user.
    pub groups: &'r [String],
    /// The verb.
    pub verb: &'r str,
    /// What it is about.
    pub on: On<'r>,
}

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub enum On<'r> {
    /// An object or a collection.
    #[allow(missing_docs)]
    Resource { group: &'r str, resource: &'r str, subresource: &'r str, namespace: &'r str, name: &'r str },
    /// A path, without the query.
    Path(&'r str),
}

/// What a policy decides about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// `None`: nothing is recorded.
    pub level: Option<Level>,
    /// Stages that are left out.
    pub omitted: Stages,
    /// Whether bodies come without managed fields.
    pub omit_managed_fields: bool,
    /// Which rule decided.
    pub rule: Option<usize>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`], which says where and what to do. Unknown keys are errors, although the API server only warns of
    /// them: it drops such a selector, and the rule fits more than was meant.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        read::policy(text)
    }

    /// What is recorded of a request.
    pub fn decide(&self, request: &Attributes<'_>) -> Decision {
        let found = self.rules.iter().enumerate().find(|(_, rule)| rule.fits(request));
        match found {
            Some((index, rule)) => Decision {
                // A request about no resource has no bodies that could be recorded.
                level: rule
                    .level
                    .map(|l| if matches!(request.on, On::Path(_)) { Level::Metadata } else { l }),
                omitted: self.omit_stages.union(rule.omit_stages),
                omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
                rule: Some(index),
            },
            None => Decision {
                level: None,
                omitted: self.omit_stages,
                omit_managed_fields: self.omit_managed_fields,
                rule: None,
            },
        }
    }
}

fn has(list: &[String], value: &str) -> bool {
    list.iter().any(|entry| entry == value)
}

impl PolicyRule {
    /// Whether the rule is about a request.
    pub fn fits(&self, request: &Attributes<'_>) -> bool {
        if !self.users.is_empty() && !request.user.is_some_and(|user| has(&self.users, user)) {
            return false;
        }
        if !self.user_groups.is_empty()
            && (request.user.is_none() || !request.groups.iter().any(|group| has(&self.user_groups, group)))
        {
            return false;
        }
        if !self.verbs.is_empty() && !has(&self.verbs, request.verb) {
            return false;
        }
        match request.on {
            On::Resource { namespace, .. } if !self.namespaces.is_empty() || !self.resources.is_empty() => {
                (self.namespaces.is_empty() || has(&self.namespaces, namespace))
                    && (self.resources.is_empty() || self.resources.iter().any(|r| r.fits(&request.on)))
            }
            On::Resource { .. } => self.non_resource_urls.is_empty(),
            On::Path(_) if !self.namespaces.is_empty() || !self.resources.is_empty() => false,
            On::Path(path) => {
                self.non_resource_urls.is_empty()
                    || self.non_resource_urls.iter().any(|url| path_fits(path, url))
            }
        }
    }
}

impl GroupResources {
    fn fits(&self, on: &On<'_>) -> bool {
        let On::Resource { group, resource, subresource, name, .. } = *on else { return false };
        if self.group != group && self.group != "*" {
            return false;
        }
        if self.resources.is_empty() {
            return true;
        }
        if !self.resource_names.is_empty() && !has(&self.resource_names, name) {
            return false;
        }
        self.resources.iter().any(|entry| {
            if entry == "*" {
                return true;
            }
            let same = match entry.split_once('/') {
                Some((r, s)) => r == resource && s == subresource && !s.is_empty(),
                None => entry == resource && subresource.is_empty(),
            };
            same || (!subresource.is_empty() && entry.strip_prefix("*/") == Some(subresource))
                // This one fits the resource itself too.
                || entry.strip_suffix("/*") == Some(resource)
        })
    }
}

fn path_fits(path: &str, url: &str) -> bool {
    url == "*" || url == path || (url.ends_with('*') && path.starts_with(url.trim_end_matches('*')))
}

#[cfg(test)]
mod tests;
