//! The corpus as the scan sees it: valid, mixed as promised, the same for the same seed.

use std::collections::HashMap;

use super::{Plan, generate};

fn make(bytes: u64, seed: u64) -> (super::Made, Vec<u8>) {
    let mut out = Vec::new();
    let made = generate(&crate::klio::recorded(), &Plan { bytes, seed }, &mut out).unwrap();
    (made, out)
}

#[test]
fn the_mix_is_as_promised() {
    let (made, out) = make(30 << 20, 1);
    assert_eq!(made.bytes, out.len() as u64);
    let mean = made.bytes / made.events;
    assert!((1_450..=1_550).contains(&mean), "mean event is {mean} bytes");
    for (count, share) in made.levels.iter().zip([80, 12, 8]) {
        let got = 100.0 * *count as f64 / made.events as f64;
        assert!((got - f64::from(share)).abs() < 1.0, "{got} instead of {share} %");
    }
    assert!(made.hostile > 0);
}

#[test]
fn every_line_is_an_event_with_an_id_of_its_own() {
    let (made, out) = make(30 << 20, 1);
    let mut stages: HashMap<(String, String), u64> = HashMap::new();
    let mut lines = 0;
    for line in out.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let event: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert_eq!(event["apiVersion"], "audit.k8s.io/v1");
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        assert!(text("stageTimestamp") >= text("requestReceivedTimestamp"));
        *stages.entry((text("auditID"), text("stage"))).or_default() += 1;
        lines += 1;
    }
    assert_eq!(lines, made.events);
    let repeated = stages.values().filter(|count| **count > 1).count();
    // A client can choose its audit id; the recording holds a few requests that share one.
    assert!(repeated * 1_000 < stages.len(), "{repeated} of {} stages repeat an id", stages.len());
}

#[test]
fn the_seed_decides_every_byte() {
    assert_eq!(make(1 << 20, 5).1, make(1 << 20, 5).1);
    assert_ne!(make(1 << 20, 5).1, make(1 << 20, 6).1);
}
