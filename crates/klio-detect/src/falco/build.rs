//! Conditions become filters: macros are put in, checks are compiled.
//!
//! Every condition is built twice, for events with an `auditID` and for those without: to the latter the
//! audit plugin gives no `ka.*` field, so that each of its comparisons is false.

use klio_model::field::falco::Expr;
use klio_model::{Field, FieldRef, Filter, Matcher, Test, TextMatch};

use super::collect::{Collected, Named};
use super::parse::{self, Check, Condition};
use super::text::{Piece, Place, Text};
use super::{check, nearest};

/// A condition may have this many comparisons once its macros are in it.
const MAX_SIZE: usize = 20_000;
/// Conditions with their macros in them are nested no deeper.
const MAX_DEPTH: usize = 256;

/// Why a condition does not become a filter.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub place: Place,
    pub message: String,
    pub advice: Option<String>,
    /// A field that does not exist: a rule with `skip-if-unknown-filter` is left out without an error.
    pub unknown: bool,
}

struct Parsed {
    text: Text,
    condition: Condition,
}

#[derive(Clone)]
enum State {
    New,
    Busy,
    Done(Result<Filter, Fault>),
}

/// Compiles conditions against the lists and macros of all files.
pub(super) struct Builder<'c> {
    collected: &'c Collected,
    sources: Vec<&'c str>,
    lists: Vec<(&'c str, Vec<String>)>,
    parsed: Vec<Result<Parsed, Fault>>,
    /// Per macro, for events with and without an `auditID`.
    built: Vec<[State; 2]>,
    depth: usize,
}

impl<'c> Builder<'c> {
    pub fn new(collected: &'c Collected, sources: Vec<&'c str>) -> Self {
        let mut builder = Self {
            collected,
            sources,
            lists: collected.lists.iter().map(|l| (l.name.as_str(), items(collected, l))).collect(),
            parsed: Vec::new(),
            built: Vec::new(),
            depth: 0,
        };
        for named in &collected.macros {
            let parsed = builder.parse(Text::of(&named.value));
            builder.parsed.push(parsed);
            builder.built.push([State::New, State::New]);
        }
        builder
    }

    /// Macros that cannot even be parsed, whether some rule uses them or not.
    pub fn broken_macros(&self) -> impl Iterator<Item = (&str, &Fault)> {
        let named = self.collected.macros.iter().zip(&self.parsed);
        named.filter_map(|(m, parsed)| Some((m.name.as_str(), parsed.as_ref().err()?)))
    }

    /// The filter of a rule's condition.
    pub fn rule(
        &mut self,
        pieces: &[Piece],
        exceptions: &[super::exceptions::Exception],
    ) -> Result<Filter, Fault> {
        let mut text = Text::of(pieces);
        if !exceptions.is_empty() {
            text = super::exceptions::apply(text, exceptions).map_err(|(place, message)| Fault {
                place,
                message,
                advice: None,
                unknown: false,
            })?;
        }
        let parsed = self.parse(text)?;
        let audited = self.build(&parsed, &parsed.condition, true, usize::MAX)?;
        let other = self.build(&parsed, &parsed.condition, false, usize::MAX)?;
        let whole = if audited == other {
            audited
        } else {
            let known = || Filter::test(FieldRef::of(Field::AuditId), Matcher::Present);
            Filter::or([Filter::and([audited, known()]), Filter::and([other, Filter::not(known())])])
        };
        if size(&whole) > MAX_SIZE {
            let place = pieces.first().map_or(Place { file: 0, span: 0..0 }, |p| p.place.clone());
            return Err(Fault {
                place,
                message: "the condition is too large once its macros are in it".to_owned(),
                advice: Some("use lists instead of repeated comparisons".to_owned()),
                unknown: false,
            });
        }
        Ok(whole)
    }

    fn parse(&self, mut text: Text) -> Result<Parsed, Fault> {
        for (name, items) in &self.lists {
            if let Err(message) = text.expand(name, items) {
                let place = text.locate(0..0, &self.sources);
                return Err(Fault { place, message: message.to_owned(), advice: None, unknown: false });
            }
        }
        match parse::condition(&text.body) {
            Ok(condition) => Ok(Parsed { text, condition }),
            Err(wrong) => {
                let place = text.locate(wrong.at, &self.sources);
                Err(Fault { place, message: wrong.message, advice: wrong.advice, unknown: false })
            }
        }
    }

