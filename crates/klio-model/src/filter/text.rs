//! The text form of a filter: how a person writes one, and how a program prints it.
//!
//! The grammar is in `docs/filter.md`; its shape follows Kibana's KQL. `or` binds weaker than `and`, `and`
//! weaker than `not`. Printing a filter that was built with [`Filter::and`], [`Filter::or`] and
//! [`Filter::not`] and parsing the text gives the same filter; trees put together by hand print as the
//! filter that those constructors would have made.

mod cursor;
mod parse;
mod print;
mod value;

use std::fmt::Write as _;

use thiserror::Error;

use super::Filter;

/// Longer texts are refused.
pub const MAX_LENGTH: usize = 64 * 1024;
/// Parentheses deeper than this are refused: the parser and every walk over a filter recurse.
pub const MAX_DEPTH: usize = 100;
/// More regular expressions than this in one text are refused: each may take a mebibyte once compiled.
pub const MAX_REGEXES: usize = 200;

/// Why a text is not a filter.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{message} (at byte {position} of the filter)")]
pub struct FilterError {
    /// What is wrong.
    pub message: String,
    /// Byte offset in the text.
    pub position: usize,
    /// Length in bytes of the offending part; 0 at the end of the text.
    pub length: usize,
    /// What to write instead.
    pub help: Option<String>,
}

impl FilterError {
    fn new(span: std::ops::Range<usize>, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            position: span.start,
            length: span.end.saturating_sub(span.start),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The message with the offending part of `input` underlined, for a terminal.
    pub fn render(&self, input: &str) -> String {
        /// So much of a long line is shown on either side.
        const CONTEXT: usize = 60;
        let floor = |mut at: usize| {
            at = at.min(input.len());
            while !input.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (floor(self.position), floor(self.position.saturating_add(self.length)));
        let line_start = input[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = input[start..].find('\n').map_or(input.len(), |i| start + i);
        let before: Vec<char> = input[line_start..start].chars().collect();
        let marked: Vec<char> = input[start..end.clamp(start, line_end)].chars().take(CONTEXT).collect();
        let after = input[end.clamp(start, line_end)..line_end].chars().take(CONTEXT);
        let skipped = before.len().saturating_sub(CONTEXT);
        let visible = |c: &char| if is_unprintable(*c) { '·' } else { *c };
        let shown: String =
            before[skipped..].iter().chain(&marked).map(visible).chain(after.map(|c| visible(&c))).collect();
        let dots = if skipped > 0 { "…" } else { "" };
        let indent = " ".repeat(before.len() - skipped + dots.chars().count());
        let carets = "^".repeat(marked.len().max(1));
        let mut out = format!("{}\n  | {dots}{shown}\n  | {indent}{carets}\n", escaped(&self.message));
        if let Some(help) = &self.help {
            let _ = writeln!(out, "  = {}", escaped(help));
        }
        out
    }
}

/// Whether a character could hide or reorder text on a terminal: controls, and Unicode's invisible and
/// bidirectional format characters (UAX #9, and `Default_Ignorable_Code_Point` for the rest).
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text with such characters written as escapes.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push_escaped(&mut out, c);
    }
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        c if is_unprintable(c) => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
        c => out.push(c),
    }
}

impl Filter {
    /// Reads a filter's text form.
    ///
    /// # Errors
    /// [`FilterError`] says where the text stops being a filter and what to write instead.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::filter(text)
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod roundtrip;
#[cfg(test)]
mod tests;
