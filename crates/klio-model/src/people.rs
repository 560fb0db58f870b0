//! Who uses an account: what a site says of the persons behind the names that audit events have.
//!
//! An entry maps accounts, with wildcards, to a person; it may be true of some events only. Upper and lower case are
//! told apart, as the API server tells them apart: whoever gets hold of `Alice` is not `alice`. No account belongs to two
//! persons, unless filters tell their requests apart; then the first whose filter is certainly true counts.

use std::collections::HashMap;

use serde::Serialize;
use thiserror::Error;

use crate::event::{Event, text};
use crate::field::{Field, FieldRef, Value};
use crate::filter::{Case, Filter, Matcher, Missing, Piece, Test, TextMatch, Tri};

/// A person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Person {
    /// As the site calls him.
    pub name: String,
    /// Where he belongs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
}

/// A person's accounts.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Who.
    pub person: Person,
    /// User names; `*` and `?` are wildcards, `\` takes the meaning from them.
    pub accounts: Vec<String>,
    /// Of which events; of all unless given.
    pub filter: Filter,
}

/// Why accounts cannot be mapped so. Numbers are of entries and of accounts in them, from 0.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Two persons have it.
    #[error("the account belongs to two persons")]
    Twice {
        /// One of them.
        first: (usize, usize),
        /// The other.
        second: (usize, usize),
    },
    /// It fits every name.
    #[error("the account is everybody's")]
    Everybody {
        /// Which.
        at: (usize, usize),
    },
    /// The filter asks for a person, for the past, or is true of nothing.
    #[error("the filter cannot tell accounts apart")]
    Filter {
        /// Which entry's.
        entry: usize,
    },
}

/// All persons that are known.
#[derive(Clone, Debug, Default)]
pub struct People {
    entries: Vec<Entry>,
    /// Entries that name an account without wildcards, in their order.
    exact: HashMap<Box<str>, Vec<u32>>,
    /// Entries with wildcards.
    wild: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Entry {
    person: Person,
    accounts: Vec<TextMatch>,
    filter: Filter,
}

impl Entry {
    fn has(&self, name: &str) -> bool {
        self.accounts.iter().any(|account| account.matches(name))
    }

    /// The events of these accounts.
    fn events(&self) -> Filter {
        let user =
            |account: &TextMatch| Filter::test(FieldRef::of(Field::User), Matcher::Text(account.clone()));
        Filter::and([Filter::or(self.accounts.iter().map(user)), self.filter.clone()])
    }
}

impl People {
    /// Checks what a site says of its people.
    ///
    /// # Errors
    /// [`Wrong`] says which entries cannot both hold.
    pub fn new(mappings: Vec<Mapping>) -> Result<Self, Wrong> {
        let mut people = Self::default();
        let mut patterns: Vec<((usize, usize), TextMatch)> = Vec::new();
        for (number, mapping) in mappings.into_iter().enumerate() {
            let mut odd = mapping.filter == Filter::Nothing;
            mapping.filter.each_field(&mut |at| {
                odd |= at.needs_memory() || matches!(at.field(), Field::Person | Field::Team);
            });
            if odd {
                return Err(Wrong::Filter { entry: number });
            }
            let accounts: Vec<TextMatch> =
                mapping.accounts.iter().map(|account| TextMatch::glob(account, Case::Sensitive)).collect();
            let mut is_wild = false;
            for (place, account) in accounts.iter().enumerate() {
                if !account.pieces().iter().any(|piece| matches!(piece, Piece::Literal(_))) {
                    return Err(Wrong::Everybody { at: (number, place) });
                }
                if let Some(name) = account.folded_literal() {
                    people.exact.entry(name.into()).or_default().push(number as u32);
                } else {
                    is_wild = true;
                    patterns.push(((number, place), account.clone()));
                }
            }
            if is_wild {
                people.wild.push(number as u32);
            }
            people.entries.push(Entry { person: mapping.person, accounts, filter: mapping.filter });
        }
        people.check(&patterns)?;
        Ok(people)
    }

