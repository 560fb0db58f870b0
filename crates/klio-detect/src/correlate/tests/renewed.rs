use super::*;

/// A count of `a`, a sequence from `a` to `b`, a count of that sequence, and few of `c` in a window that is judged when it is over.
const ALL: &str = "---
title: Twice
id: twice
level: high
correlation: {type: event_count, rules: [a], group-by: [user.username], timespan: 1d, condition: {gte: 2}}
---
title: Then
id: then
level: high
correlation: {type: temporal_ordered, rules: [a, b], group-by: [user.username], timespan: 7d}
---
title: Again
id: again
level: high
correlation: {type: event_count, rules: [then], group-by: [user.username], timespan: 7d, condition: {gte: 1}}
---
title: Few
id: few
level: high
correlation: {type: event_count, rules: [c], group-by: [user.username], timespan: 1h, condition: {lt: 3}}
";

fn compiled(text: &str) -> RuleSet {
    let (set, problems) =
        crate::sigma::compile(&[RuleFile { name: "t.yml".into(), text: text.into() }], Dialect::Klio);
    assert!(problems.is_empty(), "{problems:?}");
    set
}

/// Ids of what is found when the rules become others between the first half of an attack and the second.
fn found(change: impl Fn(&str) -> String) -> Vec<String> {
    let before = format!("{RULES}{ALL}");
    let (before, now) = (compiled(&before), compiled(&change(&before)));
    let mut correlator = Correlator::new(&before);
    let mut found = Vec::new();
    for first in [at("a", 0.0, "eve", ""), at("c", 1.0, "eve", "")] {
        found.extend(correlator.observe(&first));
    }
    let mut correlator = correlator.renewed(&before, &now);
    for second in [at("b", 3600.0, "eve", ""), at("a", 50_000.0, "eve", "")] {
        found.extend(correlator.observe(&second));
    }
    found.extend(correlator.finish());
    let mut ids: Vec<String> = found.iter().map(|m| m.rule.to_string()).collect();
    ids.sort();
    ids
}

#[test]
fn what_means_the_same_goes_on() {
    assert_eq!(found(str::to_owned), ["again", "few", "twice"]);
    // Other places, titles and severities, and rules and correlations before those that were there.
    let moved = |text: &str| {
        let more = "title: New\nid: new\nlogsource: {product: kubernetes, service: audit}\ndetection: {s: {verb: patch}, condition: s}\n---\n\
                    title: Often\nid: often\ncorrelation: {type: event_count, rules: [new], group-by: [user.username], timespan: 1h, condition: {gte: 2}}\n---\n";
        format!("{more}{}", text.replace("title: Then", "title: After").replace("level: high", "level: low"))
    };
    assert_eq!(found(moved), ["again", "few", "twice"]);
}

#[test]
fn what_changed_begins_anew() {
    // Its own definition.
    assert_eq!(found(|text| text.replace("timespan: 1d", "timespan: 2d")), ["again", "few"]);
    assert_eq!(found(|text| text.replace("{lt: 3}", "{lt: 4}")), ["again", "twice"]);
    // A rule that it watches, also through another correlation.
    assert_eq!(found(|text| text.replace("{verb: get}", "{verb: delete}")), ["few"]);
    assert_eq!(found(|text| text.replace("timespan: 7d}", "timespan: 6d}")), ["few", "twice"]);
    // One that is gone leaves nothing behind.
    let gone = |text: &str| text.split("---\ntitle: Few").next().unwrap().to_owned();
    assert_eq!(found(gone), ["again", "twice"]);
}

#[test]
fn what_is_renewed_again_and_again_weighs_no_more() {
    let set = compiled(&format!("{RULES}{ALL}"));
    let mut correlator = Correlator::new(&set);
    for second in 0..20 {
        correlator.observe(&at("c", f64::from(second), &format!("user-{second}"), ""));
    }
    let weight = correlator.weight();
    for _ in 0..3 {
        correlator = correlator.renewed(&set, &set);
    }
    assert!(weight > 0);
    assert_eq!(correlator.weight(), weight);
    assert_eq!(correlator.finish().len(), 20);
}
