use klio_model::{Event, Filter, Missing, Tri};
use proptest::prelude::*;

use super::*;

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

#[test]
fn scopes_read_back() {
    for (text, expect) in [
        ("", ""),
        ("*", "*"),
        ("prod", "prod"),
        ("prod/shop, prod/web", "prod/shop,prod/web"),
        ("prod/web,prod/shop,prod/shop", "prod/shop,prod/web"),
        ("prod/shop,prod", "prod"),
        ("prod-eu,prod-*,test/a", "prod-*,test/a"),
        ("prod/team-*,prod/team-a", "prod/team-*"),
        ("x,*", "*"),
        ("*/shop", "*/shop"),
    ] {
        assert_eq!(scope(text).to_string(), expect, "{text:?}");
        assert_eq!(scope(expect), scope(text));
    }
}

#[test]
fn odd_scopes_are_refused() {
    for text in [
        ",",
        "prod,",
        "prod/",
        "/shop",
        "prod/*",
        "*-prod",
        "prod/*-a",
        "pr od",
        "prod/a/b",
        "prod/Shop",
        "a'b",
        "é",
        "**",
        "prod/a.b",
    ] {
        assert!(text.parse::<Scope>().is_err(), "{text:?}");
    }
    assert!(vec!["a"; 300].join(",").parse::<Scope>().is_err());
    assert!(format!("prod/{}", "a".repeat(64)).parse::<Scope>().is_err());
    assert_eq!(serde_json::to_string(&scope("prod/shop")).unwrap(), "\"prod/shop\"");
    assert!(serde_json::from_str::<Scope>("\"prod/*\"").is_err());
}

#[test]
fn part_of() {
    let check =
        |a: &str, b: &str, expect: bool| assert_eq!(scope(a).is_within(&scope(b)), expect, "{a} in {b}");
    check("", "", true);
    check("", "prod", true);
    check("prod", "", false);
    check("prod/shop", "prod", true);
    check("prod", "prod/shop", false);
    check("prod/shop,prod/web", "prod/web,prod/shop,prod/x", true);
    check("prod-*", "prod-eu,prod-us", false);
    check("prod-eu", "prod-*", true);
    check("*/shop", "prod/shop", false);
    check("prod/shop", "*/shop", true);
    check("*", "*", true);
    assert!(scope("*").is_all() && !scope("*/shop").is_all() && !scope("p*").is_all());
}

#[test]
fn both() {
    let check = |a: &str, b: &str, expect: &str| {
        assert_eq!(scope(a).both(&scope(b)).to_string(), expect);
        assert_eq!(scope(b).both(&scope(a)).to_string(), expect);
    };
    check("*", "prod/shop", "prod/shop");
    check("prod", "*/shop", "prod/shop");
    check("prod-*", "prod-eu/a,test", "prod-eu/a");
    check("prod/a", "prod/b", "");
    check("prod/team-*", "prod/team-a,prod/b", "prod/team-a");
}

fn visible(scope: &Scope, cluster: &str, event: &str, salvaged: bool) -> bool {
    let mut event = Event::parse(event).unwrap();
    event.salvaged = salvaged;
    scope.filter_for(cluster).is_some_and(|filter| filter.matches(&event))
}

