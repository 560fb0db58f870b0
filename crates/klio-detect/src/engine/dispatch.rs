//! From the values of a few fields to the rules that could match.
//!
//! Most conditions of a rule look at one field only, and the fields that events are told apart by have few
//! different values. So each condition is asked once per value: the answers for all rules become a bit set that
//! is remembered, and an event costs a lookup per field and a few ANDs.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use klio_model::{Event, Field, Filter, Missing, Tri};

use crate::rule::Rule;

/// The fields that values are remembered of, each with those that are computed from it alone.
const KEYS: [(Field, &[Field]); 9] = [
    (Field::Verb, &[Field::Verb]),
    (Field::Resource, &[Field::Resource]),
    (Field::Subresource, &[Field::Subresource]),
    (Field::Namespace, &[Field::Namespace]),
    (Field::ApiGroup, &[Field::ApiGroup]),
    (Field::User, &[Field::User, Field::UserKind, Field::UserNamespace]),
    (Field::UserAgent, &[Field::UserAgent]),
    (Field::Impersonated, &[Field::Impersonated]),
    (Field::SourceIp, &[Field::SourceIp, Field::SourceScope]),
];

/// Different values of one field that are remembered; then all are forgotten and learnt anew.
const VALUES: usize = 10_000;
/// Longer values are not worth a place in memory.
const VALUE_LENGTH: usize = 512;
/// A rule is split into at most so many alternatives.
const BRANCHES: usize = 16;

type Set = Box<[u64]>;

/// One alternative of a rule: all its conditions must hold.
#[derive(Debug)]
struct Branch {
    rule: usize,
    /// Conditions by key; none for a key that the branch does not look at.
    by_key: [Vec<Filter>; KEYS.len()],
    /// Conditions on the status code and the outcome.
    by_code: Vec<Filter>,
}

/// What is known about each rule's conditions.
#[derive(Debug)]
pub(super) struct Dispatch {
    branches: Vec<Branch>,
    rules: usize,
    words: usize,
    /// Keys that some rule looks at.
    used: [bool; KEYS.len()],
    /// Branches by status code, 100 to 599.
    by_code: Vec<Set>,
}

/// Answers that one thread has seen.
#[derive(Debug, Default)]
pub(super) struct Memory {
    by_value: [HashMap<Box<str>, Set, FixedState>; KEYS.len()],
    absent: [Option<Set>; KEYS.len()],
    branches: Vec<u64>,
}

impl Dispatch {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut branches = Vec::new();
        for (rule, r) in rules.iter().enumerate() {
            for conditions in alternatives(&r.filter) {
                let mut branch = Branch { rule, by_key: Default::default(), by_code: Vec::new() };
                for condition in conditions {
                    match key_of(condition) {
                        Some(Key::Value(key)) => branch.by_key[key].push(condition.clone()),
                        Some(Key::Code) => branch.by_code.push(condition.clone()),
                        None => {}
                    }
                }
                branches.push(branch);
            }
        }
        let words = branches.len().div_ceil(64);
        let used = std::array::from_fn(|key| branches.iter().any(|b: &Branch| !b.by_key[key].is_empty()));
        let mut dispatch = Self { branches, rules: rules.len(), words, used, by_code: Vec::new() };
        dispatch.by_code =
            (100..600).map(|code| dispatch.set(&Event::with_code(code), |branch| &branch.by_code)).collect();
        dispatch
    }

    /// The branches whose conditions are not false of an event.
    fn set(&self, event: &Event<'_>, conditions: impl Fn(&Branch) -> &[Filter]) -> Set {
        let mut set = vec![0u64; self.words].into_boxed_slice();
        for (i, branch) in self.branches.iter().enumerate() {
            if conditions(branch).iter().all(|c| c.eval(event, Missing::Unknown) != Tri::False) {
                set[i / 64] |= 1 << (i % 64);
            }
        }
        set
    }

    /// Leaves the bits of the rules that could match.
    pub(super) fn candidates(&self, event: &Event<'_>, memory: &mut Memory, out: &mut Vec<u64>) {
        out.clear();
        out.resize(self.rules.div_ceil(64), 0);
        let possible = &mut memory.branches;
        possible.clear();
        match event.code.and_then(|c| self.by_code.get(usize::try_from(c - 100).ok()?)) {
            Some(set) => possible.extend_from_slice(set),
            None => possible.resize(self.words, u64::MAX),
        }
        for (key, (field, _)) in KEYS.iter().enumerate() {
            // What a cut event lacks may have been cut off.
            if !self.used[key] || (event.salvaged && event.text_of(*field).is_none()) {
                continue;
            }
            let set = match event.text_of(*field) {
                None => {
                    memory.absent[key].get_or_insert_with(|| self.set(&Event::blank(), |b| &b.by_key[key]))
                }
                Some(value) if value.len() > VALUE_LENGTH => continue,
                Some(value) => {
                    let known = &mut memory.by_value[key];
                    if known.len() >= VALUES && !known.contains_key(value) {
                        known.clear();
                    }
                    known
                        .entry_ref(value)
                        .or_insert_with(|| self.set(&Event::with_text(*field, value), |b| &b.by_key[key]))
                }
            };
            possible.iter_mut().zip(set.iter()).for_each(|(p, s)| *p &= s);
        }
        for (word, &bits) in possible.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let branch = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if let Some(branch) = self.branches.get(branch) {
                    out[branch.rule / 64] |= 1 << (branch.rule % 64);
                }
            }
        }
    }
}

enum Key {
    Value(usize),
    Code,
}

/// The key that alone decides a condition, if there is one.
fn key_of(condition: &Filter) -> Option<Key> {
    let mut fields = Vec::new();
    condition.each_field(&mut |f| fields.push(f.field()));
    let has_keyword = contains_keyword(condition);
    if fields.is_empty() || has_keyword {
        return None;
    }
    if fields.iter().all(|f| matches!(f, Field::Code | Field::Outcome)) {
        return Some(Key::Code);
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
        Filter::Or(parts) if key_of(filter).is_none() => {
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
