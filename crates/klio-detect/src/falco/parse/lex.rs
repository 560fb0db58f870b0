//! The tokens of conditions: blanks, words, numbers, quoted and bare strings, lists of them.

use super::{Parsed, Parser, Wrong};

impl<'t> Parser<'t> {
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// An error at the word that comes next.
    pub(super) fn wrong(&self, message: &str, advice: Option<&str>) -> Wrong {
        let rest = self.rest();
        let length = rest.find([' ', '\n', '\t', '\r']).unwrap_or(rest.len());
        let length = if length == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { length };
        Wrong {
            message: message.to_owned(),
            at: self.at..self.at + length,
            advice: advice.map(str::to_owned),
        }
    }

    pub(super) fn blanks(&mut self) -> bool {
        let rest = self.rest();
        let length = rest.len() - rest.trim_start_matches([' ', '\t', '\u{8}', '\r', '\n']).len();
        self.at += length;
        length > 0
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Eats a word that blanks must follow.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let before = self.at;
        if self.eat(word) && self.blanks() {
            return true;
        }
        self.at = before;
        false
    }

    pub(super) fn number(&mut self) -> Option<&'t str> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let digits =
            |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut end = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
        if rest.starts_with("0x") || rest.starts_with("0X") {
            let hex = bytes[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
            end = if hex > 0 { 2 + hex } else { 1 };
        } else {
            let whole = digits(end);
            if whole == 0 {
                return None;
            }
            end += whole;
            if bytes.get(end) == Some(&b'.') {
                end += 1 + digits(end + 1);
            }
            if matches!(bytes.get(end), Some(b'e' | b'E')) && matches!(bytes.get(end + 1), Some(b'+' | b'-'))
            {
                let exponent = digits(end + 2);
                if exponent > 0 {
                    end += 2 + exponent;
                }
            }
        }
        self.at += end;
        Some(&rest[..end])
    }

    /// A string in quotes with its escapes resolved; `None` if there is none here.
    pub(super) fn quoted(&mut self) -> Parsed<Option<String>> {
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else { return Ok(None) };
        let mut out = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            if c == quote {
                self.at += i + 1;
                return Ok(Some(out));
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some((_, 'b')) => out.push('\u{8}'),
                Some((_, 'f')) => out.push('\u{c}'),
                Some((_, 'n')) => out.push('\n'),
                Some((_, 'r')) => out.push('\r'),
                Some((_, 't')) => out.push('\t'),
                // As Falco has it: an escaped blank is a backslash.
                Some((_, ' ')) => out.push('\\'),
                Some((_, c @ ('\\' | '"' | '\'' | '/'))) => out.push(c),
                Some((at, 'x')) if hex(&rest[at + 1..]).is_some() => {
                    out.push(char::from(hex(&rest[at + 1..]).unwrap_or_default()));
                    chars.next();
                    chars.next();
                }
                Some((at, c)) => {
                    let at = self.at + at;
                    return Err(Wrong {
                        message: format!("`\\{c}` is no escape"),
                        at: at - 1..at + c.len_utf8(),
                        advice: Some("write `\\\\` for a backslash".to_owned()),
                    });
                }
                None => break,
            }
        }
        Err(self.wrong("a quoted string does not end", None))
    }

    pub(super) fn value(&mut self) -> Parsed<String> {
        if let Some(text) = self.quoted()? {
            return Ok(text);
        }
        let rest = self.rest();
        let end =
            rest.find(|c: char| matches!(c, '(' | ')' | '"' | '\'' | '=' | ',') || c.is_ascii_whitespace());
        let bare = &rest[..end.unwrap_or(rest.len())];
        if bare.is_empty() {
            return Err(
                self.wrong("expected a value", Some("a value with blanks or any of ( ) = , needs quotes"))
            );
        }
        self.at += bare.len();
        Ok(bare.to_owned())
    }

    /// `( a, b )`, if one begins here.
    pub(super) fn list(&mut self) -> Parsed<Option<Vec<String>>> {
        if !self.eat("(") {
            return Ok(None);
        }
        let mut items = Vec::new();
        self.blanks();
        if self.eat(")") {
            return Ok(Some(items));
        }
        loop {
            self.blanks();
            items.push(self.value()?);
            self.blanks();
            if self.eat(")") {
                return Ok(Some(items));
            }
            if !self.eat(",") {
                return Err(
                    self.wrong("expected `,` or `)` in a list", Some("items with blanks need quotes"))
                );
            }
        }
    }
}

/// The two hexadecimal digits of an escaped ASCII character.
fn hex(text: &str) -> Option<u8> {
    let digits = text.get(..2).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)
}

pub(super) fn identifier(text: &str) -> &str {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return "";
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Identifiers joined by dots, at least two.
pub(super) fn field_name(text: &str) -> &str {
    let mut end = identifier(text).len();
    let first = end;
    while end > 0 && text[end..].starts_with('.') {
        let next = identifier(&text[end + 1..]);
        if next.is_empty() {
            break;
        }
        end += 1 + next.len();
    }
    if end > first { &text[..end] } else { "" }
}
