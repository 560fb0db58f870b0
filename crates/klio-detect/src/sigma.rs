//! Sigma 2.1: detection rules, correlations and filters, compiled to [`Filter`]s and [`Correlation`]s.
//!
//! Sources: the Sigma specification 2.1.0 (rules, modifiers, correlation rules, filters). Where it leaves
//! a choice, Klio reads so:
//! * A rule without `level` is medium; a correlation without one takes the highest of its rules.
//! * `1 of x*` and `all of x*` leave out selections that begin with `_`, unless the pattern does too.
//! * `null` means absent; an empty `apiGroup` or `subresource` is also absent, since events leave it out.
//! * `responseStatus.code: ALLOW` and `FORBID` mean the authorizer's decision.
//! * A selection with `verb: create` for exec, attach or port-forward matches the WebSocket form of the same
//!   request too: `get` with code 101.
//! * The condition of a filter document is appended with `and`, as pySigma does it. One without any `not` is
//!   negated first, as in the example of the specification (2.0.0, "Examples": `condition: selection` for the
//!   accounts to leave out); a warning says so, since other tools keep only those events.
//! * Rules that a correlation names give no findings of their own unless it says `generate: true`; a rule
//!   of another dialect is left as it is.
//!
//! Every document is compiled on its own: a problem in one never keeps another from running.

mod alias;
mod condition;
mod correlation;
mod detection;
mod encode;
mod meta;
mod modifier;
mod notes;
mod value;
mod yaml;

use std::collections::HashMap;

use klio_model::{Field, Filter};

use crate::rule::{Dialect, Problem, Rule, RuleFile, RuleSet};
use meta::Source;
use notes::{Notes, nearest};
pub use yaml::catches_panics;
use yaml::{Document, Node};

/// Compiles rule files of one dialect.
pub fn compile(files: &[RuleFile], dialect: Dialect) -> (RuleSet, Vec<Problem>) {
    let files: Vec<_> = files.iter().map(|f| (dialect, f)).collect();
    compile_all(&files)
}

/// Compiles rule files of several dialects together, so that correlations and filters of one may name
/// rules of another.
pub fn compile_all(files: &[(Dialect, &RuleFile)]) -> (RuleSet, Vec<Problem>) {
    let mut set = RuleSet::default();
    let mut problems = Vec::new();
    let mut known = Known::default();
    let (mut correlations, mut filters) = (Vec::new(), Vec::new());
    for (dialect, file) in files {
        for (document, read) in yaml::documents(&file.text) {
            let mut notes = Notes::default();
            if let Err(fault) = read {
                problems.push(fault.problem(file, &document));
                continue;
            }
            let kind = classify(&document.root, &mut notes);
            if kind == Some(Kind::Rule) {
                if let Some(rule) = rule(*dialect, file, &document, &mut notes) {
                    if known.add(&rule.id, rule.name.as_deref(), &rule, &document, &set, &mut notes) {
                        set.rules.push(rule);
                    }
                } else {
                    known.reject(&document.root);
                }
            }
            problems.extend(notes.0.into_iter().map(|f| f.problem(file, &document)));
            match kind {
                Some(Kind::Correlation) => correlations.push((*dialect, *file, document)),
                Some(Kind::Filter) => filters.push((*file, document)),
                _ => {}
            }
        }
    }
    for (file, document) in &filters {
        let mut notes = Notes::default();
        apply(file, document, &mut set.rules, &known, &mut notes);
        problems.extend(notes.0.into_iter().map(|f| f.problem(file, document)));
    }
    for rule in &mut set.rules {
        rule.filter.each_field(&mut |f| rule.every_stage |= f.field() == Field::Stage);
    }
    correlation::compile(&correlations, &mut set, &known, &mut problems);
    problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    (set, problems)
}

/// For fuzzing: compiles any text and forgets the result.
pub fn fuzz(text: &str) {
    let file = RuleFile { name: "fuzz.yml".to_owned(), text: text.into() };
    let _ = compile(&[file], Dialect::Sigma);
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Rule,
    Correlation,
    Filter,
}

fn classify(root: &Node, notes: &mut Notes) -> Option<Kind> {
    if !matches!(root.kind, yaml::Kind::Map(_)) {
        notes.error(root, format!("a rule is a map, not {}", root.describe()), "begin with `title:`");
        return None;
    }
    if let Some(action) = root.get("action") {
        notes.error(
            action,
            "rule collections with `action` were removed from Sigma",
            "write each rule out in full, separated by lines of `---`",
        );
        return None;
    }
    for (key, kind) in
        [("detection", Kind::Rule), ("correlation", Kind::Correlation), ("filter", Kind::Filter)]
    {
        if root.get(key).is_some() {
            return Some(kind);
        }
    }
    let near = root.members().filter_map(|(k, _)| k.text()).find_map(|k| {
        let known = ["detection", "correlation", "filter"]
            .into_iter()
            .find(|n| strsim::damerau_levenshtein(n, k) <= 2)?;
        Some(format!("`{k}` should be `{known}`"))
    });
    let advice = near.unwrap_or_else(|| {
        "a rule has `detection`, a correlation `correlation`, a filter `filter`".to_owned()
    });
    notes.error(root, "neither rule nor correlation nor filter", advice);
    None
}

