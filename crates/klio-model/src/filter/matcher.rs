//! What a single value is compared with.

use ipnet::IpNet;
use regex::{Regex, RegexBuilder};

use super::AnyOf;
use crate::field::{FieldRef, Value};
use crate::time::Timestamp;

/// A comparison with one value.
#[derive(Clone, Debug, PartialEq)]
pub enum Matcher {
    /// There is a value.
    Present,
    /// Equal to a text, wildcards allowed.
    Text(TextMatch),
    /// Equal to one of several texts.
    OneOf(AnyOf),
    /// A regular expression finds a match.
    Regex(RegexMatch),
    /// An address inside a network.
    Cidr(IpNet),
    /// A number (or a text that is one) compares so.
    Compare(Comparison, f64),
    /// An RFC 3339 time lies so to an instant.
    When(Comparison, Timestamp),
    /// Equal to a value of another field of the same event, case-insensitively.
    Same(FieldRef),
    /// A part of a time in UTC.
    TimePart(TimePart, i64),
}

/// An order between numbers or instants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// Whether `a` stands so to `b`.
    pub fn holds<T: PartialOrd>(self, a: T, b: T) -> bool {
        match self {
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::Greater => a > b,
            Self::AtLeast => a >= b,
        }
    }

    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// A part of a time (Sigma 2.1, time modifiers).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TimePart {
    /// 0–59
    Minute,
    /// 0–23
    Hour,
    /// 1–31
    Day,
    /// ISO 8601 week, 1–53
    Week,
    /// 1–12
    Month,
    /// Year
    Year,
}

impl TimePart {
    /// All parts with their names.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Minute, "minute"),
        (Self::Hour, "hour"),
        (Self::Day, "day"),
        (Self::Week, "week"),
        (Self::Month, "month"),
        (Self::Year, "year"),
    ];

    fn of(self, time: Timestamp) -> Option<i64> {
        let t = time.calendar()?;
        Some(match self {
            Self::Minute => t.minute().into(),
            Self::Hour => t.hour().into(),
            Self::Day => t.day().into(),
            Self::Week => t.date().iso_week_date().week().into(),
            Self::Month => t.month().into(),
            Self::Year => t.year().into(),
        })
    }
}

/// Whether case counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Case {
    /// Byte for byte.
    Sensitive,
    /// ASCII and Unicode letters compare without case.
    Insensitive,
}

/// A piece of a text pattern.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Piece {
    /// These characters.
    Literal(String),
    /// `?`: any one character.
    One,
    /// `*`: any characters, also none.
    Many,
}

/// A text with wildcards.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TextMatch {
    pieces: Vec<Piece>,
    case: Case,
    shape: Shape,
}

/// The cheap special forms of a pattern; literals are lower-cased when case does not count.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Shape {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Anything,
    General(Vec<Piece>),
}

impl TextMatch {
    /// A pattern from its pieces; neighbouring literals and repeated `*` join.
    pub fn new(pieces: impl IntoIterator<Item = Piece>, case: Case) -> Self {
        let mut joined: Vec<Piece> = Vec::new();
        for piece in pieces {
            match (joined.last_mut(), piece) {
                (Some(Piece::Literal(a)), Piece::Literal(b)) => a.push_str(&b),
                (Some(Piece::Many), Piece::Many) => {}
                (_, Piece::Literal(s)) if s.is_empty() => {}
                (_, piece) => joined.push(piece),
            }
        }
        let fold = |s: &str| if case == Case::Insensitive { s.to_lowercase() } else { s.to_owned() };
        let shape = match joined.as_slice() {
            [] => Shape::Exact(String::new()),
            [Piece::Literal(s)] => Shape::Exact(fold(s)),
            [Piece::Many] => Shape::Anything,
            [Piece::Literal(s), Piece::Many] => Shape::Prefix(fold(s)),
            [Piece::Many, Piece::Literal(s)] => Shape::Suffix(fold(s)),
            [Piece::Many, Piece::Literal(s), Piece::Many] => Shape::Contains(fold(s)),
            pieces => Shape::General(
                pieces
                    .iter()
                    .map(|p| if let Piece::Literal(s) = p { Piece::Literal(fold(s)) } else { p.clone() })
                    .collect(),
            ),
        };
        Self { pieces: joined, case, shape }
    }

