//! Collecting what is wrong, with file, line and span.

use std::sync::Arc;

use miette::{NamedSource, SourceSpan};

use super::text::Place;
use crate::rule::{Problem, RuleFile};

/// Nobody reads more; the rest is counted.
const MAX_PROBLEMS: usize = 500;

/// The problems of one compilation.
pub(super) struct Problems {
    files: Vec<RuleFile>,
    list: Vec<Problem>,
    more: usize,
}

impl Problems {
    pub fn new(files: &[RuleFile]) -> Self {
        Self { files: files.to_vec(), list: Vec::new(), more: 0 }
    }

    /// The rule or item is left out.
    pub fn error(&mut self, place: &Place, message: String, advice: Option<String>) {
        self.push(place, message, advice, false);
    }

    /// The rule runs, or was left out because its file says so.
    pub fn warning(&mut self, place: &Place, message: String, advice: Option<String>) {
        self.push(place, message, advice, true);
    }

    /// Line of a place, from 1.
    pub fn line(&self, place: &Place) -> usize {
        let text = self.files.get(place.file).map_or("", |f| &f.text);
        1 + text.as_bytes().iter().take(place.span.start).filter(|b| **b == b'\n').count()
    }

    fn push(&mut self, place: &Place, message: String, advice: Option<String>, warning: bool) {
        let Some(file) = self.files.get(place.file) else { return };
        if self.list.len() >= MAX_PROBLEMS {
            self.more += 1;
            return;
        }
        let end = file.text.len();
        let (start, stop) = (place.span.start.min(end), place.span.end.min(end));
        self.list.push(Problem {
            message,
            file: file.name.clone(),
            line: self.line(place),
            source_code: NamedSource::new(&file.name, Arc::clone(&file.text)),
            span: SourceSpan::new(start.into(), stop.saturating_sub(start)),
            advice,
            warning,
        });
    }

    pub fn finish(mut self) -> Vec<Problem> {
        if self.more > 0 {
            let more = self.more;
            if let Some(last) = self.list.last_mut() {
                last.message = format!("{} (and {more} more problems)", last.message);
            }
        }
        self.list
    }
}