    /// No account is of two persons.
    fn check(&self, patterns: &[((usize, usize), TextMatch)]) -> Result<(), Wrong> {
        let apart = |a: usize, b: usize| {
            let (a, b) = (&self.entries[a], &self.entries[b]);
            a.person == b.person
                || (a.filter != b.filter && a.filter != Filter::All && b.filter != Filter::All)
        };
        let clash = |a: (usize, usize), b: (usize, usize)| {
            let (first, second) = (a.min(b), a.max(b));
            if apart(first.0, second.0) { Ok(()) } else { Err(Wrong::Twice { first, second }) }
        };
        let place = |entry: usize, name: &str| {
            let accounts = &self.entries[entry].accounts;
            (entry, accounts.iter().position(|account| account.folded_literal() == Some(name)).unwrap_or(0))
        };
        let mut exact: Vec<(&Box<str>, &Vec<u32>)> = self.exact.iter().collect();
        exact.sort();
        for (name, entries) in exact {
            let at: Vec<(usize, usize)> = entries.iter().map(|entry| place(*entry as usize, name)).collect();
            for (n, one) in at.iter().enumerate() {
                at[..n].iter().try_for_each(|other| clash(*other, *one))?;
                let wild = patterns.iter().filter(|(_, pattern)| pattern.matches(name));
                wild.map(|(other, _)| *other).try_for_each(|other| clash(other, *one))?;
            }
        }
        for (n, (one, pattern)) in patterns.iter().enumerate() {
            let meet = patterns[..n].iter().filter(|(_, other)| meet(pattern.pieces(), other.pieces()));
            meet.map(|(other, _)| *other).try_for_each(|other| clash(other, *one))?;
        }
        Ok(())
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Who made a request: the person behind the user who authenticated.
    pub fn of(&self, event: &Event<'_>) -> Option<&Person> {
        if self.is_empty() {
            return None;
        }
        let name = text(&event.user.name)?;
        self.first(name, &|filter| filter.eval(event, Missing::Unknown) == Tri::True)
    }

    /// Who uses an account, whatever the request.
    pub fn of_name(&self, name: &str) -> Option<&Person> {
        self.first(name, &|filter| *filter == Filter::All)
    }

    fn first(&self, name: &str, fits: &dyn Fn(&Filter) -> bool) -> Option<&Person> {
        let exact = self.exact.get(name).map(Vec::as_slice).unwrap_or_default();
        let of = |entry: &u32| self.entries.get(*entry as usize).filter(|e| fits(&e.filter) && e.has(name));
        exact
            .iter()
            .chain(&self.wild)
            .filter(|entry| of(entry).is_some())
            .min()
            .and_then(of)
            .map(|e| &e.person)
    }

    /// The filter, with tests of persons and teams as tests of their accounts: what asks records that know no persons
    /// needs it.
    pub fn resolve(&self, filter: Filter) -> Filter {
        match filter {
            Filter::And(parts) => Filter::and(parts.into_iter().map(|part| self.resolve(part))),
            Filter::Or(parts) => Filter::or(parts.into_iter().map(|part| self.resolve(part))),
            Filter::Not(part) => Filter::not(self.resolve(*part)),
            Filter::Test(test) if matches!(test.field.field(), Field::Person | Field::Team) => {
                self.accounts(&test)
            }
            other => other,
        }
    }

    fn accounts(&self, test: &Test) -> Filter {
        let mut before: Vec<Filter> = Vec::new();
        let mut found = Vec::new();
        for entry in &self.entries {
            let value = match test.field.field() {
                Field::Team => entry.person.team.as_deref(),
                _ => Some(entry.person.name.as_str()),
            };
            if value.is_some_and(|value| test.matcher.matches(Value::Text(value))) {
                let earlier = before.iter().cloned().map(Filter::not);
                found.push(Filter::and([entry.events()].into_iter().chain(earlier)));
            }
            // Only entries with filters can share accounts, and then the first counts.
            if entry.filter != Filter::All {
                before.push(entry.events());
            }
        }
        Filter::or(found)
    }
}

/// Whether a text fits both patterns.
fn meet(a: &[Piece], b: &[Piece]) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum Step {
        Is(char),
        One,
        Many,
    }
    let steps = |pieces: &[Piece]| -> Vec<Step> {
        let of = |piece: &Piece| match piece {
            Piece::Literal(text) => text.chars().map(Step::Is).collect(),
            Piece::One => vec![Step::One],
            Piece::Many => vec![Step::Many],
        };
        pieces.iter().flat_map(of).collect()
    };
    let (a, b) = (steps(a), steps(b));
    // Whether the rests of both from here on can be the same text, from the end to the begin.
    let mut next = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        let mut row = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            row[j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(Step::Many), None) => next[j],
                (None, Some(Step::Many)) => row[j + 1],
                // The star is over, or it takes what the other has next.
                (Some(Step::Many), Some(_)) | (Some(_), Some(Step::Many)) => next[j] || row[j + 1],
                (Some(x), Some(y)) => (x == y || *x == Step::One || *y == Step::One) && next[j + 1],
                _ => false,
            };
        }
        next = row;
    }
    next[0]
}

#[cfg(test)]
mod tests;
