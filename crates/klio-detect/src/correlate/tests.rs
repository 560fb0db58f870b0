//! Streams of invented matches, and the findings that a reader expects of them.

mod counting;
mod limits;
mod order;
mod renewed;

use std::collections::BTreeMap;
use std::sync::Arc;

use klio_model::{Actor, Evidence, Object, Timestamp};

use super::Correlator;
use crate::rule::{Dialect, Match, RuleFile, RuleSet};

const RULES: &str = "title: A\nid: a\nlogsource: {product: kubernetes, service: audit}\ndetection: {s: {verb: get}, condition: s}\n---\n\
title: B\nid: b\nlogsource: {product: kubernetes, service: audit}\ndetection: {s: {verb: list}, condition: s}\n---\n\
title: C\nid: c\nlogsource: {product: kubernetes, service: audit}\ndetection: {s: {verb: watch}, condition: s}\n";

/// The rules `a`, `b`, `c` and one correlation `x`; `sections` that are whole documents are taken as they are.
pub(super) fn set(section: &str) -> RuleSet {
    let text = if section.starts_with("---") {
        format!("{RULES}{section}")
    } else {
        let body = section.trim().lines().fold(String::new(), |out, line| out + "  " + line + "\n");
        format!("{RULES}---\ntitle: X\nid: x\nlevel: high\ncorrelation:\n{body}")
    };
    let (set, problems) =
        crate::sigma::compile(&[RuleFile { name: "t.yml".into(), text: text.into() }], Dialect::Klio);
    assert!(problems.is_empty(), "{problems:?}");
    set
}

/// A match of a rule at a second, by a user, with a value of `namespace` (and of `code`).
pub(super) fn at(rule: &str, second: f64, user: &str, value: &str) -> Match {
    let time = Timestamp((second * 1e6) as i64);
    let mut m = Match {
        rule: Arc::from(rule),
        time: Some(time),
        actor: Actor { user: Some(user.into()), ..Actor::default() },
        object: Object::default(),
        values: BTreeMap::default(),
        evidence: vec![Evidence {
            audit_id: format!("{rule}-{second}-{value}"),
            stage: "ResponseComplete",
            time: Some(time),
            file: "f".into(),
            line: 1,
            fields: Vec::new(),
        }],
        proven: true,
    };
    if !user.is_empty() {
        m.values.insert("user".into(), user.split('+').map(str::to_owned).collect());
    }
    if !value.is_empty() {
        m.values.insert("namespace".into(), vec![value.into()]);
        m.values.insert("code".into(), vec![value.into()]);
    }
    m
}

/// Seconds at which findings were given, in order, for a stream; those of open windows come last.
pub(super) fn seconds(section: &str, stream: &[Match]) -> Vec<f64> {
    run(section, stream).iter().map(|m| m.time.unwrap().micros() as f64 / 1e6).collect()
}

pub(super) fn run(section: &str, stream: &[Match]) -> Vec<Match> {
    let mut correlator = Correlator::new(&set(section));
    let mut out: Vec<Match> = stream.iter().flat_map(|m| correlator.observe(m)).collect();
    out.extend(correlator.finish());
    out
}
