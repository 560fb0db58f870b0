//! What is counted from columns is what counting the records gives.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // helpers of tests are not tests to the lint

#[path = "oracle/ask.rs"]
#[allow(dead_code)]
mod ask;
#[path = "oracle/lake.rs"]
#[allow(dead_code)]
mod both;
#[path = "oracle/events.rs"]
mod events;
#[path = "oracle/random.rs"]
mod random;

use std::collections::BTreeMap;

use klio_model::{Event, FieldRef, Filter, TimeRange, Timestamp};
use klio_store::{Custody, Flush, Lake, Origin, Records, Rows, Settings, Writer};

use both::Both;
use random::Random;

const FIELDS: &[&str] = &[
    "verb",
    "user",
    "code",
    "groups",
    "resource",
    "namespace",
    "dryRun",
    "request.write",
    "outcome",
    "source.ip",
    "audit.id",
    "uri",
    "container.image",
    "groups.0",
    "time",
    "stage",
    "decision",
    "credential",
    "annotations.authorization.k8s.io/reason",
];

type Counts = BTreeMap<Vec<Option<String>>, u64>;

/// The naive way.
fn counted(both: &Both, fields: &[FieldRef], filter: &Filter, range: TimeRange) -> Counts {
    let mut counts = Counts::new();
    for raw in both.memory.find(filter, range) {
        let event = Event::parse(raw).unwrap();
        let mut rows: Vec<Vec<Option<String>>> = vec![Vec::new()];
        for field in fields {
            let values = field.values(&event);
            let values: Vec<Option<String>> =
                if values.is_empty() { vec![None] } else { values.into_iter().map(Some).collect() };
            rows = rows
                .iter()
                .flat_map(|row| {
                    values.iter().map(|value| row.iter().cloned().chain([value.clone()]).collect())
                })
                .collect();
        }
        for row in rows {
            *counts.entry(row).or_default() += 1;
        }
    }
    counts
}

