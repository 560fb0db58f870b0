use super::*;
use crate::event::Event;

fn test(field: &str, pattern: &str) -> Filter {
    Filter::test(FieldRef::parse(field).unwrap(), Matcher::Text(TextMatch::glob(pattern, Case::Insensitive)))
}

#[test]
fn an_unrecorded_body_is_unknown_and_its_negation_too() {
    let event =
        Event::parse(r#"{"level":"Metadata","verb":"create","objectRef":{"resource":"ingresses"}}"#).unwrap();
    let tls = Filter::test(FieldRef::parse("requestObject.spec.tls").unwrap(), Matcher::Present);
    let rule = Filter::and([test("verb", "create"), Filter::not(tls)]);
    assert_eq!(rule.eval(&event, Missing::Unknown), Tri::Unknown);
    assert_eq!(rule.eval(&event, Missing::False), Tri::True);
    assert_eq!(test("verb", "get").eval(&event, Missing::Unknown), Tri::False);
}

#[test]
fn patterns() {
    let check = |pattern: &str, text: &str, want: bool| {
        assert_eq!(TextMatch::glob(pattern, Case::Insensitive).matches(text), want, "{pattern} on {text}");
    };
    check("kubectl*", "Kubectl/v1.36", true);
    check("*secret*", "my-SECRETS", true);
    check("*.crt", "ca.CRT", true);
    check("a?c", "aéc", true);
    check("a*b*c", "a-b-b-c", true);
    check("a*b*c", "a-b-b", false);
    check(r"a\*c", "a*c", true);
    check(r"a\*c", "abc", false);
    check("ÄB", "äb", true);
    check("", "", true);
    check("", "x", false);
    check("*", "", true);
    check("?*?", "é", false);
    assert!(!TextMatch::exactly("A").matches("a"));
    assert!(TextMatch::literal("needle").found_in("hay NEEDLE hay"));
}

#[test]
fn evidence_names_the_values_that_made_it_true() {
    let event = Event::parse(
        r#"{"verb":"get","objectRef":{"resource":"secrets"},"user":{"groups":["dev","system:masters"]}}"#,
    )
    .unwrap();
    let filter = Filter::and([
        test("verb", "get"),
        Filter::or([test("groups", "system:masters"), test("resource", "pods")]),
    ]);
    let mut out = Vec::new();
    filter.evidence(&event, Missing::Unknown, &mut out);
    assert_eq!(out, [("verb".into(), "get".into()), ("groups".into(), "system:masters".into())]);
}
