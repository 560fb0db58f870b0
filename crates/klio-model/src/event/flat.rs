//! Flat objects of lists, such as `user.extra`, read without a tree.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

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
