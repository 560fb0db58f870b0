//! RFC 6902 JSON patches as the object that they write.
//!
//! The stored object is not in the event, so most of what a patch addresses is only partly known: the spec of
//! which `hostPID` is set has other members too, and which container `/containers/0` is can change with every
//! `add` to the list. Values are therefore written where that is certain, and set apart in the same list where it
//! is not: nothing that was written may hide something else that was written.

use std::collections::{BTreeMap, HashMap};

use crate::json::{Json, MAX_DEPTH};

/// So many bytes may be copied within one patch, roughly; the API server allows as much as a body may be long
/// (`apiserver/pkg/endpoints/handlers/patch.go`, `AccumulatedCopySizeLimit`).
const MAX_COPIED: usize = 3 << 20;

/// What a JSON patch writes.
pub(super) struct Folded<'a> {
    /// The object that it would make of an empty one.
    pub(super) tree: Json<'a>,
    /// Whether each value that it writes is in the tree; a copy of something stored may not be.
    pub(super) whole: bool,
}

/// Folds a patch into an empty object, so that a rule reads `spec.containers.image` whether it came by create,
/// merge patch or JSON patch. What was copied from the stored object is looked up in the answer, if there is one.
pub(super) fn fold<'a>(operations: &[Json<'a>], answer: Option<&Json<'a>>) -> Folded<'a> {
    let mut target = Node::default();
    let mut whole = true;
    let mut left = MAX_COPIED;
    for operation in operations {
        let at = |key: &str| operation.get(key).and_then(Json::as_str).map(tokens);
        let (Some(op), Some(path)) = (operation.get("op").and_then(Json::as_str), at("path")) else {
            continue;
        };
        if path.len() >= MAX_DEPTH {
            whole &= matches!(op, "test" | "remove");
            continue;
        }
        match op {
            "add" | "replace" => {
                if let Some(value) = operation.get("value") {
                    target.put(&path, Node::whole(value), op == "add");
                }
            }
            "remove" => target.remove(&path),
            "copy" | "move" => {
                let Some(from) = at("from") else { continue };
                let (value, known) = target
                    .find(&from)
                    .and_then(|source| {
                        let known = source.measure(&mut left, 2 * MAX_DEPTH - path.len())?;
                        Some((source.clone(), known))
                    })
                    .unzip();
                let known = known == Some(true);
                if op == "move" {
                    target.remove(&from);
                }
                let answered = if known { None } else { answer.and_then(|answer| follow(answer, &path)) };
                whole &= known || answered.is_some();
                let value = answered.map(Node::whole).or(value).unwrap_or_default();
                target.put(&path, value, true);
            }
            _ => {}
        }
    }
    Folded { tree: target.build(), whole }
}

/// The tokens of a JSON pointer (RFC 6901).
fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|t| t.replace("~1", "/").replace("~0", "~")).collect()
}

/// Whether a token can be one of a list's: a number, `-` for the end, or a number from the end (`Atoi` of
/// evanphx/json-patch, which the API server uses). It may also be a key, but nobody writes such labels.
fn is_index(token: &str) -> bool {
    token.strip_prefix(['-', '+']).unwrap_or(token).bytes().all(|b| b.is_ascii_digit()) && !token.is_empty()
}

/// The index in a list of which the length is not known.
fn index(token: &str) -> Option<usize> {
    if token.bytes().all(|b| b.is_ascii_digit()) { token.parse().ok() } else { None }
}

/// The value at a path of a whole object; `-` is the last item, as after an `add`.
fn follow<'j, 'a>(root: &'j Json<'a>, path: &[String]) -> Option<&'j Json<'a>> {
    path.iter().try_fold(root, |node, token| match node {
        Json::Array(items) if token == "-" => items.last(),
        Json::Array(items) => items.get(index(token)?),
        other => other.get(token),
    })
}

/// A value of which all or a part is known.
#[derive(Clone, Default)]
struct Node<'j, 'a> {
    /// Untouched, as the patch or the answer has it.
    whole: Option<&'j Json<'a>>,
    /// Otherwise; none if nothing is known.
    parts: Option<Box<Parts<'j, 'a>>>,
}

#[derive(Clone, Copy, PartialEq, Default)]
enum Shape {
    /// No path went through it yet.
    #[default]
    Open,
    Object,
    List,
}

