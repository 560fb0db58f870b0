//! Exceptions of rules: what is left out of a condition, written as fields, comparisons and values.

use super::parse::operators;
use super::text::{Place, Text, quoted};
use super::yaml::{Data, Node};

/// A value or a list of them.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    One(String),
    Many(Vec<Entry>),
}

/// One exception.
#[derive(Clone, Debug)]
pub(super) struct Exception {
    pub name: String,
    pub fields: Option<Entry>,
    pub comps: Option<Entry>,
    pub values: Vec<Entry>,
    pub place: Place,
}

/// Where and why exceptions cannot be used.
type Wrong = (Place, String);

/// Reads the `exceptions` of an item; with `append`, fields may be left out.
pub(super) fn read(node: &Node, file: usize, append: bool) -> Result<Vec<Exception>, Wrong> {
    let at = |node: &Node| Place { file, span: node.span.clone() };
    let Some(items) = node.list() else { return Err((at(node), "`exceptions` must be a list".to_owned())) };
    let mut out: Vec<Exception> = Vec::new();
    for item in items {
        let Some(name_node) = item.get("name") else {
            return Err((at(item), "an exception has a `name`".to_owned()));
        };
        let name = name_node.text().unwrap_or_default().to_owned();
        let values = match item.get("values") {
            None => Vec::new(),
            Some(node) => match entry(node) {
                Some(Entry::Many(values)) => values,
                _ => return Err((at(node), "the values of an exception are a list".to_owned())),
            },
        };
        let fields = item.get("fields").and_then(entry);
        if fields.is_none() && !append {
            return Err((at(name_node), format!("exception `{name}` has no `fields`")));
        }
        let mut exception = Exception {
            name,
            fields,
            comps: item.get("comps").and_then(entry),
            values,
            place: at(name_node),
        };
        if exception.fields.is_some() {
            exception.complete().map_err(|message| (exception.place.clone(), message))?;
        }
        out.push(exception);
    }
    Ok(out)
}

fn entry(node: &Node) -> Option<Entry> {
    match &node.data {
        Data::Scalar(text, _) => Some(Entry::One(text.clone())),
        Data::List(items) => items.iter().map(entry).collect::<Option<_>>().map(Entry::Many),
        Data::Map(_) => None,
    }
}

/// Adds an exception, or values to the one of its name.
pub(super) fn append(all: &mut Vec<Exception>, new: Exception) -> Result<(), String> {
    match all.iter_mut().find(|e| e.name == new.name) {
        Some(old) if new.fields.is_some() || new.comps.is_some() => {
            Err(format!("exception `{}` exists; only `values` can be appended to it", old.name))
        }
        Some(old) => {
            old.values.extend(new.values);
            Ok(())
        }
        None if new.fields.is_none() => Err(format!("exception `{}` has no `fields`", new.name)),
        None => {
            all.push(new);
            Ok(())
        }
    }
}

impl Exception {
    /// Fills in the comparisons that were left out and checks those that were given.
    fn complete(&mut self) -> Result<(), String> {
        match (&self.fields, &self.comps) {
            (Some(Entry::Many(fields)), None) => {
                self.comps = Some(Entry::Many(fields.iter().map(|_| Entry::One("=".to_owned())).collect()));
            }
            (Some(Entry::One(_)), None) => self.comps = Some(Entry::One("in".to_owned())),
            (Some(Entry::Many(fields)), Some(Entry::Many(comps))) if fields.len() == comps.len() => {}
            (Some(Entry::One(_)), Some(Entry::One(op))) if takes_list(op) => {}
            (Some(Entry::One(_)), Some(Entry::One(op))) => {
                return Err(format!(
                    "with a single field the comparison takes a list (in, pmatch, intersects), which `{op}` does not"
                ));
            }
            _ => {
                return Err(
                    "`fields` and `comps` must be alike: both single or lists of one length".to_owned()
                );
            }
        }
        if let Some(Entry::Many(comps)) = &self.comps {
            for comp in comps {
                let known =
                    matches!(comp, Entry::One(op) if takes_list(op) || operators().any(|o| o == op.trim()));
                if !known {
                    return Err(format!("`{}` is no operator", comp.flat()));
                }
            }
        }
        Ok(())
    }
}

impl Entry {
    fn flat(&self) -> String {
        match self {
            Self::One(text) => text.clone(),
            Self::Many(items) => {
                format!("({})", items.iter().map(|i| quoted(&i.flat())).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// Operators with a list on the right: `in`, `pmatch`, `intersects`, and any with a modifier.
fn takes_list(op: &str) -> bool {
    let mut words = op.split_whitespace();
    let first = words.next().unwrap_or_default();
    match words.next() {
        None => matches!(first, "in" | "pmatch" | "intersects"),
        Some(modifier) => matches!(modifier, "oneof" | "anyof" | "allof") && operators().any(|o| o == first),
    }
}

/// Appends `and not (…)` for each exception to a condition.
pub(super) fn apply(condition: Text, exceptions: &[Exception]) -> Result<Text, Wrong> {
    let mut condition = condition.parenthesised();
    for exception in exceptions {
        let wrong =
            |message: &str| (exception.place.clone(), format!("exception `{}`: {message}", exception.name));
        let text = match (&exception.fields, &exception.comps) {
            (Some(Entry::One(field)), Some(Entry::One(op))) => {
                let mut values = Vec::new();
                for value in &exception.values {
                    let Entry::One(value) = value else {
                        return Err(wrong("the values of a single field are single"));
                    };
                    values.push(quoted(value));
                }
                if values.is_empty() {
                    String::new()
                } else {
                    format!("({field} {op} ({}))", values.join(", "))
                }
            }
            (Some(Entry::Many(fields)), Some(Entry::Many(ops))) => {
                let mut rows = Vec::new();
                for values in &exception.values {
                    let Entry::Many(values) = values else {
                        return Err(wrong("each value is a list, one item per field"));
                    };
                    if values.len() != fields.len() {
                        return Err(wrong("each value has as many items as there are fields"));
                    }
                    let row = fields.iter().zip(ops).zip(values).map(|((field, op), value)| {
                        let op = op.flat();
                        let value = match value {
                            Entry::Many(_) => value.flat(),
                            Entry::One(v) if takes_list(&op) && !v.starts_with('(') => format!("({v})"),
                            Entry::One(v) => quoted(v),
                        };
                        // A check without a right side takes none.
                        if op == "exists" {
                            format!("{} exists", field.flat())
                        } else {
                            format!("{} {op} {value}", field.flat())
                        }
                    });
                    rows.push(format!("({})", row.collect::<Vec<_>>().join(" and ")));
                }
                if rows.is_empty() { String::new() } else { format!("({})", rows.join(" or ")) }
            }
            _ => return Err(wrong("it has no fields")),
        };
        if !text.is_empty() {
            condition.append(&format!(" and not {text}"), exception.place.clone());
        }
    }
    Ok(condition)
}
