//! The one predicate language: a tree of tests over fields that answers true, false or unknown.
//!
//! Sigma and Falco rules compile to a [`Filter`]; `klio hunt` and `--where` take one as text.
//! Its text form is [`Filter::parse`] and `Display`.

pub mod alike;
mod any_of;
mod eval;
mod matcher;
mod sense;
pub mod text;

use crate::field::FieldRef;

pub use any_of::AnyOf;
pub use matcher::{Case, Comparison, Matcher, Piece, RegexMatch, TextMatch, TimePart};
pub use text::FilterError;

/// Kleene's third truth value: *unknown* is what the audit policy did not record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tri {
    /// Certainly.
    True,
    /// Certainly not.
    False,
    /// The record does not say.
    Unknown,
}

impl std::ops::Not for Tri {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Tri {
    fn from(b: bool) -> Self {
        if b { Self::True } else { Self::False }
    }
}

/// How a value that is not recorded is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// Honestly: as unknown.
    Unknown,
    /// As the rule dialects do: a comparison with it is false.
    False,
}

/// How many of a field's values must match.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Quantifier {
    /// At least one.
    Any,
    /// Each, and there is one.
    Every,
}

/// One comparison of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// Which field.
    pub field: FieldRef,
    /// How many of its values.
    pub quantifier: Quantifier,
    /// What each is compared with.
    pub matcher: Matcher,
}

impl Test {
    /// A test that at least one value of a field matches.
    pub fn any(field: FieldRef, matcher: Matcher) -> Self {
        Self { field, quantifier: Quantifier::Any, matcher }
    }
}

/// A predicate over events.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// True of every event.
    All,
    /// True of none.
    Nothing,
    /// True when each part is.
    And(Vec<Filter>),
    /// True when some part is.
    Or(Vec<Filter>),
    /// True when the part is false.
    Not(Box<Filter>),
    /// A comparison.
    Test(Test),
    /// The event's whole text contains a word or phrase.
    Keyword(TextMatch),
}

impl Filter {
    /// `field` has at least one value that matches.
    pub fn test(field: FieldRef, matcher: Matcher) -> Self {
        Self::Test(Test::any(field, matcher))
    }

    /// Both; flattens and drops what changes nothing.
    pub fn and(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut out = Vec::new();
        for part in parts {
            match part {
                Self::All => {}
                Self::Nothing => return Self::Nothing,
                Self::And(inner) => out.extend(inner),
                other => out.push(other),
            }
        }
        match out.len() {
            0 => Self::All,
            1 => out.swap_remove(0),
            _ => Self::And(out),
        }
    }

    /// Either; flattens and drops what changes nothing.
    pub fn or(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut out = Vec::new();
        for part in parts {
            match part {
                Self::Nothing => {}
                Self::All => return Self::All,
                Self::Or(inner) => out.extend(inner),
                other => out.push(other),
            }
        }
        match out.len() {
            0 => Self::Nothing,
            1 => out.swap_remove(0),
            _ => Self::Or(out),
        }
    }

    /// The opposite; a double negation falls away.
    #[allow(clippy::should_implement_trait)]
    pub fn not(part: Self) -> Self {
        match part {
            Self::All => Self::Nothing,
            Self::Nothing => Self::All,
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Calls `f` for each field that the filter reads.
    pub fn each_field<'f>(&'f self, f: &mut dyn FnMut(&'f FieldRef)) {
        match self {
            Self::All | Self::Nothing | Self::Keyword(_) => {}
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|p| p.each_field(f)),
            Self::Not(part) => part.each_field(f),
            Self::Test(test) => {
                f(&test.field);
                if let Matcher::Same(other) = &test.matcher {
                    f(other);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