/// An object or list by its parts.
#[derive(Clone, Default)]
struct Parts<'j, 'a> {
    shape: Shape,
    /// Whether there is nothing beside the parts.
    complete: bool,
    /// Of an object; a removed one leaves a gap.
    members: Vec<Option<(String, Node<'j, 'a>)>>,
    /// Where in `members` a key is.
    keys: HashMap<String, usize>,
    /// Of a list: what stands at these indexes of the stored list.
    items: BTreeMap<usize, Node<'j, 'a>>,
    /// Of a list: what was written at an index that is not known, or no longer.
    apart: Vec<Node<'j, 'a>>,
}

impl<'j, 'a> Node<'j, 'a> {
    fn whole(json: &'j Json<'a>) -> Self {
        Self { whole: Some(json), parts: None }
    }

    /// The parts, for writing to one of them.
    fn open(&mut self) -> &mut Parts<'j, 'a> {
        if let Some(json) = self.whole.take() {
            self.parts = Some(Box::new(Parts::of(json)));
        }
        self.parts.get_or_insert_default()
    }

    fn put(&mut self, path: &[String], value: Self, insert: bool) {
        match path {
            [] => *self = value,
            [token] => self.open().put(token, value, insert),
            [token, rest @ ..] => self.open().enter(token).put(rest, value, insert),
        }
    }

    fn find(&mut self, path: &[String]) -> Option<&mut Self> {
        path.iter().try_fold(self, |node, token| {
            let parts = node.open();
            match parts.shape {
                Shape::Open => None,
                Shape::Object => {
                    parts.keys.get(token).and_then(|i| parts.members.get_mut(*i)?.as_mut()).map(|m| &mut m.1)
                }
                Shape::List => parts.items.get_mut(&index(token)?),
            }
        })
    }

    /// Takes out what a path leads to. Items of a list stay, since no one can say which of them is meant later on.
    fn remove(&mut self, path: &[String]) {
        let Some((token, above)) = path.split_last() else { return };
        let Some(node) = self.find(above) else { return };
        let parts = node.open();
        match parts.shape {
            Shape::Object => {
                if let Some(gap) = parts.keys.remove(token).and_then(|i| parts.members.get_mut(i)) {
                    *gap = None;
                }
            }
            Shape::List => {
                parts.shift(index(token).unwrap_or_default());
            }
            Shape::Open => {}
        }
    }

    /// Whether all of it is known, for copying; `None` if it is too large or too deep for that.
    fn measure(&self, left: &mut usize, depth: usize) -> Option<bool> {
        let depth = depth.checked_sub(1)?;
        if let Some(json) = self.whole {
            return weigh(json, left, depth).map(|()| true);
        }
        let Some(parts) = &self.parts else { return Some(false) };
        let mut known = parts.complete;
        for (key, member) in parts.members.iter().flatten() {
            *left = left.checked_sub(16 + key.len())?;
            known &= member.measure(left, depth)?;
        }
        for item in parts.items.values().chain(&parts.apart) {
            *left = left.checked_sub(16)?;
            known &= item.measure(left, depth)?;
        }
        Some(known)
    }

    fn build(self) -> Json<'a> {
        if let Some(json) = self.whole {
            return json.clone();
        }
        let parts = self.parts.map(|parts| *parts).unwrap_or_default();
        if parts.shape == Shape::List {
            return Json::Array(parts.items.into_values().chain(parts.apart).map(Self::build).collect());
        }
        let apart = parts.apart.into_iter().map(|node| ("-".to_owned(), node));
        let members = parts.members.into_iter().flatten().chain(apart);
        Json::Object(members.map(|(key, node)| (key.into(), node.build())).collect())
    }
}

fn weigh(json: &Json<'_>, left: &mut usize, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    *left = left.checked_sub(16)?;
    match json {
        Json::String(s) => *left = left.checked_sub(s.len())?,
        Json::Array(items) => items.iter().try_for_each(|item| weigh(item, left, depth))?,
        Json::Object(members) => {
            for (key, value) in members {
                *left = left.checked_sub(key.len())?;
                weigh(value, left, depth)?;
            }
        }
        _ => {}
    }
    Some(())
}

impl<'j, 'a> Parts<'j, 'a> {
    fn of(json: &'j Json<'a>) -> Self {
        let mut parts = Self { complete: true, ..Self::default() };
        match json {
            Json::Object(members) => {
                parts.shape = Shape::Object;
                for (key, value) in members {
                    parts.set(key, Node::whole(value));
                }
            }
            Json::Array(items) => {
                parts.shape = Shape::List;
                parts.items = items.iter().map(Node::whole).enumerate().collect();
            }
            // A path through a text or number ends nowhere, but what it writes is shown.
            _ => parts.complete = false,
        }
        parts
    }

