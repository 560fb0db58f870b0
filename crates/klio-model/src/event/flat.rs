//! Flat objects and lists, such as annotations, groups and `user.extra`, read without a tree.

use std::borrow::Cow;

use super::wire::{Scan, unescape};

/// Calls `f` with each key of a flat object of lists and the list's first string; false, and then not a single call,
/// if the text is anything else, has escapes or repeats a key.
pub(super) fn flat_lists(text: &str, f: &mut dyn FnMut(&str, &str)) -> bool {
    const MOST: usize = 8;
    let mut found = [("", ""); MOST];
    let mut n = 0;
    let bytes = text.as_bytes();
    // A string that begins here, without its quotes, and where it ended.
    let string = |at: usize| {
        let end = at + memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        (bytes[end] == b'"').then_some((text.get(at..end)?, end + 1))
    };
    let follows = |at: usize, what: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(what));
    if !follows(0, b"{\"") {
        return false;
    }
    let mut at = 2;
    loop {
        let Some((key, after)) = string(at) else { return false };
        if !follows(after, b":[\"") {
            return false;
        }
        let Some((value, mut after)) = string(after + 3) else { return false };
        while follows(after, b",\"") {
            let Some((_, next)) = string(after + 2) else { return false };
            after = next;
        }
        if n == MOST || !follows(after, b"]") || found[..n].iter().any(|(k, _)| *k == key) {
            return false;
        }
        found[n] = (key, value);
        n += 1;
        if !follows(after + 1, b",\"") {
            if text.get(after + 1..) != Some("}") {
                return false;
            }
            break;
        }
        at = after + 3;
    }
    found[..n].iter().for_each(|(key, value)| f(key, value));
    true
}

/// Members of a flat object whose text is taken as it is.
const PLAIN: usize = 32;

/// A flat object of strings without space between them, as API servers write annotations.
#[derive(Debug)]
pub(crate) struct Flat<'a> {
    text: &'a str,
    /// Keys without escapes, and values with their quotes.
    members: Vec<(&'a str, &'a str)>,
}

impl<'a> Flat<'a> {
    /// Reads no more of the text than the strings' ends. `None` if it is anything else, or writes keys with escapes: then only a
    /// tree can tell.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let mut scan = Scan { text, at: 0 };
        let mut members = Vec::with_capacity(4);
        if !scan.eat("{") {
            return None;
        }
        while scan.eat("\"") {
            scan.at -= 1;
            let (name, odd) = scan.quoted().ok()?;
            if odd || !scan.eat(":\"") {
                return None;
            }
            scan.at -= 1;
            let start = scan.at;
            scan.quoted().ok()?;
            members.push((name, &text[start..scan.at]));
            if !scan.eat(",") {
                break;
            }
        }
        (scan.eat("}") && scan.at == text.len()).then_some(Self { text, members })
    }

    /// The value of a key. `None` if the key is there twice or its value is no right text: then only a tree can tell.
    pub(super) fn get(&self, key: &str) -> Option<Option<Cow<'a, str>>> {
        let mut found = self.members.iter().filter(|(name, _)| *name == key);
        let Some((_, quoted)) = found.next() else { return Some(None) };
        if found.next().is_some() {
            return None;
        }
        let inner = quoted.get(1..quoted.len() - 1)?;
        Some(Some(if inner.contains('\\') { unescape(quoted)? } else { Cow::Borrowed(inner) }))
    }

    /// The object as [`crate::Json::to_text`] would write it; `None` if only a tree can tell.
    pub(crate) fn to_text(&self) -> Option<&'a str> {
        let mut rest = self.text;
        // Quotes and backslashes are escaped in one way, other characters in several.
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            if !matches!(rest.as_bytes().get(at + 1), Some(b'"' | b'\\')) {
                return None;
            }
            rest = rest.get(at + 2..)?;
        }
        // A key that comes twice is the tree's matter.
        let known =
            |(at, (key, _)): (usize, &(&str, &str))| self.members[..at].iter().any(|(other, _)| other == key);
        let is_plain = self.members.len() <= PLAIN
            && self.text.bytes().all(|byte| byte >= b' ')
            && !self.members.iter().enumerate().any(known);
        is_plain.then_some(self.text)
    }
}

