//! Policy files.
//!
//! What is refused is what `staging/src/k8s.io/apiserver/pkg/apis/audit/validation/validation.go` refuses, and besides
//! keys that do not exist or stand twice: the API server drops them with a warning, and a rule without its selector
//! decides about everything.

use klio_model::{Level, Stage};
use thiserror::Error;

use super::{GroupResources, Policy, PolicyRule};
use crate::coverage::stages::Stages;
use crate::falco::yaml::{self, Node};

/// No policy has more; the API server asks them one after the other for each request.
const MAX_RULES: usize = 10_000;

/// Why a text is no audit policy.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("line {line}: {message}; {advice}")]
pub struct PolicyError {
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: String,
}

struct Reader<'t> {
    text: &'t str,
}

type Read<T> = Result<T, PolicyError>;

const POLICY: &[&str] = &["apiVersion", "kind", "metadata", "omitManagedFields", "omitStages", "rules"];
const RULE: &[&str] = &[
    "level",
    "namespaces",
    "nonResourceURLs",
    "omitManagedFields",
    "omitStages",
    "resources",
    "userGroups",
    "users",
    "verbs",
];
const GROUP: &[&str] = &["group", "resourceNames", "resources"];
const LEVELS: &[&str] = &["None", "Metadata", "Request", "RequestResponse"];
const VERSION: &str = "audit.k8s.io/v1";

pub(super) fn policy(text: &str) -> Read<Policy> {
    let reader = Reader { text };
    let documents = yaml::load(text)
        .map_err(|e| reader.error(e.at, format!("not YAML: {}", e.message), "indent with spaces"))?;
    let root = match documents.as_slice() {
        [root] => root,
        [] => return Err(reader.error(0, "the file is empty", "begin with `apiVersion: audit.k8s.io/v1`")),
        [_, more, ..] => {
            return Err(reader.error(
                more.span.start,
                "a second document",
                "the API server reads one policy",
            ));
        }
    };
    reader.policy(root)
}