    /// Whether the token is one of a list's.
    fn takes_index(&mut self, token: &str) -> bool {
        match (self.shape, is_index(token)) {
            (Shape::Object, _) => false,
            (_, true) => {
                self.shape = Shape::List;
                true
            }
            (_, false) => {
                self.shape = Shape::Object;
                for (i, item) in std::mem::take(&mut self.items) {
                    self.set(&i.to_string(), item);
                }
                false
            }
        }
    }

    fn set(&mut self, key: &str, value: Node<'j, 'a>) {
        if let Some(slot) = self.keys.get(key).and_then(|i| self.members.get_mut(*i)) {
            *slot = Some((key.to_owned(), value));
        } else {
            self.keys.insert(key.to_owned(), self.members.len());
            self.members.push(Some((key.to_owned(), value)));
        }
    }

    /// From here on the items at these indexes have others.
    fn shift(&mut self, from: usize) {
        self.apart.extend(self.items.split_off(&from).into_values());
        self.complete = false;
    }

    fn put(&mut self, token: &str, value: Node<'j, 'a>, insert: bool) {
        if !self.takes_index(token) {
            return self.set(token, value);
        }
        let end = self.items.len();
        match index(token) {
            None if self.complete && token == "-" => {
                self.items.insert(end, value);
            }
            None => {
                if token != "-" {
                    self.shift(0);
                }
                self.apart.push(value);
            }
            Some(i) => {
                if insert && !(self.complete && i == end) {
                    self.shift(i);
                }
                self.items.insert(i, value);
            }
        }
    }

    fn enter(&mut self, token: &str) -> &mut Node<'j, 'a> {
        if self.takes_index(token) {
            let Some(i) = index(token) else {
                self.complete = false;
                self.apart.push(Node::default());
                let last = self.apart.len() - 1;
                return &mut self.apart[last];
            };
            return self.items.entry(i).or_default();
        }
        let gap = self.members.len();
        let at = *self.keys.entry(token.to_owned()).or_insert(gap);
        if at == gap {
            self.members.push(None);
        }
        &mut self.members[at].get_or_insert_with(|| (token.to_owned(), Node::default())).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patch: &str, want: &str) {
        let ops = Json::parse(patch).unwrap();
        let folded = fold(ops.items(), None);
        assert_eq!(folded.tree.to_text(), want, "{patch}");
    }

