//! The lessons of the training lab (`lab/*.md`): recorded attacks with questions, each answer with its proof.
//!
//! A page is front matter, the situation, a section for each question and a last one that says what was learnt. A question is its
//! heading, a hint, a block of YAML ([`Terms`]) and the explanation.

mod answer;
mod recordings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use include_dir::{Dir, File, include_dir};
use serde::Deserialize;

pub use answer::{Answer, Verdict};
pub use recordings::recording;

/// The pages, as they are in the repository: `NN-name.md`.
static PAGES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../lab");
/// The log of a lesson, unless a proof names another of its files.
pub const LOG: &str = "audit.jsonl.zst";

/// A lesson.
#[derive(Debug)]
pub struct Lesson {
    /// Its place in the order.
    pub number: usize,
    /// The page's name without number and `.md`.
    pub slug: &'static str,
    /// The front matter.
    pub head: Head,
    /// What the learner is told.
    pub situation: &'static str,
    /// What is asked.
    pub questions: Vec<Question>,
    /// What was learnt.
    pub ending: &'static str,
}

/// What stands at the top of a page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The name of the lesson.
    pub title: String,
    /// What it teaches, in a few words.
    pub teaches: String,
    /// How hard it is: 1 to 4.
    pub level: u8,
    /// What the learner gets: names of files, and where they are below `fixtures/recorded`.
    pub files: BTreeMap<String, String>,
    /// Rules of Klio's pack that find something in the log, by the names of their files.
    #[serde(default)]
    pub rules: Vec<String>,
}

/// A question.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub ask: &'static str,
    /// Where to look.
    pub hint: &'static str,
    /// What is right.
    pub answer: Answer,
    /// What to try, and why it is right.
    pub terms: Terms,
    /// What the answer teaches.
    pub explanation: &'static str,
}

/// The block of YAML in a question's section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Commands to try.
    #[serde(rename = "try")]
    pub tries: Many<String>,
    answer: Option<Many<String>>,
    all: Option<Vec<String>>,
    /// What shows that it is so.
    pub proof: Many<Proof>,
    /// Audit ids to look at.
    #[serde(default)]
    pub evidence: Vec<String>,
}

/// One thing or a list.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Many<T> {
    /// One.
    One(T),
    /// Several.
    Several(Vec<T>),
}

impl<T> Many<T> {
    /// All of them.
    pub fn all(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        }
    }
}

/// What shows that an answer is right; tests hold it against the recording.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Proof {
    /// Events of a log.
    Events(Events),
    /// What a command prints.
    Output(Output),
}

/// What a field holds in the events that match a filter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Which events.
    #[serde(rename = "where")]
    pub filter: String,
    /// Which of their fields.
    pub field: String,
    /// What of it.
    #[serde(default)]
    pub of: Of,
    /// In which of the lesson's files; [`LOG`] unless given.
    pub file: Option<String>,
    /// What it comes to, where that is not the answer itself.
    pub is: Option<Many<String>>,
}

/// Which of a field's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// All that are different.
    #[default]
    Each,
    /// How many different ones there are.
    Count,
    /// That of the earliest event.
    First,
    /// That of the latest event.
    Last,
}

/// A command and a text that it prints.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The command.
    pub run: String,
    /// What it says, among other things.
    pub says: String,
}

/// All of them, in order.
pub fn all() -> Vec<Lesson> {
    let mut all: Vec<Lesson> = PAGES.files().filter_map(|file| read(file).ok()).collect();
    all.sort_by_key(|lesson| lesson.number);
    all
}

fn read(file: &'static File<'static>) -> Result<Lesson, String> {
    let name = file.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let lesson = || {
        let (number, slug) = name.strip_suffix(".md")?.split_once('-')?;
        Some((number.parse().ok()?, slug))
    };
    let (number, slug) = lesson().ok_or("a page is called NN-name.md")?;
    let page = file.contents_utf8().ok_or("not UTF-8")?;
    let (head, body) = page
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n"))
        .ok_or("no front matter between two lines of ---")?;
    let head = serde_saphyr::from_str(head).map_err(|e| format!("front matter: {e}"))?;
    let mut sections = body.split("\n## ");
    let situation = sections.next().unwrap_or_default().trim();
    let mut sections: Vec<&str> = sections.collect();
    let (_, ending) = sections.pop().and_then(|last| last.split_once('\n')).ok_or("no sections")?;
    let questions = sections.into_iter().map(question).collect::<Result<_, _>>()?;
    Ok(Lesson { number, slug, head, situation, questions, ending: ending.trim() })
}

fn question(section: &'static str) -> Result<Question, String> {
    let parts = || {
        let (ask, rest) = section.split_once('\n')?;
        let (hint, rest) = rest.split_once("\n```yaml\n")?;
        let (terms, explanation) = rest.split_once("\n```\n")?;
        Some((ask.trim(), hint.trim(), terms, explanation.trim()))
    };
    let (ask, hint, terms, explanation) = parts()
        .ok_or_else(|| format!("`{}`: no block of yaml", section.lines().next().unwrap_or_default()))?;
    let mut terms: Terms = serde_saphyr::from_str(terms).map_err(|e| format!("`{ask}`: {e}"))?;
    let answer = match (terms.answer.take(), terms.all.take()) {
        (Some(any), None) => Answer::Any(any),
        (None, Some(all)) => Answer::All(all),
        _ => return Err(format!("`{ask}`: either `answer` or `all`")),
    };
    Ok(Question { ask, hint, answer, terms, explanation })
}
