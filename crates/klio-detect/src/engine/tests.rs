use klio_model::{FieldRef, Filter, Matcher, Severity, TextMatch};

use super::*;
use crate::rule::About;

fn rule(id: &str, dialect: Dialect, filter: Filter) -> Rule {
    let about = About {
        id: id.into(),
        name: None,
        title: id.into(),
        description: String::new(),
        dialect,
        severity: Severity::High,
        tactics: vec![],
        techniques: vec![],
        labels: vec![],
        reports: true,
        file: "test.yml".into(),
        line: 1,
    };
    Rule { about, filter, every_stage: dialect == Dialect::Falco, output: None, carries: vec![] }
}

fn is(field: &str, value: &str) -> Filter {
    Filter::test(FieldRef::parse(field).unwrap(), Matcher::Text(TextMatch::literal(value)))
}

fn judge(engine: &Engine, event: &str) -> Vec<(String, bool)> {
    let event = Event::parse(event).unwrap();
    let mut out = Vec::new();
    engine.judge(&event, &mut engine.bench(), &mut |v| {
        out.push((engine.rules()[v.rule as usize].id.clone(), v.proven));
    });
    out
}

#[test]
fn dispatch_never_hides_a_rule_that_matches() {
    let subresource_absent =
        Filter::not(Filter::test(FieldRef::parse("subresource").unwrap(), Matcher::Present));
    let engine = Engine::new(
        vec![
            rule("plain", Dialect::Sigma, Filter::and([is("verb", "GET"), is("resource", "secrets")])),
            rule("no-sub", Dialect::Sigma, Filter::and([is("resource", "pods"), subresource_absent])),
            rule("not", Dialect::Sigma, Filter::not(is("verb", "get"))),
            rule("or", Dialect::Sigma, Filter::or([is("verb", "create"), is("user", "alice")])),
            rule("code", Dialect::Sigma, is("code", "403")),
        ],
        FalcoMatching::First,
    );
    let names = |event: &str| judge(&engine, event).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(names(r#"{"verb":"get","objectRef":{"resource":"secrets"}}"#), ["plain"]);
    assert_eq!(names(r#"{"verb":"list","objectRef":{"resource":"pods"}}"#), ["no-sub", "not"]);
    assert_eq!(names(r#"{"verb":"get","objectRef":{"resource":"pods","subresource":"log"}}"#), [""; 0]);
    assert_eq!(
        names(r#"{"verb":"get","user":{"username":"Alice"},"responseStatus":{"code":403}}"#),
        ["or", "code"]
    );
}

#[test]
fn a_missing_body_makes_an_unproven_finding_or_a_blind_rule() {
    let tls = Filter::test(FieldRef::parse("requestObject.spec.tls").unwrap(), Matcher::Present);
    let pid = is("requestObject.spec.hostPID", "true");
    let engine = Engine::new(
        vec![
            rule("no-tls", Dialect::Falco, Filter::and([is("resource", "ingresses"), Filter::not(tls)])),
            rule("host-pid", Dialect::Sigma, Filter::and([is("resource", "pods"), pid])),
        ],
        FalcoMatching::First,
    );
    let ingress = r#"{"level":"Metadata","verb":"create","objectRef":{"resource":"ingresses"}}"#;
    assert_eq!(judge(&engine, ingress), [("no-tls".into(), false)]);
    let pod = r#"{"level":"Metadata","verb":"create","objectRef":{"resource":"pods"}}"#;
    let event = Event::parse(pod).unwrap();
    let mut bench = engine.bench();
    engine.judge(&event, &mut bench, &mut |_| unreachable!());
    assert_eq!(engine.blind(&bench.sight).map(|r| r.id.as_str()).collect::<Vec<_>>(), ["host-pid"]);
}

#[test]
fn falco_stops_at_its_first_match_and_sees_every_stage() {
    let rules = || {
        vec![
            rule("a", Dialect::Falco, is("verb", "get")),
            rule("s", Dialect::Sigma, is("verb", "get")),
            rule("b", Dialect::Falco, is("verb", "get")),
        ]
    };
    let ids = |m: FalcoMatching, e: &str| {
        judge(&Engine::new(rules(), m), e).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(ids(FalcoMatching::First, r#"{"verb":"get"}"#), ["a", "s"]);
    assert_eq!(ids(FalcoMatching::All, r#"{"verb":"get"}"#), ["a", "s", "b"]);
    assert_eq!(ids(FalcoMatching::All, r#"{"verb":"get","stage":"RequestReceived"}"#), ["a", "b"]);
}

#[test]
fn many_words_at_once_are_the_same_as_each_alone() {
    let words = ["*/bin/sh*", "*%2fbin%2fsh*", "*a.c*", "*(x)*", "*Curl*"];
    let many =
        words.iter().map(|w| TextMatch::glob(w, klio_model::filter::Case::Insensitive)).collect::<Vec<_>>();
    let filter = Filter::test(FieldRef::parse("uri").unwrap(), Matcher::OneOf(many.into()));
    let engine = Engine::new(vec![rule("words", Dialect::Sigma, filter.clone())], FalcoMatching::First);
    for uri in ["/x?command=/BIN/sh", "/x?c=%2Fbin%2Fsh", "/abc", "/a.c", "/(x)", "/x", "/cURL", "/ü/bin/shü"]
    {
        let text = format!(r#"{{"requestURI":"{uri}"}}"#);
        let alone = filter.matches(&Event::parse(&text).unwrap());
        assert_eq!(!judge(&engine, &text).is_empty(), alone, "{uri}");
    }
}

/// Filters over few fields and values, so that they often meet.
fn filters() -> impl proptest::strategy::Strategy<Value = Filter> {
    use proptest::prelude::*;
    let test = prop_oneof![
        (prop_oneof![
            Just("verb"),
            Just("resource"),
            Just("user"),
            Just("user.kind"),
            Just("ua"),
            Just("stage")
        ])
        .prop_flat_map(|field| prop_oneof![
            Just("get"),
            Just("pods"),
            Just("bob"),
            Just("ResponseComplete")
        ]
        .prop_map(move |value| is(if field == "ua" { "userAgent" } else { field }, value))),
        (prop_oneof![Just("code"), Just("outcome")]).prop_flat_map(|field| {
            prop_oneof![Just("200"), Just("403"), Just("allowed"), Just("denied"), Just("unknown")]
                .prop_map(move |value| is(field, value))
        }),
        Just(is("request.a", "x")),
        Just(Filter::test(FieldRef::parse("subresource").unwrap(), Matcher::Present)),
        Just(Filter::Keyword(TextMatch::literal("bob"))),
    ];
    test.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Filter::and),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Filter::or),
            inner.prop_map(Filter::not),
        ]
    })
}

fn events() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let part = |texts: &'static [&'static str]| proptest::sample::select(texts);
    (
        part(&["", r#""level":"Metadata","#, r#""level":"Request","#]),
        part(&["", r#""stage":"ResponseComplete","#, r#""stage":"RequestReceived","#]),
        part(&["", r#""verb":"get","#, r#""verb":"create","#]),
        part(&["", r#""user":{"username":"bob"},"#, r#""user":{"username":"system:node:n"},"#]),
        part(&[
            "",
            r#""objectRef":{"resource":"pods"},"#,
            r#""objectRef":{"resource":"pods","subresource":"x"},"#,
        ]),
        part(&["", r#""responseStatus":{"code":200},"#, r#""responseStatus":{"code":403},"#]),
        part(&["", r#""requestObject":{"a":"x"},"#, r#""requestObject":{"a":["y"]},"#]),
        part(&["", r#""annotations":{"authorization.k8s.io/decision":"forbid"},"#]),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| format!("{{{a}{b}{c}{d}{e}{f}{g}{h}\"kind\":\"Event\"}}"))
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_short_way_and_the_long_way_agree(
        rules in proptest::collection::vec((filters(), proptest::bool::ANY), 1..6),
        events in proptest::collection::vec((events(), proptest::bool::ANY), 1..12),
    ) {
        let rules: Vec<Rule> = rules
            .into_iter()
            .enumerate()
            .map(|(i, (filter, falco))| {
                rule(&i.to_string(), if falco { Dialect::Falco } else { Dialect::Sigma }, filter)
            })
            .collect();
        let engine = Engine::new(rules.clone(), FalcoMatching::All);
        let mut bench = engine.bench();
        for (text, salvaged) in &events {
            let mut event = Event::parse(text).unwrap();
            event.salvaged = *salvaged;
            let mut got = Vec::new();
            engine.judge(&event, &mut bench, &mut |v| got.push(v));
            let want: Vec<Verdict> = rules
                .iter()
                .enumerate()
                .filter(|(_, r)| r.every_stage || event.stage != Stage::RequestReceived)
                .filter(|(_, r)| r.filter.eval(&event, Missing::False) == Tri::True || r.filter.matches(&event))
                .map(|(i, r)| Verdict { rule: i as u32, proven: r.filter.matches(&event), later: false })
                .collect();
            proptest::prop_assert_eq!(got, want, "{}", text);
        }
    }
}

#[test]
fn a_rule_about_the_past_waits_for_facts() {
    let engine = Engine::new(
        vec![
            rule("past", Dialect::Klio, Filter::and([is("resource", "secrets"), is("new.secret", "true")])),
            rule("either", Dialect::Klio, Filter::or([is("verb", "list"), is("new.actor", "true")])),
            rule(
                "not",
                Dialect::Klio,
                Filter::and([is("verb", "get"), Filter::not(is("peers.action", "true"))]),
            ),
            rule("body", Dialect::Klio, Filter::and([is("request.kind", "Pod"), is("new.actor", "true")])),
        ],
        FalcoMatching::First,
    );
    let ask = |json: &str, facts: Option<klio_model::Facts>| {
        let mut event = Event::parse(json).unwrap();
        event.facts = facts;
        let mut out = Vec::new();
        let mut bench = engine.bench();
        engine.judge(&event, &mut bench, &mut |v| {
            out.push((engine.rules()[v.rule as usize].id.clone(), v.proven, v.later));
        });
        let blind: Vec<String> = engine.blind(&bench.sight).map(|r| r.id.clone()).collect();
        (out, blind)
    };
    let get = r#"{"verb":"get","objectRef":{"resource":"secrets"}}"#;
    let said = |id: &str, proven, later| (id.to_owned(), proven, later);
    let later = |id: &str| said(id, false, true);
    assert_eq!(ask(get, None), (vec![later("past"), later("either"), later("not")], vec![]));
    // What the event alone decides is not put off.
    let list = r#"{"verb":"list","objectRef":{"resource":"pods"}}"#;
    assert_eq!(ask(list, None).0, [said("either", true, false)]);
    // The facts decide; unknown facts are read as the dialect reads what is missing, and no rule is blind for them.
    let facts = |new| klio_model::Facts { new_secret: new, peers_action: new, ..Default::default() };
    assert_eq!(ask(get, Some(facts(Some(true)))).0, [said("past", true, false)]);
    assert_eq!(ask(get, Some(facts(None))), (vec![said("not", false, false)], vec![]));

    let again = |json: &str, facts, rule| {
        let mut event = Event::parse(json).unwrap();
        event.facts = Some(facts);
        let mut sight = Sight::default();
        let verdict = engine.again(&event, rule, &mut sight);
        (verdict.map(|v| (v.proven, v.later)), sight.unknown, sight.decided)
    };
    assert_eq!(again(get, facts(Some(true)), 0), (Some((true, false)), 0, 1));
    assert_eq!(again(get, facts(Some(false)), 0), (None, 0, 1));
    assert_eq!(again(get, facts(None), 0), (None, 0, 0));
    assert_eq!(again(get, facts(None), 2), (Some((false, false)), 0, 1));
    assert_eq!(again(get, facts(None), 99), (None, 0, 0));
    // A rule that also reads a body that was never recorded is blind for that.
    let write = r#"{"level":"Metadata","verb":"create"}"#;
    let new = klio_model::Facts { new_actor: Some(true), ..Default::default() };
    assert_eq!(ask(write, None).0.last(), Some(&later("body")));
    assert_eq!(again(write, new, 3), (None, 1, 0));
}

/// Judges one event after the other with the same memory of values, and names the rules that match.
fn remembering(engine: &Engine) -> impl FnMut(&str) -> Vec<String> + '_ {
    let mut bench = engine.bench();
    move |text| {
        let (event, mut out) = (Event::parse(text).unwrap(), Vec::new());
        engine.judge(&event, &mut bench, &mut |v| out.push(engine.rules()[v.rule as usize].id.clone()));
        out
    }
}

#[test]
fn groups_decide_before_a_rule_is_asked_and_each_time_anew() {
    let engine = Engine::new(
        vec![
            rule("masters", Dialect::Sigma, is("groups", "system:masters")),
            rule("others", Dialect::Sigma, Filter::not(is("groups", "system:masters"))),
        ],
        FalcoMatching::First,
    );
    let mut names = remembering(&engine);
    let masters = r#"{"verb":"get","user":{"username":"a","groups":["dev","system:masters"]}}"#;
    let others = r#"{"verb":"get","user":{"username":"a","groups":["dev"]}}"#;
    for _ in 0..2 {
        assert_eq!(names(masters), ["masters"]);
        assert_eq!(names(others), ["others"]);
        assert_eq!(names(r#"{"verb":"get","user":{"username":"a"}}"#), ["others"]);
        // Groups that are no JSON are unknown: neither is certain, and a negation does not need to be.
        assert_eq!(names(r#"{"verb":"get","user":{"username":"a","groups":["dev" "b"]}}"#), ["others"]);
    }
    // An event that was made and not read has its groups too.
    let made = Event::blank().in_groups(["system:masters"]);
    let mut out = Vec::new();
    engine.judge(&made, &mut engine.bench(), &mut |v| out.push(v.rule));
    assert_eq!(out, [0]);
}

#[test]
fn values_of_neighbouring_fields_are_never_taken_for_each_other() {
    let engine = Engine::new(
        vec![
            rule("subresource", Dialect::Sigma, is("subresource", "log")),
            rule("resource", Dialect::Sigma, is("resource", "log")),
        ],
        FalcoMatching::First,
    );
    let mut names = remembering(&engine);
    for _ in 0..2 {
        assert_eq!(names(r#"{"verb":"get","objectRef":{"resource":"log"}}"#), ["resource"]);
        assert_eq!(names(r#"{"verb":"get","objectRef":{"subresource":"log"}}"#), ["subresource"]);
        assert_eq!(names(r#"{"verb":"getlog","objectRef":{}}"#), [""; 0]);
    }
}
