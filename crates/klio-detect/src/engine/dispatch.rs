//! From the values of a few fields to the rules that could match.
//!
//! Most conditions of a rule look at one field only, or at what the request does (verb, resource, subresource,
//! group), or at its result (stage, level, code): few different values each. So each such condition is asked once
//! per value, the answers for all rules are remembered as two bit sets (*possible*: not false; *certain*: true), and
//! an event costs a few lookups and ANDs. Clients repeat themselves, so what came out for all values together is
//! remembered too: most events cost one lookup. What a rule asks besides is its [`Branch::rest`].

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use klio_model::event::Level;
use klio_model::{Event, Field, Filter, Missing, Stage, Tri};

use super::cost::cost;
use crate::rule::Rule;

/// The fields that values are remembered of, each with those that are computed from it alone.
const KEYS: [(&[Field], &[Field]); 7] = [
    (ACTION, ACTION),
    (&[Field::Namespace], &[Field::Namespace]),
    (&[Field::User], &[Field::User, Field::UserKind, Field::UserNamespace]),
    (&[Field::UserAgent], &[Field::UserAgent]),
    (&[Field::SourceIp], &[Field::SourceIp, Field::SourceScope]),
    (&[Field::Impersonated], &[Field::Impersonated]),
    (&[Field::Groups], &[Field::Groups]),
];
/// What a request does.
const ACTION: &[Field] = &[Field::Verb, Field::Resource, Field::Subresource, Field::ApiGroup];
/// What became of it.
const RESULT: [Field; 4] = [Field::Stage, Field::Level, Field::Code, Field::Outcome];

/// Different values of one key that are remembered; then all are forgotten and learnt anew.
const VALUES: usize = 8_000;
/// Longer values are not worth a place in memory.
const VALUE_LENGTH: usize = 512;
/// Longer combinations of values neither, in bytes.
const COMBINATION: usize = 1_024;
/// A rule is split into at most so many alternatives.
const BRANCHES: usize = 16;

/// One alternative of a rule: all its conditions must hold.
#[derive(Debug)]
pub(super) struct Branch {
    /// Which rule.
    pub rule: usize,
    /// Conditions that no key decides, the cheapest first.
    pub rest: Vec<Filter>,
}

/// The conditions that one key decides.
#[derive(Debug, Default)]
struct Conditions {
    /// Each once: rules have many in common.
    distinct: Vec<Filter>,
    /// Which branch asks which of them.
    asked: Vec<(usize, Vec<usize>)>,
    /// The branches that ask any.
    askers: Box<[u64]>,
}

/// Branches that are possible, then branches that are certain as far as the keys go.
type Sets = Box<[u64]>;

/// What is known about each rule's conditions.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub branches: Vec<Branch>,
    /// 64-bit words of one set.
    words: usize,
    by_key: [Conditions; KEYS.len()],
    by_result: Conditions,
}

/// The values of a key's fields.
type Values<T> = [Option<T>; ACTION.len()];

#[derive(Debug)]
struct Known {
    values: Values<Box<str>>,
    sets: Sets,
}

/// What came out for all values of an event.
#[derive(Debug)]
struct Whole {
    /// The values, as [`written`] writes them.
    values: Box<[u8]>,
    sets: Sets,
}

/// Answers that one thread has seen.
#[derive(Debug, Default)]
pub(super) struct Memory {
    by_value: [HashTable<Known>; KEYS.len()],
    state: RandomState,
    /// For events without any value of the key.
    by_absence: [Option<Sets>; KEYS.len()],
    by_result: HashMap<(Stage, Level, Option<i64>), Sets, RandomState>,
    by_all: HashTable<Whole>,
    /// The values of the event at hand.
    written: Vec<u8>,
    /// The branches that are possible for the event at hand.
    pub possible: Vec<u64>,
    /// Those of them whose conditions on keys all hold.
    pub certain: Vec<u64>,
}

impl Conditions {
    fn add(&mut self, branch: usize, condition: &Filter) {
        let known = self.distinct.iter().position(|c| c == condition);
        let number = known.unwrap_or_else(|| {
            self.distinct.push(condition.clone());
            self.distinct.len() - 1
        });
        match self.asked.last_mut() {
            Some((of, numbers)) if *of == branch => numbers.push(number),
            _ => self.asked.push((branch, vec![number])),
        }
    }

    fn finish(&mut self, words: usize) {
        self.askers = vec![0; words].into();
        for (branch, _) in &self.asked {
            self.askers[branch / 64] |= 1 << (branch % 64);
        }
    }

