use super::*;

const COUNT: &str =
    "type: event_count\nrules: [a]\ngroup-by: [user.username]\ntimespan: 10s\ncondition: {gte: 3}";

fn burst(times: impl IntoIterator<Item = f64>) -> Vec<Match> {
    times.into_iter().map(|t| at("a", t, "eve", "")).collect()
}

#[test]
fn fires_once_when_the_count_is_reached_within_the_span() {
    assert_eq!(seconds(COUNT, &burst([0.0, 5.0, 10.0])), [10.0]);
    assert_eq!(seconds(COUNT, &burst([0.0, 5.0, 10.1])), [] as [f64; 0]);
    assert_eq!(seconds(COUNT, &burst([0.0, 9.0, 11.0, 12.0])), [12.0]);
    assert_eq!(seconds(&COUNT.replace("gte: 3", "gt: 3"), &burst([0.0, 1.0, 2.0, 3.0])), [3.0]);
}

#[test]
fn a_burst_is_one_finding_until_the_group_has_been_quiet() {
    assert_eq!(seconds(COUNT, &burst((0..1_000).map(f64::from))), [2.0]);
    let two = (0..50).chain(100..150).map(f64::from);
    assert_eq!(seconds(COUNT, &burst(two)), [2.0, 102.0]);
}

#[test]
fn groups_count_apart_and_a_match_without_the_key_counts_nowhere() {
    let mut stream = Vec::new();
    for i in 0..2 {
        for user in ["eve", "bob", "", "kim+eve"] {
            stream.push(at("a", f64::from(i), user, ""));
        }
    }
    // `kim+eve` has two values of the key and counts for both.
    let found = run(COUNT, &stream);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].values["user"], ["eve"]);
    let without = COUNT.replace("group-by: [user.username]\n", "");
    assert_eq!(run(&without, &stream).len(), 1);
}

#[test]
fn a_finding_holds_its_events_its_keys_and_the_number() {
    let mut stream = burst([0.0, 1.0, 2.0]);
    stream[1].proven = false;
    let found = run(COUNT, &stream);
    assert_eq!(found[0].rule.as_ref(), "x");
    assert_eq!(found[0].evidence.len(), 3);
    assert_eq!(found[0].values["count"], ["3"]);
    assert_eq!(found[0].actor.user.as_deref(), Some("eve"));
    assert!(!found[0].proven);
    // Evidence from before the window does not belong to it.
    let found = run(COUNT, &burst([0.0, 20.0, 21.0, 22.0]));
    assert_eq!(found[0].evidence.len(), 3);
}

#[test]
fn distinct_values() {
    let section = "type: value_count\nrules: [a]\ngroup-by: [user.username]\ntimespan: 10s\ncondition: {gte: 3, field: objectRef.namespace}";
    let stream =
        |values: &[(f64, &str)]| values.iter().map(|(t, v)| at("a", *t, "eve", v)).collect::<Vec<_>>();
    assert_eq!(seconds(section, &stream(&[(0.0, "a"), (1.0, "b"), (2.0, "c")])), [2.0]);
    assert!(seconds(section, &stream(&[(0.0, "a"), (1.0, "b"), (2.0, "a"), (3.0, "b")])).is_empty());
    assert!(seconds(section, &stream(&[(0.0, "a"), (1.0, "b"), (2.0, ""), (12.0, "c")])).is_empty());
    // `a` is seen again within the window of `c`.
    assert_eq!(
        seconds(section, &stream(&[(0.0, "a"), (8.0, "a"), (9.0, "b"), (12.0, "a"), (18.0, "c")])),
        [18.0]
    );
    let found = run(section, &stream(&[(0.0, "a"), (1.0, "b"), (2.0, "c")]));
    assert_eq!(found[0].values["namespace"], ["a", "b", "c"]);
    assert_eq!(found[0].values["count"], ["3"]);
    // Several fields: combinations.
    let both =
        section.replace("field: objectRef.namespace", "field: [objectRef.namespace, responseStatus.code]");
    assert_eq!(seconds(&both, &stream(&[(0.0, "a"), (1.0, "b"), (2.0, "c")])), [2.0]);
}

#[test]
fn upper_bounds_are_judged_when_the_window_is_over() {
    let lt = COUNT.replace("gte: 3", "lt: 3");
    assert_eq!(seconds(&lt, &burst([0.0, 1.0])), [1.0]);
    assert!(seconds(&lt, &burst([0.0, 1.0, 2.0])).is_empty());
    let range = COUNT.replace("gte: 3", "gt: 1, lte: 3");
    assert!(seconds(&range, &burst([0.0])).is_empty());
    assert_eq!(seconds(&range, &burst([0.0, 1.0, 2.0])), [2.0]);
    assert!(seconds(&range, &burst([0.0, 1.0, 2.0, 3.0])).is_empty());
    assert_eq!(seconds(&COUNT.replace("gte: 3", "eq: 2"), &burst([0.0, 1.0, 50.0])), [1.0]);
    assert_eq!(seconds(&COUNT.replace("gte: 3", "neq: 2"), &burst([0.0, 1.0, 50.0])), [50.0]);
    // Windows that follow each other are one burst.
    assert_eq!(seconds(&COUNT.replace("gte: 3", "lt: 100"), &burst((0..200).map(f64::from))).len(), 1);
    // The next event tells that the window is over: no need to wait for the end.
    let mut correlator = Correlator::new(&set(&lt));
    assert!(correlator.observe(&at("a", 0.0, "eve", "")).is_empty());
    assert_eq!(correlator.observe(&at("b", 100.0, "bob", "")).len(), 1);
}

#[test]
fn sums_means_percentiles_and_shares() {
    let section = |kind: &str, condition: &str| {
        format!(
            "type: {kind}\nrules: [a]\ngroup-by: [user.username]\ntimespan: 10s\ncondition: {{field: responseStatus.code, {condition}}}"
        )
    };
    let stream = |values: &[&str]| {
        values.iter().enumerate().map(|(i, v)| at("a", i as f64, "eve", v)).collect::<Vec<_>>()
    };
    assert_eq!(seconds(&section("value_sum", "gt: 10"), &stream(&["4", "6", "x", "1"])), [3.0]);
    assert!(seconds(&section("value_sum", "gt: 10"), &stream(&["4", "6"])).is_empty());
    assert_eq!(seconds(&section("value_sum", "lt: 10"), &stream(&["4", "5"])), [1.0]);
    assert_eq!(seconds(&section("value_avg", "gt: 4.5"), &stream(&["4", "6"])), [1.0]);
    assert!(seconds(&section("value_avg", "gt: 5"), &stream(&["4", "6"])).is_empty());
    // With `percentile` the number at that rank, else the share of a value in percent.
    assert_eq!(
        seconds(&section("value_percentile", "percentile: 50, gte: 6"), &stream(&["1", "6", "7"])),
        [2.0]
    );
    assert!(
        seconds(&section("value_percentile", "percentile: 50, gt: 6"), &stream(&["1", "6", "7"])).is_empty()
    );
    assert_eq!(seconds(&section("value_percentile", "lte: 20"), &stream(&["1", "1", "1", "1", "2"])), [4.0]);
    assert!(seconds(&section("value_percentile", "lte: 20"), &stream(&["1", "1", "2", "2"])).is_empty());
}