fn object(members: &str) -> String {
    format!(r#"{{"kind":"Event","verb":"get","objectRef":{{{members}}}}}"#)
}

#[test]
fn a_namespace_is_all_that_is_seen() {
    let shop = scope("prod/shop");
    let check = |members: &str, expect: bool| {
        assert_eq!(visible(&shop, "prod", &object(members), false), expect, "{members}");
        assert!(!visible(&shop, "test", &object(members), false));
        assert!(visible(&scope("prod"), "prod", &object(members), false));
    };
    check(r#""resource":"pods","namespace":"shop","name":"x""#, true);
    check(r#""resource":"pods","namespace":"web","name":"shop""#, false);
    check(r#""resource":"pods","namespace":"Shop""#, false);
    check(r#""resource":"pods","namespace":"shop2""#, false);
    // A list over all namespaces, and what has none.
    check(r#""resource":"pods""#, false);
    check(r#""resource":"nodes","name":"shop""#, false);
    // The Namespace object: by its path, and when it was made.
    check(r#""resource":"namespaces","namespace":"shop","name":"shop""#, true);
    check(r#""resource":"namespaces","name":"shop""#, true);
    check(r#""resource":"namespaces","name":"web""#, false);
    check(r#""resource":"namespaces""#, false);
    check(r#""resource":"namespaces","name":"shop","apiGroup":"evil.example""#, false);
    check(r#""resource":"namespaces","name":"shop","namespace":"web""#, false);
}

#[test]
fn the_unknown_is_not_seen() {
    let shop = scope("prod/shop");
    // Of a cut line, what is there counts, and what is not there might have been cut off.
    assert!(visible(&shop, "prod", &object(r#""resource":"pods","namespace":"shop""#), true));
    assert!(!visible(&shop, "prod", &object(r#""resource":"pods""#), true));
    assert!(!visible(&shop, "prod", &object(r#""resource":"namespaces","name":"shop""#), true));
    let filter = shop.filter_for("prod").unwrap();
    let cut = object(r#""resource":"pods""#);
    let mut cut = Event::parse(&cut).unwrap();
    cut.salvaged = true;
    assert_eq!(filter.eval(&cut, Missing::Unknown), Tri::Unknown);
    // Joined with a question that is true of it, it stays unknown: the event is neither shown nor counted.
    let question = Filter::parse("verb:get").unwrap();
    assert!(question.matches(&cut) && !Filter::and([filter, question]).matches(&cut));
}

#[test]
fn nothing_of_a_foreign_cluster_is_opened() {
    assert_eq!(scope("prod/shop").filter_for("test"), None);
    assert_eq!(scope("").filter_for("prod"), None);
    assert_eq!(scope("prod/shop,prod").filter_for("prod"), Some(Filter::All));
    assert_eq!(scope("*").filter_for(""), Some(Filter::All));
    let clusters: Vec<String> =
        scope("prod/a,prod/b,test-*").clusters().into_iter().map(|c| c.to_string()).collect();
    assert_eq!(clusters, ["test-*", "prod"]);
}

#[test]
fn the_filter_can_be_written_and_read() {
    for text in ["prod/shop,prod/web", "prod/team-*", "prod/true,prod/and,prod/1"] {
        let filter = scope(text).filter_for("prod").unwrap();
        assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter, "{filter}");
    }
}

/// Few and short names, so that they meet.
fn scopes() -> impl Strategy<Value = Scope> {
    let cluster = prop_oneof![Just("*"), Just("a"), Just("a*"), Just("ab"), Just("b")];
    let namespace = prop_oneof![Just(""), Just("/x"), Just("/x*"), Just("/xy"), Just("/y")];
    prop::collection::vec((cluster, namespace), 0..5).prop_map(|parts| {
        let parts: Vec<String> = parts.iter().map(|(c, n)| format!("{c}{n}")).collect();
        scope(&parts.join(","))
    })
}

const CLUSTERS: [&str; 5] = ["a", "ab", "b", "abc", "zz"];
const NAMESPACES: [Option<&str>; 6] = [None, Some("x"), Some("xy"), Some("y"), Some("xyz"), Some("q")];

/// What the words say, without filters and patterns.
fn naive(scope: &Scope, cluster: &str, namespace: Option<&str>) -> bool {
    let fits = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    scope.to_string().split(',').filter(|part| !part.is_empty()).any(|part| match part.split_once('/') {
        None => fits(part, cluster),
        Some((c, n)) => fits(c, cluster) && namespace.is_some_and(|name| fits(n, name)),
    })
}

proptest! {
    #[test]
    fn the_filter_agrees_with_the_words(s in scopes(), c in 0..5_usize, n in 0..6_usize, verb in "get|list|create", resource in "pods|nodes|secrets") {
        let namespace = NAMESPACES[n].map_or(String::new(), |name| format!(r#","namespace":"{name}""#));
        let event = format!(r#"{{"verb":"{verb}","objectRef":{{"resource":"{resource}"{namespace}}}}}"#);
        prop_assert_eq!(visible(&s, CLUSTERS[c], &event, false), naive(&s, CLUSTERS[c], NAMESPACES[n]));
        // Of a cut event never more is seen than of the whole one.
        prop_assert!(!visible(&s, CLUSTERS[c], &event, true) || naive(&s, CLUSTERS[c], NAMESPACES[n]));
    }

    #[test]
    fn part_of_and_both_agree_with_what_is_seen(a in scopes(), b in scopes()) {
        let both = a.both(&b);
        let mut within = true;
        for cluster in CLUSTERS {
            for namespace in NAMESPACES {
                let (in_a, in_b) = (naive(&a, cluster, namespace), naive(&b, cluster, namespace));
                prop_assert_eq!(naive(&both, cluster, namespace), in_a && in_b);
                within &= !in_a || in_b;
            }
        }
        // The samples hold a name for each way in which two of these scopes can differ.
        prop_assert_eq!(a.is_within(&b), within);
        prop_assert!(both.is_within(&a) && both.is_within(&b));
        prop_assert_eq!(a.both(&a), a.clone());
        prop_assert_eq!(scope(&a.to_string()), a);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,40}") {
        if let Ok(read) = text.parse::<Scope>() {
            prop_assert_eq!(scope(&read.to_string()), read);
        }
    }
}
