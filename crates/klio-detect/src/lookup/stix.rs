//! STIX 2.1 bundles: the indicators whose pattern compares single values (OASIS, STIX 2.1, chapters 4.7 and 9).
//!
//! `valid_from` is not looked at: what becomes known today is looked for in the past.

use klio_model::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::indicators::Row;
use super::kind::Kind;
use super::lists::{ListError, Sheet};

/// Comparisons of one pattern; a list in disguise may be long.
const COMPARISONS: usize = 10_000;

#[derive(Deserialize)]
struct Bundle<'b> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow, default)]
    objects: Vec<&'b RawValue>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: String,
    name: Option<String>,
    description: Option<String>,
    pattern: Option<String>,
    pattern_type: Option<String>,
    valid_until: Option<String>,
    #[serde(default)]
    revoked: bool,
}

/// What a pattern looks for; more than one comparison means any of them.
type Wanted = Vec<(Kind, String)>;

/// Reads a bundle.
pub(super) fn read(text: &str, sheet: &mut Sheet<'_>) -> Result<(), ListError> {
    let bundle: Bundle<'_> = serde_json::from_str(text).map_err(|e| ListError::Bundle(e.to_string()))?;
    if bundle.kind != "bundle" {
        return Err(ListError::Bundle(format!("its type is `{}`", bundle.kind)));
    }
    for (at, raw) in bundle.objects.iter().enumerate() {
        let place = at as u64 + 1;
        let object: Object = match serde_json::from_str(raw.get()) {
            Ok(object) => object,
            Err(e) => {
                sheet.refuse(place, format!("no STIX object: {e}"));
                continue;
            }
        };
        if object.kind != "indicator" || object.revoked {
            continue;
        }
        let said = |why: &str| format!("{}: {why}", object.id);
        if object.pattern_type.as_deref().is_some_and(|language| language != "stix") {
            sheet.refuse(place, said("its pattern is not of the language `stix`"));
            continue;
        }
        let until = match object.valid_until.as_deref().map(Timestamp::parse) {
            Some(None) => {
                sheet.refuse(place, said("its `valid_until` is no time"));
                continue;
            }
            Some(until) => until,
            None => None,
        };
        let pattern = object.pattern.as_deref().unwrap_or_default();
        let wanted = match wanted(pattern) {
            Ok(wanted) => wanted,
            Err(why) => {
                sheet.refuse(place, said(&format!("{why} in {pattern}")));
                continue;
            }
        };
        let note = object.name.as_deref().or(object.description.as_deref()).unwrap_or_default();
        for (kind, value) in &wanted {
            sheet.take(place, &Row { kind: *kind, value, list: "", note, until })?;
        }
    }
    Ok(())
}

/// What a path of a pattern is about.
fn kind_of(path: &str) -> Option<Kind> {
    let agent = "network-traffic:extensions.'http-request-ext'.request_header.";
    Some(match path {
        "ipv4-addr:value" | "ipv6-addr:value" => Kind::Address,
        "file:hashes.'SHA-256'" | "file:hashes.\"SHA-256\"" | "x509-certificate:hashes.'SHA-256'" => {
            Kind::Hash
        }
        "user-account:user_id" | "user-account:account_login" => Kind::User,
        _ => {
            let header = path.strip_prefix(agent)?.trim_matches('\'');
            return header.eq_ignore_ascii_case("user-agent").then_some(Kind::Agent);
        }
    })
}

/// Reads `[a = 'x' OR b IN ('y', 'z')] OR [c = 'w']`. Whatever narrows it down, such as AND, is not understood: what is
/// left without it would be met by many.
fn wanted(pattern: &str) -> Result<Wanted, String> {
    let mut words = Words { rest: pattern };
    let mut wanted = Wanted::new();
    loop {
        words.expect("[")?;
        loop {
            comparison(&mut words, &mut wanted)?;
            if wanted.len() > COMPARISONS {
                return Err(format!("more than {COMPARISONS} comparisons"));
            }
            match words.next() {
                Some(word) if word.eq_ignore_ascii_case("or") => {}
                Some("]") => break,
                other => return Err(not_understood(other)),
            }
        }
        match words.next() {
            None => return Ok(wanted),
            Some(word) if word.eq_ignore_ascii_case("or") => {}
            other => return Err(not_understood(other)),
        }
    }
}

fn not_understood(word: Option<&str>) -> String {
    word.map_or_else(|| "it ends too early".to_owned(), |word| format!("`{word}` is not understood"))
}

