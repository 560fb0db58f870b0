//! Falco rules of source `k8s_audit`, unmodified: lists, macros, exceptions, overrides, conditions, outputs.
//!
//! The files are read in order; later items replace, append to or override earlier ones. A rule becomes a
//! [`Filter`](klio_model::Filter) that, evaluated with [`Missing::False`](klio_model::Missing), answers as
//! Falco does, and with [`Missing::Unknown`](klio_model::Missing) says whether the record proves it. Semantics:
//! falcosecurity/falco `userspace/engine`, falcosecurity/libs `userspace/libsinsp/filter`, falcosecurity/plugins
//! `plugins/k8saudit`.
//!
//! Priorities become severities: emergency, alert and critical are critical; error is high; warning is medium;
//! notice is low; informational (or info) and debug are informational.

mod build;
mod check;
mod collect;
mod exceptions;
mod fields;
mod item;
mod output;
mod parse;
mod pattern;
mod problems;
mod text;
pub(crate) mod yaml;

use klio_model::{Severity, Tactic, Technique};

use crate::rule::{About, Dialect, Problem, Rule, RuleFile, RuleSet};

use build::{Builder, Fault};
use collect::{Collected, Draft, Named};
use problems::Problems;
use text::Text;

pub use output::Output;

/// The event source whose rules Klio runs.
const SOURCE: &str = "k8s_audit";

/// Compiles rule files in their order. What cannot be compiled is a problem; the other rules go on.
pub fn compile(files: &[RuleFile]) -> (RuleSet, Vec<Problem>) {
    let mut problems = Problems::new(files);
    let mut collected = Collected::default();
    for (index, file) in files.iter().enumerate() {
        collected.read(index, &file.text, &mut problems);
    }
    let sources: Vec<&str> = files.iter().map(|f| &*f.text).collect();
    let mut builder = Builder::new(&collected, sources.clone());
    for (name, fault) in builder.broken_macros() {
        problems.error(&fault.place, format!("macro `{name}`: {}", fault.message), fault.advice.clone());
    }
    other_sources(&collected, &mut problems);
    let mut set = RuleSet::default();
    let wanted = collected.rules.iter().filter(|r| r.value.source == SOURCE && r.value.enabled);
    for named in wanted {
        match builder.rule(&named.value.condition, &named.value.exceptions) {
            Ok(filter) => {
                let mut rule = rule(named, files, &sources, &mut problems);
                rule.filter = filter;
                set.rules.push(rule);
            }
            Err(fault) => left_out(named, fault, &mut problems),
        }
    }
    (set, problems.finish())
}

fn left_out(named: &Named<Draft>, fault: Fault, problems: &mut Problems) {
    let message = format!("rule `{}` is left out: {}", named.name, fault.message);
    if fault.unknown && named.value.skip_if_unknown {
        problems.warning(&fault.place, message, fault.advice);
    } else {
        problems.error(&fault.place, message, fault.advice);
    }
}

/// One warning per source that Klio does not read.
fn other_sources(collected: &Collected, problems: &mut Problems) {
    let mut seen: Vec<&str> = Vec::new();
    for rule in &collected.rules {
        let source = rule.value.source.as_str();
        if source == SOURCE || seen.contains(&source) {
            continue;
        }
        seen.push(source);
        let count = collected.rules.iter().filter(|r| r.value.source == source).count();
        let what = if count == 1 {
            format!("rule `{}`", rule.name)
        } else {
            format!("{count} rules (first `{}`)", rule.name)
        };
        let advice =
            "Klio runs rules with `source: k8s_audit`; a rule without a source is about system calls";
        problems.warning(
            &rule.place,
            format!("{what} of source `{source}` left out"),
            Some(advice.to_owned()),
        );
    }
}

fn rule(named: &Named<Draft>, files: &[RuleFile], sources: &[&str], problems: &mut Problems) -> Rule {
    let draft = &named.value;
    let template = Text::of(&draft.output);
    let (output, faults) = Output::compile(template.body.trim());
    for (at, misuse) in faults {
        let place = template.locate(at..at, sources);
        let message = format!("rule `{}`, output: {}; it prints <NA>", named.name, misuse.message);
        problems.warning(&place, message, misuse.advice);
    }
    let tags = &draft.tags;
    let about = About {
        id: named.name.clone(),
        name: None,
        title: named.name.clone(),
        description: draft.description.clone(),
        dialect: Dialect::Falco,
        severity: priority(&draft.priority).unwrap_or(Severity::Informational),
        tactics: tags.iter().filter_map(|tag| tactic(tag)).collect(),
        techniques: tags.iter().filter_map(|tag| Technique::parse(bare(tag))).collect(),
        labels: Vec::new(),
        reports: true,
        file: files.get(named.place.file).map(|f| f.name.clone()).unwrap_or_default(),
        line: problems.line(&named.place),
    };
    Rule {
        about,
        filter: klio_model::Filter::Nothing,
        every_stage: true,
        output: Some(output),
        carries: Vec::new(),
    }
}

/// A tag without the prefix that names its vocabulary.
fn bare(tag: &str) -> &str {
    let end = tag.char_indices().nth(6).map_or(tag.len(), |(i, _)| i);
    if tag[..end].eq_ignore_ascii_case("mitre_") {
        &tag[end..]
    } else {
        tag.strip_prefix("attack.").unwrap_or(tag)
    }
}

/// `mitre_execution` is a tactic; a plain tag such as `discovery` need not be.
fn tactic(tag: &str) -> Option<Tactic> {
    if bare(tag) == tag { None } else { Tactic::parse(bare(tag)) }
}

/// What a Falco priority means for a reader.
fn priority(name: &str) -> Option<Severity> {
    Some(match name.to_ascii_lowercase().as_str() {
        "emergency" | "alert" | "critical" => Severity::Critical,
        "error" => Severity::High,
        "warning" => Severity::Medium,
        "notice" => Severity::Low,
        "informational" | "info" | "debug" => Severity::Informational,
        _ => return None,
    })
}

/// The nearest of some names, if one is near enough to be meant.
fn nearest(name: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let wanted = name.to_ascii_lowercase();
    let near = names.map(|n| (strsim::damerau_levenshtein(&n.to_ascii_lowercase(), &wanted), n)).min()?;
    (near.0 <= 2.max(name.len() / 4)).then_some(near.1)
}

#[cfg(test)]
mod tests;
