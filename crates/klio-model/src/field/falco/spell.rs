//! Expressions as field names: letters, digits, `_ - . /` and `~` only.
//!
//! `name[arg]` becomes `name/arg`; `~xx` is a byte of an argument or literal in hexadecimal; `~o ~s ~z` stand
//! for `( , )` and `~q` begins a literal.

use super::{Expr, Function};

/// Deeper nesting than this is no expression.
const MAX_DEPTH: usize = 16;

impl Expr {
    pub(super) fn spell(&self, out: &mut String) {
        match self {
            Self::Field(name, arg) => {
                out.push_str(name);
                if let Some(arg) = arg {
                    out.push('/');
                    escape(arg, out);
                }
            }
            Self::Literal(text) => {
                out.push_str("~q");
                escape(text, out);
            }
            Self::Call(function, args) => {
                out.push_str(function.name());
                out.push_str("~o");
                for (i, arg) in args.iter().enumerate() {
                    if i > 0 {
                        out.push_str("~s");
                    }
                    arg.spell(out);
                }
                out.push_str("~z");
            }
        }
    }

    /// Reads the spelling back; `None` if it is none.
    pub(super) fn unspell(path: &str) -> Option<Self> {
        let (expr, rest) = expression(path, MAX_DEPTH)?;
        rest.is_empty().then_some(expr)
    }
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'/' => out.push(byte as char),
            _ => {
                out.push('~');
                for half in [byte >> 4, byte & 15] {
                    out.push(char::from_digit(half.into(), 16).unwrap_or('0'));
                }
            }
        }
    }
}

/// Undoes [`escape`].
fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'~' {
            out.push(byte);
            continue;
        }
        let mut digit = || (bytes.next()? as char).to_digit(16);
        out.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(out).ok()
}

/// Splits off what stands before the next `~o`, `~s`, `~z`.
fn word(text: &str) -> (&str, &str) {
    let end = text
        .match_indices('~')
        .map(|(i, _)| i)
        .find(|i| matches!(text.as_bytes().get(i + 1), Some(b'o' | b's' | b'z')));
    text.split_at(end.unwrap_or(text.len()))
}

fn expression(text: &str, depth: usize) -> Option<(Expr, &str)> {
    let depth = depth.checked_sub(1)?;
    if let Some(literal) = text.strip_prefix("~q") {
        let (literal, rest) = word(literal);
        return Some((Expr::Literal(unescape(literal)?), rest));
    }
    let (name, rest) = word(text);
    let Some(mut rest) = rest.strip_prefix("~o") else {
        let (name, arg) = match name.split_once('/') {
            Some((name, arg)) => (name, Some(unescape(arg)?)),
            None => (name, None),
        };
        return (!name.is_empty()).then_some((Expr::Field(name.to_owned(), arg), rest));
    };
    let (function, _) = Function::ALL.iter().find(|(_, n)| *n == name)?;
    let mut args = Vec::new();
    if let Some(rest) = rest.strip_prefix("~z") {
        return Some((Expr::Call(*function, args), rest));
    }
    loop {
        let (arg, after) = expression(rest, depth)?;
        args.push(arg);
        if let Some(after) = after.strip_prefix("~z") {
            return Some((Expr::Call(*function, args), after));
        }
        rest = after.strip_prefix("~s")?;
    }
}