    /// A text without wildcards, case-insensitive.
    pub fn literal(text: &str) -> Self {
        Self::new([Piece::Literal(text.to_owned())], Case::Insensitive)
    }

    /// A text without wildcards, byte for byte.
    pub fn exactly(text: &str) -> Self {
        Self::new([Piece::Literal(text.to_owned())], Case::Sensitive)
    }

    /// `*` and `?` are wildcards, `\` takes the meaning from them and from itself.
    pub fn glob(pattern: &str, case: Case) -> Self {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            let wild = match c {
                '*' => Piece::Many,
                '?' => Piece::One,
                '\\' => {
                    literal.push(chars.next_if(|n| matches!(n, '*' | '?' | '\\')).unwrap_or('\\'));
                    continue;
                }
                c => {
                    literal.push(c);
                    continue;
                }
            };
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            pieces.push(wild);
        }
        pieces.push(Piece::Literal(literal));
        Self::new(pieces, case)
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether case counts.
    pub fn case(&self) -> Case {
        self.case
    }

    /// The text, if there are no wildcards; in lower case when case does not count.
    pub fn folded_literal(&self) -> Option<&str> {
        match &self.shape {
            Shape::Exact(s) => Some(s),
            _ => None,
        }
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        if self.case == Case::Insensitive && !text.is_ascii() {
            return self.shape.matches(&text.to_lowercase(), false);
        }
        self.shape.matches(text, self.case == Case::Insensitive)
    }

    /// Whether the event's whole text contains the pattern anywhere.
    pub(super) fn found_in_event(&self, event: &crate::event::Event<'_>) -> bool {
        match &self.shape {
            Shape::Exact(s) | Shape::Contains(s) if self.case == Case::Insensitive && s.is_ascii() => {
                memchr::memmem::find(event.folded(), s.as_bytes()).is_some()
            }
            _ => self.found_in(event.json()),
        }
    }

    /// Whether the text contains the pattern anywhere: keyword search.
    pub fn found_in(&self, text: &str) -> bool {
        let loose = std::iter::once(Piece::Many).chain(self.pieces.iter().cloned()).chain([Piece::Many]);
        match &self.shape {
            Shape::Exact(s) if text.is_ascii() || self.case == Case::Sensitive => {
                contains(text, s, self.case == Case::Insensitive)
            }
            _ => Self::new(loose, self.case).matches(text),
        }
    }
}

impl Shape {
    /// `fold`: compare ASCII letters without case; the pattern is in lower case already.
    fn matches(&self, text: &str, fold: bool) -> bool {
        let same = |a: &[u8], b: &[u8]| if fold { a.eq_ignore_ascii_case(b) } else { a == b };
        let t = text.as_bytes();
        match self {
            Self::Anything => true,
            Self::Exact(s) => t.len() == s.len() && same(t, s.as_bytes()),
            Self::Prefix(s) => t.len() >= s.len() && same(&t[..s.len()], s.as_bytes()),
            Self::Suffix(s) => t.len() >= s.len() && same(&t[t.len() - s.len()..], s.as_bytes()),
            Self::Contains(s) => contains(text, s, fold),
            Self::General(pieces) => glob(pieces, text, fold),
        }
    }
}

/// Whether `needle` occurs; with `fold`, ASCII letters of `text` compare without case and the needle is
/// in lower case.
fn contains(text: &str, needle: &str, fold: bool) -> bool {
    if !fold {
        return memchr::memmem::find(text.as_bytes(), needle.as_bytes()).is_some();
    }
    let (t, n) = (text.as_bytes(), needle.as_bytes());
    let Some((&first, _)) = n.split_first() else { return true };
    if t.len() < n.len() {
        return false;
    }
    let starts = &t[..=t.len() - n.len()];
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), starts)
        .any(|i| t[i..i + n.len()].eq_ignore_ascii_case(n))
}

