//! Rule files as trees that know where each node stands, within bounds.
//!
//! Documents are split here and parsed one by one, so that a broken one does not take the others with it.
//! A document may be 1 MiB long and is refused when it nests deeper than any rule does; aliases are capped
//! by the parser at 100,000 nodes, and a node is small because scalars are shared.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use saphyr::{AnnotatedMapping, LoadableYamlNode, Marker, Scalar, Tag, Yaml};
use saphyr_parser::Span;

use super::notes::Fault;

/// A longer document is no rule.
const MAX_DOCUMENT: usize = 1 << 20;
/// Columns of indentation plus openers on one line: twice this bounds the nesting.
const MAX_NESTING: usize = 200;
/// More documents in one file are no rule file.
const MAX_DOCUMENTS: usize = 20_000;

/// Where a node stands: characters from the start of its document.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    start: usize,
    end: usize,
}

/// A YAML node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) place: Place,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    /// The bits of an `f64`, which alone would have no equality.
    Float(u64),
    Text(Arc<str>),
    List(Vec<Node>),
    Map(AnnotatedMapping<'static, Node>),
    /// Nothing yet, or an alias without an anchor.
    Bad,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}
impl Eq for Node {}
impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
    }
}

impl Node {
    /// The member of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.members().find(|(k, _)| k.text() == Some(key)).map(|(_, v)| v)
    }

    /// The members of a map, none for other nodes.
    pub(super) fn members(&self) -> impl Iterator<Item = (&Self, &Self)> {
        let map = if let Kind::Map(map) = &self.kind { Some(map) } else { None };
        map.into_iter().flat_map(|m| m.iter())
    }

    /// The text of a string node.
    pub(super) fn text(&self) -> Option<&str> {
        if let Kind::Text(t) = &self.kind { Some(t) } else { None }
    }

    /// Any scalar but null as text.
    pub(super) fn scalar(&self) -> Option<String> {
        match &self.kind {
            Kind::Text(t) => Some(t.to_string()),
            Kind::Int(n) => Some(n.to_string()),
            Kind::Float(bits) => Some(f64::from_bits(*bits).to_string()),
            Kind::Bool(b) => Some(b.to_string()),
            Kind::Null | Kind::List(_) | Kind::Map(_) | Kind::Bad => None,
        }
    }

    /// The elements of a list; another node is a list of itself.
    pub(super) fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// What kind of node it is, for messages.
    pub(super) fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) | Kind::Float(_) => "a number",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Bad => "not a value",
        }
    }
}

impl<'input> LoadableYamlNode<'input> for Node {
    type HashKey = Self;

    fn from_bare_yaml(yaml: Yaml<'input>) -> Self {
        let kind = match yaml {
            Yaml::Sequence(_) => Kind::List(Vec::new()),
            Yaml::Mapping(_) => Kind::Map(AnnotatedMapping::new()),
            Yaml::Value(Scalar::Null) => Kind::Null,
            Yaml::Value(Scalar::Boolean(b)) => Kind::Bool(b),
            Yaml::Value(Scalar::Integer(n)) => Kind::Int(n),
            Yaml::Value(Scalar::FloatingPoint(n)) => Kind::Float(n.into_inner().to_bits()),
            Yaml::Value(Scalar::String(s)) => Kind::Text(s.as_ref().into()),
            Yaml::Tagged(_, inner) => return Self::from_bare_yaml(*inner),
            Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => Kind::Bad,
        };
        Self { kind, place: Place::default() }
    }

    fn is_sequence(&self) -> bool {
        matches!(self.kind, Kind::List(_))
    }

    fn is_mapping(&self) -> bool {
        matches!(self.kind, Kind::Map(_))
    }

    fn is_badvalue(&self) -> bool {
        self.kind == Kind::Bad
    }

    fn into_tagged(self, _: std::borrow::Cow<'input, Tag>) -> Self {
        self
    }

    fn sequence_mut(&mut self) -> &mut Vec<Self> {
        match &mut self.kind {
            Kind::List(items) => items,
            _ => unreachable!("the loader asks only sequences"),
        }
    }

    fn mapping_mut(&mut self) -> &mut AnnotatedMapping<'static, Self> {
        match &mut self.kind {
            Kind::Map(map) => map,
            _ => unreachable!("the loader asks only mappings"),
        }
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self { kind: Kind::Bad, place: Place::default() })
    }

    fn with_span(mut self, span: Span) -> Self {
        self.place = Place { start: span.start.index(), end: span.end.index() };
        self
    }

    fn with_start_marker(mut self, mark: Marker) -> Self {
        self.place = Place { start: mark.index(), end: mark.index() };
        self
    }

    fn with_end_marker(mut self, mark: Marker) -> Self {
        self.place.end = mark.index();
        self
    }
}

/// One document of a rule file.
pub(super) struct Document<'t> {
    pub(super) root: Node,
    text: &'t str,
    start: usize,
    line: usize,
}

