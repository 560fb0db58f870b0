//! An object as it was, to be looked at or applied again.

use serde_json::Value;

use super::{Basis, History, noise, path};

/// So many redacted places are named.
const MAX_MARKS: usize = 10;

/// An object as it was.
#[derive(Clone, PartialEq, Debug)]
pub struct Manifest {
    /// The object.
    pub value: Value,
    /// From what it is known, and what is uncertain.
    pub notes: Vec<String>,
}

impl History {
    /// The object as it was last known where the history ends; with `all` also what applying it again would not take.
    pub fn manifest(&self, all: bool) -> Option<Manifest> {
        let state = self.state.as_ref()?;
        let mut notes = Vec::new();
        let time = state.time.map_or_else(|| "an unrecorded time".to_owned(), |time| time.to_string());
        notes.push(match state.basis {
            Basis::Answer => format!("{} as the API server answered it, last at {time}", self.target.told()),
            Basis::Request => format!(
                "{} as it was sent at {time}; what defaults and admission made of it is not recorded",
                self.target.told()
            ),
            _ => format!(
                "{} rebuilt from patches up to {time}, since answers were not recorded",
                self.target.told()
            ),
        });
        if !state.certain {
            notes.push(
                "UNCERTAIN: kinds of patches are not recorded; lists were taken to be joined by key"
                    .to_owned(),
            );
        }
        if state.unseen > 0 {
            notes.push(format!("UNCERTAIN: {} later changes cannot be seen and are not in it", state.unseen));
        }
        if let Some(gone) = self.gone() {
            let when = gone.map_or_else(String::new, |when| format!(" at {when}"));
            notes.push(format!("the object was deleted{when}; this is what it was before"));
        }
        let value = if all { state.value.clone() } else { noise::for_applying(&state.value) };
        let mut marks = Vec::new();
        redacted(&value, &mut String::new(), &mut marks);
        if !marks.is_empty() {
            let more = marks.len().saturating_sub(MAX_MARKS);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            marks.truncate(MAX_MARKS);
            notes.push(format!(
                "DO NOT APPLY IT AS IT IS: secrets were removed, put them back first at {}{more}",
                marks.join(", ")
            ));
        }
        if !all {
            notes.push("without the status and what the API server sets itself".to_owned());
        }
        Some(Manifest { value, notes })
    }
}

/// The places of redaction's markers.
fn redacted(value: &Value, path: &mut String, marks: &mut Vec<String>) {
    let here = path.len();
    match value {
        Value::String(text) if text.contains("[redacted:") => marks.push(path.clone()),
        Value::Object(members) => {
            for (key, value) in members {
                path::member(path, key);
                redacted(value, path, marks);
                path.truncate(here);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                path::item(path, &i.to_string());
                redacted(item, path, marks);
                path.truncate(here);
            }
        }
        _ => {}
    }
}