    /// Asks about an event that has nothing but the values of the key.
    fn sets(&self, event: &Event<'_>) -> Sets {
        let answers: Vec<Tri> = self
            .distinct
            .iter()
            .map(|condition| {
                // Without a code, an annotation tells the outcome.
                let open = event.code.is_none() && reads_outcome(condition);
                if open { Tri::Unknown } else { condition.eval(event, Missing::Unknown) }
            })
            .collect();
        let words = self.askers.len();
        let mut sets = vec![u64::MAX; 2 * words].into_boxed_slice();
        for (branch, numbers) in &self.asked {
            let bit = !(1u64 << (branch % 64));
            if numbers.iter().any(|&n| answers[n] == Tri::False) {
                sets[branch / 64] &= bit;
            }
            if numbers.iter().any(|&n| answers[n] != Tri::True) {
                sets[words + branch / 64] &= bit;
            }
        }
        sets
    }
}

impl Dispatch {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut branches = Vec::new();
        let mut by_key: [Conditions; KEYS.len()] = Default::default();
        let mut by_result = Conditions::default();
        for (rule, r) in rules.iter().enumerate() {
            for conditions in alternatives(&spread(&r.filter)) {
                let mut rest = Vec::new();
                for condition in conditions {
                    match key_of(condition) {
                        Some(Key::Value(key)) => by_key[key].add(branches.len(), condition),
                        Some(Key::Result) => by_result.add(branches.len(), condition),
                        None => rest.push(condition.clone()),
                    }
                }
                rest.sort_by_key(cost);
                branches.push(Branch { rule, rest });
            }
        }
        let words = branches.len().div_ceil(64);
        for conditions in &mut by_key {
            conditions.finish(words);
        }
        by_result.finish(words);
        Self { branches, words, by_key, by_result }
    }

    /// Finds the branches of the rules that could match; they stand in [`Memory::possible`] and
    /// [`Memory::certain`] then.
    pub(super) fn candidates(&self, event: &Event<'_>, memory: &mut Memory) {
        memory.possible.clear();
        memory.certain.clear();
        // What a cut event lacks may have been cut off; groups that were never text are no key.
        if event.salvaged || (event.user.groups.text().is_none() && event.user.groups.tree().is_some()) {
            memory.possible.resize(self.words, u64::MAX);
            memory.certain.resize(self.words, 0);
            return;
        }
        written(event, &mut memory.written);
        let hash = memory.state.hash_one(memory.written.as_slice());
        if let Some(known) = memory.by_all.find(hash, |known| *known.values == *memory.written) {
            let (possible, certain) = known.sets.split_at(self.words);
            memory.possible.extend_from_slice(possible);
            memory.certain.extend_from_slice(certain);
            return;
        }
        self.look_up(event, memory);
        if memory.written.len() <= COMBINATION {
            if memory.by_all.len() >= VALUES {
                memory.by_all.clear();
            }
            let sets = [memory.possible.as_slice(), &memory.certain].concat().into();
            let whole = Whole { values: memory.written.as_slice().into(), sets };
            let state = &memory.state;
            memory.by_all.insert_unique(hash, whole, |known| state.hash_one(&*known.values));
        }
    }

    /// [`Dispatch::candidates`] from what is known about each value.
    fn look_up(&self, event: &Event<'_>, memory: &mut Memory) {
        let Memory { by_value, state, by_absence, by_result, possible, certain, .. } = memory;
        if by_result.len() >= VALUES {
            by_result.clear();
        }
        let sets = by_result.entry((event.stage, event.level, event.code)).or_insert_with(|| {
            let mut alone = Event::blank();
            (alone.stage, alone.level, alone.code) = (event.stage, event.level, event.code);
            self.by_result.sets(&alone)
        });
        let (p, c) = sets.split_at(self.words);
        possible.extend_from_slice(p);
        certain.extend_from_slice(c);
        for (key, (fields, _)) in KEYS.iter().enumerate() {
            let conditions = &self.by_key[key];
            // Branches that are out already need no answer.
            if possible.iter().zip(&conditions.askers).all(|(p, a)| p & a == 0) {
                continue;
            }
            let mut values: Values<&str> = [None; ACTION.len()];
            for (value, field) in values.iter_mut().zip(*fields) {
                *value = value_of(event, *field);
            }
            let learn = || {
                let alone =
                    fields.iter().zip(values).fold(Event::blank(), |alone, (field, value)| match value {
                        Some(json) if *field == Field::Groups => alone.with_groups(json),
                        Some(text) => alone.with(*field, text),
                        None => alone,
                    });
                conditions.sets(&alone)
            };
            if values.iter().all(Option::is_none) {
                narrow(possible, certain, by_absence[key].get_or_insert_with(learn));
                continue;
            }
            let table = &mut by_value[key];
            let hash = state.hash_one(values);
            let same = |known: &Known| known.values.iter().zip(&values).all(|(a, b)| a.as_deref() == *b);
            if let Some(known) = table.find(hash, same) {
                narrow(possible, certain, &known.sets);
                continue;
            }
            let sets = learn();
            narrow(possible, certain, &sets);
            if values.iter().flatten().map(|v| v.len()).sum::<usize>() <= VALUE_LENGTH {
                if table.len() >= VALUES {
                    table.clear();
                }
                let known = Known { values: values.map(|v| v.map(Into::into)), sets };
                table.insert_unique(hash, known, |k| {
                    state.hash_one(k.values.each_ref().map(|v| v.as_deref()))
                });
            }
        }
    }
}