/// Compiles one rule; `None` when it cannot run or is for other logs.
fn rule(dialect: Dialect, file: &RuleFile, document: &Document<'_>, notes: &mut Notes) -> Option<Rule> {
    let root = &document.root;
    if meta::source(root, notes) == Source::Other {
        return None;
    }
    let (about, _) = meta::read(dialect, file, document, notes);
    let section = root.get("detection")?;
    let filter = detection::compile(section, &[], notes);
    if notes.failed() {
        return None;
    }
    Some(Rule { about, filter, every_stage: false, output: None, carries: Vec::new() })
}

/// Which ids and names are taken, and by rules that run.
#[derive(Debug, Default)]
struct Known {
    /// Id or name to the index in [`RuleSet::rules`].
    rules: HashMap<String, usize>,
    /// Ids and names of rules that do not run; their own problems say why.
    rejected: Vec<String>,
}

impl Known {
    /// Takes the id and name of a rule; false if they are taken.
    fn add(
        &mut self,
        id: &str,
        name: Option<&str>,
        rule: &Rule,
        document: &Document<'_>,
        set: &RuleSet,
        notes: &mut Notes,
    ) -> bool {
        let index = set.rules.len();
        let at = document.root.get("id").unwrap_or(&document.root);
        if let Some(other) = self.rules.get(id).and_then(|i| set.rules.get(*i)) {
            let place = format!("{}:{}", other.file, other.line);
            if other.filter == rule.filter {
                notes.warn(at, format!("the same rule stands in {place}: skipped"), "give each file once");
            } else {
                notes.error(
                    at,
                    format!("the id `{id}` is taken by {place}"),
                    "give each rule an id of its own",
                );
            }
            return false;
        }
        if let Some(name) = name
            && let Some(other) = self.rules.get(name).and_then(|i| set.rules.get(*i))
        {
            let at = document.root.get("name").unwrap_or(at);
            notes.warn(
                at,
                format!("the name `{name}` is taken by {}:{}", other.file, other.line),
                "correlations find the first; give each rule a name of its own",
            );
        }
        self.rules.insert(id.to_owned(), index);
        if let Some(name) = name {
            self.rules.entry(name.to_owned()).or_insert(index);
        }
        true
    }

    fn reject(&mut self, root: &Node) {
        self.rejected.extend(["id", "name", "title"].iter().filter_map(|k| root.get(k)?.scalar()));
    }

    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.rules.keys().map(String::as_str)
    }
}

/// Adds a filter document to the rules that it names.
fn apply(file: &RuleFile, document: &Document<'_>, rules: &mut [Rule], known: &Known, notes: &mut Notes) {
    let root = &document.root;
    if root.get("logsource").is_some() && meta::source(root, notes) == Source::Other {
        return;
    }
    let _ = meta::read(Dialect::Sigma, file, document, notes);
    let Some(section) = root.get("filter") else { return };
    let Some(named) = section.get("rules") else {
        notes.error(section, "a filter names no rules", "add `rules:` with ids or names, or `rules: any`");
        return;
    };
    let filter = detection::compile(section, &["rules"], notes);
    if notes.failed() {
        return;
    }
    let names: Vec<String> = section.members().filter_map(|(key, _)| key.scalar()).collect();
    let conditions = section.get("condition").map(Node::items).unwrap_or_default();
    let senses: Vec<_> =
        conditions.iter().filter_map(|node| Some((node, condition::sense(node.text()?, &names)?))).collect();
    let as_written = senses.iter().any(|(_, sense)| *sense != condition::Sense::Includes);
    for (node, sense) in &senses {
        let condition = node.text().unwrap_or_default();
        match sense {
            condition::Sense::Excludes => {}
            condition::Sense::Includes if !as_written => notes.warn(
                node,
                "a filter without `not` leaves its events out here, and keeps only these elsewhere",
                format!("write `not ({condition})`, which every tool reads alike"),
            ),
            _ => notes.warn(
                node,
                "this filter keeps the events for which its condition is true, and only these",
                format!("to leave such events out write `not ({condition})`"),
            ),
        }
    }
    let keep = if as_written { filter } else { Filter::not(filter) };
    let add = |rule: &mut Rule| rule.filter = Filter::and([rule.filter.clone(), keep.clone()]);
    if named.text().is_some_and(|t| t.eq_ignore_ascii_case("any")) {
        rules.iter_mut().for_each(add);
        return;
    }
    for node in named.items() {
        let Some(name) = node.scalar() else {
            notes.error(
                node,
                format!("a rule's id or name is a string, not {}", node.describe()),
                "write the id in quotes",
            );
            continue;
        };
        match known.rules.get(&name).and_then(|i| rules.get_mut(*i)) {
            Some(rule) => add(rule),
            None if known.rejected.contains(&name) => {
                notes.warn(node, format!("the rule `{name}` does not run"), "see its own message");
            }
            None => notes.error(node, format!("there is no rule `{name}`"), nearest(&name, known.names())),
        }
    }
}

#[cfg(test)]
mod tests;
