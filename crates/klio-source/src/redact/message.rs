//! Error messages that quote what the client sent.

use std::ops::Range;

use super::name;

/// What of a message is the client's input. `sensitive` is a message about an object that is a secret throughout.
pub(super) fn quoted(text: &str, sensitive: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    excerpts(text, &mut found);
    values(text, sensitive, &mut found);
    found
}

/// `error found in #10 byte of ...|excerpt|..., bigger context ...|excerpt|...` (json-iterator).
fn excerpts(text: &str, found: &mut Vec<Range<usize>>) {
    let Some(mut at) = text.find("error found in #") else { return };
    while let Some(start) = text.get(at..).and_then(|t| t.find("...|")).map(|i| at + i + 4) {
        let rest = text.get(start..).unwrap_or_default();
        let end = rest.find("|...").map_or(text.len(), |i| start + i);
        if start < end {
            found.push(start..end);
        }
        at = (end + 4).min(text.len());
    }
}

/// `data[x]: Invalid value: "text": why` (apimachinery `field/errors.go`).
fn values(text: &str, sensitive: bool, found: &mut Vec<Range<usize>>) {
    const SIGN: &str = "alid value: ";
    let mut at = 0;
    while let Some(sign) = text.get(at..).and_then(|t| t.find(SIGN)).map(|i| at + i) {
        let start = sign + SIGN.len();
        at = start;
        let before = text.get(..sign).unwrap_or_default();
        let before = before.strip_suffix("Inv").or(before.strip_suffix("inv")).unwrap_or(before);
        let path = before.trim_end_matches([' ', ':']).rsplit([' ', '[', '{']).next().unwrap_or_default();
        let last = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        let about_meta = path.contains("metadata.");
        if about_meta || !(sensitive || name::of_member(last.trim_end_matches(']'))) {
            continue;
        }
        let rest = text.get(start..).unwrap_or_default();
        let range = match rest.strip_prefix('"') {
            Some(inner) => {
                let end = end_of_quoted(inner).unwrap_or(inner.len());
                start + 1..start + 1 + end
            }
            // A number or a whole structure: nobody can say where it ends.
            None => start..text.len(),
        };
        at = range.end;
        if !range.is_empty() {
            found.push(range);
        }
    }
}

/// Where a string in Go's quotes ends.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.as_bytes().get(at..)?)?;
        if text.as_bytes().get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}
