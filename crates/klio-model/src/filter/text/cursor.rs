//! Taking characters, words and quoted texts off the input.

use std::ops::Range;

use super::FilterError;
use crate::filter::Piece;

pub(super) type Result<T> = std::result::Result<T, FilterError>;

/// A place in the text.
pub(super) struct Cursor<'t> {
    pub text: &'t str,
    pub at: usize,
}

/// A bare word as it was written and what it says.
pub(super) struct Word<'t> {
    pub raw: &'t str,
    pub span: Range<usize>,
    pub pieces: Vec<Piece>,
}

impl Word<'_> {
    /// `and`, `or` and `not` in any case: they are no values unless quoted.
    pub fn is_reserved(&self) -> bool {
        is_reserved(self.raw)
    }
}

pub(super) fn is_reserved(word: &str) -> bool {
    ["and", "or", "not"].iter().any(|k| word.eq_ignore_ascii_case(k))
}

/// Ends a word in the place of a term: what may follow a field name, besides the ends of a value.
pub(super) fn ends_term(c: char) -> bool {
    ends_value(c) || matches!(c, ':' | '<' | '>' | '=' | '`')
}

/// Ends a word in the place of a value.
pub(super) fn ends_value(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '"')
}

/// Ends a word within `(a or b)`.
pub(super) fn ends_item(c: char) -> bool {
    ends_value(c) || c == ','
}

/// Ends a word within `[a to b]`.
pub(super) fn ends_bound(c: char) -> bool {
    ends_value(c) || c == ']'
}

impl<'t> Cursor<'t> {
    pub fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    pub fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes this character, if it is next.
    pub fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    /// Takes an operator word in any case, if it is next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let rest = self.rest();
        let found = rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
            && rest[word.len()..].chars().next().is_none_or(ends_term);
        if found {
            self.at += word.len();
        }
        found
    }

    /// The span of the next character; empty at the end.
    pub fn here(&self) -> Range<usize> {
        self.at..self.at + self.peek().map_or(0, char::len_utf8)
    }

    /// A bare word, possibly empty, up to a character that `ends` it.
    pub fn word(&mut self, ends: fn(char) -> bool) -> Result<Word<'t>> {
        let start = self.at;
        let mut pieces = Vec::new();
        let mut literal = String::new();
        while let Some(c) = self.peek().filter(|c| !ends(*c)) {
            let wild = match c {
                '*' => Piece::Many,
                '?' => Piece::One,
                '\\' => {
                    literal.push(self.escape()?);
                    continue;
                }
                c => {
                    self.at += c.len_utf8();
                    literal.push(c);
                    continue;
                }
            };
            self.at += 1;
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            pieces.push(wild);
        }
        pieces.push(Piece::Literal(literal));
        Ok(Word { raw: &self.text[start..self.at], span: start..self.at, pieces })
    }

    /// A text between two `quote` characters, of which the first is next.
    pub fn quoted(&mut self, quote: char) -> Result<String> {
        let start = self.at;
        self.at += quote.len_utf8();
        let mut out = String::new();
        loop {
            match self.peek() {
                None => {
                    return Err(FilterError::new(
                        start..start + 1,
                        format!("the closing {quote} is missing"),
                    )
                    .help(format!("a {quote} within the text is written \\{quote}")));
                }
                Some('\\') => out.push(self.escape()?),
                Some(c) => {
                    self.at += c.len_utf8();
                    if c == quote {
                        return Ok(out);
                    }
                    out.push(c);
                }
            }
        }
    }

    /// The character that an escape stands for; its backslash is next.
    fn escape(&mut self) -> Result<char> {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.peek() else {
            return Err(FilterError::new(start..self.at, "nothing follows the `\\`")
                .help("write `\\\\` for a backslash"));
        };
        self.at += c.len_utf8();
        Ok(match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'u' => {
                let code =
                    self.rest().strip_prefix('{').and_then(|r| r.split_once('}')).map(|(code, _)| code);
                let Some(c) = code.and_then(|code| char::from_u32(u32::from_str_radix(code, 16).ok()?))
                else {
                    return Err(FilterError::new(start..self.at, "`\\u` wants a code point in braces")
                        .help("for example `\\u{e9}` for é; a backslash itself is written `\\\\`"));
                };
                self.at += code.map_or(0, str::len) + 2;
                c
            }
            c if c.is_ascii_alphanumeric() => {
                return Err(FilterError::new(start..self.at, format!("`\\{c}` is no escape"))
                    .help("a backslash itself is written `\\\\`"));
            }
            c => c,
        })
    }
}
