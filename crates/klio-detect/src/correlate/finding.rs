//! From a match to what is counted and kept, and from a window to the match of its correlation.

use std::collections::BTreeMap;
use std::sync::Arc;

use klio_model::{Evidence, FieldRef, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::window::{Entry, Hit, Keep, Kept};
use super::{Correlation, CorrelationKind};
use crate::bound;
use crate::rule::Match;

/// A match belongs to at most so many groups, and counts at most so many values.
const MAX_COMBINATIONS: usize = 16;
/// Evidence in one finding.
const MAX_EVIDENCE: usize = 256;
/// Values of one field in one finding.
const MAX_VALUES: usize = 64;
/// Bytes of a value in the evidence.
const MAX_TEXT: usize = 1_024;
/// Separates the values of a key; a value that holds it loses it.
const SEPARATOR: char = '\u{1f}';

/// One key for each combination of the values of some fields; none when a field has no value.
pub(super) fn combinations(names: &[String], m: &Match) -> Vec<String> {
    let mut out = vec![String::new()];
    for (i, name) in names.iter().enumerate() {
        let Some(values) = m.values.get(name) else { return Vec::new() };
        out = out
            .iter()
            .flat_map(|key| {
                values.iter().map(move |v| {
                    let v = v.replace(SEPARATOR, "");
                    if i == 0 { v } else { format!("{key}{SEPARATOR}{v}") }
                })
            })
            .take(MAX_COMBINATIONS)
            .collect();
    }
    out
}

/// What a match adds to the count.
pub(super) fn counted(kind: CorrelationKind, fields: &[String], step: u16, m: &Match) -> Vec<u64> {
    match kind {
        CorrelationKind::EventCount => vec![0],
        CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => vec![u64::from(step)],
        CorrelationKind::ValueCount | CorrelationKind::ValueShare => {
            combinations(fields, m).iter().map(|v| xxh3_64(v.as_bytes())).collect()
        }
        CorrelationKind::ValueSum | CorrelationKind::ValueAvg | CorrelationKind::ValuePercentile(_) => {
            let values = fields.first().and_then(|f| m.values.get(f)).map(Vec::as_slice).unwrap_or_default();
            let numbers =
                values.iter().filter_map(|v| v.trim().parse::<f64>().ok()).filter(|n| n.is_finite());
            numbers.map(f64::to_bits).take(MAX_COMBINATIONS).collect()
        }
    }
}

/// A match as evidence, with the values that the correlation hands on.
pub(super) fn kept(correlation: &Correlation, entry: Entry, m: &Match) -> Kept {
    let source = &correlation.sources[usize::from(entry.step)];
    let names =
        correlation.carries.iter().map(FieldRef::name).chain(source.fields.iter().map(String::as_str));
    let carried = names
        .filter_map(|n| Some((n.to_owned(), m.values.get(n)?.iter().take(MAX_VALUES).cloned().collect())));
    let mut kept = Kept {
        time: entry.time,
        evidence: m.evidence.clone(),
        actor: m.actor.clone(),
        object: m.object.clone(),
        proven: m.proven,
        carried: carried.collect(),
    };
    // What is carried is compared; the rest is shown.
    bound::actor(&mut kept.actor);
    bound::option(&mut kept.object.name);
    let fields = kept.evidence.iter_mut().flat_map(|one| &mut one.fields);
    fields.for_each(|(_, value)| bound::shorten(value, MAX_TEXT));
    kept
}

/// The match of a correlation. Its values hold the group keys, what it carries, and `count`: the number that
/// satisfied the condition.
pub(super) fn finding(correlation: &Correlation, key: &str, keep: &Keep, hit: Hit) -> Option<Match> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut evidence: Vec<Evidence> = Vec::new();
    let mut proven = true;
    let mut last = None;
    for kept in keep.between(hit.start, hit.end) {
        for (name, more) in &kept.carried {
            let all = values.entry(name.clone()).or_default();
            for value in more {
                if all.len() < MAX_VALUES && !all.contains(value) {
                    all.push(value.clone());
                }
            }
        }
        for one in &kept.evidence {
            let known = evidence.iter().any(|e| {
                e.audit_id == one.audit_id && e.stage == one.stage && e.line == one.line && e.file == one.file
            });
            if !known && evidence.len() < MAX_EVIDENCE {
                evidence.push(one.clone());
            }
        }
        proven &= kept.proven;
        last = Some(kept);
    }
    let last = last?;
    for (name, value) in correlation.group_by.iter().zip(key.split(SEPARATOR)) {
        values.insert(name.clone(), vec![value.to_owned()]);
    }
    values.insert("count".to_owned(), vec![hit.number.to_string()]);
    Some(Match {
        rule: Arc::from(correlation.id.as_str()),
        time: Some(Timestamp(last.time)),
        actor: last.actor.clone(),
        object: last.object.clone(),
        values,
        evidence,
        proven,
    })
}
