//! Walks JSON text without parsing it: where does a value end, which members has an object, which elements an array.
//! Iterative throughout, so that no depth of nesting can overflow the stack. Lenient: it finds boundaries, the
//! event's own parser judges the syntax.

use memchr::memchr2;

/// Why a walk stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The input ends inside the value.
    Truncated,
    /// Something else stands where this was expected.
    Malformed { at: usize, expected: &'static str },
}

/// Index of the first byte at or after `at` that is not JSON white space.
pub(crate) fn skip_ws(b: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = b.get(at) {
        at += 1;
    }
    at
}

/// Without white space (and NULs, which a crashed file system leaves) at both ends.
pub(crate) fn trim(mut b: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r' | 0, rest @ ..] = b {
        b = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\n' | b'\r' | 0] = b {
        b = rest;
    }
    b
}

/// End of the string whose opening quote is at `at`.
pub(crate) fn skip_string(b: &[u8], at: usize) -> Result<usize, Flaw> {
    let mut at = at + 1;
    loop {
        let rest = b.get(at..).ok_or(Flaw::Truncated)?;
        at += memchr2(b'"', b'\\', rest).ok_or(Flaw::Truncated)?;
        if b.get(at) == Some(&b'"') {
            return Ok(at + 1);
        }
        at += 2;
    }
}

/// End of the value that starts at `at` (which is not white space).
pub(crate) fn skip_value(b: &[u8], mut at: usize) -> Result<usize, Flaw> {
    let mut depth = 0u32;
    loop {
        match b.get(at) {
            None => return Err(Flaw::Truncated),
            Some(b'"') => {
                at = skip_string(b, at)?;
                if depth == 0 {
                    return Ok(at);
                }
            }
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
            }
            Some(b'}' | b']') => {
                at += 1;
                match depth {
                    0 => return Err(Flaw::Malformed { at: at - 1, expected: "a value" }),
                    1 => return Ok(at),
                    _ => depth -= 1,
                }
            }
            Some(_) if depth == 0 => {
                let start = at;
                while b.get(at).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'+' | b'.'))
                {
                    at += 1;
                }
                return if at > start { Ok(at) } else { Err(Flaw::Malformed { at, expected: "a value" }) };
            }
            Some(_) => at += 1,
        }
    }
}

/// One member of an object: the key as written (without quotes, escapes kept) and the value's text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
}

/// The members of the object that starts at `b[0]`; ends after the first flaw.
pub(crate) struct Members<'a> {
    b: &'a [u8],
    at: usize,
    done: bool,
}

impl<'a> Members<'a> {
    pub(crate) fn new(b: &'a [u8]) -> Self {
        Self { b, at: 0, done: false }
    }

    /// Where the object ended, once all members are read.
    pub(crate) fn end(&self) -> usize {
        self.at
    }

    fn step(&mut self) -> Result<Option<Member<'a>>, Flaw> {
        let b = self.b;
        let first = self.at == 0;
        if first {
            if b.first() != Some(&b'{') {
                return Err(Flaw::Malformed { at: 0, expected: "an object" });
            }
            self.at = 1;
        }
        self.at = skip_ws(b, self.at);
        match b.get(self.at) {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if !first => self.at = skip_ws(b, self.at + 1),
            None => return Err(Flaw::Truncated),
            _ if first => {}
            _ => return Err(Flaw::Malformed { at: self.at, expected: "a comma or }" }),
        }
        match b.get(self.at) {
            Some(b'"') => {}
            None => return Err(Flaw::Truncated),
            _ => return Err(Flaw::Malformed { at: self.at, expected: "a key" }),
        }
        let end = skip_string(b, self.at)?;
        let key = b.get(self.at + 1..end - 1).unwrap_or_default();
        let colon = skip_ws(b, end);
        match b.get(colon) {
            Some(b':') => {}
            None => return Err(Flaw::Truncated),
            _ => return Err(Flaw::Malformed { at: colon, expected: "a colon" }),
        }
        let start = skip_ws(b, colon + 1);
        let end = skip_value(b, start)?;
        // A number or word at the very end may be cut in its middle.
        if end == b.len() && !matches!(b.last(), Some(b'"' | b'}' | b']')) {
            return Err(Flaw::Truncated);
        }
        self.at = end;
        Ok(Some(Member { key, value: b.get(start..end).unwrap_or_default() }))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step().transpose();
        self.done = !matches!(step, Some(Ok(_)));
        step
    }
}

/// The value of `key` in the object `b`, if it is there and whole.
pub(crate) fn member<'a>(b: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    Members::new(b).map_while(Result::ok).find(|m| m.key == key).map(|m| m.value)
}

/// The elements of the array that starts at `b[0]`, with their offsets; a missing comma is forgiven.
pub(crate) struct Elements<'a> {
    b: &'a [u8],
    at: usize,
    done: bool,
}

