use klio_model::{FieldRef, Filter, Matcher, Severity, TextMatch};

use super::*;

fn rule(id: &str, dialect: Dialect, filter: Filter) -> Rule {
    Rule {
        id: id.into(),
        name: None,
        title: id.into(),
        description: String::new(),
        dialect,
        severity: Severity::High,
        tactics: vec![],
        techniques: vec![],
        tags: vec![],
        false_positives: vec![],
        references: vec![],
        filter,
        every_stage: dialect == Dialect::Falco,
        reports: true,
        output: None,
        carries: vec![],
        file: "test.yml".into(),
        line: 1,
    }
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
    let many = words.iter().map(|w| TextMatch::glob(w, klio_model::filter::Case::Insensitive)).collect();
    let filter = Filter::test(FieldRef::parse("uri").unwrap(), Matcher::OneOf(many));
    let engine = Engine::new(vec![rule("words", Dialect::Sigma, filter.clone())], FalcoMatching::First);
    for uri in ["/x?command=/BIN/sh", "/x?c=%2Fbin%2Fsh", "/abc", "/a.c", "/(x)", "/x", "/cURL", "/ü/bin/shü"]
    {
        let text = format!(r#"{{"requestURI":"{uri}"}}"#);
        let alone = filter.matches(&Event::parse(&text).unwrap());
        assert_eq!(!judge(&engine, &text).is_empty(), alone, "{uri}");
    }
}
