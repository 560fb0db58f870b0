//! From the tree to the text.

use std::fmt::{self, Write as _};

use super::cursor::is_reserved;
use super::push_escaped;
use crate::field::FieldRef;
use crate::filter::{Case, Filter, Matcher, Piece, Quantifier, RegexMatch, Test, TextMatch, TimePart};

/// Where a text stands: a keyword must not look like `field:value`.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Term,
    Value,
    Item,
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        filter(&mut out, &normal(self));
        f.write_str(&out)
    }
}

/// The filter as the constructors would have made it.
fn normal(filter: &Filter) -> Filter {
    match filter {
        Filter::And(parts) => Filter::and(parts.iter().map(normal)),
        Filter::Or(parts) => Filter::or(parts.iter().map(normal)),
        Filter::Not(part) => Filter::not(normal(part)),
        other => other.clone(),
    }
}

fn filter(out: &mut String, this: &Filter) {
    match this {
        Filter::All => out.push('*'),
        Filter::Nothing => out.push_str("not *"),
        Filter::And(parts) => joined(out, parts, " and "),
        Filter::Or(parts) => joined(out, parts, " or "),
        Filter::Not(part) => {
            out.push_str("not ");
            grouped(out, part);
        }
        Filter::Test(t) => match t.quantifier {
            Quantifier::Any => test(out, t),
            Quantifier::Every => {
                out.push_str("every(");
                test(out, t);
                out.push(')');
            }
        },
        Filter::Keyword(word) => text(out, word, Place::Term),
    }
}

fn joined(out: &mut String, parts: &[Filter], operator: &str) {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            out.push_str(operator);
        }
        grouped(out, part);
    }
}

/// With parentheses around what has an operator of its own, also where precedence would do.
fn grouped(out: &mut String, part: &Filter) {
    if matches!(part, Filter::And(_) | Filter::Or(_)) {
        out.push('(');
        filter(out, part);
        out.push(')');
    } else {
        filter(out, part);
    }
}

fn test(out: &mut String, test: &Test) {
    field(out, &test.field);
    match &test.matcher {
        Matcher::Present => out.push_str(":*"),
        Matcher::Text(t) => {
            out.push(':');
            text(out, t, Place::Value);
        }
        Matcher::OneOf(many) => {
            out.push_str(":(");
            for (i, one) in many.iter().enumerate() {
                if i > 0 {
                    out.push_str(" or ");
                }
                text(out, one, Place::Item);
            }
            out.push(')');
        }
        Matcher::Regex(regex) => {
            out.push(':');
            pattern(out, regex);
        }
        Matcher::Cidr(net) => {
            let _ = write!(out, ":cidr({net})");
        }
        Matcher::Compare(how, n) => {
            let _ = write!(out, " {} {}", how.symbol(), number(*n));
        }
        Matcher::When(how, t) => {
            let _ = write!(out, " {} {t}", how.symbol());
        }
        Matcher::Same(other) => {
            out.push_str(":same(");
            field(out, other);
            out.push(')');
        }
        Matcher::TimePart(part, n) => {
            let name = TimePart::ALL.iter().find(|(p, _)| p == part).map_or("", |(_, name)| name);
            let _ = write!(out, ":{name}({n})");
        }
    }
}

/// A number that reads back to the same bits.
fn number(n: f64) -> String {
    if n.fract() == 0.0 && n.abs() < 1e15 { format!("{n}") } else { format!("{n:?}") }
}

/// A field's name; in backticks the part of it that would not read back.
fn field(out: &mut String, field: &FieldRef) {
    let name = field.name();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    let bare = name.len() <= 256
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(plain)
        && FieldRef::parse(name).as_ref() == Ok(field);
    if bare {
        out.push_str(name);
        return;
    }
    out.push_str(field.field().info().name);
    out.push_str(".`");
    escaped_in(out, field.path(), '`');
    out.push('`');
}

fn escaped_in(out: &mut String, text: &str, quote: char) {
    for c in text.chars() {
        if c == quote || c == '\\' {
            out.push('\\');
        }
        push_escaped(out, c);
    }
}

fn text(out: &mut String, text: &TextMatch, place: Place) {
    if text.case() == Case::Sensitive {
        out.push_str("cased(");
        pieces(out, text.pieces(), Place::Value);
        out.push(')');
        return;
    }
    match text.pieces() {
        // A single star alone means something else than a text: any value, or every event.
        [Piece::Many] if place != Place::Item => out.push_str("**"),
        other => pieces(out, other, place),
    }
}

fn pieces(out: &mut String, pieces: &[Piece], place: Place) {
    match pieces {
        [] => out.push_str("\"\""),
        [Piece::Literal(s)] if is_bare(s, place) => out.push_str(s),
        [Piece::Literal(s)] => {
            out.push('"');
            escaped_in(out, s, '"');
            out.push('"');
        }
        many => {
            for piece in many {
                match piece {
                    Piece::One => out.push('?'),
                    Piece::Many => out.push('*'),
                    Piece::Literal(s) => wild(out, s, place),
                }
            }
        }
    }
}

/// Punctuation that means nothing in a word.
fn is_word_char(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(c, '.' | '-' | '_' | '/' | '@' | '+' | '%' | '#' | '$' | '&' | ';' | '~' | '|')
}

fn is_bare(s: &str, place: Place) -> bool {
    !s.is_empty()
        && !s.starts_with('/')
        && !is_reserved(s)
        && s.chars().all(|c| is_word_char(c) || (c == ':' && place != Place::Term))
}

/// A literal next to wildcards, which quotes would take the meaning from.
fn wild(out: &mut String, s: &str, place: Place) {
    for (i, c) in s.chars().enumerate() {
        let plain = (is_word_char(c) && !(c == '/' && i == 0)) || (c == ':' && place != Place::Term);
        if c.is_whitespace() && c != ' ' && !super::is_unprintable(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            continue;
        }
        if !plain && !super::is_unprintable(c) {
            out.push('\\');
        }
        push_escaped(out, c);
    }
}

/// Between slashes if that reads back to the same pattern, else as a quoted text.
fn pattern(out: &mut String, regex: &RegexMatch) {
    let source = regex.source();
    let mut slashed = String::from("/");
    let mut chars = source.chars();
    let mut faithful = !source.chars().any(super::is_unprintable);
    while let Some(c) = chars.next() {
        match c {
            '/' => slashed.push_str("\\/"),
            '\\' => {
                let next = chars.next();
                // `\/` would lose its backslash, and a last backslash would hide the closing slash.
                faithful &= !matches!(next, None | Some('/'));
                slashed.push(c);
                slashed.extend(next);
            }
            c => slashed.push(c),
        }
    }
    if faithful {
        out.push_str(&slashed);
        out.push('/');
        out.push_str(regex.flags());
        return;
    }
    out.push_str("regex(\"");
    escaped_in(out, source, '"');
    out.push('"');
    if !regex.flags().is_empty() {
        out.push(' ');
        out.push_str(regex.flags());
    }
    out.push(')');
}