/// The text of a key's field; of groups, the JSON text.
fn value_of<'e>(event: &'e Event<'_>, field: Field) -> Option<&'e str> {
    if field == Field::Groups { event.user.groups.text() } else { event.text_of(field) }
}

/// All that keys look at in an event, so that two events are written alike only if they are alike. UTF-8 has no
/// bytes 0xFE and 0xFF.
fn written(event: &Event<'_>, out: &mut Vec<u8>) {
    out.clear();
    out.extend([event.stage as u8, event.level as u8, u8::from(event.code.is_some())]);
    out.extend(event.code.unwrap_or_default().to_le_bytes());
    for field in KEYS.iter().flat_map(|(fields, _)| *fields) {
        match value_of(event, *field) {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                out.push(0xFF);
            }
            None => out.push(0xFE),
        }
    }
}

fn narrow(possible: &mut [u64], certain: &mut [u64], sets: &[u64]) {
    let (p, c) = sets.split_at(possible.len());
    possible.iter_mut().zip(p).for_each(|(a, b)| *a &= b);
    certain.iter_mut().zip(c).for_each(|(a, b)| *a &= b);
}

fn reads_outcome(condition: &Filter) -> bool {
    let mut reads = false;
    condition.each_field(&mut |f| reads |= f.field() == Field::Outcome);
    reads
}

enum Key {
    Value(usize),
    Result,
}

/// The key that alone decides a condition, if there is one.
fn key_of(condition: &Filter) -> Option<Key> {
    let mut fields = Vec::new();
    condition.each_field(&mut |f| fields.push(f.field()));
    let has_keyword = contains_keyword(condition);
    if fields.is_empty() || has_keyword {
        return None;
    }
    if fields.iter().all(|f| RESULT.contains(f)) {
        return Some(Key::Result);
    }
    KEYS.iter().position(|(_, group)| fields.iter().all(|f| group.contains(f))).map(Key::Value)
}

fn contains_keyword(filter: &Filter) -> bool {
    match filter {
        Filter::Keyword(_) => true,
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(contains_keyword),
        Filter::Not(part) => contains_keyword(part),
        Filter::All | Filter::Nothing | Filter::Test(_) => false,
    }
}

/// The filter as alternatives of conditions, as far as that stays small: `a and (b or c)` gives `[a, b]` and
/// `[a, c]`. A condition that cannot be split stands as it is.
fn alternatives(filter: &Filter) -> Vec<Vec<&Filter>> {
    match filter {
        Filter::Nothing => Vec::new(),
        Filter::Or(parts) if key_of(filter).is_none() && has_key(filter) => {
            let all: Vec<_> = parts.iter().flat_map(alternatives).collect();
            if all.len() <= BRANCHES { all } else { vec![vec![filter]] }
        }
        Filter::And(parts) => {
            let mut all: Vec<Vec<&Filter>> = vec![Vec::new()];
            for part in parts {
                let choices = alternatives(part);
                if all.len() * choices.len() > BRANCHES {
                    for branch in &mut all {
                        branch.push(part);
                    }
                    continue;
                }
                all = all
                    .iter()
                    .flat_map(|branch| {
                        choices
                            .iter()
                            .map(move |choice| branch.iter().chain(choice).copied().collect::<Vec<_>>())
                    })
                    .collect();
            }
            all
        }
        other => vec![vec![other]],
    }
}

/// Whether a key decides some part of a filter: only then is it worth being taken apart.
fn has_key(filter: &Filter) -> bool {
    key_of(filter).is_some()
        || match filter {
            Filter::And(parts) | Filter::Or(parts) => parts.iter().any(has_key),
            _ => false,
        }
}

/// `not (a or b)` as `not a and not b`, so that each part can be asked alone.
fn spread(filter: &Filter) -> Filter {
    match filter {
        Filter::And(parts) => Filter::And(parts.iter().map(spread).collect()),
        Filter::Or(parts) => Filter::Or(parts.iter().map(spread).collect()),
        Filter::Not(part) => match part.as_ref() {
            Filter::Or(parts) => {
                Filter::And(parts.iter().map(|p| spread(&Filter::Not(Box::new(p.clone())))).collect())
            }
            _ => filter.clone(),
        },
        other => other.clone(),
    }
}
