//! What was looked at and what was found.

use std::fmt::Display;

use serde::{Serialize, Serializer};

use crate::failure::Failure;
use crate::output::Grid;

/// How it is.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Warn,
    /// It does not work.
    Fail,
}

/// One look.
#[derive(Serialize)]
struct Entry {
    check: String,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

/// All that was looked at, in order.
#[derive(Default)]
pub struct Chart(Vec<Entry>);

impl Chart {
    /// As it should be.
    pub fn ok(&mut self, check: impl Into<String>, found: impl Into<String>) {
        self.add(check.into(), State::Ok, found.into(), String::new());
    }

    /// It works, and somebody should know.
    pub fn warn(&mut self, check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) {
        self.add(check.into(), State::Warn, found.into(), advice.into());
    }

    /// It does not work.
    pub fn fail(&mut self, check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) {
        self.add(check.into(), State::Fail, found.into(), advice.into());
    }

    /// It does not work, as a failure says; its own hints come before the advice.
    pub fn failed(&mut self, check: impl Into<String>, failure: &Failure, advice: &str) {
        let advice = failure.hints.iter().map(String::as_str).chain([advice]).filter(|text| !text.is_empty());
        self.fail(check, failure.message.clone(), advice.collect::<Vec<_>>().join("; "));
    }

    fn add(&mut self, check: String, state: State, found: String, advice: String) {
        // What others say may be many lines; here is one.
        let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
        self.0.push(Entry { check, state, found, advice });
    }

    /// The gravest of all.
    pub fn state(&self) -> State {
        self.0.iter().map(|entry| entry.state).max().unwrap_or(State::Ok)
    }

    /// For a terminal.
    pub fn grid(&self) -> impl Display {
        let mut grid = Grid::new(&["check", "state", "found", "what to do"]);
        for Entry { check, state, found, advice } in &self.0 {
            let state = match state {
                State::Ok => "ok",
                State::Warn => "warn",
                State::Fail => "FAIL",
            };
            grid.row(vec![check.clone(), state.to_owned(), found.clone(), advice.clone()]);
        }
        grid
    }
}

impl Serialize for Chart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Page<'c> {
            state: State,
            checks: &'c [Entry],
        }
        Page { state: self.state(), checks: &self.0 }.serialize(serializer)
    }
}

/// Bytes as people say them.
pub fn size(bytes: u64) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", units[unit]) }
}
