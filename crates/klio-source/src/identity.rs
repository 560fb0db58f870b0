//! One event, one number: a hash of what an event says, whichever way it was delivered and printed.
//! The client chooses the auditID, so duplicates are told by content. Log lines carry `kind` and `apiVersion`, webhook
//! items do not; printers differ in white space and escapes. All these hash alike.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_secret};

use crate::scan::{Escape, Members, read_escape, skip_ws, trim};
use crate::write;

const HEAD: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","#;
const ITEM: &[u8] = br#"{"level":""#;

/// XXH3 of the event's canonical text: as Go's encoder prints it, without the top-level `kind` and `apiVersion`.
/// The order of members counts. Text that is no JSON object hashes as it is.
pub fn content_hash(json: &str) -> u64 {
    hash_with(json, xxh3_64)
}

/// [`content_hash`] under a key, which whoever writes events cannot know: he could else write two that hash alike.
pub fn keyed_content_hash(json: &str, key: &[u8; 192]) -> u64 {
    hash_with(json, |body| xxh3_64_with_secret(body, key))
}

fn hash_with(json: &str, hash: impl Fn(&[u8]) -> u64) -> u64 {
    let json = trim(json.as_bytes());
    let body = match json.strip_prefix(HEAD) {
        Some(body) => Some(body),
        None if json.starts_with(ITEM) => json.get(1..),
        None => None,
    };
    match body {
        Some(body) if is_canonical(body) => hash(body),
        _ => hash(&canonical(json).unwrap_or_else(|| json.to_vec())),
    }
}

/// True if Go wrote these bytes (or would have): nothing in them that it would have written otherwise. White space
/// between tokens is not looked for: whoever prints it does not begin as Go does.
fn is_canonical(mut b: &[u8]) -> bool {
    // 0xe2 begins U+2028 and U+2029. Searches for single bytes go through with vector instructions; a loop over
    // bytes that asks all at once was slower, and so was a search for pairs.
    if memchr::memchr3(b'&', b'<', b'>', b).is_some() || memchr::memchr(0xe2, b).is_some() {
        return false;
    }
    while let Some(at) = memchr::memchr(b'\\', b) {
        let escape = b.get(at + 1..).unwrap_or_default();
        match escape.first() {
            Some(b'/') => return false,
            Some(b'u') if !go_escapes(escape.get(1..5).unwrap_or_default()) => return false,
            _ => {}
        }
        // The byte after a backslash belongs to it.
        b = escape.get(1..).unwrap_or_default();
    }
    true
}

/// The `\u` escapes Go writes.
fn go_escapes(hex: &[u8]) -> bool {
    match hex {
        b"0026" | b"003c" | b"003e" | b"2028" | b"2029" => true,
        b"0008" | b"0009" | b"000a" | b"000c" | b"000d" => false,
        [b'0', b'0', b'0' | b'1', b'0'..=b'9' | b'a'..=b'f'] => true,
        _ => false,
    }
}

/// The event as Go would print it, from its first other member to the closing brace.
fn canonical(json: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len());
    let mut members = Members::new(json);
    for member in members.by_ref() {
        let member = member.ok()?;
        if matches!(member.key, b"kind" | b"apiVersion") {
            continue;
        }
        if !out.is_empty() {
            out.push(b',');
        }
        out.push(b'"');
        string(member.key, &mut out);
        out.extend_from_slice(b"\":");
        value(member.value, &mut out);
    }
    (skip_ws(json, members.end()) == json.len()).then_some(())?;
    out.push(b'}');
    Some(out)
}

/// A value without white space between its tokens.
fn value(mut b: &[u8], out: &mut Vec<u8>) {
    while let Some(quote) = memchr::memchr(b'"', b) {
        let (tokens, rest) = b.split_at(quote);
        out.extend(tokens.iter().filter(|c| !matches!(c, b' ' | b'\t' | b'\n' | b'\r')));
        let end = crate::scan::skip_string(rest, 0).unwrap_or(rest.len());
        let (quoted, after) = rest.split_at(end);
        out.push(b'"');
        string(quoted.get(1..quoted.len().max(2) - 1).unwrap_or_default(), out);
        out.push(b'"');
        b = after;
    }
    out.extend(b.iter().filter(|c| !matches!(c, b' ' | b'\t' | b'\n' | b'\r')));
}

/// The inside of a string, re-escaped.
fn string(mut b: &[u8], out: &mut Vec<u8>) {
    loop {
        let plain = b
            .iter()
            .position(|c| matches!(c, b'\\' | b'&' | b'<' | b'>' | 0xe2 | 0..=0x1f))
            .unwrap_or(b.len());
        let (head, rest) = b.split_at(plain);
        out.extend_from_slice(head);
        let used = match rest {
            [] => return,
            [b'\\', ..] => {
                let (escape, used) = read_escape(rest);
                match escape {
                    Escape::Char(c) => write::character(out, c),
                    Escape::Lone(code) => write::unicode(out, code),
                    Escape::Broken => out.extend_from_slice(rest.get(..used).unwrap_or_default()),
                }
                used
            }
            [0xe2, 0x80, 0xa8, ..] => {
                write::unicode(out, 0x2028);
                3
            }
            [0xe2, 0x80, 0xa9, ..] => {
                write::unicode(out, 0x2029);
                3
            }
            [0xe2, ..] => {
                out.push(0xe2);
                1
            }
            [c, ..] => {
                write::character(out, char::from(*c));
                1
            }
        };
        b = rest.get(used..).unwrap_or_default();
    }
}
