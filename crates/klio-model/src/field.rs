//! The registry of fields: every name that a filter or a rule may use.
//!
//! One entry per field in [`registry::FIELDS`]; a [`FieldRef`] is such an entry, or a path below one of
//! those that hold objects. Adding a field is adding one entry and one arm in `field/read.rs`.

pub mod falco;
mod level;
mod read;
mod registry;
mod walk;

use std::fmt;

use thiserror::Error;

pub use read::{Seen, Value};
pub use registry::{FIELDS, Field, FieldInfo, Holds};

/// A field, or a value below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldRef {
    field: Field,
    /// Dotted path below `field`; empty for the field itself.
    path: Box<str>,
    /// The name as it is printed.
    name: Box<str>,
}

/// A name that is neither in the registry nor below one of its objects.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("unknown field `{name}`{}", .suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
pub struct UnknownField {
    /// The name as written.
    pub name: String,
    /// The nearest name that exists.
    pub suggestion: Option<String>,
}

impl FieldRef {
    /// A registry field.
    pub fn of(field: Field) -> Self {
        Self { field, path: "".into(), name: field.info().name.into() }
    }

    /// A path below a registry field that holds objects.
    pub fn below(field: Field, path: &str) -> Self {
        let name = format!("{}.{path}", field.info().name);
        Self { field, path: path.into(), name: name.into() }
    }

    /// Resolves a registry name, an audit path or a path below an object.
    ///
    /// # Errors
    /// [`UnknownField`] with the nearest existing name.
    pub fn parse(name: &str) -> Result<Self, UnknownField> {
        if let Some(info) = FIELDS.iter().find(|i| i.name == name || (i.path == name && !name.is_empty())) {
            return Ok(Self::of(info.field));
        }
        let below = FIELDS
            .iter()
            .filter(|i| matches!(i.holds, Holds::Object | Holds::Strings))
            .flat_map(|i| [(i, i.name), (i, i.path)])
            .filter_map(|(i, prefix)| Some((i, name.strip_prefix(prefix)?.strip_prefix('.')?)))
            .filter(|(i, rest)| {
                !prefix_is_empty(rest) && (i.holds == Holds::Object || rest.parse::<usize>().is_ok())
            })
            .filter(|(i, rest)| i.field != Field::Falco || falco::is_valid(rest))
            .min_by_key(|(_, rest)| rest.len());
        below
            .map(|(info, rest)| Self::below(info.field, rest))
            .ok_or_else(|| UnknownField { name: name.to_owned(), suggestion: suggest(name) })
    }

    /// The registry entry it starts from.
    pub fn field(&self) -> Field {
        self.field
    }

    /// The dotted path below the entry; empty for the entry itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name under which it is printed and parsed again.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether reading it needs a request or response body.
    pub fn needs_body(&self) -> bool {
        self.field.info().needs_body
    }

    /// Whether it is known only to a memory of earlier events.
    pub fn needs_memory(&self) -> bool {
        self.field.info().needs_memory
    }

    /// Whether it is known only from lists and databases that the site gives.
    pub fn needs_outside(&self) -> bool {
        self.field.info().needs_outside
    }
}

fn prefix_is_empty(rest: &str) -> bool {
    rest.is_empty() || rest.split('.').any(str::is_empty)
}

/// The nearest registry name or path, if one is near enough to be meant.
fn suggest(name: &str) -> Option<String> {
    FIELDS
        .iter()
        .flat_map(|i| [i.name, i.path])
        .filter(|n| !n.is_empty())
        .map(|n| (strsim::damerau_levenshtein(&n.to_ascii_lowercase(), &name.to_ascii_lowercase()), n))
        .min()
        .filter(|(distance, n)| *distance <= 2.max(n.len() / 3))
        .map(|(_, n)| n.to_owned())
}

impl fmt::Display for FieldRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests;
