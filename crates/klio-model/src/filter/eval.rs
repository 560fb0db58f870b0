//! Asking a filter about an event, and which values made it true.

use super::{Filter, Matcher, Missing, Quantifier, Test, Tri};
use crate::event::Event;
use crate::field::{Seen, Value};

/// A value of a long field is cut here in evidence.
const MAX_VALUE: usize = 512;
/// No reader looks at more values of one field.
const MAX_VALUES: usize = 16;

impl Filter {
    /// The filter's answer for an event.
    #[inline]
    pub fn eval(&self, event: &Event<'_>, missing: Missing) -> Tri {
        match self {
            Self::All => Tri::True,
            Self::Nothing => Tri::False,
            Self::And(parts) => {
                let mut answer = Tri::True;
                for part in parts {
                    match part.eval(event, missing) {
                        Tri::True => {}
                        Tri::False => return Tri::False,
                        Tri::Unknown => answer = Tri::Unknown,
                    }
                }
                answer
            }
            Self::Or(parts) => {
                let mut answer = Tri::False;
                for part in parts {
                    match part.eval(event, missing) {
                        Tri::True => return Tri::True,
                        Tri::False => {}
                        Tri::Unknown => answer = Tri::Unknown,
                    }
                }
                answer
            }
            Self::Not(part) => !part.eval(event, missing),
            Self::Test(test) => test.eval(event, missing),
            Self::Keyword(word) => Tri::from(word.found_in_event(event)),
        }
    }

    /// Whether the filter is certainly true of an event.
    pub fn matches(&self, event: &Event<'_>) -> bool {
        self.eval(event, Missing::Unknown) == Tri::True
    }

    /// Collects name and value of each field that made the filter true.
    pub fn evidence(&self, event: &Event<'_>, missing: Missing, out: &mut Vec<(String, String)>) {
        match self {
            Self::All | Self::Nothing => {}
            Self::Keyword(word) => {
                let text: String = word
                    .pieces()
                    .iter()
                    .filter_map(|p| if let super::Piece::Literal(s) = p { Some(s.as_str()) } else { None })
                    .collect();
                push(out, "event", text);
            }
            // Each part of a true conjunction is true; of a disjunction it must be asked.
            Self::And(parts) => parts.iter().for_each(|part| part.evidence(event, missing, out)),
            Self::Or(parts) => {
                for part in parts.iter().filter(|p| p.eval(event, missing) == Tri::True) {
                    part.evidence(event, missing, out);
                }
            }
            // What a negation rests on is the value that is there instead, if there is one.
            Self::Not(part) => part.each_field(&mut |field| {
                event.visit(field, &mut |value| {
                    push(out, field.name(), cut(value));
                    true
                });
            }),
            Self::Test(test) => {
                let mut left = MAX_VALUES;
                event.visit(&test.field, &mut |value| {
                    if test.holds_for(event, value) {
                        push(out, test.field.name(), cut(value));
                        left -= 1;
                    }
                    left == 0
                });
            }
        }
    }
}

fn push(out: &mut Vec<(String, String)>, name: &str, value: String) {
    if !out.iter().any(|(n, v)| n == name && *v == value) {
        out.push((name.to_owned(), value));
    }
}

fn cut(value: Value<'_>) -> String {
    let text = value.to_text();
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

impl Test {
    fn holds_for(&self, event: &Event<'_>, value: Value<'_>) -> bool {
        let Matcher::Same(other) = &self.matcher else { return self.matcher.matches(value) };
        let mine = value.to_text();
        let mut same = false;
        event.visit(other, &mut |theirs| {
            same = theirs.to_text().to_lowercase() == mine.to_lowercase();
            same
        });
        same
    }

    fn eval(&self, event: &Event<'_>, missing: Missing) -> Tri {
        let (mut any, mut every) = (false, true);
        let seen = event.visit(&self.field, &mut |value| {
            let holds = self.holds_for(event, value);
            any |= holds;
            every &= holds;
            match self.quantifier {
                Quantifier::Any => any,
                Quantifier::Every => !every,
            }
        });
        match (seen, self.quantifier) {
            (Seen::Present, Quantifier::Any) => Tri::from(any),
            (Seen::Present, Quantifier::Every) => Tri::from(every),
            (Seen::Absent, _) => Tri::False,
            // Of several values some may be recorded, and one is enough to say yes to any or no to every.
            (Seen::Unknown, Quantifier::Any) if any => Tri::True,
            (Seen::Unknown, Quantifier::Every) if !every => Tri::False,
            (Seen::Unknown, _) if missing == Missing::False => Tri::from(any && every),
            (Seen::Unknown, _) => Tri::Unknown,
        }
    }
}
