//! JSON as Go reads it, for the few texts that the fast parser refuses.
//!
//! A client chooses what stands in a body, and what Klio refused to read it could not judge: one `\ud800` in an
//! annotation would hide the pod beside it. So nothing that the API server takes is refused here. A lone
//! surrogate is U+FFFD (`encoding/json/decode.go`, `unquoteBytes`), a number that no `f64` holds is the largest
//! that one does, and what lies deeper than [`MAX_DEPTH`] is passed over and kept as its text.

use std::borrow::Cow;

use super::{Json, MAX_DEPTH};

/// Reads one value; `None` if it is malformed.
pub(super) fn parse(text: &str) -> Option<Json<'_>> {
    Reader { text, at: 0 }.value(MAX_DEPTH)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no blank.
    fn token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.token()? == byte).then(|| self.at += 1)
    }

    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        match self.token()? {
            b'"' => self.string().map(Json::String),
            b'{' | b'[' if depth == 0 => self.cut(),
            b'{' => self.object(depth - 1),
            b'[' => self.list(depth - 1),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Option<Json<'a>> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    fn number(&mut self) -> Option<Json<'a>> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        let number = &rest[..end.unwrap_or(rest.len())];
        self.at += number.len();
        if let Ok(n) = number.parse() {
            return Some(Json::Int(n));
        }
        number.parse::<f64>().ok().map(|n| Json::Float(n.clamp(f64::MIN, f64::MAX)))
    }

    fn object(&mut self, depth: usize) -> Option<Json<'a>> {
        self.at += 1;
        let mut members = Vec::new();
        if self.eat(b'}').is_some() {
            return Some(Json::Object(members));
        }
        loop {
            if self.token()? != b'"' {
                return None;
            }
            let key = self.string()?;
            self.eat(b':')?;
            members.push((key, self.value(depth)?));
            if self.eat(b',').is_none() {
                return self.eat(b'}').map(|()| Json::Object(members));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Option<Json<'a>> {
        self.at += 1;
        let mut items = Vec::new();
        if self.eat(b']').is_some() {
            return Some(Json::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            if self.eat(b',').is_none() {
                return self.eat(b']').map(|()| Json::Array(items));
            }
        }
    }

    /// Passes over an object or list without following it; its text stands for it.
    fn cut(&mut self) -> Option<Json<'a>> {
        let start = self.at;
        let mut open = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.raw_string()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return Some(Json::String(Cow::Borrowed(&self.text[start..self.at])));
            }
        }
    }

    /// What stands between the quotes, and whether it has escapes.
    fn raw_string(&mut self) -> Option<(&'a str, bool)> {
        let start = self.at + 1;
        let mut escaped = false;
        let mut at = start;
        loop {
            at += memchr::memchr2(b'"', b'\\', self.text.as_bytes().get(at..)?)?;
            if self.text.as_bytes()[at] == b'"' {
                break;
            }
            escaped = true;
            at += 2;
        }
        self.at = at + 1;
        Some((&self.text[start..at], escaped))
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let (raw, escaped) = self.raw_string()?;
        if escaped { unescape(raw).map(Cow::Owned) } else { Some(Cow::Borrowed(raw)) }
    }
}

fn unescape(raw: &str) -> Option<String> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1)?;
        rest = &rest[at + 1..];
        out.push(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = hex(rest)?;
                rest = &rest[5..];
                let second = rest.strip_prefix('\\').and_then(hex);
                let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
                if let Some(c) = pair.filter(|c| c.len_utf16() == 2) {
                    out.push(c);
                    rest = &rest[6..];
                } else {
                    out.push(char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                continue;
            }
            _ => return None,
        });
        rest = &rest[1..];
    }
    out.push_str(rest);
    Some(out)
}

/// The number of `u` and four digits.
fn hex(text: &str) -> Option<u16> {
    let digits = text.strip_prefix('u')?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_fast_parser_reads() {
        for text in [
            r#" { "a" : [ 1 , -2.5 , 1e3, true , false , null ] , "" : { } , "b":[] } "#,
            r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#,
            "18446744073709551615",
            r#"{"a":1,"a":{"b":"c"}}"#,
        ] {
            assert_eq!(parse(text), Json::parse(text), "{text}");
            assert!(parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn surrogates_are_as_go_has_them() {
        let check = |text: &str, want: &str| {
            assert_eq!(Json::parse(text).as_ref().and_then(Json::as_str), Some(want), "{text}");
        };
        check(r#""\ud800""#, "\u{fffd}");
        check(r#""a\ud800b""#, "a\u{fffd}b");
        check(r#""\udc00\ud800""#, "\u{fffd}\u{fffd}");
        check(r#""\ud800\u0041""#, "\u{fffd}A");
        check(r#""\ud800\ud83d\ude00""#, "\u{fffd}😀");
        check(r#""\ud800\n""#, "\u{fffd}\n");
    }

    #[test]
    fn what_is_no_json_stays_refused() {
        for text in [
            "",
            "{",
            "[1",
            "[1 2]",
            r#"{"a"}"#,
            r#"{"a":}"#,
            "{1:2}",
            r#""\x""#,
            r#""\u12""#,
            r#""\"#,
            "tru",
            "-",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(
            any in ".{0,40}",
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u", "\\ud83d", "\\ude00", "d8", "é", "1", "-", "e9", ".", "true", "nul", " ",
            ]), 0..24),
        ) {
            parse(&any);
            parse(&parts.concat());
            parse(&format!("\"{}\"", parts.concat()));
        }
    }

    #[test]
    fn a_number_beyond_all_bounds_hides_nothing() {
        let tree = Json::parse(r#"{"x":-1e999,"hostPID":true}"#).unwrap();
        assert_eq!(tree.get("hostPID"), Some(&Json::Bool(true)));
        assert!(tree.get("x").is_some());
    }
}
