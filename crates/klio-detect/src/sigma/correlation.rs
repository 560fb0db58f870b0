//! Correlation documents: read, joined with the rules that they name, and checked as a whole.
//!
//! Source: Sigma correlation rules specification 2.1.0.

mod draft;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use klio_model::{FieldRef, Severity};

use self::draft::Draft;
use super::notes::{Notes, nearest};
use super::yaml::{Document, Node};
use super::{Known, alias};
use crate::correlate::CorrelationSource;
use crate::rule::{Dialect, Problem, RuleFile, RuleSet};

/// A correlation of correlations of … goes no deeper.
const MAX_CHAIN: usize = 16;

/// What a correlation watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    Rule(usize),
    Correlation(usize),
}

/// Compiles all correlation documents into `set` and marks which rules report and what they carry.
pub(super) fn compile(
    documents: &[(Dialect, &RuleFile, Document<'_>)],
    set: &mut RuleSet,
    known: &Known,
    problems: &mut Vec<Problem>,
) {
    let mut drafts: Vec<Draft<'_>> =
        documents.iter().map(|(d, file, document)| draft::read(*d, file, document)).collect();
    let names = names(&mut drafts, set, known);
    let targets = targets(&mut drafts, set, known, &names);
    refuse_cycles(&mut drafts, &targets);
    // One that watches a broken one is broken too.
    for _ in 0..MAX_CHAIN {
        for i in 0..drafts.len() {
            let broken = targets[i].iter().zip(&drafts[i].rules).find_map(|(t, node)| match t {
                Some(Target::Correlation(j)) if drafts[*j].notes.failed() => Some(*node),
                _ => None,
            });
            if let (Some(node), false) = (broken, drafts[i].notes.failed()) {
                drafts[i].notes.error(node, "this correlation does not run", "see its own message");
            }
        }
    }
    for i in 0..drafts.len() {
        if !drafts[i].notes.failed() {
            keys(i, &mut drafts, &targets, set);
        }
    }
    severities(&mut drafts, &targets, set);
    reports(&mut drafts, &targets, set);
    for (draft, (_, file, document)) in drafts.into_iter().zip(documents) {
        if !draft.notes.failed() {
            set.correlations.push(draft.correlation);
        }
        problems.extend(draft.notes.0.into_iter().map(|f| f.problem(file, document)));
    }
}

/// Ids and names of the correlations.
fn names(drafts: &mut [Draft<'_>], set: &RuleSet, known: &Known) -> HashMap<String, usize> {
    let mut names = HashMap::new();
    for (i, draft) in drafts.iter_mut().enumerate() {
        let id = draft.correlation.id.clone();
        let at = draft.root.get("id").unwrap_or(draft.root);
        if let Some(rule) = known.rules.get(&id).and_then(|r| set.rules.get(*r)) {
            draft.notes.error(
                at,
                format!("the id `{id}` is taken by {}:{}", rule.file, rule.line),
                "give it an id of its own",
            );
        } else if let Entry::Vacant(free) = names.entry(id) {
            free.insert(i);
        } else {
            let message = format!("the id `{}` is taken by another correlation", draft.correlation.id);
            draft.notes.error(at, message, "give it an id of its own");
        }
        if let Some(name) = &draft.correlation.name {
            names.entry(name.clone()).or_insert(i);
        }
    }
    names
}

/// What each correlation watches, in the order written.
fn targets(
    drafts: &mut [Draft<'_>],
    set: &RuleSet,
    known: &Known,
    names: &HashMap<String, usize>,
) -> Vec<Vec<Option<Target>>> {
    let mut out = Vec::new();
    for draft in drafts {
        let mut mine: Vec<Option<Target>> = Vec::new();
        for node in draft.rules.clone() {
            let name = node.scalar().unwrap_or_default();
            let rule = known.rules.get(&name).copied().filter(|i| *i < set.rules.len()).map(Target::Rule);
            let target = rule.or_else(|| names.get(&name).copied().map(Target::Correlation));
            if target.is_none() {
                if known.rejected.contains(&name) {
                    draft.notes.error(node, format!("the rule `{name}` does not run"), "see its own message");
                } else {
                    let all = known.names().chain(names.keys().map(String::as_str));
                    draft.notes.error(node, format!("there is no rule `{name}`"), nearest(&name, all));
                }
            } else if mine.contains(&target) {
                draft.notes.error(node, format!("`{name}` is named twice"), "name each rule once");
            }
            mine.push(target);
        }
        out.push(mine);
    }
    out
}

/// Refuses correlations that watch themselves, and chains that are too long.
fn refuse_cycles(drafts: &mut [Draft<'_>], targets: &[Vec<Option<Target>>]) {
    // The height of each above the plain rules; a cycle rises for ever.
    let mut height = vec![1usize; drafts.len()];
    for _ in 0..=MAX_CHAIN {
        for i in 0..drafts.len() {
            let below = targets[i].iter().filter_map(|t| {
                if let Some(Target::Correlation(j)) = t { Some(height[*j] + 1) } else { None }
            });
            height[i] = below.max().unwrap_or(1);
        }
    }
    for (draft, height) in drafts.iter_mut().zip(&height) {
        if *height > MAX_CHAIN {
            let at = draft.root.get("correlation").and_then(|c| c.get("rules")).unwrap_or(draft.root);
            draft.notes.error(
                at,
                "this correlation watches itself, or the chain is too long",
                "let correlations build on each other in one direction",
            );
        }
    }
}

/// Under which names the matches of each source hold the group keys and counted fields.
fn keys(i: usize, drafts: &mut [Draft<'_>], targets: &[Vec<Option<Target>>], set: &mut RuleSet) {
    let mut notes = Notes::default();
    let (group, counted) = (drafts[i].group.clone(), drafts[i].counted.clone());
    let mut sources = Vec::new();
    for (target, node) in targets[i].iter().zip(drafts[i].rules.clone()) {
        let Some(target) = *target else { continue };
        let called = node.scalar().unwrap_or_default();
        let mut one = |at: &Node, written: &str, notes: &mut Notes| -> Option<String> {
            let name = match drafts[i].aliased(written, &called, target, set, drafts) {
                Aliased::No => written.to_owned(),
                Aliased::As(name) => name,
                Aliased::Missing => {
                    notes.error(
                        at,
                        format!("the alias `{written}` has no field for `{called}`"),
                        format!("add `{called}: <field>` to the alias"),
                    );
                    return None;
                }
            };
            if let Target::Correlation(j) = target
                && drafts[j].aliases.iter().any(|(alias, _)| *alias == name)
                && drafts[j].correlation.group_by.contains(&name)
            {
                return Some(name);
            }
            match alias::resolve(&name) {
                Ok(field) => {
                    carry(target, &field, drafts, targets, set, 0);
                    Some(field.name().to_owned())
                }
                Err(error) => {
                    let advice = error.suggestion.map_or_else(
                        || "name a field of the event or an alias of this correlation".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    );
                    notes.error(at, format!("unknown field `{name}`"), advice);
                    None
                }
            }
        };
        let keys = group.iter().filter_map(|(at, written)| one(at, written, &mut notes)).collect();
        let fields = counted.iter().filter_map(|(at, written)| one(at, written, &mut notes)).collect();
        let rule = match target {
            Target::Rule(r) => set.rules[r].id.clone(),
            Target::Correlation(j) => drafts[j].correlation.id.clone(),
        };
        sources.push(CorrelationSource { rule, keys, fields });
    }
    drafts[i].notes.0.append(&mut notes.0);
    drafts[i].correlation.sources = sources;
}

/// What a name in `group-by` or `field` stands for.
enum Aliased {
    /// It is no alias.
    No,
    /// This field of the rule.
    As(String),
    /// The alias does not say for this rule.
    Missing,
}

impl Draft<'_> {
    /// An alias names rules by `name`; an id is understood too.
    fn aliased(
        &self,
        written: &str,
        called: &str,
        target: Target,
        set: &RuleSet,
        drafts: &[Draft<'_>],
    ) -> Aliased {
        let Some((_, fields)) = self.aliases.iter().find(|(alias, _)| alias == written) else {
            return Aliased::No;
        };
        let (id, name) = match target {
            Target::Rule(r) => (&set.rules[r].id, set.rules[r].name.as_deref()),
            Target::Correlation(j) => (&drafts[j].correlation.id, drafts[j].correlation.name.as_deref()),
        };
        let field =
            fields.iter().find(|(rule, _)| rule == called || rule == id || Some(rule.as_str()) == name);
        field.map_or(Aliased::Missing, |(_, field)| Aliased::As(field.clone()))
    }
}

/// Makes the matches of a rule, or of all rules below a correlation, carry a field.
fn carry(
    target: Target,
    field: &FieldRef,
    drafts: &mut [Draft<'_>],
    targets: &[Vec<Option<Target>>],
    set: &mut RuleSet,
    depth: usize,
) {
    let carries = match target {
        Target::Rule(r) => &mut set.rules[r].carries,
        Target::Correlation(j) => &mut drafts[j].correlation.carries,
    };
    if !carries.contains(field) {
        carries.push(field.clone());
    }
    if let (Target::Correlation(j), true) = (target, depth < MAX_CHAIN) {
        for below in targets[j].iter().flatten() {
            carry(*below, field, drafts, targets, set, depth + 1);
        }
    }
}

/// A correlation without a level is as severe as what it watches.
fn severities(drafts: &mut [Draft<'_>], targets: &[Vec<Option<Target>>], set: &RuleSet) {
    for _ in 0..MAX_CHAIN {
        for i in 0..drafts.len() {
            if drafts[i].levelled {
                continue;
            }
            let below = targets[i].iter().flatten().map(|t| match t {
                Target::Rule(r) => set.rules[*r].severity,
                Target::Correlation(j) => drafts[*j].correlation.severity,
            });
            drafts[i].correlation.about.severity = below.max().unwrap_or(Severity::Medium);
        }
    }
}

/// What a correlation watches gives findings of its own only with `generate`.
fn reports(drafts: &mut [Draft<'_>], targets: &[Vec<Option<Target>>], set: &mut RuleSet) {
    for pass in [false, true] {
        for i in 0..drafts.len() {
            if drafts[i].notes.failed() || drafts[i].generate != pass {
                continue;
            }
            let mine = drafts[i].correlation.dialect;
            for target in targets[i].iter().flatten() {
                let about = match target {
                    Target::Rule(r) => &mut set.rules[*r].about,
                    Target::Correlation(j) => &mut drafts[*j].correlation.about,
                };
                if pass || about.dialect == mine {
                    about.reports = pass;
                }
            }
        }
    }
}
