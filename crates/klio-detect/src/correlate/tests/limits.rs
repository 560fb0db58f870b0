use super::*;

const COUNT: &str =
    "type: event_count\nrules: [a]\ngroup-by: [user.username]\ntimespan: 1h\ncondition: {gte: 1000}";

#[test]
fn memory_is_bounded_and_what_was_forgotten_is_counted() {
    let limit = 20_000;
    let mut correlator = Correlator::with_limit(&set(COUNT), limit);
    for i in 0..20_000 {
        correlator.observe(&at("a", f64::from(i) / 100.0, &format!("user-{i}"), ""));
        assert!(correlator.weight() <= limit + 100);
    }
    assert!(correlator.stats().evicted > 10_000);
    // The groups touched last are still there.
    for i in 0..999 {
        assert_eq!(
            correlator.observe(&at("a", 200.0 + f64::from(i), "user-19999", "")).len(),
            usize::from(i == 998)
        );
    }
}

#[test]
fn a_flood_in_one_group_counts_exactly_and_keeps_little() {
    let mut correlator = Correlator::new(&set(COUNT));
    let mut found = Vec::new();
    for i in 0..100_000 {
        found.extend(correlator.observe(&at("a", f64::from(i) / 1000.0, "eve", "")));
        assert!(correlator.weight() < 10_000);
    }
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].time.unwrap().micros(), 999_000);
    assert_eq!(found[0].evidence.len(), 128);
    assert_eq!(found[0].values["count"], ["1000"]);
}

#[test]
fn few_values_in_many_events_stay_cheap() {
    let section = "type: value_count\nrules: [a]\ngroup-by: [user.username]\ntimespan: 1h\ncondition: {gte: 10, field: objectRef.namespace}";
    let mut correlator = Correlator::new(&set(section));
    for i in 0..50_000 {
        let value = format!("ns-{}", i % 5);
        assert!(correlator.observe(&at("a", f64::from(i) / 100.0, "eve", &value)).is_empty());
    }
    assert!(correlator.weight() < 10_000);
}

#[test]
fn what_cannot_be_placed_is_counted() {
    let mut correlator = Correlator::new(&set(COUNT));
    let mut untimed = at("a", 0.0, "eve", "");
    untimed.time = None;
    correlator.observe(&untimed);
    correlator.observe(&at("a", 0.0, "", ""));
    correlator.observe(&at("b", 0.0, "", ""));
    let stats = correlator.stats();
    assert_eq!((stats.untimed, stats.ungrouped, stats.evicted), (1, 1, 0));
    assert!(correlator.watches("a") && !correlator.watches("b"));
}

#[test]
fn bookkeeping_returns_to_nothing() {
    let section = COUNT.replace("gte: 1000", "lt: 3");
    let mut correlator = Correlator::new(&set(&section));
    for i in 0..500 {
        correlator.observe(&at("a", f64::from(i) * 3.0, &format!("user-{}", i % 50), ""));
    }
    let open = correlator.weight();
    correlator.finish();
    assert!(correlator.weight() < open);
    assert!(correlator.finish().is_empty());
}

#[test]
fn memory_is_counted_in_bytes() {
    let mut correlator = Correlator::with_limit(&set(COUNT), 20_000);
    for i in 0..200 {
        let mut long = at("a", f64::from(i), &format!("user-{i}-{}", "q".repeat(60_000)), "");
        long.actor.user_agent = Some("q".repeat(60_000));
        long.evidence[0].fields.push(("uri".into(), "q".repeat(60_000)));
        correlator.observe(&long);
        // A key of 60,000 bytes counts as what it is.
        assert!(correlator.weight() <= 20_000 + 10_000);
    }
    assert!(correlator.stats().evicted > 190, "{}", correlator.stats().evicted);
}
