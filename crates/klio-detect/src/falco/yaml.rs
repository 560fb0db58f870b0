//! YAML with the place of each node, without recursion and with caps.
//!
//! Scalars keep their spelling: in a Falco file `true`, `0x10` and `1.10` are texts that conditions compare.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Larger files are refused; Falco's own largest has 150 KiB.
const MAX_TEXT: usize = 8 << 20;
/// Deeper nesting is refused.
const MAX_DEPTH: usize = 64;
/// Aliases may copy this many nodes in all.
const MAX_COPIED: usize = 100_000;

/// A node of the document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Bytes of the source text.
    pub span: Range<usize>,
    pub data: Data,
}

#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// Spelling, and whether it stands without quotes.
    Scalar(String, bool),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    pub fn list(&self) -> Option<&[Node]> {
        match &self.data {
            Data::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn map(&self) -> Option<&[(Node, Node)]> {
        match &self.data {
            Data::Map(members) => Some(members),
            _ => None,
        }
    }

    /// The value of a key; of repeated keys the last.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let found = self.map()?.iter().rev().find(|(k, _)| k.text() == Some(key));
        found.map(|(_, value)| value).filter(|value| !value.is_null())
    }

    pub fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar(text, true) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    fn size(&self) -> usize {
        let mut total = 0;
        let mut todo = vec![self];
        while let Some(node) = todo.pop() {
            total += 1;
            match &node.data {
                Data::Scalar(..) => {}
                Data::List(items) => todo.extend(items),
                Data::Map(members) => todo.extend(members.iter().flat_map(|(k, v)| [k, v])),
            }
        }
        total
    }
}

/// Why a text is not YAML that can be used, and where.
pub(crate) struct Refused {
    pub message: String,
    pub at: usize,
}

/// Collections that are still open.
struct Open {
    start: usize,
    anchor: usize,
    is_map: bool,
    items: Vec<Node>,
}

/// Reads all documents of a text.
pub(crate) fn load(text: &str) -> Result<Vec<Node>, Refused> {
    if text.len() > MAX_TEXT {
        return Err(Refused { message: format!("the file is larger than {} MiB", MAX_TEXT >> 20), at: 0 });
    }
    let places = Places::new(text);
    let mut parser = Parser::new_from_str(text);
    let mut anchors: HashMap<usize, Node> = HashMap::new();
    let mut open: Vec<Open> = Vec::new();
    let mut documents = Vec::new();
    let mut copied = 0;
    while let Some(next) = parser.next_event() {
        let (event, span) =
            next.map_err(|e| Refused { message: e.info().to_owned(), at: places.byte(e.marker().index()) })?;
        let refuse =
            |message: &str| Refused { message: message.to_owned(), at: places.byte(span.start.index()) };
        let done = match event {
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                if open.len() >= MAX_DEPTH {
                    return Err(refuse("nested too deeply"));
                }
                let is_map = matches!(event, Event::MappingStart(..));
                open.push(Open { start: places.byte(span.start.index()), anchor, is_map, items: Vec::new() });
                continue;
            }
            Event::Scalar(value, style, anchor, _) => {
                let plain = matches!(style, ScalarStyle::Plain);
                let node = Node { span: places.range(span), data: Data::Scalar(value.into_owned(), plain) };
                (anchor, node)
            }
            Event::Alias(anchor) => {
                let node = anchors.get(&anchor).ok_or_else(|| refuse("unknown anchor"))?;
                copied += node.size();
                if copied > MAX_COPIED {
                    return Err(refuse("the aliases expand to too much"));
                }
                (0, node.clone())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(closed) = open.pop() else { return Err(refuse("unexpected end of a collection")) };
                let span = closed.start..places.byte(span.end.index()).max(closed.start);
                let data = if closed.is_map { pairs(closed.items) } else { Data::List(closed.items) };
                (closed.anchor, Node { span, data })
            }
            _ => continue,
        };
        let (anchor, node) = done;
        if anchor != 0 {
            anchors.insert(anchor, node.clone());
        }
        match open.last_mut() {
            Some(parent) => parent.items.push(node),
            None => documents.push(node),
        }
    }
    Ok(documents)
}

fn pairs(items: Vec<Node>) -> Data {
    let mut members = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        members.push((key, value));
    }
    Data::Map(members)
}

/// The parser counts characters, everything else bytes.
struct Places<'t> {
    text: &'t str,
    /// Byte offset of every 64th character; empty for ASCII.
    marks: Vec<usize>,
}

impl<'t> Places<'t> {
    fn new(text: &'t str) -> Self {
        let marks = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().step_by(64).map(|(i, _)| i).collect()
        };
        Self { text, marks }
    }

    fn byte(&self, character: usize) -> usize {
        if self.marks.is_empty() {
            return character.min(self.text.len());
        }
        let Some(&start) = self.marks.get(character / 64) else { return self.text.len() };
        let rest = &self.text[start..];
        rest.char_indices().nth(character % 64).map_or(self.text.len(), |(i, _)| start + i)
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}
