//! A JSON text as a flat list of its values, made in one pass without recursion.

use std::ops::Range;

use crate::scan::{skip_string, skip_ws};

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sort {
    /// An object; its keys and values follow in turn.
    Object,
    /// A list; its items follow.
    List,
    /// A string, a key included.
    Text,
    /// `null`
    Null,
    /// A number, true or false.
    Bare,
}

/// One value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) sort: Sort,
    /// Where it begins; of a string the quote.
    pub(super) start: usize,
    /// Where it ends, quotes and brackets included.
    pub(super) end: usize,
    /// The index of the first node that is not inside it.
    pub(super) next: usize,
}

/// A text and its values.
pub(super) struct Tape<'a> {
    pub(super) text: &'a str,
    nodes: Vec<Node>,
}

impl<'a> Tape<'a> {
    /// Reads one whole value; `None` if the text is not well-formed to the degree that the walk relies on.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let b = text.as_bytes();
        let mut nodes: Vec<Node> = Vec::with_capacity(text.len() / 16 + 1);
        // What is open, and whether a key comes next in it.
        let mut open: Vec<(usize, bool)> = Vec::new();
        let mut at = skip_ws(b, 0);
        loop {
            let start = at;
            let sort = match b.get(at)? {
                b'"' => Sort::Text,
                _ if open.last().is_some_and(|(_, key)| *key) => return None,
                b'{' => Sort::Object,
                b'[' => Sort::List,
                b'n' => Sort::Null,
                b't' | b'f' | b'-' | b'0'..=b'9' => Sort::Bare,
                _ => return None,
            };
            let this = nodes.len();
            nodes.push(Node { sort, start, end: at, next: this + 1 });
            match sort {
                Sort::Object | Sort::List => {
                    at = skip_ws(b, at + 1);
                    let close = if sort == Sort::Object { b'}' } else { b']' };
                    if *b.get(at)? != close {
                        open.push((this, sort == Sort::Object));
                        continue;
                    }
                    at += 1;
                }
                Sort::Null | Sort::Bare => {
                    while b.get(at).is_some_and(|c| c.is_ascii_alphanumeric() || b"-+.".contains(c)) {
                        at += 1;
                    }
                }
                Sort::Text => at = skip_string(b, at).ok()?,
            }
            nodes.get_mut(this)?.end = at;
            // What follows: more of what is open, or its end.
            loop {
                at = skip_ws(b, at);
                let Some((top, key)) = open.last_mut() else {
                    return (at == b.len()).then_some(Self { text, nodes });
                };
                let count = nodes.len();
                let outer = nodes.get_mut(*top)?;
                match (b.get(at)?, outer.sort) {
                    (b':', Sort::Object) if *key => *key = false,
                    _ if *key => return None,
                    (b',', sort) => *key = sort == Sort::Object,
                    (b'}', Sort::Object) | (b']', Sort::List) => {
                        at += 1;
                        outer.end = at;
                        outer.next = count;
                        open.pop();
                        continue;
                    }
                    _ => return None,
                }
                at = skip_ws(b, at + 1);
                break;
            }
        }
    }

    pub(super) fn node(&self, at: usize) -> Option<Node> {
        self.nodes.get(at).copied()
    }

    /// The values directly inside: of an object keys and values in turn.
    pub(super) fn inside(&self, at: usize) -> impl Iterator<Item = (usize, Node)> + '_ {
        let end = self.node(at).map_or(0, |n| n.next);
        let mut next = at + 1;
        std::iter::from_fn(move || {
            let here = next;
            let node = self.node(here).filter(|_| here < end)?;
            next = node.next;
            Some((here, node))
        })
    }

    /// Keys (their content, still escaped) with the index of their values.
    pub(super) fn members(&self, at: usize) -> impl Iterator<Item = (&'a str, usize)> + '_ {
        let mut inside = self.inside(at);
        std::iter::from_fn(move || {
            let (_, key) = inside.next()?;
            let (value, _) = inside.next()?;
            Some((self.content(key), value))
        })
    }

    /// Of a string what stands between the quotes, of another value its text.
    pub(super) fn content(&self, node: Node) -> &'a str {
        self.text.get(Self::content_range(node)).unwrap_or_default()
    }

    /// Where the content stands.
    pub(super) fn content_range(node: Node) -> Range<usize> {
        if node.sort == Sort::Text { node.start + 1..node.end - 1 } else { node.start..node.end }
    }
}
