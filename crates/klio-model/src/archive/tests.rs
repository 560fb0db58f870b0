use proptest::prelude::*;

use super::MemoryArchive;
use crate::filter::Filter;
use crate::time::{TimeRange, Timestamp};

/// What an invented event says; the naive reading looks only here.
#[derive(Clone, Debug)]
struct Facts {
    verb: &'static str,
    resource: Option<&'static str>,
    user: &'static str,
    groups: Vec<&'static str>,
    code: Option<i64>,
    /// Minutes after 2026-11-21T01:00:00Z.
    minute: Option<u8>,
}

const VERBS: [&str; 4] = ["get", "list", "create", "delete"];
const RESOURCES: [Option<&str>; 3] = [Some("secrets"), Some("pods"), None];
const USERS: [&str; 4] = ["alice", "Bob", "system:node:n1", "system:serviceaccount:shop:api"];
const GROUPS: [&str; 3] = ["dev", "ops", "system:masters"];

impl Facts {
    fn json(&self) -> String {
        let mut parts = vec![
            r#""level":"Metadata","stage":"ResponseComplete""#.to_owned(),
            format!(
                r#""verb":"{}","user":{{"username":"{}","groups":{:?}}}"#,
                self.verb, self.user, self.groups
            ),
        ];
        parts.extend(self.resource.map(|r| format!(r#""objectRef":{{"resource":"{r}"}}"#)));
        parts.extend(self.code.map(|c| format!(r#""responseStatus":{{"code":{c}}}"#)));
        parts.extend(
            self.minute.map(|m| format!(r#""requestReceivedTimestamp":"2026-11-21T01:{m:02}:00.000000Z""#)),
        );
        format!("{{{}}}", parts.join(","))
    }
}

/// What a text means, said without the filter language.
type Naive = fn(&Facts) -> bool;
/// The same for texts that were joined.
type Meaning = std::rc::Rc<dyn Fn(&Facts) -> bool>;

fn test() -> impl Strategy<Value = Shown> {
    let cases: Vec<(&str, Naive)> = vec![
        ("verb:get", |f| f.verb == "get"),
        ("VERB", |_| true),
        ("verb:(get or list)", |f| ["get", "list"].contains(&f.verb)),
        ("verb:*e*", |f| f.verb.contains('e')),
        ("objectRef.resource:secrets", |f| f.resource == Some("secrets")),
        ("resource:*", |f| f.resource.is_some()),
        ("user:system:*", |f| f.user.starts_with("system:")),
        ("user:bob", |f| f.user == "Bob"),
        ("user:cased(bob)", |_| false),
        ("user.username:/^[A-Z]/", |f| f.user == "Bob"),
        ("user.kind:node", |f| f.user.starts_with("system:node:")),
        ("user.namespace:shop", |f| f.user.contains(":shop:")),
        ("groups:dev", |f| f.groups.contains(&"dev")),
        ("every(groups:dev)", |f| !f.groups.is_empty() && f.groups.iter().all(|g| *g == "dev")),
        ("code >= 400", |f| f.code.is_some_and(|c| c >= 400)),
        ("code:[400 to 403]", |f| f.code.is_some_and(|c| (400..=403).contains(&c))),
        ("code:404", |f| f.code == Some(404)),
        ("time >= 2026-11-21T01:30:00Z", |f| f.minute.is_some_and(|m| m >= 30)),
        ("time:minute(7)", |f| f.minute == Some(7)),
        ("time:hour(1)", |f| f.minute.is_some()),
        ("\"secrets\"", |f| f.resource == Some("secrets")),
        ("not *", |_| false),
        ("*", |_| true),
    ];
    prop::sample::select(cases).prop_map(|(text, meaning)| Shown(text.to_owned(), std::rc::Rc::new(meaning)))
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone)]
struct Shown(String, Meaning);

fn filter() -> impl Strategy<Value = Shown> {
    test().prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(Shown(a, f), Shown(b, g))| {
                Shown(format!("({a}) and ({b})"), std::rc::Rc::new(move |x| f(x) && g(x)))
            }),
            (inner.clone(), inner.clone()).prop_map(|(Shown(a, f), Shown(b, g))| {
                Shown(format!("({a}) or ({b})"), std::rc::Rc::new(move |x| f(x) || g(x)))
            }),
            inner.prop_map(|Shown(a, f)| Shown(format!("not ({a})"), std::rc::Rc::new(move |x| !f(x)))),
        ]
    })
}

fn facts() -> impl Strategy<Value = Facts> {
    (
        prop::sample::select(&VERBS[..]),
        prop::sample::select(&RESOURCES[..]),
        prop::sample::select(&USERS[..]),
        prop::sample::subsequence(&GROUPS[..], 0..=3),
        prop::sample::select(vec![None, Some(200), Some(101), Some(403), Some(404), Some(500)]),
        prop::option::of(0..60u8),
    )
        .prop_map(|(verb, resource, user, groups, code, minute)| Facts {
            verb,
            resource,
            user,
            groups,
            code,
            minute,
        })
}

fn range(from: Option<u8>, to: Option<u8>) -> TimeRange {
    let at = |m: u8| Timestamp::parse(&format!("2026-11-21T01:{m:02}:00Z")).unwrap();
    TimeRange { start: from.map(at), end: to.map(at) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn finds_what_a_naive_reading_finds(
        events in prop::collection::vec(facts(), 0..20),
        filter in filter(),
        from in prop::option::of(0..60u8),
        to in prop::option::of(0..60u8),
    ) {
        let mut archive = MemoryArchive::new();
        for event in &events {
            archive.keep(&event.json(), false).unwrap();
        }
        let parsed = Filter::parse(&filter.0).map_err(|e| TestCaseError::fail(e.render(&filter.0)))?;
        let want: Vec<String> = events
            .iter()
            .filter(|e| (filter.1)(e))
            .filter(|e| match e.minute {
                Some(m) => from.is_none_or(|f| f <= m) && to.is_none_or(|t| m < t),
                None => from.is_none() && to.is_none(),
            })
            .map(Facts::json)
            .collect();
        let got: Vec<&str> = archive.find(&parsed, range(from, to)).collect();
        prop_assert_eq!(got, want);
        // Printing and reading the filter again changes no answer.
        let again = Filter::parse(&parsed.to_string()).unwrap();
        prop_assert_eq!(archive.find(&again, range(from, to)).count(), archive.find(&parsed, range(from, to)).count());
    }
}

#[test]
fn what_the_level_did_not_record_is_found_by_neither_a_test_nor_its_opposite() {
    let mut archive = MemoryArchive::new();
    let pod = r#"{"level":"Metadata","verb":"create","objectRef":{"resource":"pods"}}"#;
    archive.keep(pod, false).unwrap();
    for text in ["pod.hostPID:true", "not pod.hostPID:true", "verb:create and not pod.hostPID:*"] {
        assert_eq!(archive.find(&Filter::parse(text).unwrap(), TimeRange::default()).count(), 0, "{text}");
    }
    assert_eq!(
        archive
            .find(&Filter::parse("verb:create or pod.hostPID:true").unwrap(), TimeRange::default())
            .count(),
        1
    );
}

#[test]
fn a_range_holds_its_start_and_not_its_end() {
    let mut archive = MemoryArchive::new();
    for minute in [9, 10, 19, 20] {
        archive
            .keep(&format!(r#"{{"requestReceivedTimestamp":"2026-11-21T01:{minute:02}:00.000000Z"}}"#), false)
            .unwrap();
    }
    archive.keep(r#"{"verb":"get"}"#, false).unwrap();
    let count = |from, to| archive.find(&Filter::All, range(from, to)).count();
    assert_eq!(count(Some(10), Some(20)), 2);
    assert_eq!(count(Some(20), None), 1);
    assert_eq!(count(None, Some(9)), 0);
    assert_eq!(count(None, None), 5);
}

#[test]
fn what_is_no_event_is_refused_and_events_are_kept_as_they_came() {
    let mut archive = MemoryArchive::new();
    assert!(archive.keep("{\"verb\":", false).is_err());
    assert!(archive.is_empty());
    let odd = "{ \"verb\" : \"get\",\t\"unheard-of\": 1 }";
    archive.keep(odd, false).unwrap();
    assert_eq!(archive.find(&Filter::All, TimeRange::default()).collect::<Vec<_>>(), [odd]);
}
