use super::*;

const TEMPORAL: &str = "type: temporal\nrules: [a, b, c]\ngroup-by: [user.username]\ntimespan: 10s";
const ORDERED: &str = "type: temporal_ordered\nrules: [a, b, c]\ngroup-by: [user.username]\ntimespan: 10s";

fn stream(steps: &[(&str, f64)]) -> Vec<Match> {
    steps.iter().map(|(rule, t)| at(rule, *t, "eve", "")).collect()
}

#[test]
fn temporal_asks_for_all_rules_in_any_order() {
    assert_eq!(seconds(TEMPORAL, &stream(&[("c", 0.0), ("a", 1.0), ("b", 2.0)])), [2.0]);
    assert!(seconds(TEMPORAL, &stream(&[("c", 0.0), ("a", 1.0), ("a", 2.0)])).is_empty());
    assert!(seconds(TEMPORAL, &stream(&[("c", 0.0), ("a", 1.0), ("b", 11.0)])).is_empty());
    assert_eq!(seconds(TEMPORAL, &stream(&[("c", 0.0), ("a", 1.0), ("c", 5.0), ("b", 11.0)])), [11.0]);
    let two = format!("{TEMPORAL}\ncondition: {{gte: 2}}");
    assert_eq!(seconds(&two, &stream(&[("c", 0.0), ("c", 1.0), ("a", 2.0)])), [2.0]);
    let other = [at("a", 0.0, "eve", ""), at("b", 1.0, "bob", ""), at("c", 2.0, "eve", "")];
    assert!(seconds(TEMPORAL, &other).is_empty());
}

#[test]
fn ordered_asks_for_their_order_too() {
    assert_eq!(seconds(ORDERED, &stream(&[("a", 0.0), ("b", 1.0), ("c", 2.0)])), [2.0]);
    assert!(seconds(ORDERED, &stream(&[("a", 0.0), ("c", 1.0), ("b", 2.0)])).is_empty());
    assert!(seconds(ORDERED, &stream(&[("c", 0.0), ("b", 1.0), ("a", 2.0)])).is_empty());
    assert_eq!(seconds(ORDERED, &stream(&[("a", 0.0), ("c", 1.0), ("b", 2.0), ("c", 3.0)])), [3.0]);
    assert!(seconds(ORDERED, &stream(&[("a", 0.0), ("b", 1.0), ("c", 10.5)])).is_empty());
    // A later beginning brings the chain into the window.
    assert_eq!(seconds(ORDERED, &stream(&[("a", 0.0), ("a", 5.0), ("b", 6.0), ("c", 12.0)])), [12.0]);
    // Matches of one microsecond may stand in any order.
    assert_eq!(seconds(ORDERED, &stream(&[("c", 1.0), ("b", 1.0), ("a", 1.0)])), [1.0]);
    let many: Vec<_> =
        (0..500).map(|i| ("a", f64::from(i) / 100.0)).chain([("b", 6.0), ("c", 7.0)]).collect();
    assert_eq!(seconds(ORDERED, &stream(&many)), [7.0]);
}

#[test]
fn events_that_come_late_count_at_their_own_time() {
    assert_eq!(seconds(ORDERED, &stream(&[("c", 2.0), ("a", 0.0), ("b", 1.0)])), [2.0]);
    assert!(seconds(ORDERED, &stream(&[("b", 2.0), ("a", 3.0), ("c", 4.0)])).is_empty());
    let count =
        "type: event_count\nrules: [a]\ngroup-by: [user.username]\ntimespan: 10s\ncondition: {gte: 3}";
    // The burst at 0 to 2 completes after an event at 15.
    assert_eq!(seconds(count, &stream(&[("a", 0.0), ("a", 15.0), ("a", 2.0), ("a", 1.0)])), [2.0]);
    let values = "type: value_count\nrules: [a]\ngroup-by: [user.username]\ntimespan: 10s\ncondition: {gte: 3, field: objectRef.namespace}";
    let late = [
        at("a", 0.0, "eve", "x"),
        at("a", 15.0, "eve", "y"),
        at("a", 2.0, "eve", "y"),
        at("a", 1.0, "eve", "z"),
    ];
    assert_eq!(seconds(values, &late), [2.0]);
}

#[test]
fn order_of_arrival_does_not_matter_within_the_tolerance() {
    let count =
        "type: event_count\nrules: [a]\ngroup-by: [user.username]\ntimespan: 60s\ncondition: {gte: 20}";
    let mut times: Vec<f64> = (0..100).map(f64::from).collect();
    // A fixed shuffle that moves events by up to ten places.
    for i in 0..90 {
        times.swap(i, i + (i * 7) % 10);
    }
    let shuffled: Vec<_> = times.iter().map(|t| at("a", *t, "eve", "")).collect();
    assert_eq!(run(count, &shuffled).len(), 1);
}

#[test]
fn a_request_from_long_ago_does_not_disturb_the_burst() {
    let count =
        "type: event_count\nrules: [a]\ngroup-by: [user.username]\ntimespan: 10s\ncondition: {gte: 3}";
    let stream =
        stream(&[("a", 90_000.0), ("a", 1.0), ("a", 90_001.0), ("a", 2.0), ("a", 90_002.0), ("a", 3.0)]);
    assert_eq!(seconds(count, &stream), [90_002.0, 3.0]);
}

#[test]
fn correlations_of_correlations() {
    let chain = "---\ntitle: In\nid: in\ncorrelation: {type: event_count, rules: [a], group-by: [source.ip], timespan: 10s, condition: {gte: 3}}\n---\n\
title: Out\nid: out\ncorrelation: {type: temporal_ordered, rules: [in, b], group-by: [user.username], timespan: 60s}\n";
    let m = |rule: &str, t: f64, user: &str| {
        let mut m = at(rule, t, user, "");
        m.values.insert("source.ip".into(), vec!["203.0.113.7".into()]);
        m
    };
    let found =
        run(chain, &[m("a", 0.0, "eve"), m("a", 1.0, "eve"), m("a", 2.0, "eve"), m("b", 30.0, "eve")]);
    assert_eq!(found.len(), 1, "the inner correlation does not report: {found:?}");
    assert_eq!(found[0].rule.as_ref(), "out");
    assert_eq!(found[0].evidence.len(), 4);
    assert_eq!(found[0].values["user"], ["eve"]);
    assert!(run(chain, &[m("a", 0.0, "eve"), m("a", 1.0, "eve"), m("b", 2.0, "eve")]).is_empty());
    assert!(
        run(chain, &[m("a", 0.0, "eve"), m("a", 1.0, "eve"), m("a", 2.0, "eve"), m("b", 30.0, "bob")])
            .is_empty()
    );
    // Three identities behind one address: each of them is tied to the inner match.
    assert_eq!(
        run(chain, &[m("a", 0.0, "eve"), m("a", 1.0, "bob"), m("a", 2.0, "kim"), m("b", 3.0, "bob")]).len(),
        1
    );
}