    #[test]
    fn a_patch_reads_like_the_object_it_writes() {
        check(
            r#"[{"op":"test","path":"/spec/x","value":1},
                {"op":"add","path":"/spec/template/spec/containers/-","value":{"image":"evil"}},
                {"op":"replace","path":"/metadata/labels/a~1b","value":"c"},
                {"op":"remove","path":"/spec/y"}]"#,
            r#"{"spec":{"template":{"spec":{"containers":[{"image":"evil"}]}}},"metadata":{"labels":{"a/b":"c"}}}"#,
        );
        check(
            r#"[{"op":"add","path":"","value":{"a":1}},{"op":"add","path":"/b","value":2}]"#,
            r#"{"a":1,"b":2}"#,
        );
        check(
            r#"[{"op":"add","path":"/a","value":{"b":1}},{"op":"remove","path":"/a/b"},{"op":"add","path":"/a/b","value":2}]"#,
            r#"{"a":{"b":2}}"#,
        );
    }

    #[test]
    fn what_was_appended_is_not_what_a_number_addresses() {
        check(
            r#"[{"op":"add","path":"/c/-","value":{"p":true}},{"op":"add","path":"/c/0/p","value":false}]"#,
            r#"{"c":[{"p":false},{"p":true}]}"#,
        );
        // An insertion moves what stood there, so that the next number means something else.
        check(
            r#"[{"op":"add","path":"/c/1","value":{"p":true}},{"op":"add","path":"/c/0","value":{"q":1}},
                {"op":"replace","path":"/c/1","value":{"p":false}},{"op":"remove","path":"/c/2"}]"#,
            r#"{"c":[{"q":1},{"p":false},{"p":true}]}"#,
        );
        // Of a list that the patch itself writes every index is known.
        check(
            r#"[{"op":"add","path":"/c","value":[{"p":true}]},{"op":"add","path":"/c/-","value":{"q":1}},
                {"op":"add","path":"/c/0/p","value":false},{"op":"add","path":"/c/1/q","value":2}]"#,
            r#"{"c":[{"p":false},{"q":2}]}"#,
        );
        check(
            r#"[{"op":"add","path":"/c/-1","value":{"p":true}},{"op":"replace","path":"/c/-1/q","value":1}]"#,
            r#"{"c":[{"p":true},{"q":1}]}"#,
        );
        check(
            r#"[{"op":"add","path":"/d/0","value":"x"},{"op":"add","path":"/d/k","value":"y"}]"#,
            r#"{"d":{"0":"x","k":"y"}}"#,
        );
    }

    #[test]
    fn copies_and_moves_write_what_they_take() {
        check(
            r#"[{"op":"add","path":"/c/0/tty","value":true},{"op":"copy","from":"/c/0/tty","path":"/hostPID"}]"#,
            r#"{"c":[{"tty":true}],"hostPID":true}"#,
        );
        check(
            r#"[{"op":"add","path":"/a","value":{"b":[7,8]}},{"op":"move","from":"/a","path":"/z"},
                {"op":"copy","from":"/z/b/1","path":"/y"}]"#,
            r#"{"z":{"b":[7,8]},"y":8}"#,
        );
    }

    #[test]
    fn what_is_copied_from_the_stored_object_is_unknown_unless_the_answer_has_it() {
        let ops =
            Json::parse(r#"[{"op":"copy","from":"/spec/containers/0/tty","path":"/spec/hostPID"}]"#).unwrap();
        assert!(!fold(ops.items(), None).whole);
        let answer = Json::parse(r#"{"spec":{"hostPID":true,"x":1}}"#).unwrap();
        let folded = fold(ops.items(), Some(&answer));
        assert!(folded.whole);
        assert_eq!(folded.tree.to_text(), r#"{"spec":{"hostPID":true}}"#);
        let ops =
            Json::parse(r#"[{"op":"remove","path":"/a"},{"op":"test","path":"/b","value":1}]"#).unwrap();
        assert!(fold(ops.items(), None).whole);
    }

    proptest::proptest! {
        #[test]
        fn no_patch_panics(ops in proptest::collection::vec((
            proptest::sample::select(vec!["add", "replace", "remove", "copy", "move"]),
            "(/(a|b|0|1|-|-1|~1|)){0,4}", "(/(a|b|0|1)){0,3}",
            proptest::sample::select(vec!["1", "null", "[]", "{}", "[1,[2]]", r#"{"a":{"b":[1]}}"#]),
        ), 0..12)) {
            let ops: Vec<_> = ops
                .iter()
                .map(|(op, path, from, value)| {
                    format!(r#"{{"op":"{op}","path":"{path}","from":"{from}","value":{value}}}"#)
                })
                .collect();
            let text = format!("[{}]", ops.join(","));
            fold(Json::parse(&text).unwrap().items(), None);
        }
    }

    #[test]
    fn long_patches_take_no_time_and_copies_do_not_explode() {
        let patch =
            |op: &dyn Fn(usize) -> String| format!("[{}]", (0..20_000).map(op).collect::<Vec<_>>().join(","));
        let start = std::time::Instant::now();
        for text in [
            patch(&|i| format!(r#"{{"op":"add","path":"/k{i}/a","value":1}}"#)),
            patch(&|i| format!(r#"{{"op":"add","path":"/spec/list/0","value":{i}}}"#)),
            patch(&|_| r#"{"op":"copy","from":"","path":"/a"}"#.to_owned()),
            patch(&|_| r#"{"op":"copy","from":"/a","path":"/a/a"}"#.to_owned()),
            patch(&|_| r#"{"op":"copy","from":"/x","path":"/x/-"}"#.to_owned()).replacen(
                '[',
                r#"[{"op":"add","path":"/x","value":[1]},"#,
                1,
            ),
            patch(&|_| r#"{"op":"move","from":"/x/0","path":"/x/0"}"#.to_owned()).replacen(
                '[',
                r#"[{"op":"add","path":"/x","value":[1,2,3]},"#,
                1,
            ),
        ] {
            let ops = Json::parse(&text).unwrap();
            fold(ops.items(), None);
        }
        // Milliseconds each in a release build; what was quadratic took minutes.
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
}
