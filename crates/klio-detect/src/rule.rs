//! A rule of any dialect after compilation, and what goes wrong on the way there.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use klio_model::{Actor, Evidence, FieldRef, Filter, Object, People, Severity, Tactic, Technique, Timestamp};
use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;

use crate::allow::Allow;
use crate::correlate::Correlation;
use crate::falco::Output;
use crate::lookup::Lookup;

/// The language a rule was written in, which also decides how it reads missing values and stages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// Klio's own pack: plain Sigma.
    Klio,
    /// A Sigma rule that the user gave.
    Sigma,
    /// A Falco rule of source `k8s_audit`.
    Falco,
}

impl Dialect {
    /// The word in findings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Klio => "klio",
            Self::Sigma => "sigma",
            Self::Falco => "falco",
        }
    }
}

/// A text that holds rules, with its name for messages.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// Path or other name.
    pub name: String,
    /// The YAML text.
    pub text: Arc<str>,
}

/// What a rule or a correlation says about itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Its own id; for Falco and for Sigma rules without one, its title.
    pub id: String,
    /// Sigma's `name`, by which correlations refer to it.
    pub name: Option<String>,
    /// Title (Falco: the rule's name).
    pub title: String,
    /// What it is about (Falco: `desc`).
    pub description: String,
    /// Language.
    pub dialect: Dialect,
    /// How much a match matters.
    pub severity: Severity,
    /// ATT&CK tactics from the tags.
    pub tactics: Vec<Tactic>,
    /// ATT&CK techniques from the tags.
    pub techniques: Vec<Technique>,
    /// Tags outside of `attack.`, such as `tmfk.ms-ta9016`.
    pub labels: Vec<String>,
    /// Gives findings of its own; false for what a correlation without `generate` watches.
    pub reports: bool,
    /// File it was read from.
    pub file: String,
    /// Line at which it begins, from 1.
    pub line: usize,
}

/// A compiled rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it says about itself.
    pub about: About,
    /// The predicate.
    pub filter: Filter,
    /// Judges every stage event (Falco; Sigma rules that name `stage`), else one event per request.
    pub every_stage: bool,
    /// Falco's output template.
    pub output: Option<Output>,
    /// Fields whose values correlations need from a match.
    pub carries: Vec<FieldRef>,
}

impl Deref for Rule {
    type Target = About;

    fn deref(&self) -> &About {
        &self.about
    }
}

/// Compiled rules and correlations.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// Rules in file order.
    pub rules: Vec<Rule>,
    /// Correlations in file order; they refer to rules and to each other by id or name.
    pub correlations: Vec<Correlation>,
    /// What is known to be right.
    pub allow: Vec<Allow>,
    /// The lists and databases that events are looked up in.
    pub lookup: Arc<Lookup>,
    /// Who uses which accounts.
    pub people: Arc<People>,
}

impl RuleSet {
    /// The rules as they are to be judged by. Those that can say nothing without a list or database that was not given
    /// are there in number only, and cost nothing.
    pub fn awake(&self) -> Vec<Rule> {
        let mut rules = self.rules.clone();
        for rule in rules.iter_mut().filter(|rule| self.lookup.lacks(&rule.filter).is_some()) {
            rule.filter = Filter::Nothing;
        }
        rules
    }

    /// What all rules, then all correlations say about themselves.
    pub fn abouts(&self) -> impl Iterator<Item = &About> {
        let rules = self.rules.iter().map(|r| &r.about);
        rules.chain(self.correlations.iter().map(|c| &c.about))
    }
}

/// Something in a rule file that Klio cannot do or that is wrong. Never a silent non-match.
#[derive(Debug, Error, Diagnostic, Clone)]
#[error("{message}")]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// File name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The text, for the excerpt.
    #[source_code]
    pub source_code: NamedSource<Arc<str>>,
    /// Where in the text.
    #[label("here")]
    pub span: SourceSpan,
    /// What to do about it.
    #[help]
    pub advice: Option<String>,
    /// Whether the rule still runs.
    pub warning: bool,
}

/// One rule's or correlation's match, before it becomes a finding.
#[derive(Clone, Debug)]
pub struct Match {
    /// Which rule or correlation, by its id.
    pub rule: Arc<str>,
    /// Event time of the request (of the last request, for a correlation).
    pub time: Option<Timestamp>,
    /// Who acted.
    pub actor: Actor,
    /// On what.
    pub object: Object,
    /// Values of the fields in [`Rule::carries`], by printed field name (or alias, for a correlation).
    pub values: BTreeMap<String, Vec<String>>,
    /// The events that prove it.
    pub evidence: Vec<Evidence>,
    /// False if it rests on values that the audit level did not record.
    pub proven: bool,
}
