//! Texts that a record must contain for a filter to be true of it, and how they are found in many records at once.
//!
//! The records of a page lie one behind the other. Looking through all of them for a few bytes costs a hundredth of
//! parsing them, so that only records with a hit are parsed. A needle is a necessary condition, never the answer.

use std::ops::Range;

use aho_corasick::packed;
use klio_model::filter::{Case, Matcher, Piece, TextMatch};
use klio_model::{Field, Filter};

/// Shorter texts are found nearly everywhere.
const SHORTEST: usize = 3;
/// Bytes of a needle that are looked for at first.
const WINDOW: usize = 3;
/// More spellings than this cannot be looked for at once.
const SPELLINGS: usize = 48;
/// Bytes that are counted to know which are rare.
const SAMPLE: usize = 32 << 10;

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

/// Looks for needles in many records at once.
pub(crate) struct Finder {
    needles: Needles,
    search: packed::Searcher,
    /// Where in each needle the window stands that is looked for.
    windows: Vec<usize>,
}

impl Finder {
    /// Prepared for texts like the sample; `None` if there are too many spellings.
    pub(crate) fn new(needles: &Needles, sample: &[u8]) -> Option<Self> {
        let mut seen = [1_u64; 256];
        for &byte in sample.iter().take(SAMPLE) {
            if let Some(count) = seen.get_mut(byte as usize) {
                *count += 1;
            }
        }
        let often = |byte: u8| seen.get(byte as usize).copied().unwrap_or(1) as f64;
        let (mut texts, mut places) = (Vec::new(), Vec::new());
        for needle in &needles.0 {
            let cost = |window: &&[u8]| -> f64 {
                let each = window.iter().map(|b| {
                    let other = b.to_ascii_uppercase();
                    let folds = needle.fold && b.is_ascii_alphabetic();
                    if folds { often(b.to_ascii_lowercase()) + often(other) } else { often(*b) }
                });
                each.product()
            };
            let windows = needle.text.windows(WINDOW.min(needle.text.len().max(1)));
            let (at, window) = windows.enumerate().min_by(|(_, a), (_, b)| cost(a).total_cmp(&cost(b)))?;
            let mut forms = vec![Vec::new()];
            for byte in window {
                let mut next = Vec::new();
                for form in &forms {
                    let mut with = |b: u8| next.push(form.iter().copied().chain([b]).collect());
                    if needle.fold && byte.is_ascii_alphabetic() {
                        with(byte.to_ascii_lowercase());
                        with(byte.to_ascii_uppercase());
                    } else {
                        with(*byte);
                    }
                }
                forms = next;
            }
            places.push(at);
            texts.extend(forms);
        }
        if texts.len() > SPELLINGS {
            return None;
        }
        let search = packed::Searcher::new(&texts)?;
        Some(Self { needles: needles.clone(), search, windows: places })
    }

    /// Calls `hit` with the number of each record that contains a needle. The records are ranges of `text` in
    /// ascending order.
    pub(crate) fn each(&self, text: &[u8], records: &[Range<usize>], hit: &mut dyn FnMut(usize)) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        let wanted: usize = records.iter().map(ExactSizeIterator::len).sum();
        if wanted * 2 < last.end.saturating_sub(first.start) {
            // Few records of a long text: what lies between them is not looked at.
            for (number, record) in records.iter().enumerate() {
                self.run(text, std::slice::from_ref(record), &mut |_| hit(number));
            }
        } else {
            self.run(text, records, hit);
        }
    }

    fn run(&self, text: &[u8], records: &[Range<usize>], hit: &mut dyn FnMut(usize)) {
        let end = records.last().map_or(0, |r| r.end).min(text.len());
        let mut from = records.first().map_or(end, |r| r.start);
        let mut number = 0;
        while from < end {
            let Some(found) = self.search.find_in(text, (from..end).into()) else { return };
            from = found.start() + 1;
            while records.get(number).is_some_and(|r| r.end <= found.start()) {
                number += 1;
            }
            let Some(record) = records.get(number) else { return };
            if self.is_whole(text, record, found.start()) {
                hit(number);
                from = record.end;
            }
        }
    }

    /// Whether one of the needles whose window stands at `found` stands there as a whole, inside of the record.
    fn is_whole(&self, text: &[u8], record: &Range<usize>, found: usize) -> bool {
        self.needles.0.iter().zip(&self.windows).any(|(needle, at)| {
            let Some(start) = found.checked_sub(*at).filter(|s| *s >= record.start) else { return false };
            let place = start..start + needle.text.len();
            place.end <= record.end
                && text.get(place).is_some_and(|there| {
                    if needle.fold { there.eq_ignore_ascii_case(&needle.text) } else { there == needle.text }
                })
        })
    }
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
        check("message:*\"system:masters\"*", Some(&["system:masters", "\\u"]));
    }

    #[test]
    fn hits_are_told_by_record() {
        let text = b"abc STOLEN-token x|stolen|-token|sTolen-ToKen";
        let records = [0..18, 19..25, 26..32, 33..text.len()];
        let finder =
            Finder::new(&Needles::of(&Filter::parse("\"stolen-token\"").unwrap()).unwrap(), text).unwrap();
        let mut hits = Vec::new();
        finder.each(text, &records, &mut |n| hits.push(n));
        assert_eq!(hits, [0, 3]);
        hits.clear();
        finder.each(text, &[33..text.len()], &mut |n| hits.push(n));
        assert_eq!(hits, [0]);
    }
}
