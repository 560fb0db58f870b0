//! What a document says about itself: title, id, level, tags, log source.

use klio_model::{Severity, Tactic, Technique};

use super::notes::{Notes, nearest};
use super::yaml::{self, Document, Node};
use crate::rule::{About, Dialect, RuleFile};

/// What a document is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// Kubernetes audit events.
    Audit,
    /// Something else, or nothing that can be read.
    Other,
}

/// The attributes that rules and correlations share, and whether the severity is among them.
pub(super) fn read(
    dialect: Dialect,
    file: &RuleFile,
    document: &Document<'_>,
    notes: &mut Notes,
) -> (About, bool) {
    let root = &document.root;
    let title = string(root, "title", notes);
    if title.is_none() {
        notes.error(root, "there is no `title`", "add `title:` with a short name for the finding");
    }
    let title = title.unwrap_or_default();
    let id = string(root, "id", notes);
    if id.is_none() && !title.is_empty() {
        notes.warn(
            root,
            "there is no `id`",
            "findings and filters then know the rule by its title; add a random UUID",
        );
    }
    let tags = strings(root, "tags", notes);
    let (mut tactics, mut techniques, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for tag in &tags {
        let Some(attack) = tag.strip_prefix("attack.") else {
            labels.push(tag.clone());
            continue;
        };
        if let Some(technique) = Technique::parse(attack) {
            techniques.push(technique);
        } else if let Some(tactic) = Tactic::parse(attack) {
            tactics.push(tactic);
        } else if !is_other_object(attack) {
            let at = root.get("tags").unwrap_or(root);
            let names = Tactic::ALL.map(Tactic::name);
            notes.warn(at, format!("`{tag}` is no tactic or technique"), nearest(attack, names.into_iter()));
        }
    }
    // For the reader of the rule only: no more is asked of them than that they are lists of texts.
    for key in ["falsepositives", "references"] {
        strings(root, key, notes);
    }
    let level = level(root, notes);
    let about = About {
        id: id.unwrap_or_else(|| title.clone()),
        name: string(root, "name", notes),
        title,
        description: string(root, "description", notes).unwrap_or_default().trim().to_owned(),
        dialect,
        severity: level.unwrap_or(Severity::Medium),
        tactics,
        techniques,
        labels,
        reports: true,
        file: file.name.clone(),
        line: document.locate(root.place).1,
    };
    (about, level.is_some())
}

/// Groups, software, data sources, mitigations and assets of ATT&CK.
fn is_other_object(tag: &str) -> bool {
    ["ds", "g", "s", "m", "a", "c"].iter().any(|p| {
        tag.strip_prefix(p)
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    })
}

fn string(root: &Node, key: &str, notes: &mut Notes) -> Option<String> {
    let node = root.get(key)?;
    let text = node.scalar().filter(|t| !t.trim().is_empty());
    if text.is_none() && node.kind != yaml::Kind::Null {
        notes.error(
            node,
            format!("`{key}` is a string, not {}", node.describe()),
            "write text, in quotes if need be",
        );
    }
    text
}

fn strings(root: &Node, key: &str, notes: &mut Notes) -> Vec<String> {
    let Some(node) = root.get(key).filter(|n| n.kind != yaml::Kind::Null) else { return Vec::new() };
    let mut out = Vec::new();
    for item in node.items() {
        match item.scalar() {
            Some(text) => out.push(text),
            None => notes.warn(item, format!("`{key}` holds {}", item.describe()), "write a list of strings"),
        }
    }
    out
}

fn level(root: &Node, notes: &mut Notes) -> Option<Severity> {
    let node = root.get("level").filter(|n| n.kind != yaml::Kind::Null)?;
    let text = node.scalar().unwrap_or_default();
    let level = Severity::ALL.into_iter().find(|s| s.name() == text);
    if level.is_none() {
        notes.error(
            node,
            format!("`{text}` is no level"),
            nearest(&text, Severity::ALL.map(Severity::name).into_iter()),
        );
    }
    level
}

/// Whether `logsource` means Kubernetes audit events. The category says nothing more and is not read.
pub(super) fn source(root: &Node, notes: &mut Notes) -> Source {
    let Some(node) = root.get("logsource") else {
        let near = root
            .members()
            .filter_map(|(k, _)| k.text())
            .find(|k| strsim::damerau_levenshtein(k, "logsource") <= 2);
        let advice = near.map_or_else(
            || "add `logsource:` with `product: kubernetes` and `service: audit`".to_owned(),
            |k| format!("`{k}` should be `logsource`"),
        );
        notes.error(root, "there is no `logsource`", advice);
        return Source::Other;
    };
    let is = |key: &str, want: &str| {
        node.get(key).and_then(Node::scalar).is_some_and(|v| v.eq_ignore_ascii_case(want))
    };
    if is("product", "kubernetes") && is("service", "audit") {
        return Source::Audit;
    }
    let said: Vec<_> =
        node.members().filter_map(|(k, v)| Some(format!("{}: {}", k.text()?, v.scalar()?))).collect();
    notes.warn(
        node,
        format!("not for Kubernetes audit logs ({}): skipped", said.join(", ")),
        "Klio runs rules with `product: kubernetes` and `service: audit`",
    );
    Source::Other
}
