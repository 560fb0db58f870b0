//! From the values of a few fields to the rules that could match.

use hashbrown::HashMap;
use klio_model::{Event, Field, Filter, Matcher, Quantifier, Test};

use crate::rule::Rule;

/// The fields that rules are told apart by. Each costs a lookup per event.
const FIELDS: [Field; 6] =
    [Field::Verb, Field::Resource, Field::Subresource, Field::Namespace, Field::UserKind, Field::Outcome];

/// What stands for a missing value in a set of allowed values: no Kubernetes name contains it.
const ABSENT: &str = "\0";

#[derive(Debug)]
struct Table {
    field: Field,
    /// Rules for a known value.
    by_value: HashMap<Box<str>, Box<[u64]>, foldhash::fast::FixedState>,
    /// Rules for any value that is not in the table.
    other: Box<[u64]>,
    /// Rules for a missing value.
    absent: Box<[u64]>,
}

/// Bit sets of rules by field value.
#[derive(Debug)]
pub(super) struct Dispatch {
    words: usize,
    last: u64,
    tables: Vec<Table>,
    codes: CodeTable,
}

/// Rules by status code; the codes that no rule names share one set.
#[derive(Debug)]
struct CodeTable {
    by_code: Vec<Box<[u64]>>, // 0..=599
    absent: Box<[u64]>,
}

impl Dispatch {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let words = rules.len().div_ceil(64);
        let empty = vec![0u64; words].into_boxed_slice();
        let tables = FIELDS
            .into_iter()
            .filter_map(|field| {
                let allowed: Vec<_> = rules.iter().map(|r| values(&r.filter, field)).collect();
                if allowed.iter().all(Option::is_none) {
                    return None;
                }
                let mut table = Table {
                    field,
                    by_value: HashMap::default(),
                    other: empty.clone(),
                    absent: empty.clone(),
                };
                for value in allowed.iter().flatten().flatten() {
                    table.by_value.entry(value.as_str().into()).or_insert_with(|| empty.clone());
                }
                for (i, allowed) in allowed.iter().enumerate() {
                    let (word, bit) = (i / 64, 1u64 << (i % 64));
                    match allowed {
                        None => {
                            table.other[word] |= bit;
                            table.absent[word] |= bit;
                            table.by_value.values_mut().for_each(|set| set[word] |= bit);
                        }
                        Some(list) => {
                            for value in list {
                                if value == ABSENT {
                                    table.absent[word] |= bit;
                                } else if let Some(set) = table.by_value.get_mut(value.as_str()) {
                                    set[word] |= bit;
                                }
                            }
                        }
                    }
                }
                Some(table)
            })
            .collect();
        let mut codes = CodeTable { by_code: vec![empty.clone(); 600], absent: empty };
        for (i, rule) in rules.iter().enumerate() {
            let (word, bit) = (i / 64, 1u64 << (i % 64));
            for code in 0..600u16 {
                if may_have_code(&rule.filter, code) {
                    codes.by_code[usize::from(code)][word] |= bit;
                }
            }
            codes.absent[word] |= bit;
        }
        let last = match rules.len() % 64 {
            0 => u64::MAX,
            n => (1 << n) - 1,
        };
        Self { words, last, tables, codes }
    }

    /// Leaves the bits of the rules that could match.
    pub(super) fn candidates(&self, event: &Event<'_>, out: &mut Vec<u64>) {
        out.clear();
        let first = match event.code.and_then(|c| usize::try_from(c).ok()) {
            Some(code) if code < 600 => &self.codes.by_code[code],
            _ => &self.codes.absent,
        };
        out.extend_from_slice(first);
        debug_assert_eq!(out.len(), self.words);
        for table in &self.tables {
            let set = match event.text_of(table.field) {
                None if event.salvaged => continue,
                None => &table.absent,
                Some(value) => match table.by_value.get(value) {
                    Some(set) => set,
                    None if value.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) => {
                        table.by_value.get(value.to_lowercase().as_str()).unwrap_or(&table.other)
                    }
                    None => &table.other,
                },
            };
            out.iter_mut().zip(set.iter()).for_each(|(o, s)| *o &= s);
        }
        if let Some(word) = out.last_mut() {
            *word &= self.last;
        }
    }
}

/// The values, in lower case, one of which the field must have for the filter to be true or unknown; `None`
/// if any will do.
fn values(filter: &Filter, field: Field) -> Option<Vec<String>> {
    match filter {
        Filter::And(parts) => parts.iter().filter_map(|p| values(p, field)).min_by_key(Vec::len),
        Filter::Or(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(values(part, field)?);
            }
            Some(all)
        }
        Filter::Not(part) => match &**part {
            Filter::Test(Test { field: f, matcher: Matcher::Present, .. }) if f.field() == field => {
                Some(vec![ABSENT.to_owned()])
            }
            _ => None,
        },
        Filter::Test(Test { field: f, matcher, quantifier: Quantifier::Any | Quantifier::Every })
            if f.field() == field =>
        {
            match matcher {
                Matcher::Text(m) => m.folded_literal().map(|s| vec![s.to_lowercase()]),
                Matcher::OneOf(many) => {
                    many.iter().map(|m| m.folded_literal().map(str::to_lowercase)).collect()
                }
                _ => None,
            }
        }
        Filter::Nothing => Some(Vec::new()),
        _ => None,
    }
}

/// False if the filter cannot be true or unknown of an event with this status code.
fn may_have_code(filter: &Filter, code: u16) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|p| may_have_code(p, code)),
        Filter::Or(parts) => parts.iter().any(|p| may_have_code(p, code)),
        Filter::Test(test) if test.field.field() == Field::Code => {
            let text = code.to_string();
            match &test.matcher {
                Matcher::Text(m) => m.matches(&text),
                Matcher::OneOf(many) => many.iter().any(|m| m.matches(&text)),
                Matcher::Compare(how, with) => how.holds(f64::from(code), *with),
                _ => true,
            }
        }
        Filter::Nothing => false,
        _ => true,
    }
}