impl Reader<'_> {
    fn error(&self, at: usize, message: impl Into<String>, advice: impl Into<String>) -> PolicyError {
        PolicyError { line: self.line(at), message: message.into(), advice: advice.into() }
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        1 + before.bytes().filter(|b| *b == b'\n').count()
    }

    fn policy(&self, root: &Node) -> Read<Policy> {
        self.keys(root, POLICY, "a policy")?;
        for (key, want) in [("apiVersion", VERSION), ("kind", "Policy")] {
            match root.get(key) {
                Some(node) if node.text() == Some(want) => {}
                Some(node) => {
                    let said = node.text().unwrap_or_default();
                    return Err(self.error(
                        node.span.start,
                        format!("`{key}` is `{said}`"),
                        format!("write `{key}: {want}`"),
                    ));
                }
                None => {
                    let advice = format!("add `{key}: {want}`");
                    return Err(self.error(root.span.start, format!("there is no `{key}`"), advice));
                }
            }
        }
        let nodes = root.get("rules").map(|n| self.list(n, "rules")).transpose()?.unwrap_or_default();
        if nodes.is_empty() {
            return Err(self.error(
                root.span.start,
                "there are no rules",
                "the API server refuses such a policy; add `rules:` with `- level: Metadata`",
            ));
        }
        if nodes.len() > MAX_RULES {
            return Err(self.error(
                root.span.start,
                format!("there are {} rules", nodes.len()),
                format!("no policy needs more than {MAX_RULES}"),
            ));
        }
        Ok(Policy {
            rules: nodes.iter().map(|n| self.rule(n)).collect::<Read<_>>()?,
            omit_stages: self.stages(root)?,
            omit_managed_fields: self.flag(root)?.unwrap_or(false),
        })
    }

    fn rule(&self, node: &Node) -> Read<PolicyRule> {
        self.keys(node, RULE, "a rule")?;
        let level = node.get("level").ok_or_else(|| {
            self.error(node.span.start, "a rule has no `level`", format!("add one of {}", LEVELS.join(", ")))
        })?;
        let rule = PolicyRule {
            level: match level.text() {
                Some("None") => None,
                Some("Metadata") => Some(Level::Metadata),
                Some("Request") => Some(Level::Request),
                Some("RequestResponse") => Some(Level::RequestResponse),
                other => {
                    let said = other.unwrap_or("something else");
                    return Err(self.error(
                        level.span.start,
                        format!("`{said}` is no level"),
                        nearest(said, LEVELS),
                    ));
                }
            },
            users: self.texts(node, "users")?,
            user_groups: self.texts(node, "userGroups")?,
            verbs: self.texts(node, "verbs")?,
            resources: match node.get("resources") {
                Some(list) => {
                    self.list(list, "resources")?.iter().map(|n| self.group(n)).collect::<Read<_>>()?
                }
                None => Vec::new(),
            },
            namespaces: self.texts(node, "namespaces")?,
            non_resource_urls: self.texts(node, "nonResourceURLs")?,
            omit_stages: self.stages(node)?,
            omit_managed_fields: self.flag(node)?,
            line: self.line(node.span.start),
        };
        let urls = node.get("nonResourceURLs").map_or(node.span.start, |n| n.span.start);
        if !rule.non_resource_urls.is_empty() && (!rule.resources.is_empty() || !rule.namespaces.is_empty()) {
            return Err(self.error(
                urls,
                "a rule is about resources or about nonResourceURLs",
                "make two rules of it",
            ));
        }
        for url in rule.non_resource_urls.iter().filter(|url| *url != "*") {
            if !url.starts_with('/') {
                return Err(self.error(urls, format!("`{url}` is no path"), "begin it with `/`"));
            }
            if url.get(..url.len() - 1).is_some_and(|most| most.contains('*')) {
                return Err(self.error(
                    urls,
                    format!("`{url}` has a `*` within"),
                    "`*` may stand at the end only",
                ));
            }
        }
        Ok(rule)
    }

    fn group(&self, node: &Node) -> Read<GroupResources> {
        self.keys(node, GROUP, "an entry of `resources`")?;
        let group = match node.get("group") {
            Some(name) => self.text(name, "group")?,
            None => String::new(),
        };
        let known = group.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
        if group != "*" && !known {
            let at = node.get("group").map_or(node.span.start, |n| n.span.start);
            return Err(self.error(
                at,
                format!("`{group}` is no API group"),
                "write the group without its version, in lower case; \"\" is the core",
            ));
        }
        let read = GroupResources {
            group,
            resources: self.texts(node, "resources")?,
            resource_names: self.texts(node, "resourceNames")?,
        };
        if !read.resource_names.is_empty() && read.resources.is_empty() {
            return Err(self.error(
                node.span.start,
                "`resourceNames` without `resources`",
                "say of which resources these are names",
            ));
        }
        Ok(read)
    }

    fn stages(&self, node: &Node) -> Read<Stages> {
        let mut stages = Stages::default();
        let Some(list) = node.get("omitStages") else { return Ok(stages) };
        let names = Stages::ALL.map(Stage::name);
        for entry in self.list(list, "omitStages")? {
            let said = self.text(entry, "omitStages")?;
            let stage = Stages::ALL.into_iter().find(|s| s.name() == said);
            let wrong =
                || self.error(entry.span.start, format!("`{said}` is no stage"), nearest(&said, &names));
            stages.insert(stage.ok_or_else(wrong)?);
        }
        Ok(stages)
    }

    fn flag(&self, node: &Node) -> Read<Option<bool>> {
        let Some(flag) = node.get("omitManagedFields") else { return Ok(None) };
        match flag.text() {
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            _ => Err(self.error(
                flag.span.start,
                "`omitManagedFields` is true or false",
                "write `true` or `false`",
            )),
        }
    }

    fn texts(&self, node: &Node, key: &str) -> Read<Vec<String>> {
        let Some(list) = node.get(key) else { return Ok(Vec::new()) };
        self.list(list, key)?.iter().map(|entry| self.text(entry, key)).collect()
    }

    fn text(&self, node: &Node, key: &str) -> Read<String> {
        node.text().map(str::to_owned).ok_or_else(|| {
            self.error(
                node.span.start,
                format!("an entry of `{key}` is no text"),
                "write a text, in quotes if need be",
            )
        })
    }

    fn list<'n>(&self, node: &'n Node, key: &str) -> Read<&'n [Node]> {
        node.list().ok_or_else(|| {
            self.error(node.span.start, format!("`{key}` is no list"), format!("write `{key}: [\"…\"]`"))
        })
    }

    /// Refuses what is no map, and keys that do not exist or stand twice.
    fn keys(&self, node: &Node, known: &[&str], what: &str) -> Read<()> {
        let Some(members) = node.map() else {
            return Err(self.error(
                node.span.start,
                format!("{what} is a map of keys and values"),
                format!("its keys are {}", known.join(", ")),
            ));
        };
        let mut seen: Vec<&str> = Vec::new();
        for (key, _) in members {
            let name = key.text().unwrap_or_default();
            if !known.contains(&name) {
                return Err(self.error(
                    key.span.start,
                    format!("{what} has no key `{name}`"),
                    format!("the API server would drop it; {}", nearest(name, known)),
                ));
            }
            if seen.contains(&name) {
                return Err(self.error(
                    key.span.start,
                    format!("`{name}` stands twice"),
                    "keep one of the two",
                ));
            }
            seen.push(name);
        }
        Ok(())
    }
}

fn nearest(said: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(&said.to_lowercase(), &k.to_lowercase()), k))
        .min()
        .filter(|(distance, k)| *distance <= 2.max(k.len() / 3));
    match near {
        Some((_, k)) => format!("did you mean `{k}`?"),
        None => format!("there are {}", known.join(", ")),
    }
}