/// Matches a pattern with wildcards in time proportional to text × pattern: on a mismatch only the last
/// `*` is tried again one character later.
fn glob(pieces: &[Piece], text: &str, fold: bool) -> bool {
    let (mut p, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let rest = &text[at..];
        let step = match pieces.get(p) {
            None if rest.is_empty() => return true,
            None => None,
            Some(Piece::Many) => {
                retry = Some((p + 1, at));
                p += 1;
                continue;
            }
            Some(Piece::One) => rest.chars().next().map(char::len_utf8),
            Some(Piece::Literal(s)) => rest.as_bytes().get(..s.len()).and_then(|head| {
                let equal = if fold { head.eq_ignore_ascii_case(s.as_bytes()) } else { head == s.as_bytes() };
                equal.then_some(s.len())
            }),
        };
        if let Some(length) = step {
            p += 1;
            at += length;
            continue;
        }
        let Some((piece, start)) = retry else { return false };
        let Some(c) = text[start..].chars().next() else { return false };
        retry = Some((piece, start + c.len_utf8()));
        (p, at) = (piece, start + c.len_utf8());
    }
}

/// A regular expression together with the text it came from.
#[derive(Clone, Debug)]
pub struct RegexMatch {
    regex: Regex,
    /// Inline flags as Sigma has them: any of `i`, `m`, `s`.
    flags: String,
    source: String,
}

impl PartialEq for RegexMatch {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.flags == other.flags
    }
}

impl RegexMatch {
    /// Compiles a pattern; memory is capped at 1 MiB and matching takes linear time.
    ///
    /// # Errors
    /// The compiler's message.
    pub fn new(pattern: &str, flags: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(pattern)
            .case_insensitive(flags.contains('i'))
            .multi_line(flags.contains('m'))
            .dot_matches_new_line(flags.contains('s'))
            .size_limit(1 << 20)
            .build()
            .map_err(|e| e.to_string())?;
        let flags = ['i', 'm', 's'].iter().filter(|f| flags.contains(**f)).collect();
        Ok(Self { regex, flags, source: pattern.to_owned() })
    }

    /// The pattern.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The flags.
    pub fn flags(&self) -> &str {
        &self.flags
    }

    fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl Matcher {
    /// Whether one value matches; [`Matcher::Same`] is answered by the evaluation, which has the event.
    pub fn matches(&self, value: Value<'_>) -> bool {
        match self {
            Self::Present => true,
            Self::Text(m) => with_text(value, |t| m.matches(t)),
            Self::OneOf(many) => with_text(value, |t| many.matches(t)),
            Self::Regex(m) => with_text(value, |t| m.matches(t)),
            Self::Cidr(net) => {
                with_text(value, |t| t.parse().is_ok_and(|ip: std::net::IpAddr| net.contains(&ip)))
            }
            Self::Compare(how, with) => number(value).is_some_and(|n| how.holds(n, *with)),
            Self::When(how, with) => {
                with_text(value, |t| Timestamp::parse(t).is_some_and(|t| how.holds(t, *with)))
            }
            Self::TimePart(part, n) => {
                with_text(value, |t| Timestamp::parse(t).and_then(|t| part.of(t)) == Some(*n))
            }
            Self::Same(_) => false,
        }
    }
}

/// The value as text without allocating for the usual kinds. An object equals no text except `*`.
fn with_text(value: Value<'_>, f: impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Text(t) => f(t),
        Value::Bool(b) => f(if b { "true" } else { "false" }),
        other => f(&other.to_text()),
    }
}

fn number(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Int(n) => Some(n as f64),
        Value::Float(n) => Some(n),
        Value::Text(t) => t.trim().parse().ok(),
        Value::Bool(_) | Value::Tree(_) | Value::Object(_) => None,
    }
}