/// The strings of a flat list without escapes; `None` if the text is anything else.
pub(super) fn flat_strings(text: &str) -> Option<impl Iterator<Item = &str>> {
    let inner = text.strip_prefix("[\"")?.strip_suffix("\"]")?;
    let mut rest = inner;
    while let Some(end) = memchr::memchr2(b'"', b'\\', rest.as_bytes()) {
        rest = rest[end..].strip_prefix("\",\"")?;
    }
    let mut rest = Some(inner);
    Some(std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(b'"', text.as_bytes());
        rest = end.and_then(|end| text.get(end + 3..));
        Some(&text[..end.unwrap_or(text.len())])
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::json::Json;

    #[test]
    fn flat_members_are_read_like_the_tree_reads_them() {
        let check = |text: &str, want: Option<Option<&str>>| {
            let flat = Flat::of(text);
            assert_eq!(
                flat.as_ref().and_then(|flat| flat.get("k")),
                want.map(|w| w.map(Cow::Borrowed)),
                "{text}"
            );
            if let Some(same) = flat.and_then(|flat| flat.to_text()) {
                assert_eq!(Json::parse(text).map(|json| json.to_text()).as_deref(), Some(same));
            }
        };
        check(r#"{"a":"b","k":"v"}"#, Some(Some("v")));
        check(r#"{"a":"\"k\":\"x\""}"#, Some(None));
        check(r#"{"k":"by \"a\\b\" \/"}"#, Some(Some(r#"by "a\b" /"#)));
        check(r#"{"k":"\u0041"}"#, Some(Some("A")));
        check("{}", Some(None));
        check(r#"{"\u006b":"v"}"#, None);
        check(r#"{"k":"v","k":"w"}"#, None);
        check(r#"{"k": "v"}"#, None);
        check(r#"{"k":5}"#, None);
        check(r#"{"k":"v""#, None);
    }

    #[test]
    fn flat_lists_are_read_like_the_tree_reads_them() {
        let check = |text: &str, want: Option<&[&str]>| {
            assert_eq!(flat_strings(text).map(Iterator::collect), want.map(<[&str]>::to_vec), "{text}");
        };
        check(r#"["a","b c"]"#, Some(&["a", "b c"]));
        check(r#"["a"]"#, Some(&["a"]));
        check("[]", None);
        check(r#"["a", "b"]"#, None);
        check(r#"["a\"","b"]"#, None);
        check(r#"["a",5,"b"]"#, None);
        check(r#"["a","b"],["c"]"#, None);
    }

    #[test]
    fn flat_objects_of_lists_are_read_like_the_tree_reads_them() {
        let read = |text: &str| {
            let mut out = String::new();
            flat_lists(text, &mut |k, v| out.push_str(&format!("{k}={v};"))).then_some(out)
        };
        let check = |text: &str, want: Option<&str>| assert_eq!(read(text).as_deref(), want, "{text}");
        check(r#"{"a":["b"],"c":["d","e",""],"f.g/h":["{]"]}"#, Some("a=b;c=d;f.g/h={];"));
        check(r#"{"a":["b"]"#, None);
        check(r#"{"a":["b"],}"#, None);
        check(r#"{"a":["b"]}}"#, None);
        check(r#"{"a":[]}"#, None);
        check(r#"{"a":["b",5]}"#, None);
        check(r#"{"a":["b\""]}"#, None);
        check(r#"{"a":["b"],"a":["c"]}"#, None);
        check(r#"{"a": ["b"]}"#, None);
        check("{}", None);
        let mut seen = Vec::new();
        let event = Event::parse(r#"{"user":{"extra":{"a" : ["b\u0041", "c"], "x":[]}}}"#).unwrap();
        event.each_extra(&mut |k, v| seen.push((k.to_owned(), v.to_owned())));
        assert_eq!(seen, [("a".to_owned(), "bA".to_owned())]);
    }

    #[test]
    fn a_path_is_read_without_the_rest() {
        let event =
            Event::parse(r#"{"requestObject":{"metadata":{"uid":"u","owner":[{"a":1}]},"x":5}}"#).unwrap();
        let at = |path: &[&str]| event.request_object.at(path).map(|j| j.to_text());
        for _ in 0..2 {
            assert_eq!(at(&["metadata", "uid"]).as_deref(), Some("\"u\""));
            assert_eq!(at(&["metadata", "owner"]).as_deref(), Some(r#"[{"a":1}]"#));
            assert_eq!(at(&["metadata", "none"]), None);
            event.request_object.tree();
        }
    }
}
