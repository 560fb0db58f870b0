//! What goes wrong while a rule is compiled, gathered so that a reader sees all of it at once.

use std::sync::Arc;

use miette::NamedSource;

use super::yaml::{Document, Node, Place};
use crate::rule::{Problem, RuleFile};

/// A problem that does not know its file yet.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    message: String,
    place: Place,
    advice: Option<String>,
    warning: bool,
}

impl Fault {
    pub(super) fn at(place: Place, message: impl Into<String>) -> Self {
        Self { message: message.into(), place, advice: None, warning: false }
    }

    pub(super) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Whether the rule cannot run.
    pub(super) fn is_error(&self) -> bool {
        !self.warning
    }

    /// With the file and line that a reader needs.
    pub(super) fn problem(self, file: &RuleFile, document: &Document<'_>) -> Problem {
        let (range, line) = document.locate(self.place);
        Problem {
            message: self.message,
            file: file.name.clone(),
            line,
            source_code: NamedSource::new(&file.name, Arc::clone(&file.text)),
            span: range.into(),
            advice: self.advice,
            warning: self.warning,
        }
    }
}

/// The faults of one document.
#[derive(Debug, Default)]
pub(super) struct Notes(pub(super) Vec<Fault>);

impl Notes {
    /// Notes what keeps the rule from running.
    pub(super) fn error(&mut self, at: &Node, message: impl Into<String>, advice: impl Into<String>) {
        self.0.push(Fault::at(at.place, message).advise(advice));
    }

    /// Notes what is odd while the rule still runs.
    pub(super) fn warn(&mut self, at: &Node, message: impl Into<String>, advice: impl Into<String>) {
        self.0.push(Fault { warning: true, ..Fault::at(at.place, message).advise(advice) });
    }

    /// Whether the rule cannot run.
    pub(super) fn failed(&self) -> bool {
        self.0.iter().any(Fault::is_error)
    }
}

/// `did you mean …?` for the nearest of some names, or the list of them.
pub(super) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    let lower = name.to_lowercase();
    let best = names
        .clone()
        .map(|n| (strsim::damerau_levenshtein(&n.to_lowercase(), &lower), n))
        .min()
        .filter(|(distance, n)| *distance <= 1.max(n.len() / 3));
    if let Some((_, n)) = best {
        format!("did you mean `{n}`?")
    } else {
        let known: Vec<_> = names.take(40).collect();
        if known.is_empty() { "there is none".to_owned() } else { format!("known are {}", known.join(", ")) }
    }
}