    /// `visibility`: only macros defined before this are seen.
    fn build(
        &mut self,
        parsed: &Parsed,
        condition: &Condition,
        audited: bool,
        visibility: usize,
    ) -> Result<Filter, Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault {
                place: parsed.text.locate(0..0, &self.sources),
                message: "the condition is nested too deeply once its macros are in it".to_owned(),
                advice: None,
                unknown: false,
            });
        }
        self.depth += 1;
        let built = self.build_part(parsed, condition, audited, visibility);
        self.depth -= 1;
        built
    }

    fn build_part(
        &mut self,
        parsed: &Parsed,
        condition: &Condition,
        audited: bool,
        visibility: usize,
    ) -> Result<Filter, Fault> {
        let mut each = |parts: &[Condition]| -> Result<Vec<Filter>, Fault> {
            parts.iter().map(|part| self.build(parsed, part, audited, visibility)).collect()
        };
        match condition {
            Condition::And(parts) => Ok(Filter::and(each(parts)?)),
            Condition::Or(parts) => Ok(Filter::or(merged(each(parts)?))),
            Condition::Not(part) => Ok(Filter::not(self.build(parsed, part, audited, visibility)?)),
            Condition::Check(check) => self.check(parsed, check, audited),
            Condition::Macro(name, at) => {
                let fault = |message: String, advice: Option<String>| Fault {
                    place: parsed.text.locate(at.clone(), &self.sources),
                    message,
                    advice,
                    unknown: false,
                };
                let visible = |m: &Named<_>| m.index < visibility;
                let Some(index) = self.collected.macros.iter().position(|m| m.name == *name && visible(m))
                else {
                    let later = self.collected.macros.iter().any(|m| m.name == *name);
                    let names = self.collected.macros.iter().filter(|m| visible(m)).map(|m| m.name.clone());
                    let advice = if later {
                        Some("a macro sees only macros that are defined before it".to_owned())
                    } else if self.collected.lists.iter().any(|l| l.name == *name) {
                        Some("this is a list; lists stand after `in (…)` or `intersects (…)`".to_owned())
                    } else {
                        nearest(name, names).map(|near| format!("did you mean `{near}`?"))
                    };
                    return Err(fault(format!("unknown macro `{name}`"), advice));
                };
                match &self.built[index][usize::from(audited)] {
                    State::Done(done) => done.clone(),
                    State::Busy => Err(fault(format!("macro `{name}` uses itself"), None)),
                    State::New => self.macro_(index, audited),
                }
            }
        }
    }

    fn macro_(&mut self, index: usize, audited: bool) -> Result<Filter, Fault> {
        // Taken out while it is worked on; put back below.
        let placeholder = Err(Fault {
            place: Place { file: 0, span: 0..0 },
            message: String::new(),
            advice: None,
            unknown: false,
        });
        let parsed = std::mem::replace(&mut self.parsed[index], placeholder);
        self.built[index][usize::from(audited)] = State::Busy;
        let visibility = self.collected.macros[index].visibility;
        let mut done = match &parsed {
            Ok(parsed) => self.build(parsed, &parsed.condition, audited, visibility),
            Err(fault) => Err(fault.clone()),
        };
        if let (Ok(filter), Ok(parsed)) = (&done, &parsed)
            && size(filter) > MAX_SIZE
        {
            done = Err(Fault {
                place: parsed.text.locate(0..0, &self.sources),
                message: "the macro is too large once its macros are in it".to_owned(),
                advice: None,
                unknown: false,
            });
        }
        self.parsed[index] = parsed;
        self.built[index][usize::from(audited)] = State::Done(done.clone());
        done
    }

    fn check(&self, parsed: &Parsed, check: &Check, audited: bool) -> Result<Filter, Fault> {
        check::filter(check, audited).map_err(|bad| {
            let at = if bad.right { &check.right_at } else { &check.left_at };
            // Of `field[arg]` and transformers the name is what can be found in the file.
            let at = match (&check.left, bad.right) {
                (Expr::Field(name, _), false) => at.start..at.start + name.len(),
                _ => at.clone(),
            };
            Fault {
                place: parsed.text.locate(at, &self.sources),
                message: bad.misuse.message,
                advice: bad.misuse.advice,
                unknown: bad.misuse.unknown,
            }
        })
    }
}

/// A list's items, with earlier lists in the place of their names.
fn items(collected: &Collected, list: &Named<Vec<String>>) -> Vec<String> {
    let mut out = Vec::new();
    for item in &list.value {
        match collected.lists.iter().find(|l| l.name == *item && l.index < list.visibility) {
            Some(inner) => out.extend(inner.value.iter().cloned()),
            None => out.push(item.clone()),
        }
    }
    out
}

/// Alternatives for one field become one comparison, so that its value is read once.
fn merged(parts: Vec<Filter>) -> Vec<Filter> {
    let mut out: Vec<Filter> = Vec::with_capacity(parts.len());
    for part in parts {
        if let (Some((field, new)), Some(last)) = (alternatives(&part), out.last_mut())
            && let Some((same, mut all)) = alternatives(last)
            && same == field
        {
            all.extend(new);
            *last = Filter::test(field.clone(), Matcher::OneOf(all.into()));
            continue;
        }
        out.push(part);
    }
    out
}

fn alternatives(filter: &Filter) -> Option<(&FieldRef, Vec<TextMatch>)> {
    match filter {
        Filter::Test(Test { field, quantifier: klio_model::Quantifier::Any, matcher }) => match matcher {
            Matcher::Text(one) => Some((field, vec![one.clone()])),
            Matcher::OneOf(many) => Some((field, many.to_vec())),
            _ => None,
        },
        _ => None,
    }
}

fn size(filter: &Filter) -> usize {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => 1 + parts.iter().map(size).sum::<usize>(),
        Filter::Not(part) => 1 + size(part),
        _ => 1,
    }
}