impl<'a> Elements<'a> {
    pub(crate) fn new(b: &'a [u8]) -> Self {
        Self { b, at: 1, done: b.first() != Some(&b'[') }
    }

    /// Where the walk stands.
    pub(crate) fn at(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<(usize, &'a [u8]), Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        while matches!(self.b.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r' | b',')) {
            self.at += 1;
        }
        let start = self.at;
        match self.b.get(start) {
            Some(b']') => {
                self.at += 1;
                self.done = true;
                None
            }
            None => {
                self.done = true;
                Some(Err(Flaw::Truncated))
            }
            Some(_) => match skip_value(self.b, start) {
                Ok(end) => {
                    self.at = end;
                    Some(Ok((start, self.b.get(start..end).unwrap_or_default())))
                }
                Err(flaw) => {
                    self.done = true;
                    Some(Err(flaw))
                }
            },
        }
    }
}

/// Appends what the JSON string `raw` (with its quotes) means. False if `raw` is no string; broken escapes are kept
/// as they stand.
pub(crate) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> bool {
    let [b'"', inner @ .., b'"'] = raw else { return false };
    let mut rest = inner;
    out.reserve(rest.len());
    while let Some(i) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(i);
        out.extend_from_slice(plain);
        let (what, used) = read_escape(escape);
        match what {
            Escape::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Escape::Lone(_) => out.extend_from_slice("\u{fffd}".as_bytes()),
            Escape::Broken => out.extend_from_slice(escape.get(..used).unwrap_or_default()),
        }
        rest = escape.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    true
}

/// What a backslash escape means.
pub(crate) enum Escape {
    Char(char),
    /// Half of a surrogate pair.
    Lone(u32),
    Broken,
}

/// Reads the escape at the start of `b` (a backslash): its meaning and its length.
pub(crate) fn read_escape(b: &[u8]) -> (Escape, usize) {
    let plain = |c| (Escape::Char(c), 2);
    match b.get(1) {
        Some(b'"') => plain('"'),
        Some(b'\\') => plain('\\'),
        Some(b'/') => plain('/'),
        Some(b'n') => plain('\n'),
        Some(b't') => plain('\t'),
        Some(b'r') => plain('\r'),
        Some(b'b') => plain('\u{8}'),
        Some(b'f') => plain('\u{c}'),
        Some(b'u') => match (hex4(b, 2), b.get(6..8), hex4(b, 8)) {
            (Some(hi @ 0xd800..=0xdbff), Some(b"\\u"), Some(lo @ 0xdc00..=0xdfff)) => {
                let c = 0x1_0000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
                (char::from_u32(c).map_or(Escape::Broken, Escape::Char), 12)
            }
            (Some(c), ..) => (char::from_u32(c).map_or(Escape::Lone(c), Escape::Char), 6),
            _ => (Escape::Broken, 2),
        },
        Some(_) => (Escape::Broken, 2),
        None => (Escape::Broken, 1),
    }
}

fn hex4(b: &[u8], at: usize) -> Option<u32> {
    b.get(at..at + 4)?.iter().try_fold(0, |n, c| Some(n * 16 + char::from(*c).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_are_found() {
        let b = br#"{ "a" : {"x":[1,"}"]} ,"b\"":"c\\" , "n":-1.5e3}"#;
        let got: Vec<_> = Members::new(b).map(|m| m.unwrap()).map(|m| (m.key, m.value)).collect();
        assert_eq!(got, [(&b"a"[..], &br#"{"x":[1,"}"]}"#[..]), (br#"b\""#, br#""c\\""#), (b"n", b"-1.5e3")]);
        let b = br#"[ {"a":1} , "x" {"b":2}]"#;
        let got: Vec<_> = Elements::new(b).map(|e| e.unwrap().1).collect();
        assert_eq!(got, [&br#"{"a":1}"#[..], br#""x""#, br#"{"b":2}"#]);
    }

    #[test]
    fn cut_objects_give_what_is_whole() {
        let b = br#"{"a":1,"b":"two","c":tru"#;
        let got: Vec<_> = Members::new(b).collect();
        assert_eq!(got.len(), 3);
        assert!(matches!(got[2], Err(Flaw::Truncated)));
    }

    #[test]
    fn depth_does_not_matter() {
        let bomb = vec![b'['; 1 << 20];
        assert_eq!(skip_value(&bomb, 0), Err(Flaw::Truncated));
    }

    #[test]
    fn escapes_are_read() {
        for (raw, want) in [
            (r#""a\n\u00e9\ud83d\ude00\/""#, "a\né😀/"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\u12""#, r"\u12"),
            (r#""""#, ""),
        ] {
            let mut out = Vec::new();
            assert!(unescape(raw.as_bytes(), &mut out));
            assert_eq!(String::from_utf8(out).unwrap(), want, "{raw}");
        }
        assert!(!unescape(b"{}", &mut Vec::new()));
        assert!(!unescape(b"\"", &mut Vec::new()));
    }
}