fn comparison(words: &mut Words<'_>, wanted: &mut Wanted) -> Result<(), String> {
    let path = words.next().unwrap_or_default();
    let kind = kind_of(path).ok_or_else(|| not_understood(Some(path).filter(|path| !path.is_empty())))?;
    let operator = words.next().unwrap_or_default().to_ascii_uppercase();
    match operator.as_str() {
        "=" | "==" => wanted.push((kind, words.text()?)),
        "ISSUBSET" if kind == Kind::Address => wanted.push((kind, words.text()?)),
        "IN" => {
            words.expect("(")?;
            loop {
                wanted.push((kind, words.text()?));
                match words.next() {
                    Some(",") if wanted.len() <= COMPARISONS => {}
                    Some(")") => break,
                    other => return Err(not_understood(other)),
                }
            }
        }
        other => return Err(not_understood(Some(other))),
    }
    Ok(())
}

/// The words of a pattern, one after the other.
struct Words<'p> {
    rest: &'p str,
}

impl<'p> Words<'p> {
    /// The next bracket, comma, operator, name, path or text with its quotes.
    fn next(&mut self) -> Option<&'p str> {
        let text = self.rest.trim_start();
        let first = text.chars().next()?;
        let length = match first {
            '[' | ']' | '(' | ')' | ',' => 1,
            '=' | '<' | '>' | '!' => text.find(|c| !matches!(c, '=' | '<' | '>' | '!')).unwrap_or(text.len()),
            '\'' => quoted(text),
            _ => path(text),
        };
        let (word, rest) = text.split_at_checked(length)?;
        self.rest = rest;
        Some(word)
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        match self.next() {
            Some(word) if word == wanted => Ok(()),
            other => Err(not_understood(other)),
        }
    }

    /// A text without its quotes and escapes.
    fn text(&mut self) -> Result<String, String> {
        let word = self.next();
        let inner = word.and_then(|word| word.strip_prefix('\'')?.strip_suffix('\''));
        let inner = inner.ok_or_else(|| not_understood(word))?;
        let mut text = String::with_capacity(inner.len());
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            text.extend(if c == '\\' { chars.next() } else { Some(c) });
        }
        Ok(text)
    }
}

/// The length of a quoted text, its quotes included.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a name or path; its steps may be quoted.
fn path(text: &str) -> usize {
    let mut at = 0;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        match c {
            '\'' => at += quoted(&text[at..]),
            c if c.is_whitespace() || matches!(c, '[' | ']' | '(' | ')' | ',' | '=' | '<' | '>' | '!') => {
                break;
            }
            c => at += c.len_utf8(),
        }
    }
    at.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_any_of_its_comparisons() {
        let check = |pattern: &str, want: &[(Kind, &str)]| {
            let found = wanted(pattern).unwrap();
            let found: Vec<_> = found.iter().map(|(kind, value)| (*kind, value.as_str())).collect();
            assert_eq!(found, want, "{pattern}");
        };
        check("[ipv4-addr:value = '203.0.113.7']", &[(Kind::Address, "203.0.113.7")]);
        check(
            "[ipv4-addr:value ISSUBSET '198.51.100.0/24' OR ipv6-addr:value='2001:db8::1'] OR [file:hashes.'SHA-256' = 'ab']",
            &[(Kind::Address, "198.51.100.0/24"), (Kind::Address, "2001:db8::1"), (Kind::Hash, "ab")],
        );
        check(
            "[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' = 'it\\'s (a) [test]']",
            &[(Kind::Agent, "it's (a) [test]")],
        );
        check("[user-account:user_id IN ('a', 'b')]", &[(Kind::User, "a"), (Kind::User, "b")]);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (pattern, said) in [
            ("[domain-name:value = 'example.org']", "domain-name:value"),
            ("[ipv4-addr:value = '192.0.2.1' AND user-account:user_id = 'a']", "AND"),
            ("[ipv4-addr:value != '192.0.2.1']", "!="),
            ("[ipv4-addr:value = '192.0.2.1'] FOLLOWEDBY [user-account:user_id = 'a']", "FOLLOWEDBY"),
            ("[NOT ipv4-addr:value = '192.0.2.1']", "NOT"),
            ("[ipv4-addr:value = '192.0.2.1", "'192.0.2.1"),
            ("[ipv4-addr:value = ", "too early"),
            ("", "too early"),
        ] {
            assert!(wanted(pattern).unwrap_err().contains(said), "{pattern}: {:?}", wanted(pattern));
        }
    }
}
