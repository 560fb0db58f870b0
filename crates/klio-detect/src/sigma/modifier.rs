//! `field|modifier|modifier`: what the key of a detection item asks for.
//!
//! Source: Sigma modifiers appendix 2.1.0.

use klio_model::filter::{Comparison, TimePart};

use super::encode::Encoding;
use super::notes::{Notes, nearest};
use super::yaml::Node;

/// Where in the field's text the value stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Position {
    Whole,
    Start,
    End,
    Anywhere,
}

/// What kind of comparison the item makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    Exists,
    Regex,
    Compare(Comparison),
    Cidr,
    FieldRef,
}

/// The modifiers of one key.
#[derive(Clone, Debug)]
pub(super) struct Modifiers {
    pub(super) all: bool,
    pub(super) neq: bool,
    pub(super) cased: bool,
    pub(super) position: Position,
    pub(super) kind: Kind,
    pub(super) part: Option<TimePart>,
    /// Flags of `re`.
    pub(super) flags: String,
    /// Transformations of the value, in order.
    pub(super) encodings: Vec<Encoding>,
}

const NAMES: &[&str] = &[
    "all",
    "startswith",
    "endswith",
    "contains",
    "exists",
    "cased",
    "neq",
    "windash",
    "re",
    "i",
    "m",
    "s",
    "base64",
    "base64offset",
    "utf16le",
    "utf16be",
    "utf16",
    "wide",
    "lt",
    "lte",
    "gt",
    "gte",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "cidr",
    "expand",
    "fieldref",
];

/// Splits a key into its field and modifiers; `None` when a fault was noted.
pub(super) fn parse<'k>(key: &'k Node, notes: &mut Notes) -> Option<(&'k str, Modifiers)> {
    let Some(text) = key.text() else {
        notes.error(
            key,
            format!("a field name is a string, not {}", key.describe()),
            "put the name in quotes",
        );
        return None;
    };
    let mut parts = text.split('|');
    let field = parts.next().unwrap_or_default();
    let mut m = Modifiers {
        all: false,
        neq: false,
        cased: false,
        position: Position::Whole,
        kind: Kind::Text,
        part: None,
        flags: String::new(),
        encodings: Vec::new(),
    };
    let before = notes.0.len();
    for name in parts {
        m.add(name, key, notes);
    }
    m.check(key, notes);
    let failed = notes.0[before..].iter().any(super::notes::Fault::is_error);
    (!failed).then_some((field, m))
}

impl Modifiers {
    fn add(&mut self, name: &str, key: &Node, notes: &mut Notes) {
        match name {
            "all" => self.all = true,
            "neq" => self.neq = true,
            "cased" => self.cased = true,
            "expand" => notes.error(
                key,
                "`expand` takes values from outside of the rule, and Klio has none",
                "write the values out as a list",
            ),
            "startswith" => self.place(Position::Start, key, notes),
            "endswith" => self.place(Position::End, key, notes),
            "contains" => self.place(Position::Anywhere, key, notes),
            "exists" => self.set(Kind::Exists, key, notes),
            "re" => self.set(Kind::Regex, key, notes),
            "cidr" => self.set(Kind::Cidr, key, notes),
            "fieldref" => self.set(Kind::FieldRef, key, notes),
            "lt" => self.set(Kind::Compare(Comparison::Less), key, notes),
            "lte" => self.set(Kind::Compare(Comparison::AtMost), key, notes),
            "gt" => self.set(Kind::Compare(Comparison::Greater), key, notes),
            "gte" => self.set(Kind::Compare(Comparison::AtLeast), key, notes),
            "i" | "m" | "s" if self.kind == Kind::Regex => self.flags.push_str(name),
            "i" | "m" | "s" => {
                notes.error(
                    key,
                    format!("`{name}` is a flag of `re` and stands after it"),
                    format!("write `|re|{name}`"),
                );
            }
            "minute" | "hour" | "day" | "week" | "month" | "year" => {
                self.part = TimePart::ALL.iter().find(|(_, n)| *n == name).map(|(part, _)| *part);
            }
            _ => match Encoding::parse(name) {
                Some(encoding) => {
                    // Dashes are exchanged whether wildcards stand around them or not.
                    if self.position != Position::Whole && encoding != Encoding::Windash {
                        notes.error(
                            key,
                            format!("`{name}` stands after the modifier that adds wildcards"),
                            format!("modifiers apply in order: write `|{name}|contains`"),
                        );
                    }
                    self.encodings.push(encoding);
                }
                None => notes.error(
                    key,
                    format!("unknown modifier `{name}`"),
                    nearest(name, NAMES.iter().copied()),
                ),
            },
        }
    }

    fn place(&mut self, position: Position, key: &Node, notes: &mut Notes) {
        if self.position != Position::Whole && self.position != position {
            notes.error(
                key,
                "more than one of startswith, endswith and contains",
                "use one of them, or write the wildcards in the value",
            );
        }
        self.position = position;
    }

    fn set(&mut self, kind: Kind, key: &Node, notes: &mut Notes) {
        if self.kind != Kind::Text && self.kind != kind {
            notes.error(
                key,
                "these modifiers exclude each other",
                "a field is compared in one way; write two selections",
            );
        }
        self.kind = kind;
    }

    /// Combinations that mean nothing.
    fn check(&self, key: &Node, notes: &mut Notes) {
        let texts = self.position != Position::Whole || !self.encodings.is_empty();
        if texts && (self.kind != Kind::Text || self.part.is_some()) {
            let advice = match self.kind {
                Kind::FieldRef => {
                    "Klio compares two fields for equality only; drop startswith, endswith and contains"
                }
                Kind::Regex => {
                    "write the position into the pattern, with `^` and `$`; it is searched anywhere by default"
                }
                _ => "startswith, endswith, contains and the encodings go with text values only",
            };
            notes.error(key, "this modifier does not go with text modifiers", advice);
        }
        if self.cased && !matches!(self.kind, Kind::Text | Kind::Regex) {
            notes.error(key, "`cased` goes with text values only", "remove `cased`");
        }
        if self.cased && self.flags.contains('i') {
            notes.error(key, "`cased` and the flag `i` contradict each other", "keep one of them");
        }
        if self.part.is_some() && !matches!(self.kind, Kind::Text | Kind::Compare(_)) {
            notes.error(
                key,
                "a part of a time is compared with numbers",
                "combine it with lt, lte, gt, gte, neq or nothing",
            );
        }
        let offset = self.encodings.last() == Some(&Encoding::Base64Offset);
        if offset && self.position == Position::Whole {
            notes.warn(
                key,
                "`base64offset` compares with the whole value",
                "an offset only shows inside a longer text: write `|base64offset|contains`",
            );
        }
    }
}