impl Document<'_> {
    /// Bytes in the file, and the line, of a place.
    pub(super) fn locate(&self, place: Place) -> (Range<usize>, usize) {
        let byte = |chars: usize| {
            if self.text.is_ascii() {
                chars.min(self.text.len())
            } else {
                self.text.char_indices().nth(chars).map_or(self.text.len(), |(i, _)| i)
            }
        };
        let start = byte(place.start);
        // A map or list ends where the next token begins: show its first line.
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |n| start + n);
        let mut end = byte(place.end).clamp(start, line_end);
        if end == start {
            end = line_end;
        }
        let end = start + self.text[start..end].trim_end().len();
        let line = self.line + self.text[..start].matches('\n').count();
        (self.start + start..self.start + end, line)
    }
}

/// Splits a file into documents and reads each.
pub(super) fn documents(text: &str) -> Vec<(Document<'_>, Result<(), Fault>)> {
    let mut out = Vec::new();
    for (start, line, chunk) in split(text).take(MAX_DOCUMENTS) {
        let mut document =
            Document { root: Node { kind: Kind::Bad, place: Place::default() }, text: chunk, start, line };
        match read(chunk) {
            Ok(None) => {}
            Ok(Some(root)) => {
                document.root = root;
                out.push((document, Ok(())));
            }
            Err(fault) => out.push((document, Err(fault))),
        }
    }
    out
}

/// Pieces that begin at the start of the text or at a line `---`, with offset and line.
fn split(text: &str) -> impl Iterator<Item = (usize, usize, &str)> {
    let mut cuts = vec![(0, 1)];
    let mut at = 0;
    for (n, line) in text.split_inclusive('\n').enumerate() {
        if at > 0
            && line
                .strip_prefix("---")
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        {
            cuts.push((at, n + 1));
        }
        at += line.len();
    }
    let ends: Vec<usize> = cuts.iter().skip(1).map(|c| c.0).chain([text.len()]).collect();
    cuts.into_iter().zip(ends).map(move |((start, line), end)| (start, line, &text[start..end]))
}

fn read(text: &str) -> Result<Option<Node>, Fault> {
    let empty = text.lines().all(|l| {
        let l = l.trim();
        l.is_empty()
            || l.starts_with('#')
            || l == "---"
            || l.starts_with("--- #")
            || l == "..."
            || l.starts_with('%')
    });
    if empty {
        return Ok(None);
    }
    if text.len() > MAX_DOCUMENT {
        return Err(Fault::at(Place::default(), format!("this YAML document is {} bytes long", text.len()))
            .advise("a rule is at most 1 MiB long"));
    }
    if let Some(line) = too_deep(text) {
        let place = Place { start: line, end: line };
        return Err(
            Fault::at(place, "this YAML nests too deeply").advise("a rule needs no more than a few levels")
        );
    }
    // The parser asserts things about its own state; no input may end the scan should one of them be wrong.
    match survive(|| Node::load_from_str(text)) {
        Some(Ok(documents)) => Ok(documents.into_iter().next()),
        Some(Err(error)) => {
            let at = error.marker().index();
            let place = Place { start: at, end: at };
            let advice = if error.info().contains("duplicated key") {
                "keep one of the two keys; for two tests of one field write two selections"
            } else {
                "quote strings that contain `: `, ` #`, `*`, `&`, `%` or `{` and indent with spaces"
            };
            Err(Fault::at(place, format!("not YAML: {}", error.info())).advise(advice))
        }
        None => Err(Fault::at(Place::default(), "not YAML: the parser gave up")),
    }
}

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread would be caught here and told as a problem of the rule: for panic hooks,
/// which run before that.
pub fn catches_panics() -> bool {
    CATCHING.get()
}

/// What `f` gives, or `None` if it panics.
fn survive<T>(f: impl FnOnce() -> T) -> Option<T> {
    CATCHING.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(false);
    outcome.ok()
}

/// The character offset of the first line that can nest deeper than allowed: deeper block nesting takes
/// deeper indentation or more openers on a line.
fn too_deep(text: &str) -> Option<usize> {
    let mut chars = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let bytes = line.as_bytes();
        let openers = bytes
            .windows(2)
            .filter(|w| matches!(w[0], b'-' | b'?' | b':') && matches!(w[1], b' ' | b'\t' | b'\n' | b'\r'));
        let flow = bytes.iter().filter(|b| matches!(b, b'[' | b'{')).count();
        if indent > MAX_NESTING || openers.count() > MAX_NESTING || flow > 20 * MAX_NESTING {
            return Some(chars);
        }
        chars += line.chars().count();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_parser_is_known_to_be_caught() {
        assert!(!catches_panics());
        assert_eq!(survive(catches_panics), Some(true));
        assert_eq!(survive(|| -> u8 { panic!("the parser") }), None);
        assert!(!catches_panics());
    }
}