#[test]
fn numbers_are_those_of_the_records() {
    let mut random = Random(0x51ab_1234_77aa_0001);
    let mut both = both::both(&mut random);
    let values = ask::Values::of(&both.events);
    let all: Vec<FieldRef> = FIELDS.iter().map(|name| FieldRef::parse(name).unwrap()).collect();
    for number in 0..150 {
        let filter = match number % 3 {
            0 => Filter::All,
            1 => Filter::parse(random.pick::<&str>(&[
                "verb:get",
                "code >= 400",
                "not user:*",
                "groups:*a*",
                "user:*:*",
            ]))
            .unwrap(),
            _ => ask::filter(&mut random, &values, 2),
        };
        let range = ask::range(&mut random, &values);
        let fields: Vec<FieldRef> = (0..=random.below(3)).map(|_| random.pick(&all).clone()).collect();
        let expected = counted(&both, &fields, &filter, range);
        let matched = both.memory.find(&filter, range).count() as u64;

        let got = both.lake.distinct(&fields, &filter, range, usize::MAX).unwrap();
        assert_eq!(got.scanned.matched, matched, "{filter}");
        assert_eq!(got.rows.into_iter().collect::<Counts>(), expected, "{filter}, {range:?}, {fields:?}");

        let count = both.lake.count(&filter, range).unwrap();
        assert_eq!(count.matched, matched, "{filter}, {range:?}");

        let (field, expected) = (&fields[0], counted(&both, &fields[..1], &filter, range));
        let top = both.lake.top(field, &filter, range, 4).unwrap();
        assert!(top.values.len() <= 4 && top.values.is_sorted_by(|a, b| a.1 >= b.1));
        assert_eq!(top.missing, expected.get(&vec![None]).copied().unwrap_or(0), "{field}");
        let sum: u64 = top.values.iter().map(|v| v.1).sum();
        assert_eq!(sum + top.other + top.missing, expected.values().sum::<u64>());
        for (value, count) in top.values {
            assert_eq!(expected.get(&vec![Some(value)]), Some(&count));
        }

        let step = *random.pick(&[60_000_000, 3_600_000_000, 86_400_000_000, 7_000_001]);
        let mut steps: BTreeMap<i64, u64> = BTreeMap::new();
        for raw in both.memory.find(&filter, range) {
            if let Some(time) = Event::parse(raw).unwrap().time() {
                *steps.entry(time.micros().div_euclid(step) * step).or_default() += 1;
            }
        }
        match both.lake.histogram(&filter, range, step) {
            Ok(got) => {
                assert_eq!(got.scanned.matched, matched);
                let got = got.steps.into_iter().filter(|s| s.1 > 0).map(|(t, n)| (t.micros(), n));
                assert_eq!(got.collect::<BTreeMap<_, _>>(), steps, "{filter}, {range:?}, {step}");
            }
            // Some odd events lie decades before the others.
            Err(e) => assert!(e.to_string().contains("steps"), "{e}"),
        }

        // The same in one pass.
        let lists = [fields.clone(), vec![field.clone()]];
        match both.lake.counts(&lists, Some((field, step)), &filter, range) {
            Ok(got) => {
                assert_eq!(got.scanned.matched, matched, "{filter}");
                for (fields, rows) in lists.iter().zip(got.values) {
                    assert!(rows.is_sorted_by(|a, b| a.1 >= b.1));
                    let expected = counted(&both, fields, &filter, range);
                    assert_eq!(
                        rows.into_iter().collect::<Counts>(),
                        expected,
                        "{filter}, {range:?}, {fields:?}"
                    );
                }
                let sums: Vec<u64> =
                    got.steps.iter().map(|(_, s)| s.iter().map(|step| step.1).sum()).collect();
                assert!(sums.is_sorted_by(|a, b| a >= b));
                let mut got_steps = BTreeMap::new();
                for (value, steps) in got.steps {
                    for (start, count) in steps {
                        assert!(got_steps.insert((value.clone(), start.micros()), count).is_none());
                    }
                }
                let mut expected = BTreeMap::new();
                for raw in both.memory.find(&filter, range) {
                    let event = Event::parse(raw).unwrap();
                    let Some(time) = event.time() else { continue };
                    let mut values: Vec<_> = field.values(&event).into_iter().map(Some).collect();
                    if values.is_empty() {
                        values.push(None);
                    }
                    for value in values {
                        let start = time.micros().div_euclid(step) * step;
                        *expected.entry((value, start)).or_insert(0) += 1;
                    }
                }
                assert_eq!(got_steps, expected, "{filter}, {range:?}, {step}, {field}");
            }
            Err(e) => assert!(e.to_string().contains("steps"), "{e}"),
        }
    }
}

#[test]
fn long_values_are_counted_by_their_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::default();
    let mut writer = Writer::open(dir.path(), &settings).unwrap();
    let origin = Origin { cluster: "prod".into(), source: "webhook".into(), ..Origin::default() };
    let long = "x".repeat(5000);
    for round in 0..2 {
        let (mut records, mut rows) = (Records::default(), Rows::new());
        for number in 0..3 {
            let raw = serde_json::json!({
                "kind": "Event", "auditID": format!("{round}-{number}"), "stage": "ResponseComplete", "verb": "get",
                "requestURI": format!("/{long}/{number}"), "userAgent": format!("{long}{number}"),
                "requestReceivedTimestamp": Timestamp(1_790_000_000_000_000 + number).to_string(),
            });
            let raw = raw.to_string();
            records.push_as(&raw, false);
            let custody = Custody { cluster: "prod", source: "webhook", received: Timestamp(0) };
            rows.push(&Event::parse(&raw).unwrap(), custody, "default", None);
        }
        let upto = writer.append(&origin, &records).unwrap();
        if round == 0 {
            writer.flush(&Flush { rows: vec![rows], upto, ..Flush::default() }).unwrap();
        }
    }
    drop(writer);
    let mut lake = Lake::open(dir.path(), &settings).unwrap();
    for (name, begin) in [("uri", format!("/{long}")), ("userAgent", long.clone())] {
        let top = lake.top(&FieldRef::parse(name).unwrap(), &Filter::All, TimeRange::default(), 9).unwrap();
        let cut = format!("{}…", &begin[..1021]);
        assert_eq!((top.values, top.other, top.let_go), (vec![(cut, 6)], 0, 0), "{name}");
    }
}
