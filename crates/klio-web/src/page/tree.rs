//! JSON as a tree that opens and closes, each value with its path and, where a field of the filter language means it, a search.

use askama::Template;
use klio_model::field::FIELDS;
use klio_model::{FieldRef, Filter, Matcher, TextMatch};
use serde_json::Value;

use super::address::Address;

/// Values deeper than this are shown as text.
const DEPTH: usize = 60;
/// Texts longer than this are cut; the event's JSON has all of it.
const LONG: usize = 2_000;

/// A value and what is in it.
#[derive(Template)]
#[template(path = "tree.html")]
pub(crate) struct Tree {
    key: String,
    path: String,
    /// Of a value without parts.
    text: Option<String>,
    kind: &'static str,
    /// Of one with parts: how many.
    size: String,
    open: bool,
    search: Option<String>,
    parts: Vec<Tree>,
}

impl Tree {
    /// Of an event's JSON.
    pub(crate) fn of(value: &Value) -> Self {
        node("event", String::new(), value, 0)
    }
}

fn node(key: &str, path: String, value: &Value, depth: usize) -> Tree {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let (parts, size): (Vec<Tree>, _) = match value {
        Value::Object(members) if depth < DEPTH => {
            let part = |(name, value): (&String, &Value)| node(name, below(name), value, depth + 1);
            (members.iter().map(part).collect(), format!("{{{}}}", members.len()))
        }
        Value::Array(items) if depth < DEPTH => {
            let part = |(at, value): (usize, &Value)| {
                node(&at.to_string(), format!("{path}[{at}]"), value, depth + 1)
            };
            (items.iter().enumerate().map(part).collect(), format!("[{}]", items.len()))
        }
        _ => (Vec::new(), String::new()),
    };
    let kind = match value {
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null => "null",
        Value::Object(_) | Value::Array(_) => "object",
    };
    let text = if parts.is_empty() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(if text.chars().count() > LONG {
            text.chars().take(LONG).chain(['…']).collect()
        } else {
            text
        })
    } else {
        None
    };
    let search = text.as_deref().and_then(|text| search(&path, text));
    let open = depth < 2 || parts.len() < 4;
    Tree { key: key.to_owned(), path, text, kind, size, open, search, parts }
}

/// The search for events with this value, where a field means the path.
fn search(path: &str, text: &str) -> Option<String> {
    let path = path.split('[').next()?;
    let info = FIELDS.iter().find(|info| !info.path.is_empty() && info.path == path)?;
    if text.len() > 512 {
        return None;
    }
    let field = FieldRef::parse(info.name).ok()?;
    let filter = Filter::test(field, Matcher::Text(TextMatch::exactly(text)));
    Some(Address::new("/explore").with("filter", filter.to_string()).to_string())
}
