//! Which requests a rule is about.

use std::borrow::Cow;
use std::fmt;

use klio_model::{Filter, Level};

use super::cases::Cases;
use super::stages::Stages;

/// What a request is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// Objects, or a part of them.
    Resource {
        /// Empty for the core.
        group: Cow<'static, str>,
        /// In the plural.
        resource: Cow<'static, str>,
        /// Empty for the object itself.
        subresource: Cow<'static, str>,
    },
    /// A path beside the resources.
    Path(Cow<'static, str>),
}

/// A group that nobody but the rule's author knows.
pub(super) const SOME_GROUP: &str = "?";

impl Subject {
    /// `pods/exec`: as policies write it.
    pub fn entry(&self) -> String {
        match self {
            Self::Resource { resource, subresource, .. } if subresource.is_empty() => resource.to_string(),
            Self::Resource { resource, subresource, .. } => format!("{resource}/{subresource}"),
            Self::Path(path) => path.to_string(),
        }
    }

    /// The API group; `None` for a path.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Resource { group, .. } => Some(group),
            Self::Path(_) => None,
        }
    }

    /// The resource; empty for a path.
    pub fn resource(&self) -> &str {
        match self {
            Self::Resource { resource, .. } => resource,
            Self::Path(_) => "",
        }
    }

    /// The subresource; empty for objects themselves and paths.
    pub fn subresource(&self) -> &str {
        match self {
            Self::Resource { subresource, .. } => subresource,
            Self::Path(_) => "",
        }
    }

    /// Whether bodies of such requests hold credentials, which must not get into a log.
    pub fn is_secret(&self) -> bool {
        matches!(
            (self.resource(), self.subresource()),
            ("secrets" | "configmaps" | "tokenreviews", _) | ("serviceaccounts", "token")
        )
    }
}

impl fmt::Display for Subject {
    /// `deployments/scale.apps`, in the manner of `kubectl`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group() {
            Some("example.com") if self.resource() == "widgets" => f.pad("custom resources"),
            Some(group) if !group.is_empty() && group != SOME_GROUP => {
                f.pad(&format!("{}.{group}", self.entry()))
            }
            _ => f.pad(&self.entry()),
        }
    }
}

/// What must be recorded for a rule to see a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    /// The least audit level at which the rule can match.
    pub least: Level,
    /// The least at which nothing of what the rule looks for is lost.
    pub full: Level,
    /// The least at which the rule says yes as its dialect reads missing values: such findings are unproven.
    pub guess: Level,
    /// The stages at which it can match; one of them is enough.
    pub stages: Stages,
    /// Whether the rule itself names stages.
    pub by_stage: bool,
}

impl Need {
    /// What both need together: whatever is enough for one of them is enough to see something.
    pub(super) fn join(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            full: self.full.max(other.full),
            guess: self.guess.min(other.guess),
            stages: self.stages.union(other.stages),
            by_stage: self.by_stage || other.by_stage,
        }
    }

    /// The same, for a reader of the matches who needs more.
    pub(super) fn at_least(mut self, level: Level) -> Self {
        self.least = self.least.max(level);
        self.full = self.full.max(level);
        self.guess = self.guess.max(level);
        self
    }
}

/// A request that a rule is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// On what.
    pub subject: Subject,
    /// By which verb.
    pub verb: &'static str,
    /// What must be recorded of it.
    pub need: Need,
    /// The rule says nothing of this resource; it is one of all.
    pub any: bool,
}

/// The requests that a filter can be true of, when everything is recorded of them. They are in a fixed order, each once.
pub fn targets(filter: &Filter) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    Cases::of(filter).each(&mut |case| match targets.last_mut() {
        // All cases of a target come in a row.
        Some(last) if last.subject == *case.subject && last.verb == case.verb => {
            last.need = last.need.join(case.need);
        }
        _ => targets.push(Target {
            subject: case.subject.clone(),
            verb: case.verb,
            need: case.need,
            any: case.any,
        }),
    });
    targets
}

/// Whether the targets stand for any request there is: the rule says nothing of what a request is about.
pub fn is_any(targets: &[Target]) -> bool {
    targets.iter().any(|t| t.any && t.subject.group() == Some("example.com"))
}

/// The targets in a few words: verbs of one subject together, subjects with the same verbs together.
pub fn words<'t>(targets: impl IntoIterator<Item = (&'t Subject, &'static str)>) -> Vec<String> {
    let mut subjects: Vec<(&Subject, Vec<&'static str>)> = Vec::new();
    for (subject, verb) in targets {
        match subjects.iter_mut().find(|(s, _)| *s == subject) {
            Some((_, verbs)) if verbs.contains(&verb) => {}
            Some((_, verbs)) => verbs.push(verb),
            None => subjects.push((subject, vec![verb])),
        }
    }
    let mut groups: Vec<(Vec<&'static str>, Vec<String>)> = Vec::new();
    for (subject, verbs) in subjects {
        match groups.iter_mut().find(|(v, _)| *v == verbs) {
            Some((_, names)) => names.push(subject.to_string()),
            None => groups.push((verbs, vec![subject.to_string()])),
        }
    }
    groups.into_iter().map(|(verbs, names)| format!("{} {}", verbs.join(","), names.join(", "))).collect()
}
