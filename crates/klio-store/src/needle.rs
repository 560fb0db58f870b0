//! Texts that a record must contain for a filter to be true of it, and how they are found in many records at once.
//!
//! The records of a page lie one behind the other. Looking through all of them for a few bytes costs a hundredth of
//! parsing them, so that only records with a hit are parsed. A needle is a necessary condition, never the answer.

mod finder;

use klio_model::filter::{Case, Matcher, Piece, TextMatch};
use klio_model::{Field, Filter};

pub(crate) use finder::Finder;

use crate::grams;

/// Shorter texts are found nearly everywhere.
const SHORTEST: usize = 3;

/// Texts of which a record must contain one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Needles(Vec<Needle>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Needle {
    text: Vec<u8>,
    /// ASCII letters in either case.
    fold: bool,
}

impl Needles {
    /// What a filter demands; `None` if it demands nothing that can be looked for.
    pub(crate) fn of(filter: &Filter) -> Option<Self> {
        match filter {
            Filter::And(parts) => parts.iter().filter_map(Self::of).max_by_key(Self::shortest),
            Filter::Or(parts) if !parts.is_empty() => {
                let mut all = Vec::new();
                for part in parts {
                    all.extend(Self::of(part)?.0);
                }
                Some(Self(all))
            }
            Filter::Keyword(text) => Self::of_keyword(text),
            Filter::Test(test) => {
                let stands = stands_in_text(test.field.field())?;
                match &test.matcher {
                    Matcher::Text(text) => Self::of_value(text, stands),
                    Matcher::OneOf(texts) if !texts.is_empty() => {
                        let mut all = Vec::new();
                        for text in texts.iter() {
                            all.extend(Self::of_value(text, stands)?.0);
                        }
                        Some(Self(all))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Of each text what an index of texts must have for it; `None` if that cannot tell for one of them.
    pub(crate) fn grams(&self) -> Option<Vec<Vec<usize>>> {
        let all =
            self.0.iter().map(|needle| Some(grams::of_text(&needle.text)).filter(|grams| !grams.is_empty()));
        all.collect()
    }

    /// A keyword is looked for in the text as it is, escapes and all.
    fn of_keyword(text: &TextMatch) -> Option<Self> {
        let whole = |c: char| c.is_ascii();
        let (literal, one) = longest(text, whole)?;
        let fold = text.case() == Case::Insensitive;
        let mut all = Self(vec![Needle { text: literal.into(), fold }]);
        // One ASCII text is compared without regard to letters beyond ASCII.
        if fold && !one {
            all.add_strange_letters();
        }
        Some(all)
    }

    /// A value stands in the record as it is, unless JSON escapes a part of it.
    fn of_value(text: &TextMatch, stands: Stands) -> Option<Self> {
        let plain = |c: char| match c {
            '"' | '\\' | '<' | '>' | '&' | '\'' | '\u{7f}' => false,
            // A list or an object as text is written without blanks.
            ',' | ':' | '[' | ']' | '{' | '}' => stands == Stands::Text,
            c => c == ' ' || c.is_ascii_graphic(),
        };
        let (literal, _) = longest(text, plain)?;
        // Numbers have several spellings.
        if stands == Stands::Tree
            && !literal.bytes().any(|b| b.is_ascii_alphabetic() && !b.eq_ignore_ascii_case(&b'e'))
        {
            return None;
        }
        let fold = text.case() == Case::Insensitive;
        let mut all = Self(vec![Needle { text: literal.into(), fold }]);
        all.add("\\u");
        if literal.contains('/') {
            all.add("\\/");
        }
        if fold {
            all.add_strange_letters();
        }
        Some(all)
    }

    /// Letters beyond ASCII whose small form is one of ASCII.
    fn add_strange_letters(&mut self) {
        let has = |letter: u8| self.0.iter().any(|n| n.text.iter().any(|b| b.eq_ignore_ascii_case(&letter)));
        let (k, i) = (has(b'k'), has(b'i'));
        if k {
            self.add("\u{212a}");
        }
        if i {
            self.add("\u{130}");
        }
    }

    fn add(&mut self, text: &str) {
        self.0.push(Needle { text: text.into(), fold: false });
    }

    fn shortest(&self) -> usize {
        // Not those that stand for odd spellings.
        self.0.iter().filter(|n| n.fold || n.text.len() > 3).map(|n| n.text.len()).min().unwrap_or(0)
    }
}

/// How the values of a field stand in the record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// As a string.
    Text,
    /// Below an object: a string, a number, or a tree that is written anew.
    Tree,
}

/// `None` for fields whose values are computed.
fn stands_in_text(field: Field) -> Option<Stands> {
    match field {
        Field::AuditId
        | Field::Uri
        | Field::User
        | Field::UserUid
        | Field::Credential
        | Field::Impersonated
        | Field::ImpersonatedUid
        | Field::SourceIp
        | Field::UserAgent
        | Field::Resource
        | Field::Subresource
        | Field::Namespace
        | Field::Name
        | Field::ObjectUid
        | Field::ApiGroup
        | Field::ApiVersion
        | Field::ResourceVersion
        | Field::Status
        | Field::Message
        | Field::Reason => Some(Stands::Text),
        Field::Groups
        | Field::SourceIps
        | Field::ImpersonatedGroups
        | Field::Extra
        | Field::ImpersonatedExtra
        | Field::Authentication
        | Field::Annotations
        | Field::Decision
        | Field::DecisionReason
        | Field::PodSecurity
        | Field::RequestObject
        | Field::ResponseObject
        | Field::Document => Some(Stands::Tree),
        _ => None,
    }
}

/// The longest run of allowed characters in the literal pieces, and whether the pattern is that run alone.
fn longest(text: &TextMatch, allowed: impl Fn(char) -> bool) -> Option<(&str, bool)> {
    let literals =
        text.pieces().iter().filter_map(|p| if let Piece::Literal(l) = p { Some(l.as_str()) } else { None });
    let runs = literals.flat_map(|l| l.split(|c| !allowed(c)));
    let best = runs.max_by_key(|run| run.len()).filter(|run| run.len() >= SHORTEST)?;
    let one = match text.pieces() {
        [Piece::Literal(l)] | [Piece::Many, Piece::Literal(l), Piece::Many] => l.is_ascii(),
        _ => false,
    };
    Some((best, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needles(filter: &str) -> Option<Vec<String>> {
        let needles = Needles::of(&Filter::parse(filter).unwrap())?;
        Some(needles.0.iter().map(|n| String::from_utf8_lossy(&n.text).into_owned()).collect())
    }

    #[test]
    fn only_what_a_record_must_contain_is_looked_for() {
        let check = |filter: &str, want: Option<&[&str]>| {
            assert_eq!(
                needles(filter),
                want.map(|w| w.iter().map(|s| (*s).to_owned()).collect()),
                "{filter}"
            );
        };
        check("\"stolen-token\"", Some(&["stolen-token"]));
        check("\"stolen-token\" and verb:get", Some(&["stolen-token"]));
        check("\"stolen-token\" or verb:get", None);
        check("not \"stolen-token\"", None);
        check("request.spec.containers.image:*/evil:1.0", Some(&["/evil", "\\u", "\\/", "\u{130}"]));
        check("request.spec.replicas:12345", None);
        check("uri.path:*secretplace*", None);
        check("message:*system\\:masters*", Some(&["system:masters", "\\u"]));
    }
}
